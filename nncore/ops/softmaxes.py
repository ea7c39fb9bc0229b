"""Softmax and its logarithm."""

from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore.ops.convert import as_float
from nncore.ops.dims import as_outer_n_inner, normalize_dims


def _along(name):
    rows_forward, rows_backward = KERNELS[f"{name}_forward"], KERNELS[f"{name}_backward"]
    columns_forward, columns_backward = KERNELS[f"{name}_columns_forward"], KERNELS[f"{name}_columns_backward"]

    def apply(x, dim):
        x = as_float(name, x)
        if x.array.ndim == 0:
            return apply(x.reshape(1), 0).reshape(())
        (d,) = normalize_dims(name, dim, x.array.ndim)
        if d == x.array.ndim - 1:
            y = rows_forward(x.array)

            def vjp(needs, dy):
                return rows_backward(dy, y)

        else:
            y = columns_forward(as_outer_n_inner(x.array, (d,))).reshape(x.array.shape)

            def vjp(needs, dy):
                dx = columns_backward(as_outer_n_inner(dy, (d,)), as_outer_n_inner(y, (d,)))
                return dx.reshape(y.shape)

        vjp.__qualname__ = name
        return record(y, (x,), vjp, (True,))

    return apply


_softmax, _log_softmax = _along("softmax"), _along("log_softmax")


def softmax(x, dim=-1):
    """y = exp(x) / sum(exp(x)) along a dimension; positive, adds up to 1.

    Args:
        x: Tensor.
        dim: dimension along which y adds up to 1. Default: the last.

    Returns:
        Tensor of the same shape. A slice of -inf alone gives NaN.

    Example:
        >>> import nncore
        >>> nncore.softmax(nncore.tensor([0.0, 0.0]), dim=0)
        tensor([0.5000, 0.5000])
    """
    return _softmax(x, dim)


def log_softmax(x, dim=-1):
    """y = x - log(sum(exp(x))) along a dimension, without overflow.

    Args:
        x: Tensor.
        dim: dimension along which exp(y) adds up to 1. Default: the last.

    Returns:
        Tensor of the same shape.

    Example:
        >>> import nncore
        >>> nncore.log_softmax(nncore.tensor([0.0, 0.0]), dim=0)
        tensor([-0.6931, -0.6931])
    """
    return _log_softmax(x, dim)


__all__ = ["log_softmax", "softmax"]
