"""The seeds' stop rule and its table, batch, mini-batch and one-sample descent, lr_find, decisions."""

import numpy as np
import pytest

import nncore
from nncore import nn
from nncore.keras import optimizers
from nncore.training import Callback, Model, StopOnSmallStep, lr_find


def line_through(points, intercept=0.0, slope=0.64):
    """StatQuest's line: a fixed slope, the intercept to be found; a Model and its data."""
    x, y = np.array(list(zip(*points, strict=True)), np.float32)
    net = nn.Linear(1, 1)
    nncore.nn.init.constant_(net.weight, slope)
    net.weight.requires_grad_(False)
    nncore.nn.init.constant_(net.bias, intercept)
    return Model(net), x[:, None], y[:, None]


POINTS = [(0.5, 1.4), (2.3, 1.9), (2.9, 3.2)]


@pytest.mark.parametrize("eager", [True, False])
def test_the_table_of_a_line_fitted_by_hand(eager):
    """Sum of squared residuals, rate 0.1: derivative -5.7, step -0.57, intercept 0 -> 0.57 -> 0.8 -> ... -> 0.95."""
    model, x, y = line_through(POINTS)
    model.compile(optimizers.SGD(0.1), "ssr", run_eagerly=eager)
    stop = StopOnSmallStep()
    model.fit(x, y, batch_size="full", epochs=2000, verbose=0, callbacks=[stop])
    assert eager or model.replay.reason is None
    old = 0.0
    for number, row in enumerate(stop.table, 1):
        derivative = float((-2 * (y - (0.64 * x + old))).sum())
        assert row.step == number
        assert row.parameter == "bias[0]"
        assert row.derivative == pytest.approx(derivative, rel=1e-4, abs=1e-5)
        assert row.step_size == pytest.approx(0.1 * derivative, rel=1e-4, abs=1e-6)
        assert (row.old, row.new) == pytest.approx((old, old - 0.1 * derivative), abs=1e-5)
        old = row.new
    assert stop.table[0].derivative == pytest.approx(-5.7, abs=0.01)
    assert old == pytest.approx(0.95, abs=0.005)
    assert stop.reason == "min_step"
    assert abs(stop.table[-1].step_size) <= 1e-3 < abs(stop.table[-2].step_size)
    lines = str(stop).splitlines()
    assert lines[0].split() == ["step", "parameter", "derivative", "step", "size", "old", "new"]
    assert len(lines) == len(stop.table) + 2
    assert lines[-1] == f"stopped after {len(stop.table)} steps: no step is larger than 0.001"


def test_after_a_thousand_steps_it_ends_anyway():
    model, x, y = line_through(POINTS)
    model.compile(optimizers.SGD(1e-2), "ssr")
    stop = StopOnSmallStep(min_step=0)
    model.optimizer.learning_rate = 0.34  # swings around the minimum for ever
    history = model.fit(x, y, batch_size="full", epochs=5000, verbose=0, callbacks=[stop])
    assert stop.reason == "max_steps"
    assert len(stop.table) == len(history.history["loss"]) == 1000
    assert str(stop).endswith("stopped after 1000 steps, the most that there may be")


def test_all_rows_and_printing(capsys):
    rng = np.random.default_rng(0)
    model = Model(nn.Linear(2, 1))
    model.compile(optimizers.SGD(0.1), "mse")
    stop = StopOnSmallStep(max_steps=2, rows="all", verbose=1)
    model.fit(rng.normal(size=(4, 2)), rng.normal(size=(4, 1)), epochs=5, verbose=0, callbacks=[stop])
    names = ["weight[0, 0]", "weight[0, 1]", "bias[0]"]
    assert [(row.step, row.parameter) for row in stop.table] == [(n, name) for n in (1, 2) for name in names]
    for row in stop.table:
        assert row.step_size == pytest.approx(0.1 * row.derivative, rel=1e-4)
        assert row.new == pytest.approx(row.old - row.step_size, rel=1e-6)
    assert capsys.readouterr().out == f"{stop}\n"


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 12), ("full", 1), (5, 3), (None, 1)])
def test_batch_size_says_which_descent_it_is(batch_size, steps):
    """One sample, all, so many; None is Keras's 32."""
    counted = []

    class Count(Callback):
        def on_train_batch_end(self, batch, logs=None):
            counted.append(batch)

    model = Model(nn.Linear(2, 1))
    model.compile(optimizers.SGD(0.01), "mse")
    model.fit(np.ones((12, 2)), np.ones((12, 1)), batch_size=batch_size, verbose=0, callbacks=[Count()])
    assert len(counted) == steps


# ---- lr_find ----
def regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 4)).astype(np.float32)
    return x, (x @ np.float32([1, -2, 0.5, 0])[:, None] + 0.01 * rng.normal(size=(256, 1))).astype(np.float32)


