"""`python -m nncore`: the main job, the files it writes, and one clear line for every mistake."""

import csv
import os
import signal
import subprocess
import sys
import time

import child
import numpy as np
import pytest

import nncore
from nncore import datasets
from nncore.cli import main
from nncore.viz import format_confusion, plot_history


def cli(*arguments, **options):
    return child.run("-m", "nncore", *arguments, **options)


@pytest.fixture
def blobs(tmp_path):
    """A small table of three well-parted classes with unusual labels, as .csv."""
    x, y = datasets.blobs(90, classes=3, spread=0.5, seed=1)
    path = tmp_path / "blobs.csv"
    rows = [f"{a},{b},{[-7, 0, 40][label]}" for (a, b), label in zip(x.tolist(), y, strict=True)]
    path.write_text("width,height,label\n" + "\n".join(rows) + "\n")
    return path


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# ---- the main job ----
@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """The folder, output and errors of `python -m nncore train` as a newcomer runs it."""
    folder = tmp_path_factory.mktemp("digits")
    done = cli("train", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "digits", done.stdout, done.stderr


def test_train_reaches_97_percent_on_the_held_out_digits(digits_run):
    folder, output, errors = digits_run
    assert errors == ""
    [accuracy] = [line for line in output.splitlines() if line.startswith("held-out accuracy")]
    assert float(accuracy.split()[2].rstrip("%")) >= 97
    assert "true \\ predicted    0    1    2    3    4    5    6    7    8    9   found" in output
    assert max(map(len, output.splitlines())) <= 120
    assert sorted(os.listdir(folder)) == ["checkpoint.safetensors", "history.csv", "history.png", "model.safetensors"]
    for name in ("model.safetensors", "history.csv", "history.png"):
        assert name in output.splitlines()[-1]


def test_history_holds_every_epoch(digits_run):
    rows = read_csv(digits_run[0] / "history.csv")
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 13)]
    assert list(rows[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert float(rows[-1]["loss"]) < 0.1 * float(rows[0]["loss"])
    assert float(rows[-1]["val_accuracy"]) >= 0.97


def test_history_picture_is_a_png_of_a_decent_size(digits_run):
    picture = (digits_run[0] / "history.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    assert width >= 1200
    assert height >= 500


def test_the_saved_model_reproduces_the_held_out_accuracy(digits_run):
    folder, output, _ = digits_run
    model = nncore.load(folder / "model.safetensors")
    images, labels = datasets.load_digits()
    _, _, x_test, y_test = datasets.train_test_split(images[:, None], labels, 0.2, seed=0)
    right = (nncore.Model(model).predict(x_test).argmax(axis=1) == y_test).sum()
    assert f"({right} of {len(y_test)})" in output


def test_predict_and_info_read_the_saved_model(digits_run, tmp_path):
    model = digits_run[0] / "model.safetensors"
    images, labels = datasets.load_digits()
    np.savez(tmp_path / "some.npz", x=images[:50].astype(np.uint8), y=labels[:50])
    done = cli("predict", model, tmp_path / "some.npz")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines()))
    right = sum(row["predicted"] == row["label"] for row in rows)
    assert [row["sample"] for row in rows] == [str(i) for i in range(50)]
    assert [int(row["label"]) for row in rows] == labels[:50].tolist()
    assert right >= 48
    assert done.stderr == f"accuracy {right / 50:.2%} ({right} of 50)\n"
    assert all(0.1 <= float(row["probability"]) <= 1 for row in rows)

    done = cli("predict", model, tmp_path / "some.npz", "--out", tmp_path / "out.csv")
    assert (done.returncode, done.stdout) == (0, "")
    assert read_csv(tmp_path / "out.csv") == rows

    done = cli("info", model)
    assert done.returncode == 0
    assert "BatchNorm2d" in done.stdout
    assert "data: digits" in done.stdout


def test_info_shows_the_build():
    done = cli("info")
    assert done.returncode == 0
    for word in ("ISA", "threads", "OpenMP", nncore.__version__):
        assert word in done.stdout


def test_bench_takes_the_rest_of_the_line():
    done = cli("bench", "--help")
    assert done.returncode == 0
    assert "NumPy" in done.stdout


# ---- own data ----
def test_features_from_csv_with_any_integer_labels(blobs, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", "--data", str(blobs), "--out", str(out), "--epochs", "40"]) == 0
    output = capsys.readouterr().out
    assert "blobs.csv: 90 samples of 2 features, 3 classes; 72 to train on, 18 held out" in output
    assert "MLP" in output
    assert "held-out accuracy 100.00% (18 of 18)" in output
    unlabelled = tmp_path / "new.csv"
    unlabelled.write_text("5,0\n-2.5,4.33\n-2.5,-4.33\n")
    assert main(["predict", str(out / "model.safetensors"), str(unlabelled)]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["predicted"] for row in rows] == ["-7", "0", "40"]
    assert "label" not in rows[0]
    assert main(["predict", str(out / "model.safetensors"), str(blobs)]) == 0
    assert capsys.readouterr().err == "accuracy 100.00% (90 of 90)\n"


@pytest.mark.parametrize("shape", [(5, 6), (6, 5, 3), (4, 4, 1)])
def test_images_from_npz(tmp_path, capsys, shape):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = rng.random((40, *shape)) + labels.reshape(-1, *[1] * len(shape))
    np.savez(tmp_path / "images.npz", X=images, Y=labels)
    arguments = ["--data", tmp_path / "images.npz", "--out", tmp_path / "run", "--epochs", "20", "--lr", "0.01"]
    assert main(["train", *map(str, arguments)]) == 0
    output = capsys.readouterr().out
    assert "40 images of" in output
    assert "CNN" in output
    assert main(["predict", str(tmp_path / "run" / "model.safetensors"), str(tmp_path / "images.npz")]) == 0
    assert "accuracy" in capsys.readouterr().err


def test_many_classes_get_a_list_of_mistakes(tmp_path, capsys):
    labels = np.repeat(np.arange(20), 10)
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).random((200, 3)), y=labels)
    arguments = ["--data", tmp_path / "data.npz", "--out", tmp_path / "run", "--epochs", "1"]
    assert main(["train", *map(str, arguments)]) == 0
    output = capsys.readouterr().out
    assert "most frequent mistakes:" in output
    assert " taken for " in output


