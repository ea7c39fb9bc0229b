"""Pointwise kernels: errors in units in the last place, special values, slopes, and the same bits on every path.

Run as a script, this file prints a digest of each op's results, so that one ISA can be compared with another.
"""

import hashlib
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from nncore import kernels
from nncore._core.kernels import ISA, KERNELS, isas

FLOATS = [np.float32, np.float64]
INF, NAN = np.inf, np.nan
PARAMETERS = {"clamp": (-0.75, 1.5), "elu": (0.7, 1.1, 1.3), "huber": (0.8,), "leaky_relu": (0.1,), "pow_scalar": (3.0,),
              "smooth_l1": (0.6,), "softplus": (1.5, 20.0)}  # fmt: skip


def ops(*arrays):
    """The ops whose forward kernel has these pointwise arrays."""
    names = [name.removesuffix("_forward") for name in KERNELS if name.endswith("_forward")]
    shapes = {op: [(f[0], f[4]) for f in KERNELS[op + "_forward"].fields if f[1] == "array"] for op in names}
    return [op for op in names if shapes[op] == [(array, "n...") for array in arrays]]


UNARY, LOSSES = ops("y", "x"), ops("y", "x", "target")


def forward(op, *arrays):
    return KERNELS[op + "_forward"](*arrays, *PARAMETERS.get(op, ()))


def backward(op, *arrays):
    return KERNELS[op + "_backward"](*arrays, *PARAMETERS.get(op, ()))


def saves_output(op):
    return KERNELS[op + "_backward"].fields[2][0] == "y"


def ulp_errors(y, exact):
    """|y - exact| in units in the last place of y's dtype; exact has more digits. 0 where y is exact, rounded."""
    info, rounded = np.finfo(y.dtype), exact.astype(y.dtype)
    _, exponent = np.frexp(np.where(np.isfinite(exact), exact, 1))
    ulp = np.ldexp(np.ones_like(exact), np.maximum(exponent - 1, info.minexp) - info.nmant)
    right = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    return np.where(right, 0, np.nan_to_num(np.abs(y - exact) / ulp, nan=INF))


def assert_same(y, expected, x=None):
    """Equal, with NaN equal to NaN and 0 not equal to -0."""
    y, expected = np.asarray(y), np.asarray(expected)
    same = ((y == expected) & (np.signbit(y) == np.signbit(expected))) | (np.isnan(y) & np.isnan(expected))
    assert same.all(), (None if x is None else x[~same], y[~same], expected[~same])


def draw(dtype, limit, n=50_000, seed=0):
    """Even over [-limit, limit], over its exponents, and over the part where functions bend."""
    rng = np.random.default_rng(seed)
    limit = min(limit, float(np.finfo(dtype).max))
    smallest = math.log10(float(np.finfo(dtype).smallest_subnormal))
    exponents = 10.0 ** rng.uniform(smallest, math.log10(limit), n) * rng.choice([-1, 1], n)
    even = [rng.uniform(-edge, edge, n) for edge in (limit, 1, min(20, limit))]
    return np.concatenate([*even, exponents, rng.normal(1, 0.3, n)]).astype(dtype)


# ---- accuracy. Bounds are in units in the last place, for both dtypes; csrc/vecmath.h has what was measured. ----
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACCURACY = [  # op, reference, largest |x|, bound
    ("cos", np.cos, 1e300, 2),
    ("erf", np.vectorize(math.erf, otypes=[float]), 30, 2),
    ("exp", np.exp, 750, 1),
    ("expm1", np.expm1, 750, 1.7),
    ("log", np.log, 1e300, 1),
    ("log1p", np.log1p, 1e300, 1.5),
    ("sigmoid", sigmoid, 750, 1.5),
    ("silu", lambda x: x * sigmoid(x), 80, 4),
    ("sin", np.sin, 1e300, 2),
    ("tanh", np.tanh, 30, 1.5),
]


@pytest.mark.parametrize(("op", "reference", "limit", "bound"), ACCURACY, ids=[case[0] for case in ACCURACY])
@pytest.mark.parametrize("dtype", FLOATS)
def test_accuracy(op, reference, limit, bound, dtype):
    x = draw(dtype, limit)
    with np.errstate(all="ignore"):
        errors = ulp_errors(forward(op, x), np.asarray(reference(x.astype(np.longdouble)), np.longdouble))
    # Where long double is no wider than float64 the reference itself is off by up to one.
    slack = 1 if dtype == np.float64 and (op == "erf" or np.finfo(np.longdouble).nmant < 60) else 0
    worst = np.argmax(errors)
    assert errors[worst] <= bound + slack, x[worst]


