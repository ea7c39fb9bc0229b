"""Metrics that are means over samples: accuracies and errors; and the coefficient of determination."""

import numpy as np

from .. import losses, measures
from ..measures import as_array, same_shape
from .base import MeanOfFunction, Metric


class BinaryAccuracy(MeanOfFunction):
    """How often `y_pred > threshold` is right.

    Args:
        name: see `Metric`.
        threshold: default 0.5; use 0.0 for logits.

    Example:
        >>> BinaryAccuracy()([1, 0, 1, 1], [0.9, 0.2, 0.4, 0.6])
        0.75

    Reference: Keras, `keras.metrics.BinaryAccuracy`.
    """

    def __init__(self, name="binary_accuracy", threshold=0.5):
        super().__init__(measures.binary_accuracy, name, "max", threshold=threshold)


class CategoricalAccuracy(MeanOfFunction):
    """How often the largest score is at the class of the one-hot label.

    Args:
        name: see `Metric`.

    Example:
        >>> CategoricalAccuracy()([[0, 1], [1, 0]], [[0.2, 0.8], [0.1, 0.9]])
        0.5

    Reference: Keras, `keras.metrics.CategoricalAccuracy`.
    """

    def __init__(self, name="categorical_accuracy"):
        super().__init__(measures.categorical_accuracy, name, "max")


class SparseCategoricalAccuracy(MeanOfFunction):
    """How often the largest score is at the class given as an integer.

    Args:
        name: see `Metric`.

    Example:
        >>> SparseCategoricalAccuracy()([1, 0], [[0.2, 0.8], [0.1, 0.9]])
        0.5

    Reference: Keras, `keras.metrics.SparseCategoricalAccuracy`.
    """

    def __init__(self, name="sparse_categorical_accuracy"):
        super().__init__(measures.sparse_categorical_accuracy, name, "max")


class TopKCategoricalAccuracy(MeanOfFunction):
    """How often the class of the one-hot label is among the `k` largest scores.

    Args:
        k: default 5.
        name: see `Metric`.

    Example:
        >>> TopKCategoricalAccuracy(k=2)([[0, 1, 0], [0, 0, 1]], [[0.5, 0.3, 0.2]] * 2)
        0.5

    Reference: Keras, `keras.metrics.TopKCategoricalAccuracy`.
    """

    def __init__(self, k=5, name="top_k_categorical_accuracy"):
        super().__init__(measures.top_k_categorical_accuracy, name, "max", k=k)


class SparseTopKCategoricalAccuracy(MeanOfFunction):
    """How often the class given as an integer is among the `k` largest scores.

    Args:
        k: default 5.
        name: see `Metric`.

    Example:
        >>> SparseTopKCategoricalAccuracy(k=2)([1, 2], [[0.5, 0.3, 0.2]] * 2)
        0.5

    Reference: Keras, `keras.metrics.SparseTopKCategoricalAccuracy`.
    """

    def __init__(self, k=5, name="sparse_top_k_categorical_accuracy"):
        super().__init__(measures.sparse_top_k_categorical_accuracy, name, "max", k=k)


class MeanSquaredError(MeanOfFunction):
    """mean((y_true - y_pred)^2).

    Args:
        name: see `Metric`.

    Example:
        >>> MeanSquaredError()([0.0, 0.0], [1.0, 3.0])
        5.0

    Reference: Keras, `keras.metrics.MeanSquaredError`.
    """

    def __init__(self, name="mean_squared_error"):
        super().__init__(measures.mean_squared_error, name, "min")


class RootMeanSquaredError(MeanSquaredError):
    """sqrt(mean((y_true - y_pred)^2)).

    Args:
        name: see `Metric`.

    Example:
        >>> RootMeanSquaredError()([0.0, 0.0], [1.0, 7.0])
        5.0

    Reference: Keras, `keras.metrics.RootMeanSquaredError`.
    """

    def __init__(self, name="root_mean_squared_error"):
        super().__init__(name)

    def result(self):
        """The root of the mean so far."""
        return super().result() ** 0.5


