"""Learning rates as functions of the number of steps that have been done, in closed form.

The same object serves both faces: `learning_rate=schedule` of an optimizer of nncore.keras and `lr=schedule` of one of
nncore.optim. `Model.fit` moves it on after every step; in a loop of one's own `schedule.step()` does, as torch's schedulers.
"""

import inspect
import math


class LearningRateSchedule:
    """Base class: a subclass defines `__call__(step)`, which returns the learning rate.

    Attributes:
        optimizer: whose learning rate `step()` sets, that of all groups; an optimizer that is given the schedule becomes it.
        last_step: number of steps that have been done.

    Example:
        >>> import nncore
        >>> class Halving(LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.5**step
        >>> schedule = Halving()
        >>> optimizer = nncore.optim.SGD([nncore.zeros(1, requires_grad=True)], lr=schedule)
        >>> optimizer.step()
        >>> schedule.step()
        >>> optimizer.param_groups[0]["lr"]
        0.5

    Reference: Keras, `keras.optimizers.schedules.LearningRateSchedule`.
    """

    optimizer = None
    last_step = 0

    def __call__(self, step):
        """The learning rate of the step after `step` ones."""
        raise NotImplementedError

    def bind(self, optimizer):
        """Set the learning rate of all groups of this optimizer from now on. The schedule begins at `last_step`."""
        self.optimizer = optimizer
        self._set()

    def step(self):
        """Count a step that has been done, and set the learning rate of the next one."""
        if self.optimizer is None:
            raise RuntimeError(f"{type(self).__name__}: is the learning rate of no optimizer yet; see bind")
        self.last_step += 1
        self._set()

    def _set(self):
        rate = float(self(self.last_step))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def get_last_lr(self):
        """The learning rate now, in a list."""
        return [float(self(self.last_step))]

    def state_dict(self):
        """{"last_step": ...}."""
        return {"last_step": self.last_step}

    def load_state_dict(self, state_dict):
        """Take over what `state_dict()` returned."""
        self.last_step = int(state_dict["last_step"])
        if self.optimizer is not None:
            self._set()

    def get_config(self):
        """The arguments of the constructor, a dict."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config):
        """The schedule with the given arguments."""
        return cls(**config)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.get_config().items())})"


def _check_steps(schedule, **steps):
    for name, value in steps.items():
        if not value > 0:
            raise ValueError(f"{type(schedule).__name__}: argument {name!r} is {value}, expected a number > 0")


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate decay_rate^(step / decay_steps); with staircase the exponent is rounded down.

    Args:
        initial_learning_rate: of the first step.
        decay_steps: steps after which the rate is multiplied by decay_rate.
        decay_rate: factor.
        staircase: whether the rate falls in steps: step decay. Default False.
        name: for people.

    Example:
        >>> ExponentialDecay(1.0, decay_steps=10, decay_rate=0.5, staircase=True)(25)
        0.25

    Reference: Keras, `keras.optimizers.schedules.ExponentialDecay`.
    """

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="ExponentialDecay"):
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name
        _check_steps(self, decay_steps=decay_steps)

    def __call__(self, step):
        """The learning rate of the step after `step` ones."""
        exponent = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (math.floor(exponent) if self.staircase else exponent)


