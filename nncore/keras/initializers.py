"""Initial values of weights, in Keras's names. Called with a shape, they return a Tensor; nncore.nn.init draws."""

import math

import numpy as np

from .._tensor import Tensor
from ..nn import init
from ..ops.convert import default_dtype
from ..random import Generator
from .serial import Serializable, resolve


class Initializer(Serializable):
    """Base class: a subclass defines `__call__(shape, dtype=None)`, which returns a Tensor.

    Reference: Keras, `keras.initializers.Initializer`.
    """

    def __call__(self, shape, dtype=None):
        """A new Tensor of the given shape."""
        raise NotImplementedError


def _empty(shape, dtype):
    return Tensor(np.empty(tuple(shape), default_dtype() if dtype is None else dtype))


class Zeros(Initializer):
    """All zeros.

    Example:
        >>> Zeros()((2,))
        tensor([0., 0.])
    """

    def __call__(self, shape, dtype=None):
        """A new Tensor of the given shape."""
        return init.zeros_(_empty(shape, dtype))


class Ones(Initializer):
    """All ones.

    Example:
        >>> Ones()((2,))
        tensor([1., 1.])
    """

    def __call__(self, shape, dtype=None):
        """A new Tensor of the given shape."""
        return init.ones_(_empty(shape, dtype))


class Constant(Initializer):
    """One value everywhere.

    Args:
        value: default 0.0.

    Example:
        >>> Constant(0.5)((2,))
        tensor([0.5000, 0.5000])
    """

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, shape, dtype=None):
        """A new Tensor of the given shape."""
        return init.constant_(_empty(shape, dtype), self.value)


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere.

    Args:
        gain: default 1.0.

    Example:
        >>> Identity()((2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    def __init__(self, gain=1.0):
        self.gain = gain

    def __call__(self, shape, dtype=None):
        """A new Tensor of the given shape."""
        if len(shape) != 2:
            raise ValueError(f"Identity: argument 'shape' is {tuple(shape)}, expected a matrix's")
        matrix = _empty(shape, dtype)
        matrix.array[...] = self.gain * np.eye(*shape)
        return matrix


class _Random(Initializer):
    """Drawn from nncore's generator, or with a seed always the same."""

    def _generator(self):
        return None if self.seed is None else Generator(self.seed)


class RandomNormal(_Random):
    """Normal distribution.

    Args:
        mean: default 0.0.
        stddev: default 0.05.
        seed: for a draw that is always the same. Default None: nncore's generator.

    Example:
        >>> RandomNormal(seed=1)((2, 3)).shape
        (2, 3)
    """

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape, dtype=None):
        """A new Tensor of the given shape."""
        return init.normal_(_empty(shape, dtype), self.mean, self.stddev, self._generator())


class RandomUniform(_Random):
    """Uniform distribution in [minval, maxval).

    Args:
        minval: default -0.05.
        maxval: default 0.05.
        seed: see `RandomNormal`.

    Example:
        >>> bool((RandomUniform()((100,)).abs() <= 0.05).all())
        True
    """

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def __call__(self, shape, dtype=None):
        """A new Tensor of the given shape."""
        return init.uniform_(_empty(shape, dtype), self.minval, self.maxval, self._generator())


class TruncatedNormal(_Random):
    """Normal distribution; what is more than two standard deviations away is drawn again.

    Args:
        mean: default 0.0.
        stddev: default 0.05.
        seed: see `RandomNormal`.

    Example:
        >>> bool((TruncatedNormal()((100,)).abs() <= 0.1).all())
        True
    """

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape, dtype=None):
        """A new Tensor of the given shape."""
        low, high = self.mean - 2 * self.stddev, self.mean + 2 * self.stddev
        return init.trunc_normal_(_empty(shape, dtype), self.mean, self.stddev, low, high, self._generator())


