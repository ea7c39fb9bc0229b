"""Batch, layer, group and RMS normalization, and that of data, with Keras's conventions."""

import numpy as np

from ... import ops
from ..._tensor import Tensor
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


def _last_axes(op, axis, input_shape):
    """Sizes of the axes meant, which are the last ones."""
    rank = len(input_shape)
    axes = sorted(a % rank for a in ((axis,) if isinstance(axis, int) else axis))
    if not axes or axes != list(range(rank - len(axes), rank)) or axes[0] == 0:
        raise ValueError(f"{op}: argument 'axis' is {axis}, expected the last of {rank} axes")
    return tuple(input_shape[a] for a in axes)


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

    supports_masking = True
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
        self.normalized_shape = _last_axes("LayerNormalization", self.axis, input_shape)
        gamma = self.gamma_initializer(self.normalized_shape, self.dtype)
        beta = self.beta_initializer(self.normalized_shape, self.dtype)
        self.register_parameter("weight", self._weight(gamma, True, self.gamma_regularizer) if self.scale else None)
        self.register_parameter("bias", self._weight(beta, True, self.beta_regularizer) if self.center else None)

    def call(self, x):
        """(batch, ..., n) -> the same shape."""
        if self.weight is not None:
            x = in_dtype_of(x, self.weight)
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.epsilon)


