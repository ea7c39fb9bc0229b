"""The perceptron: the surfing example, Rosenblatt's rule, what it cannot learn, errors."""

import numpy as np
import pytest

import nncore
from nncore import nn

CORNERS = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]


def test_surfing():
    """x = (1, 0, 1), w = (5, 2, 4), threshold 3: 6, and so 1. Another threshold or other weights, another outcome."""
    for given in ({"threshold": 3}, {"bias": -3}):
        surf = nn.Perceptron(3, weight=[5, 2, 4], **given)
        x = nncore.tensor([1.0, 0.0, 1.0])
        assert surf.weighted_sum(x).item() == 6.0
        assert surf(x).item() == 1.0
        assert surf.bias.tolist() == [-3.0]
    assert nn.Perceptron(3, threshold=10, weight=[5, 2, 4])(x).item() == 0.0
    assert nn.Perceptron(3, threshold=3, weight=[1, 2, 1])(x).item() == 0.0
    assert nn.Perceptron(3, threshold=9, weight=[5, 2, 4])(x).item() == 1.0  # it is reached


@pytest.mark.parametrize("labels", [[0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
def test_it_learns_what_a_line_can_part(labels):
    perceptron = nn.Perceptron(2)
    mistakes = perceptron.fit(CORNERS, labels)
    assert mistakes[-1] == 0
    assert perceptron(nncore.tensor(CORNERS))[:, 0].tolist() == labels


def test_it_does_not_learn_xor():
    mistakes = nn.Perceptron(2).fit(CORNERS, [0, 1, 1, 0], epochs=50)
    assert len(mistakes) == 50
    assert min(mistakes) > 0


def test_the_rule_is_rosenblatt_s():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), (rng.uniform(size=(30, 2)) > 0.5).astype(float)
    perceptron = nn.Perceptron(4, 2, dtype=nncore.float64)
    weight, bias = np.zeros((2, 4)), np.zeros(2)
    mistakes = perceptron.fit(x, y, epochs=3, lr=0.5)
    for epoch in range(3):
        wrong = 0
        for sample, label in zip(x, y, strict=True):
            error = label - (weight @ sample + bias >= 0)
            weight += 0.5 * error[:, None] * sample
            bias += 0.5 * error
            wrong += error.any()
        assert mistakes[epoch] == wrong
    np.testing.assert_allclose(perceptron.weight.numpy(), weight, rtol=1e-12)
    np.testing.assert_allclose(perceptron.bias.numpy(), bias, rtol=1e-12)


def test_it_converges_within_novikoff_s_bound():
    """At most (R / margin)^2 mistakes on data that a plane through the origin of (x, 1) parts with a margin."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3))
    normal = np.array([1.0, -2.0, 0.5, 0.3]) / np.linalg.norm([1.0, -2.0, 0.5, 0.3])
    distance = np.c_[x, np.ones(200)] @ normal
    x, distance = x[np.abs(distance) > 0.1], distance[np.abs(distance) > 0.1]
    mistakes = nn.Perceptron(3, dtype=nncore.float64).fit(x, (distance > 0).astype(float), epochs=1000)
    assert mistakes[-1] == 0
    assert sum(mistakes) <= (np.linalg.norm(np.c_[x, np.ones(len(x))], axis=1).max() / np.abs(distance).min()) ** 2


def test_two_neurons_and_a_third_are_xor():
    """A layer of perceptrons, and one that combines them."""
    either_or_both = nn.Perceptron(2, 2, threshold=[1, 2], weight=[[1, 1], [1, 1]])
    net = nn.Sequential(either_or_both, nn.Perceptron(2, threshold=1, weight=[1, -1]))
    assert net(nncore.tensor(CORNERS))[:, 0].tolist() == [0.0, 1.0, 1.0, 0.0]


def test_it_has_a_replay_and_a_state():
    perceptron = nn.Perceptron(3, weight=[5, 2, 4], threshold=3)
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    expected = (x @ np.float32([5, 2, 4]) - 3 >= 0)[:, None]
    assert np.array_equal(nncore.Model(perceptron).predict(x), expected)
    assert np.array_equal(nncore.Model(perceptron).freeze(20).run(x), expected)
    again = nn.Perceptron(3)
    again.load_state_dict(perceptron.state_dict())
    assert np.array_equal(again(nncore.tensor(x)).numpy(), expected)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: nn.Perceptron(0), "Perceptron: argument 'in_features' is 0"),
        (lambda: nn.Perceptron(2, 1.5), "Perceptron: argument 'out_features' is 1.5"),
        (lambda: nn.Perceptron(2, threshold=1, bias=1), "'threshold' and 'bias' are both given"),
        (
            lambda: nn.Perceptron(2, weight=[1, 2, 3]),
            r"Perceptron: argument 'weight' has shape \(3,\), expected \(1, 2\)",
        ),
        (lambda: nn.Perceptron(2).fit([[1.0]], [0]), r"fit: argument 'x' has shape \(1, 1\), expected \(samples, 2\)"),
        (lambda: nn.Perceptron(2).fit(CORNERS, [0, 1]), r"fit: argument 'y' has shape \(2,\), expected \(4, 1\)"),
        (lambda: nn.Perceptron(2).fit(CORNERS, [0, 1, 1, -1]), "a label that is neither 0 nor 1"),
    ],
)
def test_bad_arguments(make, match):
    with pytest.raises(ValueError, match=match):
        make()
