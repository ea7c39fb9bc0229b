"""RNN, LSTM and GRU over whole sequences, and their cells."""

import math
import numbers
import warnings

from nncore import ops
from nncore._tensor import Tensor
from nncore.nn import functional as F
from nncore.nn import init
from nncore.nn.arguments import check_device, unsupported
from nncore.nn.module import Module
from nncore.nn.parameter import empty
from nncore.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _check_sizes(op, **sizes):
    for name, size in sizes.items():
        if not isinstance(size, numbers.Integral) or isinstance(size, bool):
            raise TypeError(f"{op}: argument '{name}' is {size!r}, expected an integer")
        if size <= 0:
            raise ValueError(f"{op}: argument '{name}' is {size}, expected at least 1")


def _check_nonlinearity(op, nonlinearity):
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{op}: argument 'nonlinearity' is {nonlinearity!r}, expected 'tanh' or 'relu'")


class _Weights(Module):
    """The parameters of RNN layers and of cells: `gates` rows of hidden_size each, under torch's names."""

    gates = 1

    def _make_weights(self, suffix, input_size, dtype):
        rows, hidden_size = self.gates * self.hidden_size, self.hidden_size
        # Memory is (in, out), as that of Linear.
        setattr(self, f"weight_ih{suffix}", empty((rows, input_size), dtype, order=(1, 0)))
        setattr(self, f"weight_hh{suffix}", empty((rows, hidden_size), dtype, order=(1, 0)))
        for name in _NAMES[2:]:
            self.register_parameter(name + suffix, empty((rows,), dtype) if self.bias else None)

    def _weights(self, suffix=""):
        parameters = self._parameters
        return [parameters[name + suffix] for name in _NAMES]

    def reset_parameters(self):
        """Draw all parameters anew from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)


class _Recurrent(_Weights):
    """Layers and directions of RNN, LSTM and GRU; a subclass runs one of them."""

    states = 1  # h, or h and c

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        device=None,
        dtype=None,
    ):
        super().__init__()
        op = type(self).__name__
        check_device(device)
        _check_sizes(op, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"{op}: argument 'dropout' is {dropout!r}, expected a probability from 0 to 1")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{op}: argument 'dropout' is {dropout}, which does nothing in one layer: it is for what goes from a layer "
                f"to the next",
                UserWarning,
                stacklevel=3,
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        directions = ("", "_reverse") if bidirectional else ("",)
        self._suffixes = tuple(f"_l{layer}{direction}" for layer in range(num_layers) for direction in directions)
        for number, suffix in enumerate(self._suffixes):
            self._make_weights(suffix, input_size if number < len(directions) else hidden_size * len(directions), dtype)
        self.reset_parameters()

    @property
    def all_weights(self):
        """The parameters of each layer and direction: a list of lists."""
        return [[p for p in self._weights(suffix) if p is not None] for suffix in self._suffixes]

    def flatten_parameters(self):
        """Nothing: torch's way to lay weights out for cuDNN."""

    def _run(self, x, states, weights, lengths, reverse, **options):
        """One layer in one direction: (y, final states..., and what options ask for)."""
        raise NotImplementedError

    def _check_input(self, input, states):
        """The batch size of the states; None for an input without a batch."""
        op, directions = type(self).__name__, 2 if self.bidirectional else 1
        if input.ndim not in (2, 3):
            raise ValueError(
                f"{op}: argument 'input' has shape {input.shape}, expected 2 dimensions, or 3 with a batch"
            )
        if input.shape[-1] != self.input_size:
            raise ValueError(
                f"{op}: argument 'input' has shape {input.shape}, expected {self.input_size} features in the last dimension"
            )
        batch = () if input.ndim == 2 else (input.shape[0 if self.batch_first else 1],)
        expected = (self.num_layers * directions, *batch, self.hidden_size)
        for state in states:
            if not isinstance(state, Tensor) or state.shape != expected:
                got = f"has a state of shape {state.shape}" if isinstance(state, Tensor) else f"holds {state!r}"
                raise ValueError(f"{op}: argument 'hx' {got}, expected a Tensor of shape {expected}")

    def _layers(self, input, states, lengths, **options):
        """(output, final states of every layer and direction, what else each returned)."""
        if isinstance(input, PackedSequence):
            return self._packed_layers(input, states, lengths, **options)
        states = tuple(states)
        self._check_input(input, states)
        x = input
        if x.ndim == 2:
            x = x.unsqueeze(1)
            states = tuple(state.unsqueeze(1) for state in states)
        elif self.batch_first:
            x = x.transpose(0, 1)
        directions = 2 if self.bidirectional else 1
        finals, others = [], []
        for number in range(0, len(self._suffixes), directions):
            if number and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for direction in range(directions):
                at = number + direction
                initial = [state[at] for state in states] or [None] * self.states
                y, *final = self._run(x, initial, self._weights(self._suffixes[at]), lengths, direction == 1, **options)
                outputs.append(y)
                finals.append(final[: self.states])
                others += final[self.states :]
            x = outputs[0] if directions == 1 else ops.cat(outputs, 2)
        joined = [_joined(parts) for parts in zip(*finals, strict=True)]
        if input.ndim == 2:
            return x.squeeze(1), [state.squeeze(1) for state in joined], others
        return x.transpose(0, 1) if self.batch_first else x, joined, others

    def _packed_layers(self, input, states, lengths, **options):
        if lengths is not None or any(options.values()):
            raise ValueError(f"{type(self).__name__}: a PackedSequence knows its lengths, and takes no other options")
        padded, lengths = pad_packed_sequence(input, self.batch_first)
        output, finals, others = self._layers(padded, states, lengths, **options)
        rows = pack_padded_sequence(output, lengths.array, self.batch_first, input.sorted_indices is None).data
        return input._replace(data=rows), finals, others

    def extra_repr(self):
        """The configuration, for repr."""
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
        ):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text


