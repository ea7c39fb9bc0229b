"""Schedules as functions of the step: their closed forms, and one object in both faces, in eager and in replay."""

import math

import numpy as np
import pytest

import nncore
import nncore.nn.functional as F
from nncore import nn, optim
from nncore.keras import optimizers
from nncore.optim import schedules

STEPS = range(40)


def cosine(t):
    return (1 + math.cos(math.pi * min(t, 1))) / 2


CASES = [
    ("ExponentialDecay", (0.5, 10, 0.9), lambda n: 0.5 * 0.9 ** (n / 10)),
    ("ExponentialDecay", (0.5, 10, 0.9, True), lambda n: 0.5 * 0.9 ** (n // 10)),
    ("InverseTimeDecay", (0.5, 10, 0.3), lambda n: 0.5 / (1 + 0.3 * n / 10)),
    ("InverseTimeDecay", (0.5, 10, 0.3, True), lambda n: 0.5 / (1 + 0.3 * (n // 10))),
    ("PolynomialDecay", (0.5, 16, 0.1, 2.0), lambda n: 0.4 * (1 - min(n, 16) / 16) ** 2 + 0.1),
    ("PolynomialDecay", (0.5, 8, 0.1, 1.0, True), lambda n: 0.4 * (1 - n / (8 * max(1, math.ceil(n / 8)))) + 0.1),
    ("PiecewiseConstantDecay", ([5, 20], [1.0, 0.5, 0.1]), lambda n: 1.0 if n <= 5 else 0.5 if n <= 20 else 0.1),
    ("CosineDecay", (0.5, 16, 0.1), lambda n: 0.5 * (0.9 * cosine(n / 16) + 0.1)),
    (
        "CosineDecay",
        (0.0, 16, 0.0, "name", 0.5, 4),
        lambda n: 0.5 * n / 4 if n < 4 else 0.5 * cosine((n - 4) / 16),
    ),
    ("CosineDecayRestarts", (0.5, 8, 1.0, 0.5, 0.1), lambda n: 0.5 * (0.9 * 0.5 ** (n // 8) * cosine(n % 8 / 8) + 0.1)),
    (
        "CosineDecayRestarts",
        (0.5, 4, 2.0, 0.5),
        lambda n: next(
            0.5 * 0.5**i * cosine((n - b) / 2**i / 4) for i, b in enumerate([0, 4, 12, 28]) if n < b + 4 * 2**i
        ),
    ),
]


@pytest.mark.parametrize(("name", "arguments", "formula"), CASES)
def test_closed_forms(name, arguments, formula):
    schedule = getattr(optimizers.schedules, name)(*arguments)
    np.testing.assert_allclose([schedule(n) for n in STEPS], [formula(n) for n in STEPS], rtol=1e-12, atol=1e-15)
    again = type(schedule).from_config(schedule.get_config())
    assert [again(n) for n in STEPS] == [schedule(n) for n in STEPS]
    assert repr(again) == repr(schedule)


@pytest.mark.parametrize(("name", "arguments", "formula"), CASES)
def test_keras_gives_the_same(name, arguments, formula):
    keras = pytest.importorskip("keras")
    schedule = getattr(keras.optimizers.schedules, name)(*arguments)
    np.testing.assert_allclose([float(schedule(n)) for n in STEPS], [formula(n) for n in STEPS], rtol=1e-5, atol=1e-7)


def test_the_closed_forms_of_the_seeds_are_those_of_the_schedulers():
    """Step, exponential and cosine decay over epochs: torch's scheduler and the function give one rate."""
    for make, formula in [
        (lambda o: optim.lr_scheduler.StepLR(o, 5, 0.5), schedules.ExponentialDecay(0.1, 5, 0.5, staircase=True)),
        (lambda o: optim.lr_scheduler.ExponentialLR(o, 0.9), schedules.ExponentialDecay(0.1, 1, 0.9)),
        (lambda o: optim.lr_scheduler.CosineAnnealingLR(o, 40, 0.01), schedules.CosineDecay(0.1, 40, 0.1)),
    ]:
        optimizer = optim.SGD([nn.Parameter(nncore.zeros(1))], lr=0.1)
        scheduler = make(optimizer)
        for n in STEPS:
            assert optimizer.param_groups[0]["lr"] == pytest.approx(formula(n), rel=1e-9)
            optimizer.step()
            scheduler.step()


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3)).astype(np.float32)
    return x, x @ np.float32([[1.0], [-2.0], [0.5]])


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("face", ["keras", "torch"])
def test_one_object_for_both_faces(face, eager):
    """fit steps it after every batch, a loop of one's own with step(): the same bits."""
    x, y = data()
    weights = []
    for loop in (False, True):
        schedule = optimizers.schedules.CosineDecay(0.1, 12)
        nncore.manual_seed(0)
        net = nn.Linear(3, 1)
        model = nncore.Model(net)
        if face == "keras":
            optimizer = optimizers.SGD(schedule, momentum=0.9)
        else:
            optimizer = optim.SGD(model.parameters(), lr=schedule, momentum=0.9, form="classic")
        if not loop:
            model.compile(optimizer, "mse", run_eagerly=eager)
            model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
            assert eager or model.replay.reason is None
        else:
            if face == "keras":
                optimizer.bind(list(net.parameters()))
            for n in range(9):
                rows = slice(n % 3 * 8, n % 3 * 8 + 8)
                assert optimizer.param_groups[0]["lr"] == schedule(n)
                optimizer.zero_grad()
                F.mse_loss(net(nncore.tensor(x[rows])), nncore.tensor(y[rows])).backward()
                optimizer.step()
                schedule.step()
        assert schedule.last_step == 9
        assert optimizer.param_groups[0]["lr"] == schedule(9) == schedule.get_last_lr()[0]
        weights.append([p.array.tobytes() for p in net.parameters()])
    assert weights[0] == weights[1]


def test_a_rate_of_every_step_captures_nothing_anew(monkeypatch):
    """One program for each batch size, however often the rate changes."""
    from nncore.training import replay

    made = []
    init = replay._Program.__init__
    monkeypatch.setattr(replay._Program, "__init__", lambda self, *a: (made.append(a), init(self, *a))[1])
    x, y = data()
    model = nncore.Model(nn.Linear(3, 1))
    model.compile(optimizers.Adam(schedules.ExponentialDecay(0.1, 1, 0.9)), "mse")
    model.fit(x, y, batch_size=8, epochs=20, verbose=0)
    assert len(made) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda o: optim.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=30),
        lambda o: optim.lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3),
        lambda o: optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 5),
    ],
)
@pytest.mark.parametrize("optimizer", [lambda p: optim.Adam(p), lambda p: optim.SGD(p, momentum=0.9)])
def test_schedulers_of_rate_and_momentum_in_a_compiled_step(make, optimizer):
    results = []
    for compiled in (False, True):
        nncore.manual_seed(0)
        net = nn.Linear(3, 1)
        one = optimizer(net.parameters())
        scheduler = make(one)

        def step(x, y, net=net, one=one):
            one.zero_grad()
            F.mse_loss(net(x), y).backward()
            one.step()

        step = nncore.compile(step) if compiled else step
        x, y = map(nncore.tensor, data())
        for _ in range(25):
            step(x, y)
            scheduler.step()
        results.append([p.array.tobytes() for p in net.parameters()])
        assert not compiled or len(step.programs) == 1
        assert not compiled or sum(map(len, step.programs.values())) == 1
    assert results[0] == results[1]


def test_a_resumed_run_goes_on_with_its_schedule(tmp_path):
    x, y = data()

    def make():
        nncore.manual_seed(0)
        model = nncore.Model(nn.Linear(3, 1))
        model.compile(optimizers.Adam(schedules.PolynomialDecay(0.1, 30, 0.0)), "mse")
        return model

    whole = make()
    whole.fit(x, y, batch_size=8, epochs=6, verbose=0)
    part = make()
    part.fit(x, y, batch_size=8, epochs=3, verbose=0)
    part.save_checkpoint(tmp_path / "run.safetensors")
    resumed = make()
    resumed.load_checkpoint(tmp_path / "run.safetensors")
    assert resumed.optimizer.schedule.last_step == 9
    resumed.fit(x, y, batch_size=8, epochs=6, initial_epoch=3, verbose=0)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert a.array.tobytes() == b.array.tobytes()


def grouped(options):
    """An optimizer with a schedule, and two groups, of which one has options of its own."""
    one, two = nn.Parameter(nncore.zeros(1)), nn.Parameter(nncore.zeros(1))
    return optim.SGD([{"params": [one]}, {"params": [two], **options}], lr=schedules.CosineDecay(0.1, 10))


def fitted_with():
    """A fit whose callback would set the learning rate that is a schedule."""
    model = nncore.Model(nn.Linear(1, 1))
    model.compile(optim.SGD(model.parameters(), lr=schedules.CosineDecay(0.1, 10)), "mse")
    callback = nncore.keras.callbacks.LearningRateScheduler(lambda epoch: 0.5)
    model.fit(np.ones((1, 1)), np.ones((1, 1)), verbose=0, callbacks=[callback])


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.9), ValueError, "ExponentialDecay: argument 'decay_steps' is 0"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1.0]), ValueError, "'values' has 1 values, expected 2"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 2, 3]), ValueError, "expected it to rise"),
        (lambda: schedules.CosineDecayRestarts(0.1, 5, t_mul=0.5), ValueError, "argument 't_mul' is 0.5"),
        (
            lambda: schedules.CosineDecay(0.1, 5).step(),
            RuntimeError,
            "CosineDecay: is the learning rate of no optimizer",
        ),
        (lambda: grouped({"lr": 0.1}), ValueError, "a schedule is the learning rate of all groups"),
        (lambda: grouped({"lr": schedules.CosineDecay(0.1, 5)}), ValueError, "a schedule is the learning rate of all"),
        (
            lambda: optim.lr_scheduler.StepLR(grouped({}), 1),
            ValueError,
            "StepLR: the learning rate of the optimizer is a",
        ),
        (fitted_with, TypeError, "SGD: the learning rate is a schedule and cannot be set"),
        (lambda: optimizers.SGD(schedules.CosineDecay(-0.1, 5)), ValueError, "argument 'learning_rate' is -0.1"),
        (
            lambda: optim.SGD([nn.Parameter(nncore.zeros(1))], lr=schedules.CosineDecay(-0.1, 5)),
            ValueError,
            "Invalid learning rate: -0.1",
        ),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()
