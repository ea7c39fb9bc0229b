"""Layers by Keras's names. Each is an `nn.Module`, and its weights appear when it learns the shape of its input."""

from .base import Layer
from .convolution import (
    AveragePooling2D,
    Conv2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from .core import ELU, Activation, Dense, Dropout, Embedding, Identity, LeakyReLU, ReLU, Softmax
from .input import Input
from .normalization import BatchNormalization, LayerNormalization, Normalization
from .recurrent import GRU, LSTM, Bidirectional, SimpleRNN
from .reshaping import Add, Concatenate, Flatten, Permute, Reshape

InputLayer = Input
AvgPool2D, MaxPool2D = AveragePooling2D, MaxPooling2D
GlobalAvgPool2D, GlobalMaxPool2D = GlobalAveragePooling2D, GlobalMaxPooling2D

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "Activation",
    "Add",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Identity",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "Normalization",
    "Permute",
    "ReLU",
    "Reshape",
    "SimpleRNN",
    "Softmax",
]
