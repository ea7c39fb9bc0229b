"""Which contests there are, of which sizes. An op case of tests/op_cases.py without sizes here stops everything."""

import importlib
import inspect
import sys
from functools import partial
from pathlib import Path

import nncore
from benchmarks import elementwise, indexed, layers, recurrent, variants

MEGA, SMALL = (1_000_000,), (64, 128)
MATRIX = [(4096, 256), (128, 10)]

IMAGES = [(32, 56, 64), (32, 8, 16)]
CONVOLUTIONS = [(32, 28, 1, 8), (16, 28, 64, 64), (32, 8, 16, 32), (16, 28, 64, 128, 1, 1, 0), (8, 56, 3, 64, 7, 2, 3)]
PRODUCTS = [(32, 784, 128), (1, 784, 128), (64, 64, 64), (256, 512, 512), (128, 1024, 1024)]
PARAMETERS = [((784, 128), (128,), (128, 10), (10,)), ((1_000_000,),)]
SEQUENCES = [(50, 32, 64, 128), (50, 1, 64, 128)]
TABLE = [(4096, 10_000, 128)]
ATTENTION = [(8, 8, 256, 64), (16, 4, 64, 32)]
AXES = {"all": [(MEGA, None)], "last": [((4096, 256), 1), ((128, 10), 1)], "first": [((4096, 256), 0)]}

