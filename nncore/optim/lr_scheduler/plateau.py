"""ReduceLROnPlateau: the schedule that looks at how training goes."""

import math

from nncore.optim.lr_scheduler.base import LRScheduler
from nncore.optim.optimizer import Optimizer


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
