"""Bad arguments: every kernel and every op refuses them with `op: argument 'name' ...`, before anything is written."""

import re

import numpy as np
import pytest
from op_cases import CASES
from op_checks import draw

import nncore
import nncore.nn.functional as F
from nncore import kernels, ops

NAMES = kernels.__all__[1:]

# ---- a valid call of every kernel, made from its fields ----
SIZES = {"N": 2, "C": 4, "H": 6, "W": 5, "O": 3, "I": 4, "KH": 3, "KW": 3, "OH": 4, "OW": 3, "rows": 7, "cols": 5,
         "n": 6, "outer": 2, "m": 4, "inner": 3, "batch": 2, "M": 3, "K": 5, "seq": 4, "terms": 4, "H3": 18, "H4": 24,
         "heads": 4, "kv_heads": 2, "queries": 3, "keys": 5, "head_dim": 4, "value_dim": 6}  # fmt: skip
POOLED = {**SIZES, "OH": 3, "OW": 2}
LEADING = (2, 3)
DTYPES = {"ends": np.int64, "index": np.int64, "lengths": np.int64, "target": np.int64, "condition": np.bool_,
          "mask": np.bool_}  # fmt: skip
SCALARS = {"groups": 1, "stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1, "kernel_h": 2, "kernel_w": 2,
           "step": 1, "ignore_index": -100, "count_include_pad": 1, "max": 2.0, "eps": 1e-5, "beta2": 0.9, "alpha": 0.9,
           "threshold": 20.0, "delta": 1.0, "beta": 1.0, "high": 1.0, "std": 1.0, "lr": 0.1, "p": 0.5,
           "label_smoothing": 0.1}  # fmt: skip


def shape_of(spec, sizes):
    shape = ()
    for part in filter(None, spec.split(", ")):
        shape += LEADING if part.endswith("...") else (sizes[part],)
    return shape


def valid_arguments(kernel, dtype=np.float32):
    """({name: value} of inputs and scalars, out or None)."""
    name, sizes, arguments, out = kernel.__name__, SIZES, {}, None
    if "pool2d" in name:
        sizes = POOLED
    rng = np.random.default_rng(0)
    for field, kind, flow, _, spec in kernel.fields:
        if kind in ("size", "fused"):
            continue
        if flow == "out":
            if not any(f[2] in ("in", "inout") for f in kernel.fields):
                out = np.empty(shape_of(spec, sizes), np.int64 if "permutation" in name else dtype)
        elif kind in ("array", "view"):
            wanted = DTYPES.get(field, dtype)
            if field == "target" and not name.startswith(("cross_entropy", "nll_loss")):
                wanted = dtype
            if field == "index" and "pool" in name:
                wanted = np.int32
            shape = shape_of(spec, sizes)
            arguments[field] = (
                rng.integers(0, 2, shape).astype(wanted)
                if wanted != dtype
                else rng.uniform(0.1, 0.9, shape).astype(dtype)
            )
        elif kind == "list":
            arguments[field] = [rng.uniform(0.1, 0.9, shape).astype(dtype) for shape in [(3, 4), (5,)]]
        elif kind == "count":
            arguments[field] = sizes[field]
        else:
            scale = 2 if field.startswith("stride") and "pool" in name else 1
            arguments[field] = SCALARS.get(field, 0 if kind == "int" else 0.0) * scale
    return arguments, out


def call(kernel, arguments, out=None):
    return kernel(*arguments.values(), out=out)


def op_of(kernel):
    return re.escape(kernel.__name__.removesuffix("_forward"))


def array_fields(kernel):
    return [f for f in kernel.fields if f[1] in ("array", "view") and f[2] in ("in", "inout")]


@pytest.fixture(params=NAMES)
def kernel(request):
    return getattr(kernels, request.param)


# ---- kernels ----
def test_valid_arguments_are_taken(kernel):
    for dtype in kernel.dtypes:
        arguments, out = valid_arguments(kernel, dtype)
        call(kernel, arguments, out)


