"""The command line: ``python -m nncore train | predict | info | bench``.

A mistake of the user becomes one line on stderr and exit code 2; Ctrl-C exit code 130. Results go to stdout, progress
to stderr.
"""

import argparse
import csv
import hashlib
import io
import math
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import nncore
from nncore import datasets
from nncore.io import load, load_checkpoint, load_model, save_checkpoint, save_model, write_atomically
from nncore.keras.losses import SparseCategoricalCrossentropy
from nncore.keras.optimizers import Adam
from nncore.training.callbacks import LambdaCallback
from nncore.training.interrupt import Interrupts
from nncore.training.measures import confusion_matrix
from nncore.viz import format_confusion, plot_history

DEFAULTS: dict[str, Any] = {"data": None, "epochs": 12, "batch_size": 32, "lr": 1e-3, "seed": 0}
TEST_SIZE = 0.2
CHECKPOINT = "checkpoint.safetensors"


class UserError(Exception):
    """A mistake that the user can mend; its text is the one line to show."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments after the program's name. Default: those of the process.

    Returns:
        The exit code: 0, 2 for bad input, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["bench"]:
        from .bench import main as bench

        return bench(arguments[1:])
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # `... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UserError as error:
        return _complain(str(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}")
    except KeyboardInterrupt as interrupt:
        print("\n" + (str(interrupt) or "interrupted"), file=sys.stderr)
        return 130
    return 0


@contextmanager
def _checking_input() -> Iterator[None]:
    """Inside, a ValueError is about what the user gave; elsewhere it is a defect of nncore and shows its traceback."""
    try:
        yield
    except ValueError as error:
        raise UserError(str(error)) from error


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, where argparse prints its whole usage."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_complain(f"{message} (see {self.prog} --help)"))


def _complain(message: str) -> int:
    print(f"nncore: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m nncore", description="Train and use small neural networks on the CPU.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train",
        help="train a classifier on the handwritten digits or on your own data",
        description="Train a small CNN on images or an MLP on features; a fifth of the samples is held out.",
    )
    train.add_argument(
        "--data",
        metavar="FILE",
        help=".npz with x and integer labels y, or .csv with the label in the last column; default: the shipped digits",
    )
    train.add_argument("--epochs", type=_positive(int), metavar="N", help=f"default: {DEFAULTS['epochs']}")
    train.add_argument("--batch-size", type=_positive(int), metavar="N", help=f"default: {DEFAULTS['batch_size']}")
    train.add_argument(
        "--lr", type=_positive(float), metavar="X", help=f"learning rate of Adam; default: {DEFAULTS['lr']}"
    )
    train.add_argument("--seed", type=_seed, metavar="N", help="the same seed gives the same bits; default: 0")
    train.add_argument("--out", type=Path, default=Path("runs/digits"), metavar="DIR", help="default: runs/digits")
    train.add_argument("--resume", action="store_true", help="go on with the run in --out, from its last whole epoch")
    train.set_defaults(run=_train)

    predict = commands.add_parser(
        "predict",
        help="classify samples with a trained model",
        description="Classify the samples in a file; if it holds labels too, say how many were right.",
    )
    predict.add_argument("model", type=Path, metavar="MODEL", help="model.safetensors that train wrote")
    predict.add_argument("data", type=Path, metavar="DATA", help=".npz or .csv as for train, the labels may be missing")
    predict.add_argument("--out", type=Path, metavar="CSV", help="file for the predictions; default: standard output")
    predict.set_defaults(run=_predict)

    info = commands.add_parser("info", help="show the build and the machine, or what is in a model file")
    info.add_argument("model", type=Path, nargs="?", metavar="MODEL", help="a file that train wrote")
    info.set_defaults(run=_info)

    commands.add_parser("bench", help="compare the kernels with NumPy on this machine", add_help=False)
    return parser


def _positive(kind: type) -> Any:
    def parse(text: str) -> Any:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a positive number")
        return value

    parse.__name__ = kind.__name__  # for "invalid int value"
    return parse


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 2**63 - 1")
    return value


# ---- train ----
def _train(options: argparse.Namespace) -> None:
    saved = _saved_run(options.out / CHECKPOINT) if options.resume else None
    settings = _settings(options, saved)
    name, x, y = _training_data(settings["data"])
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    if saved and saved["digest"] != digest:
        raise UserError(f"cannot resume: {name} is not the data that the run in {options.out} began with")
    classes, y = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"{name}: all labels are {classes[0]}, expected two classes or more")
    nncore.manual_seed(settings["seed"])
    kind = "cnn" if x.ndim == 4 else "mlp"
    with _checking_input():
        x_train, y_train, x_test, y_test = datasets.train_test_split(x, y, TEST_SIZE, settings["seed"])
        network = nncore.models.MODELS[kind](x.shape[1:], len(classes))
    network[0].adapt(x_train)
    model = nncore.Model(network)
    model.compile(Adam(learning_rate=settings["lr"]), SparseCategoricalCrossentropy(from_logits=True), ["accuracy"])
    run = _Run(options.out, model, settings, digest)
    if saved:
        run.restore(saved)
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        run.save()

    print(f"{name}: {len(x)} {_described(x.shape)}, {len(classes)} classes; ", end="")
    print(f"{len(x_train)} to train on, {len(x_test)} held out")
    parameters, threads = sum(parameter.numel() for parameter in model.parameters()), nncore.get_num_threads()
    print(
        f"{kind.upper()}, {parameters:,} parameters; Adam, learning rate {settings['lr']:g}, "
        f"batch size {settings['batch_size']}, seed {settings['seed']}, {threads} thread{'s' * (threads > 1)}"
    )
    if saved:
        print(f"resumed after epoch {run.epoch}")
    try:
        model.fit(
            x_train,
            y_train,
            batch_size=settings["batch_size"],
            epochs=settings["epochs"],
            initial_epoch=run.epoch,
            validation_data=(x_test, y_test),
            validation_batch_size=256,
            callbacks=[LambdaCallback(on_epoch_end=run.end_epoch)],
            verbose=1,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted after epoch {run.epoch} of {settings['epochs']}; to go on:\n"
            f"  python -m nncore train --resume --out {shlex.quote(str(options.out))}"
        ) from None

    predicted = model.predict(x_test, batch_size=256, verbose=0).argmax(axis=1)
    right = int((predicted == y_test).sum())
    print(f"\nheld-out accuracy {right / len(y_test):.2%} ({right} of {len(y_test)})\n")
    print(_confusion_summary(y_test, predicted, classes.tolist()))
    notes = {
        "classes": classes.tolist(),
        "input_shape": list(x.shape[1:]),
        "data": name,
        **{key: settings[key] for key in ("epochs", "batch_size", "lr", "seed")},
        "held_out_accuracy": right / len(y_test),
    }
    save_model(model, options.out / "model.safetensors", notes)
    written = ["model.safetensors", "history.csv"]
    if _plot(run.history, options.out / "history.png", f"{name}, {settings['epochs']} epochs"):
        written.append("history.png")
    print(f"\nwrote {', '.join(str(options.out / file) for file in written)}")


class _Run:
    """What a training run keeps in its folder after every epoch: a checkpoint and the history so far."""

    def __init__(self, folder: Path, model: Any, settings: Mapping[str, Any], digest: str):
        self.folder, self.model, self.settings, self.digest = folder, model, dict(settings), digest
        self.epoch = 0
        self.history: dict[str, list[float]] = {}

    def end_epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Called after every epoch."""
        if not math.isfinite(logs["loss"]):
            raise UserError(f"the loss is {logs['loss']} in epoch {epoch + 1}; try a smaller --lr")
        with Interrupts(held=True):
            for name, value in logs.items():
                self.history.setdefault(name, []).append(float(value))
            self.epoch = epoch + 1
            self.save()

    def save(self) -> None:
        """Write the checkpoint, then the history; the checkpoint alone decides where the run stands."""
        save_checkpoint(
            self.folder / CHECKPOINT,
            self.model,
            self.model.optimizer,
            epoch=self.epoch,
            history=self.history,
            settings=self.settings,
            digest=self.digest,
        )
        self._write_history()

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go back to the checkpoint."""
        with _checking_input():
            load_checkpoint(self.folder / CHECKPOINT, self.model, self.model.optimizer)
        self.epoch, self.history = saved["epoch"], saved["history"]
        self._write_history()

    def _write_history(self) -> None:
        rows = zip(range(1, self.epoch + 1), *self.history.values(), strict=True)
        write_atomically(self.folder / "history.csv", _csv(["epoch", *self.history], rows).encode())


def _saved_run(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise UserError(f"cannot resume: there is no {path}")
    with _checking_input():
        content = load(path)
    try:
        return {
            "epoch": content["epoch"],
            **{name: content["extra"][name] for name in ("history", "settings", "digest")},
        }
    except (TypeError, KeyError):
        raise UserError(f"cannot resume: {path} was not written by this command") from None


def _settings(options: argparse.Namespace, saved: Mapping[str, Any] | None) -> dict[str, Any]:
    """The run's settings: those given, else those it began with, else the defaults. Only ``epochs`` may change."""
    given = {name: getattr(options, name) for name in DEFAULTS if getattr(options, name) is not None}
    if "data" in given:
        given["data"] = os.path.abspath(given["data"])
    if saved is None:
        return DEFAULTS | given
    for name, value in given.items():
        if name != "epochs" and value != saved["settings"][name]:
            flag = "--" + name.replace("_", "-")
            raise UserError(f"cannot resume with {flag} {value}: the run began with {saved['settings'][name]}")
    settings = saved["settings"] | given
    if settings["epochs"] < saved["epoch"]:
        raise UserError(f"cannot resume with --epochs {settings['epochs']}: {saved['epoch']} epochs are already done")
    return settings


