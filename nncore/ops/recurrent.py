"""Recurrent layers: one layer, one direction, the whole sequence in one kernel. nncore.nn puts layers together."""

from collections import namedtuple

import numpy as np

from nncore._core.capture import constant
from nncore._core.kernels import KERNELS, empty, empty_like
from nncore._core.tape import record
from nncore._core.tensor import TensorBase, wrap_array
from nncore.ops.convert import INT64, as_tensor, cast
from nncore.ops.indexing import view_of
from nncore.ops.products import ACTIVATIONS

_rnn_forward, _rnn_backward = KERNELS["rnn_forward"], KERNELS["rnn_backward"]
_lstm_forward, _lstm_backward = KERNELS["lstm_forward"], KERNELS["lstm_backward"]
_gru_forward, _gru_backward = KERNELS["gru_forward"], KERNELS["gru_backward"]
_copy = KERNELS["copy"]

# Those whose derivative is a function of the output, which is all that the backward pass keeps.
RNN_ACTIVATIONS = (None, "relu", "sigmoid", "tanh")

LSTMGates = namedtuple("LSTMGates", ["i", "f", "g", "o", "c", "h"])
LSTMGates.__doc__ = "What an LSTM computed in every step: the gates i, f, o, the candidate g, the states c and h."


def _tensors(*values):
    """Tensors and their arrays; None stays None."""
    tensors = tuple(v if v is None or isinstance(v, TensorBase) else as_tensor(v) for v in values)
    return tensors, [None if t is None else t.array for t in tensors]


def _lengths(op, lengths):
    """The lengths, and their int64 array; (), None without."""
    if lengths is None:
        return (), None
    if not isinstance(lengths, (TensorBase, np.ndarray)):
        lengths = constant(np.array(lengths, INT64))
    lengths = as_tensor(lengths)
    if lengths.array.dtype.kind not in "iu":
        raise TypeError(f"{op}: argument 'lengths' has dtype {lengths.array.dtype}, expected int64")
    return (lengths,), cast(lengths, INT64).array


def _saved(x, weight_hh, gates):
    """Arrays for what a backward pass needs of every step: two of a state's size, and the gates. They are one piece of
    memory: of several large ones the allocator gives some back to the system, and every page then costs a fault."""
    steps, size = x.shape[:2], weight_hh.shape[-1] if weight_hh.ndim else 0
    saved = empty((2 + gates, *steps, size), x.dtype)
    return saved[0], saved[1], saved[2:].reshape(*steps, gates * size)


def rnn(x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, lengths=None, reverse=False, activation="tanh"):
    """h' = activation(x[t] weight_ih^T + bias_ih + h weight_hh^T + bias_hh), for all steps t (Elman 1990).

    Args:
        x: Tensor of shape (seq, batch, input_size).
        h0: Tensor of shape (batch, hidden_size), the state before the first step. None: zeros.
        weight_ih: Tensor of shape (hidden_size, input_size).
        weight_hh: Tensor of shape (hidden_size, hidden_size).
        bias_ih, bias_hh: Tensors of shape (hidden_size,). Default: none.
        lengths: int64 Tensor of shape (batch,) or list: how many steps each row has, 0 to seq. After them its output is
            0 and its state stays. Default: seq.
        reverse: whether to go from the last step (of each row) to the first. Default: False.
        activation: "tanh", "relu", "sigmoid" or None. Default: "tanh".

    Returns:
        (y, hn): the states after each step, (seq, batch, hidden_size), and the one after the last, (batch, hidden_size).

    Raises:
        ValueError: the shapes do not fit, or a length is out of range.

    Example:
        >>> import nncore
        >>> y, hn = nncore.rnn(nncore.ones(3, 1, 1), None, nncore.ones(1, 1), nncore.ones(1, 1), activation="relu")
        >>> y.flatten(), hn
        (tensor([1., 2., 3.]), tensor([[3.]]))
    """
    if activation not in RNN_ACTIVATIONS:
        raise ValueError(
            f"rnn: argument 'activation' is {activation!r}, expected one of {', '.join(map(repr, RNN_ACTIVATIONS))}"
        )
    inputs, arrays = _tensors(x, h0, weight_ih, weight_hh, bias_ih, bias_hh)
    steps, lengths = _lengths("rnn", lengths)
    options = lengths, int(bool(reverse)), ACTIVATIONS[activation]
    x_array, _, weight_ih_array, weight_hh_array, _, _ = arrays
    y, hn, h, _ = _rnn_forward(*arrays, *options)

    def vjp(needs, dy, dhn):
        dx, dh0, dweight_ih, dweight_hh, dbias_ih, dbias_hh, _, _ = _rnn_backward(
            dy, dhn, y, h, x_array, weight_ih_array, weight_hh_array, *options, want=(needs[0], *needs[2:])
        )
        return dx, dh0, dweight_ih, dweight_hh, dbias_ih, dbias_hh

    return record((y, hn), inputs, vjp, (inputs[0], *inputs[2:4], *steps, True))


