"""Initialization: fill a tensor in place with random numbers of the right size. Drawn in logical order, whatever the
memory layout, so the values follow from the seed and the shape alone."""

import math
import numbers

import numpy as np

from nncore._core.kernels import KERNELS
from nncore._tensor import Tensor
from nncore.ops.random import fill_normal, fill_uniform, permutation

_copy = KERNELS["copy"]
_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def calculate_gain(nonlinearity, param=None):
    """The factor that keeps the variance of a layer's output after the given nonlinearity.

    Example:
        >>> from nncore.nn import init
        >>> init.calculate_gain("relu") == 2 ** 0.5
        True

    Reference: torch.nn.init.calculate_gain.
    """
    if nonlinearity in _LINEAR or nonlinearity == "sigmoid":
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is None:
            param = 0.01
        elif isinstance(param, bool) or not isinstance(param, numbers.Real):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + param**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def _draw(fill, tensor, first, second, generator):
    """Fill the tensor with random numbers, in logical order."""
    array = tensor.array
    if array.flags.c_contiguous:
        fill(array, first, second, generator)
    else:
        _copy(fill(np.empty(array.shape, array.dtype), first, second, generator), out=array)
    tensor.changed()
    return tensor


def uniform_(tensor, a=0.0, b=1.0, generator=None):
    """Fill with U(a, b).

    Example:
        >>> import nncore
        >>> x = nncore.nn.init.uniform_(nncore.empty(100), -1, 1)
        >>> bool((x.abs() <= 1).all())
        True
    """
    return _draw(fill_uniform, tensor, a, b, generator)


def normal_(tensor, mean=0.0, std=1.0, generator=None):
    """Fill with N(mean, std^2).

    Example:
        >>> import nncore
        >>> x = nncore.nn.init.normal_(nncore.empty(10000))
        >>> bool(x.mean().abs() < 0.05)
        True
    """
    return _draw(fill_normal, tensor, mean, std, generator)


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
    """Fill with N(mean, std^2) held to [a, b]: what falls outside is drawn again.

    Example:
        >>> import nncore
        >>> x = nncore.nn.init.trunc_normal_(nncore.empty(1000))
        >>> bool(x.abs().max() <= 2)
        True
    """
    share = (math.erf((b - mean) / (std * math.sqrt(2))) - math.erf((a - mean) / (std * math.sqrt(2)))) / 2
    if not share > 1e-3:
        raise ValueError(f"trunc_normal_: [{a}, {b}] holds less than a thousandth of N({mean}, {std}^2)")
    values = normal_(Tensor(np.empty(tensor.shape, tensor.dtype)), mean, std, generator).array
    outside = np.nonzero((values < a) | (values > b))
    while outside[0].size:
        again = normal_(Tensor(np.empty(outside[0].size, values.dtype)), mean, std, generator).array
        values[outside] = again
        still = (again < a) | (again > b)
        outside = tuple(index[still] for index in outside)
    _copy(values, out=tensor.array)
    tensor.changed()
    return tensor


def constant_(tensor, val):
    """Fill with one value."""
    tensor.detach().fill_(val)
    return tensor


def ones_(tensor):
    """Fill with 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor):
    """Fill with 0."""
    return constant_(tensor, 0.0)


def eye_(tensor):
    """Fill a matrix with the identity."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    _copy(np.eye(*tensor.shape, dtype=tensor.dtype), out=tensor.array)
    tensor.changed()
    return tensor


def fans(tensor):
    """(fan_in, fan_out): the number of inputs that each output sums over, and the reverse.

    Example:
        >>> from nncore import nn
        >>> nn.init.fans(nn.Conv2d(3, 8, 5).weight)
        (75, 200)
    """
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    receptive_field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive_field, tensor.shape[0] * receptive_field


