"""Program: planned records, and their replay in C."""
from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport Py_INCREF, PyObject, PyTypeObject
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from nncore._core.capture cimport Kept
from nncore._core.kernels cimport (
    Kernel, NN_CHECK_FIRST, NN_CHECK_HERE, NN_CHECK_NOT, NN_FIELD_SIZES, NN_f32, NN_f64, nn_counter, nn_part, nn_program, nn_record,
    new_array, replay, table,
)

cimport numpy as cnp  # after nncore.h: <complex.h> makes `I` a macro

from time import perf_counter

import numpy as np

from nncore._core import plan
from nncore._core.explain import summary
from nncore._core.passes import PASSES, row_field

cnp.import_array()

# The work of a kernel (see kernels.def) that pays for a barrier once the team is awake. A program is worth its team by what is
# left when its barriers are paid.
cdef double SHARED_WORK = 60000.0
# Below this work a step is done before another thread could use the GIL.
cdef double GIL_WORK = 20000.0
cdef double SLICE = 0.05  # seconds between looks at Ctrl-C


cdef extern from "numpy/arrayobject.h":
    object PyArray_NewFromDescr(
        PyTypeObject *subtype, PyArray_Descr *dtype, int ndim, cnp.npy_intp *shape, cnp.npy_intp *strides, void *data, int flags,
        void *like,
    )
    ctypedef struct PyArray_Descr:
        pass
    PyTypeObject PyArray_Type


cdef inline int64_t _aligned(int64_t n) noexcept:
    return (n + 63) // 64 * 64


cdef void bind(Machine *machine, void *const *inputs, void *const *outputs) noexcept nogil:
    """Let a machine work on these inputs and outputs."""
    cdef int i
    cdef Patch *p
    for i in range(machine.patch_count):
        p = &machine.patches[i]
        p.where[0] = <char *> (inputs[p.port] if p.port < machine.ports else outputs[p.port - machine.ports]) + p.offset


cdef int64_t run_c(Machine *machine, int64_t first, int64_t steps, double seconds) noexcept nogil:
    return replay(&machine.program, first, steps, seconds)


cdef int64_t run_steps(Machine *machine, int64_t first, int64_t steps, double seconds) noexcept:
    """The same with the GIL held, which is given up where that pays."""
    cdef int64_t done
    if machine.work * steps < GIL_WORK:
        return replay(&machine.program, first, steps, seconds)
    with nogil:
        done = replay(&machine.program, first, steps, seconds)
    return done


cdef class Layout:
    """How an array lies in memory: its shape, strides and dtype. One that no kernel could take fits no array.

    Args:
        array: the array.
    """

    def __cinit__(self, cnp.ndarray array):
        cdef int i, ndim = cnp.PyArray_NDIM(array)
        cdef int64_t reach
        self.dtype, self.writeable = array.dtype, cnp.PyArray_ISWRITEABLE(array)
        self.type, self.ndim = cnp.PyArray_TYPE(array), ndim
        if not cnp.PyArray_ISNOTSWAPPED(array) or self.type > cnp.NPY_CLONGDOUBLE:
            self.ndim = -1
        self.shape = <cnp.npy_intp *> calloc(2 * ndim + 1, sizeof(cnp.npy_intp))
        if self.shape == NULL:
            raise MemoryError()
        self.strides = self.shape + ndim
        self.packed = cnp.PyArray_IS_C_CONTIGUOUS(array)
        self.high = cnp.PyArray_ITEMSIZE(array)
        for i in range(ndim):
            self.shape[i], self.strides[i] = cnp.PyArray_DIM(array, i), cnp.PyArray_STRIDE(array, i)
            reach = (self.shape[i] - 1) * self.strides[i]
            if reach < 0:
                self.low += reach
            else:
                self.high += reach
        if cnp.PyArray_SIZE(array) == 0:
            self.low = self.high = 0

    def __dealloc__(self):
        free(self.shape)

    cdef bint fits(self, cnp.ndarray array) noexcept:
        cdef int i
        if cnp.PyArray_NDIM(array) != self.ndim or cnp.PyArray_TYPE(array) != self.type:
            return False
        for i in range(self.ndim):
            if cnp.PyArray_DIM(array, i) != self.shape[i]:
                return False
            if cnp.PyArray_STRIDE(array, i) != self.strides[i] and self.shape[i] > 1:
                return False
        return cnp.PyArray_ISALIGNED(array) and cnp.PyArray_ISNOTSWAPPED(array)

    cdef cnp.ndarray new(self):
        """A new array that lies so."""
        if self.packed:
            return new_array(self.ndim, self.shape, self.type, cnp.PyDataType_ELSIZE(self.dtype))
        if self.low == 0:
            return self.at(NULL)
        memory = np.empty(self.high - self.low, np.uint8)
        strides = [self.strides[i] for i in range(self.ndim)]
        return np.ndarray([self.shape[i] for i in range(self.ndim)], self.dtype, memory, -self.low, strides)

    cdef cnp.ndarray at(self, void *data):
        """The array that lies so at an address."""
        Py_INCREF(self.dtype)  # taken over by the call
        return PyArray_NewFromDescr(&PyArray_Type, <PyArray_Descr *> self.dtype, self.ndim, self.shape, self.strides, data, 0, NULL)


