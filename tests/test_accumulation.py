"""Gradient accumulation, running means of the weights: against their definitions, and the same bits in replay."""

import numpy as np
import pytest

import nncore
import nncore.nn.functional as F
from nncore import nn, optim
from nncore.keras import optimizers


def data(n=20):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return x, x @ np.float32([[1.0], [-2.0], [0.5]])


def fitted(make, eager=False, **options):
    """The weights after a fit, and the model."""
    nncore.manual_seed(0)
    model = nncore.Model(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)))
    optimizer = make(model)
    model.compile(optimizer, "mse", run_eagerly=eager, **options.pop("compile", {}))
    model.fit(*data(), **{"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0, **options})
    assert eager or model.replay.reason is None
    return [p.array.tobytes() for p in model.parameters()], model


# ---- gradient accumulation ----
@pytest.mark.parametrize("eager", [True, False])
def test_accumulated_batches_are_one_large_batch(eager):
    """Five batches of 4, two to a step: steps of 8, 8 and 4 samples."""
    accumulated, model = fitted(lambda m: optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2), eager)
    large, _ = fitted(lambda m: optimizers.SGD(0.1, momentum=0.9), eager, batch_size=8)
    assert model.optimizer.iterations == 9
    for a, b in zip(accumulated, large, strict=True):
        np.testing.assert_allclose(np.frombuffer(a, np.float32), np.frombuffer(b, np.float32), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [2, 3, 5, 7])
def test_accumulation_has_the_bits_of_eager(steps):
    runs = [
        fitted(make, eager, compile={"gradient_accumulation_steps": steps})[0]
        for eager in (True, False)
        for make in (lambda m: optimizers.Adam(0.01), lambda m: optim.Adam(m.parameters(), lr=0.01, eps=1e-7))
    ]
    assert runs[0] == runs[2]
    assert runs[1] == runs[3]


def test_accumulation_over_batches_of_a_loader():
    """Their number is not known before; the last are a step of their own all the same."""
    x, y = data()
    batches = [(x[i : i + 4], y[i : i + 4]) for i in range(0, 20, 4)]
    weights = []
    for loader in (False, True):
        nncore.manual_seed(0)
        model = nncore.Model(nn.Linear(3, 1))
        model.compile(optimizers.SGD(0.1), "mse", gradient_accumulation_steps=2)
        if loader:
            model.fit(batches, epochs=2, verbose=0)
        else:
            model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        weights.append([p.array.tobytes() for p in model.parameters()])
    assert weights[0] == weights[1]


def test_accumulation_captures_each_phase_once(monkeypatch):
    from nncore.training import replay

    made = []
    init = replay._Program.__init__
    monkeypatch.setattr(replay._Program, "__init__", lambda self, *a: (made.append(a), init(self, *a))[1])
    fitted(lambda m: optimizers.SGD(0.1), epochs=10, compile={"gradient_accumulation_steps": 5})
    assert len(made) == 3  # the first, the next, the last of a step


def test_accumulation_of_train_on_batch():
    x, y = data(4)
    model = nncore.Model(nn.Linear(3, 1))
    model.compile(optimizers.SGD(0.1), "mse", gradient_accumulation_steps=3)
    seen = []
    for _ in range(6):
        model.train_on_batch(x, y)
        seen.append(model.module.weight.array.tobytes())
    assert seen[0] == seen[1] != seen[2] == seen[3] == seen[4] != seen[5]


# ---- running means ----
def test_the_mean_is_that_of_its_formula():
    """The first is the first weights; average = m average + (1 - m) p; the end of fit puts it into the model."""
    path, average = [], None

    class Look(nncore.training.Callback):
        def on_train_batch_end(self, batch, logs=None):
            path.append(self.model.module[0].weight.array.copy())

    _, model = fitted(lambda m: optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8), callbacks=[Look()])
    for weights in path:
        average = weights if average is None else 0.8 * average + 0.2 * weights
    np.testing.assert_allclose(model.module[0].weight.array, average, rtol=1e-5)
    assert not np.allclose(path[-1], average, rtol=1e-3)


