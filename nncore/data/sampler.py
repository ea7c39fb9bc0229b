"""Samplers: the order in which a DataLoader takes the samples."""

import numpy as np

from nncore.ops.random import fill_uniform, permutation


class Sampler:
    """Base class: an iterable of sample numbers.

    `indices()` may give them all at once as an int64 array; None, the default, says that only `__iter__` knows.

    Reference: torch.utils.data.Sampler.
    """

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def indices(self):
        """All numbers of one pass as an int64 array, or None."""
        return None


class _ArraySampler(Sampler):
    """A sampler that knows its whole order beforehand."""

    def __iter__(self):
        return iter(self.indices().tolist())


class SequentialSampler(_ArraySampler):
    """0, 1, 2, ...

    Args:
        data_source: dataset.

    Example:
        >>> from nncore.data import SequentialSampler
        >>> list(SequentialSampler("abc"))
        [0, 1, 2]

    Reference: torch.utils.data.SequentialSampler.
    """

    def __init__(self, data_source):
        self.data_source = data_source

    def indices(self):
        """All numbers of one pass as an int64 array."""
        return np.arange(len(self.data_source), dtype=np.int64)

    def __len__(self):
        return len(self.data_source)


class RandomSampler(_ArraySampler):
    """Every sample once in random order, or draws with replacement.

    Args:
        data_source: dataset.
        replacement: Default: False.
        num_samples: Default: as many as the dataset has.
        generator: nncore.Generator. Default: nncore's own.

    Example:
        >>> from nncore.data import RandomSampler
        >>> sorted(RandomSampler("abc"))
        [0, 1, 2]

    Reference: torch.utils.data.RandomSampler.
    """

    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if num_samples is not None and (not isinstance(num_samples, int) or num_samples <= 0):
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator

    @property
    def num_samples(self):
        """Number of samples of one pass."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def indices(self):
        """All numbers of one pass as an int64 array."""
        n = len(self.data_source)
        if self.replacement:
            return _weighted_draws(np.arange(1, n + 1) / n, self.num_samples, self.generator)
        rounds = -(-self.num_samples // n) if n else 0
        orders = [permutation(n, self.generator) for _ in range(rounds)] or [np.empty(0, np.int64)]
        return (orders[0] if rounds <= 1 else np.concatenate(orders))[: self.num_samples]

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(_ArraySampler):
    """The given numbers in random order.

    Args:
        indices: sequence of sample numbers.
        generator: nncore.Generator. Default: nncore's own.

    Example:
        >>> from nncore.data import SubsetRandomSampler
        >>> sorted(SubsetRandomSampler([4, 2]))
        [2, 4]

    Reference: torch.utils.data.SubsetRandomSampler.
    """

    def __init__(self, indices, generator=None):
        self._numbers = indices
        self.generator = generator

    def indices(self):
        """All numbers of one pass as an int64 array."""
        return np.asarray(self._numbers, np.int64)[permutation(len(self._numbers), self.generator)]

    def __len__(self):
        return len(self._numbers)


class WeightedRandomSampler(_ArraySampler):
    """Draws with probabilities in proportion to the weights.

    Args:
        weights: sequence of weights, not negative, not all 0.
        num_samples: number of draws.
        replacement: Default: True.
        generator: nncore.Generator. Default: nncore's own.

    Example:
        >>> from nncore.data import WeightedRandomSampler
        >>> list(WeightedRandomSampler([0, 1, 0], num_samples=2))
        [1, 1]

    Reference: torch.utils.data.WeightedRandomSampler; Efraimidis & Spirakis 2006 (without replacement).
    """

    def __init__(self, weights, num_samples, replacement=True, generator=None):
        weights = np.asarray(weights, np.float64)
        if weights.ndim != 1 or not np.isfinite(weights).all() or (weights < 0).any() or not weights.sum() > 0:
            raise ValueError("WeightedRandomSampler: argument 'weights' must be finite, not negative and not all 0")
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not replacement and num_samples > np.count_nonzero(weights):
            raise ValueError(f"cannot draw {num_samples} samples without replacement from {np.count_nonzero(weights)}")
        self.weights = weights
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def indices(self):
        """All numbers of one pass as an int64 array."""
        if self.replacement:
            return _weighted_draws(np.cumsum(self.weights / self.weights.sum()), self.num_samples, self.generator)
        # The largest keys log(u) / w belong to a weighted draw without replacement.
        u = fill_uniform(np.empty(len(self.weights)), generator=self.generator)
        with np.errstate(divide="ignore"):
            keys = np.log(1 - u) / self.weights
        keys[self.weights == 0] = -np.inf
        return np.argsort(-keys, kind="stable")[: self.num_samples]

    def __len__(self):
        return self.num_samples


def _weighted_draws(cumulative, n, generator):
    """n draws with replacement, given the running sum of the probabilities."""
    u = fill_uniform(np.empty(n), generator=generator)
    return np.searchsorted(cumulative, u * cumulative[-1], side="right").astype(np.int64)


class BatchSampler(Sampler):
    """Lists of sample numbers.

    Args:
        sampler: iterable of sample numbers.
        batch_size: numbers in one list.
        drop_last: whether a last, shorter list is left out.

    Example:
        >>> from nncore.data import BatchSampler
        >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]

    Reference: torch.utils.data.BatchSampler.
    """

    def __init__(self, sampler, batch_size, drop_last):
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self):
        batch = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def arrays(self):
        """The lists as int64 arrays, or None if the sampler does not know its order beforehand."""
        indices = self.sampler.indices() if isinstance(self.sampler, Sampler) else None
        if indices is None:
            return None
        end = len(indices) - len(indices) % self.batch_size if self.drop_last else len(indices)
        return (indices[i : i + self.batch_size] for i in range(0, end, self.batch_size))

    def __len__(self):
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
