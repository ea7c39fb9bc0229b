"""Learning-rate schedules. `step()` is called after the optimizer's, once per epoch (or as often as one likes).

Schedules multiply the present rate, as torch's do, so that several can act on one optimizer.
"""

import math
import types
import warnings
from collections import Counter

from nncore.optim.optimizer import Optimizer


class LRScheduler:
    """Base class of schedules that follow from the number of the epoch.

    Args:
        optimizer: whose groups' "lr" is set.
        last_epoch: number of the epoch to go on after; -1 to begin. Default: -1.

    Reference: torch.optim.lr_scheduler.LRScheduler.
    """

    def __init__(self, optimizer, last_epoch=-1):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler "
                    "with last_epoch >= 0: load the optimizer's state first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self.step()

    def get_lr(self):
        """The rates of epoch `last_epoch`, one per group, from the present ones. Subclasses define it."""
        raise NotImplementedError

    def get_last_lr(self):
        """The rates that the last step set, one per group."""
        return self._last_lr

    def step(self):
        """Go to the next epoch and set its learning rates."""
        if self._step_count == 1 and not self.optimizer._stepped:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first value of the learning "
                "rate schedule is skipped. Call `optimizer.step()` first.",
                stacklevel=2,
            )
        self._step_count += 1
        self.last_epoch += 1
        rates = self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = list(rates)

    def _lrs(self):
        return [group["lr"] for group in self.optimizer.param_groups]

    @property
    def _begins(self):
        """Whether this is the step that the constructor takes."""
        return self._step_count == 1

    def state_dict(self):
        """Everything but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict):
        """Take over what `state_dict()` returned. The optimizer's own state holds the present rates."""
        self.__dict__.update(state_dict)


