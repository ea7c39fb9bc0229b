"""The one table of ops on the test side: what each op computes, on which arguments, how exactly.

A row gives the op as users call it, the same formula in NumPy, where to draw arguments from, their shapes, and the
kernels under it. The suites test_ops_*.py expand the rows over dtypes, threads, ISAs, layouts and sizes (op_checks.py
does the work); benchmarks/suite.py has sizes for each name. References get float64 for float32, and the widest float
for float64.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import op_references as reference
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
    kind: str = "float"  # "float", "index" (int64, low <= i < high), "bool", "distinct" (floats, all different)
    gradient: bool = True


@dataclass(frozen=True)
class OpCase:
    """One op: `op` takes Tensors, `reference` arrays; both return one result or a tuple."""

    name: str
    op: Callable
    reference: Callable
    args: tuple
    shapes: tuple  # small argument shapes, several calls
    sized: Callable | None  # n -> argument shapes with an axis of length n, for edge sizes
    large: tuple  # argument shapes that are work for five threads
    kernels: tuple
    ulp: float = 2.0  # largest error allowed, in units in the last place of `scale`
    scale: Callable | float | None = None  # arrays -> size of what is added up; default: the result itself
    gradient: bool = True
    special: str = (
        ""  # NaN and infinities: "lanes": each element for itself; "rows": over the last axis; "": none drawn
    )
    dtypes: tuple = FLOATS


CASES = []


def case(name, op, formula, args, shapes, sized, large, names, **options):
    CASES.append(OpCase(name, op, formula, args, shapes, sized, large, tuple(names), **options))


def both(name):
    """Names of a forward kernel and its gradient."""
    return f"{name}_forward", f"{name}_backward"


X = (Arg(),)
AB = (Arg(), Arg())
INDEX = Arg(0, 3, kind="index")
FIXED = Arg(gradient=False)
SHAPES = (((),), ((5,),), ((3, 7),), ((2, 3, 4),))
TWICE = tuple((shapes[0], shapes[0]) for shapes in SHAPES)
LARGE = ((521, 503),)


def line(n):
    return ((n,),)


def two_lines(n):
    return ((n,), (n,))


# ---- pointwise ----
def unary(name, formula, low=-4.0, high=4.0, *, avoid=(), op=None, **options):
    op = op or getattr(nncore, name, None) or getattr(F, name)
    options = {"special": "lanes", **options}
    case(name, op, formula, (Arg(low, high, tuple(avoid)),), SHAPES, line, LARGE, both(name), **options)


unary("abs", np.abs, avoid=(0,))
unary("ceil", np.ceil, avoid=range(-4, 5))
unary("clamp", lambda x: np.clip(x, -1, 2), avoid=(-1, 2), op=lambda x: nncore.clamp(x, -1, 2))
unary("cos", np.cos, -20, 20)
unary("elu", lambda x: np.where(x > 0, x, 0.5 * np.expm1(x)), avoid=(0,), op=lambda x: F.elu(x, 0.5), ulp=3)
unary("erf", reference.erf)
unary("exp", np.exp, -20, 20)
unary("expm1", np.expm1)
unary("floor", np.floor, avoid=range(-4, 5))
unary("gelu", reference.gelu, -2, 4, ulp=3, scale=np.abs, special="")
unary("gelu_tanh", reference.gelu_tanh, -2, 4, op=lambda x: F.gelu(x, approximate="tanh"), ulp=12, special="")
unary("hardsigmoid", lambda x: np.clip(x + 3, 0, 6) / 6, avoid=(-3, 3), ulp=3)
unary(
    "hardswish",
    lambda x: np.where(x <= -3, 0, x * np.clip(x + 3, 0, 6) / 6),
    avoid=(-3, 3),
    ulp=3,
    scale=lambda x: np.abs(x) + 1,
)
unary("leaky_relu", lambda x: np.where(x > 0, x, 0.125 * x), avoid=(0,), op=lambda x: F.leaky_relu(x, 0.125))
unary("log", np.log, 0.1, 20)
unary("log1p", np.log1p, -0.9, 20)
unary("logsigmoid", lambda x: -reference.softplus(-x), ulp=4)
unary("mish", lambda x: x * np.tanh(reference.softplus(x)), ulp=6, special="")
unary("neg", np.negative)
unary("pow_scalar", lambda x: x**2.5, 0.1, 4, op=lambda x: x**2.5)
unary("reciprocal", lambda x: 1 / x, 0.1, 4)
unary("relu", reference.relu, avoid=(0,))
unary("round", np.round, avoid=[k + 0.5 for k in range(-5, 5)])
unary("rsqrt", lambda x: 1 / np.sqrt(x), 0.1, 4)
unary("sigmoid", reference.sigmoid, -20, 20, ulp=3)
unary("sign", np.sign, avoid=(0,))
unary("silu", reference.silu, ulp=4, special="")
unary("sin", np.sin, -20, 20)
unary("softplus", lambda x: reference.softplus(2 * x) / 2, op=lambda x: F.softplus(x, beta=2), ulp=4)
unary("softsign", lambda x: np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x))))
unary("sqrt", np.sqrt, 0.1, 20)
unary("square", np.square)
unary("tanh", np.tanh)


case("prelu", F.prelu, lambda x, w: np.where(x > 0, x, x * (reference.per_channel(w, x) if x.ndim > 1 else w)),
     (Arg(-2, 2, (0,)), Arg()),
     (((3, 4), (4,)), ((2, 3, 5), (3,)), ((5,), (1,)), ((2, 3), ())),
     lambda n: ((2, n), (n,)), ((521, 503), (503,)),
     ("gt", "where", "mul"))  # fmt: skip


# ---- losses, elementwise ----
def loss(name, function, formula, *args, **options):
    def op(x, target):
        return function(x, target, reduction="none")

    case(name, op, formula, args, TWICE, two_lines, LARGE * 2, both(name), **options)


NO_KINK = Arg(-2, 2, (-1, 0, 1)), Arg(-0.04, 0.04)  # |x - t| comes near neither 0 nor 1
PROBABILITY = Arg(0, 1, gradient=False)
loss("mse", F.mse_loss, lambda x, t: (x - t) ** 2, *AB, ulp=3)
loss("l1", F.l1_loss, lambda x, t: np.abs(x - t), *NO_KINK)
loss("huber", F.huber_loss, reference.huber, *NO_KINK, ulp=3)
loss("smooth_l1", F.smooth_l1_loss, reference.huber, *NO_KINK, ulp=3)
loss("bce", F.binary_cross_entropy, lambda x, t: -(t * np.log(x) + (1 - t) * np.log1p(-x)), Arg(0.05, 0.95),
     PROBABILITY, ulp=4)  # fmt: skip
loss("bce_with_logits", F.binary_cross_entropy_with_logits, lambda x, t: reference.softplus(x) - x * t, Arg(-6, 6),
     PROBABILITY, ulp=4, scale=lambda x, t: np.abs(x) + 1)  # fmt: skip


def composed(name, formula, *args, op=None, **options):
    """A loss of elements that is made of other ops."""
    function = getattr(F, name)
    shapes = tuple((shapes[0],) * len(args) for shapes in SHAPES)
    options = {"ulp": 8, **options}
    case(name, op or (lambda *tensors: function(*tensors, reduction="none")), formula, args, shapes,
         lambda n: ((n,),) * len(args), LARGE * len(args), (), **options)  # fmt: skip


composed("kl_div", lambda x, t: t * (np.log(t) - x), Arg(-3, -0.1), Arg(0.1, 1), scale=3)
composed("poisson_nll_loss", lambda x, t: np.exp(x) - t * x, Arg(), Arg(0.1, 3), scale=8)
composed("gaussian_nll_loss", lambda x, t, v: (np.log(v) + (x - t) ** 2 / v) / 2, *AB, Arg(0.3, 2), scale=30)
composed("soft_margin_loss", lambda x, t: np.log1p(np.exp(-x * t)), *AB, scale=4)
composed("margin_ranking_loss", lambda a, b, t: np.maximum(0.5 - t * (a - b), 0), Arg(1, 2), Arg(-1, 0), Arg(0.6, 1),
         scale=4)  # fmt: skip

# ---- broadcast ----
PAIRS = (((), ()), ((7,), (7,)), ((3, 7), (7,)), ((3, 1), (1, 5)), ((2, 3, 4), (3, 1)), ((), (4, 3)))
LARGE_PAIR = ((523, 509), (509,))


def binary(name, formula, args=AB, *, dtypes=ANY, **options):
    options = {"special": "lanes", **options}
    case(name, getattr(nncore, name), formula, args, PAIRS, two_lines, LARGE_PAIR, (name,), dtypes=dtypes, **options)


binary("add", np.add)
binary("sub", np.subtract, dtypes=NUMBERS)
binary("mul", np.multiply)
binary("div", np.divide, (Arg(), Arg(0.5, 2)), dtypes=FLOATS)
binary("pow", np.power, (Arg(0.2, 3), Arg()), dtypes=FLOATS)
binary("maximum", np.maximum, (Arg(-2, 0.3), Arg(-0.3, 2)))
binary("minimum", np.minimum, (Arg(-2, 0.3), Arg(-0.3, 2)))
binary("eq", np.equal, gradient=False)
binary("ne", np.not_equal, gradient=False)
binary("lt", np.less, gradient=False)
binary("le", np.less_equal, gradient=False)
binary("gt", np.greater, gradient=False)
binary("ge", np.greater_equal, gradient=False)
binary("logical_and", np.logical_and, gradient=False)
binary("logical_or", np.logical_or, gradient=False)
binary("logical_xor", np.logical_xor, gradient=False)

# From here on a row is: name, op, formula, arguments; shapes; size, large; kernels and options.
# fmt: off
case("where", nncore.where, np.where, (Arg(kind="bool"), *AB),
     (((3, 4), (3, 4), (4,)), ((4,), (3, 1), ()), ((), (5,), (5,))),
     lambda n: ((n,), (n,), (n,)), ((509, 523), (523,), (509, 1)),
     ["where"], dtypes=ANY)
case("copy", lambda x: nncore.transpose(x, 0, -1).contiguous(), lambda x: np.swapaxes(x, 0, -1), X,
     (((3, 5),), ((2, 3, 4),), ((2, 5, 4, 3),), ((17, 40),)),
     lambda n: ((n, 5),), LARGE,
     ["copy"], dtypes=ANY, ulp=0)


# ---- reductions ----
def reduction(name, op, formula, axis, names, *, kind="float", **options):
    shapes = (((5,),), ((3, 7),), ((2, 3, 4),)) if axis is None else (((3, 7),), ((2, 3, 5),), ((4, 3, 3),))
    if axis == 0:
        case(name, op, formula, (Arg(kind=kind),), shapes, lambda n: ((n, 3),), ((1009, 300),), names, **options)
    else:
        case(name, op, formula, (Arg(kind=kind),), shapes, lambda n: ((3, n),), ((300, 1009),), names, **options)


def over(name, axis):
    """(op, formula) of a method that Tensor and NumPy share but for the leading a of amax and amin."""
    return lambda x: getattr(x, name)(axis), lambda x: getattr(np, name)(x, axis)


for label, axis in [("all", None), ("last", -1), ("first", 0)]:
    options = {"dtypes": ANY, "special": "rows" if axis == -1 else ""}
    reduction(f"sum_{label}", lambda x, axis=axis: x.sum(axis),
              lambda x, axis=axis: np.sum(x, axis, dtype=np.int64 if x.dtype.kind in "biu" else None), axis,
              ["sum"], scale=lambda x, axis=axis: np.abs(x).sum(axis), ulp=4, **options)
    reduction(f"amax_{label}", *over("amax", axis), axis, ["max"], kind="distinct", ulp=0, **options)
    reduction(f"amin_{label}", *over("amin", axis), axis, ["min"], kind="distinct", ulp=0, **options)
    reduction(f"argmax_{label}", *over("argmax", axis), axis, ["argmax"], gradient=False, **options)
    reduction(f"argmin_{label}", *over("argmin", axis), axis, ["argmin"], gradient=False, **options)
reduction("max_along", lambda x: x.max(1), lambda x: (x.max(1), x.argmax(1)), -1, ["max_along", "scatter_along"],
          kind="distinct", ulp=0)
reduction("min_along", lambda x: x.min(0), lambda x: (x.min(0), x.argmin(0)), 0, ["min_along", "scatter_along"],
          kind="distinct", ulp=0)
reduction("mean", *over("mean", -1), -1, ["mean", "div"], scale=lambda x: np.abs(x).mean(-1), ulp=4, special="rows")
for label, axis in [("", -1), ("_first", 0)]:
    reduction(f"var{label}", lambda x, axis=axis: x.var(axis), lambda x, axis=axis: x.var(axis, ddof=1), axis, ["var", "var_backward"],
              ulp=20, special="" if label else "rows")
    reduction(f"logsumexp{label}", lambda x, axis=axis: x.logsumexp(axis),
              lambda x, axis=axis: np.logaddexp.reduce(x, axis), axis,
              ["logsumexp", "softmax_columns_forward" if label else "softmax_forward"], scale=8, ulp=4)
reduction("std", lambda x: x.std(-1), lambda x: x.std(-1, ddof=1), -1, ["var"], ulp=20)
reduction("norm", lambda x: x.norm(), lambda x: np.sqrt(np.square(x).sum()), None, ["sum_squares", "sqrt_forward"], ulp=6)

for label, axis in [("", -1), ("_first", 0)]:
    reduction(f"cumsum{label}", lambda x, axis=axis: x.cumsum(axis),
              lambda x, axis=axis: np.cumsum(x, axis, dtype=np.int64 if x.dtype.kind in "biu" else None), axis,
              ["cumsum"], dtypes=ANY, ulp=8, scale=lambda x, axis=axis: np.abs(x).sum(axis, keepdims=True) + 0 * x)

# ---- shapes and indices ----
case("cat", lambda a, b: nncore.cat([a, b], 1), lambda a, b: np.concatenate([a, b], 1), AB,
     (((3, 2), (3, 5)), ((2, 1, 3), (2, 4, 3))),
     lambda n: ((2, n), (2, 3)), ((403, 500), (403, 131)),
     ["copy"], dtypes=ANY, ulp=0)
case("stack", lambda a, b: nncore.stack([a, b], -1), lambda a, b: np.stack([a, b], -1), AB,
     (((3, 2), (3, 2)),),
     two_lines, ((403, 500), (403, 500)),
     ["copy"], dtypes=ANY, ulp=0)
case("pad", lambda x: F.pad(x, (1, 2, 0, 1), value=1.0),
     lambda x: np.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, 1), (1, 2)], constant_values=1), X,
     (((3, 5),), ((2, 3, 4),)),
     lambda n: ((2, n),), LARGE,
     ["copy"], ulp=0)
for mode, name in {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}.items():
    case(f"pad_{mode}", lambda x, mode=mode: F.pad(x, (1, 2, 0, 1), mode),
         lambda x, name=name: np.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, 1), (1, 2)], name), X,
         (((3, 5),), ((2, 3, 4),)),
         lambda n: ((2, n + 3),), LARGE,
         ["copy", "add"], ulp=0)
case("roll", lambda x: x.roll((3, -1), (0, -1)), lambda x: np.roll(x, (3, -1), (0, -1)), X,
     (((3, 5),), ((2, 3, 4),), ((5,),)),
     lambda n: ((2, n),), LARGE,
     ["copy"], dtypes=ANY, ulp=0)
for name in ("tril", "triu"):
    case(name, lambda x, name=name: getattr(x, name)(-1), lambda x, name=name: getattr(np, name)(x, -1), X,
         (((3, 5),), ((4, 3),), ((2, 3, 3),)),
         lambda n: ((n, 3),), LARGE,
         ["where"], dtypes=ANY, ulp=0)
case("index", lambda x, i: x[i], lambda x, i: x[i], (Arg(), Arg(0, 5, kind="index")),
     (((5, 3), (7,)), ((5,), (2, 3)), ((5, 2, 2), (4,))),
     lambda n: ((5, n), (4,)), ((5, 701), (307,)),
     ["gather_rows", "scatter_add_rows"], ulp=0)
case("gather", lambda x, i: nncore.gather(x, 1, i), lambda x, i: np.take_along_axis(x[: len(i)], i, 1), (Arg(), INDEX),
     (((2, 3), (2, 5)), ((4, 3, 2), (4, 1, 2)), ((4, 5), (3, 2))),
     lambda n: ((2, n + 3), (2, n)), ((211, 301), (211, 401)),
     ["gather_along", "scatter_along"], dtypes=ANY, ulp=0)
case("scatter", lambda x, i, source: nncore.scatter(x, 0, i, source), reference.scatter, (Arg(), INDEX, Arg()),
     (((3, 2), (2, 2), (2, 2)), ((4, 2, 3), (1, 2, 3), (2, 2, 3)), ((5, 4), (7, 3), (7, 4))),
     lambda n: ((n + 3, 2), (n, 2), (n, 2)), ((211, 301), (401, 301), (401, 301)),
     ["scatter_along", "gather_along"], dtypes=ANY, ulp=0)
case("scatter_add", lambda x, i, source: nncore.scatter_add(x, 0, i, source), reference.scatter_add, (Arg(), INDEX, Arg()),
     (((3, 2), (2, 2), (2, 2)), ((4, 2, 3), (1, 2, 3), (2, 2, 3)), ((5, 4), (7, 3), (7, 4))),
     lambda n: ((n + 3, 2), (n, 2), (n, 2)), ((211, 301), (401, 301), (401, 301)),
     ["scatter_along", "gather_along"], dtypes=NUMBERS, ulp=4, scale=lambda x, i, source: np.full(x.shape, 2.0 * len(i) + 2))
case("index_select", lambda x, i: nncore.index_select(x, -1, i), lambda x, i: np.take(x, i, -1), (Arg(), INDEX),
     (((2, 3), (5,)), ((4,), (2,))),
     lambda n: ((2, n + 3), (n,)), ((211, 301), (401,)),
     ["gather_rows", "scatter_add_rows"], ulp=0)
case("embedding", F.embedding, lambda i, table: table[i], (Arg(0, 11, kind="index"), Arg()),
     (((7,), (11, 3)), ((2, 3), (11, 1))),
     lambda n: ((n,), (11, 3)), ((1009,), (11, 263)),
     ["gather_rows", "scatter_add_rows"], ulp=0)


# ---- products ----
def product_scale(a, b):
    return np.matmul(np.abs(a), np.abs(b))


case("matmul", nncore.matmul, np.matmul, AB,
     (((3, 5), (5, 2)), ((5,), (5, 2)), ((3, 5), (5,)), ((5,), (5,)),
      ((2, 3, 5), (5, 2)), ((2, 3, 5), (2, 5, 2)), ((2, 1, 3, 5), (4, 5, 2))),
     lambda n: ((3, n), (n, 5)), ((131, 257), (257, 131)),
     ["matmul"], ulp=8, scale=product_scale)
case("matmul_columns", nncore.matmul, np.matmul, AB,
     (((3, 5), (5, 2)),),
     lambda n: ((2, 5), (5, n)), ((259, 600), (600, 33)),
     ["matmul"], ulp=8, scale=product_scale)
for activation, function in {None: np.positive, "relu": reference.relu, "tanh": np.tanh, "sigmoid": reference.sigmoid,
                             "silu": reference.silu, "gelu": reference.gelu}.items():
    case(f"linear_{activation}" if activation else "linear",
         lambda x, w, b, activation=activation: ops.linear(x, w, b, activation=activation),
         lambda x, w, b, function=function: function(x @ w.T + b), (Arg(), Arg(-0.5, 0.5), Arg()),
         (((3, 5), (4, 5), (4,)), ((5,), (4, 5), (4,)), ((2, 3, 5), (1, 5), (1,))),
         lambda n: ((3, n), (5, n), (5,)), ((131, 257), (131, 257), (131,)),
         both("linear"), ulp=16 if activation else 8, scale=lambda x, w, b: product_scale(x, w.T) + np.abs(b) + 1)
for label, shape in [("", (5, 1)), ("_row", (7,))]:
    case(f"addmm{label}", lambda x, a, b, label=label: nncore.addmm(x, a, b, **({} if label else {"beta": 0.5, "alpha": -2})),
         lambda x, a, b, label=label: x + a @ b if label else 0.5 * x - 2 * (a @ b), (Arg(), *AB),
         ((shape, (5, 3), (3, 7)), ((1,), (1, 4), (4, 1))),
         lambda n, label=label: (((n,) if label else (2, 1)), (2, 3), (3, n)),
         ((131,) if label else (131, 131), (131, 257), (257, 131)),
         ["linear_forward"] if label else ["matmul", "mul", "add"], ulp=8,
         scale=lambda x, a, b: np.abs(x) + 2 * product_scale(a, b))
case("baddbmm", lambda x, a, b: nncore.baddbmm(x, a, b, beta=2), lambda x, a, b: 2 * x + a @ b, (Arg(), *AB),
     (((2, 5, 7), (2, 5, 3), (2, 3, 7)), ((7,), (2, 5, 3), (2, 3, 7))),
     lambda n: ((1, 1), (3, 2, n), (3, n, 4)), ((131,), (3, 131, 130), (3, 130, 131)),
     ["matmul", "mul", "add"], ulp=8, scale=lambda x, a, b: 2 * np.abs(x) + product_scale(a, b))


def summed(name, equation, *settings, **options):
    """einsum of an equation, against NumPy's."""
    shapes, sized, large = settings
    case(name, lambda *tensors: nncore.einsum(equation, *tensors), lambda *arrays: np.einsum(equation, *arrays),
         (Arg(),) * len(large), shapes, sized, large,
         ulp=16, scale=lambda *arrays: np.einsum(equation, *map(np.abs, arrays)), **options)


