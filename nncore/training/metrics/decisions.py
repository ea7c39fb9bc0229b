"""Metrics of decisions: precision, recall, F1, and the areas under their curves."""

import numpy as np

from ..measures import as_array, same_shape
from .base import Metric


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


class F1Score(Metric):
    """2 precision recall / (precision + recall) = 2 tp / (2 tp + fp + fn), for each class.

    Args:
        average: None: one number per class, a list (of one class a float); `"macro"`: their mean; `"weighted"`: their mean
            weighted with how often the class occurs; `"micro"`: of the counts of all classes. Default None.
        threshold: `y_pred` above it is a positive. Default None: the largest score of the sample.
        name: see `Metric`.

    Labels are one-hot (or 0 and 1 in each column) of shape `(batch, classes)`, or integer classes.

    Example:
        >>> metric = F1Score(average="macro")
        >>> metric([0, 0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
        0.7333333333333334

    Reference: Keras, `keras.metrics.F1Score`; van Rijsbergen 1979.
    """

    direction = "max"

    def __init__(self, average=None, threshold=None, name="f1_score"):
        super().__init__(name)
        if average not in (None, "macro", "micro", "weighted"):
            raise ValueError(
                f"F1Score: argument 'average' is {average!r}, expected None, 'macro', 'micro' or 'weighted'"
            )
        self.average, self.threshold = average, threshold
        self.reset_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch."""
        y_true, y_pred = as_array(y_true), as_array(y_pred)
        y_pred = y_pred.reshape(len(y_pred), -1)
        classes = y_pred.shape[1]
        if y_true.size == len(y_pred) and classes > 1:
            labels = y_true.reshape(-1).astype(np.int64)
            if labels.size and not (labels.min() >= 0 and labels.max() < classes):
                raise ValueError(f"{self.name}: argument 'y_true' has a class outside 0 to {classes - 1}")
            y_true = np.eye(classes)[labels]
        if y_true.size != y_pred.size:
            raise ValueError(
                f"{self.name}: argument 'y_true' has shape {y_true.shape}, expected {y_pred.shape} as 'y_pred'"
            )
        actual = y_true.reshape(y_pred.shape) > 0.5
        if self.threshold is None:
            if classes == 1:
                raise ValueError(
                    f"{self.name}: 'y_pred' has one column, which needs a threshold: F1Score(threshold=0.5)"
                )
            decided = np.arange(classes) == y_pred.argmax(axis=1)[:, None]
        else:
            decided = y_pred > self.threshold
        weight = np.ones(len(y_pred)) if sample_weight is None else np.asarray(as_array(sample_weight), np.float64)
        weight = weight.reshape(-1, 1)
        self._hits = self._hits + (weight * (decided & actual)).sum(axis=0)
        self._decided = self._decided + (weight * decided).sum(axis=0)
        self._actual = self._actual + (weight * actual).sum(axis=0)

    def result(self):
        """The score so far, 0.0 where there is nothing to find and nothing was found."""
        hits, decided, actual = self._hits, self._decided, self._actual
        if self.average == "micro":
            hits, decided, actual = (counts.sum(keepdims=True) for counts in (hits, decided, actual))
        both = decided + actual
        scores = 2 * hits / np.where(both == 0, 1.0, both)
        if self.average == "macro":
            return float(scores.mean())
        if self.average == "weighted":
            return float((scores * actual).sum() / max(actual.sum(), 1e-300))
        return scores.tolist() if len(scores) > 1 else float(scores[0])

    def reset_state(self):
        """Forget all batches."""
        self._hits = self._decided = self._actual = np.zeros(1)


class AUC(Metric):
    """The area under a curve of all thresholds: how well scores part the positives from the negatives.

    Exact, and so it keeps a score and a label of every sample until it is reset; Keras's approximates with 200 thresholds.

    Args:
        curve: `"ROC"` (the default): the share of pairs of a positive and a negative that are in the right order; `"PR"`:
            precision over recall, as a sum of steps (average precision).
        from_logits: accepted as in Keras; the order of the scores is all that counts.
        name: see `Metric`.

    Example:
        >>> AUC()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
        >>> round(AUC(curve="PR")([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
        0.8333

    Reference: Keras, `keras.metrics.AUC`; scikit-learn, `roc_auc_score` and `average_precision_score`.
    """

    direction = "max"

    def __init__(self, curve="ROC", from_logits=False, name="auc"):
        super().__init__(name)
        if curve not in ("ROC", "PR"):
            raise ValueError(f"AUC: argument 'curve' is {curve!r}, expected 'ROC' or 'PR'")
        self.curve = curve
        self.reset_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch; all columns count alike."""
        y_true, y_pred = same_shape(self.name, y_true, y_pred)
        weight = np.asarray(1.0 if sample_weight is None else as_array(sample_weight), np.float64)
        weight = np.broadcast_to(weight.reshape(weight.shape + (1,) * (y_pred.ndim - weight.ndim)), y_pred.shape)
        self._batches.append([y_pred.reshape(-1).copy(), y_true.reshape(-1) > 0.5, weight.reshape(-1)])

    def result(self):
        """The area so far; 0.0 where there are no positives, or for ROC no negatives; NaN if a score is."""
        if not self._batches:
            return 0.0
        scores, positive, weight = (np.concatenate(parts) for parts in zip(*self._batches, strict=True))
        if np.isnan(scores).any():
            return float("nan")
        order = np.argsort(-scores, kind="stable")
        scores, positive, weight = scores[order], positive[order], weight[order]
        ends = np.append(np.nonzero(np.diff(scores))[0], len(scores) - 1) if len(scores) else np.zeros(0, np.int64)
        true = np.append(0.0, np.cumsum(weight * positive)[ends])
        false = np.append(0.0, np.cumsum(weight * ~positive)[ends])
        if not true[-1] or (self.curve == "ROC" and not false[-1]):
            return 0.0
        if self.curve == "ROC":
            return float((np.diff(false) * (true[1:] + true[:-1]) / 2).sum() / (true[-1] * false[-1]))
        found = np.maximum(true[1:] + false[1:], 1e-300)
        return float((np.diff(true) / true[-1] * true[1:] / found).sum())

    def reset_state(self):
        """Forget all batches."""
        self._batches = []