class LambdaLR(LRScheduler):
    """lr = initial_lr lr_lambda(epoch).

    Args:
        lr_lambda: function of the epoch, or a list of them, one per group.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]

    Reference: torch.optim.lr_scheduler.LambdaLR.
    """

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        groups = optimizer.param_groups
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * len(groups)
        if len(self.lr_lambdas) != len(groups):
            raise ValueError(f"Expected {len(groups)} lr_lambdas, but got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """See LRScheduler.get_lr."""
        return [base * fn(self.last_epoch) for base, fn in zip(self.base_lrs, self.lr_lambdas, strict=True)]

    def state_dict(self):
        """Everything but the optimizer and functions; of callable objects their attributes are kept."""
        state = super().state_dict()
        state["lr_lambdas"] = [
            None if isinstance(fn, types.FunctionType) else dict(fn.__dict__) for fn in self.lr_lambdas
        ]
        return state

    def load_state_dict(self, state_dict):
        """Take over what `state_dict()` returned; functions stay as they are."""
        state_dict = dict(state_dict)
        for fn, saved in zip(self.lr_lambdas, state_dict.pop("lr_lambdas"), strict=True):
            if saved is not None:
                fn.__dict__.update(saved)
        self.__dict__.update(state_dict)


class StepLR(LRScheduler):
    """lr *= gamma every step_size epochs.

    Args:
        step_size: number of epochs.
        gamma: Default: 0.1.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> for _ in range(4):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.25]

    Reference: torch.optim.lr_scheduler.StepLR.
    """

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """See LRScheduler.get_lr."""
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return self._lrs()
        return [lr * self.gamma for lr in self._lrs()]


class MultiStepLR(LRScheduler):
    """lr *= gamma at each of the milestones.

    Args:
        milestones: increasing epochs.
        gamma: Default: 0.1.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> scheduler = optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
        >>> for _ in range(3):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.25]

    Reference: torch.optim.lr_scheduler.MultiStepLR.
    """

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """See LRScheduler.get_lr."""
        if self.last_epoch not in self.milestones:
            return self._lrs()
        return [lr * self.gamma ** self.milestones[self.last_epoch] for lr in self._lrs()]


class LinearLR(LRScheduler):
    """lr = initial_lr factor, the factor going from start_factor to end_factor in total_iters equal steps.

    Args:
        start_factor: Default: 1/3.
        end_factor: Default: 1.
        total_iters: Default: 5.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> scheduler = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.75]

    Reference: torch.optim.lr_scheduler.LinearLR.
    """

    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, last_epoch=-1):
        if start_factor > 1.0 or start_factor <= 0:
            raise ValueError("Starting multiplicative factor expected to be greater than 0 and less or equal to 1.")
        if end_factor > 1.0 or end_factor < 0:
            raise ValueError("Ending multiplicative factor expected to be between 0 and 1.")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """See LRScheduler.get_lr."""
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in self._lrs()]
        if self._begins or self.last_epoch > self.total_iters:
            return self._lrs()
        growth = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * growth
        return [lr * (1.0 + growth / before) for lr in self._lrs()]


class ExponentialLR(LRScheduler):
    """lr *= gamma every epoch.

    Args:
        gamma: factor.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]

    Reference: torch.optim.lr_scheduler.ExponentialLR.
    """

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """See LRScheduler.get_lr."""
        return self._lrs() if self._begins else [lr * self.gamma for lr in self._lrs()]


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial_lr - eta_min) (1 + cos(pi epoch / T_max)) / 2.

    Args:
        T_max: number of epochs from the initial rate to eta_min.
        eta_min: Default: 0.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> round(scheduler.get_last_lr()[0], 6)
        0.5

    Reference: torch.optim.lr_scheduler.CosineAnnealingLR; Loshchilov & Hutter 2017.
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """See LRScheduler.get_lr."""
        if self._begins:
            return self._lrs()
        epoch, half_period, eta_min = self.last_epoch, self.T_max, self.eta_min
        if (epoch - 1 - half_period) % (2 * half_period) == 0:  # out of the minimum, where the ratio below is 0 / 0
            rise = (1 - math.cos(math.pi / half_period)) / 2
            return [lr + (base - eta_min) * rise for lr, base in zip(self._lrs(), self.base_lrs, strict=True)]
        now = 1 + math.cos(math.pi * epoch / half_period)
        before = 1 + math.cos(math.pi * (epoch - 1) / half_period)
        return [now / before * (lr - eta_min) + eta_min for lr in self._lrs()]


class ReduceLROnPlateau(LRScheduler):
    """lr *= factor when a metric has not improved for more than `patience` epochs.

    Args:
        mode: "min" if less is better, "max" if more is. Default: "min".
        factor: less than 1. Default: 0.1.
        patience: epochs without improvement that are put up with. Default: 10.
        threshold: what counts as an improvement. Default: 1e-4.
        threshold_mode: "rel": threshold times the best; "abs": threshold. Default: "rel".
        cooldown: epochs to wait after a reduction. Default: 0.
        min_lr: lower bound, or a list of them, one per group. Default: 0.
        eps: changes of the rate smaller than this are left out. Default: 1e-8.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        >>> for loss in [0.5, 0.5]:
        ...     scheduler.step(loss)
        >>> scheduler.get_last_lr()
        [0.1]

    Reference: torch.optim.lr_scheduler.ReduceLROnPlateau.
    """

    def __init__(
        self,
        optimizer,
        mode="min",
        factor=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=0,
        eps=1e-8,
    ):
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        groups = optimizer.param_groups
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * len(groups)
        if len(self.min_lrs) != len(groups):
            raise ValueError(f"expected {len(groups)} min_lrs, got {len(self.min_lrs)}")
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self._last_lr = self._lrs()

    def step(self, metrics):
        """Note the metric of the epoch and, where it has stopped improving, reduce the rates."""
        current = float(metrics)
        self.last_epoch += 1
        if self._is_better(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, min_lr in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                reduced = max(group["lr"] * self.factor, min_lr)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._lrs()

    @property
    def in_cooldown(self):
        """Whether bad epochs are not counted."""
        return self.cooldown_counter > 0

    def _is_better(self, value):
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            margin = self.best * (1.0 + sign * self.threshold)
        else:
            margin = self.best + sign * self.threshold
        return value < margin if self.mode == "min" else value > margin
