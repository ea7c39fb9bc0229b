"""What metrics share: batches are added up, the number for all of them is given, and it starts again."""

import numpy as np

from ..measures import as_array


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
