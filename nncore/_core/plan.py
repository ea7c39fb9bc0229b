"""Planning: from what a capture wrote down to the records that a replay runs.

`records_of` gives every pointer of a call a name: (buffer, offset). The passes (passes.py) then rewrite the list of
records, `lay_out` gives the buffers that are left their place in one arena, and `waits` says where the ranks of a team
have to wait for each other.
"""

import math
from bisect import bisect_right
from collections import Counter
from sys import getrefcount

import numpy as np

from nncore._core.capture import CaptureError

ALIGNMENT = 64


class Buffer:
    """A piece of memory that calls use.

    Attributes:
        address, nbytes: where it was during the capture.
        kind: "input" (the caller's, new in every run), "output" (the caller gets it, new in every run), "fixed" (stays where
            it is: parameters, states, constants, whatever somebody else holds) or "temporary" (moves into the arena).
        port: number of the input or output.
        place: offset in the arena, for a temporary.
    """

    __slots__ = ("address", "kind", "nbytes", "owner", "place", "port")

    def __init__(self, address, nbytes, kind, owner=None, port=None):
        self.address, self.nbytes, self.kind, self.owner, self.port = address, nbytes, kind, owner, port
        self.place = None

    @property
    def end(self):
        """Address after the last byte."""
        return self.address + self.nbytes

    def __repr__(self):
        return f"<{self.kind} {self.nbytes} B>"


