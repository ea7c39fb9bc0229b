"""Triangles of matrices."""

import numpy as np

from nncore._core import capture
from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore.ops.convert import as_tensor, constant

_where = KERNELS["where"]


def _triangle(op, x, diagonal, lower):
    """Elements on one side of a diagonal that belongs to it, 0 on the other."""
    x = as_tensor(x)
    array = x.array
    if array.ndim < 2:
        raise ValueError(f"{op}: argument 'x' has shape {array.shape}, expected at least 2 dimensions")
    if isinstance(diagonal, bool) or not isinstance(diagonal, (int, np.integer)):
        raise TypeError(f"{op}: argument 'diagonal' is {diagonal!r}, expected an integer")
    below = capture.constant(np.tri(*array.shape[-2:], diagonal if lower else diagonal - 1, dtype=bool))

    def masked(values):
        zero = constant(0, values.dtype).array
        return _where(below, values, zero) if lower else _where(below, zero, values)

    def vjp(needs, dy):
        return masked(dy)

    vjp.__qualname__ = op
    return record(masked(array), (x,), vjp)


def tril(x, diagonal=0):
    """The lower triangle of the last two dimensions, zero above.

    Args:
        x: Tensor of shape (..., M, N).
        diagonal: the last diagonal that belongs to it: 0 is the main one, 1 the one above it. Default: 0.

    Example:
        >>> import nncore
        >>> nncore.tril(nncore.ones(2, 2)).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    return _triangle("tril", x, diagonal, lower=True)


def triu(x, diagonal=0):
    """The upper triangle of the last two dimensions, zero below.

    Args:
        x: Tensor of shape (..., M, N).
        diagonal: the first diagonal that belongs to it: 0 is the main one, 1 the one above it. Default: 0.

    Example:
        >>> import nncore
        >>> nncore.triu(nncore.ones(2, 2), diagonal=1).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    return _triangle("triu", x, diagonal, lower=False)


__all__ = ["tril", "triu"]
