"""SimpleRNN, LSTM, GRU and Bidirectional: the ops under nn.RNN, nn.LSTM and nn.GRU, with Keras's weights and orders."""

from ... import ops
from ...nn.arguments import unsupported
from .. import activations, initializers, regularizers
from .base import Layer, check_positive, check_rank, in_dtype_of
from .masking import Steps

_RNN_ACTIVATIONS = {
    activations.tanh: "tanh",
    activations.relu: "relu",
    activations.sigmoid: "sigmoid",
    activations.linear: None,
}


def _check_activation(op, name, activation, expected):
    if activations.get(activation) is not activations.get(expected):
        raise ValueError(f"{op}: argument {name!r} is {activation!r}, expected {expected!r}, the only one supported")


class Recurrent(Layer):
    """What SimpleRNN, LSTM and GRU share: weights of `gates` times `units` columns, and what comes in and goes out."""

    keras_axes = (("weight_ih", (1, 0)), ("weight_hh", (1, 0)), ("bias", None))
    shown = ("units", "activation", "return_sequences", "return_state", "go_backwards")
    gates, states = 1, 1
    supports_masking = True

    def _init_recurrent(
        self,
        units,
        activation,
        use_bias,
        kernel_initializer,
        recurrent_initializer,
        bias_initializer,
        kernel_regularizer,
        recurrent_regularizer,
        bias_regularizer,
        dropout,
        recurrent_dropout,
        return_sequences,
        return_state,
        go_backwards,
        stateful,
        unroll,
    ):
        op = type(self).__name__
        check_positive(op, units=units)
        unsupported(op, recurrent_dropout=(recurrent_dropout, 0), stateful=(stateful, False))
        if not 0 <= dropout <= 1:
            raise ValueError(f"{op}: argument 'dropout' is {dropout}, expected a number in [0, 1]")
        self.units = units
        self.activation = activations.serialize(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self._build_if_shape_is_known()

    # ---- weights ----
    def build(self, input_shape):
        """Make kernel, recurrent kernel and bias."""
        if len(input_shape) != 3:
            raise ValueError(
                f"{type(self).__name__}: argument 'x' has {len(input_shape)} axes, expected 3: batch, steps, features"
            )
        columns = self.gates * self.units
        kernel = self.kernel_initializer((input_shape[-1], columns), self.dtype)
        recurrent = self.recurrent_initializer((self.units, columns), self.dtype)
        self.weight_ih = self._weight(kernel.permute(1, 0), regularizer=self.kernel_regularizer)
        self.weight_hh = self._weight(recurrent.permute(1, 0), regularizer=self.recurrent_regularizer)
        if self.use_bias:
            self.bias = self._weight(self._first_bias(), regularizer=self.bias_regularizer)
        else:
            self.register_parameter("bias", None)

    def _first_bias(self):
        return self.bias_initializer((self.gates * self.units,), self.dtype)

    @property
    def kernel(self):
        """The weight of the input in Keras's layout, (in, gates * units); shares the memory."""
        return self.weight_ih.detach().permute(1, 0)

    @property
    def recurrent_kernel(self):
        """The weight of the state in Keras's layout, (units, gates * units); shares the memory."""
        return self.weight_hh.detach().permute(1, 0)

    # ---- the call ----
    def _run(self, x, states, lengths):
        """(y, final states...) of (steps, batch, features)."""
        raise NotImplementedError

    def _initial(self, state, batch):
        op, given = type(self).__name__, [] if state is None else state
        given = list(given) if isinstance(given, (list, tuple)) else [given]
        if state is not None and len(given) != self.states:
            raise ValueError(f"{op}: argument 'initial_state' has {len(given)} Tensors, expected {self.states}")
        for one in given:
            if tuple(one.shape) != (batch, self.units):
                raise ValueError(
                    f"{op}: argument 'initial_state' has a state of shape {tuple(one.shape)}, expected {(batch, self.units)}"
                )
        return given or [None] * self.states

    def call(self, x, initial_state=None, lengths=None, mask=None):
        """(batch, steps, features) -> (batch, units), or (batch, steps, units), and perhaps the states."""
        op = type(self).__name__
        check_rank(op, x, 3)
        x = in_dtype_of(x, self.weight_ih)
        states = self._initial(initial_state, x.shape[0])
        if self.dropout and self.training:  # one draw for all steps
            x = x * ops.dropout(ops.ones(x.shape[0], 1, x.shape[2], dtype=x.dtype), self.dropout)
        if mask is not None:
            if lengths is not None:
                raise ValueError(f"{op}: arguments 'lengths' and 'mask' are both given, expected one of them")
            kept = Steps(op, mask, x)
            x, lengths = kept.pack(x), kept.lengths
        y, *final = self._run(x.transpose(0, 1), states, lengths)
        output = final[0]
        if self.return_sequences:
            output = y.transpose(0, 1) if mask is None else kept.unpack(y.transpose(0, 1), self.go_backwards)
            output = ops.flip(output, 1) if self.go_backwards else output
        return [output, *final] if self.return_state else output

    def compute_mask(self, x, mask):
        """That of the input, where the output has its steps."""
        return mask if self.return_sequences else None

    def compute_output_shape(self, input_shape):
        """Shape of the output, with None for the batch axis; a list of shapes with return_state."""
        output = (None, input_shape[1], self.units) if self.return_sequences else (None, self.units)
        return [output, *[(None, self.units)] * self.states] if self.return_state else output


class SimpleRNN(Recurrent):
    """h' = activation(x kernel + h recurrent_kernel + bias), step by step.

    Args:
        units: size of the state.
        activation: `"tanh"` (the default), `"relu"`, `"sigmoid"` or `"linear"`.
        use_bias: default True.
        kernel_initializer: default `"glorot_uniform"`.
        recurrent_initializer: default `"orthogonal"`.
        bias_initializer: default `"zeros"`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties added to the loss. Default None.
        dropout: share of the input's features that are 0 in training, the same ones in all steps. Default 0.
        recurrent_dropout, stateful: 0 and False, the only values.
        return_sequences: whether the output is the state after every step, not after the last. Default False.
        return_state: whether to return `[output, state]`. Default False.
        go_backwards: whether to go from the last step to the first; the output then is in that order, too. Default False.
        unroll: accepted, without effect.
        **common: see `Layer`.

    Called with (x, initial_state=None, lengths=None, mask=None): lengths, int64 of shape (batch,), says how many steps each row
    has. Its output is 0 after them, and its state stays. mask, bool of shape (batch, steps), says which steps count (default: as
    the layers before say, see `Masking`): the others change no state, and their output is that of the step before.

    Attributes:
        weight_ih, weight_hh: (units, in) and (units, units), as in `nn.RNN`; in Keras's layout they are `kernel`,
            (in, units), and `recurrent_kernel`.
        bias: (units,).

    Shapes: (batch, steps, in) -> (batch, units), or (batch, steps, units).

    Example:
        >>> import nncore
        >>> SimpleRNN(4, return_sequences=True)(nncore.ones(2, 5, 3)).shape
        (2, 5, 4)

    Reference: Keras, `keras.layers.SimpleRNN`; Elman 1990.
    """

    def __init__(
        self,
        units,
        activation="tanh",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        **common,
    ):
        super().__init__(**common)
        function = activations.get(activation)
        if function not in _RNN_ACTIVATIONS:
            raise ValueError(
                f"SimpleRNN: argument 'activation' is {activation!r}, expected 'tanh', 'relu', 'sigmoid' or 'linear'"
            )
        self._activation = _RNN_ACTIVATIONS[function]
        self._init_recurrent(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            dropout,
            recurrent_dropout,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            unroll,
        )

    def _run(self, x, states, lengths):
        weights = self.weight_ih, self.weight_hh, self.bias, None
        return ops.rnn(x, *states, *weights, lengths, self.go_backwards, self._activation)


class LSTM(Recurrent):
    """Long short-term memory; the columns of its weights are those of i, f, c and o, one after the other.

    Args:
        units: size of the states h and c.
        activation, recurrent_activation: `"tanh"` and `"sigmoid"`, the only values.
        unit_forget_bias: whether the bias of f begins with 1. Default True.
        use_bias, kernel_initializer, ..., unroll, **common: as in `SimpleRNN`; return_state gives `[output, h, c]`.

    Called as `SimpleRNN`; initial_state is `[h, c]`.

    Attributes:
        weight_ih, weight_hh: (4 units, in) and (4 units, units), as in `nn.LSTM`; in Keras's layout they are `kernel`,
            (in, 4 units), and `recurrent_kernel`.
        bias: (4 units,).

    Shapes: (batch, steps, in) -> (batch, units), or (batch, steps, units).

    Example:
        >>> import nncore
        >>> output, h, c = LSTM(4, return_state=True)(nncore.ones(2, 5, 3))
        >>> output.shape, c.shape
        ((2, 4), (2, 4))

    Reference: Keras, `keras.layers.LSTM`; Hochreiter & Schmidhuber 1997.
    """

    gates, states = 4, 2

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        **common,
    ):
        super().__init__(**common)
        _check_activation("LSTM", "activation", activation, "tanh")
        _check_activation("LSTM", "recurrent_activation", recurrent_activation, "sigmoid")
        self.recurrent_activation = activations.serialize(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias
        self._init_recurrent(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            dropout,
            recurrent_dropout,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            unroll,
        )

    def _first_bias(self):
        if not self.unit_forget_bias:
            return super()._first_bias()
        first, last = (self.bias_initializer((n * self.units,), self.dtype) for n in (1, 2))
        return ops.cat([first, ops.ones(self.units, dtype=self.dtype), last])

    def _run(self, x, states, lengths):
        weights = self.weight_ih, self.weight_hh, self.bias, None
        return ops.lstm(x, *states, *weights, lengths, self.go_backwards)


class GRU(Recurrent):
    """Gated recurrent units; the columns of its weights are those of z, r and h, one after the other.

    Args:
        units: size of the state.
        activation, recurrent_activation: `"tanh"` and `"sigmoid"`, the only values.
        reset_after: whether r applies after the product with the recurrent kernel (cuDNN) or before it (Cho et al.).
            Default True.
        use_bias, kernel_initializer, ..., unroll, **common: as in `SimpleRNN`.

    Called as `SimpleRNN`.

    Attributes:
        weight_ih, weight_hh: (3 units, in) and (3 units, units); in Keras's layout they are `kernel`, (in, 3 units), and
            `recurrent_kernel`. In `nn.GRU` r comes before z.
        bias: (2, 3 units), of the input and of the state; without reset_after one for both, (3 units,).

    Shapes: (batch, steps, in) -> (batch, units), or (batch, steps, units).

    Example:
        >>> import nncore
        >>> GRU(4, return_sequences=True, go_backwards=True)(nncore.ones(2, 5, 3)).shape
        (2, 5, 4)

    Reference: Keras, `keras.layers.GRU`; Cho et al. 2014.
    """

    gates = 3

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        reset_after=True,
        **common,
    ):
        super().__init__(**common)
        _check_activation("GRU", "activation", activation, "tanh")
        _check_activation("GRU", "recurrent_activation", recurrent_activation, "sigmoid")
        self.recurrent_activation = activations.serialize(recurrent_activation)
        self.reset_after = reset_after
        self._init_recurrent(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            dropout,
            recurrent_dropout,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            unroll,
        )

    def _first_bias(self):
        shape = (2, 3 * self.units) if self.reset_after else (3 * self.units,)
        return self.bias_initializer(shape, self.dtype)

    def _run(self, x, states, lengths):
        biases = self.bias, None
        if self.reset_after and self.use_bias:
            biases = self.bias[0], self.bias[1]
        weights = self.weight_ih, self.weight_hh, *biases
        return ops.gru(x, *states, *weights, lengths, self.go_backwards, self.reset_after, update_first=True)


