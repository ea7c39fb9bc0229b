"""Normalisation: layers and batches."""

import numpy as np

from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore.ops.convert import as_tensor, constant
from nncore.ops.dims import contiguous_array

_layer_forward, _layer_backward = KERNELS["layer_norm_forward"], KERNELS["layer_norm_backward"]
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
    normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    shape = x.array.shape
    if not normalized_shape or shape[-len(normalized_shape) :] != normalized_shape:
        raise ValueError(f"layer_norm: argument 'x' has shape {shape}, expected it to end in {normalized_shape}")
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and p.array.shape != normalized_shape:
            raise ValueError(f"layer_norm: argument '{name}' has shape {p.array.shape}, expected {normalized_shape}")
    rows = (*shape[: len(shape) - len(normalized_shape)], int(np.prod(normalized_shape)))
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


__all__ = ["batch_norm", "layer_norm"]
