"""Contests of products, images, normalisation, losses of rows, random numbers and optimizers; see elementwise.py."""

import numpy as np

import nncore
from benchmarks import peers
from benchmarks.baselines import NumpyConv, NumpyDepthwise, NumpyGroups
from benchmarks.elementwise import UNARY
from benchmarks.peers import join, with_jax, with_torch
from nncore import kernels, ops
from nncore.bench import (
    Contest,
    adam,
    empty,
    empty_like,
    layer_norm,
    linear,
    linear_arrays,
    normal,
    sigmoid_numpy,
    softmax,
    softmax_cross_entropy,
)
from nncore.nn import functional as F


# ---- products ----
def matmul(batch, m, k, n):
    """y = a b."""
    a, b, y, z = normal(batch, m, k), normal(batch, k, n, seed=1), empty(batch, m, n), empty(batch, m, n)
    s, t = nncore.from_numpy(a), nncore.from_numpy(b)
    run = {
        "numpy": lambda: np.matmul(a, b, out=z),
        "nncore": lambda: kernels.matmul(a, b, out=y),
        "nncore eager": lambda: ops.matmul(s, t),
    }
    contest = Contest(run, flops=2.0 * batch * m * n * k, atol=1e-3)
    with_jax(contest, lambda jax, u, v: u @ v, a, b)
    return with_torch(contest, lambda torch, u, v: torch.matmul(u, v), a, b)


# name: (number of kernels.linear_forward, NumPy in place, torch)
ACTIVATIONS = {
    None: (0, lambda z: z, lambda torch, y: y),
    "relu": (1, lambda z: np.maximum(z, 0, out=z), lambda torch, y: torch.relu(y)),
    "sigmoid": (2, lambda z: sigmoid_numpy(z, z), lambda torch, y: torch.sigmoid(y)),
    "tanh": (3, lambda z: np.tanh(z, out=z), lambda torch, y: torch.tanh(y)),
    "gelu": (4, lambda z: UNARY["gelu"][0](z, empty_like(z)), lambda torch, y: torch.nn.functional.gelu(y)),
    "silu": (5, lambda z: UNARY["silu"][0](z, empty_like(z)), lambda torch, y: torch.nn.functional.silu(y)),
}


def linear_forward(batch, inputs, outputs, activation=None):
    """y = activation(x weight^T + bias)."""
    contest = linear(batch, inputs, outputs)
    number, by_numpy, by_torch = ACTIVATIONS[activation]
    x, weight, bias = linear_arrays(batch, inputs, outputs)
    if activation:
        y, product = empty(batch, outputs), contest.run["numpy"]
        contest.run["numpy"] = lambda: by_numpy(product())
        contest.run["nncore"] = lambda: kernels.linear_forward(x, weight.T, bias, number, out=y)
    tensors = [nncore.from_numpy(a) for a in (x, weight.T, bias)]
    join(contest, "nncore eager", lambda: ops.linear(*tensors, activation=activation))
    if not activation:
        with_jax(contest, lambda jax, a, w, b: a @ w + b, x, weight, bias)
    if peers.has("onnxruntime") and not activation:
        from onnx import helper

        node = helper.make_node("Gemm", ["x", "weight", "bias"], ["y"])
        session = peers.onnx_session([node], {"x": x.shape}, "y", {"weight": weight, "bias": bias})
        join(contest, "onnxruntime", lambda: session.run(None, {"x": x}))

    def torch_linear(torch, a, w, b):
        return by_torch(torch, torch.nn.functional.linear(a, w, b))

    return with_torch(contest, torch_linear, x, weight.T.copy(), bias)


def linear_backward(batch, inputs, outputs):
    """dx = dy weight, dweight = dy^T x, dbias = sum dy."""
    x, weight, dy = normal(batch, inputs), normal(inputs, outputs, seed=1), normal(batch, outputs, seed=2)
    (dx, other_dx), (dweight, other_dweight), (dbias, other_dbias) = (
        (empty_like(a), empty_like(a)) for a in (x, weight, dy[0])
    )

    def by_numpy():
        np.matmul(dy, weight.T, out=dx)
        np.matmul(x.T, dy, out=dweight)
        np.sum(dy, axis=0, out=dbias)
        return dx, dweight.T, dbias

    outs = (other_dx, other_dweight.T, other_dbias)
    run = {"numpy": by_numpy, "nncore": lambda: kernels.linear_backward(dy, x, weight.T, out=outs)}
    contest = Contest(run, flops=4.0 * batch * inputs * outputs, atol=1e-3)
    return with_torch(
        contest, lambda torch, a, w, b: torch.nn.functional.linear(a, w, b), x, weight.T.copy(), dy[0], gradient=dy
    )


# ---- images: channels last in memory, (N, C, H, W) to the eye ----
def nchw(a):
    return a.transpose(0, 3, 1, 2)


def _conv(batch, size, channels, filters, kernel, stride, padding):
    x, weight = normal(batch, size, size, channels), normal(kernel, kernel, channels, filters, seed=1)
    conv = NumpyConv(batch, size, channels, filters, kernel, stride, padding)
    flops = 2.0 * conv.y.size * kernel * kernel * channels
    return x, weight, normal(filters, seed=2), conv, (stride, stride, padding, padding, 1, 1, 1), flops


