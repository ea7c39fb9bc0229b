"""Optimizers by Keras's names; see nncore.training.optimizers."""

from ..training.optimizers import SGD, Adam, AdamW, RMSprop
from ..training.optimizers import resolve as get

__all__ = ["SGD", "Adam", "AdamW", "RMSprop", "get"]
