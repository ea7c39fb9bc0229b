"""The passes of planning: what each makes of the records, and that it changes no bit."""

import itertools

import numpy as np
import pytest

import nncore
import nncore.nn.functional as F
from nncore import nn, optim
from nncore._core import passes, plan
from nncore.compiled import Captured

ACTIVATIONS = ["relu", "sigmoid", "tanh", "gelu", "silu"]


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def images(*shape, seed=0):
    """Channels-last in memory, as a layer hands them on."""
    n, c, h, w = shape
    return arrays((n, h, w, c), seed=seed)[0].transpose(0, 3, 1, 2)


def filters(o, i, h, w):
    """A convolution's weight, laid out as its layers do."""
    return nncore.Tensor(arrays((h, w, i, o), seed=1)[0].transpose(3, 2, 0, 1))


def captured(fn, given, rewrites):
    with nncore.no_grad():
        return Captured(lambda: fn(*map(nncore.Tensor, given)), given, passes=rewrites)


def names(records):
    return [record.fused for record in records]


def run(step, given):
    """Results on other numbers than those of the capture."""
    result = step.run(tuple(2 * array - 1 for array in given))
    return result if isinstance(result, (tuple, list)) else [result]


def check(fn, given, rewrites, expected):
    """The records after the passes, and the bits of a run without them."""
    plain, planned = captured(fn, given, ()), captured(fn, given, rewrites)
    assert names(planned.program.records) == expected
    for a, b in zip(run(plain, given), run(planned, given), strict=True):
        assert a.tobytes() == b.tobytes()
    return planned.program


def records_of(fn, *given):
    return captured(fn, given, ()).program.records


def with_gradients(fn):
    """A function of tensors that gives the result's gradients as well, of a weighted sum."""

    def step(*tensors):
        with nncore.enable_grad():
            leaves = [t.detach().requires_grad_() for t in tensors]
            y = fn(*leaves)
            return nncore.autograd.grad(y, leaves, nncore.ones_like(y))

    return step


# ---- remove_dead ----
def test_remove_dead_keeps_what_is_read():
    def fn(x):
        x.exp()
        return x.sigmoid() + 1

    check(fn, arrays((3,)), (passes.remove_dead,), [["sigmoid_forward"], ["add"]])


# ---- fuse_activations ----
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_product_applies_an_activation(activation):
    weight, bias = map(nncore.tensor, arrays((40, 30), (40,), seed=1))
    fn = lambda x: getattr(F, activation)(F.linear(x, weight, bias))  # noqa: E731
    check(fn, arrays((21, 30)), (passes.fuse_activations,), [["linear_forward", f"{activation}_forward"]])


def test_a_norm_applies_an_activation():
    fn = lambda x: F.batch_norm(x, None, None, training=True).relu()  # noqa: E731
    check(fn, arrays((30, 70)), (passes.fuse_activations,), [["batch_norm_forward", "relu_forward"]])


def test_an_activation_of_what_others_read_stays():
    weight = nncore.tensor(arrays((4, 3), seed=1)[0])

    def both(x):
        y = F.linear(x, weight)
        return y, y.relu()

    check(both, arrays((2, 3)), (passes.fuse_activations,), [["linear_forward"], ["relu_forward"]])


# ---- fuse_additions ----
def test_a_product_adds_what_was_there_before():
    weight = nncore.tensor(arrays((30, 30), seed=1)[0])
    fn = lambda x: x.exp() + F.linear(x, weight)  # noqa: E731
    check(fn, arrays((21, 30)), (passes.fuse_additions,), [["exp_forward"], ["linear_forward", "add"]])
    late = lambda x: F.linear(x, weight) + x.exp()  # noqa: E731
    check(late, arrays((21, 30)), (passes.fuse_additions,), [["linear_forward"], ["exp_forward"], ["add"]])


def test_a_broadcast_sum_stays():
    weight = nncore.tensor(arrays((30, 30), seed=1)[0])
    fn = lambda x, row: F.linear(x, weight) + row  # noqa: E731
    check(fn, arrays((21, 30), (30,)), (passes.fuse_additions,), [["linear_forward"], ["add"]])


