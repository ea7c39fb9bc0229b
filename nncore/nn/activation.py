"""Smooth activations as modules. `inplace` is accepted as in torch; the result is a new tensor either way."""

from nncore.nn import functional as F
from nncore.nn.module import Module
from nncore.nn.piecewise import InplaceActivation


class SiLU(InplaceActivation):
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


class CELU(Module):
    """y = x where x > 0, else alpha (exp(x / alpha) - 1).

    Args:
        alpha: not 0. Default: 1.0.
        inplace: Default: False.

    Example:
        >>> import nncore
        >>> nncore.nn.CELU()(nncore.tensor([0.0, 2.0]))
        tensor([0., 2.])

    Reference: torch.nn.CELU; Barron 2017.
    """

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input):
        """Compute the output; see the class."""
        return F.celu(input, self.alpha)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class SELU(InplaceActivation):
    """y = 1.0507 x where x > 0, else 1.7581 (exp(x) - 1).

    Example:
        >>> import nncore
        >>> nncore.nn.SELU()(nncore.tensor([0.0, 2.0]))
        tensor([0.0000, 2.1014])

    Reference: torch.nn.SELU; Klambauer et al. 2017.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.selu(input)


class Mish(InplaceActivation):
    """y = x tanh(softplus(x)).

    Example:
        >>> import nncore
        >>> nncore.nn.Mish()(nncore.zeros(1))
        tensor([0.])

    Reference: torch.nn.Mish; Misra 2019.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.mish(input)


class LogSigmoid(Module):
    """y = -log(1 + exp(-x)).

    Example:
        >>> import nncore
        >>> nncore.nn.LogSigmoid()(nncore.zeros(1))
        tensor([-0.6931])

    Reference: torch.nn.LogSigmoid.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.logsigmoid(input)


class Softsign(Module):
    """y = x / (1 + |x|).

    Example:
        >>> import nncore
        >>> nncore.nn.Softsign()(nncore.tensor([-1.0, 3.0]))
        tensor([-0.5000,  0.7500])

    Reference: torch.nn.Softsign.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.softsign(input)


class Tanhshrink(Module):
    """y = x - tanh(x).

    Example:
        >>> import nncore
        >>> nncore.nn.Tanhshrink()(nncore.zeros(1))
        tensor([0.])

    Reference: torch.nn.Tanhshrink.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.tanhshrink(input)


class GLU(Module):
    """y = a sigmoid(b), a and b the halves of x along one axis.

    Args:
        dim: the axis, of even size. Default: -1.

    Example:
        >>> import nncore
        >>> nncore.nn.GLU()(nncore.tensor([3.0, 0.0]))
        tensor([1.5000])

    Reference: torch.nn.GLU; Dauphin et al. 2017.
    """

    def __init__(self, dim=-1):
        super().__init__()
        self.dim = dim

    def forward(self, input):
        """Compute the output; see the class."""
        return F.glu(input, self.dim)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"dim={self.dim}"


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
