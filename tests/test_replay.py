"""Capture and replay: the same bits as eager, for every kind of layer and optimizer; refusals; caching; fit; freeze."""

import threading

import numpy as np
import pytest
from nncore._core.capture import CaptureError

import nncore
import nncore.nn.functional as F
from nncore import nn, optim

STEPS = 5


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def around(layer):
    return lambda: nn.Sequential(nn.Linear(6, 16), layer(), nn.Linear(16, 3)), (8, 6)


def series_net(*layers, features):
    return lambda: nn.Sequential(*(make() for make in layers), nn.Flatten(), nn.Linear(features, 3)), (4, 2, 16)


def image_net(*layers, features):
    return lambda: nn.Sequential(*(make() for make in layers), nn.Flatten(), nn.Linear(features, 3)), (4, 2, 8, 8)


class Compared(nn.Module):
    """A layer of two inputs, between each output of one Linear and those of another."""

    def __init__(self, layer):
        super().__init__()
        self.one, self.other, self.layer = nn.Linear(6, 12), nn.Linear(6, 12), layer

    def forward(self, x):
        one, other = self.one(x).reshape(-1, 4), self.other(x).reshape(-1, 4)
        return self.layer(one, other).reshape(-1, 3)


class Steps(nn.Module):
    """A recurrent layer or a cell on the numbers of a row, two in each of three steps."""

    def __init__(self, layer, features):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(features, 3)

    def forward(self, x):
        x, state = x.reshape(-1, 3, 2), None
        if not isinstance(self.layer, (nn.RNNCell, nn.LSTMCell, nn.GRUCell)):
            return self.head(self.layer(x)[0][:, -1])
        for t in range(3):
            state = self.layer(x[:, t], state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class Attending(nn.Module):
    """Self-attention with and without its weights, behind each other."""

    def __init__(self):
        super().__init__()
        self.one, self.other = (nn.MultiheadAttention(8, 2, dropout=0.2, batch_first=True) for _ in range(2))

    def forward(self, x):
        x, weights = self.one(x, x, x)
        return self.other(x, weights @ x, x, need_weights=False, is_causal=True)[0]


def tokens(layer):
    """A layer between tokens of 8 features."""
    return (
        lambda: nn.Sequential(nn.Linear(6, 16), nn.Unflatten(1, (2, 8)), layer(), nn.Flatten(), nn.Linear(16, 3))
    ), (8, 6)


# For every class of nncore.nn: how to make a model with it, and the shape of a batch.
MODELS = {
    "Sequential": (lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)), (8, 6)),
    "Linear": (lambda: nn.Linear(6, 3), (8, 6)),
    "Dropout": (lambda: nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.3), nn.Sigmoid(), nn.Linear(16, 3)), (8, 6)),
    "BatchNorm1d": around(lambda: nn.BatchNorm1d(16)),
    "LayerNorm": around(lambda: nn.LayerNorm(16)),
    "Softmax": around(lambda: nn.Softmax(-1)),
    "LogSoftmax": around(lambda: nn.LogSoftmax(-1)),
    "Unflatten": (lambda: nn.Sequential(nn.Linear(6, 16), nn.Unflatten(1, (4, 4)), nn.Flatten(), nn.Linear(16, 3)), (8, 6)),
    **{
        name: around(getattr(nn, name))
        for name in (
            "CELU", "Hardshrink", "Hardsigmoid", "Hardswish", "LogSigmoid", "Mish", "PReLU", "SELU", "Softshrink", "Softsign",
            "Tanhshrink", "ELU", "GELU", "Hardtanh", "Identity", "LeakyReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softplus", "Tanh",
        )
    },
    "GLU": (lambda: nn.Sequential(nn.Linear(6, 32), nn.GLU(), nn.Linear(16, 3)), (8, 6)),
    "Threshold": around(lambda: nn.Threshold(0.1, 0.5)),
    "Conv2d": image_net(
        lambda: nn.Conv2d(2, 6, 3, padding=1), nn.ReLU, lambda: nn.Conv2d(6, 4, 3, stride=2, groups=2), features=36
    ),
    "BatchNorm2d": image_net(lambda: nn.Conv2d(2, 5, 3), lambda: nn.BatchNorm2d(5), nn.ReLU, features=180),
    "MaxPool2d": image_net(lambda: nn.Conv2d(2, 5, 3), lambda: nn.MaxPool2d(2), features=45),
    "AvgPool2d": image_net(lambda: nn.Conv2d(2, 5, 3), lambda: nn.AvgPool2d(2), features=45),
    "AdaptiveAvgPool2d": image_net(lambda: nn.Conv2d(2, 5, 3), lambda: nn.AdaptiveAvgPool2d(2), features=20),
    "CosineSimilarity": (lambda: Compared(nn.CosineSimilarity()), (8, 6)),
    "PairwiseDistance": (lambda: Compared(nn.PairwiseDistance()), (8, 6)),
    "Conv1d": series_net(lambda: nn.Conv1d(2, 6, 3, padding=1, padding_mode="circular"), nn.ReLU, features=96),
    "ConvTranspose1d": series_net(lambda: nn.ConvTranspose1d(2, 3, 3, stride=2), nn.ReLU, features=99),
    **{
        name: series_net(lambda: nn.Conv1d(2, 4, 3), lambda name=name, arguments=arguments: getattr(nn, name)(*arguments), features=features)
        for name, arguments, features in (
            ("ConstantPad1d", (1, 0.5), 64), ("ZeroPad1d", (1,), 64), ("ReflectionPad1d", (1,), 64), ("ReplicationPad1d", (1,), 64),
            ("CircularPad1d", (1,), 64), ("MaxPool1d", (2,), 28), ("AvgPool1d", (2,), 28), ("AdaptiveAvgPool1d", (3,), 12),
            ("AdaptiveMaxPool1d", (3,), 12), ("InstanceNorm1d", (4,), 56), ("Dropout1d", (0.3,), 56),
        )
    },
    "ConvTranspose2d": image_net(
        lambda: nn.ConvTranspose2d(2, 6, 3, stride=2, output_padding=1), nn.ReLU, lambda: nn.Conv2d(6, 3, 5, 4), features=48
    ),
    **{
        name: image_net(lambda name=name, arguments=arguments: getattr(nn, name)(*arguments), lambda: nn.Conv2d(2, 4, 3, 3), features=features)
        for name, arguments, features in (
            ("ConstantPad2d", (1, 0.5), 36), ("ZeroPad2d", ((1, 0, 0, 1),), 36), ("ReflectionPad2d", (2,), 64),
            ("ReplicationPad2d", (2,), 64), ("CircularPad2d", (2,), 64),
        )
    },
    "AdaptiveMaxPool2d": image_net(lambda: nn.Conv2d(2, 5, 3), lambda: nn.AdaptiveMaxPool2d(4), features=80),
    "Upsample": image_net(lambda: nn.Upsample(scale_factor=2, mode="bilinear"), lambda: nn.Conv2d(2, 4, 3, 3), features=100),
    "PixelShuffle": image_net(lambda: nn.Conv2d(2, 8, 3), lambda: nn.PixelShuffle(2), features=288),
    "PixelUnshuffle": image_net(lambda: nn.Conv2d(2, 3, 3), lambda: nn.PixelUnshuffle(2), features=108),
    "Dropout2d": image_net(lambda: nn.Conv2d(2, 5, 3), lambda: nn.Dropout2d(0.3), features=180),
    "GroupNorm": image_net(lambda: nn.Conv2d(2, 6, 3), lambda: nn.GroupNorm(2, 6), nn.ReLU, features=216),
    "InstanceNorm2d": image_net(
        lambda: nn.Conv2d(2, 5, 3), lambda: nn.InstanceNorm2d(5, affine=True, track_running_stats=True), features=180
    ),
    "RMSNorm": around(lambda: nn.RMSNorm(16)),
    "Dropout, scaled when tested": around(lambda: nn.Dropout(0.3, scale="test")),
    "MultiheadAttention": tokens(Attending),
    "PositionalEncoding": tokens(lambda: nn.PositionalEncoding(8, max_len=10, batch_first=True)),
    "TransformerEncoderLayer": tokens(lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)),
    "TransformerEncoder": tokens(
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True), 2)
    ),
    "Flatten": image_net(nn.Identity, features=128),
    **{
        kind: (lambda kind=kind: Steps(getattr(nn, kind)(2, 5, 2, dropout=0.3, batch_first=True, bidirectional=True), 10), (8, 6))
        for kind in ("RNN", "LSTM", "GRU")
    },
    **{kind: (lambda kind=kind: Steps(getattr(nn, kind)(2, 5), 5), (8, 6)) for kind in ("RNNCell", "LSTMCell", "GRUCell")},
}  # fmt: skip
# L-BFGS looks at losses between its evaluations: test_lbfgs.py shows that it refuses.
NOT_LAYERS = {
    "LazyLinear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterList",
    "Perceptron",
    "Embedding",
}  # Embedding: see below
LOSSES = {
    "BCELoss": lambda loss, y: loss(y.sigmoid(), (y.detach() > 0).float()),
    "BCEWithLogitsLoss": lambda loss, y: loss(y, (y.detach() > 0).float()),
    "CrossEntropyLoss": lambda loss, y: loss(y, y.detach().argmin(1)),
    "NLLLoss": lambda loss, y: loss(y.log_softmax(1), y.detach().argmin(1)),
    **{
        name: lambda loss, y: loss(y, y.detach() * 0.5 + 1)
        for name in ("HuberLoss", "L1Loss", "MSELoss", "PoissonNLLLoss", "SmoothL1Loss")
    },
    "KLDivLoss": lambda loss, y: loss(y.log_softmax(1), y.detach().softmax(0)),
    "GaussianNLLLoss": lambda loss, y: loss(y, y.detach() * 0.5 + 1, y.abs()),
    "SoftMarginLoss": lambda loss, y: loss(y, y.detach().sign()),
    "MarginRankingLoss": lambda loss, y: loss(y, y.detach() * 0.5, y.detach().sign()),
    "TripletMarginLoss": lambda loss, y: loss(y, y.detach() * 0.5, y * y),
    "CosineEmbeddingLoss": lambda loss, y: loss(y, y * y, y.detach()[:, 0].sign()),
}
OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD, momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1, initial_accumulator_value=0.1),
    "Adadelta": lambda p: optim.Adadelta(p, lr=1.0),
    "Adamax": lambda p: optim.Adamax(p, lr=0.01),
    "NAdam": lambda p: optim.NAdam(p, lr=0.01),
    "RAdam": lambda p: optim.RAdam(p, lr=0.01, betas=(0.9, 0.95)),
    "Lion": lambda p: optim.Lion(p, lr=0.01, weight_decay=0.1),
}


