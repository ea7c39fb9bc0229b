"""Losses in Keras's words: names, argument order (y_true, y_pred) and reductions. The arithmetic is in nncore.ops.

`resolve` also takes a loss of PyTorch's kind, a Module called with (output, target), and a plain function.
"""

import copy
import inspect

import numpy as np

from .. import nn, ops
from ..ops.convert import as_tensor, cast

EPSILON = 1e-7  # probabilities are held in [EPSILON, 1 - EPSILON] before the logarithm, as in Keras

REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "none", None)


class Loss:
    """Base class of losses: one number per sample, reduced over the batch.

    A subclass defines `call(y_true, y_pred)`, which returns the losses of the samples, shape `(batch, ...)`.

    Args:
        name: name shown to people; by default the class name.
        reduction: `"sum_over_batch_size"` (the default, = `"mean"`): sum / number of losses; `"sum"`; `"none"`.

    Example:
        >>> import nncore
        >>> class Cubic(Loss):
        ...     def call(self, y_true, y_pred):
        ...         return ((y_true - y_pred).abs() ** 3).mean(dim=-1)
        >>> Cubic()(nncore.zeros(4, 2), nncore.ones(4, 2)).item()
        1.0

    Reference: Keras, `keras.losses.Loss`.
    """

    def __init__(self, name=None, reduction="sum_over_batch_size"):
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__}: argument 'reduction' is {reduction!r}, expected one of {REDUCTIONS}"
            )
        self.name = name or type(self).__name__
        self.reduction = reduction

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss of a batch, a Tensor of shape () (of the losses' shape with reduction "none")."""
        y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
        if sample_weight is None and self.reduction in ("sum_over_batch_size", "mean"):
            return self.mean(y_true, y_pred)
        return reduce(self.call(y_true, y_pred), sample_weight, self.reduction)

    def call(self, y_true, y_pred):
        """Losses of the samples, shape `(batch, ...)`."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(y_true, y_pred)")

    def mean(self, y_true, y_pred):
        """The mean of `call`; a subclass may know a faster way."""
        return self.call(y_true, y_pred).mean()

    def __repr__(self):
        return f"{type(self).__name__}()"


def reduce(losses, sample_weight=None, reduction="mean"):
    """Weight the losses of the samples and reduce them.

    Args:
        losses: Tensor of shape `(batch, ...)`.
        sample_weight: array of shape `(batch,)`, or None.
        reduction: one of `REDUCTIONS`. The mean divides by the number of losses, not by the sum of the weights.
    """
    if sample_weight is not None:
        weight = cast(as_tensor(sample_weight), losses.dtype)
        if weight.ndim > losses.ndim or weight.shape != losses.shape[: weight.ndim]:
            raise ValueError(f"loss: argument 'sample_weight' has shape {weight.shape}, expected ({losses.shape[0]},)")
        losses = losses * weight.reshape(weight.shape + (1,) * (losses.ndim - weight.ndim))
    if reduction in ("sum_over_batch_size", "mean"):
        return losses.mean()
    return losses.sum() if reduction == "sum" else losses


def match(name, y_true, y_pred):
    """`y_true` in the dtype of `y_pred`, and in its shape if the two differ by a last axis of 1 only."""
    if y_true.dtype != y_pred.dtype:
        y_true = y_true.to(y_pred.dtype)
    if y_true.shape == y_pred.shape:
        return y_true
    if y_true.shape + (1,) == y_pred.shape or y_pred.shape + (1,) == y_true.shape:
        return y_true.reshape(y_pred.shape)
    raise ValueError(f"{name}: argument 'y_true' has shape {y_true.shape}, expected {y_pred.shape} as 'y_pred'")


class _Elementwise(Loss):
    """A loss that is the mean over the last axis of something computed for each element."""

    def elements(self, y_true, y_pred, reduction):
        raise NotImplementedError

    def call(self, y_true, y_pred):
        losses = self.elements(match(self.name, y_true, y_pred), y_pred, "none")
        return losses.mean(dim=-1) if losses.ndim > 1 else losses

    def mean(self, y_true, y_pred):
        return self.elements(match(self.name, y_true, y_pred), y_pred, "mean")


class MeanSquaredError(_Elementwise):
    """mean((y_true - y_pred)^2).

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> MeanSquaredError()([0.0, 0.0], [1.0, 3.0]).item()
        5.0

    Reference: Keras, `keras.losses.MeanSquaredError`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_error"):
        super().__init__(name, reduction)

    def elements(self, y_true, y_pred, reduction):
        """(y_true - y_pred)^2, reduced."""
        return ops.mse_loss(y_pred, y_true, reduction=reduction)


class MeanAbsoluteError(_Elementwise):
    """mean(|y_true - y_pred|).

    Args:
        reduction, name: see `Loss`.

    Example:
        >>> MeanAbsoluteError()([0.0, 0.0], [1.0, -3.0]).item()
        2.0

    Reference: Keras, `keras.losses.MeanAbsoluteError`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_error"):
        super().__init__(name, reduction)

    def elements(self, y_true, y_pred, reduction):
        """|y_true - y_pred|, reduced."""
        return ops.l1_loss(y_pred, y_true, reduction=reduction)


class Huber(_Elementwise):
    """Quadratic where the error e is small, linear where it is large: e^2/2 if |e| <= delta, else delta (|e| - delta/2).

    Args:
        delta: where the one becomes the other. Default 1.0.
        reduction, name: see `Loss`.

    Example:
        >>> Huber()([0.0, 0.0], [1.0, 3.0]).item()
        1.5

    Reference: Huber, "Robust estimation of a location parameter", 1964; Keras, `keras.losses.Huber`.
    """

    def __init__(self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss"):
        super().__init__(name, reduction)
        self.delta = delta

    def elements(self, y_true, y_pred, reduction):
        """Huber's function of the error, reduced."""
        return ops.huber_loss(y_pred, y_true, reduction=reduction, delta=self.delta)


class BinaryCrossentropy(_Elementwise):
    """-y log p - (1 - y) log(1 - p), for yes/no labels, mean over the last axis.

    Args:
        from_logits: whether `y_pred` are logits and p = sigmoid(y_pred). Default False: probabilities, held in
            [1e-7, 1 - 1e-7]. The output of a sigmoid activation of `nncore.keras` is traced back to its logits, so that
            a confident mistake still has a gradient.
        label_smoothing: s moves the labels to y (1 - s) + s / 2. Default 0.0.
        reduction, name: see `Loss`.

    Example:
        >>> round(BinaryCrossentropy()([1.0, 0.0], [0.5, 0.25]).item(), 6)
        0.490415

    Reference: Keras, `keras.losses.BinaryCrossentropy`.
    """

    def __init__(
        self, from_logits=False, label_smoothing=0.0, reduction="sum_over_batch_size", name="binary_crossentropy"
    ):
        super().__init__(name, reduction)
        self.from_logits = from_logits
        self.label_smoothing = _checked_smoothing(type(self).__name__, label_smoothing)

    def elements(self, y_true, y_pred, reduction):
        """Binary cross-entropy of each element, reduced."""
        if self.label_smoothing:
            y_true = y_true * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        logits = y_pred if self.from_logits else logits_of(y_pred)
        if logits is not None:
            return ops.binary_cross_entropy_with_logits(logits, y_true, reduction=reduction)
        return ops.binary_cross_entropy(ops.clamp(y_pred, EPSILON, 1.0 - EPSILON), y_true, reduction=reduction)


class CategoricalCrossentropy(Loss):
    """-sum_c y_c log p_c, for one-hot labels (or class probabilities) of shape `(batch, ..., classes)`.

    Args:
        from_logits: whether `y_pred` are logits and p = softmax(y_pred). Default False: probabilities, divided by their
            sum and held in [1e-7, 1 - 1e-7]. The output of a softmax activation of `nncore.keras` is traced back to its
            logits, so that a confident mistake still has a gradient.
        label_smoothing: s moves the labels to y (1 - s) + s / classes. Default 0.0.
        reduction, name: see `Loss`.

    Example:
        >>> round(CategoricalCrossentropy()([[0.0, 1.0]], [[0.25, 0.75]]).item(), 6)
        0.287682

    Reference: Keras, `keras.losses.CategoricalCrossentropy`.
    """

    def __init__(
        self, from_logits=False, label_smoothing=0.0, reduction="sum_over_batch_size", name="categorical_crossentropy"
    ):
        super().__init__(name, reduction)
        self.from_logits = from_logits
        self.label_smoothing = _checked_smoothing(type(self).__name__, label_smoothing)

    def call(self, y_true, y_pred):
        """Losses of the samples; see `Loss`."""
        return self._losses(y_true, y_pred, "none").reshape(y_pred.shape[:-1])

    def mean(self, y_true, y_pred):
        """Their mean; see `Loss`."""
        return self._losses(y_true, y_pred, "mean")

    def _losses(self, y_true, y_pred, reduction):
        if y_true.shape != y_pred.shape:
            integers = y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1
            hint = "; integer class labels want 'sparse_categorical_crossentropy'" if integers else ""
            raise ValueError(
                f"{self.name}: argument 'y_true' has shape {y_true.shape}, expected {y_pred.shape} as 'y_pred'{hint}"
            )
        classes = y_pred.shape[-1]
        target = _rows(y_true.to(y_pred.dtype))
        logits = y_pred if self.from_logits else logits_of(y_pred)
        if logits is not None:
            smoothing = self.label_smoothing
            return ops.cross_entropy(_rows(logits), target, reduction=reduction, label_smoothing=smoothing)
        if self.label_smoothing:
            target = target * (1.0 - self.label_smoothing) + self.label_smoothing / classes
        losses = -(target * _log_of_probabilities(_rows(y_pred))).sum(dim=-1)
        return losses.mean() if reduction == "mean" else losses


class SparseCategoricalCrossentropy(Loss):
    """-log p_y, for integer class labels y of shape `(batch, ...)` or `(batch, ..., 1)`.

    Args:
        from_logits: whether `y_pred` are logits, see `CategoricalCrossentropy`. Default False.
        ignore_class: a label whose samples do not count. Default None.
        reduction, name: see `Loss`.

    Example:
        >>> round(SparseCategoricalCrossentropy()([1], [[0.25, 0.75]]).item(), 6)
        0.287682

    Reference: Keras, `keras.losses.SparseCategoricalCrossentropy`.
    """

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        name="sparse_categorical_crossentropy",
    ):
        super().__init__(name, reduction)
        self.from_logits = from_logits
        self.ignore_class = ignore_class

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss of a batch; see `Loss`. Ignored samples do not count in the mean."""
        if self.ignore_class is None or sample_weight is None or self.reduction not in ("sum_over_batch_size", "mean"):
            return super().__call__(y_true, y_pred, sample_weight)
        y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
        total = reduce(self.call(y_true, y_pred), sample_weight, "sum")
        return total * (1.0 / max(1, int((y_true.array != self.ignore_class).sum())))

    def call(self, y_true, y_pred):
        """Losses of the samples; see `Loss`."""
        return self._losses(y_true, y_pred, "none").reshape(y_pred.shape[:-1])

    def mean(self, y_true, y_pred):
        """Their mean; see `Loss`."""
        return self._losses(y_true, y_pred, "mean")

    def _losses(self, y_true, y_pred, reduction):
        batch = y_pred.shape[:-1]
        if y_true.shape not in (batch, batch + (1,)):
            hint = "; one-hot labels want 'categorical_crossentropy'" if y_true.shape == y_pred.shape else ""
            raise ValueError(f"{self.name}: argument 'y_true' has shape {y_true.shape}, expected {batch}{hint}")
        target = y_true.to(np.int64)
        target = target if target.ndim == 1 else target.reshape(-1)
        ignore_index = -100 if self.ignore_class is None else self.ignore_class
        logits = y_pred if self.from_logits else logits_of(y_pred)
        if logits is not None:
            return ops.cross_entropy(_rows(logits), target, ignore_index=ignore_index, reduction=reduction)
        log_probabilities = _log_of_probabilities(_rows(y_pred))
        return ops.nll_loss(log_probabilities, target, ignore_index=ignore_index, reduction=reduction)


def logits_of(y):
    """What a softmax or sigmoid activation of `nncore.keras` made `y` from, or None."""
    return getattr(y, "logits", None)


def _rows(x):
    """`x` with two axes, the last one kept."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def _log_of_probabilities(p):
    return (p / p.sum(dim=-1, keepdim=True)).clamp(EPSILON, 1.0 - EPSILON).log()


