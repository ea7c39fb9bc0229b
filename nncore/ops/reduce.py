"""Reductions over one or several dimensions."""

import math

import numpy as np

from nncore._core.kernels import KERNELS, empty
from nncore._core.tape import record
from nncore._core.tensor import wrap_array
from nncore.ops.convert import BOOL, INT64, as_float, as_tensor, cast, constant
from nncore.ops.dims import (
    as_outer_n_inner,
    contiguous_array,
    from_outer_n_inner,
    normalize_dims,
    one_dim,
    reduce_array,
    reduced_shape,
    repeated,
)

_sum, _max, _min, _argmax, _argmin = (KERNELS[name] for name in ("sum", "max", "min", "argmax", "argmin"))
_sum_squares, _sqrt = KERNELS["sum_squares"], KERNELS["sqrt_forward"]
_mean, _var, _var_backward, _logsumexp = (KERNELS[name] for name in ("mean", "var", "var_backward", "logsumexp"))
_cumsum, _scatter_along = KERNELS["cumsum"], KERNELS["scatter_along"]
_copy, _mul, _div, _eq = (KERNELS[name] for name in ("copy", "mul", "div", "eq"))


def _softmax_of_blocks(blocks):
    """softmax over the middle of (outer, n, inner)"""
    if blocks.shape[2] == 1:
        return KERNELS["softmax_forward"](blocks[:, :, 0])[:, :, None]
    return KERNELS["softmax_columns_forward"](blocks)


def _spread(dy, dims, shape, keepdim):
    """The gradient of a sum: dy repeated along the reduced dimensions, as a view."""
    if dy.size == 1:
        return repeated(dy, shape)
    return np.broadcast_to(dy if keepdim else np.expand_dims(dy, dims), shape)


def _summable(x, dtype):
    """x as a tensor of the dtype that its elements are added in."""
    x = as_tensor(x)
    return cast(x, np.dtype(dtype) if dtype is not None else x.array.dtype if x.array.dtype.kind == "f" else INT64)


def sum(x, dim=None, keepdim=False, dtype=None):
    """Sum over dimensions, by a fixed tree: the same bits for any number of threads.

    Args:
        x: Tensor.
        dim: dimension or tuple of them. Default: all.
        keepdim: keep the reduced dimensions with size 1. Default: False.
        dtype: dtype to convert to first. Default: x's own; int64 for bool and integers.

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.sum(nncore.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
        tensor([4., 6.])
    """
    x = _summable(x, dtype)
    shape, dims = x.array.shape, normalize_dims("sum", dim, x.array.ndim)

    def vjp(needs, dy):
        return _spread(dy, dims, shape, keepdim)

    return record(reduce_array(_sum, x.array, dims, keepdim), (x,), vjp)


def cumsum(x, dim, dtype=None):
    """Running sums along a dimension: y[i, j] = x[i, 0] + ... + x[i, j] for dim=1.

    float32 sums are kept in double precision and rounded where they are written.

    Args:
        x: Tensor.
        dim: dimension to go along.
        dtype: dtype to convert to first. Default: x's own; int64 for bool and integers.

    Returns:
        Tensor of x's shape.

    Example:
        >>> import nncore
        >>> nncore.cumsum(nncore.tensor([1.0, 2.0, 3.0]), 0)
        tensor([1., 3., 6.])
    """
    x = _summable(x, dtype)
    shape, dims = x.array.shape, one_dim("cumsum", dim, x.array.ndim)
    blocks = as_outer_n_inner(x.array, dims)

    def vjp(needs, dy):
        return _cumsum(contiguous_array(dy).reshape(blocks.shape), 1).reshape(shape)

    return record(_cumsum(blocks, 0).reshape(shape), (x,), vjp)


def mean(x, dim=None, keepdim=False):
    """Mean over dimensions: the sum divided by the count.

    Args:
        x: Tensor, float32 or float64.
        dim: dimension or tuple of them. Default: all.
        keepdim: keep the reduced dimensions with size 1. Default: False.

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.mean(nncore.tensor([1.0, 2.0, 6.0]))
        tensor(3.)
    """
    x = as_tensor(x)
    if x.array.dtype.kind != "f":
        raise TypeError(f"mean: argument 'x' has dtype {x.array.dtype}, expected float32 or float64")
    shape, dims = x.array.shape, normalize_dims("mean", dim, x.array.ndim)
    count = x.array.size if len(dims) == x.array.ndim else math.prod(shape[d] for d in dims)
    count = constant(float(count), x.array.dtype).array

    def vjp(needs, dy):
        return _spread(_div(dy, count), dims, shape, keepdim)

    return record(reduce_array(_mean, x.array, dims, keepdim), (x,), vjp)