def names_of(module, base):
    return {name for name, thing in vars(module).items() if isinstance(thing, type) and issubclass(thing, base)}


def test_every_layer_loss_and_optimizer_has_a_row():
    losses = {name for name in names_of(nn, nn.Module) if name.endswith("Loss")}
    assert losses == LOSSES.keys()
    assert names_of(nn, nn.Module) - losses - NOT_LAYERS == {name.split(",")[0] for name in MODELS}
    assert names_of(optim, optim.Optimizer) - {"Optimizer", "LBFGS"} == {name.split(",")[0] for name in OPTIMIZERS}


def training(model, optimizer):
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def run(make_model, make_optimizer, shape, compiled, threads=1):
    """(losses, state, gradients) after a few steps on changing batches."""
    before = nncore.get_num_threads()
    nncore.set_num_threads(threads)
    try:
        nncore.manual_seed(3)
        model = make_model()
        optimizer = make_optimizer(model.parameters())
        step = training(model, optimizer)
        step = nncore.compile(step) if compiled else step
        rng = np.random.default_rng(1)
        losses = []
        for _ in range(STEPS):
            x, y = rng.standard_normal(shape).astype(np.float32), rng.integers(0, 3, shape[0])
            losses.append(step(nncore.tensor(x), nncore.tensor(y)).item())
        if compiled:
            assert len(step.programs) == 1
        state = [value.array.copy() for value in model.state_dict().values()]
        return losses, state, [p.grad.array.copy() for p in model.parameters()], nncore.get_rng_state()
    finally:
        nncore.set_num_threads(before)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("model", MODELS)
