"""Formulas and claims of the pages that this project began with, where no other test has them yet; see docs/seeds.md."""

import itertools
import math

import numpy as np
import pytest

import nncore
from nncore import nn, optim, viz
from nncore.nn import functional as F


@pytest.fixture(autouse=True)
def generator():
    state = nncore.get_rng_state()
    nncore.manual_seed(0)
    yield
    nncore.set_rng_state(state)


def double(values, requires_grad=False):
    return nncore.tensor(values, dtype=nncore.float64, requires_grad=requires_grad)


# ---- one neuron ----
def test_another_threshold_is_another_decision():
    x = nncore.tensor([1.0, 0.0, 1.0])
    neuron = nn.Linear(3, 1)
    for threshold, decision in ((3.0, 1), (9.0, 1), (9.5, 0)):
        neuron.load_state_dict({"weight": np.array([[5.0, 2.0, 4.0]]), "bias": np.array([-threshold])})
        assert int((neuron(x) >= 0).item()) == decision


def test_a_sigmoid_changes_little_where_a_step_jumps():
    below, above = nncore.tensor(-0.01), nncore.tensor(0.01)
    assert (above >= 0).item() - (below >= 0).item() == 1
    assert nncore.sigmoid(above).item() - nncore.sigmoid(below).item() == pytest.approx(0.25 * 0.02, rel=1e-3)


def test_sigmoid_layers_stay_between_0_and_1():
    x = nncore.randn(50, 3)
    for _ in range(5):
        x = nncore.sigmoid(nn.Linear(3, 3)(x))
        assert 0 < x.min().item() <= x.max().item() < 1


# ---- gradient descent ----
def test_gradient_of_a_line_has_two_derivatives():
    weight, height = double([0.5, 2.3, 2.9]), double([1.4, 1.9, 3.2])
    intercept, slope = double(0.0, requires_grad=True), double(1.0, requires_grad=True)
    ((height - (intercept + slope * weight)) ** 2).sum().backward()
    residuals = np.array([1.4, 1.9, 3.2]) - np.array([0.5, 2.3, 2.9])
    assert intercept.grad.item() == pytest.approx((-2 * residuals).sum(), rel=1e-14)
    assert slope.grad.item() == pytest.approx((-2 * np.array([0.5, 2.3, 2.9]) * residuals).sum(), rel=1e-14)


def test_small_rates_are_slow_and_large_ones_overshoot():
    """On w squared every step multiplies w by 1 - 2 lr."""
    for lr in (0.01, 0.3, 0.5, 0.9, 1.1):
        w = nn.Parameter(double(1.0))
        optimizer = optim.SGD([w], lr=lr)
        for n in range(1, 11):
            optimizer.zero_grad()
            (w**2).backward()
            optimizer.step()
            assert w.item() == pytest.approx((1 - 2 * lr) ** n, rel=1e-12, abs=1e-15)


def test_momentum_rolls_out_of_a_local_minimum():
    def valleys(w):
        return 0.1 * (w * w).sum() - 0.2 * (3 * w).cos().sum()

    ends = [
        viz.descent_path(valleys, [3.0, -3.0], lambda p, m=m: optim.SGD(p, lr=0.05, momentum=m), steps=200)[-1]
        for m in (0.0, 0.9)
    ]
    assert np.abs(ends[0]).min() > 1.5
    assert np.abs(ends[1]).max() < 0.01


def test_momentum_and_adam_follow_the_formulas():
    """Three steps on theta squared, while the learning rate is halved after each."""
    rates, theta, v = (0.1, 0.05, 0.025), 1.0, 0.0
    ours = nn.Parameter(double(1.0))
    optimizer = optim.SGD([ours], lr=0.1, momentum=0.9, form="classic")
    for lr in rates:
        v = 0.9 * v + lr * 2 * theta
        theta -= v
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        (ours**2).backward()
        optimizer.step()
        assert ours.item() == pytest.approx(theta, rel=1e-14)
    theta = 1.0
    m = v = 0.0
    ours = nn.Parameter(double(1.0))
    optimizer = optim.Adam([ours], lr=0.1)
    for t, lr in enumerate(rates, 1):
        m, v = 0.9 * m + 0.1 * 2 * theta, 0.999 * v + 0.001 * (2 * theta) ** 2
        theta -= lr * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        (ours**2).backward()
        optimizer.step()
        assert ours.item() == pytest.approx(theta, rel=1e-13)