@pytest.mark.parametrize("exponent", [-30.5, -3, -1, -0.5, 1 / 3, 0.1, 3, 7.25, 31])
@pytest.mark.parametrize("dtype", FLOATS)
def test_accuracy_of_powers(dtype, exponent):
    x = np.abs(draw(dtype, 1e300))
    exponent = float(dtype(exponent))
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.longdouble), np.longdouble(exponent))
        errors = ulp_errors(kernels.pow_scalar_forward(x, exponent), exact)
    worst = np.argmax(errors)
    assert errors[worst] <= 1 + (np.finfo(np.longdouble).nmant < 60), x[worst]


@pytest.mark.parametrize("dtype", FLOATS)
def test_accuracy_of_gelu(dtype):
    """Both forms to two units in the last place of x (and half a one for the reference), however small y is."""
    x = draw(dtype, 40)
    wide = x.astype(np.float64)
    phi = np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in wide])
    with np.errstate(over="ignore"):
        logistic = sigmoid(math.sqrt(8 / math.pi) * (wide + 0.044715 * wide**3))
    unit = np.finfo(dtype).eps * np.abs(wide) + np.finfo(dtype).smallest_subnormal
    assert np.max(np.abs(forward("gelu", x) - wide * phi) / unit) <= 2.5
    assert np.max(np.abs(forward("gelu_tanh", x) - wide * logistic) / unit) <= 2.5


@pytest.mark.exhaustive
@pytest.mark.parametrize(("op", "reference", "limit", "bound"), ACCURACY, ids=[case[0] for case in ACCURACY])
def test_every_float32(op, reference, limit, bound):
    """All 2^32 inputs against the function in float64."""
    reference = kernels.erf_forward if op == "erf" else reference  # math.erf would take an hour
    size = 1 << 20
    worst, where = 0, None
    for first in range(0, 1 << 32, size):
        x = np.arange(first, first + size, dtype=np.uint32).view(np.float32)
        with np.errstate(all="ignore"):
            errors = ulp_errors(forward(op, x), reference(x.astype(np.float64)))
        if op == "silu":
            errors[x < -limit] = 0
        at = np.argmax(errors)
        if errors[at] > worst:
            worst, where = errors[at], x[at]
    assert worst <= bound, where


