"""The one table of ops on the test side: what each op computes, on which arguments, how exactly.

A row gives the op as users call it, the kernels under it, the same formula in NumPy, and where to draw arguments from. The
suites test_ops_*.py expand the rows over dtypes, threads, ISAs, layouts and sizes; benchmarks take their sizes from the
same names. References get their arguments in float64 for float32 ops and in the widest float for float64 ops.

Run as a script, this file prints a digest of the results of every row, so that one ISA can be compared with another.
"""

import hashlib
import json
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import test_optimizer_kernels as optimizers  # the formulas, written out there
import test_random as philox

import nncore
import nncore.nn.functional as F
from nncore import kernels, ops

FLOATS = ("float32", "float64")
NUMBERS = (*FLOATS, "int64", "int32", "uint8")
ANY = (*NUMBERS, "bool")


# ---- the shape of a row ----
@dataclass(frozen=True)
class Arg:
    """What one argument is drawn from."""

    low: float = -2.0
    high: float = 2.0
    avoid: tuple = ()  # kinks: nothing is drawn within 0.05 of these
    kind: str = "float"  # "float", "index" (int64 in low <= i < high), "bool", "distinct" (floats, all different)
    gradient: bool = True


@dataclass(frozen=True)
class OpCase:
    """One op: `op` takes Tensors, `reference` arrays; both return one result or a tuple."""

    name: str
    op: Callable
    reference: Callable
    args: tuple
    shapes: tuple  # small sets of argument shapes
    sized: Callable | None  # n -> argument shapes with an axis of length n, for edge sizes and lanes
    large: tuple  # argument shapes that are work for five threads
    kernels: tuple
    ulp: float = 2.0  # largest error allowed, in units in the last place of `scale`
    scale: Callable | None = None  # arrays -> size of what is added up; default: the result itself
    gradient: bool = True
    special: str = ""  # "lanes": each element for itself; "rows": over the last axis; "": no NaN or infinity expected
    dtypes: tuple = FLOATS
    same_bits: bool = True  # whether every layout of the arguments gives the same bits


CASES = []


def case(name, op, reference, args, shapes, sized, large, kernel_names, **options):
    CASES.append(OpCase(name, op, reference, args, shapes, sized, large, tuple(kernel_names), **options))


def both(name):
    """Names of a forward kernel and its gradient."""
    return f"{name}_forward", f"{name}_backward"


# ---- drawing arguments ----
def draw_array(arg, shape, dtype, rng):
    """An array of the given shape, never constant where it could be otherwise."""
    if arg.kind == "index":
        array = rng.integers(int(arg.low), int(arg.high), shape)
    elif arg.kind == "bool" or dtype == "bool":
        array = np.asarray(rng.random(shape) < 0.5)
        array.reshape(-1)[:2] = [True, False][: array.size]
    elif arg.kind == "distinct":
        array = (rng.permutation(math.prod(shape)) / max(math.prod(shape), 1) * 4 - 2).reshape(shape)
    else:
        array = np.asarray(rng.uniform(arg.low, arg.high, shape))
        for kink in arg.avoid:
            near = np.abs(array - kink) < 0.05
            array = np.where(near, kink + np.where(array < kink, -0.1, 0.1), array)
        if dtype in ("int64", "int32", "uint8"):
            array = np.round(array * 3)
            array = np.abs(array) if dtype == "uint8" else array
    if arg.kind in ("float", "distinct"):
        array = np.asarray(array, dtype)
    if array.size > 8 and not (arg.kind == "index" and arg.high - arg.low == 1):
        assert np.ptp(array.astype(np.float64)) > 0, "a constant draw tests nothing"
    return np.ascontiguousarray(array).reshape(shape)


def draw(op_case, shapes, dtype, seed=0):
    """The arguments of one call."""
    rng = np.random.default_rng([seed, *map(ord, op_case.name)])
    return [draw_array(arg, shape, dtype, rng) for arg, shape in zip(op_case.args, shapes)]


# ---- calling ----
def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def run(op_case, arrays, requires_grad=False):
    """(results, inputs) as Tensors."""
    tensors = []
    for arg, array in zip(op_case.args, arrays):
        tensor = nncore.as_tensor(array)
        if requires_grad and arg.gradient and arg.kind in ("float", "distinct"):
            tensor.requires_grad_()
        tensors.append(tensor)
    return as_tuple(op_case.op(*tensors)), tensors


