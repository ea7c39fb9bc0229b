"""Callbacks: when they are called, and what each of them does."""

import csv

import numpy as np
import pytest

import nncore
from nncore import nn, optim
from nncore.training import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    Model,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from nncore.training.callback import CallbackList

X = np.linspace(-1, 1, 40, dtype=np.float32).reshape(20, 2)
Y = X[:, :1] * X[:, 1:]


def make(metrics=None, optimizer="sgd"):
    nncore.manual_seed(0)
    model = Model(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)))
    model.compile(optimizer, "mse", metrics=metrics)
    return model


def weights(model):
    return [tensor.array.copy() for tensor in model.state_dict().values()]


class Scripted(Callback):
    """Puts the given values into the logs, one per epoch."""

    def __init__(self, name, values):
        super().__init__()
        self.name, self.values = name, values

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]


def run(callback, values, name="val_loss", model=None, **options):
    model = model or make()
    callbacks = [Scripted(name, values), callback]
    return model, model.fit(X, Y, epochs=len(values), callbacks=callbacks, verbose=0, **options)


# ---- when ----
class Diary(Callback):
    def __init__(self):
        super().__init__()
        self.lines = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda *args: self.lines.append((name, args))
        return super().__getattribute__(name)


def test_order_and_arguments():
    diary = Diary()
    model = make(metrics=["mae"])
    model.fit(X, Y, batch_size=8, epochs=2, validation_split=0.2, callbacks=[diary], verbose=0)
    names = [name for name, _ in diary.lines]
    step = ["on_train_batch_begin", "on_train_batch_end"]
    test = ["on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"]
    epoch = ["on_epoch_begin", *step, *step, *test, "on_epoch_end"]
    assert names == ["on_train_begin", *epoch, *epoch, "on_train_end"]
    epochs = [args for name, args in diary.lines if name == "on_epoch_end"]
    assert [number for number, _ in epochs] == [0, 1]
    assert list(epochs[0][1]) == ["loss", "mae", "val_loss", "val_mae"]
    ends = [args for name, args in diary.lines if name == "on_train_batch_end"]
    assert [number for number, _ in ends] == [0, 1, 0, 1]
    assert ends[1][1]["loss"] == epochs[0][1]["loss"]
    assert diary.model is model
    assert diary.params == {"epochs": 2, "initial_epoch": 0, "steps": 2, "verbose": 0}


def test_evaluate_and_predict():
    diary = Diary()
    model = make()
    model.evaluate(X, Y, batch_size=10, callbacks=[diary])
    step = ["on_test_batch_begin", "on_test_batch_end"]
    assert [name for name, _ in diary.lines] == ["on_test_begin", *step, *step, "on_test_end"]
    diary.lines.clear()
    model.predict(X, batch_size=10, callbacks=diary)
    step = ["on_predict_batch_begin", "on_predict_batch_end"]
    assert [name for name, _ in diary.lines] == ["on_predict_begin", *step, *step, "on_predict_end"]


def test_stop_training_ends_the_epoch_early():
    model = make()

    def stop(batch, logs):
        model.stop_training = batch == 1

    history = model.fit(X, Y, batch_size=4, epochs=3, callbacks=LambdaCallback(on_train_batch_end=stop), verbose=0)
    assert history.epoch == [0]
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_lambda():
    lines = []
    callback = LambdaCallback(on_epoch_begin=lambda epoch, logs: lines.append(epoch), on_train_end=lines.append)
    history = make().fit(X, Y, epochs=2, callbacks=[callback], verbose=0)
    assert lines == [0, 1, {"loss": history.history["loss"][1]}]
    with pytest.raises(TypeError, match="LambdaCallback: argument 'on_epoch' is no method of Callback"):
        LambdaCallback(on_epoch=print)


