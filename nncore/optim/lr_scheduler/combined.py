"""Schedules made of schedules: one after the other, or all at once."""

from bisect import bisect_right

from nncore.optim.lr_scheduler.base import LRScheduler


class SequentialLR(LRScheduler):
    """One schedule after the other: each begins anew at its milestone.

    Args:
        schedulers: list of schedules of this optimizer.
        milestones: epochs at which the second, the third, ... begins.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> warm_up = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> decay = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> scheduler = optim.lr_scheduler.SequentialLR(optimizer, [warm_up, decay], milestones=[2])
        >>> rates = []
        >>> for _ in range(4):
        ...     rates += scheduler.get_last_lr()
        ...     optimizer.step()
        ...     scheduler.step()
        >>> rates
        [0.5, 0.75, 1.0, 0.5]

    Reference: torch.optim.lr_scheduler.SequentialLR.
    """

    def __init__(self, optimizer, schedulers, milestones, last_epoch=-1):
        if not schedulers:
            raise ValueError("SequentialLR expects at least one scheduler to be chained, but got no scheduler.")
        for i, scheduler in enumerate(schedulers):
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"SequentialLR expects all schedulers to belong to its optimizer, but that of {i} does not"
                )
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "SequentialLR expects one scheduler more than there are milestones, "
                f"but got {len(schedulers)} schedulers and {len(milestones)} milestones"
            )
        self.optimizer, self._schedulers, self._milestones = optimizer, list(schedulers), list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:  # the schedulers have all taken their first step at one time
            group["lr"] = group["initial_lr"]
        for scheduler in self._schedulers:
            scheduler.last_epoch -= 1
        first = self._schedulers[0]
        first._step_count = 0
        first.step()
        self._last_lr = first.get_last_lr()

    def step(self):
        """Take a step of the schedule whose turn it is."""
        self.last_epoch += 1
        number = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[number]
        if number > 0 and self._milestones[number - 1] == self.last_epoch:
            scheduler._restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self):
        """Everything but the optimizer; of the schedules their states."""
        return _state_of(self)

    def load_state_dict(self, state_dict):
        """Take over what `state_dict()` returned."""
        _load(self, state_dict)


class ChainedScheduler(LRScheduler):
    """Several schedules that each multiply the rate, stepped together.

    Args:
        schedulers: list of schedules of one optimizer.
        optimizer: the optimizer. Default: that of the first.

    Example:
        >>> from nncore import nn, optim
        >>> optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
        >>> one = optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
        >>> two = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> scheduler = optim.lr_scheduler.ChainedScheduler([one, two])
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.25]

    Reference: torch.optim.lr_scheduler.ChainedScheduler.
    """

    def __init__(self, schedulers, optimizer=None):
        if not schedulers:
            raise ValueError("ChainedScheduler expects at least one scheduler to be chained, but got no scheduler.")
        optimizer = schedulers[0].optimizer if optimizer is None else optimizer
        for i, scheduler in enumerate(schedulers):
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"ChainedScheduler expects all schedulers to belong to one optimizer, but that of {i} does not"
                )
        self.optimizer, self._schedulers = optimizer, list(schedulers)
        self._last_lr = self._lrs()

    def step(self):
        """Take a step of every schedule."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._lrs()

    def state_dict(self):
        """Everything but the optimizer; of the schedules their states."""
        return _state_of(self)

    def load_state_dict(self, state_dict):
        """Take over what `state_dict()` returned."""
        _load(self, state_dict)


def _state_of(combined):
    state = {name: value for name, value in combined.__dict__.items() if name != "optimizer"}
    return {**state, "_schedulers": [scheduler.state_dict() for scheduler in combined._schedulers]}


def _load(combined, state):
    state = dict(state)
    for scheduler, saved in zip(combined._schedulers, state.pop("_schedulers"), strict=True):
        scheduler.load_state_dict(saved)
    combined.__dict__.update(state)
