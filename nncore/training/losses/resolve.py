"""From what `compile` is given to a `Loss`: names, functions, and loss Modules of PyTorch's kind."""

import copy
import inspect

import numpy as np

from ... import nn
from ...ops.convert import as_tensor
from . import classification, regression
from .base import Loss, match, reduce

LOSSES = {
    "mse": regression.MeanSquaredError,
    "mean_squared_error": regression.MeanSquaredError,
    "mae": regression.MeanAbsoluteError,
    "mean_absolute_error": regression.MeanAbsoluteError,
    "mape": regression.MeanAbsolutePercentageError,
    "mean_absolute_percentage_error": regression.MeanAbsolutePercentageError,
    "msle": regression.MeanSquaredLogarithmicError,
    "mean_squared_logarithmic_error": regression.MeanSquaredLogarithmicError,
    "huber": regression.Huber,
    "huber_loss": regression.Huber,
    "log_cosh": regression.LogCosh,
    "logcosh": regression.LogCosh,
    "poisson": regression.Poisson,
    "ssr": regression.SumOfSquares,
    "sum_of_squares": regression.SumOfSquares,
    "sad": regression.SumOfAbsoluteDifferences,
    "sum_of_absolute_differences": regression.SumOfAbsoluteDifferences,
    "cosine_similarity": regression.CosineSimilarity,
    "bce": classification.BinaryCrossentropy,
    "binary_crossentropy": classification.BinaryCrossentropy,
    "categorical_crossentropy": classification.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": classification.SparseCategoricalCrossentropy,
    "kld": classification.KLDivergence,
    "kl_divergence": classification.KLDivergence,
    "hinge": classification.Hinge,
    "squared_hinge": classification.SquaredHinge,
    "categorical_hinge": classification.CategoricalHinge,
}

# The functions of the same names, as they stand in for their classes.
_FUNCTIONS = {
    getattr(family, name): loss
    for family in (regression, classification)
    for name, loss in LOSSES.items()
    if hasattr(family, name)
}


# Modules whose target has the shape and dtype of the output.
_OF_PAIRS = (
    nn.MSELoss,
    nn.L1Loss,
    nn.HuberLoss,
    nn.SmoothL1Loss,
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.KLDivLoss,
    nn.PoissonNLLLoss,
    nn.SoftMarginLoss,
)


class ModuleLoss(Loss):
    """A loss Module of PyTorch's kind, called as `module(output, target)`, in the place of a `Loss`.

    Labels are brought to the dtype and shape that the module wants; sample weights multiply its unreduced losses.

    Args:
        module: for example `nncore.nn.CrossEntropyLoss()`.
    """

    def __init__(self, module):
        super().__init__(type(module).__name__)
        self.module = module
        self.unreduced = None
        if hasattr(module, "reduction"):
            self.reduction = module.reduction
            self.unreduced = copy.copy(module)
            self.unreduced.reduction = "none"

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss of a batch; see `Loss`."""
        y_true, y_pred = self._target(as_tensor(y_true), y_pred), as_tensor(y_pred)
        if sample_weight is None:
            return self.module(y_pred, y_true)
        if self.unreduced is None:
            raise ValueError(f"{self.name}: has no attribute 'reduction', so sample weights cannot be applied")
        return reduce(self.unreduced(y_pred, y_true), sample_weight, self.reduction)

    def _target(self, y_true, y_pred):
        if isinstance(self.module, (nn.CrossEntropyLoss, nn.NLLLoss)):
            if y_true.shape == y_pred.shape:
                return y_true.to(y_pred.dtype)
            if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
                y_true = y_true.reshape(y_true.shape[:-1])
            return y_true.to(np.int64)
        if isinstance(self.module, _OF_PAIRS):
            return match(self.name, y_true, y_pred)
        return y_true


class FunctionLoss(Loss):
    """A function as a `Loss`: `function(y_true, y_pred)`, or `function(input, target)` if its first parameter is `input`.

    Args:
        function: returns one loss per sample, or a scalar.
    """

    def __init__(self, function):
        super().__init__(getattr(function, "__name__", type(function).__name__))
        self.function = function
        try:
            first = next(iter(inspect.signature(function).parameters), None)
        except ValueError:  # a builtin
            first = None
        self.output_first = first == "input"

    def call(self, y_true, y_pred):
        """Losses of the samples; see `Loss`."""
        losses = self.function(y_pred, y_true) if self.output_first else self.function(y_true, y_pred)
        return as_tensor(losses)


def resolve(loss):
    """The `Loss` that is meant by a name, a `Loss`, a class of it, a loss Module, or a function.

    Raises:
        ValueError: the name is unknown.

    Example:
        >>> resolve("mse")
        MeanSquaredError()
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        if loss.lower() not in LOSSES:
            raise ValueError(f"compile: argument 'loss' is {loss!r}, expected one of {', '.join(sorted(LOSSES))}")
        return LOSSES[loss.lower()]()
    if isinstance(loss, type):
        return resolve(loss())
    if loss in _FUNCTIONS:
        return _FUNCTIONS[loss]()
    if isinstance(loss, nn.Module):
        return ModuleLoss(loss)
    if callable(loss):
        return FunctionLoss(loss)
    raise TypeError(f"compile: argument 'loss' is {type(loss).__name__}, expected a name, a loss object or a function")


def takes_logits(loss):
    """Whether the model's outputs are logits of yes/no labels for this loss, so that 0 and not 1/2 divides them."""
    if isinstance(loss, ModuleLoss):
        return isinstance(loss.module, (nn.BCEWithLogitsLoss, nn.SoftMarginLoss))
    if isinstance(loss, (classification.Hinge, classification.SquaredHinge)):
        return True
    return isinstance(loss, classification.BinaryCrossentropy) and loss.from_logits


def is_binary(loss):
    """Whether the loss is made for yes/no labels."""
    if isinstance(loss, ModuleLoss):
        return isinstance(loss.module, (nn.BCELoss, nn.BCEWithLogitsLoss, nn.SoftMarginLoss))
    return isinstance(loss, (classification.BinaryCrossentropy, classification.Hinge, classification.SquaredHinge))