def _checked_smoothing(name, value):
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name}: argument 'label_smoothing' is {value}, expected a number in [0, 1]")
    return value


def mean_squared_error(y_true, y_pred):
    """mean((y_true - y_pred)^2) over the last axis, one per sample; see `MeanSquaredError`."""
    return MeanSquaredError(reduction="none")(y_true, y_pred)


def mean_absolute_error(y_true, y_pred):
    """mean(|y_true - y_pred|) over the last axis, one per sample; see `MeanAbsoluteError`."""
    return MeanAbsoluteError(reduction="none")(y_true, y_pred)


def huber(y_true, y_pred, delta=1.0):
    """Huber's function of the errors, mean over the last axis, one per sample; see `Huber`."""
    return Huber(delta, reduction="none")(y_true, y_pred)


def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0):
    """Binary cross-entropy, mean over the last axis, one per sample; see `BinaryCrossentropy`."""
    return BinaryCrossentropy(from_logits, label_smoothing, reduction="none")(y_true, y_pred)


def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0):
    """Cross-entropy with one-hot labels, one per sample; see `CategoricalCrossentropy`."""
    return CategoricalCrossentropy(from_logits, label_smoothing, reduction="none")(y_true, y_pred)


def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, ignore_class=None):
    """Cross-entropy with integer labels, one per sample; see `SparseCategoricalCrossentropy`."""
    return SparseCategoricalCrossentropy(from_logits, ignore_class, reduction="none")(y_true, y_pred)


LOSSES = {
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "huber": Huber,
    "huber_loss": Huber,
    "bce": BinaryCrossentropy,
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
}

_FUNCTIONS = {
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
    huber: Huber,
    binary_crossentropy: BinaryCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
}


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
        if isinstance(
            self.module, (nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss, nn.BCELoss, nn.BCEWithLogitsLoss)
        ):
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
        return isinstance(loss.module, nn.BCEWithLogitsLoss)
    return isinstance(loss, BinaryCrossentropy) and loss.from_logits


def is_binary(loss):
    """Whether the loss is made for yes/no labels."""
    if isinstance(loss, ModuleLoss):
        return isinstance(loss.module, (nn.BCELoss, nn.BCEWithLogitsLoss))
    return isinstance(loss, BinaryCrossentropy)
