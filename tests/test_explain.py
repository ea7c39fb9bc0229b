"""explain: Mazur's example line by line, and for other networks the gradients of autograd."""

import itertools
import math
import re

import numpy as np
import pytest

import nncore
from nncore import nn
from nncore.keras import layers, regularizers
from nncore.keras.models import Sequential
from nncore.nn import functional as F


def mazur(dtype=nncore.float32):
    network = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 2), nn.Sigmoid()).to(dtype)
    network.load_state_dict(
        {
            "0.weight": [[0.15, 0.20], [0.25, 0.30]],
            "0.bias": [0.35, 0.35],
            "2.weight": [[0.40, 0.45], [0.50, 0.55]],
            "2.bias": [0.60, 0.60],
        }
    )
    for layer in (network[0], network[2]):
        layer.bias.requires_grad_(False)
    return network


def explain(*args, **options):
    return nncore.explain(*args, print_fn=None, **options)


# ---- Mazur, https://mattmazur.com/2015/03/17/a-step-by-step-backpropagation-example/ ----
@pytest.mark.parametrize("dtype", [nncore.float32, nncore.float64])
def test_mazur_line_by_line(dtype, capsys):
    step = nncore.explain(mazur(dtype), [0.05, 0.10], [0.01, 0.99], loss="half_ssr", lr=0.5)
    text = capsys.readouterr().out
    assert text == step.text + "\n"
    lines = [line.strip() for line in text.splitlines()]
    for line in (
        "z_h1 = w1 x1 + w2 x2 + b1 = 0.15 * 0.05 + 0.2 * 0.1 + 0.35 = 0.3775",
        "a_h1 = sigmoid(z_h1) = 1 / (1 + exp(-z_h1)) = 0.593269992",
        "a_h2 = sigmoid(z_h2) = 1 / (1 + exp(-z_h2)) = 0.596884378",
        "= 0.4 * 0.593269992 + 0.45 * 0.596884378 + 0.6",
        "= 1.10590597",
        "a_o1 = sigmoid(z_o1) = 1 / (1 + exp(-z_o1)) = 0.75136507",
        "a_o2 = sigmoid(z_o2) = 1 / (1 + exp(-z_o2)) = 0.772928465",
        "L = 1/2 * (0.549622166 + 0.0471200512) = 0.298371109",
        "dL/da_o1 = a_o1 - t1 = 0.75136507 - 0.01 = 0.74136507",
        "da_o1/dz_o1 = a_o1 * (1 - a_o1) = 0.186815602",
        "delta_o1 = dL/da_o1 * da_o1/dz_o1 = 0.74136507 * 0.186815602 = 0.138498562",
        "delta_o2 = dL/da_o2 * da_o2/dz_o2 = -0.217071535 * 0.175510053 = -0.0380982365",
        "dL/dw5 = delta_o1 a_h1 = 0.138498562 * 0.593269992 = 0.0821670406",
        "dL/da_h1 = delta_o1 w5 + delta_o2 w7",
        "= 0.138498562 * 0.4 + (-0.0380982365) * 0.5",
        "= 0.0363503064",
        "da_h1/dz_h1 = a_h1 * (1 - a_h1) = 0.241300709",
        "dL/dw1 = delta_h1 x1 = 0.00877135469 * 0.05 = 0.000438567734",
        "w1  0.15  0.000438567734  0.000219283867  0.149780716",
        "The loss was 0.298371109 and is now 0.291027774.",
    ):
        assert line in lines, line
    new = {line.split()[0]: line.split()[-1] for line in lines if re.match(r"w\d  ", line)}
    assert new == {
        "w1": "0.149780716",
        "w2": "0.199561432",
        "w3": "0.249751144",
        "w4": "0.299502287",
        "w5": "0.35891648",
        "w6": "0.408666186",
        "w7": "0.51130127",
        "w8": "0.561370121",
    }
    assert not any("dL/db" in line for line in lines)
    assert max(map(len, text.splitlines())) <= 100


