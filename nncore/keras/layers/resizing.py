"""Layers that give series and images another size: margins, cropping, upsampling."""

from ... import ops
from .base import sizes
from .spatial import Spatial, surround


class _Margins(Spatial):
    """A layer of which `self.margins` holds (before, after) of each axis."""

    def _init_margins(self, name, value, data_format):
        kind = type(self).__name__
        self._init_spatial("valid", data_format)
        each = value if isinstance(value, (tuple, list)) else (value,) * self.axes
        if self.axes == 1 and isinstance(value, (tuple, list)):
            each = (tuple(value),) if len(value) == 2 else value
        margins = [tuple(pair) if isinstance(pair, (tuple, list)) else (pair, pair) for pair in each]
        if len(margins) != self.axes or any(
            len(m) != 2 or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in m) for m in margins
        ):
            raise ValueError(f"{kind}: argument {name!r} is {value!r}, expected integers of at least 0")
        self.margins = margins


class _ZeroPadding(_Margins):
    shown = ("padding",)

    def __init__(self, padding=1, data_format=None, **common):
        super().__init__(**common)
        self._init_margins("padding", padding, data_format)
        self.padding = padding

    def spatial(self, x):
        """Zeros around (batch, channels, ...)."""
        return surround(x, self.margins)


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after a series.

    Args:
        padding: an integer, or (before, after). Default 1.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **common: see `Layer`.

    Shapes: (batch, steps, channels) -> (batch, before + steps + after, channels).

    Example:
        >>> import nncore
        >>> ZeroPadding1D((2, 0))(nncore.ones(1, 2, 1)).reshape(-1)
        tensor([0., 0., 1., 1.])

    Reference: Keras, `keras.layers.ZeroPadding1D`.
    """

    axes = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image.

    Args:
        padding: an integer, (height, width), or ((top, bottom), (left, right)). Default 1.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **common: see `Layer`.

    Shapes: (batch, height, width, channels) -> (batch, top + height + bottom, left + width + right, channels).

    Example:
        >>> import nncore
        >>> ZeroPadding2D(((1, 0), (2, 2)))(nncore.ones(1, 4, 4, 3)).shape
        (1, 5, 8, 3)

    Reference: Keras, `keras.layers.ZeroPadding2D`.
    """


class _Cropping(_Margins):
    shown = ("cropping",)

    def spatial(self, x):
        """What is inside, of (batch, channels, ...)."""
        inside = tuple(slice(before, n - after) for n, (before, after) in zip(x.shape[2:], self.margins))
        if any(s.stop <= s.start for s in inside):
            raise ValueError(
                f"{type(self).__name__}: argument 'cropping' is {self.cropping}, which leaves nothing of {x.shape[2:]}"
            )
        return x[(slice(None), slice(None), *inside)]


class Cropping1D(_Cropping):
    """A series without its ends.

    Args:
        cropping: an integer, or (before, after). Default (1, 1).
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **common: see `Layer`.

    Shapes: (batch, steps, channels) -> (batch, steps - before - after, channels).

    Example:
        >>> import nncore
        >>> Cropping1D((2, 0))(nncore.arange(4.0).reshape(1, 4, 1)).reshape(-1)
        tensor([2., 3.])

    Reference: Keras, `keras.layers.Cropping1D`.
    """

    axes = 1

    def __init__(self, cropping=(1, 1), data_format=None, **common):
        super().__init__(**common)
        self._init_margins("cropping", cropping, data_format)
        self.cropping = cropping


class Cropping2D(_Cropping):
    """An image without its margins.

    Args:
        cropping: an integer, (height, width), or ((top, bottom), (left, right)). Default 0.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **common: see `Layer`.

    Shapes: (batch, height, width, channels) -> (batch, height - top - bottom, width - left - right, channels).

    Example:
        >>> import nncore
        >>> Cropping2D(((1, 0), (2, 1)))(nncore.ones(1, 4, 4, 3)).shape
        (1, 3, 1, 3)

    Reference: Keras, `keras.layers.Cropping2D`.
    """

    def __init__(self, cropping=((0, 0), (0, 0)), data_format=None, **common):
        super().__init__(**common)
        self._init_margins("cropping", cropping, data_format)
        self.cropping = cropping


class UpSampling1D(Spatial):
    """Each step several times.

    Args:
        size: how many times. Default 2.
        **common: see `Layer`.

    Shapes: (batch, steps, channels) -> (batch, size * steps, channels).

    Example:
        >>> import nncore
        >>> UpSampling1D()(nncore.arange(2.0).reshape(1, 2, 1)).reshape(-1)
        tensor([0., 0., 1., 1.])

    Reference: Keras, `keras.layers.UpSampling1D`.
    """

    axes = 1
    shown = ("size",)

    def __init__(self, size=2, **common):
        super().__init__(**common)
        self._init_spatial("valid", None)
        (self.size,) = sizes("UpSampling1D", "size", size, 1)

    def spatial(self, x):
        """(batch, channels, steps) -> (batch, channels, size * steps)."""
        return ops.interpolate(x, scale_factor=self.size)


class UpSampling2D(Spatial):
    """An image several times as large.

    Args:
        size: how many times, one or two integers. Default 2.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        interpolation: `"nearest"` (the default): each pixel several times; or `"bilinear"`.
        **common: see `Layer`.

    Shapes: (batch, height, width, channels) -> (batch, size * height, size * width, channels).

    Example:
        >>> import nncore
        >>> UpSampling2D(interpolation="bilinear")(nncore.ones(1, 3, 3, 2)).shape
        (1, 6, 6, 2)

    Reference: Keras, `keras.layers.UpSampling2D`.
    """

    shown = ("size", "interpolation")

    def __init__(self, size=2, data_format=None, interpolation="nearest", **common):
        super().__init__(**common)
        self._init_spatial("valid", data_format)
        self.size = sizes("UpSampling2D", "size", size, 2)
        if interpolation not in ("nearest", "bilinear"):
            raise ValueError(
                f"UpSampling2D: argument 'interpolation' is {interpolation!r}, expected 'nearest' or 'bilinear'"
            )
        self.interpolation = interpolation

    def spatial(self, x):
        """(batch, channels, height, width) -> the same, larger."""
        return ops.interpolate(x, scale_factor=self.size, mode=self.interpolation)
