"""Small helpers of Keras."""

from ..data import to_categorical
from ..random import manual_seed

__all__ = ["set_random_seed", "to_categorical"]


def set_random_seed(seed):
    """Seed the generator of nncore, from which weights, orders and dropout are drawn.

    Example:
        >>> set_random_seed(812)

    Reference: Keras, `keras.utils.set_random_seed`.
    """
    manual_seed(seed)
