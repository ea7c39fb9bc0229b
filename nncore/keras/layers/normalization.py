"""Batch and layer normalization with Keras's conventions."""

from ... import ops
from .. import initializers, regularizers
from .base import Layer, in_dtype_of


class BatchNormalization(Layer):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta per channel: of the batch in training, else the moving ones.

    Args:
        axis: of the channels. Default -1.
        momentum: moving = momentum * moving + (1 - momentum) * batch. Default 0.99 (PyTorch's 0.01).
        epsilon: default 1e-3.
        center, scale: whether there is a beta, a gamma. Default True.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: default zeros and ones.
        beta_regularizer, gamma_regularizer: penalties added to the loss. Default None.
        **common: see `Layer`.

    Attributes:
        weight, bias: gamma and beta, (channels,).
        running_mean, running_var: the moving mean and variance; the latter of the batch's plain variance, unlike PyTorch's.

    Shapes: (batch, ..., channels) -> the same.

    Example:
        >>> import nncore
        >>> layer = BatchNormalization()
        >>> layer(nncore.tensor([[1.0], [3.0]]), training=True).detach().round(), layer.running_mean
        (tensor([[-1.],
                [ 1.]]), tensor([0.0200]))

    Reference: Keras, `keras.layers.BatchNormalization`; Ioffe & Szegedy 2015.
    """

    keras_axes = (("weight", None), ("bias", None), ("running_mean", None), ("running_var", None))
    shown = ("axis", "momentum", "epsilon")

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        **common,
    ):
        super().__init__(**common)
        self.axis, self.momentum, self.epsilon = axis, momentum, epsilon
        self.center, self.scale = center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self._build_if_shape_is_known()

    def build(self, input_shape):
        """Make gamma, beta and the moving statistics."""
        rank = len(input_shape)
        if rank < 2 or not (-rank < self.axis < 0 or 0 < self.axis < rank):
            raise ValueError(
                f"BatchNormalization: argument 'axis' is {self.axis}, but 'x' has {rank} axes, the batch axis first"
            )
        shape = (input_shape[self.axis],)
        gamma, beta = self.gamma_initializer(shape, self.dtype), self.beta_initializer(shape, self.dtype)
        self.register_parameter("weight", self._weight(gamma, True, self.gamma_regularizer) if self.scale else None)
        self.register_parameter("bias", self._weight(beta, True, self.beta_regularizer) if self.center else None)
        self.register_buffer("running_mean", self.moving_mean_initializer(shape, self.dtype))
        self.register_buffer("running_var", self.moving_variance_initializer(shape, self.dtype))

    def call(self, x):
        """(batch, ..., channels) -> the same shape."""
        x = in_dtype_of(x, self.running_mean)
        axis = self.axis % x.ndim
        y = ops.batch_norm(
            x if axis == 1 else x.movedim(axis, 1),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training and self._trainable,  # a frozen layer keeps its statistics, as in Keras
            momentum=1.0 - self.momentum,
            eps=self.epsilon,
            unbiased=False,
        )
        return y if axis == 1 else y.movedim(1, axis)


class LayerNormalization(Layer):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta over the last axis (or axes) of each sample.

    Args:
        axis: the last axis or the last axes, as one integer or several. Default -1.
        epsilon: default 1e-3.
        center, scale: whether there is a beta, a gamma. Default True.
        beta_initializer, gamma_initializer: default zeros and ones.
        beta_regularizer, gamma_regularizer: penalties added to the loss. Default None.
        **common: see `Layer`.

    Attributes:
        weight, bias: gamma and beta, of the shape of the axes.

    Shapes: (batch, ..., n) -> the same.

    Example:
        >>> import nncore
        >>> LayerNormalization()(nncore.tensor([[1.0, 3.0]])).detach().round()
        tensor([[-1.,  1.]])

    Reference: Keras, `keras.layers.LayerNormalization`; Ba et al. 2016.
    """

    keras_axes = (("weight", None), ("bias", None))
    shown = ("axis", "epsilon")

    def __init__(
        self,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        **common,
    ):
        super().__init__(**common)
        self.axis = axis if isinstance(axis, int) else tuple(axis)
        self.epsilon = epsilon
        self.center, self.scale = center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self._build_if_shape_is_known()

    def build(self, input_shape):
        """Make gamma and beta."""
        rank = len(input_shape)
        axes = sorted(axis % rank for axis in ((self.axis,) if isinstance(self.axis, int) else self.axis))
        if axes != list(range(rank - len(axes), rank)) or axes[0] == 0:
            raise ValueError(f"LayerNormalization: argument 'axis' is {self.axis}, expected the last of {rank} axes")
        self.normalized_shape = tuple(input_shape[axis] for axis in axes)
        gamma = self.gamma_initializer(self.normalized_shape, self.dtype)
        beta = self.beta_initializer(self.normalized_shape, self.dtype)
        self.register_parameter("weight", self._weight(gamma, True, self.gamma_regularizer) if self.scale else None)
        self.register_parameter("bias", self._weight(beta, True, self.beta_regularizer) if self.center else None)

    def call(self, x):
        """(batch, ..., n) -> the same shape."""
        if self.weight is not None:
            x = in_dtype_of(x, self.weight)
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.epsilon)
