"""Losses of numbers: squared, absolute, relative and logarithmic errors, counts, angles."""

import math

from ... import ops
from ...ops.loss import reduce_losses
from .base import EPSILON, Elementwise, Loss, match


class MeanSquaredError(Elementwise):
    """mean((y_true - y_pred)^2).

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> MeanSquaredError()([0.0, 0.0], [1.0, 3.0]).item()
        5.0

    Reference: Keras, `keras.losses.MeanSquaredError`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_error"):
        super().__init__(name, reduction)

    def elements(self, y_true, y_pred, reduction):
        """(y_true - y_pred)^2, reduced."""
        return ops.mse_loss(y_pred, y_true, reduction=reduction)


class MeanAbsoluteError(Elementwise):
    """mean(|y_true - y_pred|).

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> MeanAbsoluteError()([0.0, 0.0], [1.0, -3.0]).item()
        2.0

    Reference: Keras, `keras.losses.MeanAbsoluteError`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_error"):
        super().__init__(name, reduction)

    def elements(self, y_true, y_pred, reduction):
        """|y_true - y_pred|, reduced."""
        return ops.l1_loss(y_pred, y_true, reduction=reduction)


class Huber(Elementwise):
    """Quadratic where the error e is small, linear where it is large: e^2/2 if |e| <= delta, else delta (|e| - delta/2).

    Args:
        delta: where the one becomes the other. Default 1.0.
        reduction, name: see `Loss`.

    Example:
        >>> Huber()([0.0, 0.0], [1.0, 3.0]).item()
        1.5

    Reference: Huber, "Robust estimation of a location parameter", 1964; Keras, `keras.losses.Huber`.
    """

    def __init__(self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss"):
        super().__init__(name, reduction)
        self.delta = delta

    def elements(self, y_true, y_pred, reduction):
        """Huber's function of the error, reduced."""
        return ops.huber_loss(y_pred, y_true, reduction=reduction, delta=self.delta)


class MeanAbsolutePercentageError(Elementwise):
    """100 mean(|y_true - y_pred| / max(|y_true|, 1e-7)).

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> MeanAbsolutePercentageError()([2.0, 4.0], [1.0, 4.0]).item()
        25.0

    Reference: Keras, `keras.losses.MeanAbsolutePercentageError`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_percentage_error"):
        super().__init__(name, reduction)

    def elements(self, y_true, y_pred, reduction):
        """100 |y_true - y_pred| / |y_true|, reduced."""
        share = ops.l1_loss(y_pred, y_true, reduction="none") / y_true.abs().clamp(min=EPSILON)
        return reduce_losses(self.name, 100.0 * share, reduction)


class MeanSquaredLogarithmicError(Elementwise):
    """mean((log(1 + y_true) - log(1 + y_pred))^2), both held at 1e-7 and above.

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> round(MeanSquaredLogarithmicError()([0.0], [1.718281828]).item(), 6)
        1.0

    Reference: Keras, `keras.losses.MeanSquaredLogarithmicError`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_logarithmic_error"):
        super().__init__(name, reduction)

    def elements(self, y_true, y_pred, reduction):
        """(log(1 + y_true) - log(1 + y_pred))^2, reduced."""
        true, predicted = (y.clamp(min=EPSILON).log1p() for y in (y_true, y_pred))
        return ops.mse_loss(predicted, true, reduction=reduction)


class LogCosh(Elementwise):
    """mean(log(cosh(e))), e = y_pred - y_true: like e^2 / 2 near 0, like |e| - log 2 far out.

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> round(LogCosh()([0.0, 0.0], [0.0, 2.0]).item(), 6)
        0.662501

    Reference: Keras, `keras.losses.LogCosh`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="log_cosh"):
        super().__init__(name, reduction)

    def elements(self, y_true, y_pred, reduction):
        """log(cosh(e)) = e - log 2 + log(1 + exp(-2 e)), reduced."""
        e = y_pred - y_true
        return reduce_losses(
            self.name, e - math.log(2.0) + ops.soft_margin_loss(e, 2.0 * ops.ones_like(e), "none"), reduction
        )


class Poisson(Elementwise):
    """mean(y_pred - y_true log(y_pred + 1e-7)), for counts; `y_pred` is the rate.

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> Poisson()([2.0, 0.0], [1.0, 1.0]).item()
        0.9999998807907104

    Reference: Keras, `keras.losses.Poisson`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="poisson"):
        super().__init__(name, reduction)

    def elements(self, y_true, y_pred, reduction):
        """y_pred - y_true log(y_pred), reduced."""
        return ops.poisson_nll_loss(y_pred, y_true, log_input=False, eps=EPSILON, reduction=reduction)