def test_arrays_of_another_type_are_refused(kernel):
    for field, _, _, optional, _ in array_fields(kernel):
        arguments, out = valid_arguments(kernel)
        good = arguments[field]
        wrong = [
            [1.0, 2.0],
            "text",
            1.0,
            *(good.astype(t) for t in ("float16", "complex64", "int8", "uint64")),
            good.astype(object),
        ]
        for value in wrong if optional else [*wrong, None]:
            with pytest.raises(TypeError, match=rf"^{op_of(kernel)}: argument '{field}'"):
                call(kernel, {**arguments, field: value}, out)


def test_arrays_of_two_types_are_refused(kernel):
    reals = [f[0] for f in array_fields(kernel) if valid_arguments(kernel)[0][f[0]].dtype == np.float32]
    for field in reals[1:]:
        arguments, _ = valid_arguments(kernel)
        with pytest.raises(
            TypeError, match=rf"^{op_of(kernel)}: argument '{field}' has dtype float64, expected float32"
        ):
            call(kernel, {**arguments, field: arguments[field].astype(np.float64)})


def test_arrays_that_do_not_fit_the_others_are_refused(kernel):
    """A size that another array names too, made larger."""
    fields = array_fields(kernel)
    for field, _, _, _, spec in fields:
        names = spec.split(", ") if spec else []
        for axis, size in enumerate(names):
            shared = any(size in other[4].split(", ") for other in fields if other[0] != field)
            if not shared:
                continue
            arguments, _ = valid_arguments(kernel)
            array = arguments[field]
            wider = np.concatenate(
                [array, array], axis + len(LEADING) - 1 if size.endswith("...") or "..." in spec else axis
            )
            with pytest.raises(ValueError, match=rf"^{op_of(kernel)}: argument '\w+' (has|holds)"):
                call(kernel, {**arguments, field: wider})


def test_arrays_of_nine_dimensions_are_refused(kernel):
    for field, *_ in array_fields(kernel):
        arguments, _ = valid_arguments(kernel)
        with pytest.raises(ValueError, match=rf"^{op_of(kernel)}: argument '\w+' has"):
            call(
                kernel,
                {
                    **arguments,
                    field: arguments[field].reshape((1,) * (9 - arguments[field].ndim) + arguments[field].shape),
                },
            )


def test_outputs_that_do_not_fit_are_refused(kernel):
    outputs = [f for f in kernel.fields if f[2] == "out"]
    arguments, out = valid_arguments(kernel)
    if not outputs or out is not None:
        return
    results = call(kernel, arguments)
    results = results if isinstance(results, tuple) else (results,)
    for k, (field, *_) in enumerate(outputs):
        read_only = results[k].copy()
        read_only.flags.writeable = False
        for wrong in (
            read_only,
            np.empty((*results[k].shape, 2), results[k].dtype),
            results[k].astype(np.float16),
            [0.0],
        ):
            outs = tuple(wrong if i == k else r for i, r in enumerate(results))
            with pytest.raises((ValueError, TypeError), match=rf"^{op_of(kernel)}: argument '{field}'"):
                call(kernel, arguments, outs)
    with pytest.raises(TypeError, match=rf"^{op_of(kernel)}: argument 'out' has {len(outputs) + 1} arrays"):
        call(kernel, arguments, (*results, results[0]))


def test_scalars_of_another_type_are_refused(kernel):
    for field, kind, *_ in kernel.fields:
        if kind not in ("real", "int", "count"):
            continue
        arguments, out = valid_arguments(kernel)
        for value in ("text", None, [1], *([0.5] if kind != "real" else [])):
            with pytest.raises(TypeError, match=rf"^{op_of(kernel)}: argument '{field}' is"):
                call(kernel, {**arguments, field: value}, out)
        if kind != "real":
            with pytest.raises(ValueError, match=rf"^{op_of(kernel)}: argument '{field}' is"):
                call(kernel, {**arguments, field: 2**70}, out)


