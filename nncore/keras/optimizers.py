"""Optimizers by Keras's names; see nncore.training.optimizers. `schedules` are learning rates that change by themselves."""

from ..optim import schedules
from ..training.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
from ..training.optimizers import resolve as get

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "RMSprop",
    "get",
    "schedules",
]
