"""How good outputs are, sample by sample, and who was taken for whom. NumPy in, NumPy out."""

import numpy as np

from .._tensor import Tensor


def as_array(x):
    """The values of a Tensor, or of anything NumPy can read."""
    return x.array if isinstance(x, Tensor) else np.asarray(x)


def same_shape(name, y_true, y_pred):
    """Both as arrays of the same shape; a last axis of 1 may be missing from one of them."""
    y_true, y_pred = as_array(y_true), as_array(y_pred)
    if y_true.shape != y_pred.shape:
        if y_true.shape + (1,) != y_pred.shape and y_pred.shape + (1,) != y_true.shape:
            raise ValueError(f"{name}: argument 'y_true' has shape {y_true.shape}, expected {y_pred.shape} as 'y_pred'")
        y_true = y_true.reshape(y_pred.shape)
    return y_true, y_pred


def _mean_over_last(values):
    return values.mean(axis=-1) if values.ndim > 1 else values


def binary_accuracy(y_true, y_pred, threshold=0.5):
    """Share of elements for which `y_pred > threshold` is right, over the last axis, one per sample.

    Example:
        >>> binary_accuracy([[1], [0]], [[0.9], [0.8]])
        array([1., 0.])
    """
    y_true, y_pred = same_shape("binary_accuracy", y_true, y_pred)
    return _mean_over_last((y_pred > threshold) == (y_true > 0.5)).astype(np.float64)


def categorical_accuracy(y_true, y_pred):
    """Whether the largest score is at the class of the one-hot label, one per sample.

    Example:
        >>> categorical_accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.1, 0.9]])
        array([1., 0.])
    """
    y_true, y_pred = as_array(y_true), as_array(y_pred)
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"categorical_accuracy: argument 'y_true' has shape {y_true.shape}, expected {y_pred.shape} as 'y_pred'"
        )
    return (y_true.argmax(axis=-1) == y_pred.argmax(axis=-1)).astype(np.float64)


def _labels(name, y_true, y_pred):
    """Integer labels in the shape of `y_pred` without its last axis."""
    batch = y_pred.shape[:-1]
    if y_true.shape not in (batch, batch + (1,)):
        raise ValueError(f"{name}: argument 'y_true' has shape {y_true.shape}, expected {batch}")
    return y_true.reshape(batch)


def sparse_categorical_accuracy(y_true, y_pred):
    """Whether the largest score is at the class given as an integer, one per sample.

    Example:
        >>> sparse_categorical_accuracy([1, 0], [[0.2, 0.8], [0.1, 0.9]])
        array([1., 0.])
    """
    y_true, y_pred = as_array(y_true), as_array(y_pred)
    return (_labels("sparse_categorical_accuracy", y_true, y_pred) == y_pred.argmax(axis=-1)).astype(np.float64)


def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5):
    """Whether fewer than `k` classes have a larger score than the one given as an integer, one per sample."""
    y_true, y_pred = as_array(y_true), as_array(y_pred)
    labels = _labels("sparse_top_k_categorical_accuracy", y_true, y_pred).astype(np.int64)
    own = np.take_along_axis(y_pred, labels[..., None], axis=-1)
    return (((y_pred > own).sum(axis=-1) < k) & ~np.isnan(own[..., 0])).astype(np.float64)


def top_k_categorical_accuracy(y_true, y_pred, k=5):
    """Whether fewer than `k` classes have a larger score than that of the one-hot label, one per sample.

    Example:
        >>> top_k_categorical_accuracy([[0, 1, 0], [0, 0, 1]], [[0.5, 0.3, 0.2]] * 2, k=2)
        array([1., 0.])
    """
    return sparse_top_k_categorical_accuracy(as_array(y_true).argmax(axis=-1), y_pred, k)


def mean_squared_error(y_true, y_pred):
    """mean((y_true - y_pred)^2) over the last axis, one per sample."""
    y_true, y_pred = same_shape("mean_squared_error", y_true, y_pred)
    return _mean_over_last(np.square(y_true - y_pred.astype(np.float64)))


def mean_absolute_error(y_true, y_pred):
    """mean(|y_true - y_pred|) over the last axis, one per sample."""
    y_true, y_pred = same_shape("mean_absolute_error", y_true, y_pred)
    return _mean_over_last(np.abs(y_true - y_pred.astype(np.float64)))


def confusion_matrix(labels, predictions, num_classes=None):
    """Count how often each class was taken for each: rows are the true classes, columns the predicted ones.

    Args:
        labels: integer classes of shape `(n,)`, or one-hot `(n, classes)`.
        predictions: the same, or scores of shape `(n, classes)`, of which the largest counts.
        num_classes: number of rows and columns; by default one more than the largest class (the width of the scores).

    Returns:
        ndarray of int64, shape `(num_classes, num_classes)`.

    Example:
        >>> confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2])
        array([[1, 0, 0],
               [0, 1, 1],
               [0, 0, 1]])

    Reference: Keras, `tf.math.confusion_matrix`.
    """
    labels, predictions = as_array(labels), as_array(predictions)
    widths = [a.shape[-1] for a in (labels, predictions) if a.ndim == 2 and a.shape[-1] > 1]
    labels, predictions = (
        a.argmax(axis=-1) if a.ndim == 2 and a.shape[-1] > 1 else a.reshape(-1).astype(np.int64)
        for a in (labels, predictions)
    )
    if labels.shape != predictions.shape:
        raise ValueError(
            f"confusion_matrix: argument 'predictions' has {predictions.size} samples, expected {labels.size} as in 'labels'"
        )
    largest = max((int(a.max(initial=-1)) for a in (labels, predictions)), default=-1)
    if num_classes is None:
        num_classes = max([largest + 1, *widths])
    smallest = min(int(a.min(initial=0)) for a in (labels, predictions))
    if smallest < 0 or largest >= num_classes:
        wrong = smallest if smallest < 0 else largest
        raise ValueError(f"confusion_matrix: there is a class {wrong}, expected 0 to {num_classes - 1}")
    counts = np.bincount(labels * num_classes + predictions, minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes)