# name -> (what makes the contest, sizes: its arguments). --quick takes the first size of each.
ROWS = {
    **{name: (partial(elementwise.unary, name), [MEGA, SMALL]) for name in elementwise.UNARY},
    **{f"{name}_backward": (partial(elementwise.unary_backward, name), [MEGA]) for name in elementwise.UNARY_BACKWARD},
    **{name: (partial(elementwise.loss, name), [MEGA]) for name in elementwise.LOSSES},
    **{
        name: (partial(elementwise.binary, name), [(MEGA, MEGA), ((4096, 256), (256,)), ((4096, 256), (4096, 1))])
        for name in elementwise.BINARY
    },
    "where": (elementwise.where, [MEGA]),
    "copy": (elementwise.copy, [(1024, 1024)]),
    **{
        f"{name}_{label}": (partial(elementwise.reduction, name), sizes)
        for name in ("sum", "amax", "amin", "argmax", "argmin")
        for label, sizes in AXES.items()
    },
    **{name: (partial(elementwise.reduction, name), AXES["last"]) for name in ("mean", "var", "std", "logsumexp")},
    "norm": (partial(elementwise.reduction, "norm"), AXES["all"]),
    **{f"{name}_first": (partial(elementwise.reduction, name), AXES["first"]) for name in ("var", "logsumexp")},
    "max_along": (partial(elementwise.along, "max", 1), MATRIX),
    "min_along": (partial(elementwise.along, "min", 0), MATRIX),
    "cat": (layers.cat, [((512, 1024), (512, 1024))]),
    "stack": (layers.stack, [(2, 512, 1024)]),
    "pad": (layers.pad, [(32, 64, 56, 56)]),
    "index": (indexed.index, TABLE),
    "embedding": (indexed.embedding_forward, TABLE),
    "embedding_backward": (indexed.embedding_backward, TABLE),
    "gather": (indexed.gather, MATRIX),
    "scatter": (partial(indexed.scatter, "scatter"), MATRIX),
    "scatter_add": (partial(indexed.scatter, "scatter_add"), MATRIX),
    "index_select": (indexed.index_select, MATRIX),
    "cumsum": (partial(indexed.cumsum, 1), MATRIX),
    "cumsum_first": (partial(indexed.cumsum, 0), MATRIX),
    "matmul": (layers.matmul, [(1, 256, 512, 512), (16, 64, 64, 64), (1, 1024, 1024, 1024)]),
    "matmul_columns": (layers.matmul, [(1, 512, 512, 8)]),
    "linear": (layers.linear_forward, PRODUCTS),
    "linear_backward": (layers.linear_backward, PRODUCTS),
    **{f"linear_{name}": (layers.linear_forward, [(*PRODUCTS[0], name)]) for name in layers.ACTIVATIONS if name},
    "conv2d": (layers.conv2d_forward, CONVOLUTIONS),
    "conv2d_backward": (layers.conv2d_backward, CONVOLUTIONS),
    "conv2d_strided": (layers.conv2d_forward, [(16, 28, 64, 64, 3, 2, 1)]),
    "conv2d_dilated": (layers.conv2d_variant, [(16, 28, 64, 64, 3, 1, 2, 2)]),
    "conv2d_grouped": (layers.conv2d_variant, [(16, 28, 64, 64, 3, 1, 1, 1, 2)]),
    "conv2d_depthwise": (layers.conv2d_variant, [(16, 28, 128, 128, 3, 1, 1, 1, 128)]),
    "max_pool2d": (layers.max_pool2d_forward, IMAGES),
    "max_pool2d_backward": (layers.max_pool2d_backward, IMAGES),
    "max_pool2d_padded": (partial(layers.pool2d_padded, "max_pool2d"), IMAGES),
    "avg_pool2d": (layers.avg_pool2d_forward, IMAGES),
    "avg_pool2d_backward": (layers.avg_pool2d_backward, IMAGES),
    "avg_pool2d_padded": (partial(layers.pool2d_padded, "avg_pool2d"), IMAGES),
    "softmax": (layers.softmax_forward, MATRIX),
    "softmax_first": (partial(layers.softmax_first, "softmax"), MATRIX),
    "log_softmax_first": (partial(layers.softmax_first, "log_softmax"), MATRIX),
    "softmax_backward": (layers.softmax_backward, MATRIX),
    "log_softmax": (layers.log_softmax_forward, MATRIX),
    "log_softmax_backward": (layers.log_softmax_backward, MATRIX),
    "cross_entropy": (layers.cross_entropy, MATRIX),
    "cross_entropy_smoothed": (layers.cross_entropy_variant, [(*size, "none", 0.1) for size in MATRIX]),
    "cross_entropy_weighted": (layers.cross_entropy_variant, [(*size, "none", 0.1, True) for size in MATRIX]),
    "cross_entropy_mean": (layers.cross_entropy_variant, [(*size, "mean") for size in MATRIX]),
    "soft_cross_entropy": (layers.soft_cross_entropy, MATRIX),
    "nll_loss": (layers.nll_loss, MATRIX),
    "nll_loss_weighted": (layers.nll_loss, [(*size, True) for size in MATRIX]),
    "one_hot": (indexed.one_hot, MATRIX),
    "layer_norm": (layers.layer_norm_forward, [(4096, 256), (64, 64)]),
    "layer_norm_backward": (layers.layer_norm_backward, [(4096, 256), (64, 64)]),
    "attention": (layers.attention_forward, ATTENTION),
    "attention_causal": (layers.attention_forward, [(*size, "causal") for size in ATTENTION]),
    "attention_masked": (layers.attention_forward, [(*size, "added") for size in ATTENTION]),
    "attention_backward": (layers.attention_backward, ATTENTION),
    "attention_causal_backward": (layers.attention_backward, [(*size, "causal") for size in ATTENTION]),
    "batch_norm": (layers.batch_norm_forward, [(32 * 28 * 28, 64), (64, 64)]),
    "batch_norm_backward": (layers.batch_norm_backward, [(32 * 28 * 28, 64), (64, 64)]),
    "batch_norm_inference": (layers.batch_norm_inference, [(32 * 28 * 28, 64), (64, 64)]),
    **{kind: (partial(recurrent.forward, kind), SEQUENCES) for kind in recurrent.GATES},
    **{f"{kind}_lengths": (partial(recurrent.forward, kind, lengths=True), SEQUENCES) for kind in ("lstm", "gru")},
    **{
        f"{kind}_reverse": (partial(recurrent.forward, kind, lengths=True, reverse=True), SEQUENCES)
        for kind in ("rnn", "lstm")
    },
    "gru_reset_before": (partial(recurrent.forward, "gru", reset_after=False), SEQUENCES),
    "gru_keras": (partial(recurrent.forward, "gru", reset_after=False, reverse=True), SEQUENCES),
    "random_uniform": (layers.random_uniform, [MEGA]),
    "random_normal": (layers.random_normal, [MEGA]),
    "random_permutation": (layers.random_permutation, [(100_000,)]),
    "dropout": (layers.dropout, [MEGA, SMALL]),
    "adam_step": (layers.adam_step, PARAMETERS),
    "sgd_step": (layers.sgd_step, PARAMETERS),
    "rmsprop_step": (layers.rmsprop_step, PARAMETERS),
}


