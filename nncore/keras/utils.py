"""Small helpers of Keras."""

import numpy as np

from .._tensor import Tensor
from ..random import manual_seed


def to_categorical(x, num_classes=None):
    """Integer classes as one-hot rows.

    Args:
        x: integers of shape `(...)` or `(..., 1)`.
        num_classes: length of a row. Default: one more than the largest class.

    Returns:
        ndarray of float32, shape `(..., num_classes)`.

    Example:
        >>> to_categorical([0, 2])
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)

    Reference: Keras, `keras.utils.to_categorical`.
    """
    x = np.asarray(x.array if isinstance(x, Tensor) else x).astype(np.int64)
    if x.ndim > 1 and x.shape[-1] == 1:
        x = x[..., 0]
    largest = int(x.max(initial=-1))
    if num_classes is None:
        num_classes = largest + 1
    if x.min(initial=0) < 0 or largest >= num_classes:
        wrong = int(x.min(initial=0)) if x.min(initial=0) < 0 else largest
        raise ValueError(f"to_categorical: argument 'x' has a class {wrong}, expected 0 to {num_classes - 1}")
    return np.eye(num_classes, dtype=np.float32)[x]


def set_random_seed(seed):
    """Seed the generator of nncore, from which weights, orders and dropout are drawn.

    Example:
        >>> set_random_seed(812)

    Reference: Keras, `keras.utils.set_random_seed`.
    """
    manual_seed(seed)