def _training_data(path: str | None) -> tuple[str, np.ndarray, np.ndarray]:
    if path is None:
        images, labels = datasets.load_digits()
        return "digits", _as_input(images), labels
    x, y = _read(path)
    return Path(path).name, _as_input(x), y


def _read(path: str | os.PathLike[str], labels: bool = True) -> tuple[np.ndarray, Any]:
    readers = {".npz": datasets.read_npz, ".csv": datasets.read_csv}
    suffix = Path(path).suffix.lower()
    if suffix not in readers:
        raise UserError(f"{path}: expected a file that ends in .npz or .csv")
    with _checking_input():
        return readers[suffix](path, labels)


def _as_input(x: np.ndarray) -> np.ndarray:
    """(n, height, width[, channels]) becomes (n, channels, height, width), without a copy; features stay."""
    return x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2) if x.ndim == 4 else x


def _described(shape: Sequence[int]) -> str:
    if len(shape) == 2:
        return f"samples of {shape[1]} features"
    channels = f" x {shape[1]}" if shape[1] > 1 else ""
    return f"images of {shape[2]} x {shape[3]}{channels}"


def _confusion_summary(y_true: np.ndarray, y_pred: np.ndarray, labels: Sequence[int]) -> str:
    matrix = confusion_matrix(y_true, y_pred, len(labels))
    if len(labels) <= 12:
        return format_confusion(matrix, labels)
    wrong = matrix - np.diag(matrix.diagonal())
    worst = np.argsort(-wrong, axis=None, kind="stable")[:10]
    lines = [
        f"{labels[true]} taken for {labels[taken]}: {wrong[true, taken]} of {matrix[true].sum()}"
        for true, taken in zip(*np.unravel_index(worst, wrong.shape), strict=True)
        if wrong[true, taken]
    ]
    return "\n".join(["most frequent mistakes:", *lines] if lines else ["no mistakes"])


