"""Dropout."""

from nncore.nn import functional as F
from nncore.nn.module import Module


class _Dropout(Module):
    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self):
        """The configuration, for repr."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training: x / (1 - p) with probability 1 - p, else 0. In evaluation: x.

    Args:
        p: probability of a zero. Default: 0.5.
        inplace: accepted as in torch; the result is a new tensor either way. Default: False.
        scale: when outputs are scaled so that the means agree: "train", by 1 / (1 - p), as all frameworks do; or "test",
            by 1 - p in evaluation, while training keeps x or 0, as the first paper did. Default: "train".

    Example:
        >>> import nncore
        >>> nncore.nn.Dropout(0.2).eval()(nncore.ones(3))
        tensor([1., 1., 1.])
        >>> nncore.nn.Dropout(0.2, scale="test").eval()(nncore.ones(3))
        tensor([0.8000, 0.8000, 0.8000])

    Reference: torch.nn.Dropout, but for `scale`; Srivastava et al. 2014; Hinton et al. 2012.
    """

    def __init__(self, p=0.5, inplace=False, *, scale="train"):
        super().__init__(p, inplace)
        if scale not in ("train", "test"):
            raise ValueError(f"Dropout: argument 'scale' is {scale!r}, expected 'train' or 'test'")
        self.scale = scale

    def forward(self, input):
        """Compute the output; see the class."""
        return F.dropout(input, self.p, self.training, scale=self.scale)

    def extra_repr(self):
        """The configuration, for repr."""
        return super().extra_repr() + ("" if self.scale == "train" else f", scale={self.scale!r}")


class Dropout1d(_Dropout):
    """Dropout of whole channels of a series: neighbours in it say the same, so that single zeros teach nothing.

    Args:
        p: probability of a zero channel. Default: 0.5.
        inplace: accepted as in torch; the result is a new tensor either way. Default: False.

    Shapes: (N, C, L) -> the same. N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.Dropout1d(1.0)(nncore.ones(1, 2, 3)).sum().item()
        0.0

    Reference: torch.nn.Dropout1d; Tompson et al. 2015.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.dropout1d(input, self.p, self.training)


class Dropout2d(_Dropout):
    """Dropout of whole channels of an image.

    Args:
        p, inplace: as those of Dropout1d.

    Shapes: (N, C, H, W) -> the same.

    Example:
        >>> import nncore
        >>> nncore.nn.Dropout2d(1.0)(nncore.ones(1, 2, 3, 3)).sum().item()
        0.0

    Reference: torch.nn.Dropout2d; Tompson et al. 2015.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.dropout2d(input, self.p, self.training)