# ---- special values ----
SPECIAL = [  # op, x, y
    ("abs", [-0.0, -INF, -2], [0, INF, 2]),
    ("ceil", [-0.5, 1.2, -INF, -0.0], [-0.0, 2, -INF, -0.0]),
    ("clamp", [-INF, INF, 0, -0.75, 1.5], [-0.75, 1.5, 0, -0.75, 1.5]),
    ("cos", [0, -0.0, INF, -INF], [1, 1, NAN, NAN]),
    ("elu", [-INF, INF, 0, -0.0], [-1.1 * 0.7, INF, 0, -0.0]),
    ("erf", [-INF, INF, 0, -0.0], [-1, 1, 0, -0.0]),
    ("exp", [-INF, INF, 0, -0.0, 1e5, -1e5], [0, INF, 1, 1, INF, 0]),
    ("expm1", [-INF, INF, 0, -0.0, 1e5, -1e5], [-1, INF, 0, -0.0, INF, -1]),
    ("floor", [-0.5, 1.2, INF, -0.0], [-1, 1, INF, -0.0]),
    ("gelu", [INF, 0, -0.0, 1e30], [INF, 0, -0.0, 1e30]),
    ("gelu_tanh", [INF, 0, -0.0, 1e12], [INF, 0, -0.0, 1e12]),
    ("hardsigmoid", [-INF, INF, 0, -3, 3], [0, 1, 0.5, 0, 1]),
    ("hardswish", [-INF, INF, 0, -0.0, -3, 3], [0, INF, 0, -0.0, 0, 3]),
    ("leaky_relu", [INF, 0, -0.0], [INF, 0, -0.0]),
    ("log", [0, -0.0, 1, INF, -1, -INF], [-INF, -INF, 0, INF, NAN, NAN]),
    ("log1p", [-1, 0, -0.0, INF, -2, -INF], [-INF, 0, -0.0, INF, NAN, NAN]),
    ("logsigmoid", [-INF, INF, -1e7], [-INF, -0.0, -1e7]),
    ("mish", [INF, 0, -0.0, 1e30, 45], [INF, 0, -0.0, 1e30, 45]),
    ("neg", [0, -INF], [-0.0, INF]),
    ("reciprocal", [0, -0.0, INF, -INF], [INF, -INF, 0, -0.0]),
    ("relu", [-0.0, -INF, INF, -3], [0, 0, INF, 0]),
    ("round", [0.5, 1.5, 2.5, -0.5, -1.5, 1e30], [0, 2, 2, -0.0, -2, 1e30]),
    ("rsqrt", [0, INF, -1], [INF, 0, NAN]),
    ("sigmoid", [-INF, INF, 0, -1e7, 1e7], [0, 1, 0.5, 0, 1]),
    ("sign", [0, -0.0, -INF, 7], [0, 0, -1, 1]),
    ("silu", [INF, 0, -0.0, -1e7], [INF, 0, -0.0, -0.0]),
    ("sin", [0, -0.0, INF, -INF], [0, -0.0, NAN, NAN]),
    ("softplus", [-INF, INF, 1e6, -1e6], [0, INF, 1e6, 0]),
    ("softsign", [-INF, INF, 0, -0.0, 1e30, 1], [-1, 1, 0, -0.0, 1, 0.5]),
    ("sqrt", [0, -0.0, INF, -1], [0, -0.0, INF, NAN]),
    ("square", [-INF, -0.0], [INF, 0]),
    ("tanh", [-INF, INF, 0, -0.0, -1e5], [-1, 1, 0, -0.0, -1]),
]


@pytest.mark.parametrize(("op", "x", "expected"), SPECIAL, ids=[case[0] for case in SPECIAL])
@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values(op, x, expected, dtype):
    x = np.array(x, dtype)
    assert_same(forward(op, x), np.array(expected, dtype), x)


def test_special_values_are_of_ops_that_exist():
    assert {case[0] for case in SPECIAL} <= set(UNARY)


@pytest.mark.parametrize("op", UNARY)
@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_stays_nan(op, dtype):
    x = np.zeros(37, dtype)
    x[[0, 20, 36]] = NAN
    assert np.isnan(forward(op, x)[[0, 20, 36]]).all()


@pytest.mark.parametrize("special", [NAN, INF, -INF, 0.0, -0.0])
@pytest.mark.parametrize("op", UNARY)
@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values_in_every_lane_and_tail(op, dtype, special):
    """What a special value becomes does not depend on where it stands, and its neighbours do not see it."""
    alone, usual = forward(op, np.array([special], dtype)), forward(op, np.array([0.5], dtype))
    for n in (1, 3, 16, 35):
        for place in range(n):
            x = np.full(n, 0.5, dtype)
            x[place] = special
            expected = np.full(n, usual[0], dtype)
            expected[place] = alone[0]
            assert_same(forward(op, x), expected, x)


@pytest.mark.parametrize("exponent", [0, 0.5, -0.5, 1, 2, -2, 3, -3, 2.5, 1e10, -1e10, INF, -INF, NAN])
@pytest.mark.parametrize("dtype", FLOATS)
def test_special_powers(dtype, exponent):
    """The special cases of C's pow."""
    x = np.array([0, -0.0, 1, -1, 0.5, -0.5, 2, -2, INF, -INF, NAN], dtype)
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.longdouble), np.longdouble(dtype(exponent))).astype(dtype)
        np.testing.assert_allclose(kernels.pow_scalar_forward(x, exponent), expected, 4 * np.finfo(dtype).eps)
        zero = expected == 0
    assert_same(kernels.pow_scalar_forward(x, exponent)[zero], expected[zero])


