"""Rescaling: data brought into range by the model itself, so that nobody forgets it."""

import numpy as np

from ...ops.convert import as_tensor
from .base import Layer


class Rescaling(Layer):
    """y = x scale + offset.

    Args:
        scale: number, or one for each channel (the last axis).
        offset: the same. Default 0.
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Rescaling(1 / 255)(nncore.tensor([[0.0, 127.5, 255.0]]))
        tensor([[0.0000, 0.5000, 1.0000]])

    Reference: Keras, `keras.layers.Rescaling`.
    """

    supports_masking = True
    shown = ("scale", "offset")

    def __init__(self, scale, offset=0.0, **common):
        super().__init__(**common)
        self.scale = scale
        self.offset = offset
        self._numbers = [
            value if isinstance(value, (int, float)) else _as_weights(self, value) for value in (scale, offset)
        ]

    def call(self, x):
        """Any shape -> the same shape."""
        if x.dtype.kind != "f":
            x = x.to(self.dtype)
        return x * self._numbers[0] + self._numbers[1]


def _as_weights(layer, values):
    return as_tensor(np.asarray(values, layer.dtype))
