"""What the ops compute, in NumPy, in whatever precision the arguments have: the references of op_cases.py."""

import math

import numpy as np


@np.vectorize(otypes=[np.longdouble])
def erf(x):
    """By its Taylor series for |x| < 3, with digits to spare; by math.erf beyond, where it is almost 1."""
    if x == 0 or not abs(x) < 3:
        return x if x == 0 else np.longdouble(math.erf(x))
    total = term = x
    for k in range(1, 100):
        term = -term * x * x / k
        total = total + term / (2 * k + 1)
    return total * 2 / np.sqrt(np.longdouble(math.pi) + np.longdouble(1.2246467991473532e-16))


def sigmoid(x):
    return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def logsumexp(x):
    largest = x.max(-1, keepdims=True, initial=-np.inf)
    return largest + np.log(np.exp(x - largest).sum(-1, keepdims=True))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True, initial=-np.inf))
    return e / e.sum(-1, keepdims=True)


def attention(q, k, v, bias=0.0, causal=False):
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.dtype.type(q.shape[-1])) + bias
    return softmax(np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf) if causal else scores) @ v


def cross_entropy(x, target, weight=None, label_smoothing=0.0, ignore_index=-100):
    """Losses of rows."""
    weight = np.ones(x.shape[1]) if weight is None else weight
    nll = logsumexp(x) - x
    safe = np.where(target == ignore_index, 0, target)
    hard = weight[safe] * nll[np.arange(len(x)), safe]
    smooth = (weight * nll).sum(1) / x.shape[1]
    return np.where(target == ignore_index, 0, (1 - label_smoothing) * hard + label_smoothing * smooth)


