"""Optimizers in Keras's words. Each is the optimizer of nncore.optim of the same name that gets its parameters later.

`compile(optimizer="adam")` is written before the model's shapes are known, so these are made without parameters;
`bind` gives them, once. From then on they are ordinary `nncore.optim.Optimizer`s.
"""

from .classes import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
from .lazy import Lazy
from .resolve import OPTIMIZERS, learning_rate_of, resolve, set_learning_rate

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lazy",
    "Lion",
    "Nadam",
    "RMSprop",
    "learning_rate_of",
    "resolve",
    "set_learning_rate",
]
