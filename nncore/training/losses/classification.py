"""Losses of classes and probabilities: cross-entropies, divergence, hinges."""

import numpy as np

from ... import ops
from ...ops.convert import as_tensor
from ...ops.loss import reduce_losses
from .base import EPSILON, MEANS, Elementwise, Loss, match, reduce


class BinaryCrossentropy(Elementwise):
    """-y log p - (1 - y) log(1 - p), for yes/no labels, mean over the last axis.

    Args:
        from_logits: whether `y_pred` are logits and p = sigmoid(y_pred). Default False: probabilities, held in
            [1e-7, 1 - 1e-7]. The output of a sigmoid activation of `nncore.keras` is traced back to its logits, so that
            a confident mistake still has a gradient.
        label_smoothing: s moves the labels to y (1 - s) + s / 2. Default 0.0.
        reduction, name: see `Loss`.

    Example:
        >>> round(BinaryCrossentropy()([1.0, 0.0], [0.5, 0.25]).item(), 6)
        0.490415

    Reference: Keras, `keras.losses.BinaryCrossentropy`.
    """

    def __init__(
        self, from_logits=False, label_smoothing=0.0, reduction="sum_over_batch_size", name="binary_crossentropy"
    ):
        super().__init__(name, reduction)
        self.from_logits = from_logits
        self.label_smoothing = _checked_smoothing(type(self).__name__, label_smoothing)

    def elements(self, y_true, y_pred, reduction):
        """Binary cross-entropy of each element, reduced."""
        if self.label_smoothing:
            y_true = y_true * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        logits = y_pred if self.from_logits else logits_of(y_pred)
        if logits is not None:
            return ops.binary_cross_entropy_with_logits(logits, y_true, reduction=reduction)
        return ops.binary_cross_entropy(ops.clamp(y_pred, EPSILON, 1.0 - EPSILON), y_true, reduction=reduction)


class CategoricalCrossentropy(Loss):
    """-sum_c y_c log p_c, for one-hot labels (or class probabilities) of shape `(batch, ..., classes)`.

    Args:
        from_logits: whether `y_pred` are logits and p = softmax(y_pred). Default False: probabilities, divided by their
            sum and held in [1e-7, 1 - 1e-7]. The output of a softmax activation of `nncore.keras` is traced back to its
            logits, so that a confident mistake still has a gradient.
        label_smoothing: s moves the labels to y (1 - s) + s / classes. Default 0.0.
        reduction, name: see `Loss`.

    Example:
        >>> round(CategoricalCrossentropy()([[0.0, 1.0]], [[0.25, 0.75]]).item(), 6)
        0.287682

    Reference: Keras, `keras.losses.CategoricalCrossentropy`.
    """

    def __init__(
        self, from_logits=False, label_smoothing=0.0, reduction="sum_over_batch_size", name="categorical_crossentropy"
    ):
        super().__init__(name, reduction)
        self.from_logits = from_logits
        self.label_smoothing = _checked_smoothing(type(self).__name__, label_smoothing)

    def call(self, y_true, y_pred):
        """Losses of the samples; see `Loss`."""
        return self._losses(y_true, y_pred, "none").reshape(y_pred.shape[:-1])

    def mean(self, y_true, y_pred):
        """Their mean; see `Loss`."""
        return self._losses(y_true, y_pred, "mean")

    def _losses(self, y_true, y_pred, reduction):
        if y_true.shape != y_pred.shape:
            integers = y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1
            hint = "; integer class labels want 'sparse_categorical_crossentropy'" if integers else ""
            raise ValueError(
                f"{self.name}: argument 'y_true' has shape {y_true.shape}, expected {y_pred.shape} as 'y_pred'{hint}"
            )
        classes = y_pred.shape[-1]
        target = _rows(y_true.to(y_pred.dtype))
        logits = y_pred if self.from_logits else logits_of(y_pred)
        if logits is not None:
            smoothing = self.label_smoothing
            return ops.cross_entropy(_rows(logits), target, reduction=reduction, label_smoothing=smoothing)
        if self.label_smoothing:
            target = target * (1.0 - self.label_smoothing) + self.label_smoothing / classes
        losses = -(target * _log_of_probabilities(_rows(y_pred))).sum(dim=-1)
        return losses.mean() if reduction == "mean" else losses


