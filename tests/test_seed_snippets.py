"""The two code blocks of the page that this project began with run with nothing but their import lines changed."""

import re
from pathlib import Path

import numpy as np
import pytest

import nncore
from nncore.data import DataLoader, TensorDataset

PAGE = Path(__file__).parent / "data" / "seed_day_12_14.md"
IMPORTS = {
    "import tensorflow as tf": "",
    "from tensorflow.keras import layers, models": "from nncore.keras import layers, models",
    "import torch": "import nncore as torch",
    "import torch.nn as nn": "import nncore.nn as nn",
    "import torch.optim as optim": "import nncore.optim as optim",
}
INPUT_DIM, CLASSES, SAMPLES = 20, 10, 320


@pytest.fixture(scope="module")
def blocks():
    """The page's Python blocks, imports changed: (Keras, PyTorch)."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 2
    changed = []
    for block in blocks:
        lines = block.split("\n")
        foreign = [line for line in lines if "import" in line]
        assert all(line in IMPORTS for line in foreign)
        changed.append("\n".join(IMPORTS.get(line, line) for line in lines))
    return changed


@pytest.fixture
def data():
    """Ten clouds of points around ten centres, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(SAMPLES) % CLASSES
    centres = rng.normal(size=(CLASSES, INPUT_DIM))
    return (centres[labels] + 0.5 * rng.normal(size=(SAMPLES, INPUT_DIM))).astype(np.float32), labels


def test_keras_block(blocks, data):
    x, labels = data
    nncore.manual_seed(0)
    names = {"input_dim": INPUT_DIM, "train_data": x, "train_labels": np.eye(CLASSES)[labels]}
    exec(blocks[0], names)
    model = names["model"]
    history = model.history.history
    assert list(history) == ["loss", "accuracy"]
    assert len(history["loss"]) == 10
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert history["accuracy"][-1] > 0.9
    assert [tuple(w.shape) for w in model.get_weights()] == [(INPUT_DIM, 128), (128,), (128, CLASSES), (CLASSES,)]
    probabilities = model.predict(x)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.95


def test_torch_block(blocks, data):
    x, labels = data
    nncore.manual_seed(0)
    seen = []

    class Loader(DataLoader):
        def __iter__(self):
            seen.append(names["loss"].item() if "loss" in names else None)
            return super().__iter__()

    dataset = TensorDataset(nncore.from_numpy(x), nncore.from_numpy(labels))
    names = {"input_dim": INPUT_DIM, "epochs": 10, "train_loader": Loader(dataset, batch_size=32, shuffle=True)}
    exec(blocks[1], names)
    assert len(seen) == 10
    assert names["loss"].item() < 0.3 * seen[1]
    model = names["model"].eval()
    with nncore.no_grad():
        predicted = model(nncore.from_numpy(x)).argmax(dim=1).numpy()
    assert (predicted == labels).mean() > 0.95


def test_both_blocks_make_the_same_kind_of_object(blocks, data):
    x, labels = data
    names = {"input_dim": INPUT_DIM, "train_data": x, "train_labels": np.eye(CLASSES)[labels]}
    exec(blocks[0], names)
    model = names["model"]
    assert isinstance(model, nncore.nn.Module)
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    same = nncore.nn.Sequential(
        nncore.nn.Linear(INPUT_DIM, 128),
        nncore.nn.ReLU(),
        nncore.nn.Linear(128, CLASSES),
        nncore.nn.Softmax(dim=1),
    )
    same.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(same(nncore.from_numpy(x)).detach().numpy(), model.predict(x))
