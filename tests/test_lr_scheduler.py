"""Schedules: what torch_parity does not say. The rates themselves are compared with torch's in test_torch_parity."""

import math

import numpy as np
import pytest

import nncore
from nncore import nn, optim
from nncore.optim import lr_scheduler as schedules


def optimizer_of(lr=1.0):
    return optim.SGD([nn.Parameter(nncore.zeros(1))], lr=lr)


def steps(optimizer, scheduler, n):
    for _ in range(n):
        optimizer.step()
        scheduler.step()


def test_step_lr_closed_form():
    optimizer = optimizer_of()
    scheduler = schedules.StepLR(optimizer, step_size=3, gamma=0.5)
    for epoch in range(10):
        assert scheduler.get_last_lr() == [0.5 ** (epoch // 3)]
        steps(optimizer, scheduler, 1)


def test_cosine_closed_form():
    optimizer = optimizer_of(0.3)
    scheduler = schedules.CosineAnnealingLR(optimizer, T_max=8, eta_min=0.1)
    for epoch in range(20):
        expected = 0.1 + 0.2 * (1 + math.cos(math.pi * epoch / 8)) / 2
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-9)
        steps(optimizer, scheduler, 1)


def test_two_schedulers_multiply():
    optimizer = optimizer_of()
    first = schedules.ExponentialLR(optimizer, gamma=0.5)
    second = schedules.StepLR(optimizer, step_size=2, gamma=0.1)
    for _ in range(2):
        optimizer.step()
        first.step()
        second.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.25 * 0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: schedules.StepLR(o, 2),
        lambda o: schedules.MultiStepLR(o, [1, 5]),
        lambda o: schedules.ExponentialLR(o, 0.9),
        lambda o: schedules.CosineAnnealingLR(o, 5),
        lambda o: schedules.LinearLR(o),
        lambda o: schedules.LambdaLR(o, lambda epoch: 0.9**epoch),
        lambda o: schedules.CyclicLR(o, 0.1, 1.0, 3, cycle_momentum=False),
        lambda o: schedules.OneCycleLR(o, 1.0, 20, cycle_momentum=False),
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 2, 2),
        lambda o: schedules.SequentialLR(o, [schedules.LinearLR(o), schedules.ExponentialLR(o, 0.9)], [5]),
        lambda o: schedules.ChainedScheduler([schedules.LinearLR(o), schedules.ExponentialLR(o, 0.9)]),
    ],
)
def test_resumed_schedule_goes_on(make):
    whole = optimizer_of()
    scheduler = make(whole)
    steps(whole, scheduler, 3)
    resumed = optimizer_of()
    resumed_scheduler = make(resumed)
    resumed_scheduler.load_state_dict(scheduler.state_dict())
    resumed.load_state_dict(whole.state_dict())
    for _ in range(6):
        steps(whole, scheduler, 1)
        steps(resumed, resumed_scheduler, 1)
        assert resumed.param_groups[0]["lr"] == whole.param_groups[0]["lr"]
        assert resumed_scheduler.get_last_lr() == scheduler.get_last_lr()


NEWER = {
    "ConstantLR": lambda S, o: S.ConstantLR(o, factor=0.3, total_iters=4),
    "MultiplicativeLR": lambda S, o: S.MultiplicativeLR(o, lambda epoch: 0.9 + 0.01 * epoch),
    "PolynomialLR": lambda S, o: S.PolynomialLR(o, 7, 2.0),
    "CosineAnnealingWarmRestarts": lambda S, o: S.CosineAnnealingWarmRestarts(o, 5, 2, 0.01),
    "CyclicLR, triangular": lambda S, o: S.CyclicLR(o, 0.01, 1.0, 3, base_momentum=0.7),
    "CyclicLR, triangular2": lambda S, o: S.CyclicLR(o, [0.01, 0.02], [1.0, 2.0], 3, 4, mode="triangular2"),
    "CyclicLR, exp_range": lambda S, o: S.CyclicLR(o, 0.01, 1.0, 3, 4, mode="exp_range", gamma=0.9),
    "CyclicLR, scale_fn": lambda S, o: S.CyclicLR(o, 0.01, 1.0, 3, scale_fn=lambda x: 1 / x, cycle_momentum=False),
    "OneCycleLR": lambda S, o: S.OneCycleLR(o, 1.0, 30),
    "OneCycleLR, three phases": lambda S, o: S.OneCycleLR(
        o, [1.0, 2.0], epochs=3, steps_per_epoch=10, three_phase=True, anneal_strategy="linear"
    ),
    "SequentialLR": lambda S, o: S.SequentialLR(
        o,
        [
            S.LinearLR(o, 0.5, total_iters=4),
            S.StepLR(o, 2),
            S.MultiplicativeLR(o, lambda epoch: 0.9),
            S.ConstantLR(o, 0.2, 3),
            S.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
            S.CosineAnnealingWarmRestarts(o, 2),
            S.PolynomialLR(o, 5),
        ],
        [4, 8, 12, 16, 20, 24],
    ),
    "ChainedScheduler": lambda S, o: S.ChainedScheduler([S.ConstantLR(o, 0.5, 4), S.ExponentialLR(o, 0.9)]),
}


