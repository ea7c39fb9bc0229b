"""What is done to NumPy arrays before they become a dataset."""

import math
import numbers

import numpy as np

from nncore.ops.random import permutation
from nncore.random import Generator


def to_categorical(x, num_classes=None, dtype="float32"):
    """One-hot rows of integer classes.

    Args:
        x: array of integers, any shape; a last axis of size 1 is dropped.
        num_classes: Default: the largest class plus 1.
        dtype: Default: "float32".

    Returns:
        Array of shape (*x.shape, num_classes).

    Raises:
        ValueError: a class is not an integer from 0 to num_classes - 1.

    Example:
        >>> from nncore.data import to_categorical
        >>> to_categorical([0, 2])
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)

    Reference: keras.utils.to_categorical.
    """
    given = np.asarray(x)
    classes = given.astype(np.int64)
    if not np.array_equal(classes, given):
        raise ValueError("to_categorical: argument 'x' has values that are not integers")
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    if num_classes is None:
        num_classes = int(classes.max(initial=-1)) + 1
    if classes.size and not (classes.min() >= 0 and classes.max() < num_classes):
        raise ValueError(
            f"to_categorical: argument 'x' has classes {classes.min()} to {classes.max()}, "
            f"expected 0 to {num_classes - 1}"
        )
    categorical = np.zeros((*classes.shape, num_classes), dtype)
    np.put_along_axis(categorical, classes[..., None], 1, axis=-1)
    return categorical


class StandardScaler:
    """z = (x - mean) / std for every feature: statistics of the training data, applied to whatever comes later.

    Measured in float64; a feature that is constant is only shifted. To have the statistics inside a model, and saved with
    it, begin the model with `nncore.models.Standardize`.

    Attributes:
        mean_, scale_: float64 arrays of the shape of a sample; `scale_` is 1 for a constant feature.

    Example:
        >>> import numpy as np
        >>> from nncore.data import StandardScaler
        >>> scaler = StandardScaler().fit(np.array([[0.0, 5.0], [4.0, 5.0]]))
        >>> scaler.transform(np.array([[8.0, 6.0]]))
        array([[3., 1.]])

    Reference: sklearn.preprocessing.StandardScaler.
    """

    mean_ = scale_ = None

    def fit(self, x):
        """Measure mean and standard deviation over the first axis. Returns self.

        Args:
            x: array of shape (samples, ...), at least one sample, finite numbers.
        """
        x = np.asarray(x)
        if x.ndim == 0 or len(x) == 0:
            raise ValueError(f"StandardScaler: argument 'x' has shape {x.shape}, expected at least one sample")
        mean, std = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
        if not (np.isfinite(mean).all() and np.isfinite(std).all()):
            raise ValueError("StandardScaler: argument 'x' holds NaN, infinity or numbers too large to be squared")
        # A spread that is no more than the rounding of the mean is none.
        constant = std <= 10 * np.finfo(np.float64).eps * np.abs(mean)
        self.mean_, self.scale_ = mean, np.where(constant, 1.0, std)
        return self

    def transform(self, x):
        """(x - mean_) / scale_, in the dtype of `x` if that is a floating-point one, else in float64."""
        x = self._checked("transform", x)
        return ((x - self.mean_) / self.scale_).astype(_floating(x), copy=False)

    def fit_transform(self, x):
        """`fit`, then `transform`."""
        return self.fit(x).transform(x)

    def inverse_transform(self, z):
        """z * scale_ + mean_: back in the units of the data."""
        z = self._checked("inverse_transform", z)
        return (z * self.scale_ + self.mean_).astype(_floating(z), copy=False)

    def _checked(self, op, x):
        if self.mean_ is None:
            raise RuntimeError(f"StandardScaler: {op} was called before fit")
        x = np.asarray(x)
        if x.shape[1:] != self.mean_.shape or x.ndim == 0:
            expected = ("samples", *map(str, self.mean_.shape))
            raise ValueError(f"StandardScaler: argument of {op} has shape {x.shape}, expected ({', '.join(expected)})")
        return x


def _floating(x):
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)


