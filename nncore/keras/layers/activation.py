"""Activations as layers."""

from ... import ops
from .. import activations, initializers, regularizers
from .base import Layer, in_dtype_of


class Activation(Layer):
    """y = activation(x).

    Args:
        activation: a name or a function.
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Activation("relu")(nncore.tensor([[-1.0, 1.0]]))
        tensor([[0., 1.]])

    Reference: Keras, `keras.layers.Activation`.
    """

    supports_masking = True
    shown = ("activation",)

    def __init__(self, activation, **common):
        super().__init__(**common)
        self.activation = activations.serialize(activation)
        self._function = [activations.get(activation)]

    def call(self, x):
        """Any shape -> the same shape."""
        return self._function[0](x)


class ReLU(Layer):
    """y = max(x, 0); see `nncore.keras.activations.relu` for the arguments.

    Args:
        max_value: default None.
        negative_slope: default 0.0.
        threshold: default 0.0.
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> ReLU()(nncore.tensor([[-1.0, 1.0]]))
        tensor([[0., 1.]])

    Reference: Keras, `keras.layers.ReLU`.
    """

    supports_masking = True

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **common):
        super().__init__(**common)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def call(self, x):
        """Any shape -> the same shape."""
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """y = x if x > 0 else negative_slope * x.

    Args:
        negative_slope: default 0.3.
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> LeakyReLU(0.5)(nncore.tensor([[-1.0, 1.0]]))
        tensor([[-0.5000,  1.0000]])

    Reference: Keras, `keras.layers.LeakyReLU`.
    """

    supports_masking = True
    shown = ("negative_slope",)

    def __init__(self, negative_slope=0.3, **common):
        super().__init__(**common)
        self.negative_slope = negative_slope

    def call(self, x):
        """Any shape -> the same shape."""
        return ops.leaky_relu(x, self.negative_slope)


class ELU(Layer):
    """y = x if x > 0 else alpha (exp(x) - 1).

    Args:
        alpha: default 1.0.
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> ELU()(nncore.tensor([[0.0, 1.0]]))
        tensor([[0., 1.]])

    Reference: Keras, `keras.layers.ELU`.
    """

    supports_masking = True
    shown = ("alpha",)

    def __init__(self, alpha=1.0, **common):
        super().__init__(**common)
        self.alpha = alpha

    def call(self, x):
        """Any shape -> the same shape."""
        return ops.elu(x, self.alpha)


class Softmax(Layer):
    """y = exp(x) / sum(exp(x)) along an axis.

    Args:
        axis: default -1.
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Softmax()(nncore.zeros(1, 2))
        tensor([[0.5000, 0.5000]])

    Reference: Keras, `keras.layers.Softmax`.
    """

    supports_masking = True
    shown = ("axis",)

    def __init__(self, axis=-1, **common):
        super().__init__(**common)
        self.axis = axis

    def call(self, x):
        """Any shape -> the same shape."""
        return activations.softmax(x, self.axis)


class PReLU(Layer):
    """y = x if x > 0 else alpha x, alpha learned, for each number of a sample its own.

    Args:
        alpha_initializer: default `"zeros"`.
        alpha_regularizer: penalty added to the loss. Default None.
        shared_axes: axes along which all share one alpha, counted from 1; of an image (1, 2). Default None.
        **common: see `Layer`.

    Attributes:
        alpha: of the shape of a sample, 1 along the shared axes.

    Example:
        >>> import nncore
        >>> PReLU("ones")(nncore.tensor([[-2.0, 2.0]])).detach()
        tensor([[-2.,  2.]])

    Reference: Keras, `keras.layers.PReLU`; He, Zhang, Ren & Sun 2015.
    """

    supports_masking = True
    keras_axes = (("alpha", None),)
    shown = ("shared_axes",)

    def __init__(self, alpha_initializer="zeros", alpha_regularizer=None, shared_axes=None, **common):
        super().__init__(**common)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.shared_axes = (shared_axes,) if isinstance(shared_axes, int) else shared_axes and tuple(shared_axes)
        self._build_if_shape_is_known()

    def build(self, input_shape):
        """Make alpha."""
        shared = self.shared_axes or ()
        if any(not 0 < axis < len(input_shape) for axis in shared):
            raise ValueError(f"PReLU: argument 'shared_axes' is {shared}, expected 1 to {len(input_shape) - 1}")
        shape = tuple(1 if axis in shared else n for axis, n in enumerate(input_shape) if axis)
        self.alpha = self._weight(self.alpha_initializer(shape, self.dtype), regularizer=self.alpha_regularizer)

    def call(self, x):
        """(batch, ...) -> the same shape."""
        x = in_dtype_of(x, self.alpha)
        return ops.where(x.detach() > 0, x, x * self.alpha)
