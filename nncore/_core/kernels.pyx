"""The door: the only file that sees C. A call is checked, laid out, run.

Each row of csrc/kernels.def becomes one Kernel, called with NumPy arrays:

    y = nncore.kernels.relu_forward(x)
    nncore.kernels.relu_forward(x, out=y)

No rule here is about one kernel: names, shapes, dtypes and layouts come from the row. Every call of every kernel
passes `_run`, which also writes it down while a capture (_core/program.pyx) is on.
"""
import os
from math import prod
from operator import index
from struct import pack_into, unpack_from
from time import perf_counter

cimport cython
cimport numpy as cnp
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t, intptr_t
from libc.string cimport memset

import numpy as np

cnp.import_array()

cdef extern from *:
    """
    static _Thread_local int nn_capturing = 0;
    """
    int nn_capturing

cdef list _calls = None   # of the capture that is on: (kernel, dtype, block, held, {field: Live})
cdef dict _live = {}      # the live numbers of the call that is being checked


class LiveInt(int):
    """An integer that changes from step to step; its attribute `source` says how. See nncore._core.capture."""


class LiveFloat(float):
    """A real number that changes from run to run; its attribute `source` says how."""


cdef bint capturing() noexcept:
    return nn_capturing


cdef begin_calls(list calls):
    """From now on write the calls of this thread down in `calls`."""
    global nn_capturing, _calls
    _calls = calls
    nn_capturing = 1


cdef end_calls():
    global nn_capturing, _calls
    _calls = None
    nn_capturing = 0


cdef enum:
    LINE = 64           # bytes
    LINES_FROM = 16384  # bytes of an array that begins with a cache line
    LENT_FROM = 1 << 20  # bytes of an array whose memory is kept: smaller pieces would pin malloc's heap
    KEPT_BYTES = 256 << 20

# Below this work (see kernels.def) a kernel is done before another thread could use the GIL.
cdef double GIL_WORK = 20000.0

cdef object _FORWARD = "_forward"
cdef list _DTYPES = [np.dtype(name) for name in ("float32", "float64", "int64", "int32", "uint8", "bool")]


cdef inline int _dtype_of(cnp.ndarray a) noexcept:
    cdef int number = cnp.PyArray_TYPE(a)
    if not cnp.PyArray_ISNOTSWAPPED(a):
        return -1
    if number == cnp.NPY_FLOAT32:
        return NN_f32
    if number == cnp.NPY_FLOAT64:
        return NN_f64
    if number == cnp.NPY_INT64 or (number == cnp.NPY_LONGLONG and cnp.PyArray_ITEMSIZE(a) == 8):
        return NN_i64
    if number == cnp.NPY_INT32 or (number == cnp.NPY_INT and cnp.PyArray_ITEMSIZE(a) == 4):
        return NN_i32
    if number == cnp.NPY_UINT8:
        return NN_u8
    if number == cnp.NPY_BOOL:
        return NN_b8
    return -1


cdef inline bint _is_packed(cnp.ndarray a, const int *order) noexcept:
    """Whether the axes of `a`, taken in `order` (outermost first), are dense in memory."""
    cdef intptr_t expected = cnp.PyArray_ITEMSIZE(a)
    cdef int i, axis
    cdef intptr_t size
    for i in range(cnp.PyArray_NDIM(a) - 1, -1, -1):
        axis = order[i]
        size = cnp.PyArray_DIM(a, axis)
        if size == 0:
            return True
        if size != 1 and cnp.PyArray_STRIDE(a, axis) != expected:
            return False
        expected *= size
    return True


cdef int[4] NHWC_ORDER = [0, 2, 3, 1]
cdef int[4] HWIO_ORDER = [2, 3, 1, 0]


cdef inline void _by_stride(cnp.ndarray a, int *order) noexcept:
    """The axes as they lie in memory, outermost first."""
    cdef int i, j
    for i in range(cnp.PyArray_NDIM(a)):  # insertion sort, largest stride first
        j = i
        while j > 0 and cnp.PyArray_STRIDE(a, order[j - 1]) < cnp.PyArray_STRIDE(a, i):
            order[j] = order[j - 1]
            j -= 1
        order[j] = i


cdef inline bint _is_dense(cnp.ndarray a) noexcept:
    """Whether some order of the axes is dense in memory, without overlap."""
    cdef int order[NN_MAX_DIM]
    if cnp.PyArray_NDIM(a) > NN_MAX_DIM:
        return False
    _by_stride(a, order)
    return _is_packed(a, order)


