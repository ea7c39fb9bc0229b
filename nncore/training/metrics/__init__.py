"""Metrics: numbers for people, computed in NumPy from what the model returned. Gradients are not their business.

A metric adds batches up (`update_state`), gives the number for all of them (`result`), and starts again (`reset_state`).
"""

from .base import Mean, MeanOfFunction, Metric
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
from .resolve import METRICS, resolve

__all__ = [
    "AUC",
    "METRICS",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "F1Score",
    "Mean",
    "MeanAbsoluteError",
    "MeanOfFunction",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "resolve",
]
