"""Every row of op_cases.py against its reference: dtypes, threads, ISAs, memory layouts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import op_checks
import pytest
from op_cases import CASES
from op_checks import digest, draw, gradients, run_arrays

from nncore._core.kernels import ISA, isas

SETTINGS = [
    pytest.param(op_case, shapes, dtype, id=f"{op_case.name}-{dtype}-{number}")
    for op_case in CASES
    for dtype in op_case.dtypes
    for number, shapes in enumerate(op_case.shapes)
]
EVERY_CASE = [pytest.param(op_case, id=op_case.name) for op_case in CASES]


@pytest.mark.parametrize(("op_case", "shapes", "dtype"), SETTINGS)
def test_reference(op_case, shapes, dtype):
    arrays = draw(op_case, shapes, dtype)
    op_checks.assert_matches(op_case, arrays, run_arrays(op_case, arrays), dtype)


@pytest.mark.parametrize("op_case", EVERY_CASE)
def test_any_number_of_threads(op_case, set_threads):
    """The same bits from teams of 1, 2, 3 and 5, forward and backward, on shapes that are work for five."""
    for dtype in (d for d in ("float32", "float64", "int64") if d in op_case.dtypes):
        arrays = draw(op_case, op_case.large, dtype)
        found = set()
        for threads in (1, 2, 3, 5):
            set_threads(threads)
            results = run_arrays(op_case, arrays)
            found.add(digest(results + (gradients(op_case, arrays) if op_case.gradient and dtype != "int64" else [])))
        assert len(found) == 1, dtype


def layouts(array):
    """(name, array with the same elements) in other places and orders of memory."""
    yield "columns first", np.asarray(array, order="F")
    yield "offset", np.append(np.zeros(1, array.dtype), array)[1:].reshape(array.shape)
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:].view()
    misaligned = np.ndarray(array.shape, array.dtype, raw.data)
    misaligned[...] = array
    yield "misaligned", misaligned
    if array.ndim:
        yield "step 2", np.repeat(array, 2, -1)[..., ::2]
        yield "negative stride", array[..., ::-1].copy()[..., ::-1]
        yield "outer negative stride", array[::-1].copy()[::-1]
    read_only = array.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    yield "other byte order", array.astype(array.dtype.newbyteorder())


@pytest.mark.parametrize("op_case", EVERY_CASE)
def test_any_layout(op_case):
    """The same bits wherever and however an argument lies in memory, and the arguments stay as they were."""
    for shapes in op_case.shapes:
        for dtype in op_case.dtypes:
            arrays = draw(op_case, shapes, dtype)
            plain = digest(run_arrays(op_case, arrays))
            for k, array in enumerate(arrays):
                for name, other in layouts(array):
                    before = other.copy()
                    changed = [*arrays[:k], other, *arrays[k + 1 :]]
                    assert digest(run_arrays(op_case, changed)) == plain, (name, k, dtype, shapes)
                    np.testing.assert_array_equal(other, before)


@pytest.mark.parametrize("isa", [isa for isa in isas() if isa != ISA])
def test_every_isa(isa):
    """The same bits on every ISA that this CPU can run."""
    script = Path(op_checks.__file__)
    environment = {**os.environ, "NNCORE_ISA": isa, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True)
    theirs, ours = json.loads(done.stdout), op_checks.digests()
    assert theirs.keys() == ours.keys()
    assert [key for key in ours if ours[key] != theirs[key]] == []
