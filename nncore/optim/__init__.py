"""nncore.optim: optimizers in PyTorch's words. A step is one kernel call for all parameters of a group."""

from nncore.optim import lr_scheduler, schedules, swa_utils
from nncore.optim.adagrad import Adadelta, Adagrad
from nncore.optim.adam import Adam, AdamW
from nncore.optim.adam_variants import Adamax, NAdam, RAdam
from nncore.optim.lbfgs import LBFGS
from nncore.optim.lion import Lion
from nncore.optim.optimizer import Optimizer
from nncore.optim.rmsprop import RMSprop
from nncore.optim.sgd import SGD

__all__ = [
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "lr_scheduler",
    "schedules",
    "swa_utils",
]
