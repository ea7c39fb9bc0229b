"""Losses that are likelihoods or distances of distributions: Kullback-Leibler, Poisson, Gaussian. Composed of other ops."""

import math

import numpy as np

from nncore.ops.broadcast import eq, where
from nncore.ops.convert import as_tensor, cast
from nncore.ops.loss import REDUCTIONS, reduce_losses, same_shape
from nncore.ops.pointwise import clamp, exp, log
from nncore.ops.reduce import sum as sum_of


def kl_div(input, target, reduction="mean", log_target=False):
    """Kullback-Leibler divergence: target (log target - input), input the logarithm of probabilities.

    Args:
        input: Tensor of log-probabilities.
        target: Tensor of probabilities of the same shape, or with log_target of their logarithms.
        reduction: "mean" (over all elements), "batchmean" (their sum by the size of the first axis, the divergence itself),
            "sum", "none" or "half_mean". Default: "mean".
        log_target: whether target holds logarithms. Default: False.

    Returns:
        Tensor without dimensions, or of the inputs' shape for "none".

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.

    Example:
        >>> import nncore
        >>> p, q = nncore.tensor([[0.5, 0.5]]), nncore.tensor([[0.25, 0.75]])
        >>> nncore.nn.functional.kl_div(q.log(), p, reduction="batchmean")
        tensor(0.1438)

    Reference: Kullback & Leibler 1951.
    """
    input, target = same_shape("kl_div", input, target)
    if reduction not in (*REDUCTIONS, "batchmean"):
        raise ValueError(
            f"kl_div: argument 'reduction' is {reduction!r}, expected one of "
            f"{', '.join(map(repr, (*REDUCTIONS, 'batchmean')))}"
        )
    if log_target:
        losses = exp(target) * (target - input)
    else:  # 0 log 0 is 0
        losses = target * log(where(eq(target, 0), 1.0, target)) - target * input
    if reduction == "batchmean":
        if input.array.ndim == 0:
            raise ValueError("kl_div: argument 'input' has shape (), expected a first axis for reduction 'batchmean'")
        return sum_of(losses) * (1 / max(1, input.array.shape[0]))
    return reduce_losses("kl_div", losses, reduction)


def poisson_nll_loss(input, target, log_input=True, full=False, eps=1e-8, reduction="mean"):
    """Negative log-likelihood of counts under Poisson's law with rate exp(input): exp(input) - target input.

    Args:
        input: Tensor, the logarithm of the rate; without log_input the rate itself: input - target log(input + eps).
        target: Tensor of counts of the same shape.
        log_input: Default: True.
        full: whether log(target!) by Stirling's formula is added where target > 1. Default: False.
        eps: keeps the logarithm from 0 without log_input. Default: 1e-8.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Returns:
        Tensor without dimensions, or of the inputs' shape for "none".

    Example:
        >>> import nncore
        >>> nncore.nn.functional.poisson_nll_loss(nncore.tensor([0.0]), nncore.tensor([2.0]))
        tensor(1.)
    """
    input, target = same_shape("poisson_nll_loss", input, target)
    losses = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        counts = where(target > 1, target, 1.0)
        stirling = counts * log(counts) - counts + 0.5 * log(counts * (2 * math.pi))
        losses = losses + where(target > 1, stirling, 0.0)
    return reduce_losses("poisson_nll_loss", losses, reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """Negative log-likelihood under a normal distribution: (log var + (input - target)^2 / var) / 2.

    Args:
        input: Tensor of means.
        target: Tensor of the same shape.
        var: Tensor of variances: of the same shape, with a last axis of 1, without the last axis, or a number.
        full: whether log(2 pi) / 2 is added. Default: False.
        eps: variances are held at this and above; the gradient does not see it. Default: 1e-6.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Returns:
        Tensor without dimensions, or of the inputs' shape for "none".

    Raises:
        ValueError: shapes do not fit, or a variance is negative (in a replay the loss is NaN then).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.gaussian_nll_loss(nncore.zeros(1), nncore.tensor([2.0]), nncore.ones(1))
        tensor(2.)

    Reference: Nix & Weigend 1994.
    """
    op = "gaussian_nll_loss"
    input, target = same_shape(op, input, target)
    var = cast(as_tensor(var), input.array.dtype)
    shape = input.array.shape
    if var.array.shape not in ((), shape):
        if var.array.shape not in (shape[:-1], (*shape[:-1], 1)):
            raise ValueError(f"{op}: argument 'var' has shape {var.array.shape}, expected {shape} as 'input'")
        var = var.reshape(*shape[:-1], 1)
    if not eps > 0:
        raise ValueError(f"{op}: argument 'eps' is {eps}, expected a positive number")
    if np.any(var.array < 0):
        raise ValueError(f"{op}: argument 'var' holds {var.array.min()}, expected 0 or more")
    held = var.detach()
    held = where(held >= 0, clamp(held, min=eps) - held, math.nan)  # what a variance lacks
    var = var + held
    losses = 0.5 * (log(var) + (input - target).square() / var)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduce_losses(op, losses, reduction)


__all__ = ["gaussian_nll_loss", "kl_div", "poisson_nll_loss"]
