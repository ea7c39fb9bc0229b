"""Sizes 0, 1, W-1, W, W+1, primes; NaN, infinities, -0 at every lane; fixed trees of sums; conversions; overlaps."""

import itertools

import numpy as np
import op_checks
import pytest
from op_cases import ANY, CASES, FLOATS
from op_checks import draw, gradients, run_arrays

import nncore
from nncore import kernels

SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 23, 31, 32, 33, 47, 53, 63, 64, 65, 67, 131, 257)
NOTHING_TO_REDUCE = ("amax", "amin", "argmax", "argmin", "max_along", "min_along")
LANES = range(1, 68)


def by_name(cases):
    return [pytest.param(c, id=c.name) for c in cases]


# ---- sizes ----
@pytest.mark.parametrize("op_case", by_name(c for c in CASES if c.sized))
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_size(op_case, dtype):
    for n in SIZES if dtype in op_case.dtypes else ():
        arrays = draw(op_case, op_case.sized(n), dtype)
        if n == 0 and op_case.name.startswith(NOTHING_TO_REDUCE):
            with pytest.raises(ValueError, match=r"^\w+: argument '"):
                run_arrays(op_case, arrays)
            continue
        with np.errstate(all="ignore"):
            op_checks.assert_matches(op_case, arrays, run_arrays(op_case, arrays), f"size {n}")
        if op_case.gradient:
            for array, gradient in zip(arrays, gradients(op_case, arrays)):
                assert gradient is None or gradient.shape == array.shape


# ---- NaN, infinities, signed zeros ----
def specials(dtype):
    info = np.finfo(dtype)
    return np.array(
        [np.nan, np.inf, -np.inf, -0.0, 0.0, info.smallest_subnormal, -info.smallest_subnormal, 0.75, -1.25], dtype
    )


def assert_same_class(op_case, arrays, note):
    results = run_arrays(op_case, arrays)
    op_checks.assert_matches(op_case, arrays, results, note)
    for result, reference in zip(results, op_checks.expected(op_case, arrays)):
        if result.dtype.kind == "f":
            zero = (result == 0) & (reference == 0)
            np.testing.assert_array_equal(
                np.signbit(result)[zero], np.signbit(reference)[zero], f"{op_case.name} {note}: the sign of zero"
            )


@pytest.mark.parametrize("op_case", by_name(c for c in CASES if c.special == "lanes"))
@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values_at_every_lane(op_case, dtype):
    """Each special value comes to each place of each length, and meets each other one."""
    values = specials(dtype)
    for n in LANES:
        for shift in range(len(values)):
            places = np.arange(n) + shift
            arrays = [values[places * (1 + 3 * k) % len(values)] for k in range(len(op_case.args))]
            assert_same_class(op_case, arrays, f"{n} elements, shift {shift}")


@pytest.mark.parametrize("op_case", by_name(c for c in CASES if c.special == "rows"))
@pytest.mark.parametrize("dtype", FLOATS)
def test_one_special_value_at_every_place_of_a_row(op_case, dtype):
    for n in LANES:
        for value in specials(dtype)[:3]:
            (array,) = draw(op_case, ((n, n),), dtype)
            np.fill_diagonal(array, value)
            op_checks.assert_matches(op_case, [array], run_arrays(op_case, [array]), f"{value} in {n}")


@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax_of_minus_infinity_alone_is_nan_and_beside_others_is_zero(dtype):
    x = np.full((2, 5), -np.inf, dtype)
    x[1, 3] = 7
    y = kernels.softmax_forward(x)
    assert np.isnan(y[0]).all()
    np.testing.assert_array_equal(y[1], [0, 0, 0, 1, 0])
    assert np.isneginf(kernels.log_softmax_forward(x)[1, :3]).all()


def test_ignored_rows_have_no_loss_and_no_gradient_even_if_they_are_nan():
    x = nncore.tensor([[1.0, 2.0], [float("nan"), 0.0]], requires_grad=True)
    loss = nncore.nn.functional.cross_entropy(x, nncore.tensor([1, -100]))
    loss.backward()
    assert np.isfinite(loss.item())
    np.testing.assert_array_equal(x.grad.numpy()[1], 0)


