"""Contests of recurrent layers: the kernels against loops in NumPy, and whole layers against torch's."""

from functools import partial

import numpy as np

import nncore
from benchmarks.work import Work, libraries
from nncore import kernels
from nncore.bench import Contest, empty, normal

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
TANH = 3  # its number in kernels.rnn_forward


# ---- kernels against NumPy ----
def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _rnn(a, h, weight, bias):
    return np.tanh(a + h @ weight + bias)


def _lstm(a, state, weight, bias):
    h, c = state
    i, f, g, o = np.split(a + h @ weight + bias, 4, axis=1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _gru(a, h, weight, bias, reset_after=True):
    size = h.shape[1]
    if reset_after:
        b = h @ weight + bias
        r, z = np.split(_sigmoid(a[:, : 2 * size] + b[:, : 2 * size]), 2, axis=1)
        n = np.tanh(a[:, 2 * size :] + r * b[:, 2 * size :])
    else:
        gates = _sigmoid(a[:, : 2 * size] + h @ weight[:, : 2 * size] + bias[: 2 * size])
        r, z = np.split(gates, 2, axis=1)
        n = np.tanh(a[:, 2 * size :] + (r * h) @ weight[:, 2 * size :] + bias[2 * size :])
    return n + z * (h - n)


def _sizes(kind, seq, batch, inputs, size):
    """Operations of the products of one pass."""
    return 2.0 * seq * batch * GATES[kind] * size * (inputs + size)


def _arrays(kind, seq, batch, inputs, size):
    """x, and the weights as layers have them in memory: (in, out)."""
    rows = GATES[kind] * size
    scale = np.float32(size**-0.5)
    weights = normal(inputs, rows, seed=1), normal(size, rows, seed=2), normal(rows, seed=3), normal(rows, seed=4)
    for weight in weights:
        weight *= scale
    return normal(seq, batch, inputs), *weights


def forward(kind, seq, batch, inputs, size, lengths=False, reverse=False, reset_after=True):
    """The states after each step."""
    x, weight_ih, weight_hh, bias_ih, bias_hh = _arrays(kind, seq, batch, inputs, size)
    steps = np.arange(seq - batch, seq) % seq + 1 if lengths else None
    y, zeros = empty(seq, batch, size), np.zeros((batch, size), np.float32)
    cell = {"rnn": _rnn, "lstm": _lstm, "gru": partial(_gru, reset_after=reset_after)}[kind]

    def by_numpy():
        projected = x @ weight_ih + bias_ih
        state = (zeros, zeros) if kind == "lstm" else zeros
        for t in reversed(range(seq)) if reverse else range(seq):
            new = cell(projected[t], state, weight_hh, bias_hh)
            if lengths:
                active = (t < steps)[:, None]
                new = (
                    tuple(map(partial(np.where, active), new, state))
                    if kind == "lstm"
                    else np.where(active, new, state)
                )
                y[t] = np.where(active, new[0] if kind == "lstm" else new, 0)
            else:
                y[t] = new[0] if kind == "lstm" else new
            state = new
        return y

    kernel, way = kernels.KERNELS[f"{kind}_forward"], int(reverse)
    states = (None, None) if kind == "lstm" else (None,)
    options = {"rnn": (way, TANH), "lstm": (way,), "gru": (way, int(reset_after), 0)}[kind]
    arguments = (x, *states, weight_ih.T, weight_hh.T, bias_ih, bias_hh, steps, *options)
    run = {"numpy": by_numpy, "nncore": lambda: kernel(*arguments)[0]}
    return Contest(run, flops=_sizes(kind, seq, batch, inputs, size), atol=1e-4)


# ---- layers against torch ----
def layer(kind, seq, batch, inputs, size, backward=False):
    """A layer of torch's words from zero states; with `backward` on to the gradients of its weights."""
    rows = GATES[kind.lower()] * size
    x, *_ = _arrays(kind.lower(), seq, batch, inputs, size)
    dy = normal(seq, batch, size, seed=5)
    times = 1 + 2 * backward
    work = Work(
        {},
        flops=times * 2.0 * seq * batch * rows * (inputs + size) - backward * 2.0 * seq * batch * rows * inputs,
        bytes=4.0 * seq * rows * size,
        footprint=4.0 * rows * size,
        traffic="read",
        atol=1e-2 if backward else 1e-4,
        counted="2 operations for each weight, row and step, and back two times that, without the gradient of x; or the "
        "recurrent weight read in each step",
    )
    source = getattr(nncore.nn, kind)(inputs, size)
    for library in libraries():
        module = getattr(library.nn, kind)(inputs, size)
        module.load_state_dict(
            {name: library.from_numpy(p.detach().numpy().copy()) for name, p in source.state_dict().items()}
        )
        tensors = library.tensor(x), library.tensor(dy)
        work.run["nncore" if library is nncore else "torch"] = partial(_run, library, module, *tensors, backward)
    return work


def _run(library, module, x, dy, backward):
    y, _ = module(x)
    return library.autograd.grad(y, list(module.parameters()), dy) if backward else y
