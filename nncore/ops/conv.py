"""Convolution and pooling of images (N, C, H, W). In memory the channels come last, so that kernels read whole pixels."""

from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore.ops.convert import as_tensor, saved_factors
from nncore.ops.products import fused_activation

_conv2d_forward, _conv2d_backward = KERNELS["conv2d_forward"], KERNELS["conv2d_backward"]
_max_forward, _max_backward = KERNELS["max_pool2d_forward"], KERNELS["max_pool2d_backward"]
_avg_forward, _avg_backward = KERNELS["avg_pool2d_forward"], KERNELS["avg_pool2d_backward"]


def pair(op, name, value):
    """A height and a width: two integers, or one for both."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) == 1:
        values *= 2
    if len(values) != 2 or any(isinstance(v, bool) or not hasattr(v, "__index__") for v in values):
        raise TypeError(f"{op}: argument '{name}' is {value!r}, expected one or two integers")
    return values


def same_padding(kernel_size, stride, dilation):
    """Padding that keeps the size, for stride 1 and kernels that can be centred."""
    if stride != (1, 1):
        raise ValueError(f"conv2d: argument 'stride' is {stride}, expected 1 with padding='same'")
    total = tuple(d * (k - 1) for d, k in zip(dilation, kernel_size))
    if any(t % 2 for t in total):
        raise ValueError(
            f"conv2d: argument 'padding' is 'same', which a kernel of size {tuple(kernel_size)} cannot be centred for; "
            f"pad() the input"
        )
    return tuple(t // 2 for t in total)


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, activation=None):
    """y = activation(bias + cross-correlation of x with weight), size (H + 2 padding - dilation (KH - 1) - 1) / stride + 1.

    Args:
        x: Tensor of shape (N, C, H, W) or (C, H, W).
        weight: Tensor of shape (O, C / groups, KH, KW).
        bias: Tensor of shape (O,). Default: none.
        stride: one or two integers. Default: 1.
        padding: zeros around the image: one or two integers, "valid" (0) or "same". Default: 0.
        dilation: distance between kernel elements. Default: 1.
        groups: number of groups of channels convolved apart. Default: 1.
        activation: None, "relu", "sigmoid", "tanh", "gelu" or "silu". Default: None.

    Returns:
        Tensor of shape (N, O, OH, OW).

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> import nncore
        >>> x, weight = nncore.ones(1, 1, 4, 4), nncore.ones(1, 1, 3, 3)
        >>> nncore.nn.functional.conv2d(x, weight).tolist()
        [[[[9.0, 9.0], [9.0, 9.0]]]]
    """
    x, weight = as_tensor(x), as_tensor(weight)
    bias = None if bias is None else as_tensor(bias)
    if x.ndim == 3:
        return conv2d(x.unsqueeze(0), weight, bias, stride, padding, dilation, groups, activation).squeeze(0)
    stride, dilation = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    if padding == "valid":
        padding = (0, 0)
    elif padding == "same":
        padding = same_padding(weight.shape[2:], stride, dilation)
    window = (*stride, *pair("conv2d", "padding", padding), *dilation, groups)
    code, activation_backward, afterwards = fused_activation("conv2d", activation, (x, weight, bias))
    x_array, weight_array = x.array, weight.array
    y = _conv2d_forward(x_array, weight_array, None if bias is None else bias.array, *window, code)

    def vjp(needs, dy):
        if activation_backward is not None:
            dy = activation_backward(dy, y)
        return _conv2d_backward(dy, x_array, weight_array, *window, want=needs)

    saved = saved_factors(x, weight)
    result = record(y, (x, weight, bias), vjp, saved if activation_backward is None else (*saved, True))
    return result if afterwards is None else getattr(result, afterwards)()


def _pool_window(op, kernel_size, stride, padding):
    kernel = pair(op, "kernel_size", kernel_size)
    return kernel, kernel if stride is None else pair(op, "stride", stride), pair(op, "padding", padding)


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1):
    """Maximum over windows; NaN wins, the gradient goes to the first maximum.

    Args:
        x: Tensor of shape (N, C, H, W) or (C, H, W).
        kernel_size: size of the window, one or two integers.
        stride: step of the window. Default: kernel_size.
        padding: positions around the image that never win, at most half of kernel_size. Default: 0.
        dilation: distance between window elements. Default: 1.

    Returns:
        Tensor of shape (N, C, OH, OW).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.max_pool2d(nncore.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
        [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    x = as_tensor(x)
    if x.ndim == 3:
        return max_pool2d(x.unsqueeze(0), kernel_size, stride, padding, dilation).squeeze(0)
    kernel, stride, padding = _pool_window("max_pool2d", kernel_size, stride, padding)
    window = (*kernel, *stride, *padding, *pair("max_pool2d", "dilation", dilation))
    y, index = _max_forward(x.array, *window)
    size = x.array.shape[2:]

    def vjp(needs, dy):
        return _max_backward(dy, index, *size, *window)

    return record(y, (x,), vjp)


def avg_pool2d(x, kernel_size, stride=None, padding=0, count_include_pad=True):
    """Mean over windows.

    Args:
        x: Tensor of shape (N, C, H, W) or (C, H, W).
        kernel_size: size of the window, one or two integers.
        stride: step of the window. Default: kernel_size.
        padding: zeros around the image, at most half of kernel_size. Default: 0.
        count_include_pad: whether these zeros count in the mean. Default: True.

    Returns:
        Tensor of shape (N, C, OH, OW).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.avg_pool2d(nncore.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
        [[[[2.5, 4.5], [10.5, 12.5]]]]
    """
    x = as_tensor(x)
    if x.ndim == 3:
        return avg_pool2d(x.unsqueeze(0), kernel_size, stride, padding, count_include_pad).squeeze(0)
    kernel, stride, padding = _pool_window("avg_pool2d", kernel_size, stride, padding)
    window = (*kernel, *stride, *padding, int(count_include_pad))
    y = _avg_forward(x.array, *window)
    size = x.array.shape[2:]

    def vjp(needs, dy):
        return _avg_backward(dy, *size, *window)

    return record(y, (x,), vjp)


def adaptive_avg_pool2d(x, output_size):
    """Mean over equal windows that give an image of the wanted size.

    Args:
        x: Tensor of shape (N, C, H, W) or (C, H, W).
        output_size: one or two integers that divide H and W.

    Returns:
        Tensor of shape (N, C, *output_size).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.adaptive_avg_pool2d(nncore.ones(1, 3, 4, 4), 1).shape
        (1, 3, 1, 1)
    """
    size = x.shape[-2:]
    output_size = pair("adaptive_avg_pool2d", "output_size", output_size)
    if any(o < 1 or n % o for n, o in zip(size, output_size)):
        raise ValueError(
            f"adaptive_avg_pool2d: argument 'output_size' is {output_size}, expected divisors of the image size {size}"
        )
    return avg_pool2d(x, tuple(n // o for n, o in zip(size, output_size)))


__all__ = ["adaptive_avg_pool2d", "avg_pool2d", "conv2d", "max_pool2d"]
