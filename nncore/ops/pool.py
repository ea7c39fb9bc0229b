"""Pooling over windows of images (N, C, H, W) and series (N, C, L), channels-last in memory as in convolutions."""

import numpy as np

from nncore._core import capture
from nncore._core.kernels import KERNELS, empty
from nncore._core.tape import record
from nncore._core.tensor import wrap_array
from nncore.ops.conv import pair, sizes
from nncore.ops.convert import INT64, as_tensor
from nncore.ops.indexing import index
from nncore.ops.reduce import max as max_along
from nncore.ops.resample import adaptive_mean
from nncore.ops.shape import cat, permute

_max_forward, _max_backward = KERNELS["max_pool2d_forward"], KERNELS["max_pool2d_backward"]
_avg_forward, _avg_backward = KERNELS["avg_pool2d_forward"], KERNELS["avg_pool2d_backward"]


def _pool_window(op, kernel_size, stride, padding):
    kernel = pair(op, "kernel_size", kernel_size)
    return kernel, kernel if stride is None else pair(op, "stride", stride), pair(op, "padding", padding)


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """Maximum over windows; NaN wins, the gradient goes to the first maximum.

    Args:
        x: Tensor of shape (N, C, H, W) or (C, H, W).
        kernel_size: size of the window, one or two integers.
        stride: step of the window. Default: kernel_size.
        padding: positions around the image that never win, at most half of kernel_size. Default: 0.
        dilation: distance between window elements. Default: 1.
        ceil_mode: whether a last window may stick out of the image, so that sizes are rounded up. Default: False.
        return_indices: whether to return also where the maxima stand, h * W + w. Default: False.

    Returns:
        Tensor of shape (N, C, OH, OW), or a tuple of it and an int64 Tensor of the same shape.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.max_pool2d(nncore.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
        [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    x = as_tensor(x)
    if x.ndim == 3:
        y = max_pool2d(x.unsqueeze(0), kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        return tuple(part.squeeze(0) for part in y) if return_indices else y.squeeze(0)
    kernel, stride, padding = _pool_window("max_pool2d", kernel_size, stride, padding)
    dilation = pair("max_pool2d", "dilation", dilation)
    window = (*kernel, *stride, *padding, *dilation, int(ceil_mode))
    y, winners = _max_forward(x.array, *window)
    size = x.array.shape[2:]

    def vjp(needs, dy):
        return _max_backward(dy, winners, *size, *window)

    y = record(y, (x,), vjp)
    return (y, wrap_array(_in_the_image(winners, size, kernel, stride, padding, dilation))) if return_indices else y


def _in_the_image(winners, size, kernel, stride, padding, dilation):
    """h * W + w of positions that the kernel gives as kh * KW + kw in their window."""
    width = size[1]
    h, w = np.divmod(np.arange(kernel[0] * kernel[1], dtype=INT64), kernel[1])
    inside = capture.constant((h * (dilation[0] * width) + w * dilation[1])[:, None])
    h, w = (np.arange(n, dtype=INT64) * s - p for n, s, p in zip(winners.shape[2:], stride, padding))
    corners = capture.constant(h[:, None] * width + w)
    positions = KERNELS["copy"](winners, out=empty(winners.shape, INT64))
    try:
        offsets = KERNELS["gather_rows"](inside, positions)
    except ValueError:
        raise ValueError("max_pool2d: argument 'return_indices' is True, but a window holds padding alone") from None
    return KERNELS["add"](offsets.reshape(winners.shape), corners)


def max_pool1d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """max_pool2d along one axis.

    Args:
        x: Tensor of shape (N, C, L) or (C, L).
        kernel_size, stride, padding, dilation, ceil_mode, return_indices: as those of `max_pool2d`, along one axis.

    Returns:
        Tensor of shape (N, C, OL), or a tuple of it and the positions.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.max_pool1d(nncore.tensor([[1.0, 3.0, 2.0]]), 2, stride=1)
        tensor([[3., 3.]])
    """
    window = _along_one("max_pool1d", kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation)
    y = _as_images("max_pool1d", max_pool2d, x, *window, ceil_mode, return_indices)
    return tuple(part.squeeze(-2) for part in y) if return_indices else y.squeeze(-2)


def _along_one(op, **window):
    """Numbers along one axis as those of windows of height 1."""
    neutral = {"padding": 0}
    return [
        None if value is None else (neutral.get(name, 1), *sizes(op, name, value, 1)) for name, value in window.items()
    ]


def _as_images(op, pool2d, x, *options):
    """The pooling of images on series, of height 1."""
    x = as_tensor(x)
    if x.ndim not in (2, 3):
        raise ValueError(f"{op}: argument 'x' has shape {x.shape}, expected (N, C, L) or (C, L)")
    try:
        return pool2d(x.unsqueeze(-2), *options)
    except ValueError as error:
        raise ValueError(str(error).replace(f"{pool2d.__name__}:", f"{op}:")) from None


def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Mean over windows.

    Args:
        x: Tensor of shape (N, C, H, W) or (C, H, W).
        kernel_size: size of the window, one or two integers.
        stride: step of the window. Default: kernel_size.
        padding: zeros around the image, at most half of kernel_size. Default: 0.
        ceil_mode: whether a last window may stick out of the image, so that sizes are rounded up; what sticks out of
            the padding too never counts. Default: False.
        count_include_pad: whether the zeros count in the mean. Default: True.

    Returns:
        Tensor of shape (N, C, OH, OW).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.avg_pool2d(nncore.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
        [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    x = as_tensor(x)
    if x.ndim == 3:
        return avg_pool2d(x.unsqueeze(0), kernel_size, stride, padding, ceil_mode, count_include_pad).squeeze(0)
    kernel, stride, padding = _pool_window("avg_pool2d", kernel_size, stride, padding)
    window = (*kernel, *stride, *padding, int(count_include_pad), int(ceil_mode))
    y = _avg_forward(x.array, *window)
    size = x.array.shape[2:]

    def vjp(needs, dy):
        return _avg_backward(dy, *size, *window)

    return record(y, (x,), vjp)


def avg_pool1d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """avg_pool2d along one axis.

    Args:
        x: Tensor of shape (N, C, L) or (C, L).
        kernel_size, stride, padding, ceil_mode, count_include_pad: as those of `avg_pool2d`, along one axis.

    Returns:
        Tensor of shape (N, C, OL).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.avg_pool1d(nncore.tensor([[1.0, 3.0, 2.0]]), 2, stride=1)
        tensor([[2.0000, 2.5000]])
    """
    window = _along_one("avg_pool1d", kernel_size=kernel_size, stride=stride, padding=padding)
    return _as_images("avg_pool1d", avg_pool2d, x, *window, ceil_mode, count_include_pad).squeeze(-2)


# ---- windows that follow from the size of the output: [i H / OH, (i + 1) H / OH), rounded outwards ----
def _adaptive(op, x, output_size):
    """(x, (OH, OW), kernel or None): the kernel, if windows are equal."""
    x = as_tensor(x)
    if x.ndim not in (3, 4):
        raise ValueError(f"{op}: argument 'x' has shape {x.shape}, expected (N, C, H, W) or (C, H, W)")
    size, wanted = x.shape[-2:], output_size if isinstance(output_size, (tuple, list)) else (output_size,) * 2
    wanted = pair(op, "output_size", [n if o is None else o for n, o in zip(size, wanted, strict=True)])
    if any(o < 1 for o in wanted) or 0 in size:
        raise ValueError(f"{op}: argument 'output_size' is {wanted}, expected at least 1, of an image of size {size}")
    even = all(n % o == 0 for n, o in zip(size, wanted))
    return x, wanted, tuple(n // o for n, o in zip(size, wanted)) if even else None


def adaptive_avg_pool2d(x, output_size):
    """Mean over windows that give an image of the wanted size; where it does not divide H and W, they overlap.

    Args:
        x: Tensor of shape (N, C, H, W) or (C, H, W).
        output_size: one or two integers; None keeps the size of x.

    Returns:
        Tensor of shape (N, C, *output_size).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.adaptive_avg_pool2d(nncore.ones(1, 3, 4, 4), 3).shape
        (1, 3, 3, 3)
    """
    x, wanted, kernel = _adaptive("adaptive_avg_pool2d", x, output_size)
    if kernel is not None:
        return avg_pool2d(x, kernel)
    return adaptive_mean(x, wanted) if x.ndim == 4 else adaptive_mean(x.unsqueeze(0), wanted).squeeze(0)


def adaptive_avg_pool1d(x, output_size):
    """adaptive_avg_pool2d along one axis.

    Args:
        x: Tensor of shape (N, C, L) or (C, L).
        output_size: an integer.

    Returns:
        Tensor of shape (N, C, output_size).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.adaptive_avg_pool1d(nncore.tensor([[1.0, 2.0, 6.0]]), 2)
        tensor([[1.5000, 4.0000]])
    """
    wanted = (1, *sizes("adaptive_avg_pool1d", "output_size", output_size, 1))
    return _as_images("adaptive_avg_pool1d", adaptive_avg_pool2d, x, wanted).squeeze(-2)


def adaptive_max_pool2d(x, output_size):
    """Maximum over windows that give an image of the wanted size; where it does not divide H and W, they overlap.

    Args:
        x: Tensor of shape (N, C, H, W) or (C, H, W).
        output_size: one or two integers; None keeps the size of x.

    Returns:
        Tensor of shape (N, C, *output_size).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.adaptive_max_pool2d(nncore.arange(9.0).reshape(1, 3, 3), 2).tolist()
        [[[4.0, 5.0], [7.0, 8.0]]]
    """
    x, wanted, kernel = _adaptive("adaptive_max_pool2d", x, output_size)
    if kernel is not None:
        return max_pool2d(x, kernel)
    if x.ndim == 3:
        return adaptive_max_pool2d(x.unsqueeze(0), wanted).squeeze(0)
    pixels = permute(x, 0, 2, 3, 1)
    for axis in (2, 1):  # columns first: of equal values the first in reading order wins
        pixels = _adaptive_max(pixels, axis, wanted[axis - 1])
    return permute(pixels, 0, 3, 1, 2)


def _adaptive_max(x, axis, count):
    n, before = x.shape[axis], (slice(None),) * axis
    windows = [slice(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
    return cat([max_along(index(x, (*before, window)), axis, keepdim=True)[0] for window in windows], axis)


def adaptive_max_pool1d(x, output_size):
    """adaptive_max_pool2d along one axis.

    Args:
        x: Tensor of shape (N, C, L) or (C, L).
        output_size: an integer.

    Returns:
        Tensor of shape (N, C, output_size).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.adaptive_max_pool1d(nncore.tensor([[1.0, 2.0, 6.0]]), 2)
        tensor([[2., 6.]])
    """
    wanted = (1, *sizes("adaptive_max_pool1d", "output_size", output_size, 1))
    return _as_images("adaptive_max_pool1d", adaptive_max_pool2d, x, wanted).squeeze(-2)


__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "max_pool1d",
    "max_pool2d",
]