def test_too_many_and_too_few_arguments_are_refused(kernel):
    arguments, out = valid_arguments(kernel)
    values = list(arguments.values())
    for wrong in ([*values, 1.0], values[:-1]):
        with pytest.raises(TypeError, match=rf"^{op_of(kernel)}: takes {len(values)} arguments, got {len(wrong)}"):
            kernel(*wrong, out=out)
    with pytest.raises(TypeError, match=rf"^{op_of(kernel)}: unexpected or repeated argument 'other'"):
        kernel(*values, out=out, other=1)


@pytest.mark.parametrize("bad", [-1, 7, 2**40, -(2**62)])
def test_indices_out_of_range_are_refused_and_nothing_is_written(bad):
    index = np.array([0, bad, 1])
    for name in ("gather_rows", "scatter_add_rows"):
        table, rows = np.ones((7, 2), np.float32), np.ones((3, 2), np.float32)
        arguments = (table, index) if name == "gather_rows" else (rows, index, 7)
        out = np.full((3, 2) if name == "gather_rows" else (7, 2), 5, np.float32)
        with pytest.raises(
            ValueError, match=rf"^{name}: argument 'index' holds {bad} at position 1, expected 0 <= index < 7"
        ):
            getattr(kernels, name)(*arguments, out=out)
        assert (out == 5).all()
    with pytest.raises(ValueError, match=rf"^cross_entropy: argument 'target' holds {bad} at position 1, expected"):
        kernels.cross_entropy_forward(np.ones((3, 7), np.float32), index, None, 0.0, -100)


def test_huge_sizes_are_refused_without_being_allocated():
    stretched = np.broadcast_to(np.float32(1), (2**25, 2**24))
    with pytest.raises(ValueError, match=r"^add: "):
        kernels.add(stretched, stretched)
    with pytest.raises(ValueError, match=r"^scatter_add_rows: "):
        kernels.scatter_add_rows(np.ones((1, 2**10), np.float32), np.zeros(1, np.int64), 2**60)


# ---- ops: what users see ----
def t(*shape, dtype=np.float32):
    return nncore.tensor(np.ones(shape, dtype))