cdef inline bint _same_layout(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether elements of one index lie at one offset."""
    cdef int i
    if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(b):
        return False
    for i in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(b, i):
            return False
        if cnp.PyArray_STRIDE(a, i) != cnp.PyArray_STRIDE(b, i) and cnp.PyArray_DIM(a, i) > 1:
            return False
    return True


cdef inline void _extent(cnp.ndarray a, char **low, char **high) noexcept:
    """The addresses an array spans."""
    cdef int i
    cdef intptr_t reach
    low[0] = high[0] = <char *> cnp.PyArray_DATA(a)
    for i in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, i) == 0:
            return
        reach = (cnp.PyArray_DIM(a, i) - 1) * cnp.PyArray_STRIDE(a, i)
        if reach < 0:
            low[0] += reach
        else:
            high[0] += reach
    high[0] += cnp.PyArray_ITEMSIZE(a)


cdef inline bint _may_overlap(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef char *a_low
    cdef char *a_high
    cdef char *b_low
    cdef char *b_high
    _extent(a, &a_low, &a_high)
    _extent(b, &b_low, &b_high)
    return a_low < b_high and b_low < a_high


cdef inline bint _has_order(cnp.ndarray a, int flags) noexcept:
    """Whether `a` lies in memory as the field's flags want it: C order, NHWC or HWIO."""
    if not cnp.PyArray_ISALIGNED(a):
        return False
    if flags & (NN_NHWC | NN_HWIO):
        return cnp.PyArray_NDIM(a) != 4 or _is_packed(a, &NHWC_ORDER[0] if flags & NN_NHWC else &HWIO_ORDER[0])
    return cnp.PyArray_IS_C_CONTIGUOUS(a)


cdef inline bint _is_view(cnp.ndarray a) noexcept:
    """Whether `a` can be walked in strides of whole elements."""
    cdef int i
    if not cnp.PyArray_ISALIGNED(a):
        return False
    for i in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_STRIDE(a, i) % cnp.PyArray_ITEMSIZE(a):
            return False
    return True


cdef cnp.ndarray _empty(int ndim, int64_t *shape, int dtype, int flags):
    """A new array of the given logical shape, in the memory order that the field's flags want."""
    cdef cnp.npy_intp dims[NN_MAX_DIM]
    cdef int i
    for i in range(ndim):
        dims[i] = shape[i]
    cdef object order = None
    if ndim == 4 and flags & NN_NHWC:
        for i in range(4):
            dims[i] = shape[NHWC_ORDER[i]]
        order = (0, 3, 1, 2)
    elif ndim == 4 and flags & NN_HWIO:
        for i in range(4):
            dims[i] = shape[HWIO_ORDER[i]]
        order = (3, 2, 0, 1)
    cdef cnp.dtype descr = _DTYPES[dtype]
    cdef cnp.ndarray a = new_array(ndim, dims, descr.type_num, cnp.PyDataType_ELSIZE(descr))
    return a if order is None else a.transpose(order)


# Memory of large arrays is used again: the system would take it back and fault in every page of the next array anew, which
# takes longer than most kernels do. What is kept never makes the process larger than its arrays have been at once.
cdef list _kept = []  # memory of arrays that are no more, the oldest first
cdef Py_ssize_t _kept_bytes = 0, _lent_bytes = 0, _most_lent_bytes = 0


cdef _keep_at_most(Py_ssize_t nbytes):
    global _kept_bytes
    while _kept_bytes > max(nbytes, 0):
        _kept_bytes -= cnp.PyArray_NBYTES(<cnp.ndarray> _kept[0])
        del _kept[0]


@cython.final
@cython.no_gc
cdef class Lent:
    """The base of a large array; when the last view of the array is gone its memory is kept for the next."""
    cdef cnp.ndarray memory

    def __cinit__(self, cnp.npy_intp nbytes):
        """Memory that was kept and fits to an eighth, the latest first, since it may be in a cache; or else new."""
        global _kept_bytes, _lent_bytes, _most_lent_bytes
        cdef Py_ssize_t i
        cdef cnp.npy_intp size
        for i in range(len(_kept) - 1, -1, -1):
            size = cnp.PyArray_NBYTES(<cnp.ndarray> _kept[i])
            if nbytes <= size <= nbytes + nbytes // 8:
                _kept_bytes -= size
                _lent_bytes += size
                self.memory = _kept.pop(i)
                return
        _keep_at_most(_most_lent_bytes - _lent_bytes - nbytes)
        try:
            self.memory = cnp.PyArray_EMPTY(1, &nbytes, cnp.NPY_UINT8, 0)
        except MemoryError:
            _keep_at_most(0)
            self.memory = cnp.PyArray_EMPTY(1, &nbytes, cnp.NPY_UINT8, 0)
        _lent_bytes += nbytes
        _most_lent_bytes = max(_most_lent_bytes, _lent_bytes)

    def __dealloc__(self):
        global _kept_bytes, _lent_bytes
        if self.memory is None:  # there was none
            return
        cdef Py_ssize_t nbytes = cnp.PyArray_NBYTES(self.memory)
        _lent_bytes -= nbytes
        _kept_bytes += nbytes
        _kept.append(self.memory)
        _keep_at_most(KEPT_BYTES)


def empty_cache():
    """Give memory that nncore keeps for its next arrays, at most 256 MB, back to the system.

    Arrays of 1 MB or more leave their memory to the next ones of about their size, so that a training loop does not ask the
    system for it in every step. No more is kept than such arrays have taken at once.

    Example:
        >>> import nncore
        >>> x = nncore.ones(1000, 1000)
        >>> del x
        >>> nncore.empty_cache()
    """
    global _most_lent_bytes
    _keep_at_most(0)
    _most_lent_bytes = _lent_bytes


cdef cnp.ndarray new_array(int ndim, cnp.npy_intp *dims, int type, cnp.npy_intp itemsize, bint lasting=False):
    """A new array in C order, which begins with a cache line if it is large or `lasting`. NumPy's begin 16 bytes into one, so
    that every register that is loaded from them spans two."""
    cdef cnp.npy_intp nbytes = itemsize
    cdef int i
    for i in range(ndim):
        nbytes *= dims[i]
    if not lasting and (nbytes < LINES_FROM or nn_capturing):  # a program has memory of its own
        return cnp.PyArray_EMPTY(ndim, dims, type, 0)
    nbytes += LINE
    cdef object base = Lent(nbytes) if nbytes >= LENT_FROM else cnp.PyArray_EMPTY(1, &nbytes, cnp.NPY_UINT8, 0)
    cdef cnp.ndarray memory = (<Lent> base).memory if nbytes >= LENT_FROM else base
    cdef char *data = <char *> cnp.PyArray_DATA(memory)
    data += -<intptr_t> data & (LINE - 1)
    cdef cnp.ndarray a = cnp.PyArray_SimpleNewFromData(ndim, dims, type, data)
    cnp.set_array_base(a, base)
    return a


def empty(shape, dtype, bint lasting=False):
    """np.empty, in memory as nncore's own arrays have it.

    Args:
        shape: sequence of sizes.
        dtype: dtype.
        lasting: whether the array lives on from step to step, as parameters do: it then begins with a cache line even if it
            is small, or made during a capture.
    """
    cdef cnp.npy_intp dims[NN_MAX_DIM]
    cdef cnp.dtype descr = np.dtype(dtype)
    cdef int i, ndim = len(shape)
    if ndim > NN_MAX_DIM or not 0 <= prod(shape) < 2**48 or descr not in _DTYPES:
        return np.empty(shape, descr)
    for i in range(ndim):
        dims[i] = shape[i]
    return new_array(ndim, dims, descr.type_num, cnp.PyDataType_ELSIZE(descr), lasting)


cdef cnp.ndarray _new_in_order(cnp.ndarray like, cnp.npy_intp *shape, cnp.dtype descr, bint lasting):
    """A new array, its axes in memory in the order of those of `like`."""
    cdef int order[NN_MAX_DIM]
    cdef cnp.npy_intp dims[NN_MAX_DIM]
    cdef cnp.npy_intp back[NN_MAX_DIM]
    cdef cnp.PyArray_Dims axes
    cdef int i, ndim = cnp.PyArray_NDIM(like)
    if cnp.PyArray_IS_C_CONTIGUOUS(like):
        return new_array(ndim, shape, descr.type_num, cnp.PyDataType_ELSIZE(descr), lasting)
    _by_stride(like, order)
    for i in range(ndim):
        dims[i] = shape[order[i]]
        back[order[i]] = i
    axes.ptr, axes.len = back, ndim
    return cnp.PyArray_Transpose(new_array(ndim, dims, descr.type_num, cnp.PyDataType_ELSIZE(descr), lasting), &axes)


def empty_in_order_of(cnp.ndarray array, shape, dtype):
    """A new array of `shape`, its axes in memory in the order of those of `array`: channels-last stays so."""
    cdef cnp.npy_intp dims[NN_MAX_DIM]
    cdef int i, ndim = cnp.PyArray_NDIM(array)
    if ndim > NN_MAX_DIM or not 0 <= prod(shape) < 2**48:
        return np.empty(shape, dtype)
    for i in range(ndim):
        dims[i] = shape[i]
    return _new_in_order(array, dims, np.dtype(dtype), False)


def empty_like(cnp.ndarray array, dtype=None, bint lasting=False):
    """np.empty_like, in memory as nncore's own arrays have it."""
    if cnp.PyArray_NDIM(array) > NN_MAX_DIM:
        return np.empty_like(array, dtype, order="K", subok=False)
    return _new_in_order(array, cnp.PyArray_DIMS(array), np.dtype(array.dtype if dtype is None else dtype), lasting)


cdef _write_back(cnp.ndarray temporary, cnp.ndarray destination):
    if _is_view(destination):
        copy(temporary, out=destination)
    else:
        np.copyto(destination, temporary)  # odd addresses


cdef object _converted(cnp.ndarray a, int flags):
    """A copy of `a` in the order the field's flags want, made by the copy kernel."""
    cdef int64_t shape[NN_MAX_DIM]
    cdef int i
    if not cnp.PyArray_ISALIGNED(a) or not _is_view(a):
        a = a.copy()  # NumPy reads what no kernel may: odd addresses
    for i in range(cnp.PyArray_NDIM(a)):
        shape[i] = cnp.PyArray_DIM(a, i)
    cdef cnp.ndarray y = _empty(cnp.PyArray_NDIM(a), shape, _dtype_of(a), flags)
    return copy(a, out=y)


cdef class Kernel:
    """A row of csrc/kernels.def, callable with NumPy arrays.

    Args:
        *args: inputs and scalars, in the order of the row (`fields`); scalars may be given by name.
        out: array, or tuple of arrays, to write the outputs to. Default: new arrays.
        want: tuple of bool, one for each optional output: whether to compute it. Default: all.

    Returns:
        The output array, or a tuple of them with None for what was not wanted.

    Raises:
        ValueError, TypeError: `op: argument 'name' ...`, before anything is computed or written.
    """

    def __init__(self, int id):
        cdef int i
        self.id = id
        self.info = nn_info(id)
        self.__name__ = self.info.name.decode()
        self.op = self.__name__.removesuffix(_FORWARD)
        self.names = [self.info.fields[i].name.decode() for i in range(self.info.count)]
        self.total = self.names.index("total") if "total" in self.names else -1
        self.count = self.names.index("count") if "count" in self.names else -1
        self.pointwise = True
        for i in range(self.info.count):
            if self.info.fields[i].kind == NN_FIELD_ARRAY and (self.info.fields[i].leading < 0 or self.info.fields[i].ndim > 0):
                self.pointwise = False
            if self._is_output(i):
                self.outputs += 1
                self.optional_outputs += 1 if self.info.fields[i].flags & NN_OPT else 0
            elif self.info.fields[i].kind not in (NN_FIELD_SIZE, NN_FIELD_SIZES, NN_FIELD_FUSED):
                self.inputs += 1

    cdef bint _is_output(self, int i) noexcept:
        return self.info.fields[i].flags & NN_INOUT == NN_OUT

    def __repr__(self):
        return f"<kernel {self.__name__}({', '.join(name for name, kind, *_ in self.fields if kind not in ('size', 'fused'))})>"

    @property
    def __doc__(self):
        return self.info.doc.decode()

    @property
    def dtypes(self):
        """Names of the dtypes this kernel is there for."""
        return [_DTYPES[i].name for i in range(NN_DTYPE_COUNT) if nn_table(i).fn[self.id] != NULL]

    @property
    def isa(self):
        """Which compilation runs, by dtype: {"float32": "avx2", ...}."""
        return {_DTYPES[i].name: nn_table(i).isa[self.id].decode() for i in range(NN_DTYPE_COUNT)
                if nn_table(i).fn[self.id] != NULL}

    @property
    def fields(self):
        """(name, kind, "in" | "out" | "inout" | "", optional, shape) for every field of the row."""
        cdef const nn_field *f
        cdef int i
        result = []
        for i in range(self.info.count):
            f = &self.info.fields[i]
            kind = ("array", "view", "list", "real", "int", "size", "count", "size", "fused")[f.kind]
            result.append((self.names[i], kind, ("", "in", "out", "inout")[f.flags & NN_INOUT], bool(f.flags & NN_OPT),
                           f.shape.decode() if f.shape != NULL else ""))
        return result

    # ---- written-down calls ----
    cdef int _field(self, str name) except -1:
        return self.names.index(name)

    def scalar(self, block, str name):
        """The value of a scalar or size in an argument block."""
        cdef const nn_field *f = &self.info.fields[self._field(name)]
        return unpack_from("d" if f.kind == NN_FIELD_REAL else "q", block, f.offset)[0]

    def set_scalar(self, bytearray block, str name, value):
        """Change a scalar in an argument block; 0 makes an array absent."""
        cdef const nn_field *f = &self.info.fields[self._field(name)]
        pack_into("d" if f.kind == NN_FIELD_REAL or isinstance(value, float) else "q", block, f.offset, value)

    def work(self, bytearray block):
        """What kernels.def says the call takes."""
        return self.info.work(<char *> block)

    # ---- errors ----
    cdef _refuse(self, int field, str got, str expected, type error=TypeError):
        raise error(f"{self.op}: argument '{self.names[field]}' {got}, expected {expected}")

    cdef str _expected_dtype(self, int field, int dtype):
        cdef int wanted = self.info.fields[field].dtype
        if wanted >= 0:
            return _DTYPES[wanted].name
        if dtype >= 0 and nn_table(dtype).fn[self.id] != NULL:
            return f"{_DTYPES[dtype].name} as the other arguments"
        return " or ".join(self.dtypes)

    # ---- arguments ----
    cdef tuple _positional(self, tuple args, dict named):
        cdef list values = list(args)
        cdef int i, position = 0
        for i in range(self.info.count):
            if self._is_output(i) or self.info.fields[i].kind in (NN_FIELD_SIZE, NN_FIELD_SIZES, NN_FIELD_FUSED):
                continue
            if position >= len(values):
                if self.names[i] in named:
                    values.append(named.pop(self.names[i]))
                elif self.info.fields[i].flags & NN_OPT:
                    values.append(None)
                else:
                    raise TypeError(f"{self.op}: argument '{self.names[i]}' is missing")
            position += 1
        if named:
            raise TypeError(f"{self.op}: unexpected or repeated argument '{next(iter(named))}'")
        return tuple(values)

    cdef cnp.ndarray _array(self, int field, object value, int *dtype):
        """Check that a value is an array of the right dtype; the first array of the table's own dtype sets it."""
        cdef int actual, wanted = self.info.fields[field].dtype
        if not isinstance(value, cnp.ndarray):
            self._refuse(field, f"is {type(value).__name__}", "a NumPy array")
        if cnp.PyArray_NDIM(<cnp.ndarray> value) > NN_MAX_DIM:
            self._refuse(field, f"has {value.ndim} dimensions", f"at most {NN_MAX_DIM}", ValueError)
        if cnp.PyArray_SIZE(<cnp.ndarray> value) > (1 << 48):
            self._refuse(field, f"has {value.size} elements", "at most 2**48", ValueError)
        actual = _dtype_of(<cnp.ndarray> value)
        if wanted == NN_REAL_TYPE:
            if actual >= 0 and (dtype[0] < 0 or dtype[0] == actual) and nn_table(actual).fn[self.id] != NULL:
                dtype[0] = actual
                return <cnp.ndarray> value
        elif actual >= 0 and (wanted == actual or wanted == NN_ANY_TYPE):
            return <cnp.ndarray> value
        self._refuse(field, f"has dtype {value.dtype}", self._expected_dtype(field, dtype[0]))

    cdef int _scalar(self, int field, object value, char *block) except -1:
        cdef const nn_field *f = &self.info.fields[field]
        try:
            if f.kind == NN_FIELD_REAL:
                (<double *> (block + f.offset))[0] = value
            else:
                (<int64_t *> (block + f.offset))[0] = index(value)
        except TypeError:
            self._refuse(field, f"is {value!r}", "a number" if f.kind == NN_FIELD_REAL else "an integer")
        except OverflowError:
            self._refuse(field, f"is {value}", "a number of 64 bits", ValueError)
        if nn_capturing and isinstance(value, (LiveInt, LiveFloat)):
            _live[field] = value.source
        return 0

    def __call__(self, *args, out=None, want=None, **named):
        return self._call(args, out, want, named, NULL)

    def seconds(self, *args, out=None, want=None, repeat=1, **named):
        """How long the kernel itself takes: one call is checked and laid out, then run `repeat` times without Python.

        Args:
            *args, out, want: as in a call.
            repeat: how often, at least 1. Default: 1.

        Returns:
            Seconds per run, on average: what a call takes beyond the microsecond or so of its way through Python.

        Example:
            >>> import numpy as np
            >>> from nncore import kernels
            >>> x = np.ones(1000, np.float32)
            >>> 0 < kernels.relu_forward.seconds(x, repeat=100) < 1
            True
        """
        cdef Stopwatch watch
        watch.runs, watch.seconds = index(repeat), 0.0
        if watch.runs < 1:
            raise ValueError(f"{self.op}: argument 'repeat' is {repeat}, expected at least 1")
        self._call(args, out, want, named, &watch)
        return watch.seconds / watch.runs

    cdef object _call(self, tuple args, object out, object want, dict named, Stopwatch *watch):
        cdef const nn_kernel_info *info = self.info
        cdef const nn_field *f
        cdef nn_array arrays[NN_MAX_FIELDS]
        cdef char block[NN_MAX_ARGS]
        cdef int i, position = 0, dtype = -1, flat = -1
        cdef bint same = True
        cdef cnp.ndarray array
        cdef list held = [None] * info.count  # the arrays whose memory the kernel sees
        cdef list written_back = []           # (temporary, destination)
        if named:
            args = self._positional(args, named)
        if len(args) != self.inputs:
            raise TypeError(f"{self.op}: takes {self.inputs} arguments, got {len(args)}: {self!r}")
        memset(block, 0, info.size)
        memset(arrays, 0, info.count * sizeof(nn_array))

        for i in range(info.count):
            f = &info.fields[i]
            if f.kind == NN_FIELD_ARRAY or f.kind == NN_FIELD_VIEW:
                if not f.flags & NN_IN:
                    continue
                value = args[position]
                position += 1
                if value is None and f.flags & NN_OPT:
                    continue
                array = self._array(i, value, &dtype)
                held[i] = array
                if self.pointwise and f.kind == NN_FIELD_ARRAY:
                    if flat < 0:
                        flat = i
                    elif not _same_layout(array, <cnp.ndarray> held[flat]):
                        same = False
            elif f.kind == NN_FIELD_LIST:
                return self._call_lists(args, block, watch)
            elif f.kind != NN_FIELD_SIZE and f.kind != NN_FIELD_SIZES and f.kind != NN_FIELD_FUSED:
                self._scalar(i, args[position], block)
                position += 1

        cdef tuple outs = self._outs(out)
        if dtype < 0:
            dtype = self._dtype_without_inputs(held, outs)

        # A pointwise kernel walks memory, so any dense layout will do if all its arrays share it.
        cdef int at = 0
        if flat >= 0:
            array = <cnp.ndarray> held[flat]
            for i in range(info.count):
                f = &info.fields[i]
                if f.kind == NN_FIELD_VIEW and held[i] is not None and not cnp.PyArray_IS_C_CONTIGUOUS(array):
                    same = False  # a view is walked in the order of its axes
                if self._is_output(i):
                    if outs is not None and isinstance(outs[at], cnp.ndarray):
                        same = same and _same_layout(<cnp.ndarray> outs[at], array)
                    at += 1
            if not (same and cnp.PyArray_ISALIGNED(array) and _is_dense(array)):
                flat = -1

        for i in range(info.count):
            if held[i] is None:
                continue
            f = &info.fields[i]
            array = <cnp.ndarray> held[i]
            if f.flags & NN_OUT and not cnp.PyArray_ISWRITEABLE(array):
                self._refuse(i, "is read-only", "an array to write to", ValueError)
            if f.kind == NN_FIELD_VIEW:
                if not _is_view(array):
                    array = array.copy()
            elif flat < 0 and not _has_order(array, f.flags):
                array = _converted(array, f.flags)
            if array is not held[i]:
                if f.flags & NN_OUT:
                    written_back.append((array, held[i]))
                held[i] = array
            _describe(&arrays[i], array)

        cdef nn_shape leading
        cdef nn_error error
        if not nn_check_inputs(info, arrays, block, &leading, &error):
            raise ValueError(f"{self.op}: {error.message.decode()}")

        cdef list results = []
        cdef int optional = 0
        at = 0
        for i in range(info.count):
            if not self._is_output(i):
                continue
            value = None if outs is None else outs[at]
            at += 1
            if info.fields[i].flags & NN_OPT:
                optional += 1
                if want is not None and not want[optional - 1]:
                    results.append(None)
                    continue
            if value is None:
                array = self._new_output(i, dtype, held, flat, block, &leading)
            else:
                array = self._given_output(i, value, dtype, held, flat, written_back)
            _describe(&arrays[i], array)
            if not nn_check_output(info, i, &arrays[i], block, &leading, &error):
                raise ValueError(f"{self.op}: {error.message.decode()}")
            results.append(array if value is None else value)
            held[i] = array

        _run(self, dtype, block, held, watch)
        for temporary, destination in written_back:
            _write_back(temporary, destination)
        if len(results) == 1:
            return results[0]
        return tuple(results) if results else None

    # ---- outputs ----
    cdef tuple _outs(self, object out):
        if out is None:
            return None
        cdef tuple outs = out if isinstance(out, tuple) else (out,)
        if len(outs) != self.outputs:
            raise TypeError(f"{self.op}: argument 'out' has {len(outs)} arrays, expected {self.outputs}")
        return outs

    cdef int _dtype_without_inputs(self, list held, tuple outs) except -1:
        """No input has the table's dtype: an output says it, else an input of any dtype, else float32."""
        cdef int i, at = 0, dtype = -1
        if outs is not None:
            for i in range(self.info.count):
                if self._is_output(i):
                    if outs[at] is not None and self.info.fields[i].dtype == NN_REAL_TYPE:
                        self._array(i, outs[at], &dtype)
                        return dtype
                    at += 1
        for i in range(self.info.count):
            if held[i] is not None and self.info.fields[i].dtype == NN_ANY_TYPE:
                return _dtype_of(<cnp.ndarray> held[i])
        return NN_f32

    cdef cnp.ndarray _new_output(self, int i, int dtype, list held, int flat, char *block, nn_shape *leading):
        cdef const nn_field *f = &self.info.fields[i]
        cdef int64_t shape[NN_MAX_DIM]
        cdef int ndim = nn_output_shape(self.info, i, block, leading, shape)
        cdef int actual = f.dtype if f.dtype >= 0 else dtype
        cdef object like = None
        if ndim < 0:
            raise ValueError(f"{self.op}: the size of '{self.names[i]}' does not follow from the arguments or passes 2**48; give out=")
        if f.kind == NN_FIELD_VIEW and self.names[i][0] == "d" and self.names[i][1:] in self.names:
            like = held[self.names.index(self.names[i][1:])]  # a gradient lies in memory as its value does
        elif flat >= 0:
            like = held[flat]
        if like is not None and not cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray> like):
            return empty_like(like, _DTYPES[actual])
        return _empty(ndim, shape, actual, f.flags)

    cdef cnp.ndarray _given_output(self, int i, object value, int dtype, list held, int flat, list written_back):
        """The caller's array, or a temporary where a kernel could not write there directly."""
        cdef const nn_field *f = &self.info.fields[i]
        cdef cnp.ndarray array = self._array(i, value, &dtype)
        cdef bint direct
        if not cnp.PyArray_ISWRITEABLE(array):
            self._refuse(i, "is read-only", "an array to write to", ValueError)
        if f.kind == NN_FIELD_VIEW:
            direct = _is_view(array)
        else:
            direct = flat >= 0 or _has_order(array, f.flags)
        for other in held:
            if other is None or not direct:
                continue
            if self.pointwise and cnp.PyArray_DATA(<cnp.ndarray> other) == cnp.PyArray_DATA(array) \
                    and _same_layout(<cnp.ndarray> other, array):
                continue  # in place
            direct = not _may_overlap(<cnp.ndarray> other, array)
        if direct:
            return array
        cdef int64_t shape[NN_MAX_DIM]
        cdef int axis
        for axis in range(cnp.PyArray_NDIM(array)):
            shape[axis] = cnp.PyArray_DIM(array, axis)
        cdef cnp.ndarray temporary = _empty(cnp.PyArray_NDIM(array), shape, _dtype_of(array), f.flags)
        written_back.append((temporary, array))
        return temporary

    # ---- lists: one array per parameter ----
    cdef object _call_lists(self, tuple args, char *block, Stopwatch *watch):
        cdef const nn_kernel_info *info = self.info
        cdef const nn_field *f
        cdef int i, position = 0, dtype = -1
        cdef Py_ssize_t j, n = len(args[0])
        cdef int64_t total = 0
        cdef list held = [None] * info.count  # for each list, the arrays whose memory the kernel sees
        cdef list written_back = []
        cdef cnp.ndarray first, array
        cdef void **pointers = <void **> PyMem_Malloc((info.count * n + 1) * sizeof(void *))
        cdef int64_t *sizes = <int64_t *> PyMem_Malloc((n + 1) * sizeof(int64_t))
        try:
            if pointers == NULL or sizes == NULL:
                raise MemoryError(self.op)
            for i in range(info.count):
                f = &info.fields[i]
                if f.kind == NN_FIELD_LIST:
                    values = args[position]
                    position += 1
                    if values is None and f.flags & NN_OPT:
                        continue
                    if len(values) != n:
                        self._refuse(i, f"has {len(values)} arrays", f"{n}", ValueError)
                    (<void ***> (block + f.offset))[0] = &pointers[i * n]
                    held[i] = list(values)
                    for j in range(n):
                        first = <cnp.ndarray?> args[0][j]
                        array = self._array(i, values[j], &dtype)
                        if not _same_shape(array, first):
                            self._refuse(i, f"has an array {j} of shape {_shape(array)}",
                                         f"{_shape(first)} as in '{self.names[0]}'", ValueError)
                        if f.flags & NN_OUT and not cnp.PyArray_ISWRITEABLE(array):
                            self._refuse(i, f"has a read-only array {j}", "arrays to write to", ValueError)
                        if not _same_layout(array, first) or not cnp.PyArray_ISALIGNED(array) or not _is_dense(array):
                            like = first if _is_dense(first) else np.empty(_shape(first), first.dtype)
                            array = copy(array if _is_view(array) else array.copy(), out=empty_like(like))
                            held[i][j] = array
                            if f.flags & NN_OUT:
                                written_back.append((array, values[j]))
                        pointers[i * n + j] = cnp.PyArray_DATA(array)
                        if i == 0:
                            sizes[j] = cnp.PyArray_SIZE(array)
                            total += sizes[j]
                elif f.kind == NN_FIELD_SIZES:
                    (<int64_t **> (block + f.offset))[0] = sizes
                elif i == self.count:
                    (<int64_t *> (block + f.offset))[0] = n
                elif i == self.total:
                    (<int64_t *> (block + f.offset))[0] = total
                else:
                    self._scalar(i, args[position], block)
                    position += 1
            if total:
                _run(self, dtype, block, held, watch)
        finally:
            PyMem_Free(pointers)
            PyMem_Free(sizes)
        for temporary, destination in written_back:
            _write_back(temporary, destination)