summed("einsum", "bn,anm,bm->ba",
       (((2, 3), (4, 3, 5), (2, 5)), ((1, 3), (1, 3, 1), (2, 1))),
       lambda n: ((2, n), (3, n, 4), (2, 4)), ((64, 100), (50, 100, 110), (64, 110)), names=["matmul"])
summed("einsum_scores", "bqhd,bkhd->bhqk",
       (((2, 3, 4, 5), (2, 6, 4, 5)), ((1, 3, 1, 5), (2, 1, 1, 5))),
       lambda n: ((1, 2, 3, n), (1, 3, 3, n)), ((4, 70, 3, 64), (4, 71, 3, 64)), names=["matmul"])
summed("einsum_diagonal", "iij,jk->kij",
       (((3, 3, 4), (4, 2)), ((2, 2, 1), (3, 2))),
       lambda n: ((n, n, 2), (2, 3)), ((131, 131, 33), (33, 20)), names=["mul"])
summed("einsum_sums", "...ij,k...->j...",
       (((2, 3, 4), (5, 2)), ((3, 4), (2,))),
       lambda n: ((2, n, 3), (n, 1)), ((61, 67, 70), (63, 61)), names=["sum", "mul"])


# ---- attention ----
ATTENTION = (((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)), ((3, 5), (4, 5), (4, 2)))
LARGE_ATTENTION = ((2, 3, 140, 33), (2, 3, 150, 33), (2, 3, 150, 34))
case("attention", F.scaled_dot_product_attention, reference.attention, (Arg(), Arg(), Arg()),
     ATTENTION,
     lambda n: ((2, 2, n, 3), (2, 2, n, 3), (2, 2, n, 5)), LARGE_ATTENTION,
     both("attention"), ulp=32, scale=2)