def run_arrays(op_case, arrays):
    with nncore.no_grad():
        return [t.numpy() for t in run(op_case, arrays)[0]]


def cotangents(results):
    """Something to multiply each result by, that no symmetry hides behind."""
    return [np.cos(1.0 + np.arange(r.size)).reshape(r.shape).astype(r.dtype) for r in results]


def gradients(op_case, arrays):
    """Gradients of sum(result * cotangent), None for arguments that have none."""
    results, tensors = run(op_case, arrays, requires_grad=True)
    for result, dy in zip(results, cotangents([t.detach().numpy() for t in results])):
        if result.requires_grad:
            result.backward(nncore.from_numpy(dy))
    return [None if t.grad is None else t.grad.numpy() for t in tensors]


def wide(array):
    """For a reference: float64 for float32, the widest float for float64."""
    if array.dtype == np.float32:
        return array.astype(np.float64)
    return array.astype(np.longdouble) if array.dtype == np.float64 else array


def expected(op_case, arrays):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means of nothing
        return [np.asarray(r) for r in as_tuple(op_case.reference(*map(wide, arrays)))]


def allowed_error(op_case, arrays, result, reference):
    """The largest error allowed, elementwise."""
    if result.dtype.kind != "f":
        return np.zeros(result.shape)
    info = np.finfo(result.dtype)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        size = reference if op_case.scale is None else np.broadcast_to(op_case.scale(*map(wide, arrays)), reference.shape)
        size = np.clip(np.nan_to_num(np.abs(size).astype(np.float64)), float(info.tiny), float(info.max) / 2)
        return op_case.ulp * np.spacing(size.astype(result.dtype)).astype(np.float64)


def assert_matches(op_case, arrays, results, note=""):
    """Every result is its reference: shape, NaN, infinities, and value within the error allowed."""
    references = expected(op_case, arrays)
    assert len(results) == len(references)
    for result, reference in zip(results, references):
        assert result.shape == reference.shape, (op_case.name, note, result.shape, reference.shape)
        error = allowed_error(op_case, arrays, result, reference)
        with np.errstate(all="ignore"):
            rounded = reference.astype(result.dtype)
            good = rounded == result
            if result.dtype.kind == "f":
                good |= (np.abs(result - reference) <= error) | (np.isnan(result) & np.isnan(rounded))
        if not good.all():
            at = tuple(np.argwhere(~good)[0])
            raise AssertionError(f"{op_case.name} {note} at {at}: {result[at]!r}, expected {reference[at]!r} +- {error[at]!r}")


def digest(arrays):
    """Of the bits, all NaN being one."""
    h = hashlib.sha256()
    for array in arrays:
        if array is not None:
            array = np.where(np.isnan(array), array.dtype.type(np.nan), array) if array.dtype.kind == "f" else array
            h.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return h.hexdigest()[:16]


# ---- references ----
@np.vectorize(otypes=[np.longdouble])
def erf(x):
    """By its Taylor series, exact to far more digits than needed for |x| < 3; by math.erf beyond, where it is 1 but for those."""
    if x == 0 or not abs(x) < 3:
        return x if x == 0 else np.longdouble(math.erf(x))
    total = term = x
    for k in range(1, 100):
        term = -term * x * x / k
        total = total + term / (2 * k + 1)
    return total * 2 / np.sqrt(np.longdouble(math.pi) + np.longdouble(1.2246467991473532e-16))


def sigmoid(x):
    return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def logsumexp(x):
    largest = x.max(-1, keepdims=True, initial=-np.inf)
    return largest + np.log(np.exp(x - largest).sum(-1, keepdims=True))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
    return e / e.sum(-1, keepdims=True)


def cross_entropy(x, target, weight=None, label_smoothing=0.0, ignore_index=-100):
    """Losses of rows."""
    weight = np.ones(x.shape[1]) if weight is None else weight
    nll = logsumexp(x) - x
    safe = np.where(target == ignore_index, 0, target)
    hard = weight[safe] * nll[np.arange(len(x)), safe]
    smooth = (weight * nll).sum(1) / x.shape[1]
    return np.where(target == ignore_index, 0, (1 - label_smoothing) * hard + label_smoothing * smooth)


