"""Datasets: samples by number, or one after the other."""

import bisect
import itertools
import math
import warnings

import numpy as np

from nncore import ops
from nncore._core.kernels import KERNELS
from nncore._tensor import Tensor
from nncore.ops.random import permutation

_gather_rows = KERNELS["gather_rows"]


class Dataset:
    """Base class of datasets with `dataset[i]` and `len(dataset)`.

    Example:
        >>> from nncore.data import Dataset
        >>> class Squares(Dataset):
        ...     def __getitem__(self, index):
        ...         return index * index
        ...
        ...     def __len__(self):
        ...         return 10
        >>> (Squares() + Squares())[13]
        9

    Reference: torch.utils.data.Dataset.
    """

    def __getitem__(self, index):
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __add__(self, other):
        return ConcatDataset([self, other])

    def batches(self):
        """A function that gives a collated batch for an int64 array of sample numbers, or None.

        None, the default, says that samples are fetched one by one and collated by the DataLoader.
        """
        return None


class IterableDataset(Dataset):
    """Base class of datasets that give their samples through `__iter__` only.

    Reference: torch.utils.data.IterableDataset.
    """

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")


class TensorDataset(Dataset):
    """Sample i is (tensor[i] for each tensor).

    Args:
        *tensors: Tensors or NumPy arrays with equal first sizes; memory is shared.

    Example:
        >>> import nncore
        >>> from nncore.data import TensorDataset
        >>> dataset = TensorDataset(nncore.arange(6.0).reshape(3, 2), nncore.tensor([0, 1, 0]))
        >>> dataset[1]
        (tensor([2., 3.]), tensor(1))

    Reference: torch.utils.data.TensorDataset.
    """

    def __init__(self, *tensors):
        tensors = tuple(ops.as_tensor(tensor) for tensor in tensors)
        if any(tensor.ndim == 0 or len(tensor) != len(tensors[0]) for tensor in tensors):
            shapes = ", ".join(str(tensor.shape) for tensor in tensors)
            raise ValueError(f"TensorDataset: tensors have shapes {shapes}, expected equal first sizes")
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self):
        return len(self.tensors[0])

    def batches(self):
        """Whole batches, one kernel call per tensor; not for a subclass with a __getitem__ of its own."""
        if type(self).__getitem__ is not TensorDataset.__getitem__:
            return None
        gathers = [_row_gather(tensor.array) for tensor in self.tensors]
        n = len(self)

        def batch(index):
            if index.size and index.min() < 0:
                index = np.where(index < 0, index + n, index)
            return [Tensor(gather(index)) for gather in gathers]

        return batch


def _row_gather(array):
    """gather(index) -> array[index], with the samples in the memory layout that they have in `array`."""
    order = [0, *sorted(range(1, array.ndim), key=lambda axis: -array.strides[axis])]
    back = tuple(np.argsort(order))
    dense = np.ascontiguousarray(array.transpose(order))  # a copy only where memory has gaps
    table = dense.reshape(len(array), math.prod(dense.shape[1:]))
    if order == sorted(order):
        return lambda index: _gather_rows(table, index).reshape(len(index), *dense.shape[1:])
    return lambda index: _gather_rows(table, index).reshape(len(index), *dense.shape[1:]).transpose(back)


class Subset(Dataset):
    """Some samples of a dataset.

    Args:
        dataset: Dataset.
        indices: sequence of sample numbers.

    Example:
        >>> from nncore.data import Subset
        >>> Subset("abcdef", [5, 0])[0]
        'f'

    Reference: torch.utils.data.Subset.
    """

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index):
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self):
        return len(self.indices)

    def batches(self):
        """The batches of the dataset below, if it has any."""
        below = self.dataset.batches() if isinstance(self.dataset, Dataset) else None
        if below is None or type(self).__getitem__ is not Subset.__getitem__:
            return None
        indices = np.asarray(self.indices, np.int64)
        return lambda index: below(indices[index])


class ConcatDataset(Dataset):
    """Datasets one after the other.

    Args:
        datasets: iterable of Datasets with a length.

    Example:
        >>> from nncore.data import ConcatDataset
        >>> ConcatDataset(["ab", "cde"])[3]
        'd'

    Reference: torch.utils.data.ConcatDataset.
    """

    def __init__(self, datasets):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: argument 'datasets' is empty, expected at least one dataset")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise TypeError(
                "ConcatDataset: argument 'datasets' has an IterableDataset, expected datasets with a length"
            )
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, index):
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self):
        return self.cumulative_sizes[-1]


def random_split(dataset, lengths, generator=None):
    """Part a dataset at random into Subsets.

    Args:
        dataset: Dataset with a length.
        lengths: numbers of samples, which add up to all, or fractions, which add up to 1.
        generator: nncore.Generator. Default: nncore's own.

    Returns:
        list of Subset.

    Example:
        >>> from nncore.data import random_split
        >>> [len(part) for part in random_split(range(10), [0.7, 0.3])]
        [7, 3]

    Reference: torch.utils.data.random_split.
    """
    total = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        if any(not 0 <= fraction <= 1 for fraction in lengths):
            raise ValueError(f"random_split: argument 'lengths' is {lengths}, expected fractions from 0 to 1")
        lengths = [math.floor(total * fraction) for fraction in lengths]
        for i in range(total - sum(lengths)):
            lengths[i % len(lengths)] += 1
        if 0 in lengths:
            warnings.warn(f"random_split: a part of {total} samples is empty", stacklevel=2)
    if sum(lengths) != total:
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    order = permutation(total, generator).tolist()
    ends = list(itertools.accumulate(lengths))
    return [Subset(dataset, order[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