@pytest.mark.filterwarnings("ignore")  # torch's, of SequentialLR
@pytest.mark.parametrize("name", NEWER)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_rates_and_momenta_of_torch(name, optimizer):
    torch = pytest.importorskip("torch")
    paths = []
    for library in (torch, nncore):
        groups = [{"params": [library.nn.Parameter(library.zeros(1))]} for _ in range(2)]
        groups[1]["lr"] = 0.5
        options = {"momentum": 0.9} if optimizer == "SGD" else {}
        one = getattr(library.optim, optimizer)(groups, lr=0.1, **options)
        scheduler, path = NEWER[name](library.optim.lr_scheduler, one), []
        for _ in range(30):
            rates = [group["lr"] for group in one.param_groups]
            momenta = [group["momentum"] if options else group["betas"][0] for group in one.param_groups]
            path.append([*rates, *momenta, *scheduler.get_last_lr()])
            one.step()
            scheduler.step()
        paths.append(path)
    np.testing.assert_allclose(paths[1], paths[0], rtol=1e-12)
    assert len({row[0] for row in paths[1]}) > 1


def test_warm_restarts_within_an_epoch():
    scheduler = schedules.CosineAnnealingWarmRestarts(optimizer_of(), 2, 2)
    for epoch, expected in ((0.5, math.pi / 4), (2.0, 0.0), (4.0, math.pi / 2), (6.0, 0.0)):
        scheduler.step(epoch)
        assert scheduler.get_last_lr() == [pytest.approx((1 + math.cos(expected)) / 2)]
        assert scheduler.last_epoch == math.floor(epoch)


def test_plateau_state():
    optimizer = optimizer_of()
    scheduler = schedules.ReduceLROnPlateau(optimizer, "max", patience=1, threshold_mode="abs", threshold=0.1)
    for value in (0.5, 0.55):
        scheduler.step(nncore.tensor(value))
    state = scheduler.state_dict()
    assert "optimizer" not in state
    other = optimizer_of()
    resumed = schedules.ReduceLROnPlateau(other, "max", patience=1, threshold_mode="abs", threshold=0.1)
    resumed.load_state_dict(state)
    resumed.step(0.58)
    assert resumed.get_last_lr() == [pytest.approx(0.1)]


def test_plateau_ignores_nan_as_no_improvement():
    optimizer = optimizer_of()
    scheduler = schedules.ReduceLROnPlateau(optimizer, patience=0)
    scheduler.step(1.0)
    scheduler.step(math.nan)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_scheduler_before_optimizer_warns():
    scheduler = schedules.StepLR(optimizer_of(), 1)
    with pytest.warns(UserWarning, match=r"before `optimizer\.step\(\)`"):
        scheduler.step()


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda o: schedules.StepLR("sgd", 1), TypeError, "str is not an Optimizer"),
        (lambda o: schedules.LinearLR(o, start_factor=0), ValueError, "Starting multiplicative factor"),
        (lambda o: schedules.LinearLR(o, end_factor=2), ValueError, "Ending multiplicative factor"),
        (lambda o: schedules.LambdaLR(o, [abs, abs]), ValueError, "Expected 1 lr_lambdas, but got 2"),
        (lambda o: schedules.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
        (lambda o: schedules.ReduceLROnPlateau(o, mode="up"), ValueError, "mode up is unknown"),
        (lambda o: schedules.ReduceLROnPlateau(o, min_lr=[0, 0]), ValueError, "expected 1 min_lrs, got 2"),
        (
            lambda o: schedules.StepLR(nncore.keras.optimizers.SGD(), 1),
            ValueError,
            "the optimizer has no parameters yet",
        ),
        (lambda o: schedules.ConstantLR(o, 2.0), ValueError, "Constant multiplicative factor"),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 0), ValueError, "positive integer T_0"),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 2, 0.5), ValueError, "integer T_mult"),
        (
            lambda o: schedules.CyclicLR(optim.Adagrad([nn.Parameter(nncore.zeros(1))]), 0.1, 1.0),
            ValueError,
            "support momentum",
        ),
        (lambda o: schedules.CyclicLR(o, [0.1, 0.2], 1.0), ValueError, "'base_lr' has 2 values, expected 1"),
        (lambda o: schedules.CyclicLR(o, 0.1, 1.0, mode="up"), ValueError, "mode is invalid"),
        (lambda o: schedules.OneCycleLR(o, 1.0), ValueError, "must define either total_steps"),
        (lambda o: schedules.OneCycleLR(o, 1.0, 0), ValueError, "positive integer total_steps"),
        (lambda o: schedules.OneCycleLR(o, 1.0, 5, pct_start=2), ValueError, "between 0 and 1 pct_start"),
        (lambda o: schedules.OneCycleLR(o, 1.0, 5, anneal_strategy="up"), ValueError, "anneal_strategy must be"),
        (lambda o: schedules.SequentialLR(o, [], []), ValueError, "at least one scheduler"),
        (
            lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 1)], [1]),
            ValueError,
            "1 schedulers and 1 milestones",
        ),
        (
            lambda o: schedules.ChainedScheduler([schedules.StepLR(o, 1), schedules.StepLR(optimizer_of(), 1)]),
            ValueError,
            "belong to one optimizer",
        ),
        (lambda o: schedules.ExponentialLR(o, 0.9, last_epoch=3), KeyError, "initial_lr"),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make(optimizer_of())
