"""Padding: what stands around a tensor."""

import itertools

import numpy as np

from nncore._core.kernels import KERNELS, empty_in_order_of, empty_like
from nncore._core.tape import record
from nncore.ops.convert import as_tensor, constant
from nncore.ops.dims import reduce_array, repeated

_FEW = 1 << 14  # elements: below, one more call costs more than writing them twice
_add, _copy, _sum = KERNELS["add"], KERNELS["copy"], KERNELS["sum"]
MODES = ("constant", "reflect", "replicate", "circular")


def pad(x, pad, mode="constant", value=0.0):
    """Surround with a constant, or with what continues the tensor.

    Args:
        x: Tensor.
        pad: (before, after) of the last dimension, then of the one before it, and so on.
        mode: "constant"; "reflect": mirrored at the first and last element, which stand once; "replicate": the first and
            the last element again; "circular": from the other end. Default: "constant".
        value: the constant. Default: 0.

    Returns:
        Tensor.

    Raises:
        ValueError: more is asked for than the tensor has to continue with.

    Example:
        >>> import nncore
        >>> x = nncore.tensor([1.0, 2.0, 3.0])
        >>> nncore.pad(x, (1, 2), value=9.0)
        tensor([9., 1., 2., 3., 9., 9.])
        >>> nncore.pad(x, (2, 1), mode="reflect")
        tensor([3., 2., 1., 2., 3., 2.])
        >>> nncore.pad(x, (2, 1), mode="circular")
        tensor([2., 3., 1., 2., 3., 1.])
    """
    x = as_tensor(x)
    if mode not in MODES:
        raise ValueError(f"pad: argument 'mode' is {mode!r}, expected one of {', '.join(map(repr, MODES))}")
    if len(pad) % 2 or len(pad) > 2 * x.array.ndim or any(n < 0 for n in pad):
        raise ValueError(
            f"pad: argument 'pad' is {tuple(pad)}, expected pairs of sizes for at most {x.array.ndim} dimensions"
        )
    widths = [(0, 0)] * (x.array.ndim - len(pad) // 2) + [tuple(pad[i : i + 2]) for i in range(len(pad) - 2, -1, -2)]
    shape = tuple(n + before + after for n, (before, after) in zip(x.array.shape, widths))
    inside = tuple(slice(before, before + n) for n, (before, _) in zip(x.array.shape, widths))
    y = empty_in_order_of(x.array, shape, x.array.dtype)
    if mode == "constant":
        _surround(y, widths, inside, constant(value, x.array.dtype).array)
        _copy(x.array, out=y[inside])

        def vjp(needs, dy):
            return dy[inside]

        return record(y, (x,), vjp)

    regions = _regions(x.array.shape, widths, mode)
    for to, source, _ in regions:
        target = y[to]
        _copy(np.broadcast_to(x.array[source], target.shape), out=target)
    x_array = x.array

    def vjp(needs, dy):
        dx = _copy(dy[inside], out=empty_like(x_array, dy.dtype))
        for to, source, stretched in regions[1:]:  # the first is the inside
            part = reduce_array(_sum, dy[to], stretched, keepdim=True) if stretched else dy[to]
            _copy(_add(dx[source], part), out=dx[source])
        return dx

    return record(y, (x,), vjp)


def _surround(y, widths, inside, fill):
    """Write a number to all of y but `inside`, or to all of it where that is less work."""
    if y.size <= _FEW:
        _copy(repeated(fill, y.shape), out=y)
        return
    for d, (before, after) in enumerate(widths):  # two slabs for each dimension
        for slab in (slice(0, before), slice(y.shape[d] - after, y.shape[d])):
            side = y[inside[:d] + (slab,)]
            if side.size:
                _copy(repeated(fill, side.shape), out=side)


def _regions(shape, widths, mode):
    """(where to, where from, dimensions stretched) of the inside and of everything around it."""
    sides = [_sides(d, n, *width, mode) for d, (n, width) in enumerate(zip(shape, widths))]
    return [
        (tuple(s[0] for s in region), tuple(s[1] for s in region), tuple(d for s in region for d in s[2]))
        for region in itertools.product(*sides)
    ]


def _sides(d, n, before, after, mode):
    """The same along dimension d of size n: the inside, and what is before and after it if anything is."""
    most = {"reflect": n - 1, "circular": n}.get(mode)
    if (most is not None and max(before, after) > most) or (n == 0 and max(before, after) > 0):
        raise ValueError(
            f"pad: argument 'pad' is ({before}, {after}) along a dimension of size {n}, expected at most "
            f"{max(most or 0, 0)} with mode={mode!r}"
        )
    stop = n - 2 - after
    sources = {
        "reflect": (slice(before, 0, -1), slice(n - 2, stop if stop >= 0 else None, -1), ()),
        "replicate": (slice(0, 1), slice(n - 1, n), (d,)),
        "circular": (slice(n - before, n), slice(0, after), ()),
    }[mode]
    sides = [(slice(before, before + n), slice(None), ())]
    if before:
        sides.append((slice(0, before), sources[0], sources[2]))
    if after:
        sides.append((slice(before + n, before + n + after), sources[1], sources[2]))
    return sides


__all__ = ["pad"]
