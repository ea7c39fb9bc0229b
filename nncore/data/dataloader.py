"""DataLoader: batches of a dataset."""

import functools
from collections.abc import Mapping
from itertools import islice, repeat

import numpy as np

from nncore import ops
from nncore._tensor import Tensor
from nncore.data.dataset import Dataset, IterableDataset
from nncore.data.prefetch import END, ahead
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

    With `num_workers` above 0 one thread makes the batches of a pass ahead of time, whatever the number: it helps where a
    dataset waits for a disk or computes outside of Python, and not where it computes in Python. Samplers run in the
    calling thread, so the batches and their order are the same; a dataset or collate_fn that draws random numbers should
    have a generator of its own. What is raised in the thread is raised where the batch would have come.

    Args:
        dataset: Dataset, IterableDataset, or anything with `len` and `[i]`.
        batch_size: samples in a batch; None gives the samples themselves. Default: 1.
        shuffle: a new random order for every pass. Default: False.
        sampler: iterable of sample numbers, in the place of shuffle. Default: None.
        batch_sampler: iterable of lists of numbers, in the place of batch_size, shuffle, sampler and drop_last.
        num_workers: 0 (the default) makes a batch when it is asked for; above 0 a thread makes
            num_workers * prefetch_factor batches ahead.
        collate_fn: makes a batch of a list of samples. Default: default_collate.
        pin_memory: accepted as in torch; it has no meaning on a CPU.
        drop_last: leave out a last, shorter batch. Default: False.
        timeout: seconds to wait for a batch of the thread before a RuntimeError. Default: 0, without end.
        worker_init_fn: called with 0 in the thread of every pass before its first batch. Default: None.
        generator: nncore.Generator that shuffles. Default: nncore's own.
        prefetch_factor: see num_workers. Default: 2.
        multiprocessing_context, persistent_workers: accepted as in torch; a thread has no use for them.

    Raises:
        ValueError: options that exclude each other, or a value out of range.

    Example:
        >>> import nncore
        >>> from nncore.data import DataLoader, TensorDataset
        >>> loader = DataLoader(TensorDataset(nncore.arange(5.0)), batch_size=2)
        >>> [x.tolist() for x, in loader]
        [[0.0, 1.0], [2.0, 3.0], [4.0]]
        >>> [x.tolist() for x, in DataLoader(loader.dataset, batch_size=2, num_workers=1)]
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
        _check_count("num_workers", num_workers, 0)
        if not num_workers:
            for name, value in (("prefetch_factor", prefetch_factor), ("persistent_workers", persistent_workers)):
                if value:
                    raise ValueError(f"DataLoader: argument {name!r} is {value!r}, which needs num_workers > 0")
        if prefetch_factor is not None:
            _check_count("prefetch_factor", prefetch_factor, 1)
        if timeout < 0:
            raise ValueError(f"DataLoader: argument 'timeout' is {timeout}, expected seconds >= 0")
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
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
        jobs, make = self._work()
        if self.num_workers:
            begin = None if self.worker_init_fn is None else functools.partial(self.worker_init_fn, 0)
            yield from ahead(jobs, make, self.num_workers * self.prefetch_factor, self.timeout, begin)
            return
        for job in jobs:
            batch = make(job)
            if batch is END:
                return
            yield batch

    def _work(self):
        """(what the batches are to be made of, function that makes one of it)."""
        if isinstance(self.dataset, IterableDataset):
            stream = self._iterate_stream()
            return repeat(None), lambda job: next(stream, END)
        if self.batch_sampler is None:
            return self.sampler, self.dataset.__getitem__
        whole = self.dataset.batches() if isinstance(self.dataset, Dataset) else None
        if whole is None or self.collate_fn is not default_collate:
            return self.batch_sampler, lambda indices: self.collate_fn([self.dataset[index] for index in indices])
        arrays = self.batch_sampler.arrays() if isinstance(self.batch_sampler, BatchSampler) else None
        return self.batch_sampler if arrays is None else arrays, lambda indices: whole(np.asarray(indices, np.int64))

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


def _check_count(name, value, least):
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"DataLoader: argument {name!r} is {value!r}, expected an int >= {least}")
