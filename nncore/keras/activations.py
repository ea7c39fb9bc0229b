"""Activation functions by Keras's names, and their derivatives.

Softmax and sigmoid remember their logits, for exact cross-entropies.
"""

from .. import autograd, ops
from ..ops.convert import as_tensor


def linear(x):
    """y = x."""
    return x


def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """y = max(x, 0); negative_slope (x - threshold) below `threshold`, and no more than `max_value`.

    Example:
        >>> import nncore
        >>> relu(nncore.tensor([-1.0, 2.0, 9.0]), max_value=6.0)
        tensor([0., 2., 6.])

    Reference: Keras, `keras.activations.relu`.
    """
    x = as_tensor(x)
    if threshold == 0.0:
        y = ops.leaky_relu(x, negative_slope) if negative_slope else ops.relu(x)
    else:
        y = ops.where(x > threshold, x, (x - threshold) * negative_slope)
    return y if max_value is None else ops.clamp(y, max=max_value)


def leaky_relu(x, negative_slope=0.2):
    """y = x if x > 0 else negative_slope * x."""
    return ops.leaky_relu(x, negative_slope)


def relu6(x):
    """y = min(max(x, 0), 6)."""
    return ops.clamp(x, 0.0, 6.0)


def elu(x, alpha=1.0):
    """y = x if x > 0 else alpha (exp(x) - 1)."""
    return ops.elu(x, alpha)


def selu(x):
    """y = 1.0507 x if x > 0 else 1.7581 (exp(x) - 1) (Klambauer et al. 2017)."""
    return ops.selu(x)


def celu(x, alpha=1.0):
    """y = x if x > 0 else alpha (exp(x / alpha) - 1) (Barron 2017)."""
    return ops.celu(x, alpha)


def gelu(x, approximate=False):
    """y = x Phi(x); with `approximate` by a tanh (Hendrycks & Gimpel 2016)."""
    return ops.gelu(x, "tanh" if approximate else "none")


def silu(x):
    """y = x sigmoid(x)."""
    return ops.silu(x)


def softplus(x):
    """y = log(1 + exp(x))."""
    return ops.softplus(x)


def softsign(x):
    """y = x / (1 + |x|)."""
    return ops.softsign(x)


def mish(x):
    """y = x tanh(softplus(x)) (Misra 2019)."""
    return ops.mish(x)


def glu(x, axis=-1):
    """y = a sigmoid(b), a and b the halves of x along an axis (Dauphin et al. 2017)."""
    return ops.glu(x, axis)


def tanh(x):
    """y = tanh(x)."""
    return ops.tanh(x)


def tanh_shrink(x):
    """y = x - tanh(x)."""
    return ops.tanhshrink(x)


def hard_tanh(x):
    """y = min(max(x, -1), 1)."""
    return ops.clamp(x, -1.0, 1.0)


def hard_shrink(x, threshold=0.5):
    """y = x where |x| > threshold, else 0."""
    return ops.hardshrink(x, threshold)


def soft_shrink(x, threshold=0.5):
    """y = x drawn towards 0 by `threshold`."""
    return ops.softshrink(x, threshold)


def threshold(x, threshold, default_value):
    """y = x where x > threshold, else default_value."""
    return ops.threshold(x, threshold, default_value)


def heaviside(x):
    """y = 1 where x >= 0, else 0: a decision, through which nothing is learned; see `nncore.heaviside`.

    Example:
        >>> import nncore
        >>> heaviside(nncore.tensor([-1.0, 6.0]))
        tensor([0., 1.])
    """
    return ops.heaviside(x)


def exponential(x):
    """y = exp(x)."""
    return ops.exp(x)


def hard_sigmoid(x):
    """y = min(max(x / 6 + 1/2, 0), 1)."""
    return ops.hardsigmoid(x)


def hard_silu(x):
    """y = x hard_sigmoid(x) (Howard et al. 2019)."""
    return ops.hardswish(x)


def log_sigmoid(x):
    """y = -log(1 + exp(-x))."""
    return ops.logsigmoid(x)


def sigmoid(x):
    """y = 1 / (1 + exp(-x)).

    Example:
        >>> import nncore
        >>> sigmoid(nncore.zeros(1))
        tensor([0.5000])
    """
    x = as_tensor(x)
    y = ops.sigmoid(x)
    y.logits = x
    return y


def softmax(x, axis=-1):
    """y = exp(x) / sum(exp(x)) along an axis.

    Example:
        >>> import nncore
        >>> softmax(nncore.zeros(1, 4))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    x = as_tensor(x)
    y = ops.softmax(x, axis)
    if axis in (-1, x.ndim - 1):
        y.logits = x
    return y


def log_softmax(x, axis=-1):
    """y = x - log(sum(exp(x))) along an axis."""
    return ops.log_softmax(x, axis)


ACTIVATIONS = {
    function.__name__: function
    for function in (
        celu,
        elu,
        exponential,
        gelu,
        glu,
        hard_shrink,
        hard_sigmoid,
        hard_silu,
        hard_tanh,
        heaviside,
        leaky_relu,
        linear,
        log_sigmoid,
        log_softmax,
        mish,
        relu,
        relu6,
        selu,
        sigmoid,
        silu,
        soft_shrink,
        softmax,
        softplus,
        softsign,
        tanh,
        tanh_shrink,
    )
}
ACTIVATIONS["swish"], ACTIVATIONS["hard_swish"], ACTIVATIONS["step"] = silu, hard_silu, heaviside


def get(identifier):
    """The function that is meant by a name, a function, a Module, or None (linear).

    Raises:
        ValueError: the name is unknown.

    Example:
        >>> get("relu") is relu
        True
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        if identifier not in ACTIVATIONS:
            raise ValueError(f"activation: {identifier!r} is unknown, expected one of {', '.join(sorted(ACTIVATIONS))}")
        return ACTIVATIONS[identifier]
    if callable(identifier):
        return identifier
    raise TypeError(f"activation: got a {type(identifier).__name__}, expected a name or a function")


def d(identifier):
    """The derivative of an activation of one number, as a function of x.

    Args:
        identifier: a name, a function or a Module, as `get` takes it.

    Raises:
        ValueError: the activation takes several numbers together, as softmax does.
        RuntimeError: when called, if there is no derivative to compute with, as for heaviside.

    Example:
        >>> import nncore
        >>> d("sigmoid")(nncore.tensor([0.0, 2.0]))
        tensor([0.2500, 0.1050])
    """
    function = get(identifier)
    if function in (softmax, log_softmax, glu):
        raise ValueError(f"d: {function.__name__} is no function of one number, so it has no single derivative")
    return autograd.derivative(function)


def serialize(function):
    """The name of a function of this module; anything else as it is."""
    return next((name for name, known in ACTIVATIONS.items() if known is function), function)