case("attention_causal", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
     lambda q, k, v: reference.attention(q, k, v, causal=True), (Arg(), Arg(), Arg()),
     ATTENTION,
     lambda n: ((n, 5), (n, 5), (n, 2)), LARGE_ATTENTION,
     both("attention"), ulp=32, scale=2)
case("attention_masked", F.scaled_dot_product_attention, reference.attention, (Arg(), Arg(), Arg(), FIXED),
     tuple((*shapes, (*shapes[0][:-1], shapes[1][-2])) for shapes in ATTENTION),
     lambda n: ((2, 3, 4), (2, 5, 4), (2, 5, n), (5,)), (*LARGE_ATTENTION, (140, 150)),
     both("attention"), ulp=32, scale=2)


# ---- images ----
def convolution(label, options, shapes, large, sized=None):
    def formula(x, weight, bias):
        return reference.conv2d(x, weight, bias, **options)

    case(f"conv2d{label}", lambda x, w, b: F.conv2d(x, w, b, **options), formula, (Arg(), Arg(-0.5, 0.5), Arg()),
         shapes, sized, large, both("conv2d"), ulp=8, scale=lambda *arrays: formula(*map(np.abs, arrays)))


convolution("", {}, (((2, 3, 5, 6), (4, 3, 3, 3), (4,)), ((1, 1, 4, 4), (1, 1, 1, 1), (1,))),
            ((8, 16, 18, 17), (19, 16, 3, 3), (19,)), lambda n: ((1, n, 3, 4), (2, n, 2, 2), (2,)))