def patches(x, size, stride=1, padding=0, dilation=1, fill=0.0):
    """(N, C, OH, OW, size, size): what a window sees at each place."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=fill)
    reach = dilation * (size - 1) + 1
    windows = np.lib.stride_tricks.sliding_window_view(x, (reach, reach), (2, 3))
    return windows[:, :, ::stride, ::stride, ::dilation, ::dilation]


def conv2d(x, weight, bias, stride=1, padding=0, dilation=1, groups=1):
    n, channels = x.shape[:2]
    seen = patches(x, weight.shape[2], stride, padding, dilation)
    seen = seen.reshape(n, groups, channels // groups, *seen.shape[2:])
    weight = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    y = np.einsum("ngchwij,gocij->ngohw", seen, weight)
    return y.reshape(n, len(bias), *y.shape[3:]) + bias[:, None, None]


def conv1d(x, weight, bias, stride=1, padding=0):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    seen = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2], 2)[:, :, ::stride]
    return np.einsum("nclk,ock->nol", seen, weight) + bias[:, None]


def conv_transpose2d(x, weight, bias, stride=1, padding=0, output_padding=0):
    """Every pixel of x writes its kernel; all from channel groups of one."""
    (n, _, h, w), (_, o, kh, kw) = x.shape, weight.shape
    y = np.zeros((n, o, (h - 1) * stride + kh + output_padding, (w - 1) * stride + kw + output_padding), x.dtype)
    for i, j in np.ndindex(h, w):
        y[:, :, i * stride : i * stride + kh, j * stride : j * stride + kw] += np.einsum(
            "nc,cohw->nohw", x[:, :, i, j], weight
        )
    inside = slice(padding, -padding or None)
    return y[:, :, inside, inside] + bias[:, None, None]


def cells(x, size, fold):
    """Pooling over windows [i H / OH, (i + 1) H / OH), rounded outwards."""
    (h, w), (oh, ow) = x.shape[2:], size
    rows = [slice(i * h // oh, -(-(i + 1) * h // oh)) for i in range(oh)]
    cols = [slice(i * w // ow, -(-(i + 1) * w // ow)) for i in range(ow)]
    return np.stack([np.stack([fold(x[:, :, r, c], (2, 3)) for c in cols], -1) for r in rows], -2)


def bilinear(x, size):
    """Between the four pixels around a point, middles of pixels at half integers."""
    for axis, count in zip((2, 3), size):
        n = x.shape[axis]
        at = np.clip((np.arange(count, dtype=x.dtype) + x.dtype.type(0.5)) * n / count - x.dtype.type(0.5), 0, n - 1)
        low = np.minimum(np.floor(at).astype(int), max(n - 2, 0))
        share = (at - low).reshape([-1 if a == axis else 1 for a in range(4)])
        x = np.take(x, low, axis) * (1 - share) + np.take(x, np.minimum(low + 1, n - 1), axis) * share
    return x


def normalised(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def gelu(x):
    return x * (1 + erf(x / np.sqrt(x.dtype.type(2)))) / 2


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def relu(x):
    return np.where((x > 0) | np.isnan(x), x, 0)


def silu(x):
    return x * sigmoid(x)


def huber(x, target):
    error = np.abs(x - target)
    return np.where(error <= 1, error**2 / 2, error - 0.5)


def soft_cross_entropy(x, target):
    return (target * (logsumexp(x) - x)).sum(-1)


def max_pool2d(x, stride=2, padding=0):
    return patches(x, 2, stride, padding, fill=-np.inf).max((-1, -2))


def avg_pool2d(x, stride=2, padding=0):
    return patches(x, 2, stride, padding).mean((-1, -2))


def ceiled(x, fold, fill):
    """Windows of 3 at stride 2 with padding 1; the last one may stick out, over what is neither image nor padding."""
    beyond = np.full((*x.shape[:2], *(n + 3 - n % 2 for n in x.shape[2:])), np.nan, x.dtype)
    beyond[:, :, : x.shape[2] + 2, : x.shape[3] + 2] = fill
    beyond[:, :, 1 : x.shape[2] + 1, 1 : x.shape[3] + 1] = x
    return fold(patches(beyond, 3, 2), (-1, -2))


def rms_norm(x, weight):
    return x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-5) * weight


def group_norm(x, weight, bias, groups):
    rows = normalised(x.reshape(x.shape[0], groups, -1), -1).reshape(x.shape)
    return rows * per_channel(weight, x) + per_channel(bias, x)


def layer_norm(x, weight, bias):
    return normalised(x, -1) * weight + bias


def per_channel(p, x):
    return p.reshape(-1, *[1] * (x.ndim - 2))


def batch_norm(x, weight, bias):
    return normalised(x, (0, *range(2, x.ndim))) * per_channel(weight, x) + per_channel(bias, x)


def batch_norm_inference(x, mean, var, weight, bias):
    y = (x - per_channel(mean, x)) / np.sqrt(per_channel(var, x) + 1e-5)
    return y * per_channel(weight, x) + per_channel(bias, x)


def steps_of(x, lengths, reverse):
    """(t, which rows have a step there), in the order in which a recurrent layer comes to them."""
    lengths = np.full(x.shape[1], len(x)) if lengths is None else lengths
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        yield t, (t < lengths)[:, None]


def rnn(x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths=None, reverse=False, activation=np.tanh):
    y = np.zeros((*x.shape[:2], h.shape[1]), x.dtype)
    for t, active in steps_of(x, lengths, reverse):
        h = np.where(active, activation(x[t] @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh), h)
        y[t] = np.where(active, h, 0)
    return y, h


def lstm(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh, lengths=None, reverse=False):
    y = np.zeros((*x.shape[:2], h.shape[1]), x.dtype)
    for t, active in steps_of(x, lengths, reverse):
        i, f, g, o = np.split(x[t] @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh, 4, axis=1)
        c = np.where(active, sigmoid(f) * c + sigmoid(i) * np.tanh(g), c)
        h = np.where(active, sigmoid(o) * np.tanh(c), h)
        y[t] = np.where(active, h, 0)
    return y, h, c


def gru(
    x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths=None, reverse=False, reset_after=True, update_first=False
):
    y, size = np.zeros((*x.shape[:2], h.shape[1]), x.dtype), h.shape[1]
    for t, active in steps_of(x, lengths, reverse):
        a, b = x[t] @ weight_ih.T + bias_ih, h @ weight_hh.T + bias_hh
        first, second = np.split(sigmoid(a + b)[:, : 2 * size], 2, axis=1)
        r, z = (second, first) if update_first else (first, second)
        seen = r * b[:, 2 * size :] if reset_after else (r * h) @ weight_hh[2 * size :].T + bias_hh[2 * size :]
        n = np.tanh(a[:, 2 * size :] + seen)
        h = np.where(active, (1 - z) * n + z * h, h)
        y[t] = np.where(active, h, 0)
    return y, h


def scatter(x, index, source):
    """Along the first axis, one element after the other."""
    return _scattered(x, index, source, lambda old, new: new)


def scatter_add(x, index, source):
    return _scattered(x, index, source, lambda old, new: old + new)


def _scattered(x, index, source, combine):
    y = x.copy()
    for at in np.ndindex(index.shape):
        to = (index[at], *at[1:])
        y[to] = combine(y[to], source[at])
    return y