def test_the_sum_of_a_product_with_itself_stays():
    weight = nncore.tensor(arrays((30, 30), seed=1)[0])

    def fn(x):
        y = F.linear(x, weight)
        return y + y

    check(fn, arrays((21, 30)), (passes.fuse_additions,), [["linear_forward"], ["add"]])


def test_an_activated_product_does_not_add():
    weight = nncore.tensor(arrays((30, 30), seed=1)[0])
    fn = lambda x: x.exp() + F.linear(x, weight).relu()  # noqa: E731
    rewrites = (passes.fuse_activations, passes.fuse_additions)
    check(fn, arrays((21, 30)), rewrites, [["exp_forward"], ["linear_forward", "relu_forward"], ["add"]])


def test_a_sum_over_its_own_summand_stays():
    """The product would write where the other summand still lies."""
    weight = nncore.tensor(arrays((30, 30), seed=1)[0])

    def fn(x):
        y = x.exp()
        nncore.kernels.add(y.array, F.linear(x, weight).array, out=y.array)
        return y

    check(fn, arrays((21, 30)), (passes.fuse_additions,), [["exp_forward"], ["linear_forward"], ["add"]])


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_residual_block(groups, kernel):
    weight = filters(6, 6 // groups, kernel, kernel)

    def fn(x):
        y = x.sigmoid()
        return (y + F.conv2d(y, weight, padding=kernel // 2, groups=groups)).relu()

    rewrites = (passes.fuse_additions, passes.fuse_activations)
    check(fn, [images(2, 6, 5, 7)], rewrites, [["sigmoid_forward"], ["conv2d_forward", "add", "relu_forward"]])


def test_a_norm_of_a_residual_block_adds_and_rectifies():
    weight, bias = map(nncore.tensor, arrays((5,), (5,), seed=1))

    def fn(x):
        y = x.sigmoid()
        return (F.batch_norm(y, None, None, weight, bias, training=True) + y).relu()

    rewrites = (passes.fuse_additions, passes.fuse_activations)
    check(fn, [images(3, 5, 9, 9)], rewrites, [["sigmoid_forward"], ["batch_norm_forward", "add", "relu_forward"]])


def test_gradients_that_meet_are_added_by_the_second():
    weight, other = map(nncore.tensor, arrays((30, 30), (30, 30), seed=1))
    fn = with_gradients(lambda x: F.linear(x, weight) + F.linear(x, other))
    program = captured(fn, arrays((21, 30)), (passes.remove_dead, passes.fuse_additions)).program
    assert ["linear_backward", "add"] in names(program.records)
    check(fn, arrays((21, 30)), (passes.remove_dead, passes.fuse_additions), names(program.records))


# ---- fuse_batch_norms ----
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_normalises(kernel, groups, affine):
    weight = filters(6, 6 // groups, kernel, kernel)
    mean, variance, scale, shift = map(nncore.tensor, arrays((6,), (6,), (6,), (6,), seed=1))
    variance = variance.abs()

    def fn(x):
        y = F.conv2d(x, weight, shift, padding=1, groups=groups)
        return F.batch_norm(y, mean, variance, *((scale, shift) if affine else ())).relu()

    rewrites = (passes.fuse_batch_norms, passes.fuse_activations)
    check(fn, [images(2, 6, 5, 7)], rewrites, [["conv2d_forward", "batch_norm_inference", "relu_forward"]])


@pytest.mark.parametrize("channels", [3, 33, 70])
def test_a_convolution_normalises_any_number_of_channels(channels):
    weight = filters(channels, 4, 3, 3)
    mean, variance = map(nncore.tensor, arrays((channels,), (channels,), seed=1))
    variance = variance.abs()
    fn = lambda x: F.batch_norm(F.conv2d(x, weight), mean, variance)  # noqa: E731
    check(fn, [images(2, 4, 9, 20)], (passes.fuse_batch_norms,), [["conv2d_forward", "batch_norm_inference"]])


# ---- fuse_activation_gradients ----
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(21, 30, 40), (1, 30, 40), (40, 2, 3), (300, 300, 3)])
def test_the_gradient_of_a_product_goes_through_the_activation(activation, shape):
    rows, inner, outer = shape
    weight = nncore.tensor(arrays((outer, inner), seed=1)[0])
    fn = with_gradients(lambda x: F.linear(getattr(F, activation)(x), weight))
    rewrites = (passes.remove_dead, passes.fuse_activation_gradients)
    program = captured(fn, arrays((rows, inner)), rewrites).program
    assert names(program.records)[-1] == ["linear_backward", f"{activation}_backward"]
    check(fn, arrays((rows, inner)), rewrites, names(program.records))


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (2, 3)])
def test_the_gradient_of_a_convolution_goes_through_the_activation(groups, kernel, stride):
    weight = filters(6, 6 // groups, kernel, kernel)
    fn = with_gradients(lambda x: F.conv2d(x.relu(), weight, stride=stride, padding=1, groups=groups))
    rewrites = (passes.remove_dead, passes.fuse_activation_gradients)
    program = captured(fn, [images(2, 6, 7, 8)], rewrites).program
    assert names(program.records)[-1] == ["conv2d_backward", "relu_backward"]
    check(fn, [images(2, 6, 7, 8)], rewrites, names(program.records))


@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (3, 3, 1)])
@pytest.mark.parametrize("pool", ["max", "avg"])
def test_the_gradient_of_a_pooling_goes_through_the_activation(pool, window):
    fn = with_gradients(lambda x: getattr(F, f"{pool}_pool2d")(x.relu(), *window))
    rewrites = (passes.remove_dead, passes.fuse_activation_gradients)
    program = captured(fn, [images(2, 6, 7, 9)], rewrites).program
    assert names(program.records)[-1] == [f"{pool}_pool2d_backward", "relu_backward"]
    check(fn, [images(2, 6, 7, 9)], rewrites, names(program.records))


