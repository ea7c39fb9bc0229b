"""What the suites do with a row of op_cases.py: draw arguments, call, differentiate, compare with the reference.

Run as a script, this file prints a digest of the results of every row, so that one ISA can be compared with another.
"""

import hashlib
import json
import math
import warnings

import numpy as np
from op_cases import CASES, FLOATS

import nncore


# ---- drawing arguments ----
def draw_array(arg, shape, dtype, rng):
    """An array of the given shape, never constant where it could be otherwise."""
    if arg.kind == "index":
        array = rng.integers(int(arg.low), int(arg.high), shape)
    elif arg.kind == "bool" or dtype == "bool":
        array = np.asarray(rng.random(shape) < 0.5)
        array.reshape(-1)[:2] = [True, False][: array.size]
    elif arg.kind == "distinct":
        array = (rng.permutation(math.prod(shape)) / max(math.prod(shape), 1) * 4 - 2).reshape(shape)
    else:
        array = np.asarray(rng.uniform(arg.low, arg.high, shape))
        for kink in arg.avoid:
            near = np.abs(array - kink) < 0.05
            array = np.where(near, kink + np.where(array < kink, -0.1, 0.1), array)
        if dtype in ("int64", "int32", "uint8"):
            array = np.round(array * 3)
            array = np.abs(array) if dtype == "uint8" else array
    if arg.kind in ("float", "distinct"):
        array = np.asarray(array, dtype)
    if array.size > 8 and not (arg.kind == "index" and arg.high - arg.low == 1):
        assert np.ptp(array.astype(np.float64)) > 0, "a constant draw tests nothing"
    return np.ascontiguousarray(array).reshape(shape)


def draw(op_case, shapes, dtype, seed=0):
    """The arguments of one call."""
    rng = np.random.default_rng([seed, *map(ord, op_case.name)])
    return [draw_array(arg, shape, dtype, rng) for arg, shape in zip(op_case.args, shapes)]


# ---- calling ----
def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def run(op_case, arrays, requires_grad=False):
    """(results, inputs) as Tensors."""
    tensors = []
    for arg, array in zip(op_case.args, arrays):
        tensor = nncore.as_tensor(array)
        if requires_grad and arg.gradient and arg.kind in ("float", "distinct"):
            tensor.requires_grad_()
        tensors.append(tensor)
    return as_tuple(op_case.op(*tensors)), tensors


def run_arrays(op_case, arrays):
    with nncore.no_grad():
        return [t.numpy() for t in run(op_case, arrays)[0]]


def cotangents(results):
    """Something to multiply each result by, that no symmetry hides behind."""
    return [np.cos(1.0 + np.arange(r.size)).reshape(r.shape).astype(r.dtype) for r in results]


def gradients(op_case, arrays):
    """Gradients of sum(result * cotangent), None for arguments that have none."""
    results, tensors = run(op_case, arrays, requires_grad=True)
    for result, dy in zip(results, cotangents([t.detach().numpy() for t in results])):
        if result.requires_grad:
            result.backward(nncore.from_numpy(dy), retain_graph=result is not results[-1])
    return [None if t.grad is None else t.grad.numpy() for t in tensors]


def wide(array):
    """For a reference: float64 for float32, the widest float for float64."""
    if array.dtype == np.float32:
        return array.astype(np.float64)
    return array.astype(np.longdouble) if array.dtype == np.float64 else array


def expected(op_case, arrays):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means of nothing
        return [np.asarray(r) for r in as_tuple(op_case.reference(*map(wide, arrays)))]


def allowed_error(op_case, arrays, result, reference):
    """The largest error allowed, elementwise."""
    if result.dtype.kind != "f":
        return np.zeros(result.shape)
    info = np.finfo(result.dtype)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        size = op_case.scale(*map(wide, arrays)) if callable(op_case.scale) else op_case.scale
        size = np.broadcast_to(reference if size is None else size, reference.shape)
        size = np.clip(np.nan_to_num(np.abs(size).astype(np.float64)), float(info.tiny), float(info.max) / 2)
        return op_case.ulp * np.spacing(size.astype(result.dtype)).astype(np.float64)


def assert_matches(op_case, arrays, results, note=""):
    """Every result is its reference: shape, NaN, infinities, and value within the error allowed."""
    references = expected(op_case, arrays)
    assert len(results) == len(references)
    for result, reference in zip(results, references):
        assert result.shape == reference.shape, (op_case.name, note, result.shape, reference.shape)
        error = allowed_error(op_case, arrays, result, reference)
        with np.errstate(all="ignore"):
            rounded = reference.astype(result.dtype)
            good = rounded == result
            if result.dtype.kind == "f":
                good |= (np.abs(result - reference) <= error) | (np.isnan(result) & np.isnan(rounded))
        if not good.all():
            at = tuple(np.argwhere(~good)[0])
            raise AssertionError(
                f"{op_case.name} {note} at {at}: {result[at]!r}, expected {reference[at]!r} +- {error[at]!r}"
            )


def digest(arrays):
    """Of the bits, all NaN being one."""
    h = hashlib.sha256()
    for array in arrays:
        if array is not None:
            array = np.where(np.isnan(array), array.dtype.type(np.nan), array) if array.dtype.kind == "f" else array
            h.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return h.hexdigest()[:16]


def digests():
    """{case-dtype-shapes: digest of results and gradients}, the same on every ISA."""
    result = {}
    for op_case in CASES:
        settings = [*op_case.shapes, op_case.large, *(op_case.sized(n) for n in (1, 17, 67) if op_case.sized)]
        for dtype in FLOATS:
            for number, shapes in enumerate(settings if dtype in op_case.dtypes else ()):
                arrays = draw(op_case, shapes, dtype)
                result[f"{op_case.name}-{dtype}-{number}"] = digest(run_arrays(op_case, arrays))
                if op_case.gradient:
                    result[f"{op_case.name}-{dtype}-{number}-gradient"] = digest(gradients(op_case, arrays))
    return result


if __name__ == "__main__":
    print(json.dumps(digests()))
