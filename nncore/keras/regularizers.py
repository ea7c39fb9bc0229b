"""Penalties on weights or outputs that are added to the loss.

One strength in the conventions that there are, for n samples and a mean loss:

    L2(l2) here and in Keras, l2 sum(w^2)                      l2
    weight_decay of nncore.optim and PyTorch, coupled          2 l2
    weight_decay of AdamW and of Keras's optimizers            2 l2, but decoupled: the same for plain gradient descent only
    alpha of scikit-learn's MLPs, alpha / (2 n) sum(w^2)       2 n l2
"""

from .. import ops
from ..ops.convert import as_tensor
from .serial import Serializable, resolve


class Regularizer(Serializable):
    """Base class: a subclass defines `__call__(x)`, which returns a scalar Tensor.

    Reference: Keras, `keras.regularizers.Regularizer`.
    """

    def __call__(self, x):
        """The penalty of a Tensor."""
        raise NotImplementedError


class L1L2(Regularizer):
    """l1 sum|x| + l2 sum(x^2).

    Args:
        l1: default 0.0.
        l2: default 0.0. The gradient is 2 l2 x: PyTorch's `weight_decay` is twice this number.

    Example:
        >>> import nncore
        >>> L1L2(l1=1.0, l2=1.0)(nncore.tensor([3.0, -4.0])).item()
        32.0

    Reference: Keras, `keras.regularizers.L1L2`.
    """

    def __init__(self, l1=0.0, l2=0.0):
        for name, value in (("l1", l1), ("l2", l2)):
            if not value >= 0:
                raise ValueError(f"{type(self).__name__}: argument {name!r} is {value}, expected a number >= 0")
        self.l1, self.l2 = l1, l2

    def __call__(self, x):
        """The penalty of a Tensor."""
        x = as_tensor(x)
        penalty = x.square().sum() * self.l2 if self.l2 or not self.l1 else None
        if self.l1:
            absolute = x.abs().sum() * self.l1
            penalty = absolute if penalty is None else absolute + penalty
        return penalty


class L1(L1L2):
    """l1 sum|x|.

    Args:
        l1: default 0.01.
        proximal: whether weights that do not matter become exactly 0: after every step of `Model.fit` a weight moves towards
            0 by learning_rate l1 and stops there, in the place of the penalty's gradient, which never gets them there. The
            penalty is part of the reported loss either way. Default False.

    Example:
        >>> import nncore
        >>> L1(1.0)(nncore.tensor([3.0, -4.0])).item()
        7.0

    Reference: Keras, `keras.regularizers.L1`; Tibshirani 1996; Daubechies, Defrise & De Mol 2004 (proximal).
    """

    def __init__(self, l1=0.01, proximal=False):
        super().__init__(l1=l1)
        self.proximal = proximal

    def __call__(self, x):
        """The penalty of a Tensor."""
        return super().__call__(as_tensor(x).detach() if self.proximal else x)


class L2(L1L2):
    """l2 sum(x^2).

    Args:
        l2: default 0.01.

    Example:
        >>> import nncore
        >>> L2(1.0)(nncore.tensor([3.0, -4.0])).item()
        25.0
    """

    def __init__(self, l2=0.01):
        super().__init__(l2=l2)


class OrthogonalRegularizer(Regularizer):
    """factor times the mean of |cos| of the angles between all pairs of rows (or columns) of a matrix: 0 if they are orthogonal.

    Args:
        factor: default 0.01.
        mode: `"rows"` (the default) or `"columns"`, of the matrix in Keras's layout, (in, out).

    Example:
        >>> import nncore
        >>> OrthogonalRegularizer(1.0)(nncore.tensor([[3.0, 0.0], [1.0, 1.0]])).item()
        0.7071067690849304

    Reference: Keras, `keras.regularizers.OrthogonalRegularizer`.
    """

    def __init__(self, factor=0.01, mode="rows"):
        if not factor >= 0:
            raise ValueError(f"OrthogonalRegularizer: argument 'factor' is {factor}, expected a number >= 0")
        if mode not in ("rows", "columns"):
            raise ValueError(f"OrthogonalRegularizer: argument 'mode' is {mode!r}, expected 'rows' or 'columns'")
        self.factor, self.mode = factor, mode

    def __call__(self, x):
        """The penalty of a matrix."""
        x = as_tensor(x)
        if x.ndim != 2:
            raise ValueError(f"OrthogonalRegularizer: argument 'x' has shape {x.shape}, expected a matrix's")
        x = x if self.mode == "rows" else x.T
        x = x / x.norm(2, 1, True).clamp(min=1e-7)
        n = len(x)
        others = (x @ x.T).abs() * (1.0 - ops.eye(n, dtype=x.dtype))
        return others.sum() * (self.factor / max(1, n * (n - 1)))


def l1_l2(l1=0.01, l2=0.01):
    """`L1L2` with both numbers 0.01 by default."""
    return L1L2(l1, l2)


l1, l2, orthogonal_regularizer = L1, L2, OrthogonalRegularizer

REGULARIZERS = {"l1": L1, "l2": L2, "l1_l2": L1L2, "orthogonal_regularizer": OrthogonalRegularizer}


def get(identifier):
    """The regularizer that is meant by a name, an object or a function; None stays None.

    Example:
        >>> get("l2")
        L2(l2=0.01)
    """
    if identifier == "l1_l2":
        return l1_l2()
    return resolve("regularizer", identifier, REGULARIZERS, Regularizer)