# ---- the numeric contract: sums in plain arithmetic, compared with == ----
def pairwise(parts):
    """Neighbours at distance 1, 2, 4, ... added."""
    parts, step = list(parts), 1
    while step < len(parts):
        for i in range(0, len(parts) - step, 2 * step):
            parts[i] = parts[i] + parts[i + step]
        step *= 2
    return parts[0]


def row_sum(x):
    """Chunks of 4096; lanes that make up 64 bytes; a tree over the lanes; chunks pairwise."""
    lanes = 64 // x.itemsize
    chunks = []
    for begin in range(0, max(len(x), 1), 4096):
        chunk = x[begin : begin + 4096]
        lane = np.zeros(lanes, x.dtype)
        for i, value in enumerate(chunk):
            lane[i % lanes] += value
        half = lanes // 2
        while half:
            lane = lane[:half] + lane[half : 2 * half]
            half //= 2
        chunks.append(lane[0])
    return pairwise(chunks)


def column_sum(x):
    """Rows in order in chunks of 256; chunks pairwise."""
    chunks = []
    for begin in range(0, max(len(x), 1), 256):
        total = np.zeros(x.shape[1:], x.dtype)
        for row in x[begin : begin + 256]:
            total = total + row
        chunks.append(total)
    return pairwise(chunks)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [0, 1, 17, 4095, 4096, 4097, 12293, 20481])
def test_sum_of_a_row_is_the_fixed_tree(dtype, n, threads, rng):
    x = rng.standard_normal((3, n)).astype(dtype)
    np.testing.assert_array_equal(kernels.sum(x[:, :, None])[:, 0], [row_sum(row) for row in x])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 1793])
@pytest.mark.parametrize("width", [2, 17, 513])
def test_sum_down_the_columns_is_the_fixed_tree(dtype, n, width, threads, rng):
    x = rng.standard_normal((2, n, width)).astype(dtype)
    np.testing.assert_array_equal(kernels.sum(x), [column_sum(block) for block in x])


def test_few_long_sums_are_shared_without_changing_bits(set_threads, rng):
    for shape in [(1, 300_007, 1), (3, 100_003, 1), (1, 50_021, 7), (2, 9001, 33)]:
        x = rng.standard_normal(shape).astype(np.float32)
        results = []
        for count in (1, 2, 3, 5, 8):
            set_threads(count)
            results.append([kernel(x) for kernel in (kernels.sum, kernels.max, kernels.min)])
        for other in results[1:]:
            np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize("dtype", ANY)
