"""Losses as modules. `size_average` and `reduce` are torch's older words for `reduction`."""

from nncore.nn import functional as F
from nncore.nn.arguments import reduction_of
from nncore.nn.module import Module


class _Loss(Module):
    def __init__(self, size_average=None, reduce=None, reduction="mean"):
        super().__init__()
        self.reduction = reduction_of(size_average, reduce, reduction)


class _WeightedLoss(_Loss):
    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class MSELoss(_Loss):
    """(input - target)^2.

    Args:
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Shapes: (...), (...) -> () or, with "none", (...).

    Example:
        >>> import nncore
        >>> nncore.nn.MSELoss()(nncore.ones(3), nncore.zeros(3)).item()
        1.0

    Reference: torch.nn.MSELoss.
    """

    def forward(self, input, target):
        """The loss; see the class."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|input - target|.

    Args:
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Shapes: (...), (...) -> () or, with "none", (...).

    Example:
        >>> import nncore
        >>> nncore.nn.L1Loss(reduction="sum")(nncore.ones(3), nncore.zeros(3)).item()
        3.0

    Reference: torch.nn.L1Loss.
    """

    def forward(self, input, target):
        """The loss; see the class."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, with d = input - target.

    Args:
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".
        beta: where the parabola ends. Default: 1.0.

    Shapes: (...), (...) -> () or, with "none", (...).

    Example:
        >>> import nncore
        >>> nncore.nn.SmoothL1Loss()(nncore.ones(3), nncore.zeros(3)).item()
        0.5

    Reference: torch.nn.SmoothL1Loss.
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", beta=1.0):
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input, target):
        """The loss; see the class."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = input - target.

    Args:
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".
        delta: where the parabola ends. Default: 1.0.

    Shapes: (...), (...) -> () or, with "none", (...).

    Example:
        >>> import nncore
        >>> nncore.nn.HuberLoss(delta=2.0)(nncore.ones(3), nncore.zeros(3)).item()
        0.5

    Reference: torch.nn.HuberLoss; Huber 1964.
    """

    def __init__(self, reduction="mean", delta=1.0):
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input, target):
        """The loss; see the class."""
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCELoss(_WeightedLoss):
    """-(target log(input) + (1 - target) log(1 - input)), input a probability; logarithms are held at -100.

    Args:
        weight: Tensor that the losses are multiplied with. Default: None.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Shapes: (...), (...) -> () or, with "none", (...).

    Example:
        >>> import nncore
        >>> round(nncore.nn.BCELoss()(nncore.full((2,), 0.5), nncore.ones(2)).item(), 4)
        0.6931

    Reference: torch.nn.BCELoss.
    """

    def forward(self, input, target):
        """The loss; see the class."""
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """BCELoss of sigmoid(input), without overflow.

    Args:
        weight: Tensor that the losses are multiplied with. Default: None.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".
        pos_weight: Tensor that multiplies the term of target 1. Default: None.

    Shapes: (...), (...) -> () or, with "none", (...).

    Example:
        >>> import nncore
        >>> round(nncore.nn.BCEWithLogitsLoss()(nncore.zeros(2), nncore.ones(2)).item(), 4)
        0.6931

    Reference: torch.nn.BCEWithLogitsLoss.
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None):
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input, target):
        """The loss; see the class."""
        return F.binary_cross_entropy_with_logits(
            input, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class CrossEntropyLoss(_WeightedLoss):
    """-log softmax(input)[target], fused and without overflow.

    Args:
        weight: (C,) Tensor, a factor for each class. Default: None.
        ignore_index: a target that counts as nothing. Default: -100.
        reduction: "mean" (weighted), "sum", "none" or "half_mean". Default: "mean".
        label_smoothing: share of the target that is spread over all classes. Default: 0.0.

    Shapes: (N, C) logits and (N,) int64 classes, or (N, C) probabilities -> () or, with "none", (N,).

    Example:
        >>> import nncore
        >>> loss = nncore.nn.CrossEntropyLoss()(nncore.zeros(2, 10), nncore.tensor([3, 7]))
        >>> round(loss.item(), 4)
        2.3026

    Reference: torch.nn.CrossEntropyLoss.
    """

    def __init__(
        self,
        weight=None,
        size_average=None,
        ignore_index=-100,
        reduce=None,
        reduction="mean",
        label_smoothing=0.0,
    ):
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input, target):
        """The loss; see the class."""
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_WeightedLoss):
    """-input[target], input the logarithm of probabilities.

    Args:
        weight: (C,) Tensor, a factor for each class. Default: None.
        ignore_index: a target that counts as nothing. Default: -100.
        reduction: "mean" (weighted), "sum", "none" or "half_mean". Default: "mean".

    Shapes: (N, C) and (N,) int64 classes -> () or, with "none", (N,).

    Example:
        >>> import nncore
        >>> nncore.nn.NLLLoss()(nncore.tensor([[-1.0, -2.0]]), nncore.tensor([1])).item()
        2.0

    Reference: torch.nn.NLLLoss.
    """

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        """The loss; see the class."""
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class KLDivLoss(_Loss):
    """target (log target - input), input the logarithm of probabilities.

    Args:
        reduction: "mean" (over all elements), "batchmean" (the divergence itself), "sum", "none" or "half_mean".
            Default: "mean".
        log_target: whether target holds logarithms. Default: False.

    Shapes: (...), (...) -> () or, with "none", (...).

    Example:
        >>> import nncore
        >>> p = nncore.tensor([[0.5, 0.5]])
        >>> nncore.nn.KLDivLoss(reduction="batchmean")(p.log(), p).item()
        0.0

    Reference: torch.nn.KLDivLoss; Kullback & Leibler 1951.
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", log_target=False):
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input, target):
        """The loss; see the class."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """exp(input) - target input: the likelihood of counts under Poisson's law, input the logarithm of the rate.

    Args:
        log_input: False: input is the rate, the loss input - target log(input + eps). Default: True.
        full: whether log(target!) by Stirling's formula is added. Default: False.
        eps: Default: 1e-8.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Shapes: (...), (...) -> () or, with "none", (...).

    Example:
        >>> import nncore
        >>> nncore.nn.PoissonNLLLoss()(nncore.zeros(3), nncore.ones(3)).item()
        1.0

    Reference: torch.nn.PoissonNLLLoss.
    """

    def __init__(self, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input, target):
        """The loss; see the class."""
        return F.poisson_nll_loss(
            log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """(log var + (input - target)^2 / var) / 2: the likelihood under a normal distribution.

    Args:
        full: whether log(2 pi) / 2 is added. Default: False.
        eps: variances are held at this and above. Default: 1e-6.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Shapes: (..., D), (..., D), (..., D) or (..., 1) or (...) -> () or, with "none", (..., D).

    Example:
        >>> import nncore
        >>> nncore.nn.GaussianNLLLoss()(nncore.zeros(3), nncore.ones(3), nncore.ones(3)).item()
        0.5

    Reference: torch.nn.GaussianNLLLoss; Nix & Weigend 1994.
    """

    def __init__(self, *, full=False, eps=1e-6, reduction="mean"):
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input, target, var):
        """The loss; see the class."""
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)
