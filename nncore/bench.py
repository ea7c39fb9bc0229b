"""Here and now: nncore against NumPy on this machine, in a minute. `python -m nncore bench`.

The one timer of the project lives here (`measure`), and the NumPy baselines of the short form. The long form, with every
op and with torch, jax, onnxruntime and scikit-learn, is the folder benchmarks/ of the repository.
"""

import argparse
import gc
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise, repeat

import numpy as np

import nncore
from nncore import kernels
from nncore._core import kernels as door
from nncore.nn import functional as F

__all__ = [
    "SHORT",
    "Contest",
    "KernelCall",
    "NumpyAdam",
    "NumpyMLP",
    "Timing",
    "latencies",
    "main",
    "measure",
    "sample",
    "verify",
]


# ---- the timer ----
@dataclass(frozen=True)
class Timing:
    """Seconds per call: the median of the samples, and the quartiles as their spread."""

    median: float
    low: float
    high: float
    samples: int


class KernelCall(partial):
    """A kernel and its arguments, as with functools.partial; `measure` times it in C, without its way through Python.

    Example:
        >>> import numpy as np
        >>> from nncore import kernels
            >>> from nncore.bench import KernelCall, measure
        >>> relu = KernelCall(kernels.relu_forward, np.ones(8, np.float32))
        >>> times = measure({"kernel": relu, "call": lambda: relu()}, samples=3, sample_time=1e-4)
        >>> times["kernel"].low < times["call"].low
        True
    """

    def seconds(self, loops):
        """Seconds per run, `loops` runs on end."""
        return self.func.seconds(*self.args, repeat=loops, **self.keywords)


SETTLE = 0.1  # seconds: longer than anybody's threads spin after a call


def measure(contenders, samples=9, sample_time=0.004, settle=0.0, budget=math.inf):
    """Time contenders side by side: they take turns, so that a drifting clock or a busy neighbour meets all of them. A turn
    begins with a call that is not timed.

    Args:
        contenders: dict of name -> function without arguments.
        samples: how many turns each takes. Default: 9.
        sample_time: seconds a turn should last; short functions are called in a loop. Default: 4 ms.
        settle: seconds to wait before a turn, for the spinning threads of the one before to go to sleep, and then to run
            untimed for 20 ms, for a processor that slept to be there again (a virtual one takes its time). Default: 0.
        budget: seconds for all turns; where they are slow, they are fewer, but three. Default: no limit.

    Returns:
        dict of name -> Timing.

    Example:
        >>> from nncore.bench import measure
        >>> measure({"pass": lambda: None}, samples=3, sample_time=1e-4)["pass"].median < 1e-3
        True
    """
    loops, all_once = {}, 0.0
    for name, run in contenders.items():
        run()
        once = min(sample(run, 1) for _ in range(2))
        loops[name] = max(1, math.ceil(sample_time / max(once, 1e-7)))
        all_once += once + max(once, sample_time)
    samples = max(min(samples, 3), int(min(samples, budget / all_once)))
    names, times = list(contenders), {name: [] for name in contenders}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for turn in range(samples):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                if settle:
                    time.sleep(settle)
                    start = time.perf_counter()
                    while time.perf_counter() - start < 0.02:
                        contenders[name]()
                else:
                    contenders[name]()  # the caches are full of what the others read
                times[name].append(sample(contenders[name], loops[name]))
    finally:
        if collecting:
            gc.enable()
    quartiles = {name: np.percentile(seconds, (50, 25, 75)) for name, seconds in times.items()}
    return {name: Timing(*(float(q) for q in quartiles[name]), samples) for name in names}


def sample(run, loops):
    """Seconds per call, `loops` calls on end; a contender that has a method `seconds` measures itself.

    Example:
        >>> from nncore.bench import sample
        >>> 0 < sample(lambda: None, 100) < 1e-3
        True
    """
    if hasattr(run, "seconds"):
        return run.seconds(loops)
    start = time.perf_counter()
    for _ in repeat(None, loops):
        run()
    return (time.perf_counter() - start) / loops


def latencies(contenders, turns=10, calls=500):
    """How long single calls take, again side by side. The look at the clock, some 50 ns, is in it.

    Args:
        contenders: dict of name -> function without arguments.
        turns: how many each takes. Default: 10.
        calls: in each turn. Default: 500.

    Returns:
        dict of name -> (p50, p99) in seconds.

    Example:
        >>> from nncore.bench import latencies
        >>> p50, p99 = latencies({"pass": lambda: None}, turns=2)["pass"]
        >>> 0 < p50 <= p99
        True
    """
    clock, seconds = time.perf_counter, {name: [] for name in contenders}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(turns):
            for name, run in contenders.items():
                for _ in range(20):
                    run()
                times = seconds[name]
                for _ in repeat(None, calls):
                    start = clock()
                    run()
                    times.append(clock() - start)
    finally:
        if collecting:
            gc.enable()
    return {name: tuple(float(p) for p in np.percentile(times, (50, 99))) for name, times in seconds.items()}


