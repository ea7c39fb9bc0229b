"""Sequences of different lengths: padded to one Tensor, or packed, step after step, as torch packs them.

nncore's recurrent layers take `lengths` with a padded batch, too, which needs no packing.
"""

from collections import namedtuple

import numpy as np

from nncore import ops
from nncore._core.capture import constant
from nncore._tensor import Tensor


class PackedSequence(namedtuple("PackedSequence", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"])):
    """Sequences of different lengths without padding: first all first steps, then all second ones, longest sequence first.

    Attributes:
        data: Tensor of shape (total number of steps, ...).
        batch_sizes: int64 Tensor: how many sequences have a first step, a second one, ...
        sorted_indices, unsorted_indices: int64 Tensors: where the sequence of a place stood, and the way back; None if
            they came sorted.

    Reference: torch.nn.utils.rnn.PackedSequence.
    """

    __slots__ = ()

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        """Take the parts as they are; `pack_padded_sequence` makes them."""
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    @property
    def lengths(self):
        """int64 array: the lengths of the sequences, in their order before they were packed."""
        sizes = self.batch_sizes.array
        lengths = (sizes[:, None] > np.arange(sizes[0])).sum(0)
        return lengths if self.unsorted_indices is None else lengths[self.unsorted_indices.array]


def _index(array):
    """An index Tensor that is the same in every replay."""
    return Tensor(constant(np.ascontiguousarray(array, np.int64)))


def _checked_lengths(op, lengths, steps, batch):
    values = np.asarray(lengths.tolist() if isinstance(lengths, Tensor) else lengths)
    if values.shape != (batch,) or (values.size and values.dtype.kind not in "iu"):
        raise ValueError(f"{op}: argument 'lengths' has shape {values.shape}, expected {batch} integers")
    if values.size and not 1 <= values.min() <= values.max() <= steps:
        raise ValueError(f"{op}: argument 'lengths' holds {values.min()} to {values.max()}, expected 1 to {steps}")
    return values.astype(np.int64)


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Pack a padded batch.

    Args:
        input: Tensor of shape (steps, batch, ...), or (batch, steps, ...) with batch_first.
        lengths: the length of every sequence, 1 to steps: list, array or int64 Tensor.
        batch_first: Default: False.
        enforce_sorted: whether to refuse lengths that do not descend, and not to sort them. Default: True.

    Returns:
        PackedSequence.

    Raises:
        ValueError: a length is out of range, or they do not descend.

    Example:
        >>> import nncore
        >>> from nncore.nn.utils.rnn import pack_padded_sequence
        >>> packed = pack_padded_sequence(nncore.tensor([[1.0, 4.0], [2.0, 0.0]]), [2, 1])
        >>> packed.data, packed.batch_sizes
        (tensor([1., 4., 2.]), tensor([2, 1]))

    Reference: torch.nn.utils.rnn.pack_padded_sequence.
    """
    op = "pack_padded_sequence"
    if input.ndim < 2:
        raise ValueError(f"{op}: argument 'input' has shape {input.shape}, expected at least steps and batch")
    x = input.transpose(0, 1) if batch_first else input
    steps, batch = x.shape[:2]
    lengths = _checked_lengths(op, lengths, steps, batch)
    if batch == 0:
        raise ValueError(f"{op}: argument 'input' has shape {input.shape}, expected at least one sequence")
    order = np.argsort(-lengths, kind="stable")
    if enforce_sorted and (np.diff(lengths) > 0).any():
        raise ValueError(
            f"{op}: argument 'lengths' is {lengths.tolist()}, expected descending; or pass enforce_sorted=False"
        )
    sizes = (lengths > np.arange(lengths.max())[:, None]).sum(1)
    rows = np.concatenate([t * batch + order[:n] for t, n in enumerate(sizes)])
    data = x.reshape(steps * batch, *x.shape[2:])[_index(rows)]
    sort = (None, None) if enforce_sorted else (_index(order), _index(np.argsort(order)))
    return PackedSequence(data, _index(sizes), *sort)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """Undo pack_padded_sequence.

    Args:
        sequence: PackedSequence.
        batch_first: whether the result is (batch, steps, ...). Default: False.
        padding_value: what stands after the end of a sequence. Default: 0.
        total_length: number of steps, at least that of the longest sequence. Default: that.

    Returns:
        (Tensor of shape (steps, batch, ...), int64 Tensor of the lengths), in the order before packing.

    Raises:
        ValueError: total_length is too small.

    Example:
        >>> import nncore
        >>> from nncore.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
        >>> packed = pack_padded_sequence(nncore.tensor([[1.0, 4.0], [2.0, 9.0]]), [2, 1])
        >>> pad_packed_sequence(packed)
        (tensor([[1., 4.],
                [2., 0.]]), tensor([2, 1]))

    Reference: torch.nn.utils.rnn.pad_packed_sequence.
    """
    sizes, lengths = sequence.batch_sizes.array, sequence.lengths
    steps = len(sizes) if total_length is None else total_length
    if steps < len(sizes):
        raise ValueError(
            f"pad_packed_sequence: argument 'total_length' is {total_length}, expected at least {len(sizes)}"
        )
    data = sequence.data
    place = np.arange(len(lengths)) if sequence.unsorted_indices is None else sequence.unsorted_indices.array
    starts = np.zeros(steps, np.int64)
    starts[: len(sizes)] = np.cumsum(sizes) - sizes
    inside = np.arange(steps)[:, None] < lengths
    rows = np.where(inside, starts[:, None] + place, len(data))  # past the end: one more row, of padding
    padding = ops.full((1, *data.shape[1:]), padding_value, dtype=data.dtype)
    padded = ops.cat([data, padding])[_index(rows)]
    return padded.transpose(0, 1) if batch_first else padded, _index(lengths)


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Sequences of different lengths as one Tensor.

    Args:
        sequences: list of Tensors of shape (steps, ...).
        batch_first: whether the result is (batch, steps, ...), not (steps, batch, ...). Default: False.
        padding_value: what fills up the shorter ones. Default: 0.
        padding_side: "right", after them, or "left". Default: "right".

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.nn.utils.rnn.pad_sequence([nncore.tensor([1.0, 2.0]), nncore.tensor([3.0])], batch_first=True)
        tensor([[1., 2.],
                [3., 0.]])

    Reference: torch.nn.utils.rnn.pad_sequence.
    """
    if padding_side not in ("right", "left"):
        raise ValueError(f"pad_sequence: argument 'padding_side' is {padding_side!r}, expected 'right' or 'left'")
    if not len(sequences):
        raise ValueError("pad_sequence: argument 'sequences' is empty, expected at least one Tensor")
    steps = max(len(sequence) for sequence in sequences)
    padded = []
    for sequence in sequences:
        missing = steps - len(sequence)
        around = (0, 0) * (sequence.ndim - 1) + ((0, missing) if padding_side == "right" else (missing, 0))
        padded.append(ops.pad(sequence, around, value=padding_value) if missing else sequence)
    return ops.stack(padded, 0 if batch_first else 1)


def pack_sequence(sequences, enforce_sorted=True):
    """Pack a list of Tensors of shape (steps, ...).

    Example:
        >>> import nncore
        >>> nncore.nn.utils.rnn.pack_sequence([nncore.tensor([1.0, 2.0]), nncore.tensor([3.0])]).data
        tensor([1., 3., 2.])

    Reference: torch.nn.utils.rnn.pack_sequence.
    """
    return pack_padded_sequence(pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted)
