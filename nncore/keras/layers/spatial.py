"""What layers of series and images share: the place of the channels, and padding in words.

Images are channels-last, as the kernels have them in memory: nothing is moved.
"""

import math

from ... import ops
from .base import Layer, check_data_format, check_rank


def same_padding(sizes, kernel_size, strides, dilation_rate=None):
    """[(before, after), ...] so that the output has size ceil(input / stride), the odd one behind."""
    amounts = []
    for axis, (size, kernel, stride) in enumerate(zip(sizes, kernel_size, strides, strict=True)):
        extent = (1 if dilation_rate is None else dilation_rate[axis]) * (kernel - 1) + 1
        total = max((math.ceil(size / stride) - 1) * stride + extent - size, 0)
        amounts.append((total // 2, total - total // 2))
    return amounts


def surround(x, margins, mode="constant", value=0.0):
    """`x` padded by [(before, after), ...] of its last axes."""
    if not any(map(any, margins)):
        return x
    return ops.pad(x, [n for margin in reversed(margins) for n in margin], mode, value)


class Spatial(Layer):
    """A layer of series or images: `call` gives `spatial` the logical order (batch, channels, ...) that nncore.ops wants."""

    axes = 2  # 1 for series

    def _init_spatial(self, padding, data_format, paddings=("valid", "same")):
        kind = type(self).__name__
        if padding not in paddings:
            raise ValueError(f"{kind}: argument 'padding' is {padding!r}, expected {' or '.join(map(repr, paddings))}")
        self.channels_last = check_data_format(kind, data_format)
        self.padding = padding
        self.data_format = "channels_last" if self.channels_last else "channels_first"

    def call(self, x):
        """(batch, ..., channels) -> (batch, ..., channels); with "channels_first" channels second."""
        check_rank(type(self).__name__, x, self.axes + 2)
        if not self.channels_last:
            return self.spatial(x)
        inner = range(1, self.axes + 1)
        return self.spatial(x.permute(0, self.axes + 1, *inner)).permute(0, *(axis + 1 for axis in inner), 1)

    def spatial(self, x):
        """The work, on (batch, channels, ...)."""
        raise NotImplementedError
