"""Linear and Identity, and the layers that only change shapes."""

import math

from nncore.nn import functional as F
from nncore.nn import init
from nncore.nn.arguments import check_device, float_dtype
from nncore.nn.module import Module
from nncore.nn.parameter import empty
from nncore.ops.convert import as_tensor


class Linear(Module):
    """y = x weight^T + bias.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        bias: whether to add a bias. Default: True.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Attributes:
        weight: (out_features, in_features), drawn from U(-1/sqrt(in_features), 1/sqrt(in_features)).
        bias: (out_features,), drawn likewise.

    Shapes: (..., in_features) -> (..., out_features).

    Example:
        >>> import nncore
        >>> layer = nncore.nn.Linear(3, 2)
        >>> layer(nncore.ones(5, 3)).shape
        (5, 2)

    Reference: torch.nn.Linear.
    """

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        check_device(device)
        self.in_features = in_features
        self.out_features = out_features
        self._make_parameters(bias, dtype)

    def _make_parameters(self, bias, dtype):
        # Memory is (in, out): the forward and the gradient of x then read it row by row.
        self.weight = empty((self.out_features, self.in_features), dtype, order=(1, 0))
        self.register_parameter("bias", empty((self.out_features,), dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input):
        """Compute the output; see the class."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class _NotThereYet(dict):
    """The parameters of a LazyLinear that has seen no input: asking for them is an error, not an empty list."""

    def items(self):
        raise RuntimeError(
            "LazyLinear: in_features is not known before the first input; call the model on one before you make an optimizer or "
            "ask for its parameters or its state"
        )

    __iter__ = keys = values = items


class LazyLinear(Linear):
    """A Linear that finds in_features in its first input; from then on it is a Linear.

    Args:
        out_features: size of the last axis of the output.
        bias, device, dtype: as in `Linear`.

    Raises:
        RuntimeError: somebody asks for the parameters before the first call.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.LazyLinear(2)
        >>> layer(nncore.ones(5, 3)).shape, layer
        ((5, 2), Linear(in_features=3, out_features=2, bias=True))

    Reference: torch.nn.LazyLinear.
    """

    def __init__(self, out_features, bias=True, device=None, dtype=None):
        Module.__init__(self)
        check_device(device)
        self.in_features, self.out_features = 0, out_features
        self._bias_and_dtype = bias, float_dtype(dtype)
        self._parameters = _NotThereYet()

    def forward(self, input):
        """Become a Linear, and compute its output."""
        self.in_features, self._parameters, self.__class__ = as_tensor(input).shape[-1], {}, Linear
        self._make_parameters(*self.__dict__.pop("_bias_and_dtype"))
        return self.forward(input)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"in_features=0, out_features={self.out_features}, bias={self._bias_and_dtype[0]}"


class Identity(Module):
    """y = x; takes and ignores any arguments.

    Example:
        >>> import nncore
        >>> nncore.nn.Identity()(nncore.ones(2))
        tensor([1., 1.])

    Reference: torch.nn.Identity.
    """

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, input):
        """Compute the output; see the class."""
        return input


class Flatten(Module):
    """One axis in the place of the axes start_dim to end_dim.

    Args:
        start_dim: Default: 1, which keeps the batch.
        end_dim: Default: -1.

    Shapes: (N, ...) -> (N, product).

    Example:
        >>> import nncore
        >>> nncore.nn.Flatten()(nncore.ones(2, 3, 4)).shape
        (2, 12)

    Reference: torch.nn.Flatten.
    """

    def __init__(self, start_dim=1, end_dim=-1):
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input):
        """Compute the output; see the class."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Several axes in the place of one.

    Args:
        dim: the axis.
        unflattened_size: sizes of the new axes, one of which may be -1.

    Example:
        >>> import nncore
        >>> nncore.nn.Unflatten(1, (3, 4))(nncore.ones(2, 12)).shape
        (2, 3, 4)

    Reference: torch.nn.Unflatten.
    """

    def __init__(self, dim, unflattened_size):
        super().__init__()
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input):
        """Compute the output; see the class."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