def _with_torch_conv(contest, x, weight, bias, stride, padding, gradient=None):
    """torch in both layouts."""
    if not peers.has("torch"):
        return contest
    import torch

    for name, layout in (("torch", torch.contiguous_format), ("torch nhwc", torch.channels_last)):

        def call(_, a, w, b, layout=layout):
            return torch.nn.functional.conv2d(
                a.to(memory_format=layout), w.to(memory_format=layout), b, stride, padding
            )

        arrays = (nchw(x), weight.transpose(3, 2, 0, 1), bias)
        if gradient is None:
            a, w, b = (torch.tensor(v) for v in arrays)
            a, w = a.contiguous(memory_format=layout), w.contiguous(memory_format=layout)
            join(contest, name, lambda a=a, w=w, b=b: torch.nn.functional.conv2d(a, w, b, stride, padding))
        else:
            tensors = [torch.tensor(v) for v in arrays]
            a, w = (t.contiguous(memory_format=layout).requires_grad_() for t in tensors[:2])
            b = tensors[2].requires_grad_()
            y = torch.nn.functional.conv2d(a, w, b, stride, padding)
            dy = torch.tensor(gradient).contiguous(memory_format=layout)
            join(contest, name, lambda y=y, i=(a, w, b), dy=dy: torch.autograd.grad(y, i, dy, retain_graph=True))
    return contest


def conv2d_forward(batch, size, channels, filters, kernel=3, stride=1, padding=1):
    """y = convolution of x with weight, plus bias."""
    x, weight, bias, conv, options, flops = _conv(batch, size, channels, filters, kernel, stride, padding)
    y, image, filter_bank = empty_like(conv.y), nchw(x), weight.transpose(3, 2, 0, 1)
    tensors = [nncore.from_numpy(a) for a in (image, filter_bank, bias)]
    run = {
        "numpy": lambda: nchw(conv.forward(x, weight, bias)),
        "nncore": lambda: kernels.conv2d_forward(image, filter_bank, bias, *options, 0, out=nchw(y)),
        "nncore eager": lambda: F.conv2d(*tensors, stride, padding),
    }
    contest = Contest(run, flops=flops, atol=1e-3)
    if peers.has("onnxruntime"):
        from onnx import helper

        node = helper.make_node(
            "Conv", ["x", "weight", "bias"], ["y"], strides=[stride] * 2, pads=[padding] * 4, kernel_shape=[kernel] * 2
        )
        theirs = np.ascontiguousarray(image)
        weights = {"weight": np.ascontiguousarray(filter_bank), "bias": bias}
        session = peers.onnx_session([node], {"x": image.shape}, "y", weights)
        join(contest, "onnxruntime", lambda: session.run(None, {"x": theirs}))
    with_jax(
        contest,
        lambda jax, a, w, b: (
            jax.lax.conv_general_dilated(
                a, w, (stride, stride), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NCHW")
            )
            + b[:, None, None]
        ),
        *(x, weight, bias),
    )
    return _with_torch_conv(contest, x, weight, bias, stride, padding)