# ---- a contest ----
@dataclass
class Contest:
    """The same work, done by each contender on data of its own: name -> function, which returns the result.

    `flops` and `bytes` are what the work needs at least. Results are compared before anything is timed, unless
    `compare` is False (random numbers: there is nothing to agree on).
    """

    run: dict[str, Callable]
    flops: float = 0.0
    bytes: float = 0.0
    compare: bool = True
    rtol: float = 1e-4
    atol: float = 1e-5
    weights: list = field(default_factory=list)  # what all start from, for contenders that join later


def verify(contest, reference="numpy", calls=3):
    """Raise AssertionError if a contender's results differ from the reference's. Three calls, for those that keep state."""
    if not contest.compare:
        return
    expected = [_flat(contest.run[reference]()) for _ in range(calls)]
    for name, run in contest.run.items():
        for want in expected if name != reference else ():
            np.testing.assert_allclose(
                _flat(run()), want, contest.rtol, contest.atol, err_msg=f"{name} and {reference} differ"
            )


def _flat(result):
    """A copy of all results in one array, for the next call may write into the same memory."""
    results = result if isinstance(result, (tuple, list)) else (result,)
    arrays = [getattr(r.detach() if hasattr(r, "detach") else r, "array", r) for r in results]
    return np.concatenate(
        [np.asarray(a.detach() if hasattr(a, "detach") else a).ravel() for a in arrays], dtype=np.float64
    )


# ---- NumPy baselines: float32, out= everywhere, nothing allocated twice ----
class NumpyAdam:
    """Adam on one flat array, of which all parameters are views: one pass over everything.

    Args:
        shapes: of the parameters; `params` and `grads` are lists of arrays of these shapes.
        lr, beta1, beta2, eps: as in Kingma & Ba.
    """

    def __init__(self, shapes, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        total = sum(math.prod(shape) for shape in shapes)
        self.flat, self.grad, self.m, self.v, self.t = np.zeros((5, total), np.float32)
        ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        self.params = [part.reshape(shape) for part, shape in zip(np.split(self.flat, ends), shapes)]
        self.grads = [part.reshape(shape) for part, shape in zip(np.split(self.grad, ends), shapes)]
        self.lr, self.beta1, self.beta2, self.eps, self.steps = lr, beta1, beta2, eps, 0

    def step(self):
        """p -= lr / (1 - beta1^n) m / (sqrt(v / (1 - beta2^n)) + eps)."""
        self.steps += 1
        m, v, t = self.m, self.v, self.t
        m *= self.beta1
        m += np.multiply(self.grad, 1 - self.beta1, out=t)
        v *= self.beta2
        np.multiply(self.grad, self.grad, out=t)
        v += np.multiply(t, 1 - self.beta2, out=t)
        np.sqrt(v, out=t)
        t *= 1 / math.sqrt(1 - self.beta2**self.steps)
        t += self.eps
        np.divide(m, t, out=t)
        self.flat -= np.multiply(t, self.lr / (1 - self.beta1**self.steps), out=t)


class NumpyMLP:
    """A training step of a ReLU network with softmax cross-entropy and Adam, by hand.

    Args:
        sizes: (inputs, hidden, ..., classes).
        batch: examples per step.
        weights: initial weights and biases in order, weights of shape (in, out).
    """

    def __init__(self, sizes, batch, weights):
        self.layers = len(sizes) - 1
        self.adam = NumpyAdam([w.shape for w in weights])
        for p, w in zip(self.adam.params, weights):
            p[...] = w
        self.outputs = [np.empty((batch, n), np.float32) for n in sizes[1:]]
        self.deltas = [np.empty_like(h) for h in self.outputs]
        self.masks = [np.empty(h.shape, bool) for h in self.outputs]
        self.rows = np.arange(batch)

    def step(self, x, target):
        """One step; returns the loss before it."""
        params, grads = self.adam.params, self.adam.grads
        inputs = [x, *self.outputs]
        for i, h in enumerate(self.outputs):
            np.matmul(inputs[i], params[2 * i], out=h)
            h += params[2 * i + 1]
            if i < self.layers - 1:
                np.maximum(h, 0, out=h)
        loss = softmax_cross_entropy(self.outputs[-1], target, self.rows, self.deltas[-1])
        for i in reversed(range(self.layers)):
            np.matmul(inputs[i].T, self.deltas[i], out=grads[2 * i])
            np.sum(self.deltas[i], axis=0, out=grads[2 * i + 1])
            if i > 0:
                np.matmul(self.deltas[i], params[2 * i].T, out=self.deltas[i - 1])
                self.deltas[i - 1] *= np.greater(inputs[i], 0, out=self.masks[i - 1])
        self.adam.step()
        return loss


def softmax_cross_entropy(logits, target, rows, dlogits):
    """Mean loss over the batch; its gradient goes into dlogits."""
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=dlogits)
    true_logits = dlogits[rows, target]
    np.exp(dlogits, out=dlogits)
    total = dlogits.sum(axis=1, keepdims=True)
    loss = np.log(total[:, 0]).mean() - true_logits.mean()
    dlogits /= total
    dlogits[rows, target] -= 1
    dlogits *= 1 / len(rows)
    return loss


