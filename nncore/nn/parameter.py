"""Parameter: a tensor that a Module owns and an optimizer moves."""

import numpy as np

from nncore._core.kernels import empty as empty_array
from nncore._tensor import Tensor
from nncore.nn.arguments import float_dtype


class Parameter(Tensor):
    """A Tensor that becomes part of a Module when it is assigned as an attribute.

    Args:
        data: Tensor or NumPy array; its memory is shared. Default: an empty float32 array.
        requires_grad: whether backward() fills `grad`. Default: True.

    Example:
        >>> import nncore
        >>> nncore.nn.Parameter(nncore.zeros(2))
        Parameter containing:
        tensor([0., 0.], requires_grad=True)

    Reference: torch.nn.Parameter.
    """

    def __new__(cls, data=None, requires_grad=True):
        """Wrap the memory of `data`."""
        if data is None:
            data = np.empty(0, float_dtype(None))
        return super().__new__(cls, data.array if isinstance(data, Tensor) else data, requires_grad)

    def __init__(self, data=None, requires_grad=True):
        pass

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()

    def __reduce__(self):
        # Pickle keeps C and Fortran order only; the axes in memory order keep every dense layout.
        order = sorted(range(self.ndim), key=lambda axis: -self.array.strides[axis])
        return _rebuild, (type(self), self.array.transpose(order), order, self.requires_grad, self.__dict__)


def _rebuild(cls, array, order, requires_grad, attributes):
    parameter = cls(array.transpose(np.argsort(order)), requires_grad)
    parameter.__dict__.update(attributes)
    return parameter


def empty(shape, dtype=None, order=None):
    """A new Parameter whose axes lie in memory in the given order, outermost first. Its values are undefined."""
    dtype = float_dtype(dtype)
    if order is None:
        return Parameter(empty_array(shape, dtype, lasting=True))
    dense = empty_array([shape[axis] for axis in order], dtype, lasting=True)
    return Parameter(dense.transpose(np.argsort(order)))
