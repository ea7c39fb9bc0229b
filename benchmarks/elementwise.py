"""Contests of elementwise ops and reductions: each function makes one, of a given size. See suite.py for which sizes.

By NumPy: idiomatic, float32, out= wherever there is an out=, nothing allocated twice. By nncore: the kernel with out=,
or the op where it is more than one kernel. By nncore eager: the op on Tensors, as a user calls it.
"""

import math

import numpy as np

import nncore
from benchmarks.peers import with_torch
from nncore import kernels, ops
from nncore.bench import Contest, empty, empty_like, normal, sigmoid_numpy
from nncore.nn import functional as F


# ---- pointwise ----
def _leaky_relu(x, z):
    np.multiply(x, 0.01, out=z)
    return np.maximum(x, z, out=z)


def _elu(x, z):
    np.minimum(x, 0, out=z)
    np.expm1(z, out=z)
    return np.maximum(x, z, out=z)


def _rsqrt(x, z):
    np.sqrt(x, out=z)
    return np.reciprocal(z, out=z)


def _silu(x, z):
    np.negative(x, out=z)
    np.exp(z, out=z)
    z += 1
    return np.divide(x, z, out=z)


def _softplus(x, z):
    np.abs(x, out=z)
    np.negative(z, out=z)
    np.exp(z, out=z)
    np.log1p(z, out=z)
    z += np.maximum(x, 0)
    return z


def _gelu_tanh(x, z):
    np.multiply(x, x, out=z)
    z *= 0.044715
    z += 1
    z *= x
    z *= math.sqrt(2 / math.pi)
    np.tanh(z, out=z)
    z += 1
    z *= x
    z *= 0.5
    return z


def _erf(x, z):
    """Abramowitz and Stegun 7.1.26, |error| < 1.5e-7: what a NumPy user without SciPy writes."""
    t = np.abs(x)
    np.multiply(t, 0.3275911, out=z)
    z += 1
    np.reciprocal(z, out=z)
    p = z * 1.061405429
    for c in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        p += c
        p *= z
    np.multiply(t, t, out=t)
    np.negative(t, out=t)
    p *= np.exp(t, out=t)
    np.subtract(1, p, out=p)
    return np.copysign(p, x, out=z)


def _gelu(x, z):
    _erf(x * math.sqrt(0.5), z)
    z += 1
    z *= x
    z *= 0.5
    return z