# ---- EarlyStopping ----
@pytest.mark.parametrize(
    ("options", "values", "epochs"),
    [
        ({}, [5, 4, 3, 3, 2], 4),
        ({"patience": 2}, [5, 4, 4, 4, 1], 4),
        ({"patience": 2}, [5, 4, 4, 3, 4, 4, 1], 6),
        ({"min_delta": 0.5}, [5, 4.7, 4.4, 1], 2),
        ({"min_delta": -0.5}, [5, 4.4, 4.0, 1], 3),
        ({"monitor": "val_accuracy"}, [0.1, 0.2, 0.2, 0.9], 3),
        ({"monitor": "val_accuracy", "mode": "min"}, [0.1, 0.2, 0.3], 2),
        ({"monitor": "other"}, [3, 2, 2, 1], 3),
        ({"baseline": 2.0, "patience": 2}, [5, 4, 4, 1], 3),
        ({"baseline": 2.0, "patience": 3}, [5, 4, 1, 2, 2, 2, 0], 6),
        ({"start_from_epoch": 3}, [1, 2, 3, 4, 3, 4], 6),
        ({}, [float("nan"), 2, 1], 3),
        ({}, [2, float("nan"), 1], 2),
    ],
)
def test_early_stopping(options, values, epochs):
    callback = EarlyStopping(**options)
    _, history = run(callback, values, callback.monitor)
    assert len(history.epoch) == epochs
    assert callback.stopped_epoch in (0, epochs - 1)


def test_early_stopping_reads_the_direction_off_the_metric():
    class Goodness(nncore.keras.metrics.MeanAbsoluteError):
        pass

    up, down = Goodness(name="score"), Goodness(name="score")
    up.direction = "max"
    for metric, epochs in ((up, 3), (down, 2)):
        callback = EarlyStopping(monitor="val_score")
        _, history = run(callback, [1.0, 2.0, 1.5, 9.0], "val_score", make(metrics=[metric]))
        assert len(history.epoch) == epochs


@pytest.mark.parametrize("values", [[3, 1, 2, 2, 2], [3, 1, 2]], ids=["stopped", "ran out"])
def test_restore_best_weights(values, capsys):
    model, seen = make(), []
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(weights(model)))
    callback = EarlyStopping(patience=3, restore_best_weights=True, verbose=1)
    model.fit(X, Y, epochs=len(values), callbacks=[Scripted("val_loss", values), note, callback], verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(weights(model), seen[1], strict=True))
    assert not np.array_equal(seen[1][0], seen[-1][0])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Restoring the weights of epoch 2"
    assert (lines[0] == "Epoch 5: early stopping") == (len(values) == 5)


def test_a_callback_can_be_used_again():
    callback = EarlyStopping(patience=1)
    assert len(run(callback, [2, 2, 2])[1].epoch) == 2
    assert len(run(callback, [9, 8, 7])[1].epoch) == 3


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau])
def test_a_monitor_that_is_not_there(kind):
    with pytest.warns(UserWarning, match=f"{kind.__name__}: monitor 'val_loss' is not available, there is: loss"):
        make().fit(X, Y, callbacks=[kind()], verbose=0)
    with pytest.raises(ValueError, match=f"{kind.__name__}: argument 'mode' is 'up', expected 'auto', 'min' or 'max'"):
        kind(mode="up")


# ---- ModelCheckpoint ----
def test_checkpoint_names(tmp_path, capsys):
    callback = ModelCheckpoint(tmp_path / "new" / "{epoch:02d}-{val_loss:.2f}.safetensors", verbose=1)
    model, _ = run(callback, [0.5, 0.25])
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["01-0.50.safetensors", "02-0.25.safetensors"]
    loaded = Model.load(tmp_path / "new" / "02-0.25.safetensors")
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert capsys.readouterr().out.splitlines()[1].startswith("Epoch 2: saved ")
    with pytest.raises(KeyError, match="argument 'filepath' has the field 'val_acc', there is: epoch, loss, val_loss"):
        run(ModelCheckpoint(tmp_path / "{val_acc}"), [1.0])