cdef _source(cnp.ndarray array, inputs):
    """Where to copy an output from: (Layout, number of the input it lies in, offset there), or the array itself."""
    low, high = plan.bounds(array)
    for port, other in enumerate(inputs):
        other_low, other_high = plan.bounds(other)
        if other_low <= low < high <= other_high:
            return Layout(array), port, <int64_t> (cnp.PyArray_BYTES(array) - cnp.PyArray_BYTES(<cnp.ndarray> other))
    return array


cdef class Program:
    """Planned records in the form that C runs. One thread at a time may run a Program.

    Args:
        records: from plan.records_of.
        inputs: arrays with the shapes, dtypes and layouts that `run` will get.
        outputs: the arrays that it returns, as they were in the capture.
        cursors: (array, stride in bytes): windows over longer arrays that move on with every step.
        passes: functions from records to records. Default: all of passes.py.

    Attributes:
        captured, records: before and after the passes.
        arena_bytes: size of the memory for temporaries.
        shares: whether the team shares each record, and whether it waits for the team before it.
    """

    def __cinit__(self):
        self.machine.owner = <PyObject *> self

    def __init__(self, list records, inputs, outputs, cursors=(), passes=PASSES):
        self.captured = [summary(record) for record in records]
        for rewrite in passes:
            records = rewrite(records)
        self.records = records
        self.arena_bytes = plan.lay_out(records)
        self.memory = np.empty(self.arena_bytes + 64, np.uint8)
        self.machine.ports = len(inputs)
        self.lows = [plan.bounds(array)[0] - array.__array_interface__["data"][0] for array in (*inputs, *outputs)]
        self.outputs = []
        output_ports = {o.buffer.port for record in records for o in record.operands if o.buffer.kind == "output"}
        for port, array in enumerate(outputs):
            self.outputs.append(Layout(array) if port in output_ports else _source(array, inputs))
        self.copies = len(output_ports) < len(self.outputs)
        self._fill(cursors)
        self.machine.heard = bool(self.reals or self.advances or any([source is not None for source in self.counters]))

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
        self.real_addresses = <double **> calloc(counters + 1, sizeof(double *))
        self.parts = <nn_part *> calloc(pointers + len(self.records) + 1, sizeof(nn_part))
        self.given = <void **> calloc(self.machine.ports + len(self.outputs) + 1, sizeof(void *))
        self.machine.patches = <Patch *> calloc(patches + 1, sizeof(Patch))
        self.machine.program.records = <nn_record *> calloc(len(self.records) + 1, sizeof(nn_record))
        self.machine.program.counters = <nn_counter *> calloc(counters + 2, sizeof(nn_counter))  # one more to watch
        if not (self.blocks and self.parts and self.pointers and self.sizes and self.real_addresses and self.given and self.machine.patches
                and self.machine.program.records and self.machine.program.counters):
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
        waits = plan.waits(self.records, [team or bool(record.rows) for team, record in zip(shared, self.records)])
        self.shares = list(zip(shared, waits))
        windows = [(*plan.bounds(array), stride) for array, stride in cursors]
        self.windows = [(low, []) for low, _, _ in windows]
        written = set()
        kept = set()
        for record, is_shared, wait in zip(self.records, shared, waits):
            kernel = record.kernel
            r = &self.machine.program.records[self.machine.program.count]
            self.machine.program.count += 1
            memcpy(block, <char *> (<bytearray> record.block), kernel.info.size)
            r.fn = table(record.dtype).fn[kernel.id]
            r.args = block
            r.size = kernel.info.size
            r.shared = is_shared
            r.wait = wait
            self._cut(r, record)
            self.machine.work += kernel.info.work(block)
            if is_shared or record.rows:
                self.machine.program.work += kernel.info.work(block)
            if wait:
                self.machine.program.work -= SHARED_WORK
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

    cdef _cut(self, nn_record *r, record):
        """What of a record's block belongs to rows of the batch."""
        cdef Kernel kernel = record.kernel
        cdef nn_part *part
        if not record.rows:
            return
        r.rows, r.parts = record.rows, &self.parts[self.part_count]
        rows = [(row_field(kernel), kernel.scalar(record.block, row_field(kernel)), False)]
        rows += [(o.name, o.high - o.low, True) for o in record.operands if o.rows]
        for name, amount, pointer in rows:
            part = &self.parts[self.part_count]
            self.part_count += 1
            part.offset = kernel.info.fields[kernel.names.index(name)].offset
            part.per_row, part.pointer = amount // record.rows, pointer
        r.part_count = len(rows)

    cdef _point(self, void **where, o, list windows):
        cdef uintptr_t base = 0
        cdef nn_counter *c
        cdef Patch *p
        buffer = o.buffer
        if buffer.kind == "temporary":
            base = (<uintptr_t> cnp.PyArray_DATA(self.memory) + 63) // 64 * 64 + <uintptr_t> buffer.place
        elif buffer.kind == "fixed":
            base = buffer.address
        else:
            p = &self.machine.patches[self.machine.patch_count]
            p.port = buffer.port + (0 if buffer.kind == "input" else self.machine.ports)
            p.where, p.offset = where, <int64_t> o.offset + <int64_t> self.lows[p.port]
            self.machine.patch_count += 1
            return
        where[0] = <void *> (base + <uintptr_t> o.offset)
        for cursor, (low, high, stride) in enumerate(windows):
            if buffer.kind == "fixed" and low <= buffer.address + o.low and buffer.address + o.high <= high:
                c = &self.machine.program.counters[self.machine.program.counter_count]
                self.windows[cursor][1].append((self.machine.program.counter_count, <int64_t> where[0] - low))
                self.machine.program.counter_count += 1
                c.where, c.base, c.stride, c.mask = <int64_t *> where, <int64_t> where[0], stride, -1
                self.counters.append(None)
                return

    cdef _number(self, char *where, Kernel kernel, field, source):
        cdef nn_counter *c
        if kernel.fields[field][1] == "real":
            self.real_addresses[len(self.reals)] = <double *> where
            self.reals.append(source.read)
        else:
            c = &self.machine.program.counters[self.machine.program.counter_count]
            self.machine.program.counter_count += 1
            c.where, c.base, c.stride, c.mask = <int64_t *> where, 0, source.stride, source.mask
            self.counters.append(source.read)
        if source.advance is not None and source.advance not in self.advances:
            self.advances.append(source.advance)

    def __dealloc__(self):
        free(self.blocks)
        free(self.parts)
        free(self.pointers)
        free(self.sizes)
        free(self.given)
        free(self.real_addresses)
        free(self.machine.patches)
        free(self.machine.program.records)
        free(self.machine.program.counters)

    @property
    def bytes(self):
        """Bytes of memory that belong to the program alone."""
        cdef Kernel kernel
        cdef int64_t total = self.arena_bytes
        for record in self.records:
            kernel = record.kernel
            total += _aligned(kernel.info.size) + sizeof(nn_record) + len(record.operands) * (sizeof(Patch) + sizeof(void *))
        return total

    # ---- running ----
    cpdef list new_outputs(self):
        """Arrays for the results of a run; None for what is copied at its end."""
        return [(<Layout> layout).new() if isinstance(layout, Layout) else None for layout in self.outputs]

    def move(self, int cursor, cnp.ndarray window):
        """Let the first step of the next run find the window of a cursor where `window` is."""
        for number, offset in self.windows[cursor][1]:
            self.machine.program.counters[<Py_ssize_t> number].base = <int64_t> cnp.PyArray_DATA(window) + <int64_t> offset

    def watch(self, cnp.ndarray number, int64_t stride):
        """End a run of several steps after the first one that leaves a number which is not finite.

        Args:
            number: array whose first element is looked at after the first step.
            stride: by how many bytes the place to look at moves with every step.
        """
        cdef nn_counter *c = &self.machine.program.counters[self.machine.program.counter_count]
        self.machine.program.counter_count += 1
        c.where, c.base, c.stride, c.mask = <int64_t *> &self.machine.program.watched, <int64_t> cnp.PyArray_DATA(number), stride, -1
        self.machine.program.watched_dtype = NN_f64 if number.dtype == np.float64 else NN_f32
        self.counters.append(None)
        self.keep.append(number)

    cdef int read_numbers(self) except -1:
        """Renew the numbers that Python code may have changed since the last run."""
        cdef Py_ssize_t i
        for i in range(len(self.counters)):
            source = self.counters[i]
            if source is not None:
                self.machine.program.counters[i].base = (<Kept> source).get() if type(source) is Kept else source()
        for i in range(len(self.reals)):
            source = self.reals[i]
            self.real_addresses[i][0] = (<Kept> source).get() if type(source) is Kept else source()
        return 0

    cdef int64_t run_heard(self, int64_t steps) except -1:
        """Run with Python code's numbers, on what is bound."""
        self.read_numbers()
        cdef int64_t done = run_steps(&self.machine, 0, steps, 0.0)
        self.advance(done)
        return done

    cdef advance(self, int64_t steps):
        """Tell Python code how many steps were done."""
        for advance in self.advances:
            if type(advance) is Kept:
                (<Kept> advance).advance_all(steps)
            else:
                advance(steps)

    cdef copied_output(self, Py_ssize_t i, void *const *inputs):
        """An output that lies in an input or in memory that stays, as a new array."""
        if isinstance(self.outputs[i], tuple):
            layout, port, offset = self.outputs[i]
            return (<Layout> layout).at(<char *> inputs[<int> port] + <int64_t> offset).copy("K")
        return self.outputs[i].copy("K")

    cdef fail(self):
        """Raise what the last run was stopped by."""
        if self.machine.program.failed == self.machine.program.count:
            raise MemoryError("nncore: no scratch memory")
        raise ValueError(f"{self.records[self.machine.program.failed].kernel.op}: {self.machine.program.error.message.decode()}")

    cdef void *const *_address(self, tuple inputs, list outputs) noexcept:
        cdef Py_ssize_t i, ports = len(inputs)
        for i in range(ports):
            self.given[i] = cnp.PyArray_DATA(<cnp.ndarray> inputs[i])
        for i in range(len(outputs)):
            if outputs[i] is not None:
                self.given[ports + i] = cnp.PyArray_DATA(<cnp.ndarray> outputs[i])
        bind(&self.machine, self.given, self.given + ports)
        return self.given

    @property
    def stopped_within(self):
        """Whether the last run was refused in the middle of a step, when some records had run already."""
        return 0 <= self.machine.program.failed < self.machine.program.count and \
            self.machine.program.records[self.machine.program.failed].check_when == NN_CHECK_HERE

    cpdef int64_t run(self, tuple inputs, list outputs, int64_t steps=1, after=None) except -1:
        """Do the records `steps` times.

        Args:
            inputs: arrays of the shapes, dtypes and layouts of the capture; not checked here.
            outputs: from `new_outputs`, or arrays like them.
            steps: how often. It ends earlier where what is watched is not finite.
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
        cdef void *const *addresses = self._address(inputs, outputs)
        self.read_numbers()
        try:
            while done < steps and not stop and (done == 0 or self.machine.program.finite):
                now = run_steps(&self.machine, done, steps - done, SLICE if steps > 1 else 0.0)
                done += now
                if self.machine.program.failed >= 0:
                    self.fail()
                if steps > 1:  # after a single one the interpreter looks by itself
                    PyErr_CheckSignals()
                if after is not None:
                    stop = after(done) is True
        finally:
            self.advance(done)
        for i in range(len(self.outputs)):
            if outputs[i] is None:
                outputs[i] = self.copied_output(i, addresses)
        return done

    def seconds(self, tuple inputs, list outputs, int64_t repeat):
        """Seconds that each record takes, the median of 5 times `repeat` runs of it alone. Values in memory change."""
        cdef nn_program one
        cdef Py_ssize_t i
        result = []
        self._address(inputs, outputs)
        self.read_numbers()
        for i in range(self.machine.program.count):
            one = self.machine.program
            one.records, one.count, one.counter_count = &self.machine.program.records[i], 1, 0
            turns = []
            for _ in range(5):
                start = perf_counter()
                replay(&one, 0, repeat, 0.0)
                turns.append((perf_counter() - start) / repeat)
            result.append(sorted(turns)[2])
        return result
