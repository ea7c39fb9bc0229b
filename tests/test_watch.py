"""Watch and InformationPlane: planted faults are found and named, and looking changes nothing."""

import numpy as np
import pytest

import nncore
from nncore import nn
from nncore.keras import layers
from nncore.keras.models import Sequential
from nncore.nn import functional as F
from nncore.training import InformationPlane, Model, Watch
from nncore.training.observe import observe

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype(np.float32)
Y = X[:, :1] * X[:, 1:2]


def train(module, watch=None, optimizer="adam", loss="mse", y=Y, epochs=1, x=X, **options):
    model = module if isinstance(module, Model) else Model(module)
    model.compile(optimizer, loss, **options)
    model.fit(x, y, epochs=epochs, verbose=0, callbacks=[] if watch is None else [watch])
    return model


# ---- what is found ----
@pytest.mark.parametrize("style", ["torch", "keras", "keras layers", "function"])
def test_dead_units_are_counted(style, capsys):
    nncore.manual_seed(0)
    if style == "torch":
        model = Model(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)))
        name, title = "1", "1 (ReLU)"
    elif style == "function":

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = nn.Linear(3, 8), nn.Linear(8, 1)

            def forward(self, x):
                return self.second(F.relu(self.first(x)))

        model = Model(Net())
        name, title = "before second", "before second (Linear)"
    elif style == "keras":
        model = Sequential([layers.Dense(8, activation="relu", input_shape=(3,)), layers.Dense(1)])
        name, title = "dense", "dense (Dense)"
    else:
        model = Sequential([layers.Dense(8, input_shape=(3,)), layers.ReLU(), layers.Dense(1)])
        name, title = "re_lu", "re_lu (ReLU)"
    bias = next(p for p in model.parameters() if p.shape == (8,))
    bias.data[:3] = -100.0
    watch = Watch(X, Y)
    train(model, watch, epochs=3)
    assert watch.history["dead"] == {name: [0.375] * 3}
    assert len(watch.warnings) == 1
    assert watch.warnings[0].startswith(f"Epoch 1: 3 of 8 units of {title} are dead: 0 for each of the 64 samples. ")
    assert capsys.readouterr().out == watch.warnings[0] + "\n"


@pytest.mark.parametrize("first", [True, False], ids=["nchw", "nhwc"])
def test_dead_channels_of_images(first):
    images = RNG.normal(size=(8, 5, 5, 2)).astype(np.float32)
    if first:
        images = images.transpose(0, 3, 1, 2)
        model = Model(nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 1)))
    else:
        model = Sequential(
            [layers.Conv2D(4, 3, activation="relu", input_shape=(5, 5, 2)), layers.Flatten(), layers.Dense(1)]
        )
    next(p for p in model.parameters() if p.shape == (4,)).data[1] = -1e3
    watch = Watch(images, np.ones((8, 1)), dead=0.2, verbose=0)
    train(model, watch, x=images, y=np.ones((8, 1)))
    assert list(watch.history["dead"].values()) == [[0.25]]
    assert "1 of 4 units" in watch.warnings[0]


@pytest.mark.parametrize(("activation", "flat"), [(nn.Sigmoid(), 4.4), (nn.Tanh(), 2.2)])
def test_saturation_is_measured_by_the_slope(activation, flat, capsys):
    model = Model(nn.Sequential(nn.Linear(1, 1), activation, nn.Linear(1, 1)))
    model.load_state_dict({"0.weight": [[1.0]], "0.bias": [0.0], "2.weight": [[1.0]], "2.bias": [0.0]})
    x = np.array([-3, -1.1, -0.9, 0, 0.9, 1.1, 3, 5], np.float32).reshape(-1, 1) * flat
    model.compile(nncore.optim.SGD(model.parameters(), lr=0.0), "mse")
    watch = Watch(x, x)
    model.fit(x, x, verbose=0, callbacks=watch)
    assert watch.history["saturated"] == {"1": [5 / 8]}
    name = type(activation).__name__
    assert capsys.readouterr().out.startswith(
        f"Epoch 1: 62% of the outputs of 1 ({name}) are saturated: {name.lower()} is almost flat there. Standardized"
    )


