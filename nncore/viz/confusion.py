"""Which class was taken for which, as a table for the terminal. The counts come from nncore.training."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


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