class VarianceScaling(_Random):
    """Variance `scale` / n, where n is the number of inputs, of outputs, or their mean.

    Args:
        scale: default 1.0.
        mode: `"fan_in"` (the default), `"fan_out"` or `"fan_avg"`.
        distribution: `"truncated_normal"` (the default), `"untruncated_normal"` or `"uniform"`.
        seed: see `RandomNormal`.

    Example:
        >>> bool((VarianceScaling(3.0, distribution="uniform")((9, 5)).abs() <= 1).all())
        True

    Reference: Keras, `keras.initializers.VarianceScaling`.
    """

    def __init__(self, scale=1.0, mode="fan_in", distribution="truncated_normal", seed=None):
        if not scale > 0:
            raise ValueError(f"VarianceScaling: argument 'scale' is {scale}, expected a number > 0")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"VarianceScaling: argument 'mode' is {mode!r}, expected 'fan_in', 'fan_out' or 'fan_avg'")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                f"VarianceScaling: argument 'distribution' is {distribution!r}, expected 'truncated_normal', "
                "'untruncated_normal' or 'uniform'"
            )
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def __call__(self, shape, dtype=None):
        """A new Tensor of the given shape."""
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        x, generator = _empty(shape, dtype), self._generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return init.uniform_(x, -limit, limit, generator)
        if self.distribution == "untruncated_normal":
            return init.normal_(x, 0.0, math.sqrt(variance), generator)
        stddev = math.sqrt(variance) / 0.87962566103423978  # of N(0, 1) cut at +-2
        return init.trunc_normal_(x, 0.0, stddev, -2 * stddev, 2 * stddev, generator)


def fans(shape):
    """Number of inputs and of outputs of a kernel in Keras's layout: (in, out), or (height, width, in, out)."""
    if len(shape) < 2:
        n = shape[0] if shape else 1
        return n, n
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class _Scaled(VarianceScaling):
    """A `VarianceScaling` that has a name."""

    scaling: tuple = ()

    def __init__(self, seed=None):
        super().__init__(*self.scaling, seed=seed)


class GlorotUniform(_Scaled):
    """Uniform in +-sqrt(6 / (inputs + outputs)) (Glorot & Bengio 2010).

    Args:
        seed: see `RandomNormal`.

    Example:
        >>> bool((GlorotUniform()((3, 3)).abs() <= 1).all())
        True
    """

    scaling = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal of variance 2 / (inputs + outputs) (Glorot & Bengio 2010).

    Args:
        seed: see `RandomNormal`.
    """

    scaling = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform in +-sqrt(6 / inputs) (He et al. 2015).

    Args:
        seed: see `RandomNormal`.
    """

    scaling = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal of variance 2 / inputs (He et al. 2015).

    Args:
        seed: see `RandomNormal`.
    """

    scaling = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform in +-sqrt(3 / inputs) (LeCun et al. 1998).

    Args:
        seed: see `RandomNormal`.
    """

    scaling = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal of variance 1 / inputs (LeCun et al. 1998).

    Args:
        seed: see `RandomNormal`.
    """

    scaling = (1.0, "fan_in", "truncated_normal")


class Orthogonal(_Random):
    """`gain` times a random matrix of orthonormal rows or columns (Saxe et al. 2014); all axes but the last count as rows.

    Args:
        gain: default 1.0.
        seed: see `RandomNormal`.

    Example:
        >>> import nncore
        >>> w = Orthogonal()((3, 5))
        >>> nncore.allclose(w @ w.T, nncore.eye(3), atol=1e-5)
        True
    """

    def __init__(self, gain=1.0, seed=None):
        self.gain, self.seed = gain, seed

    def __call__(self, shape, dtype=None):
        """A new Tensor of the given shape."""
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: argument 'shape' is {tuple(shape)}, expected at least 2 axes")
        matrix = _empty((math.prod(shape[:-1]), shape[-1]), dtype)
        return init.orthogonal_(matrix, self.gain, self._generator()).reshape(tuple(shape))


OrthogonalInitializer = Orthogonal

INITIALIZERS = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "identity": Identity,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "normal": RandomNormal,
    "ones": Ones,
    "orthogonal": Orthogonal,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "uniform": RandomUniform,
    "variance_scaling": VarianceScaling,
    "zeros": Zeros,
}


def get(identifier):
    """The initializer that is meant by a name, an object or a function of (shape, dtype); None is zeros.

    Example:
        >>> get("he_normal")
        HeNormal(seed=None)
    """
    return resolve("initializer", "zeros" if identifier is None else identifier, INITIALIZERS, Initializer)