def test_the_output_of_the_model_may_be_saturated():
    model = Sequential([layers.Dense(1, activation="sigmoid", input_shape=(3,), kernel_initializer="ones")])
    watch = Watch(100 * X, Y > 0)
    train(model, watch, loss="binary_crossentropy", y=Y > 0)
    assert watch.history["saturated"]["dense"][0] > 0.9
    assert watch.warnings == []


def deep(activation, scale):
    nncore.manual_seed(0)
    parts = [part for _ in range(8) for part in (nn.Linear(16, 16), activation())]
    model = Model(nn.Sequential(nn.Linear(3, 16), *parts, nn.Linear(16, 1)))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data.mul_(scale)
    return model


def test_gradients_that_vanish_and_explode(capsys):
    watch = Watch(X, Y, verbose=0)
    train(deep(nn.Sigmoid, 1), watch)
    vanished = [text for text in watch.warnings if "the gradient vanishes on its way to" in text]
    assert "0 (Linear)" in vanished[0]
    assert len(vanished) >= 3
    gradient = [values[0] for values in watch.history["gradient"].values()]
    assert gradient[0] < 1e-3 * gradient[-1]
    watch = Watch(X, Y)
    train(deep(nn.ReLU, 8), watch, optimizer="sgd", epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "the gradient is not finite" in lines[0].replace(" of 0 (Linear)", "")
    watch = Watch(X, Y, verbose=0)
    model = deep(nn.ReLU, 8)
    model.compile(nncore.optim.SGD(model.parameters(), lr=0.0), "mse")
    model.fit(X, Y, verbose=0, callbacks=[watch])
    assert watch.warnings[-1].startswith("Epoch 1: the gradient explodes: its norm is ")
    healthy = Watch(X, Y)
    train(deep(nn.Tanh, 2), healthy)
    assert healthy.warnings == []


def test_gradients_are_those_of_the_loss():
    nncore.manual_seed(0)
    model = Model(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)))
    model.module[0].bias.requires_grad_(False)
    watch = Watch(X, Y)
    model.compile(nncore.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.0), "mse")
    model.fit(X, Y, verbose=0, callbacks=[watch])
    model.zero_grad()
    F.mse_loss(model(nncore.tensor(X)), nncore.tensor(Y)).backward()
    first = model.module[0].weight.grad.numpy().astype(np.float64)
    last = [parameter.grad.numpy().astype(np.float64).ravel() for parameter in model.module[2].parameters()]
    assert watch.history["gradient"]["0"][0] == pytest.approx(np.sqrt((first**2).mean()), rel=1e-6)
    assert watch.history["gradient"]["2"][0] == pytest.approx(np.sqrt((np.concatenate(last) ** 2).mean()), rel=1e-6)
    norm = np.sqrt((first**2).sum() + sum((g**2).sum() for g in last))
    assert watch.gradient_norm == [pytest.approx(norm, rel=1e-6)]
    hidden = model.module[1](model.module[0](nncore.tensor(X))).detach().numpy()
    assert watch.history["mean"]["1"] == [pytest.approx(hidden.mean(), rel=1e-4)]
    assert watch.history["std"]["1"] == [pytest.approx(hidden.std(), rel=1e-5)]


def test_summary_is_a_table():
    nncore.manual_seed(0)
    watch = Watch(X, Y, verbose=0)
    model = Model(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1), nn.Tanh()))
    model.module[0].bias.data[:4] = -100.0
    train(model, watch)
    lines = watch.summary().splitlines()
    assert lines[0].split() == ["layer", "mean", "std", "dead", "saturated", "gradient", "grad/weight"]
    assert [line.split(")")[0] + ")" for line in lines[1:5]] == ["0 (Linear)", "1 (ReLU)", "2 (Linear)", "3 (Tanh)"]
    assert lines[2].split()[-1] == "50.0%"
    assert lines[5:] == watch.warnings


# ---- what is left alone ----
@pytest.mark.parametrize("kind", [Watch, InformationPlane])
def test_looking_changes_no_bit_and_no_program(kind):
    def run(callbacks):
        nncore.manual_seed(0)
        model = Model(nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1)))
        model.compile("adam", "mse", metrics=["mae"])
        programs = []
        look = nncore.training.LambdaCallback(
            on_epoch_end=lambda epoch, logs: programs.append(list(model.replay.programs.values()))
        )
        history = model.fit(X, Y, batch_size=16, epochs=5, verbose=0, callbacks=[*callbacks, look])
        assert model.replay.reason is None
        assert all(a is b for a, b in zip(programs[0], programs[-1], strict=True))
        assert all(program.captured.is_valid() for program in programs[-1])
        return history.history, [tensor.array.copy() for tensor in model.state_dict().values()], nncore.rand(1).item()

    plain, watched = run([]), run([kind(X[:20], Y[:20])])
    assert watched[0] == plain[0]
    assert all(np.array_equal(a, b) for a, b in zip(watched[1], plain[1], strict=True))
    assert watched[2] == plain[2]