class Operand:
    """An array argument of a record.

    Attributes:
        name, field: of the row of kernels.def; `position` in the list of a list field, else None.
        buffer, offset: where its first element is; `low`, `high`: the bytes of the buffer that it spans.
        reads, writes: what the kernel does with it.
        shape, strides, dtype: of the array.
        rows: into how many equal parts it is cut where each rank takes some of them, or None.
    """

    __slots__ = (
        "buffer",
        "dtype",
        "field",
        "high",
        "low",
        "name",
        "offset",
        "position",
        "reads",
        "rows",
        "shape",
        "strides",
        "writes",
    )

    def __init__(self, name, field, position, direction, array, buffer_of):
        low, high = bounds(array)
        self.name, self.field, self.position = name, field, position
        self.reads, self.writes = "in" in direction, "out" in direction
        self.shape, self.strides, self.dtype = array.shape, array.strides, array.dtype
        self.buffer = buffer_of(low, high)
        self.low, self.high = low - self.buffer.address, high - self.buffer.address
        self.offset = array.__array_interface__["data"][0] - self.buffer.address
        self.rows = None

    def __repr__(self):
        return f"{self.name}: {self.dtype}{list(self.shape)} in {self.buffer!r}"

    @property
    def whole(self):
        """Whether it spans all of its buffer."""
        return self.low == 0 and self.high == self.buffer.nbytes

    @property
    def dense(self):
        """Whether there are no gaps between its elements."""
        return self.high - self.low == math.prod(self.shape) * self.dtype.itemsize

    def of(self, elements):
        """The part of an array with one entry for every element of the buffer that belongs to this operand."""
        size = self.dtype.itemsize
        strides = [stride // size * elements.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(elements[self.offset // size :], self.shape, strides)


class Record:
    """One kernel call: `kernel`, `dtype` (number of the table), `block` (bytearray), `operands`, `live` (field -> Live),
    `sizes` (of the arrays, for kernels that take lists), `fused`, the names of the calls that it stands for, and `rows`: None, or
    of how many rows each rank takes its share through the kernel by itself."""

    __slots__ = ("block", "dtype", "fused", "kernel", "live", "operands", "rows", "sizes")

    def __init__(self, kernel, dtype, block, operands, live, sizes):
        self.kernel, self.dtype, self.block, self.operands = kernel, dtype, block, operands
        self.live, self.sizes, self.fused, self.rows = live, sizes, [kernel.__name__], None

    def __repr__(self):
        return f"<{' + '.join(self.fused)}>"

    def operand(self, name):
        """The operand of a field, or None."""
        return next((o for o in self.operands if o.name == name), None)


# ---- from arrays to buffers ----
def bounds(array):
    """First byte and the one after the last that an array spans."""
    low = high = array.__array_interface__["data"][0]
    if array.size == 0:
        return low, low
    for size, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            low += (size - 1) * stride
        else:
            high += (size - 1) * stride
    return low, high + array.itemsize


def root(array):
    """The array that owns the memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _merged(extents):
    """Overlapping (low, high, owner) as one."""
    merged = []
    for low, high, owner in sorted(extents, key=lambda extent: extent[:2]):
        if merged and low < merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high, owner])
    return merged


def records_of(capture, inputs, outputs):
    """The records of a capture; its lists are emptied.

    Args:
        capture: a finished Capture.
        inputs: arrays that the caller gives anew for every run.
        outputs: arrays that the caller gets anew from every run.

    Returns:
        list of Record.

    Raises:
        CaptureError: a kernel read an array that Python code made meanwhile.
    """
    records, buffers, arrays = _located(capture, inputs)
    _refuse_unknown(records)
    _settle(records, buffers, arrays, outputs)
    return records


def _located(capture, inputs):
    """(records, buffers, distinct arrays) of a capture."""
    arrays, roots = {}, {}
    for _, _, _, held, _ in capture.calls:
        for item in held:
            for array in item if isinstance(item, list) else (item,):
                if array is not None and id(array) not in arrays:
                    arrays[id(array)] = array
                    owner = root(array)
                    roots[id(owner)] = owner
    declared = {id(root(array)) for array in capture.states}
    constant = {id(root(array)) for array in capture.constants}
    buffers = []
    for low, high, owner in _merged([(*bounds(owner), owner) for owner in roots.values()]):
        kind = "fixed"
        if owner.__array_interface__["data"][0] in capture.allocated and id(owner) not in declared:
            kind = "constant" if id(owner) in constant else "temporary"
        buffers.append(Buffer(low, high - low, kind, owner))
    starts = [buffer.address for buffer in buffers]
    ports = [Buffer(low, high - low, "input", port=port) for port, (low, high) in enumerate(map(bounds, inputs))]

    def buffer_of(low, high):
        for port in ports:
            if port.address <= low < high <= port.address + port.nbytes:
                return port
        buffer = buffers[max(bisect_right(starts, low) - 1, 0)]
        if low < high and not buffer.address <= low < high <= buffer.address + buffer.nbytes:
            raise CaptureError("capture: an array lies outside the memory of the array that it is a view of")
        return buffer

    records = []
    for kernel, dtype, block, held, live in capture.calls:
        operands, sizes = [], None
        for field, item in enumerate(held):
            if item is None:
                continue
            name, _, direction, *_ = kernel.fields[field]
            if isinstance(item, list):
                sizes = [array.size for array in item]
            for position, array in enumerate(item) if isinstance(item, list) else ((None, item),):
                operands.append(Operand(name, field, position, direction, array, buffer_of))
        records.append(Record(kernel, dtype, bytearray(block), operands, live, sizes))
    capture.calls.clear()
    capture.constants.clear()
    capture.states.clear()
    return records, buffers, list(arrays.values())


def _refuse_unknown(records):
    """What is read of a temporary must have been written by a kernel: else Python made it, from who knows what."""
    written = {}  # buffer -> True, or which of its elements
    for record in records:
        for o in record.operands:
            if o.reads and o.buffer.kind == "temporary" and o.low < o.high:
                known = written.get(o.buffer, False)
                if known is not True and not (known is not False and o.of(known).all()):
                    raise CaptureError(
                        f"{record.kernel.op}: argument {o.name!r}, of shape {o.shape}, was made by Python while the function "
                        "ran, so a replay could not make it anew; make it outside the function, or pass it as an argument"
                    )
        for o in record.operands:
            if o.writes and o.buffer.kind == "temporary" and written.get(o.buffer) is not True:
                if o.dense and o.whole:
                    written[o.buffer] = True
                else:
                    known = written.setdefault(o.buffer, np.zeros(o.buffer.nbytes // o.dtype.itemsize, bool))
                    o.of(known)[...] = True


def _settle(records, buffers, arrays, outputs):
    """Fix what others than the capture can see; what only the caller gets becomes an output."""
    buffer_of = {id(buffer.owner): buffer for buffer in buffers}
    views = Counter(id(array.base) for array in {id(array): array for array in (*arrays, *outputs)}.values())
    given = Counter(id(array) for array in outputs)
    visible = {}
    for i in range(len(arrays)):
        buffer = buffer_of.get(id(root(arrays[i])))
        if buffer is not None and buffer.kind == "temporary":
            # `arrays`, getrefcount's argument, Buffer.owner, views, and for results `outputs` and the Tensor
            ours = 2 + (buffer.owner is arrays[i]) + views[id(arrays[i])] + 2 * given[id(arrays[i])]
            visible[buffer] = visible.get(buffer, False) or getrefcount(arrays[i]) > ours
    known = {id(array) for array in arrays}
    for buffer in buffers:
        if buffer.kind == "temporary" and id(buffer.owner) not in known:  # its views are known, itself is not
            ours = 2 + views[id(buffer.owner)]
            visible[buffer] = visible.get(buffer, False) or getrefcount(buffer.owner) > ours
    ports = {}
    for port, array in enumerate(outputs):
        ports.setdefault(id(root(array)), []).append(port)
    for buffer in buffers:
        if buffer.kind == "constant":
            if any(o.buffer is buffer and o.writes for record in records for o in record.operands):
                raise CaptureError(
                    f"a constant of shape {buffer.owner.shape} is made inside the function and then changed in place; "
                    "compute a new tensor instead, or keep the one that is changed outside the function"
                )
            buffer.kind = "fixed"
        elif buffer.kind == "temporary":
            of = ports.get(id(buffer.owner), [])
            if not of and not visible[buffer]:
                buffer.owner = None
            elif len(of) == 1 and not visible[buffer] and bounds(outputs[of[0]]) == (buffer.address, buffer.end):
                buffer.kind, buffer.port, buffer.owner = "output", of[0], None
            else:
                buffer.kind = "fixed"


# ---- the schedule ----
def lay_out(records):
    """Give every temporary a place in the arena, apart from those that live at the same time. Returns the arena's size."""
    first, last = {}, {}
    for i, record in enumerate(records):
        for operand in record.operands:
            if operand.buffer.kind == "temporary":
                first.setdefault(operand.buffer, i)
                last[operand.buffer] = i
    placed, size = [], 0
    for buffer in sorted(first, key=lambda b: (-b.nbytes, first[b])):
        place = 0
        for other in placed:  # in order of place
            if first[other] <= last[buffer] and first[buffer] <= last[other]:
                if place + buffer.nbytes <= other.place:
                    break
                place = max(place, _aligned(other.place + other.nbytes))
        buffer.place = place
        placed.append(buffer)
        placed.sort(key=lambda b: b.place)
        size = max(size, _aligned(place + buffer.nbytes))
    return size


def _aligned(n):
    return (n + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def waits(records, shared):
    """Which records must wait for all ranks: those that touch what another rank may still write, or read.

    Args:
        records: laid out.
        shared: for each record whether several ranks take part in it; the others are rank 0's.

    Returns:
        list of bool.
    """
    result, pending = [], []  # pending: what was touched since the last wait
    for record, is_shared in zip(records, shared, strict=True):
        touched = [_Touch(o, is_shared) for o in record.operands]
        wait = any(mine.conflicts(other) for mine in touched for other in pending)
        if wait:
            pending = []
        pending += touched
        result.append(wait)
    return result


class _Touch:
    """The bytes that a record touches with one operand."""

    __slots__ = ("high", "low", "rows", "shared", "space", "writes")

    def __init__(self, operand, shared):
        temporary = operand.buffer.kind == "temporary"
        start = operand.buffer.place if temporary else 0
        self.low, self.high = start + operand.low, start + operand.high
        self.space = None if temporary else operand.buffer
        self.rows, self.writes, self.shared = operand.rows, operand.writes, shared

    def conflicts(self, other):
        """Whether two ranks may meet in a byte that one of them writes."""
        if not (self.writes or other.writes) or not (self.shared or other.shared) or self.space is not other.space:
            return False
        if self.rows and (self.low, self.high, self.rows) == (other.low, other.high, other.rows):
            return False  # every rank meets itself
        return self.low < other.high and other.low < self.high