class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate step / decay_steps); with staircase the quotient is rounded down.

    Args:
        initial_learning_rate: of the first step.
        decay_steps: unit of the time.
        decay_rate: Default none.
        staircase: whether the rate falls in steps. Default False.
        name: for people.

    Example:
        >>> InverseTimeDecay(1.0, decay_steps=10, decay_rate=0.5)(20)
        0.5

    Reference: Keras, `keras.optimizers.schedules.InverseTimeDecay`.
    """

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="InverseTimeDecay"):
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name
        _check_steps(self, decay_steps=decay_steps)

    def __call__(self, step):
        """The learning rate of the step after `step` ones."""
        time = step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (math.floor(time) if self.staircase else time))


class PolynomialDecay(LearningRateSchedule):
    """(initial_learning_rate - end_learning_rate) (1 - step / decay_steps)^power + end_learning_rate.

    Args:
        initial_learning_rate: of the first step.
        decay_steps: steps down to the end.
        end_learning_rate: Default 0.0001.
        power: Default 1.0.
        cycle: whether decay_steps grows to its next multiple when it is reached, so that the rate jumps up. Default False:
            the rate stays at the end.
        name: for people.

    Example:
        >>> PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.0, power=2.0)(5)
        0.25

    Reference: Keras, `keras.optimizers.schedules.PolynomialDecay`.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        end_learning_rate=0.0001,
        power=1.0,
        cycle=False,
        name="PolynomialDecay",
    ):
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name
        _check_steps(self, decay_steps=decay_steps)

    def __call__(self, step):
        """The learning rate of the step after `step` ones."""
        most = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
        left = 1 - min(step, most) / most
        return (self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and with step boundaries[i], the last value from then on.

    Args:
        boundaries: increasing numbers of steps.
        values: learning rates, one more than there are boundaries.
        name: for people.

    Example:
        >>> schedule = PiecewiseConstantDecay([100, 200], [1.0, 0.5, 0.1])
        >>> [schedule(step) for step in (0, 100, 101, 1000)]
        [1.0, 1.0, 0.5, 0.1]

    Reference: Keras, `keras.optimizers.schedules.PiecewiseConstantDecay`.
    """

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        self.boundaries, self.values, self.name = list(boundaries), list(values), name
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"PiecewiseConstantDecay: argument 'values' has {len(self.values)} values, "
                f"expected {len(self.boundaries) + 1}, one more than 'boundaries'"
            )
        if sorted(self.boundaries) != self.boundaries:
            raise ValueError(f"PiecewiseConstantDecay: argument 'boundaries' is {self.boundaries}, expected it to rise")

    def __call__(self, step):
        """The learning rate of the step after `step` ones."""
        return self.values[sum(step > boundary for boundary in self.boundaries)]


class CosineDecay(LearningRateSchedule):
    """Half a cosine from initial_learning_rate to alpha times it; before, if asked for, a line up to warmup_target.

    Args:
        initial_learning_rate: of the first step.
        decay_steps: steps of the cosine.
        alpha: share of the rate that is left at the end. Default 0.0.
        name: for people.
        warmup_target: rate at the end of the warm-up, from which the cosine falls. Default None: no warm-up.
        warmup_steps: steps of the warm-up. Default 0.

    Example:
        >>> schedule = CosineDecay(0.0, decay_steps=10, warmup_target=1.0, warmup_steps=2)
        >>> [round(schedule(step), 4) for step in (0, 1, 2, 7, 12)]
        [0.0, 0.5, 1.0, 0.5, 0.0]

    Reference: Keras, `keras.optimizers.schedules.CosineDecay`; Loshchilov & Hutter 2017.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        alpha=0.0,
        name="CosineDecay",
        warmup_target=None,
        warmup_steps=0,
    ):
        self.initial_learning_rate, self.decay_steps, self.alpha = initial_learning_rate, decay_steps, alpha
        self.name, self.warmup_target, self.warmup_steps = name, warmup_target, warmup_steps
        _check_steps(self, decay_steps=decay_steps)

    def __call__(self, step):
        """The learning rate of the step after `step` ones."""
        first = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return first + (self.warmup_target - first) * (step / self.warmup_steps)
            step, first = step - self.warmup_steps, self.warmup_target
        share = (1 + math.cos(math.pi * min(step / self.decay_steps, 1.0))) / 2
        return first * ((1 - self.alpha) * share + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """CosineDecay again and again: each period is t_mul times as long, and begins m_mul times as high, as the one before.

    Args:
        initial_learning_rate: of the first step.
        first_decay_steps: steps of the first period.
        t_mul: Default 2.0.
        m_mul: Default 1.0.
        alpha: share of the initial rate that is left at the end of a period. Default 0.0.
        name: for people.

    Example:
        >>> schedule = CosineDecayRestarts(1.0, first_decay_steps=2)
        >>> [round(schedule(step), 4) for step in range(5)]
        [1.0, 0.5, 1.0, 0.8536, 0.5]

    Reference: Keras, `keras.optimizers.schedules.CosineDecayRestarts`; Loshchilov & Hutter 2017.
    """

    def __init__(self, initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0, name="SGDRDecay"):
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name
        _check_steps(self, first_decay_steps=first_decay_steps)
        if not t_mul >= 1:
            raise ValueError(f"CosineDecayRestarts: argument 't_mul' is {t_mul}, expected a number >= 1")

    def __call__(self, step):
        """The learning rate of the step after `step` ones."""
        period, since, height = self.first_decay_steps, step, 1.0
        if self.t_mul == 1:
            height, since = self.m_mul ** (step // period), step % period
        while since >= period:
            since -= period
            period *= self.t_mul
            height *= self.m_mul
        share = height * (1 + math.cos(math.pi * since / period)) / 2
        return self.initial_learning_rate * ((1 - self.alpha) * share + self.alpha)


SCHEDULES = {
    cls.__name__: cls
    for cls in (
        ExponentialDecay,
        InverseTimeDecay,
        PolynomialDecay,
        PiecewiseConstantDecay,
        CosineDecay,
        CosineDecayRestarts,
    )
}

__all__ = ["SCHEDULES", "LearningRateSchedule", *SCHEDULES]
