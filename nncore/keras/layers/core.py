"""Dense and Embedding, the layers they share their parts with, and Identity."""

import numpy as np

from ... import ops
from ..._tensor import Tensor
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
        fuse=True,
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
        self.fused_activation = FUSED.get(function) if fuse else None
        # A list hides a Module from the tree if `activation` has put it there already.
        self._afterwards = [function if self.fused_activation is None else activations.linear]

    @property
    def _kernel_axes(self):
        return dict(self.keras_axes)["weight"]

    def _make_weights(self, shape, units):
        """`weight` for a kernel of the given shape in Keras's layout, and `bias` of so many units."""
        kernel = self.kernel_initializer(shape, self.dtype)
        to_torch = np.argsort(self._kernel_axes)
        options = {"regularizer": self.kernel_regularizer, "constraint": self.kernel_constraint}
        self.weight = self._weight(kernel.permute(*to_torch), axes=self._kernel_axes, **options)
        self._make_bias(units)

    def _make_bias(self, units):
        if self.use_bias:
            values = self.bias_initializer((units,), self.dtype)
            self.bias = self._weight(values, regularizer=self.bias_regularizer, constraint=self.bias_constraint)
        else:
            self.register_parameter("bias", None)

    def _activate(self, x):
        return self._afterwards[0](x)

    @property
    def kernel(self):
        """The weight in Keras's layout; shares the memory."""
        axes = self._kernel_axes
        return Tensor(axes(self.weight.array)) if callable(axes) else self.weight.detach().permute(*axes)


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
        bias_mode: `"unit"` (the default), or `"layer"` for one bias that all units share.
        **common: see `Layer`.

    Attributes:
        weight: (units, in), as in `nn.Linear`; in Keras's layout it is `kernel`, (in, units).
        bias: (units,), or (1,) with bias_mode "layer".

    Shapes: (batch, ..., in) -> (batch, ..., units).

    Example:
        >>> import nncore
        >>> Dense(3, activation="relu")(nncore.ones(5, 2)).shape
        (5, 3)

    Reference: Keras, `keras.layers.Dense`, but for `bias_mode`.
    """

    supports_masking = True
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
        bias_mode="unit",
        **common,
    ):
        super().__init__(**common)
        check_positive("Dense", units=units)
        if bias_mode not in ("unit", "layer"):
            raise ValueError(f"Dense: argument 'bias_mode' is {bias_mode!r}, expected 'unit' or 'layer'")
        self.units = units
        self.bias_mode = bias_mode
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
        self._make_weights((input_shape[-1], self.units), self.units if self.bias_mode == "unit" else 1)

    def call(self, x):
        """(batch, ..., in) -> (batch, ..., units)."""
        x = in_dtype_of(x, self.weight)
        bias = self.bias if self.bias is None or self.bias_mode == "unit" else self.bias.expand(self.units)
        return self._activate(ops.linear(x, self.weight, bias, activation=self.fused_activation))


class Embedding(Layer):
    """y = the row of a table for every index.

    Args:
        input_dim: number of rows.
        output_dim: length of a row.
        embeddings_initializer: default `"uniform"`.
        embeddings_regularizer: penalty added to the loss. Default None.
        embeddings_constraint: what the table is held to after every step. Default None.
        mask_zero: whether index 0 is padding, which does not count: see `Masking`. Default False.
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
        mask_zero=False,
        **common,
    ):
        super().__init__(**common)
        check_positive("Embedding", input_dim=input_dim, output_dim=output_dim)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        table = self.embeddings_initializer((input_dim, output_dim), self.dtype)
        options = {"regularizer": self.embeddings_regularizer, "constraint": self.embeddings_constraint}
        self.weight = self._weight(table, **options)

    def call(self, x):
        """Indices (batch, ...) -> (batch, ..., output_dim)."""
        return ops.embedding(x.to(np.int64), self.weight)

    def compute_mask(self, x, mask):
        """Where the index is not 0, with mask_zero."""
        return x != 0 if self.mask_zero else None


class Identity(Layer):
    """y = x.

    Reference: Keras, `keras.layers.Identity`.
    """

    supports_masking = True

    def call(self, x):
        """Any shape -> the same shape."""
        return x
