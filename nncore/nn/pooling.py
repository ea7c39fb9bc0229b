"""Pooling over windows of images."""

from nncore.nn import functional as F
from nncore.nn.module import Module


class MaxPool2d(Module):
    """The largest value of each window.

    Args:
        kernel_size: int or (height, width).
        stride: int or pair. Default: kernel_size.
        padding: int or pair, at most half the kernel; padded with -inf. Default: 0.
        dilation: int or pair. Default: 1.
        return_indices, ceil_mode: False, the only value.

    Shapes: (N, C, H, W) -> (N, C, H', W'), H' = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1).

    Example:
        >>> import nncore
        >>> nncore.nn.MaxPool2d(2)(nncore.arange(16.0).reshape(1, 1, 4, 4))
        tensor([[[[ 5.,  7.],
                  [13., 15.]]]])

    Reference: torch.nn.MaxPool2d.
    """

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input):
        """Compute the output; see the class."""
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self):
        """The configuration, for repr."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window.

    Args:
        kernel_size: int or (height, width).
        stride: int or pair. Default: kernel_size.
        padding: int or pair, at most half the kernel; padded with 0. Default: 0.
        ceil_mode: False, the only value.
        count_include_pad: whether the padding counts in the mean. Default: True.
        divisor_override: None, the only value.

    Shapes: (N, C, H, W) -> (N, C, H', W'), H' = floor((H + 2 padding - kernel_size) / stride + 1).

    Example:
        >>> import nncore
        >>> nncore.nn.AvgPool2d(2)(nncore.arange(4.0).reshape(1, 1, 2, 2)).item()
        1.5

    Reference: torch.nn.AvgPool2d.
    """

    def __init__(
        self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
    ):
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input):
        """Compute the output; see the class."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self):
        """The configuration, for repr."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """Means of equal windows, so many that the output has the given size.

    Args:
        output_size: int or (height, width), which divide the input's; None keeps the input's size.

    Shapes: (N, C, H, W) -> (N, C, *output_size).

    Example:
        >>> import nncore
        >>> nncore.nn.AdaptiveAvgPool2d(1)(nncore.ones(2, 3, 4, 6)).shape
        (2, 3, 1, 1)

    Reference: torch.nn.AdaptiveAvgPool2d.
    """

    def __init__(self, output_size):
        super().__init__()
        self.output_size = output_size

    def forward(self, input):
        """Compute the output; see the class."""
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"output_size={self.output_size}"
