"""Lazy: what all optimizers in Keras's words share."""

import math

import numpy as np

from ... import nn
from ..._core.capture import live, state
from ..._core.kernels import KERNELS
from ..._tensor import Tensor
from ...optim.schedules import LearningRateSchedule

_copy, _sgd_step = KERNELS["copy"], KERNELS["sgd_step"]

COMMON = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "gradient_accumulation_steps": None,
    "name": None,
}


class Lazy:
    """Parameters later, and Keras's common arguments. The class after it in the MRO is the optimizer of nncore.optim.

    Args:
        learning_rate: a number; may be set at any time, `optimizer.learning_rate = 0.01`. Or a schedule of
            `nncore.keras.optimizers.schedules`, which `Model.fit` moves on after every step.
        weight_decay: every step begins with p *= 1 - learning_rate * weight_decay. Default None: 0.
        clipnorm: limit of the norm of each gradient. Default None.
        clipvalue: limit of the absolute value of each element of the gradients. Default None.
        global_clipnorm: limit of the common norm of all gradients. Default None.
        use_ema: whether a running mean of the weights is kept, average = ema_momentum average + (1 - ema_momentum) p, which
            `Model.fit` puts into the model at its end. See also the callback `SwapEMAWeights`. Default False.
        ema_momentum: Default 0.99.
        ema_overwrite_frequency: steps after which the mean becomes the weights, again and again. Default None: at the end.
        gradient_accumulation_steps: batches whose mean gradient is one step of `Model.fit`; the last ones of an epoch may be
            fewer. Default None: 1.
        name: for people.

    Reference: Keras, `keras.optimizers.Optimizer`.
    """

    decays = False  # whether the class after it does the decay itself, and in this form

    def _init(self, learning_rate, common, **arguments):
        kind = type(self).__name__
        unknown = common.keys() - COMMON.keys()
        if unknown:
            raise TypeError(f"{kind}: got an unexpected argument {sorted(unknown)[0]!r}")
        common = {**COMMON, **common}
        rate = learning_rate(0) if isinstance(learning_rate, LearningRateSchedule) else learning_rate
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)):
            raise TypeError(
                f"{kind}: argument 'learning_rate' is {type(rate).__name__}, expected a number or a schedule of "
                "keras.optimizers.schedules; a function of the epoch is for the callback LearningRateScheduler"
            )
        if not (math.isfinite(rate) and rate >= 0):
            raise ValueError(f"{kind}: argument 'learning_rate' is {rate}, expected a number >= 0")
        limits = ("clipnorm", "clipvalue", "global_clipnorm")
        if sum(common[limit] is not None for limit in limits) > 1:
            raise ValueError(f"{kind}: expected at most one of the arguments {', '.join(map(repr, limits))}")
        for name in ("ema_overwrite_frequency", "gradient_accumulation_steps"):
            value = common[name]
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
                raise ValueError(f"{kind}: argument {name!r} is {value!r}, expected an int >= 1")
        if not 0.0 <= common["ema_momentum"] <= 1.0:
            raise ValueError(
                f"{kind}: argument 'ema_momentum' is {common['ema_momentum']}, expected a number in [0, 1]"
            )
        self.__dict__.update(common)
        self.name = common["name"] or kind.lower()
        self.weight_decay = common["weight_decay"] or 0.0
        self.bound = self.swapped = self.averaging = False
        self.iterations = 0
        self.param_groups, self.state = [], {}
        self.schedule = learning_rate if isinstance(learning_rate, LearningRateSchedule) else None
        self._arguments = {"lr": learning_rate if self.schedule else float(rate), **arguments}
        if self.decays:
            self._arguments["weight_decay"] = self.weight_decay

    def bind(self, parameters):
        """Give the optimizer the parameters that it moves. `Model` does it, once the shapes are known.

        Args:
            parameters: iterable of Parameters.
        """
        super().__init__(parameters, **self._arguments)
        self.bound = True

    @property
    def learning_rate(self):
        """The learning rate; may be set at any time, unless it is a schedule."""
        rate = self._arguments["lr"]
        return self.param_groups[0]["lr"] if self.bound else rate(0) if self.schedule else rate

    @learning_rate.setter
    def learning_rate(self, value):
        if self.schedule is not None:
            raise TypeError(f"{type(self).__name__}: the learning rate is a schedule and cannot be set")
        self._arguments["lr"] = float(value)
        for group in self.param_groups:
            group["lr"] = float(value)

    def step(self, closure=None):
        """Clip the gradients, shrink the weights, move them and their mean; see `nncore.optim.Optimizer.step`."""
        if not self.bound:
            raise RuntimeError(f"{type(self).__name__}: has no parameters yet; call bind, or compile a model with it")
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if self.clipvalue is not None:
            nn.utils.clip_grad_value_(parameters, self.clipvalue)
        elif self.clipnorm is not None:
            for parameter in parameters:
                nn.utils.clip_grad_norm_(parameter, self.clipnorm)
        elif self.global_clipnorm is not None:
            nn.utils.clip_grad_norm_(parameters, self.global_clipnorm)
        if self.weight_decay and not self.decays:
            self._shrink(parameters)
        loss = super().step(closure)
        if self.use_ema:
            self._average()
        return loss

    def _shrink(self, parameters):
        """Decoupled decay, p -= learning_rate weight_decay p: a step of gradient descent along p itself."""
        amount = live(self.learning_rate * self.weight_decay, lambda: float(self.learning_rate) * self.weight_decay)
        for arrays in _by_dtype(p.array for p in parameters):
            _sgd_step(arrays, None, [_copy(a) for a in arrays], amount, 0, 0, 0, False, False, False, 1)
        for parameter in parameters:
            parameter.changed()

    # ---- the running mean of the weights ----
    def _average(self):
        """Move the means: average -= rate (average - p), a step of gradient descent along -p with a decay of 1.

        The rate of the first step is 1: the first means are the first weights, as in Keras.
        """
        rate = live(self._ema_rate(), self._ema_rate)
        pairs = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                memory, array = self.state[parameter], parameter.array
                if "ema" not in memory:
                    memory["ema"] = Tensor(state(np.zeros_like(array, subok=False)))
                averages, arrays = pairs.setdefault(array.dtype, ([], []))
                averages.append(memory["ema"].array)
                arrays.append(array)
        for averages, arrays in pairs.values():
            _sgd_step(averages, None, arrays, rate, 0, 0, 1.0, False, True, False, 1)
        self.averaging = True

    def _ema_rate(self):
        return 1.0 - self.ema_momentum if self.averaging else 1.0

    def swap_ema(self):
        """Exchange the weights with their running means, or back; `swapped` says how it is."""
        self.swapped = not self.swapped
        for parameter, average in self._means():
            weights = parameter.array.copy("K")
            parameter.array[...] = average.array
            average.array[...] = weights
            parameter.changed()

    def finalize(self):
        """Put the running means into the model. `Model.fit` does it at its end."""
        if self.swapped:
            self.swap_ema()
        for parameter, average in self._means():
            parameter.array[...] = average.array
            parameter.changed()

    def _means(self):
        return [
            (p, self.state[p]["ema"]) for g in self.param_groups for p in g["params"] if "ema" in self.state.get(p, ())
        ]

    # ---- between steps ----
    def advance(self, steps=1):
        """Count steps that `Model.fit` has done; overwrite the weights with their means when it is time."""
        self.iterations += steps
        if self.use_ema and self.ema_overwrite_frequency and self.iterations % self.ema_overwrite_frequency == 0:
            self.finalize()

    def state_dict(self):
        """As `nncore.optim.Optimizer.state_dict`; with ema_overwrite_frequency also the number of steps."""
        counted = {"iterations": self.iterations} if self.ema_overwrite_frequency else {}
        return {**super().state_dict(), **counted}

    def load_state_dict(self, state_dict):
        """As `nncore.optim.Optimizer.load_state_dict`."""
        super().load_state_dict(state_dict)
        self.iterations = int(state_dict.get("iterations", self.iterations))
        self.averaging = any("ema" in memory for memory in self.state.values())

    def __repr__(self):
        return f"{type(self).__name__}(learning_rate={self.learning_rate:g})"


def _by_dtype(arrays):
    lists = {}
    for array in arrays:
        lists.setdefault(array.dtype, []).append(array)
    return lists.values()