def softmax_numpy(x, out, column):
    """exp(x - max) / sum, per row, without a new array."""
    np.max(x, axis=-1, keepdims=True, out=column)
    np.subtract(x, column, out=out)
    np.exp(out, out=out)
    np.sum(out, axis=-1, keepdims=True, out=column)
    return np.divide(out, column, out=out)


def sigmoid_numpy(x, out):
    """1 / (1 + exp(-x)) without a new array."""
    np.negative(x, out=out)
    np.exp(out, out=out)
    out += 1
    return np.divide(1, out, out=out)


def layer_norm_numpy(x, weight, bias, out, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, per row."""
    np.subtract(x, x.mean(axis=-1, keepdims=True), out=out)
    rstd = 1 / np.sqrt(np.einsum("...i,...i->...", out, out)[..., None] / np.float32(x.shape[-1]) + np.float32(eps))
    out *= rstd
    out *= weight
    out += bias
    return out


def empty(*shape, dtype=np.float32):
    """An array that begins with a cache line, as those do that nncore, torch and jax make. NumPy's do not, and are slower."""
    return door.empty(shape, dtype, lasting=True)


def empty_like(array):
    """np.empty_like, in memory as empty() has it."""
    return door.empty_like(array, lasting=True)


def normal(*shape, seed=0, dtype=np.float32):
    """Standard normal numbers, in memory as empty() has it."""
    return np.random.default_rng(seed).standard_normal(out=empty(*shape, dtype=dtype), dtype=dtype)


# ---- contests of the short form ----
def linear_arrays(batch, inputs, outputs):
    """x, weight (in, out) and bias."""
    weight = normal(inputs, outputs, seed=1)
    weight /= np.float32(math.sqrt(inputs))
    return normal(batch, inputs), weight, normal(outputs, seed=2)


def linear(batch, inputs, outputs):
    """y = x weight^T + bias."""
    x, weight, bias = linear_arrays(batch, inputs, outputs)
    y, z = empty(2, batch, outputs)

    def by_numpy():
        np.matmul(x, weight, out=z)
        return np.add(z, bias, out=z)

    return Contest(
        {"numpy": by_numpy, "nncore": lambda: kernels.linear_forward(x, weight.T, bias, 0, out=y)},
        flops=2.0 * batch * inputs * outputs,
        atol=1e-3,
    )


def relu(*shape):
    """max(x, 0)."""
    x, y, z = normal(*shape), empty(*shape), empty(*shape)
    return Contest(
        {"numpy": lambda: np.maximum(x, 0, out=z), "nncore": lambda: kernels.relu_forward(x, out=y)}, bytes=8.0 * x.size
    )


def sigmoid(*shape):
    """1 / (1 + exp(-x))."""
    x, y, z = normal(*shape), empty(*shape), empty(*shape)
    return Contest(
        {"numpy": lambda: sigmoid_numpy(x, z), "nncore": lambda: kernels.sigmoid_forward(x, out=y)}, bytes=8.0 * x.size
    )


def tanh(*shape):
    """tanh(x)."""
    x, y, z = normal(*shape), empty(*shape), empty(*shape)
    return Contest(
        {"numpy": lambda: np.tanh(x, out=z), "nncore": lambda: kernels.tanh_forward(x, out=y)}, bytes=8.0 * x.size
    )


def softmax(rows, cols):
    """exp(x - max) / sum, per row."""
    x, column = normal(rows, cols), empty(rows, 1)
    y, z = empty(2, rows, cols)
    return Contest(
        {"numpy": lambda: softmax_numpy(x, z, column), "nncore": lambda: kernels.softmax_forward(x, out=y)},
        bytes=8.0 * x.size,
    )


def layer_norm(rows, cols):
    """(x - mean) / sqrt(var + eps) * weight + bias, per row."""
    x, weight, bias = normal(rows, cols), normal(cols, seed=1), normal(cols, seed=2)
    y, z = empty(2, rows, cols)
    mean, rstd = empty(2, rows)
    return Contest(
        {
            "numpy": lambda: layer_norm_numpy(x, weight, bias, z),
            "nncore": lambda: kernels.layer_norm_forward(x, weight, bias, 1e-5, out=(y, mean, rstd))[0],
        },
        bytes=8.0 * x.size,
    )


def adam(*shapes):
    """One step of Adam over parameters of these shapes."""
    baseline = NumpyAdam(shapes)
    for grad, shape in zip(baseline.grads, shapes):
        grad[...] = normal(*shape)
    params, first, second = ([np.zeros(shape, np.float32) for shape in shapes] for _ in range(3))
    grads = [grad.copy() for grad in baseline.grads]
    steps = 0

    def by_numpy():
        baseline.step()
        return baseline.params

    def by_nncore():
        nonlocal steps
        steps += 1
        kernels.adam_step(params, first, second, None, grads, 1e-3, 0.9, 0.999, 1e-8, 0.0, 0, 0, 0, steps)
        return params

    return Contest({"numpy": by_numpy, "nncore": by_nncore}, bytes=28.0 * baseline.flat.size)


def train_mlp(batch, *sizes):
    """A training step of a ReLU network: forward, cross-entropy, backward, Adam."""
    nn = nncore.nn
    layers = [nn.Linear(n, m) for n, m in pairwise(sizes)]
    model = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]
    optimizer = nncore.optim.Adam(model.parameters(), lr=1e-3)
    weights = [p.detach().numpy().T if p.ndim == 2 else p.detach().numpy() for p in model.parameters()]
    baseline = NumpyMLP(sizes, batch, weights)
    x, target = normal(batch, sizes[0]), np.random.default_rng(1).integers(0, sizes[-1], batch)
    inputs, labels = nncore.from_numpy(x), nncore.from_numpy(target)

    def by_nncore():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    products = sum(n * m for n, m in pairwise(sizes))
    return Contest(
        {"numpy": lambda: baseline.step(x, target), "nncore": by_nncore},
        flops=2.0 * batch * (3 * products - sizes[0] * sizes[1]),
        rtol=1e-3,
        weights=[w.copy() for w in weights],
    )