def xavier_uniform_(tensor, gain=1.0, generator=None):
    """Fill with U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)). Glorot & Bengio 2010.

    Example:
        >>> import nncore
        >>> w = nncore.nn.init.xavier_uniform_(nncore.empty(3, 3))
        >>> bool(w.abs().max() <= 1)
        True
    """
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor, gain=1.0, generator=None):
    """Fill with N(0, gain^2 2 / (fan_in + fan_out)). Glorot & Bengio 2010."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def _kaiming_std(tensor, a, mode, nonlinearity):
    modes = ("fan_in", "fan_out")
    if mode.lower() not in modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {list(modes)}")
    fan = fans(tensor)[modes.index(mode.lower())]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fill with U(-b, b), b = gain sqrt(3 / fan). He et al. 2015.

    Args:
        tensor: at least 2 dimensions.
        a: negative slope of a leaky_relu. Default: 0.
        mode: "fan_in" keeps the variance forward, "fan_out" backward. Default: "fan_in".
        nonlinearity: see calculate_gain. Default: "leaky_relu".
        generator: Default: nncore's own.

    Example:
        >>> import nncore
        >>> w = nncore.nn.init.kaiming_uniform_(nncore.empty(4, 6))
        >>> bool(w.abs().max() <= 1)
        True
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fill with N(0, gain^2 / fan). He et al. 2015. Arguments as in kaiming_uniform_."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor, gain=1, generator=None):
    """Fill with `gain` times a random matrix of orthonormal rows or columns. Saxe, McClelland & Ganguli 2014.

    Example:
        >>> import nncore
        >>> w = nncore.nn.init.orthogonal_(nncore.empty(3, 5))
        >>> nncore.allclose(w @ w.T, nncore.eye(3), atol=1e-5)
        True
    """
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    rows, cols = tensor.shape[0], math.prod(tensor.shape[1:])
    drawn = normal_(Tensor(np.empty((rows, cols), np.float64)), generator=generator).array
    q, r = np.linalg.qr(drawn.T if rows < cols else drawn)
    q = q * np.sign(np.diag(r))  # makes the distribution uniform over the orthogonal matrices
    _copy(gain * (q.T if rows < cols else q).reshape(tensor.shape), out=tensor.array)
    tensor.changed()
    return tensor


def dirac_(tensor, groups=1):
    """Fill the weight of a convolution so that it keeps as many channels as possible as they are.

    Args:
        tensor: (out_channels, in_channels / groups, ...), 3 to 5 dimensions.
        groups: of the convolution. Default: 1.

    Example:
        >>> import nncore
        >>> w = nncore.nn.init.dirac_(nncore.empty(2, 2, 3, 3))
        >>> x = nncore.randn(1, 2, 5, 5)
        >>> nncore.allclose(nncore.nn.functional.conv2d(x, w, padding=1), x)
        True

    Reference: torch.nn.init.dirac_.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    values = np.zeros(tensor.shape, tensor.dtype)
    per_group = tensor.shape[0] // groups
    middle = tuple(size // 2 for size in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(per_group, tensor.shape[1])):
            values[(group * per_group + channel, channel, *middle)] = 1
    _copy(values, out=tensor.array)
    tensor.changed()
    return tensor


def sparse_(tensor, sparsity, std=0.01, generator=None):
    """Fill a matrix with N(0, std^2), and in every column the share `sparsity`, rounded up, with 0.

    Args:
        tensor: 2 dimensions.
        sparsity: share of the elements of a column that are 0.
        std: Default: 0.01.
        generator: Default: nncore's own.

    Example:
        >>> import nncore
        >>> (nncore.nn.init.sparse_(nncore.empty(10, 4), 0.3) == 0).sum(0)
        tensor([3, 3, 3, 3])

    Reference: torch.nn.init.sparse_; Martens 2010.
    """
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: argument 'sparsity' is {sparsity}, expected a share from 0 to 1")
    rows, cols = tensor.shape
    values = normal_(Tensor(np.empty((rows, cols), tensor.dtype)), 0.0, std, generator).array
    zeros = math.ceil(sparsity * rows)
    for col in range(cols):
        values[permutation(rows, generator)[:zeros], col] = 0
    _copy(values, out=tensor.array)
    tensor.changed()
    return tensor
