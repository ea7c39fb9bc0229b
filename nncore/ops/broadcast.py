"""Functions of two or three tensors, broadcast against each other as in NumPy."""

import math

import numpy as np

from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore._core.tensor import TensorBase, wrap_array
from nncore.ops import pointwise
from nncore.ops.convert import BOOL, as_float, as_tensor, constant, pair, saved_factors
from nncore.ops.dims import filled_like, sum_to

_add, _sub, _mul, _div, _pow = (KERNELS[name] for name in ("add", "sub", "mul", "div", "pow"))
_where, _eq, _ge, _gt = (KERNELS[name] for name in ("where", "eq", "ge", "gt"))
_log = KERNELS["log_forward"]


def _memory_order(array):
    """Axes from outermost to innermost in memory, or None for C order or an array with gaps."""
    if array.flags.c_contiguous or array.ndim < 2:
        return None
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return order if array.transpose(order).flags.c_contiguous else None


def apply(kernel, *arrays):
    """Run a broadcasting kernel; the result lies in memory as the largest argument does (channels-last stays so)."""
    largest = max(arrays, key=lambda array: array.size)
    order = _memory_order(largest)
    if order is None or any(array.ndim > largest.ndim for array in arrays):
        return kernel(*arrays)
    lifted = [array.reshape((1,) * (largest.ndim - array.ndim) + array.shape).transpose(order) for array in arrays]
    return kernel(*lifted).transpose(np.argsort(order))


def _fast(kernel, a, b):
    if a.flags.c_contiguous and b.flags.c_contiguous:
        return kernel(a, b)
    return apply(kernel, a, b)


def add(a, b, alpha=1):
    """y = a + alpha * b, broadcast.

    Args:
        a, b: Tensors or numbers.
        alpha: factor of b. Default: 1.

    Returns:
        Tensor of the broadcast shape.

    Example:
        >>> import nncore
        >>> nncore.add(nncore.tensor([1.0, 2.0]), 1)
        tensor([2., 3.])
    """
    if alpha != 1:
        b = mul(b, alpha)
    a, b = pair("add", a, b)
    a_shape, b_shape = a.array.shape, b.array.shape

    def vjp(needs, dy):
        return sum_to(dy, a_shape) if needs[0] else None, sum_to(dy, b_shape) if needs[1] else None

    return record(_fast(_add, a.array, b.array), (a, b), vjp)


def sub(a, b, alpha=1):
    """y = a - alpha * b, broadcast.

    Example:
        >>> import nncore
        >>> nncore.sub(nncore.tensor([1.0, 2.0]), 1)
        tensor([0., 1.])
    """
    if alpha != 1:
        b = mul(b, alpha)
    a, b = pair("sub", a, b)
    if a.array.dtype == BOOL:
        raise TypeError("sub: argument 'a' has dtype bool, expected a number type; use logical_xor")
    a_shape, b_shape = a.array.shape, b.array.shape

    def vjp(needs, dy):
        return (
            sum_to(dy, a_shape) if needs[0] else None,
            sum_to(KERNELS["neg_forward"](dy), b_shape) if needs[1] else None,
        )

    return record(_fast(_sub, a.array, b.array), (a, b), vjp)


def mul(a, b):
    """y = a * b, broadcast.

    Example:
        >>> import nncore
        >>> nncore.mul(nncore.tensor([1.0, 2.0]), 3)
        tensor([3., 6.])
    """
    a, b = pair("mul", a, b)
    a_array, b_array = a.array, b.array

    def vjp(needs, dy):
        return (
            sum_to(apply(_mul, dy, b_array), a_array.shape) if needs[0] else None,
            sum_to(apply(_mul, dy, a_array), b_array.shape) if needs[1] else None,
        )

    return record(_fast(_mul, a_array, b_array), (a, b), vjp, saved_factors(a, b))


