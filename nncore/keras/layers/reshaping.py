"""Layers that change shapes."""

import math

from .base import Layer


class Flatten(Layer):
    """All axes after the batch axis as one, the last one fastest (of an image: rows, columns, channels).

    Args:
        **common: see `Layer`.

    Shapes: (batch, ...) -> (batch, n).

    Example:
        >>> import nncore
        >>> Flatten()(nncore.zeros(2, 3, 4)).shape
        (2, 12)

    Reference: Keras, `keras.layers.Flatten`.
    """

    def call(self, x):
        """(batch, ...) -> (batch, n)."""
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Reshape(Layer):
    """The same numbers in another shape.

    Args:
        target_shape: shape without the batch axis; one size may be -1.
        **common: see `Layer`.

    Shapes: (batch, ...) -> (batch, *target_shape).

    Example:
        >>> import nncore
        >>> Reshape((2, -1))(nncore.zeros(5, 6)).shape
        (5, 2, 3)

    Reference: Keras, `keras.layers.Reshape`.
    """

    shown = ("target_shape",)

    def __init__(self, target_shape, **common):
        super().__init__(**common)
        self.target_shape = tuple(target_shape)
        if self.target_shape.count(-1) > 1:
            raise ValueError(f"Reshape: argument 'target_shape' is {self.target_shape}, expected at most one -1")

    def call(self, x):
        """(batch, ...) -> (batch, *target_shape)."""
        known = math.prod(size for size in self.target_shape if size != -1)
        n = math.prod(x.shape[1:])
        rest = n // known if known and n % known == 0 else 0
        shape = tuple(rest if size == -1 else size for size in self.target_shape)
        if math.prod(shape) != n:
            raise ValueError(f"Reshape: argument 'x' has shape {x.shape}, which does not fit {self.target_shape}")
        return x.reshape(x.shape[0], *shape)


class Permute(Layer):
    """The axes after the batch axis in another order.

    Args:
        dims: numbers of the axes, counted from 1.
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Permute((2, 1))(nncore.zeros(5, 2, 3)).shape
        (5, 3, 2)

    Reference: Keras, `keras.layers.Permute`.
    """

    shown = ("dims",)

    def __init__(self, dims, **common):
        super().__init__(**common)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"Permute: argument 'dims' is {self.dims}, expected the numbers 1 to {len(self.dims)}")

    def call(self, x):
        """(batch, ...) -> (batch, ...)."""
        return x.permute(0, *self.dims)
