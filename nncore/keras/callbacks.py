"""Callbacks by Keras's names; see nncore.training.callbacks."""

from ..training.averages import SwapEMAWeights
from ..training.callback import Callback, CallbackList
from ..training.callbacks import (
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from ..training.history import History
from ..training.small_step import StopOnSmallStep
from ..training.tensorboard import TensorBoard
from ..training.watch import InformationPlane, Watch, WeightPath

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "InformationPlane",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "StopOnSmallStep",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "Watch",
    "WeightPath",
]
