"""One example through a network: in eager mode, as a frozen plan, and by the peers."""

from functools import partial
from itertools import pairwise

import numpy as np

import nncore
from benchmarks import peers
from benchmarks.networks import dense, fresh
from benchmarks.work import contest
from nncore.bench import Contest, linear_arrays, normal


def infer(build, channels, size, flops=0.0):
    """One image, in evaluation; nncore as a plan of Model.freeze."""
    ours, images = fresh(build).eval(), normal(1, size, size, channels).transpose(0, 3, 1, 2)
    run = {"nncore": partial(nncore.Model(ours).freeze(images).run, images)}
    if peers.has("torch"):
        import torch

        for name, layout in (("torch", torch.contiguous_format), ("torch nhwc", torch.channels_last)):
            theirs = build(torch.nn).eval()
            with torch.no_grad():
                for p, a in zip(theirs.parameters(), ours.parameters()):
                    p.copy_(torch.tensor(a.detach().numpy()))
            x = torch.from_numpy(np.ascontiguousarray(images)).contiguous(memory_format=layout)
            run[name] = partial(theirs.to(memory_format=layout), x)
    return Contest(run, flops=flops, rtol=1e-2, atol=1e-3)


def _infer_mlp(*sizes):
    """One example through a ReLU network."""
    x = normal(1, sizes[0])
    layers = [(linear_arrays(1, n, m)[1], normal(m, seed=2)) for n, m in pairwise(sizes)]
    flat = [a for weight, bias in layers for a in (weight.T, bias)]

    def call(relu, linear):
        def run(x, *params):
            for i in range(0, len(params), 2):
                x = linear(x, params[i], params[i + 1])
                x = relu(x) if i + 2 < len(params) else x
            return x

        return run

    outputs = [np.empty((1, n), np.float32) for n in sizes[1:]]

    def by_numpy():
        y = x
        for i, (weight, bias) in enumerate(layers):
            y = np.matmul(y, weight, out=outputs[i])
            y += bias
            if i + 1 < len(layers):
                np.maximum(y, 0, out=y)
        return y

    work = contest(
        lambda lib, *tensors: call(lib.nn.functional.relu, lib.nn.functional.linear)(*tensors),
        *(x, *flat),
        numpy=by_numpy,
        jax=lambda jax, *arrays: call(jax.nn.relu, lambda x, w, b: x @ w.T + b)(*arrays),
        flops=2.0 * sum(n * m for n, m in pairwise(sizes)),
        bytes=4.0 * sum(a.size for a in flat),
        traffic="read",
        atol=1e-3,
        counted="the weights read once; nncore is a plan of Model.freeze",
    )
    work.weights = flat
    if peers.has("onnxruntime"):
        work.run["onnxruntime"] = _onnx_mlp(x, flat)
    return work


def predict(*sizes):
    """The same, nncore as a plan of Model.freeze that writes into a given array."""
    work = _infer_mlp(*sizes)
    model = nncore.Model(dense(*sizes)(nncore.nn))
    with nncore.no_grad():
        for p, a in zip(model.parameters(), work.weights):
            p.copy_(nncore.from_numpy(a))
    plan, x, out = model.freeze(1), normal(1, sizes[0]), np.empty((1, sizes[-1]), np.float32)
    work.run["eager"] = work.run["nncore"]
    work.run["nncore"] = partial(plan.run, x, out)
    return work


def _onnx_mlp(x, flat):
    from onnx import helper

    nodes, layers = [], len(flat) // 2
    for i in range(layers):
        before, after = "x" if i == 0 else f"relu{i - 1}", f"gemm{i}"
        nodes.append(helper.make_node("Gemm", [before, f"w{2 * i}", f"w{2 * i + 1}"], [after], transB=1))
        if i + 1 < layers:
            nodes.append(helper.make_node("Relu", [after], [f"relu{i}"]))
    weights = {f"w{i}": np.ascontiguousarray(a) for i, a in enumerate(flat)}
    session = peers.onnx_session(nodes, {"x": x.shape}, f"gemm{layers - 1}", weights)
    return lambda: session.run(None, {"x": x})
