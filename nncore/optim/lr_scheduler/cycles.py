"""Schedules that go up and down: warm restarts, cycles, one cycle. The last two move the momentum, too."""

import math

from nncore.optim.lr_scheduler.base import LRScheduler, per_group


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (initial_lr - eta_min) (1 + cos(pi t / T)) / 2, t the epochs since the last restart.

    Args:
        T_0: epochs T to the first restart.
        T_mult: every restart multiplies T by this. Default: 1.
        eta_min: Default: 0.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> scheduler = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
        >>> rates = []
        >>> for _ in range(4):
        ...     rates += scheduler.get_last_lr()
        ...     optimizer.step()
        ...     scheduler.step()
        >>> rates
        [1.0, 0.5, 1.0, 0.5]

    Reference: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts; Loshchilov & Hutter 2017.
    """

    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0, last_epoch=-1):
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """See LRScheduler.get_lr."""
        return self._rates(self.last_epoch)

    def _rates(self, epoch):
        period, since = self.T_0, epoch
        while since >= period:
            since -= period
            period *= self.T_mult
            if self.T_mult == 1:
                since %= period
        share = (1 + math.cos(math.pi * since / period)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def step(self, epoch=None):
        """Go to the next epoch, or to `epoch`, which may be a fraction, as within an epoch."""
        if epoch is None:
            super().step()
            return
        if epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        self.last_epoch = math.floor(epoch)
        self._set(self._rates(epoch))


class _WithMomentum(LRScheduler):
    """A schedule that may move the momentum (beta1 of Adam and its like) against the rate."""

    def _begin_momentum(self, cycle_momentum):
        self.cycle_momentum = cycle_momentum
        groups = self.optimizer.param_groups
        if cycle_momentum and not all("momentum" in group or "betas" in group for group in groups):
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")

    def _set_momentum(self, values):
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            if "betas" in group:
                group["betas"] = (value, *group["betas"][1:])
            else:
                group["momentum"] = value

    def get_momentum(self):
        """The momenta of epoch `last_epoch`, one per group."""
        raise NotImplementedError

    def _set(self, rates):
        super()._set(rates)
        if self.cycle_momentum:
            self._set_momentum(self.get_momentum())


class CyclicLR(_WithMomentum):
    """lr goes in a line from base_lr to max_lr and back, again and again; one step per batch.

    Args:
        base_lr, max_lr: numbers, or lists with one per group.
        step_size_up: steps up. Default: 2000.
        step_size_down: steps down. Default: as many.
        mode: "triangular", "triangular2" (each cycle half as high) or "exp_range" (times gamma^step). Default: "triangular".
        gamma: Default: 1.
        scale_fn: function of the cycle (counted from 1) or the step in the place of `mode`. Default: None.
        scale_mode: "cycle" or "iterations": what scale_fn is a function of. Default: "cycle".
        cycle_momentum: whether the momentum goes from max_momentum to base_momentum and back meanwhile. Default: True.
        base_momentum, max_momentum: numbers, or lists with one per group. Default: 0.8, 0.9.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0, momentum=0.9)
        >>> scheduler = optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]

    Reference: torch.optim.lr_scheduler.CyclicLR; Smith 2017.
    """

    def __init__(
        self,
        optimizer,
        base_lr,
        max_lr,
        step_size_up=2000,
        step_size_down=None,
        mode="triangular",
        gamma=1.0,
        scale_fn=None,
        scale_mode="cycle",
        cycle_momentum=True,
        base_momentum=0.8,
        max_momentum=0.9,
        last_epoch=-1,
    ):
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.optimizer = optimizer
        groups = optimizer.param_groups
        first = per_group("CyclicLR", "base_lr", base_lr, groups)
        self.max_lrs = per_group("CyclicLR", "max_lr", max_lr, groups)
        self.up = float(step_size_up)
        self.total = self.up + float(step_size_up if step_size_down is None else step_size_down)
        self.mode, self.gamma, self.scale_fn = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        self.base_momenta = per_group("CyclicLR", "base_momentum", base_momentum, groups)
        self.max_momenta = per_group("CyclicLR", "max_momentum", max_momentum, groups)
        self._begin_momentum(cycle_momentum)
        if last_epoch == -1:
            for group, lr in zip(groups, first, strict=True):
                group["lr"] = group["initial_lr"] = lr
        super().__init__(optimizer, last_epoch)

    def _scale(self, x):
        if self.scale_fn is not None:
            return self.scale_fn(x)
        return {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def _height(self):
        """How far up the present step is, 0 to 1, scaled."""
        cycle = math.floor(1 + self.last_epoch / self.total)
        x, ratio = 1.0 + self.last_epoch / self.total - cycle, self.up / self.total
        height = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
        return height * self._scale(cycle if self.scale_mode == "cycle" else self.last_epoch)

    def get_lr(self):
        """See LRScheduler.get_lr."""
        height = self._height()
        return [base + (top - base) * height for base, top in zip(self.base_lrs, self.max_lrs, strict=True)]

    def get_momentum(self):
        """The momenta of epoch `last_epoch`, one per group."""
        height = self._height()
        return [top - (top - base) * height for base, top in zip(self.base_momenta, self.max_momenta, strict=True)]

    def state_dict(self):
        """Everything but the optimizer and a function."""
        return {name: value for name, value in super().state_dict().items() if name != "scale_fn"}


class OneCycleLR(_WithMomentum):
    """lr goes from max_lr / div_factor up to max_lr, then down to initial lr / final_div_factor; one step per batch.

    Args:
        max_lr: number, or a list with one per group.
        total_steps: of the cycle. Default: epochs * steps_per_epoch.
        epochs, steps_per_epoch: Default: None.
        pct_start: share of the steps that goes up. Default: 0.3.
        anneal_strategy: "cos" or "linear". Default: "cos".
        cycle_momentum: whether the momentum goes from max_momentum to base_momentum and back meanwhile. Default: True.
        base_momentum, max_momentum: numbers, or lists with one per group. Default: 0.85, 0.95.
        div_factor: Default: 25.
        final_div_factor: Default: 1e4.
        three_phase: up, down to the initial rate in as many steps, then on down. Default: False.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), momentum=0.9)
        >>> scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [1.0]

    Reference: torch.optim.lr_scheduler.OneCycleLR; Smith & Topin 2018.
    """

    def __init__(
        self,
        optimizer,
        max_lr,
        total_steps=None,
        epochs=None,
        steps_per_epoch=None,
        pct_start=0.3,
        anneal_strategy="cos",
        cycle_momentum=True,
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=1e4,
        three_phase=False,
        last_epoch=-1,
    ):
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(
                    "You must define either total_steps OR (epochs AND steps_per_epoch) for a schedule of one cycle"
                )
            total_steps = epochs * steps_per_epoch
        if not isinstance(total_steps, int) or total_steps <= 0:
            raise ValueError(f"Expected positive integer total_steps, but got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', but got {anneal_strategy}")
        self.optimizer = optimizer
        groups = optimizer.param_groups
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self.max_lrs = per_group("OneCycleLR", "max_lr", max_lr, groups)
        self.final_div_factor = final_div_factor
        self.base_momenta = per_group("OneCycleLR", "base_momentum", base_momentum, groups)
        self.max_momenta = per_group("OneCycleLR", "max_momentum", max_momentum, groups)
        self._begin_momentum(cycle_momentum)
        up = pct_start * total_steps
        # (last step, rate and momentum at its end): "first", "top" and "last" of the rates, "high" and "low" momentum
        if three_phase:
            self.phases = [
                (up - 1, "top", "low"),
                (2 * up - 2, "first", "high"),
                (total_steps - 1, "last", "high"),
            ]
        else:
            self.phases = [(up - 1, "top", "low"), (total_steps - 1, "last", "high")]
        if last_epoch == -1:
            for group, top in zip(groups, self.max_lrs, strict=True):
                group["lr"] = group["initial_lr"] = top / div_factor
        super().__init__(optimizer, last_epoch)

    def _between(self, field, first, values):
        """What has been reached of the way that leads from the value `first` through those of all phases."""
        step, begin = self.last_epoch, 0.0
        if step > self.total_steps:
            raise ValueError(f"Tried to step {step} times. The specified number of total steps is {self.total_steps}")
        start = values[first]
        for end, *names in self.phases[:-1]:
            if step <= end:
                break
            begin, start = end, values[names[field]]
        else:
            end, *names = self.phases[-1]
        target = values[names[field]]
        share = (step - begin) / (end - begin) if end != begin else 1.0
        if self.anneal_strategy == "cos":
            return target + (start - target) / 2.0 * (1 + math.cos(math.pi * share))
        return start + (target - start) * share

    def get_lr(self):
        """See LRScheduler.get_lr."""
        rates = [
            {"first": first, "top": top, "last": first / self.final_div_factor}
            for first, top in zip(self.base_lrs, self.max_lrs, strict=True)
        ]
        return [self._between(0, "first", values) for values in rates]

    def get_momentum(self):
        """The momenta of epoch `last_epoch`, one per group."""
        momenta = [{"low": low, "high": high} for low, high in zip(self.base_momenta, self.max_momenta, strict=True)]
        return [self._between(1, "high", values) for values in momenta]
