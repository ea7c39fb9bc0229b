"""What weights are held to after every step, in Keras's names. `Model.fit` applies them, also where it replays."""

from ..ops.convert import as_tensor
from .serial import Serializable, resolve

EPSILON = 1e-7


class Constraint(Serializable):
    """Base class: a subclass defines `__call__(w)`, which returns the Tensor that `w`, in Keras's layout, becomes.

    Example:
        >>> import nncore
        >>> class Halved(Constraint):
        ...     def __call__(self, w):
        ...         return w * 0.5
        >>> Halved()(nncore.ones(2))
        tensor([0.5000, 0.5000])

    Reference: Keras, `keras.constraints.Constraint`.
    """

    def __call__(self, w):
        """What `w` becomes."""
        raise NotImplementedError


def _check(constraint, **numbers):
    for name, value in numbers.items():
        if not value >= 0:
            raise ValueError(f"{type(constraint).__name__}: argument {name!r} is {value}, expected a number >= 0")


class MaxNorm(Constraint):
    """Scales the weights of a unit down if their norm is larger than `max_value`.

    Args:
        max_value: Default 2.
        axis: axis or axes of the weights of one unit: 0 of a Dense kernel (in, out), (0, 1, 2) of a convolution's. Default 0.

    Example:
        >>> import nncore
        >>> MaxNorm(1.0)(nncore.tensor([[3.0, 0.3], [4.0, 0.4]]))
        tensor([[0.6000, 0.3000],
                [0.8000, 0.4000]])

    Reference: Keras, `keras.constraints.MaxNorm`; Srivastava et al. 2014.
    """

    def __init__(self, max_value=2, axis=0):
        _check(self, max_value=max_value)
        self.max_value, self.axis = max_value, axis

    def __call__(self, w):
        """What `w` becomes."""
        norm = _norm(w, self.axis)
        return w * (norm.clamp(0.0, self.max_value) / (norm + EPSILON))


class NonNeg(Constraint):
    """Negative weights become 0.

    Example:
        >>> import nncore
        >>> NonNeg()(nncore.tensor([-1.0, 2.0]))
        tensor([0., 2.])

    Reference: Keras, `keras.constraints.NonNeg`.
    """

    def __call__(self, w):
        """What `w` becomes."""
        return as_tensor(w).clamp(min=0.0)


class UnitNorm(Constraint):
    """Scales the weights of a unit to the norm 1.

    Args:
        axis: see `MaxNorm`. Default 0.

    Example:
        >>> import nncore
        >>> UnitNorm()(nncore.tensor([[3.0], [4.0]]))
        tensor([[0.6000],
                [0.8000]])

    Reference: Keras, `keras.constraints.UnitNorm`.
    """

    def __init__(self, axis=0):
        self.axis = axis

    def __call__(self, w):
        """What `w` becomes."""
        return w / (_norm(w, self.axis) + EPSILON)


class MinMaxNorm(Constraint):
    """Scales the weights of a unit towards a norm between two bounds.

    Args:
        min_value: Default 0.0.
        max_value: Default 1.0.
        rate: share of the way that is gone in one step; 1.0 holds the bounds. Default 1.0.
        axis: see `MaxNorm`. Default 0.

    Example:
        >>> import nncore
        >>> MinMaxNorm(2.0, 3.0)(nncore.tensor([[3.0, 0.6], [4.0, 0.8]]))
        tensor([[1.8000, 1.2000],
                [2.4000, 1.6000]])

    Reference: Keras, `keras.constraints.MinMaxNorm`.
    """

    def __init__(self, min_value=0.0, max_value=1.0, rate=1.0, axis=0):
        _check(self, min_value=min_value, max_value=max_value, rate=rate)
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w):
        """What `w` becomes."""
        norm = _norm(w, self.axis)
        wanted = self.rate * norm.clamp(self.min_value, self.max_value) + (1.0 - self.rate) * norm
        return w * (wanted / (norm + EPSILON))


def _norm(w, axis):
    axis = tuple(axis) if isinstance(axis, list) else axis
    return as_tensor(w).norm(2, axis, True)


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

CONSTRAINTS = {"max_norm": MaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm, "min_max_norm": MinMaxNorm}


def get(identifier):
    """The constraint that is meant by a name, an object or a function; None stays None.

    Example:
        >>> get("max_norm")
        MaxNorm(max_value=2, axis=0)
    """
    return resolve("constraint", identifier, CONSTRAINTS, Constraint)