def var(x, dim=None, correction=1, keepdim=False, unbiased=None):
    """Variance over dimensions: the sum of squared deviations from the mean, divided by (count - correction).

    Args:
        x: Tensor, float32 or float64.
        dim: dimension or tuple of them. Default: all.
        correction: 1 for the unbiased estimate (default), 0 for the variance of the data.
        keepdim: keep the reduced dimensions with size 1. Default: False.
        unbiased: torch's older name for correction=1.

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.var(nncore.tensor([1.0, 2.0, 3.0]))
        tensor(1.)
    """
    x = as_tensor(x)
    if x.array.dtype.kind != "f":
        raise TypeError(f"var: argument 'x' has dtype {x.array.dtype}, expected float32 or float64")
    correction = correction if unbiased is None else int(unbiased)
    shape, dims = x.array.shape, normalize_dims("var", dim, x.array.ndim)
    blocks = as_outer_n_inner(x.array, dims)
    y, centre = _var(blocks, correction)

    def vjp(needs, dy):
        return from_outer_n_inner(
            _var_backward(contiguous_array(dy).reshape(y.shape), blocks, centre, correction), shape, dims
        )

    return record(y.reshape(reduced_shape(shape, dims, keepdim)), (x,), vjp, (x,))


def std(x, dim=None, correction=1, keepdim=False, unbiased=None):
    """Standard deviation over dimensions: the square root of var().

    Example:
        >>> import nncore
        >>> nncore.std(nncore.tensor([1.0, 2.0, 3.0]))
        tensor(1.)
    """
    return var(x, dim, correction, keepdim, unbiased).sqrt()


def _select(name):
    """max or min along one dimension: (values, indices); the gradient goes to the first extremum."""
    kernel = KERNELS[f"{name}_along"]

    def op(x, dim, keepdim):
        x = as_tensor(x)
        dims = normalize_dims(name, dim, x.array.ndim)
        if len(dims) > 1:
            raise ValueError(f"{name}: argument 'dim' is {dim}, expected one dimension")
        shape, blocks = x.array.shape, as_outer_n_inner(x.array, dims)
        values, indices = kernel(blocks)
        out_shape, n = reduced_shape(shape, dims, keepdim), blocks.shape[1]

        def vjp(needs, dy, _):
            at = indices[:, None]
            return _scatter_along(None, contiguous_array(dy).reshape(at.shape), at, 0, n).reshape(shape)

        vjp.__qualname__ = name
        return record((values.reshape(out_shape), indices.reshape(out_shape)), (x,), vjp)

    return op


_max_along, _min_along = _select("max"), _select("min")


def _extremum(name, kernel, along):
    def op(x, dim=None, keepdim=False):
        if dim is None:
            return (amax if name == "max" else amin)(x)
        return along(x, dim, keepdim)

    largest = name == "max"
    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"""{"Largest" if largest else "Smallest"} element, or the pair (values, indices) along one dimension.

    NaN wins. The gradient along a dimension goes to the first extremum; over all elements it is shared among equals.

    Args:
        x: Tensor.
        dim: dimension. Default: all elements.
        keepdim: keep the reduced dimension with size 1. Default: False.

    Returns:
        Tensor; with dim, a pair of Tensors.

    Raises:
        ValueError: there is nothing to reduce.

    Example:
        >>> import nncore
        >>> nncore.{name}(nncore.tensor([3.0, 1.0]))
        tensor({"3" if largest else "1"}.)
        >>> values, indices = nncore.{name}(nncore.tensor([[3.0, 1.0]]), dim=1)
        >>> indices
        tensor([{0 if largest else 1}])
    """
    return op


max, min = _extremum("max", _max, _max_along), _extremum("min", _min, _min_along)


def _over_dims(name, kernel):
    def op(x, dim=None, keepdim=False):
        x = as_tensor(x)
        array, dims = x.array, normalize_dims(name, dim, x.array.ndim)
        y = reduce_array(kernel, array, dims, keepdim)

        def vjp(needs, dy):  # equal extrema share the gradient
            is_extremum = _copy(_eq(array, _spread(y, dims, array.shape, keepdim)), out=empty(array.shape, array.dtype))
            share = _div(dy, reduce_array(_sum, is_extremum, dims, keepdim))
            return _mul(is_extremum, _spread(share, dims, array.shape, keepdim))

        vjp.__qualname__ = name
        return record(y, (x,), vjp, (x,))

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"""{"Largest" if name == "amax" else "Smallest"} element over dimensions; equal ones share the gradient.

    Args:
        x: Tensor.
        dim: dimension or tuple of them. Default: all.
        keepdim: keep the reduced dimensions with size 1. Default: False.

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.{name}(nncore.tensor([[3.0, 1.0], [0.0, 5.0]]), dim=0)
        tensor([{"3., 5." if name == "amax" else "0., 1."}])
    """
    return op


