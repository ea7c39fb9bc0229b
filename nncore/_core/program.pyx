"""Program: planned records, and their replay in C."""
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from nncore._core.kernels cimport (
    Kernel, NN_CHECK_FIRST, NN_CHECK_HERE, NN_CHECK_NOT, NN_FIELD_SIZES, nn_counter, nn_program, nn_record, replay, table,
)

cimport numpy as cnp  # after nncore.h: <complex.h> makes `I` a macro

from time import perf_counter

import numpy as np

from nncore._core import plan

cnp.import_array()

# The work of a kernel (see kernels.def) that pays for a barrier once the team is awake.
cdef double SHARED_WORK = 20000.0
# Below this work a step is done before another thread could use the GIL.
cdef double GIL_WORK = 20000.0
cdef double SLICE = 0.05  # seconds between looks at Ctrl-C


cdef struct patch:  # a pointer in a block that follows an input or output
    void **where
    int64_t offset
    int port


cdef inline int64_t _aligned(int64_t n) noexcept:
    return (n + 63) // 64 * 64


cdef class Program:
    """Planned records in the form that C runs. One thread at a time may run a Program.

    Args:
        records: from plan.records_of.
        inputs: arrays with the shapes, dtypes and layouts that `run` will get.
        outputs: the arrays that it returns, as they were in the capture.
        cursors: (array, stride in bytes): windows over longer arrays that move on with every step.
        passes: functions from records to records. Default: plan.PASSES.

    Attributes:
        captured, records: before and after the passes.
        arena_bytes: size of the memory for temporaries.
        shares: whether the team shares each record, and whether it waits for the team before it.
    """

    cdef nn_program program
    cdef char *blocks
    cdef void **pointers       # of list fields
    cdef int64_t *sizes
    cdef patch *patches
    cdef int patch_count
    cdef cnp.ndarray memory    # of the arena
    cdef readonly list captured, records, shares
    cdef readonly int64_t arena_bytes
    cdef list keep             # what the fixed buffers live in
    cdef list counters         # the Live of each counter, None for a cursor
    cdef list windows          # for each cursor: its address in the capture, (number of counter, offset) that follow it
    cdef list reals            # (address of the number, Live)
    cdef list advances
    cdef list outputs          # for each: None and how to make one, or the fixed array
    cdef int64_t ports         # how many inputs there are
    cdef double work           # of one step

    def __init__(self, list records, inputs, outputs, cursors=(), passes=plan.PASSES):
        self.captured = [plan.summary(record) for record in records]
        for rewrite in passes:
            records = rewrite(records)
        self.records = records
        self.arena_bytes = plan.lay_out(records)
        self.memory = np.empty(self.arena_bytes + 64, np.uint8)
        self.ports = len(inputs)
        self.outputs = []
        output_ports = {o.buffer.port for record in records for o in record.operands if o.buffer.kind == "output"}
        for port, array in enumerate(outputs):
            self.outputs.append(_Layout(array) if port in output_ports else array)
        self._fill(cursors)

    cdef _fill(self, cursors):
        """Blocks, pointers, counters and patches of all records."""
        cdef int64_t bytes = 0, pointers = 0, counters = 0, patches = 0
        cdef Kernel kernel
        for record in self.records:
            kernel = record.kernel
            bytes += _aligned(kernel.info.size)
            pointers += len(record.operands)
            patches += len(record.operands)
            counters += len(record.live) + len(record.operands) * len(cursors)
        self.blocks = <char *> calloc(bytes + 64, 1)
        self.pointers = <void **> calloc(pointers + 1, sizeof(void *))
        self.sizes = <int64_t *> calloc(pointers + 1, sizeof(int64_t))
        self.patches = <patch *> calloc(patches + 1, sizeof(patch))
        self.program.records = <nn_record *> calloc(len(self.records) + 1, sizeof(nn_record))
        self.program.counters = <nn_counter *> calloc(counters + 1, sizeof(nn_counter))
        if not (self.blocks and self.pointers and self.sizes and self.patches and self.program.records and self.program.counters):
            raise MemoryError("nncore: no memory for a program")
        self.keep, self.counters, self.reals, self.advances = [], [], [], []
        cdef char *block = <char *> ((<uintptr_t> self.blocks + 63) // 64 * 64)
        cdef int64_t next_pointer = 0, next_size = 0
        cdef nn_record *r
        cdef int i
        shared = []
        for record in self.records:
            kernel = record.kernel
            shared.append(kernel.info.work(<char *> (<bytearray> record.block)) >= SHARED_WORK)
        waits = plan.waits(self.records, shared)
        self.shares = list(zip(shared, waits))
        windows = [(*plan.bounds(array), stride) for array, stride in cursors]
        self.windows = [(low, []) for low, _, _ in windows]
        written = set()
        kept = set()
        for record, is_shared, wait in zip(self.records, shared, waits):
            kernel = record.kernel
            r = &self.program.records[self.program.count]
            self.program.count += 1
            memcpy(block, <char *> (<bytearray> record.block), kernel.info.size)
            r.fn = table(record.dtype).fn[kernel.id]
            r.args = block
            r.shared = is_shared
            r.wait = wait
            self.work += kernel.info.work(block)
            if is_shared:
                self.program.work += kernel.info.work(block)
            lists = {}
            for o in record.operands:
                if o.position is None:
                    self._point(<void **> (block + kernel.info.fields[<int> o.field].offset), o, windows)
                else:
                    if o.field not in lists:
                        lists[o.field] = next_pointer
                        (<void ***> (block + kernel.info.fields[<int> o.field].offset))[0] = &self.pointers[next_pointer]
                        next_pointer += len(record.sizes)
                    self._point(&self.pointers[<int64_t> lists[o.field] + <int64_t> o.position], o, windows)
                if o.buffer.owner is not None and o.buffer not in kept:
                    kept.add(o.buffer)
                    self.keep.append(o.buffer.owner)
            if record.sizes is not None:
                for i in range(kernel.info.count):
                    if kernel.info.fields[i].kind == NN_FIELD_SIZES:
                        (<int64_t **> (block + kernel.info.fields[i].offset))[0] = &self.sizes[next_size]
                for size in record.sizes:
                    self.sizes[next_size] = size
                    next_size += 1
            for field, source in record.live.items():
                self._number(block + kernel.info.fields[<int> field].offset, kernel, field, source)
            r.check_when = NN_CHECK_NOT
            if kernel.info.check != NULL:
                indices = [o for o in record.operands if o.reads and o.dtype == np.int64]
                if indices:
                    r.check = kernel.info.check
                    r.check_when = NN_CHECK_HERE if any(o.buffer in written for o in indices) else NN_CHECK_FIRST
            written.update([o.buffer for o in record.operands if o.writes])
            block += _aligned(kernel.info.size)

    cdef _point(self, void **where, o, list windows):
        cdef uintptr_t base = 0
        cdef nn_counter *c
        buffer = o.buffer
        if buffer.kind == "temporary":
            base = (<uintptr_t> cnp.PyArray_DATA(self.memory) + 63) // 64 * 64 + <uintptr_t> buffer.place
        elif buffer.kind == "fixed":
            base = buffer.address
        else:
            self.patches[self.patch_count].where = where
            self.patches[self.patch_count].offset = o.offset
            self.patches[self.patch_count].port = buffer.port + (0 if buffer.kind == "input" else self.ports)
            self.patch_count += 1
            return
        where[0] = <void *> (base + <uintptr_t> o.offset)
        for cursor, (low, high, stride) in enumerate(windows):
            if buffer.kind == "fixed" and low <= buffer.address + o.low and buffer.address + o.high <= high:
                c = &self.program.counters[self.program.counter_count]
                self.windows[cursor][1].append((self.program.counter_count, <int64_t> where[0] - low))
                self.program.counter_count += 1
                c.where, c.base, c.stride, c.mask = <int64_t *> where, <int64_t> where[0], stride, -1
                self.counters.append(None)
                return

    cdef _number(self, char *where, Kernel kernel, field, source):
        cdef nn_counter *c
        if kernel.fields[field][1] == "real":
            self.reals.append((<uintptr_t> where, source))
        else:
            c = &self.program.counters[self.program.counter_count]
            self.program.counter_count += 1
            c.where, c.base, c.stride, c.mask = <int64_t *> where, 0, source.stride, source.mask
            self.counters.append(source)
        if source.advance is not None and source.advance not in self.advances:
            self.advances.append(source.advance)

    def __dealloc__(self):
        free(self.blocks)
        free(self.pointers)
        free(self.sizes)
        free(self.patches)
        free(self.program.records)
        free(self.program.counters)

    @property
    def bytes(self):
        """Bytes of memory that belong to the program alone."""
        cdef Kernel kernel
        cdef int64_t total = self.arena_bytes
        for record in self.records:
            kernel = record.kernel
            total += _aligned(kernel.info.size) + sizeof(nn_record) + len(record.operands) * (sizeof(patch) + sizeof(void *))
        return total

    # ---- running ----
    cpdef list new_outputs(self):
        """Arrays for the results of a run."""
        return [layout.new() if isinstance(layout, _Layout) else None for layout in self.outputs]

    cdef void _bind(self, tuple inputs, list outputs) noexcept:
        cdef int i, port
        cdef cnp.ndarray array
        for i in range(self.patch_count):
            port = self.patches[i].port
            array = <cnp.ndarray> (inputs[port] if port < self.ports else outputs[port - self.ports])
            self.patches[i].where[0] = <char *> cnp.PyArray_DATA(array) + self.patches[i].offset

    def move(self, int cursor, cnp.ndarray window):
        """Let the first step of the next run find the window of a cursor where `window` is."""
        for number, offset in self.windows[cursor][1]:
            self.program.counters[<Py_ssize_t> number].base = <int64_t> cnp.PyArray_DATA(window) + <int64_t> offset

    cdef int _begin(self) except -1:
        """Renew the numbers that Python code may have changed since the last run."""
        cdef Py_ssize_t i
        for i in range(len(self.counters)):
            source = self.counters[i]
            if source is not None:
                self.program.counters[i].base = source.read()
        for address, source in self.reals:
            (<double *> <uintptr_t> address)[0] = source.read()
        return 0

    cdef int64_t _steps(self, int64_t first, int64_t steps, double seconds) except -1:
        cdef int64_t done
        if self.work * steps < GIL_WORK:
            done = replay(&self.program, first, steps, seconds)
        else:
            with nogil:
                done = replay(&self.program, first, steps, seconds)
        return done

    cdef _fail(self):
        if self.program.failed == self.program.count:
            raise MemoryError("nncore: no scratch memory")
        raise ValueError(f"{self.records[self.program.failed].kernel.op}: {self.program.error.message.decode()}")

    @property
    def stopped_within(self):
        """Whether the last run was refused in the middle of a step, when some records had run already."""
        return 0 <= self.program.failed < self.program.count and \
            self.program.records[self.program.failed].check_when == NN_CHECK_HERE

    cpdef int64_t run(self, tuple inputs, list outputs, int64_t steps=1, after=None) except -1:
        """Do the records `steps` times.

        Args:
            inputs: arrays of the shapes, dtypes and layouts of the capture; not checked here.
            outputs: from `new_outputs`, or arrays like them.
            steps: how often.
            after: function(steps done so far), called every 0.05 s or so and at the end; if it returns True, no further
                step begins.

        Returns:
            How many steps were done.

        Raises:
            ValueError: a kernel refused values; the step in which it did has not ended.
            KeyboardInterrupt: between two steps.
        """
        cdef int64_t done = 0, now
        cdef bint stop = False
        self._bind(inputs, outputs)
        self._begin()
        try:
            while done < steps and not stop:
                now = self._steps(done, steps - done, SLICE if steps > 1 else 0.0)
                done += now
                if self.program.failed >= 0:
                    self._fail()
                PyErr_CheckSignals()
                if after is not None:
                    stop = after(done) is True
        finally:
            for advance in self.advances:
                advance(done)
        for i in range(len(self.outputs)):
            if outputs[i] is None:
                outputs[i] = self.outputs[i].copy("K")
        return done

    def seconds(self, tuple inputs, list outputs, int64_t repeat):
        """Seconds that each record takes, the median of 5 times `repeat` runs of it alone. Values in memory change."""
        cdef nn_program one
        cdef Py_ssize_t i
        result = []
        self._bind(inputs, outputs)
        self._begin()
        for i in range(self.program.count):
            one = self.program
            one.records, one.count, one.counter_count = &self.program.records[i], 1, 0
            turns = []
            for _ in range(5):
                start = perf_counter()
                replay(&one, 0, repeat, 0.0)
                turns.append((perf_counter() - start) / repeat)
            result.append(sorted(turns)[2])
        return result


cdef class _Layout:
    """How to make an array like one: its shape and dtype, and the order of its axes in memory."""

    cdef tuple shape, axes
    cdef object dtype

    def __init__(self, cnp.ndarray array):
        order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
        self.shape = tuple([array.shape[axis] for axis in order])
        self.axes = None if order == list(range(array.ndim)) else tuple([order.index(axis) for axis in range(array.ndim)])
        self.dtype = array.dtype

    def new(self):
        a = np.empty(self.shape, self.dtype)
        return a if self.axes is None else a.transpose(self.axes)


cdef bint _same_layout(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int i
    if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(b) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(b):
        return False
    for i in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(b, i):
            return False
        if cnp.PyArray_STRIDE(a, i) != cnp.PyArray_STRIDE(b, i) and cnp.PyArray_DIM(a, i) > 1:
            return False
    return cnp.PyArray_ISALIGNED(a) and cnp.PyArray_ISNOTSWAPPED(a)


cdef class Plan:
    """A model's forward pass for one batch size, as one native call. Made by `Model.freeze`.

    Threads may share a plan: each run takes a program of its own, and the plan makes another one when all are taken.

    Example:
        >>> import numpy as np, nncore
        >>> from nncore import nn
        >>> plan = nncore.Model(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))).freeze(np.zeros((1, 3), np.float32))
        >>> x, y = np.ones((1, 3), np.float32), np.empty((1, 2), np.float32)
        >>> plan.run(x, out=y) is y
        True
    """

    cdef list records, free
    cdef readonly object example  # an input: its shape, dtype and layout
    cdef object result
    cdef object captured

    def __init__(self, captured, example):
        self.captured, self.example = captured, example
        self.records = captured.program.records
        self.result = captured.program.new_outputs()[0]
        self.free = [captured.program]

    def run(self, x, out=None):
        """The model's output for one batch. With `out` nothing is allocated.

        Args:
            x: array of the shape and dtype of `example`.
            out: array for the result. Default: a new one.

        Returns:
            `out`, or the new array.

        Raises:
            ValueError: x or out has another shape or dtype.
        """
        cdef Program program
        cdef cnp.ndarray y
        if not isinstance(x, cnp.ndarray) or not _same_layout(<cnp.ndarray> x, <cnp.ndarray> self.example):
            x = self._laid_out(x)
        if out is None:
            y = np.empty_like(self.result)
        elif isinstance(out, cnp.ndarray) and _same_layout(<cnp.ndarray> out, <cnp.ndarray> self.result) \
                and cnp.PyArray_ISWRITEABLE(<cnp.ndarray> out):
            y = <cnp.ndarray> out
        else:
            raise ValueError(f"run: argument 'out' does not fit, expected a writable array of shape {self.result.shape} and "
                             f"dtype {self.result.dtype}, laid out as run() returns it")
        program = self.free.pop() if self.free else self._another()
        try:
            program.run((x,), [y])
        finally:
            self.free.append(program)
        return y

    cdef _another(self):
        return Program(self.records, (self.example,), (self.result,), (), ())

    cdef _laid_out(self, x):
        """x with the layout of the example."""
        x = np.asarray(x)
        if x.shape != self.example.shape or x.dtype != self.example.dtype:
            raise ValueError(f"run: argument 'x' has shape {x.shape} and dtype {x.dtype}, expected {self.example.shape} and "
                             f"{self.example.dtype}; freeze the model for that")
        y = np.empty_like(self.example)
        y[...] = x
        return y
