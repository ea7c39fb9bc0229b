"""Model: fit is the loop one would write by hand, the data are checked, and a run can be stopped and resumed."""

import contextlib
import io
import os
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import nncore
from nncore import nn, optim
from nncore.data import DataLoader, TensorDataset
from nncore.nn import functional as F
from nncore.training import Callback, EarlyStopping, History, LambdaCallback, Model, ReduceLROnPlateau
from nncore.training.progress import verbosity

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype(np.float32)
Y = np.stack([X[:, 0] + X[:, 1] ** 2, np.tanh(X[:, 2])], axis=1)
LABELS = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)


def mlp(outputs=2, seed=0):
    nncore.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs))


def compiled(module=None, optimizer="adam", loss="mse", **options):
    model = Model(mlp() if module is None else module)
    model.compile(optimizer, loss, **options)
    return model


def weights(model):
    return {name: tensor.array.copy() for name, tensor in model.state_dict().items()}


def same_bits(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# ---- what fit does ----
def test_fit_is_the_loop_one_would_write():
    module = mlp()
    model = Model(module)
    model.compile(optim.SGD(module.parameters(), lr=0.1, momentum=0.9), nn.MSELoss())
    history = model.fit(X, Y, batch_size=16, epochs=3, shuffle=False, verbose=0)

    other = mlp()
    optimizer = optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    expected = []
    for _ in range(3):
        total = 0.0
        for start in range(0, 50, 16):
            x, y = nncore.from_numpy(X[start : start + 16]), nncore.from_numpy(Y[start : start + 16].astype(np.float32))
            optimizer.zero_grad()
            loss = F.mse_loss(other(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        expected.append(total / 50)
    assert history.history["loss"] == pytest.approx(expected, rel=1e-12)
    assert same_bits(weights(model), weights(other))


def test_history():
    history = compiled(metrics=["mae"]).fit(X, Y, epochs=3, validation_split=0.2, verbose=0)
    assert isinstance(history, History)
    assert history.epoch == [0, 1, 2]
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert all(len(values) == 3 for values in history.history.values())
    assert history.params == {"epochs": 3, "initial_epoch": 0, "steps": 2, "verbose": 0}
    assert "3 epochs" in repr(history)


def test_the_loss_falls():
    losses = compiled(optimizer=nncore.keras.optimizers.Adam(0.01)).fit(X, Y, epochs=50, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def dropout_net():
    return nn.Sequential(mlp(8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_seeded_run_gives_the_same_bits_on_any_number_of_threads(threads):
    def run():
        model = compiled(dropout_net())
        return model.fit(X, Y, epochs=3, batch_size=8, verbose=0).history, weights(model)

    before = nncore.get_num_threads()
    expected = run()
    nncore.set_num_threads(threads)
    try:
        result = run()
    finally:
        nncore.set_num_threads(before)
    assert result[0] == expected[0]
    assert same_bits(result[1], expected[1])


class Recorder(nn.Module):
    """Notes the first feature of every sample that passes."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)
        self.seen = []

    def forward(self, x):
        self.seen.append(x.array[:, 0].copy())
        return self.linear(x)


def test_every_sample_once_per_epoch_in_a_new_order():
    recorder = Recorder()
    numbers = np.arange(20, dtype=np.float32).reshape(20, 1)
    nncore.manual_seed(1)
    compiled(recorder, run_eagerly=True).fit(numbers, numbers, batch_size=8, epochs=2, verbose=0)
    assert [len(batch) for batch in recorder.seen] == [8, 8, 4] * 2
    first, second = np.concatenate(recorder.seen[:3]), np.concatenate(recorder.seen[3:])
    assert sorted(first) == sorted(second) == list(range(20))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, numbers[:, 0])


def test_labels_stay_with_their_samples():
    recorder = Recorder()
    pairs = []

    def loss(y_true, y_pred):
        pairs.append((recorder.seen[-1], y_true.array[:, 0].copy()))
        return (y_true - y_pred) ** 2

    numbers = np.arange(20, dtype=np.float32).reshape(20, 1)
    compiled(recorder, loss=loss).fit(numbers, numbers * 10, batch_size=8, verbose=0)
    for x, y in pairs:
        np.testing.assert_array_equal(y, x * 10)


def batches(size=16):
    return [(X[i : i + size], Y[i : i + size]) for i in range(0, len(X), size)]


def forever():
    while True:
        yield from batches()


@pytest.mark.parametrize(
    ("x", "y", "options"),
    [
        (X, Y, {}),
        (X.astype(np.float64), Y.astype(np.float32), {}),
        (nncore.from_numpy(X), nncore.from_numpy(Y), {}),
        (X.tolist(), Y.tolist(), {}),
        (np.asfortranarray(X), Y[:, ::-1][:, ::-1], {}),
        (batches(), None, {}),
        (DataLoader(TensorDataset(nncore.from_numpy(X), nncore.from_numpy(Y)), batch_size=16), None, {}),
        (forever(), None, {"steps_per_epoch": 4}),
    ],
    ids=["ndarray", "float64", "Tensor", "list", "strided", "list of batches", "DataLoader", "generator"],
)
def test_forms_of_data(x, y, options):
    expected = compiled().fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    assert compiled().fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0, **options).history == expected


def test_a_generator_for_one_epoch():
    model = compiled()
    model.fit(iter(batches()), verbose=0)
    with pytest.raises(ValueError, match="argument 'x' is an iterator"):
        model.fit(iter(batches()), epochs=2, verbose=0)
    with pytest.raises(ValueError, match="gave no batch"):
        model.fit(iter(batches()), epochs=3, steps_per_epoch=4, verbose=0)


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 2), nn.Linear(2, 2)

    def forward(self, first, second):
        return self.a(first) + self.b(second)


def test_several_inputs():
    nncore.manual_seed(0)
    model = compiled(Sum())
    model.fit((X, Y), Y, epochs=2, verbose=0)
    assert model.predict((X, Y)).shape == (50, 2)
    loss = model.evaluate([((X, Y), Y)])
    assert loss == pytest.approx(model.evaluate((X, Y), Y, batch_size="full"))
    with pytest.raises(ValueError, match=r"fit: argument 'x' has 49 samples, expected 50 as in 'x'"):
        model.fit((X, Y[:49]), Y)


def test_validation_split_takes_the_end():
    model = compiled()
    logs = model.fit(X, Y, epochs=1, validation_split=0.3, verbose=0).history
    assert logs["val_loss"][0] == model.evaluate(X[35:], Y[35:])
    trained = compiled()
    with_data = trained.fit(X[:35], Y[:35], epochs=1, validation_data=(X[35:], Y[35:]), verbose=0).history
    assert with_data == logs
    assert same_bits(weights(trained), weights(model))


def test_validation_data_as_batches_and_with_weights():
    model = compiled()
    model.fit(X, Y, validation_data=batches(), verbose=0)
    assert model.history.history["val_loss"][0] == pytest.approx(model.evaluate(X, Y), rel=1e-6)
    model.fit(X, Y, validation_data=(X, Y, np.zeros(50)), verbose=0)
    assert model.history.history["val_loss"] == [0.0]
    history = model.fit(X, Y, epochs=5, validation_data=(X, Y), validation_freq=2, verbose=0).history
    assert len(history["loss"]) == 5
    assert len(history["val_loss"]) == 2


def test_class_weight_is_a_sample_weight():
    table = {0: 1.0, 1: 0.0, 2: 3.0}
    per_sample = np.array([table[label] for label in LABELS])
    one_hot = np.eye(3)[LABELS]
    for y, loss in ((LABELS, nn.CrossEntropyLoss()), (LABELS[:, None], nn.CrossEntropyLoss()), (one_hot, nn.MSELoss())):
        by_class, by_sample = compiled(mlp(3), loss=loss), compiled(mlp(3), loss=loss)
        a = by_class.fit(X, y, epochs=2, class_weight=table, shuffle=False, verbose=0).history
        b = by_sample.fit(X, y, epochs=2, sample_weight=per_sample, shuffle=False, verbose=0).history
        assert a == b
        assert same_bits(weights(by_class), weights(by_sample))
    in_batches = compiled(mlp(3), loss=nn.CrossEntropyLoss())
    stream = [(X[i : i + 32], LABELS[i : i + 32]) for i in (0, 32)]
    losses = in_batches.fit(stream, class_weight=table, verbose=0).history["loss"]
    again = compiled(mlp(3), loss=nn.CrossEntropyLoss()).fit(X, LABELS, class_weight=table, shuffle=False, verbose=0)
    assert losses == again.history["loss"]


def test_a_weight_of_zero_takes_a_sample_out_of_the_gradient():
    weight = np.r_[np.ones(25), np.zeros(25)]
    model = compiled(optimizer=nncore.keras.optimizers.SGD(0.1))
    model.fit(X, Y, batch_size="full", sample_weight=weight * 2, shuffle=False, verbose=0)
    half = compiled(optimizer=nncore.keras.optimizers.SGD(0.1))
    half.fit(X[:25], Y[:25], batch_size="full", shuffle=False, verbose=0)
    for name, value in weights(half).items():
        np.testing.assert_allclose(weights(model)[name], value, rtol=1e-5, atol=1e-7)


def test_weighted_metrics():
    weight = np.arange(50.0)
    model = compiled(metrics=["mae"], weighted_metrics=[nncore.keras.metrics.MeanAbsoluteError(name="weighted")])
    logs = model.evaluate(X, Y, sample_weight=weight, return_dict=True)
    errors = np.abs(model.predict(X) - Y).mean(axis=1)
    assert logs["mae"] == pytest.approx(errors.mean())
    assert logs["weighted"] == pytest.approx(np.average(errors, weights=weight))
    assert logs["loss"] == pytest.approx((np.square(model.predict(X) - Y).mean(axis=1) * weight).mean(), rel=1e-5)


def test_epochs_and_steps():
    model = compiled()
    assert model.fit(X, Y, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]
    assert model.epoch == 5
    assert model.fit(X, Y, epochs=0, verbose=0).history == {}
    recorder = Recorder()
    numbers = np.arange(20, dtype=np.float32).reshape(20, 1)
    compiled(recorder, run_eagerly=True).fit(numbers, numbers, batch_size=4, steps_per_epoch=2, epochs=2, verbose=0)
    assert [len(batch) for batch in recorder.seen] == [4] * 4


def test_float64():
    model = compiled(mlp().double())
    model.fit(X, Y, epochs=2, verbose=0)
    assert model.predict(X).dtype == np.float64


def test_frozen_parameters_stay():
    module = mlp()
    module[0].requires_grad_(False)
    model = compiled(module)
    before = weights(model)
    model.fit(X, Y, verbose=0)
    after = weights(model)
    assert np.array_equal(before["0.weight"], after["0.weight"])
    assert not np.array_equal(before["2.weight"], after["2.weight"])
    module.requires_grad_(False)
    with pytest.raises(ValueError, match="fit: the model has no parameters that can be trained"):
        model.fit(X, Y, verbose=0)


# ---- evaluate, predict, on_batch ----
def test_predict_does_not_depend_on_the_batch_size():
    model = compiled()
    whole = model.predict(X, batch_size="full")
    for size in (1, 7, 32):
        assert np.array_equal(model.predict(X, batch_size=size), whole)
    assert np.array_equal(model.predict(batches()), whole)
    assert np.array_equal(model.predict_on_batch(X), whole)
    assert model.predict(X[:0]).shape == (0, 2)


def test_threads_predict_at_once():
    model = compiled(dropout_net())
    model.eval()
    expected = model.predict(X)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda size: model.predict(X, batch_size=size), [1, 3, 7, 50] * 20))
    assert all(np.array_equal(result, expected) for result in results)


def test_evaluate_returns_what_keras_returns():
    assert isinstance(compiled().evaluate(X, Y), float)
    model = compiled(metrics=["mae", "mse"])
    values = model.evaluate(X, Y)
    assert len(values) == 3
    assert model.evaluate(X, Y, return_dict=True) == dict(zip(["loss", "mae", "mse"], values, strict=True))
    assert values[0] == pytest.approx(values[2], rel=1e-5)


def test_on_batch():
    model = compiled(metrics=["mae"])
    before = model.test_on_batch(X, Y)
    assert model.train_on_batch(X, Y) == before
    assert model.test_on_batch(X, Y)[0] < before[0]
    assert list(model.train_on_batch(X, Y, return_dict=True)) == ["loss", "mae"]
    with pytest.raises(ValueError, match="train_on_batch: argument 'x' has 0 samples"):
        model.train_on_batch(X[:0], Y[:0])


def test_each_module_keeps_its_mode():
    module = nn.Sequential(mlp(), nn.Dropout(0.5))
    module[1].eval()
    seen = []

    def look(module, args, output):
        seen.append((model.training, module.training))

    model = compiled(module)
    module[1].register_forward_hook(look)
    model.fit(X, Y, batch_size="full", validation_data=(X, Y), verbose=0)
    assert seen == [(True, True), (False, False)]
    assert module.training
    assert not module[1].training
    model.eval()
    model.fit(X, Y, verbose=0)
    assert not any(m.training for m in (model, *model.modules()))


# ---- losses of PyTorch's kind ----
@pytest.mark.parametrize("y", [LABELS, LABELS[:, None], LABELS.astype(np.float64), LABELS.astype(np.uint8)])
def test_cross_entropy_takes_labels_of_any_number_type(y):
    model = compiled(mlp(3), loss=nn.CrossEntropyLoss(), metrics=["accuracy"])
    loss, accuracy = model.evaluate(X, y)
    logits = nncore.from_numpy(model.predict(X))
    assert loss == pytest.approx(F.cross_entropy(logits, nncore.from_numpy(LABELS)).item(), rel=1e-6)
    assert accuracy == (logits.numpy().argmax(axis=1) == LABELS).mean()


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss(), nn.BCEWithLogitsLoss(), "mse", "mae"])
def test_one_column_is_not_broadcast_against_a_row(loss):
    y = (LABELS > 1).astype(np.int64)
    model = compiled(mlp(1), loss=loss)
    assert model.evaluate(X, y) == model.evaluate(X, y[:, None].astype(np.float32))
    with pytest.raises(ValueError, match=r"argument 'y_true' has shape \(32, 3\), expected \(32, 1\)"):
        model.evaluate(X, np.zeros((50, 3)))


def test_loss_functions_in_both_orders():
    def keras_order(y_true, y_pred):
        return ((y_pred - 2 * y_true) ** 2).mean(dim=-1)

    def torch_order(input, target):
        return ((input - 2 * target) ** 2).mean()

    a = compiled(loss=keras_order).evaluate(X, Y, batch_size="full")
    assert a == pytest.approx(compiled(loss=torch_order).evaluate(X, Y, batch_size="full"), rel=1e-6)
    assert compiled(loss=F.mse_loss).evaluate(X, Y) == compiled().evaluate(X, Y)


def test_sample_weights_with_a_loss_module():
    weight = RNG.uniform(size=50)
    model = compiled(mlp(3), loss=nn.CrossEntropyLoss())
    logits = nncore.from_numpy(model.predict(X))
    each = F.cross_entropy(logits, nncore.from_numpy(LABELS), reduction="none").numpy()
    assert model.evaluate(X, LABELS, sample_weight=weight) == pytest.approx((each * weight).mean(), rel=1e-5)


# ---- mistakes ----
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": Y[:40]}, "fit: argument 'y' has 40 samples, expected 50 as in 'x'"),
        ({"sample_weight": np.ones(49)}, "fit: argument 'sample_weight' has 49 samples, expected 50 as in 'x'"),
        ({"sample_weight": np.full(50, np.nan)}, "fit: argument 'sample_weight' has a negative or non-finite number"),
        ({"sample_weight": np.ones((50, 2))}, "fit: argument 'sample_weight' has 2 numbers per sample, expected 1"),
        ({"validation_split": 1.0}, r"fit: argument 'validation_split' is 1.0, expected a number in \[0, 1\)"),
        ({"validation_split": -0.1}, "fit: argument 'validation_split' is -0.1"),
        ({"validation_split": 0.001}, "which leaves 49 of 50 samples|which leaves 50 of 50 samples"),
        ({"validation_split": 0.99}, "fit: argument 'validation_split' is 0.99, which leaves 0 of 50 samples"),
        ({"x": X[:0], "y": Y[:0]}, "fit: argument 'x' has 0 samples, expected at least 1"),
        ({"x": None}, "fit: argument 'x' is None"),
        ({"x": np.float32(1.0)}, "fit: argument 'x' is a single number"),
        ({"x": [[1.0, 2.0], [3.0]]}, "fit: argument 'x' is not an array"),
        ({"x": np.array(["a"] * 50)}, "fit: argument 'x' has dtype <U1, expected numbers"),
        ({"x": np.zeros(50, object)}, "fit: argument 'x' has dtype object, expected numbers"),
        ({"y": None}, "fit: argument 'y' is missing"),
        ({"class_weight": {0: 1.0, 1: float("nan")}}, "fit: argument 'class_weight' has nan for class 1"),
        ({"class_weight": {0: -1.0}}, "fit: argument 'class_weight' has -1.0 for class 0"),
        ({"class_weight": {"cat": 1.0}}, "fit: argument 'class_weight' has the class 'cat'"),
        ({"batch_size": 0}, "fit: argument 'batch_size' is 0, expected an int >= 1"),
        ({"batch_size": 1.5}, "fit: argument 'batch_size' is 1.5, expected an int >= 1"),
        ({"epochs": -1}, "fit: argument 'epochs' is -1, expected an int >= 0"),
        ({"steps_per_epoch": 0}, "fit: argument 'steps' is 0, expected an int >= 1"),
        ({"verbose": 7}, "fit: argument 'verbose' is 7"),
        ({"validation_data": (X, Y[:3])}, "validation_data: argument 'y' has 3 samples, expected 50 as in 'x'"),
        ({"validation_data": (X[:0], Y[:0])}, "validation_data: argument 'x' has 0 samples"),
        ({"x": batches()}, "fit: argument 'y' was given, expected None: the batches of 'x' hold it"),
        ({"x": batches(), "y": None, "validation_split": 0.1}, "fit: argument 'validation_split' needs arrays"),
        ({"x": [(X, Y[:3])], "y": None}, "fit: argument 'y' has 3 samples, expected 50 as in 'x'"),
        ({"x": [(X, Y, None, None)], "y": None}, "fit: argument 'x' gave a batch of 4 parts"),
    ],
)
def test_mistakes_are_named_and_change_nothing(arguments, message):
    model = compiled()
    before = weights(model)
    if message.startswith("which"):
        model.fit(X, Y, verbose=0, **arguments)
        return
    with pytest.raises(ValueError, match=message):
        model.fit(**{"x": X, "y": Y, "verbose": 0, **arguments})
    assert same_bits(weights(model), before)


def test_mistakes_of_type():
    with pytest.raises(TypeError, match="fit: argument 'x' is int, expected arrays or an iterable"):
        compiled().fit(3, Y)
    with pytest.raises(TypeError, match="fit: argument 'callbacks' has a str, expected Callback objects"):
        compiled().fit(X, Y, callbacks=["early"])
    with pytest.raises(TypeError, match="Model: argument 'module' is int, expected a Module"):
        Model(3)


def test_compile_names_what_it_does_not_know():
    model = Model(mlp())
    for call in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(RuntimeError, match="the model has no loss and optimizer yet; call compile first"):
            call(X, Y)
    with pytest.raises(ValueError, match="compile: argument 'optimizer' is 'adan', expected one of sgd, rmsprop"):
        model.compile("adan", "mse")
    with pytest.raises(ValueError, match="compile: argument 'loss' is 'msee', expected one of"):
        model.compile("adam", "msee")
    with pytest.raises(ValueError, match="compile: argument 'metrics' has 'acuracy', expected one of"):
        model.compile("adam", "mse", metrics=["acuracy"])
    with pytest.raises(ValueError, match="has the name 'mae' twice"):
        model.compile("adam", "mse", metrics=["mae", "mae"])
    with pytest.raises(TypeError, match="compile: argument 'optimizer' is int"):
        model.compile(3, "mse")
    with pytest.raises(TypeError, match="compile: argument 'loss' is int"):
        model.compile("adam", 3)
    with pytest.raises(RuntimeError, match="compiled without argument 'loss'"):
        compiled(loss=None).fit(X, Y, verbose=0)


def test_an_optimizer_belongs_to_one_model():
    optimizer = nncore.keras.optimizers.Adam()
    compiled(optimizer=optimizer)
    with pytest.raises(RuntimeError, match="the optimizer holds other parameters than the model"):
        compiled(optimizer=optimizer)


# ---- nothing half done ----
class FailsAt(nn.Module):
    """Raises at the n-th call in training."""

    def __init__(self, n):
        super().__init__()
        self.left = n

    def forward(self, x):
        if self.training:
            self.left -= 1
            if self.left == 0:
                raise OSError("disk full")
        return x


def test_an_exception_leaves_the_model_as_after_the_last_whole_step():
    states = []
    note = LambdaCallback(
        on_train_batch_end=lambda batch, logs: states.append((weights(model), nncore.get_rng_state()))
    )
    model = compiled(nn.Sequential(dropout_net(), FailsAt(3)))
    with pytest.raises(OSError, match="disk full"):
        model.fit(X, Y, batch_size=8, callbacks=[note], verbose=0)
    assert len(states) == 2
    assert same_bits(weights(model), states[-1][0])
    assert nncore.get_rng_state() == states[-1][1]
    assert model.epoch == 0
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2


def test_a_bad_label_changes_nothing():
    model = compiled(nn.Sequential(dropout_net(), nn.Linear(2, 3)), loss=nn.CrossEntropyLoss())
    before, generator = weights(model), nncore.get_rng_state()
    with pytest.raises((ValueError, IndexError)):
        model.fit(X, LABELS + 5, batch_size="full", shuffle=False, verbose=0)
    assert same_bits(weights(model), before)
    assert nncore.get_rng_state() == generator


@pytest.mark.parametrize(
    "hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_test_end", "on_epoch_end"]
)
def test_an_exception_in_a_callback_leaves_the_model_trainable(hook):
    def fail(*args):
        raise LookupError("callback")

    model = compiled()
    with pytest.raises(LookupError, match="callback"):
        model.fit(X, Y, validation_split=0.2, callbacks=LambdaCallback(**{hook: fail}), verbose=0)
    assert model.training
    model.fit(X, Y, epochs=2, verbose=0)
    assert model.epoch == 2


# ---- stop and resume ----
class Save(Callback):
    def __init__(self, path, at):
        super().__init__()
        self.path, self.at = path, at

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.at:
            self.model.save_checkpoint(self.path)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop", "adamw", optim.SGD, optim.Adam])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_resumed_run_gives_the_same_bits(tmp_path, optimizer, threads):
    path = tmp_path / "run.safetensors"

    def make():
        module = dropout_net()
        return compiled(module, optimizer if isinstance(optimizer, str) else optimizer(module.parameters(), lr=0.01))

    def fit(model, *callbacks, **options):
        plateau = ReduceLROnPlateau("loss", patience=1, factor=0.5, min_delta=10.0)
        stop = EarlyStopping("val_loss", patience=100, restore_best_weights=True)
        options = {"epochs": 6, "batch_size": 8, "validation_split": 0.2, "verbose": 0, **options}
        return model.fit(X, Y, callbacks=[plateau, stop, *callbacks], **options).history

    whole = make()
    expected = fit(whole, Save(path, 3))
    resumed = make()
    nncore.manual_seed(99)
    resumed.load_checkpoint(path)
    assert resumed.epoch == 3
    before = nncore.get_num_threads()
    nncore.set_num_threads(threads)
    try:
        rest = fit(resumed, initial_epoch=resumed.epoch)
    finally:
        nncore.set_num_threads(before)
    assert rest == {name: values[3:] for name, values in expected.items()}
    assert same_bits(weights(resumed), weights(whole))
    assert expected["learning_rate"][-1] < expected["learning_rate"][0]


def test_a_resumed_run_with_a_shuffled_loader_gives_the_same_bits(tmp_path):
    path = tmp_path / "run.safetensors"
    loader = DataLoader(TensorDataset(nncore.from_numpy(X), nncore.from_numpy(Y)), batch_size=8, shuffle=True)
    whole, resumed = compiled(dropout_net()), compiled(dropout_net())
    expected = whole.fit(loader, epochs=4, callbacks=[Save(path, 2)], verbose=0).history["loss"]
    resumed.load_checkpoint(path)
    assert resumed.fit(loader, epochs=4, initial_epoch=2, verbose=0).history["loss"] == expected[2:]
    assert same_bits(weights(resumed), weights(whole))


# ---- wrapping, subclassing, files ----
def test_a_wrapping_model_is_transparent():
    module = mlp()
    model = Model(module)
    assert list(model.state_dict()) == list(module.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [name for name, _ in model.named_parameters()] == list(module.state_dict())
    assert [name for name, _ in model.named_modules()] == ["", "0", "1", "2"]
    model.load_state_dict(mlp(seed=3).state_dict())
    assert same_bits(weights(module), weights(mlp(seed=3)))
    model.eval()
    assert not module[0].training
    inside = nn.Sequential(model, nn.Linear(2, 1))
    assert list(inside.state_dict())[:2] == ["0.0.weight", "0.0.bias"]
    assert [name for name, _ in inside.named_parameters()] == list(inside.state_dict())


class Net(Model):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(4, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        return self.out(self.hidden(x).relu())


def test_a_subclass(tmp_path):
    nncore.manual_seed(0)
    net = Net()
    net.compile("adam", nn.MSELoss(), metrics=["mae"])
    losses = net.fit(X, Y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    net.save_weights(tmp_path / "net.safetensors")
    other = Net()
    other.load_weights(tmp_path / "net.safetensors")
    assert np.array_equal(other.predict(X), net.predict(X))
    with pytest.raises(NotImplementedError, match="forward"):
        Model()(nncore.zeros(1))


def test_save_and_load(tmp_path):
    path = tmp_path / "model.safetensors"
    model = compiled()
    model.fit(X, Y, verbose=0)
    model.save(path)
    loaded = Model.load(path)
    assert np.array_equal(loaded.predict(X), model.predict(X))
    loaded.compile("sgd", "mse")
    loaded.fit(X, Y, verbose=0)


# ---- what a person sees ----
def test_quiet_without_a_terminal(capfd):
    compiled().fit(X, Y, epochs=2, verbose="auto")
    compiled().evaluate(X, Y)
    compiled().predict(X)
    assert capfd.readouterr() == ("", "")


def test_lines(capsys):
    compiled().fit(X, Y, epochs=2, validation_split=0.2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.match(r"Epoch 1/2 \d+\.\ds loss=[\d.]+ val_loss=[\d.]+$", lines[0])
    assert verbosity(1) == 2  # no terminal here
    compiled().evaluate(X, Y, verbose=2)
    compiled().predict(X, verbose=2)
    assert re.match(r"Evaluate \d+\.\ds loss=[\d.]+\n$", capsys.readouterr().out)


def _read_all(reader):
    """What was written to the closed other end of a pty, which gives it out piece by piece."""
    text = b""
    with os.fdopen(reader, "rb", buffering=0) as file, contextlib.suppress(OSError):  # EIO is the end
        while piece := file.read(100_000):
            text += piece
    return text.decode()


def test_bar_on_a_terminal():
    pty = pytest.importorskip("pty")
    reader, writer = pty.openpty()
    terminal = os.fdopen(writer, "w")
    before = nncore.training.progress.sys.stderr
    try:
        nncore.training.progress.sys.stderr = terminal
        assert verbosity("auto") == 1
        compiled(metrics=["mae"]).fit(X, Y, epochs=2, validation_split=0.2)
    finally:
        nncore.training.progress.sys.stderr = before
        terminal.close()
        text = _read_all(reader)
    shown = [line.split("\r")[-1] for line in text.replace("\r\n", "\n").split("\n")]
    assert [line[:9] for line in shown] == ["Epoch 1/2", "Epoch 2/2", ""]
    assert [word.split("=")[0] for word in shown[1].split()[3:]] == ["loss", "mae", "val_loss", "val_mae"]
    assert "Epoch 1/2 0/2 |                |" in text


def test_summary():
    lines = []
    model = Model(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)))
    model.summary(input_shape=(4,), print_fn=lines.append)
    assert max(map(len, lines)) == 80
    assert "\n".join(line.rstrip() for line in lines[3:]) == "\n".join(
        [
            "-" * 80,
            "0 (Linear)                                (None, 8)                           40",
            "1 (BatchNorm1d)                           (None, 8)                           32",
            "2 (ReLU)                                  (None, 8)                            0",
            "3 (Linear)                                (None, 2)                           18",
            "-" * 80,
            "Parameters: 90 (360 B), trainable: 74, not trainable: 16",
        ]
    )
    assert model.training
    output = io.StringIO()
    model.summary(print_fn=lambda line: print(line, file=output))
    assert "?" in output.getvalue()


def test_summary_of_a_module_with_parameters_of_its_own():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(nncore.ones(3))
            self.inner = nn.Linear(4, 3)

        def forward(self, x):
            return self.inner(x) * self.scale

    lines = []
    Model(Scaled()).summary(input_shape=(4,), print_fn=lines.append)
    assert any(line.startswith("inner (Linear)") and line.endswith("15") for line in lines)
    assert any(line.startswith("scale (Parameter)") and line.endswith("3") for line in lines)
    assert lines[-1].startswith("Parameters: 18 ")
