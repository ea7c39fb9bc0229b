"""Convolution of images (N, C, H, W) and series (N, C, L). In memory the channels come last: kernels read whole pixels."""

from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore.ops.broadcast import add
from nncore.ops.convert import as_tensor, saved_factors
from nncore.ops.dims import zeros_array
from nncore.ops.padding import pad
from nncore.ops.products import fused_activation
from nncore.ops.shape import flip, permute

_conv2d_forward, _conv2d_backward = KERNELS["conv2d_forward"], KERNELS["conv2d_backward"]
_transpose2d_forward, _copy = KERNELS["conv_transpose2d_forward"], KERNELS["copy"]


def sizes(op, name, value, count):
    """`count` integers: as many, or one for all."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(values) == 1:
        values *= count
    if len(values) != count or any(isinstance(v, bool) or not hasattr(v, "__index__") for v in values):
        expected = "an integer" if count == 1 else "one or two integers"
        raise TypeError(f"{op}: argument '{name}' is {value!r}, expected {expected}")
    return values


def pair(op, name, value):
    """A height and a width: two integers, or one for both."""
    return sizes(op, name, value, 2)


def same_padding(kernel_size, dilation):
    """(before, after) along each axis that keep the size at stride 1, the odd one behind."""
    totals = [d * (k - 1) for d, k in zip(dilation, kernel_size)]
    return [(total // 2, total - total // 2) for total in totals]


def _padded(op, x, kernel_size, stride, padding, dilation):
    """(x, padding as two integers): words become numbers, and what the kernel cannot pad is padded here."""
    if padding == "valid":
        return x, (0, 0)
    if padding != "same":
        return x, pair(op, "padding", padding)
    if stride != (1, 1):
        raise ValueError(f"{op}: argument 'stride' is {stride}, expected 1 with padding='same'")
    (top, bottom), (left, right) = same_padding(kernel_size, dilation)
    if (top, left) != (bottom, right):
        x = pad(x, (0, right - left, 0, bottom - top))
    return x, (top, left)


def _check_rank(op, x, weight, axes):
    for name, tensor, rank in (("x", x, axes + 1), ("weight", weight, axes + 2)):
        if tensor.ndim != rank and not (name == "x" and tensor.ndim == axes + 2):
            raise ValueError(f"{op}: argument '{name}' has shape {tensor.shape}, expected {axes + 2} dimensions")


def conv1d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, activation=None, mode="correlate"):
    """y = activation(bias + cross-correlation of x with weight), size (L + 2 padding - dilation (K - 1) - 1) / stride + 1.

    Args:
        x: Tensor of shape (N, C, L) or (C, L).
        weight: Tensor of shape (O, C / groups, K).
        bias, stride, padding, dilation, groups, activation, mode: as those of `conv2d`, along one axis.

    Returns:
        Tensor of shape (N, O, OL).

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> import nncore
        >>> x, weight = nncore.tensor([[1.0, 2.0, 4.0]]), nncore.tensor([[[-1.0, 1.0]]])
        >>> nncore.nn.functional.conv1d(x, weight)
        tensor([[1., 2.]])
    """
    x, weight = as_tensor(x), as_tensor(weight)
    _check_rank("conv1d", x, weight, 1)
    stride, dilation = sizes("conv1d", "stride", stride, 1), sizes("conv1d", "dilation", dilation, 1)
    if not isinstance(padding, str):
        padding = (0, *sizes("conv1d", "padding", padding, 1))
    options = ((1, *stride), padding, (1, *dilation), groups, activation, mode)
    return as_conv2d("conv1d", conv2d, x, weight, bias, *options)


def as_conv2d(op, conv2d, x, weight, *options):
    """A convolution of series as one of images of height 1."""
    try:
        return conv2d(x.unsqueeze(-2), weight.unsqueeze(-2), *options).squeeze(-2)
    except ValueError as error:
        raise ValueError(str(error).replace(f"{conv2d.__name__}:", f"{op}:")) from None


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, activation=None, mode="correlate"):
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
        mode: "correlate", or "convolve" for the convolution of mathematics, which flips the weight:
            y[h, w] = sum over i, j of weight[i, j] x[h - i, w - j]. Default: "correlate".

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
        return conv2d(x.unsqueeze(0), weight, bias, stride, padding, dilation, groups, activation, mode).squeeze(0)
    if mode not in ("correlate", "convolve"):
        raise ValueError(f"conv2d: argument 'mode' is {mode!r}, expected 'correlate' or 'convolve'")
    if mode == "convolve":
        weight = flip(weight, (-2, -1))
    stride, dilation = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    x, padding = _padded("conv2d", x, weight.shape[2:], stride, padding, dilation)
    window = (*stride, *padding, *dilation, groups)
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


def conv_transpose1d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """conv_transpose2d along one axis.

    Args:
        x: Tensor of shape (N, C, L) or (C, L).
        weight: Tensor of shape (C, O / groups, K).
        bias, stride, padding, output_padding, groups, dilation: as those of `conv_transpose2d`, along one axis.

    Returns:
        Tensor of shape (N, O, OL).

    Example:
        >>> import nncore
        >>> x, weight = nncore.tensor([[1.0, 2.0]]), nncore.tensor([[[1.0, 10.0]]])
        >>> nncore.nn.functional.conv_transpose1d(x, weight, stride=2)
        tensor([[ 1., 10.,  2., 20.]])
    """
    op = "conv_transpose1d"
    x, weight = as_tensor(x), as_tensor(weight)
    _check_rank(op, x, weight, 1)
    stride, padding, output_padding, dilation = (
        (first, *sizes(op, name, value, 1))
        for first, name, value in (
            (1, "stride", stride),
            (0, "padding", padding),
            (0, "output_padding", output_padding),
            (1, "dilation", dilation),
        )
    )
    return as_conv2d(op, conv_transpose2d, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of a convolution by its input, as a layer of its own (Zeiler et al. 2010): each pixel writes a kernel.

    The size is (H - 1) stride - 2 padding + dilation (KH - 1) + output_padding + 1.

    Args:
        x: Tensor of shape (N, C, H, W) or (C, H, W).
        weight: Tensor of shape (C, O / groups, KH, KW).
        bias: Tensor of shape (O,). Default: none.
        stride: one or two integers: the distance of what neighbours write. Default: 1.
        padding: what is cut off around the result. Default: 0.
        output_padding: what is added behind, less than stride or dilation. Default: 0.
        groups: number of groups of channels convolved apart. Default: 1.
        dilation: distance between kernel elements. Default: 1.

    Returns:
        Tensor of shape (N, O, OH, OW).

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> import nncore
        >>> x, weight = nncore.tensor([[[[1.0, 2.0]]]]), nncore.ones(1, 1, 2, 2)
        >>> nncore.nn.functional.conv_transpose2d(x, weight).tolist()
        [[[[1.0, 3.0, 2.0], [1.0, 3.0, 2.0]]]]
    """
    op = "conv_transpose2d"
    x, weight = as_tensor(x), as_tensor(weight)
    _check_rank(op, x, weight, 2)
    if x.ndim == 3:
        options = (bias, stride, padding, output_padding, groups, dilation)
        return conv_transpose2d(x.unsqueeze(0), weight, *options).squeeze(0)
    stride, padding = pair(op, "stride", stride), pair(op, "padding", padding)
    dilation, behind = pair(op, "dilation", dilation), pair(op, "output_padding", output_padding)
    x_array, weight_array, window = x.array, weight.array, (*stride, *padding, *dilation, groups)
    y = _transpose2d_forward(x_array, weight_array, *stride, *padding, *behind, *dilation, groups)
    # A stride or more behind, the convolution of y has more outputs than x has pixels.
    more = tuple(b // s for b, s in zip(behind, stride))
    height, width = x_array.shape[2:]

    def vjp(needs, dy):
        dx = _conv2d_forward(dy, weight_array, None, *window, 0)[:, :, :height, :width] if needs[0] else None
        if not needs[1]:
            return dx, None
        outputs = x_array
        if any(more):
            outputs = zeros_array((*x_array.shape[:2], height + more[0], width + more[1]), x_array.dtype)
            _copy(x_array, out=outputs[:, :, :height, :width])
        return dx, _conv2d_backward(outputs, dy, weight_array, *window, want=(False, True, False))[1]

    y = record(y, (x, weight), vjp, saved_factors(x, weight))
    if bias is None:
        return y
    bias = as_tensor(bias)
    if bias.shape != y.shape[1:2]:
        raise ValueError(f"{op}: argument 'bias' has shape {bias.shape}, expected {y.shape[1:2]}")
    return permute(add(permute(y, 0, 2, 3, 1), bias), 0, 3, 1, 2)


__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"]
