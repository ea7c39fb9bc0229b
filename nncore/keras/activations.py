"""Activation functions by Keras's names. Softmax and sigmoid remember their logits, for exact cross-entropies."""

from .. import ops
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
    return ops.elu(x, 1.6732632423543772) * 1.0507009873554805


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
    x = as_tensor(x)
    return x / (x.abs() + 1.0)


def tanh(x):
    """y = tanh(x)."""
    return ops.tanh(x)


def exponential(x):
    """y = exp(x)."""
    return ops.exp(x)


def hard_sigmoid(x):
    """y = min(max(x / 6 + 1/2, 0), 1)."""
    return ops.clamp(as_tensor(x) / 6.0 + 0.5, 0.0, 1.0)


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
        elu,
        exponential,
        gelu,
        hard_sigmoid,
        leaky_relu,
        linear,
        log_softmax,
        relu,
        relu6,
        selu,
        sigmoid,
        silu,
        softmax,
        softplus,
        softsign,
        tanh,
    )
}
ACTIVATIONS["swish"] = silu


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


def serialize(function):
    """The name of a function of this module; anything else as it is."""
    return next((name for name, known in ACTIVATIONS.items() if known is function), function)