# ---- backpropagation ----
def test_a_network_from_scratch_in_numpy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 1))
    w1, b1, w2, b2 = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=(1, 4)), rng.normal(size=1)
    network = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 1)).double()
    network.load_state_dict({"0.weight": w1, "0.bias": b1, "2.weight": w2, "2.bias": b2})
    optimizer = optim.SGD(network.parameters(), lr=0.1)
    for _ in range(5):
        a1 = 1 / (1 + np.exp(-(x @ w1.T + b1)))
        z2 = a1 @ w2.T + b2
        d2 = 2 * (z2 - y) / len(x)
        d1 = d2 @ w2 * a1 * (1 - a1)
        optimizer.zero_grad()
        loss = F.mse_loss(network(nncore.from_numpy(x)), nncore.from_numpy(y))
        loss.backward()
        optimizer.step()
        assert loss.item() == pytest.approx(((z2 - y) ** 2).mean(), rel=1e-12)
        gradients = d1.T @ x, d1.sum(axis=0), d2.T @ a1, d2.sum(axis=0)
        for found, expected in zip(network.parameters(), gradients, strict=True):
            np.testing.assert_allclose(found.grad.numpy(), expected, rtol=1e-11, atol=1e-15)
        w1, b1, w2, b2 = (w - 0.1 * g for w, g in zip((w1, b1, w2, b2), gradients, strict=True))


def test_deltas_of_the_backpropagation_formulas():
    """The error of three layers, by the formula, for one sample: column vectors, W a + b."""
    sizes = (3, 5, 4, 2)
    layers = [nn.Linear(a, b).double() for a, b in itertools.pairwise(sizes)]
    target = np.array([1.0, 0.0])
    tensor = nncore.randn(3, dtype=nncore.float64)
    activations = [tensor.numpy()]
    for layer in layers:
        tensor = nncore.sigmoid(layer(tensor))
        activations.append(tensor.detach().numpy())
    (0.5 * (tensor - nncore.from_numpy(target)) ** 2).sum().backward()
    delta = (activations[-1] - target) * activations[-1] * (1 - activations[-1])
    for k in (2, 1, 0):
        np.testing.assert_allclose(layers[k].weight.grad.numpy(), np.outer(delta, activations[k]), rtol=1e-12)
        np.testing.assert_allclose(layers[k].bias.grad.numpy(), delta, rtol=1e-12)
        delta = layers[k].weight.detach().numpy().T @ delta * activations[k] * (1 - activations[k])


def test_a_residual_block_leaves_the_gradient_a_way():
    """Through 30 sigmoid layers nothing is left of the gradient; where each adds to its input, it arrives."""
    layers = [nn.Linear(4, 4) for _ in range(30)]
    reach = []
    for residual in (False, True):
        x = nncore.randn(8, 4).requires_grad_()
        h = x
        for layer in layers:
            h = nncore.sigmoid(layer(h)) + h if residual else nncore.sigmoid(layer(h))
        h.sum().backward()
        reach.append(x.grad.abs().mean().item())
    assert reach[0] < 1e-10
    assert reach[1] > 0.1


def test_an_open_forget_gate_carries_the_gradient():
    def reach(layer):
        series = nncore.ones(100, 1, 1).requires_grad_()
        layer(series)[0][-1].sum().backward()
        return series.grad[0].abs().item()

    lstm = nn.LSTM(1, 8)
    lstm.bias_ih_l0.data[8:16] = 10.0
    assert reach(nn.RNN(1, 8)) < 1e-12
    assert reach(lstm) > 1e-4


# ---- decisions and their losses ----
def test_argmax_decides_and_softmax_trains():
    raw = double([[1.43, -0.40, 0.23]], requires_grad=True)
    decision = nncore.argmax(raw, dim=1)
    assert decision.item() == 0
    assert not decision.requires_grad
    p = nncore.softmax(raw, dim=1)
    np.testing.assert_allclose(p.detach().numpy(), [[0.684, 0.110, 0.206]], atol=5e-4)
    p[0, 0].backward()
    q = p.detach().numpy()[0]
    np.testing.assert_allclose(raw.grad.numpy()[0], [q[0] * (1 - q[0]), -q[0] * q[1], -q[0] * q[2]], rtol=1e-13)


def test_total_error_is_the_sum_over_rows():
    p = np.array([[0.57, 0.20, 0.23], [0.22, 0.52, 0.26], [0.25, 0.46, 0.29]])
    rows = [-math.log(p[i, i]) for i in range(3)]
    truth = nncore.tensor([0, 1, 2])
    total = nn.CrossEntropyLoss(reduction="sum")(double(np.log(p)), truth)
    assert total.item() == pytest.approx(sum(rows), rel=1e-13)
    assert nn.CrossEntropyLoss()(double(np.log(p)), truth).item() == pytest.approx(sum(rows) / 3, rel=1e-13)


def test_worse_predictions_get_larger_steps():
    p = double([0.01, 0.5, 0.9], requires_grad=True)
    F.nll_loss(nncore.stack([p.log(), p.log()], dim=1), nncore.tensor([0, 0, 0]), reduction="sum").backward()
    np.testing.assert_allclose(p.grad.numpy(), [-100, -2, -1 / 0.9], rtol=1e-13)


