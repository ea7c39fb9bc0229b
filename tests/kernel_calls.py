"""Calls of every kernel, drawn from its row in kernels.def, and written down as the words that replay.c reads."""

import copy
import math

import numpy as np
import test_conv2d
import test_gemm

from nncore._core.kernels import KERNELS

DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")


# ---- sizes and scalars: a kernel runs on each row of SETTINGS that names all it needs ----
def window(N, C, H, W, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), **more):
    scalars = {"stride": stride, "padding": padding, "dilation": dilation}
    by_axis = {f"{name}_{axis}": value for name, pair in scalars.items() for axis, value in zip("hw", pair)}
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    up = more.get("ceil_mode", 0)
    OH, OW = ((size + 2 * p - e + up * (s - 1)) // s + 1 for size, p, e, s in zip((H, W), padding, extent, stride))
    return {"N": N, "C": C, "H": H, "W": W, "OH": OH, "OW": OW, **by_axis, **more}


def convolution(case):
    more = {"O": case.O, "I": case.C // case.groups, "KH": case.KH, "KW": case.KW, "groups": case.groups}
    return window(*case[:4], (case.KH, case.KW), case.stride, case.padding, case.dilation, **more)


def transposed(case):
    """The sizes of the way back: from the outputs of a convolution to its image, what the stride left over behind."""
    setting, (OH, OW) = convolution(case), case.output
    rest = [(n + 2 * p - d * (k - 1) - 1) % s for n, k, s, p, d in zip(case[2:4], case[5:7], *case[7:10])]
    behind = dict(zip(("output_padding_h", "output_padding_w"), rest))
    return {**setting, "H": OH, "W": OW, "OH": case.H, "OW": case.W, **behind}


def pooling(N, C, H, W, kernel, **options):
    return window(N, C, H, W, kernel, kernel_h=kernel[0], kernel_w=kernel[1], positions=math.prod(kernel), **options)


def attention(batch, heads, kv_heads, queries, keys, head_dim, value_dim):
    sizes = {"batch": batch, "heads": heads, "kv_heads": kv_heads, "queries": queries, "keys": keys}
    return {**sizes, "head_dim": head_dim, "value_dim": value_dim}


SETTINGS = [
    *({"n": n} for n in [(0,), (1,), (19,), (5, 67), (3, 2711)]),
    *({"rows": rows, "cols": cols} for rows, cols in [(1, 1), (3, 17), (67, 40), (2, 5000), (300, 3), (0, 5)]),
    *({"outer": o, "n": n, "inner": i} for o, n, i in [(3, 1, 1), (2, 9001, 1), (3, 70, 19), (1, 600, 67), (5, 17, 3)]),
    *(
        {"outer": o, "n": n, "m": m, "inner": i}
        for o, n, m, i in [(3, 5, 2, 1), (2, 9, 3000, 19), (1, 40, 30, 301), (2, 3, 0, 5)]
    ),
    *({"n": (7, 9), "rows": rows, "cols": cols} for rows, cols in [(5, 1), (60, 19)]),
    *({"rows": rows, "C": channels} for rows, channels in [(2, 1), (67, 19), (3000, 5)]),
    *(
        {
            "seq": seq,
            "batch": batch,
            "I": inputs,
            "H": size,
            "H3": 3 * size,
            "H4": 4 * size,
            "steps": 0,
            "packed": 0,
            "activation": 3,
        }
        | {"reverse": way, "reset_after": way, "update_first": way}
        for seq, batch, inputs, size, way in [(1, 1, 1, 1, 0), (5, 2, 3, 9, 0), (3, 7, 20, 33, 1), (40, 9, 5, 17, 1)]
    ),
    *({"batch": 2, "M": M, "N": N, "K": K} for M, N, K in test_gemm.SHAPES + test_gemm.EMPTY),
    *map(convolution, test_conv2d.CASES.values()),
    attention(2, 3, 1, 5, 7, 3, 2),
    attention(1, 2, 2, 131, 150, 19, 130),
    attention(1, 1, 1, 1, 3, 1, 1),
    attention(2, 2, 1, 0, 3, 4, 4),
    pooling(2, 3, 9, 7, (2, 3), stride=(2, 3)),
    pooling(1, 19, 8, 11, (3, 3), padding=(1, 1)),
    pooling(2, 5, 12, 9, (3, 2), stride=(1, 2), padding=(0, 1)),
    pooling(2, 7, 8, 10, (3, 2), stride=(2, 3), padding=(1, 0), ceil_mode=1),
    *(
        {"batch": 2, "rows": rows, "n": n, "cols": cols, "terms": 3 * rows}
        for rows, n, cols in [(5, 7, 1), (67, 40, 67), (0, 0, 5)]
    ),
]
SCALARS = {
    "activation": 4, "add": 1, "alpha": 0.7, "beta": 0.6, "beta1": 0.9, "beta2": 0.99, "causal": 1, "ceil_mode": 0, "classic": 0, "correction": 1.0,
    "count_include_pad": 0, "dampening": 0.1, "decoupled": 1, "delta": 0.8, "eps": 1e-5, "epsilon_hat": 0, "exponent": 2.5, "high": 2.0,
    "ignore_index": 1, "input_scale": 1.3, "label_smoothing": 0.1, "low": -1.0, "lr": 0.1, "lr_decay": 0.5, "max": 1.5, "maximize": 0,
    "mean": 0.5, "min": -0.75, "momentum": 0.9, "momentum_decay": 0.004, "negative_slope": 0.1, "nesterov": 0, "offset": 13,
    "output_padding_h": 0, "output_padding_w": 0, "p": 0.25, "reverse": 1, "rho": 0.9, "scale": 1.1, "seed": 7, "std": 2.0, "step": 3,
    "threshold": 20.0, "training": 1, "unbiased": 1, "weight_decay": 0.01,
}  # fmt: skip
LENGTHS = [7, 1, 0, 4160, 33]  # of the parameters of an optimizer
LISTS = {"count": len(LENGTHS), "total": sum(LENGTHS)}
INDICES = {  # (kernel, field) -> dtype, the size that bounds it
    ("gather_rows", "index"): ("int64", "rows"),
    ("scatter_add_rows", "index"): ("int64", "rows"),
    ("combine_rows", "index"): ("int64", "n"),
    ("combine_rows", "ends"): ("int64", "terms"),
    ("cross_entropy_forward", "target"): ("int64", "cols"),
    ("cross_entropy_backward", "target"): ("int64", "cols"),
    ("nll_loss_forward", "target"): ("int64", "cols"),
    ("nll_loss_backward", "target"): ("int64", "cols"),
    ("gather_along", "index"): ("int64", "n"),
    ("scatter_along", "index"): ("int64", "n"),
    **{
        (f"{cell}_{way}", "lengths"): ("int64", "seq")
        for cell in ("rnn", "lstm", "gru")
        for way in ("forward", "backward")
    },
    ("max_pool2d_backward", "index"): ("int32", "positions"),
}


def settings(kernel):
    """The rows of SETTINGS for a kernel, with the scalars; one without sizes for the optimizers."""
    needed = {name for *_, shape in kernel.fields for name in shape.replace("...", "").split(", ") if name}
    needed |= {name for name, kind, *_ in kernel.fields if kind in ("real", "int", "count")}
    if kernel.__name__ == "conv_transpose2d_forward":
        return [{**SCALARS, **transposed(case)} for case in test_conv2d.CASES.values()]
    return [{**SCALARS, **row} for row in (SETTINGS if needed - SCALARS.keys() else [{}]) if needed <= {*SCALARS, *row}]


def shape_of(field, setting):
    """The shape of an array; a leading dimension may stand for several."""
    shape = []
    for name in filter(None, field[4].split(", ")):
        size = setting[name.removesuffix("...")]
        size = size if isinstance(size, tuple) else (size,)
        shape += size if name.endswith("...") else [math.prod(size)]
    return tuple(shape)


# ---- values ----
def numbers(rng, dtype, shape):
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.startswith("float"):
        return np.asarray(rng.standard_normal(shape), dtype)
    return np.asarray(rng.integers(0, 200, shape), dtype)


def specials(rng, dtype, shape):
    """Every bit pattern, and what arithmetic has exceptions for."""
    if dtype == "bool":
        return numbers(rng, dtype, shape)
    array = np.frombuffer(rng.bytes(math.prod(shape) * np.dtype(dtype).itemsize), dtype).reshape(shape).copy()
    if dtype.startswith("float"):
        info = np.finfo(dtype)
        few = [0, 0.5, 1, 1.5, 2, 2.5, 88, 709, 2**31, 2**63, info.max, info.tiny, info.smallest_subnormal, info.eps]
        few = np.array([*few, *np.negative(few), np.inf, -np.inf, np.nan], dtype)
        chosen = rng.random(shape) < 0.3
        array[chosen] = rng.choice(few, chosen.sum())
    return array


def draw(kernel, setting, dtype, variant):
    """The inputs of one call: 0 has the optional ones, 1 has them not, 2 has specials among the numbers."""
    name, fields = kernel.__name__, kernel.fields
    rng = np.random.default_rng([variant, *map(ord, name)])
    lanes = all(shape == "n..." for _, kind, *_, shape in fields if kind in ("array", "view"))
    absent = {field[0] for field in fields if field[3] and variant == 1}

    def array(field, shape):
        if (name, field[0]) in INDICES:
            index_dtype, bound = INDICES[name, field[0]]
            return rng.integers(0, max(setting[bound], 1), shape, index_dtype)
        own = "bool" if field[0] in ("condition", "mask") else dtype
        result = numbers(rng, own, shape)
        if lanes or variant == 2:
            chosen = rng.random(shape) < (0.8 if lanes else 0.01)
            result[chosen] = specials(rng, own, shape)[chosen]
        if field[0] in ("running_var", "rstd") or "sq" in field[0]:
            result = np.abs(result)
        if field[1] == "view" and variant == 1:
            return np.asfortranarray(result)
        if field[1:3] == ("view", "in") and field[4] == "n..." and variant == 2 and result.size:
            return result[..., :1]  # stretched
        return result

    values = {}
    for field in fields:
        argument, kind, direction, *_ = field
        if kind in ("size", "fused") or direction == "out":
            continue
        if argument in absent:
            values[argument] = None
        elif kind == "list":
            values[argument] = [array(field, (length,)) for length in LENGTHS]
        elif kind in ("array", "view"):
            values[argument] = array(field, shape_of(field, setting))
        else:
            values[argument] = setting[argument]
    if "momentum_buffer" in absent:
        values["momentum"] = 0.0
    return values


# ---- calls as words ----
def in_memory(field, array):
    """(strides, bytes) of an array as kernels see it."""
    if field[1] == "view":
        packed = array.copy(order="K")
        return packed.strides, packed.ravel(order="K").tobytes()
    image, weight = field[4].startswith("N, ") and array.ndim == 4, field[4].startswith("O, I")
    order = (0, 2, 3, 1) if image else (2, 3, 1, 0) if weight else range(array.ndim)
    return array.strides, array.transpose(order).tobytes()


class Recording:
    """Calls of one kernel, made here: the words before and after, and where kernels have written."""

    def __init__(self, name):
        self.kernel, self.number = KERNELS[name], list(KERNELS).index(name)
        self.before, self.after, self.written = bytearray(), bytearray(), []

    def _words(self, *values):
        words = np.array(values, np.int64).tobytes()
        self.before += words
        self.after += words

    def _memory(self, before, after, dtype, note):
        self._words(len(after))
        if before != after:
            self.written.append((len(self.after), len(after), dtype, note))
        self.before += before + bytes(-len(before) % 8)
        self.after += after + bytes(-len(after) % 8)

    def _array(self, field, before, after, note):
        if after is None:
            self._words(-1)
            return
        strides, memory = in_memory(field, after)
        old = bytes([0xA5]) * len(memory) if before is None else in_memory(field, before)[1]
        self._words(DTYPES.index(after.dtype.name), after.ndim, *after.shape, *strides)
        self._memory(old, memory, after.dtype, note)

    def call(self, setting, dtype, variant):
        kernel, fields = self.kernel, self.kernel.fields
        values = draw(kernel, setting, dtype, variant)
        before = copy.deepcopy(values)
        wanted = [field[0] for field in fields if field[2] == "out" and field[3]]
        wanted = [variant != 1 or field == wanted[-1] for field in wanted]  # variant 1 asks for one of them
        out = None
        if not any(isinstance(value, (np.ndarray, list)) for value in values.values()):  # random numbers
            out_dtype = "int64" if kernel.__name__ == "random_permutation" else dtype
            out = np.empty(shape_of(fields[0], setting), out_dtype)
        results = kernel(*values.values(), out=out, want=wanted or None)
        results = iter(results if isinstance(results, tuple) else (results,))

        self._words(self.number, DTYPES.index(dtype))
        for field in fields:
            name, kind, direction, *_ = field
            note = f"{name} of variant {variant} in {dtype}, {setting}"
            if kind in ("array", "view"):
                after = next(results) if direction == "out" else values[name]
                self._array(field, before.get(name), after, note)
            elif kind == "list":
                self._words(-1 if values[name] is None else len(LENGTHS))
                for old, new in zip(before[name] or (), values[name] or ()):
                    self._memory(old.tobytes(), new.tobytes(), new.dtype, note)
            elif name == "sizes":
                self._words(len(LENGTHS), *LENGTHS)
            elif kind == "real":
                self._words(np.float64(values[name]).view(np.int64))
            else:
                self._words(values.get(name, LISTS.get(name, 0)))

    def differences(self, got):
        """Where the words that another run leaves are not those of this one, NaN being NaN."""
        got = bytearray(got)
        assert len(got) == len(self.after)
        found = []
        for start, size, dtype, note in self.written:
            ours, theirs = (np.frombuffer(words, dtype, size // dtype.itemsize, start) for words in (self.after, got))
            bits = f"u{dtype.itemsize}"
            equal = ours.view(bits) == theirs.view(bits)
            if dtype.kind == "f":
                equal |= np.isnan(ours) & np.isnan(theirs)
            if not equal.all():
                at = np.flatnonzero(~equal)
                found.append(f"{note}: {at.size} of {equal.size}, first at {at[0]}: {theirs[at[0]]!r}, {ours[at[0]]!r}")
            got[start : start + size] = self.after[start : start + size]
        if got != self.after:
            found.append("memory that no output owns")
        return found


def record(name):
    """Calls of the kernel for all its dtypes, settings and variants."""
    recording = Recording(name)
    with np.errstate(all="ignore"):
        for dtype in recording.kernel.dtypes:
            for setting in settings(recording.kernel):
                for variant in range(3):
                    recording.call(setting, dtype, variant)
    return recording
