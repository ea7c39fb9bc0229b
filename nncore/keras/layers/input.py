"""Input: the shape of what a Sequential gets."""

import numpy as np


class Input:
    """The shape of a Sequential's input, as its first element. It is no layer.

    Args:
        shape: shape without the batch axis.
        batch_size: ignored; every size fits.
        dtype: dtype of the input. Default `"float32"`.
        name: for people.

    Example:
        >>> Input(shape=(28, 28, 1))
        Input(shape=(28, 28, 1))

    Reference: Keras, `keras.Input`.
    """

    def __init__(self, shape, batch_size=None, dtype="float32", name=None):
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if any(not isinstance(size, (int, np.integer)) or size < 0 for size in self.shape):
            raise ValueError(f"Input: argument 'shape' is {shape!r}, expected integers, without the batch axis")
        self.dtype = np.dtype(dtype)
        self.name = name

    def __repr__(self):
        return f"Input(shape={self.shape})"
