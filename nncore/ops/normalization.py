"""Normalisation: layers, groups and batches."""

import math

import numpy as np

from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore.ops.convert import as_float, as_tensor, constant
from nncore.ops.dims import contiguous_array
from nncore.ops.reduce import mean, var

_layer_forward, _layer_backward = KERNELS["layer_norm_forward"], KERNELS["layer_norm_backward"]
_rms_forward, _rms_backward = KERNELS["rms_norm_forward"], KERNELS["rms_norm_backward"]
_add, _mul, _sum = KERNELS["add"], KERNELS["mul"], KERNELS["sum"]
_batch_forward, _batch_inference, _batch_backward = (
    KERNELS["batch_norm_forward"],
    KERNELS["batch_norm_inference"],
    KERNELS["batch_norm_backward"],
)


def _array(x):
    return None if x is None else x.array


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions (Ba et al. 2016).

    Args:
        x: Tensor of shape (..., *normalized_shape).
        normalized_shape: sizes of the dimensions to normalise over.
        weight: Tensor of shape normalized_shape. Default: 1.
        bias: Tensor of shape normalized_shape. Default: 0.
        eps: added to the variance. Default: 1e-5.

    Returns:
        Tensor of x's shape.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.layer_norm(nncore.tensor([[1.0, 3.0]]), (2,))
        tensor([[-1.0000,  1.0000]])
    """
    x = as_tensor(x)
    shape = x.array.shape
    normalized_shape, rows = _as_rows("layer_norm", shape, normalized_shape, weight=weight, bias=bias)
    x_array = contiguous_array(x.array).reshape(rows)
    weight_array = None if weight is None else contiguous_array(weight.array).reshape(-1)
    bias_array = None if bias is None else contiguous_array(bias.array).reshape(-1)
    y, mean, rstd = _layer_forward(x_array, weight_array, bias_array, eps)

    def vjp(needs, dy):
        dx, dweight, dbias = _layer_backward(
            contiguous_array(dy).reshape(rows), x_array, mean, rstd, weight_array, want=needs
        )
        return (
            None if dx is None else dx.reshape(shape),
            None if dweight is None else dweight.reshape(normalized_shape),
            None if dbias is None else dbias.reshape(normalized_shape),
        )

    return record(y.reshape(shape), (x, weight, bias), vjp, (x,) if weight is None else (x, weight))


def _as_rows(op, shape, normalized_shape, **parameters):
    """(normalized_shape as a tuple, the shape with its dimensions as one)."""
    normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not normalized_shape or shape[-len(normalized_shape) :] != normalized_shape:
        raise ValueError(f"{op}: argument 'x' has shape {shape}, expected it to end in {normalized_shape}")
    for name, p in parameters.items():
        if p is not None and p.array.shape != normalized_shape:
            raise ValueError(f"{op}: argument '{name}' has shape {p.array.shape}, expected {normalized_shape}")
    return normalized_shape, (*shape[: len(shape) - len(normalized_shape)], math.prod(normalized_shape))


def rms_norm(x, normalized_shape, weight=None, eps=None):
    """y = x / sqrt(mean(x^2) + eps) * weight over the last dimensions (Zhang & Sennrich 2019).

    Args:
        x: Tensor of shape (..., *normalized_shape).
        normalized_shape: sizes of the dimensions to normalise over.
        weight: Tensor of shape normalized_shape. Default: 1.
        eps: added to the mean of squares. Default: the distance from 1 to the next number of x's dtype.

    Returns:
        Tensor of x's shape.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.rms_norm(nncore.tensor([[3.0, 4.0, 0.0, 0.0]]), (4,))
        tensor([[1.2000, 1.6000, 0.0000, 0.0000]])
    """
    x = as_float("rms_norm", x)
    shape = x.array.shape
    normalized_shape, rows = _as_rows("rms_norm", shape, normalized_shape, weight=weight)
    eps = float(np.finfo(x.array.dtype).eps) if eps is None else eps
    x_array = contiguous_array(x.array).reshape(rows)
    weight_array = None if weight is None else contiguous_array(weight.array).reshape(-1)
    y, rstd = _rms_forward(x_array, weight_array, eps)

    def vjp(needs, dy):
        dx, dweight = _rms_backward(contiguous_array(dy).reshape(rows), x_array, rstd, weight_array, want=needs)
        return (
            None if dx is None else dx.reshape(shape),
            None if dweight is None else dweight.reshape(normalized_shape),
        )

    return record(y.reshape(shape), (x, weight), vjp, (x,) if weight is None else (x, weight))


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the channels of a group, per sample (Wu & He 2018).

    Args:
        x: Tensor of shape (N, C, ...).
        num_groups: number of groups of channels, a divisor of C.
        weight, bias: Tensors of shape (C,). Default: 1 and 0.
        eps: added to the variance. Default: 1e-5.

    Returns:
        Tensor of x's shape.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.group_norm(nncore.tensor([[1.0, 3.0, 5.0, 5.0]]), 2)
        tensor([[-1.0000,  1.0000,  0.0000,  0.0000]])
    """
    return _normalised_groups("group_norm", x, num_groups, weight, bias, eps)