cdef inline tuple _shape(cnp.ndarray a):
    return (<object> a).shape


cdef inline bint _same_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int i
    if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(b):
        return False
    for i in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(b, i):
            return False
    return True


cdef inline void _describe(nn_array *to, cnp.ndarray a) noexcept:
    to.data = cnp.PyArray_DATA(a)
    to.ndim = cnp.PyArray_NDIM(a)
    to.dtype = _dtype_of(a)
    to.itemsize = cnp.PyArray_ITEMSIZE(a)
    to.shape = <const intptr_t *> cnp.PyArray_DIMS(a)
    to.stride = <const intptr_t *> cnp.PyArray_STRIDES(a)


cdef int _run(Kernel kernel, int dtype, const void *block, list held, Stopwatch *watch) except -1:
    """Run one checked call, and write it down if a capture is on. Every kernel call of nncore passes here.

    Args:
        kernel, dtype: which function.
        block: its argument block.
        held: for every field, the array (or list of arrays) whose memory the block points to.
        watch: NULL, or how often to run it, and where its time goes.
    """
    cdef nn_kernel_fn function = nn_table(dtype).fn[kernel.id]
    cdef double work = kernel.info.work(block)
    cdef bint done = True
    cdef int64_t _
    if watch != NULL:
        watch.seconds = perf_counter()
        with nogil:
            for _ in range(watch.runs):
                done = done and nn_run(function, block, work)
        watch.seconds = perf_counter() - watch.seconds
    elif work < GIL_WORK:
        done = nn_run(function, block, work)
    else:
        with nogil:
            done = nn_run(function, block, work)
    if not done:
        raise MemoryError(f"{kernel.op}: no scratch memory")
    if nn_capturing:
        _calls.append((kernel, dtype, PyBytes_FromStringAndSize(<const char *> block, kernel.info.size), held, dict(_live)))
        _live.clear()
    return 0


