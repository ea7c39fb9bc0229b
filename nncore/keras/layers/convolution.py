"""Convolutions of series and images, depthwise and separable ones, and their transposes."""

from ... import ops
from .. import constraints, initializers, regularizers
from .base import check_positive, in_dtype_of, sizes
from .core import Activated
from .spatial import Spatial, same_padding, surround


class _Convolving(Activated, Spatial):
    """What the convolutions share: sizes of their windows, and the activation behind."""

    shown: tuple[str, ...] = ("filters", "kernel_size", "strides", "padding", "activation")

    def _init_window(self, kernel_size, strides, padding, data_format, dilation_rate, paddings=("valid", "same")):
        kind = type(self).__name__
        self.kernel_size = sizes(kind, "kernel_size", kernel_size, self.axes)
        self.strides = sizes(kind, "strides", strides, self.axes)
        self.dilation_rate = sizes(kind, "dilation_rate", dilation_rate, self.axes)
        self._init_spatial(padding, data_format, paddings)

    def _channels(self, input_shape):
        kind, rank = type(self).__name__, self.axes + 2
        if len(input_shape) != rank:
            raise ValueError(
                f"{kind}: argument 'x' has {len(input_shape)} axes, expected {rank}, the batch axis among them"
            )
        return input_shape[-1 if self.channels_last else 1]

    def _convolve(self, x, weight, bias, **options):
        """The convolution, on (batch, channels, ...)."""
        margins = [(0, 0)] * self.axes
        if self.padding == "same":
            margins = same_padding(x.shape[2:], self.kernel_size, self.strides, self.dilation_rate)
        elif self.padding == "causal":
            margins = [(d * (k - 1), 0) for d, k in zip(self.dilation_rate, self.kernel_size)]
        padding = 0
        if all(before == after for before, after in margins):
            padding = tuple(before for before, _ in margins)
        else:
            x = surround(x, margins)
        convolve = ops.conv1d if self.axes == 1 else ops.conv2d
        window = {"stride": self.strides, "padding": padding, "dilation": self.dilation_rate}
        return convolve(x, weight, bias, **window, **options)

    def call(self, x):
        """(batch, ..., in) -> (batch, ..., out); with "channels_first" channels second."""
        return self._activate(Spatial.call(self, x))


