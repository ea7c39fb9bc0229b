"""nncore.nn: layers, losses and containers in PyTorch's words."""

from nncore.nn import functional, init, utils
from nncore.nn.activation import (
    ELU,
    GELU,
    Hardtanh,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from nncore.nn.container import ModuleDict, ModuleList, ParameterList, Sequential
from nncore.nn.convolution import Conv2d
from nncore.nn.dropout import Dropout
from nncore.nn.linear import Flatten, Identity, Linear, Unflatten
from nncore.nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    PoissonNLLLoss,
    SmoothL1Loss,
)
from nncore.nn.margin import (
    CosineEmbeddingLoss,
    CosineSimilarity,
    MarginRankingLoss,
    PairwiseDistance,
    SoftMarginLoss,
    TripletMarginLoss,
)
from nncore.nn.module import Module
from nncore.nn.normalization import BatchNorm1d, BatchNorm2d, LayerNorm
from nncore.nn.parameter import Parameter
from nncore.nn.perceptron import Perceptron
from nncore.nn.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from nncore.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from nncore.nn.sparse import Embedding

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianNLLLoss",
    "Hardtanh",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MarginRankingLoss",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "PairwiseDistance",
    "Parameter",
    "ParameterList",
    "Perceptron",
    "PoissonNLLLoss",
    "RNNCell",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "Softmax",
    "Softplus",
    "Tanh",
    "TripletMarginLoss",
    "Unflatten",
    "functional",
    "init",
    "utils",
]
