"""Activations made of straight pieces. `inplace` is accepted as in torch; the result is a new tensor either way."""

from nncore.nn import functional as F
from nncore.nn.arguments import check_device
from nncore.nn.init import constant_
from nncore.nn.module import Module
from nncore.nn.parameter import empty


class InplaceActivation(Module):
    """An activation without parameters of its own, and torch's `inplace`."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def extra_repr(self):
        """The configuration, for repr."""
        return "inplace=True" if self.inplace else ""


class ReLU(InplaceActivation):
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


class ReLU6(InplaceActivation):
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


class Hardsigmoid(InplaceActivation):
    """y = min(max(x + 3, 0), 6) / 6.

    Example:
        >>> import nncore
        >>> nncore.nn.Hardsigmoid()(nncore.tensor([-4.0, 0.0]))
        tensor([0.0000, 0.5000])

    Reference: torch.nn.Hardsigmoid.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.hardsigmoid(input)


class Hardswish(InplaceActivation):
    """y = x min(max(x + 3, 0), 6) / 6.

    Example:
        >>> import nncore
        >>> nncore.nn.Hardswish()(nncore.tensor([-4.0, 4.0]))
        tensor([0., 4.])

    Reference: torch.nn.Hardswish; Howard et al. 2019.
    """

    def forward(self, input):
        """Compute the output; see the class."""
        return F.hardswish(input)


class Hardshrink(Module):
    """y = x where |x| > lambd, else 0.

    Args:
        lambd: Default: 0.5.

    Example:
        >>> import nncore
        >>> nncore.nn.Hardshrink()(nncore.tensor([-1.0, 0.25]))
        tensor([-1.,  0.])

    Reference: torch.nn.Hardshrink.
    """

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input):
        """Compute the output; see the class."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"{self.lambd}"


class Softshrink(Module):
    """y = x drawn towards 0 by lambd, and 0 where |x| <= lambd.

    Args:
        lambd: 0 or more. Default: 0.5.

    Example:
        >>> import nncore
        >>> nncore.nn.Softshrink()(nncore.tensor([-1.0, 0.25]))
        tensor([-0.5000,  0.0000])

    Reference: torch.nn.Softshrink.
    """

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input):
        """Compute the output; see the class."""
        return F.softshrink(input, self.lambd)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"{self.lambd}"


class Threshold(Module):
    """y = x where x > threshold, else value.

    Args:
        threshold: where x begins to pass.
        value: what stands below.
        inplace: Default: False.

    Example:
        >>> import nncore
        >>> nncore.nn.Threshold(1.0, 20.0)(nncore.tensor([0.5, 2.0]))
        tensor([20.,  2.])

    Reference: torch.nn.Threshold.
    """

    def __init__(self, threshold, value, inplace=False):
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input):
        """Compute the output; see the class."""
        return F.threshold(input, self.threshold, self.value)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """y = x where x > 0, else weight x, the weight learned.

    Args:
        num_parameters: 1, or the number of channels, the size of axis 1. Default: 1.
        init: the weight at the start. Default: 0.25.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Attributes:
        weight: (num_parameters,).

    Shapes: (N, C, ...) -> the same.

    Example:
        >>> import nncore
        >>> nncore.nn.PReLU()(nncore.tensor([-4.0, 4.0])).detach()
        tensor([-1.,  4.])

    Reference: torch.nn.PReLU; He, Zhang, Ren & Sun 2015.
    """

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        super().__init__()
        check_device(device)
        self.num_parameters = num_parameters
        self.init = init
        self.weight = empty((num_parameters,), dtype)
        self.reset_parameters()

    def reset_parameters(self):
        """Set the weight back."""
        constant_(self.weight, self.init)

    def forward(self, input):
        """Compute the output; see the class."""
        return F.prelu(input, self.weight)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"num_parameters={self.num_parameters}"