def _plot(history: Mapping[str, Sequence[float]], path: Path, title: str) -> bool:
    try:
        plot_history(history, path, title)
    except ImportError:
        return False
    return True


def _csv(header: Sequence[str], rows: Any) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


# ---- predict ----
def _predict(options: argparse.Namespace) -> None:
    with _checking_input():
        network, notes = load_model(options.model)
    if not {"classes", "input_shape"} <= notes.keys():
        raise UserError(f"{options.model}: was not written by python -m nncore train")
    classes = np.array(notes["classes"])
    x, y = _samples(options.data, tuple(notes["input_shape"]))
    logits = network.predict(x, batch_size=256, verbose=0).astype(np.float64)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    best = probabilities.argmax(axis=1)
    columns: dict[str, Any] = {
        "sample": range(len(x)),
        "predicted": classes[best],
        "probability": [f"{probability:.4f}" for probability in probabilities.max(axis=1)],
    }
    if y is not None:
        columns["label"] = y
    text = _csv(list(columns), zip(*columns.values(), strict=True))
    if options.out is None:
        sys.stdout.write(text)
    else:
        write_atomically(options.out, text.encode())
        print(f"wrote {options.out}: {len(x)} predictions", file=sys.stderr)
    if y is not None:
        right = int((classes[best] == y).sum())
        print(f"accuracy {right / len(y):.2%} ({right} of {len(y)})", file=sys.stderr)


def _samples(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray | None]:
    """The samples in a file as the model takes them, and their labels if the file has them."""
    x, y = _read(path, labels=False)
    if path.suffix.lower() == ".csv" and len(shape) == 1 and x.shape[1] == shape[0] + 1:
        x, y = _read(path)
    x = _as_input(x)
    if x.shape[1:] != shape:
        raise UserError(f"{path}: holds {_described(x.shape)}, the model takes {_described((1, *shape))}")
    return x, y


# ---- info ----
def _info(options: argparse.Namespace) -> None:
    if options.model is None:
        nncore.show_config()
        return
    with _checking_input():
        network, notes = load_model(options.model)
    model = network if isinstance(network, nncore.Model) else nncore.Model(network)
    model.summary(tuple(notes["input_shape"]) if "input_shape" in notes else None)
    for name, value in notes.items():
        print(f"{name.replace('_', ' ')}: {f'{value:.2%}' if name.endswith('accuracy') else value}")
