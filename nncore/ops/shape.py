"""Shapes: views of the same memory, joining, splitting."""

import itertools
import math

import numpy as np

from nncore._core.kernels import KERNELS, empty, empty_in_order_of, empty_like
from nncore._core.tape import record
from nncore._core.tensor import wrap_array
from nncore.ops.convert import INT64, as_tensor, cast, common_dtype, constant
from nncore.ops.dims import contiguous_array, filled, normalize_dims, repeated, sum_to
from nncore.ops.indexing import view_of

_copy, _scatter_along = KERNELS["copy"], KERNELS["scatter_along"]


def _size(op, size):
    """A shape given as numbers or as one sequence."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    for n in size:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            raise TypeError(f"{op}: argument 'shape' holds {n!r}, expected integers")
    return tuple(int(n) for n in size)


def reshape(x, *shape):
    """The same elements in another shape: a view where memory allows, else a copy.

    Args:
        x: Tensor.
        *shape: the new sizes; one may be -1 and follows from the others.

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.reshape(nncore.arange(6), (2, -1)).shape
        (2, 3)
    """
    x = as_tensor(x)
    shape = _size("reshape", shape)
    array, old = x.array, x.array.shape
    known = math.prod(n for n in shape if n != -1)
    fits = array.size == known if -1 not in shape else shape.count(-1) == 1 and known and array.size % known == 0
    if not fits or any(n < -1 for n in shape):
        raise ValueError(
            f"reshape: argument 'shape' is {shape}, expected sizes for {array.size} elements of shape {old}"
        )

    def vjp(needs, dy):
        return contiguous_array(dy).reshape(old)

    try:
        view = array.view()
        view.shape = shape
    except AttributeError:  # no view has this shape
        vjp.__qualname__ = "reshape"
        return record(_copy(array).reshape(shape), (x,), vjp)
    return view_of(x, view, vjp, "reshape")


def flatten(x, start_dim=0, end_dim=-1):
    """Join the dimensions start_dim .. end_dim, in row-major order.

    Example:
        >>> import nncore
        >>> nncore.flatten(nncore.zeros(2, 3, 4), 1).shape
        (2, 12)
    """
    x = as_tensor(x)
    if x.array.ndim == 0:
        return reshape(x, 1)
    (first,), (last,) = (
        normalize_dims("flatten", start_dim, x.array.ndim),
        normalize_dims("flatten", end_dim, x.array.ndim),
    )
    if first > last:
        raise ValueError(f"flatten: argument 'start_dim' is {start_dim}, expected at most end_dim, {end_dim}")
    shape = x.array.shape
    return reshape(x, shape[:first] + (math.prod(shape[first : last + 1]),) + shape[last + 1 :])


def unflatten(x, dim, sizes):
    """Split one dimension into several.

    Example:
        >>> import nncore
        >>> nncore.unflatten(nncore.zeros(2, 12), 1, (3, 4)).shape
        (2, 3, 4)
    """
    x = as_tensor(x)
    (d,) = normalize_dims("unflatten", dim, x.array.ndim)
    sizes = list(sizes)
    if -1 in sizes:
        known = math.prod(n for n in sizes if n != -1)
        sizes[sizes.index(-1)] = x.array.shape[d] // known if known else 0
    if math.prod(sizes) != x.array.shape[d]:
        raise ValueError(f"unflatten: argument 'sizes' is {tuple(sizes)}, expected a product of {x.array.shape[d]}")
    return reshape(x, x.array.shape[:d] + tuple(sizes) + x.array.shape[d + 1 :])


def permute(x, *dims):
    """Reorder the dimensions, as a view.

    Example:
        >>> import nncore
        >>> nncore.permute(nncore.zeros(2, 3, 4), (2, 0, 1)).shape
        (4, 2, 3)
    """
    x = as_tensor(x)
    dims = _size("permute", dims)
    ndim = x.array.ndim
    order = [d + ndim if d < 0 else d for d in dims]
    if sorted(order) != list(range(ndim)):
        raise ValueError(f"permute: argument 'dims' is {dims}, expected each of the {ndim} dimensions once")
    back = np.argsort(order)

    def vjp(needs, dy):
        return dy.transpose(back)

    return view_of(x, x.array.transpose(order), vjp, "permute")


def transpose(x, dim0, dim1):
    """Swap two dimensions, as a view.

    Example:
        >>> import nncore
        >>> nncore.transpose(nncore.zeros(2, 3), 0, 1).shape
        (3, 2)
    """
    x = as_tensor(x)
    ndim = x.array.ndim
    if ndim == 0:
        return x
    (a,), (b,) = normalize_dims("transpose", dim0, ndim), normalize_dims("transpose", dim1, ndim)
    order = list(range(ndim))
    order[a], order[b] = b, a
    return permute(x, order)


def movedim(x, source, destination):
    """Move one dimension to another place, as a view.

    Example:
        >>> import nncore
        >>> nncore.movedim(nncore.zeros(2, 3, 4), 0, -1).shape
        (3, 4, 2)
    """
    x = as_tensor(x)
    (a,), (b,) = normalize_dims("movedim", source, x.array.ndim), normalize_dims("movedim", destination, x.array.ndim)
    order = [d for d in range(x.array.ndim) if d != a]
    order.insert(b, a)
    return permute(x, order)


def squeeze(x, dim=None):
    """Drop dimensions of size 1: all, or the ones named.

    Example:
        >>> import nncore
        >>> nncore.squeeze(nncore.zeros(1, 3, 1)).shape
        (3,)
    """
    x = as_tensor(x)
    dims = tuple(d for d in normalize_dims("squeeze", dim, x.array.ndim) if x.array.shape[d] == 1)

    def vjp(needs, dy):
        return np.expand_dims(dy, dims)

    return view_of(x, x.array.squeeze(dims), vjp, "squeeze")


def unsqueeze(x, dim):
    """Insert a dimension of size 1.

    Example:
        >>> import nncore
        >>> nncore.unsqueeze(nncore.zeros(3), 0).shape
        (1, 3)
    """
    x = as_tensor(x)
    (d,) = normalize_dims("unsqueeze", dim, x.array.ndim + 1)

    def vjp(needs, dy):
        return dy.squeeze(d)

    return view_of(x, np.expand_dims(x.array, d), vjp, "unsqueeze")


def expand(x, *sizes):
    """Stretch dimensions of size 1, as a view; -1 keeps a size.

    Example:
        >>> import nncore
        >>> nncore.expand(nncore.zeros(1, 3), 2, -1).shape
        (2, 3)
    """
    x = as_tensor(x)
    sizes = _size("expand", sizes)
    old = x.array.shape
    more = len(sizes) - len(old)
    target = tuple(old[i - more] if n == -1 and i >= more else n for i, n in enumerate(sizes))
    try:
        array = np.broadcast_to(x.array, target)
    except ValueError:
        raise ValueError(f"expand: argument 'sizes' is {sizes}, which shape {old} cannot be stretched to") from None

    def vjp(needs, dy):
        return sum_to(dy, old)

    return view_of(x, array, vjp, "expand")


def contiguous(x):
    """x itself if its memory is in row-major order, else a copy that is.

    Example:
        >>> import nncore
        >>> nncore.contiguous(nncore.zeros(2, 3).T).array.flags.c_contiguous
        True
    """
    return x if x.array.flags.c_contiguous else clone(x, "C")


def clone(x, order="K"):
    """A copy with history.

    Example:
        >>> import nncore
        >>> x = nncore.zeros(1)
        >>> nncore.clone(x).fill_(5.0), x
        (tensor([5.]), tensor([0.]))
    """

    def vjp(needs, dy):
        return dy

    memory = empty(x.array.shape, x.array.dtype) if order == "C" else empty_like(x.array)
    return record(_copy(x.array, out=memory), (x,), vjp)


# ---- joining and splitting ----
def cat(tensors, dim=0):
    """Join tensors along a dimension.

    Args:
        tensors: sequence of Tensors, equal in shape but for `dim`.
        dim: dimension to join along. Default: 0.

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.cat([nncore.zeros(2), nncore.ones(1)])
        tensor([0., 0., 1.])
    """
    tensors = [as_tensor(t) for t in tensors]
    if not tensors:
        raise ValueError("cat: argument 'tensors' is empty, expected at least one Tensor")
    first = tensors[0].array
    (d,) = normalize_dims("cat", dim, first.ndim) or (0,)
    for i, t in enumerate(tensors):
        if (
            t.array.ndim == 0
            or t.array.ndim != first.ndim
            or t.array.shape[:d] + t.array.shape[d + 1 :] != first.shape[:d] + first.shape[d + 1 :]
        ):
            raise ValueError(
                f"cat: argument 'tensors' holds shape {t.array.shape} at position {i}, expected {first.shape} but for dim {d}"
            )
    dtype = common_dtype(tensors)
    tensors = [cast(t, dtype) for t in tensors]
    ends = np.cumsum([t.array.shape[d] for t in tensors]).tolist()
    starts = [0, *ends[:-1]]
    shape = first.shape[:d] + (ends[-1],) + first.shape[d + 1 :]
    y = empty_in_order_of(first, shape, dtype)
    before = (slice(None),) * d
    for t, start, end in zip(tensors, starts, ends):
        _copy(t.array, out=y[before + (slice(start, end),)])

    def vjp(needs, dy):
        return tuple(
            dy[before + (slice(start, end),)] if need else None for need, start, end in zip(needs, starts, ends)
        )

    return record(y, tuple(tensors), vjp)


def stack(tensors, dim=0):
    """Join tensors of one shape along a new dimension.

    Example:
        >>> import nncore
        >>> nncore.stack([nncore.zeros(2), nncore.ones(2)]).shape
        (2, 2)
    """
    return cat([unsqueeze(t, dim) for t in tensors], dim)


def split(x, split_size_or_sections, dim=0):
    """Views of consecutive parts: of a given size each (the last may be smaller), or of the given sizes.

    Example:
        >>> import nncore
        >>> [part.shape for part in nncore.split(nncore.zeros(5), 2)]
        [(2,), (2,), (1,)]
    """
    x = as_tensor(x)
    (d,) = normalize_dims("split", dim, x.array.ndim)
    n = x.array.shape[d]
    if isinstance(split_size_or_sections, (int, np.integer)):
        size = int(split_size_or_sections)
        if size < 1:
            raise ValueError(f"split: argument 'split_size' is {size}, expected at least 1")
        sizes = [min(size, n - start) for start in range(0, max(n, 1), size)]
    else:
        sizes = list(split_size_or_sections)
        if sum(sizes) != n or any(s < 0 for s in sizes):
            raise ValueError(f"split: argument 'split_sections' is {sizes}, expected sizes that add up to {n}")
    ends = np.cumsum(sizes).tolist()
    before = (slice(None),) * d
    return _parts(x, [(*before, slice(end - size, end)) for size, end in zip(sizes, ends)], "split")


def _parts(x, keys, name):
    """Views of x that together are all of it. Their gradients are written side by side, not added up."""
    array = x.array
    views = tuple(x.share(array[key]) for key in keys)
    if not x.requires_grad:
        return views

    def vjp(needs, *gradients):
        dx = empty_like(array)
        for key, dy in zip(keys, gradients):
            if dy is None:
                filled(dx[key], 0)
            else:
                _copy(dy, out=dx[key])
        return dx

    vjp.__qualname__ = name
    for view, part in zip(views, record(tuple(view.array for view in views), (x,), vjp)):
        view.rebind(part)
    return views


def chunk(x, chunks, dim=0):
    """Views of `chunks` consecutive parts, as equal as can be.

    Example:
        >>> import nncore
        >>> [part.shape for part in nncore.chunk(nncore.zeros(5), 2)]
        [(3,), (2,)]
    """
    x = as_tensor(x)
    (d,) = normalize_dims("chunk", dim, x.array.ndim)
    if chunks < 1:
        raise ValueError(f"chunk: argument 'chunks' is {chunks}, expected at least 1")
    return split(x, max(1, -(-x.array.shape[d] // chunks)), d)


def unbind(x, dim=0):
    """Views of the slices along a dimension.

    Example:
        >>> import nncore
        >>> nncore.unbind(nncore.tensor([1.0, 2.0]))
        (tensor(1.), tensor(2.))
    """
    x = as_tensor(x)
    (d,) = normalize_dims("unbind", dim, x.array.ndim)
    before = (slice(None),) * d
    return _parts(x, [(*before, i, ...) for i in range(x.array.shape[d])], "unbind")


def flip(x, dims):
    """Reverse the order along dimensions, as a view.

    Example:
        >>> import nncore
        >>> nncore.flip(nncore.tensor([1.0, 2.0]), 0)
        tensor([2., 1.])
    """
    x = as_tensor(x)
    dims = normalize_dims("flip", dims, x.array.ndim)

    def vjp(needs, dy):
        return np.flip(dy, dims)

    return view_of(x, np.flip(x.array, dims), vjp, "flip")


def _rolled(array, shifts):
    """A copy of `array` with what leaves at one end of a dimension come in at the other; a shift for each dimension."""
    moves = []
    for n, shift in zip(array.shape, shifts):
        first = shift % n if n else 0  # where the front goes
        halves = ((slice(0, n - first), slice(first, n)), (slice(n - first, n), slice(0, first)))
        moves.append(halves if first else halves[:1])
    y = empty_like(array)
    for blocks in itertools.product(*moves):
        _copy(array[tuple(source for source, _ in blocks)], out=y[tuple(target for _, target in blocks)])
    return y


def roll(x, shifts, dims=None):
    """Shift the elements along dimensions; what leaves at one end comes in at the other.

    Args:
        x: Tensor.
        shifts: number of places, or one for each of dims; negative ones shift towards the front.
        dims: dimension or sequence of them; one named twice is shifted twice. Default: the elements as one row.

    Returns:
        Tensor of x's shape.

    Raises:
        ValueError: there are not as many shifts as dims.

    Example:
        >>> import nncore
        >>> nncore.roll(nncore.tensor([1.0, 2.0, 3.0]), 1)
        tensor([3., 1., 2.])
        >>> nncore.roll(nncore.tensor([[1, 2], [3, 4], [5, 6]]), (-1, 1), (0, 1)).tolist()
        [[4, 3], [6, 5], [2, 1]]
    """
    x = as_tensor(x)
    shape = x.array.shape
    if dims is None:
        return reshape(roll(reshape(x, x.array.size), shifts, 0), shape)
    shifts, dims = (value if isinstance(value, (tuple, list)) else (value,) for value in (shifts, dims))
    if len(shifts) != len(dims) or not dims:
        raise ValueError(f"roll: argument 'shifts' is {shifts}, expected one for each of the dims {dims}")
    if not shape:
        raise IndexError(f"roll: argument 'dims' is {dims}, expected None for a tensor without dimensions")
    total = [0] * len(shape)
    for shift, dim in zip(shifts, dims):
        if isinstance(shift, bool) or not isinstance(shift, (int, np.integer)):
            raise TypeError(f"roll: argument 'shifts' holds {shift!r}, expected integers")
        (d,) = normalize_dims("roll", dim, len(shape))
        total[d] += int(shift)

    def vjp(needs, dy):
        return _rolled(dy, [-shift for shift in total])

    return record(_rolled(x.array, total), (x,), vjp)


def one_hot(x, num_classes=-1):
    """int64 tensor with a new last dimension: 1 at the class, 0 elsewhere.

    Args:
        x: int64 Tensor of classes, 0 or more.
        num_classes: number of classes. Default: the largest class + 1.

    Returns:
        int64 Tensor of shape (*x.shape, num_classes).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.one_hot(nncore.tensor([0, 2]), 3).tolist()
        [[1, 0, 0], [0, 0, 1]]
    """
    x = as_tensor(x)
    if x.array.dtype.kind not in "iu":
        raise TypeError(f"one_hot: argument 'x' has dtype {x.array.dtype}, expected int64")
    classes = int(x.array.max(initial=-1)) + 1 if num_classes == -1 else num_classes
    index = contiguous_array(cast(x, INT64).array).reshape(1 if not x.array.ndim else -1, 1, 1)
    try:
        y = _scatter_along(None, repeated(constant(1, INT64).array, index.shape), index, 0, classes)
    except ValueError as error:
        raise ValueError(str(error).replace("scatter_along: argument 'index'", "one_hot: argument 'x'")) from None
    return wrap_array(y.reshape(*x.array.shape, classes))


__all__ = [
    "cat",
    "chunk",
    "clone",
    "contiguous",
    "expand",
    "flatten",
    "flip",
    "movedim",
    "one_hot",
    "permute",
    "reshape",
    "roll",
    "split",
    "squeeze",
    "stack",
    "transpose",
    "unbind",
    "unflatten",
    "unsqueeze",
]
