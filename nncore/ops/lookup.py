"""What an index picks and writes: rows of a table, elements along a dimension."""

import numpy as np

from nncore._core import capture
from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore.ops.convert import INT64, as_tensor, cast, constant, pair
from nncore.ops.dims import as_outer_n_inner, contiguous_array, filled, one_dim, repeated

_gather_rows, _scatter_add_rows = KERNELS["gather_rows"], KERNELS["scatter_add_rows"]
_gather_along, _scatter_along = KERNELS["gather_along"], KERNELS["scatter_along"]


# ---- rows of a table ----
def embedding(input, weight, padding_idx=None):
    """y = weight[input]; gradients of equal rows add up in the order of input, for any number of threads.

    Args:
        input: int64 Tensor of row numbers, any shape.
        weight: Tensor of shape (rows, features).
        padding_idx: row that gets no gradient. Default: none.

    Returns:
        Tensor of shape (*input.shape, features).

    Raises:
        ValueError: a row number is out of range.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.embedding(nncore.tensor([1, 0]), nncore.tensor([[1.0], [2.0]]))
        tensor([[2.],
                [1.]])
    """
    input, weight = as_tensor(input), as_tensor(weight)
    if input.array.dtype.kind not in "iu":
        raise TypeError(f"embedding: argument 'input' has dtype {input.array.dtype}, expected int64")
    if weight.array.ndim != 2:
        raise ValueError(f"embedding: argument 'weight' has shape {weight.array.shape}, expected (rows, features)")
    rows = contiguous_array(cast(input, INT64).array)
    count = weight.array.shape[0]
    try:
        y = _gather_rows(weight.array, rows)
    except ValueError as error:
        raise ValueError(str(error).replace("gather_rows: argument 'index'", "embedding: argument 'input'")) from None

    def vjp(needs, dy):
        dweight = _scatter_add_rows(dy, rows, count)
        if padding_idx is not None:
            filled(dweight[padding_idx], 0)
        return None, dweight

    return record(y, (None, weight), vjp, (input,))


# ---- elements along a dimension ----
def _index_for(op, index, array, dims):
    """index as a tensor of int64 that fits `array` but for dims, and the part of `array` that it reaches."""
    index = as_tensor(index)
    if index.array.dtype.kind not in "iu":
        raise TypeError(f"{op}: argument 'index' has dtype {index.array.dtype}, expected int64")
    shape = index.array.shape
    if len(shape) != array.ndim or any(m > n for d, (m, n) in enumerate(zip(shape, array.shape)) if d not in dims):
        raise ValueError(
            f"{op}: argument 'index' has shape {shape}, expected {array.ndim} dimensions, none but dim "
            f"{dims[0] if dims else 0} larger than in {array.shape}"
        )
    part = tuple(slice(None) if d in dims else slice(m) for d, m in enumerate(shape))
    return cast(index, INT64), part


def _called_here(op, error):
    return ValueError(f"{op}: {str(error).partition(': ')[2]}")


def gather(x, dim, index):
    """y[i, j, k] = x[i, index[i, j, k], k] for dim=1, and so for any number of dimensions.

    Gradients of elements picked more than once add up in the order of index, for any number of threads.

    Args:
        x: Tensor.
        dim: dimension that index counts along.
        index: int64 Tensor with as many dimensions as x, 0 <= index < x.shape[dim]; its other sizes are at most x's.

    Returns:
        Tensor of index's shape.

    Raises:
        ValueError: the shapes do not fit, or an index is out of range.

    Example:
        >>> import nncore
        >>> x = nncore.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> nncore.gather(x, 1, nncore.tensor([[1], [0]]))
        tensor([[2.],
                [3.]])
    """
    x = as_tensor(x)
    dims = one_dim("gather", dim, x.array.ndim)
    index, part = _index_for("gather", index, x.array, dims)
    if x.array[part].shape != x.array.shape:
        return gather(x[part], dim, index)
    shape, blocks = x.array.shape, as_outer_n_inner(x.array, dims)
    at = as_outer_n_inner(index.array, dims)
    try:
        y = _gather_along(blocks, at)
    except ValueError as error:
        raise _called_here("gather", error) from None
    n = blocks.shape[1]

    def vjp(needs, dy):
        return _scatter_along(None, contiguous_array(dy).reshape(at.shape), at, 1, n).reshape(shape)

    return record(y.reshape(index.array.shape), (x,), vjp, (index,))


def take_along_dim(x, indices, dim):
    """gather() with the arguments in NumPy's order: x[i, indices[i, j, k], k] for dim=1.

    Example:
        >>> import nncore
        >>> x = nncore.tensor([[3.0, 1.0, 2.0]])
        >>> nncore.take_along_dim(x, x.argmax(1, keepdim=True), 1)
        tensor([[3.]])
    """
    return gather(x, dim, indices)


