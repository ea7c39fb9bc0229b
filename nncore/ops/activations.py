"""Activations made of other ops, and the step function that decides."""

from nncore._core.kernels import KERNELS
from nncore._core.tape import no_grad, record
from nncore.ops import pointwise
from nncore.ops.broadcast import apply, eq, lt, mul, sub, where
from nncore.ops.convert import as_float, as_tensor, constant, pair
from nncore.ops.dims import normalize_dims, sum_to
from nncore.ops.shape import split

_gt, _mul, _where = (KERNELS[name] for name in ("gt", "mul", "where"))


def prelu(x, weight):
    """y = x if x > 0 else weight * x, with a learned slope for each channel, or one for all (He et al. 2015).

    Args:
        x: Tensor of shape (N, C, ...), or of any shape with one slope.
        weight: Tensor of shape (C,), (1,) or ().

    Returns:
        Tensor of x's shape.

    Raises:
        ValueError: weight has neither one element nor C.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.prelu(nncore.tensor([[-4.0, -4.0, 4.0]]), nncore.tensor([0.5, 0.25, 0.5]))
        tensor([[-2., -1.,  4.]])
    """
    x, weight = as_float("prelu", x), as_tensor(weight)
    channels = x.array.shape[1] if x.array.ndim > 1 else 1
    if weight.array.ndim > 1 or weight.array.size not in (1, channels):
        raise ValueError(
            f"prelu: argument 'weight' has shape {weight.array.shape}, expected one slope or {channels}, "
            f"one for each channel of 'x' of shape {x.array.shape}"
        )
    x, weight = pair("prelu", x, weight)
    x_array, shape = x.array, weight.array.shape
    slopes = weight.array.reshape(-1, *[1] * (x_array.ndim - 2)) if weight.array.size > 1 else weight.array
    zero = constant(0, x_array.dtype).array
    positive = apply(_gt, x_array, zero)

    def vjp(needs, dy):
        dx = apply(_where, positive, dy, apply(_mul, dy, slopes)) if needs[0] else None
        dweight = sum_to(apply(_where, positive, zero, apply(_mul, dy, x_array)), slopes.shape) if needs[1] else None
        return dx, None if dweight is None else dweight.reshape(shape)

    return record(apply(_where, positive, x_array, apply(_mul, x_array, slopes)), (x, weight), vjp, (x, weight))


def glu(x, dim=-1):
    """y = a * sigmoid(b), x being a and b side by side (Dauphin et al. 2017).

    Args:
        x: Tensor, of even size along `dim`.
        dim: Default: the last.

    Returns:
        Tensor, half as large along `dim`.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.glu(nncore.tensor([3.0, 0.0]))
        tensor([1.5000])
    """
    x = as_float("glu", x)
    (d,) = normalize_dims("glu", dim, x.array.ndim) or (0,)
    size = x.array.shape[d] if x.array.ndim else 1
    if size % 2:
        raise ValueError(f"glu: argument 'x' has shape {x.array.shape}, expected an even size along dim {dim}")
    a, b = split(x, [size // 2, size // 2], d)
    return mul(a, pointwise.sigmoid(b))


def hardshrink(x, lambd=0.5):
    """y = x where |x| > lambd, else 0, elementwise.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.hardshrink(nncore.tensor([-1.0, 0.25]))
        tensor([-1.,  0.])
    """
    x = as_float("hardshrink", x)
    return where(pointwise.abs(x.detach()) <= lambd, 0.0, x)


def softshrink(x, lambd=0.5):
    """y = x - lambd where x > lambd, x + lambd where x < -lambd, else 0, elementwise.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.softshrink(nncore.tensor([-1.0, 0.25]))
        tensor([-0.5000,  0.0000])
    """
    if not lambd >= 0:
        raise ValueError(f"softshrink: argument 'lambd' is {lambd}, expected at least 0")
    return sub(x, pointwise.clamp(x, -lambd, lambd))


def tanhshrink(x):
    """y = x - tanh(x), elementwise.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.tanhshrink(nncore.tensor([1.0]))
        tensor([0.2384])
    """
    return sub(x, pointwise.tanh(x))


def threshold(x, threshold, value):
    """y = x where x > threshold, else value, elementwise; NaN stays NaN.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.threshold(nncore.tensor([0.5, 2.0]), 1.0, 20.0)
        tensor([20.,  2.])
    """
    x = as_float("threshold", x)
    return where(x.detach() <= threshold, value, x)


def heaviside(x, values=1.0):
    """y = 1 where x > 0, 0 where x < 0, and `values` where x = 0: the decision of a perceptron (Rosenblatt 1958).

    A rule to decide by, not to learn by: its derivative is 0, and there is none at 0. A backward pass that reaches it is
    refused; train through `sigmoid` and decide with `heaviside`, as one trains through `softmax` and decides with `argmax`.

    Args:
        x: Tensor of any shape.
        values: number, or Tensor that broadcasts against x. Default: 1, a unit fires at its threshold.

    Returns:
        Tensor of the broadcast shape. NaN stays NaN.

    Raises:
        RuntimeError: in the backward pass.

    Example:
        >>> import nncore
        >>> nncore.heaviside(nncore.tensor([-0.5, 0.0, 6.0]))
        tensor([0., 1., 1.])
    """
    x = as_float("heaviside", x)
    zero = constant(0, x.array.dtype)
    with no_grad():
        y = where(lt(x, zero), zero, pointwise.sign(x))  # the sign of NaN is NaN
        y = where(eq(x, zero), values, y)

    def vjp(needs, dy):
        raise RuntimeError(
            "heaviside: the derivative is 0 wherever there is one, so nothing can be learned through it; "
            "train through sigmoid, and decide with heaviside"
        )

    return record(y.array, (x,), vjp)


__all__ = ["glu", "hardshrink", "heaviside", "prelu", "softshrink", "tanhshrink", "threshold"]
