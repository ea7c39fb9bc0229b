"""Sequences as batches: windows of a time series, and lists of different lengths."""

import math
import numbers

import numpy as np

from nncore import ops
from nncore._core.kernels import KERNELS
from nncore._tensor import Tensor
from nncore.data.dataloader import DataLoader
from nncore.data.dataset import Dataset
from nncore.random import Generator

_gather_rows = KERNELS["gather_rows"]


class _Windows(Dataset):
    """Sample i is series[starts[i] : ... : rate], `length` steps long, with targets[starts[i]] where there are targets."""

    def __init__(self, series, targets, starts, length, rate):
        self.series, self.targets, self.starts = series, targets, starts
        self.steps = rate * np.arange(length)

    def __len__(self):
        return len(self.starts)

    def __getitem__(self, index):
        start = self.starts[index]
        window = Tensor(self.series[start + self.steps])
        return window if self.targets is None else (window, Tensor(np.asarray(self.targets[start])))

    def batches(self):
        """Whole batches, one kernel call for the windows and one for the targets."""
        series, targets = _table(self.series), None if self.targets is None else _table(self.targets)

        def batch(index):
            starts = self.starts[index]
            rows = (starts[:, None] + self.steps).ravel()
            shape = (len(starts), len(self.steps), *self.series.shape[1:])
            windows = Tensor(_gather_rows(series, rows).reshape(shape))
            if targets is None:
                return windows
            return windows, Tensor(_gather_rows(targets, starts).reshape(len(starts), *self.targets.shape[1:]))

        return batch


def _table(array):
    return np.ascontiguousarray(array).reshape(len(array), math.prod(array.shape[1:]))


def timeseries_dataset_from_array(
    data,
    targets,
    sequence_length,
    sequence_stride=1,
    sampling_rate=1,
    batch_size=128,
    shuffle=False,
    seed=None,
    start_index=None,
    end_index=None,
):
    """Windows of a time series as batches for `fit`.

    Window i holds the steps s, s + sampling_rate, ... of `data`, where s = start_index + i * sequence_stride, and its target
    is targets[s]. So to foretell the step after a window of consecutive steps, give data[:-sequence_length] as `data` and
    data[sequence_length:] as `targets`.

    Args:
        data: array of shape (steps, ...).
        targets: array of shape (steps, ...), or None: the batches are windows alone.
        sequence_length: steps in a window.
        sequence_stride: steps from the start of a window to that of the next. Default: 1.
        sampling_rate: steps from one element of a window to the next. Default: 1.
        batch_size: windows in a batch; None gives them one by one. Default: 128.
        shuffle: a new random order of the windows for every pass. Default: False.
        seed: of the order. Default: None draws from nncore's own generator.
        start_index, end_index: only the steps start_index <= step < end_index are used. Default: all.

    Returns:
        DataLoader of batches x, or (x, y); x has shape (windows, sequence_length, ...), y (windows, ...).

    Raises:
        ValueError: a number is out of range, or there is no window.

    Example:
        >>> import numpy as np
        >>> from nncore.data import timeseries_dataset_from_array
        >>> series = np.arange(6.0, dtype=np.float32)
        >>> [(x, y)] = timeseries_dataset_from_array(series[:-3], series[3:], sequence_length=3)
        >>> x.tolist(), y.tolist()
        ([[0.0, 1.0, 2.0]], [3.0])

    Reference: keras.utils.timeseries_dataset_from_array.
    """
    op = "timeseries_dataset_from_array"
    series, targets = _steps(op, "data", data), None if targets is None else _steps(op, "targets", targets)
    for name, value in (
        ("sequence_length", sequence_length),
        ("sequence_stride", sequence_stride),
        ("sampling_rate", sampling_rate),
    ):
        _check_range(op, name, value, 1, None)
    start = 0 if start_index is None else _check_range(op, "start_index", start_index, 0, len(series) - 1)
    end = len(series) if end_index is None else _check_range(op, "end_index", end_index, start + 1, len(series))
    first_targets = end - start if targets is None else len(targets) - start
    windows = min(end - start - (sequence_length - 1) * sampling_rate, first_targets)
    if windows < 1:
        raise ValueError(
            f"{op}: {end - start} steps{'' if targets is None else f' and {max(0, first_targets)} targets'} hold no window "
            f"of {sequence_length} steps with sampling_rate={sampling_rate}"
        )
    starts = start + np.arange(0, windows, sequence_stride, dtype=np.int64)
    dataset = _Windows(series, targets, starts, sequence_length, sampling_rate)
    generator = None if seed is None else Generator(seed)
    return DataLoader(dataset, batch_size=batch_size, shuffle=shuffle, generator=generator)


def _steps(op, name, values):
    array = ops.as_tensor(values).array
    if array.ndim == 0:
        raise ValueError(f"{op}: argument {name!r} is a single number, expected an array of steps")
    return array


def _check_range(op, name, value, least, most):
    if (
        not isinstance(value, numbers.Integral)
        or isinstance(value, bool)
        or value < least
        or (most is not None and value > most)
    ):
        expected = f"an int >= {least}" if most is None else f"an int from {least} to {most}"
        raise ValueError(f"{op}: argument {name!r} is {value!r}, expected {expected}")
    return int(value)


def pad_sequences(sequences, maxlen=None, dtype="int32", padding="pre", truncating="pre", value=0.0):
    """One array from sequences of different lengths: short ones are padded, long ones cut.

    Args:
        sequences: list of sequences; their elements are numbers, or arrays of one shape.
        maxlen: length of the result. Default: that of the longest sequence.
        dtype: of the result. Default: "int32".
        padding: "pre" (the default) puts the values before a short sequence, "post" after it.
        truncating: "pre" (the default) takes the surplus off the beginning of a long sequence, "post" off the end.
        value: what is put in. Default: 0.

    Returns:
        Array of shape (len(sequences), maxlen, ...).

    Raises:
        ValueError: an element of `sequences` is no sequence, or they have elements of different shapes.

    Example:
        >>> from nncore.data import pad_sequences
        >>> pad_sequences([[1], [2, 3, 4]], maxlen=2)
        array([[0, 1],
               [3, 4]], dtype=int32)

    Reference: keras.utils.pad_sequences.
    """
    op = "pad_sequences"
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ValueError(f"{op}: argument {name!r} is {side!r}, expected 'pre' or 'post'")
    if maxlen is not None:
        _check_range(op, "maxlen", maxlen, 0, None)
    rows = []
    for i, sequence in enumerate(sequences):
        try:
            rows.append(np.asarray(sequence))
        except ValueError:
            raise ValueError(f"{op}: sequence {i} of argument 'sequences' has elements of different shapes") from None
        if rows[-1].ndim == 0:
            raise ValueError(f"{op}: element {i} of argument 'sequences' is {sequence!r}, expected a sequence")
    shapes = {row.shape[1:] for row in rows if len(row)} or {()}
    if len(shapes) > 1:
        raise ValueError(f"{op}: argument 'sequences' has elements of shapes {sorted(shapes)}, expected one shape")
    length = max(map(len, rows), default=0) if maxlen is None else maxlen
    [shape] = shapes
    padded = np.full((len(rows), length, *shape), value, dtype)
    for i, row in enumerate(rows):
        kept = row[max(0, len(row) - length) :] if truncating == "pre" else row[:length]
        if len(kept):
            start = length - len(kept) if padding == "pre" else 0
            padded[i, start : start + len(kept)] = kept
    return padded