@pytest.mark.parametrize(
    ("options", "values", "best"),
    [
        ({}, [3, 1, 2], 1),
        ({"monitor": "val_accuracy"}, [0.3, 0.1, 0.2], 0),
        ({"mode": "max"}, [3, 1, 4], 2),
        ({"initial_value_threshold": 0.5}, [3, 1, 2], None),
    ],
)
def test_save_best_only(tmp_path, options, values, best):
    path = tmp_path / "best.safetensors"
    model, seen = make(), []
    callback = ModelCheckpoint(path, save_best_only=True, save_weights_only=True, **options)
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(weights(model)))
    model.fit(X, Y, epochs=3, callbacks=[Scripted(callback.monitor, values), note, callback], verbose=0)
    assert path.exists() == (best is not None)
    if best is not None:
        other = make()
        other.load_weights(path)
        assert all(np.array_equal(a, b) for a, b in zip(weights(other), seen[best], strict=True))


def test_save_every_so_many_batches(tmp_path):
    callback = ModelCheckpoint(tmp_path / "{epoch}-{batch}.safetensors", save_freq=3)
    make().fit(X, Y, batch_size=5, epochs=2, callbacks=[callback], verbose=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-3.safetensors", "2-2.safetensors"]
    with pytest.raises(ValueError, match="ModelCheckpoint: argument 'save_freq' is 0"):
        ModelCheckpoint("x", save_freq=0)


def test_batches_are_shown_to_a_checkpoint_that_counts_them(tmp_path):
    class Mine(ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            batches.append(batch)

    def watched(callback):
        callbacks = CallbackList(callback, make(), {})
        return callbacks.watch_batches, len(callbacks.methods("on_train_batch_end"))

    batches = []
    assert watched(ModelCheckpoint(tmp_path / "x")) == (False, 0)
    assert watched(ModelCheckpoint(tmp_path / "x", save_freq=2)) == (True, 1)
    assert watched(Mine(tmp_path / "x")) == (True, 1)
    make().fit(X, Y, batch_size=10, callbacks=[Mine(tmp_path / "x")], verbose=0)
    assert batches == [0, 1]


# ---- learning rates ----
@pytest.mark.parametrize("optimizer", ["adam", None], ids=["keras", "torch"])
@pytest.mark.parametrize("schedule", [lambda epoch, lr: 0.1 / (epoch + 1), lambda epoch: 0.1 / (epoch + 1)])
def test_learning_rate_scheduler(optimizer, schedule, capsys):
    model = make()
    model.compile(optimizer or optim.SGD(model.parameters(), lr=1.0), "mse")
    history = model.fit(X, Y, epochs=3, callbacks=[LearningRateScheduler(schedule, verbose=1)], verbose=0)
    assert history.history["learning_rate"] == [0.1, 0.05, 0.1 / 3]
    assert model.optimizer.param_groups[0]["lr"] == 0.1 / 3
    assert capsys.readouterr().out.splitlines()[1] == "Epoch 2: learning rate 0.05"


def test_a_schedule_may_use_the_rate_so_far():
    history = make().fit(
        X, Y, epochs=3, callbacks=[LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch else lr)], verbose=0
    )
    assert history.history["learning_rate"] == [0.01, 0.005, 0.0025]
    for bad in ([float("nan")], [-1.0]):
        with pytest.raises(ValueError, match="LearningRateScheduler: argument 'schedule' gave"):
            make().fit(X, Y, callbacks=[LearningRateScheduler(bad.__getitem__)], verbose=0)


def test_a_scheduler_of_torch_s_kind_as_a_callback():
    """It steps after every epoch."""
    model = make()
    optimizer = nncore.optim.SGD(model.parameters(), lr=0.1)
    model.compile(optimizer, "mse")
    scheduler = nncore.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    history = model.fit(X, Y, epochs=3, callbacks=[LearningRateScheduler(scheduler)], verbose=0)
    assert history.history["learning_rate"] == [0.1, 0.05, 0.025]


@pytest.mark.parametrize(
    ("options", "values", "rates"),
    [
        ({"patience": 1}, [1, 1, 1, 0.5, 0.5], [8, 8, 4, 2, 2]),
        ({"patience": 2}, [1, 1, 1, 1, 1], [8, 8, 8, 4, 4]),
        ({"patience": 1, "cooldown": 1}, [1, 1, 1, 1, 1], [8, 8, 4, 2, 1]),
        ({"patience": 1, "cooldown": 2}, [1, 1, 1, 1, 1], [8, 8, 4, 4, 2]),
        ({"patience": 1, "min_lr": 3.0}, [1, 1, 1, 1, 1], [8, 8, 4, 3, 3]),
        ({"patience": 1, "min_delta": 0.3}, [1, 0.8, 0.6, 0.2], [8, 8, 4, 4]),
        ({"patience": 1, "mode": "max"}, [1, 2, 1, 3], [8, 8, 8, 4]),
    ],
)
def test_reduce_lr_on_plateau(options, values, rates):
    model = make()
    model.compile(optim.SGD(model.parameters(), lr=8.0), nncore.keras.losses.MeanSquaredError())
    _, history = run(ReduceLROnPlateau(factor=0.5, **options), values, model=model)
    assert history.history["learning_rate"] == rates
    with pytest.raises(ValueError, match="ReduceLROnPlateau: argument 'factor' is 1"):
        ReduceLROnPlateau(factor=1.0)


# ---- CSVLogger ----
def rows(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_csv(tmp_path):
    path = tmp_path / "new" / "log.csv"
    seen = []
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(len(rows(path))))
    history = make(metrics=["mae"]).fit(
        X, Y, epochs=3, validation_split=0.2, callbacks=[CSVLogger(path), look], verbose=0
    )
    table = rows(path)
    assert table[0] == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert seen == [2, 3, 4]
    for name, column in zip(table[0][1:], list(zip(*table[1:], strict=True))[1:], strict=True):
        assert [float(value) for value in column] == history.history[name]
    assert [p.name for p in path.parent.iterdir()] == ["log.csv"]
    make().fit(X, Y, callbacks=[CSVLogger(path, separator=";")], verbose=0)
    assert rows(path, ";")[0] == ["epoch", "loss"]


def test_csv_append(tmp_path):
    path = tmp_path / "log.csv"
    for _ in range(2):
        make().fit(X, Y, epochs=2, callbacks=[CSVLogger(path, append=True)], verbose=0)
    assert [row[0] for row in rows(path)] == ["epoch", "0", "1", "0", "1"]


def test_csv_of_a_resumed_run_has_every_epoch_once(tmp_path):
    path = tmp_path / "log.csv"
    make().fit(X, Y, epochs=4, callbacks=[CSVLogger(path)], verbose=0)
    with open(path, "a") as file:
        file.write("4,0.1")  # cut off by a crash
    make().fit(X, Y, epochs=5, initial_epoch=3, callbacks=[CSVLogger(path, append=True)], verbose=0)
    assert [row[0] for row in rows(path)] == ["epoch", "0", "1", "2", "3", "4"]
    path.write_text("some,thing\n1,2\n")
    with pytest.raises(ValueError, match="does not begin with a column 'epoch'"):
        make().fit(X, Y, callbacks=[CSVLogger(path, append=True)], verbose=0)
    assert path.read_text() == "some,thing\n1,2\n"


# ---- TerminateOnNaN ----
def test_terminate_on_nan(capsys):
    x = X.copy()
    x[7] = np.nan
    history = make().fit(x, Y, batch_size=5, epochs=3, shuffle=False, callbacks=[TerminateOnNaN()], verbose=0)
    assert history.epoch == [0]
    assert capsys.readouterr().out == "Batch 1: the loss is nan, training stops\n"