def test_every_line_adds_up():
    """Wherever a line or a block ends in numbers = number, the arithmetic is right to the digits shown."""
    nncore.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3))
    checked = 0
    for options in ({"loss": "mse"}, {"loss": nn.CrossEntropyLoss()}, {"loss": nn.BCEWithLogitsLoss(reduction="sum")}):
        y = [2, 0] if isinstance(options["loss"], nn.CrossEntropyLoss) else [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
        text = explain(model, [[1.0, -2.0, 0.5], [0.3, 0.2, 0.1]], y, digits=12, **options).text
        text = re.sub(r"\n +(?=\+ )|(?<=\+)\n +", " ", text)
        forms = [form.strip() for line in text.splitlines() for form in line.strip().removeprefix("= ").split(" = ")]
        for left, right in itertools.pairwise(forms):
            if re.fullmatch(r"(\(*-?\(*\d|-log\().*", left) and not re.search("[a-km-z_]", left.replace("log", "")):
                right = right.split(",")[0]
                if re.fullmatch(r"-?[\d.]+(e-\d+)?", right) and re.search("[*+^/]|log", left):
                    value = eval(left.replace("^", "**"), {"log": math.log})
                    assert float(right) == pytest.approx(value, rel=1e-8, abs=1e-10), (left, right)
                    checked += 1
    assert checked > 120


# ---- other networks ----
class Functions(nn.Module):
    """Activations as function calls, and a dropout."""

    def __init__(self):
        super().__init__()
        self.first, self.drop, self.second = nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)

    def forward(self, x):
        return F.tanh(self.second(self.drop(F.relu(self.first(x)))))


MODELS = {
    "linear": lambda: nn.Linear(3, 2, bias=False),
    "deep": lambda: nn.Sequential(
        nn.Linear(3, 2), nn.Softplus(), nn.Sequential(nn.Linear(2, 4), nn.LeakyReLU(0.1)), nn.Linear(4, 2)
    ),
    "functions": Functions,
    "keras": lambda: Sequential(
        [layers.Dense(3, activation="tanh", input_shape=(3,)), layers.Dense(2), layers.Activation("sigmoid")]
    ),
    "wrapped": lambda: nncore.Model(nn.Sequential(nn.Linear(3, 2), nn.Sigmoid())),
}


