"""Pooling over windows of series and images."""

from nncore.nn import functional as F
from nncore.nn.arguments import unsupported
from nncore.nn.module import Module
from nncore.ops.conv import sizes


class _MaxPool(Module):
    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _window(self):
        return (self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices)

    def extra_repr(self):
        """The configuration, for repr."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest value of each window.

    Args:
        As MaxPool2d, with integers in the place of pairs.

    Shapes: (N, C, L) -> (N, C, L'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.MaxPool1d(2, stride=1)(nncore.tensor([[1.0, 3.0, 2.0]]))
        tensor([[3., 3.]])

    Reference: torch.nn.MaxPool1d.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.max_pool1d(input, *self._window())


class MaxPool2d(_MaxPool):
    """The largest value of each window.

    Args:
        kernel_size: int or (height, width).
        stride: int or pair. Default: kernel_size.
        padding: int or pair, at most half the kernel; padded with -inf. Default: 0.
        dilation: int or pair. Default: 1.
        return_indices: whether to return also where the maxima stand, h * W + w. Default: False.
        ceil_mode: whether a last window may stick out, so that H' is rounded up. Default: False.

    Shapes: (N, C, H, W) -> (N, C, H', W'), H' = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1).

    Example:
        >>> import nncore
        >>> nncore.nn.MaxPool2d(2)(nncore.arange(16.0).reshape(1, 1, 4, 4))
        tensor([[[[ 5.,  7.],
                  [13., 15.]]]])

    Reference: torch.nn.MaxPool2d.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.max_pool2d(input, *self._window())


class AvgPool1d(Module):
    """The mean of each window.

    Args:
        As AvgPool2d, with integers in the place of pairs, and no divisor_override.

    Shapes: (N, C, L) -> (N, C, L'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.AvgPool1d(2, stride=1)(nncore.tensor([[1.0, 3.0, 2.0]]))
        tensor([[2.0000, 2.5000]])

    Reference: torch.nn.AvgPool1d.
    """

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__()
        self.kernel_size = sizes("AvgPool1d", "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else sizes("AvgPool1d", "stride", stride, 1)
        self.padding = sizes("AvgPool1d", "padding", padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input):
        """Compute the output; see the class."""
        window = (self.kernel_size, self.stride, self.padding)
        return F.avg_pool1d(input, *window, self.ceil_mode, self.count_include_pad)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window.

    Args:
        kernel_size: int or (height, width).
        stride: int or pair. Default: kernel_size.
        padding: int or pair, at most half the kernel; padded with 0. Default: 0.
        ceil_mode: whether a last window may stick out, so that H' is rounded up. What sticks out of the padding too never
            counts in the mean. Default: False.
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
        unsupported("AvgPool2d", divisor_override=(divisor_override, None))
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input):
        """Compute the output; see the class."""
        window = (self.kernel_size, self.stride, self.padding)
        return F.avg_pool2d(input, *window, self.ceil_mode, self.count_include_pad)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _Adaptive(Module):
    def __init__(self, output_size):
        super().__init__()
        self.output_size = output_size

    def extra_repr(self):
        """The configuration, for repr."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """Means of windows, so many that the output has the given size.

    Args:
        output_size: int.

    Shapes: (N, C, L) -> (N, C, output_size). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.AdaptiveAvgPool1d(2)(nncore.tensor([[1.0, 2.0, 6.0]]))
        tensor([[1.5000, 4.0000]])

    Reference: torch.nn.AdaptiveAvgPool1d.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_Adaptive):
    """Means of windows, so many that the output has the given size; they overlap where it does not divide the input's.

    Args:
        output_size: int or (height, width); None keeps the input's size.

    Shapes: (N, C, H, W) -> (N, C, *output_size). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.AdaptiveAvgPool2d(1)(nncore.ones(2, 3, 4, 6)).shape
        (2, 3, 1, 1)

    Reference: torch.nn.AdaptiveAvgPool2d.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveMaxPool1d(_Adaptive):
    """The largest values of windows, so many that the output has the given size.

    Args:
        output_size: int.
        return_indices: False, the only value.

    Shapes: (N, C, L) -> (N, C, output_size). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.AdaptiveMaxPool1d(2)(nncore.tensor([[1.0, 2.0, 6.0]]))
        tensor([[2., 6.]])

    Reference: torch.nn.AdaptiveMaxPool1d.
    """

    def __init__(self, output_size, return_indices=False):
        unsupported("AdaptiveMaxPool1d", return_indices=(return_indices, False))
        super().__init__(output_size)

    def forward(self, input):
        """Compute the output; see the class."""
        return F.adaptive_max_pool1d(input, self.output_size)


class AdaptiveMaxPool2d(_Adaptive):
    """The largest values of windows, so many that the output has the given size.

    Args:
        output_size: int or (height, width); None keeps the input's size.
        return_indices: False, the only value.

    Shapes: (N, C, H, W) -> (N, C, *output_size). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.AdaptiveMaxPool2d((1, None))(nncore.ones(2, 3, 4, 6)).shape
        (2, 3, 1, 6)

    Reference: torch.nn.AdaptiveMaxPool2d.
    """

    def __init__(self, output_size, return_indices=False):
        unsupported("AdaptiveMaxPool2d", return_indices=(return_indices, False))
        super().__init__(output_size)

    def forward(self, input):
        """Compute the output; see the class."""
        return F.adaptive_max_pool2d(input, self.output_size)