def div(a, b):
    """y = a / b, broadcast; integers are divided as floating-point numbers.

    Example:
        >>> import nncore
        >>> nncore.div(nncore.tensor([1.0, 2.0]), 2)
        tensor([0.5000, 1.0000])
    """
    a, b = pair("div", a, b)
    a, b = as_float("div", a), as_float("div", b)
    a_array, b_array = a.array, b.array
    y = _fast(_div, a_array, b_array)

    def vjp(needs, dy):
        da = apply(_div, dy, b_array)
        db = KERNELS["neg_forward"](apply(_mul, da, y)) if needs[1] else None  # d(a/b)/db = -(a/b)/b
        return sum_to(da, a_array.shape) if needs[0] else None, None if db is None else sum_to(db, b_array.shape)

    return record(y, (a, b), vjp, (b, True) if b.requires_grad else (b,))


def pow(a, b):
    """y = a ** b, broadcast.

    Example:
        >>> import nncore
        >>> nncore.pow(nncore.tensor([2.0, 3.0]), 2)
        tensor([4., 9.])
    """
    if isinstance(a, TensorBase) and isinstance(b, (int, float)) and not isinstance(b, bool):
        if a.array.dtype.kind != "f" and isinstance(b, int) and b >= 0:
            return _integer_power(a, b)
        return pointwise.pow_scalar(a, float(b))
    a, b = pair("pow", a, b)
    if a.array.dtype.kind != "f":
        raise TypeError(f"pow: arguments have dtype {a.array.dtype}, expected float32 or float64")
    a_array, b_array = a.array, b.array
    y = _fast(_pow, a_array, b_array)

    def vjp(needs, dy):
        da = db = None
        if needs[0]:  # b a^(b-1)
            one = constant(1, a_array.dtype).array
            da = apply(_mul, dy, apply(_mul, b_array, apply(_pow, a_array, apply(_sub, b_array, one))))
            da = sum_to(da, a_array.shape)
        if needs[1]:  # a^b log(a), and 0 where a = 0
            zero = constant(0, a_array.dtype).array
            log_a = apply(_where, apply(_eq, a_array, zero), zero, _log(a_array))
            db = sum_to(apply(_mul, dy, apply(_mul, y, log_a)), b_array.shape)
        return da, db

    return record(y, (a, b), vjp, (a, b, True))


def _integer_power(x, exponent):
    result, base = wrap_array(filled_like(x.array, 1)), x
    while exponent:
        if exponent & 1:
            result = mul(result, base)
        exponent >>= 1
        base = mul(base, base) if exponent else base
    return result


def _extremum(name):
    kernel, first_wins = KERNELS[name], KERNELS["gt" if name == "maximum" else "lt"]

    def op(a, b):
        a, b = pair(name, a, b)
        a_array, b_array = a.array, b.array

        def vjp(needs, dy):  # equal values share the gradient
            zero, half = constant(0, dy.dtype).array, constant(0.5, dy.dtype).array
            shared = apply(_where, apply(_eq, a_array, b_array), apply(_mul, dy, half), zero)
            da = apply(_where, apply(first_wins, a_array, b_array), dy, shared)
            return (
                sum_to(da, a_array.shape) if needs[0] else None,
                sum_to(apply(_sub, dy, da), b_array.shape) if needs[1] else None,
            )

        vjp.__qualname__ = name
        return record(_fast(kernel, a_array, b_array), (a, b), vjp, (a, b))

    op.__name__ = op.__qualname__ = name
    op.__doc__ = (
        f"{kernel.__doc__}, broadcast.\n\n    Example:\n        >>> import nncore\n"
        f"        >>> nncore.{name}(nncore.tensor([1.0, 4.0]), 2.0)\n"
        f"        tensor({'[2., 4.]' if name == 'maximum' else '[1., 2.]'})\n"
    )
    return op


maximum, minimum = _extremum("maximum"), _extremum("minimum")


def _comparison(name, example):
    kernel = KERNELS[name]

    def op(a, b):
        a, b = pair(name, a, b)
        return wrap_array(_fast(kernel, a.array, b.array))

    op.__name__ = op.__qualname__ = name
    op.__doc__ = (
        f"{kernel.__doc__}, broadcast, as a bool tensor.\n\n    Example:\n        >>> import nncore\n"
        f"        >>> nncore.{name}(nncore.tensor([1.0, 2.0]), 2)\n        tensor({example})\n"
    )
    return op