@pytest.mark.parametrize("loss", ["mse", "ssr", "half_ssr", nn.MSELoss(reduction="half_mean"), "half"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("samples", [None, 3])
def test_gradients_of_squares(name, loss, samples):
    nncore.manual_seed(1)
    model = MODELS[name]().double()
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(3,) if samples is None else (samples, 3)) for _ in range(2))
    y = y[..., :2]
    if loss == "half":
        loss = nncore.keras.losses.MeanSquaredError(reduction="half_mean")
    step = explain(model, x, y, loss=loss, lr=0.3)
    model.eval()
    output = model(nncore.tensor(np.atleast_2d(x)))
    squares = (output - nncore.tensor(np.atleast_2d(y))) ** 2
    true = {"mse": squares.mean(), "ssr": squares.sum(), "half_ssr": squares.sum() * 0.5}
    true = true[loss] if isinstance(loss, str) else squares.mean() * 0.5
    true.backward()
    assert step.loss == pytest.approx(true.item(), rel=1e-13)
    np.testing.assert_allclose(step.outputs, output.detach().numpy(), rtol=1e-13)
    assert list(step.gradients) == [name for name, _ in model.named_parameters()]
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(step.gradients[name], parameter.grad.numpy(), rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(step.updated[name], parameter.detach().numpy() - 0.3 * parameter.grad.numpy())


CLASSIFIERS = [
    (nn.CrossEntropyLoss(), None, [2, 0]),
    (nn.CrossEntropyLoss(reduction="sum"), None, [[0, 0, 1], [1, 0, 0]]),
    ("sparse_categorical_crossentropy", "softmax", [2, 0]),
    ("categorical_crossentropy", "softmax", [[0, 0, 1], [1, 0, 0]]),
    (nncore.keras.losses.SparseCategoricalCrossentropy(from_logits=True), None, [2, 0]),
    (nn.BCEWithLogitsLoss(), None, [[0, 0.25, 1], [1, 1, 0]]),
    (nn.BCELoss(reduction="sum"), "sigmoid", [[0, 0, 1], [1, 1, 0]]),
    ("bce", "sigmoid", [[0, 0, 1], [1, 1, 0]]),
    (nncore.keras.losses.BinaryCrossentropy(from_logits=True, reduction="sum"), None, [[0, 0, 1], [1, 1, 0]]),
]


@pytest.mark.parametrize(("loss", "activation", "y"), CLASSIFIERS)
def test_gradients_of_cross_entropies(loss, activation, y):
    nncore.manual_seed(2)
    model = Sequential([layers.Dense(4, activation="relu", input_shape=(2,)), layers.Dense(3, activation=activation)])
    model = model.double()
    x = np.random.default_rng(0).normal(size=(2, 2))
    step = explain(model, x, y, loss=loss)
    compiled = nncore.training.losses.resolve(loss)
    labels = np.array(y) if np.ndim(y) == 1 else np.array(y, np.float64)
    true = compiled(nncore.tensor(labels), model(nncore.tensor(x)))
    true.backward()
    assert step.loss == pytest.approx(true.item(), rel=1e-9)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(step.gradients[name], parameter.grad.numpy(), rtol=1e-6, atol=1e-9)


def test_a_compiled_model_brings_its_loss_and_rate(capsys):
    model = Sequential([layers.Dense(1, activation="sigmoid", input_shape=(2,))])
    model.compile(nncore.keras.optimizers.SGD(learning_rate=0.25), "bce")
    step = nncore.explain(model, [1.0, 2.0], [1.0], digits=4)
    text = capsys.readouterr().out
    assert "2. Loss: binary cross-entropy" in text
    assert "the learning rate is 0.25" in text
    assert set(step.gradients) == {"0.weight", "0.bias"}
    model.train_on_batch(np.array([[1.0, 2.0]]), np.array([[1.0]]))
    np.testing.assert_allclose(model[0].weight.detach().numpy(), step.updated["0.weight"], rtol=1e-5)


def test_the_model_is_left_as_it_was():
    model = Functions()
    before = {name: tensor.array.copy() for name, tensor in model.state_dict().items()}
    state = nncore.get_rng_state()
    explain(model, [0.1, 0.2, 0.3], [1.0, 0.0])
    assert all(np.array_equal(before[name], tensor.array) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert nncore.get_rng_state() == state
    assert model.training
    assert model.drop.training
    assert not model.first._forward_hooks


def test_signs_samples_and_long_sums_can_be_read():
    model = nn.Linear(12, 1)
    model.load_state_dict({"weight": [[-0.5] * 12], "bias": [0.0]})
    text = explain(model, np.full((2, 12), -1.0), [[6.0], [5.0]], lr=0.5).text
    assert "-- sample 2 --" in text
    assert max(map(len, text.splitlines())) <= 100
    assert " + -" not in text
    assert "L = 1/2 * (0 + 1) = 0.5" in text
    assert "dL/db1 = delta_o1, summed over the samples = 0 + 1 = 1" in text
    assert "0.5 * (-1)" in text


@pytest.mark.parametrize(
    ("model", "y", "options", "match"),
    [
        (nn.Sequential(nn.Linear(3, 2), nn.GELU()), [0, 0], {}, "layer 1 \\(GELU\\) is none of Linear, Dense"),
        (nn.Sequential(nn.Sigmoid(), nn.Linear(3, 2)), [0, 0], {}, "does not come after a Linear"),
        (nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Tanh()), [0, 0], {}, "does not come after a Linear"),
        (nn.Linear(3, 200), [0.0] * 200, {}, "1 samples times 600 weights are too many"),
        (nn.Linear(3, 2), [0, 0], {"loss": "huber"}, "'loss' is 'huber'; formulas are known for"),
        (nn.Linear(3, 2), [0, 0], {"loss": nn.CrossEntropyLoss(label_smoothing=0.1)}, "formulas are known for"),
        (nn.Linear(3, 2), [0, 0], {"loss": nn.MSELoss(reduction="none")}, "reduction 'none'"),
        (nn.Linear(3, 2), [0, 1], {"loss": "bce"}, "understood after sigmoid"),
        (nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()), 1, {"loss": nn.CrossEntropyLoss()}, "takes logits"),
        (nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)), [0, 1], {"loss": "mse"}, "softmax with it alone"),
        (nn.Linear(3, 2), 2, {"loss": nn.CrossEntropyLoss()}, "expected classes from 0 to 1"),
        (nn.Linear(3, 2), [0.0], {}, r"'y' has shape \(1, 1\), expected \(1, 2\)"),
        (nn.Linear(3, 2), [0, 0], {"lr": -1}, "'lr' is -1"),
        (nn.Linear(3, 2), [0, 0], {"digits": 0}, "'digits' is 0"),
        (nn.Sequential(nn.Flatten()), [0, 0], {}, "has no Linear or Dense layer"),
        (
            Sequential([layers.Dense(2, input_shape=(3,), kernel_regularizer=regularizers.L2(0.1))]),
            [0, 0],
            {},
            "has regularizers",
        ),
    ],
)
def test_what_cannot_be_explained(model, y, options, match):
    with pytest.raises(ValueError, match=match):
        explain(model, [1.0, 2.0, 3.0], y, **options)


def test_a_model_that_does_more_than_its_layers_is_noticed():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return x + self.layer(x)

    with pytest.raises(ValueError, match="computes something else than its layers"):
        explain(Residual(), [1.0, 2.0], [0.0, 0.0])
    with pytest.raises(ValueError, match=r"'x' has shape \(1, 2, 2\)"):
        explain(nn.Linear(2, 2), [[[1.0, 2.0], [1.0, 2.0]]], [0.0, 0.0])