class GroupNormalization(Layer):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta over the channels of a group and all pixels, per sample.

    Args:
        groups: number of groups, a divisor of the channels; -1 for as many groups as channels. Default 32.
        axis: of the channels. Default -1.
        epsilon: default 1e-3.
        center, scale: whether there is a beta, a gamma. Default True.
        beta_initializer, gamma_initializer: default zeros and ones.
        beta_regularizer, gamma_regularizer: penalties added to the loss. Default None.
        **common: see `Layer`.

    Attributes:
        weight, bias: gamma and beta, (channels,).

    Shapes: (batch, ..., channels) -> the same.

    Example:
        >>> import nncore
        >>> GroupNormalization(2)(nncore.tensor([[1.0, 3.0, 5.0, 7.0]])).detach().round()
        tensor([[-1.,  1., -1.,  1.]])

    Reference: Keras, `keras.layers.GroupNormalization`; Wu & He 2018.
    """

    keras_axes = (("weight", None), ("bias", None))
    shown = ("groups", "axis", "epsilon")

    def __init__(
        self,
        groups=32,
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
        self.groups, self.axis, self.epsilon = groups, axis, epsilon
        self.center, self.scale = center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self._build_if_shape_is_known()

    def build(self, input_shape):
        """Make gamma and beta."""
        rank = len(input_shape)
        if rank < 2 or not (-rank < self.axis < 0 or 0 < self.axis < rank):
            raise ValueError(
                f"GroupNormalization: argument 'axis' is {self.axis}, but 'x' has {rank} axes, the batch axis first"
            )
        channels = input_shape[self.axis]
        groups = channels if self.groups == -1 else self.groups
        if groups < 1 or channels % groups:
            raise ValueError(
                f"GroupNormalization: argument 'groups' is {self.groups}, expected a divisor of {channels} channels"
            )
        gamma, beta = self.gamma_initializer((channels,), self.dtype), self.beta_initializer((channels,), self.dtype)
        self.register_parameter("weight", self._weight(gamma, True, self.gamma_regularizer) if self.scale else None)
        self.register_parameter("bias", self._weight(beta, True, self.beta_regularizer) if self.center else None)

    def call(self, x):
        """(batch, ..., channels) -> the same shape."""
        if self.weight is not None:
            x = in_dtype_of(x, self.weight)
        axis = self.axis % x.ndim
        groups = x.shape[axis] if self.groups == -1 else self.groups
        return ops.group_norm(x.movedim(axis, 1), groups, self.weight, self.bias, self.epsilon).movedim(1, axis)


class RMSNormalization(Layer):
    """y = x / sqrt(mean(x^2) + epsilon) * scale over the last axis (or axes) of each sample.

    Args:
        axis: the last axis or the last axes, as one integer or several. Default -1.
        epsilon: default 1e-6.
        **common: see `Layer`.

    Attributes:
        weight: the scale, of the shape of the axes.

    Shapes: (batch, ..., n) -> the same.

    Example:
        >>> import nncore
        >>> RMSNormalization()(nncore.tensor([[3.0, 4.0, 0.0, 0.0]])).detach()
        tensor([[1.2000, 1.6000, 0.0000, 0.0000]])

    Reference: Keras, `keras.layers.RMSNormalization`; Zhang & Sennrich 2019.
    """

    supports_masking = True
    keras_axes = (("weight", None),)
    shown = ("axis", "epsilon")

    def __init__(self, axis=-1, epsilon=1e-6, **common):
        super().__init__(**common)
        self.axis = axis if isinstance(axis, int) else tuple(axis)
        self.epsilon = epsilon
        self._build_if_shape_is_known()

    def build(self, input_shape):
        """Make the scale."""
        self.normalized_shape = _last_axes("RMSNormalization", self.axis, input_shape)
        self.weight = self._weight(initializers.get("ones")(self.normalized_shape, self.dtype))

    def call(self, x):
        """(batch, ..., n) -> the same shape."""
        return ops.rms_norm(in_dtype_of(x, self.weight), self.normalized_shape, self.weight, self.epsilon)


class Normalization(Layer):
    """y = (x - mean) / max(sqrt(variance), 1e-7), with fixed numbers that `adapt` measures on the training data.

    Args:
        axis: axes that have a mean and variance each, one integer or several; None: one for all numbers. Default -1.
        mean, variance: the numbers, if they are known. Default None: 0 and 1 until `adapt` is called.
        invert: whether the layer goes back, y = x * max(sqrt(variance), 1e-7) + mean. Default False.
        **common: see `Layer`.

    Attributes:
        mean, variance: buffers of the shape of the axes.

    Shapes: (batch, ...) -> the same.

    Example:
        >>> import numpy as np
        >>> layer = Normalization()
        >>> layer.adapt(np.array([[0.0, 10.0], [4.0, 30.0]], np.float32))
        >>> layer(np.array([[2.0, 40.0]], np.float32))
        tensor([[0., 2.]])

    Reference: Keras, `keras.layers.Normalization`.
    """

    supports_masking = True
    keras_axes = (("mean", None), ("variance", None))
    shown = ("axis", "invert")

    def __init__(self, axis=-1, mean=None, variance=None, invert=False, **common):
        super().__init__(**common)
        if (mean is None) != (variance is None):
            raise ValueError("Normalization: expected both arguments 'mean' and 'variance', or none of them")
        self.axis = axis if axis is None or isinstance(axis, int) else tuple(axis)
        self.invert = invert
        self._given = None if mean is None else (np.asarray(mean).tolist(), np.asarray(variance).tolist())
        self._build_if_shape_is_known()

    def build(self, input_shape):
        """Make mean and variance."""
        rank = len(input_shape)
        axes = () if self.axis is None else (self.axis,) if isinstance(self.axis, int) else self.axis
        if any(not (-rank < axis < 0 or 0 < axis < rank) for axis in axes):
            raise ValueError(
                f"Normalization: argument 'axis' is {self.axis}, but 'x' has {rank} axes, the batch axis first"
            )
        self._kept = tuple(sorted(axis % rank for axis in axes))
        shape = tuple(input_shape[axis] for axis in self._kept)
        for name, values in zip(("mean", "variance"), self._given or (0.0, 1.0), strict=True):
            try:
                array = np.broadcast_to(np.asarray(values, self.dtype), shape).copy()
            except ValueError:
                raise ValueError(
                    f"Normalization: argument {name!r} has shape {np.shape(values)}, expected {shape}"
                ) from None
            self.register_buffer(name, Tensor(array))

    def adapt(self, data):
        """Measure mean and variance, in float64.

        Args:
            data: array of shape (samples, ...), or an iterable of batches x or (x, y).
        """
        batches = [data] if isinstance(data, Tensor) or hasattr(data, "__array__") else data
        count, mean, squares = 0, 0.0, 0.0
        for batch in batches:
            x = batch[0] if isinstance(batch, (tuple, list)) else batch
            x = np.asarray(x.detach() if isinstance(x, Tensor) else x, np.float64)
            if not self.built:
                self._build((None, *x.shape[1:]))
            others = tuple(axis for axis in range(x.ndim) if axis not in self._kept)
            n = int(np.prod([x.shape[axis] for axis in others]))
            if not n:
                continue
            shift = x.mean(axis=others) - mean
            squares = squares + x.var(axis=others) * n + shift**2 * (count * n / (count + n))
            count, mean = count + n, mean + shift * (n / (count + n))
        if not count or not np.isfinite(squares).all():
            raise ValueError(
                f"adapt: argument 'data' holds {'NaN, infinity or too large numbers' if count else 'no samples'}"
            )
        self.mean.array[...] = mean
        self.variance.array[...] = squares / count
        self.mean.changed()
        self.variance.changed()

    def call(self, x):
        """(batch, ...) -> the same shape."""
        x = in_dtype_of(x, self.mean)
        shape = [x.shape[axis] if axis in self._kept else 1 for axis in range(x.ndim)]
        mean, scale = self.mean.reshape(shape), ops.clamp(ops.sqrt(self.variance), 1e-7).reshape(shape)
        return x * scale + mean if self.invert else (x - mean) / scale

    def get_config(self):
        """The arguments; what `adapt` measured is among the weights."""
        mean, variance = self._given or (None, None)
        config = {"axis": self.axis, "mean": mean, "variance": variance, "invert": self.invert, "name": self.name}
        if self._weights_dtype is not None:
            config["dtype"] = self._weights_dtype.name
        if self.input_shape is not None:
            config["input_shape"] = self.input_shape
        return config