class SumOfSquares(Elementwise):
    """sum((y_true - y_pred)^2), the sum of squared residuals over all samples and outputs: "ssr".

    Args:
        reduction: `"sum"` (the default); with "sum_over_batch_size" the sum over the outputs, mean over the samples.
        name: see `Loss`.

    Example:
        >>> SumOfSquares()([[0.0, 0.0], [1.0, 1.0]], [[1.0, 3.0], [1.0, 2.0]]).item()
        11.0
    """

    def __init__(self, reduction="sum", name="sum_of_squares"):
        super().__init__(name, reduction)

    def elements(self, y_true, y_pred, reduction):
        """(y_true - y_pred)^2, reduced."""
        return ops.mse_loss(y_pred, y_true, reduction=reduction)

    def call(self, y_true, y_pred):
        """Losses of the samples; see `Loss`."""
        losses = self.elements(match(self.name, y_true, y_pred), y_pred, "none")
        return losses.sum(dim=-1) if losses.ndim > 1 else losses

    def mean(self, y_true, y_pred):
        """Their mean; see `Loss`."""
        return self.call(y_true, y_pred).mean()


class SumOfAbsoluteDifferences(SumOfSquares):
    """sum(|y_true - y_pred|) over all samples and outputs: "sad".

    Args:
        reduction, name: see `SumOfSquares`.

    Example:
        >>> SumOfAbsoluteDifferences()([[0.0, 0.0], [1.0, 1.0]], [[1.0, -3.0], [1.0, 2.0]]).item()
        5.0
    """

    def __init__(self, reduction="sum", name="sum_of_absolute_differences"):
        super().__init__(reduction, name)

    def elements(self, y_true, y_pred, reduction):
        """|y_true - y_pred|, reduced."""
        return ops.l1_loss(y_pred, y_true, reduction=reduction)


class CosineSimilarity(Loss):
    """-cos of the angle between labels and outputs: -1 where they point the same way, 1 where they are opposed.

    Args:
        axis: of the vectors. Default -1.
        reduction, name: see `Loss`.

    Example:
        >>> round(CosineSimilarity()([[0.0, 1.0]], [[1.0, 1.0]]).item(), 6)
        -0.707107

    Reference: Keras, `keras.losses.CosineSimilarity`.
    """

    def __init__(self, axis=-1, reduction="sum_over_batch_size", name="cosine_similarity"):
        super().__init__(name, reduction)
        self.axis = axis

    def call(self, y_true, y_pred):
        """Losses of the samples; see `Loss`."""
        return -ops.cosine_similarity(match(self.name, y_true, y_pred), y_pred, self.axis, EPSILON)


def mean_squared_error(y_true, y_pred):
    """mean((y_true - y_pred)^2) over the last axis, one per sample; see `MeanSquaredError`."""
    return MeanSquaredError(reduction="none")(y_true, y_pred)


def mean_absolute_error(y_true, y_pred):
    """mean(|y_true - y_pred|) over the last axis, one per sample; see `MeanAbsoluteError`."""
    return MeanAbsoluteError(reduction="none")(y_true, y_pred)


def huber(y_true, y_pred, delta=1.0):
    """Huber's function of the errors, mean over the last axis, one per sample; see `Huber`."""
    return Huber(delta, reduction="none")(y_true, y_pred)


def mean_absolute_percentage_error(y_true, y_pred):
    """100 |y_true - y_pred| / |y_true|, mean over the last axis, one per sample; see `MeanAbsolutePercentageError`."""
    return MeanAbsolutePercentageError(reduction="none")(y_true, y_pred)


def mean_squared_logarithmic_error(y_true, y_pred):
    """(log(1 + y_true) - log(1 + y_pred))^2, mean over the last axis, one per sample; see the class."""
    return MeanSquaredLogarithmicError(reduction="none")(y_true, y_pred)


def log_cosh(y_true, y_pred):
    """log(cosh(y_pred - y_true)), mean over the last axis, one per sample; see `LogCosh`."""
    return LogCosh(reduction="none")(y_true, y_pred)


def poisson(y_true, y_pred):
    """y_pred - y_true log(y_pred), mean over the last axis, one per sample; see `Poisson`."""
    return Poisson(reduction="none")(y_true, y_pred)


def sum_of_squares(y_true, y_pred):
    """(y_true - y_pred)^2, summed over the last axis, one per sample; see `SumOfSquares`."""
    return SumOfSquares(reduction="none")(y_true, y_pred)


def sum_of_absolute_differences(y_true, y_pred):
    """|y_true - y_pred|, summed over the last axis, one per sample; see `SumOfAbsoluteDifferences`."""
    return SumOfAbsoluteDifferences(reduction="none")(y_true, y_pred)


def cosine_similarity(y_true, y_pred, axis=-1):
    """-cos of the angle between labels and outputs, one per sample; see `CosineSimilarity`."""
    return CosineSimilarity(axis, reduction="none")(y_true, y_pred)
