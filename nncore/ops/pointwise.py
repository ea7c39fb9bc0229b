"""Functions of one number, applied to each element. The formulas and derivatives stand in csrc/elementwise.h."""

import numpy as np

from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore.ops.convert import as_float


def _pointwise(name):
    forward, backward = KERNELS[f"{name}_forward"], KERNELS[f"{name}_backward"]
    saves_output = backward.fields[2][0] == "y"
    saved = (True,) if saves_output else ()

    def apply(x, *params):
        x = as_float(name, x)
        x_array = x.array
        y = forward(x_array, *params)
        kept = y if saves_output else x_array

        def vjp(needs, dy):
            return backward(dy, kept, *params)

        vjp.__qualname__ = name
        return record(y, (x,), vjp, saved or (x,))

    return apply


def _unary(name, example=""):
    apply = _pointwise(name)

    def op(x):
        return apply(x)

    op.__name__ = op.__qualname__ = name
    op.__doc__ = (
        f"{KERNELS[f'{name}_forward'].__doc__}, elementwise.\n\n    Args:\n        x: Tensor of any shape.\n\n"
        f"    Returns:\n        Tensor of the same shape.\n"
    )
    if example:
        op.__doc__ += f"\n    Example:\n        >>> import nncore\n        >>> nncore.{name}(nncore.tensor({example[0]}))\n        {example[1]}\n"
    return op


abs = _unary("abs", ("[-1.5, 2.0]", "tensor([1.5000, 2.0000])"))
ceil = _unary("ceil", ("[-1.5, 1.2]", "tensor([-1.,  2.])"))
cos = _unary("cos", ("[0.0]", "tensor([1.])"))
erf = _unary("erf", ("[0.0]", "tensor([0.])"))
exp = _unary("exp", ("[0.0, 1.0]", "tensor([1.0000, 2.7183])"))
expm1 = _unary("expm1", ("[0.0]", "tensor([0.])"))
floor = _unary("floor", ("[-1.5, 1.2]", "tensor([-2.,  1.])"))
hardsigmoid = _unary("hardsigmoid", ("[-4.0, 0.0, 4.0]", "tensor([0.0000, 0.5000, 1.0000])"))
hardswish = _unary("hardswish", ("[-4.0, 0.0, 4.0]", "tensor([0., 0., 4.])"))
log = _unary("log", ("[1.0]", "tensor([0.])"))
log1p = _unary("log1p", ("[0.0]", "tensor([0.])"))
logsigmoid = _unary("logsigmoid", ("[0.0]", "tensor([-0.6931])"))
mish = _unary("mish", ("[0.0, 1.0]", "tensor([0.0000, 0.8651])"))
neg = _unary("neg", ("[1.0, -2.0]", "tensor([-1.,  2.])"))
reciprocal = _unary("reciprocal", ("[2.0]", "tensor([0.5000])"))
relu = _unary("relu", ("[-1.0, 2.0]", "tensor([0., 2.])"))
round = _unary("round", ("[0.5, 1.5]", "tensor([0., 2.])"))
rsqrt = _unary("rsqrt", ("[4.0]", "tensor([0.5000])"))
sigmoid = _unary("sigmoid", ("[0.0]", "tensor([0.5000])"))
sign = _unary("sign", ("[-3.0, 0.0]", "tensor([-1.,  0.])"))
silu = _unary("silu", ("[0.0]", "tensor([0.])"))
sin = _unary("sin", ("[0.0]", "tensor([0.])"))
softsign = _unary("softsign", ("[-1.0, 3.0]", "tensor([-0.5000,  0.7500])"))
sqrt = _unary("sqrt", ("[4.0]", "tensor([2.])"))
square = _unary("square", ("[3.0]", "tensor([9.])"))
tanh = _unary("tanh", ("[0.0]", "tensor([0.])"))

_clamp, _elu, _leaky_relu = _pointwise("clamp"), _pointwise("elu"), _pointwise("leaky_relu")
_gelu, _gelu_tanh = _pointwise("gelu"), _pointwise("gelu_tanh")
_pow_scalar, _softplus = _pointwise("pow_scalar"), _pointwise("softplus")