_MERGES = {
    "concat": lambda a, b: ops.cat([a, b], dim=-1),
    "sum": lambda a, b: a + b,
    "ave": lambda a, b: (a + b) * 0.5,
    "mul": lambda a, b: a * b,
    None: lambda a, b: [a, b],
}


class Bidirectional(Layer):
    """A recurrent layer on the steps as they come, a second one on the way back, and both outputs as one.

    Args:
        layer: a SimpleRNN, LSTM or GRU.
        merge_mode: `"concat"` (the default), `"sum"`, `"ave"`, `"mul"`, or None: a list of both.
        backward_layer: the second layer, which goes backwards if the first does not. Default: one like the first.
        **common: see `Layer`.

    Called with (x, initial_state=None, lengths=None, mask=None); initial_state are the states of the first layer, then the second's. With
    the layer's return_state the result is `[output, states of the first..., states of the second...]`.

    Attributes:
        forward_layer, backward_layer: the two; their weights in this order are those of Keras.

    Shapes: (batch, steps, in) -> (batch, 2 units), or with the layer's return_sequences (batch, steps, 2 units).

    Example:
        >>> import nncore
        >>> Bidirectional(LSTM(4, return_sequences=True))(nncore.ones(2, 5, 3)).shape
        (2, 5, 8)

    Reference: Keras, `keras.layers.Bidirectional`; Schuster & Paliwal 1997.
    """

    shown = ("merge_mode",)
    supports_masking = True

    def __init__(self, layer, merge_mode="concat", backward_layer=None, **common):
        super().__init__(**common)
        if not isinstance(layer, Recurrent):
            raise ValueError(
                f"Bidirectional: argument 'layer' is a {type(layer).__name__}, expected a SimpleRNN, LSTM or GRU"
            )
        if merge_mode not in _MERGES:
            raise ValueError(
                f"Bidirectional: argument 'merge_mode' is {merge_mode!r}, expected one of "
                f"{', '.join(map(repr, _MERGES))}"
            )
        if backward_layer is None:
            config = layer.get_config() | {"go_backwards": not layer.go_backwards, "name": f"backward_{layer.name}"}
            backward_layer = type(layer).from_config(config)
        elif not isinstance(backward_layer, Recurrent) or backward_layer.go_backwards == layer.go_backwards:
            raise ValueError(
                "Bidirectional: argument 'backward_layer' goes the same way as 'layer', expected a recurrent layer that "
                "goes the other way"
            )
        for name in ("return_sequences", "return_state"):
            if getattr(layer, name) != getattr(backward_layer, name):
                raise ValueError(f"Bidirectional: '{name}' of argument 'backward_layer' is not that of 'layer'")
        self.merge_mode = merge_mode
        self.forward_layer = layer
        self.backward_layer = backward_layer
        self._build_if_shape_is_known()

    def build(self, input_shape):
        """Build both layers."""
        self.forward_layer._build(input_shape)
        self.backward_layer._build(input_shape)

    def call(self, x, initial_state=None, lengths=None, mask=None):
        """(batch, steps, features) -> both outputs, merged, and perhaps the states."""
        first, second = self.forward_layer, self.backward_layer
        given = [None, None]
        if initial_state is not None:
            if len(initial_state) != first.states + second.states:
                raise ValueError(
                    f"Bidirectional: argument 'initial_state' has {len(initial_state)} Tensors, expected "
                    f"{first.states + second.states}"
                )
            given = [list(initial_state[: first.states]), list(initial_state[first.states :])]
        options = {"lengths": lengths, "mask": mask}
        results = [layer(x, initial_state=state, **options) for layer, state in zip((first, second), given)]
        (a, *states), (b, *more) = results if first.return_state else [[result] for result in results]
        if first.return_sequences:
            b = ops.flip(b, 1)
        merged = _MERGES[self.merge_mode](a, b)
        if not first.return_state:
            return merged
        return [*(merged if isinstance(merged, list) else [merged]), *states, *more]

    def compute_mask(self, x, mask):
        """That of the input, where the output has its steps."""
        return self.forward_layer.compute_mask(x, mask)

    def compute_output_shape(self, input_shape):
        """Shape of the output, with None for the batch axis; a list of shapes where the output is a list."""
        shapes = [layer.compute_output_shape(input_shape) for layer in (self.forward_layer, self.backward_layer)]
        (a, *states), (b, *more) = shapes if self.forward_layer.return_state else [[shape] for shape in shapes]
        outputs = [a, b] if self.merge_mode is None else [a]
        if self.merge_mode == "concat":
            outputs = [(*a[:-1], a[-1] + b[-1])]
        return [*outputs, *states, *more] if states or len(outputs) > 1 else outputs[0]

    def get_config(self):
        """The arguments that make a layer like this one, plain data."""
        config = super().get_config()
        for name, layer in (("layer", self.forward_layer), ("backward_layer", self.backward_layer)):
            config[name] = {"class_name": type(layer).__name__, "config": layer.get_config()}
        return config

    @classmethod
    def from_config(cls, config):
        """The layer with the given arguments; built if they tell the shape of the input."""
        classes = {kind.__name__: kind for kind in (SimpleRNN, LSTM, GRU)}
        inner = {
            name: classes[config[name]["class_name"]].from_config(config[name]["config"])
            for name in ("layer", "backward_layer")
        }
        return cls(**config | inner)