INTEGERS, FLAGS = t(3, dtype=np.int64), t(3, dtype=np.bool_)
REFUSED = [
    # op, call, exception, message
    ("add", lambda: ops.add(t(3), t(4)), ValueError, "argument 'b' has shape"),
    ("mul", lambda: ops.mul(t(2, 3), t(2)), ValueError, "argument 'b' has shape"),
    ("sub", lambda: FLAGS - FLAGS, TypeError, "argument 'a' has dtype bool"),
    ("pow", lambda: INTEGERS ** INTEGERS, TypeError, "arguments have dtype int64"),
    ("where", lambda: ops.where(t(3), 1.0, 2.0), TypeError, "argument 'condition' has dtype float32, expected bool"),
    ("clamp", lambda: ops.clamp(t(3)), ValueError, "arguments 'min' and 'max' are both None"),
    ("gelu", lambda: ops.gelu(t(3), approximate="no"), ValueError, "argument 'approximate' is 'no'"),
    ("mean", lambda: INTEGERS.mean(), TypeError, "argument 'x' has dtype int64"),
    ("sum", lambda: t(3).sum(1), IndexError, "argument 'dim' is 1"),
    ("sum", lambda: t(3, 3).sum((0, 0)), ValueError, "argument 'dim' is (0, 0), which names a dimension twice"),
    ("max", lambda: t(0).max(), ValueError, "argument 'x' has shape"),
    ("norm", lambda: t(3).norm(p=-1), ValueError, "argument 'p' is -1"),
    ("softmax", lambda: F.softmax(t(3), 1), IndexError, "argument 'dim' is 1"),
    ("matmul", lambda: t(2, 3) @ t(2, 3), ValueError, "argument 'b' has shape (2, 3), expected 3 rows"),
    ("matmul", lambda: INTEGERS @ INTEGERS, TypeError, "arguments have dtype int64"),
    ("mm", lambda: ops.mm(t(3), t(3)), ValueError, "arguments have shapes (3,) and (3,)"),
    ("addmm", lambda: nncore.addmm(t(3), t(2, 3), t(2, 3)), ValueError, "arguments 'mat1' and 'mat2' have shapes (2, 3) and (2, 3)"),
    ("addmm", lambda: nncore.addmm(t(3), t(2, 2, 3), t(3, 4)), ValueError, "expected (M, K) and (K, N)"),
    ("addmm", lambda: nncore.addmm(t(3), t(2, 3), t(3, 4)), ValueError, "argument 'input' has shape (3,), expected one that broadcasts to (2, 4)"),
    ("addmm", lambda: nncore.addmm(t(1, 2, 4), t(2, 3), t(3, 4)), ValueError, "argument 'input' has shape (1, 2, 4)"),
    ("addmm", lambda: nncore.addmm(t(4), t(2, 3), t(3, 4), beta="no"), TypeError, "argument 'beta' is 'no', expected a number"),
    ("addmm", lambda: nncore.addmm(INTEGERS, *[INTEGERS.expand(3, 3)] * 2), TypeError, "arguments have dtype int64"),
    ("baddbmm", lambda: nncore.baddbmm(t(3), t(2, 3), t(3, 3)), ValueError, "expected (B, M, K) and (B, K, N)"),
    ("baddbmm", lambda: nncore.baddbmm(t(3), t(2, 3, 3), t(1, 3, 3)), ValueError, "arguments 'batch1' and 'batch2' have shapes"),
    ("linear", lambda: F.linear(t(2, 3), t(4, 5)), ValueError, "argument 'weight' has shape (4, 5), expected (4, 3)"),
    ("linear", lambda: F.linear(t(2, 3), t(4, 3), t(5)),
     ValueError, "argument 'weight' has shape (4, 3), expected (5, 3)"),
    ("linear", lambda: ops.linear(t(2, 3), t(4, 3), activation="no"), ValueError, "argument 'activation' is 'no'"),
    ("conv2d", lambda: F.conv2d(t(1, 3, 5, 5), t(2, 4, 3, 3)),
     ValueError, "argument 'weight' has shape (2, 4, 3, 3), expected"),
    ("conv2d", lambda: F.conv2d(t(1, 3, 5, 5), t(2, 3, 7, 7)), ValueError, ""),
    ("conv2d", lambda: F.conv2d(t(1, 3, 5, 5), t(2, 3, 3, 3), groups=2), ValueError, "argument 'groups' is 2"),
    ("conv2d", lambda: F.conv2d(t(1, 3, 5, 5), t(2, 3, 3, 3), stride=0), ValueError, "argument 'stride' is 0"),
    ("conv2d", lambda: F.conv2d(t(1, 3, 5, 5), t(2, 3, 3, 3), padding=-1), ValueError, "argument 'padding' is -1"),
    ("conv2d", lambda: F.conv2d(t(1, 3, 5, 5), t(2, 3, 3, 3), stride="no"), TypeError, "argument 'stride' is 'no'"),
    ("conv2d", lambda: F.conv2d(t(1, 3, 5, 5), t(2, 3, 3, 3), mode="no"), ValueError, "argument 'mode' is 'no'"),
    ("conv1d", lambda: F.conv1d(t(1, 3, 5), t(2, 4, 3)), ValueError, "argument 'weight' has shape (2, 4, 1, 3), expected"),
    ("conv1d", lambda: F.conv1d(t(1, 3, 5, 5), t(2, 3, 3, 3)),
     ValueError, "argument 'x' has shape (1, 3, 5, 5), expected 3 dimensions"),
    ("conv1d", lambda: F.conv1d(t(1, 3, 5), t(2, 3, 3), stride=(1, 1)), TypeError, "argument 'stride' is (1, 1), expected an integer"),
    ("conv_transpose2d", lambda: F.conv_transpose2d(t(1, 3, 5, 5), t(4, 2, 3, 3)),
     ValueError, "argument 'weight' has shape (4, 2, 3, 3), expected"),
    ("conv_transpose2d", lambda: F.conv_transpose2d(t(1, 3, 5, 5), t(3, 2, 3, 3), t(3)),
     ValueError, "argument 'bias' has shape (3,), expected (2,)"),
    ("conv_transpose2d", lambda: F.conv_transpose2d(t(1, 3, 5, 5), t(3, 2, 3, 3), output_padding=1),
     ValueError, "argument 'output_padding' is 1, expected less than stride 1 or dilation 1"),
    ("conv_transpose2d", lambda: F.conv_transpose2d(t(1, 3, 1, 5), t(3, 2, 1, 3), padding=2),
     ValueError, "argument 'x' has height 1, which gives an image of height -3"),
    ("conv_transpose2d", lambda: F.conv_transpose2d(t(1, 3, 5, 5), t(3, 2, 3, 3), groups=2), ValueError, "argument 'groups' is 2"),
    ("conv_transpose1d", lambda: F.conv_transpose1d(t(1, 3, 5), t(3, 2, 3), padding=-1), ValueError, "argument 'padding' is -1"),
    ("max_pool1d", lambda: F.max_pool1d(t(1, 1, 4, 4), 2), ValueError, "argument 'x' has shape (1, 1, 4, 4)"),
    ("max_pool2d", lambda: F.max_pool2d(t(1, 1, 1, 1), 2, 1, 1, dilation=2, return_indices=True),
     ValueError, "argument 'return_indices' is True, but a window holds padding alone"),
    ("adaptive_avg_pool2d", lambda: F.adaptive_avg_pool2d(t(1, 1, 4, 4), 0), ValueError, "argument 'output_size' is (0, 0)"),
    ("adaptive_max_pool2d", lambda: F.adaptive_max_pool2d(t(4, 4), 1), ValueError, "argument 'x' has shape (4, 4)"),
    ("interpolate", lambda: F.interpolate(t(1, 1, 4, 4)), ValueError, "arguments 'size' and 'scale_factor' are None and None"),
    ("interpolate", lambda: F.interpolate(t(1, 1, 4), 2, mode="bilinear"), ValueError, "argument 'mode' is 'bilinear'"),
    ("interpolate", lambda: F.interpolate(t(1, 1, 4, 4), 2, align_corners=True), ValueError, "argument 'align_corners' is True"),
    ("interpolate", lambda: F.interpolate(t(1, 1, 4, 4), scale_factor=0.1), ValueError, "the new size is (0, 0)"),
    ("pixel_shuffle", lambda: F.pixel_shuffle(t(1, 3, 4, 4), 2), ValueError, "argument 'x' has shape (1, 3, 4, 4)"),
    ("max_pool2d", lambda: F.max_pool2d(t(1, 1, 4, 4), 2, padding=2),
     ValueError, "argument 'padding' is (2, 2), expected at most half"),
    ("avg_pool2d", lambda: F.avg_pool2d(t(1, 1, 4, 4), 0), ValueError, "argument 'kernel_size' is 0"),
    ("layer_norm", lambda: F.layer_norm(t(2, 3), (4,)),
     ValueError, "argument 'x' has shape (2, 3), expected it to end in (4,)"),
    ("layer_norm", lambda: F.layer_norm(t(2, 3), (3,), t(4)), ValueError, "argument 'weight' has shape (4,)"),
    ("rms_norm", lambda: F.rms_norm(t(2, 3), (3,), t(4)), ValueError, "argument 'weight' has shape (4,), expected (3,)"),
    ("group_norm", lambda: F.group_norm(t(2, 3), 2), ValueError, "argument 'num_groups' is 2, expected a divisor of 3"),
    ("group_norm", lambda: F.group_norm(t(2, 4), 2, t(2)), ValueError, "argument 'weight' has shape (2,), expected (4,)"),
    ("instance_norm", lambda: F.instance_norm(t(2, 3, 1)), ValueError, "argument 'x' has shape (2, 3, 1)"),
    ("instance_norm", lambda: F.instance_norm(t(2, 3, 4), use_input_stats=False), ValueError, "argument 'use_input_stats'"),
    ("batch_norm", lambda: F.batch_norm(t(1, 3), None, None, training=True),
     ValueError, "argument 'x' has 1 value per channel"),
    ("dropout", lambda: F.dropout(t(3), 1.5), ValueError, "argument 'p' is 1.5"),
    ("dropout", lambda: F.dropout(t(3), 0.5, scale="no"), ValueError, "argument 'scale' is 'no'"),
    ("dropout_channels", lambda: F.dropout2d(t(3)), ValueError, "argument 'x' has shape (3,)"),
    ("embedding", lambda: F.embedding(t(3), t(4, 2)), TypeError, "argument 'input' has dtype float32"),
    ("embedding", lambda: F.embedding(INTEGERS * 9, t(4, 2)), ValueError, "argument 'input' holds 9 at position 0"),
    ("mse_loss", lambda: F.mse_loss(t(3), t(3, 1)), ValueError, "argument 'target' has shape (3, 1), expected (3,)"),
    ("mse_loss", lambda: F.mse_loss(t(3), t(3), reduction="no"), ValueError, "argument 'reduction' is 'no'"),
    ("huber_loss", lambda: F.huber_loss(t(3), t(3), delta=0.0), ValueError, "argument 'delta' is 0.0"),
    ("binary_cross_entropy", lambda: F.binary_cross_entropy(t(3) * 2, t(3)),
     ValueError, "argument 'input' holds 2.0 to 2.0"),
    ("cross_entropy", lambda: F.cross_entropy(t(3, 2), t(4, dtype=np.int64)),
     ValueError, "argument 'target' has shape (4,), expected (3,)"),
    ("cross_entropy", lambda: F.cross_entropy(t(3, 1), INTEGERS),
     ValueError, "argument 'target' holds 1 at position 0"),
    ("cross_entropy", lambda: F.cross_entropy(t(3, 2), INTEGERS, weight=t(3)),
     ValueError, "argument 'weight' has shape (3,), expected (2,)"),
    ("cross_entropy", lambda: F.cross_entropy(t(3, 2), INTEGERS, label_smoothing=2.0),
     ValueError, "argument 'label_smoothing' is 2"),
    ("reshape", lambda: t(6).reshape(4), ValueError, "argument 'shape' is"),
    ("permute", lambda: t(2, 3).permute(0, 0), ValueError, "argument 'dims' is (0, 0)"),
    ("expand", lambda: t(2, 3).expand(3, 3), ValueError, "argument 'sizes' is (3, 3)"),
    ("cat", lambda: nncore.cat([]), ValueError, "argument 'tensors' is empty"),
    ("cat", lambda: nncore.cat([t(2), t(2, 2)]), ValueError, "argument 'tensors' holds shape (2, 2) at position 1"),
    ("split", lambda: t(5).split([2, 2]), ValueError, "argument 'split_sections' is [2, 2]"),
    ("index", lambda: t(3)[5], IndexError, "for shape (3,)"),
    ("roll", lambda: t(3).roll((1, 2)), ValueError, "argument 'shifts' is (1, 2), expected one for each of the dims (0,)"),
    ("roll", lambda: t(2, 3).roll(1, (0, 1)), ValueError, "argument 'shifts' is (1,), expected one for each of the dims (0, 1)"),
    ("roll", lambda: t(2, 3).roll((), ()), ValueError, "argument 'shifts' is ()"),
    ("roll", lambda: t(3).roll(0.5), TypeError, "argument 'shifts' holds 0.5, expected integers"),
    ("roll", lambda: t(3).roll(1, 1), IndexError, "argument 'dim' is 1"),
    ("roll", lambda: t().roll(1, 0), IndexError, "argument 'dims' is (0,), expected None for a tensor without dimensions"),
    ("tril", lambda: t(3).tril(), ValueError, "argument 'x' has shape (3,), expected at least 2 dimensions"),
    ("triu", lambda: t(3).triu(), ValueError, "argument 'x' has shape (3,), expected at least 2 dimensions"),
    ("triu", lambda: t(3, 3).triu(0.5), TypeError, "argument 'diagonal' is 0.5, expected an integer"),
    ("gather", lambda: nncore.gather(t(2, 3), 1, INTEGERS), ValueError, "argument 'index' has shape (3,), expected 2 dimensions"),
    ("gather", lambda: nncore.gather(t(3), 0, t(3)), TypeError, "argument 'index' has dtype float32"),
    ("gather", lambda: nncore.gather(t(3), 0, INTEGERS * 3),
     ValueError, "argument 'index' holds 3 at position 0, expected 0 <= index < 3"),
    ("gather", lambda: nncore.gather(t(3), 1, INTEGERS), IndexError, "argument 'dim' is 1"),
    ("scatter", lambda: nncore.scatter(t(3), 0, INTEGERS * -1, 1.0), ValueError, "argument 'index' holds -1 at position 0"),
    ("scatter", lambda: nncore.scatter(t(3), 0, INTEGERS, t(2)), ValueError, "argument 'src' has shape (2,), expected at least"),
    ("scatter", lambda: nncore.scatter(INTEGERS, 0, INTEGERS, 0.5), TypeError, "argument 'src' has dtype float32, expected int64"),
    ("scatter_add", lambda: nncore.scatter_add(t(2, 3), 0, nncore.zeros(1, 4, dtype=np.int64), t(1, 4)),
     ValueError, "none but dim 0 larger than in (2, 3)"),
    ("index_select", lambda: nncore.index_select(t(3), 0, t(3)), TypeError, "argument 'index' has dtype float32"),
    ("cumsum", lambda: nncore.cumsum(t(3), (0, 1)), IndexError, "argument 'dim' is 1"),
    ("cumsum", lambda: nncore.cumsum(t(3), None), ValueError, "argument 'dim' is None, expected one dimension"),
    ("one_hot", lambda: F.one_hot(nncore.tensor([3]), 2), ValueError, "argument 'x' holds 3 at position 0, expected 0 <= index < 2"),
    ("pad", lambda: F.pad(t(3), (1,)), ValueError, "argument 'pad' is (1,)"),
    ("pad", lambda: F.pad(t(3), (1, 1), "no"), ValueError, "argument 'mode' is 'no'"),
    ("pad", lambda: F.pad(t(3), (3, 0), "reflect"), ValueError, "argument 'pad' is (3, 0) along a dimension of size 3, expected at most 2"),
    ("pad", lambda: F.pad(t(3), (0, 4), "circular"), ValueError, "argument 'pad' is (0, 4) along a dimension of size 3, expected at most 3"),
    ("pad", lambda: F.pad(t(0), (0, 1), "replicate"), ValueError, "argument 'pad' is (0, 1) along a dimension of size 0"),
    ("tensor", lambda: nncore.tensor(["text"]), TypeError, "cannot hold dtype"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "bad_call", "error", "message"), REFUSED, ids=[f"{row[0]}-{i}" for i, row in enumerate(REFUSED)]
)
def test_ops_name_themselves_and_the_argument(op, bad_call, error, message):
    with pytest.raises(error, match=rf"^{op}: .*{re.escape(message)}"):
        bad_call()


def complaint(op_case, arrays):
    """What an op says of its arguments, or None."""
    try:
        op_case.op(*map(nncore.tensor, arrays))
    except (ValueError, TypeError, IndexError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("op_case", [c for c in CASES if c.sized], ids=lambda c: c.name)
def test_any_mixture_of_shapes_and_types_is_taken_or_refused_in_words(op_case, rng):
    """Arguments drawn for other sizes and dtypes than each other: a result or an error in words."""
    for _ in range(12):
        shapes = [op_case.sized(int(rng.integers(0, 6))) for _ in op_case.args]
        arrays = [draw(op_case, s, str(rng.choice(["float32", "float64"])))[k] for k, s in enumerate(shapes)]
        if rng.random() < 0.3:
            arrays[0] = arrays[0].astype(rng.choice(["int64", "bool", "uint8"]))
        if rng.random() < 0.3:
            arrays[-1] = arrays[-1][None]
        assert re.match(r"^\w+: ", complaint(op_case, arrays) or "none: ")