def test_every_layer_has_the_bits_of_eager(model):
    check(*MODELS[model], OPTIMIZERS["Adam"], threads=(1, 2, 3, 4, 5))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_has_the_bits_of_eager(optimizer):
    check(*MODELS["Sequential"], OPTIMIZERS[optimizer], threads=(1, 5))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_has_the_bits_of_eager(loss):
    def run(compiled):
        nncore.manual_seed(0)
        model, value = nn.Linear(6, 3), getattr(nn, loss)()
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x):
            optimizer.zero_grad()
            result = LOSSES[loss](value, model(x))
            result.backward()
            optimizer.step()
            return result

        step = nncore.compile(step) if compiled else step
        rng = np.random.default_rng(0)
        values = [step(nncore.Tensor(rng.standard_normal((8, 6)).astype(np.float32))).item() for _ in range(STEPS)]
        return values, model.weight.array.tobytes()

    assert run(compiled=True) == run(compiled=False)


def test_an_embedding_has_the_bits_of_eager():
    results = []
    for compiled in (False, True):
        nncore.manual_seed(0)
        model = nn.Sequential(nn.Embedding(10, 4, padding_idx=2), nn.Flatten(), nn.Linear(12, 3))
        step = training(model, optim.Adam(model.parameters(), lr=0.1))
        step = nncore.compile(step) if compiled else step
        rng = np.random.default_rng(0)
        for _ in range(STEPS):
            step(nncore.Tensor(rng.integers(0, 10, (8, 3))), nncore.Tensor(rng.integers(0, 3, 8)))
        results.append([p.array.tobytes() for p in model.parameters()])
        with pytest.raises((ValueError, IndexError), match="10"):
            step(nncore.Tensor(np.full((8, 3), 10)), nncore.Tensor(np.zeros(8, np.int64)))
    assert results[0] == results[1]


