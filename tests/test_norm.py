"""Layer norm and batch norm kernels against their formulas in float64, gradients against central differences."""

import numpy as np
import pytest

import nncore
from nncore import kernels

EPS = 1e-5
TOLERANCE = {np.float32: 3e-5, np.float64: 1e-12}
FLOATS = list(TOLERANCE)
ROWS_COLS = [(1, 2), (3, 5), (7, 17), (33, 64), (130, 31), (5, 9000), (2000, 10), (40, 2050)]


def normal(dtype, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def data(dtype, rows, cols):
    """x away from zero, weight, bias, dy."""
    return (
        normal(dtype, rows, cols) * 2 + 3,
        normal(dtype, cols, seed=1),
        normal(dtype, cols, seed=2),
        normal(dtype, rows, cols, seed=3),
    )


def normalised(x, axis):
    x = x.astype(np.float64)
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + EPS)


def gradient(x, dy, weight, axis):
    """dx of xhat * weight + bias, mean and variance being functions of x."""
    g, xhat = dy.astype(np.float64) * weight, normalised(x, axis)
    rstd = 1 / np.sqrt(x.astype(np.float64).var(axis, keepdims=True) + EPS)
    return rstd * (g - g.mean(axis, keepdims=True) - xhat * (g * xhat).mean(axis, keepdims=True))


def close(got, expected, dtype, scale=1.0):
    np.testing.assert_allclose(
        got, expected, TOLERANCE[dtype], scale * TOLERANCE[dtype] * (1 + np.abs(expected).max(initial=0))
    )


# ---- the formulas of this file, against central differences ----
@pytest.mark.parametrize("axis", [0, -1])
def test_gradient_formula(axis):
    x, weight, _, dy = data(np.float64, 4, 3)
    numeric = np.empty_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-4
        values = [(normalised(x + k * step, axis) * weight * dy).sum() for k in (-2, -1, 1, 2)]
        numeric[i] = np.dot(values, (1, -8, 8, -1)) / 12e-4
    np.testing.assert_allclose(gradient(x, dy, weight, axis), numeric, 1e-8, 1e-8)


# ---- layer norm ----
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("rows", "cols"), ROWS_COLS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_layer_norm(dtype, rows, cols, affine):
    x, weight, bias, dy = data(dtype, rows, cols)
    weight, bias = (weight, bias) if affine else (None, None)
    scale, shift = (1, 0) if weight is None else (weight, bias)
    y, mean, rstd = kernels.layer_norm_forward(x, weight, bias, EPS)
    close(y, normalised(x, -1) * scale + shift, dtype)
    close(mean, x.astype(np.float64).mean(-1), dtype)
    close(rstd, 1 / np.sqrt(x.astype(np.float64).var(-1) + EPS), dtype)
    dx, dweight, dbias = kernels.layer_norm_backward(dy, x, mean, rstd, weight)
    close(dx, gradient(x, dy, scale, -1), dtype, 10)
    close(dweight, (dy * normalised(x, -1)).sum(0), dtype, 5)
    close(dbias, dy.astype(np.float64).sum(0), dtype, 5)


def test_layer_norm_of_a_row_does_not_see_the_others():
    x, weight, bias, dy = data(np.float32, 37, 50)
    y, mean, rstd = kernels.layer_norm_forward(x, weight, bias, EPS)
    dx, *_ = kernels.layer_norm_backward(dy, x, mean, rstd, weight)
    for row in (0, 17, 36):
        one = slice(row, row + 1)
        assert kernels.layer_norm_forward(x[one], weight, bias, EPS)[0].tobytes() == y[one].tobytes()
        assert (
            kernels.layer_norm_backward(dy[one], x[one], mean[one], rstd[one], weight)[0].tobytes() == dx[one].tobytes()
        )


def test_layer_norm_of_a_constant_row_is_the_bias():
    x, bias = np.full((2, 33), 7.25, np.float32), normal(np.float32, 33)
    y, mean, rstd = kernels.layer_norm_forward(x, np.ones(33, np.float32), bias, EPS)
    assert (y == bias).all()
    assert (mean == 7.25).all()
    np.testing.assert_allclose(rstd, 1 / np.sqrt(EPS), 1e-6)


def test_layer_norm_keeps_its_digits_far_from_zero():
    x = normal(np.float32, 8, 4099) + np.float32(1e4)
    y, *_ = kernels.layer_norm_forward(x, None, None, EPS)
    np.testing.assert_allclose(y, normalised(x, -1), 2e-3, 2e-3)


