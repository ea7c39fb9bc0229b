"""Losses that ask for a margin or an angle, and the distances they use, as modules."""

from nncore.nn import functional as F
from nncore.nn.loss import _Loss
from nncore.nn.module import Module


class SoftMarginLoss(_Loss):
    """log(1 + exp(-target input)), target -1 or 1.

    Args:
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Shapes: (...), (...) -> () or, with "none", (...).

    Example:
        >>> import nncore
        >>> round(nncore.nn.SoftMarginLoss()(nncore.zeros(3), nncore.ones(3)).item(), 4)
        0.6931

    Reference: torch.nn.SoftMarginLoss.
    """

    def forward(self, input, target):
        """The loss; see the class."""
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """max(0, margin - target (input1 - input2)), target -1 or 1.

    Args:
        margin: Default: 0.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Shapes: (...), (...), (...) -> () or, with "none", (...).

    Example:
        >>> import nncore
        >>> nncore.nn.MarginRankingLoss(margin=0.5)(nncore.ones(2), nncore.zeros(2), -nncore.ones(2)).item()
        1.5

    Reference: torch.nn.MarginRankingLoss.
    """

    def __init__(self, margin=0.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        """The loss; see the class."""
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the distance in the p-norm.

    Args:
        margin: positive. Default: 1.
        p: order of the norm. Default: 2.
        eps: added to the differences. Default: 1e-6.
        swap: whether d(positive, negative) counts where it is the smaller. Default: False.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Shapes: (N, D) or (D,), three times -> () or, with "none", (N,) or ().

    Example:
        >>> import nncore
        >>> a, n = nncore.zeros(1, 2), nncore.tensor([[3.0, 4.0]])
        >>> round(nncore.nn.TripletMarginLoss(margin=6.0)(a, a, n).item(), 4)
        1.0

    Reference: torch.nn.TripletMarginLoss; Balntas et al. 2016.
    """

    def __init__(self, margin=1.0, p=2.0, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        if not margin > 0:
            raise ValueError(f"TripletMarginLoss: argument 'margin' is {margin}, expected a positive number")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor, positive, negative):
        """The loss; see the class."""
        options = {"margin": self.margin, "p": self.p, "eps": self.eps, "swap": self.swap}
        return F.triplet_margin_loss(anchor, positive, negative, **options, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """1 - cos where target is 1, max(0, cos - margin) where it is -1; cos is that of the angle between the inputs.

    Args:
        margin: -1 to 1. Default: 0.
        reduction: "mean", "sum", "none" or "half_mean" (half of the mean). Default: "mean".

    Shapes: (N, D), (N, D), (N,) -> () or, with "none", (N,).

    Example:
        >>> import nncore
        >>> a = nncore.tensor([[1.0, 0.0]])
        >>> nncore.nn.CosineEmbeddingLoss(margin=0.25)(a, a, nncore.tensor([-1.0])).item()
        0.75

    Reference: torch.nn.CosineEmbeddingLoss.
    """

    def __init__(self, margin=0.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        """The loss; see the class."""
        return F.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineSimilarity(Module):
    """The cosine of the angle between two vectors.

    Args:
        dim: axis of the vectors. Default: 1.
        eps: norms are held at this and above. Default: 1e-8.

    Shapes: (..., D, ...), (..., D, ...) -> without the axis D.

    Example:
        >>> import nncore
        >>> nncore.nn.CosineSimilarity()(nncore.tensor([[1.0, 0.0]]), nncore.tensor([[1.0, 1.0]]))
        tensor([0.7071])

    Reference: torch.nn.CosineSimilarity.
    """

    def __init__(self, dim=1, eps=1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1, x2):
        """The cosines; see the class."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps over the last axis.

    Args:
        p: order of the norm. Default: 2.
        eps: Default: 1e-6.
        keepdim: keep the last axis with size 1. Default: False.

    Shapes: (N, D), (N, D) -> (N,) or, with keepdim, (N, 1).

    Example:
        >>> import nncore
        >>> nncore.nn.PairwiseDistance()(nncore.zeros(1, 2), nncore.tensor([[3.0, 4.0]]))
        tensor([5.0000])

    Reference: torch.nn.PairwiseDistance.
    """

    def __init__(self, p=2.0, eps=1e-6, keepdim=False):
        super().__init__()
        self.p, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1, x2):
        """The distances; see the class."""
        return F.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)