def lstm(
    x,
    h0,
    c0,
    weight_ih,
    weight_hh,
    bias_ih=None,
    bias_hh=None,
    lengths=None,
    reverse=False,
    return_gates=False,
):
    """i, f, o = sigmoid(.), g = tanh(.) of x[t] weight_ih^T + bias_ih + h weight_hh^T + bias_hh; c' = f c + i g; h' = o tanh(c').

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.

    Args:
        x: Tensor of shape (seq, batch, input_size).
        h0, c0: Tensors of shape (batch, hidden_size), the states before the first step. None: zeros.
        weight_ih: Tensor of shape (4 hidden_size, input_size), the rows of i, f, g, o one after the other.
        weight_hh: Tensor of shape (4 hidden_size, hidden_size).
        bias_ih, bias_hh: Tensors of shape (4 hidden_size,). Default: none.
        lengths, reverse: as in `rnn`.
        return_gates: whether to return what the gates were, too. Default: False.

    Returns:
        (y, hn, cn): h after each step, (seq, batch, hidden_size); h and c after the last, (batch, hidden_size). With
        return_gates also an LSTMGates: i, f, g, o and c, h after each step, each (seq, batch, hidden_size), without gradient.

    Raises:
        ValueError: the shapes do not fit, or a length is out of range.

    Example:
        >>> import nncore
        >>> y, hn, cn, gates = nncore.lstm(
        ...     nncore.ones(2, 1, 1), None, None, nncore.zeros(4, 1), nncore.zeros(4, 1), return_gates=True
        ... )
        >>> gates.f.flatten(), gates.g.flatten()
        (tensor([0.5000, 0.5000]), tensor([0., 0.]))
    """
    inputs, arrays = _tensors(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh)
    steps, lengths = _lengths("lstm", lengths)
    options = lengths, int(bool(reverse))
    x_array, _, _, weight_ih_array, weight_hh_array, _, _ = arrays
    h, c, gates = _saved(x_array, weight_hh_array, 4)
    y, hn, cn, *_ = _lstm_forward(*arrays, *options, out=(None, None, None, h, c, gates, None))

    def vjp(needs, dy, dhn, dcn):
        return _lstm_backward(
            dy, dhn, dcn, h, c, gates, x_array, weight_ih_array, weight_hh_array, *options, want=(needs[0], *needs[3:])
        )[:7]  # dx, dh0, dc0, dweight_ih, dweight_hh, dbias_ih, dbias_hh

    outputs = record((y, hn, cn), inputs, vjp, (inputs[0], *inputs[3:5], *steps))
    return (*outputs, _gates(y, cn, c, gates, reverse)) if return_gates else outputs


def _gates(y, cn, c, gates, reverse):
    """LSTMGates in memory of their own; c holds the states before each step."""
    size = y.shape[2]
    parts = [_copy(gates[..., k * size : (k + 1) * size]) for k in range(4)]
    after = empty_like(c)
    if len(c):
        _copy(c[:-1] if reverse else c[1:], out=after[1:] if reverse else after[:-1])
        _copy(cn, out=after[0 if reverse else -1])
    return LSTMGates(*map(wrap_array, (*parts, after, _copy(y))))


def gru(
    x,
    h0,
    weight_ih,
    weight_hh,
    bias_ih=None,
    bias_hh=None,
    lengths=None,
    reverse=False,
    reset_after=True,
    update_first=False,
):
    """r, z = sigmoid(.) of x[t] weight_ih^T + bias_ih + h weight_hh^T + bias_hh; h' = (1 - z) n + z h.

    With reset_after (cuDNN, PyTorch) n = tanh(x[t] weight_in^T + bias_in + r (h weight_hn^T + bias_hn)); without (Cho et
    al. 2014) n = tanh(x[t] weight_in^T + bias_in + (r h) weight_hn^T + bias_hn).

    Args:
        x: Tensor of shape (seq, batch, input_size).
        h0: Tensor of shape (batch, hidden_size), the state before the first step. None: zeros.
        weight_ih: Tensor of shape (3 hidden_size, input_size), the rows of r, z, n one after the other.
        weight_hh: Tensor of shape (3 hidden_size, hidden_size).
        bias_ih, bias_hh: Tensors of shape (3 hidden_size,). Default: none.
        lengths, reverse: as in `rnn`.
        reset_after: whether r applies after the product with weight_hn. Default: True.
        update_first: whether the rows are those of z, r, n, as in Keras. Default: False.

    Returns:
        (y, hn): the states after each step, (seq, batch, hidden_size), and the one after the last, (batch, hidden_size).

    Raises:
        ValueError: the shapes do not fit, or a length is out of range.

    Example:
        >>> import nncore
        >>> y, hn = nncore.gru(nncore.ones(2, 1, 1), nncore.ones(1, 1), nncore.zeros(3, 1), nncore.zeros(3, 1))
        >>> y.flatten(), hn
        (tensor([0.5000, 0.2500]), tensor([[0.2500]]))
    """
    inputs, arrays = _tensors(x, h0, weight_ih, weight_hh, bias_ih, bias_hh)
    steps, lengths = _lengths("gru", lengths)
    options = lengths, int(bool(reverse)), int(bool(reset_after)), int(bool(update_first))
    x_array, _, weight_ih_array, weight_hh_array, _, _ = arrays
    h, q, gates = _saved(x_array, weight_hh_array, 3)
    y, hn, *_ = _gru_forward(*arrays, *options, out=(None, None, h, q, gates, None))

    def vjp(needs, dy, dhn):
        return _gru_backward(
            dy, dhn, h, q, gates, x_array, weight_ih_array, weight_hh_array, *options, want=(needs[0], *needs[2:])
        )[:6]  # dx, dh0, dweight_ih, dweight_hh, dbias_ih, dbias_hh

    return record((y, hn), inputs, vjp, (inputs[0], *inputs[2:4], *steps))


def as_first(state):
    """(1, *state.shape): unsqueeze(0) in a fifth of the time, for calls as short as a step of one example."""

    def vjp(needs, dy):
        return dy[0]

    return view_of(state, state.array[None], vjp, "unsqueeze")


__all__ = ["LSTMGates", "gru", "lstm", "rnn"]