def test_layer_norm_keeps_a_nan_in_its_row():
    x = normal(np.float32, 5, 40)
    x[2, 39] = np.nan
    assert np.isnan(kernels.layer_norm_forward(x, None, None, EPS)[0]).all(1).tolist() == [
        False,
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 4)])
def test_layer_norm_without_rows(shape):
    x = np.empty(shape, np.float32)
    y, mean, rstd = kernels.layer_norm_forward(x, None, None, EPS)
    assert y.shape == shape
    assert mean.shape == shape[:-1]
    _, dweight, dbias = kernels.layer_norm_backward(x, x, mean, rstd, None)
    assert dweight.tolist() == dbias.tolist() == [0, 0, 0, 0]


# ---- RMS norm ----
@pytest.mark.parametrize("rows_cols", ROWS_COLS)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("dtype", FLOATS)
def test_rms_norm(dtype, rows_cols, weighted):
    """y, dx and dweight, by their formulas in float64."""
    x, weight, _, dy = data(dtype, *rows_cols)
    weight = weight if weighted else None
    y, rstd = kernels.rms_norm_forward(x, weight, EPS)
    dx, dweight = kernels.rms_norm_backward(dy, x, rstd, weight)
    wide, g = x.astype(np.float64), dy.astype(np.float64) * (weight if weighted else 1)
    r = 1 / np.sqrt(np.square(wide).mean(1, keepdims=True) + EPS)
    close(rstd, r[:, 0], dtype)
    close(y, wide * r * (weight if weighted else 1), dtype)
    close(dx, r * (g - wide * r * (g * wide * r).mean(1, keepdims=True)), dtype)
    close(dweight, (dy * wide * r).sum(0), dtype, scale=np.sqrt(rows_cols[0]))
    one = slice(len(x) // 2, len(x) // 2 + 1)
    assert kernels.rms_norm_forward(x[one], weight, EPS)[0].tobytes() == y[one].tobytes()
    assert kernels.rms_norm_backward(dy[one], x[one], rstd[one], weight)[0].tobytes() == dx[one].tobytes()


def test_rms_norm_is_layer_norm_of_rows_with_mean_zero():
    x = normal(np.float64, 20, 7)
    x -= x.mean(1, keepdims=True)
    np.testing.assert_allclose(
        kernels.rms_norm_forward(x, None, EPS)[0], kernels.layer_norm_forward(x, None, None, EPS)[0], 1e-12
    )


# ---- batch norm ----
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("rows", "channels"), [(2, 1), *ROWS_COLS[1:], (17_000, 3)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_batch_norm(dtype, rows, channels, affine):
    x, weight, bias, dy = data(dtype, rows, channels)
    weight, bias = (weight, bias) if affine else (None, None)
    scale, shift = (1, 0) if weight is None else (weight, bias)
    y, mean, rstd = kernels.batch_norm_forward(None, None, x, weight, bias, EPS, 0.1, 1)
    close(y, normalised(x, 0) * scale + shift, dtype, 5)
    close(mean, x.astype(np.float64).mean(0), dtype)
    dx, dweight, dbias = kernels.batch_norm_backward(dy, x, mean, rstd, weight, 1)
    close(dx, gradient(x, dy, scale, 0), dtype, 20)
    close(dweight, (dy * normalised(x, 0)).sum(0), dtype, 5)
    close(dbias, dy.astype(np.float64).sum(0), dtype, 5)
    dx, *_ = kernels.batch_norm_backward(dy, x, mean, rstd, weight, 0)
    close(dx, dy * rstd.astype(np.float64) * scale, dtype)


def pairwise(parts, unite):
    while len(parts) > 1:
        parts = [unite(*parts[i : i + 2]) if i + 1 < len(parts) else parts[i] for i in range(0, len(parts), 2)]
    return parts[0]


def statistics_of_batch_norm(x):
    """Mean and variance per channel in the order of docs/numerics.md, in the dtype of x."""

    def ascending(rows):
        blocks = []
        for start in range(0, len(rows), 256):
            blocks.append(np.zeros_like(rows[0]))
            for row in rows[start : start + 256]:
                blocks[-1] = blocks[-1] + row
        total = blocks[0]
        for block in blocks[1:]:
            total = total + block
        return total

    def unite(a, b):
        (n_a, sum_a, squares_a), (n_b, sum_b, squares_b) = a, b
        apart = sum_b / real(n_b) - sum_a / real(n_a)
        factor = real(n_a) * real(n_b) / (real(n_a) + real(n_b))
        return n_a + n_b, sum_a + sum_b, squares_a + (squares_b + apart * apart * factor)

    real, size = x.dtype.type, max(-(-len(x) // 64), 16)
    chunks = []
    for start in range(0, len(x), size):
        chunk = x[start : start + size]
        total = ascending(chunk)
        deviation = chunk - total / real(len(chunk))
        chunks.append((len(chunk), total, ascending(deviation * deviation)))
    n, total, squares = pairwise(chunks, unite)
    return total / real(n), squares / real(n)


@pytest.mark.parametrize(("rows", "channels"), [(2, 3), (17, 5), (100, 70), (1030, 33), (17_000, 3), (33_000, 2)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_batch_norm_adds_in_the_order_of_the_contract(dtype, rows, channels):
    x = normal(dtype, rows, channels) * 2 + 3
    y, mean, rstd = kernels.batch_norm_forward(None, None, x, None, None, EPS, 0.1, 1)
    expected_mean, variance = statistics_of_batch_norm(x)
    expected_rstd = 1 / np.sqrt(variance + dtype(EPS))
    np.testing.assert_array_equal(mean, expected_mean)
    np.testing.assert_array_equal(rstd, expected_rstd)
    np.testing.assert_array_equal(y, (x - expected_mean) * expected_rstd)


def test_batch_norm_keeps_its_digits_far_from_zero():
    x = normal(np.float32, 5000, 19) + np.float32(1e4)
    y, *_ = kernels.batch_norm_forward(None, None, x, None, None, EPS, 0.1, 1)
    np.testing.assert_allclose(y, normalised(x, 0), 2e-3, 2e-3)


@pytest.mark.parametrize("unbiased", [0, 1])
@pytest.mark.parametrize("dtype", FLOATS)
def test_running_statistics(dtype, unbiased):
    x = normal(dtype, 50, 6) * 2 + 1
    running_mean, running_var = normal(dtype, 6, seed=1), normal(dtype, 6, seed=2) ** 2
    expected_mean = 0.9 * running_mean + 0.1 * x.mean(0, dtype=np.float64)
    expected_var = 0.9 * running_var + 0.1 * x.var(0, ddof=unbiased, dtype=np.float64)
    kernels.batch_norm_forward(running_mean, running_var, x, None, None, EPS, 0.1, unbiased)
    close(running_mean, expected_mean, dtype)
    close(running_var, expected_var, dtype)


@pytest.mark.parametrize("channels", [1, 16, 19, 3000])
@pytest.mark.parametrize("dtype", FLOATS)
def test_batch_norm_inference(dtype, channels):
    x, weight, bias, _ = data(dtype, 21, channels)
    mean, var = normal(dtype, channels, seed=4), normal(dtype, channels, seed=5) ** 2
    y = kernels.batch_norm_inference(x, mean, var, weight, bias, EPS)
    close(y, (x - mean.astype(np.float64)) / np.sqrt(var.astype(np.float64) + EPS) * weight + bias, dtype)


def test_batch_norm_keeps_a_nan_in_its_channel():
    x = normal(np.float32, 300, 20)
    x[299, 7] = np.nan
    y, *_ = kernels.batch_norm_forward(None, None, x, None, None, EPS, 0.1, 1)
    assert np.isnan(y).all(0).nonzero()[0].tolist() == [7]
    assert np.isnan(y).any(0).nonzero()[0].tolist() == [7]


def test_batch_norm_in_training_needs_two_values_per_channel():
    with pytest.raises(ValueError, match="batch_norm: argument 'x'"):
        kernels.batch_norm_forward(None, None, np.ones((1, 3), np.float32), None, None, EPS, 0.1, 1)


def test_what_is_not_wanted_is_not_computed_and_changes_nothing():
    x, weight, bias, dy = data(np.float32, 90, 24)
    _, mean, rstd = kernels.batch_norm_forward(None, None, x, weight, bias, EPS, 0.1, 1)
    everything = kernels.batch_norm_backward(dy, x, mean, rstd, weight, 1)
    for wanted in range(3):
        want = tuple(i == wanted for i in range(3))
        got = kernels.batch_norm_backward(dy, x, mean, rstd, weight, 1, want=want)
        assert [g is not None for g in got] == list(want)
        assert got[wanted].tobytes() == everything[wanted].tobytes()


# ---- both ----
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize(("rows", "cols"), [(7000, 33), (300, 2500), (20, 40_000)])
def test_same_bits_on_any_number_of_threads(rows, cols, count):
    x, weight, bias, dy = data(np.float32, rows, cols)

    def run():
        results = []
        y, mean, rstd = kernels.layer_norm_forward(x, weight, bias, EPS)
        results += [y, mean, rstd, *kernels.layer_norm_backward(dy, x, mean, rstd, weight)]
        running_mean, running_var = bias.copy(), np.abs(weight)
        y, mean, rstd = kernels.batch_norm_forward(running_mean, running_var, x, weight, bias, EPS, 0.1, 1)
        results += [
            y,
            mean,
            rstd,
            running_mean,
            running_var,
            *kernels.batch_norm_backward(dy, x, mean, rstd, weight, 1),
        ]
        return b"".join(r.tobytes() for r in results)

    before = nncore.get_num_threads()
    try:
        nncore.set_num_threads(1)
        serial = run()
        nncore.set_num_threads(count)
        assert run() == serial
    finally:
        nncore.set_num_threads(before)
