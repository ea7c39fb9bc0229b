"""Losses that ask for a margin or an angle, and the similarities they use. Composed of other ops."""

from nncore.ops.broadcast import eq, maximum, minimum, where
from nncore.ops.convert import as_float, pair
from nncore.ops.create import ones_like, zeros_like
from nncore.ops.loss import binary_cross_entropy_with_logits, reduce_losses, same_shape
from nncore.ops.pointwise import clamp, relu
from nncore.ops.reduce import norm
from nncore.ops.reduce import sum as sum_of


def _floats(op, a, b):
    a, b = pair(op, a, b)
    return as_float(op, a), as_float(op, b)


def soft_margin_loss(input, target, reduction="mean"):
    """Logistic loss of labels -1 and 1: log(1 + exp(-target input)).

    Args:
        input: Tensor of scores.
        target: Tensor of the same shape, -1 or 1.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Returns:
        Tensor without dimensions, or of the inputs' shape for "none".

    Example:
        >>> import nncore
        >>> nncore.nn.functional.soft_margin_loss(nncore.tensor([0.0]), nncore.tensor([1.0]))
        tensor(0.6931)
    """
    input, target = same_shape("soft_margin_loss", input, target)
    agreement = target * input
    return binary_cross_entropy_with_logits(agreement, ones_like(agreement), reduction=reduction)


def margin_ranking_loss(input1, input2, target, margin=0.0, reduction="mean"):
    """max(0, margin - target (input1 - input2)): with target 1 the first shall be larger by the margin, with -1 the second.

    Args:
        input1, input2: Tensors of scores.
        target: Tensor, -1 or 1; the three broadcast.
        margin: Default: 0.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Returns:
        Tensor without dimensions, or of the broadcast shape for "none".

    Example:
        >>> import nncore
        >>> one, two = nncore.tensor([1.0]), nncore.tensor([2.0])
        >>> nncore.nn.functional.margin_ranking_loss(one, two, nncore.tensor([1.0]), margin=0.5)
        tensor(1.5000)
    """
    op = "margin_ranking_loss"
    input1, input2 = _floats(op, input1, input2)
    return reduce_losses(op, relu(margin - target * (input1 - input2)), reduction)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """|x1 - x2 + eps|, the p-norm over the last axis.

    Args:
        x1, x2: Tensors that broadcast, (..., D).
        p: order of the norm. Default: 2.
        eps: Default: 1e-6.
        keepdim: keep the last axis with size 1. Default: False.

    Returns:
        Tensor of shape (...).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.pairwise_distance(nncore.tensor([[0.0, 0.0]]), nncore.tensor([[3.0, 4.0]]))
        tensor([5.0000])
    """
    x1, x2 = _floats("pairwise_distance", x1, x2)
    return norm(x1 - x2 + eps, p, -1, keepdim)


def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, reduction="mean"):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the pairwise_distance.

    Args:
        anchor, positive, negative: Tensors of one shape, (N, D) or (D,).
        margin: positive. Default: 1.
        p, eps: see pairwise_distance.
        swap: whether d(positive, negative) counts where it is the smaller. Default: False.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Returns:
        Tensor without dimensions, or of shape (N,) for "none".

    Raises:
        ValueError: the margin is not positive.

    Example:
        >>> import nncore
        >>> a, n = nncore.zeros(1, 2), nncore.tensor([[3.0, 4.0]])
        >>> nncore.nn.functional.triplet_margin_loss(a, a, n, margin=6.0)
        tensor(1.0000)

    Reference: Balntas et al. 2016.
    """
    op = "triplet_margin_loss"
    if not margin > 0:
        raise ValueError(f"{op}: argument 'margin' is {margin}, expected a positive number")
    anchor, positive = same_shape(op, anchor, positive)
    anchor, negative = same_shape(op, anchor, negative)
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduce_losses(op, relu(margin + near - far), reduction)


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)): the cosine of the angle between two vectors.

    Args:
        x1, x2: Tensors that broadcast.
        dim: axis of the vectors. Default: 1.
        eps: Default: 1e-8.

    Returns:
        Tensor without that axis.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.cosine_similarity(nncore.tensor([[1.0, 0.0]]), nncore.tensor([[1.0, 1.0]]))
        tensor([0.7071])
    """
    x1, x2 = _floats("cosine_similarity", x1, x2)
    first, second = clamp(norm(x1, 2, dim, True), min=eps), clamp(norm(x2, 2, dim, True), min=eps)
    return sum_of((x1 / first) * (x2 / second), dim)


def cosine_embedding_loss(input1, input2, target, margin=0.0, reduction="mean"):
    """1 - cos where target is 1; max(0, cos - margin) where it is -1; cos the cosine_similarity of the inputs.

    Args:
        input1, input2: Tensors of one shape, (N, D) or (D,).
        target: Tensor of shape (N,) or (), -1 or 1.
        margin: -1 to 1. Default: 0.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Returns:
        Tensor without dimensions, or of target's shape for "none".

    Raises:
        ValueError: shapes do not fit.

    Example:
        >>> import nncore
        >>> a = nncore.tensor([[1.0, 0.0]])
        >>> nncore.nn.functional.cosine_embedding_loss(a, a, nncore.tensor([-1.0]), margin=0.25)
        tensor(0.7500)
    """
    op = "cosine_embedding_loss"
    input1, input2 = same_shape(op, input1, input2)
    cosine = cosine_similarity(input1, input2, -1)
    target, cosine = pair(op, target, cosine)
    if target.array.shape != cosine.array.shape:
        raise ValueError(f"{op}: argument 'target' has shape {target.array.shape}, expected {cosine.array.shape}")
    zero = zeros_like(cosine)
    losses = where(eq(target, 1), 1 - cosine, where(eq(target, -1), maximum(cosine - margin, zero), zero))
    return reduce_losses(op, losses, reduction)


__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "margin_ranking_loss",
    "pairwise_distance",
    "soft_margin_loss",
    "triplet_margin_loss",
]
