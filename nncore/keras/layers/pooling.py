"""Pooling of series and images."""

import math

from ... import ops
from .base import check_rank, sizes
from .masking import checked_mask
from .spatial import Spatial, same_padding, surround


class _Pooling(Spatial):
    """What the kinds of pooling share."""

    shown = ("pool_size", "strides", "padding")

    def __init__(self, pool_size=2, strides=None, padding="valid", data_format=None, **common):
        super().__init__(**common)
        kind = type(self).__name__
        self.pool_size = sizes(kind, "pool_size", pool_size, self.axes)
        self.strides = self.pool_size if strides is None else sizes(kind, "strides", strides, self.axes)
        self._init_spatial(padding, data_format)

    def _margins(self, x):
        if self.padding == "valid":
            return [(0, 0)] * self.axes
        return same_padding(x.shape[2:], self.pool_size, self.strides)


class _MaxPooling(_Pooling):
    def spatial(self, x):
        """The maxima, on (batch, channels, ...)."""
        pool = ops.max_pool1d if self.axes == 1 else ops.max_pool2d
        return pool(surround(x, self._margins(x), value=-math.inf), self.pool_size, self.strides)


class _AveragePooling(_Pooling):
    def spatial(self, x):
        """The means, on (batch, channels, ...)."""
        pool = ops.avg_pool1d if self.axes == 1 else ops.avg_pool2d
        margins = self._margins(x)
        y = pool(surround(x, margins), self.pool_size, self.strides)
        if not any(map(any, margins)):
            return y
        inside = surround(ops.ones(1, 1, *x.shape[2:], dtype=x.dtype), margins)
        return y / pool(inside, self.pool_size, self.strides)  # the share of a window that is inside


class MaxPooling1D(_MaxPooling):
    """y = max over windows of a series.

    Args:
        pool_size: an integer. Default 2.
        strides: an integer. Default: `pool_size`.
        padding: `"valid"` (the default), or `"same"`: windows may stick out.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **common: see `Layer`.

    Shapes: (batch, steps, channels) -> (batch, new steps, channels).

    Example:
        >>> import nncore
        >>> MaxPooling1D()(nncore.zeros(2, 7, 3)).shape
        (2, 3, 3)

    Reference: Keras, `keras.layers.MaxPooling1D`.
    """

    axes = 1


class MaxPooling2D(_MaxPooling):
    """y = max over windows.

    Args:
        pool_size: one or two integers. Default 2.
        strides: one or two integers. Default: `pool_size`.
        padding: `"valid"` (the default), or `"same"`: windows may stick out.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **common: see `Layer`.

    Shapes: (batch, height, width, channels) -> (batch, new height, new width, channels).

    Example:
        >>> import nncore
        >>> MaxPooling2D()(nncore.zeros(2, 7, 7, 3)).shape
        (2, 3, 3, 3)

    Reference: Keras, `keras.layers.MaxPooling2D`.
    """


class AveragePooling1D(_AveragePooling):
    """y = mean over windows of a series; with padding "same" over the part of a window that is inside the series.

    Args:
        pool_size, strides, padding, data_format, **common: see `MaxPooling1D`.

    Shapes: (batch, steps, channels) -> (batch, new steps, channels).

    Example:
        >>> import nncore
        >>> AveragePooling1D(padding="same")(nncore.ones(1, 3, 1)).reshape(-1)
        tensor([1., 1.])

    Reference: Keras, `keras.layers.AveragePooling1D`.
    """

    axes = 1


class AveragePooling2D(_AveragePooling):
    """y = mean over windows; with padding "same" over the part of a window that is inside the image.

    Args:
        pool_size, strides, padding, data_format, **common: see `MaxPooling2D`.

    Shapes: (batch, height, width, channels) -> (batch, new height, new width, channels).

    Example:
        >>> import nncore
        >>> AveragePooling2D(padding="same")(nncore.ones(1, 3, 3, 1)).reshape(-1)
        tensor([1., 1., 1., 1.])

    Reference: Keras, `keras.layers.AveragePooling2D`.
    """


class _GlobalPooling(Spatial):
    shown = ("keepdims",)

    def __init__(self, data_format=None, keepdims=False, **common):
        super().__init__(**common)
        self._init_spatial("valid", data_format)
        self.keepdims = keepdims

    def call(self, x):
        """(batch, ..., channels) -> (batch, channels), or (batch, 1, ..., channels)."""
        check_rank(type(self).__name__, x, self.axes + 2)
        first = 1 if self.channels_last else 2
        return self.reduce(x, tuple(range(first, first + self.axes)))


class _GlobalAveragePooling(_GlobalPooling):
    def reduce(self, x, dims):
        """The mean over `dims`."""
        return x.mean(dim=dims, keepdim=self.keepdims)


class _GlobalMaxPooling(_GlobalPooling):
    def reduce(self, x, dims):
        """The maximum over `dims`."""
        return x.amax(dim=dims, keepdim=self.keepdims)


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """y = mean over all steps of a series, or over those that the mask leaves: see `Masking`.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: whether the steps stay as an axis of size 1. Default False.
        **common: see `Layer`.

    Shapes: (batch, steps, channels) -> (batch, channels).

    Example:
        >>> import nncore
        >>> GlobalAveragePooling1D()(nncore.ones(2, 7, 3)).shape
        (2, 3)

    Reference: Keras, `keras.layers.GlobalAveragePooling1D`.
    """

    axes = 1

    def call(self, x, mask=None):
        """(batch, steps, channels) -> (batch, channels), or (batch, 1, channels)."""
        if mask is None:
            return super().call(x)
        steps, channels = (1, 2) if self.channels_last else (2, 1)
        check_rank("GlobalAveragePooling1D", x, 3)
        mask = checked_mask("GlobalAveragePooling1D", mask, (x.shape[0], x.shape[steps]))
        counts = mask.to(x.dtype).unsqueeze(channels)
        total = (x * counts).sum(steps, self.keepdims)
        return total / ops.maximum(counts.sum(steps, self.keepdims), 1.0)

    def compute_mask(self, x, mask):
        """None: there are no steps left."""
        return None


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """y = mean over all pixels.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: whether height and width stay as axes of size 1. Default False.
        **common: see `Layer`.

    Shapes: (batch, height, width, channels) -> (batch, channels).

    Example:
        >>> import nncore
        >>> GlobalAveragePooling2D()(nncore.ones(2, 7, 7, 3)).shape
        (2, 3)

    Reference: Keras, `keras.layers.GlobalAveragePooling2D`.
    """


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """y = max over all steps of a series.

    Args:
        data_format, keepdims, **common: see `GlobalAveragePooling1D`.

    Shapes: (batch, steps, channels) -> (batch, channels).

    Example:
        >>> import nncore
        >>> GlobalMaxPooling1D()(nncore.ones(2, 7, 3)).shape
        (2, 3)

    Reference: Keras, `keras.layers.GlobalMaxPooling1D`.
    """

    axes = 1


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """y = max over all pixels.

    Args:
        data_format, keepdims, **common: see `GlobalAveragePooling2D`.

    Shapes: (batch, height, width, channels) -> (batch, channels).

    Example:
        >>> import nncore
        >>> GlobalMaxPooling2D()(nncore.ones(2, 7, 7, 3)).shape
        (2, 3)

    Reference: Keras, `keras.layers.GlobalMaxPooling2D`.
    """