eq = _comparison("eq", "[False,  True]")
ne = _comparison("ne", "[ True, False]")
lt = _comparison("lt", "[ True, False]")
le = _comparison("le", "[ True,  True]")
gt = _comparison("gt", "[False, False]")
ge = _comparison("ge", "[False,  True]")
logical_and = _comparison("logical_and", "[ True,  True]")
logical_or = _comparison("logical_or", "[ True,  True]")
logical_xor = _comparison("logical_xor", "[False, False]")


def logical_not(x):
    """y = not x, elementwise, as a bool tensor.

    Example:
        >>> import nncore
        >>> nncore.logical_not(nncore.tensor([0.0, 2.0]))
        tensor([ True, False])
    """
    return eq(x, 0)


def isnan(x):
    """Whether an element is NaN, as a bool tensor.

    Example:
        >>> import nncore
        >>> nncore.isnan(nncore.tensor([1.0, float("nan")]))
        tensor([False,  True])
    """
    x = as_tensor(x)
    return wrap_array(KERNELS["ne"](x.array, x.array))


def isfinite(x):
    """Whether an element is neither NaN nor infinite, as a bool tensor.

    Example:
        >>> import nncore
        >>> nncore.isfinite(nncore.tensor([1.0, float("inf")]))
        tensor([ True, False])
    """
    x = as_tensor(x)
    if x.array.dtype.kind != "f":
        return wrap_array(KERNELS["eq"](x.array, x.array))
    return lt(pointwise.abs(x.detach()), math.inf)


def where(condition, a, b):
    """y = a where condition, else b; broadcast.

    Args:
        condition: bool Tensor.
        a, b: Tensors or numbers.

    Returns:
        Tensor of the broadcast shape.

    Example:
        >>> import nncore
        >>> nncore.where(nncore.tensor([True, False]), 1.0, nncore.tensor([5.0, 6.0]))
        tensor([1., 6.])
    """
    condition = as_tensor(condition)
    if condition.array.dtype != BOOL:
        raise TypeError(f"where: argument 'condition' has dtype {condition.array.dtype}, expected bool")
    a, b = pair("where", a, b)
    c, a_shape, b_shape = condition.array, a.array.shape, b.array.shape

    def vjp(needs, dy):
        zero = constant(0, dy.dtype).array
        return (
            sum_to(apply(_where, c, dy, zero), a_shape) if needs[0] else None,
            sum_to(apply(_where, c, zero, dy), b_shape) if needs[1] else None,
        )

    return record(apply(_where, c, a.array, b.array), (a, b), vjp, (condition,))


def masked_fill(x, mask, value):
    """y = value where mask, else x.

    Example:
        >>> import nncore
        >>> nncore.masked_fill(nncore.ones(2), nncore.tensor([True, False]), 0.0)
        tensor([0., 1.])
    """
    return where(mask, value, x)


def lerp(start, end, weight):
    """y = start + weight * (end - start).

    Example:
        >>> import nncore
        >>> nncore.lerp(nncore.tensor([0.0]), nncore.tensor([10.0]), 0.3)
        tensor([3.])
    """
    return add(start, mul(sub(end, start), weight))


def allclose(a, b, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Whether |a - b| <= atol + rtol |b| everywhere.

    Example:
        >>> import nncore
        >>> nncore.allclose(nncore.tensor([1.0]), nncore.tensor([1.0 + 1e-7]))
        True
    """
    return bool(np.allclose(as_tensor(a).array, as_tensor(b).array, rtol, atol, equal_nan))


def equal(a, b):
    """Whether two tensors have the same shape and elements.

    Example:
        >>> import nncore
        >>> nncore.equal(nncore.ones(2), nncore.ones(3))
        False
    """
    return bool(np.array_equal(as_tensor(a).array, as_tensor(b).array))


__all__ = [
    "add",
    "allclose",
    "div",
    "eq",
    "equal",
    "ge",
    "gt",
    "isfinite",
    "isnan",
    "le",
    "lerp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "masked_fill",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "pow",
    "sub",
    "where",
]
