"""Every example runs, at small settings, and shows what it says it shows."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import nncore

FOLDER = Path(__file__).parent.parent / "examples"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="the examples are not beside the tests")


@pytest.fixture(autouse=True)
def generator():
    state = nncore.get_rng_state()
    yield
    nncore.set_rng_state(state)


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short_and_tested(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    assert text.startswith('"""')
    assert f"python examples/{path.name}" in text
    assert f'load("{path.stem}")' in Path(__file__).read_text(encoding="utf-8")


def drawn(folder, *names):
    for name in names:
        assert (folder / name).stat().st_size > 1000, name
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_exam(tmp_path, capsys):
    weights, accuracy = load("exam").main(students=600, epochs=30, out=tmp_path)
    assert np.abs(weights[-1]).argmin() == 3  # the name
    assert abs(weights[-1, 3]) < 0.15 * np.abs(weights[-1]).max()
    assert accuracy > 0.93
    drawn(tmp_path, "exam.svg")
    text = capsys.readouterr().out
    assert "delta_o1 = a_o1 - t1" in text
    assert f"{weights[-1, 0]:10.3f}" in text


def test_surfing(tmp_path, capsys):
    given, learned, mistakes = load("surfing").main(out=tmp_path)
    assert given.tolist() == learned.tolist() == nncore.datasets.surfing()[1].tolist()
    assert mistakes[0] > 0
    assert mistakes[-1] == 0
    drawn(tmp_path, "surfing.svg")
    assert "         1               0           1     6   yes" in capsys.readouterr().out


def test_xor(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert load("xor").main(out=tmp_path) == [2, 4]
    drawn(tmp_path, "xor.png")
    assert "4 hidden neurons: 4 of 4 right" in capsys.readouterr().out


def test_approximation(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    errors = load("approximation").main(widths=(2, 8, 32), epochs=300, out=tmp_path)
    assert errors[0] > 1.5 * errors[1] > 1.5 * 1.5 * errors[2]
    drawn(tmp_path, "approximation.png")


def test_digits_cnn(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    accuracy = load("digits_cnn").main(epochs=6, samples=800, out=tmp_path)
    assert accuracy > 0.8
    drawn(tmp_path, *(f"digits_{name}.png" for name in ("filters", "maps", "layer", "history")))
    assert f"{accuracy:.1%} of" in capsys.readouterr().out


def test_autoencoder(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    own, linear, mean = load("autoencoder").main(code=4, epochs=60, samples=600, out=tmp_path)
    assert own < linear < mean
    drawn(tmp_path, "autoencoder.png", "autoencoder_code.png")


def test_overfitting(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    results = load("overfitting").main(epochs=200, out=tmp_path)
    train, test, _ = results["nothing"]
    assert train < 0.12
    assert test > 4 * train
    for name in ("L1", "L2", "dropout", "early stopping"):
        assert results[name][1] < test
    assert results["L1"][2] > 0.8
    assert results["L2"][2] == results["dropout"][2] == 0  # small perhaps, but never exactly 0
    drawn(tmp_path, "overfitting.png")


def test_balance():
    lengths = load("balance").main(rounds=25, longest=100)
    assert np.mean(lengths[:3]) < 35
    assert np.mean(lengths[-3:]) > 80


def test_forecast(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    (lstm, line, last), path = load("forecast").main(steps=1000, epochs=10, alone=20, out=tmp_path)
    assert lstm < 0.7 * line < 0.7 * last
    assert path.shape == (20, 1)
    drawn(tmp_path, "forecast.png")


def test_transformer(capsys):
    loss, of_pairs = load("transformer").main(characters=60_000, steps=32, epochs=4, width=32, count=20)
    assert loss < of_pairs
    assert "Args:" in capsys.readouterr().out