def op_cases():
    """The op cases of the test side."""
    tests = str(Path(__file__).parent.parent / "tests")
    sys.path.insert(0, tests)
    try:
        return importlib.import_module("op_cases").CASES
    finally:
        sys.path.remove(tests)


VARIANTS = {
    "adaptive_avg_pool2d": ((32, 64, 14, 15),),
    "adaptive_max_pool2d": ((32, 64, 14, 15),),
    "addmm": ((256, 512), (256, 512), (512, 512)),
    "addmm_row": ((512,), (256, 512), (512, 512)),
    "avg_pool2d_ceil": ((32, 64, 55, 55),),
    "baddbmm": ((64,), (16, 64, 64), (16, 64, 64)),
    "conv1d": ((32, 64, 200), (64, 64, 3), (64,)),
    "conv2d_flipped": ((16, 64, 28, 28), (64, 64, 3, 3), (64,)),
    "conv_transpose2d": ((16, 64, 28, 28), (64, 64, 3, 3), (64,)),
    "conv_transpose2d_strided": ((16, 64, 14, 14), (64, 32, 3, 3), (32,)),
    "einsum": ((64, 32), (64, 32, 32), (64, 32)),
    "einsum_diagonal": ((128, 128, 64), (64, 64)),
    "einsum_scores": ((8, 256, 8, 64), (8, 256, 8, 64)),
    "einsum_sums": ((64, 128, 128), (64, 64)),
    "group_norm": ((32, 64, 28, 28), (64,), (64,)),
    "interpolate_bilinear": ((32, 64, 4, 4),),
    "interpolate_nearest": ((32, 64, 28, 28),),
    "max_pool2d_ceil": ((32, 64, 55, 55),),
    "pad_circular": ((32, 64, 28, 28),),
    "pad_reflect": ((32, 64, 28, 28),),
    "pad_replicate": ((32, 64, 28, 28),),
    "prelu": ((4096, 256), (256,)),
    "rms_norm": ((4096, 256), (256,)),
    "roll": ((1024, 1024),),
    "tril": ((1024, 1024),),
    "triu": ((1024, 1024),),
}

# A new pointwise op is measured against the formula of its test, until somebody writes down a faster one.
for _case in op_cases():
    if _case.name in VARIANTS:
        ROWS[_case.name] = (partial(variants.variant, _case), [VARIANTS[_case.name]])
    if _case.name not in ROWS and f"{_case.name}_forward" in nncore.kernels.KERNELS and len(_case.args) == 1:
        ROWS[_case.name] = (partial(elementwise.by_reference, _case), [MEGA, SMALL])
    elif _case.name not in ROWS and not _case.kernels:
        ROWS[_case.name] = (partial(elementwise.by_reference, _case), [MEGA])
    elif _case.name not in ROWS and _case.name.endswith("_step"):
        ROWS[_case.name] = (partial(layers.step_by_reference, _case), PARAMETERS)

OP_SIZES = {name: sizes for name, (_, sizes) in ROWS.items()}
NEEDS_TAPE = {"cross_entropy", *(name for name in ROWS if name.endswith("_backward"))}


def check_complete():
    """Raise SystemExit if an op case has no sizes here."""
    missing = sorted({case.name for case in op_cases()} - {*OP_SIZES})
    if missing:
        raise SystemExit(f"benchmarks: OP_SIZES has no sizes for {', '.join(missing)}")


def describe(make, size):
    """A size in words: "rows 4096, cols 256"; arguments without a name of their own are shapes."""
    words = []
    for name, value in inspect.signature(make).bind(*size).arguments.items():
        nested = isinstance(value, tuple) and any(isinstance(part, tuple) for part in value)
        shapes = value if nested else (value,)
        text = " + ".join("x".join(map(str, s)) if isinstance(s, tuple) else str(s) for s in shapes)
        words.append(text if name in ("shape", "shapes") else f"{name} {text}")
    return ", ".join(words)


def rows(full):
    """(name, size in words, function that makes the contest, whether it needs the tape) of every row of the table."""
    for name, (make, sizes) in ROWS.items():
        for size in sizes if full else sizes[:1]:
            yield name, describe(make, size), partial(make, *size), name in NEEDS_TAPE
