"""Convolution."""

import math

from nncore.nn import functional as F
from nncore.nn import init
from nncore.nn.arguments import check_device
from nncore.nn.module import Module
from nncore.nn.parameter import empty
from nncore.ops.conv import pair


class Conv2d(Module):
    """Cross-correlation of images with learned kernels, plus a bias per output channel.

    Args:
        in_channels, out_channels: numbers of channels, multiples of `groups`.
        kernel_size: int or (height, width).
        stride: int or pair. Default: 1.
        padding: int, pair, "valid" (none) or "same" (output as large as the input; stride 1). Default: 0.
        dilation: int or pair: the distance of the kernel's points. Default: 1.
        groups: number of blocks into which the channels are parted. Default: 1.
        bias: Default: True.
        padding_mode: "zeros", the only one.
        device, dtype: "cpu" and float32 or float64. Default: float32.

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

    Reference: torch.nn.Conv2d.
    """

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
    ):
        super().__init__()
        check_device(device)
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        if padding_mode != "zeros":
            raise ValueError(f"Conv2d: argument 'padding_mode' is {padding_mode!r}, expected 'zeros'")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride = pair("Conv2d", "stride", stride)
        self.padding = padding if isinstance(padding, str) else pair("Conv2d", "padding", padding)
        self.dilation = pair("Conv2d", "dilation", dilation)
        self.groups = groups
        self.padding_mode = padding_mode
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of 'valid', 'same'")
        if padding == "same" and any(stride != 1 for stride in self.stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
        # Memory is (kernel height, kernel width, in, out), as the kernels read it.
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = empty(shape, dtype, order=(2, 3, 1, 0))
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

    def forward(self, input):
        """Compute the output; see the class."""
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self):
        """The configuration, for repr."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text
