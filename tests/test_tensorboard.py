"""The callback TensorBoard: what it writes, read back by the package itself."""

import copy
import itertools
import math
import pickle
import sys
import time
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

import nncore
from nncore import nn
from nncore.training import Callback, LearningRateScheduler, Model, TensorBoard
from nncore.training.callback import CallbackList

X = np.linspace(-1, 1, 40, dtype=np.float32).reshape(20, 2)
Y = X[:, :1] * X[:, 1:]
needs_tensorboard = pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")


def make(metrics=None, optimizer="sgd", **options):
    nncore.manual_seed(0)
    model = Model(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)))
    model.compile(optimizer, "mse", metrics=metrics, **options)
    return model


def fit(callback, model=None, **options):
    options = {"epochs": 3, "batch_size": 5, "verbose": 0, **options}
    return (model or make()).fit(X, Y, callbacks=[*options.pop("before", []), callback], **options)


def read(folder):
    """Tag -> [(step, value)] of a run; the value of a histogram is its buckets."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {
        tag: [(event.step, make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


def scalars(folder):
    return {tag: [(step, float(value)) for step, value in points] for tag, points in read(folder).items()}


class Logs(Callback):
    """Puts values into the logs of every epoch."""

    def __init__(self, **values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self.values)


class Fails(Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


# ---- epochs ----
@needs_tensorboard
def test_the_curves_are_those_of_the_history(tmp_path):
    model = make(metrics=["mae"])
    callback = TensorBoard(tmp_path / "new" / "logs")
    history = fit(callback, model, validation_split=0.2).history
    assert [p.name for p in sorted((tmp_path / "new" / "logs").iterdir())] == ["train", "validation"]
    train, validation = (scalars(tmp_path / "new" / "logs" / run) for run in ("train", "validation"))
    assert sorted(train) == ["epoch_learning_rate", "epoch_loss", "epoch_mae"]
    assert sorted(validation) == ["epoch_loss", "epoch_mae"]
    for name in ("loss", "mae"):
        assert train[f"epoch_{name}"] == [(i, np.float32(v)) for i, v in enumerate(history[name])]
        assert validation[f"epoch_{name}"] == [(i, np.float32(v)) for i, v in enumerate(history[f"val_{name}"])]
    assert train["epoch_learning_rate"] == [(i, np.float32(0.01)) for i in range(3)]
    assert TensorBoard is nncore.keras.callbacks.TensorBoard


@needs_tensorboard
def test_without_validation_there_is_one_run(tmp_path):
    fit(TensorBoard(str(tmp_path)))
    assert [p.name for p in tmp_path.iterdir()] == ["train"]


@needs_tensorboard
def test_the_learning_rate_is_the_one_of_the_epoch(tmp_path):
    schedule = LearningRateScheduler(lambda epoch: 2.0**-epoch)
    fit(TensorBoard(tmp_path), before=[schedule])
    assert scalars(tmp_path / "train")["epoch_learning_rate"] == [(0, 1.0), (1, 0.5), (2, 0.25)]
    model = make()
    model.compile(nncore.optim.SGD(model.parameters(), lr=1.0), "mse")
    steps = LearningRateScheduler(nncore.optim.lr_scheduler.StepLR(model.optimizer, 1, 0.5))
    fit(TensorBoard(tmp_path / "steps"), model, before=[steps])
    assert scalars(tmp_path / "steps" / "train")["epoch_learning_rate"] == [(0, 1.0), (1, 0.5), (2, 0.25)]


@needs_tensorboard
def test_values_of_all_kinds(tmp_path):
    values = {"nan": math.nan, "inf": np.float64(1e300), "count": 3, "both": [0.5, 0.25], "one": np.ones(1), "val_v": 1}
    fit(TensorBoard(tmp_path), before=[Logs(**values)], epochs=1)
    train = scalars(tmp_path / "train")
    assert math.isnan(train["epoch_nan"][0][1])
    assert train["epoch_inf"] == [(0, math.inf)]
    assert train["epoch_count"] == [(0, 3.0)]
    assert (train["epoch_both/0"], train["epoch_both/1"]) == ([(0, 0.5)], [(0, 0.25)])
    assert train["epoch_one/0"] == [(0, 1.0)]
    assert scalars(tmp_path / "validation") == {"epoch_v": [(0, 1.0)]}
    with pytest.raises(TypeError, match="TensorBoard: 'note' among the logs is 'good', expected a number"):
        fit(TensorBoard(tmp_path), before=[Logs(note="good")])


# ---- batches ----
@needs_tensorboard
@pytest.mark.parametrize(("update_freq", "steps"), [("batch", range(1, 9)), (3, [3, 6])])
def test_batches(tmp_path, update_freq, steps):
    seen = []
    look = nncore.training.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    fit(TensorBoard(tmp_path, update_freq=update_freq), before=[look], epochs=2)
    train = scalars(tmp_path / "train")
    assert train["batch_loss"] == [(step, np.float32(seen[step - 1])) for step in steps]
    assert [step for step, _ in train["epoch_loss"]] == [0, 1]


@needs_tensorboard
def test_batches_are_watched_only_if_they_are_asked_for(tmp_path):
    def watched(callback):
        callbacks = CallbackList(callback, make(), {})
        return callbacks.watch_batches, len(callbacks.methods("on_train_batch_end"))

    assert watched(TensorBoard(tmp_path, histogram_freq=1, write_steps_per_second=True)) == (False, 0)
    assert watched(TensorBoard(tmp_path, update_freq=10)) == (True, 1)


@needs_tensorboard
def test_training_gives_the_same_bits(tmp_path):
    def weights(*callbacks):
        model = make()
        model.fit(X, Y, epochs=3, batch_size=5, verbose=0, callbacks=callbacks)
        return np.concatenate([tensor.array.ravel() for tensor in model.state_dict().values()])

    plain = weights()
    for update_freq in ("epoch", "batch"):
        assert np.array_equal(weights(TensorBoard(tmp_path, 1, update_freq=update_freq)), plain)


@needs_tensorboard
@pytest.mark.parametrize("update_freq", ["epoch", 2])
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_steps_per_second(tmp_path, monkeypatch, update_freq, run_eagerly):
    seconds = itertools.count()
    clock = SimpleNamespace(time=time.time, perf_counter=lambda: float(next(seconds)))
    monkeypatch.setattr("nncore.training.tensorboard.time", clock)
    model = make(run_eagerly=run_eagerly)
    callback = TensorBoard(tmp_path, write_steps_per_second=True, update_freq=update_freq)
    fit(callback, model, validation_split=0.2, batch_size=4)
    train = scalars(tmp_path / "train")
    each = [4.0] * 3 if update_freq == "epoch" else [np.float32(4 / 3)] * 3
    assert [value for _, value in train["epoch_steps_per_second"]] == each
    if update_freq == 2:
        assert train["batch_steps_per_second"] == [(step, 2.0) for step in (2, 4, 6, 8, 10, 12)]
    else:
        assert "batch_steps_per_second" not in train
    assert "epoch_steps_per_second" not in scalars(tmp_path / "validation")


@needs_tensorboard
def test_steps_of_an_epoch_that_ends_early(tmp_path):
    x = X.copy()
    x[7] = np.nan
    model = make()
    before = [nncore.training.TerminateOnNaN()]
    model.fit(x, Y, batch_size=5, shuffle=False, verbose=0, callbacks=[*before, TensorBoard(tmp_path)])
    assert model._step("train").batches == 2
    assert math.isnan(scalars(tmp_path / "train")["epoch_loss"][0][1])


# ---- histograms ----
@needs_tensorboard
def test_histograms(tmp_path):
    model = make()
    fit(TensorBoard(tmp_path, histogram_freq=2), model)
    train = read(tmp_path / "train")
    names = [name for name, _ in model.named_parameters()]
    assert sorted(tag for tag in train if tag.endswith("/histogram")) == [f"{name}/histogram" for name in sorted(names)]
    for name, parameter in model.named_parameters():
        assert [step for step, _ in train[f"{name}/histogram"]] == [0, 2]
        buckets = train[f"{name}/histogram"][-1][1]  # left edge, right edge, count
        assert buckets[:, 2].sum() == parameter.array.size
        assert buckets[0, 0] == parameter.array.min()
        assert buckets[-1, 1] == parameter.array.max()


@needs_tensorboard
def test_histograms_of_what_is_not_finite(tmp_path):
    model = make()
    model.module[0].bias.array[1:] = np.nan, np.inf, -np.inf
    model.module[2].bias.array[0] = np.nan
    callback = TensorBoard(tmp_path, histogram_freq=1)
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_end(0, {})
    callback.on_train_end()
    train = read(tmp_path / "train")
    assert train["0.bias/histogram"][0][1][:, 2].sum() == 1
    assert not train["2.bias/histogram"][0][1].any()


# ---- several fits, and ends of all kinds ----
@needs_tensorboard
def test_a_run_that_goes_on(tmp_path):
    model, callback = make(), TensorBoard(tmp_path, update_freq=2)
    fit(callback, model, epochs=2)
    fit(callback, model, epochs=3, initial_epoch=2)
    fit(TensorBoard(tmp_path, update_freq=2), model, epochs=4, initial_epoch=3)
    train = scalars(tmp_path / "train")
    assert [step for step, _ in train["epoch_loss"]] == [0, 1, 2, 3]
    assert [step for step, _ in train["batch_loss"]] == [2, 4, 6, 8, 10, 12, 14, 16]
    fit(callback, model, epochs=1)
    assert [step for step, _ in scalars(tmp_path / "train")["batch_loss"]][8:] == [2, 4]
    assert len(list((tmp_path / "train").iterdir())) == 4


@needs_tensorboard
def test_batches_of_a_stream_without_a_length_are_counted_on(tmp_path):
    class Three:
        def __iter__(self):
            return iter([(X[:5], Y[:5])] * 3)

    model, callback = make(), TensorBoard(tmp_path / "a", update_freq=1)
    model.fit(Three(), epochs=1, callbacks=[callback], verbose=0)
    model.fit(Three(), epochs=2, initial_epoch=1, callbacks=[callback], verbose=0)
    assert [step for step, _ in scalars(tmp_path / "a" / "train")["batch_loss"]] == [1, 2, 3, 4, 5, 6]

    again = TensorBoard(tmp_path / "b", update_freq=1)
    again.set_params({"initial_epoch": 1, "steps": None})
    again.on_train_begin()
    again.load_state_dict(callback.state_dict())
    again.on_train_batch_end(0, {"loss": 1.0})
    again.on_train_end()
    assert scalars(tmp_path / "b" / "train")["batch_loss"] == [(7, 1.0)]
    assert TensorBoard(tmp_path).state_dict() == {}


@needs_tensorboard
def test_everything_is_there_after_an_exception(tmp_path):
    model, callback = make(), TensorBoard(tmp_path, update_freq=1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=5, epochs=3, verbose=0, callbacks=[callback, Fails()])
    train = scalars(tmp_path / "train")
    assert [step for step, _ in train["epoch_loss"]] == [0, 1]
    assert len(train["batch_loss"]) == 8
    (writer,) = [writer for writer, _ in callback._writers.values()]
    fit(callback, model, initial_epoch=model.epoch)
    assert [step for step, _ in scalars(tmp_path / "train")["epoch_loss"]] == [0, 1, 2]
    with pytest.raises(OSError, match="closed"):
        writer.flush()


@needs_tensorboard
def test_a_callback_that_nobody_has_any_more_is_closed(tmp_path):
    callback = TensorBoard(tmp_path)
    callback.on_train_begin()
    writer = callback._writer("train")
    del callback
    with pytest.raises(OSError, match="closed"):
        writer.flush()


@needs_tensorboard
def test_it_can_be_copied(tmp_path):
    for callback in (copy.deepcopy(TensorBoard(tmp_path)), pickle.loads(pickle.dumps(TensorBoard(tmp_path)))):
        fit(callback, epochs=1)
    assert scalars(tmp_path / "train")["epoch_loss"][0] == scalars(tmp_path / "train")["epoch_loss"][1]


# ---- arguments ----
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"write_graph": True},
            "argument 'write_graph' is True, expected False: only scalars and histograms are written",
        ),
        ({"write_images": True}, "argument 'write_images' is True, expected False"),
        ({"profile_batch": (10, 20)}, r"argument 'profile_batch' is \(10, 20\), expected 0"),
        ({"embeddings_freq": 1}, "argument 'embeddings_freq' is 1, expected 0"),
        ({"histogram_freq": -1}, "argument 'histogram_freq' is -1, expected an int >= 0"),
        ({"histogram_freq": 0.5}, "argument 'histogram_freq' is 0.5, expected an int >= 0"),
        ({"update_freq": 0}, "argument 'update_freq' is 0, expected 'epoch', 'batch' or an int >= 1"),
        ({"update_freq": True}, "argument 'update_freq' is True"),
        ({"update_freq": "step"}, "argument 'update_freq' is 'step'"),
    ],
)
def test_arguments_that_cannot_be_honoured(options, message):
    with pytest.raises(ValueError, match=f"TensorBoard: {message}"):
        TensorBoard("logs", **options)


@needs_tensorboard
def test_arguments_that_ask_for_nothing(tmp_path):
    callback = TensorBoard(tmp_path, 0, False, False, False, "epoch", 0, 0, None)
    assert callback.log_dir == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(ImportError, match=r"TensorBoard: .* is not installed; pip install 'nncore\[tensorboard\]'"):
        TensorBoard("logs")