convolution("_strided", {"stride": 2, "padding": 1}, (((2, 3, 7, 6), (4, 3, 3, 3), (4,)),),
            ((9, 16, 33, 35), (19, 16, 3, 3), (19,)))
convolution("_dilated", {"dilation": 2, "padding": 2}, (((2, 2, 7, 7), (3, 2, 3, 3), (3,)),),
            ((8, 16, 18, 18), (19, 16, 3, 3), (19,)))
convolution("_grouped", {"groups": 2, "padding": 1}, (((2, 4, 5, 5), (6, 2, 3, 3), (6,)),),
            ((9, 32, 20, 20), (34, 16, 3, 3), (34,)))
convolution("_depthwise", {"groups": 40, "padding": 1}, (((1, 40, 3, 4), (40, 1, 3, 3), (40,)),),
            ((15, 40, 33, 33), (40, 1, 3, 3), (40,)))
case("conv2d_flipped", lambda x, w, b: F.conv2d(x, w, b, mode="convolve"),
     lambda x, w, b: reference.conv2d(x, w[:, :, ::-1, ::-1], b), (Arg(), Arg(-0.5, 0.5), Arg()),
     (((2, 3, 5, 6), (4, 3, 3, 3), (4,)),), None, ((8, 16, 18, 17), (19, 16, 3, 3), (19,)),
     both("conv2d"), ulp=8, scale=lambda x, w, b: reference.conv2d(np.abs(x), np.abs(w[:, :, ::-1, ::-1]), np.abs(b)))
