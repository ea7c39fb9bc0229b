"""LRScheduler: what all schedules that follow from the number of the epoch share."""

import warnings

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
        if not optimizer.param_groups:
            raise ValueError(
                f"{type(self).__name__}: the optimizer has no parameters yet; bind it, or build its model first"
            )
        if optimizer.schedule is not None:
            raise ValueError(f"{type(self).__name__}: the learning rate of the optimizer is a schedule already")
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
        self._set(self.get_lr())

    def _first_rates(self):
        """The rates of epoch 0 from the initial ones, for who begins a schedule later than at its construction."""
        return list(self.base_lrs)

    def _restart(self):
        """Begin at epoch 0 now."""
        self.last_epoch = 0
        self._set(self._first_rates())

    def _set(self, rates):
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


def per_group(op, name, value, groups):
    """A list with a value for each group; a ValueError if `value` is a list of another length."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * len(groups)
    if len(values) != len(groups):
        raise ValueError(f"{op}: argument {name!r} has {len(values)} values, expected {len(groups)}, one per group")
    return values