def test_the_same_seed_gives_the_same_files(blobs, tmp_path):
    def files(name, *more):
        out = tmp_path / name
        assert main(["train", "--data", str(blobs), "--out", str(out), "--epochs", "3", *more]) == 0
        return {file: (out / file).read_bytes() for file in ("model.safetensors", "history.csv")}

    assert files("a") == files("b") != files("c", "--seed", "1")


# ---- to go on ----
def test_resume_gives_the_same_files_as_one_run(blobs, tmp_path, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["train", "--data", str(blobs), "--out", str(whole), "--epochs", "5", "--batch-size", "7"]) == 0
    assert main(["train", "--data", str(blobs), "--out", str(parts), "--epochs", "2", "--batch-size", "7"]) == 0
    capsys.readouterr()
    assert main(["train", "--out", str(parts), "--resume", "--epochs", "5"]) == 0
    assert "resumed after epoch 2" in capsys.readouterr().out
    for name in ("model.safetensors", "history.csv", "checkpoint.safetensors"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes(), name
    assert main(["train", "--out", str(parts), "--resume"]) == 0  # nothing left to do but to write the results
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a process")
def test_ctrl_c_says_how_to_go_on(tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "interrupted run"
    command = [sys.executable, "-m", "nncore", "train", "--epochs", "3", "--out"]
    process = subprocess.Popen(
        [*command, str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=child.environment()
    )
    checkpoint = out / "history.csv"
    for _ in range(3000):
        if checkpoint.exists() and len(checkpoint.read_text().splitlines()) > 1:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted after epoch " in errors
    assert f"python -m nncore train --resume --out '{out}'" in errors
    assert "Traceback" not in errors
    assert not (out / "model.safetensors").exists()
    assert cli("train", "--resume", "--out", out).returncode == 0
    assert cli("train", "--epochs", "3", "--out", whole).returncode == 0
    for name in ("model.safetensors", "history.csv"):
        assert (whole / name).read_bytes() == (out / name).read_bytes(), name


# ---- mistakes ----
def complaint(capsys, *arguments):
    """The one line on stderr for arguments that end in exit code 2."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    output, errors = capsys.readouterr()
    assert code == 2
    assert output == ""
    [line] = errors.splitlines()
    assert line.startswith("nncore: error: ")
    return line.removeprefix("nncore: error: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--fly"], "unrecognized arguments: --fly"),
        (["train", "--epochs", "0"], "argument --epochs: 0 is not a positive number"),
        (["train", "--epochs", "-3"], "argument --epochs: -3 is not a positive number"),
        (["train", "--epochs", "ten"], "argument --epochs: invalid int value: 'ten'"),
        (["train", "--batch-size", "0"], "argument --batch-size: 0 is not a positive number"),
        (["train", "--lr", "0"], "argument --lr: 0 is not a positive number"),
        (["train", "--lr", "nan"], "argument --lr: nan is not a positive number"),
        (["train", "--lr", "inf"], "argument --lr: inf is not a positive number"),
        (["train", "--seed", "-1"], "argument --seed: -1 is not between 0 and"),
        (["predict"], "the following arguments are required: MODEL, DATA"),
    ],
)
def test_bad_arguments_get_one_line(capsys, arguments, words):
    assert words in complaint(capsys, *arguments)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.csv", None, "missing.csv: No such file or directory"),
        ("data.txt", "1,0\n", "data.txt: expected a file that ends in .npz or .csv"),
        ("data.csv", "1,0\n2,x\n", "data.csv, line 2, column 2: 'x' is not a number"),
        ("data.csv", "a,b\n1,2,0\n1,0\n", "data.csv, line 3: has 2 columns, expected 3 as above"),
        ("data.csv", "1,0\nnan,1\n", "data.csv, line 2, column 1: nan is not a finite float32 number"),
        ("data.csv", "1,0\n2,0.5\n", "data.csv, line 2: the label (last column) is 0.5, expected an integer"),
        ("data.csv", "1\n2\n", "data.csv: has 1 column, expected features and a label"),
        ("data.csv", "1,5\n2,5\n3,5\n", "data.csv: all labels are 5, expected two classes or more"),
        ("data.csv", "1,0\n2,1\n", "2 samples cannot be split into two non-empty parts"),
        ("data.npz", "no archive", "data.npz: not a readable .npz file"),
    ],
)
def test_bad_data_gets_one_line(tmp_path, capsys, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    line = complaint(capsys, "train", "--data", path, "--out", tmp_path / "run")
    assert words in line
    assert not (tmp_path / "run").exists()


def test_images_too_small_for_the_network_get_one_line(tmp_path, capsys):
    np.savez(tmp_path / "data.npz", x=np.zeros((20, 3, 9)), y=np.arange(20) % 2)
    line = complaint(capsys, "train", "--data", tmp_path / "data.npz", "--out", tmp_path / "run")
    assert "images of 3 x 9 pixels are too small, expected at least 4 x 4" in line


def test_a_loss_that_explodes_gets_one_line_and_keeps_the_last_good_epoch(tmp_path, blobs, capsys):
    run = tmp_path / "run"
    assert main(["train", "--data", str(blobs), "--out", str(run), "--lr", "1e30"]) == 2
    assert "try a smaller --lr" in capsys.readouterr().err
    assert nncore.load(run / "checkpoint.safetensors")["epoch"] == 0
    assert not (run / "model.safetensors").exists()


def test_a_folder_that_cannot_be_written_gets_one_line(tmp_path, blobs, capsys):
    (tmp_path / "file").write_text("")
    line = complaint(capsys, "train", "--data", blobs, "--out", tmp_path / "file" / "run")
    assert f"{tmp_path / 'file'}" in line
    assert "Not a directory" in line
    assert "File exists" in complaint(capsys, "train", "--data", blobs, "--out", tmp_path / "file")


def test_resume_complains_about_what_does_not_fit(tmp_path, blobs, capsys):
    run = tmp_path / "run"
    assert "cannot resume: there is no" in complaint(capsys, "train", "--out", run, "--resume")
    main(["train", "--data", str(blobs), "--out", str(run), "--epochs", "2"])
    capsys.readouterr()
    for flag, value, began in (("--lr", "0.5", "0.001"), ("--seed", "3", "0"), ("--batch-size", "8", "32")):
        line = complaint(capsys, "train", "--out", run, "--resume", flag, value)
        assert line == f"cannot resume with {flag} {value}: the run began with {began}"
    line = complaint(capsys, "train", "--out", run, "--resume", "--epochs", "1")
    assert line == "cannot resume with --epochs 1: 2 epochs are already done"
    whole = blobs.read_text()
    blobs.write_text(whole.replace("\n", "\n1,1,0\n", 1))
    assert "is not the data that the run in" in complaint(capsys, "train", "--out", run, "--resume")
    blobs.write_text(whole)
    checkpoint = run / "checkpoint.safetensors"
    content = bytearray(checkpoint.read_bytes())
    content[-5] ^= 4
    checkpoint.write_bytes(content)
    assert "does not match its checksum" in complaint(capsys, "train", "--out", run, "--resume")
    nncore.save({"epoch": 1}, checkpoint)
    assert "was not written by this command" in complaint(capsys, "train", "--out", run, "--resume")


def test_predict_complains_about_what_does_not_fit(tmp_path, blobs, capsys):
    run = tmp_path / "run"
    main(["train", "--data", str(blobs), "--out", str(run), "--epochs", "1"])
    capsys.readouterr()
    model = run / "model.safetensors"
    assert "No such file" in complaint(capsys, "predict", tmp_path / "no.safetensors", blobs)
    assert "not a safetensors file" in complaint(capsys, "predict", blobs, blobs)
    assert "No such file" in complaint(capsys, "predict", model, tmp_path / "no.csv")
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("1,2,3,4\n")
    line = complaint(capsys, "predict", model, wrong)
    assert line == f"{wrong}: holds samples of 4 features, the model takes samples of 2 features"
    np.savez(tmp_path / "images.npz", x=np.zeros((3, 8, 8)))
    assert "holds images of 8 x 8, the model takes samples of 2 features" in complaint(
        capsys, "predict", model, tmp_path / "images.npz"
    )
    nncore.save(nncore.nn.Linear(2, 2), tmp_path / "other.safetensors")
    line = complaint(capsys, "predict", tmp_path / "other.safetensors", blobs)
    assert "was not written by python -m nncore train" in line
    nncore.save({"a": 1}, tmp_path / "values.safetensors")
    assert "holds no model" in complaint(capsys, "info", tmp_path / "values.safetensors")
    assert "No such file" in complaint(capsys, "predict", model, blobs, "--out", tmp_path / "missing" / "out.csv")


@pytest.mark.skipif(os.name == "nt", reason="needs a pipe whose reader goes away")
def test_a_reader_that_has_enough_is_no_error(tmp_path, blobs):
    main(["train", "--data", str(blobs), "--out", str(tmp_path / "run"), "--epochs", "1"])
    rows = blobs.read_text().splitlines()[1:]
    blobs.write_text("\n".join(rows * 200))
    process = subprocess.Popen(
        [sys.executable, "-m", "nncore", "predict", str(tmp_path / "run" / "model.safetensors"), str(blobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child.environment(),
    )
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


# ---- pictures and tables ----
def test_confusion_table_lines_up():
    lines = format_confusion([[3, 0, 0], [1, 1000, 0], [0, 0, 0]], ["a", "longer label", -3]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split()[-4:] == ["1", "1000", ".", "99.9%"]
    assert lines[3].split() == ["-3", ".", ".", ".", "-"]


def test_plot_history_draws_both_curves_of_every_quantity(tmp_path):
    history = {"loss": [2.0, 0.5, 0.01], "val_loss": [2.0, 0.6, 0.3], "accuracy": [0.1, 0.5, 0.9]}
    for name in ("a.png", "a.svg", "a.pdf"):
        figure = plot_history(history, tmp_path / name, "title")
        assert (tmp_path / name).stat().st_size > 1000
    loss, accuracy = figure.axes
    assert [len(panel.lines) for panel in (loss, accuracy)] == [2, 1]
    assert loss.get_yscale() == "log"
    np.testing.assert_array_equal(loss.lines[1].get_ydata(), history["val_loss"])
    assert loss.get_xlabel() == "epoch"
    assert [text.get_text() for text in loss.get_legend().get_texts()] == [
        "training, at the end 0.01",
        "held out, at the end 0.3",
    ]


def test_plot_history_refuses_an_empty_history():
    with pytest.raises(ValueError, match="argument 'history' holds no epochs"):
        plot_history({})


def test_plot_history_leaves_the_global_state_of_matplotlib_alone(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plot_history({"loss": [1.0]}, tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before
    done = child.run(
        "-c", "import nncore.viz as v, sys; v.plot_history({'loss': [1.0]}); print('matplotlib.pyplot' in sys.modules)"
    )
    assert done.stdout.strip() == "False", done.stderr
