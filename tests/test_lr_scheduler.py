"""Schedules: what torch_parity does not say. The rates themselves are compared with torch's in test_torch_parity."""

import math

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
    ],
    ids=["StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "LinearLR", "LambdaLR"],
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
        (lambda o: schedules.ExponentialLR(o, 0.9, last_epoch=3), KeyError, "initial_lr"),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make(optimizer_of())
