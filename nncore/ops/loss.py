"""Losses: how far a prediction is from its target."""

import numpy as np

from nncore._core.kernels import KERNELS
from nncore._core.tape import ONES, is_grad_enabled, record
from nncore.ops.convert import INT64, as_tensor, cast, result_dtype
from nncore.ops.dims import contiguous_array, repeated
from nncore.ops.reduce import mean as mean_of
from nncore.ops.reduce import sum as sum_of

REDUCTIONS = ("mean", "sum", "none", "half_mean")
_cross_entropy_forward = KERNELS["cross_entropy_forward"]
_nll_loss_forward, _nll_loss_backward = KERNELS["nll_loss_forward"], KERNELS["nll_loss_backward"]


def reduce_losses(op, losses, reduction):
    """The losses themselves, their sum, their mean, or half of it: the 1 / (2 m) form of squared errors."""
    if reduction == "mean":
        return mean_of(losses)
    if reduction == "half_mean":
        return mean_of(losses) * 0.5
    if reduction == "sum":
        return sum_of(losses)
    if reduction == "none":
        return losses
    return _refuse_reduction(op, reduction)


def _refuse_reduction(op, reduction):
    raise ValueError(f"{op}: argument 'reduction' is {reduction!r}, expected one of {', '.join(map(repr, REDUCTIONS))}")


def same_shape(op, input, target):
    """Both as Tensors of one float dtype; a ValueError unless they have one shape."""
    input, target = as_tensor(input), as_tensor(target)
    if input.array.shape != target.array.shape:
        raise ValueError(
            f"{op}: argument 'target' has shape {target.array.shape}, expected {input.array.shape} as 'input'"
        )
    dtype = result_dtype(input, target)
    if dtype.kind != "f":
        raise TypeError(
            f"{op}: arguments have dtype {input.array.dtype} and {target.array.dtype}, expected float32 or float64"
        )
    return cast(input, dtype), cast(target, dtype)


def _elementwise(name, op, symmetric):
    """A loss of pairs of numbers; symmetric: its derivatives by input and target add up to 0."""
    forward, backward = KERNELS[f"{name}_forward"], KERNELS[f"{name}_backward"]

    def losses(input, target, *params):
        input, target = same_shape(op, input, target)
        if target.requires_grad and not symmetric:
            raise RuntimeError(f"{op}: argument 'target' requires a gradient, which this loss does not have")
        x, t = input.array, target.array

        def vjp(needs, dy):
            dx = backward(dy, x, t, *params)
            return dx if needs[0] else None, KERNELS["neg_forward"](dx) if needs[1] else None

        vjp.__qualname__ = op
        return record(forward(x, t, *params), (input, target), vjp, (input, target))

    return losses


_mse, _l1 = _elementwise("mse", "mse_loss", True), _elementwise("l1", "l1_loss", True)
_huber, _smooth_l1 = _elementwise("huber", "huber_loss", True), _elementwise("smooth_l1", "smooth_l1_loss", True)
_bce = _elementwise("bce", "binary_cross_entropy", False)
_bce_with_logits = _elementwise("bce_with_logits", "binary_cross_entropy_with_logits", False)


def mse_loss(input, target, reduction="mean"):
    """Mean squared error: (input - target)^2.

    Args:
        input, target: Tensors of one shape.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Returns:
        Tensor without dimensions, or of the inputs' shape for "none".

    Example:
        >>> import nncore
        >>> nncore.nn.functional.mse_loss(nncore.tensor([1.0, 2.0]), nncore.tensor([1.0, 4.0]))
        tensor(2.)
    """
    return reduce_losses("mse_loss", _mse(input, target), reduction)


def l1_loss(input, target, reduction="mean"):
    """Mean absolute error: |input - target|.

    Args:
        input, target: Tensors of one shape.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Returns:
        Tensor without dimensions, or of the inputs' shape for "none".

    Example:
        >>> import nncore
        >>> nncore.nn.functional.l1_loss(nncore.tensor([1.0, 2.0]), nncore.tensor([1.0, 4.0]))
        tensor(1.)
    """
    return reduce_losses("l1_loss", _l1(input, target), reduction)


