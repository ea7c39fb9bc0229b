"""nncore in Keras's words: `from nncore.keras import layers, models`. The objects underneath are those of nncore.nn.

Defaults follow Keras 3 where it differs from PyTorch: Glorot initialization, momentum with the learning rate inside,
channels-last images, momentum 0.99 and epsilon 1e-3 in batch normalization, epsilon 1e-7 in Adam.
"""

from . import (
    activations,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    utils,
)
from .layers import Input, Layer
from .models import Model, Sequential

__all__ = [
    "Input",
    "Layer",
    "Model",
    "Sequential",
    "activations",
    "callbacks",
    "constraints",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "utils",
]
