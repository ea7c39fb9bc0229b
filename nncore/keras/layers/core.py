"""Dense and Embedding, and the layers without weights of their own: Activation, Dropout, ReLU and their like."""

import numpy as np

from ... import ops
from .. import activations, constraints, initializers, regularizers
from .base import Layer, check_positive, in_dtype_of

# What a matrix product or a convolution can apply in its kernel. Sigmoid is not among them: it remembers its logits.
FUSED = {activations.relu: "relu", activations.tanh: "tanh", activations.gelu: "gelu", activations.silu: "silu"}


class Activated(Layer):
    """A layer with kernel, bias and activation: what Dense and Conv2D share."""

    def _init_activated(
        self,
        activation,
        use_bias,
        kernel_initializer,
        bias_initializer,
        kernel_regularizer,
        bias_regularizer,
        kernel_constraint=None,
        bias_constraint=None,
    ):
        function = activations.get(activation)
        self.activation = activations.serialize(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.fused_activation = FUSED.get(function)
        # A list hides a Module from the tree if `activation` has put it there already.
        self._afterwards = [function if self.fused_activation is None else activations.linear]

    @property
    def _kernel_axes(self):
        return dict(self.keras_axes)["weight"]

    def _make_weights(self, shape):
        """`weight` and `bias` for a kernel of the given shape in Keras's layout."""
        kernel = self.kernel_initializer(shape, self.dtype)
        to_torch = np.argsort(self._kernel_axes)
        options = {"regularizer": self.kernel_regularizer, "constraint": self.kernel_constraint}
        self.weight = self._weight(kernel.permute(*to_torch), axes=self._kernel_axes, **options)
        if self.use_bias:
            values = self.bias_initializer((shape[-1],), self.dtype)
            self.bias = self._weight(values, regularizer=self.bias_regularizer, constraint=self.bias_constraint)
        else:
            self.register_parameter("bias", None)

    def _activate(self, x):
        return self._afterwards[0](x)

    @property
    def kernel(self):
        """The weight in Keras's layout; shares the memory."""
        return self.weight.detach().permute(*self._kernel_axes)


class Dense(Activated):
    """y = activation(x kernel + bias), over the last axis.

    Args:
        units: size of the last axis of the output.
        activation: a name, a function or None. Default None.
        use_bias: default True.
        kernel_initializer: default `"glorot_uniform"`.
        bias_initializer: default `"zeros"`.
        kernel_regularizer, bias_regularizer: penalties added to the loss. Default None.
        kernel_constraint, bias_constraint: what they are held to after every step. Default None.
        **common: see `Layer`.

    Attributes:
        weight: (units, in), as in `nn.Linear`; in Keras's layout it is `kernel`, (in, units).
        bias: (units,).

    Shapes: (batch, ..., in) -> (batch, ..., units).

    Example:
        >>> import nncore
        >>> Dense(3, activation="relu")(nncore.ones(5, 2)).shape
        (5, 3)

    Reference: Keras, `keras.layers.Dense`.
    """

    keras_axes = (("weight", (1, 0)), ("bias", None))
    shown = ("units", "activation")

    def __init__(
        self,
        units,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **common,
    ):
        super().__init__(**common)
        check_positive("Dense", units=units)
        self.units = units
        self._init_activated(
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
        )
        self._build_if_shape_is_known()

    def build(self, input_shape):
        """Make weight and bias."""
        if len(input_shape) < 2:
            raise ValueError(
                f"Dense: argument 'x' has {len(input_shape)} axis, expected at least 2, the batch axis first"
            )
        self.in_features, self.out_features = input_shape[-1], self.units
        self._make_weights((input_shape[-1], self.units))

    def call(self, x):
        """(batch, ..., in) -> (batch, ..., units)."""
        x = in_dtype_of(x, self.weight)
        return self._activate(ops.linear(x, self.weight, self.bias, activation=self.fused_activation))


class Embedding(Layer):
    """y = the row of a table for every index.

    Args:
        input_dim: number of rows.
        output_dim: length of a row.
        embeddings_initializer: default `"uniform"`.
        embeddings_regularizer: penalty added to the loss. Default None.
        embeddings_constraint: what the table is held to after every step. Default None.
        **common: see `Layer`.

    Attributes:
        weight: (input_dim, output_dim).

    Shapes: (batch, ...) -> (batch, ..., output_dim).

    Example:
        >>> import nncore
        >>> Embedding(10, 4)(nncore.tensor([[1, 2, 9]])).shape
        (1, 3, 4)

    Reference: Keras, `keras.layers.Embedding`.
    """

    keras_axes = (("weight", None),)
    shown = ("input_dim", "output_dim")
    own_common = ("input_dim",)

    def __init__(
        self,
        input_dim,
        output_dim,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        **common,
    ):
        super().__init__(**common)
        check_positive("Embedding", input_dim=input_dim, output_dim=output_dim)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        table = self.embeddings_initializer((input_dim, output_dim), self.dtype)
        options = {"regularizer": self.embeddings_regularizer, "constraint": self.embeddings_constraint}
        self.weight = self._weight(table, **options)

    def call(self, x):
        """Indices (batch, ...) -> (batch, ..., output_dim)."""
        return ops.embedding(x.to(np.int64), self.weight)


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

    shown = ("axis",)

    def __init__(self, axis=-1, **common):
        super().__init__(**common)
        self.axis = axis

    def call(self, x):
        """Any shape -> the same shape."""
        return activations.softmax(x, self.axis)


class Dropout(Layer):
    """In training: x / (1 - rate) with probability 1 - rate, else 0. Otherwise: x.

    Args:
        rate: probability of a zero, in [0, 1].
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Dropout(0.5)(nncore.ones(1, 2), training=False)
        tensor([[1., 1.]])

    Reference: Keras, `keras.layers.Dropout`; Srivastava et al. 2014.
    """

    shown = ("rate",)

    def __init__(self, rate, **common):
        super().__init__(**common)
        if not 0 <= rate <= 1:
            raise ValueError(f"Dropout: argument 'rate' is {rate}, expected a number in [0, 1]")
        self.rate = rate

    def call(self, x):
        """Any shape -> the same shape."""
        return ops.dropout(x, self.rate, self.training)


class Identity(Layer):
    """y = x.

    Reference: Keras, `keras.layers.Identity`.
    """

    def call(self, x):
        """Any shape -> the same shape."""
        return x
