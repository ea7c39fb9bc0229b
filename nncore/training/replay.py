"""Epochs over arrays as one native call: the step of every batch size is captured once, and replayed from then on."""

import numpy as np

from .._core.capture import CaptureError
from .._core.kernels import KERNELS
from .._tensor import Tensor
from ..compiled import Captured
from ..ops.convert import cast
from ..ops.random import permutation

_copy, _gather_rows = KERNELS["copy"], KERNELS["gather_rows"]
KEPT_STEPS, KEPT_BYTES = 1 << 16, 1 << 24  # losses, and bytes of outputs, that wait for the objective


class _Rows:
    """The samples of an array: gathered in the order of an index, or the array itself, part by part."""

    def __init__(self, array, gathered):
        self.array, self.gathered = array, gathered
        if gathered:
            axes = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
            ordered = array.transpose(axes)
            if axes[0] != 0 or not ordered.flags.c_contiguous:
                raise CaptureError("fit: the samples do not lie one after the other in memory")
            self.shape = ordered.shape[1:]
            self.axes = [axes.index(axis) for axis in range(array.ndim)]
            self.table = ordered.reshape(len(array), -1)

    def batch(self, window):
        """The samples of a window, which is a part of the index or of the array."""
        if not self.gathered:
            return window
        return _gather_rows(self.table, window).reshape(len(window), *self.shape).transpose(self.axes)


class Replay:
    """The steps of `fit` over arrays. What cannot be captured is done step by step in Python.

    Args:
        step: TrainingStep.
        batches: ArrayBatches.
        eager: whether not to capture at all.
        finite: whether to stop after a step whose loss is not finite.

    Attributes:
        reason: why the steps are not replayed, a CaptureError or None.
    """

    def __init__(self, step, batches, eager=False, finite=False):
        self.step, self.batches, self.finite = step, batches, finite
        self.order = np.empty(batches.samples, np.int64) if batches.shuffle else None
        self.programs = {}  # (batch size, phase of the step) -> _Program
        self.reason = CaptureError("the model was compiled with run_eagerly=True") if eager else None
        try:
            self.rows = [
                None if a is None else _Rows(a, batches.shuffle) for a in (*batches.inputs, batches.y, batches.weight)
            ]
        except CaptureError as error:
            self.reason = error

    def begin_epoch(self):
        """Draw the order of the samples."""
        if self.order is not None:
            self.order[...] = permutation(self.batches.samples)

    def run(self, number, most, after):
        """Do steps from `number` on: of one batch size, as many as there is room for, at most `most`.

        Args:
            number: of the first step in the epoch.
            most: how many at most.
            after: function(steps done), called now and then and at the end, when these steps are in the objective. If it
                returns True, no more steps are done.

        Returns:
            How many were done.

        Raises:
            ValueError: a kernel refused values; the model is as after the last whole step.
        """
        size = self.batches.batch_size
        first = number * size
        whole = self.batches.samples // size - number
        if whole == 0:
            size, whole = self.batches.samples - first, 1
        kind = size, self.step.phase
        program = self.programs.get(kind)
        if self.reason is None and program is not None and program.captured.is_valid():
            return program.run(first, min(most, whole), after)
        if self.reason is None:
            try:
                self.programs[kind] = program = _Program(self, first, *kind)
                self.reason = program.reason
                self.step.advance()
                after(1)
                return 1
            except CaptureError as error:
                self.reason = error
        self.step.run(*self.batches.batch(number, self.order))
        after(1)
        return 1

    def windows(self, first, size):
        """What moves on with every step: the window of the order, or of every array."""
        if self.order is not None:
            return [self.order[first : first + size]]
        return [rows.array[first : first + size] for rows in self.rows if rows is not None]


class _Program:
    """The captured step of one batch size and phase. To make it is to do the step that begins with sample `first`.

    Attributes:
        captured: a Captured, or None: the step was done, but cannot be replayed, for the reason in `reason`.
    """

    def __init__(self, replay, first, size, phase):
        self.replay, self.size, self.phase = replay, size, phase
        self.cursors = [(window, window.strides[0] * size) for window in replay.windows(first, size)]
        self.losses = self.captured = self.reason = None
        try:
            self.captured = Captured(self._step, (), self.cursors, undo=replay.step.put_back)
        except CaptureError as error:
            if error.result is None:  # the step was not done
                raise
            self.reason = error
        if self.captured is not None and replay.finite:
            self.captured.program.watch(self.losses, self.losses.itemsize)
        self._update(first, 0, 1)

    def _step(self):
        """The step, between the samples and what is kept of it."""
        replay, step = self.replay, self.replay.step
        windows = iter([window for window, _ in self.cursors])
        if replay.order is not None:
            windows = iter([self.cursors[0][0]] * len(replay.rows))
        *inputs, y, weight = [None if rows is None else rows.batch(next(windows)) for rows in replay.rows]
        loss, outputs = step.compute(tuple(map(self._tensor, inputs)), self._tensor(y), weight, *self.phase)
        room = max(1, min(KEPT_STEPS, KEPT_BYTES // max(1, outputs.array.nbytes)))
        self.losses = self._kept(loss.array.reshape(1), room)
        keeps = step.objective.metrics or step.objective.weighted_metrics
        self.outputs = self._kept(outputs.array, room) if keeps else None

    def _tensor(self, array):
        return (
            array
            if array is None
            else cast(Tensor(array), self.replay.batches.dtype if array.dtype.kind == "f" else array.dtype)
        )

    def _kept(self, array, room):
        """A copy of `array` at the head of an array that has `room` times as many rows."""
        kept = np.empty((room * len(array), *array.shape[1:]), array.dtype)
        window = kept[: len(array)]
        _copy(array, out=window)
        self.cursors.append((window, window.nbytes))
        return kept

    def run(self, first, most, after):
        """Do at most `most` steps from sample `first` on; see Replay.run."""
        program, replay = self.captured.program, self.replay
        most = min(most, len(self.losses))
        for cursor, window in enumerate(replay.windows(first, self.size)):
            program.move(cursor, window)
        seen = 0

        def update(done):
            nonlocal seen
            self._update(first, seen, done)
            replay.step.advance(done - seen)
            seen = done
            return after(done)

        self.captured.run((), most, update)
        return seen

    def _update(self, first, begin, end):
        """Add steps to the objective."""
        replay, size = self.replay, self.size
        objective, batches = replay.step.objective, replay.batches
        losses = self.losses[begin:end].tolist()
        if self.outputs is None:
            for loss in losses:
                objective.mean_loss.add(loss, size)
            return
        for i, loss in enumerate(losses, begin):
            rows = slice(first + i * size, first + (i + 1) * size)
            rows = rows if replay.order is None else replay.order[rows]
            weight = None if batches.weight is None else batches.weight[rows]
            y = batches.y[rows]
            y = y.astype(batches.dtype, copy=False) if y.dtype.kind == "f" else y
            objective.update(loss, y, self.outputs[i * size : (i + 1) * size], weight)