@pytest.mark.parametrize(
    "make", [lambda: optimizers.SGD(0.5, momentum=0.9), lambda: optimizers.Adam(0.5, use_ema=True)]
)
def test_lr_find_suggests_a_rate_and_leaves_no_trace(make):
    x, y = regression()

    def trained(look):
        nncore.manual_seed(0)
        model = Model(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 1)))
        model.compile(make(), "mse")
        model.optimizer.learning_rate = 0.01
        losses = model.fit(x, y, epochs=1, verbose=0).history["loss"]
        test = lr_find(model, x, y) if look else None
        losses += model.fit(x, y, epochs=2, verbose=0).history["loss"]
        return test, losses, [t.array.tobytes() for t in model.state_dict().values()]

    test, *found = trained(look=True)
    assert found == list(trained(look=False)[1:])
    assert len(test.rates) == len(test.losses) <= 100
    assert test.rates[0] == pytest.approx(1e-6)
    np.testing.assert_allclose(np.diff(np.log(test.rates)), np.log(1e7) / 99, rtol=1e-6)
    assert test.suggestion is None or 1e-6 < test.suggestion < 10


def test_lr_find_finds_where_a_parabola_falls_fastest():
    """Too small a rate does nothing, one above 1 diverges: the test ends early and suggests something between."""
    model = Model(nn.Linear(1, 1, bias=False))
    nncore.nn.init.constant_(model.module.weight, 5.0)
    model.compile(optimizers.SGD(1.0), "mse")
    test = lr_find(model, np.ones((4, 1)), np.zeros((4, 1)), batch_size="full", steps=200)
    assert len(test.rates) < 200
    assert 1e-3 < test.suggestion < 1
    assert test.losses[0] == 25
    assert test.losses[-1] > 4 * test.losses.min()
    assert model.module.weight.item() == 5.0


def test_lr_find_takes_batches_of_a_loader():
    x, y = regression()
    model = Model(nn.Linear(4, 1))
    model.compile("sgd", "mse")
    loader = nncore.utils.data.DataLoader(nncore.utils.data.TensorDataset(nncore.tensor(x), nncore.tensor(y)), 32)
    assert len(lr_find(model, loader, steps=30).losses) > 10


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (
            lambda m: lr_find(nncore.Model(nn.Linear(1, 1)), [[1.0]], [[1.0]]),
            RuntimeError,
            "lr_find: the model has no loss",
        ),
        (lambda m: lr_find(m, [[1.0]], [[1.0]], start=1, end=0.1), ValueError, "expected 0 < start < end"),
        (lambda m: lr_find(m, [[1.0]], [[1.0]], steps=2), ValueError, "'steps' is 2"),
        (lambda m: StopOnSmallStep(min_step=-1), ValueError, "StopOnSmallStep: argument 'min_step' is -1"),
        (lambda m: StopOnSmallStep(max_steps=0), ValueError, "argument 'max_steps' is 0"),
        (lambda m: StopOnSmallStep(rows="some"), ValueError, "argument 'rows' is 'some'"),
    ],
)
def test_bad_arguments(make, error, match):
    model = Model(nn.Linear(1, 1))
    model.compile("sgd", "mse")
    with pytest.raises(error, match=match):
        make(model)


def test_lr_find_says_that_a_generator_has_ended():
    x, y = regression()
    model = Model(nn.Linear(4, 1))
    model.compile("sgd", "mse")
    before = model.module.weight.array.copy()
    with pytest.raises(ValueError, match="lr_find: argument 'x' gave no batch: a generator that ended"):
        lr_find(model, ((x[:8], y[:8]) for _ in range(5)), steps=30)
    assert np.array_equal(model.module.weight.array, before)


def test_steps_of_accumulated_batches():
    """Batches between two steps are no steps."""
    x, y = regression()
    model = Model(nn.Linear(4, 1))
    model.compile(optimizers.SGD(0.01, gradient_accumulation_steps=4), "mse")
    stop = StopOnSmallStep(max_steps=3)
    model.fit(x, y, epochs=5, verbose=0, callbacks=[stop])
    assert (stop.reason, len(stop.table)) == ("max_steps", 3)


def test_lr_find_refuses_a_schedule():
    model = Model(nn.Linear(1, 1))
    model.compile(optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 10)), "mse")
    with pytest.raises(ValueError, match="lr_find: the learning rate of the optimizer is a schedule"):
        lr_find(model, [[1.0]], [[1.0]])


# ---- decisions ----
def test_predict_classes_is_argmax_or_a_step():
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    several, one = Model(nn.Linear(3, 4)), Model(nn.Linear(3, 1))
    assert np.array_equal(several.predict_classes(x), several.predict(x).argmax(axis=1))
    outputs = one.predict(x)[:, 0]
    assert np.array_equal(one.predict_classes(x), outputs > 0.5)
    assert np.array_equal(one.predict_classes(x, threshold=0.2), outputs > 0.2)
    one.compile("sgd", nn.BCEWithLogitsLoss())
    assert np.array_equal(one.predict_classes(x), outputs > 0)
    assert one.predict_classes(x).dtype == np.int64
