"""What losses in Keras's words share: one number per sample, weights, reductions."""

from ...ops.convert import as_tensor, cast

EPSILON = 1e-7  # probabilities are held in [EPSILON, 1 - EPSILON] before the logarithm, as in Keras

MEANS = ("sum_over_batch_size", "mean", "half_mean")
REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "none", None, "half_mean")


class Loss:
    """Base class of losses: one number per sample, reduced over the batch.

    A subclass defines `call(y_true, y_pred)`, which returns the losses of the samples, shape `(batch, ...)`.

    Args:
        name: name shown to people; by default the class name.
        reduction: `"sum_over_batch_size"` (the default, = `"mean"`): sum / number of losses; `"sum"`; `"none"`;
            `"half_mean"`: half of the mean, the 1 / (2 m) form of squared errors.

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
        if getattr(y_pred, "_keras_mask", None) is not None:
            raise ValueError(
                f"{self.name}: argument 'y_pred' has the mask of a Masking or Embedding layer, which losses and metrics do not "
                "take; let a recurrent layer without return_sequences or GlobalAveragePooling1D end it"
            )
        if sample_weight is None and self.reduction in MEANS:
            mean = self.mean(y_true, y_pred)
            return mean * 0.5 if self.reduction == "half_mean" else mean
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
        reduction: one of `REDUCTIONS`, or "batchmean": the sum by the size of the batch. The mean divides by the number of losses, not by the sum of the weights.
    """
    if sample_weight is not None:
        weight = cast(as_tensor(sample_weight), losses.dtype)
        if weight.ndim > losses.ndim or weight.shape != losses.shape[: weight.ndim]:
            raise ValueError(f"loss: argument 'sample_weight' has shape {weight.shape}, expected ({losses.shape[0]},)")
        losses = losses * weight.reshape(weight.shape + (1,) * (losses.ndim - weight.ndim))
    if reduction in ("sum_over_batch_size", "mean"):
        return losses.mean()
    if reduction == "half_mean":
        return losses.mean() * 0.5
    if reduction == "batchmean":
        return losses.sum() * (1.0 / max(1, losses.shape[0]))
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


class Elementwise(Loss):
    """A loss that is the mean over the last axis of something computed for each element."""

    def elements(self, y_true, y_pred, reduction):
        """The losses of the elements, reduced: "none" or "mean"."""
        raise NotImplementedError

    def call(self, y_true, y_pred):
        """Losses of the samples; see `Loss`."""
        losses = self.elements(match(self.name, y_true, y_pred), y_pred, "none")
        return losses.mean(dim=-1) if losses.ndim > 1 else losses

    def mean(self, y_true, y_pred):
        """Their mean; see `Loss`."""
        return self.elements(match(self.name, y_true, y_pred), y_pred, "mean")