def celu(x, alpha=1.0):
    """y = x if x > 0 else alpha * (exp(x / alpha) - 1), elementwise (Barron 2017).

    Args:
        x: Tensor of any shape.
        alpha: value that -y approaches for very negative x, not 0. Default: 1.

    Returns:
        Tensor of the same shape.

    Example:
        >>> import nncore
        >>> nncore.celu(nncore.tensor([-1.0, 2.0]), 2.0)
        tensor([-0.7869,  2.0000])
    """
    if alpha == 0:
        raise ValueError("celu: argument 'alpha' is 0, expected a number other than 0")
    return _elu(x, alpha, 1.0, 1 / alpha)


def clamp(x, min=None, max=None):
    """y = min(max(x, min), max), elementwise; the gradient passes where min <= x <= max.

    Args:
        x: Tensor of any shape.
        min: lower bound. Default: none.
        max: upper bound. Default: none.

    Returns:
        Tensor of the same shape.

    Example:
        >>> import nncore
        >>> nncore.clamp(nncore.tensor([-2.0, 0.5, 2.0]), -1, 1)
        tensor([-1.0000,  0.5000,  1.0000])
    """
    if min is None and max is None:
        raise ValueError("clamp: arguments 'min' and 'max' are both None, expected at least one bound")
    return _clamp(x, -np.inf if min is None else min, np.inf if max is None else max)


def elu(x, alpha=1.0):
    """y = x if x > 0 else alpha * (exp(x) - 1), elementwise (Clevert et al. 2016).

    Args:
        x: Tensor of any shape.
        alpha: value that -y approaches for very negative x. Default: 1.

    Returns:
        Tensor of the same shape.

    Example:
        >>> import nncore
        >>> nncore.elu(nncore.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """
    return _elu(x, alpha, 1.0, 1.0)


def gelu(x, approximate="none"):
    """y = x * Phi(x), elementwise, Phi the normal distribution function (Hendrycks & Gimpel 2016).

    Args:
        x: Tensor of any shape.
        approximate: "none" for the exact function, "tanh" for x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    Returns:
        Tensor of the same shape.

    Example:
        >>> import nncore
        >>> nncore.gelu(nncore.tensor([-1.0, 1.0]))
        tensor([-0.1587,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: argument 'approximate' is {approximate!r}, expected 'none' or 'tanh'")
    return (_gelu if approximate == "none" else _gelu_tanh)(x)


def leaky_relu(x, negative_slope=0.01):
    """y = x if x > 0 else negative_slope * x, elementwise.

    Args:
        x: Tensor of any shape.
        negative_slope: slope for x < 0. Default: 0.01.

    Returns:
        Tensor of the same shape.

    Example:
        >>> import nncore
        >>> nncore.leaky_relu(nncore.tensor([-1.0, 2.0]), 0.1)
        tensor([-0.1000,  2.0000])
    """
    return _leaky_relu(x, negative_slope)


def pow_scalar(x, exponent):
    """y = x ** exponent for a number, elementwise."""
    return _pow_scalar(x, exponent)


def selu(x):
    """y = 1.0507 x if x > 0 else 1.7581 (exp(x) - 1), elementwise (Klambauer et al. 2017).

    Args:
        x: Tensor of any shape.

    Returns:
        Tensor of the same shape.

    Example:
        >>> import nncore
        >>> nncore.selu(nncore.tensor([-1.0, 2.0]))
        tensor([-1.1113,  2.1014])
    """
    return _elu(x, 1.6732632423543772848, 1.0507009873554804934, 1.0)


def softplus(x, beta=1.0, threshold=20.0):
    """y = log(1 + exp(beta x)) / beta, elementwise, and x itself where beta x > threshold.

    Args:
        x: Tensor of any shape.
        beta: sharpness of the bend. Default: 1.
        threshold: where the function is taken for linear. Default: 20.

    Returns:
        Tensor of the same shape.

    Example:
        >>> import nncore
        >>> nncore.softplus(nncore.tensor([0.0, 30.0]))
        tensor([ 0.6931, 30.0000])
    """
    if beta == 0:
        raise ValueError("softplus: argument 'beta' is 0, expected a number other than 0")
    return _softplus(x, beta, threshold)


__all__ = [
    "abs",
    "ceil",
    "celu",
    "clamp",
    "cos",
    "elu",
    "erf",
    "exp",
    "expm1",
    "floor",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "leaky_relu",
    "log",
    "log1p",
    "logsigmoid",
    "mish",
    "neg",
    "reciprocal",
    "relu",
    "round",
    "rsqrt",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "tanh",
]
