"""Recurrent layers: the numbers of torch and Keras, sequences of different lengths, the same bits on threads and in any batch.

What the kernels compute is in op_cases.py, in NumPy; numbers that Keras gave (3.15.1, PyTorch backend) stand in a table.
"""

import math

import numpy as np
import pytest

import nncore
from nncore import nn
from nncore.autograd import gradcheck
from nncore.keras import layers
from nncore.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence

SEQ, BATCH, INPUT, HIDDEN = 7, 5, 6, 9
LENGTHS = [3, 7, 1, 5, 2]
KINDS = ("RNN", "LSTM", "GRU")


def states_of(kind, states):
    return tuple(states) if kind == "LSTM" else states[0]


def as_tuple(states):
    return states if isinstance(states, tuple) else (states,)


def array(tensor):
    return tensor.detach().numpy()


# ---- torch ----
def both_layers(kind, dtype, **options):
    """The same layer in torch and here."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(INPUT, HIDDEN, dtype=getattr(torch, dtype), **options)
    ours = getattr(nn, kind)(INPUT, HIDDEN, dtype=getattr(nncore, dtype), **options)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    return torch, theirs, ours


def both_runs(kind, dtype, run_theirs, run_ours, options, shape, layers_and_directions):
    """Outputs, states and all gradients of (x, states) with both libraries; they must agree."""
    torch, theirs, ours = both_layers(kind, dtype, **options)
    rng = np.random.default_rng(0)
    batch = shape[:-1][0 if options.get("batch_first") else 1 :][:1] if len(shape) == 3 else ()
    state_shape = (layers_and_directions, *batch, HIDDEN)
    arrays = [rng.standard_normal(s).astype(dtype) for s in [shape] + [state_shape] * (1 + (kind == "LSTM"))]
    results = []
    for library, layer, run in ((torch, theirs, run_theirs), (nncore, ours, run_ours)):
        leaves = [library.tensor(a).requires_grad_() for a in arrays]
        output, final = run(layer, leaves[0], states_of(kind, leaves[1:]))
        outputs = (output, *as_tuple(final))
        weights = [np.cos(1.0 + np.arange(array(o).size)).reshape(o.shape).astype(dtype) for o in outputs]
        sum((o * library.tensor(w)).sum() for o, w in zip(outputs, weights)).backward()
        gradients = [leaf.grad for leaf in leaves] + [p.grad for p in layer.parameters()]
        results.append([array(t) for t in (*outputs, *gradients)])
    tolerance = 1e-12 if dtype == "float64" else 3e-5
    for theirs_array, ours_array in zip(*results, strict=True):
        assert ours_array.shape == theirs_array.shape
        np.testing.assert_allclose(ours_array, theirs_array, rtol=tolerance, atol=tolerance)


OPTIONS = [
    {},
    {"bias": False},
    {"num_layers": 3},
    {"bidirectional": True},
    {"batch_first": True, "num_layers": 2, "bidirectional": True},
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_states_and_gradients_of_torch(kind, options, dtype):
    shape = (BATCH, SEQ, INPUT) if options.get("batch_first") else (SEQ, BATCH, INPUT)
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)

    def run(layer, x, states):
        return layer(x, states)

    both_runs(kind, dtype, run, run, options, shape, count)


@pytest.mark.parametrize("shape", [(1, 1, INPUT), (SEQ, INPUT), (40, 33, INPUT), (3, 300, INPUT)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_shapes_of_torch(kind, shape):
    both_runs(kind, "float64", lambda m, x, h: m(x, h), lambda m, x, h: m(x, h), {}, shape, 1)


def test_relu_of_torch():
    both_runs(
        "RNN",
        "float64",
        lambda m, x, h: m(x, h),
        lambda m, x, h: m(x, h),
        {"nonlinearity": "relu"},
        (SEQ, BATCH, INPUT),
        1,
    )


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2, "batch_first": True}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_the_packed_sequences_of_torch(kind, options):
    torch = pytest.importorskip("torch")
    first = options.get("batch_first", False)
    shape = (BATCH, SEQ, INPUT) if first else (SEQ, BATCH, INPUT)

    def packed(library):
        def run(layer, x, states):
            rnn = library.nn.utils.rnn
            packed = rnn.pack_padded_sequence(x, library.tensor(LENGTHS), batch_first=first, enforce_sorted=False)
            output, final = layer(packed, states)
            assert output.data.shape[0] == sum(LENGTHS)
            return rnn.pad_packed_sequence(output, batch_first=first, total_length=SEQ)[0], final

        return run

    count = 4 if options else 1
    both_runs(kind, "float64", packed(torch), lambda m, x, h: m(x, h, lengths=LENGTHS), options, shape, count)
    both_runs(kind, "float64", packed(torch), packed(nncore), options, shape, count)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(BATCH, INPUT), (INPUT,)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_cells_of_torch(kind, shape, bias):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, f"{kind}Cell")(INPUT, HIDDEN, bias=bias)
    ours = getattr(nn, f"{kind}Cell")(INPUT, HIDDEN, bias=bias)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected, got = None, None
    for _ in range(3):
        expected, got = theirs(torch.tensor(x), expected), ours(nncore.tensor(x), got)
        for a, b in zip(as_tuple(expected), as_tuple(got), strict=True):
            np.testing.assert_allclose(array(b), array(a), rtol=1e-5, atol=1e-6)
    sum(state.sum() for state in as_tuple(expected)).backward()
    sum(state.sum() for state in as_tuple(got)).backward()
    for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
        np.testing.assert_allclose(array(b.grad), array(a.grad), rtol=1e-4, atol=1e-5)


def test_packing_of_torch():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((SEQ, BATCH, 2)).astype(np.float32)
    for lengths, is_sorted in ((LENGTHS, False), ([7, 5, 3, 2, 1], True)):
        theirs, ours = (
            library.nn.utils.rnn.pack_padded_sequence(library.tensor(x), lengths, enforce_sorted=is_sorted)
            for library in (torch, nncore)
        )
        for a, b in zip(theirs, ours, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_array_equal(array(b), array(a))
        padded, back = pad_packed_sequence(ours, batch_first=True, padding_value=-1.0, total_length=9)
        expected, their_lengths = torch.nn.utils.rnn.pad_packed_sequence(theirs, True, -1.0, 9)
        np.testing.assert_array_equal(padded.numpy(), expected.numpy())
        assert back.tolist() == their_lengths.tolist() == lengths
    pieces = [nncore.ones(n, 2) * n for n in (2, 3)]
    theirs = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(p.numpy()) for p in pieces], padding_value=9, padding_side="left"
    )
    np.testing.assert_array_equal(pad_sequence(pieces, padding_value=9, padding_side="left").numpy(), theirs.numpy())
    assert pack_sequence(pieces, enforce_sorted=False).batch_sizes.tolist() == [2, 2, 1]


# ---- values ----
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_gates_are_what_the_formulas_say():
    layer = nn.LSTM(INPUT, HIDDEN, dtype=nncore.float64)
    x = nncore.randn(SEQ, BATCH, INPUT, dtype=nncore.float64)
    output, (_, c_n), (gates,) = layer(x, return_gates=True)
    weight_ih, weight_hh, bias_ih, bias_hh = map(array, layer.parameters())
    h = c = np.zeros((BATCH, HIDDEN))
    for t in range(SEQ):
        i, f, g, o = np.split(x.numpy()[t] @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        for got, expected in zip(gates, (sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o), c, h)):
            np.testing.assert_allclose(got.numpy()[t], expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(gates.c[-1].numpy(), array(c_n[0]))
    np.testing.assert_array_equal(gates.h.numpy(), array(output))
    assert gates._fields == ("i", "f", "g", "o", "c", "h")
    assert not gates.f.requires_grad
    gates.f.zero_()  # nobody else's memory
    output.sum().backward()
    assert np.abs(array(layer.weight_hh_l0.grad)).max() > 0
    _, _, several = nn.LSTM(INPUT, HIDDEN, 2, bidirectional=True, batch_first=True)(
        nncore.ones(2, 3, INPUT), return_gates=True
    )
    assert [gate.o.shape for gate in several] == [(2, 3, HIDDEN)] * 4
    np.testing.assert_array_equal(
        *(array(t) for t in (nn.LSTM.forward(layer, x[:, 0], return_gates=True)[2][0].c, gates.c[:, 0]))
    )


@pytest.mark.parametrize("reset_after", [True, False])
def test_both_forms_of_gru(reset_after):
    layer = nn.GRU(INPUT, HIDDEN, dtype=nncore.float64, reset_after=reset_after)
    cell = nn.GRUCell(INPUT, HIDDEN, dtype=nncore.float64, reset_after=reset_after)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x = nncore.randn(SEQ, BATCH, INPUT, dtype=nncore.float64)
    weight_ih, weight_hh, bias_ih, bias_hh = map(array, layer.parameters())
    h, state = np.zeros((BATCH, HIDDEN)), None
    output, _ = layer(x)
    for t in range(SEQ):
        (a_r, a_z, a_n), (u_r, u_z, u_n), (b_r, b_z, b_n) = (
            np.split(a, 3, axis=-1) for a in (x.numpy()[t] @ weight_ih.T + bias_ih, weight_hh.T, bias_hh)
        )
        r, z = sigmoid(a_r + h @ u_r + b_r), sigmoid(a_z + h @ u_z + b_z)
        n = np.tanh(a_n + r * (h @ u_n + b_n)) if reset_after else np.tanh(a_n + (r * h) @ u_n + b_n)
        h = (1 - z) * n + z * h
        state = cell(x[t], state)
        np.testing.assert_allclose(array(output[t]), h, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(array(state), array(output[t]))
    assert ("reset_after" in repr(layer)) == (not reset_after)


def test_dropout_is_between_layers_and_in_training():
    layer = nn.LSTM(4, 8, num_layers=2, dropout=1.0)
    x = nncore.randn(3, 2, 4)
    nothing = nn.LSTM(8, 8)
    nothing.load_state_dict({name.replace("_l1", "_l0"): p for name, p in layer.state_dict().items() if "_l1" in name})
    np.testing.assert_array_equal(array(layer(x)[0]), array(nothing(nncore.zeros(3, 2, 8))[0]))
    assert not np.array_equal(array(layer.eval()(x)[0]), array(nothing(nncore.zeros(3, 2, 8))[0]))
    with pytest.warns(UserWarning, match="does nothing in one layer"):
        nn.GRU(4, 8, dropout=0.5)


def test_parameters_are_uniform_and_lie_as_those_of_linear():
    layer = nn.LSTM(40, 100)
    for name, p in layer.named_parameters():
        assert 0.098 < np.abs(array(p)).max() <= 0.1, name
    assert layer.weight_hh_l0.array.T.flags.c_contiguous
    layer(nncore.ones(2, 3, 40))[0].sum().backward()
    assert layer.weight_ih_l0.grad.array.strides == layer.weight_ih_l0.array.strides
    assert [[p.shape for p in some] for some in layer.all_weights] == [[(400, 40), (400, 100), (400,), (400,)]]
    layer.flatten_parameters()


# ---- gradients, bits, replays ----
@pytest.mark.parametrize("options", [{}, {"lengths": [3, 1], "reverse": True}, {"reset_after": False}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind, options):
    if "reset_after" in options and kind != "GRU":
        pytest.skip("only GRU has two forms")
    gates, states = {"RNN": (1, 1), "LSTM": (4, 2), "GRU": (3, 1)}[kind]
    shapes = [(3, 2, 2), *[(2, 3)] * states, (3 * gates, 2), (3 * gates, 3), (3 * gates,), (3 * gates,)]
    leaves = [nncore.randn(*shape, dtype=nncore.float64, requires_grad=True) for shape in shapes]
    assert gradcheck(lambda *leaves: getattr(nncore, kind.lower())(*leaves, **options), leaves)


def outputs_and_gradients(layer, x, lengths):
    layer.zero_grad()
    leaf = nncore.tensor(x, requires_grad=True)
    output, final = layer(leaf, lengths=lengths)
    output.backward(nncore.from_numpy(np.cos(1.0 + np.arange(output.numel())).reshape(output.shape).astype(x.dtype)))
    return [array(t) for t in (output, *as_tuple(final), leaf.grad, *(p.grad for p in layer.parameters()))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 3, 17, 64])
def test_bits_do_not_depend_on_threads_or_the_batch(kind, batch):
    nncore.manual_seed(1)
    layer = getattr(nn, kind)(40, 70, bidirectional=True)
    x = np.random.default_rng(0).standard_normal((12, batch, 40)).astype(np.float32)
    lengths = np.random.default_rng(1).integers(0, 13, batch)
    before = nncore.get_num_threads()
    try:
        runs = []
        for threads in (1, 2, 3, 4, 5):
            nncore.set_num_threads(threads)
            runs.append([a.tobytes() for a in outputs_and_gradients(layer, x, lengths)])
    finally:
        nncore.set_num_threads(before)
    assert all(run == runs[0] for run in runs[1:])
    output, final = layer(nncore.tensor(x), lengths=lengths)
    for row in sorted({0, batch // 2, batch - 1}):
        alone, of_alone = layer(nncore.tensor(x[:, row : row + 1]), lengths=lengths[row : row + 1])
        np.testing.assert_array_equal(array(alone), array(output)[:, row : row + 1])
        for a, b in zip(as_tuple(of_alone), as_tuple(final)):
            np.testing.assert_array_equal(array(a), array(b)[:, row : row + 1])


def test_padding_does_not_count():
    layer = nn.GRU(4, 5, bidirectional=True)
    x = nncore.randn(6, 3, 4)
    lengths = nncore.tensor([6, 2, 0])
    leaf = x.clone()
    leaf.requires_grad = True
    output, h_n = layer(leaf, lengths=lengths)
    short, h_short = layer(x[:2, 1:2])
    np.testing.assert_array_equal(array(output)[:2, 1:2], array(short))
    np.testing.assert_array_equal(array(h_n)[:, 1:2], array(h_short))
    assert not array(output)[2:, 1].any()
    assert not array(output)[:, 2].any()
    (output.sum() + h_n.sum()).backward()
    assert not array(leaf.grad)[2:, 1].any()
    assert not array(leaf.grad)[:, 2].any()
    changed = x.numpy().copy()
    changed[2:, 1] = np.nan
    np.testing.assert_array_equal(array(layer(nncore.tensor(changed), lengths=lengths)[0]), array(output))


@pytest.mark.parametrize("kind", KINDS)
def test_empty_sequences_and_batches(kind):
    layer = getattr(nn, kind)(4, 5)
    h = states_of(kind, [nncore.ones(1, 3, 5) for _ in range(1 + (kind == "LSTM"))])
    output, final = layer(nncore.zeros(0, 3, 4), h)
    assert output.shape == (0, 3, 5)
    for state in as_tuple(final):
        np.testing.assert_array_equal(array(state), np.ones((1, 3, 5)))
    (output.sum() + as_tuple(final)[0].sum()).backward()
    for p in layer.parameters():
        assert not array(p.grad).any()
    assert layer(nncore.zeros(2, 0, 4))[0].shape == (2, 0, 5)


def test_a_compiled_step_with_lengths_checks_them():
    layer = nn.LSTM(4, 5)

    @nncore.compile
    def fn(x, lengths):
        with nncore.no_grad():
            return layer(x, lengths=lengths)[0].sum()

    x = nncore.randn(6, 3, 4)
    for lengths in ([6, 2, 0], [1, 5, 6], [3, 3, 3]):
        expected = layer(x, lengths=lengths)[0].sum().item()
        assert fn(x, nncore.tensor(lengths)).item() == expected
    assert len(fn.programs) == 1
    with pytest.raises(ValueError, match="'lengths' holds 7 at position 1, expected 0 to 6"):
        fn(x, nncore.tensor([1, 7, 2]))


@pytest.mark.parametrize("kind", KINDS)
def test_replays_on_a_team_have_the_bits_of_eager(kind):
    layer = getattr(nn, kind)(40, 70, num_layers=2, batch_first=True)
    x = np.random.default_rng(0).standard_normal((2, 17, 12, 40)).astype(np.float32)

    def step(x):
        layer.zero_grad()
        output, _ = layer(x)
        output.square().mean().backward()
        return output.detach()

    def run(step):
        return [
            [array(step(nncore.tensor(a))).tobytes(), *(p.grad.numpy().tobytes() for p in layer.parameters())]
            for a in x
        ]

    before = nncore.get_num_threads()
    try:
        expected = run(step)
        for threads in (1, 3):
            nncore.set_num_threads(threads)
            assert run(nncore.compile(step)) == expected
    finally:
        nncore.set_num_threads(before)


def test_a_state_goes_from_call_to_call():
    layer = nn.LSTM(4, 5)
    x = nncore.randn(6, 3, 4)
    whole, _ = layer(x)
    first, state = layer(x[:2])
    second, _ = layer(x[2:], state)
    np.testing.assert_array_equal(np.concatenate([array(first), array(second)]), array(whole))
    (first.sum() + second.sum()).backward()
    through = [p.grad.numpy().copy() for p in layer.parameters()]
    layer.zero_grad()
    whole.sum().backward()
    for a, b in zip(through, layer.parameters()):
        np.testing.assert_allclose(a, b.grad.numpy(), rtol=1e-4, atol=1e-5)


# ---- Keras ----
def wave(*shape, phase=0.0):
    return np.sin(np.arange(math.prod(shape)) * 1.7 + phase).reshape(shape).astype(np.float32)


def keras_weights(gates, bias, directions=1):
    one = [wave(3, gates * 5, phase=1) / 2, wave(5, gates * 5, phase=2) / 2, wave(*bias, phase=3) / 2]
    return one + [a[..., ::-1] for a in one] * (directions - 1)


# layer: (its weights, shape of the output, first six numbers of its last result, sum of all magnitudes)
KERAS = [
    (
        layers.SimpleRNN(5),
        keras_weights(1, (5,)),
        (2, 5),
        [0.5317, -0.16112, -0.50099, 0.29536, 0.43996, 0.337],
        3.6066,
    ),
    (
        layers.SimpleRNN(5, activation="relu", return_sequences=True, go_backwards=True),
        *(keras_weights(1, (5,)), (2, 4, 5), [0.32956, 0.0, 0.0, 0.08538, 0.30743, 0.0], 10.2334),
    ),
    (layers.LSTM(5), keras_weights(4, (20,)), (2, 5), [0.0814, 0.04496, -0.12954, -0.0391, 0.11677, 0.13758], 1.2167),
    (
        layers.LSTM(5, return_sequences=True, go_backwards=True),
        *(keras_weights(4, (20,)), (2, 4, 5), [-0.03586, 0.08791, -0.00297, -0.13139, 0.0444, -0.02612], 4.559),
    ),
    (
        layers.LSTM(5, return_state=True),
        *(keras_weights(4, (20,)), (2, 5), [0.13959, 0.10818, -0.30776, -0.06533, 0.21959, 0.39408], 5.0382),
    ),
    (
        layers.GRU(5, return_sequences=True),
        *(keras_weights(3, (2, 15)), (2, 4, 5), [0.15552, 0.30445, -0.31574, -0.09038, 0.29598, 0.36878], 13.7022),
    ),
    (
        layers.GRU(5, reset_after=False, return_sequences=True),
        *(keras_weights(3, (15,)), (2, 4, 5), [0.09324, 0.27046, -0.20262, -0.13844, 0.19654, 0.28445], 10.8025),
    ),
    (
        layers.GRU(5, return_state=True, go_backwards=True),
        *(keras_weights(3, (2, 15)), (2, 5), [0.53204, 0.49318, -0.70725, -0.01072, 0.66187, 0.38656], 8.0998),
    ),
    (
        layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
        *(keras_weights(4, (20,), 2), (2, 4, 10), [0.13294, 0.00257, -0.29701, 0.11301, 0.07429, -0.02376], 10.4107),
    ),
    (
        layers.Bidirectional(layers.GRU(5), merge_mode="sum"),
        *(keras_weights(3, (2, 15), 2), (2, 5), [0.48247, 0.4558, -0.82089, -0.5467, 0.77647, 0.46262], 6.2072),
    ),
    (
        layers.Bidirectional(layers.SimpleRNN(5, return_sequences=True), merge_mode="ave"),
        *(keras_weights(1, (5,), 2), (2, 4, 5), [0.02268, -0.1415, 0.04325, 0.1401, -0.09755, -0.192], 8.6928),
    ),
]


@pytest.mark.parametrize(("layer", "weights", "shape", "first", "total"), KERAS, ids=lambda v: getattr(v, "name", ""))
def test_keras_layers_give_the_numbers_of_keras(layer, weights, shape, first, total):
    x = wave(2, 4, 3)
    layer(x)
    layer.set_weights(weights)
    results = layer(x)
    results = results if isinstance(results, list) else [results]
    assert results[0].shape == shape
    np.testing.assert_allclose(array(results[-1]).ravel()[:6], first, atol=2e-5)
    assert sum(np.abs(array(y)).sum() for y in results) == pytest.approx(total, abs=1e-3)
    shapes = layer.compute_output_shape((None, 4, 3))
    assert (shapes if isinstance(shapes, list) else [shapes]) == [(None, *y.shape[1:]) for y in results]
    for given, kept in zip(weights, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(given, kept)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again(x)
    again.set_weights(weights)
    y = again(x)
    np.testing.assert_array_equal(array(y[-1] if isinstance(y, list) else y), array(results[-1]))


def test_keras_and_torch_faces_share_the_op():
    ours, keras_layer = nn.LSTM(3, 5, batch_first=True), layers.LSTM(5, return_sequences=True, return_state=True)
    x = nncore.tensor(wave(2, 4, 3))
    keras_layer(x)
    ours.weight_ih_l0.detach().copy_(keras_layer.kernel.T)
    ours.weight_hh_l0.detach().copy_(keras_layer.recurrent_kernel.T)
    ours.bias_ih_l0.detach().copy_(keras_layer.bias.detach())
    ours.bias_hh_l0.detach().zero_()
    output, h, c = keras_layer(x)
    expected, (h_n, c_n) = ours(x)
    np.testing.assert_array_equal(array(output), array(expected))
    np.testing.assert_array_equal(array(h), array(h_n[0]))
    np.testing.assert_array_equal(array(c), array(c_n[0]))
    later = keras_layer(x[:, 2:], initial_state=list(keras_layer(x[:, :2])[1:]))
    np.testing.assert_array_equal(array(later[0]), array(output)[:, 2:])
    assert [w.shape for w in keras_layer.get_weights()] == [(3, 20), (5, 20), (20,)]
    fresh = layers.LSTM(5, input_shape=(None, 3))
    assert fresh.get_weights()[2].tolist() == [0.0] * 5 + [1.0] * 5 + [0.0] * 10
    np.testing.assert_allclose(fresh.get_weights()[1] @ fresh.get_weights()[1].T, np.eye(5), atol=1e-5)


def test_keras_models_learn_the_order_of_steps():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((256, 8, 2)).astype(np.float32)
    y = (x[:, 0, 0] > x[:, -1, 0]).astype(np.int64)
    for layer in (layers.GRU(16), layers.Bidirectional(layers.LSTM(8)), layers.SimpleRNN(16, dropout=0.05)):
        nncore.manual_seed(0)
        model = nncore.keras.Sequential([layer, layers.Dense(2, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.optimizer.learning_rate = 0.01
        history = model.fit(x, y, batch_size=32, epochs=12, verbose=0).history
        assert model.replay.reason is None
        assert history["accuracy"][-1] > 0.85 > history["accuracy"][0], layer


def test_keras_lengths():
    layer = layers.Bidirectional(layers.GRU(5, return_sequences=True))
    x = nncore.tensor(wave(2, 4, 3))
    whole = layer(x, lengths=[4, 2])
    np.testing.assert_array_equal(array(whole)[1, :2], array(layer(x[1:, :2]))[0])
    assert not array(whole)[1, 2:].any()


# ---- errors ----
@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: nn.LSTM(4, 0), "LSTM: argument 'hidden_size' is 0, expected at least 1"),
        (lambda: nn.GRU(4, 5, num_layers=0), "GRU: argument 'num_layers' is 0"),
        (lambda: nn.RNN(4, 5, nonlinearity="sin"), "RNN: argument 'nonlinearity' is 'sin', expected 'tanh' or 'relu'"),
        (lambda: nn.LSTM(4, 5, 2, dropout=1.5), "LSTM: argument 'dropout' is 1.5, expected a probability"),
        (lambda: nn.LSTM(4, 5, proj_size=2), "LSTM: argument 'proj_size' is 2, expected 0"),
        (
            lambda: nn.LSTM(4, 5)(nncore.ones(3, 2, 6)),
            r"LSTM: argument 'input' has shape \(3, 2, 6\), expected 4 features",
        ),
        (lambda: nn.LSTM(4, 5)(nncore.ones(4)), "expected 2 dimensions, or 3 with a batch"),
        (
            lambda: nn.GRU(4, 5)(nncore.ones(3, 2, 4), nncore.ones(1, 3, 5)),
            r"GRU: argument 'hx' has a state of shape \(1, 3, 5\), expected a Tensor of shape \(1, 2, 5\)",
        ),
        (lambda: nn.LSTM(4, 5)(nncore.ones(3, 2, 4), nncore.ones(1, 2, 5)), "expected a pair of Tensors"),
        (
            lambda: nn.LSTM(4, 5)(nncore.ones(3, 2, 4), lengths=[4, 1]),
            "lstm: argument 'lengths' holds 4 at position 0, expected 0 to 3",
        ),
        (lambda: nn.LSTM(4, 5)(nncore.ones(3, 2, 4), lengths=[1]), "lstm: argument 'lengths' has shape"),
        (lambda: nn.LSTMCell(4, 5)(nncore.ones(2, 3)), r"LSTMCell: argument 'input' has shape \(2, 3\)"),
        (lambda: nn.GRUCell(4, 5)(nncore.ones(2, 4), nncore.ones(2, 4)), "GRUCell: argument 'hx' has a state of shape"),
        (
            lambda: nncore.lstm(nncore.ones(3, 2, 4), None, None, nncore.ones(20, 4), nncore.ones(20, 6)),
            r"lstm: argument 'weight_hh' has shape \(20, 6\), expected 4 H rows, H = 6",
        ),
        (
            lambda: nncore.rnn(nncore.ones(3, 2, 4), None, nncore.ones(5, 4), nncore.ones(5, 5), activation="gelu"),
            "rnn: argument 'activation' is 'gelu', expected one of None, 'relu', 'sigmoid', 'tanh'",
        ),
        (lambda: pack_padded_sequence(nncore.ones(3, 2), [1, 3]), "expected descending; or pass enforce_sorted=False"),
        (lambda: pack_padded_sequence(nncore.ones(3, 2), [3, 0]), "'lengths' holds 0 to 3, expected 1 to 3"),
        (
            lambda: pad_packed_sequence(pack_padded_sequence(nncore.ones(3, 2), [3, 1]), total_length=2),
            "'total_length' is 2, expected at least 3",
        ),
        (lambda: pad_sequence([]), "pad_sequence: argument 'sequences' is empty"),
        (lambda: layers.LSTM(5, activation="relu"), "LSTM: argument 'activation' is 'relu', expected 'tanh'"),
        (lambda: layers.GRU(5, recurrent_dropout=0.5), "GRU: argument 'recurrent_dropout' is 0.5"),
        (lambda: layers.SimpleRNN(5, activation="gelu"), "SimpleRNN: argument 'activation' is 'gelu'"),
        (lambda: layers.LSTM(5)(wave(2, 3)), "LSTM: argument 'x' has 2 axes, expected 3: batch, steps, features"),
        (lambda: layers.Bidirectional(layers.Dense(3)), "'layer' is a Dense, expected a SimpleRNN, LSTM or GRU"),
        (lambda: layers.Bidirectional(layers.LSTM(3), merge_mode="max"), "'merge_mode' is 'max'"),
        (lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)), "goes the same way"),
        (lambda: layers.LSTM(5)(wave(2, 4, 3), initial_state=[wave(2, 5)]), "has 1 Tensors, expected 2"),
    ],
)
def test_errors(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_what_the_gradient_needs_is_not_changed_in_place():
    layer = nn.RNN(4, 5)
    output, _ = layer(nncore.ones(3, 2, 4))
    output.zero_()
    with pytest.raises(RuntimeError, match="a value that rnn needs"):
        output.sum().backward()
    layer = nn.LSTM(4, 5)
    output, (_, c_n) = layer(nncore.ones(3, 2, 4))
    c_n.detach().zero_()  # its own memory
    output.sum().backward()
    kept = layer.weight_hh_l0.grad.clone()
    layer.zero_grad()
    layer(nncore.ones(3, 2, 4))[0].sum().backward()
    np.testing.assert_array_equal(array(layer.weight_hh_l0.grad), array(kept))
