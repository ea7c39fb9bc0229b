"""Whole training steps with Adam, each by nncore in all its ways, by NumPy where it is written by hand, and by the peers.

`nncore` is `nncore.compile(step)` called by a user's loop, `fit` is `Model.fit`, `eager` the same lines of Python as torch
runs. All start from the same weights and go through the same batches in the same order; the losses of the first three steps
must agree before anything is timed. Every step has other data, and labels are random, so nothing is learnt soon, and no
gradient becomes so small that subnormal numbers slow anybody down.
"""

import math
import time
import warnings
from functools import partial
from itertools import cycle, pairwise

import numpy as np

import nncore
from benchmarks import peers
from benchmarks.baselines import NumpyCNN
from benchmarks.networks import char_lstm, dense, fresh, gpt, small_cnn
from benchmarks.work import Work
from nncore.bench import NumpyMLP, normal
from nncore.compiled import Captured

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8
POOL, POOL_BYTES = 512, 8 << 20  # batches that take turns, and their bytes: at most
ADAM_MOVES, ADAM_TOUCHES = 28.0, 16.0  # bytes per parameter


# ---- what all share ----
class Batches:
    """Batches of normal numbers, with labels below `classes`, or with normal numbers as targets of one output.

    Args:
        batch: samples of a batch.
        shape: of a sample, (features,) or (channels, height, width); images lie channels last in memory.
        classes: of the labels; 1 for targets.
    """

    def __init__(self, batch, shape, classes):
        self.batch, self.shape, self.classes = batch, shape, classes
        self.count = max(4, min(POOL, POOL_BYTES // (4 * batch * math.prod(shape))))
        samples = self.count * batch
        self.x = normal(samples, *shape[1:], shape[0]) if len(shape) == 3 else normal(samples, *shape)
        self.x = self.x.transpose(0, 3, 1, 2) if len(shape) == 3 else self.x
        labels = np.random.default_rng(1).integers(0, classes, samples)
        self.y = labels if classes > 1 else normal(samples, 1, seed=1)

    def turns(self, step, convert=lambda array: array, convert_x=None):
        """A function without arguments that does a step with the next batch."""
        rows = [slice(i * self.batch, (i + 1) * self.batch) for i in range(self.count)]
        batches = cycle([((convert_x or convert)(self.x[r]), convert(self.y[r])) for r in rows])
        return lambda: step(*next(batches))


class Text(Batches):
    """Batches of sequences of characters, numbers below `classes`, and of the characters that follow them."""

    def __init__(self, batch, steps, classes):
        self.batch, self.shape, self.classes = batch, (steps,), classes
        self.count = max(4, min(POOL, POOL_BYTES // (16 * batch * steps)))
        text = np.random.default_rng(1).integers(0, classes, (self.count * batch, steps + 1))
        self.x, self.y = text[:, :-1].copy(), text[:, 1:].copy()


def loss_of(library, model, classes):
    """Function (x, y): the loss, as a tensor of the library."""
    F = library.nn.functional
    loss = F.cross_entropy if classes > 1 else F.mse_loss
    return lambda x, y: loss(model(x), y if y.ndim == 1 or classes == 1 else y.flatten())


def step_of(library, model, classes, compiled=lambda loss: loss, **options):
    """Function (x, y): a training step, in the lines that nncore and torch share."""
    optimizer = library.optim.Adam(model.parameters(), lr=LR, **options)
    loss = compiled(loss_of(library, model, classes))

    def step(x, y):
        optimizer.zero_grad()
        value = loss(x, y)
        value.backward()
        optimizer.step()
        return value

    return step


# ---- nncore ----
class Fit:
    """Steps by Model.fit on samples in order: whole epochs over the pool."""

    def __init__(self, build, batches):
        self.model, self.batches = nncore.Model(fresh(build)), batches
        loss = nncore.nn.CrossEntropyLoss() if batches.classes > 1 else nncore.nn.MSELoss()
        self.model.compile(nncore.optim.Adam(self.model.parameters(), lr=LR), loss)
        self.one = batches.turns(self._loss)

    def _fit(self, x, y, **options):
        return self.model.fit(x, y, batch_size=self.batches.batch, shuffle=False, verbose=0, **options)

    def _loss(self, x, y):
        return np.float32(self._fit(x, y).history["loss"][0])

    def __call__(self):
        return self.one()

    def seconds(self, loops):
        """Seconds per step of at least so many, in epochs after the first, which captures, and the second, which meets new memory."""
        timer = Timer()
        steps = min(loops, self.batches.count)
        epochs = -(-loops // steps)
        samples = slice(steps * self.batches.batch)
        self._fit(self.batches.x[samples], self.batches.y[samples], epochs=2 + epochs, callbacks=[timer])
        return (timer.end - timer.start) / (epochs * steps)


class Timer(nncore.training.Callback):
    """When the second epoch ended, and the last."""

    def __init__(self):
        super().__init__()
        self.start = self.end = 0.0

    def on_epoch_end(self, epoch, logs=None):
        self.end = time.perf_counter()
        if epoch == 1:
            self.start = self.end


class Kernels:
    """The kernels that a step in eager mode calls, on end in C: a replay without any planning.

    Attributes:
        count: how many they are.
    """

    def __init__(self, step):
        self.step, self.captured, self.count = step, None, 0

    def __call__(self, x, y):
        if self.captured is None:
            self.captured = Captured(lambda: self.step(nncore.from_numpy(x), nncore.from_numpy(y)), (x, y), passes=())
            self.count = len(self.captured.program.records)
            return self.captured.result
        return self.captured.run((x, y))[0]


# ---- the peers ----
def torch_steps(build, batches, only=None):
    """{name: function}: eager in both layouts and with both optimizers, and compiled."""
    if not peers.has("torch"):
        return {}
    import torch

    weights = [torch.tensor(p.detach().numpy()) for p in fresh(build).parameters()]
    plain, last = torch.contiguous_format, torch.channels_last
    ways = {"torch": (plain, {"fused": True}), "torch foreach": (plain, {"foreach": True})}
    if len(batches.shape) == 3:
        ways["torch nhwc"] = (last, {"fused": True})
    if peers.why_not_compiled() is None:
        torch.compiler.reset()  # its cache belongs to lines of code, not to models, and is bounded
        compiled = {name.replace("torch", "torch.compile"): ways[name] for name in ways if name != "torch foreach"}
        ways |= {name: (layout, options | {"compiled": torch.compile}) for name, (layout, options) in compiled.items()}
    run = {}
    for name in only or ways:
        layout, options = ways[name]
        model = build(torch.nn)
        with torch.no_grad():
            for p, weight in zip(model.parameters(), weights):
                p.copy_(weight)
        step = step_of(torch, model.to(memory_format=layout), batches.classes, **options)
        as_images = partial(_torch_images, torch, layout) if len(batches.shape) == 3 else torch.from_numpy
        run[name] = batches.turns(step, torch.from_numpy, as_images)
    return run


def _torch_images(torch, layout, x):
    return torch.from_numpy(np.ascontiguousarray(x)).contiguous(memory_format=layout)


def jax_mlp(batches, weights):
    """A step of a ReLU network; its arrays are given to the next step."""
    import jax
    import jax.numpy as jnp

    def loss_of(params, x, y):
        for weight, bias in zip(params[:-2:2], params[1:-2:2]):
            x = jax.nn.relu(x @ weight + bias)
        x = x @ params[-2] + params[-1]
        if batches.classes == 1:
            return ((x - y) ** 2).mean()
        return -jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], 1).mean()

    @partial(jax.jit, donate_argnums=range(4))
    def update(params, first, second, n, x, y):
        loss, grads = jax.value_and_grad(loss_of)(params, x, y)
        n = n + 1
        first = [BETA1 * m + (1 - BETA1) * g for m, g in zip(first, grads)]
        second = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(second, grads)]
        scale1, scale2 = LR / (1 - BETA1**n), 1 / jnp.sqrt(1 - BETA2**n)
        params = [p - scale1 * m / (jnp.sqrt(v) * scale2 + EPS) for p, m, v in zip(params, first, second)]
        return params, first, second, n, loss

    zeros = [[jnp.zeros_like(w) for w in weights] for _ in range(2)]
    state = [[jnp.array(w) for w in weights], *zeros, jnp.float32(0)]

    def step(x, y):
        *state[:], loss = update(*state, x, y)
        return jax.block_until_ready(loss)

    return batches.turns(step, jnp.asarray)


def sklearn_mlp(batches, sizes, weights):
    from sklearn.neural_network import MLPClassifier

    options = {"learning_rate_init": LR, "beta_1": BETA1, "beta_2": BETA2, "epsilon": EPS}
    model = MLPClassifier(sizes[1:-1], alpha=0.0, batch_size=batches.batch, shuffle=False, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = slice(batches.batch)
        model.partial_fit(batches.x[rows], batches.y[rows], classes=np.arange(sizes[-1]))
    for ours, theirs in zip(weights, [p for pair in zip(model.coefs_, model.intercepts_) for p in pair]):
        theirs[...] = ours
    model._optimizer.t = 0
    for moments in (model._optimizer.ms, model._optimizer.vs):
        for moment in moments:
            moment[...] = 0

    def step(x, y):
        model.partial_fit(x, y)
        return np.float32(model.loss_)

    return batches.turns(step)


# ---- contests ----
def train(build, batches, operations, rtol=1e-3):
    """A step of a network; `operations`: of a sample, forward and backward without the gradient of the sample."""
    model, eager = fresh(build), fresh(build)
    run = {
        "nncore": batches.turns(nncore.compile(step_of(nncore, model, batches.classes)), nncore.from_numpy),
        "fit": Fit(build, batches),
        "eager": batches.turns(step_of(nncore, eager, batches.classes), nncore.from_numpy),
        **torch_steps(build, batches),
    }
    return _work(run, model, batches, operations, rtol)


def _work(run, model, batches, operations, rtol):
    parameters = sum(p.size if isinstance(p.size, int) else p.numel() for p in model.parameters())
    return Work(
        run,
        flops=float(batches.batch * operations),
        bytes=ADAM_MOVES * parameters,
        footprint=ADAM_TOUCHES * parameters,
        traffic="update",
        rtol=rtol,
    )


def _mlp_operations(sizes):
    return 2 * (3 * sum(n * m for n, m in pairwise(sizes)) - sizes[0] * sizes[1])


def mlp(batch, *sizes):
    """A ReLU network: softmax cross-entropy, or the mean squared error of one output."""
    build, batches = dense(*sizes), Batches(batch, sizes[:1], sizes[-1])
    contest = train(build, batches, _mlp_operations(sizes))
    weights = [p.detach().numpy() for p in fresh(build).parameters()]
    weights = [np.ascontiguousarray(w.T) for w in weights]  # (in, out), and biases
    if batches.classes > 1:
        contest.run["numpy"] = batches.turns(NumpyMLP(sizes, batch, weights).step)
        if peers.has("sklearn"):
            contest.run["sklearn"] = sklearn_mlp(batches, sizes, weights)
    if peers.has_jax():
        contest.run["jax"] = jax_mlp(batches, weights)
    return contest


def eager_mlp(batch, *sizes):
    """The same in eager mode, which stands for nncore here, beside its kernels alone."""
    build, batches = dense(*sizes), Batches(batch, sizes[:1], sizes[-1])
    model, alone = fresh(build), fresh(build)
    kernels = Kernels(step_of(nncore, alone, batches.classes))
    run = {
        "nncore": batches.turns(step_of(nncore, model, batches.classes), nncore.from_numpy),
        "kernels": batches.turns(kernels),
        **torch_steps(build, batches, ("torch", "torch foreach")),
    }
    contest = _work(run, model, batches, _mlp_operations(sizes), 1e-3)
    contest.calls = kernels
    return contest


def cnn(build, batch, channels, size, operations):
    """A convolutional network for ten classes."""
    return train(build, Batches(batch, (channels, size, size), 10), operations, rtol=2e-2)


def digits_cnn(batch, size, channels, filters, classes):
    """Two convolutions 3x3, each with ReLU and 2x2 pooling, and a linear layer; with a NumPy contender."""
    build, batches = small_cnn(size, channels, filters, classes), Batches(batch, (channels, size, size), classes)
    first, second = filters
    features = second * (size // 4) ** 2
    products = 9 * (2 * channels * first * size**2 + 3 * first * second * (size // 2) ** 2) + 3 * features * classes
    contest = train(build, batches, 2 * products, rtol=2e-3)
    conv1, bias1, conv2, bias2, linear, bias3 = (p.detach().numpy() for p in fresh(build).parameters())
    linear = linear.reshape(classes, second, size // 4, size // 4).transpose(2, 3, 1, 0).reshape(features, classes)
    weights = [conv1.transpose(2, 3, 1, 0), bias1, conv2.transpose(2, 3, 1, 0), bias2, linear, bias3]
    baseline = NumpyCNN(batch, size, channels, filters, classes, weights)
    contest.run["numpy"] = batches.turns(baseline.step, convert_x=lambda x: x.transpose(0, 2, 3, 1))
    return contest


def text_lstm(batch, steps, vocabulary, features, hidden):
    """A model of text: an embedding, an LSTM, a linear layer."""
    products = 4 * hidden * (features + hidden) + hidden * vocabulary
    return _text_model(char_lstm(vocabulary, features, hidden), Text(batch, steps, vocabulary), products)


def decoder(batch, length, width, heads, layers, vocabulary):
    """A decoder that predicts the next token."""
    products = layers * (12 * width + 2 * length) * width + width * vocabulary
    return _text_model(gpt(width, heads, layers, length, vocabulary), Text(batch, length, vocabulary), products)


def _text_model(build, batches, products):
    """`products`: multiplications for a token, forward."""
    vocabulary = batches.classes
    model, eager = fresh(build), fresh(build)
    run = {
        "nncore": batches.turns(nncore.compile(step_of(nncore, model, vocabulary)), nncore.from_numpy),
        "eager": batches.turns(step_of(nncore, eager, vocabulary), nncore.from_numpy),
        **torch_steps(build, batches),
    }
    return _work(run, model, batches, batches.shape[0] * 6 * products, 1e-3)
