"""Random tensors, and dropout."""

import numpy as np

from nncore import random as rng
from nncore._core.kernels import KERNELS, empty
from nncore._core.tape import record
from nncore._core.tensor import wrap_array
from nncore.ops.broadcast import gt, mul, where
from nncore.ops.convert import INT64, as_float, default_dtype
from nncore.ops.create import shape_of
from nncore.ops.dims import filled

_uniform, _normal, _permutation, _dropout = (
    KERNELS[name] for name in ("random_uniform", "random_normal", "random_permutation", "dropout")
)


def _position(generator, n, words=2):
    """(seed, offset) of n fresh positions; float64 takes two words each."""
    return (rng.default_generator if generator is None else generator).next_offset(words * n)


def fill_uniform(array, low=0.0, high=1.0, generator=None):
    """Fill an array with uniform numbers in [low, high)."""
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"uniform: arguments are low={low}, high={high}, expected finite numbers with low <= high")
    return _uniform(low, high, *_position(generator, array.size), out=array)


def fill_normal(array, mean=0.0, std=1.0, generator=None):
    """Fill an array with normal numbers."""
    if not (np.isfinite(mean) and np.isfinite(std) and std >= 0):
        raise ValueError(f"normal: arguments are mean={mean}, std={std}, expected finite numbers with std >= 0")
    return _normal(mean, std, *_position(generator, array.size), out=array)


def rand(*size, generator=None, dtype=None, requires_grad=False):
    """Uniform numbers in [0, 1).

    Args:
        *size: the shape.
        generator: Generator. Default: the one that manual_seed seeds.
        dtype: float32 or float64. Default: the default dtype.
        requires_grad: Default: False.

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.rand(2, 3).shape
        (2, 3)
    """
    t = wrap_array(fill_uniform(empty(shape_of("rand", size), dtype or default_dtype()), generator=generator))
    t.requires_grad = requires_grad
    return t


def randn(*size, generator=None, dtype=None, requires_grad=False):
    """Normal numbers with mean 0 and standard deviation 1.

    Args:
        *size: the shape.
        generator: Generator. Default: the one that manual_seed seeds.
        dtype: float32 or float64. Default: the default dtype.
        requires_grad: Default: False.

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.randn(2, 3).shape
        (2, 3)
    """
    t = wrap_array(fill_normal(empty(shape_of("randn", size), dtype or default_dtype()), generator=generator))
    t.requires_grad = requires_grad
    return t


def rand_like(x, generator=None):
    """Uniform numbers in [0, 1) with the shape and dtype of x."""
    return rand(*x.shape, generator=generator, dtype=x.dtype)


def randn_like(x, generator=None):
    """Normal numbers with the shape and dtype of x."""
    return randn(*x.shape, generator=generator, dtype=x.dtype)


def randint(low, high=None, size=None, generator=None):
    """Integers in [low, high), or in [0, low) if high is not given.

    Args:
        low, high: the bounds; at most 2**53 apart.
        size: the shape.
        generator: Generator. Default: the one that manual_seed seeds.

    Returns:
        int64 Tensor.

    Example:
        >>> import nncore
        >>> nncore.randint(0, 10, (3,)).dtype
        dtype('int64')
    """
    if size is None:
        low, high, size = 0, low, high
    if not 0 < high - low <= 1 << 53:
        raise ValueError(f"randint: arguments are low={low}, high={high}, expected low < high, at most 2**53 apart")
    u = fill_uniform(empty(shape_of("randint", (size,)), np.float64), generator=generator)
    return wrap_array(np.floor(u * (high - low)).astype(INT64) + low)


def permutation(n, generator=None):
    """The numbers 0 .. n-1 in random order, as an array."""
    return _permutation(*_position(generator, n), out=empty((n,), INT64))


def randperm(n, generator=None):
    """The numbers 0 .. n-1 in random order.

    Example:
        >>> import nncore
        >>> sorted(nncore.randperm(4).tolist())
        [0, 1, 2, 3]
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
        raise ValueError(f"randperm: argument 'n' is {n!r}, expected an integer of 0 or more")
    return wrap_array(permutation(int(n), generator))


def dropout(x, p=0.5, training=True, generator=None, scale="train"):
    """x / (1 - p) with probability 1 - p, else 0 (Srivastava et al. 2014); x itself when not training.

    No mask is kept: the backward pass draws the same numbers again. With scale="test" the factor stands where it stood in
    the first paper (Hinton et al. 2012): x or 0 when training, x (1 - p) when not, so that the means agree.

    Args:
        x: Tensor.
        p: probability of 0. Default: 0.5.
        training: Default: True.
        generator: Generator. Default: the one that manual_seed seeds.
        scale: "train" or "test", when the outputs are scaled. Default: "train".

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: p is not between 0 and 1.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.dropout(nncore.ones(3), p=0.0)
        tensor([1., 1., 1.])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: argument 'p' is {p}, expected 0 <= p <= 1")
    if scale not in ("train", "test"):
        raise ValueError(f"dropout: argument 'scale' is {scale!r}, expected 'train' or 'test'")
    x = as_float("dropout", x)
    if scale == "test" and not training:
        return mul(x, 1 - p)
    if not training or p == 0:
        return x
    if scale == "test":
        return where(gt(_kept(x.array.shape, x.array.dtype, p, generator), 0), x, 0.0)
    array = x.array if x.array.flags.c_contiguous else KERNELS["copy"](x.array)  # the draw goes by row-major position
    seed, offset = _position(generator, array.size)

    def vjp(needs, dy):
        return _dropout(dy if dy.flags.c_contiguous else KERNELS["copy"](dy), p, seed, offset)

    return record(_dropout(array, p, seed, offset), (x,), vjp)


def _kept(shape, dtype, p, generator):
    """1 / (1 - p) with probability 1 - p, else 0."""
    return dropout(wrap_array(filled(empty(shape, dtype), 1)), p, True, generator)


def dropout_channels(x, p=0.5, training=True, generator=None):
    """dropout of whole channels: one draw for each sample and channel (Tompson et al. 2015).

    Args:
        x: Tensor of shape (N, C, ...).
        p: probability of 0. Default: 0.5.
        training: Default: True.
        generator: Generator. Default: the one that manual_seed seeds.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: p is not between 0 and 1.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.dropout2d(nncore.ones(1, 2, 1, 3), p=1.0).tolist()
        [[[[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]]]
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout_channels: argument 'p' is {p}, expected 0 <= p <= 1")
    x = as_float("dropout_channels", x)
    if x.array.ndim < 2:
        raise ValueError(f"dropout_channels: argument 'x' has shape {x.array.shape}, expected (N, C, ...)")
    if not training or p == 0:
        return x
    kept = _kept((*x.array.shape[:2], *[1] * (x.array.ndim - 2)), x.array.dtype, p, generator)
    return where(gt(kept, 0), mul(x, kept), 0.0)


__all__ = ["dropout", "dropout_channels", "rand", "rand_like", "randint", "randn", "randn_like", "randperm"]
