"""Where batches come from: arrays in memory, or anything that can be iterated over. Checked before training begins.

A batch is `(inputs, y, weight)`: a tuple of Tensors for the model, the labels as a Tensor or None, and one weight per
sample as an ndarray or None.
"""

import copy
import itertools
import math

import numpy as np

from .. import ops
from .._tensor import Tensor


class ArrayBatches:
    """Batches of arrays that are held in memory; the arrays are not copied.

    Args:
        op: name of the caller, for errors.
        x: array of shape `(samples, ...)`, or a tuple of them for a model with several inputs.
        y: labels, shape `(samples, ...)`, or None.
        sample_weight: shape `(samples,)`, or None.
        dtype: dtype of the model; floating-point arrays are converted to it, batch by batch.
        batch_size: samples per batch, None for 32, "full" for all.
        shuffle: whether every epoch has its own order, drawn from the generator of nncore.
        steps: at most so many batches per epoch; None for all.
        class_weight: table from `checked_class_weight`, or None.
    """

    def __init__(
        self, op, x, y, sample_weight, dtype, *, batch_size=None, shuffle=False, steps=None, class_weight=None
    ):
        self.op = op
        self.inputs = tuple(_data(op, "x", a) for a in x) if isinstance(x, tuple) else (_data(op, "x", x),)
        self.y = None if y is None else _data(op, "y", y)
        self.samples = len(self.inputs[0])
        for a in self.inputs[1:]:
            _same_samples(op, "x", len(a), self.samples)
        if self.y is not None:
            _same_samples(op, "y", len(self.y), self.samples)
        self.weight = checked_sample_weight(op, sample_weight, self.samples)
        if class_weight is not None:
            self.weight = weigh_classes(op, class_weight, self.y, self.weight)
        self.dtype = dtype
        self.batch_size = max(1, self.samples) if batch_size == "full" else _count(op, "batch_size", batch_size, 32)
        self.shuffle = shuffle
        self.steps = math.ceil(self.samples / self.batch_size)
        if steps is not None:
            self.steps = min(self.steps, steps)

    def nonempty(self):
        """Itself; a ValueError if there are no samples."""
        if self.samples == 0:
            raise ValueError(f"{self.op}: argument 'x' has 0 samples, expected at least 1")
        return self

    def check_training(self, epochs):
        """A ValueError if fit has nothing to work with."""
        self.nonempty()

    def split(self, fraction):
        """Set the last `fraction` of the samples aside: (ArrayBatches for training, ArrayBatches for validation)."""
        at = int(self.samples * (1.0 - fraction))
        if at == 0 or at == self.samples:
            raise ValueError(
                f"{self.op}: argument 'validation_split' is {fraction}, which leaves {at} of {self.samples} samples "
                f"for training and {self.samples - at} for validation"
            )
        return self._part(0, at), self._part(at, self.samples)

    def _part(self, start, stop):
        part = copy.copy(self)
        part.inputs = tuple(a[start:stop] for a in self.inputs)
        part.y = None if self.y is None else self.y[start:stop]
        part.weight = None if self.weight is None else self.weight[start:stop]
        part.samples = stop - start
        part.shuffle = self.shuffle and start == 0
        part.steps = min(self.steps, math.ceil(part.samples / self.batch_size))
        return part

    def first_inputs(self):
        """One sample (or none, if there is none), to learn the model's shapes from."""
        return tuple(self._tensor(a[:1]) for a in self.inputs)

    def __iter__(self):
        order = ops.randperm(self.samples).array if self.shuffle else None
        for step in range(self.steps):
            yield self.batch(step, order)

    def batch(self, step, order):
        """Batch number `step` of an epoch in which the samples come in `order`, an int64 array or None."""
        start, stop = step * self.batch_size, min((step + 1) * self.batch_size, self.samples)
        rows = slice(start, stop) if order is None else order[start:stop]
        inputs = tuple(self._tensor(a[rows]) for a in self.inputs)
        y = None if self.y is None else self._tensor(self.y[rows])
        return inputs, y, None if self.weight is None else self.weight[rows]

    def _tensor(self, array):
        return Tensor(array if array.dtype.kind != "f" else array.astype(self.dtype, copy=False))


class StreamBatches:
    """Batches from an iterable: a DataLoader, a list of batches, a generator.

    A batch is `x`, `(x, y)` or `(x, y, sample_weight)`; x may be a tuple for a model with several inputs.

    Args:
        op: name of the caller, for errors.
        iterable: gives the batches. One that is its own iterator is read on from epoch to epoch.
        dtype: dtype of the model; floating-point arrays are converted to it.
        steps: batches per epoch; None for all of them.
        class_weight: table from `checked_class_weight`, or None.
    """

    def __init__(self, op, iterable, dtype, *, steps=None, class_weight=None):
        self.op = op
        self.class_weight = class_weight
        self.iterable = iterable
        self.dtype = dtype
        self.once = iter(iterable) is iterable
        self.steps = steps
        if hasattr(iterable, "__len__"):
            self.steps = len(iterable) if steps is None else min(steps, len(iterable))

    def nonempty(self):
        """Itself; whether there are batches shows when they are asked for."""
        return self

    def check_training(self, epochs):
        """A ValueError if a generator shall be read more than once from its beginning."""
        if self.once and self.steps is None and epochs > 1:
            raise ValueError(
                f"{self.op}: argument 'x' is an iterator, which ends once: give steps_per_epoch, or epochs=1, or a list"
            )

    def split(self, fraction):
        """Refused: only arrays can be split."""
        raise ValueError(f"{self.op}: argument 'validation_split' needs arrays; give validation_data with an iterable")

    def first_inputs(self):
        """The inputs of the first batch, which a generator still gives afterwards."""
        iterator = iter(self.iterable)
        try:
            first = next(iterator)
        except StopIteration:
            raise ValueError(f"{self.op}: argument 'x' gave no batch") from None
        if self.once:
            self.iterable = itertools.chain((first,), iterator)
        return self._batch(first)[0]

    def __iter__(self):
        empty = True
        for batch in itertools.islice(self.iterable, self.steps):
            empty = False
            yield self._batch(batch)
        if empty:
            raise ValueError(f"{self.op}: argument 'x' gave no batch: a generator that ended cannot begin again")

    def _batch(self, batch):
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        if not 1 <= len(parts) <= 3:
            raise ValueError(
                f"{self.op}: argument 'x' gave a batch of {len(parts)} parts, expected x, (x, y) or (x, y, weight)"
            )
        x, y, weight = (*parts, None, None)[:3]
        inputs = tuple(_data(self.op, "x", a) for a in (x if isinstance(x, tuple) else (x,)))
        if y is not None:
            y = _data(self.op, "y", y)
            _same_samples(self.op, "y", len(y), len(inputs[0]))
        weight = checked_sample_weight(self.op, weight, len(inputs[0]))
        if self.class_weight is not None:
            weight = weigh_classes(self.op, self.class_weight, y, weight)
        return tuple(map(self._tensor, inputs)), None if y is None else self._tensor(y), weight

    _tensor = ArrayBatches._tensor