def test_a_resumed_run_goes_on_with_the_numbers(tmp_path):
    path = tmp_path / "run.safetensors"

    def make():
        nncore.manual_seed(0)
        model = Model(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
        model.module[0].bias.data.fill_(-100.0)
        model.compile("adam", "mse")
        return model

    watch, model = Watch(X, Y, verbose=0), make()
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[watch])
    model = make()
    save = nncore.training.LambdaCallback(on_epoch_end=lambda epoch, logs: model.save_checkpoint(path))
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[Watch(X, Y, verbose=0), save])
    again, other = Watch(X, Y, verbose=0), make()
    other.load_checkpoint(path)
    other.fit(X, Y, epochs=3, initial_epoch=2, verbose=0, callbacks=[again])
    assert again.history == watch.history
    assert again.warnings == watch.warnings
    assert again.gradient_norm == watch.gradient_norm


# ---- observe ----
def test_observe_names_every_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.norm = nn.Linear(3, 3), nn.Identity()

        def forward(self, x):
            return F.tanh(self.norm(self.layer(F.relu(self.layer(x)))))

    model = Twice()
    y, seen = observe(model, (X,))
    assert [(layer.name, layer.kind) for layer in seen] == [
        ("layer", None),
        ("before layer", "relu"),
        ("layer, call 2", None),
        ("after layer, call 2", "tanh"),
    ]
    assert y.shape == (64, 3)
    assert not y.requires_grad
    assert not model.layer._forward_hooks
    assert model.training


def test_an_activation_in_place_is_one():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(4, 1))
    _, seen = observe(model, (X,))
    assert [(layer.title, layer.kind) for layer in seen] == [
        ("0 (Linear)", None),
        ("1 (ReLU)", "relu"),
        ("3 (Linear)", None),
    ]
    step = nncore.explain(model, X[0], [1.0], print_fn=None)
    assert "relu(z_h1)" in step.text


# ---- information ----
def test_information_plane_of_a_known_net():
    """Four inputs, a hidden unit that tells x0 and one that tells nothing."""
    x, y = nncore.datasets.xor()
    model = Model(nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1), nn.Sigmoid()))
    model.load_state_dict(
        {"0.weight": [[9.0, 0.0], [0.0, 0.0]], "0.bias": [-4.5, 0.0], "2.weight": [[1.0, 1.0]], "2.bias": [0.0]}
    )
    model.compile(nncore.optim.SGD(model.parameters(), lr=0.0), "mse")
    plane = InformationPlane(x, x[:, 0])
    model.fit(x, y, epochs=2, verbose=0, callbacks=[plane])
    assert plane.history["x"] == {"1": [1.0, 1.0], "3": [1.0, 1.0]}
    assert plane.history["y"] == {"1": [1.0, 1.0], "3": [1.0, 1.0]}
    plane = InformationPlane(x, y)
    model.fit(x, y, verbose=0, callbacks=[plane])
    assert plane.history["y"] == {"1": [0.0], "3": [0.0]}


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Watch(X, Y, dead=0), "Watch: argument 'dead' is 0"),
        (lambda: Watch(X, Y, saturated=2), "Watch: argument 'saturated' is 2"),
        (lambda: Watch(X, Y, vanishing=-1), "Watch: argument 'vanishing' is -1"),
        (lambda: Watch(X, Y, exploding=0), "Watch: argument 'exploding' is 0"),
        (lambda: InformationPlane(X, Y, bins=0), "InformationPlane: argument 'bins' is 0"),
        (lambda: train(nn.Linear(3, 1), Watch(X, Y[:3])), "Watch: argument 'y' has 3 samples, expected 64"),
        (lambda: train(nn.Linear(3, 1), Watch(X[:0], Y[:0])), "Watch: argument 'x' has 0 samples"),
    ],
)
def test_errors_name_the_argument(make, match):
    with pytest.raises(ValueError, match=match):
        make()