@pytest.mark.parametrize("options", [{}, {"ema_overwrite_frequency": 4}, {"gradient_accumulation_steps": 2}])
@pytest.mark.parametrize("make", [optimizers.Adam, optimizers.SGD])
def test_means_have_the_bits_of_eager(make, options):
    runs = [
        fitted(lambda m: make(0.05, use_ema=True, ema_momentum=0.9, **options), eager)[0] for eager in (True, False)
    ]
    assert runs[0] == runs[1]


def test_overwriting_sets_the_weights_to_their_mean():
    seen = []

    class Look(nncore.training.Callback):
        def on_train_batch_end(self, batch, logs=None):
            weight = self.model.module[0].weight
            seen.append(np.array_equal(weight.array, self.model.optimizer.state[weight]["ema"].array))

    options = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3}
    fitted(lambda m: optimizers.SGD(0.1, **options), callbacks=[Look()], epochs=1)
    assert seen == [True, False, True, False, False]  # the first mean is the weights


def test_swap_ema_weights():
    """Validation sees the means, training goes on with the weights."""
    x, y = data()
    seen = []

    class Look(nncore.training.Callback):
        def on_test_begin(self, logs=None):
            seen.append(self.model.module[0].weight.array.copy())

        def on_epoch_end(self, epoch, logs=None):
            weight = self.model.module[0].weight
            seen.append(weight.array.copy())
            seen.append(self.model.optimizer.state[weight]["ema"].array.copy())

    swap = nncore.keras.callbacks.SwapEMAWeights()
    swapped, _ = fitted(lambda m: optimizers.SGD(0.1, use_ema=True), callbacks=[swap, Look()], validation_data=(x, y))
    plain, _ = fitted(lambda m: optimizers.SGD(0.1, use_ema=True), validation_data=(x, y))
    assert swapped == plain
    for tested, weights, means in zip(seen[0::3], seen[1::3], seen[2::3], strict=True):
        assert np.array_equal(tested, means)
        assert not np.array_equal(tested, weights)
    with pytest.raises(ValueError, match="SwapEMAWeights: the optimizer keeps no running means"):
        fitted(lambda m: optimizers.SGD(0.1), callbacks=[nncore.keras.callbacks.SwapEMAWeights()])


def test_a_resumed_run_has_its_means(tmp_path):
    def make():
        nncore.manual_seed(0)
        model = nncore.Model(nn.Linear(3, 1))
        model.compile(optimizers.Adam(0.1, use_ema=True, ema_overwrite_frequency=4), "mse")
        return model

    class Save(nncore.training.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.save_checkpoint(tmp_path / "run.safetensors")

    x, y = data()
    whole = make()
    whole.fit(x, y, batch_size=4, epochs=4, verbose=0, callbacks=[Save()])
    resumed = make()
    resumed.load_checkpoint(tmp_path / "run.safetensors")
    resumed.fit(x, y, batch_size=4, epochs=4, initial_epoch=2, verbose=0)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert a.array.tobytes() == b.array.tobytes()


# ---- decay that follows the rate ----
def test_decoupled_decay_follows_the_learning_rate_in_a_compiled_step():
    results = []
    for compiled in (False, True):
        nncore.manual_seed(0)
        net = nn.Linear(3, 1)
        optimizer = optimizers.SGD(0.1, weight_decay=0.5)
        optimizer.bind(list(net.parameters()))

        def step(x, y, net=net, optimizer=optimizer):
            optimizer.zero_grad()
            F.mse_loss(net(x), y).backward()
            optimizer.step()

        step = nncore.compile(step) if compiled else step
        x, y = map(nncore.tensor, data())
        for i in range(6):
            optimizer.learning_rate = 0.1 / (i + 1)
            step(x, y)
        results.append([p.array.tobytes() for p in net.parameters()])
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: optimizers.SGD(momentun=0.9), TypeError, "SGD: got an unexpected argument 'momentun'"),
        (lambda: optimizers.Adam(gradient_accumulation_steps=0), ValueError, "'gradient_accumulation_steps' is 0"),
        (lambda: optimizers.Adam(ema_momentum=2), ValueError, "Adam: argument 'ema_momentum' is 2"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=1), ValueError, "at most one of the arguments 'clipnorm'"),
        (
            lambda: nncore.Model(nn.Linear(1, 1)).compile("sgd", "mse", gradient_accumulation_steps=1.5),
            ValueError,
            "compile: argument 'gradient_accumulation_steps' is 1.5",
        ),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()


