"""Conv2D and pooling. Images are channels-last, as the kernels have them in memory: nothing is moved."""

import math

from ... import ops
from ..._tensor import Tensor
from .base import Layer, check_data_format, check_positive, check_rank, in_dtype_of, pair
from .core import Activated


def same_padding(sizes, kernel_size, strides, dilation_rate=(1, 1)):
    """(top, bottom, left, right) so that the output has size ceil(input / stride), the odd one at the end."""
    amounts = []
    for size, kernel, stride, dilation in zip(sizes, kernel_size, strides, dilation_rate, strict=True):
        extent = dilation * (kernel - 1) + 1
        total = max((math.ceil(size / stride) - 1) * stride + extent - size, 0)
        amounts += [total // 2, total - total // 2]
    return tuple(amounts)


def _check_padding(op, padding):
    if padding not in ("valid", "same"):
        raise ValueError(f"{op}: argument 'padding' is {padding!r}, expected 'valid' or 'same'")


class _Images(Layer):
    """A layer of images: `call` gives `images` the logical order (batch, channels, height, width) that nncore.ops wants."""

    def _init_images(self, padding, data_format):
        _check_padding(type(self).__name__, padding)
        self.channels_last = check_data_format(type(self).__name__, data_format)
        self.padding = padding
        self.data_format = "channels_last" if self.channels_last else "channels_first"

    def call(self, x):
        """(batch, height, width, channels) -> (batch, height, width, channels); with "channels_first" channels second."""
        check_rank(type(self).__name__, x, 4)
        if not self.channels_last:
            return self.images(x)
        return self.images(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def images(self, x):
        """The work, on (batch, channels, height, width)."""
        raise NotImplementedError


class Conv2D(Activated, _Images):
    """y = activation(cross-correlation of x with kernel + bias).

    Args:
        filters: number of channels of the output.
        kernel_size: one or two integers.
        strides: one or two integers. Default 1.
        padding: `"valid"` (the default): none; `"same"`: zeros, so that the size is that of the input / strides.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: one or two integers. Default 1.
        groups: default 1.
        activation: a name, a function or None. Default None.
        use_bias: default True.
        kernel_initializer: default `"glorot_uniform"`.
        bias_initializer: default `"zeros"`.
        kernel_regularizer, bias_regularizer: penalties added to the loss. Default None.
        kernel_constraint, bias_constraint: what they are held to after every step. Default None.
        **common: see `Layer`.

    Attributes:
        weight: (filters, in / groups, height, width), as in `nn.Conv2d`; in Keras's layout it is `kernel`,
            (height, width, in / groups, filters).
        bias: (filters,).

    Shapes: (batch, height, width, in) -> (batch, new height, new width, filters).

    Example:
        >>> import nncore
        >>> Conv2D(8, 3, activation="relu", padding="same")(nncore.zeros(2, 28, 28, 1)).shape
        (2, 28, 28, 8)

    Reference: Keras, `keras.layers.Conv2D`.
    """

    keras_axes = (("weight", (2, 3, 1, 0)), ("bias", None))
    shown = ("filters", "kernel_size", "strides", "padding", "activation")

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        data_format=None,
        dilation_rate=(1, 1),
        groups=1,
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
        check_positive("Conv2D", filters=filters, groups=groups)
        self.filters = filters
        self.kernel_size = pair("Conv2D", "kernel_size", kernel_size)
        self.strides = pair("Conv2D", "strides", strides)
        self.dilation_rate = pair("Conv2D", "dilation_rate", dilation_rate)
        self.groups = groups
        if filters % groups:
            raise ValueError(f"Conv2D: argument 'filters' is {filters}, expected a multiple of groups={groups}")
        self._init_images(padding, data_format)
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
        if len(input_shape) != 4:
            raise ValueError(f"Conv2D: argument 'x' has {len(input_shape)} axes, expected 4, the batch axis among them")
        channels = input_shape[-1 if self.channels_last else 1]
        if channels % self.groups:
            raise ValueError(
                f"Conv2D: argument 'x' has {channels} channels, expected a multiple of groups={self.groups}"
            )
        self._make_weights((*self.kernel_size, channels // self.groups, self.filters))

    def images(self, x):
        """The convolution, on (batch, channels, height, width)."""
        x = in_dtype_of(x, self.weight)
        padding = (0, 0)
        if self.padding == "same":
            top, bottom, left, right = same_padding(x.shape[2:], self.kernel_size, self.strides, self.dilation_rate)
            if top == bottom and left == right:
                padding = (top, left)
            else:
                x = ops.pad(x, (left, right, top, bottom))
        y = ops.conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.strides,
            padding=padding,
            dilation=self.dilation_rate,
            groups=self.groups,
            activation=self.fused_activation,
        )
        return y

    def call(self, x):
        """(batch, height, width, in) -> (batch, new height, new width, filters)."""
        return self._activate(_Images.call(self, x))


class _Pooling2D(_Images):
    """What the two kinds of pooling share."""

    shown = ("pool_size", "strides", "padding")

    def __init__(self, pool_size=(2, 2), strides=None, padding="valid", data_format=None, **common):
        super().__init__(**common)
        kind = type(self).__name__
        self.pool_size = pair(kind, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair(kind, "strides", strides)
        self._init_images(padding, data_format)

    def _padding(self, x):
        if self.padding == "valid":
            return (0, 0, 0, 0)
        return same_padding(x.shape[2:], self.pool_size, self.strides)


class MaxPooling2D(_Pooling2D):
    """y = max over windows.

    Args:
        pool_size: one or two integers. Default 2.
        strides: one or two integers. Default: `pool_size`.
        padding: `"valid"` (the default), or `"same"`: windows may stick out.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        **common: see `Layer`.

    Shapes: (batch, height, width, channels) -> (batch, new height, new width, channels).

    Example:
        >>> import nncore
        >>> MaxPooling2D()(nncore.zeros(2, 7, 7, 3)).shape
        (2, 3, 3, 3)

    Reference: Keras, `keras.layers.MaxPooling2D`.
    """

    def images(self, x):
        """The maxima, on (batch, channels, height, width)."""
        top, bottom, left, right = self._padding(x)
        if any((top, bottom, left, right)):
            x = ops.pad(x, (left, right, top, bottom), value=-math.inf)
        return ops.max_pool2d(x, self.pool_size, self.strides)


class AveragePooling2D(_Pooling2D):
    """y = mean over windows; with padding "same" over the part of a window that is inside the image.

    Args:
        pool_size, strides, padding, data_format, **common: see `MaxPooling2D`.

    Shapes: (batch, height, width, channels) -> (batch, new height, new width, channels).

    Example:
        >>> import nncore
        >>> AveragePooling2D(padding="same")(nncore.ones(1, 3, 3, 1)).reshape(-1)
        tensor([1., 1., 1., 1.])

    Reference: Keras, `keras.layers.AveragePooling2D`.
    """

    def images(self, x):
        """The means, on (batch, channels, height, width)."""
        top, bottom, left, right = self._padding(x)
        if not any((top, bottom, left, right)):
            return ops.avg_pool2d(x, self.pool_size, self.strides)
        margins = (left, right, top, bottom)
        inside = ops.pad(ops.ones(1, 1, *x.shape[2:], dtype=x.dtype), margins)
        share = ops.avg_pool2d(inside, self.pool_size, self.strides).array
        return ops.avg_pool2d(ops.pad(x, margins), self.pool_size, self.strides) * Tensor(1.0 / share)


class _GlobalPooling2D(_Images):
    shown = ("keepdims",)

    def __init__(self, data_format=None, keepdims=False, **common):
        super().__init__(**common)
        self._init_images("valid", data_format)
        self.keepdims = keepdims

    def call(self, x):
        """(batch, height, width, channels) -> (batch, channels), or (batch, 1, 1, channels)."""
        check_rank(type(self).__name__, x, 4)
        return self.reduce(x, (1, 2) if self.channels_last else (2, 3))


class GlobalAveragePooling2D(_GlobalPooling2D):
    """y = mean over all pixels.

    Args:
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        keepdims: whether height and width stay as axes of size 1. Default False.
        **common: see `Layer`.

    Shapes: (batch, height, width, channels) -> (batch, channels).

    Example:
        >>> import nncore
        >>> GlobalAveragePooling2D()(nncore.ones(2, 7, 7, 3)).shape
        (2, 3)

    Reference: Keras, `keras.layers.GlobalAveragePooling2D`.
    """

    def reduce(self, x, dims):
        """The mean over `dims`."""
        return x.mean(dim=dims, keepdim=self.keepdims)


class GlobalMaxPooling2D(_GlobalPooling2D):
    """y = max over all pixels.

    Args:
        data_format, keepdims, **common: see `GlobalAveragePooling2D`.

    Shapes: (batch, height, width, channels) -> (batch, channels).

    Example:
        >>> import nncore
        >>> GlobalMaxPooling2D()(nncore.ones(2, 7, 7, 3)).shape
        (2, 3)

    Reference: Keras, `keras.layers.GlobalMaxPooling2D`.
    """

    def reduce(self, x, dims):
        """The maximum over `dims`."""
        return x.amax(dim=dims, keepdim=self.keepdims)
