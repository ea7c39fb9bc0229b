"""Layers that put something around series and images."""

from nncore.nn import functional as F
from nncore.nn.module import Module
from nncore.ops.conv import sizes


class _Pad(Module):
    mode = "constant"
    axes: int

    def __init__(self, padding):
        super().__init__()
        kind = type(self).__name__
        self.padding = sizes(kind, "padding", padding, 2 * self.axes) if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 2 * self.axes:
            raise ValueError(f"{kind}: argument 'padding' is {padding!r}, expected one integer or {2 * self.axes}")

    def forward(self, input):
        """Compute the output; see the class."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        """Compute the output; see the class."""
        return F.pad(input, self.padding, value=self.value)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A series between a constant.

    Args:
        padding: int or (left, right).
        value: the constant.

    Shapes: (N, C, L) -> (N, C, L'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.ConstantPad1d(1, 9.0)(nncore.tensor([[1.0, 2.0, 3.0]]))
        tensor([[9., 1., 2., 3., 9.]])

    Reference: torch.nn.ConstantPad1d.
    """

    axes = 1


class ConstantPad2d(_ConstantPad):
    """An image between a constant.

    Args:
        padding: int or (left, right, top, bottom).
        value: the constant.

    Shapes: (N, C, H, W) -> (N, C, H', W'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.ConstantPad2d((1, 2, 0, 1), 9.0)(nncore.ones(1, 3, 4, 4)).shape
        (1, 3, 5, 7)

    Reference: torch.nn.ConstantPad2d.
    """

    axes = 2


class ZeroPad1d(_Pad):
    """A series between zeros.

    Args:
        padding: int or (left, right).

    Shapes: (N, C, L) -> (N, C, L'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.ZeroPad1d(1)(nncore.tensor([[1.0, 2.0, 3.0]]))
        tensor([[0., 1., 2., 3., 0.]])

    Reference: torch.nn.ZeroPad1d.
    """

    axes = 1


class ZeroPad2d(_Pad):
    """An image between zeros.

    Args:
        padding: int or (left, right, top, bottom).

    Shapes: (N, C, H, W) -> (N, C, H', W'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.ZeroPad2d((1, 2, 0, 1))(nncore.ones(1, 3, 4, 4)).shape
        (1, 3, 5, 7)

    Reference: torch.nn.ZeroPad2d.
    """

    axes = 2


class ReflectionPad1d(_Pad):
    """A series between its mirror image, the edge standing once.

    Args:
        padding: int or (left, right).

    Shapes: (N, C, L) -> (N, C, L'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.ReflectionPad1d(1)(nncore.tensor([[1.0, 2.0, 3.0]]))
        tensor([[2., 1., 2., 3., 2.]])

    Reference: torch.nn.ReflectionPad1d.
    """

    axes = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """An image between its mirror image, the edge standing once.

    Args:
        padding: int or (left, right, top, bottom).

    Shapes: (N, C, H, W) -> (N, C, H', W'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.ReflectionPad2d((1, 2, 0, 1))(nncore.ones(1, 3, 4, 4)).shape
        (1, 3, 5, 7)

    Reference: torch.nn.ReflectionPad2d.
    """

    axes = 2
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """A series between its edge.

    Args:
        padding: int or (left, right).

    Shapes: (N, C, L) -> (N, C, L'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.ReplicationPad1d(1)(nncore.tensor([[1.0, 2.0, 3.0]]))
        tensor([[1., 1., 2., 3., 3.]])

    Reference: torch.nn.ReplicationPad1d.
    """

    axes = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """An image between its edge.

    Args:
        padding: int or (left, right, top, bottom).

    Shapes: (N, C, H, W) -> (N, C, H', W'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.ReplicationPad2d((1, 2, 0, 1))(nncore.ones(1, 3, 4, 4)).shape
        (1, 3, 5, 7)

    Reference: torch.nn.ReplicationPad2d.
    """

    axes = 2
    mode = "replicate"


class CircularPad1d(_Pad):
    """A series between what stands at the other end.

    Args:
        padding: int or (left, right).

    Shapes: (N, C, L) -> (N, C, L'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.CircularPad1d(1)(nncore.tensor([[1.0, 2.0, 3.0]]))
        tensor([[3., 1., 2., 3., 1.]])

    Reference: torch.nn.CircularPad1d.
    """

    axes = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """An image between what stands at the other end.

    Args:
        padding: int or (left, right, top, bottom).

    Shapes: (N, C, H, W) -> (N, C, H', W'). N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.CircularPad2d((1, 2, 0, 1))(nncore.ones(1, 3, 4, 4)).shape
        (1, 3, 5, 7)

    Reference: torch.nn.CircularPad2d.
    """

    axes = 2
    mode = "circular"