def train_test_split(*arrays, test_size=None, train_size=None, random_state=None, shuffle=True, stratify=None):
    """Part arrays at random into a training and a test part.

    Args:
        *arrays: arrays, Tensors or lists with equal lengths.
        test_size, train_size: fraction of the samples, or their number. Default: a quarter is for testing.
        random_state: seed. Default: None draws from nncore's own generator.
        shuffle: Default: True; False takes the test part from the end.
        stratify: array of classes whose shares both parts keep. Default: None.

    Returns:
        list: training and test part of the first array, of the second, ...

    Example:
        >>> import numpy as np
        >>> from nncore.data import train_test_split
        >>> train, test = train_test_split(np.arange(10), test_size=0.2, random_state=0)
        >>> len(train), len(test)
        (8, 2)

    Reference: sklearn.model_selection.train_test_split.
    """
    if not arrays:
        raise ValueError("train_test_split: expected at least one array")
    n = len(arrays[0])
    if any(len(array) != n for array in arrays):
        raise ValueError(
            f"train_test_split: arrays have lengths {[len(array) for array in arrays]}, expected equal ones"
        )
    n_train, n_test = _split_sizes(n, test_size, train_size)
    generator = None if random_state is None else Generator(random_state)
    if stratify is not None:
        if not shuffle:
            raise ValueError("train_test_split: stratify needs shuffle=True")
        train, test = _stratified(np.asarray(stratify), n, n_train, n_test, generator)
    else:
        order = permutation(n, generator) if shuffle else np.arange(n)
        train, test = (
            (order[n_test : n_test + n_train], order[:n_test])
            if shuffle
            else (
                order[:n_train],
                order[n_train : n_train + n_test],
            )
        )
    return [part for array in arrays for part in (_take(array, train), _take(array, test))]


def _split_sizes(n, test_size, train_size):
    def count(size, name, rounding):
        if size is None:
            return None
        if isinstance(size, numbers.Integral):
            wanted = int(size)
        elif 0 < size < 1:
            wanted = rounding(n * size)
        else:
            raise ValueError(
                f"train_test_split: argument '{name}' is {size}, expected a fraction or a number of samples"
            )
        if not 0 < wanted < n:
            raise ValueError(f"train_test_split: argument '{name}' is {size}, which is {wanted} of {n} samples")
        return wanted

    if test_size is None and train_size is None:
        test_size = 0.25
    n_test, n_train = count(test_size, "test_size", math.ceil), count(train_size, "train_size", math.floor)
    n_test = n - n_train if n_test is None else n_test
    n_train = n - n_test if n_train is None else n_train
    if n_train + n_test > n or n_train < 1:
        raise ValueError(f"train_test_split: {n_train} training and {n_test} test samples are more than {n}")
    return n_train, n_test


def _stratified(classes, n, n_train, n_test, generator):
    """Shares of each class by largest remainder, then both parts in random order."""
    if classes.shape != (n,):
        raise ValueError(f"train_test_split: argument 'stratify' has shape {classes.shape}, expected ({n},)")
    _, label, counts = np.unique(classes, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        raise ValueError("train_test_split: argument 'stratify' has a class with one sample, expected at least two")
    if min(n_train, n_test) < len(counts):
        raise ValueError(f"train_test_split: parts of {n_train} and {n_test} samples cannot hold {len(counts)} classes")
    test_counts = _apportion(counts, n_test)
    train_counts = _apportion(counts - test_counts, n_train)
    order = permutation(n, generator)
    of_class = [order[label[order] == i] for i in range(len(counts))]
    test = np.concatenate([members[:k] for members, k in zip(of_class, test_counts, strict=True)])
    train = np.concatenate(
        [members[k : k + m] for members, k, m in zip(of_class, test_counts, train_counts, strict=True)]
    )
    return train[permutation(n_train, generator)], test[permutation(n_test, generator)]


def _apportion(counts, total):
    """`total` seats in proportion to `counts`, by largest remainder."""
    exact = counts * (total / counts.sum())
    seats = np.floor(exact).astype(np.int64)
    first = np.argsort(seats - exact, kind="stable")[: total - seats.sum()]
    seats[first] += 1
    return seats


def _take(array, indices):
    return [array[i] for i in indices] if isinstance(array, (list, tuple)) else array[indices]
