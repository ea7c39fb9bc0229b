"""Indexing: x[key] and x[key] = value in NumPy's meaning, and the history of what is seen or changed in place."""

import math

import numpy as np

from nncore._core import capture
from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore._core.tensor import TensorBase
from nncore.ops.convert import INT64, as_tensor, cast, constant
from nncore.ops.dims import contiguous_array, sum_to, zeros_array

_copy, _gather_rows, _scatter_add_rows = (KERNELS[name] for name in ("copy", "gather_rows", "scatter_add_rows"))


def view_of(x, array, vjp, name):
    """A tensor over a NumPy view of x's memory, with history."""
    view = x.share(array)
    if x.requires_grad:
        vjp.__qualname__ = name
        view.rebind(record(array, (x,), vjp))
    return view


def _index_array(item):
    """An index as NumPy wants it."""
    if isinstance(item, TensorBase):
        item = item.array
    if isinstance(item, (list, np.ndarray)):
        array = np.asarray(item)
        if array.dtype.kind == "f" and array.size == 0:
            array = array.astype(INT64)
        if array.dtype.kind not in "biu":
            raise TypeError(f"index: an index array has dtype {array.dtype}, expected integers or bool")
        return array if array.dtype.kind == "b" else array.astype(INT64, copy=False)
    return item


def _is_basic(key):
    return all(
        item is None or item is Ellipsis or (isinstance(item, (int, np.integer, slice)) and not isinstance(item, bool))
        for item in key
    )


def _key(key):
    key = key if isinstance(key, tuple) else (key,)
    return tuple(_index_array(item) for item in key)


def _asview_of(key):
    """A basic index that gives an array even where it picks one element."""
    return key if any(item is Ellipsis for item in key) else (*key, ...)


def _positions(shape, key):
    """Positions in the flattened array of what an index picks, in NumPy's meaning of the index."""
    return np.arange(math.prod(shape), dtype=INT64).reshape(shape)[key]


def index(x, key):
    """x[key]: a view for integers, slices, None and ...; a copy for index arrays and masks, as in NumPy.

    Example:
        >>> import nncore
        >>> nncore.tensor([[1.0, 2.0], [3.0, 4.0]])[:, 1]
        tensor([2., 4.])
    """
    x = as_tensor(x)
    picker, key = key, _key(key)
    array = x.array
    if _is_basic(key):
        try:
            view = array[key]
        except IndexError as error:
            raise IndexError(f"index: {error}, for shape {array.shape}") from None
        view = view if isinstance(view, np.ndarray) else array[_asview_of(key)]

        def vjp(needs, dy):
            dx = zeros_array(array.shape, dy.dtype)
            _copy(dy, out=dx[_asview_of(key)])
            return dx

        return view_of(x, view, vjp, "index")
    try:
        if len(key) == 1 and isinstance(key[0], np.ndarray) and key[0].dtype == INT64 and array.ndim:
            rows = key[0] + np.where(key[0] < 0, array.shape[0], 0) if (key[0] < 0).any() else key[0]
            tail = array.shape[1:]
        else:
            rows, tail = _positions(array.shape, key), ()
    except IndexError as error:
        raise IndexError(f"index: {error}, for shape {array.shape}") from None
    cols = math.prod(tail)
    n = array.shape[0] if tail else array.size
    try:
        y = _gather_rows(contiguous_array(array).reshape(n, cols), rows).reshape(rows.shape + tail)
    except ValueError as error:
        raise IndexError(f"index: {str(error).partition(': ')[2]}, for shape {array.shape}") from None

    def vjp(needs, dy):
        return _scatter_add_rows(contiguous_array(dy).reshape(*rows.shape, cols), rows, n).reshape(array.shape)

    is_read_again = isinstance(picker, TensorBase) and rows is picker.array
    return record(y, (x,), vjp, (picker,) if is_read_again else ())


def set_index(x, key, value):
    """x[key] = value, in place; both x and value get their gradients."""
    key = _key(key)
    array = x.array
    if array.dtype.kind == "f" and type(value) in (int, float):
        value = constant(value, array.dtype)
    else:
        value = cast(as_tensor(value), array.dtype)
    if not array.flags.writeable:
        raise ValueError("index: the tensor's memory is read-only")
    basic = _is_basic(key)
    try:
        target = array[_asview_of(key)] if basic else None
        shape = target.shape if basic else _positions(array.shape, key).shape
    except IndexError as error:
        raise IndexError(f"index: {error}, for shape {array.shape}") from None
    v = value.array
    while v.ndim > len(shape) and v.shape[0] == 1:
        v = v[0]
    try:
        spread = np.broadcast_to(v, shape)
    except ValueError:
        raise ValueError(
            f"index: the value has shape {value.array.shape}, expected one that broadcasts to {shape}"
        ) from None
    if np.may_share_memory(spread, array):
        spread = spread.copy()

    def write(to, source):
        if basic:
            _copy(source, out=to[_asview_of(key)])
        else:
            capture.refuse("x[index] = value with an index array or a mask", "compute with nncore.where instead")
            to[key] = source

    def vjp(needs, dy):
        dx = None
        if needs[0]:
            dx = _copy(dy)
            write(dx, constant(0, dy.dtype).array if not basic else np.broadcast_to(constant(0, dy.dtype).array, shape))
        return dx, sum_to(contiguous_array(dy[_asview_of(key)] if basic else dy[key]), value.array.shape) if needs[
            1
        ] else None

    vjp.__qualname__ = "index"
    modify(x, lambda: write(array, spread), (x, value), vjp)


def modify(x, write, inputs, vjp):
    """Change x's memory in place by calling write(), and give x the history of the change."""
    history = record(x.array, inputs, vjp)
    if history.node is not None:
        if x.is_leaf and x.requires_grad:
            raise RuntimeError(
                "in-place: a leaf that requires a gradient cannot be changed while operations are recorded; use no_grad()"
            )
        if x.is_view:
            raise RuntimeError(
                "in-place: a view that takes part in a gradient cannot be changed; index the tensor it was taken from"
            )
    write()
    x.changed()
    if history.node is not None:
        x.rebind(history)


__all__ = ["index"]
