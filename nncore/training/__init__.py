"""Training with one call: Model (compile, fit, evaluate, predict), callbacks, metrics, History."""

from .averages import SwapEMAWeights
from .callback import Callback
from .callbacks import (
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from .history import History
from .measures import confusion_matrix
from .model import Model
from .summary import summary
from .watch import InformationPlane, Watch, WeightPath

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "InformationPlane",
    "LambdaCallback",
    "LearningRateScheduler",
    "Model",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TerminateOnNaN",
    "Watch",
    "WeightPath",
    "confusion_matrix",
    "summary",
]