def test_a_sum_of_gradients_goes_through_the_activation():
    weight, other = map(nncore.tensor, arrays((30, 30), (30, 30), seed=1))

    def net(x):
        y = x.relu()
        return F.linear(y, weight) + F.linear(y, other)

    fn = with_gradients(net)
    rewrites = (passes.remove_dead, passes.fuse_additions, passes.fuse_activation_gradients)
    program = captured(fn, arrays((21, 30)), rewrites).program
    assert names(program.records)[-1] == ["linear_backward", "add", "relu_backward"]
    check(fn, arrays((21, 30)), rewrites, names(program.records))


# ---- lay_out ----
def test_lay_out_keeps_living_buffers_apart():
    def fn(x):
        a = x.exp()
        b = a.sin()
        return a + b * a

    records = records_of(fn, *arrays((100,)))
    plan.lay_out(records)
    living = {}
    for i, record in enumerate(records):
        for o in record.operands:
            if o.buffer.kind == "temporary":
                living.setdefault(o.buffer, []).append(i)
    spans = [(min(at), max(at), b.place, b.place + b.nbytes) for b, at in living.items()]
    for i, (first, last, low, high) in enumerate(spans):
        for other_first, other_last, other_low, other_high in spans[:i]:
            assert last < other_first or other_last < first or high <= other_low or other_high <= low


# ---- whole steps: order and rows ----
def mlp(*widths):
    layers = []
    for inner, outer in itertools.pairwise(widths):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cnn():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(144, 5),
    )


def trained(make, shape, rewrites, threads, steps=3, make_optimizer=lambda p: optim.Adam(p, lr=0.01)):
    """(bits of the parameters after some steps, Program)."""
    before = nncore.get_num_threads()
    nncore.set_num_threads(threads)
    try:
        nncore.manual_seed(0)
        model = make()
        optimizer = make_optimizer(model.parameters())
        x, target = arrays(shape)[0], np.arange(shape[0]) % 3
        inputs = (x, target)

        def step():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(nncore.Tensor(x)), nncore.Tensor(target))
            loss.backward()
            optimizer.step()
            return loss.detach()

        whole = Captured(step, inputs, passes=rewrites)
        for seed in range(steps):
            whole.run((arrays(shape, seed=seed + 1)[0], target))
        return [p.array.tobytes() for p in model.parameters()], whole.program
    finally:
        nncore.set_num_threads(before)


