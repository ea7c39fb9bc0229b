"""lr_find: a learning rate from a short training in which the rate grows from step to step."""

import copy
import itertools
import math
from typing import NamedTuple

import numpy as np

from .. import random
from . import batches as batches_
from .interrupt import Interrupts
from .optimizers import learning_rate_of, set_learning_rate

DIVERGED = 4.0  # times the smallest loss, at which the test ends


class LRTest(NamedTuple):
    """The result of `lr_find`.

    rates: learning rates of the steps, an ndarray.
    losses: loss of each step's batch, before the step, an ndarray.
    suggestion: the rate at which the loss, smoothed, fell the fastest, a float; None if it never fell.
    """

    rates: np.ndarray
    losses: np.ndarray
    suggestion: float | None


def lr_find(model, x, y=None, start=1e-6, end=10.0, steps=100, batch_size=32):
    """Train for a while with a learning rate that grows by the same factor with every step, and look at the losses.

    Weights, optimizer and random numbers are put back afterwards.

    Args:
        model: a Model, compiled with an optimizer whose learning rate is a number.
        x, y: as in `Model.fit`.
        start, end: the first and the last rate. Default 1e-6, 10.0.
        steps: number of steps; the test ends early when the loss is not finite or has become four times its minimum.
            Default 100.
        batch_size: samples per step. Default 32.

    Returns:
        LRTest: `rates`, `losses`, `suggestion`; `viz.plot_lr_finder(test.rates, test.losses)` draws it.

    Raises:
        RuntimeError: the model is not compiled.
        ValueError: the rates do not grow, there are fewer than 3 steps, or the optimizer has a schedule.

    Example:
        >>> import numpy as np, nncore
        >>> _ = nncore.manual_seed(0)
        >>> x = np.linspace(-1, 1, 64).reshape(64, 1)
        >>> model = nncore.Model(nncore.nn.Sequential(nncore.nn.Linear(1, 16), nncore.nn.Tanh(), nncore.nn.Linear(16, 1)))
        >>> model.compile(nncore.keras.optimizers.SGD(0.01), "mse")
        >>> test = lr_find(model, x, x**2)
        >>> 1e-3 < test.suggestion < 10
        True
        >>> model.optimizer.learning_rate
        0.01

    Reference: Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3.
    """
    model._require_compiled("lr_find")
    if not 0 < start < end:
        raise ValueError(f"lr_find: arguments 'start' and 'end' are {start} and {end}, expected 0 < start < end")
    if steps < 3:
        raise ValueError(f"lr_find: argument 'steps' is {steps}, expected at least 3")
    if model.optimizer.schedule is not None:
        raise ValueError("lr_find: the learning rate of the optimizer is a schedule, expected a number")
    data = batches_.make("lr_find", x, y, None, model._dtype(), batch_size=batch_size, shuffle=True).nonempty()
    model._build(data)
    with Interrupts() as interrupts, _Kept(model):
        interrupts.held = True
        rates, losses = _train(model, data, np.geomspace(start, end, steps), interrupts)
    return LRTest(rates, losses, _suggestion(rates, losses))


def _train(model, data, rates, interrupts):
    losses, lowest = [], math.inf
    endless = itertools.chain.from_iterable(itertools.repeat(data))
    for rate, (inputs, y, weight) in zip(rates, endless, strict=False):
        set_learning_rate(model.optimizer, float(rate))
        batch = tuple(t.array for t in inputs)
        losses.append(
            model.train_on_batch(
                batch if len(batch) > 1 else batch[0],
                None if y is None else y.array,
                sample_weight=weight,
                return_dict=True,
            )["loss"]
        )
        lowest = min(lowest, losses[-1])
        if not losses[-1] <= DIVERGED * lowest or interrupts.waiting:
            break
    return np.array(rates[: len(losses)]), np.array(losses)


def _suggestion(rates, losses):
    """Where the loss falls the fastest over the logarithm of the rate: the middle of the steepest line through a fifth of it."""
    finite = np.isfinite(losses)
    rates, losses = np.log(rates[finite]), losses[finite]
    width = max(3, len(losses) // 5)
    if len(losses) < width:
        return None
    windows = [slice(first, first + width) for first in range(len(losses) - width + 1)]
    slopes = [np.polyfit(rates[window], losses[window], 1)[0] for window in windows]
    steepest = int(np.argmin(slopes))
    return float(np.exp(rates[windows[steepest]].mean())) if slopes[steepest] < 0 else None


class _Kept:
    """Everything that training changes, put back at the end of a `with` block."""

    def __init__(self, model):
        self.model = model

    def __enter__(self):
        model, optimizer = self.model, self.model.optimizer
        self.weights = {name: t.array.copy("K") for name, t in model.state_dict().items()}
        self.state = copy.deepcopy(optimizer.state_dict())
        self.rate, self.random = learning_rate_of(optimizer), random.get_rng_state()
        self.counts = {
            name: getattr(optimizer, name) for name in ("iterations", "_stepped") if hasattr(optimizer, name)
        }
        return self

    def __exit__(self, *exception):
        model, optimizer = self.model, self.model.optimizer
        model.load_state_dict(self.weights)
        optimizer.load_state_dict(self.state)
        optimizer.__dict__.update(self.counts)
        set_learning_rate(optimizer, self.rate)
        optimizer.zero_grad()
        model._step("train").begin()
        random.set_rng_state(self.random)