# name: (NumPy, torch, scalars, whether x > 0)
UNARY = {
    "abs": (lambda x, z: np.abs(x, out=z), lambda t, x: t.abs(x), (), False),
    "ceil": (lambda x, z: np.ceil(x, out=z), lambda t, x: t.ceil(x), (), False),
    "clamp": (lambda x, z: np.clip(x, -1, 1, out=z), lambda t, x: t.clamp(x, -1, 1), (-1.0, 1.0), False),
    "cos": (lambda x, z: np.cos(x, out=z), lambda t, x: t.cos(x), (), False),
    "elu": (_elu, lambda t, x: t.nn.functional.elu(x), (1.0, 1.0, 1.0), False),
    "erf": (_erf, lambda t, x: t.erf(x), (), False),
    "exp": (lambda x, z: np.exp(x, out=z), lambda t, x: t.exp(x), (), False),
    "expm1": (lambda x, z: np.expm1(x, out=z), lambda t, x: t.expm1(x), (), False),
    "floor": (lambda x, z: np.floor(x, out=z), lambda t, x: t.floor(x), (), False),
    "gelu": (_gelu, lambda t, x: t.nn.functional.gelu(x), (), False),
    "gelu_tanh": (_gelu_tanh, lambda t, x: t.nn.functional.gelu(x, approximate="tanh"), (), False),
    "leaky_relu": (_leaky_relu, lambda t, x: t.nn.functional.leaky_relu(x), (0.01,), False),
    "log": (lambda x, z: np.log(x, out=z), lambda t, x: t.log(x), (), True),
    "log1p": (lambda x, z: np.log1p(x, out=z), lambda t, x: t.log1p(x), (), True),
    "neg": (lambda x, z: np.negative(x, out=z), lambda t, x: t.neg(x), (), False),
    "pow_scalar": (lambda x, z: np.power(x, np.float32(2.5), out=z), lambda t, x: t.pow(x, 2.5), (2.5,), True),
    "reciprocal": (lambda x, z: np.reciprocal(x, out=z), lambda t, x: t.reciprocal(x), (), True),
    "relu": (lambda x, z: np.maximum(x, 0, out=z), lambda t, x: t.relu(x), (), False),
    "round": (lambda x, z: np.rint(x, out=z), lambda t, x: t.round(x), (), False),
    "rsqrt": (_rsqrt, lambda t, x: t.rsqrt(x), (), True),
    "sigmoid": (sigmoid_numpy, lambda t, x: t.sigmoid(x), (), False),
    "sign": (lambda x, z: np.sign(x, out=z), lambda t, x: t.sign(x), (), False),
    "silu": (_silu, lambda t, x: t.nn.functional.silu(x), (), False),
    "sin": (lambda x, z: np.sin(x, out=z), lambda t, x: t.sin(x), (), False),
    "softplus": (_softplus, lambda t, x: t.nn.functional.softplus(x), (1.0, 20.0), False),
    "sqrt": (lambda x, z: np.sqrt(x, out=z), lambda t, x: t.sqrt(x), (), True),
    "square": (lambda x, z: np.square(x, out=z), lambda t, x: t.square(x), (), False),
    "tanh": (lambda x, z: np.tanh(x, out=z), lambda t, x: t.tanh(x), (), False),
}
EAGER = {"elu": ops.elu, "gelu_tanh": lambda x: ops.gelu(x, "tanh"), "pow_scalar": lambda x: ops.pow(x, 2.5)}


def unary(name, *shape):
    """y = f(x), elementwise."""
    by_numpy, by_torch, scalars, positive = UNARY[name]
    x = normal(*shape)
    if positive:
        np.abs(x, out=x)
        x += 0.1
    y, z, forward, tensor = empty(*shape), empty(*shape), kernels.KERNELS[f"{name}_forward"], nncore.from_numpy(x)
    op = EAGER.get(name) or (lambda t: getattr(ops, name)(t, *scalars))
    run = {
        "numpy": lambda: by_numpy(x, z),
        "nncore": lambda: forward(x, *scalars, out=y),
        "nncore eager": lambda: op(tensor),
    }
    return with_torch(Contest(run, bytes=8.0 * x.size), by_torch, x)


def by_reference(case, *shape):
    """An op of arrays of one shape against the formula of its op case."""
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(arg.low, arg.high, shape).astype(np.float32) for arg in case.args]
    tensors = [nncore.from_numpy(x) for x in arrays]
    run = {"numpy": lambda: case.reference(*arrays), "nncore": lambda: case.op(*tensors)}
    return Contest(run, bytes=4.0 * (len(arrays) + 1) * arrays[0].size)


def _relu_backward(x, y, dy, z):
    return np.multiply(dy, y > 0, out=z)


def _sigmoid_backward(x, y, dy, z):
    np.subtract(1, y, out=z)
    z *= y
    z *= dy
    return z


def _tanh_backward(x, y, dy, z):
    np.multiply(y, y, out=z)
    np.subtract(1, z, out=z)
    z *= dy
    return z


def _gelu_backward(x, y, dy, z):
    """dy (Phi(x) + x phi(x))"""
    density = np.multiply(x, x)
    density *= -0.5
    np.exp(density, out=density)
    density *= x
    density *= 1 / math.sqrt(2 * math.pi)
    _erf(x * math.sqrt(0.5), z)
    z += 1
    z *= 0.5
    z += density
    z *= dy
    return z


UNARY_BACKWARD = {
    "gelu": _gelu_backward,
    "relu": _relu_backward,
    "sigmoid": _sigmoid_backward,
    "tanh": _tanh_backward,
}


