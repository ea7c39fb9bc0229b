"""Setting a part of the data aside for testing."""

import numpy as np
from numpy.typing import ArrayLike


def train_test_split(
    x: ArrayLike, y: ArrayLike, test_size: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Shuffle and split integer-labelled data so that every class gives the same share to the test part.

    Args:
        x: samples, shape (n, ...).
        y: integer labels, shape (n,).
        test_size: share of each class that goes to the test part, between 0 and 1; rounded to whole samples, and a
            class of two or more samples is always in both parts.
        seed: the same seed gives the same split.

    Returns:
        x_train, y_train, x_test, y_test: copies, in shuffled order.

    Raises:
        ValueError: the lengths differ, ``test_size`` is not between 0 and 1, or a part would be empty.

    Example:
        >>> x_train, y_train, x_test, y_test = train_test_split(np.arange(10), [0] * 5 + [1] * 5)
        >>> len(x_train), sorted(y_test.tolist())
        (8, [0, 1])
    """
    x, y = np.asarray(x), np.asarray(y)
    if y.ndim != 1 or x.shape[:1] != y.shape:
        raise ValueError(f"train_test_split: argument 'y' has shape {y.shape}, expected ({len(x) if x.ndim else 1},)")
    if not 0 < test_size < 1:
        raise ValueError(f"train_test_split: argument 'test_size' is {test_size}, expected a number between 0 and 1")
    order = np.random.default_rng(seed).permutation(len(y))
    is_test = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        members = order[y[order] == label]
        count = round(test_size * len(members))
        if len(members) > 1:
            count = min(max(count, 1), len(members) - 1)
        is_test[members[:count]] = True
    train, test = order[~is_test[order]], order[is_test[order]]
    if not (len(train) and len(test)):
        raise ValueError(f"train_test_split: {len(y)} samples cannot be split into two non-empty parts")
    return x[train], y[train], x[test], y[test]