def check(make_model, shape, make_optimizer, threads):
    eager = run(make_model, make_optimizer, shape, compiled=False)
    for count in threads:
        replayed = run(make_model, make_optimizer, shape, compiled=True, threads=count)
        assert replayed[0] == eager[0]
        assert same(replayed[1], eager[1])
        assert same(replayed[2], eager[2])
        assert replayed[3] == eager[3]


def test_learning_rate_and_step_count_are_read_anew():
    results = []
    for compiled in (False, True):
        nncore.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        schedule = optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
        step = training(model, optimizer)
        step = nncore.compile(step) if compiled else step
        x, y = images(5, 4), np.arange(5) % 3
        for _ in range(6):
            step(nncore.tensor(x), nncore.tensor(y))
            schedule.step()
        results.append((model.weight.array.copy(), optimizer.state[model.weight]["step"]))
    assert np.array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1] == 6


def test_what_a_step_depended_on_captures_anew():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    forward = nncore.compile(nncore.no_grad()(lambda x: model(x)))
    x = nncore.tensor(images(5, 4))
    model.eval()
    still = forward(x).array
    assert np.array_equal(forward(x).array, still)
    model.train()
    assert not np.array_equal(forward(x).array, still)
    model.eval()
    assert np.array_equal(forward(x).array, still)
    model[2].weight.data = nncore.zeros(3, 8)
    assert np.array_equal(forward(x).array, np.broadcast_to(model[2].bias.array, (5, 3)))
    assert forward(nncore.tensor(images(2, 4))).shape == (2, 3)


