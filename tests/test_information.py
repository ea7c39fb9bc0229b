"""Entropies and mutual information: of distributions, of samples, of binned activations."""

import math

import numpy as np
import pytest

from nncore import information


# ---- distributions ----
def test_conditional_entropy_is_what_mutual_information_leaves():
    joint = np.array([[0.2, 0.1, 0.0], [0.1, 0.3, 0.3]])
    h_x = information.entropy(joint.sum(1))
    given = sum(p * information.entropy(column / p) for column, p in zip(joint.T, joint.sum(0), strict=True))
    assert information.conditional_entropy(joint) == pytest.approx(given, rel=1e-14)
    assert information.mutual_information(joint) == pytest.approx(h_x - given, rel=1e-13)
    assert information.conditional_entropy(np.diag([0.25, 0.75])) == 0
    with pytest.raises(ValueError, match=r"conditional_entropy: argument 'joint' has shape \(2,\)"):
        information.conditional_entropy([0.5, 0.5])


# ---- bins ----
def test_bins_are_equally_wide_and_closed_at_the_end():
    values = np.array([[0.0, 0.9, 1.0], [1.9, 2.0, 3.0]])
    assert information.binned(values, 3).tolist() == [[0, 0, 1], [1, 2, 2]]
    assert information.binned(values, 2, (-1, 1)).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert information.binned([-5, 0.4, 0.6, 5], 2, (0, 1)).tolist() == [0, 0, 1, 1]
    assert information.binned([7.0, 7.0], 10).tolist() == [0, 0]
    assert information.binned([-1e308, 1e308], 10).tolist() == [0, 9]
    assert information.binned([], 10).tolist() == []
    tanh = np.tanh(np.linspace(-9, 9, 1000))
    assert (information.binned(tanh, 30, (-1, 1)) == np.digitize(tanh, np.linspace(-1, 1, 31)[1:-1])).all()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([np.nan],), "'values' holds NaN"),
        (([1.0], 0), "'bins' is 0"),
        (([1.0], 2.5), "'bins' is 2.5"),
        (([1.0], 2, (1, 1)), r"'limits' is \(1, 1\)"),
    ],
)
def test_bin_errors(arguments, match):
    with pytest.raises(ValueError, match=match):
        information.binned(*arguments)


# ---- samples ----
def test_samples_that_occur_as_often_as_they_should():
    joint = np.array([[4, 2, 0], [1, 5, 8]])
    pairs = [(x, y) for x in range(2) for y in range(3) for _ in range(joint[x, y])]
    x, y = map(np.array, zip(*pairs, strict=True))
    expected = information.mutual_information(joint / joint.sum())
    for order in (slice(None), np.random.default_rng(0).permutation(len(x))):
        assert information.mutual_information_from_samples(x[order], y[order]) == pytest.approx(expected, rel=1e-12)
    in_nats = information.mutual_information_from_samples(x, y, base=math.e)
    assert in_nats == pytest.approx(expected * math.log(2), rel=1e-12)


def test_a_row_is_one_outcome():
    bits = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 5)
    xor = bits[:, 0] ^ bits[:, 1]
    assert information.mutual_information_from_samples(bits, xor) == pytest.approx(1)
    assert information.mutual_information_from_samples(bits[:, 0], xor) == 0
    assert information.mutual_information_from_samples(bits.reshape(20, 1, 2), bits) == pytest.approx(2)
    assert information.mutual_information_from_samples(["a", "b"], [True, False]) == 1


def test_noise_takes_information_away():
    """A bit through a channel that flips it with probability e: 1 - H(e); and of two Gaussians, -log2(1 - r^2) / 2."""
    rng = np.random.default_rng(0)
    bit = rng.integers(0, 2, 40_000)
    flipped = bit ^ (rng.random(40_000) < 0.11)
    assert information.mutual_information_from_samples(bit, flipped) == pytest.approx(0.5, abs=0.01)
    a, b = rng.normal(size=(2, 40_000))
    r = 0.8
    observed = information.mutual_information_from_samples(a, r * a + math.sqrt(1 - r * r) * b, bins=40)
    assert observed == pytest.approx(-math.log2(1 - r * r) / 2, abs=0.03)


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        ([0, 1], [0], "have 2 and 1 samples"),
        ([], [], "have 0 and 0 samples"),
        (1, [0], "'x' is a single value"),
        ([0.0], [np.inf], "'y' holds NaN or infinity"),
    ],
)
def test_sample_errors(x, y, match):
    with pytest.raises(ValueError, match=match):
        information.mutual_information_from_samples(x, y)
