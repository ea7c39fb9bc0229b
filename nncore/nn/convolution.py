"""Convolutions of series and images, and their transposes."""

import math

from nncore.nn import functional as F
from nncore.nn import init
from nncore.nn.arguments import check_device
from nncore.nn.module import Module
from nncore.nn.parameter import empty
from nncore.ops.conv import same_padding, sizes


class _Convolution(Module):
    """What the convolutions share; `axes` says along how many axes they go."""

    axes: int
    transposed = False

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding,
        dilation,
        groups,
        bias,
        padding_mode,
        device,
        dtype,
    ):
        super().__init__()
        check_device(device)
        kind = type(self).__name__
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        if padding_mode not in modes:
            raise ValueError(
                f"{kind}: argument 'padding_mode' is {padding_mode!r}, expected {' or '.join(map(repr, modes))}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = sizes(kind, "kernel_size", kernel_size, self.axes)
        self.stride = sizes(kind, "stride", stride, self.axes)
        self.padding = padding if isinstance(padding, str) else sizes(kind, "padding", padding, self.axes)
        self.dilation = sizes(kind, "dilation", dilation, self.axes)
        self.groups = groups
        self.padding_mode = padding_mode
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of 'valid', 'same'")
        if padding == "same" and any(stride != 1 for stride in self.stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
        # Memory is (kernel size, in, out), as the kernels read it.
        shape = (in_channels, out_channels // groups) if self.transposed else (out_channels, in_channels // groups)
        self.weight = empty((*shape, *self.kernel_size), dtype, order=(*range(2, 2 + self.axes), 1, 0))
        self.register_parameter("bias", empty((out_channels,), dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def _pad(self, input):
        """(input, padding left for the convolution): every padding but zeros is there before it."""
        if self.padding_mode == "zeros" or self.padding == "valid":
            return input, self.padding
        if self.padding == "same":
            widths = same_padding(self.kernel_size, self.dilation)
        else:
            widths = [(n, n) for n in self.padding]
        return F.pad(input, [n for width in reversed(widths) for n in width], self.padding_mode), 0

    def extra_repr(self):
        """The configuration, for repr."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.axes:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.axes:
            text += f", dilation={self.dilation}"
        if self.transposed and self.output_padding != (0,) * self.axes:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Forward(_Convolution):
    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
        *,
        mode="correlate",
    ):
        options = (stride, padding, dilation, groups, bias, padding_mode, device, dtype)
        super().__init__(in_channels, out_channels, kernel_size, *options)
        if mode not in ("correlate", "convolve"):
            raise ValueError(f"{type(self).__name__}: argument 'mode' is {mode!r}, expected 'correlate' or 'convolve'")
        self.mode = mode

    def forward(self, input):
        """Compute the output; see the class."""
        input, padding = self._pad(input)
        convolve = F.conv1d if self.axes == 1 else F.conv2d
        return convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups, self.mode)

    def extra_repr(self):
        """The configuration, for repr."""
        return super().extra_repr() + ("" if self.mode == "correlate" else f", mode={self.mode!r}")


class Conv1d(_Forward):
    """Cross-correlation of series with learned kernels, plus a bias per output channel.

    Args:
        As Conv2d, with integers in the place of pairs.

    Attributes:
        weight: (out_channels, in_channels / groups, kernel_size),
            drawn from U(-b, b), b = 1/sqrt(in_channels / groups * kernel_size).
        bias: (out_channels,), drawn likewise.

    Shapes: (N, in_channels, L) -> (N, out_channels, L'),
    L' = floor((L + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1). N may be left out.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.Conv1d(4, 8, kernel_size=3, padding="same", padding_mode="circular")
        >>> layer(nncore.ones(2, 4, 10)).shape
        (2, 8, 10)

    Reference: torch.nn.Conv1d.
    """

    axes = 1


class Conv2d(_Forward):
    """Cross-correlation of images with learned kernels, plus a bias per output channel.

    Args:
        in_channels, out_channels: numbers of channels, multiples of `groups`.
        kernel_size: int or (height, width).
        stride: int or pair. Default: 1.
        padding: int, pair, "valid" (none) or "same" (output as large as the input; stride 1). Default: 0.
        dilation: int or pair: the distance of the kernel's points. Default: 1.
        groups: number of blocks into which the channels are parted; as many as channels for a depthwise convolution.
            Default: 1.
        bias: Default: True.
        padding_mode: "zeros", "reflect", "replicate" or "circular"; see `functional.pad`. Default: "zeros".
        device, dtype: "cpu" and float32 or float64. Default: float32.
        mode: "correlate", or "convolve" to flip the kernels, as convolution in mathematics does. Default: "correlate".

    Attributes:
        weight: (out_channels, in_channels / groups, kernel height, kernel width),
            drawn from U(-b, b), b = 1/sqrt(in_channels / groups * height * width).
        bias: (out_channels,), drawn likewise.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H', W'),
    H' = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1). N may be left out.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.Conv2d(1, 8, kernel_size=3, padding=1)
        >>> layer(nncore.ones(2, 1, 5, 5)).shape
        (2, 8, 5, 5)

    Reference: torch.nn.Conv2d, but for `mode`.
    """

    axes = 2


class _Transpose(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ):
        kind = type(self).__name__
        padding = sizes(kind, "padding", padding, self.axes)
        options = (stride, padding, dilation, groups, bias, padding_mode, device, dtype)
        super().__init__(in_channels, out_channels, kernel_size, *options)
        self.output_padding = sizes(kind, "output_padding", output_padding, self.axes)

    def forward(self, input, output_size=None):
        """Compute the output; see the class.

        Args:
            input: (N, in_channels, H, W); of ConvTranspose1d (N, in_channels, L).
            output_size: the size wanted, of those that the stride leaves open. Default: as `output_padding` says.
        """
        output_padding = self.output_padding if output_size is None else self._missing(input.shape, output_size)
        convolve = F.conv_transpose1d if self.axes == 1 else F.conv_transpose2d
        options = (self.stride, self.padding, output_padding, self.groups, self.dilation)
        return convolve(input, self.weight, self.bias, *options)

    def _missing(self, shape, output_size):
        """The output padding that gives an output of the wanted size."""
        wanted = tuple(output_size)[-self.axes :]
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                shape[-self.axes :], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        if len(wanted) != self.axes or any(not 0 <= w - n < s for w, n, s in zip(wanted, least, self.stride)):
            most = [n + s - 1 for n, s in zip(least, self.stride)]
            raise ValueError(
                f"{type(self).__name__}: argument 'output_size' is {tuple(output_size)}, expected {least} to {most}"
            )
        return tuple(w - n for w, n in zip(wanted, least))


class ConvTranspose1d(_Transpose):
    """The gradient of a Conv1d by its input, as a layer.

    Args:
        As ConvTranspose2d, with integers in the place of pairs.

    Attributes:
        weight: (in_channels, out_channels / groups, kernel_size).
        bias: (out_channels,).

    Shapes: (N, in_channels, L) -> (N, out_channels, L'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.ConvTranspose1d(4, 2, kernel_size=2, stride=2)(nncore.ones(3, 4, 5)).shape
        (3, 2, 10)

    Reference: torch.nn.ConvTranspose1d.
    """

    axes = 1


class ConvTranspose2d(_Transpose):
    """The gradient of a Conv2d by its input, as a layer: it makes of an image a larger one.

    Args:
        in_channels, out_channels: numbers of channels, multiples of `groups`.
        kernel_size: int or (height, width).
        stride: int or pair: how many times as large the output is. Default: 1.
        padding: int or pair: what is cut off on each side. Default: 0.
        output_padding: int or pair, less than stride or dilation: what is added behind. Default: 0.
        groups: Default: 1.
        bias: Default: True.
        dilation: int or pair. Default: 1.
        padding_mode: "zeros", the only one.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Attributes:
        weight: (in_channels, out_channels / groups, kernel height, kernel width),
            drawn from U(-b, b), b = 1/sqrt(out_channels / groups * height * width).
        bias: (out_channels,), drawn likewise.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H', W'),
    H' = (H - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1. N may be left out.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.ConvTranspose2d(4, 2, kernel_size=3, stride=2, padding=1, output_padding=1)
        >>> layer(nncore.ones(1, 4, 5, 5)).shape
        (1, 2, 10, 10)

    Reference: torch.nn.ConvTranspose2d; Zeiler, Krishnan, Taylor & Fergus 2010.
    """

    axes = 2