def test_a_frozen_parameter_stays_where_it_is():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    step = nncore.compile(training(model, optimizer))
    x, y = nncore.tensor(images(5, 4)), nncore.tensor(np.arange(5) % 3)
    step(x, y)
    model[0].weight.requires_grad = False
    before = model[0].weight.array.copy()
    for _ in range(3):
        step(x, y)
    assert np.array_equal(model[0].weight.array, before)


def test_a_parameter_group_that_changes_captures_anew():
    results = []
    for compiled in (False, True):
        nncore.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        step = training(model, optimizer)
        step = nncore.compile(step) if compiled else step
        x, y = nncore.tensor(images(5, 4)), nncore.tensor(np.arange(5) % 3)
        for i in range(4):
            optimizer.param_groups[0]["weight_decay"] = 0.1 * (i // 2)
            step(x, y)
        results.append(model.weight.array.copy())
    assert np.array_equal(*results)


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (lambda x: x * x.sum().item(), "reading a tensor's values"),
        (lambda x: x if x.sum() > 0 else -x, "reading a tensor's values"),
        (lambda x: x + nncore.tensor(np.random.default_rng().random(3).astype(np.float32)), "made by Python"),
        (lambda x: x * nncore.tensor(np.float32(x.array.sum())), "made by Python"),
    ],
)
def test_what_cannot_be_captured_is_an_error(fn, message):
    with pytest.raises(CaptureError, match=message):
        nncore.compile(fn)(nncore.ones(3))
    assert nncore.ones(2).sum().item() == 2  # the capture has ended


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda model, optimizer: nncore.manual_seed(1), "seeding a generator"),
        (lambda model, optimizer: optimizer.param_groups[0].update(lr=1.0), "setting the learning rate"),
        (lambda model, optimizer: model.load_state_dict(model.state_dict()), "loading weights"),
        (lambda model, optimizer: model.eval(), "training"),
        (lambda model, optimizer: setattr(model, "calls", 1), "Linear.calls"),
    ],
)
def test_what_python_changes_is_an_error(act, message):
    model = nn.Linear(4, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        act(model, optimizer)
        return model(x).detach()

    with pytest.raises(CaptureError, match=message):
        nncore.compile(step)(nncore.ones(2, 4))


def test_gradients_are_clipped_as_in_eager():
    results = []
    for compiled in (False, True):
        nncore.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x, y, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.5)
            nn.utils.clip_grad_value_(model.parameters(), 0.2)
            optimizer.step()
            return norm

        step = nncore.compile(step) if compiled else step
        norms = [step(nncore.Tensor(images(5, 4) * k), nncore.Tensor(np.arange(5) % 3)).item() for k in range(1, 6)]
        results.append((norms, model.weight.array.tobytes()))
        assert min(norms) < 1.5 < max(norms)
    assert results[0] == results[1]


def test_gradients_of_several_batches_are_added_as_in_eager():
    results = []
    for compiled in (False, True):
        nncore.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = optim.Adam(model.parameters(), lr=0.1)

        def collect(x, y, model=model):
            F.cross_entropy(model(x), y).backward()

        def apply(optimizer=optimizer):
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)

        collect, apply = (nncore.compile(f) if compiled else f for f in (collect, apply))
        for k in range(6):
            collect(nncore.Tensor(images(5, 4) * k), nncore.Tensor(np.arange(5) % 3))
            if k % 2:
                apply()
        results.append([p.array.tobytes() for p in model.parameters()])
    assert results[0] == results[1]


def test_arguments_and_results_that_need_a_gradient_are_refused():
    with pytest.raises(CaptureError, match="requires a gradient"):
        nncore.compile(lambda x: x * 2)(nncore.ones(3, requires_grad=True))
    weight = nncore.ones(3, requires_grad=True)
    with pytest.raises(CaptureError, match="backward"):
        nncore.compile(lambda x: x * weight)(nncore.ones(3))