case("conv1d", lambda x, w, b: F.conv1d(x, w, b, 2, 1),
     lambda x, w, b: reference.conv1d(x, w, b, 2, 1), (Arg(), Arg(-0.5, 0.5), Arg()),
     (((2, 3, 9), (4, 3, 4), (4,)),), lambda n: ((1, n, 5), (2, n, 2), (2,)), ((32, 16, 180), (19, 16, 3), (19,)),
     both("conv2d"), ulp=8, scale=lambda *arrays: reference.conv1d(*map(np.abs, arrays), 2, 1))
for label, options in [("", {}), ("_strided", {"stride": 2, "padding": 1, "output_padding": 1})]:
    case(f"conv_transpose2d{label}", lambda x, w, b, options=options: F.conv_transpose2d(x, w, b, **options),
         lambda x, w, b, options=options: reference.conv_transpose2d(x, w, b, **options), (Arg(), Arg(-0.5, 0.5), Arg()),
         (((2, 3, 3, 4), (3, 2, 3, 3), (2,)), ((1, 1, 4, 4), (1, 1, 1, 1), (1,))), None,
         ((8, 19, 16, 15), (19, 16, 3, 3), (16,)),
         ["conv_transpose2d_forward", "conv2d_backward"], ulp=8,
         scale=lambda *arrays, options=options: reference.conv_transpose2d(*map(np.abs, arrays), **options))
