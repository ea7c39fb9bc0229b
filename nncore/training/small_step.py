"""StopOnSmallStep: gradient descent as it is taught, with the stop rule and the table of its steps."""

from typing import NamedTuple

import numpy as np

from .callback import Callback


class Step(NamedTuple):
    """A row of the table: new = old - step_size, and for plain gradient descent step_size = learning rate * derivative."""

    step: int
    parameter: str
    derivative: float
    step_size: float
    old: float
    new: float


class StopOnSmallStep(Callback):
    """End `fit` when the steps have become small, or when there were enough of them.

    The step size of a weight is by how much it is reduced: old value - new value. Training stops as soon as no weight's step is
    larger than `min_step`, up or down, or after `max_steps` steps.

    Args:
        min_step: default 1e-3.
        max_steps: default 1000.
        rows: what the table keeps of each step: `"largest"` (the default), the weight with the largest step; or `"all"`.
        verbose: 1 prints the table at the end. Default 0.

    Attributes:
        table: list of `Step`: step (from 1), parameter, derivative, step_size, old, new.
        reason: `"min_step"` or `"max_steps"`, or None if training ended for another reason.

    Example:
        >>> import numpy as np, nncore
        >>> line = nncore.nn.Linear(1, 1, bias=False)
        >>> _ = nncore.nn.init.constant_(line.weight, 0.0)
        >>> model = nncore.Model(line)
        >>> model.compile(nncore.keras.optimizers.SGD(0.1), "ssr")
        >>> stop = StopOnSmallStep(min_step=0.1)
        >>> _ = model.fit(np.ones((1, 1)), np.full((1, 1), 2.0), batch_size="full", epochs=1000, verbose=0, callbacks=[stop])
        >>> print(stop)
          step  parameter      derivative    step size          old          new
             1  weight[0, 0]           -4         -0.4            0          0.4
             2  weight[0, 0]         -3.2        -0.32          0.4         0.72
             3  weight[0, 0]        -2.56       -0.256         0.72        0.976
             4  weight[0, 0]       -2.048      -0.2048        0.976       1.1808
             5  weight[0, 0]      -1.6384     -0.16384       1.1808      1.34464
             6  weight[0, 0]     -1.31072    -0.131072      1.34464      1.47571
             7  weight[0, 0]     -1.04858    -0.104858      1.47571      1.58057
             8  weight[0, 0]    -0.838861    -0.083886      1.58057      1.66446
        stopped after 8 steps: no step is larger than 0.1
    """

    def __init__(self, min_step=1e-3, max_steps=1000, rows="largest", verbose=0):
        super().__init__()
        if not min_step >= 0:
            raise ValueError(f"StopOnSmallStep: argument 'min_step' is {min_step}, expected a number >= 0")
        if isinstance(max_steps, bool) or not isinstance(max_steps, (int, np.integer)) or max_steps < 1:
            raise ValueError(f"StopOnSmallStep: argument 'max_steps' is {max_steps!r}, expected an int >= 1")
        if rows not in ("largest", "all"):
            raise ValueError(f"StopOnSmallStep: argument 'rows' is {rows!r}, expected 'largest' or 'all'")
        self.min_step, self.max_steps, self.rows, self.verbose = min_step, max_steps, rows, verbose
        self._reset()

    def _reset(self):
        self.table, self.reason, self.steps, self._before = [], None, 0, None

    def state_dict(self):
        """What must be remembered; see `Callback`."""
        return {"steps": self.steps, "table": [list(row) for row in self.table]}

    def load_state_dict(self, state):
        """Take over what `state_dict` gave; see `Callback`."""
        self.steps, self.table = state["steps"], [Step(*row) for row in state["table"]]

    def on_train_begin(self, logs=None):
        """See `Callback`."""
        self._reset()

    def on_train_batch_begin(self, batch, logs=None):
        """See `Callback`."""
        if self._before is None:
            self._before = [p.array.copy() for p in self.model.parameters()]

    def on_train_batch_end(self, batch, logs=None):
        """See `Callback`."""
        if self.model._step("train").accumulated:  # the weights move after some more batches
            return
        self.steps += 1
        largest, rows = None, []
        for (name, parameter), before in zip(self.model.named_parameters(), self._before, strict=True):
            sizes = (before - parameter.array).reshape(before.shape)
            if not sizes.size:
                continue
            if self.rows == "all":
                rows += [self._row(name, parameter, before, position) for position in np.ndindex(before.shape)]
            position = np.unravel_index(np.abs(sizes).argmax(), sizes.shape)
            if largest is None or abs(sizes[position]) > abs(largest.step_size):
                largest = self._row(name, parameter, before, position)
        self._before = [p.array.copy() for p in self.model.parameters()]
        self.table += rows if self.rows == "all" else [largest] if largest else []
        if largest is None or abs(largest.step_size) <= self.min_step:
            self.reason = "min_step"
        elif self.steps >= self.max_steps:
            self.reason = "max_steps"
        self.model.stop_training = self.model.stop_training or self.reason is not None

    def _row(self, name, parameter, before, position):
        position = tuple(map(int, position))
        label = f"{name}[{', '.join(map(str, position))}]" if position else name
        derivative = 0.0 if parameter.grad is None else float(parameter.grad.array[position])
        old, new = float(before[position]), float(parameter.array[position])
        return Step(self.steps, label, derivative, old - new, old, new)

    def on_train_end(self, logs=None):
        """See `Callback`."""
        if self.verbose:
            print(self)

    def __str__(self):
        width = max([9, *(len(row.parameter) for row in self.table)])
        names = ("derivative", "step size", "old", "new")
        lines = [f"{'step':>6}  {'parameter':<{width}}" + "".join(f"{name:>13}" for name in names)]
        for row in self.table:
            numbers = "".join(f"{value:>13.6g}" for value in row[2:])
            lines.append(f"{row.step:>6}  {row.parameter:<{width}}{numbers}")
        if self.reason == "min_step":
            lines.append(f"stopped after {self.steps} steps: no step is larger than {self.min_step:g}")
        elif self.reason == "max_steps":
            lines.append(f"stopped after {self.steps} steps, the most that there may be")
        return "\n".join(lines)