def patches(x, size, stride=1, padding=0, dilation=1, fill=0.0):
    """(N, C, OH, OW, size, size): what a window sees at each place."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=fill)
    reach = dilation * (size - 1) + 1
    windows = np.lib.stride_tricks.sliding_window_view(x, (reach, reach), (2, 3))
    return windows[:, :, ::stride, ::stride, ::dilation, ::dilation]


def conv2d(x, weight, bias, stride=1, padding=0, dilation=1, groups=1):
    n, channels = x.shape[:2]
    seen = patches(x, weight.shape[2], stride, padding, dilation)
    seen = seen.reshape(n, groups, channels // groups, *seen.shape[2:])
    weight = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    y = np.einsum("ngchwij,gocij->ngohw", seen, weight)
    return y.reshape(n, len(bias), *y.shape[3:]) + bias[:, None, None]


def normalised(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


# ---- pointwise ----
SHAPES = (((),), ((5,),), ((3, 7),), ((2, 3, 4),))
LARGE = ((521, 503),)


def line(n):
    return ((n,),)


def unary(name, reference, low=-4.0, high=4.0, *, avoid=(), op=None, kernel=None, **options):
    options = {"special": "lanes", **options}
    case(name, op or getattr(nncore, name, None) or getattr(F, name), reference, (Arg(low, high, avoid),), SHAPES, line, LARGE,
         both(kernel or name), **options)  # fmt: skip


unary("abs", np.abs, avoid=(0,))
unary("ceil", np.ceil, avoid=range(-4, 5))
unary("clamp", lambda x: np.clip(x, -1, 2), avoid=(-1, 2), op=lambda x: nncore.clamp(x, -1, 2))
unary("cos", np.cos, -20, 20)
unary("elu", lambda x: np.where(x > 0, x, 0.5 * np.expm1(x)), avoid=(0,), op=lambda x: F.elu(x, 0.5), ulp=3)
unary("erf", erf)
unary("exp", np.exp, -20, 20)
unary("expm1", np.expm1)
unary("floor", np.floor, avoid=range(-4, 5))
unary("gelu", lambda x: x * (1 + erf(x / np.sqrt(x.dtype.type(2)))) / 2, -2, 4, ulp=6, special="")
unary("gelu_tanh", lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), -2, 4,
      op=lambda x: F.gelu(x, approximate="tanh"), ulp=12, special="")  # fmt: skip
unary("leaky_relu", lambda x: np.where(x > 0, x, 0.125 * x), avoid=(0,), op=lambda x: F.leaky_relu(x, 0.125))
unary("log", np.log, 0.1, 20)
unary("log1p", np.log1p, -0.9, 20)
unary("neg", np.negative)
unary("pow_scalar", lambda x: x**2.5, 0.1, 4, op=lambda x: x**2.5, ulp=2)
unary("reciprocal", lambda x: 1 / x, 0.1, 4)
unary("relu", lambda x: np.where((x > 0) | np.isnan(x), x, 0), avoid=(0,))
unary("round", np.round, avoid=[k + 0.5 for k in range(-5, 5)])
unary("rsqrt", lambda x: 1 / np.sqrt(x), 0.1, 4)
unary("sigmoid", sigmoid, -20, 20, ulp=3)
unary("sign", lambda x: np.sign(x), avoid=(0,))
unary("silu", lambda x: x * sigmoid(x), ulp=4, special="")
unary("sin", np.sin, -20, 20)
unary("softplus", lambda x: softplus(2 * x) / 2, op=lambda x: F.softplus(x, beta=2), ulp=4)
unary("sqrt", np.sqrt, 0.1, 20)
unary("square", np.square)
unary("tanh", np.tanh)


# ---- losses, elementwise ----
def loss(name, reference, prediction, target, *, function=None, **options):
    function = function or getattr(F, f"{name}_loss")
    pairs = tuple((shapes[0], shapes[0]) for shapes in SHAPES)
    case(name, lambda x, t: function(x, t, reduction="none"), reference, (prediction, target), pairs, lambda n: ((n,), (n,)), LARGE * 2,
         both(name), **options)  # fmt: skip


NEAR_ZERO = Arg(-2, 2, (-1, 0, 1)), Arg(-0.04, 0.04)  # the kinks at |x - t| = 0 and 1 stay out of reach
PROBABILITY = Arg(0, 1, gradient=False)
loss("mse", lambda x, t: (x - t) ** 2, Arg(), Arg(), ulp=3)
loss("l1", lambda x, t: np.abs(x - t), *NEAR_ZERO)
loss("huber", lambda x, t: np.where(np.abs(x - t) <= 1, (x - t) ** 2 / 2, np.abs(x - t) - 0.5), *NEAR_ZERO, ulp=3)
loss("smooth_l1", lambda x, t: np.where(np.abs(x - t) < 1, (x - t) ** 2 / 2, np.abs(x - t) - 0.5), *NEAR_ZERO, ulp=3)
loss("bce", lambda x, t: -(t * np.log(x) + (1 - t) * np.log1p(-x)), Arg(0.05, 0.95), PROBABILITY, function=F.binary_cross_entropy, ulp=4)
loss("bce_with_logits", lambda x, t: softplus(x) - x * t, Arg(-6, 6), PROBABILITY, function=F.binary_cross_entropy_with_logits,
     ulp=4, scale=lambda x, t: np.abs(x) + 1)  # fmt: skip

# ---- broadcast ----
PAIRS = (((), ()), ((7,), (7,)), ((3, 7), (7,)), ((3, 1), (1, 5)), ((2, 3, 4), (3, 1)), ((), (4, 3)))
PAIR_LARGE = ((523, 509), (509,))


def line2(n):
    return ((n,), (n,))


def binary(name, reference, args=(Arg(), Arg()), *, dtypes=ANY, **options):
    options = {"special": "lanes", **options}
    case(name, getattr(nncore, name), reference, args, PAIRS, line2, PAIR_LARGE, (name,), dtypes=dtypes, **options)


binary("add", np.add)
binary("sub", np.subtract, dtypes=NUMBERS)
binary("mul", np.multiply)
binary("div", np.divide, (Arg(), Arg(0.5, 2)), dtypes=FLOATS)
binary("pow", np.power, (Arg(0.2, 3), Arg()), dtypes=FLOATS)
binary("maximum", np.maximum, (Arg(-2, 0.3), Arg(-0.3, 2)))
binary("minimum", np.minimum, (Arg(-2, 0.3), Arg(-0.3, 2)))
for comparison, reference in [("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal), ("gt", np.greater),
                              ("ge", np.greater_equal), ("logical_and", np.logical_and), ("logical_or", np.logical_or),
                              ("logical_xor", np.logical_xor)]:  # fmt: skip
    binary(comparison, reference, gradient=False)
case("where", nncore.where, np.where, (Arg(kind="bool"), Arg(), Arg()),
     (((3, 4), (3, 4), (4,)), ((4,), (3, 1), ()), ((), (5,), (5,))), lambda n: ((n,), (n,), (n,)), ((509, 523), (523,), (509, 1)),
     ("where",), dtypes=ANY)  # fmt: skip
case("copy", lambda x: nncore.transpose(x, 0, -1).contiguous(), lambda x: np.swapaxes(x, 0, -1), (Arg(),),
     (((3, 5),), ((2, 3, 4),), ((2, 5, 4, 3),), ((17, 40),)), lambda n: ((n, 5),), ((521, 503),), ("copy",), dtypes=ANY, ulp=0)  # fmt: skip


# ---- reductions ----
def summed(axis):
    return lambda x: np.abs(x).sum(axis, keepdims=False)


def reduction(name, op, reference, axis, kernel_names, *, kind="float", **options):
    shapes = (((5,),), ((3, 7),), ((2, 3, 4),)) if axis is None else (((3, 7),), ((2, 3, 5),), ((4, 3, 3),))
    large = ((300, 1009),) if axis == -1 else ((1009, 300),)
    case(name, op, reference, (Arg(kind=kind),), shapes, (lambda n: ((3, n),)) if axis != 0 else lambda n: ((n, 3),), large,
         kernel_names, **options)  # fmt: skip


for label, axis in [("all", None), ("last", -1), ("first", 0)]:
    reduction(f"sum_{label}", lambda x, axis=axis: x.sum(axis), lambda x, axis=axis: np.sum(x, axis, dtype=np.int64 if x.dtype.kind in "biu" else None),
              axis, ("sum",), dtypes=ANY, scale=summed(axis), ulp=4, special="rows" if axis == -1 else "")  # fmt: skip
    for extreme in ("max", "min"):
        reduction(f"a{extreme}_{label}", lambda x, axis=axis, name=f"a{extreme}": getattr(x, name)(axis),
                  lambda x, axis=axis, name=extreme: getattr(np, name)(x, axis), axis, (extreme,), dtypes=ANY, kind="distinct", ulp=0,
                  special="rows" if axis == -1 else "")  # fmt: skip
        reduction(f"arg{extreme}_{label}", lambda x, axis=axis, name=f"arg{extreme}": getattr(x, name)(axis),
                  lambda x, axis=axis, name=f"arg{extreme}": getattr(np, name)(x, axis), axis, (f"arg{extreme}",), dtypes=ANY, gradient=False,
                  special="rows" if axis == -1 else "")  # fmt: skip
reduction("max_along", lambda x: x.max(1), lambda x: (x.max(1), x.argmax(1)), -1, ("max", "argmax"), kind="distinct", ulp=0)
reduction("mean", lambda x: x.mean(-1), lambda x: x.mean(-1), -1, ("sum", "div"), scale=lambda x: np.abs(x).mean(-1), ulp=4, special="rows")
reduction("var", lambda x: x.var(-1), lambda x: x.var(-1, ddof=1), -1, ("sum",), ulp=20, special="rows")
reduction("std", lambda x: x.std(-1), lambda x: x.std(-1, ddof=1), -1, ("sum",), ulp=20)
reduction("logsumexp", lambda x: x.logsumexp(-1), lambda x: logsumexp(x)[..., 0], -1, ("max", "sum"), scale=lambda x: np.ones(()) * 8, ulp=4)
reduction("norm", lambda x: x.norm(), lambda x: np.sqrt(np.square(x).sum()), None, ("sum",), ulp=6)

# ---- shapes and indices ----
case("cat", lambda a, b: nncore.cat([a, b], 1), lambda a, b: np.concatenate([a, b], 1), (Arg(), Arg()),
     (((3, 2), (3, 5)), ((2, 1, 3), (2, 4, 3))), lambda n: ((2, n), (2, 3)), ((403, 500), (403, 131)), ("copy",), dtypes=ANY, ulp=0)  # fmt: skip
case("stack", lambda a, b: nncore.stack([a, b], -1), lambda a, b: np.stack([a, b], -1), (Arg(), Arg()),
     (((3, 2), (3, 2)),), line2, ((403, 500), (403, 500)), ("copy",), dtypes=ANY, ulp=0)  # fmt: skip
case("pad", lambda x: F.pad(x, (1, 2, 0, 1), value=1.0), lambda x: np.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, 1), (1, 2)], constant_values=1),
     (Arg(),), (((3, 5),), ((2, 3, 4),)), lambda n: ((2, n),), ((509, 523),), ("copy",), ulp=0)  # fmt: skip
case("index", lambda x, i: x[i], lambda x, i: x[i], (Arg(), Arg(0, 5, kind="index")), (((5, 3), (7,)), ((5,), (2, 3)), ((5, 2, 2), (4,))),
     lambda n: ((5, n), (4,)), ((5, 701), (307,)), ("gather_rows", "scatter_add_rows"), ulp=0)  # fmt: skip
case("embedding", lambda i, table: F.embedding(i, table), lambda i, table: table[i], (Arg(0, 11, kind="index"), Arg()),
     (((7,), (11, 3)), ((2, 3), (11, 1))), lambda n: ((n,), (11, 3)), ((1009,), (11, 263)), ("gather_rows", "scatter_add_rows"), ulp=0)  # fmt: skip

# ---- products ----
MATRICES = (((3, 5), (5, 2)), ((5,), (5, 2)), ((3, 5), (5,)), ((5,), (5,)), ((2, 3, 5), (5, 2)), ((2, 3, 5), (2, 5, 2)), ((2, 1, 3, 5), (4, 5, 2)))


def product_scale(a, b):
    return np.matmul(np.abs(a), np.abs(b))


case("matmul", nncore.matmul, np.matmul, (Arg(), Arg()), MATRICES, lambda n: ((3, n), (n, 5)), ((131, 257), (257, 131)), ("matmul",),
     ulp=8, scale=product_scale)  # fmt: skip
case("matmul_columns", nncore.matmul, np.matmul, (Arg(), Arg()), (((3, 5), (5, 2)),), lambda n: ((2, 5), (5, n)), ((259, 600), (600, 33)),
     ("matmul",), ulp=8, scale=product_scale)  # fmt: skip
for activation, function in [(None, lambda x: x), ("relu", lambda x: np.maximum(x, 0)), ("tanh", np.tanh), ("sigmoid", sigmoid),
                             ("silu", lambda x: x * sigmoid(x)), ("gelu", lambda x: x * (1 + erf(x / np.sqrt(x.dtype.type(2)))) / 2)]:  # fmt: skip
    case(f"linear_{activation}" if activation else "linear", lambda x, w, b, activation=activation: ops.linear(x, w, b, activation=activation),
         lambda x, w, b, function=function: function(x @ w.T + b), (Arg(), Arg(-0.5, 0.5), Arg()),
         (((3, 5), (4, 5), (4,)), ((5,), (4, 5), (4,)), ((2, 3, 5), (1, 5), (1,))), lambda n: ((3, n), (5, n), (5,)),
         ((131, 257), (131, 257), (131,)), both("linear"), ulp=8 if activation is None else 16,
         scale=lambda x, w, b: np.abs(x) @ np.abs(w.T) + np.abs(b) + 1)  # fmt: skip

# ---- images ----
CONV_ARGS = (Arg(), Arg(-0.5, 0.5), Arg())
for label, shapes, large, options in [
    ("", (((2, 3, 5, 6), (4, 3, 3, 3), (4,)), ((1, 1, 4, 4), (1, 1, 1, 1), (1,))), ((8, 16, 18, 17), (19, 16, 3, 3), (19,)), {}),
    ("_strided", (((2, 3, 7, 6), (4, 3, 3, 3), (4,)),), ((9, 16, 33, 35), (19, 16, 3, 3), (19,)), {"stride": 2, "padding": 1}),
    ("_dilated", (((2, 2, 7, 7), (3, 2, 3, 3), (3,)),), ((8, 16, 18, 18), (19, 16, 3, 3), (19,)), {"dilation": 2, "padding": 2}),
    ("_grouped", (((2, 4, 5, 5), (6, 2, 3, 3), (6,)),), ((9, 32, 20, 20), (34, 16, 3, 3), (34,)), {"groups": 2, "padding": 1}),
    ("_depthwise", (((2, 4, 5, 5), (4, 1, 3, 3), (4,)),), ((9, 64, 33, 33), (64, 1, 3, 3), (64,)), {"groups": -1, "padding": 1}),
]:

    def conv_options(x, options=options):
        return {**options, "groups": x.shape[1]} if options.get("groups") == -1 else options

    case(f"conv2d{label}", lambda x, w, b, at=conv_options: F.conv2d(x, w, b, **at(x)), lambda x, w, b, at=conv_options: conv2d(x, w, b, **at(x)),
         CONV_ARGS, shapes, None if label else lambda n: ((1, n, 3, 4), (2, n, 2, 2), (2,)), large, both("conv2d"), ulp=8,
         scale=lambda x, w, b, at=conv_options: conv2d(np.abs(x), np.abs(w), np.abs(b), **at(x)))  # fmt: skip
for label, options in [("", {}), ("_padded", {"stride": 1, "padding": 1})]:
    step = {"stride": 2, "padding": 0, **options}
    case(f"max_pool2d{label}", lambda x, options=options: F.max_pool2d(x, 2, **options),
         lambda x, step=step: patches(x, 2, **step, fill=-np.inf).max((-1, -2)), (Arg(kind="distinct"),),
         (((2, 3, 4, 6),), ((1, 1, 5, 5),)), lambda n: ((1, n, 4, 4),), ((8, 33, 40, 40),), both("max_pool2d"), ulp=0)  # fmt: skip
    case(f"avg_pool2d{label}", lambda x, options=options: F.avg_pool2d(x, 2, **options),
         lambda x, step=step: patches(x, 2, **step).mean((-1, -2)), (Arg(),), (((2, 3, 4, 6),), ((1, 1, 5, 5),)),
         lambda n: ((1, n, 4, 4),), ((8, 33, 40, 40),), both("avg_pool2d"), ulp=3,
         scale=lambda x, step=step: patches(np.abs(x), 2, **step).mean((-1, -2)))  # fmt: skip

# ---- rows ----
ROWS = (((3, 7),), ((5,),), ((2, 3, 4),))
case("softmax", lambda x: F.softmax(x, -1), softmax, (Arg(-5, 5),), ROWS, lambda n: ((3, n),), ((300, 211),), both("softmax"), ulp=16, special="rows")
case("softmax_first", lambda x: F.softmax(x, 0), lambda x: softmax(x.T).T, (Arg(-5, 5),), (((3, 7),),), lambda n: ((n, 3),), ((300, 211),),
     both("softmax"), ulp=16)  # fmt: skip
case("log_softmax", lambda x: F.log_softmax(x, -1), lambda x: x - logsumexp(x), (Arg(-5, 5),), ROWS, lambda n: ((3, n),), ((300, 211),),
     both("log_softmax"), ulp=4, scale=lambda x: np.ones(()) * 16, special="rows")  # fmt: skip
for label, options in [("", {}), ("_smoothed", {"label_smoothing": 0.25})]:
    case(f"cross_entropy{label}", lambda x, t, options=options: F.cross_entropy(x, t, reduction="none", **options),
         lambda x, t, options=options: cross_entropy(x, t, **options), (Arg(-5, 5), Arg(0, 3, kind="index")), (((4, 3), (4,)), ((2, 5), (2,))),
         lambda n: ((2, n + 3), (2,)), ((401, 211), (401,)), both("cross_entropy"), ulp=4, scale=lambda x, t: np.ones(()) * 16)  # fmt: skip
case("cross_entropy_weighted", lambda x, t, w: F.cross_entropy(x, t, weight=w, label_smoothing=0.25, ignore_index=1, reduction="none"),
     lambda x, t, w: cross_entropy(x, t, w, 0.25, ignore_index=1), (Arg(-5, 5), Arg(0, 3, kind="index"), Arg(0.5, 2, gradient=False)),
     (((4, 3), (4,), (3,)),), lambda n: ((2, n + 3), (2,), (n + 3,)), ((401, 211), (401,), (211,)), both("cross_entropy"), ulp=4,
     scale=lambda x, t, w: np.ones(()) * 16)  # fmt: skip
case("cross_entropy_mean", lambda x, t: F.cross_entropy(x, t), lambda x, t: cross_entropy(x, t).mean(), (Arg(-5, 5), Arg(0, 3, kind="index")),
     (((4, 3), (4,)),), lambda n: ((2, n + 3), (2,)), ((401, 211), (401,)), both("cross_entropy"), ulp=4, scale=lambda x, t: np.ones(()) * 16)  # fmt: skip
case("soft_cross_entropy", lambda x, t: F.cross_entropy(x, t, reduction="none"), lambda x, t: (t * (logsumexp(x) - x)).sum(-1),
     (Arg(-5, 5), Arg(0, 1, gradient=False)), (((4, 3), (4, 3)),), lambda n: ((2, n), (2, n)), ((401, 211), (401, 211)),
     both("soft_cross_entropy"), ulp=8, scale=lambda x, t: np.abs(t).sum(-1) * 8)  # fmt: skip
case("nll_loss", lambda x, t: F.nll_loss(x, t), lambda x, t: -x[np.arange(len(t)), t].mean(), (Arg(-3, 0), Arg(0, 3, kind="index")),
     (((4, 3), (4,)),), lambda n: ((2, n + 3), (2,)), ((401, 211), (401,)), ("gather_rows", "sum"), ulp=4, scale=lambda x, t: np.ones(()) * 3)  # fmt: skip

# ---- norms ----
case("layer_norm", lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b), lambda x, w, b: normalised(x, -1) * w + b, (Arg(), Arg(0.5, 1.5), Arg()),
     (((3, 7), (7,), (7,)), ((2, 3, 4), (4,), (4,))), lambda n: ((3, n + 2), (n + 2,), (n + 2,)), ((400, 263), (263,), (263,)),
     both("layer_norm"), ulp=16, scale=lambda x, w, b: np.ones(()) * 4)  # fmt: skip


def batch_axes(x):
    return (0, *range(2, x.ndim))


def per_channel(p, x):
    return p.reshape(-1, *[1] * (x.ndim - 2))


case("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
     lambda x, w, b: normalised(x, batch_axes(x)) * per_channel(w, x) + per_channel(b, x), (Arg(), Arg(0.5, 1.5), Arg()),
     (((5, 3), (3,), (3,)), ((2, 3, 2, 2), (3,), (3,))), lambda n: ((4, n), (n,), (n,)), ((400, 263), (263,), (263,)),
     ("batch_norm_forward", "batch_norm_backward"), ulp=16, scale=lambda x, w, b: np.ones(()) * 4)  # fmt: skip
case("batch_norm_inference", lambda x, mean, var, w, b: F.batch_norm(x, mean, var, w, b),
     lambda x, mean, var, w, b: (x - per_channel(mean, x)) / np.sqrt(per_channel(var, x) + 1e-5) * per_channel(w, x) + per_channel(b, x),
     (Arg(), Arg(gradient=False), Arg(0.5, 2, gradient=False), Arg(0.5, 1.5), Arg()), (((5, 3), (3,), (3,), (3,), (3,)), ((2, 3, 2, 2), *((3,),) * 4)),
     lambda n: ((4, n), *((n,),) * 4), ((400, 421), *((421,),) * 4), ("batch_norm_inference", "batch_norm_backward"), ulp=16,
     scale=lambda x, mean, var, w, b: np.ones(()) * 8)  # fmt: skip

# ---- random numbers: a function of (seed, offset, position) ----
SEED, OFFSET = 1234567, 89


def filled(kernel, *arguments):
    """An op that ignores the values of its argument and draws as many numbers."""
    return lambda x: nncore.from_numpy(kernel(*arguments, SEED, OFFSET, out=np.empty(x.shape, x.dtype)))


def drawn(draw_one, scale=1.0, shift=0.0):
    def reference(x):
        dtype = np.float32 if x.dtype == np.float64 else np.float64  # x is what the op got, made wide
        return np.array([draw_one(dtype, SEED, OFFSET + i) for i in range(x.size)]).reshape(x.shape) * scale + shift

    return reference


def dropped(x):
    kept = np.array([philox.draw(32, SEED, OFFSET + i) >= 2**30 for i in range(x.size)]).reshape(x.shape)
    return np.where(kept, x / 0.75, 0)


for name, op, reference in [
    ("random_uniform", filled(kernels.random_uniform, -1.0, 2.0), drawn(philox.uniform, 3.0, -1.0)),
    ("random_normal", filled(kernels.random_normal, 1.0, 2.0), drawn(philox.normal, 2.0, 1.0)),
    ("dropout", lambda x: nncore.from_numpy(kernels.dropout(x.contiguous().numpy(), 0.25, SEED, OFFSET)), dropped),
]:
    case(name, op, reference, (Arg(),), SHAPES, line, LARGE, (name,), ulp=6, scale=lambda x: np.ones(()) * 4, gradient=False)
case("random_permutation", lambda i: nncore.from_numpy(kernels.random_permutation(SEED, OFFSET, out=np.empty(i.shape, np.int64))),
     lambda i: np.array(philox.permutation(i.size, SEED, OFFSET), np.int64), (Arg(0, 9, kind="index"),), (((5,),), ((23,),)), line, ((5003,),),
     ("random_permutation",), gradient=False, dtypes=FLOATS[:1])  # fmt: skip


# ---- optimizers: one step from zero state ----
def stepped(kernel, states, *scalars):
    """An op of (parameter, gradient) that returns the parameter after one step."""

    def op(p, g):
        param = p.numpy().copy()
        kernel([param], *([np.zeros_like(param)] if state else None for state in states), [g.numpy()], *scalars)
        return nncore.from_numpy(param)

    return op


for name, op, reference in [
    ("sgd_step", stepped(kernels.sgd_step, (True,), 0.1, 0.9, 0.0, 0.01, 1, 0, 0, 1),
     lambda p, g: optimizers.sgd(p, [g], 0.1, 0.9, 0.0, 0.01, True, False, False)),
    ("adam_step", stepped(kernels.adam_step, (True, True, True), 0.1, 0.9, 0.99, 1e-8, 0.01, 1, 0, 1),
     lambda p, g: optimizers.adam(p, [g], 0.1, 0.9, 0.99, 1e-8, 0.01, True, False, True)),
    ("rmsprop_step", stepped(kernels.rmsprop_step, (True, True, True), 0.1, 0.9, 1e-8, 0.01, 0.5, 0),
     lambda p, g: optimizers.rmsprop(p, [g], 0.1, 0.9, 1e-8, 0.01, 0.5, False, True)),
]:  # fmt: skip
    pairs = tuple((shapes[0], shapes[0]) for shapes in SHAPES)
    case(name, op, reference, (Arg(), Arg(0.5, 2)), pairs, line2, LARGE * 2, (name,), ulp=16, scale=lambda p, g: np.ones(()) * 4, gradient=False)


def digests():
    """{case-dtype-shapes: digest of results and gradients}, the same on every ISA."""
    result = {}
    for op_case in CASES:
        settings = [*op_case.shapes, *(op_case.sized(n) for n in (1, 17, 67) if op_case.sized)]
        for dtype in FLOATS:
            for number, shapes in enumerate(settings if dtype in op_case.dtypes else ()):
                arrays = draw(op_case, shapes, dtype)
                result[f"{op_case.name}-{dtype}-{number}"] = digest(run_arrays(op_case, arrays))
                if op_case.gradient:
                    result[f"{op_case.name}-{dtype}-{number}-gradient"] = digest(gradients(op_case, arrays))
    return result


if __name__ == "__main__":
    print(json.dumps(digests()))
