"""nncore: a neural-network core for Python. Eager like PyTorch, small, fast on CPU, the same bits on any number of threads.

`import nncore as torch` runs a plain PyTorch training script; `nncore.keras` speaks Keras; `nncore.kernels` is the
kernels themselves, for NumPy arrays.
"""

import importlib
from typing import TYPE_CHECKING

from nncore import autograd, config, cuda, kernels, ops, random
from nncore._core.capture import CaptureError
from nncore._core.kernels import empty_cache
from nncore._core.tape import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from nncore._core.tensor import DTYPES
from nncore._device import device
from nncore._tensor import Tensor
from nncore.config import get_num_threads, set_num_threads, show_config
from nncore.ops import *  # noqa: F403
from nncore.random import Generator, default_generator, get_rng_state, manual_seed, set_rng_state

if TYPE_CHECKING:
    from nncore import data, datasets, information, io, keras, models, nn, optim, teaching, training, utils, viz
    from nncore.compiled import compile
    from nncore.io import load, save
    from nncore.teaching import explain
    from nncore.training import Model

__version__ = "0.1.0"

float32, float64, int64, int32, uint8, bool = DTYPES
float, double, long, int = float32, float64, int64, int32
concat = concatenate = ops.cat
multiply, subtract, divide, true_divide = ops.mul, ops.sub, ops.div, ops.div
absolute, negative, clip = ops.abs, ops.neg, ops.clamp

_LAZY_MODULES = (
    "data", "datasets", "information", "io", "keras", "models", "nn", "optim", "teaching", "training", "utils", "viz",
)  # fmt: skip
_LAZY_NAMES = {
    "Model": "nncore.training",
    "compile": "nncore.compiled",
    "explain": "nncore.teaching",
    "load": "nncore.io",
    "save": "nncore.io",
}

__all__ = [
    "DTYPES", "CaptureError", "Generator", "Model", "Tensor", "autograd", "compile", "config", "cuda", "data", "datasets",
    "default_generator", "device", "empty_cache", "enable_grad", "explain", "float32", "float64", "get_num_threads", "get_rng_state",
    "inference_mode", "information", "int32", "int64", "io", "is_grad_enabled", "keras", "kernels", "load", "manual_seed",
    "models", "nn", "no_grad", "optim", "random", "save", "set_grad_enabled", "set_num_threads", "set_rng_state",
    "show_config", "teaching", "training", "uint8", "utils", "viz",
]  # fmt: skip
__all__ += ops.__all__


def __getattr__(name):
    if name in _LAZY_MODULES:
        return importlib.import_module(f"nncore.{name}")
    if name in _LAZY_NAMES:
        value = getattr(importlib.import_module(_LAZY_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'nncore' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
