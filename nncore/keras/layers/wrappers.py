"""Layers around a layer, or around a function."""

from ...nn.module import Module
from .base import Layer


class TimeDistributed(Layer):
    """A layer, applied to every step of a series by itself.

    Args:
        layer: a layer or another Module.
        **common: see `Layer`.

    Shapes: (batch, steps, ...) -> (batch, steps, what the layer makes of it).

    Example:
        >>> import nncore
        >>> from nncore.keras.layers import Dense
        >>> TimeDistributed(Dense(3))(nncore.ones(2, 5, 4)).shape
        (2, 5, 3)

    Reference: Keras, `keras.layers.TimeDistributed`.
    """

    supports_masking = True
    shown = ("layer",)

    def __init__(self, layer, **common):
        super().__init__(**common)
        if not isinstance(layer, Module):
            raise TypeError(f"TimeDistributed: argument 'layer' is a {type(layer).__name__}, expected a layer")
        self.layer = layer

    def call(self, x):
        """(batch, steps, ...) -> (batch, steps, ...)."""
        if x.ndim < 3:
            raise ValueError(f"TimeDistributed: argument 'x' has shape {x.shape}, expected (batch, steps, ...)")
        batch, steps = x.shape[:2]
        y = self.layer(x.reshape(batch * steps, *x.shape[2:]))
        return y.reshape(batch, steps, *y.shape[1:])


class Lambda(Layer):
    """A function as a layer. A model that has one is saved without its architecture: a file never holds code.

    Args:
        function: from a Tensor to a Tensor, made of nncore's operations.
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Lambda(lambda x: x**2)(nncore.tensor([[3.0]]))
        tensor([[9.]])

    Reference: Keras, `keras.layers.Lambda`.
    """

    supports_masking = True

    def __init__(self, function, **common):
        super().__init__(**common)
        if not callable(function):
            raise TypeError(f"Lambda: argument 'function' is a {type(function).__name__}, expected a function")
        self.function = function

    def call(self, x):
        """Whatever the function makes of it."""
        return self.function(x)