def make(op, x, y, sample_weight, dtype, *, batch_size=None, shuffle=False, steps=None, class_weight=None):
    """The batches of `x`: of arrays if it is one (or a list of numbers, or a tuple of arrays), else of an iterable."""
    steps = None if steps is None else _count(op, "steps", steps, None)
    if x is None:
        raise ValueError(f"{op}: argument 'x' is None, expected arrays or an iterable of batches")
    if is_arrays(x):
        options = {"batch_size": batch_size, "shuffle": shuffle, "steps": steps, "class_weight": class_weight}
        return ArrayBatches(op, x, y, sample_weight, dtype, **options)
    if not hasattr(x, "__iter__"):
        raise TypeError(f"{op}: argument 'x' is {type(x).__name__}, expected arrays or an iterable of batches")
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(f"{op}: argument {name!r} was given, expected None: the batches of 'x' hold it")
    return StreamBatches(op, x, dtype, steps=steps, class_weight=class_weight)


def is_arrays(x):
    """Whether `x` holds all samples: an array, a list of numbers, or a tuple of arrays; and not an iterable of batches."""
    if isinstance(x, (list, tuple)):
        batch = x[0] if x else 0.0
        while isinstance(batch, (list, tuple)) and batch and isinstance(batch[0], tuple):  # several inputs
            batch = batch[0]
        return not (isinstance(batch, (list, tuple)) and batch and _is_array(batch[0]))
    return _is_array(x)


def _is_array(x):
    return isinstance(x, Tensor) or hasattr(x, "__array__")


def _data(op, name, x):
    """`x` as an ndarray of numbers with at least one axis."""
    if isinstance(x, Tensor):
        array = x.array
    else:
        try:
            array = np.asarray(x)
        except ValueError as error:  # a ragged list
            raise ValueError(f"{op}: argument {name!r} is not an array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{op}: argument {name!r} has dtype {array.dtype}, expected numbers")
    if array.ndim == 0:
        raise ValueError(f"{op}: argument {name!r} is a single number, expected an array with one row per sample")
    if array.dtype.kind in "iu" and array.dtype not in (np.int64, np.int32, np.uint8):
        array = array.astype(np.int64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _same_samples(op, name, samples, expected):
    if samples != expected:
        raise ValueError(f"{op}: argument {name!r} has {samples} samples, expected {expected} as in 'x'")


def checked_sample_weight(op, weight, samples):
    """`weight` as a float64 array of shape `(samples,)`; None stays None."""
    if weight is None:
        return None
    weight = _data(op, "sample_weight", weight).astype(np.float64, copy=False)
    _same_samples(op, "sample_weight", len(weight), samples)
    weight = weight.reshape(len(weight), -1)
    if weight.shape[1] != 1:
        raise ValueError(f"{op}: argument 'sample_weight' has {weight.shape[1]} numbers per sample, expected 1")
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise ValueError(f"{op}: argument 'sample_weight' has a negative or non-finite number, expected numbers >= 0")
    return weight[:, 0]


def checked_class_weight(op, class_weight):
    """`class_weight` as an array that is indexed by the class; classes that are not named weigh 1."""
    if class_weight is None:
        return None
    for label, weight in class_weight.items():
        if not isinstance(label, (int, np.integer)) or label < 0:
            raise ValueError(f"{op}: argument 'class_weight' has the class {label!r}, expected an int >= 0")
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(
                f"{op}: argument 'class_weight' has {weight} for class {label}, expected a finite number >= 0"
            )
    table = np.ones(max(class_weight, default=-1) + 1)
    table[list(class_weight)] = list(class_weight.values())
    return table


def weigh_classes(op, table, y, weight):
    """The weights of the samples with labels `y` (integers or one-hot), times `weight` if there is one."""
    if y is None:
        raise ValueError(f"{op}: argument 'class_weight' needs labels, but argument 'y' is missing")
    labels = y.argmax(axis=-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y)).astype(np.int64)
    of_class = np.ones(len(labels))
    known = (labels >= 0) & (labels < len(table))
    of_class[known] = table[labels[known]]
    return of_class if weight is None else weight * of_class


def _count(op, name, value, default):
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{op}: argument {name!r} is {value!r}, expected an int >= 1")
    return int(value)