amax, amin = _over_dims("amax", _max), _over_dims("amin", _min)


def _position(name, kernel):
    def op(x, dim=None, keepdim=False):
        x = as_tensor(x)
        dims = normalize_dims(name, dim, x.array.ndim)
        if dim is not None and len(dims) > 1:
            raise ValueError(f"{name}: argument 'dim' is {dim}, expected one dimension")
        return wrap_array(reduce_array(kernel, x.array, dims, keepdim))

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"""Position of the {"largest" if name == "argmax" else "smallest"} element, the first of equals; NaN wins.

    Args:
        x: Tensor.
        dim: dimension. Default: position in the flattened tensor.
        keepdim: keep the reduced dimension with size 1. Default: False.

    Returns:
        int64 Tensor.

    Example:
        >>> import nncore
        >>> nncore.{name}(nncore.tensor([1.0, 7.0, 0.0]))
        tensor({1 if name == "argmax" else 2})
    """
    return op


argmax, argmin = _position("argmax", _argmax), _position("argmin", _argmin)


def any(x, dim=None, keepdim=False):
    """Whether any element is not zero.

    Example:
        >>> import nncore
        >>> nncore.any(nncore.tensor([False, True]))
        tensor(True)
    """
    return amax(as_tensor(x) != 0, dim, keepdim) if as_tensor(x).array.size else wrap_array(constant(False, BOOL).array)


def all(x, dim=None, keepdim=False):
    """Whether all elements are not zero.

    Example:
        >>> import nncore
        >>> nncore.all(nncore.tensor([False, True]))
        tensor(False)
    """
    return amin(as_tensor(x) != 0, dim, keepdim) if as_tensor(x).array.size else wrap_array(constant(True, BOOL).array)


def logsumexp(x, dim, keepdim=False):
    """log(sum(exp(x))) without overflow.

    Args:
        x: Tensor.
        dim: dimension or tuple of them.
        keepdim: keep the reduced dimensions with size 1. Default: False.

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.logsumexp(nncore.tensor([1000.0, 1000.0]), dim=0)
        tensor(1000.6932)
    """
    x = as_float("logsumexp", x)
    shape, dims = x.array.shape, normalize_dims("logsumexp", dim, x.array.ndim)
    blocks = as_outer_n_inner(x.array, dims)
    y = _logsumexp(blocks)

    def vjp(needs, dy):
        share = _softmax_of_blocks(blocks)
        dy = np.expand_dims(contiguous_array(dy).reshape(y.shape), 1)
        return from_outer_n_inner(_mul(share, dy, out=share), shape, dims)

    return record(y.reshape(reduced_shape(shape, dims, keepdim)), (x,), vjp, (x,))


def _euclidean(x, dim, keepdim):
    x = as_float("norm", x)
    array, dims = x.array, normalize_dims("norm", dim, x.array.ndim)
    y = _sqrt(reduce_array(_sum_squares, array, dims, keepdim))

    def vjp(needs, dy):  # x / |x|, and 0 at 0
        slope = KERNELS["where"](_eq(y, constant(0, y.dtype).array), constant(0, y.dtype).array, _div(dy, y))
        return _mul(array, _spread(slope, dims, array.shape, keepdim))

    vjp.__qualname__ = "norm"
    return record(y, (x,), vjp, (x, True))


def norm(x, p=2, dim=None, keepdim=False):
    """(sum |x|^p)^(1/p) over dimensions.

    Args:
        x: Tensor.
        p: 1, 2, math.inf or another positive order. Default: 2.
        dim: dimension or tuple of them. Default: all.
        keepdim: keep the reduced dimensions with size 1. Default: False.

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.norm(nncore.tensor([3.0, 4.0]))
        tensor(5.)
    """
    x = as_tensor(x)
    if p in (2, "fro"):
        return _euclidean(x, dim, keepdim)
    if p == math.inf:
        return amax(x.abs(), dim, keepdim)
    if not p > 0:
        raise ValueError(f"norm: argument 'p' is {p}, expected a positive number")
    return sum(x.abs() ** p, dim, keepdim) ** (1 / p)


__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "cumsum",
    "logsumexp",
    "max",
    "mean",
    "min",
    "norm",
    "std",
    "sum",
    "var",
]
