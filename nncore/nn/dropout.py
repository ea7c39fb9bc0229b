"""Dropout."""

from nncore.nn import functional as F
from nncore.nn.module import Module


class Dropout(Module):
    """In training: x / (1 - p) with probability 1 - p, else 0. In evaluation: x.

    Args:
        p: probability of a zero. Default: 0.5.
        inplace: accepted as in torch; the result is a new tensor either way. Default: False.

    Example:
        >>> import nncore
        >>> nncore.nn.Dropout(0.2).eval()(nncore.ones(3))
        tensor([1., 1., 1.])

    Reference: torch.nn.Dropout; Srivastava et al. 2014.
    """

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input):
        """Compute the output; see the class."""
        return F.dropout(input, self.p, self.training)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"p={self.p}, inplace={self.inplace}"