def test_labels_are_checked_in_every_replay():
    model = nn.Linear(4, 3)
    step = nncore.compile(training(model, optim.SGD(model.parameters(), lr=0.1)))
    x = nncore.tensor(images(5, 4))
    step(x, nncore.tensor(np.arange(5) % 3))
    before = model.weight.array.copy()
    with pytest.raises(ValueError, match="cross_entropy: argument 'target' holds 3"):
        step(x, nncore.tensor(np.arange(5) % 4))
    assert np.array_equal(model.weight.array, before)


def test_results_are_new_and_arguments_may_be_the_same_array():
    double = nncore.compile(lambda a, b: {"sum": a + b, "parts": (a * 2, [b])})
    x = nncore.tensor([1.0, 2.0])
    first = double(x, x)
    second = double(nncore.tensor([5.0, 6.0]), x)
    assert first["sum"].tolist() == [2.0, 4.0]
    assert second["sum"].tolist() == [6.0, 8.0]
    assert double(x, x)["parts"][0].tolist() == [2.0, 4.0]


def test_no_result_has_a_history():
    model = nn.Linear(4, 3)
    step = nncore.compile(training(model, optim.SGD(model.parameters(), lr=0.1)))
    losses = [step(nncore.Tensor(images(5, 4)), nncore.Tensor(np.arange(5) % 3)) for _ in range(2)]
    assert [loss.grad_fn for loss in losses] == [None, None]


def test_the_cache_is_bounded():
    fn = nncore.compile(lambda x: x * 2 + 1)
    for n in range(1, 200):
        assert fn(nncore.ones(n)).shape == (n,)
    assert len(fn.programs) <= 64


def replayed_and_eager(fn, *inputs):
    """Results of fn for each input in turn: replayed after a first call, and eager."""
    step = nncore.compile(fn)
    step(*inputs[0])
    return [step(*arguments).tolist() for arguments in inputs], [fn(*arguments).tolist() for arguments in inputs]


def test_what_is_written_between_a_product_and_its_activation_counts():
    weight = nncore.Tensor(images(4, 3))

    @nncore.no_grad()
    def fn(x):
        y = F.linear(x, weight)
        y[:, 1] = 2.0
        return y.relu()

    replayed, eager = replayed_and_eager(fn, (nncore.Tensor(images(2, 3)),), (nncore.Tensor(images(2, 3) * 2),))
    assert replayed == eager


def test_what_an_activation_overwrites_is_read_before():
    weight, kept = nncore.Tensor(images(4, 3)), np.zeros((2, 4), np.float32)

    def fn(x):
        y = F.linear(x, weight)
        before = nncore.Tensor(kept) * 2
        nncore.kernels.relu_forward(y.array, out=kept)
        return before

    inputs = [(nncore.Tensor(images(2, 3) * k),) for k in (1, 2, 3)]
    eager = [fn(*arguments).tolist() for arguments in inputs]
    kept[...] = 0
    step = nncore.compile(fn)
    assert [step(*arguments).tolist() for arguments in inputs] == eager


def test_what_comes_to_the_address_of_something_else_captures_anew():
    """CPython gives the address of a freed object to the next one."""

    class Applied(nn.Module):
        def __init__(self):
            super().__init__()
            self.function = None

        def forward(self, x):
            return self.function(x)

    module, x = Applied(), nncore.ones(1)
    step = nncore.compile(lambda x: module(x))
    for k in range(1, 20):
        module.function = lambda x, k=k: x * k
        module.function = lambda x, k=k: x * k
        assert step(x).item() == k


def test_a_hook_of_a_parameter_captures_anew():
    results = []
    for compiled in (False, True):
        nncore.manual_seed(0)
        model = nn.Linear(4, 3)
        step = training(model, optim.SGD(model.parameters(), lr=0.1))
        step = nncore.compile(step) if compiled else step
        x, y = nncore.Tensor(images(5, 4)), nncore.Tensor(np.arange(5) % 3)
        seen = []
        for k in range(6):
            if k == 2:
                handle = model.weight.register_hook(lambda gradient: gradient * 0)
            if k == 4:
                handle.remove()
            step(x, y)
            seen.append(model.weight.array.tobytes())
        results.append(seen)
    assert results[0] == results[1]