def index_select(x, dim, index):
    """The slices of x along dim that index names, in its order.

    Args:
        x: Tensor.
        dim: dimension to pick along.
        index: int64 Tensor with one dimension.

    Returns:
        Tensor, index.shape[0] long in dim.

    Raises:
        IndexError: an index is out of range.

    Example:
        >>> import nncore
        >>> nncore.index_select(nncore.tensor([[1.0, 2.0, 3.0]]), 1, nncore.tensor([2, 0]))
        tensor([[3., 1.]])
    """
    x, index = as_tensor(x), as_tensor(index)
    if index.array.dtype.kind not in "iu" or index.array.ndim > 1:
        raise TypeError(
            f"index_select: argument 'index' has dtype {index.array.dtype} and shape {index.array.shape}, "
            f"expected int64 and one dimension"
        )
    (d,) = one_dim("index_select", dim, x.array.ndim) or (0,)
    return x.transpose(0, d)[index.reshape(-1)].transpose(0, d)


def _scatter(op, x, dim, index, src, add):
    x = as_tensor(x)
    dims = one_dim(op, dim, x.array.ndim)
    index, part = _index_for(op, index, x.array, dims)
    if x.array[part].shape != x.array.shape:
        y = x.clone()
        y[part] = _scatter(op, x[part], dim, index, src, add)
        return y
    at_shape = index.array.shape
    common, source = pair(op, x, src)
    if common.array.dtype != x.array.dtype:
        raise TypeError(f"{op}: argument 'src' has dtype {as_tensor(src).array.dtype}, expected {x.array.dtype} as x")
    if isinstance(src, (bool, int, float)):
        values = repeated(source.array, at_shape)
    elif source.array.ndim != len(at_shape) or any(m > n for m, n in zip(at_shape, source.array.shape)):
        raise ValueError(f"{op}: argument 'src' has shape {source.array.shape}, expected at least index's, {at_shape}")
    else:
        source = source[tuple(slice(m) for m in at_shape)] if source.array.shape != at_shape else source
        values = source.array
    shape, blocks = x.array.shape, as_outer_n_inner(x.array, dims)
    at, n = as_outer_n_inner(index.array, dims), blocks.shape[1]
    try:
        y = _scatter_along(blocks, as_outer_n_inner(values, dims), at, int(add), n)
    except ValueError as error:
        raise _called_here(op, error) from None

    def vjp(needs, dy):
        dy = as_outer_n_inner(dy, dims)
        dx = dsource = None
        if needs[0]:
            none = repeated(constant(0, dy.dtype).array, at.shape)
            dx = (dy if add else _scatter_along(dy, none, at, 0, n)).reshape(shape)
        if needs[1]:
            dsource = _gather_along(dy, at)
            if not add:  # of equal indices the last one was written
                order = np.broadcast_to(capture.constant(np.arange(at.shape[1])[:, None]), at.shape)
                written = KERNELS["eq"](_gather_along(_scatter_along(None, order, at, 0, n), at), order)
                dsource = KERNELS["where"](written, dsource, constant(0, dy.dtype).array)
            dsource = dsource.reshape(at_shape)
        return dx, dsource

    vjp.__qualname__ = op
    return record(y.reshape(shape), (x, source if source.requires_grad else None), vjp, (index,))


def scatter(x, dim, index, src):
    """A copy of x with y[i, index[i, j, k], k] = src[i, j, k] for dim=1, and so for any number of dimensions.

    Of equal indices the last one is written, for any number of threads; it alone gets src's gradient.

    Args:
        x: Tensor.
        dim: dimension that index counts along.
        index: int64 Tensor with as many dimensions as x, 0 <= index < x.shape[dim]; its other sizes are at most x's.
        src: Tensor, in no dimension smaller than index, or a number.

    Returns:
        Tensor of x's shape and dtype.

    Raises:
        ValueError: the shapes do not fit, or an index is out of range.
        TypeError: src has a dtype that x's cannot hold.

    Example:
        >>> import nncore
        >>> nncore.scatter(nncore.zeros(2, 3), 1, nncore.tensor([[2], [0]]), 1.0)
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
    """
    return _scatter("scatter", x, dim, index, src, add=False)


def scatter_add(x, dim, index, src):
    """A copy of x with y[i, index[i, j, k], k] += src[i, j, k] for dim=1, and so for any number of dimensions.

    Equal indices add up in their order, for any number of threads.

    Args:
        x: Tensor.
        dim: dimension that index counts along.
        index: int64 Tensor with as many dimensions as x, 0 <= index < x.shape[dim]; its other sizes are at most x's.
        src: Tensor, in no dimension smaller than index.

    Returns:
        Tensor of x's shape and dtype.

    Raises:
        ValueError: the shapes do not fit, or an index is out of range.
        TypeError: src has a dtype that x's cannot hold.

    Example:
        >>> import nncore
        >>> nncore.scatter_add(nncore.zeros(3), 0, nncore.tensor([0, 2, 0]), nncore.tensor([1.0, 2.0, 3.0]))
        tensor([4., 0., 2.])
    """
    return _scatter("scatter_add", x, dim, index, src, add=True)


__all__ = ["embedding", "gather", "index_select", "scatter", "scatter_add", "take_along_dim"]