@pytest.mark.parametrize("net", ["mlp", "cnn"])
def test_all_passes_on_any_number_of_threads_give_the_same_bits(net):
    make, shape = {"mlp": (lambda: mlp(100, 200, 200, 5), (72, 100)), "cnn": (cnn, (41, 3, 10, 10))}[net]
    expected, _ = trained(make, shape, (), 1)
    for threads in (1, 2, 3, 5):
        bits, program = trained(make, shape, passes.PASSES, threads)
        assert bits == expected
        assert any(record.rows == shape[0] for record in program.records)


def test_rows_need_no_rank_to_wait_from_layer_to_layer():
    _, program = trained(lambda: mlp(100, 200, 200, 200, 200, 5), (64, 100), passes.PASSES, 2)
    waits = [wait for _, wait in program.shares]
    assert sum(waits) <= 4  # before the loss, the rows' gradients, the weights' and the update
    forward = [record.rows for record in program.records if record.kernel.__name__ == "linear_forward"]
    assert forward == [64] * 5


def test_few_rows_are_not_given_to_single_ranks():
    _, program = trained(lambda: mlp(100, 200, 5), (12, 100), passes.PASSES, 2)
    assert all(record.rows is None for record in program.records)


def test_batch_norm_and_dropout_are_not_cut_into_rows():
    make = lambda: nn.Sequential(nn.Linear(10, 20), nn.Dropout(0.5), nn.BatchNorm1d(20), nn.Linear(20, 3))  # noqa: E731
    _, program = trained(make, (64, 10), passes.PASSES, 2)
    cut = {record.kernel.__name__: record.rows for record in program.records}
    assert cut["linear_forward"] == 64
    assert cut["dropout"] is None
    assert cut["batch_norm_forward"] is None


def test_weight_gradients_come_last_in_a_small_program():
    _, program = trained(
        lambda: mlp(100, 50, 50, 5), (32, 100), (passes.remove_dead, passes.postpone_weight_gradients), 2
    )
    wanted = [
        sorted(o.name for o in record.operands if o.writes)
        for record in program.records
        if record.kernel.__name__ == "linear_backward"
    ]
    assert wanted == [["dx"], ["dx"]] + [["dbias", "dweight"]] * 3


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop"])
def test_large_parameters_are_updated_behind_their_gradients(optimizer):
    make_optimizer = lambda p: getattr(optim, optimizer)(p, lr=0.01)  # noqa: E731
    make = lambda: mlp(100, 700, 700, 5)  # noqa: E731
    expected, _ = trained(make, (16, 100), (), 1, make_optimizer=make_optimizer)
    bits, program = trained(
        make, (16, 100), (passes.remove_dead, passes.update_early), 2, make_optimizer=make_optimizer
    )
    assert bits == expected
    steps = [record for record in program.records if record.kernel.__name__.endswith("_step")]
    assert sorted(sum(record.sizes) for record in steps) == sorted([700 * 700, 100 * 700 + 700 + 700 + 5 * 700 + 5])
    before = program.records[program.records.index(steps[0]) - 1]
    assert before.operand("dweight").shape == (700, 700)


def test_a_clipped_gradient_is_not_used_before_the_norm_is_known():
    nncore.manual_seed(0)
    model = mlp(100, 700, 700, 5)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x, target = arrays((16, 100))[0], np.arange(16) % 3

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(nncore.Tensor(x)), nncore.Tensor(target)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()

    program = Captured(step, (x, target)).program
    assert names(program.records)[-1] == ["sgd_step"]


# ---- watch ----
def test_training_ends_after_the_first_loss_that_is_not_finite(capsys):
    x = np.ones((30, 4), np.float32)
    x[17] = np.nan
    states = []
    for eager in (True, False):
        nncore.manual_seed(0)
        m = nncore.Model(nn.Linear(4, 3))
        m.compile(optim.SGD(m.parameters(), lr=0.1), nn.CrossEntropyLoss(), run_eagerly=eager)
        stop = nncore.training.TerminateOnNaN()
        m.fit(x, np.arange(30) % 3, batch_size=3, epochs=2, shuffle=False, callbacks=[stop], verbose=0)
        assert (m.replay.reason is None) == (not eager)
        states.append([p.array.tobytes() for p in m.parameters()])
    assert states[0] == states[1]
    assert capsys.readouterr().out == 2 * "Batch 5: the loss is nan, training stops\n"
