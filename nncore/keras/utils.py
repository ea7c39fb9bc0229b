"""Small helpers of Keras."""

from ..data import pad_sequences, timeseries_dataset_from_array, to_categorical
from ..random import manual_seed

__all__ = ["pad_sequences", "set_random_seed", "timeseries_dataset_from_array", "to_categorical"]


def set_random_seed(seed):
    """Seed the generator of nncore, from which weights, orders and dropout are drawn.

    Example:
        >>> set_random_seed(812)

    Reference: Keras, `keras.utils.set_random_seed`.
    """
    manual_seed(seed)