for label, options in [("", {}), ("_padded", {"stride": 1, "padding": 1})]:
    shapes, large = (((2, 3, 4, 6),), ((1, 1, 5, 5),)), ((8, 33, 40, 40),)
    case(f"max_pool2d{label}", lambda x, options=options: F.max_pool2d(x, 2, **options),
         lambda x, options=options: reference.max_pool2d(x, **options), (Arg(kind="distinct"),), shapes,
         lambda n: ((1, n, 4, 4),), large, both("max_pool2d"), ulp=0)
    case(f"avg_pool2d{label}", lambda x, options=options: F.avg_pool2d(x, 2, **options),
         lambda x, options=options: reference.avg_pool2d(x, **options), X, shapes,
         lambda n: ((1, n, 4, 4),), large, both("avg_pool2d"), ulp=3,
         scale=lambda x, options=options: reference.avg_pool2d(np.abs(x), **options))

case("max_pool2d_ceil", lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
     lambda x: reference.ceiled(x, np.nanmax, -np.inf), (Arg(kind="distinct"),),
     (((2, 3, 4, 6),), ((1, 1, 5, 4),)), lambda n: ((1, n, 4, 4),), ((8, 33, 40, 40),),
     both("max_pool2d"), ulp=0)
case("avg_pool2d_ceil", lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), lambda x: reference.ceiled(x, np.nanmean, 0), X,
     (((2, 3, 4, 6),), ((1, 1, 5, 4),)), lambda n: ((1, n, 4, 4),), ((8, 33, 40, 40),),
     both("avg_pool2d"), ulp=3, scale=lambda x: reference.ceiled(np.abs(x), np.nanmean, 0))
case("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (3, 2)), lambda x: reference.cells(x, (3, 2), np.mean), X,
     (((2, 3, 4, 5),), ((1, 1, 2, 3),)), lambda n: ((1, n, 4, 5),), ((8, 33, 40, 41),),
     ["combine_rows"], ulp=4, scale=lambda x: reference.cells(np.abs(x), (3, 2), np.mean))
case("adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, (3, 2)), lambda x: reference.cells(x, (3, 2), np.max),
     (Arg(kind="distinct"),), (((2, 3, 4, 5),), ((1, 1, 2, 3),)), lambda n: ((1, n, 4, 5),), ((8, 33, 40, 41),),
     ["max_along"], ulp=0)
case("interpolate_nearest", lambda x: F.interpolate(x, scale_factor=2), lambda x: x.repeat(2, 2).repeat(2, 3), X,
     (((2, 3, 3, 2),),), lambda n: ((1, n, 2, 2),), ((8, 33, 20, 21),),
     ["combine_rows"], ulp=0)
case("interpolate_bilinear", lambda x: F.interpolate(x, (5, 3), mode="bilinear"), lambda x: reference.bilinear(x, (5, 3)), X,
     (((2, 3, 3, 4),), ((1, 2, 1, 1),)), lambda n: ((1, n, 2, 4),), ((64, 333, 4, 4),),
     ["combine_rows"], ulp=4, scale=2)  # positions are rounded, too

# ---- rows ----
LOGITS = Arg(-5, 5)
ROWS = (((3, 7),), ((5,),), ((2, 3, 4),))
case("softmax", lambda x: F.softmax(x, -1), reference.softmax, (LOGITS,), ROWS, lambda n: ((3, n),), ((300, 211),),
     both("softmax"), ulp=16, special="rows")
case("softmax_first", lambda x: F.softmax(x, 0), lambda x: reference.softmax(x.T).T, (LOGITS,), (((3, 7),),),
     lambda n: ((n, 3),), ((300, 211),),
     both("softmax_columns"), ulp=16)
case("log_softmax_first", lambda x: F.log_softmax(x, 0), lambda x: (x.T - reference.logsumexp(x.T)).T, (LOGITS,),
     (((3, 7),), ((4, 2, 3),)),
     lambda n: ((n, 3),), ((300, 211),),
     both("log_softmax_columns"), ulp=4, scale=16)
case("log_softmax", lambda x: F.log_softmax(x, -1), lambda x: x - reference.logsumexp(x), (LOGITS,), ROWS,
     lambda n: ((3, n),), ((300, 211),),
     both("log_softmax"), ulp=4, scale=16, special="rows")
for label, options in [("", {}), ("_smoothed", {"label_smoothing": 0.25})]:
    case(f"cross_entropy{label}", lambda x, t, options=options: F.cross_entropy(x, t, reduction="none", **options),
         lambda x, t, options=options: reference.cross_entropy(x, t, **options), (LOGITS, INDEX),
         (((4, 3), (4,)), ((2, 5), (2,))),
         lambda n: ((2, n + 3), (2,)), ((401, 211), (401,)),
         both("cross_entropy"), ulp=4, scale=16)
case("cross_entropy_weighted",
     lambda x, t, w: F.cross_entropy(x, t, weight=w, label_smoothing=0.25, ignore_index=1, reduction="none"),
     lambda x, t, w: reference.cross_entropy(x, t, w, 0.25, ignore_index=1),
     (LOGITS, INDEX, Arg(0.5, 2, gradient=False)),
     (((4, 3), (4,), (3,)),),
     lambda n: ((2, n + 3), (2,), (n + 3,)), ((401, 211), (401,), (211,)),
     both("cross_entropy"), ulp=4, scale=16)