def conv2d_variant(batch, size, channels, filters, kernel=3, stride=1, padding=1, dilation=1, groups=1):
    """y = convolution of x with weight, dilated or in groups, plus bias."""
    x, bias = normal(batch, size, size, channels), normal(filters, seed=2)
    weight = normal(kernel, kernel, channels // groups, filters, seed=1)
    if groups == channels == filters:
        forward = NumpyDepthwise(batch, size, channels, kernel, padding).forward
    else:
        forward = NumpyGroups(batch, size, channels, filters, kernel, stride, padding, dilation, groups).forward
    image, filter_bank = nchw(x), weight.transpose(3, 2, 0, 1)
    y = empty_like(forward(x, weight, bias))
    tensors = [nncore.from_numpy(a) for a in (image, filter_bank, bias)]
    options = (stride, stride, padding, padding, dilation, dilation, groups, 0)
    run = {
        "numpy": lambda: nchw(forward(x, weight, bias)),
        "nncore": lambda: kernels.conv2d_forward(image, filter_bank, bias, *options, out=nchw(y)),
        "nncore eager": lambda: F.conv2d(*tensors, stride, padding, dilation, groups),
    }
    contest = Contest(run, flops=2.0 * y.size * kernel**2 * channels // groups, atol=1e-3)

    def by_torch(torch, a, w, b):
        return torch.nn.functional.conv2d(a, w, b, stride, padding, dilation, groups)

    return with_torch(contest, by_torch, np.ascontiguousarray(image), np.ascontiguousarray(filter_bank), bias)


def conv2d_backward(batch, size, channels, filters, kernel=3, stride=1, padding=1):
    """dx, dweight, dbias of the convolution."""
    x, weight, bias, conv, options, flops = _conv(batch, size, channels, filters, kernel, stride, padding)
    conv.forward(x, weight, bias)
    dy = normal(*conv.y.shape, seed=3)
    dweight, dbias = empty_like(weight), empty_like(bias)
    image, filter_bank, gradient = nchw(x), weight.transpose(3, 2, 0, 1), nchw(dy)
    outs = (nchw(empty_like(x)), empty_like(weight).transpose(3, 2, 0, 1), empty_like(bias))

    def by_numpy():
        dx = conv.backward(dy, weight, dweight, dbias)
        return nchw(dx), dweight.transpose(3, 2, 0, 1), dbias

    run = {
        "numpy": by_numpy,
        "nncore": lambda: kernels.conv2d_backward(gradient, image, filter_bank, *options, out=outs),
    }
    contest = Contest(run, flops=2 * flops, rtol=1e-3, atol=1e-2)
    return _with_torch_conv(contest, x, weight, bias, stride, padding, gradient)


def _corners(x):
    """The four positions of every 2x2 window."""
    return [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]


def max_pool2d_forward(batch, size, channels):
    """y = max over 2x2."""
    x, y = normal(batch, size, size, channels), empty(batch, size // 2, size // 2, channels)
    z, index, image = empty_like(y), np.empty(y.shape, np.int32), nchw(x)
    tensor = nncore.from_numpy(image)

    def by_numpy():
        a, b, c, d = _corners(x)
        np.maximum(a, b, out=z)
        np.maximum(z, c, out=z)
        return nchw(np.maximum(z, d, out=z))

    outs = (nchw(y), nchw(index))
    run = {
        "numpy": by_numpy,
        "nncore": lambda: kernels.max_pool2d_forward(image, 2, 2, 2, 2, 0, 0, 1, 1, 0, out=outs)[0],
        "nncore eager": lambda: F.max_pool2d(tensor, 2),
    }
    contest = Contest(run, bytes=4.0 * x.size + 8.0 * y.size)
    return with_torch(contest, lambda torch, t: torch.nn.functional.max_pool2d(t, 2), image)


def pool2d_padded(name, batch, size, channels):
    """y = max or mean over 2x2, stride 1, padding 1."""
    x, is_max = normal(batch, size, size, channels), name == "max_pool2d"
    padded = np.full((batch, size + 2, size + 2, channels), -np.inf if is_max else 0, np.float32)
    y, z = empty(2, batch, size + 1, size + 1, channels)
    image, index, add = nchw(x), np.empty(y.shape, np.int32), np.maximum if is_max else np.add

    def by_numpy():
        padded[:, 1:-1, 1:-1] = x
        a, b, c, d = (padded[:, i : i + size + 1, j : j + size + 1] for i in (0, 1) for j in (0, 1))
        add(a, b, out=z)
        add(z, c, out=z)
        add(z, d, out=z)
        return nchw(z if is_max else np.multiply(z, 0.25, out=z))

    def by_nncore():
        if is_max:
            return kernels.max_pool2d_forward(image, 2, 2, 1, 1, 1, 1, 1, 1, 0, out=(nchw(y), nchw(index)))[0]
        return kernels.avg_pool2d_forward(image, 2, 2, 1, 1, 1, 1, 1, 0, out=nchw(y))

    contest = Contest({"numpy": by_numpy, "nncore": by_nncore}, bytes=4.0 * (x.size + y.size))
    return with_torch(contest, lambda torch, t: getattr(torch.nn.functional, name)(t, 2, 1, 1), image)


def max_pool2d_backward(batch, size, channels):
    """dx = dy where the maximum was."""
    x, dx, z = normal(batch, size, size, channels), *empty(2, batch, size, size, channels)
    image = nchw(x)
    y, index = kernels.max_pool2d_forward(image, 2, 2, 2, 2, 0, 0, 1, 1, 0)
    dy = normal(batch, size // 2, size // 2, channels, seed=1)
    highest, mask = y.transpose(0, 2, 3, 1), np.empty(dy.shape, bool)

    def by_numpy():
        for corner, gradient in zip(_corners(x), _corners(z)):
            np.multiply(dy, np.equal(corner, highest, out=mask), out=gradient)
        return nchw(z)

    out, options = nchw(dx), (size, size, 2, 2, 2, 2, 0, 0, 1, 1, 0)
    run = {
        "numpy": by_numpy,
        "nncore": lambda: kernels.max_pool2d_backward(nchw(dy), index, *options, out=out),
    }
    contest = Contest(run, bytes=4.0 * x.size + 8.0 * dy.size)
    return with_torch(contest, lambda torch, t: torch.nn.functional.max_pool2d(t, 2), image, gradient=nchw(dy))


def avg_pool2d_forward(batch, size, channels):
    """y = mean over 2x2."""
    x, y = normal(batch, size, size, channels), empty(batch, size // 2, size // 2, channels)
    z, image = empty_like(y), nchw(x)
    tensor = nncore.from_numpy(image)

    def by_numpy():
        a, b, c, d = _corners(x)
        np.add(a, b, out=z)
        np.add(z, c, out=z)
        np.add(z, d, out=z)
        return nchw(np.multiply(z, 0.25, out=z))

    out = nchw(y)
    run = {
        "numpy": by_numpy,
        "nncore": lambda: kernels.avg_pool2d_forward(image, 2, 2, 2, 2, 0, 0, 1, 0, out=out),
        "nncore eager": lambda: F.avg_pool2d(tensor, 2),
    }
    contest = Contest(run, bytes=4.0 * (x.size + y.size))
    return with_torch(contest, lambda torch, t: torch.nn.functional.avg_pool2d(t, 2), image)


def avg_pool2d_backward(batch, size, channels):
    """dx = dy / 4, spread."""
    dy = normal(batch, size // 2, size // 2, channels)
    dx, z = empty(2, batch, size, size, channels)

    def by_numpy():
        corners = _corners(z)
        np.multiply(dy, 0.25, out=corners[0])
        for corner in corners[1:]:
            corner[...] = corners[0]
        return nchw(z)

    out = nchw(dx)
    run = {
        "numpy": by_numpy,
        "nncore": lambda: kernels.avg_pool2d_backward(nchw(dy), size, size, 2, 2, 2, 2, 0, 0, 1, 0, out=out),
    }
    contest = Contest(run, bytes=4.0 * (dx.size + dy.size))
    return with_torch(contest, lambda torch, t: torch.nn.functional.avg_pool2d(t, 2), nchw(z), gradient=nchw(dy))


# ---- rows: softmax, cross-entropy, norms ----
def softmax_forward(rows, cols):
    """exp(x - max) / sum, per row."""
    contest, x = softmax(rows, cols), normal(rows, cols)
    tensor = nncore.from_numpy(x)
    join(contest, "nncore eager", lambda: F.softmax(tensor, -1))
    with_jax(contest, lambda jax, a: jax.nn.softmax(a), x)
    return with_torch(contest, lambda torch, t: torch.softmax(t, -1), x)


def softmax_first(name, rows, cols):
    """softmax or its logarithm, per column."""
    x, z, e, row = normal(rows, cols), empty(rows, cols), empty(rows, cols), empty(1, cols)
    tensor, op = nncore.from_numpy(x), getattr(F, name)

    def by_numpy():
        np.subtract(x, np.max(x, axis=0, keepdims=True, out=row), out=z)
        np.sum(np.exp(z, out=e), axis=0, keepdims=True, out=row)
        return np.divide(e, row, out=e) if name == "softmax" else np.subtract(z, np.log(row, out=row), out=z)

    contest = Contest({"numpy": by_numpy, "nncore": lambda: op(tensor, 0)}, bytes=8.0 * x.size)
    return with_torch(contest, lambda torch, t: getattr(torch, name)(t, 0), x)


def softmax_backward(rows, cols):
    """dx = y (dy - sum dy y), per row."""
    x, dy, dx, z = normal(rows, cols), normal(rows, cols, seed=1), empty(rows, cols), empty(rows, cols)
    y = kernels.softmax_forward(x)

    def by_numpy():
        np.subtract(dy, np.einsum("ij,ij->i", dy, y)[:, None], out=z)
        return np.multiply(z, y, out=z)

    run = {"numpy": by_numpy, "nncore": lambda: kernels.softmax_backward(dy, y, out=dx)}
    contest = Contest(run, bytes=12.0 * x.size)
    return with_torch(contest, lambda torch, t: torch.softmax(t, -1), x, gradient=dy)


def log_softmax_forward(rows, cols):
    """x - max - log sum exp(x - max), per row."""
    x, y, z, e = normal(rows, cols), *empty(3, rows, cols)
    tensor = nncore.from_numpy(x)

    def by_numpy():
        np.subtract(x, x.max(axis=1, keepdims=True), out=z)
        total = np.exp(z, out=e).sum(axis=1, keepdims=True)
        return np.subtract(z, np.log(total, out=total), out=z)

    run = {
        "numpy": by_numpy,
        "nncore": lambda: kernels.log_softmax_forward(x, out=y),
        "nncore eager": lambda: F.log_softmax(tensor, -1),
    }
    return with_torch(Contest(run, bytes=8.0 * x.size), lambda torch, t: torch.log_softmax(t, -1), x)


def log_softmax_backward(rows, cols):
    """dx = dy - exp(y) sum dy, per row."""
    x, dy, dx, z = normal(rows, cols), normal(rows, cols, seed=1), empty(rows, cols), empty(rows, cols)
    y = kernels.log_softmax_forward(x)

    def by_numpy():
        np.exp(y, out=z)
        np.multiply(z, dy.sum(axis=1, keepdims=True), out=z)
        return np.subtract(dy, z, out=z)

    run = {"numpy": by_numpy, "nncore": lambda: kernels.log_softmax_backward(dy, y, out=dx)}
    contest = Contest(run, bytes=12.0 * x.size)
    return with_torch(contest, lambda torch, t: torch.log_softmax(t, -1), x, gradient=dy)


def cross_entropy(rows, cols):
    """The mean cross-entropy of class indices and its gradient, as a training step needs both."""
    x, target = normal(rows, cols), np.random.default_rng(1).integers(0, cols, rows)
    z, number = empty(rows, cols), np.arange(rows)
    outs = *empty(3, rows), empty(), empty(rows, cols)
    tensor, classes = nncore.from_numpy(x).requires_grad_(), nncore.from_numpy(target)

    def eager():
        value = F.cross_entropy(tensor, classes)
        return value, *nncore.autograd.grad(value, [tensor])

    run = {
        "numpy": lambda: (softmax_cross_entropy(x, target, number, z), z),
        "nncore": lambda: kernels.cross_entropy_forward(x, target, None, 0.0, -100, out=outs)[3:],
        "nncore eager": eager,
    }
    contest = Contest(run, bytes=8.0 * x.size)
    if peers.has("torch"):
        import torch

        logits, labels = torch.tensor(x, requires_grad=True), torch.tensor(target)

        def by_torch():
            value = torch.nn.functional.cross_entropy(logits, labels)
            return value, *torch.autograd.grad(value, [logits])

        join(contest, "torch", by_torch)
    return contest


def cross_entropy_variant(rows, cols, reduction="none", smoothing=0.0, weighted=False):
    """Losses of class indices, with label smoothing or class weights, or their mean."""
    x, target, z = normal(rows, cols), np.random.default_rng(1).integers(0, cols, rows), empty(rows, cols)
    weight = np.random.default_rng(2).random(cols, dtype=np.float32) if weighted else None
    number = np.arange(rows)

    def by_numpy():
        np.subtract(x, x.max(axis=1, keepdims=True), out=z)
        true = z[number, target]
        mean = z.mean(axis=1) if weight is None else z @ (weight / cols)
        log_total = np.log(np.exp(z, out=z).sum(axis=1))
        hard = log_total - true
        if weight is None:
            losses = hard if not smoothing else (1 - smoothing) * hard + smoothing * (log_total - mean)
        else:
            losses = (1 - smoothing) * weight[target] * hard + smoothing * (log_total * weight.mean() - mean)
        return losses.mean() if reduction == "mean" else losses

    tensors = nncore.from_numpy(x), nncore.from_numpy(target)
    options = {"reduction": reduction, "label_smoothing": smoothing}
    ours = options if weight is None else {**options, "weight": nncore.from_numpy(weight)}
    run = {"numpy": by_numpy, "nncore": lambda: F.cross_entropy(*tensors, **ours)}
    contest = Contest(run, bytes=4.0 * x.size)
    if weight is None:
        return with_torch(contest, lambda torch, a, t: torch.nn.functional.cross_entropy(a, t, **options), x, target)
    return with_torch(
        contest, lambda torch, a, t, w: torch.nn.functional.cross_entropy(a, t, w, **options), x, target, weight
    )


def nll_loss(rows, cols, weighted=False):
    """The mean of -x at the target; weighted: each loss, times the weight of its class."""
    x, target, number = normal(rows, cols), np.random.default_rng(1).integers(0, cols, rows), np.arange(rows)
    weight = np.random.default_rng(2).random(cols, dtype=np.float32)
    arrays, options = ((x, target, weight), {"reduction": "none"}) if weighted else ((x, target), {})
    tensors = [nncore.from_numpy(a) for a in arrays]

    def by_numpy():
        picked = x[number, target]
        return -picked * weight[target] if weighted else -picked.mean()

    contest = Contest({"numpy": by_numpy, "nncore": lambda: F.nll_loss(*tensors, **options)}, bytes=12.0 * rows)
    return with_torch(contest, lambda torch, *t: torch.nn.functional.nll_loss(*t, **options), *arrays)


def soft_cross_entropy(rows, cols):
    """losses = -sum target log softmax(x), per row."""
    x, z = normal(rows, cols), empty(rows, cols)
    target = kernels.softmax_forward(normal(rows, cols, seed=1))
    outs = tuple(empty(3, rows))

    def by_numpy():
        np.subtract(x, x.max(axis=1, keepdims=True), out=z)
        true = np.einsum("ij,ij->i", z, target)
        return np.log(np.exp(z, out=z).sum(axis=1)) * target.sum(axis=1) - true

    run = {
        "numpy": by_numpy,
        "nncore": lambda: kernels.soft_cross_entropy_forward(x, target, None, out=outs)[0],
    }
    contest = Contest(run, bytes=8.0 * x.size)

    def by_torch(torch, a, t):
        return torch.nn.functional.cross_entropy(a, t, reduction="none")

    return with_torch(contest, by_torch, x, target)


def layer_norm_forward(rows, cols):
    """(x - mean) / sqrt(var + eps) * weight + bias, per row."""
    contest = layer_norm(rows, cols)
    arrays = normal(rows, cols), normal(cols, seed=1), normal(cols, seed=2)
    tensors = [nncore.from_numpy(a) for a in arrays]
    join(contest, "nncore eager", lambda: F.layer_norm(tensors[0], (cols,), *tensors[1:]))
    return with_torch(contest, lambda torch, a, w, b: torch.nn.functional.layer_norm(a, (cols,), w, b), *arrays)


def layer_norm_backward(rows, cols):
    """dx, dweight, dbias of layer norm."""
    x, weight, dy = normal(rows, cols), normal(cols, seed=1), normal(rows, cols, seed=3)
    _, mean, rstd = kernels.layer_norm_forward(x, weight, None, 1e-5)
    outs = empty(rows, cols), empty(cols), empty(cols)
    xhat, g = empty(2, rows, cols)

    def by_numpy():
        np.subtract(x, mean[:, None], out=xhat)
        np.multiply(xhat, rstd[:, None], out=xhat)
        dweight, dbias = np.einsum("ij,ij->j", dy, xhat), dy.sum(axis=0)
        np.multiply(dy, weight, out=g)
        np.multiply(xhat, (np.einsum("ij,ij->i", g, xhat) / np.float32(cols))[:, None], out=xhat)
        np.subtract(g, g.mean(axis=1, keepdims=True), out=g)
        np.subtract(g, xhat, out=g)
        return np.multiply(g, rstd[:, None], out=g), dweight, dbias

    run = {"numpy": by_numpy, "nncore": lambda: kernels.layer_norm_backward(dy, x, mean, rstd, weight, out=outs)}
    contest = Contest(run, bytes=12.0 * x.size, rtol=1e-3, atol=1e-3)
    bias = np.zeros(cols, np.float32)
    return with_torch(
        contest, lambda torch, a, w, b: torch.nn.functional.layer_norm(a, (cols,), w, b), x, weight, bias, gradient=dy
    )


def batch_norm_forward(rows, channels):
    """(x - mean) / sqrt(var + eps) * weight + bias, per channel, and the running statistics."""
    x, weight, bias = normal(rows, channels), normal(channels, seed=1), normal(channels, seed=2)
    y, z, squares = empty(3, rows, channels)
    mean, rstd, running_mean, other_mean = np.zeros((4, channels), np.float32)
    running_var, other_var = np.ones((2, channels), np.float32)

    def by_numpy():
        nonlocal other_mean, other_var
        average = x.mean(axis=0)
        np.subtract(x, average, out=z)
        variance = np.multiply(z, z, out=squares).mean(axis=0)
        other_mean += 0.1 * (average - other_mean)
        other_var += 0.1 * (variance * (rows / (rows - 1)) - other_var)
        np.multiply(z, weight / np.sqrt(variance + np.float32(1e-5)), out=z)
        return np.add(z, bias, out=z), other_mean, other_var

    def by_nncore():
        options = (x, weight, bias, 1e-5, 0.1, 1)
        return (
            kernels.batch_norm_forward(running_mean, running_var, *options, out=(y, mean, rstd))[0],
            running_mean,
            running_var,
        )

    contest = Contest({"numpy": by_numpy, "nncore": by_nncore}, bytes=8.0 * x.size)
    if peers.has("torch"):
        import torch

        a, w, b = (torch.tensor(v) for v in (x, weight, bias))
        their_mean, their_var = torch.zeros(channels), torch.ones(channels)

        def by_torch():
            return torch.nn.functional.batch_norm(a, their_mean, their_var, w, b, True), their_mean, their_var

        join(contest, "torch", by_torch)
    return contest


def batch_norm_backward(rows, channels):
    """dx, dweight, dbias of batch norm in training."""
    x, weight, dy = normal(rows, channels), normal(channels, seed=1), normal(rows, channels, seed=3)
    _, mean, rstd = kernels.batch_norm_forward(None, None, x, weight, None, 1e-5, 0.1, 1)
    outs = empty(rows, channels), empty(channels), empty(channels)
    xhat, g = empty(2, rows, channels)

    def by_numpy():
        np.subtract(x, mean, out=xhat)
        np.multiply(xhat, rstd, out=xhat)
        dweight, dbias = np.einsum("ij,ij->j", dy, xhat), dy.sum(axis=0)
        np.multiply(xhat, dweight / np.float32(rows), out=xhat)
        np.subtract(dy, dbias / np.float32(rows), out=g)
        np.subtract(g, xhat, out=g)
        return np.multiply(g, rstd * weight, out=g), dweight, dbias

    run = {"numpy": by_numpy, "nncore": lambda: kernels.batch_norm_backward(dy, x, mean, rstd, weight, 1, out=outs)}
    contest = Contest(run, bytes=12.0 * x.size, rtol=1e-3, atol=1e-2)
    bias = np.zeros(channels, np.float32)

    def by_torch(torch, a, w, b):
        return torch.nn.functional.batch_norm(a, None, None, w, b, True)

    return with_torch(contest, by_torch, x, weight, bias, gradient=dy)


def batch_norm_inference(rows, channels):
    """(x - running_mean) / sqrt(running_var + eps) * weight + bias, per channel."""
    x, weight, bias, mean = normal(rows, channels), *(normal(channels, seed=i) for i in (1, 2, 3))
    variance, y, z = normal(channels, seed=4) ** 2, *empty(2, rows, channels)

    def by_numpy():
        scale = weight / np.sqrt(variance + np.float32(1e-5))
        np.multiply(x, scale, out=z)
        return np.add(z, bias - mean * scale, out=z)

    run = {
        "numpy": by_numpy,
        "nncore": lambda: kernels.batch_norm_inference(x, mean, variance, weight, bias, 1e-5, out=y),
    }
    contest = Contest(run, bytes=8.0 * x.size, atol=1e-3)

    def by_torch(torch, a, m, v, w, b):
        return torch.nn.functional.batch_norm(a, m, v, w, b)

    return with_torch(contest, by_torch, x, mean, variance, weight, bias)


# ---- attention ----
def _attention_by_numpy(q, k, v, bias):
    """(y, weights), with all weights in memory."""
    scores = np.matmul(q, k.swapaxes(-1, -2))
    scores *= np.float32(q.shape[-1] ** -0.5)
    if bias is not None:
        scores += bias
    scores -= scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores, out=scores)
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.matmul(weights, v), weights


def _attention(batch, heads, length, head_dim, mask):
    """(q, k and v; dy; what NumPy adds to the scores; arguments of the kernels; flops: what is hidden does not count)."""
    q, k, v, dy = (normal(batch, heads, length, head_dim, seed=i) for i in range(4))
    bias, flops = None, 4.0 * q.size * length
    if mask == "causal":
        bias, flops = (
            np.where(np.tri(length, dtype=bool), 0, -np.inf).astype(np.float32),
            flops * (length + 1) / 2 / length,
        )
    elif mask == "added":
        bias = normal(length, length, seed=4)
    added = None if mask != "added" else np.broadcast_to(bias, (batch, heads, length, length))
    return (q, k, v), dy, bias, (None, added, head_dim**-0.5, int(mask == "causal"), 0.0, 0, 0), flops


def _attention_by(library, mask, bias):
    """Options of scaled_dot_product_attention."""
    if mask == "added":
        return {"attn_mask": library.from_numpy(bias)}
    return {"is_causal": mask == "causal"}


def attention_forward(batch, heads, length, head_dim, mask=None):
    """softmax(q k^T / sqrt(head_dim) + mask) v, per head."""
    arrays, _, bias, options, flops = _attention(batch, heads, length, head_dim, mask)
    y, lse = empty(batch, length, heads, head_dim), empty(batch, heads, length)
    tensors, ours = [nncore.from_numpy(a) for a in arrays], _attention_by(nncore, mask, bias)
    run = {
        "numpy": lambda: _attention_by_numpy(*arrays, bias)[0],
        "nncore": lambda: kernels.attention_forward(*arrays, *options, out=(y, lse))[0].transpose(0, 2, 1, 3),
        "nncore eager": lambda: F.scaled_dot_product_attention(*tensors, **ours),
    }

    def by_torch(torch, *tensors):
        return torch.nn.functional.scaled_dot_product_attention(*tensors, **_attention_by(torch, mask, bias))

    return with_torch(Contest(run, flops=flops, atol=1e-4), by_torch, *arrays)


def attention_backward(batch, heads, length, head_dim, mask=None):
    """dq, dk, dv of attention_forward; nncore and torch compute the weights once more."""
    (q, k, v), dy, bias, options, flops = _attention(batch, heads, length, head_dim, mask)
    y, lse = kernels.attention_forward(q, k, v, *options)
    rows, outs = np.ascontiguousarray(dy.transpose(0, 2, 1, 3)), tuple(map(empty_like, (q, k, v)))
    out, weights = _attention_by_numpy(q, k, v, bias)

    def by_numpy():
        ds = np.matmul(dy, v.swapaxes(-1, -2))
        ds -= np.einsum("bhqd,bhqd->bhq", dy, out)[..., None]
        ds *= weights
        ds *= np.float32(head_dim**-0.5)
        return np.matmul(ds, k), np.matmul(ds.swapaxes(-1, -2), q), np.matmul(weights.swapaxes(-1, -2), dy)

    def by_torch(torch, *tensors):
        return torch.nn.functional.scaled_dot_product_attention(*tensors, **_attention_by(torch, mask, bias))

    run = {"numpy": by_numpy, "nncore": lambda: kernels.attention_backward(rows, y, lse, q, k, v, *options, out=outs)}
    return with_torch(Contest(run, flops=2.5 * flops, atol=1e-3), by_torch, q, k, v, gradient=dy)


# ---- shapes ----
def cat(*shapes):
    """Arrays laid one after the other."""
    arrays = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    tensors, z = [nncore.from_numpy(a) for a in arrays], np.concatenate(arrays)
    run = {"numpy": lambda: np.concatenate(arrays, out=z), "nncore": lambda: ops.cat(tensors)}
    return with_torch(Contest(run, bytes=2.0 * z.nbytes), lambda torch, *t: torch.cat(t), *arrays)


def stack(count, *shape):
    """Arrays as the last dimension of one."""
    arrays = [normal(*shape, seed=i) for i in range(count)]
    tensors, z = [nncore.from_numpy(a) for a in arrays], np.stack(arrays, -1)
    run = {"numpy": lambda: np.stack(arrays, -1, out=z), "nncore": lambda: ops.stack(tensors, -1)}
    return with_torch(Contest(run, bytes=2.0 * z.nbytes), lambda torch, *t: torch.stack(t, -1), *arrays)


def pad(*shape):
    """A frame of zeros of width 1 around the last two dimensions."""
    x = normal(*shape)
    z, tensor = np.zeros((*shape[:-2], shape[-2] + 2, shape[-1] + 2), np.float32), nncore.from_numpy(x)

    def by_numpy():
        z[..., 1:-1, 1:-1] = x
        return z

    run = {"numpy": by_numpy, "nncore": lambda: F.pad(tensor, (1, 1, 1, 1))}
    return with_torch(Contest(run, bytes=8.0 * x.size), lambda torch, t: torch.nn.functional.pad(t, (1, 1, 1, 1)), x)


# ---- random numbers ----
def random_uniform(*shape):
    """Numbers in [0, 1)."""
    rng, y, z = np.random.default_rng(0), empty(*shape), empty(*shape)
    run = {
        "numpy": lambda: rng.random(dtype=np.float32, out=z),
        "nncore": lambda: kernels.random_uniform(0.0, 1.0, 1, 0, out=y),
    }
    return with_torch(Contest(run, bytes=4.0 * y.size, compare=False), lambda torch, t: t.uniform_(), z)


def random_normal(*shape):
    """Normal numbers."""
    rng, y, z = np.random.default_rng(0), empty(*shape), empty(*shape)
    run = {
        "numpy": lambda: rng.standard_normal(dtype=np.float32, out=z),
        "nncore": lambda: kernels.random_normal(0.0, 1.0, 1, 0, out=y),
    }
    return with_torch(Contest(run, bytes=4.0 * y.size, compare=False), lambda torch, t: t.normal_(), z)


def random_permutation(n):
    """A random order of 0 .. n-1."""
    rng, y = np.random.default_rng(0), np.empty(n, np.int64)
    run = {"numpy": lambda: rng.permutation(n), "nncore": lambda: kernels.random_permutation(1, 0, out=y)}
    return with_torch(Contest(run, bytes=8.0 * n, compare=False), lambda torch: torch.randperm(n))


def dropout(*shape):
    """x / (1 - p) with probability 1 - p, else 0."""
    rng, x, y, z, draws = np.random.default_rng(0), normal(*shape), empty(*shape), empty(*shape), empty(*shape)
    mask, tensor = np.empty(shape, bool), nncore.from_numpy(x)

    def by_numpy():
        np.greater_equal(rng.random(dtype=np.float32, out=draws), 0.5, out=mask)
        np.multiply(x, 2, out=z)
        return np.multiply(z, mask, out=z)

    run = {
        "numpy": by_numpy,
        "nncore": lambda: kernels.dropout(x, 0.5, 1, 0, out=y),
        "nncore eager": lambda: F.dropout(tensor, 0.5),
    }
    contest = Contest(run, bytes=8.0 * x.size, compare=False)
    return with_torch(contest, lambda torch, t: torch.nn.functional.dropout(t, 0.5), x)


# ---- optimizers ----
def _with_torch_optimizer(contest, make, shapes):
    """torch's optimizer on the same gradients."""
    if not peers.has("torch"):
        return contest
    import torch

    params = [torch.zeros(shape) for shape in shapes]
    for p in params:
        p.grad = torch.tensor(normal(*p.shape))
    optimizer = make(torch, params)

    def step():
        optimizer.step()
        return params

    return join(contest, "torch", step)


def adam_step(*shapes):
    """One step of Adam."""
    return _with_torch_optimizer(
        adam(*shapes), lambda torch, params: torch.optim.Adam(params, lr=1e-3, fused=True), shapes
    )


def _flat(shapes):
    """Parameters and gradients as NumPy likes them (one array) and as lists."""
    grads = [normal(*shape) for shape in shapes]
    params = [np.zeros(shape, np.float32) for shape in shapes]
    return params, [np.zeros_like(p) for p in params], grads, np.concatenate([g.ravel() for g in grads])


def sgd_step(*shapes):
    """One step of SGD with momentum: b = 0.9 b + g, p -= 0.1 b."""
    params, buffers, grads, flat_grad = _flat(shapes)
    p, b, t = np.zeros((3, flat_grad.size), np.float32)
    steps = 0

    def by_numpy():
        np.multiply(b, 0.9, out=b)
        np.add(b, flat_grad, out=b)
        np.subtract(p, np.multiply(b, 0.1, out=t), out=p)
        return p

    def by_nncore():
        nonlocal steps
        steps += 1
        kernels.sgd_step(params, buffers, grads, 0.1, 0.9, 0.0, 0.0, 0, 0, 0, steps)
        return params

    contest = Contest({"numpy": by_numpy, "nncore": by_nncore}, bytes=20.0 * p.size)
    return _with_torch_optimizer(contest, lambda torch, ps: torch.optim.SGD(ps, 0.1, 0.9, fused=True), shapes)


def rmsprop_step(*shapes):
    """One step of RMSprop: s = 0.99 s + 0.01 g^2, p -= 0.01 g / (sqrt(s) + eps)."""
    params, squares, grads, flat_grad = _flat(shapes)
    p, s, t = np.zeros((3, flat_grad.size), np.float32)

    def by_numpy():
        np.multiply(flat_grad, flat_grad, out=t)
        np.multiply(t, 0.01, out=t)
        np.multiply(s, 0.99, out=s)
        np.add(s, t, out=s)
        np.sqrt(s, out=t)
        np.add(t, 1e-8, out=t)
        np.divide(flat_grad, t, out=t)
        np.subtract(p, np.multiply(t, 0.01, out=t), out=p)
        return p

    def by_nncore():
        kernels.rmsprop_step(params, squares, None, None, grads, 0.01, 0.99, 1e-8, 0.0, 0.0, 0)
        return params

    contest = Contest({"numpy": by_numpy, "nncore": by_nncore}, bytes=20.0 * p.size)
    return _with_torch_optimizer(contest, lambda torch, ps: torch.optim.RMSprop(ps, 0.01), shapes)


def step_by_reference(op_case, *shapes):
    """One step of an optimizer from new states, copies of the parameters included, against the formula of its test."""
    param, grad = (np.concatenate([normal(*shape, seed=seed).ravel() for shape in shapes]) for seed in (0, 1))
    tensors = nncore.from_numpy(param), nncore.from_numpy(grad)
    run = {"numpy": lambda: op_case.reference(param, grad), "nncore": lambda: op_case.op(*tensors)}
    return Contest(run, bytes=20.0 * param.size)
