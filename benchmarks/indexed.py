"""Contests of what an index picks or writes, and of running sums; see elementwise.py."""

import numpy as np

import nncore
from benchmarks.peers import with_torch
from nncore import kernels, ops
from nncore.bench import Contest, empty, normal
from nncore.nn import functional as F


def embedding_forward(count, rows, cols):
    """y[n] = table[index[n]]."""
    table, index = normal(rows, cols), np.random.default_rng(1).integers(0, rows, count)
    y, z = empty(count, cols), empty(count, cols)
    indices, weight = nncore.from_numpy(index), nncore.from_numpy(table)
    run = {
        "numpy": lambda: np.take(table, index, axis=0, out=z, mode="clip"),
        "nncore": lambda: kernels.gather_rows(table, index, out=y),
        "nncore eager": lambda: F.embedding(indices, weight),
    }
    contest = Contest(run, bytes=8.0 * y.size)
    return with_torch(contest, lambda torch, i, w: torch.nn.functional.embedding(i, w), index, table)


def embedding_backward(count, rows, cols):
    """dtable[r] = sum of dy[n] with index[n] = r."""
    dy, index = normal(count, cols), np.random.default_rng(1).integers(0, rows, count)
    dtable, z = empty(rows, cols), empty(rows, cols)

    def by_numpy():
        z.fill(0)
        np.add.at(z, index, dy)
        return z

    run = {"numpy": by_numpy, "nncore": lambda: kernels.scatter_add_rows(dy, index, rows, out=dtable)}
    contest = Contest(run, bytes=4.0 * dtable.size + 12.0 * dy.size, atol=1e-4)
    return with_torch(
        contest, lambda torch, i, w: torch.nn.functional.embedding(i, w), index, np.zeros_like(dtable), gradient=dy
    )


def index(count, rows, cols):
    """x[i]"""
    x, i = normal(rows, cols), np.random.default_rng(1).integers(0, rows, count)
    z, tensor, indices = empty(count, cols), nncore.from_numpy(x), nncore.from_numpy(i)
    run = {"numpy": lambda: np.take(x, i, axis=0, out=z, mode="clip"), "nncore": lambda: tensor[indices]}
    return with_torch(Contest(run, bytes=8.0 * z.size), lambda torch, t, k: t[k], x, i)


def one_hot(rows, cols):
    """1 at the class of each row, int64."""
    target, unit = np.random.default_rng(1).integers(0, cols, rows), np.eye(cols, dtype=np.int64)
    z, tensor = np.empty((rows, cols), np.int64), nncore.from_numpy(target)
    run = {
        "numpy": lambda: np.take(unit, target, axis=0, out=z, mode="clip"),
        "nncore": lambda: F.one_hot(tensor, cols),
    }
    return with_torch(Contest(run, bytes=8.0 * z.size), lambda torch, t: torch.nn.functional.one_hot(t, cols), target)


def _along_first(rows, cols):
    """x, and an index into its rows for each element."""
    return normal(rows, cols), np.random.default_rng(1).integers(0, rows, (rows, cols))


def gather(rows, cols):
    """y[m, i] = x[index[m, i], i]."""
    x, index = _along_first(rows, cols)
    tensors = [nncore.from_numpy(a) for a in (x, index)]
    run = {"numpy": lambda: np.take_along_axis(x, index, 0), "nncore": lambda: ops.gather(tensors[0], 0, tensors[1])}
    return with_torch(Contest(run, bytes=16.0 * x.size), lambda torch, t, i: torch.gather(t, 0, i), x, index)


def scatter(name, rows, cols):
    """y = x with y[index[m, i], i] = source[m, i], or += ."""
    (x, index), source = _along_first(rows, cols), normal(rows, cols, seed=2)
    if name == "scatter":  # which of equal indices is written is nncore's promise, but not that of its peers
        index = np.argsort(index, axis=0)
    tensors = [nncore.from_numpy(a) for a in (x, index, source)]
    columns = np.arange(cols)

    def by_numpy():
        y = x.copy()
        if name == "scatter":
            np.put_along_axis(y, index, source, 0)
        else:
            np.add.at(y, (index, columns), source)
        return y

    run = {"numpy": by_numpy, "nncore": lambda: getattr(ops, name)(tensors[0], 0, *tensors[1:])}
    contest = Contest(run, bytes=20.0 * x.size, atol=1e-4)
    return with_torch(contest, lambda torch, t, i, s: getattr(torch, name)(t, 0, i, s), x, index, source)


def index_select(rows, cols):
    """y[:, m] = x[:, index[m]]."""
    x, index = normal(rows, cols), np.random.default_rng(1).integers(0, cols, cols)
    tensors = [nncore.from_numpy(a) for a in (x, index)]
    run = {"numpy": lambda: np.take(x, index, 1), "nncore": lambda: ops.index_select(tensors[0], 1, tensors[1])}
    return with_torch(Contest(run, bytes=8.0 * x.size), lambda torch, t, i: torch.index_select(t, 1, i), x, index)


def cumsum(axis, rows, cols):
    """Running sums along an axis."""
    x = normal(rows, cols)
    tensor = nncore.from_numpy(x)
    run = {"numpy": lambda: np.cumsum(x, axis), "nncore": lambda: ops.cumsum(tensor, axis)}
    contest = Contest(run, bytes=8.0 * x.size, atol=1e-3)
    return with_torch(contest, lambda torch, t: torch.cumsum(t, axis), x)