@pytest.mark.parametrize("op", ["erf", "sin", "tanh"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_odd(op, dtype):
    x = draw(dtype, 1e6)
    assert_same(forward(op, -x), -forward(op, x), x)


@pytest.mark.parametrize("dtype", FLOATS)
def test_subnormal_results(dtype):
    """exp and sigmoid fade to zero through the subnormal numbers, rounded once."""
    log_smallest = math.log(float(np.finfo(dtype).smallest_normal))
    x = np.linspace(log_smallest - 40, log_smallest + 1, 10_000).astype(dtype)
    exact = np.exp(x.astype(np.longdouble))
    with np.errstate(under="ignore"):
        assert ulp_errors(forward("exp", x), exact).max() <= 1
        assert ulp_errors(forward("sigmoid", x), exact).max() <= 2


# ---- slopes ----
WHOLE = np.arange(-3.0, 4)
KINKS = {"abs": [0], "ceil": WHOLE, "clamp": [-0.75, 1.5], "elu": [0], "floor": WHOLE, "hardsigmoid": [-3, 3], "hardswish": [-3, 3],
         "leaky_relu": [0], "relu": [0],
         "round": WHOLE + 0.5, "sign": [0]}  # fmt: skip
POSITIVE = {"log", "log1p", "rsqrt", "sqrt"}


def central_difference(f, x):
    """Order 4, the step in proportion to x."""
    h = 1e-3 * (0.1 + np.abs(x))
    return (f(x - 2 * h) - 8 * f(x - h) + 8 * f(x + h) - f(x + 2 * h)) / (12 * h)


@pytest.mark.parametrize("op", UNARY)
def test_slope(op):
    rng = np.random.default_rng(1)
    x = rng.uniform(0.3, 3, 501) if op in POSITIVE else rng.uniform(0.3, 3, 501) * rng.choice([-1, 1], 501)
    for kink in KINKS.get(op, ()):
        x = x[np.abs(x - kink) > 0.02]
    dy = rng.standard_normal(x.size)
    saved = forward(op, x) if saves_output(op) else x
    expected = dy * central_difference(lambda x: forward(op, x), x)
    np.testing.assert_allclose(backward(op, dy, saved), expected, 1e-7, 1e-8)


@pytest.mark.parametrize("op", LOSSES)
def test_loss_slope(op):
    rng = np.random.default_rng(2)
    x, target = rng.uniform(0.1, 0.9, 501), rng.uniform(0, 1, 501)
    if op in ("huber", "smooth_l1"):
        x = target + rng.uniform(-2, 2, 501)
        x = x[np.abs(np.abs(x - target) - PARAMETERS[op][0]) > 0.02]
        target = target[: x.size]
    keep = np.abs(x - target) > 0.02
    x, target, dy = x[keep], target[keep], rng.standard_normal(keep.sum())
    expected = dy * central_difference(lambda x: forward(op, x, target), x)
    np.testing.assert_allclose(backward(op, dy, x, target), expected, 1e-7, 1e-8)


@pytest.mark.parametrize(("op", "saved", "slope"), [
    ("abs", [0, -0.0, -3, NAN], [0, 0, -1, NAN]),
    ("clamp", [-0.75, 1.5, -0.76, 1.51], [1, 1, 0, 0]),
    ("elu", [-INF, INF, 0], [0, 1.1, 1.1 * 0.7 * 1.3]),
    ("hardsigmoid", [-INF, INF, 3, -3], [0, 0, 0, 0]),
    ("hardswish", [-INF, INF, 3, -3], [0, 1, 1, 0]),
    ("logsigmoid", [-INF, INF], [1, 0]),
    ("mish", [INF, 60], [1, 1]),
    ("leaky_relu", [0, -1, 2], [0.1, 0.1, 1]),
    ("relu", [0, 3, NAN], [0, 1, 0]),
    ("softplus", [-INF, INF, 100], [0, 1, 1]),
    ("square", [0, -3], [0, -6]),
])  # fmt: skip
def test_slope_at_kinks(op, saved, slope):
    saved = np.array(saved, float)
    assert_same(backward(op, np.ones_like(saved), saved), slope, saved)


def test_power_slope_at_zero():
    dy, x = np.ones(2), np.array([0.0, -0.0])
    for exponent, slope in ((0, 0), (1, 1), (2, 0), (3, 0)):
        np.testing.assert_array_equal(kernels.pow_scalar_backward(dy, x, exponent), slope)


# ---- losses ----
def test_losses_at_their_ends():
    x, target = np.array([0.0, 0, 1, 1]), np.array([0.0, 1, 0, 1])
    np.testing.assert_array_equal(forward("bce", x, target), [0, 100, 100, 0])
    np.testing.assert_array_equal(backward("bce", np.ones(4), x, target), [0, -1e12, 1e12, 0])
    x, target = np.array([1e6, -1e6, 1e6, -1e6]), np.array([0.0, 0, 1, 1])
    assert_same(forward("bce_with_logits", x, target), [1e6, 0, 0, 1e6])
    assert_same(backward("bce_with_logits", np.ones(4), x, target), [1, 0, 0, -1])
    x, target = np.array([0.0, 0.8, -0.8, 3]), np.zeros(4)
    np.testing.assert_allclose(forward("huber", x, target), [0, 0.32, 0.32, 0.8 * 2.6], 1e-15)
    np.testing.assert_allclose(backward("huber", np.ones(4), x, target), [0, 0.8, -0.8, 0.8], 1e-15)
    np.testing.assert_allclose(forward("smooth_l1", x, target), [0, 0.5, 0.5, 2.7], 1e-15)
    np.testing.assert_allclose(backward("smooth_l1", np.ones(4), x, target), [0, 1, -1, 1], 1e-15)
    np.testing.assert_array_equal(backward("l1", np.ones(4), x, target), [0, 1, -1, 1])
    nan, zero = np.full(1, NAN), np.zeros(1)
    for op in LOSSES:
        assert np.isnan(forward(op, nan, zero)).all()
        assert np.isnan(backward(op, np.ones(1), nan, zero)).all()


@pytest.mark.parametrize("dy_shape", [(), (1,), (7,), (5, 1), (3, 1, 7), (1, 5, 7), (3, 5, 7)])
@pytest.mark.parametrize("op", LOSSES)
def test_loss_gradient_is_broadcast(op, dy_shape):
    rng = np.random.default_rng(3)
    x, target = rng.uniform(0.1, 0.9, (2, 3, 5, 7))
    dy = np.broadcast_to(rng.standard_normal(dy_shape), x.shape)
    slope = backward(op, np.ones_like(x), x, target)
    np.testing.assert_array_equal(backward(op, dy, x, target), dy * slope)


def test_loss_gradient_walks_any_view():
    rng = np.random.default_rng(4)
    x, target = rng.uniform(0.1, 0.9, (2, 300, 70))
    slope = backward("mse", np.ones_like(x), x, target)
    transposed, strided, row = (rng.standard_normal(shape) for shape in ((70, 300), (300, 140), (1, 70)))
    for dy in (transposed.T, strided[:, ::-2], row):
        dy = np.broadcast_to(dy, x.shape)
        np.testing.assert_array_equal(backward("mse", dy, x, target), dy * slope)


# ---- the same bits on every path ----
def digests():
    """{op and dtype: digest of its results}, NaNs alike."""
    result = {}
    for dtype in FLOATS:
        x, dy = draw(dtype, 1e300, 5000), draw(dtype, 10, 5000, seed=1)
        probability, target = draw(dtype, 1, 5000, seed=2), draw(dtype, 1, 5000, seed=3)
        for op in [*UNARY, *LOSSES]:
            arrays = (probability, target) if op in LOSSES else (x,)
            y = forward(op, *arrays)
            dx = backward(op, dy, *(arrays if not saves_output(op) else (y,)))
            joined = np.concatenate([y, dx])
            joined[np.isnan(joined)] = NAN
            result[f"{op} {dtype.__name__}"] = hashlib.sha256(joined.tobytes()).hexdigest()
    return result


@pytest.mark.parametrize("isa", isas())
def test_same_bits_on_every_isa(isa):
    if isa == ISA:
        pytest.skip("the ISA of this process")
    environment = {**os.environ, "NNCORE_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run([sys.executable, __file__], env=environment, stdout=subprocess.PIPE, check=True).stdout
    assert json.loads(printed) == digests()


@pytest.mark.parametrize("op", UNARY)
@pytest.mark.parametrize("dtype", FLOATS)
def test_an_element_does_not_see_its_neighbours(op, dtype):
    x = draw(dtype, 100, 20)
    y = forward(op, x)
    for n in range(70):
        assert_same(forward(op, x[n : 2 * n]), y[n : 2 * n])
    assert_same(KERNELS[op + "_forward"](x, *PARAMETERS.get(op, ()), out=x), y)


if __name__ == "__main__":
    print(json.dumps(digests()))