@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 4095, 4097, 12_300])
def test_the_first_of_equal_extremes_wins(dtype, n, threads, rng):
    """In rows and down columns, within and across chunks; among NaN, the first of them."""
    x = rng.integers(0, 3, (6, n)).astype(dtype)
    x[1, n // 2 :] = 3
    x[2] = 1
    if x.dtype.kind == "f":
        x[3, n // 2 :: 7] = np.nan
        x[4] = np.where(np.arange(n) % 2, 0.0, -0.0)
    for name in ("argmax", "argmin"):
        expected = getattr(np, name)(x, 1)
        kernel = getattr(kernels, name)
        np.testing.assert_array_equal(kernel(x[:, :, None])[:, 0], expected)
        np.testing.assert_array_equal(kernel(x.T[None])[0], expected)


@pytest.mark.parametrize("dtype", ANY)
@pytest.mark.parametrize("cols", [1, 2, 15, 16, 17, 63, 64, 65, 131])
def test_rows_are_gathered_and_scattered_back(dtype, cols, threads, rng):
    table = rng.integers(0, 100, (37, cols)).astype(dtype)
    index = rng.integers(0, 37, (3, 701))
    rows = kernels.gather_rows(table, index)
    np.testing.assert_array_equal(rows, table[index])
    if table.dtype.kind == "f":
        expected = np.zeros_like(table)
        np.add.at(expected, index.reshape(-1), rows.reshape(-1, cols))
        np.testing.assert_array_equal(kernels.scatter_add_rows(rows, index, 37), expected)


# ---- integers and conversions ----
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_integers_wrap(dtype):
    info = np.iinfo(dtype)
    a, b = np.array([info.max, info.min, info.max], dtype), np.array([1, 1, 2], dtype)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(kernels.add(a, b), a + b)
        np.testing.assert_array_equal(kernels.sub(b, a), b - a)
        np.testing.assert_array_equal(kernels.mul(a, b), a * b)
        np.testing.assert_array_equal(kernels.sum(a[None, :, None])[0, 0], a.sum(dtype=dtype))


def converted(x, dtype):
    """copy's rule: C, and the nearest integer in range for floats, 0 for NaN."""
    if x.dtype.kind == "f" and np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        inside = (x > float(info.min) - 1) & (x < float(info.max) + 1)
        y = np.where(inside, x, 0).astype(dtype)
        y[x >= float(info.max) + 1] = info.max
        y[x <= float(info.min)] = info.min
        return y
    with np.errstate(all="ignore"):
        return x.astype(dtype)


@pytest.mark.parametrize(("source", "target"), list(itertools.product(ANY, ANY)))
def test_conversion(source, target, rng):
    x = rng.integers(-300, 300, 67).astype(source)
    if x.dtype.kind == "f":
        x[:12] = [np.nan, np.inf, -np.inf, -0.0, 0.5, -0.5, 255.9, -1, 2.0**31, -(2.0**31) - 1024, 2.0**63, 1e30]
    elif x.dtype == np.int64:
        x[:4] = [2**53 + 1, -(2**62) - 1, 2**31, 2**24 + 1]
    expected = converted(x, target)
    for layout in (x, x[::2], x[::-1], np.broadcast_to(x[3:4], (9,))):
        want = converted(np.ascontiguousarray(layout), target)
        np.testing.assert_array_equal(kernels.copy(layout, out=np.empty(layout.shape, target)), want)
    strided = np.empty((67, 2), target)[:, 0]
    np.testing.assert_array_equal(kernels.copy(x, out=strided), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_copy_between_any_two_orders_of_the_axes(dtype, rng, threads):
    """Transposing copies work in tiles; the sizes lie around a tile and its multiples."""
    for shape in [(15, 16), (17, 33), (1, 40), (3, 31, 17), (2, 3, 16, 15), (5, 2, 1, 34)]:
        x = rng.integers(0, 200, shape).astype(dtype)
        orders = list(itertools.permutations(range(len(shape))))[:: 1 if len(shape) < 4 else 5]
        for order, other in itertools.product(orders, orders):
            source = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
            target = np.empty([shape[d] for d in other], dtype).transpose(np.argsort(other))
            np.testing.assert_array_equal(kernels.copy(source, out=target), x)


# ---- overlap ----
@pytest.mark.parametrize("dtype", FLOATS)
def test_output_may_be_an_input(dtype, rng):
    a, b = rng.uniform(0.5, 2, (2, 1003)).astype(dtype)
    for name in ("add", "sub", "mul", "div", "pow", "maximum", "minimum"):
        kernel = getattr(kernels, name)
        fresh = kernel(a, b)
        for which in (0, 1):
            pair = [a.copy(), b.copy()]
            assert kernel(*pair, out=pair[which]) is pair[which]
            np.testing.assert_array_equal(pair[which], fresh, name)
    for name in kernels.__all__:
        kernel = getattr(kernels, name)
        if name.endswith("_forward") and [f[:2] for f in kernel.fields if f[1] != "size"] == [
            ("y", "array"),
            ("x", "array"),
        ]:
            x = a[:1000].reshape((10, 10, 10) if "columns" in name else (10, 100)).copy()
            fresh = kernel(x)
            np.testing.assert_array_equal(kernel(x, out=x), fresh, name)


def test_output_may_overlap_inputs_in_any_way(rng):
    base = rng.standard_normal(1001).astype(np.float32)
    fresh = kernels.add(base[:-1].copy(), base[1:].copy())
    for out in (slice(0, -1), slice(1, None)):
        memory = base.copy()
        kernels.add(memory[:-1], memory[1:], out=memory[out])
        np.testing.assert_array_equal(memory[out], fresh)
    memory = base.copy()
    kernels.copy(memory[::-1], out=memory)
    np.testing.assert_array_equal(memory, base[::-1])
    square = rng.standard_normal((33, 33)).astype(np.float32)
    memory = square.copy()
    kernels.copy(memory.T, out=memory)
    np.testing.assert_array_equal(memory, square.T)