def test_a_state_that_is_loaded_again_and_again_is_used():
    results = []
    for compiled in (False, True):
        nncore.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        step = training(model, optimizer)
        step = nncore.compile(step) if compiled else step
        x, y = nncore.Tensor(images(5, 4)), nncore.Tensor(np.arange(5) % 3)
        step(x, y)
        saved = optimizer.state_dict()
        for _ in range(6):
            optimizer.load_state_dict(saved)
            optimizer.load_state_dict(saved)
            step(x, y)
        results.append(model.weight.array.tobytes())
    assert results[0] == results[1]


# ---- fit, freeze ----
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_fit_replays_with_the_bits_of_eager(model, shuffle):
    make_model, (_, *shape) = MODELS[model]
    x, y = images(45, *shape), np.arange(45) % 3
    results = []
    for eager in (True, False):
        nncore.manual_seed(0)
        m = nncore.Model(make_model())
        m.compile("adam", nn.CrossEntropyLoss(), metrics=["accuracy"], run_eagerly=eager)
        history = m.fit(x, y, epochs=3, batch_size=8, verbose=0, shuffle=shuffle, sample_weight=None)
        assert (m.replay.reason is None) == (not eager)
        results.append((history.history, [v.array for v in m.state_dict().values()], nncore.get_rng_state()))
    assert results[0][0] == results[1][0]
    assert results[0][2] == results[1][2]
    assert same(results[0][1], results[1][1])


def test_fit_stops_at_a_bad_label_after_the_last_whole_step():
    x, y = images(40, 4), np.arange(40) % 3
    y[37] = 7
    states = []
    for eager in (True, False):
        nncore.manual_seed(0)
        m = nncore.Model(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)))
        m.compile("sgd", nn.CrossEntropyLoss(), run_eagerly=eager)
        with pytest.raises(ValueError, match="holds 7"):
            m.fit(x, y, batch_size=8, verbose=0, shuffle=False)
        states.append([v.array for v in m.state_dict().values()])
    assert same(*states)


def test_fit_falls_back_and_says_why():
    m = nncore.Model(nn.Linear(4, 3))
    m.compile("sgd", lambda y_true, y_pred: F.cross_entropy(y_pred, y_true) * (1 + 0 * y_pred.sum().item()))
    m.fit(images(20, 4), np.arange(20) % 3, batch_size=8, verbose=0)
    assert "reading a tensor's values" in str(m.replay.reason)