def huber_loss(input, target, reduction="mean", delta=1.0):
    """Squared error / 2 up to delta, then delta (|error| - delta / 2) (Huber 1964).

    Args:
        input, target: Tensors of one shape.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".
        delta: where the square turns into a line. Default: 1.

    Returns:
        Tensor without dimensions, or of the inputs' shape for "none".

    Example:
        >>> import nncore
        >>> nncore.nn.functional.huber_loss(nncore.tensor([0.0]), nncore.tensor([3.0]))
        tensor(2.5000)
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: argument 'delta' is {delta}, expected a positive number")
    return reduce_losses("huber_loss", _huber(input, target, delta), reduction)


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """Squared error / (2 beta) below beta, |error| - beta / 2 above.

    Args:
        input, target: Tensors of one shape.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".
        beta: where the square turns into a line; 0 gives l1_loss. Default: 1.

    Returns:
        Tensor without dimensions, or of the inputs' shape for "none".

    Example:
        >>> import nncore
        >>> nncore.nn.functional.smooth_l1_loss(nncore.tensor([0.0]), nncore.tensor([3.0]))
        tensor(2.5000)
    """
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: argument 'beta' is {beta}, expected 0 or more")
    losses = _l1(input, target) if beta == 0 else _smooth_l1(input, target, beta)
    return reduce_losses("smooth_l1_loss", losses, reduction)


def binary_cross_entropy(input, target, weight=None, reduction="mean"):
    """-(t log p + (1 - t) log(1 - p)) for a probability p; each logarithm is held at -100 and above.

    Args:
        input: Tensor of probabilities, between 0 and 1.
        target: Tensor of the same shape, between 0 and 1.
        weight: Tensor that broadcasts to that shape and multiplies the losses. Default: none.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Returns:
        Tensor without dimensions, or of the inputs' shape for "none".

    Raises:
        ValueError: an input is not between 0 and 1.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.binary_cross_entropy(nncore.tensor([0.5]), nncore.tensor([1.0]))
        tensor(0.6931)
    """
    input = as_tensor(input)
    if input.array.size and not (input.array.min() >= 0 and input.array.max() <= 1) and not np.isnan(input.array).any():
        raise ValueError(
            f"binary_cross_entropy: argument 'input' holds {input.array.min()} to {input.array.max()}, "
            f"expected probabilities between 0 and 1"
        )
    losses = _bce(input, target)
    return reduce_losses("binary_cross_entropy", losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """binary_cross_entropy of sigmoid(input), without overflow.

    Args:
        input: Tensor of logits.
        target: Tensor of the same shape, between 0 and 1.
        weight: Tensor that broadcasts to that shape and multiplies the losses. Default: none.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".
        pos_weight: Tensor that broadcasts to that shape and multiplies the losses of positive targets. Default: none.

    Returns:
        Tensor without dimensions, or of the inputs' shape for "none".

    Example:
        >>> import nncore
        >>> nncore.nn.functional.binary_cross_entropy_with_logits(nncore.tensor([0.0]), nncore.tensor([1.0]))
        tensor(0.6931)
    """
    op = "binary_cross_entropy_with_logits"
    if pos_weight is None:
        losses = _bce_with_logits(input, target)
    else:  # (1 - t) x + (1 + (w - 1) t) softplus(-x)
        input, target = same_shape(op, input, target)
        losses = (1 - target) * input + ((pos_weight - 1) * target + 1) * _bce_with_logits(input, target * 0 + 1)
    return reduce_losses(op, losses if weight is None else losses * weight, reduction)


def cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """-log softmax(input)[target]: cross-entropy of logits with classes or with class probabilities, in one kernel.

    Args:
        input: Tensor of logits, (N, C), (C,) or (N, C, ...).
        target: int64 Tensor of classes, input's shape without C; or probabilities of input's shape.
        weight: Tensor of shape (C,), a factor for each class. Default: none.
        ignore_index: class that does not count. Default: -100.
        reduction: "mean" (weighted by `weight`), "sum", "none" or "half_mean". Default: "mean".
        label_smoothing: share of the target spread over all classes, 0 to 1. Default: 0.

    Returns:
        Tensor without dimensions, or of target's shape (without C) for "none".

    Raises:
        ValueError: shapes do not fit, or a class is out of range.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.cross_entropy(nncore.zeros(1, 2), nncore.tensor([1]))
        tensor(0.6931)
    """
    input, target = as_tensor(input), as_tensor(target)
    if reduction not in REDUCTIONS:
        _refuse_reduction("cross_entropy", reduction)
    if reduction == "half_mean":
        return cross_entropy(input, target, weight, ignore_index, "mean", label_smoothing) * 0.5
    if input.array.ndim == 0:
        raise ValueError("cross_entropy: argument 'input' has shape (), expected (N, C), (C,) or (N, C, ...)")
    if input.array.ndim > 2:  # classes last, one row for each position
        input = input.movedim(1, -1)
        target = target.movedim(1, -1) if target.array.dtype.kind == "f" else target
    shape = input.array.shape
    logits = input if len(shape) == 2 else input.reshape(-1, shape[-1])
    weight_array = None if weight is None else as_tensor(weight, logits.array.dtype).array
    if target.array.dtype.kind == "f":
        losses = _soft_cross_entropy(logits, target, shape, weight_array, label_smoothing)
        return reduce_losses("cross_entropy", losses if reduction != "none" else losses.reshape(shape[:-1]), reduction)
    classes = _classes("cross_entropy", target, shape)
    options = weight_array, label_smoothing, ignore_index
    if reduction == "mean":
        return _mean_cross_entropy(logits, classes, *options)
    losses = _class_cross_entropy(logits, target, classes, *options)
    return sum_of(losses) if reduction == "sum" else losses.reshape(shape[:-1])


def _classes(op, target, shape):
    """int64 classes of the rows of an input of `shape`."""
    if target.array.shape != shape[:-1]:
        raise ValueError(
            f"{op}: argument 'target' has shape {target.array.shape}, expected {shape[:-1]} for 'input' of {shape[-1]} classes"
        )
    classes = contiguous_array(cast(target, INT64).array)
    return classes if classes.ndim == 1 else classes.reshape(-1)


def _mean_cross_entropy(logits, target, *options):
    """The mean, and if somebody may want it its gradient in the same pass over the logits."""
    needed = is_grad_enabled() and logits.requires_grad
    _, _, _, mean, dx = _cross_entropy_forward(logits.array, target, *options, want=(True, needed))

    def vjp(needs, dy):
        return dx if dy is ONES.get(dy.dtype) else KERNELS["mul"](dx, dy)

    vjp.__qualname__ = "cross_entropy"
    return record(mean, (logits,), vjp)


def _class_cross_entropy(logits, target, classes, *options):
    x = logits.array
    losses, largest, total, _, _ = _cross_entropy_forward(x, classes, *options, want=(False, False))

    def vjp(needs, dy):
        return KERNELS["cross_entropy_backward"](dy, x, largest, total, classes, *options)

    vjp.__qualname__ = "cross_entropy"
    return record(losses, (logits,), vjp, (logits, target))


def _soft_cross_entropy(logits, target, shape, weight, label_smoothing):
    if target.shape != shape:
        raise ValueError(
            f"cross_entropy: argument 'target' has shape {target.shape}, expected the probabilities' shape {shape}"
        )
    if target.requires_grad:
        raise RuntimeError("cross_entropy: argument 'target' requires a gradient, which this loss does not have")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: argument 'label_smoothing' is {label_smoothing}, expected 0 to 1")
    target = cast(target, logits.array.dtype).reshape(logits.shape)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / shape[-1]
    x, t = logits.array, target.array
    losses, largest, total = KERNELS["soft_cross_entropy_forward"](x, t, weight)

    def vjp(needs, dy):
        return KERNELS["soft_cross_entropy_backward"](dy, x, largest, total, t, weight)

    vjp.__qualname__ = "cross_entropy"
    return record(losses, (logits,), vjp, (logits, target))


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """-input[target] for logarithms of probabilities.

    Args:
        input: Tensor of log-probabilities, (N, C), (C,) or (N, C, ...).
        target: int64 Tensor of classes, input's shape without C.
        weight: Tensor of shape (C,), a factor for each class. Default: none.
        ignore_index: class that does not count. Default: -100.
        reduction: "mean" (weighted by `weight`), "sum", "none" or "half_mean". Default: "mean".

    Returns:
        Tensor without dimensions, or of target's shape for "none".

    Example:
        >>> import nncore
        >>> nncore.nn.functional.nll_loss(nncore.tensor([[-0.5, -1.0]]), nncore.tensor([1]))
        tensor(1.)
    """
    input, target = as_tensor(input), as_tensor(target)
    if reduction not in REDUCTIONS:
        _refuse_reduction("nll_loss", reduction)
    if reduction == "half_mean":
        return nll_loss(input, target, weight, ignore_index, "mean") * 0.5
    if input.array.ndim == 0:
        raise ValueError("nll_loss: argument 'input' has shape (), expected (N, C), (C,) or (N, C, ...)")
    if input.array.ndim > 2:  # classes last, one row for each position
        input = input.movedim(1, -1)
    shape = input.array.shape
    rows = input if len(shape) == 2 else input.reshape(-1, shape[-1])
    classes = _classes("nll_loss", target, shape)
    weight_array = None if weight is None else as_tensor(weight, rows.array.dtype).array
    is_mean, count = reduction == "mean", shape[-1]
    losses, mean, divisor = _nll_loss_forward(rows.array, classes, weight_array, ignore_index, want=(is_mean, is_mean))

    def vjp(needs, dy):
        dy = repeated(dy, classes.shape) if is_mean else dy
        return _nll_loss_backward(dy, divisor, classes, weight_array, ignore_index, count)

    y = record(mean if is_mean else losses, (rows,), vjp, (target,))
    if reduction == "sum":
        return sum_of(y)
    return y if is_mean or len(shape) == 2 else y.reshape(shape[:-1])


__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]
