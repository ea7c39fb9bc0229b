"""Dropout, of numbers and of channels."""

from ... import ops
from .base import Layer
from .spatial import Spatial


def _check_rate(op, rate):
    if not 0 <= rate <= 1:
        raise ValueError(f"{op}: argument 'rate' is {rate}, expected a number in [0, 1]")


class Dropout(Layer):
    """In training: x / (1 - rate) with probability 1 - rate, else 0. Otherwise: x.

    Args:
        rate: probability of a zero, in [0, 1].
        scale: `"train"` (the default), or `"test"`: x or 0 in training, x (1 - rate) otherwise; see `nn.Dropout`.
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Dropout(0.5)(nncore.ones(1, 2), training=False)
        tensor([[1., 1.]])

    Reference: Keras, `keras.layers.Dropout`, but for `scale`; Srivastava et al. 2014.
    """

    supports_masking = True
    shown = ("rate",)

    def __init__(self, rate, scale="train", **common):
        super().__init__(**common)
        _check_rate("Dropout", rate)
        if scale not in ("train", "test"):
            raise ValueError(f"Dropout: argument 'scale' is {scale!r}, expected 'train' or 'test'")
        self.rate = rate
        self.scale = scale

    def call(self, x):
        """Any shape -> the same shape."""
        return ops.dropout(x, self.rate, self.training, scale=self.scale)


class SpatialDropout1D(Spatial):
    """Dropout of whole channels of a series.

    Args:
        rate: probability of a zero channel, in [0, 1].
        **common: see `Layer`.

    Shapes: (batch, steps, channels) -> the same.

    Example:
        >>> import nncore
        >>> SpatialDropout1D(1.0)(nncore.ones(1, 3, 2), training=True).sum().item()
        0.0

    Reference: Keras, `keras.layers.SpatialDropout1D`; Tompson et al. 2015.
    """

    supports_masking = True

    axes = 1
    shown = ("rate",)

    def __init__(self, rate, **common):
        super().__init__(**common)
        _check_rate("SpatialDropout1D", rate)
        self._init_spatial("valid", None)
        self.rate = rate

    def spatial(self, x):
        """(batch, channels, steps) -> the same shape."""
        return ops.dropout_channels(x, self.rate, self.training)


class SpatialDropout2D(Spatial):
    """Dropout of whole channels of an image.

    Args:
        rate: probability of a zero channel, in [0, 1].
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **common: see `Layer`.

    Shapes: (batch, height, width, channels) -> the same.

    Example:
        >>> import nncore
        >>> SpatialDropout2D(1.0)(nncore.ones(1, 3, 3, 2), training=True).sum().item()
        0.0

    Reference: Keras, `keras.layers.SpatialDropout2D`; Tompson et al. 2015.
    """

    shown = ("rate",)

    def __init__(self, rate, data_format=None, **common):
        super().__init__(**common)
        _check_rate("SpatialDropout2D", rate)
        self._init_spatial("valid", data_format)
        self.rate = rate

    def spatial(self, x):
        """(batch, channels, height, width) -> the same shape."""
        return ops.dropout_channels(x, self.rate, self.training)