# ---- replay: see _core/program.pyx ----
cdef const nn_kernels *table(int dtype) noexcept nogil:
    return nn_table(dtype)


cdef int64_t replay(nn_program *program, int64_t first, int64_t steps, double seconds) noexcept nogil:
    return nn_program_run(program, first, steps, seconds)


# ---- start ----
cdef _start():
    cap = os.environ.get("NNCORE_ISA") or None
    cdef bytes name = (cap or "").encode()
    cdef const char *wanted = NULL
    if cap:
        wanted = name
    cdef const char *isa = nn_init(wanted)
    if isa == NULL:
        raise ImportError(f"NNCORE_ISA={cap!r}: this build has {', '.join(isas())}")
    return isa.decode()


def isas():
    """Names of the ISAs that this build has and this CPU can run, plain first."""
    cdef int i = 0
    names = []
    while nn_isa_name(i) != NULL:
        names.append(nn_isa_name(i).decode())
        i += 1
    return names


def baseline():
    """What the ISA "baseline" is on this family of CPUs: SSE2 or NEON, which all of them have."""
    return nn_baseline().decode()


def get_num_threads():
    """Number of threads that a large kernel uses."""
    return nn_get_num_threads()


def set_num_threads(n):
    """Set the number of threads that a large kernel uses. Results do not depend on it.

    Args:
        n: at least 1; more than the machine's processors is allowed, and slow.

    Example:
        >>> import nncore
        >>> before = nncore.get_num_threads()
        >>> nncore.set_num_threads(1)
        >>> nncore.get_num_threads()
        1
        >>> nncore.set_num_threads(before)
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"set_num_threads: argument 'n' is {n!r}, expected an integer")
    if not 1 <= n <= 1024:
        raise ValueError(f"set_num_threads: argument 'n' is {n}, expected 1 to 1024")
    nn_set_num_threads(n)


def openmp_runtime():
    """Name of the OpenMP runtime this build uses."""
    return nn_openmp_runtime().decode()


def start_threads(int n):
    """Register the fork handler and set the default number of threads. Starts no thread."""
    nn_parallel_init(n)


ISA = _start()
KERNELS = {kernel.__name__: kernel for kernel in [Kernel(i) for i in range(NN_KERNEL_COUNT)]}
cdef Kernel copy = KERNELS["copy"]
