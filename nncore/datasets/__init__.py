"""Small data sets: shipped, generated, or read from the user's own files. Plain NumPy arrays in float32 and int64."""

from .files import read_csv, read_idx, read_npz
from .generators import blobs, circles, exam, moons, sine, spirals, surfing, xor
from .shipped import load_digits
from .split import train_test_split

__all__ = [
    "blobs",
    "circles",
    "exam",
    "load_digits",
    "moons",
    "read_csv",
    "read_idx",
    "read_npz",
    "sine",
    "spirals",
    "surfing",
    "train_test_split",
    "xor",
]