def unary_backward(name, *shape):
    """dx = dy f'(x), elementwise."""
    by_numpy, by_torch = UNARY_BACKWARD[name], UNARY[name][1]
    x, dy, dx, z = normal(*shape), normal(*shape, seed=1), empty(*shape), empty(*shape)
    y, backward = kernels.KERNELS[f"{name}_forward"](x), kernels.KERNELS[f"{name}_backward"]
    saved = y if "y" in [field[0] for field in backward.fields] else x
    run = {"numpy": lambda: by_numpy(x, y, dy, z), "nncore": lambda: backward(dy, saved, out=dx)}
    return with_torch(Contest(run, bytes=12.0 * x.size), by_torch, x, gradient=dy)


# ---- two arguments ----
BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "pow": np.power,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}


def binary(name, left, right):
    """y = f(a, b), elementwise, broadcast."""
    by_numpy, kernel, op = BINARY[name], kernels.KERNELS[name], getattr(ops, name)
    a, b = normal(*left), normal(*right, seed=1)
    if name == "pow":
        np.abs(a, out=a)
    z = by_numpy(a, b)
    y, s, t = empty_like(z), nncore.from_numpy(a), nncore.from_numpy(b)
    run = {
        "numpy": lambda: by_numpy(a, b, out=z),
        "nncore": lambda: kernel(a, b, out=y),
        "nncore eager": lambda: op(s, t),
    }
    contest = Contest(run, bytes=4.0 * (a.size + b.size) + z.nbytes)
    return with_torch(contest, lambda torch, u, v: getattr(torch, name)(u, v), a, b)


def where(*shape):
    """y = a where condition, else b."""
    a, b, y = normal(*shape), normal(*shape, seed=1), empty(*shape)
    condition = a < b
    z = empty(*shape)

    def by_numpy():
        np.copyto(z, b)
        np.copyto(z, a, where=condition)
        return z

    s, t, mask = nncore.from_numpy(a), nncore.from_numpy(b), nncore.from_numpy(condition)
    run = {
        "numpy": by_numpy,
        "nncore": lambda: kernels.where(condition, a, b, out=y),
        "nncore eager": lambda: ops.where(mask, s, t),
    }
    return with_torch(Contest(run, bytes=13.0 * a.size), lambda torch, c, u, v: torch.where(c, u, v), condition, a, b)


def copy(rows, cols):
    """y = x^T, made contiguous."""
    x, y, z = normal(cols, rows).T, empty(rows, cols), empty(rows, cols)
    run = {"numpy": lambda: np.copyto(z, x) or z, "nncore": lambda: kernels.copy(x, out=y)}
    return with_torch(Contest(run, bytes=8.0 * x.size), lambda torch, t: t.T.contiguous(), np.ascontiguousarray(x.T))


# ---- losses: elementwise, then the mean ----
def _mse(x, t, z):
    np.subtract(x, t, out=z)
    return np.float32(np.dot(z.ravel(), z.ravel()) / z.size)


def _l1(x, t, z):
    np.subtract(x, t, out=z)
    return np.abs(z, out=z).mean()


def _huber(x, t, z):
    """min(|d|, 1) (|d| - min(|d|, 1) / 2)"""
    np.subtract(x, t, out=z)
    np.abs(z, out=z)
    small = np.minimum(z, 1)
    z -= 0.5 * small
    z *= small
    return z.mean()


def _bce(x, t, z):
    np.log1p(-x, out=z)
    d = np.log(x)
    d -= z
    d *= t
    z += d
    return -z.mean()


def _bce_with_logits(x, t, z):
    _softplus(x, z)
    z -= x * t
    return z.mean()


# name: (NumPy, the function of nn.functional, whether x is a probability)
LOSSES = {
    "mse": (_mse, "mse_loss", False),
    "l1": (_l1, "l1_loss", False),
    "huber": (_huber, "huber_loss", False),
    "smooth_l1": (_huber, "smooth_l1_loss", False),
    "bce": (_bce, "binary_cross_entropy", True),
    "bce_with_logits": (_bce_with_logits, "binary_cross_entropy_with_logits", False),
}


