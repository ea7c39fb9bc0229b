"""Dimensions: which ones are meant, and arrays brought to the (outer, n, inner) that reduction kernels read."""

import math

import numpy as np

from nncore._core.kernels import KERNELS, empty, empty_like
from nncore.ops.convert import constant

_SUM, _COPY = KERNELS["sum"], KERNELS["copy"]


def contiguous_array(array):
    """`array` in C order, copied by the copy kernel if it is not."""
    return array if array.flags.c_contiguous else _COPY(array)


def repeated(number, shape):
    """A view of one number as an array of `shape`: what np.broadcast_to does, in a fifth of the time."""
    view = np.ndarray(shape, number.dtype, number, strides=(0,) * len(shape))
    view.flags.writeable = False
    return view


def zeros_array(shape, dtype):
    """Zeros, written by the copy kernel."""
    return filled(empty(shape, dtype), 0)


def filled(array, value):
    """`array`, with a Python number written to every element by the copy kernel."""
    return _COPY(repeated(constant(value, array.dtype).array, array.shape), out=array)


def filled_like(array, value):
    """A new array like `array`, filled with a Python number."""
    return filled(empty_like(array), value)


def normalize_dims(op, dim, ndim):
    """Sorted non-negative dimensions; None means all."""
    if dim is None:
        return tuple(range(ndim))
    dims = dim if isinstance(dim, (tuple, list)) else (dim,)
    result = []
    for d in dims:
        if isinstance(d, bool) or not isinstance(d, (int, np.integer)):
            raise TypeError(f"{op}: argument 'dim' is {d!r}, expected an integer")
        if not -max(ndim, 1) <= d < max(ndim, 1):
            raise IndexError(
                f"{op}: argument 'dim' is {d}, expected {-max(ndim, 1)} to {max(ndim, 1) - 1} for {ndim} dimensions"
            )
        result.append(int(d) % max(ndim, 1))
    if len(set(result)) != len(result):
        raise ValueError(f"{op}: argument 'dim' is {dim}, which names a dimension twice")
    return tuple(sorted(result)) if ndim else ()


def one_dim(op, dim, ndim):
    """normalize_dims of one dimension."""
    dims = normalize_dims(op, dim, ndim)
    if dim is None or len(dims) != min(ndim, 1):
        raise ValueError(f"{op}: argument 'dim' is {dim}, expected one dimension")
    return dims


def as_outer_n_inner(array, dims):
    """`array` as (outer, n, inner) with n the reduced dimensions, in an order that depends on shape and dims alone."""
    shape = array.shape
    if dims and dims != tuple(range(dims[0], dims[-1] + 1)):
        kept = [d for d in range(array.ndim) if d not in dims]
        array = array.transpose(kept + list(dims))
        shape = array.shape
        first, last = len(kept), array.ndim
    else:
        first, last = (dims[0], dims[-1] + 1) if dims else (array.ndim, array.ndim)
    return contiguous_array(array).reshape(
        math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])
    )


def from_outer_n_inner(blocks, shape, dims):
    """What as_outer_n_inner made of an array of `shape`, back in its shape: a view."""
    if not dims or dims == tuple(range(dims[0], dims[-1] + 1)):
        return blocks.reshape(shape)
    order = [d for d in range(len(shape)) if d not in dims] + list(dims)
    return blocks.reshape([shape[d] for d in order]).transpose(np.argsort(order))


def reduced_shape(shape, dims, keepdim):
    """The shape after a reduction over dims."""
    if keepdim:
        return tuple(1 if d in dims else n for d, n in enumerate(shape))
    return tuple(n for d, n in enumerate(shape) if d not in dims)


def reduce_array(kernel, array, dims, keepdim=False):
    """Apply a reduction kernel over dims of an array."""
    if len(dims) == array.ndim:
        return kernel(contiguous_array(array).reshape(1, -1, 1)).reshape((1,) * array.ndim if keepdim else ())
    return kernel(as_outer_n_inner(array, dims)).reshape(reduced_shape(array.shape, dims, keepdim))


def sum_to(dy, shape):
    """The gradient of a broadcast: dy summed over the dimensions along which an array of `shape` was stretched."""
    if dy.shape == shape:
        return dy
    more = dy.ndim - len(shape)
    dims = tuple(range(more)) + tuple(more + d for d, n in enumerate(shape) if n == 1 and dy.shape[more + d] != 1)
    return reduce_array(_SUM, dy, dims).reshape(shape)
