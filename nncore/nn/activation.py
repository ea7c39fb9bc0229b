"""Activations as modules. `inplace` is accepted as in torch; the result is a new tensor either way."""

from nncore.nn import functional as F
from nncore.nn.module import Module


class _InplaceActivation(Module):
    """An activation without parameters of its own, and torch's `inplace`."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def extra_repr(self):
        """The configuration, for repr."""
        return "inplace=True" if self.inplace else ""


class ReLU(_InplaceActivation):
    """y = max(x, 0).

    Example:
        >>> import nncore
        >>> nncore.nn.ReLU()(nncore.tensor([-1.0, 2.0]))
        tensor([0., 2.])

    Reference: torch.nn.ReLU.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.relu(input)


class ReLU6(_InplaceActivation):
    """y = min(max(x, 0), 6).

    Example:
        >>> import nncore
        >>> nncore.nn.ReLU6()(nncore.tensor([-1.0, 7.0]))
        tensor([0., 6.])

    Reference: torch.nn.ReLU6.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.relu6(input)


class SiLU(_InplaceActivation):
    """y = x sigmoid(x).

    Example:
        >>> import nncore
        >>> nncore.nn.SiLU()(nncore.zeros(1))
        tensor([0.])

    Reference: torch.nn.SiLU; Elfwing, Uchibe & Doya 2018.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.silu(input)


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope x.

    Args:
        negative_slope: Default: 0.01.
        inplace: Default: False.

    Example:
        >>> import nncore
        >>> nncore.nn.LeakyReLU(0.5)(nncore.tensor([-1.0, 2.0]))
        tensor([-0.5000,  2.0000])

    Reference: torch.nn.LeakyReLU.
    """

    def __init__(self, negative_slope=0.01, inplace=False):
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input):
        """Compute the output; see the class."""
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """y = x where x > 0, else alpha (exp(x) - 1).

    Args:
        alpha: Default: 1.0.
        inplace: Default: False.

    Example:
        >>> import nncore
        >>> nncore.nn.ELU()(nncore.tensor([0.0, 2.0]))
        tensor([0., 2.])

    Reference: torch.nn.ELU; Clevert, Unterthiner & Hochreiter 2016.
    """

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input):
        """Compute the output; see the class."""
        return F.elu(input, self.alpha)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """y = x Phi(x), Phi the normal distribution function.

    Args:
        approximate: "none", or "tanh" for x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Default: "none".

    Example:
        >>> import nncore
        >>> nncore.nn.GELU()(nncore.zeros(1))
        tensor([0.])

    Reference: torch.nn.GELU; Hendrycks & Gimpel 2016.
    """

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input):
        """Compute the output; see the class."""
        return F.gelu(input, self.approximate)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x)).

    Example:
        >>> import nncore
        >>> nncore.nn.Sigmoid()(nncore.zeros(1))
        tensor([0.5000])

    Reference: torch.nn.Sigmoid.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.sigmoid(input)


class Tanh(Module):
    """y = tanh(x).

    Example:
        >>> import nncore
        >>> nncore.nn.Tanh()(nncore.zeros(1))
        tensor([0.])

    Reference: torch.nn.Tanh.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.tanh(input)


class Softplus(Module):
    """y = log(1 + exp(beta x)) / beta, and x where beta x > threshold.

    Args:
        beta: Default: 1.0.
        threshold: Default: 20.0.

    Example:
        >>> import nncore
        >>> nncore.nn.Softplus()(nncore.zeros(1))
        tensor([0.6931])

    Reference: torch.nn.Softplus.
    """

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input):
        """Compute the output; see the class."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(Module):
    """y = min(max(x, min_val), max_val).

    Args:
        min_val: Default: -1.0.
        max_val: Default: 1.0.
        inplace: Default: False.

    Example:
        >>> import nncore
        >>> nncore.nn.Hardtanh()(nncore.tensor([-3.0, 0.5]))
        tensor([-1.0000,  0.5000])

    Reference: torch.nn.Hardtanh.
    """

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False):
        super().__init__()
        if max_val <= min_val:
            raise ValueError(f"Hardtanh: argument 'max_val' is {max_val}, expected more than min_val={min_val}")
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input):
        """Compute the output; see the class."""
        return F.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class Softmax(Module):
    """y = exp(x) / sum exp(x) along one axis.

    Args:
        dim: the axis. Default: None, an implicit choice with a warning.

    Example:
        >>> import nncore
        >>> nncore.nn.Softmax(dim=1)(nncore.zeros(1, 4))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])

    Reference: torch.nn.Softmax.
    """

    def __init__(self, dim=None):
        super().__init__()
        self.dim = dim

    def forward(self, input):
        """Compute the output; see the class."""
        return F.softmax(input, self.dim)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """y = log(exp(x) / sum exp(x)) along one axis.

    Args:
        dim: the axis. Default: None, an implicit choice with a warning.

    Example:
        >>> import nncore
        >>> nncore.nn.LogSoftmax(dim=1)(nncore.zeros(1, 2))
        tensor([[-0.6931, -0.6931]])

    Reference: torch.nn.LogSoftmax.
    """

    def __init__(self, dim=None):
        super().__init__()
        self.dim = dim

    def forward(self, input):
        """Compute the output; see the class."""
        return F.log_softmax(input, self.dim)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"dim={self.dim}"
