"""From what `compile` is given to a `Metric`."""

from functools import partial

from .base import MeanOfFunction, Metric
from .decisions import AUC, F1Score, Precision, Recall
from .means import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    MeanAbsoluteError,
    MeanSquaredError,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)

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
    "f1_score": partial(F1Score, average="macro"),
    "precision": Precision,
    "recall": Recall,
    "auc": AUC,
    "r2": R2Score,
    "r2_score": R2Score,
}


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