SHORT = {
    "linear 32x784 -> 128": (linear, (32, 784, 128)),
    "linear 256x512 -> 512": (linear, (256, 512, 512)),
    "relu, 1M": (relu, (1_000_000,)),
    "sigmoid, 1M": (sigmoid, (1_000_000,)),
    "tanh, 1M": (tanh, (1_000_000,)),
    "softmax 4096x256": (softmax, (4096, 256)),
    "layer_norm 4096x256": (layer_norm, (4096, 256)),
    "adam, 1M": (adam, ((1000, 1000),)),
    "training step 784-128-10, batch 32": (train_mlp, (32, 784, 128, 10)),
    "training step 8-64-64-4, batch 64": (train_mlp, (64, 8, 64, 64, 4)),
}


def main(arguments=None):
    """Print the short table: microseconds of NumPy and nncore, and how many times faster nncore is."""
    parser = argparse.ArgumentParser(prog="python -m nncore bench", description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=9, help="turns that each contender takes (default: %(default)s)")
    options = parser.parse_args(arguments)
    print(
        f"nncore {nncore.__version__} ({nncore.config.ISA}, {nncore.get_num_threads()} threads) against NumPy {np.__version__} "
        f"(its own threads), {platform.machine()}, float32"
    )
    print(f"{'microseconds per call':36} {'NumPy':>10} {'nncore':>10}   NumPy / nncore")
    for title, (make, size) in SHORT.items():
        contest = make(*size)
        verify(contest)
        times = measure(contest.run, max(1, options.samples), settle=0.02 if nncore.get_num_threads() > 1 else 0.0)
        theirs, ours = times["numpy"].median, times["nncore"].median
        print(
            f"{title:36} {theirs * 1e6:10.1f} {ours * 1e6:10.1f}   {theirs / ours:6.2f}{'' if theirs >= ours else '  slower'}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
