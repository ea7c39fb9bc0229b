"""Which class was taken for which: the counts, and a table of them for the terminal."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, classes: int | None = None) -> np.ndarray:
    """Count how often each true class was given each predicted class.

    Args:
        y_true: integer classes from 0, shape (n,).
        y_pred: integer classes from 0, shape (n,).
        classes: their number. Default: what the largest one needs.

    Returns:
        int64 array of shape (classes, classes): rows are true, columns predicted; right answers lie on the diagonal.

    Raises:
        ValueError: the shapes differ or a class is outside 0 to ``classes`` - 1.

    Example:
        >>> confusion_matrix([0, 0, 1], [0, 1, 1])
        array([[1, 1],
               [0, 1]])
    """
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    if y_true.ndim != 1 or y_true.shape != y_pred.shape:
        raise ValueError(f"confusion_matrix: argument 'y_pred' has shape {y_pred.shape}, expected {y_true.shape}")
    both = np.concatenate([y_true, y_pred]).astype(np.int64)
    if classes is None:
        classes = int(both.max(initial=-1)) + 1
    if len(both) and not 0 <= both.min() <= both.max() < classes:
        raise ValueError(
            f"confusion_matrix: classes run from {both.min()} to {both.max()}, expected 0 to {classes - 1}"
        )
    counts = np.bincount(both[: len(y_true)] * classes + both[len(y_true) :], minlength=classes * classes)
    return counts.reshape(classes, classes)


def format_confusion(matrix: ArrayLike, labels: Sequence[object] | None = None) -> str:
    """A confusion matrix as a table: a dot for zero, and what share of each true class was found.

    Args:
        matrix: counts, shape (classes, classes), rows true and columns predicted.
        labels: names of the classes. Default: 0, 1, ...

    Returns:
        Lines without a final newline.

    Example:
        >>> print(format_confusion([[35, 1], [0, 36]], ["cat", "dog"]))
        true \\ predicted  cat  dog   found
                     cat   35    1   97.2%
                     dog    .   36  100.0%
    """
    matrix = np.asarray(matrix)
    names = [str(label) for label in (range(len(matrix)) if labels is None else labels)]
    corner = "true \\ predicted"
    left = max(len(corner), *map(len, names)) if names else len(corner)
    width = max([3, *map(len, names), len(str(matrix.max(initial=0)))])
    lines = [" ".join([f"{corner:>{left}}", *(f" {name:>{width}}" for name in names), "  found"])]
    for i, (name, row) in enumerate(zip(names, matrix, strict=True)):
        cells = [f" {count if count else '.':>{width}}" for count in row]
        found = f"{row[i] / row.sum():7.1%}" if row.sum() else "      -"
        lines.append(" ".join([f"{name:>{left}}", *cells, found]))
    return "\n".join(lines)
