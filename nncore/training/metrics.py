"""Metrics: numbers for people, computed in NumPy from what the model returned. Gradients are not their business.

A metric adds batches up (`update_state`), gives the number for all of them (`result`), and starts again (`reset_state`).
"""

import numpy as np

from . import losses, measures
from .measures import as_array, same_shape


class Metric:
    """Base class: a number that is gathered batch by batch.

    Args:
        name: its name in logs and in `History`.

    Attributes:
        direction: `"max"` if more is better, `"min"` if less is, None if neither is known.

    Example:
        >>> class Count(Metric):
        ...     total = 0
        ...     def update_state(self, y_true, y_pred, sample_weight=None):
        ...         self.total += len(y_true)
        ...     def result(self):
        ...         return self.total
        ...     def reset_state(self):
        ...         self.total = 0
        >>> metric = Count("count")
        >>> metric.update_state([1, 2], [1, 1]); metric.update_state([1], [2])
        >>> metric.result()
        3

    Reference: Keras, `keras.metrics.Metric`.
    """

    direction: str | None = None

    def __init__(self, name=None):
        self.name = name or type(self).__name__.lower()

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch.

        Args:
            y_true: labels, shape `(batch, ...)`.
            y_pred: what the model returned, shape `(batch, ...)`.
            sample_weight: shape `(batch,)`, or None.
        """
        raise NotImplementedError

    def result(self):
        """The number for all batches since the last reset, a float."""
        raise NotImplementedError

    def reset_state(self):
        """Forget all batches."""
        raise NotImplementedError

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Add a batch and return the result so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def __repr__(self):
        return f"{type(self).__name__}(name={self.name!r})"


class Mean(Metric):
    """The weighted mean of values.

    Args:
        name: see `Metric`.

    Example:
        >>> mean = Mean()
        >>> mean.update_state([1.0, 3.0])
        >>> mean.update_state(8.0, sample_weight=2)
        >>> mean.result()
        5.0

    Reference: Keras, `keras.metrics.Mean`.
    """

    def __init__(self, name="mean"):
        super().__init__(name)
        self.reset_state()

    def update_state(self, values, sample_weight=None):
        """Add values; `sample_weight` has their shape, or that of their first axes."""
        values = as_array(values)
        if sample_weight is None:
            self.total += float(values.sum(dtype=np.float64))
            self.count += values.size
        else:
            weight = np.asarray(as_array(sample_weight), np.float64)
            weight = np.broadcast_to(weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim)), values.shape)
            self.total += float((values * weight).sum())
            self.count += float(weight.sum())

    def add(self, value, weight):
        """Add one number."""
        self.total += value * weight
        self.count += weight

    def result(self):
        """total / weights, 0.0 before the first batch."""
        return self.total / self.count if self.count else 0.0

    def reset_state(self):
        """Forget all values."""
        self.total = 0.0
        self.count = 0


class MeanOfFunction(Mean):
    """The mean over the samples of `function(y_true, y_pred, **arguments)`.

    Args:
        function: gets ndarrays; returns one number per sample, or a scalar for the batch.
        name: see `Metric`; by default the function's name.
        direction: `"max"`, `"min"` or None.
        **arguments: passed on to `function`.

    Example:
        >>> def bias(y_true, y_pred):
        ...     return y_pred - y_true
        >>> MeanOfFunction(bias)(np.zeros(2), np.ones(2))
        1.0

    Reference: Keras, `keras.metrics.MeanMetricWrapper`.
    """

    def __init__(self, function, name=None, direction=None, **arguments):
        super().__init__(name or function.__name__)
        self.function = function
        self.direction = direction
        self.arguments = arguments

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch."""
        values = as_array(self.function(as_array(y_true), as_array(y_pred), **self.arguments))
        if values.ndim == 0:  # one number for the batch counts as often as the batch has samples
            values = np.broadcast_to(values, len(as_array(y_pred)))
        super().update_state(values, sample_weight)


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


class _Decisions(Metric):
    """Counts of right and wrong decisions `y_pred > threshold`."""

    direction = "max"

    def __init__(self, thresholds, class_id, name):
        super().__init__(name)
        self.threshold = 0.5 if thresholds is None else float(thresholds)
        self.class_id = class_id
        self.reset_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch."""
        y_true, y_pred = same_shape(self.name, y_true, y_pred)
        if self.class_id is not None:
            y_true, y_pred = y_true[..., self.class_id], y_pred[..., self.class_id]
        weight = np.asarray(1.0 if sample_weight is None else as_array(sample_weight), np.float64)
        weight = np.broadcast_to(weight.reshape(weight.shape + (1,) * (y_pred.ndim - weight.ndim)), y_pred.shape)
        decided, actual = y_pred > self.threshold, y_true > 0.5
        self.true_positives += float(weight[decided & actual].sum())
        self.false_positives += float(weight[decided & ~actual].sum())
        self.false_negatives += float(weight[~decided & actual].sum())

    def reset_state(self):
        """Forget all batches."""
        self.true_positives = self.false_positives = self.false_negatives = 0.0


class Precision(_Decisions):
    """true positives / (true positives + false positives): how many of the found ones are right; 0.0 if none was found.

    Args:
        thresholds: a number; `y_pred` above it is a positive. Default 0.5.
        class_id: column to look at; by default all.
        name: see `Metric`.

    Example:
        >>> Precision()([0, 1, 1, 1], [1, 0, 1, 1])
        0.6666666666666666

    Reference: Keras, `keras.metrics.Precision`.
    """

    def __init__(self, thresholds=None, class_id=None, name="precision"):
        super().__init__(thresholds, class_id, name)

    def result(self):
        """Precision so far."""
        found = self.true_positives + self.false_positives
        return self.true_positives / found if found else 0.0


class Recall(_Decisions):
    """true positives / (true positives + false negatives): how many of the right ones are found; 0.0 if there are none.

    Args:
        thresholds: a number; `y_pred` above it is a positive. Default 0.5.
        class_id: column to look at; by default all.
        name: see `Metric`.

    Example:
        >>> Recall()([0, 1, 1, 1], [1, 0, 1, 1])
        0.6666666666666666

    Reference: Keras, `keras.metrics.Recall`.
    """

    def __init__(self, thresholds=None, class_id=None, name="recall"):
        super().__init__(thresholds, class_id, name)

    def result(self):
        """Recall so far."""
        there = self.true_positives + self.false_negatives
        return self.true_positives / there if there else 0.0


METRICS = {
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "rmse": RootMeanSquaredError,
    "root_mean_squared_error": RootMeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "precision": Precision,
    "recall": Recall,
}


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


def resolve(metric, loss=None):
    """The `Metric` that is meant by a name, a `Metric`, a class of it, or a function of (y_true, y_pred).

    Args:
        metric: `"accuracy"` and `"acc"` mean the accuracy that fits `loss` and the shapes.
        loss: the `Loss` of the model, or None.

    Raises:
        ValueError: the name is unknown.

    Example:
        >>> resolve("mae")
        MeanAbsoluteError(name='mae')
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric.lower() in ("accuracy", "acc"):
            return Accuracy(loss, name=metric)
        if metric.lower() not in METRICS:
            names = ", ".join(sorted([*METRICS, "accuracy"]))
            raise ValueError(f"compile: argument 'metrics' has {metric!r}, expected one of {names}")
        return METRICS[metric.lower()](name=metric)
    if isinstance(metric, type):
        return resolve(metric())
    if callable(metric):
        return MeanOfFunction(metric)
    raise TypeError(f"compile: argument 'metrics' has a {type(metric).__name__}, expected names, metrics or functions")
