"""Schedules that go one way: steps, lines, powers, exponentials, half a cosine, functions."""

import math
import types
from collections import Counter

from nncore.optim.lr_scheduler.base import LRScheduler


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

    def _first_rates(self):
        return self.get_lr()

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


class MultiplicativeLR(LambdaLR):
    """lr *= lr_lambda(epoch) every epoch.

    Args:
        lr_lambda: function of the epoch, or a list of them, one per group.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> scheduler = optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.get_last_lr()
        [0.25]

    Reference: torch.optim.lr_scheduler.MultiplicativeLR.
    """

    def get_lr(self):
        """See LRScheduler.get_lr."""
        if self._begins:
            return self._lrs()
        return [lr * fn(self.last_epoch) for lr, fn in zip(self._lrs(), self.lr_lambdas, strict=True)]

    def _first_rates(self):
        return [lr * fn(0) for lr, fn in zip(self._lrs(), self.lr_lambdas, strict=True)]


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


class ConstantLR(LRScheduler):
    """lr = factor initial_lr for the first total_iters epochs, then initial_lr.

    Args:
        factor: Default: 1/3.
        total_iters: Default: 5.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> scheduler = optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=1)
        >>> scheduler.get_last_lr()
        [0.5]
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [1.0]

    Reference: torch.optim.lr_scheduler.ConstantLR.
    """

    def __init__(self, optimizer, factor=1.0 / 3, total_iters=5, last_epoch=-1):
        if factor > 1.0 or factor < 0:
            raise ValueError("Constant multiplicative factor expected to be between 0 and 1.")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """See LRScheduler.get_lr."""
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._lrs()]
        if self.last_epoch != self.total_iters:
            return self._lrs()
        return [lr * (1.0 / self.factor) for lr in self._lrs()]

    def _first_rates(self):
        return [base * self.factor for base in self.base_lrs]


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

    def _first_rates(self):
        return [base * self.start_factor for base in self.base_lrs]


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


class PolynomialLR(LRScheduler):
    """lr = initial_lr (1 - epoch / total_iters)^power, 0 from then on.

    Args:
        total_iters: epochs from the initial rate to 0. Default: 5.
        power: Default: 1.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> scheduler = optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4, power=2.0)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5625]

    Reference: torch.optim.lr_scheduler.PolynomialLR.
    """

    def __init__(self, optimizer, total_iters=5, power=1.0, last_epoch=-1):
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """See LRScheduler.get_lr."""
        if self._begins or self.last_epoch > self.total_iters:
            return self._lrs()
        left, before = (1.0 - epoch / self.total_iters for epoch in (self.last_epoch, self.last_epoch - 1))
        return [lr * (left / before) ** self.power for lr in self._lrs()]


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