class _Convolution(_Convolving):
    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        groups=1,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        mode="correlate",
        **common,
    ):
        super().__init__(**common)
        kind = type(self).__name__
        check_positive(kind, filters=filters, groups=groups)
        self.filters = filters
        self.groups = groups
        paddings = ("valid", "same", "causal") if self.axes == 1 else ("valid", "same")
        self._init_window(kernel_size, strides, padding, data_format, dilation_rate, paddings)
        if filters % groups:
            raise ValueError(f"{kind}: argument 'filters' is {filters}, expected a multiple of groups={groups}")
        if mode not in ("correlate", "convolve"):
            raise ValueError(f"{kind}: argument 'mode' is {mode!r}, expected 'correlate' or 'convolve'")
        self.mode = mode
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
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{type(self).__name__}: argument 'x' has {channels} channels, expected a multiple of groups={self.groups}"
            )
        self._make_weights((*self.kernel_size, channels // self.groups, self.filters), self.filters)

    def spatial(self, x):
        """The convolution, on (batch, channels, ...)."""
        x = in_dtype_of(x, self.weight)
        options = {"groups": self.groups, "activation": self.fused_activation, "mode": self.mode}
        return self._convolve(x, self.weight, self.bias, **options)


class Conv1D(_Convolution):
    """Conv2D of series.

    Args:
        As Conv2D, with an integer in the place of two. Padding may also be `"causal"`: zeros before the series, so that
        no output sees what comes after it.

    Attributes:
        weight: (filters, in / groups, size), as in `nn.Conv1d`; in Keras's layout it is `kernel`, (size, in / groups, filters).
        bias: (filters,).

    Shapes: (batch, steps, in) -> (batch, new steps, filters).

    Example:
        >>> import nncore
        >>> Conv1D(8, 3, padding="causal")(nncore.zeros(2, 10, 4)).shape
        (2, 10, 8)

    Reference: Keras, `keras.layers.Conv1D`.
    """

    axes = 1
    keras_axes = (("weight", (2, 1, 0)), ("bias", None))


class Conv2D(_Convolution):
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
        mode: `"correlate"` (the default), or `"convolve"` for the convolution of mathematics, which flips the kernel.
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

    Reference: Keras, `keras.layers.Conv2D`, but for `mode`.
    """

    keras_axes = (("weight", (2, 3, 1, 0)), ("bias", None))


class _Transposed(_Convolving):
    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        output_padding=None,
        data_format=None,
        dilation_rate=1,
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
        check_positive(type(self).__name__, filters=filters)
        self.filters = filters
        self._init_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.output_padding = output_padding
        if output_padding is not None:
            behind = output_padding if isinstance(output_padding, (tuple, list)) else (output_padding,) * self.axes
            if len(behind) != self.axes or any(not 0 <= b < s for b, s in zip(behind, self.strides)):
                raise ValueError(
                    f"{type(self).__name__}: argument 'output_padding' is {output_padding!r}, expected less than "
                    f"strides={self.strides}"
                )
            self.output_padding = tuple(behind)
        self._init_activated(
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
            fuse=False,
        )
        self._build_if_shape_is_known()

    def build(self, input_shape):
        """Make weight and bias."""
        self._make_weights((*self.kernel_size, self.filters, self._channels(input_shape)), self.filters)

    def _cut(self, axis):
        """(before, after): what is cut off the image that all pixels write to; below 0 what is added."""
        extent = self.dilation_rate[axis] * (self.kernel_size[axis] - 1) + 1
        stride = self.strides[axis]
        behind = None if self.output_padding is None else self.output_padding[axis]
        if self.padding == "valid":
            return 0, -(max(stride - extent, 0) if behind is None else behind)
        # of extent - 1 pixels on each side these are left: the size is that of the input times the stride
        left = stride + extent - 2 if behind is None else extent + extent % 2 - 2 + behind
        before = min(left // 2 + left % 2, extent - 1)
        return extent - 1 - before, extent - 1 - (left - before)

    def spatial(self, x):
        """The transposed convolution, on (batch, channels, ...)."""
        x = in_dtype_of(x, self.weight)
        convolve = ops.conv_transpose1d if self.axes == 1 else ops.conv_transpose2d
        cuts = [self._cut(axis) for axis in range(self.axes)]
        behind = [before - after for before, after in cuts]
        window = {"stride": self.strides, "dilation": self.dilation_rate}
        if all(0 <= b < max(s, d) for b, s, d in zip(behind, self.strides, self.dilation_rate)):
            padding = tuple(before for before, _ in cuts)
            return convolve(x, self.weight, self.bias, padding=padding, output_padding=tuple(behind), **window)
        y = convolve(x, self.weight, None, **window)
        inside = tuple(slice(before, n - max(after, 0)) for n, (before, after) in zip(y.shape[2:], cuts))
        y = surround(y[(slice(None), slice(None), *inside)], [(0, max(-after, 0)) for _, after in cuts])
        return y if self.bias is None else y + self.bias.reshape(-1, *[1] * self.axes)


class Conv1DTranspose(_Transposed):
    """Conv2DTranspose of series.

    Args:
        As Conv2DTranspose, with an integer in the place of two.

    Attributes:
        weight: (in, filters, size), as in `nn.ConvTranspose1d`; in Keras's layout it is `kernel`, (size, filters, in).
        bias: (filters,).

    Shapes: (batch, steps, in) -> (batch, new steps, filters).

    Example:
        >>> import nncore
        >>> Conv1DTranspose(8, 3, strides=2, padding="same")(nncore.zeros(2, 10, 4)).shape
        (2, 20, 8)

    Reference: Keras, `keras.layers.Conv1DTranspose`.
    """

    axes = 1
    keras_axes = (("weight", (2, 1, 0)), ("bias", None))


class Conv2DTranspose(_Transposed):
    """The gradient of a Conv2D by its input, as a layer: it makes of an image a larger one.

    Args:
        filters: number of channels of the output.
        kernel_size: one or two integers.
        strides: one or two integers: how many times as large the output is. Default 1.
        padding: `"valid"` (the default): nothing is cut off; `"same"`: the size is that of the input times the strides.
        output_padding: one or two integers below `strides`: what is added behind. Default None: as `padding` says.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: one or two integers. Default 1.
        activation: a name, a function or None. Default None.
        use_bias: default True.
        kernel_initializer: default `"glorot_uniform"`.
        bias_initializer: default `"zeros"`.
        kernel_regularizer, bias_regularizer: penalties added to the loss. Default None.
        kernel_constraint, bias_constraint: what they are held to after every step. Default None.
        **common: see `Layer`.

    Attributes:
        weight: (in, filters, height, width), as in `nn.ConvTranspose2d`; in Keras's layout it is `kernel`,
            (height, width, filters, in).
        bias: (filters,).

    Shapes: (batch, height, width, in) -> (batch, new height, new width, filters).

    Example:
        >>> import nncore
        >>> Conv2DTranspose(8, 3, strides=2, padding="same")(nncore.zeros(2, 7, 7, 4)).shape
        (2, 14, 14, 8)

    Reference: Keras, `keras.layers.Conv2DTranspose`.
    """

    keras_axes = (("weight", (2, 3, 1, 0)), ("bias", None))


class _Depthwise(_Convolving):
    """A layer with a filter of its own for each channel, or several."""

    def _make_filters(self, channels):
        """(channels * depth_multiplier, 1, height, width) as a Parameter, drawn in Keras's layout."""
        drawn = self.depthwise_initializer((*self.kernel_size, channels, self.depth_multiplier), self.dtype)
        flat = drawn.reshape(*self.kernel_size, 1, channels * self.depth_multiplier)
        options = {"regularizer": self.depthwise_regularizer, "constraint": self.depthwise_constraint}
        return self._weight(flat.permute(3, 2, 0, 1), axes=self._filters_in_keras, **options)

    def _filters_in_keras(self, array):
        """(channels * depth_multiplier, 1, height, width) as (height, width, channels, depth_multiplier), in place."""
        view = array.transpose(2, 3, 1, 0).view()
        view.shape = (*self.kernel_size, -1, self.depth_multiplier)
        return view


class DepthwiseConv2D(_Depthwise):
    """A Conv2D of each channel by itself.

    Args:
        kernel_size: one or two integers.
        strides: one or two integers. Default 1.
        padding: `"valid"` (the default) or `"same"`.
        depth_multiplier: number of outputs of each channel. Default 1.
        data_format: `"channels_last"` (the default) or `"channels_first"`.
        dilation_rate: one or two integers. Default 1.
        activation: a name, a function or None. Default None.
        use_bias: default True.
        depthwise_initializer: default `"glorot_uniform"`.
        bias_initializer: default `"zeros"`.
        depthwise_regularizer, bias_regularizer: penalties added to the loss. Default None.
        depthwise_constraint, bias_constraint: what they are held to after every step. Default None.
        **common: see `Layer`.

    Attributes:
        weight: (in * depth_multiplier, 1, height, width), as in an `nn.Conv2d` with groups=in; Keras has it as
            (height, width, in, depth_multiplier).
        bias: (in * depth_multiplier,).

    Shapes: (batch, height, width, in) -> (batch, new height, new width, in * depth_multiplier).

    Example:
        >>> import nncore
        >>> DepthwiseConv2D(3, depth_multiplier=2)(nncore.zeros(2, 7, 7, 4)).shape
        (2, 5, 5, 8)

    Reference: Keras, `keras.layers.DepthwiseConv2D`.
    """

    shown = ("kernel_size", "strides", "padding", "activation")

    def __init__(
        self,
        kernel_size,
        strides=1,
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
        **common,
    ):
        super().__init__(**common)
        check_positive("DepthwiseConv2D", depth_multiplier=depth_multiplier)
        self.depth_multiplier = depth_multiplier
        self._init_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._init_activated(
            activation, use_bias, None, bias_initializer, None, bias_regularizer, None, bias_constraint
        )
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self._build_if_shape_is_known()

    @property
    def keras_axes(self):
        """The filters as Keras has them."""
        return (("weight", self._filters_in_keras), ("bias", None))

    def build(self, input_shape):
        """Make weight and bias."""
        channels = self._channels(input_shape)
        self.weight = self._make_filters(channels)
        self._make_bias(channels * self.depth_multiplier)

    def spatial(self, x):
        """The convolution, on (batch, channels, height, width)."""
        x = in_dtype_of(x, self.weight)
        options = {"groups": x.shape[1], "activation": self.fused_activation}
        return self._convolve(x, self.weight, self.bias, **options)


class SeparableConv2D(_Depthwise):
    """A DepthwiseConv2D without bias, then a Conv2D of single pixels: few weights for what a Conv2D does (Chollet 2017).

    Args:
        filters: number of channels of the output.
        kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier: of the first convolution, as those of
            `DepthwiseConv2D`.
        activation: a name, a function or None. Default None.
        use_bias: default True.
        depthwise_initializer, pointwise_initializer: default `"glorot_uniform"`.
        bias_initializer: default `"zeros"`.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: penalties added to the loss. Default None.
        depthwise_constraint, pointwise_constraint, bias_constraint: what they are held to after every step. Default None.
        **common: see `Layer`.

    Attributes:
        depthwise: (in * depth_multiplier, 1, height, width).
        weight: (filters, in * depth_multiplier, 1, 1), of the second convolution.
        bias: (filters,).

    Shapes: (batch, height, width, in) -> (batch, new height, new width, filters).

    Example:
        >>> import nncore
        >>> layer = SeparableConv2D(16, 3)
        >>> layer(nncore.zeros(2, 7, 7, 4)).shape, layer.count_params()
        ((2, 5, 5, 16), 116)

    Reference: Keras, `keras.layers.SeparableConv2D`.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
        bias_constraint=None,
        **common,
    ):
        super().__init__(**common)
        check_positive("SeparableConv2D", filters=filters, depth_multiplier=depth_multiplier)
        self.filters = filters
        self.depth_multiplier = depth_multiplier
        self._init_window(kernel_size, strides, padding, data_format, dilation_rate)
        self._init_activated(
            activation, use_bias, None, bias_initializer, None, bias_regularizer, None, bias_constraint
        )
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.pointwise_constraint = constraints.get(pointwise_constraint)
        self._build_if_shape_is_known()

    @property
    def keras_axes(self):
        """The filters as Keras has them."""
        return (("depthwise", self._filters_in_keras), ("weight", (2, 3, 1, 0)), ("bias", None))

    def build(self, input_shape):
        """Make depthwise, weight and bias."""
        channels = self._channels(input_shape)
        self.depthwise = self._make_filters(channels)
        drawn = self.pointwise_initializer((1, 1, channels * self.depth_multiplier, self.filters), self.dtype)
        options = {"regularizer": self.pointwise_regularizer, "constraint": self.pointwise_constraint}
        self.weight = self._weight(drawn.permute(3, 2, 0, 1), axes=(2, 3, 1, 0), **options)
        self._make_bias(self.filters)

    def spatial(self, x):
        """Both convolutions, on (batch, channels, height, width)."""
        x = in_dtype_of(x, self.weight)
        x = self._convolve(x, self.depthwise, None, groups=x.shape[1])
        return ops.conv2d(x, self.weight, self.bias, activation=self.fused_activation)