def test_cross_entropy_of_probabilities_has_the_slope_of_the_formula():
    p = double([[0.2, 0.7, 0.1]], requires_grad=True)
    loss = nncore.keras.losses.categorical_crossentropy(double([[0.0, 1.0, 0.0]]), p).sum()
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(0.7), rel=1e-12)
    # Keras divides by the sum of the probabilities first, which adds 1 to every slope of a row that sums to 1.
    np.testing.assert_allclose(p.grad.numpy()[0], [1, 1 - 1 / 0.7, 1], rtol=1e-12)
    p.grad = None
    (-(double([[0.0, 1.0, 0.0]]) * p.log()).sum()).backward()
    np.testing.assert_allclose(p.grad.numpy()[0], [0, -1 / 0.7, 0], atol=1e-15)


def test_log_softmax_is_finite_where_the_log_of_softmax_is_not():
    logits = double([[1000.0, 0.0]])
    assert nncore.softmax(logits, dim=1).log().tolist() == [[0.0, -math.inf]]
    assert nncore.log_softmax(logits, dim=1).tolist() == [[0.0, -1000.0]]


# ---- images ----
LETTER_O = np.array(
    [[0, 0, 1, 1, 0, 0], [0, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0]],
    np.float32,
)  # fmt: skip


def test_feature_map_of_a_letter():
    """A diagonal filter and bias -2 on a 6 x 6 letter: 4 x 4, ReLU, then 2 x 2."""
    layer = nn.Conv2d(1, 1, 3)
    layer.load_state_dict({"weight": np.eye(3)[None, None, ::-1].copy(), "bias": np.array([-2.0])})
    feature_map = layer(nncore.from_numpy(LETTER_O[None, None]))
    assert feature_map[0, 0].tolist() == [[1, -1, -2, -1], [-1, -2, -1, -2], [-2, -1, -2, -1], [-1, -2, -1, 1]]
    active = nncore.relu(feature_map)
    assert nn.MaxPool2d(2)(active)[0, 0].tolist() == [[1, 0], [0, 1]]
    assert nn.AvgPool2d(2)(active)[0, 0].tolist() == [[0.25, 0], [0, 0.25]]


def test_pooling_forgives_a_shift():
    here, shifted = nncore.zeros(1, 1, 4, 4), nncore.zeros(1, 1, 4, 4)
    here[0, 0, 2, 0] = 1.0
    shifted[0, 0, 3, 1] = 1.0
    assert nn.MaxPool2d(2)(here).tolist() == nn.MaxPool2d(2)(shifted).tolist() == [[[[0, 0], [1, 0]]]]


def test_weights_of_a_node_that_sees_an_image():
    assert nn.Linear(100 * 100, 1).weight.numel() == 10_000
    assert nn.Conv2d(1, 1, 3).weight.numel() == 9


def test_every_pixel_gets_a_class():
    pictures = nncore.rand(32, 1, 6, 6)
    bright = (pictures[:, 0] > 0.5).long()
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    optimizer = optim.Adam(network.parameters(), lr=0.03)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(network(pictures), bright).backward()
        optimizer.step()
    assert (network(pictures).argmax(dim=1) == bright).float().mean().item() > 0.9


def test_a_square_is_found():
    rng = np.random.default_rng(0)
    scenes, boxes = np.zeros((160, 1, 8, 8), np.float32), np.zeros((160, 4), np.float32)
    for scene, box in zip(scenes, boxes, strict=True):
        left, top = rng.integers(0, 6, 2)
        scene[0, top : top + 3, left : left + 3] = 1
        box[:] = np.array([left, top, left + 3, top + 3]) / 8
    model = nncore.Model(nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4)))
    model.compile(optim.Adam(model.parameters(), lr=0.01), "mse")
    model.fit(scenes, boxes, epochs=20, verbose=0)
    assert np.abs(model.predict(scenes) - boxes).max() < 1 / 8


# ---- tables ----
def test_a_line_cannot_part_two_moons():
    x, y = nncore.datasets.moons(200, noise=0.1)
    accuracies = []
    for network in (nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))):
        model = nncore.Model(network)
        model.compile(optim.Adam(model.parameters(), lr=0.03), nn.CrossEntropyLoss(), metrics=["accuracy"])
        model.fit(x, y, epochs=40, verbose=0)
        accuracies.append(model.evaluate(x, y, verbose=0)[1])
    assert accuracies[0] < 0.95 < 0.97 < accuracies[1]


def test_ratings_that_nobody_gave_are_foretold():
    rng = np.random.default_rng(0)
    ratings = (rng.normal(size=(20, 2)) @ rng.normal(size=(2, 15))).astype(np.float32)
    known = rng.random(ratings.shape) < 0.5
    person, film = (nncore.from_numpy(index) for index in np.nonzero(known))
    people, films = nn.Embedding(20, 4), nn.Embedding(15, 4)
    optimizer = optim.Adam([*people.parameters(), *films.parameters()], lr=0.05, weight_decay=1e-3)
    given = nncore.from_numpy(ratings[known])
    for _ in range(200):
        optimizer.zero_grad()
        F.mse_loss((people(person) * films(film)).sum(dim=1), given).backward()
        optimizer.step()
    guess = (people.weight @ films.weight.T).detach().numpy()
    assert np.corrcoef(guess[~known], ratings[~known])[0, 1] > 0.8