class SparseCategoricalCrossentropy(Loss):
    """-log p_y, for integer class labels y of shape `(batch, ...)` or `(batch, ..., 1)`.

    Args:
        from_logits: whether `y_pred` are logits, see `CategoricalCrossentropy`. Default False.
        ignore_class: a label whose samples do not count. Default None.
        reduction, name: see `Loss`.

    Example:
        >>> round(SparseCategoricalCrossentropy()([1], [[0.25, 0.75]]).item(), 6)
        0.287682

    Reference: Keras, `keras.losses.SparseCategoricalCrossentropy`.
    """

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        name="sparse_categorical_crossentropy",
    ):
        super().__init__(name, reduction)
        self.from_logits = from_logits
        self.ignore_class = ignore_class

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss of a batch; see `Loss`. Ignored samples do not count in the mean."""
        if self.ignore_class is None or sample_weight is None or self.reduction not in MEANS:
            return super().__call__(y_true, y_pred, sample_weight)
        y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
        total = reduce(self.call(y_true, y_pred), sample_weight, "sum")
        half = 0.5 if self.reduction == "half_mean" else 1.0
        return total * (half / max(1, int((y_true.array != self.ignore_class).sum())))

    def call(self, y_true, y_pred):
        """Losses of the samples; see `Loss`."""
        return self._losses(y_true, y_pred, "none").reshape(y_pred.shape[:-1])

    def mean(self, y_true, y_pred):
        """Their mean; see `Loss`."""
        return self._losses(y_true, y_pred, "mean")

    def _losses(self, y_true, y_pred, reduction):
        batch = y_pred.shape[:-1]
        if y_true.shape not in (batch, batch + (1,)):
            hint = "; one-hot labels want 'categorical_crossentropy'" if y_true.shape == y_pred.shape else ""
            raise ValueError(f"{self.name}: argument 'y_true' has shape {y_true.shape}, expected {batch}{hint}")
        target = y_true.to(np.int64)
        target = target if target.ndim == 1 else target.reshape(-1)
        ignore_index = -100 if self.ignore_class is None else self.ignore_class
        logits = y_pred if self.from_logits else logits_of(y_pred)
        if logits is not None:
            return ops.cross_entropy(_rows(logits), target, ignore_index=ignore_index, reduction=reduction)
        log_probabilities = _log_of_probabilities(_rows(y_pred))
        return ops.nll_loss(log_probabilities, target, ignore_index=ignore_index, reduction=reduction)


class KLDivergence(Loss):
    """sum_c y_c log(y_c / p_c): what is lost when p stands for the distribution y. Both are held in [1e-7, 1].

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> round(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]]).item(), 6)
        0.143841

    Reference: Keras, `keras.losses.KLDivergence`; Kullback & Leibler 1951.
    """

    def __init__(self, reduction="sum_over_batch_size", name="kl_divergence"):
        super().__init__(name, reduction)

    def call(self, y_true, y_pred):
        """Losses of the samples; see `Loss`."""
        y_true = match(self.name, y_true, y_pred).clamp(EPSILON, 1.0)
        return ops.kl_div(y_pred.clamp(EPSILON, 1.0).log(), y_true, reduction="none").sum(dim=-1)


class Hinge(Elementwise):
    """mean(max(0, 1 - y_true y_pred)), y_true -1 or 1 (labels that are all 0 or 1 are taken for them).

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> Hinge()([0.0, 1.0], [0.5, 0.5]).item()
        1.0

    Reference: Keras, `keras.losses.Hinge`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="hinge"):
        super().__init__(name, reduction)

    def elements(self, y_true, y_pred, reduction):
        """max(0, 1 - y_true y_pred), reduced."""
        return reduce_losses(self.name, ops.relu(1.0 - _signs(y_true) * y_pred), reduction)


class SquaredHinge(Elementwise):
    """mean(max(0, 1 - y_true y_pred)^2), y_true -1 or 1 (labels that are all 0 or 1 are taken for them).

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> SquaredHinge()([0.0, 1.0], [0.5, 0.5]).item()
        1.25

    Reference: Keras, `keras.losses.SquaredHinge`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="squared_hinge"):
        super().__init__(name, reduction)

    def elements(self, y_true, y_pred, reduction):
        """max(0, 1 - y_true y_pred)^2, reduced."""
        return reduce_losses(self.name, ops.relu(1.0 - _signs(y_true) * y_pred).square(), reduction)


class CategoricalHinge(Loss):
    """max(0, 1 + the largest score of a wrong class - the score of the right one), for one-hot labels.

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.25]]).item()
        1.25

    Reference: Keras, `keras.losses.CategoricalHinge`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="categorical_hinge"):
        super().__init__(name, reduction)

    def call(self, y_true, y_pred):
        """Losses of the samples; see `Loss`."""
        y_true = match(self.name, y_true, y_pred)
        right, wrong = (y_true * y_pred).sum(dim=-1), ((1.0 - y_true) * y_pred).amax(-1)
        return ops.relu(wrong - right + 1.0)


def _signs(y_true):
    """Labels 0 and 1 as -1 and 1; other labels as they are."""
    return ops.where(((y_true == 0) | (y_true == 1)).all(), y_true * 2.0 - 1.0, y_true)


def logits_of(y):
    """What a softmax or sigmoid activation of `nncore.keras` made `y` from, or None."""
    return getattr(y, "logits", None)


def _rows(x):
    """`x` with two axes, the last one kept."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def _log_of_probabilities(p):
    return (p / p.sum(dim=-1, keepdim=True)).clamp(EPSILON, 1.0 - EPSILON).log()


def _checked_smoothing(name, value):
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name}: argument 'label_smoothing' is {value}, expected a number in [0, 1]")
    return value


def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0):
    """Binary cross-entropy, mean over the last axis, one per sample; see `BinaryCrossentropy`."""
    return BinaryCrossentropy(from_logits, label_smoothing, reduction="none")(y_true, y_pred)


def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0):
    """Cross-entropy with one-hot labels, one per sample; see `CategoricalCrossentropy`."""
    return CategoricalCrossentropy(from_logits, label_smoothing, reduction="none")(y_true, y_pred)


def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, ignore_class=None):
    """Cross-entropy with integer labels, one per sample; see `SparseCategoricalCrossentropy`."""
    return SparseCategoricalCrossentropy(from_logits, ignore_class, reduction="none")(y_true, y_pred)


def kl_divergence(y_true, y_pred):
    """sum_c y_c log(y_c / p_c), one per sample; see `KLDivergence`."""
    return KLDivergence(reduction="none")(y_true, y_pred)


def hinge(y_true, y_pred):
    """max(0, 1 - y_true y_pred), mean over the last axis, one per sample; see `Hinge`."""
    return Hinge(reduction="none")(y_true, y_pred)


def squared_hinge(y_true, y_pred):
    """max(0, 1 - y_true y_pred)^2, mean over the last axis, one per sample; see `SquaredHinge`."""
    return SquaredHinge(reduction="none")(y_true, y_pred)


def categorical_hinge(y_true, y_pred):
    """max(0, 1 + the largest wrong score - the right one), one per sample; see `CategoricalHinge`."""
    return CategoricalHinge(reduction="none")(y_true, y_pred)
