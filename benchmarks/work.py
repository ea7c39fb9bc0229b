"""The work of the family tables: each function makes one contest. families.py has the sizes and the asks.

Contenders: `kernel` is the C kernel alone, timed in C; `nncore` and torch run the same lines of Python on tensors; jax is
compiled; NumPy writes into given arrays. Every contest states the least that must be done: operations, or bytes from and to
the memory where its arrays fit. A row's floor is the longer of the two.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

import nncore
from benchmarks import peers
from benchmarks.elementwise import UNARY
from nncore import kernels
from nncore.bench import (
    Contest,
    KernelCall,
    NumpyAdam,
    empty,
    empty_like,
    layer_norm_numpy,
    linear_arrays,
    normal,
    softmax_cross_entropy,
    softmax_numpy,
)


@dataclass
class Work(Contest):
    """A contest, and what its floor is counted from."""

    dtype: str = "float32"
    traffic: str = "copy"  # the loop of calibrate.c that moves bytes in the same proportion
    footprint: float = 0.0  # bytes that the work touches; 0: as many as it moves
    elements: int = 0  # for cycles per element
    counted: str = ""  # what the floor counts, in words


def contest(
    call, *arrays, kernel=None, numpy=None, jax=None, onnx=None, gradient=None, nhwc=False, keep=False, **counted
):
    """A Work with all the contenders that there are.

    Args:
        call: function (library, *tensors), with nncore or torch as the library.
        arrays: its arguments.
        kernel: KernelCall of the same.
        numpy: function without arguments.
        jax: function (jax, *arrays).
        onnx: (name of the operator, attributes); the first array is its input, the others are its weights.
        gradient: of the result, or 1 (what backward() starts with); tensors then go forward and backward, to the
            gradients of all that are of its dtype.
        nhwc: whether torch takes part in channels last, too.
        keep: whether torch gets arrays that lie in memory as they are here, not C-contiguous ones.
    """
    work = Work({}, **counted)
    if numpy:
        work.run["numpy"] = numpy
    if kernel:
        work.run["kernel"] = kernel
    if call:
        work.run["nncore"] = _on_tensors(nncore, call, [nncore.from_numpy(a) for a in arrays], gradient)
    if peers.has("torch") and call:
        import torch

        tensors = [torch.from_numpy(a if keep else np.ascontiguousarray(a)).clone() for a in arrays]
        work.run["torch"] = _on_tensors(torch, call, tensors, gradient)
        if nhwc:
            tensors = [t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t.clone() for t in tensors]
            work.run["torch nhwc"] = _on_tensors(torch, call, tensors, gradient)
    if jax:
        peers.with_jax(work, jax, *arrays)
    if onnx and peers.has("onnxruntime"):
        work.run["onnxruntime"] = _onnx(*onnx, arrays)
    return work


def _on_tensors(library, call, tensors, gradient):
    if gradient is None:
        return lambda: call(library, *tensors)
    dtype = library.float32
    tensors = [t.requires_grad_() if t.dtype == dtype else t for t in tensors]
    inputs = [t for t in tensors if t.dtype == dtype]
    dy = None if gradient.ndim == 0 else library.from_numpy(gradient)
    return lambda: library.autograd.grad(call(library, *tensors), inputs, dy)


def _onnx(operator, attributes, arrays):
    from onnx import helper

    x, *weights = (np.ascontiguousarray(a) for a in arrays)
    names = [f"weight{i}" for i in range(len(weights))]
    node = helper.make_node(operator, ["x", *names], ["y"], **attributes)
    session = peers.onnx_session([node], {"x": x.shape}, "y", dict(zip(names, weights)))
    return lambda: session.run(None, {"x": x})


def without_peers(make, *size):
    """The contest of nncore alone: rows that only ask for a share of the machine."""
    work = make(*size)
    for name in set(work.run) - {"kernel", "nncore", "plain"}:
        del work.run[name]
    return work


# ---- products ----
def gemm(m, n, k, transposed="NN", dtype="float32"):
    """y = a b; T: that argument lies transposed in memory."""
    shapes = [(m, k), (k, n)]
    a, b = (
        normal(*shape[:: -1 if t == "T" else 1], seed=i, dtype=dtype)
        for i, (shape, t) in enumerate(zip(shapes, transposed))
    )
    a, b = (array.T if t == "T" else array for array, t in zip((a, b), transposed))
    y, z = empty(m, n, dtype=dtype), empty(m, n, dtype=dtype)
    return contest(
        lambda lib, a, b: lib.matmul(a, b),
        *(a, b),
        kernel=KernelCall(kernels.matmul, a[None], b[None], out=y[None]),
        numpy=lambda: np.matmul(a, b, out=z),
        jax=(lambda jax, a, b: a @ b) if dtype == "float32" else None,
        keep=True,
        flops=2.0 * m * n * k,
        dtype=dtype,
        atol=1e-3,
        counted="2 MNK operations",
    )


ACTIVATIONS = ("none", "relu", "sigmoid", "tanh", "gelu", "silu")  # by their numbers in kernels.linear_forward


def _jax_function(jax, name):
    special = {"none": lambda x: x, "gelu": lambda x: jax.nn.gelu(x, approximate=False), "erf": jax.scipy.special.erf}
    return special.get(name) or getattr(jax.nn, name, None) or getattr(jax.numpy, name)


def dense(batch, inputs, outputs, activation="none"):
    """y = activation(x weight^T + bias); `plain` is the product alone."""
    x, weight, bias = linear_arrays(batch, inputs, outputs)
    y, z = empty(batch, outputs), empty(batch, outputs)

    def call(lib, x, w, b):
        y = lib.nn.functional.linear(x, w, b)
        return y if activation == "none" else getattr(lib.nn.functional, activation)(y)

    def by_numpy():
        np.matmul(x, weight, out=z)
        np.add(z, bias, out=z)
        return z if activation == "none" else UNARY[activation][0](z.copy(), z)

    def by_jax(jax, x, w, b):
        return _jax_function(jax, activation)(x @ w.T + b)

    number = ACTIVATIONS.index(activation)
    work = contest(
        call,
        *(x, weight.T, bias),
        kernel=KernelCall(kernels.linear_forward, x, weight.T, bias, number, out=y),
        numpy=by_numpy,
        jax=by_jax,
        onnx=("Gemm", {"transB": 1}) if activation == "none" else None,
        flops=2.0 * batch * inputs * outputs,
        bytes=4.0 * weight.size,
        traffic="read",
        atol=1e-3,
        counted="2 MNK operations, or the weights read once",
    )
    if activation != "none":
        work.run["plain"] = KernelCall(kernels.linear_forward, x, weight.T, None, 0, out=y)
    return work


def dense_both(batch, inputs, outputs):
    """Forward, then dx, dweight and dbias."""
    x, weight, bias = linear_arrays(batch, inputs, outputs)
    dy = normal(batch, outputs, seed=3)
    y, dx, dweight = empty(batch, outputs), empty_like(x), empty_like(weight)

    def by_numpy():
        np.add(np.matmul(x, weight, out=y), bias, out=y)
        np.matmul(dy, weight.T, out=dx)
        np.matmul(x.T, dy, out=dweight)
        return dx, dweight.T, dy.sum(axis=0)

    return contest(
        lambda lib, x, w, b: lib.nn.functional.linear(x, w, b),
        *(x, weight.T, bias),
        numpy=by_numpy,
        gradient=dy,
        flops=6.0 * batch * weight.size,
        bytes=12.0 * weight.size,
        footprint=8.0 * weight.size,
        atol=1e-3,
        counted="6 MNK operations, or weights read twice and their gradient written",
    )


# ---- convolutions: channels last in memory, (N, C, H, W) to the eye ----
def _image(*shape, seed=0):
    n, c, h, w = shape
    return normal(n, h, w, c, seed=seed).transpose(0, 3, 1, 2)


def conv(what, batch, channels, size, filters, kernel=3, stride=1, groups=1):
    """What: forward (with bias), dgrad, wgrad (with the bias gradient), or both: forward, then all three gradients."""
    pad, each = kernel // 2, channels // groups
    x = _image(batch, channels, size, size)
    weight = normal(kernel, kernel, each, filters, seed=1).transpose(3, 2, 0, 1)
    weight /= np.float32(kernel * math.sqrt(each))
    bias, out = normal(filters, seed=2), (size + 2 * pad - kernel) // stride + 1
    dy, options = _image(batch, filters, out, out, seed=3), (stride, stride, pad, pad, 1, 1, groups)

    def by_nncore(lib, x, w, b):
        return lib.nn.functional.conv2d(x, w, b, stride, pad, 1, groups)

    def by_torch(mask):
        return lambda lib, dy, x, w: [
            gradient
            for gradient in lib.ops.aten.convolution_backward(
                dy, x, w, [filters], [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], groups, mask
            )
            if gradient is not None
        ]

    def by_jax(jax, x, w, b):
        y = jax.lax.conv_general_dilated(x, w, [stride] * 2, [(pad, pad)] * 2, feature_group_count=groups)
        return y + b[:, None, None]

    each_way = 2.0 * dy.size * each * kernel**2
    counted = {
        "flops": each_way,
        "bytes": 4.0 * (x.size + dy.size),
        "rtol": 1e-3,
        "atol": 1e-2,
        "counted": "2 N OH OW O C/groups KH KW operations (padding counted), or input and output moved once",
    }
    if what == "forward":
        attributes = {"strides": [stride] * 2, "pads": [pad] * 4, "group": groups, "kernel_shape": [kernel] * 2}
        run = KernelCall(kernels.conv2d_forward, x, weight, bias, *options, 0, out=empty_like(dy))
        arrays, onnx = (x, weight, bias), ("Conv", attributes)
        return contest(by_nncore, *arrays, kernel=run, jax=by_jax, onnx=onnx, nhwc=True, **counted)
    if what == "both":
        counted |= {"flops": 3 * each_way, "bytes": 12.0 * (x.size + dy.size)}
        return contest(by_nncore, x, weight, bias, gradient=dy, nhwc=True, **counted)
    want = (True, False, False) if what == "dgrad" else (False, True, True)
    outs = (empty_like(x), empty_like(weight), empty_like(bias))
    run = partial(kernels.conv2d_backward, dy, x, weight, *options, want=want)
    work = contest(None, **counted)
    out = tuple(o if w else None for o, w in zip(outs, want))
    work.run["kernel"] = KernelCall(run.func, *run.args, want=want, out=out)
    work.run["nncore"] = lambda: [gradient for gradient in run() if gradient is not None]
    if peers.has("torch"):
        theirs = contest(by_torch(list(want)), dy, x, weight, nhwc=True)
        work.run |= {name: theirs.run[name] for name in ("torch", "torch nhwc")}
    return work


# ---- pointwise ----
ONNX = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softplus": "Softplus", "gelu": "Gelu", "exp": "Exp"}


def pointwise(name, elements):
    """y = f(x)."""
    by_numpy, _, scalars, positive = UNARY[name]
    x, y, z = normal(elements), empty(elements), empty(elements)
    if positive:
        np.abs(x, out=x)

    def call(lib, x):
        return (getattr(lib, name, None) or getattr(lib.nn.functional, name))(x)

    return contest(
        call,
        x,
        kernel=KernelCall(kernels.KERNELS[f"{name}_forward"], x, *scalars, out=y),
        numpy=lambda: by_numpy(x, z),
        jax=lambda jax, x: _jax_function(jax, name)(x),
        onnx=(ONNX[name], {}) if name in ONNX else None,
        bytes=8.0 * elements,
        elements=elements,
        counted="x read, y written",
    )


def dropout(elements):
    """x / (1 - p) with probability 1 - p, else 0; `plain` is a copy."""
    x, y = normal(elements), empty(elements)
    work = contest(
        lambda lib, x: lib.nn.functional.dropout(x, 0.5),
        x,
        kernel=KernelCall(kernels.dropout, x, 0.5, 1, 0, out=y),
        bytes=8.0 * elements,
        compare=False,
        counted="x read, y written",
    )
    work.run["plain"] = KernelCall(kernels.copy, x, out=y)
    return work


# ---- rows ----
def softmax(rows, cols):
    """exp(x - max) / sum, per row."""
    x, column = normal(rows, cols), empty(rows, 1)
    y, z = empty(2, rows, cols)
    return contest(
        lambda lib, x: lib.nn.functional.softmax(x, dim=-1),
        x,
        kernel=KernelCall(kernels.softmax_forward, x, out=y),
        numpy=lambda: softmax_numpy(x, z, column),
        jax=lambda jax, x: jax.nn.softmax(x),
        onnx=("Softmax", {"axis": -1}),
        bytes=8.0 * x.size,
        counted="x read, y written",
    )


def cross_entropy(rows, cols):
    """The mean loss and its gradient."""
    x, target = normal(rows, cols), np.random.default_rng(1).integers(0, cols, rows)
    z, number = empty(rows, cols), np.arange(rows)

    def by_numpy():
        softmax_cross_entropy(x, target, number, z)
        return z

    return contest(
        lambda lib, x, t: lib.nn.functional.cross_entropy(x, t),
        *(x, target),
        numpy=by_numpy,
        gradient=np.ones((), np.float32),
        bytes=8.0 * x.size,
        counted="logits read, their gradient written",
    )


def layer_norm(rows, cols):
    """Forward."""
    x, weight, bias = normal(rows, cols), normal(cols, seed=1), normal(cols, seed=2)
    y, z, mean, rstd = empty(rows, cols), empty(rows, cols), empty(rows), empty(rows)
    work = contest(
        lambda lib, x, w, b: lib.nn.functional.layer_norm(x, (cols,), w, b),
        *(x, weight, bias),
        numpy=lambda: layer_norm_numpy(x, weight, bias, z),
        onnx=("LayerNormalization", {"axis": -1}),
        bytes=8.0 * x.size,
        atol=1e-4,
        counted="x read, y written",
    )
    work.run["kernel"] = KernelCall(kernels.layer_norm_forward, x, weight, bias, 1e-5, out=(y, mean, rstd))
    return work


def layer_norm_both(rows, cols):
    """Forward, then dx, dweight and dbias."""
    x, weight, bias = normal(rows, cols), normal(cols, seed=1), normal(cols, seed=2)
    return contest(
        lambda lib, x, w, b: lib.nn.functional.layer_norm(x, (cols,), w, b),
        *(x, weight, bias),
        gradient=normal(rows, cols, seed=3),
        bytes=20.0 * x.size,
        footprint=16.0 * x.size,
        atol=1e-2,
        counted="x read, y written; dy and x read, dx written",
    )


def batch_norm_both(batch, channels, size):
    """In training: forward, then dx, dweight and dbias."""
    x, dy = _image(batch, channels, size, size), _image(batch, channels, size, size, seed=3)
    state = {lib: (lib.zeros(channels), lib.ones(channels)) for lib in libraries()}
    return contest(
        lambda lib, x, w, b: lib.nn.functional.batch_norm(x, *state[lib], w, b, True),
        *(x, normal(channels, seed=1), normal(channels, seed=2)),
        gradient=dy,
        nhwc=True,
        bytes=32.0 * x.size,
        footprint=16.0 * x.size,
        atol=1e-2,
        counted="x read twice (statistics come first), y written; dy and x read twice, dx written",
    )


def batch_norm(batch, channels, size):
    """Of inference."""
    x, y = _image(batch, channels, size, size), _image(batch, channels, size, size)
    arrays = normal(channels, seed=1), normal(channels, seed=2) ** 2, normal(channels, seed=3), normal(channels, seed=4)
    rows = (a.transpose(0, 2, 3, 1).reshape(-1, channels) for a in (x, y))
    return contest(
        lambda lib, x, mean, var, w, b: lib.nn.functional.batch_norm(x, mean, var, w, b),
        *(x, *arrays),
        kernel=_as_rows(kernels.batch_norm_inference, rows, *arrays, 1e-5),
        nhwc=True,
        bytes=8.0 * x.size,
        atol=1e-3,
        counted="x read, y written",
    )


def _as_rows(kernel, rows, *arguments):
    x, y = rows
    return KernelCall(kernel, x, *arguments, out=y)


def libraries():
    """nncore, and torch if it takes part."""
    if not peers.has("torch"):
        return [nncore]
    import torch

    return [nncore, torch]


def pool(name, batch, channels, size, window=2, both=False):
    """max or avg over windows that do not overlap; both: and back."""
    x, out = _image(batch, channels, size, size), size // window
    gradient = _image(batch, channels, out, out, seed=1) if both else None
    y, index = empty_like(_image(batch, channels, out, out)), np.empty((batch, out, out, channels), np.int32)
    forward, options = kernels.KERNELS[f"{name}_pool2d_forward"], (window,) * 4 + (0, 0)
    is_max = name == "max"
    options += (1, 1, 0) if is_max else (1, 0)  # dilation or count_include_pad; ceil_mode
    run = KernelCall(forward, x, *options, out=(y, index.transpose(0, 3, 1, 2)) if is_max else y)
    moved = x.size + (2 if is_max and both else 1) * y.size
    work = contest(
        lambda lib, x: getattr(lib.nn.functional, f"{name}_pool2d")(x, window),
        x,
        gradient=gradient,
        nhwc=True,
        jax=None,
        onnx=None
        if both
        else ("MaxPool" if is_max else "AveragePool", {"kernel_shape": [window] * 2, "strides": [window] * 2}),
        bytes=4.0 * moved * (2 if both else 1),
        footprint=4.0 * moved,
        counted="input read, output written"
        + ("; and back, the positions of the maxima kept between" if both and is_max else "; and back" if both else ""),
    )
    if not both:
        work.run["kernel"] = run
    return work


# ---- optimizers ----
BYTES = {"Adam": 28.0, "AdamW": 28.0, "SGD": 20.0, "RMSprop": 20.0}


def optimizer(name, *shapes):
    """A step; SGD has momentum."""
    options = {"lr": 0.1, "momentum": 0.9} if name == "SGD" else {"lr": 1e-3}
    size = sum(math.prod(shape) for shape in shapes)
    grads = [normal(*shape) for shape in shapes]
    work = Work(
        {},
        bytes=BYTES[name] * size,
        traffic="update",
        footprint=(16.0 if name.startswith("Adam") else 12.0) * size,
        counted=f"{BYTES[name]:.0f} bytes per parameter",
    )
    for lib in libraries():
        params = [lib.zeros(*shape).clone() for shape in shapes]
        for p, grad in zip(params, grads):
            p.requires_grad_()
            p.grad = lib.tensor(grad)
        fused = {} if lib is nncore or name == "RMSprop" else {"fused": True}
        run = getattr(lib.optim, name)(params, **options, **fused)
        work.run["nncore" if lib is nncore else "torch"] = partial(_stepped, run, params)
    if name == "Adam":
        baseline = NumpyAdam(shapes)
        for to, grad in zip(baseline.grads, grads):
            to[...] = grad
        work.run["numpy"] = partial(_stepped, baseline, baseline.params)
    work.run["kernel"] = _kernel_step(name, grads)
    return work


def _stepped(optimizer, params):
    optimizer.step()
    return params


def _kernel_step(name, grads):
    params, first, second = ([np.multiply(g, 0, out=empty_like(g)) for g in grads] for _ in range(3))
    if name == "SGD":
        return KernelCall(kernels.sgd_step, params, first, grads, 0.1, 0.9, 0.0, 0.0, 0, 0, 0, 2)
    if name == "RMSprop":
        return KernelCall(kernels.rmsprop_step, params, first, None, None, grads, 1e-3, 0.99, 1e-8, 0.0, 0.0, 0)
    decay, decoupled = (0.01, 1) if name == "AdamW" else (0.0, 0)
    arrays = params, first, second, None, grads
    return KernelCall(kernels.adam_step, *arrays, 1e-3, 0.9, 0.999, 1e-8, decay, decoupled, 0, 0, 2)
