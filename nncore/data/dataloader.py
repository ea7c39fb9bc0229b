"""DataLoader: batches of a dataset."""

from collections.abc import Mapping
from itertools import islice

import numpy as np

from nncore import ops
from nncore._tensor import Tensor
from nncore.data.dataset import Dataset, IterableDataset
from nncore.data.sampler import BatchSampler, RandomSampler, SequentialSampler


def default_collate(batch):
    """One batch from a list of samples: tensors, arrays and numbers are stacked, containers are taken apart.

    Example:
        >>> from nncore.data import default_collate
        >>> default_collate([(0, "a"), (1, "b")])
        [tensor([0, 1]), ('a', 'b')]

    Reference: torch.utils.data.default_collate.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return ops.stack(batch)
    if isinstance(first, (np.ndarray, np.number, np.bool_)):
        return ops.as_tensor(np.stack(batch))
    if isinstance(first, float):
        return Tensor(np.array(batch, np.float64))
    if isinstance(first, bool):
        return Tensor(np.array(batch, np.bool_))
    if isinstance(first, int):
        return Tensor(np.array(batch, np.int64))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        collated = [default_collate(parts) for parts in zip(*batch, strict=True)]
        return type(first)(*collated) if hasattr(first, "_fields") else collated
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first).__name__}"
    )


class DataLoader:
    """Iterates over a dataset in batches.

    Batches of a TensorDataset (or a Subset of one) are gathered whole, one kernel call per tensor. The order of a
    shuffled pass follows from the state of the generator alone.

    Args:
        dataset: Dataset, IterableDataset, or anything with `len` and `[i]`.
        batch_size: samples in a batch; None gives the samples themselves. Default: 1.
        shuffle: a new random order for every pass. Default: False.
        sampler: iterable of sample numbers, in the place of shuffle. Default: None.
        batch_sampler: iterable of lists of numbers, in the place of batch_size, shuffle, sampler and drop_last.
        num_workers: 0, the only value: kernels use all processors already.
        collate_fn: makes a batch of a list of samples. Default: default_collate.
        pin_memory: accepted as in torch; it has no meaning on a CPU.
        drop_last: leave out a last, shorter batch. Default: False.
        timeout, worker_init_fn, multiprocessing_context, prefetch_factor, persistent_workers: accepted as in torch;
            without workers they have no meaning.
        generator: nncore.Generator that shuffles. Default: nncore's own.

    Example:
        >>> import nncore
        >>> from nncore.data import DataLoader, TensorDataset
        >>> loader = DataLoader(TensorDataset(nncore.arange(5.0)), batch_size=2)
        >>> [x.tolist() for x, in loader]
        [[0.0, 1.0], [2.0, 3.0], [4.0]]

    Reference: torch.utils.data.DataLoader.
    """

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=None,
        sampler=None,
        batch_sampler=None,
        num_workers=0,
        collate_fn=None,
        pin_memory=False,
        drop_last=False,
        timeout=0,
        worker_init_fn=None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor=None,
        persistent_workers=False,
    ):
        if num_workers != 0:
            raise ValueError(f"DataLoader: argument 'num_workers' is {num_workers}, expected 0: there are no workers")
        self.dataset = dataset
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.generator = generator
        iterable = isinstance(dataset, IterableDataset)
        if iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader with IterableDataset: expected no shuffle, sampler or batch_sampler option")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None and not iterable:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None and not iterable:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn = default_collate if collate_fn is None else collate_fn

    def __iter__(self):
        if isinstance(self.dataset, IterableDataset):
            return self._iterate_stream()
        if self.batch_sampler is None:
            return (self.dataset[index] for index in self.sampler)
        return self._iterate_batches()

    def _iterate_batches(self):
        whole = self.dataset.batches() if isinstance(self.dataset, Dataset) else None
        if whole is None or self.collate_fn is not default_collate:
            for indices in self.batch_sampler:
                yield self.collate_fn([self.dataset[index] for index in indices])
            return
        arrays = self.batch_sampler.arrays() if isinstance(self.batch_sampler, BatchSampler) else None
        for indices in self.batch_sampler if arrays is None else arrays:
            yield whole(np.asarray(indices, np.int64))

    def _iterate_stream(self):
        samples = iter(self.dataset)
        if self.batch_size is None:
            yield from samples
            return
        while batch := list(islice(samples, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield self.collate_fn(batch)

    def __len__(self):
        """Number of batches (of samples with batch_size=None)."""
        if isinstance(self.dataset, IterableDataset):
            n = len(self.dataset)
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)