def _joined(states):
    return ops.recurrent.as_first(states[0]) if len(states) == 1 else ops.stack(list(states))


class RNN(_Recurrent):
    """Elman's network: h' = tanh(x weight_ih^T + bias_ih + h weight_hh^T + bias_hh), several layers, one or two directions.

    Args:
        input_size: number of features of the input.
        hidden_size: number of features of the state.
        num_layers: layers, each on the output of the one before. Default: 1.
        nonlinearity: "tanh" or "relu". Default: "tanh".
        bias: whether there are biases. Default: True.
        batch_first: whether input and output are (batch, seq, features), not (seq, batch, features). The states are
            the same either way. Default: False.
        dropout: probability of a zero in what goes from a layer to the next, in training. Default: 0.
        bidirectional: whether a second network goes from the last step to the first; the outputs are put side by side, and
            there are twice as many states. Default: False.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Attributes:
        weight_ih_l0, weight_hh_l0: (hidden_size, input_size) and (hidden_size, hidden_size); of layer 1 weight_ih_l1 and so
            on; of the way back weight_ih_l0_reverse.
        bias_ih_l0, bias_hh_l0: (hidden_size,). All are drawn from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).

    Called with (input, hx=None, lengths=None): hx is the initial state, (num_layers * directions, batch, hidden_size), zeros
    where it is None. lengths, int64 of shape (batch,), says how many steps each row has: its output is 0 after them, its
    final state that of its last step, and the way back starts there. The input may have no batch, or be a PackedSequence
    (`nn.utils.rnn`); the output then is likewise.

    Returns:
        (output, h_n): the states of the last layer after each step; those of every layer and direction after the last.

    Raises:
        ValueError: shapes do not fit, or a length is out of range.

    Shapes: (seq, batch, input_size) -> (seq, batch, directions * hidden_size).

    Example:
        >>> import nncore
        >>> output, h_n = nncore.nn.RNN(3, 8, num_layers=2)(nncore.ones(5, 2, 3))
        >>> output.shape, h_n.shape
        ((5, 2, 8), (2, 2, 8))

    Reference: torch.nn.RNN; Elman 1990.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        nonlinearity="tanh",
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        device=None,
        dtype=None,
    ):
        _check_nonlinearity("RNN", nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
        self.nonlinearity = nonlinearity

    def _run(self, x, states, weights, lengths, reverse):
        return ops.rnn(x, *states, *weights, lengths, reverse, self.nonlinearity)

    def forward(self, input, hx=None, lengths=None):
        """Compute (output, h_n); see the class."""
        output, (h_n,), _ = self._layers(input, () if hx is None else (hx,), lengths)
        return output, h_n


class LSTM(_Recurrent):
    """Long short-term memory: gates i, f, o and a candidate g decide what the state c keeps, c' = f c + i g, and h' = o tanh(c').

    Args:
        input_size: number of features of the input.
        hidden_size: number of features of h and c.
        num_layers, bias, batch_first, dropout, bidirectional: as in `RNN`.
        proj_size: 0, the only value.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Attributes:
        weight_ih_l0, weight_hh_l0: (4 hidden_size, input_size) and (4 hidden_size, hidden_size), the rows of i, f, g and o one
            after the other; of other layers and the way back as in `RNN`.
        bias_ih_l0, bias_hh_l0: (4 hidden_size,). All are drawn from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).

    Called with (input, hx=None, lengths=None, return_gates=False): hx is a pair (h_0, c_0), otherwise as in `RNN`. With
    return_gates there is a third result: for every layer and direction, in the order of h_n, a named tuple (i, f, g, o, c, h)
    of what each step computed, each (seq, batch, hidden_size), or batch first as the output is; without gradient.

    Returns:
        (output, (h_n, c_n)).

    Raises:
        ValueError: shapes do not fit, or a length is out of range.

    Shapes: (seq, batch, input_size) -> (seq, batch, directions * hidden_size).

    Example:
        >>> import nncore
        >>> output, (h_n, c_n), gates = nncore.nn.LSTM(3, 8)(nncore.ones(5, 2, 3), return_gates=True)
        >>> output.shape, c_n.shape, gates[0].f.shape
        ((5, 2, 8), (1, 2, 8), (5, 2, 8))

    Reference: torch.nn.LSTM; Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000.
    """

    gates, states = 4, 2

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        device=None,
        dtype=None,
    ):
        unsupported("LSTM", proj_size=(proj_size, 0))
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
        self.proj_size = proj_size

    def _run(self, x, states, weights, lengths, reverse, return_gates):
        return ops.lstm(x, *states, *weights, lengths, reverse, return_gates)

    def forward(self, input, hx=None, lengths=None, return_gates=False):
        """Compute (output, (h_n, c_n)) and perhaps the gates; see the class."""
        states = () if hx is None else _pair("LSTM", hx)
        output, final, gates = self._layers(input, states, lengths, return_gates=return_gates)
        if not return_gates:
            return output, tuple(final)
        if input.ndim == 2:
            gates = [ops.LSTMGates(*(part.squeeze(1) for part in one)) for one in gates]
        elif self.batch_first:
            gates = [ops.LSTMGates(*(part.transpose(0, 1) for part in one)) for one in gates]
        return output, tuple(final), gates


class GRU(_Recurrent):
    """Gated recurrent units: h' = (1 - z) n + z h, with gates r and z, and a candidate n that sees h through r.

    Args:
        input_size: number of features of the input.
        hidden_size: number of features of the state.
        num_layers, bias, batch_first, dropout, bidirectional: as in `RNN`.
        device, dtype: "cpu" and float32 or float64. Default: float32.
        reset_after: where r applies. True (torch, cuDNN): n = tanh(x W_n + b_n + r (h U_n + c_n)); False (the paper):
            n = tanh(x W_n + b_n + (r h) U_n + c_n). Default: True.

    Attributes:
        weight_ih_l0, weight_hh_l0: (3 hidden_size, input_size) and (3 hidden_size, hidden_size), the rows of r, z and n one
            after the other; of other layers and the way back as in `RNN`.
        bias_ih_l0, bias_hh_l0: (3 hidden_size,). All are drawn from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).

    Called with (input, hx=None, lengths=None), as `RNN`.

    Returns:
        (output, h_n).

    Raises:
        ValueError: shapes do not fit, or a length is out of range.

    Shapes: (seq, batch, input_size) -> (seq, batch, directions * hidden_size).

    Example:
        >>> import nncore
        >>> output, h_n = nncore.nn.GRU(3, 8, bidirectional=True, batch_first=True)(nncore.ones(2, 5, 3))
        >>> output.shape, h_n.shape
        ((2, 5, 16), (2, 2, 8))

    Reference: torch.nn.GRU; Cho et al. 2014.
    """

    gates = 3

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        device=None,
        dtype=None,
        reset_after=True,
    ):
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
        self.reset_after = reset_after

    def _run(self, x, states, weights, lengths, reverse):
        return ops.gru(x, *states, *weights, lengths, reverse, self.reset_after)

    def forward(self, input, hx=None, lengths=None):
        """Compute (output, h_n); see the class."""
        output, (h_n,), _ = self._layers(input, () if hx is None else (hx,), lengths)
        return output, h_n

    def extra_repr(self):
        """The configuration, for repr."""
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")


def _pair(op, states):
    if not isinstance(states, (tuple, list)) or len(states) != 2:
        raise ValueError(f"{op}: argument 'hx' is {type(states).__name__}, expected a pair of Tensors (h_0, c_0)")
    return tuple(states)


# ---- one step ----
class _Cell(_Weights):
    def __init__(self, input_size, hidden_size, bias, device, dtype):
        super().__init__()
        check_device(device)
        _check_sizes(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        self._make_weights("", input_size, dtype)
        self.reset_parameters()

    def _step(self, op, input, states, count, *options):
        """The states after one step: the op on a sequence of length 1."""
        name = type(self).__name__
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: argument 'input' has shape {input.shape}, expected (batch, {self.input_size}) or ({self.input_size},)"
            )
        expected = (*input.shape[:-1], self.hidden_size)
        for state in states:
            if not isinstance(state, Tensor) or state.shape != expected:
                got = f"has a state of shape {state.shape}" if isinstance(state, Tensor) else f"holds {state!r}"
                raise ValueError(f"{name}: argument 'hx' {got}, expected a Tensor of shape {expected}")
        if input.ndim == 1:
            states = [state.unsqueeze(0) for state in states]
        x = input.reshape(1, -1, self.input_size)
        _, *final = op(x, *(states or [None] * count), *self._weights(), None, False, *options)
        return [state.squeeze(0) for state in final] if input.ndim == 1 else final

    def extra_repr(self):
        """The configuration, for repr."""
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias else f"{text}, bias={self.bias}"


class RNNCell(_Cell):
    """One step of an RNN: h' = tanh(x weight_ih^T + bias_ih + h weight_hh^T + bias_hh).

    Args:
        input_size, hidden_size: numbers of features.
        bias: whether there are biases. Default: True.
        nonlinearity: "tanh" or "relu". Default: "tanh".
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: as those of `RNN`.

    Shapes: (batch, input_size) and hx (batch, hidden_size), zeros where it is None -> (batch, hidden_size); without batch, too.

    Example:
        >>> import nncore
        >>> nncore.nn.RNNCell(3, 8)(nncore.ones(2, 3)).shape
        (2, 8)

    Reference: torch.nn.RNNCell.
    """

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None):
        _check_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        """Compute the next state; see the class."""
        return self._step(ops.rnn, input, () if hx is None else (hx,), 1, self.nonlinearity)[0]

    def extra_repr(self):
        """The configuration, for repr."""
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"


class LSTMCell(_Cell):
    """One step of an LSTM.

    Args:
        input_size, hidden_size: numbers of features.
        bias: whether there are biases. Default: True.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: as those of `LSTM`.

    Shapes: (batch, input_size) and hx = (h, c), each (batch, hidden_size), zeros where it is None -> (h', c'); without
        batch, too.

    Example:
        >>> import nncore
        >>> h, c = nncore.nn.LSTMCell(3, 8)(nncore.ones(2, 3))
        >>> h.shape, c.shape
        ((2, 8), (2, 8))

    Reference: torch.nn.LSTMCell.
    """

    gates = 4

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input, hx=None):
        """Compute (h', c'); see the class."""
        return tuple(self._step(ops.lstm, input, () if hx is None else _pair("LSTMCell", hx), 2))


class GRUCell(_Cell):
    """One step of a GRU.

    Args:
        input_size, hidden_size: numbers of features.
        bias: whether there are biases. Default: True.
        device, dtype: "cpu" and float32 or float64. Default: float32.
        reset_after: as in `GRU`. Default: True.

    Attributes:
        weight_ih, weight_hh, bias_ih, bias_hh: as those of `GRU`.

    Shapes: (batch, input_size) and hx (batch, hidden_size), zeros where it is None -> (batch, hidden_size); without batch, too.

    Example:
        >>> import nncore
        >>> nncore.nn.GRUCell(3, 8)(nncore.ones(2, 3)).shape
        (2, 8)

    Reference: torch.nn.GRUCell.
    """

    gates = 3

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None, reset_after=True):
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.reset_after = reset_after

    def forward(self, input, hx=None):
        """Compute the next state; see the class."""
        return self._step(ops.gru, input, () if hx is None else (hx,), 1, self.reset_after)[0]