def test_callbacks_see_every_batch():
    seen = []

    class Watch(nncore.training.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

    m = nncore.Model(nn.Linear(4, 3))
    m.compile("sgd", nn.CrossEntropyLoss())
    m.fit(images(20, 4), np.arange(20) % 3, batch_size=8, epochs=2, verbose=0, callbacks=[Watch()])
    assert seen == [0, 1, 2, 0, 1, 2]


def test_a_plan_runs_in_many_threads_at_once():
    model = nncore.Model(nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)))
    frozen = model.freeze(2)
    inputs = [images(2, 6) * i for i in range(8)]
    expected = [model.predict(x) for x in inputs]
    wrong = []

    def work(i):
        out = np.empty((2, 3), np.float32)
        for _ in range(200):
            if not np.array_equal(frozen.run(inputs[i], out), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    with pytest.raises(ValueError, match="shape"):
        frozen.run(images(3, 6))
    with pytest.raises(ValueError, match="out"):
        frozen.run(inputs[0], np.empty((3, 3), np.float32))


# ---- what the arguments and results have to do with each other ----
def test_a_result_that_lies_in_an_argument_follows_it():
    flat = nncore.compile(lambda x: (x.reshape(-1), x[1:]))
    flat(nncore.zeros(2, 3))
    first, second = flat(nncore.ones(2, 3))
    assert first.tolist() == [1.0] * 6
    assert second.tolist() == [[1.0] * 3]


def test_arguments_that_overlap_are_another_kind_of_call():
    add = nncore.compile(lambda a, b: a * 2 + b)
    x = np.arange(6, dtype=np.float32)
    for _ in range(2):
        assert add(x, x[:]).tolist() == (3 * x).tolist()
        assert add(x[:4], x[2:]).tolist() == (2 * x[:4] + x[2:]).tolist()
        assert add(x, x).tolist() == (3 * x).tolist()
        assert add(x, np.zeros(6, np.float32)).tolist() == (2 * x).tolist()
        assert add(np.zeros(6, np.float32), x).tolist() == x.tolist()


def test_arguments_may_run_backwards():
    double = nncore.compile(lambda x: x * 2)
    x = images(5, 4)
    for _ in range(3):
        assert np.array_equal(double(x[::-1, ::-1]).array, 2 * x[::-1, ::-1])


def test_a_read_only_argument_is_never_written_to():
    shift = nncore.compile(lambda x: x.add_(1))
    x = np.zeros(3, np.float32)
    shift(x)
    shift(x)
    assert x.tolist() == [2.0] * 3
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        shift(x)
    assert x.tolist() == [2.0] * 3


def test_calls_of_many_kinds_take_turns():
    scale = nncore.compile(lambda pair, factor, twice=False: [x * factor * (2 if twice else 1) for x in pair])
    x, y = images(3), images(2, 2)
    for _ in range(3):
        for factor in (2, 2.0, 3.5):
            for pair in ((x, y), [x, y], (y, x), (y, y)):
                for options in ({}, {"twice": True}):
                    results = scale(pair, factor, **options)
                    assert same([r.array for r in results], [v * np.float32(factor) * (1 + len(options)) for v in pair])
    with nncore.no_grad():
        assert len(scale((x, y), 2)) == 2


def test_a_compiled_function_is_a_method_and_has_a_name():
    @nncore.compile
    def double(x):
        """Twice x."""
        return x * 2

    assert (double.__name__, double.__doc__) == ("double", "Twice x.")
    assert nncore.compile(lambda f: double(f) + 1)(nncore.ones(2)).tolist() == [3.0, 3.0]


def test_threads_share_a_compiled_function():
    model = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 3))
    forward = nncore.compile(nncore.no_grad()(lambda x: model(x)))
    inputs = [images(batch, 6) * i for i in range(1, 5) for batch in (1, 200)]
    with nncore.no_grad():
        expected = [model(nncore.tensor(x)).array for x in inputs]
    wrong = []

    def work(i):
        for _ in range(100):
            if not np.array_equal(forward(inputs[i]).array, expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Middle(nn.Module):
    """Returns part of what it computes."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, x):
        return self.linear(x)[:, 1:3]


@pytest.mark.parametrize("module", [nn.Identity, nn.Flatten, Middle, nn.ReLU])
def test_any_model_can_be_frozen(module):
    model = nncore.Model(module())
    frozen = model.freeze(np.zeros((2, 3), np.float32))
    for factor in (1, 2):
        x = images(2, 3) * factor
        expected = model.predict(x)
        y = np.empty_like(expected)
        assert np.array_equal(frozen.run(x), expected)
        assert frozen.run(x, y) is y
        assert np.array_equal(y, expected)


def test_a_plan_may_write_over_its_input():
    model = nncore.Model(nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5)))
    frozen, x = model.freeze(3), images(3, 5)
    expected = frozen.run(x)
    assert frozen.run(x, out=x) is x
    assert np.array_equal(x, expected)


def test_freeze_wants_one_tensor():
    class Pair(nn.Module):
        def forward(self, x):
            return x + 1, x + 2

    with pytest.raises(CaptureError, match="returns a tuple, expected one tensor"):
        nncore.Model(Pair()).freeze(np.zeros((2, 3), np.float32))
