"""Program, for the files beside this one. Code outside nncore cimports nncore.compiled."""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from nncore._core.kernels cimport Kernel, nn_part, nn_program, nn_record

cimport numpy as cnp


cdef struct Patch:  # a pointer in a block that follows an input or output
    void **where
    int64_t offset
    int port        # number of the input, or of the output after the inputs


cdef struct Machine:  # what a run needs, apart from Python
    nn_program program
    Patch *patches
    int patch_count
    int ports       # how many inputs there are
    double work     # of one step
    PyObject *owner  # the Program
    bint heard      # whether Python code gives it numbers before a run, or hears of it afterwards


cdef void bind(Machine *machine, void *const *inputs, void *const *outputs) noexcept nogil
cdef int64_t run_c(Machine *machine, int64_t first, int64_t steps, double seconds) noexcept nogil
cdef int64_t run_steps(Machine *machine, int64_t first, int64_t steps, double seconds) noexcept


cdef class Layout:
    cdef readonly object dtype
    cdef readonly bint writeable
    cdef int type, ndim
    cdef bint packed               # in C order
    cdef int64_t low, high         # the bytes that an array spans, counted from its first element
    cdef cnp.npy_intp *shape
    cdef cnp.npy_intp *strides
    cdef bint fits(self, cnp.ndarray array) noexcept
    cdef cnp.ndarray new(self)
    cdef cnp.ndarray at(self, void *data)


cdef class Program:
    cdef Machine machine
    cdef char *blocks
    cdef nn_part *parts            # of records that ranks take their rows through
    cdef int64_t part_count
    cdef void **pointers           # of list fields
    cdef int64_t *sizes
    cdef void **given              # addresses of inputs and outputs
    cdef cnp.ndarray memory        # of the arena
    cdef readonly list captured, records, shares
    cdef readonly int64_t arena_bytes
    cdef list keep                 # what the fixed buffers live in
    cdef list counters             # what reads the number of each counter, None for a cursor
    cdef list windows              # for each cursor: its address in the capture, (number of counter, offset) that follow it
    cdef list reals                # what reads each real number
    cdef double **real_addresses
    cdef list advances
    cdef list lows                 # for each input and output: its first byte, counted from its first element
    cdef list outputs              # for each: a Layout (of a new array), or what to copy: (Layout, port, offset) or an array
    cdef bint copies               # whether there are outputs to copy
    cdef _fill(self, cursors)
    cdef _cut(self, nn_record *r, record)
    cdef _point(self, void **where, o, list windows)
    cdef _number(self, char *where, Kernel kernel, field, source)
    cdef void *const *_address(self, tuple inputs, list outputs) noexcept
    cdef int read_numbers(self) except -1
    cdef int64_t run_heard(self, int64_t steps) except -1
    cdef advance(self, int64_t steps)
    cdef copied_output(self, Py_ssize_t i, void *const *inputs)
    cdef fail(self)
    cpdef list new_outputs(self)
    cpdef int64_t run(self, tuple inputs, list outputs, int64_t steps=*, after=*) except -1