case("cross_entropy_mean", F.cross_entropy, lambda x, t: reference.cross_entropy(x, t).mean(), (LOGITS, INDEX),
     (((4, 3), (4,)),),
     lambda n: ((2, n + 3), (2,)), ((401, 211), (401,)),
     both("cross_entropy"), ulp=4, scale=16)
case("soft_cross_entropy", lambda x, t: F.cross_entropy(x, t, reduction="none"), reference.soft_cross_entropy,
     (LOGITS, PROBABILITY),
     (((4, 3), (4, 3)),),
     lambda n: ((2, n), (2, n)), ((401, 211), (401, 211)),
     both("soft_cross_entropy"), ulp=8, scale=lambda x, t: np.abs(t).sum(-1) * 8)
case("nll_loss", F.nll_loss, lambda x, t: -x[np.arange(len(t)), t].mean(), (Arg(-3, 0), INDEX),
     (((4, 3), (4,)),),
     lambda n: ((2, n + 3), (2,)), ((401, 211), (401,)),
     both("nll_loss"), ulp=4, scale=3)
case("nll_loss_weighted", lambda x, t, w: F.nll_loss(x, t, weight=w, ignore_index=1, reduction="none"),
     lambda x, t, w: np.where(t == 1, 0, -w[t] * x[np.arange(len(t)), t]),
     (Arg(-3, 0), INDEX, Arg(0.5, 2, gradient=False)),
     (((4, 3), (4,), (3,)),),
     lambda n: ((2, n + 3), (2,), (n + 3,)), ((401, 211), (401,), (211,)),
     both("nll_loss"), ulp=2)
case("one_hot", lambda i: F.one_hot(i, 3), lambda i: np.eye(3, dtype=np.int64)[i], (INDEX,),
     (((5,),), ((2, 3),), ((),)),
     line, ((7013,),),
     ["scatter_along"], gradient=False)

# ---- norms ----
WEIGHT = Arg(0.5, 1.5)
case("layer_norm", lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b), reference.layer_norm, (Arg(), WEIGHT, Arg()),
     (((3, 7), (7,), (7,)), ((2, 3, 4), (4,), (4,))),
     lambda n: ((3, n + 2), (n + 2,), (n + 2,)), ((400, 263), (263,), (263,)),
     both("layer_norm"), ulp=16, scale=4)
case("rms_norm", lambda x, w: F.rms_norm(x, x.shape[-1:], w, 1e-5), reference.rms_norm, (Arg(), WEIGHT),
     (((3, 7), (7,)), ((2, 3, 4), (4,))),
     lambda n: ((3, n + 2), (n + 2,)), ((400, 263), (263,)),
     both("rms_norm"), ulp=16, scale=4)
case("group_norm", lambda x, w, b: F.group_norm(x, 2, w, b), lambda x, w, b: reference.group_norm(x, w, b, 2),
     (Arg(), WEIGHT, Arg()),
     (((3, 4, 3), (4,), (4,)), ((2, 6, 2, 2), (6,), (6,))),
     lambda n: ((3, 4, n + 1), (4,), (4,)), ((100, 4, 263), (4,), (4,)),
     ["layer_norm_forward", "layer_norm_backward", "mul", "add", "sum"], ulp=16, scale=4)
case("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), reference.batch_norm,
     (Arg(), WEIGHT, Arg()),
     (((5, 3), (3,), (3,)), ((2, 3, 2, 2), (3,), (3,))),
     lambda n: ((4, n), (n,), (n,)), ((400, 263), (263,), (263,)),
     both("batch_norm"), ulp=16, scale=4)
case("batch_norm_inference", F.batch_norm, reference.batch_norm_inference,
     (Arg(), FIXED, Arg(0.5, 2, gradient=False), WEIGHT, Arg()),
     (((5, 3), *((3,),) * 4), ((2, 3, 2, 2), *((3,),) * 4)),
     lambda n: ((4, n), *((n,),) * 4), ((400, 421), *((421,),) * 4),
     ["batch_norm_inference", "batch_norm_backward"], ulp=16, scale=8)

# ---- recurrent layers ----
def recurrent(label, op, formula, name, gates, states, options, *, lengths=False):
    """Arguments are x, the states, the weights and the biases, and perhaps lengths."""

    def shapes(seq, batch, inputs, size):
        rows = gates * size
        arguments = [(seq, batch, inputs), *[(batch, size)] * states, (rows, inputs), (rows, size), (rows,), (rows,)]
        return (*arguments, (batch,)) if lengths else tuple(arguments)

    weights = (Arg(-0.5, 0.5),) * 4
    case(label, lambda *arrays: op(*arrays, **options), lambda *arrays: formula(*arrays, **options),
         (*(Arg(),) * (1 + states), *weights, *[Arg(0, 5, kind="index")] * lengths),
         (shapes(4, 2, 3, 5), shapes(4, 5, 1, 1)), lambda n: shapes(4, 3, n, 3), shapes(9, 37, 70, 60),
         both(name), ulp=64, scale=4)


recurrent("rnn", nncore.rnn, reference.rnn, "rnn", 1, 1, {})
recurrent("rnn_reverse", nncore.rnn, reference.rnn, "rnn", 1, 1, {"reverse": True}, lengths=True)
recurrent("lstm", nncore.lstm, reference.lstm, "lstm", 4, 2, {})
recurrent("lstm_lengths", nncore.lstm, reference.lstm, "lstm", 4, 2, {}, lengths=True)
recurrent("lstm_reverse", nncore.lstm, reference.lstm, "lstm", 4, 2, {"reverse": True}, lengths=True)
recurrent("gru", nncore.gru, reference.gru, "gru", 3, 1, {})
recurrent("gru_lengths", nncore.gru, reference.gru, "gru", 3, 1, {"update_first": True}, lengths=True)
recurrent("gru_reset_before", nncore.gru, reference.gru, "gru", 3, 1, {"reset_after": False}, lengths=True)
recurrent("gru_keras", nncore.gru, reference.gru, "gru", 3, 1, {"reset_after": False, "update_first": True, "reverse": True})
# fmt: on