def _normalised_groups(op, x, groups, weight, bias, eps):
    x = as_float(op, x)
    shape = x.array.shape
    if len(shape) < 2:
        raise ValueError(f"{op}: argument 'x' has shape {shape}, expected (N, C, ...)")
    if not isinstance(groups, int) or groups < 1 or shape[1] % groups:
        raise ValueError(f"{op}: argument 'num_groups' is {groups!r}, expected a divisor of {shape[1]} channels")
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and p.array.shape != shape[1:2]:
            raise ValueError(f"{op}: argument '{name}' has shape {p.array.shape}, expected {shape[1:2]}")
    rows, column = (shape[0], groups, math.prod(shape[1:]) // groups), (shape[1], *[1] * (len(shape) - 2))
    x_array = contiguous_array(x.array).reshape(rows)
    xhat, mean_array, rstd = _layer_forward(x_array, None, None, eps)
    y = xhat = xhat.reshape(shape)
    if weight is not None:
        weight_array = weight.array.reshape(column)
        y = _mul(xhat, weight_array)
    if bias is not None:
        y = _add(y, bias.array.reshape(column), out=None if y is xhat else y)

    def vjp(needs, dy):
        dy = contiguous_array(dy)
        dx = dweight = None
        if needs[0]:
            g = dy if weight is None else _mul(dy, weight_array)
            dx = _layer_backward(g.reshape(rows), x_array, mean_array, rstd, None, want=(True, False, False))[
                0
            ].reshape(shape)
        if needs[1]:
            dweight = _per_channel(_mul(dy, xhat))
        return dx, dweight, _per_channel(dy) if needs[2] else None

    vjp.__qualname__ = op
    return record(y, (x, weight, bias), vjp, (x,) if weight is None else (x, weight))


def _per_channel(array):
    """Sums over everything but the channels, the second axis: pixels first, then samples."""
    n, channels = array.shape[:2]
    pixels = math.prod(array.shape[2:])
    return _sum(_sum(array.reshape(n * channels, pixels, 1)).reshape(1, n, channels)).reshape(channels)


def instance_norm(
    x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, per channel and sample (Ulyanov et al. 2016).

    Args:
        x: Tensor of shape (N, C, ...).
        running_mean, running_var: Tensors of shape (C,): updated with the means over the samples, or used if
            `use_input_stats` is False. Default: none.
        weight, bias: Tensors of shape (C,). Default: 1 and 0.
        use_input_stats: whether mean and variance are those of the input. Default: True.
        momentum: running = (1 - momentum) running + momentum new. Default: 0.1.
        eps: added to the variance. Default: 1e-5.

    Returns:
        Tensor of x's shape.

    Raises:
        ValueError: a channel of a sample has fewer than 2 values.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.instance_norm(nncore.tensor([[[1.0, 3.0], [6.0, 2.0]]]))
        tensor([[[-1.0000,  1.0000],
                 [ 1.0000, -1.0000]]])
    """
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError(
                "instance_norm: argument 'use_input_stats' is False, expected running_mean and running_var"
            )
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    x = as_float("instance_norm", x)
    values = math.prod(x.array.shape[2:])
    if x.array.ndim < 3 or values < 2:
        raise ValueError(
            f"instance_norm: argument 'x' has shape {x.array.shape}, expected (N, C, ...) with more than 1 value per channel"
        )
    y = _normalised_groups("instance_norm", x, x.array.shape[1], weight, bias, eps)
    if running_mean is not None and running_var is not None:
        inner, still = tuple(range(2, x.array.ndim)), x.detach()
        for running, new in ((running_mean, mean(still, inner)), (running_var, var(still, inner))):
            kept = KERNELS["mul"](running.array, constant(1 - momentum, running.array.dtype).array)
            step = KERNELS["mul"](mean(new, 0).array, constant(momentum, running.array.dtype).array)
            KERNELS["add"](kept, step, out=running.array)
            running.changed()
    return y


def batch_norm(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5, unbiased=True
):
    """y = (x - mean) / sqrt(var + eps) * weight + bias per channel (Ioffe & Szegedy 2015).

    Args:
        x: Tensor of shape (N, C) or (N, C, ...).
        running_mean, running_var: Tensors of shape (C,): updated in training, used otherwise. None: always the batch's.
        weight, bias: Tensors of shape (C,). Default: 1 and 0.
        training: whether mean and variance are the batch's. Default: False.
        momentum: running = (1 - momentum) running + momentum batch. Default: 0.1.
        eps: added to the variance. Default: 1e-5.
        unbiased: whether the running variance takes the batch's unbiased one (torch) or the plain one (Keras). Default: True.

    Returns:
        Tensor of x's shape.

    Raises:
        ValueError: in training, a channel has fewer than 2 values.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.batch_norm(nncore.tensor([[1.0], [3.0]]), None, None, training=True)
        tensor([[-1.0000],
                [ 1.0000]])
    """
    x = as_tensor(x)
    if x.array.ndim < 2:
        raise ValueError(f"batch_norm: argument 'x' has shape {x.array.shape}, expected (N, C) or (N, C, ...)")
    to_last = (0, *range(2, x.array.ndim), 1)
    to_second = (0, x.array.ndim - 1, *range(1, x.array.ndim - 1))
    x_array = x.array.transpose(to_last)
    weight_array, bias_array, mean_array, var_array = (
        _array(weight),
        _array(bias),
        _array(running_mean),
        _array(running_var),
    )
    batch_statistics = training or running_mean is None
    if batch_statistics:
        update = training and running_mean is not None
        y, mean, rstd = _batch_forward(
            mean_array if update else None,
            var_array if update else None,
            x_array,
            weight_array,
            bias_array,
            eps,
            momentum,
            int(unbiased),
        )
        if update:
            running_mean.changed()
            running_var.changed()
    else:
        y = _batch_inference(x_array, mean_array, var_array, weight_array, bias_array, eps)
        mean, rstd = mean_array, None
        if any(t is not None and t.requires_grad for t in (x, weight, bias)):
            mean = KERNELS["copy"](mean_array)
            rstd = KERNELS["rsqrt_forward"](KERNELS["add"](var_array, constant(eps, var_array.dtype).array))

    def vjp(needs, dy):
        dx, dweight, dbias = _batch_backward(
            dy.transpose(to_last), x_array, mean, rstd, weight_array, int(batch_statistics), want=needs
        )
        return None if dx is None else dx.transpose(to_second), dweight, dbias

    return record(y.transpose(to_second), (x, weight, bias), vjp, (x,) if weight is None else (x, weight))


__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]