class MeanAbsoluteError(MeanOfFunction):
    """mean(|y_true - y_pred|).

    Args:
        name: see `Metric`.

    Example:
        >>> MeanAbsoluteError()([0.0, 0.0], [1.0, -3.0])
        2.0

    Reference: Keras, `keras.metrics.MeanAbsoluteError`.
    """

    def __init__(self, name="mean_absolute_error"):
        super().__init__(measures.mean_absolute_error, name, "min")


class R2Score(Metric):
    """1 - sum((y_true - y_pred)^2) / sum((y_true - mean)^2): the share of the variance that is explained.

    Of several outputs the mean of their scores. An output whose labels are all the same has 1.0 if they are met, else 0.0.

    Args:
        name: see `Metric`.

    Example:
        >>> R2Score()([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
        0.5

    Reference: Keras, `keras.metrics.R2Score`; scikit-learn, `r2_score`.
    """

    direction = "max"

    def __init__(self, name="r2_score"):
        super().__init__(name)
        self.reset_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch."""
        y_true, y_pred = (np.asarray(y, np.float64) for y in same_shape(self.name, y_true, y_pred))
        y_true, y_pred = (y.reshape(len(y), -1) for y in (y_true, y_pred))
        weight = np.ones(len(y_true)) if sample_weight is None else np.asarray(as_array(sample_weight), np.float64)
        weight = weight.reshape(-1, 1)
        self._residual = self._residual + (weight * (y_true - y_pred) ** 2).sum(axis=0)
        # The spread around the mean of all batches, without the cancellation of sum y^2 - (sum y)^2 / n (Chan et al. 1983)
        count = weight.sum()
        if not count:
            return
        mean = (weight * y_true).sum(axis=0) / count
        total = self._count + count
        self._spread = (
            self._spread
            + (weight * (y_true - mean) ** 2).sum(axis=0)
            + (mean - self._mean) ** 2 * self._count * count / total
        )
        self._mean, self._count = self._mean + (mean - self._mean) * count / total, total

    def result(self):
        """The score so far; 0.0 before the first batch."""
        if not self._count:
            return 0.0
        constant = self._spread == 0
        scores = 1.0 - self._residual / np.where(constant, 1.0, self._spread)
        return float(np.where(constant, np.where(self._residual == 0, 1.0, 0.0), scores).mean())

    def reset_state(self):
        """Forget all batches."""
        self._residual = self._spread = self._mean = np.zeros(1)
        self._count = 0.0


class Accuracy(Metric):
    """The accuracy that fits: chosen at the first batch from the shapes of labels and outputs and from the loss.

    Binary if the loss is a binary cross-entropy or the outputs have one column (threshold 0 where the loss takes
    logits), sparse if the labels are integers, else categorical.

    Args:
        loss: the `Loss` of the model, or None.
        name: see `Metric`.

    Example:
        >>> Accuracy()([1, 0], [[0.2, 0.8], [0.1, 0.9]])
        0.5
    """

    direction = "max"

    def __init__(self, loss=None, name="accuracy"):
        super().__init__(name)
        self.loss = loss
        self.chosen = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch."""
        y_true, y_pred = as_array(y_true), as_array(y_pred)
        if self.chosen is None:
            self.chosen = self._choose(y_true, y_pred)
        self.chosen.update_state(y_true, y_pred, sample_weight)

    def _choose(self, y_true, y_pred):
        if losses.is_binary(self.loss) or y_pred.ndim == 1 or y_pred.shape[-1] == 1:
            return BinaryAccuracy(threshold=0.0 if losses.takes_logits(self.loss) else 0.5)
        if y_true.shape == y_pred.shape:
            return CategoricalAccuracy()
        return SparseCategoricalAccuracy()

    def result(self):
        """The accuracy so far."""
        return self.chosen.result() if self.chosen else 0.0

    def reset_state(self):
        """Forget all batches."""
        self.chosen = None