# ---- random numbers: a function of (seed, offset, position) ----
SEED, OFFSET = 1234567, 89


def filled(kernel, *arguments):
    """An op that ignores the values of its argument and draws as many numbers."""
    return lambda x: nncore.from_numpy(kernel(*arguments, SEED, OFFSET, out=np.empty(x.shape, x.dtype)))


def drawn(draw_one, scale=1.0, shift=0.0):
    def formula(x):
        dtype = np.float32 if x.dtype == np.float64 else np.float64  # references get wider arguments than ops
        return np.array([draw_one(dtype, SEED, OFFSET + i) for i in range(x.size)]).reshape(x.shape) * scale + shift

    return formula


def dropout(x):
    return nncore.from_numpy(kernels.dropout(x.contiguous().numpy(), 0.25, SEED, OFFSET))


def dropped(x):
    kept = np.array([philox.draw(16, SEED, OFFSET + i, 4) >= 2**14 for i in range(x.size)]).reshape(x.shape)
    return np.where(kept, x / 0.75, 0)


def permuted(i):
    return nncore.from_numpy(kernels.random_permutation(SEED, OFFSET, out=np.empty(i.shape, np.int64)))


for name, op, formula in [
    ("random_uniform", filled(kernels.random_uniform, -1.0, 2.0), drawn(philox.uniform, 3.0, -1.0)),
    ("random_normal", filled(kernels.random_normal, 1.0, 2.0), drawn(philox.normal, 2.0, 1.0)),
    ("dropout", dropout, dropped),
]:
    case(name, op, formula, X, SHAPES, line, LARGE, [name], ulp=6, scale=4, gradient=False)
case("random_permutation", permuted, lambda i: np.array(philox.permutation(i.size, SEED, OFFSET), np.int64), (INDEX,),
     (((5,),), ((23,),)), line, ((5003,),), ["random_permutation"], gradient=False, dtypes=FLOATS[:1])  # fmt: skip


# ---- optimizers: one step from zero state ----
def stepped(kernel, states, *scalars):
    """An op of (parameter, gradient) that returns the parameter after one step."""

    def op(p, g):
        param = p.numpy().copy()
        kernel([param], *([np.zeros_like(param)] for _ in range(states)), [g.numpy()], *scalars)
        return nncore.from_numpy(param)

    return op


for name, op, formula in [
    (
        "sgd_step",
        stepped(kernels.sgd_step, 1, 0.1, 0.9, 0.0, 0.01, 1, 0, 0, 1),
        lambda p, g: optimizers.sgd(p, [g], 0.1, 0.9, 0.0, 0.01, True, False, False),
    ),
    (
        "adam_step",
        stepped(kernels.adam_step, 3, 0.1, 0.9, 0.99, 1e-8, 0.01, 1, 0, 0, 1),
        lambda p, g: optimizers.adam(p, [g], 0.1, 0.9, 0.99, 1e-8, 0.01, True, False, True),
    ),
    (
        "rmsprop_step",
        stepped(kernels.rmsprop_step, 3, 0.1, 0.9, 1e-8, 0.01, 0.5, 0),
        lambda p, g: optimizers.rmsprop(p, [g], 0.1, 0.9, 1e-8, 0.01, 0.5, False, True),
    ),
    (
        "adagrad_step",
        stepped(kernels.adagrad_step, 1, 0.1, 0.5, 1e-3, 0.01, 0, 1),
        lambda p, g: optimizers.adagrad(p, [g], 0.1, 0.5, 1e-3, 0.01, False),
    ),
    (
        "adadelta_step",
        stepped(kernels.adadelta_step, 2, 0.1, 0.9, 1e-3, 0.01, 0),
        lambda p, g: optimizers.adadelta(p, [g], 0.1, 0.9, 1e-3, 0.01, False),
    ),
    (
        "adamax_step",
        stepped(kernels.adamax_step, 2, 0.1, 0.9, 0.99, 1e-8, 0.01, 0, 1),
        lambda p, g: optimizers.adamax(p, [g], 0.1, 0.9, 0.99, 1e-8, 0.01, False),
    ),
    (
        "nadam_step",
        stepped(kernels.nadam_step, 2, 0.1, 0.9, 0.99, 1e-8, 0.01, 4e-3, 1, 0, 1),
        lambda p, g: optimizers.nadam(p, [g], 0.1, 0.9, 0.99, 1e-8, 0.01, 4e-3, True, False),
    ),
    (
        "radam_step",
        stepped(kernels.radam_step, 2, 0.1, 0.9, 0.99, 1e-8, 0.01, 1, 0, 1),
        lambda p, g: optimizers.radam(p, [g], 0.1, 0.9, 0.99, 1e-8, 0.01, True, False),
    ),
    (
        "lion_step",
        stepped(kernels.lion_step, 1, 0.1, 0.9, 0.99, 0.01, 0),
        lambda p, g: optimizers.lion(p, [g], 0.1, 0.9, 0.99, 0.01, False),
    ),
]:
    case(name, op, formula, (Arg(), Arg(0.5, 2)), TWICE, two_lines, LARGE * 2, [name], ulp=16, scale=4, gradient=False)
