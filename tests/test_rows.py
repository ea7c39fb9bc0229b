"""Kernels of rows and columns: the order of their sums, that rows do not see each other, and losses with classes."""

import numpy as np
import pytest

import nncore
import nncore.nn.functional as F
from nncore import kernels

LENGTHS = [1, 2, 3, 10, 15, 16, 17, 37, 63, 64, 65, 256, 1000, 4096, 4097, 9001]
FLOATS = [np.float32, np.float64]


def normal(dtype, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def classes(rows, cols):
    return np.random.default_rng(5).integers(0, cols, rows)


# ---- the orders, written out ----
def pairwise(sums):
    while len(sums) > 1:
        sums = [sums[i] + sums[i + 1] if i + 1 < len(sums) else sums[i] for i in range(0, len(sums), 2)]
    return sums[0]


def row_sum(x):
    width, sums = 64 // x.itemsize, []
    for start in range(0, max(len(x), 1), 4096):
        chunk = x[start : start + 4096]
        lanes = np.zeros((-(-len(chunk) // width) + 1, width), x.dtype)
        lanes[1:].ravel()[: len(chunk)] = chunk
        lanes = np.add.accumulate(lanes, axis=0)[-1]
        while len(lanes) > 1:
            lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
        sums.append(lanes[0])
    return pairwise(sums)


def column_sum(x):
    zero = np.zeros_like(x[:1])
    return pairwise([np.add.accumulate(np.concatenate([zero, x[i : i + 256]]), 0)[-1] for i in range(0, len(x), 256)])


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_of_rows_go_through_the_lanes(dtype, n):
    x = normal(dtype, 35, n)
    expected = np.array([row_sum(row) for row in x])
    assert kernels.sum(x[:, :, None])[:, 0].tobytes() == expected.tobytes()
    mean = expected / dtype(n)
    assert kernels.mean(x[:, :, None])[:, 0].tobytes() == mean.tobytes()
    assert kernels.var(x[:, :, None], 0.0)[1][:, 0].tobytes() == mean.tobytes()
    shift = x.max(1)
    e = kernels.exp_forward(x - shift[:, None])
    total = np.array([row_sum(row) for row in e])
    assert kernels.softmax_forward(x).tobytes() == (e * (1 / total)[:, None]).tobytes()
    logs = kernels.log_forward(total)
    assert kernels.logsumexp(x[:, :, None])[:, 0].tobytes() == (logs + shift).tobytes()
    assert kernels.log_softmax_forward(x).tobytes() == (x - shift[:, None] - logs[:, None]).tobytes()


@pytest.mark.parametrize("inner", [2, 5, 16, 33, 64, 70])
@pytest.mark.parametrize("n", [1, 3, 255, 256, 257, 1300])
@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_of_columns_go_in_chunks_of_rows(dtype, n, inner):
    x = normal(dtype, 2, n, inner)
    mean = np.stack([column_sum(block) for block in x]) / dtype(n)
    assert kernels.mean(x).tobytes() == mean.tobytes()
    assert kernels.var(x, 0.0)[1].tobytes() == mean.tobytes()
    shift = x.max(1)
    e = kernels.exp_forward(x - shift[:, None])
    total = np.stack([column_sum(block) for block in e])
    assert kernels.softmax_columns_forward(x).tobytes() == (e * (1 / total)[:, None]).tobytes()
    logs = kernels.log_forward(total)
    assert kernels.logsumexp(x).tobytes() == (logs + shift).tobytes()
    assert kernels.log_softmax_columns_forward(x).tobytes() == (x - shift[:, None] - logs[:, None]).tobytes()
    for i in range(0, inner - 1, 7):  # neighbours do not matter
        pair = np.ascontiguousarray(x[:, :, i : i + 2])
        assert kernels.var(pair, 1.0)[0].tobytes() == kernels.var(x, 1.0)[0][:, i : i + 2].tobytes()


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_var_is_near_the_formula_in_two_passes(dtype, n):
    x = normal(dtype, 7, n, 1) + dtype(100)
    with np.errstate(divide="ignore", invalid="ignore"):
        got = kernels.var(x, 1.0)[0]
    if n == 1:
        assert np.isnan(got).all()
        return
    np.testing.assert_allclose(got, x.astype(np.longdouble).var(1, ddof=1), 40 * np.finfo(dtype).eps)
    np.testing.assert_allclose(kernels.var(x.reshape(1, n, 7), 1.0)[0].shape, (1, 7))


@pytest.mark.parametrize("n", LENGTHS)
def test_a_row_does_not_see_the_others(n):
    x, dy, target = normal(np.float32, 37, n), normal(np.float32, 37, n, seed=1), classes(37, n)
    weight = normal(np.float32, n, seed=2)

    def results(rows):
        a, g, t = x[rows], dy[rows], target[rows]
        y, mean, rstd = kernels.layer_norm_forward(a, weight, weight, 1e-5)
        softmax = kernels.softmax_forward(a)
        losses, largest, total, *_ = kernels.cross_entropy_forward(a, t, weight, 0.1, -100)
        soft = kernels.soft_cross_entropy_forward(a, softmax, weight)
        return [
            *(y, mean, rstd, softmax, losses, largest, total, soft[0]),
            kernels.layer_norm_backward(g, a, mean, rstd, weight, want=(True, False, False))[0],
            kernels.softmax_backward(g, softmax),
            kernels.log_softmax_backward(g, softmax),
            kernels.cross_entropy_backward(g[:, 0].copy(), a, largest, total, t, weight, 0.1, -100),
            kernels.soft_cross_entropy_backward(g[:, 0].copy(), a, *soft[1:], softmax, weight),
            *kernels.var(a[:, :, None], 1.0),
            *kernels.max_along(a[:, :, None]),
            kernels.argmin(a[:, :, None]),
        ]

    together = results(slice(None))
    for row in (0, 15, 16, 31, 36):
        for alone, all_rows in zip(results(slice(row, row + 1)), together, strict=True):
            assert alone.tobytes() == all_rows[row : row + 1].tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logsumexp_of_values_that_are_not_finite(value):
    x = np.zeros((4, 33), np.float32)
    x[1, 20] = x[2] = value
    expected = [np.log(33), np.log(32) if value == -np.inf else value, value, np.log(33)]
    for y in (kernels.logsumexp(x[:, :, None])[:, 0], kernels.logsumexp(x.T.copy()[None])[0]):
        np.testing.assert_allclose(y, np.array(expected, np.float32), 1e-6)
    assert np.isneginf(nncore.zeros(2, 0).logsumexp(1).numpy()).all()


# ---- losses with classes ----
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (5, 3), (40, 10), (67, 300), (4100, 3), (3, 5000)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_cross_entropy_and_its_gradient_in_one_pass_and_in_two(dtype, rows, cols, smoothing, weighted):
    x, target = normal(dtype, rows, cols), classes(rows, cols)
    weight = abs(normal(dtype, cols, seed=1)) + dtype(0.5) if weighted else None
    target[::5] = -1
    options = (target, weight, smoothing, -1)
    losses, largest, total, mean, dx = kernels.cross_entropy_forward(x, *options)
    alone = kernels.cross_entropy_forward(x, *options, want=(False, False))
    assert alone[0].tobytes() == losses.tobytes()
    assert alone[3] is None
    counts = np.where(target == -1, 0, 1 if weight is None else weight[target]).astype(dtype)
    divisor = row_sum(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        assert mean.tobytes() == (row_sum(losses) / divisor).tobytes()
        dlosses = np.full(rows, 1 / divisor, dtype)
    two = kernels.cross_entropy_backward(dlosses, x, largest, total, *options)
    np.testing.assert_array_equal(two, dx)
    assert (losses[::5] == 0).all()
    assert (dx[::5] == 0).all()


def test_the_gradient_of_a_mean_cross_entropy_takes_any_factor_and_any_number_of_passes():
    x, target = nncore.tensor(normal(np.float32, 6, 5)).requires_grad_(), nncore.tensor(classes(6, 5))
    loss = F.cross_entropy(x, target)
    (once,) = nncore.autograd.grad(loss, [x], retain_graph=True)
    loss.backward(retain_graph=True)
    assert (x.grad.numpy() == once.numpy()).all()
    loss.backward()
    assert (x.grad.numpy() == 2 * once.numpy()).all()
    (four,) = nncore.autograd.grad(4 * F.cross_entropy(x, target), [x])
    assert (four.numpy() == 4 * once.numpy()).all()
    with nncore.no_grad():
        assert F.cross_entropy(x, target).item() == loss.item()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(3,), (7, 3), (2, 3, 4, 5)])
def test_nll_loss(shape, weighted, reduction):
    x = nncore.tensor(normal(np.float64, *shape)).requires_grad_()
    count = shape[1] if len(shape) > 1 else shape[0]
    target = classes((shape[0], *shape[2:]) if len(shape) > 1 else (), count)
    weight = np.array([0.5, 1.0, 2.0]) if weighted else np.ones(3)
    given = nncore.tensor(weight) if weighted else None
    loss = F.nll_loss(x, nncore.tensor(target), weight=given, ignore_index=2, reduction=reduction)
    hot = np.moveaxis(np.eye(3)[target] * np.where(np.arange(3) == 2, 0, weight), -1, 1 if len(shape) > 1 else 0)
    expected = -(hot * x.detach().numpy()).sum(1 if len(shape) > 1 else 0)
    divisor = hot.sum() if reduction == "mean" else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        np.testing.assert_allclose(
            loss.detach().numpy(), expected if reduction == "none" else expected.sum() / divisor, 1e-12, 1e-12
        )
        loss.sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), np.where(hot, -hot / divisor, 0), 1e-12)


def test_losses_refuse_classes_and_reductions_that_are_not_there():
    x, target = nncore.zeros(2, 3), nncore.tensor([0, 3])
    with pytest.raises(ValueError, match="nll_loss: argument 'target' holds 3 at position 1, expected 0 <= index < 3"):
        F.nll_loss(x, target)
    for loss in (F.nll_loss, F.cross_entropy):
        with pytest.raises(ValueError, match="argument 'reduction' is 'total'"):
            loss(x, nncore.tensor([0, 1]), reduction="total")
        assert np.isnan(loss(x, nncore.tensor([-100, -100])).item())


# ---- extrema and where they are ----
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("dtype", [*FLOATS, np.int64, np.uint8])
def test_extrema_and_their_positions(dtype, n):
    x = (normal(np.float64, 35, n) * 20 + 100).astype(dtype)  # with equals among the integers
    if x.dtype.kind == "f" and n > 2:
        x[3, n // 2 :] = x[9, -1] = np.nan
    for name in ("max", "min"):
        value, index = getattr(x, name)(1), getattr(x, f"arg{name}")(1)
        along = kernels.KERNELS[f"{name}_along"]
        for got in (
            along(x[:, :, None]),
            (getattr(kernels, name)(x[:, :, None]), kernels.KERNELS[f"arg{name}"](x[:, :, None])),
        ):
            np.testing.assert_array_equal(got[0][:, 0], value)
            np.testing.assert_array_equal(got[1][:, 0], index)
        across = along(np.ascontiguousarray(x.T)[None])
        np.testing.assert_array_equal(across[0][0], value)
        np.testing.assert_array_equal(across[1][0], index)


def test_scatter_along():
    x, index = normal(np.float32, 3, 8, 4), np.random.default_rng(0).integers(0, 6, (3, 8, 4))
    source, base = x.transpose(0, 2, 1).copy().transpose(0, 2, 1), normal(np.float32, 3, 6, 4)
    for start in (None, base):
        for add in (0, 1):
            expected = np.zeros_like(base) if start is None else base.copy()
            for o, m, i in np.ndindex(index.shape):
                expected[o, index[o, m, i], i] = x[o, m, i] + (expected[o, index[o, m, i], i] if add else 0)
            assert (kernels.scatter_along(start, x, index, add, 6) == expected).all()
            assert (kernels.scatter_along(start, source, index, add, 6) == expected).all()
    assert (kernels.gather_along(base, index) == np.take_along_axis(base, index, 1)).all()
    wrong = np.where(np.arange(96).reshape(3, 8, 4) == 5, 6, index)
    with pytest.raises(
        ValueError, match="scatter_along: argument 'index' holds 6 at position 5, expected 0 <= index < 6"
    ):
        kernels.scatter_along(None, x, wrong, 0, 6)


def test_running_sums_keep_what_float32_would_lose():
    x = np.full((1, 2**22, 1), 0.1, np.float32)
    y = kernels.cumsum(x, 0)[0, :, 0]
    assert y[-1] == np.float32(2**22 * np.float64(np.float32(0.1)))
    assert (kernels.cumsum(x[:, :1000], 1)[0, ::-1, 0] == y[:1000]).all()


@pytest.mark.parametrize("shape", [(5,), (3, 200), (4, 70, 90), (2, 3, 60, 70)])
@pytest.mark.parametrize("width", [(1, 1), (0, 2), (3, 0)])
def test_pad_writes_the_frame(shape, width):
    x, dims = normal(np.float32, *shape), len(shape)
    padded = F.pad(nncore.from_numpy(x), width * dims, value=2.5)
    assert (padded.numpy() == np.pad(x, [width] * dims, constant_values=2.5)).all()


def fma(a, b, c):
    """a * b + c in float32, rounded once: the product is exact in float64, and so is almost every sum."""
    return np.float32(np.float64(a) * np.float64(b) + np.float64(c))


@pytest.mark.parametrize("cols", [1, 3, 16, 67, 200])
def test_combine_rows_is_a_chain_in_the_order_of_the_terms(cols):
    rng = np.random.default_rng(0)
    x, weight = rng.integers(-99, 99, (2, 7, cols)).astype(np.float32), normal(np.float32, 12)
    index, ends = rng.integers(0, 7, 12), np.array([3, 3, 2, 9, 12])  # none for row 1, and none where ends go back
    expected = np.zeros((2, 5, cols), np.float32)
    for b, r, c in np.ndindex(expected.shape):
        terms = range(0 if r == 0 else ends[r - 1], ends[r])
        for k, t in enumerate(terms):
            value = x[b, index[t], c]
            expected[b, r, c] = weight[t] * value if k == 0 else fma(weight[t], value, expected[b, r, c])
    assert kernels.combine_rows(x, weight, index, ends).tobytes() == expected.tobytes()


def test_combine_rows_checks_its_matrix():
    x, weight, index, ends = (
        np.ones((1, 4, 2), np.float32),
        np.ones(3, np.float32),
        np.array([0, 1, 3]),
        np.array([1, 3]),
    )
    assert kernels.combine_rows(x, weight, index, ends).tolist() == [[[1, 1], [2, 2]]]
    for wrong, message in (
        ((x, weight, index + 1, ends), "'index' holds 4 at position 2, expected 0 <= index < 4"),
        ((x, weight, index, ends + 1), "'ends' holds 4 at position 1, expected 0 <= index < 4"),
        ((x, weight, index - 1, ends), "'index' holds -1 at position 0"),
        ((x, weight, index, -ends), "'ends' holds -1 at position 0"),
    ):
        with pytest.raises(ValueError, match=f"combine_rows: argument {message}"):
            kernels.combine_rows(*wrong)
