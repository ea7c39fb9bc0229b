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
from .lr_finder import LRTest, lr_find
from .measures import confusion_matrix
from .model import Model
from .small_step import StopOnSmallStep
from .summary import summary
from .tensorboard import TensorBoard
from .watch import InformationPlane, Watch, WeightPath

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "InformationPlane",
    "LRTest",
    "LambdaCallback",
    "LearningRateScheduler",
    "Model",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "StopOnSmallStep",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "Watch",
    "WeightPath",
    "confusion_matrix",
    "lr_find",
    "summary",
]