def loss(name, *shape):
    """The mean of an elementwise loss."""
    by_numpy, function, is_probability = LOSSES[name]
    rng = np.random.default_rng(0)
    x = rng.uniform(0.01, 0.99, shape).astype(np.float32) if is_probability else normal(*shape)
    t, z, op = rng.uniform(0, 1, shape).astype(np.float32), empty(*shape), getattr(F, function)
    tensor, target = nncore.from_numpy(x), nncore.from_numpy(t)
    run = {"numpy": lambda: by_numpy(x, t, z), "nncore": lambda: op(tensor, target)}
    contest = Contest(run, bytes=8.0 * x.size)
    return with_torch(contest, lambda torch, u, v: getattr(torch.nn.functional, function)(u, v), x, t)


# ---- reductions ----
def _logsumexp(x, axis, out):
    highest = x.max(axis=axis, keepdims=True)
    z = np.subtract(x, highest)
    np.exp(z, out=z)
    np.sum(z, axis=axis, out=out)
    np.log(out, out=out)
    out += highest.squeeze(axis)
    return out


# name: (NumPy, the kernel that does all of it, or None)
REDUCTIONS = {
    "sum": (lambda x, axis, out: np.sum(x, axis=axis, out=out), "sum"),
    "amax": (lambda x, axis, out: np.max(x, axis=axis, out=out), "max"),
    "amin": (lambda x, axis, out: np.min(x, axis=axis, out=out), "min"),
    "argmax": (lambda x, axis, out: np.argmax(x, axis=axis, out=out), "argmax"),
    "argmin": (lambda x, axis, out: np.argmin(x, axis=axis, out=out), "argmin"),
    "mean": (lambda x, axis, out: np.mean(x, axis=axis, out=out), "mean"),
    "var": (lambda x, axis, out: np.var(x, axis=axis, ddof=1, out=out), None),
    "std": (lambda x, axis, out: np.std(x, axis=axis, ddof=1, out=out), None),
    "logsumexp": (_logsumexp, "logsumexp"),
    "norm": (lambda x, axis, out: np.sqrt(np.dot(x.ravel(), x.ravel()), out=out), None),
}


def reduction(name, shape, axis):
    """y = f of x over one axis, or over all of them (None)."""
    (by_numpy, kernel), x = REDUCTIONS[name], normal(*shape)
    kept = () if axis is None else shape[:axis] + shape[axis + 1 :]
    y = np.empty(kept, np.int64 if name.startswith("arg") else np.float32)
    z, tensor, op = empty_like(y), nncore.from_numpy(x), getattr(nncore.Tensor, name)
    eager = (lambda: op(tensor)) if axis is None else (lambda: op(tensor, axis))
    run = {"numpy": lambda: by_numpy(x, axis, z), "nncore": eager}
    if kernel:
        function, inner = kernels.KERNELS[kernel], 1 if axis is None else math.prod(shape[axis + 1 :])
        n = x.size if axis is None else shape[axis]
        blocks, flat = x.reshape(-1, n, inner), y.reshape(-1, inner)
        run |= {"nncore": lambda: function(blocks, out=flat), "nncore eager": eager}

    def by_torch(torch, t):
        function = getattr(torch, name)
        return function(t) if axis is None else function(t, axis)

    return with_torch(Contest(run, bytes=4.0 * x.size, atol=1e-3), by_torch, x)


def along(name, axis, rows, cols):
    """The largest or smallest of each row or column and where it stands."""
    x, argname = normal(rows, cols), f"arg{name}"
    z = getattr(np, name)(x, axis=axis)
    index, tensor = np.empty(z.shape, np.int64), nncore.from_numpy(x)
    run = {
        "numpy": lambda: (getattr(np, name)(x, axis=axis, out=z), getattr(np, argname)(x, axis=axis, out=index)),
        "nncore": lambda: tuple(getattr(tensor, name)(axis)),
    }
    return with_torch(Contest(run, bytes=4.0 * x.size), lambda torch, t: tuple(getattr(t, name)(axis)), x)
