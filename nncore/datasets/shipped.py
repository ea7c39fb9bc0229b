"""Data sets that lie in the package. Their source and licence are stated in data/README.md."""

from importlib.resources import files

import numpy as np


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 handwritten digits of the UCI test set.

    Returns:
        Images, float32 of shape (1797, 8, 8), from 0 (paper) to 16 (ink), and labels 0 to 9, int64 of shape (1797,).

    Example:
        >>> images, labels = load_digits()
        >>> images.shape, images.max(), labels[:10].tolist()
        ((1797, 8, 8), np.float32(16.0), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49, CC BY 4.0.
    """
    with (files(__package__) / "data" / "digits.npz").open("rb") as file, np.load(file) as arrays:
        return arrays["images"].astype(np.float32), arrays["labels"].astype(np.int64)