# ---- a second model ----
@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("decay", [None, 0.7])
def test_averaged_model_of_torch(decay, use_buffers):
    torch = pytest.importorskip("torch")
    from torch.optim import swa_utils

    rng = np.random.default_rng(0)
    results = []
    weights, features = rng.normal(size=(5, 3, 4)).astype(np.float32), rng.normal(size=(5, 8, 4)).astype(np.float32)
    for library, utils in ((torch, swa_utils), (nncore, optim.swa_utils)):
        net = library.nn.Sequential(library.nn.BatchNorm1d(4), library.nn.Linear(4, 3, bias=False))
        averaged = utils.AveragedModel(
            net, avg_fn=None if decay is None else utils.get_ema_avg_fn(decay), use_buffers=use_buffers
        )
        for weight, x in zip(weights, features, strict=True):
            with library.no_grad():
                net[1].weight.copy_(library.tensor(weight))
            net(library.tensor(x))
            averaged.update_parameters(net)
        averaged.eval()
        assert averaged.n_averaged.item() == 5
        results.append((averaged(library.tensor(features[0])).detach().numpy(), list(averaged.state_dict())))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-4, atol=1e-5)
    assert results[1][1] == results[0][1]


def test_averaged_model_refuses():
    with pytest.raises(ValueError, match="Invalid decay value 2 provided"):
        optim.swa_utils.get_ema_avg_fn(2)
    with pytest.raises(RuntimeError, match="device 'cuda' is not available"):
        optim.swa_utils.AveragedModel(nn.Linear(1, 1), device="cuda")


# ---- all of it together ----
TOGETHER = [
    (lambda: optimizers.Adam(optimizers.schedules.CosineDecay(0.01, 20), clipnorm=1.0), 1),
    (lambda: optimizers.SGD(0.05, 0.9, weight_decay=0.01, use_ema=True, ema_overwrite_frequency=4), 1),
    (lambda: optimizers.Nadam(0.01, global_clipnorm=1.0), 3),
    (lambda: optimizers.Lion(0.001, weight_decay=0.1), 1),
    (lambda: optimizers.Adagrad(0.05, clipvalue=0.1), 2),
]


@pytest.mark.parametrize(("make", "steps"), TOGETHER)
def test_the_bits_of_one_thread_in_eager(make, steps):
    """Layers large enough for a team, with constraints and proximal steps: eager and replay on 1, 2 and 5 threads."""
    layers, regularizers = nncore.keras.layers, nncore.keras.regularizers
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 30)).astype(np.float32), rng.normal(size=(100, 3)).astype(np.float32)

    def run(threads, eager):
        nncore.set_num_threads(threads)
        nncore.manual_seed(0)
        sparse = {"kernel_regularizer": regularizers.L1(0.01, proximal=True), "kernel_constraint": "max_norm"}
        model = nncore.keras.models.Sequential(
            [
                layers.Input((30,)),
                layers.Dense(300, activation="relu", **sparse),
                layers.Dense(300, activation="tanh", kernel_constraint="unit_norm"),
                layers.Dense(3),
            ]
        )
        model.compile(make(), "mse", run_eagerly=eager, gradient_accumulation_steps=steps)
        model.fit(x, y, batch_size=32, epochs=3, verbose=0)
        assert eager or model.replay.reason is None
        return [weights.tobytes() for weights in model.get_weights()]

    before = nncore.get_num_threads()
    try:
        expected = run(1, eager=True)
        for threads, eager in ((1, False), (2, False), (5, True), (5, False)):
            assert run(threads, eager) == expected
    finally:
        nncore.set_num_threads(before)
