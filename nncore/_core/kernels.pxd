"""The C interface, for cimport: kernels, checks, running. See csrc/include/nncore.h."""
from libc.stdint cimport int32_t, int64_t, intptr_t, uint64_t


cdef extern from "nncore.h" nogil:
    enum:
        NN_MAX_DIM
        NN_MAX_FIELDS
        NN_KERNEL_COUNT
        NN_DTYPE_COUNT
        NN_IN
        NN_OUT
        NN_INOUT
        NN_OPT
        NN_NHWC
        NN_HWIO
        NN_REAL_TYPE
        NN_ANY_TYPE
        NN_FIELD_ARRAY
        NN_FIELD_VIEW
        NN_FIELD_LIST
        NN_FIELD_REAL
        NN_FIELD_INT
        NN_FIELD_SIZE
        NN_FIELD_COUNT
        NN_FIELD_SIZES
        NN_FIELD_FUSED
        NN_MAX_ARGS
        NN_f32
        NN_f64
        NN_i64
        NN_i32
        NN_u8
        NN_b8

    ctypedef struct nn_team:
        int size

    ctypedef void (*nn_kernel_fn)(const void *args, const nn_team *team, int rank) noexcept

    ctypedef struct nn_field:
        const char *name
        int kind
        int flags
        int dtype
        size_t offset
        const char *shape
        int leading
        int ndim

    ctypedef struct nn_error:
        char message[512]

    ctypedef bint (*nn_check_fn)(void *args, nn_error *error) noexcept

    ctypedef struct nn_kernel_info:
        const char *name
        const char *doc
        bint any_dtype
        int count
        nn_field fields[32]
        size_t size
        double (*work)(const void *args) noexcept
        nn_check_fn check

    ctypedef struct nn_kernels:
        nn_kernel_fn *fn
        const char **isa

    ctypedef struct nn_array:
        void *data
        int ndim
        int dtype
        int itemsize
        const intptr_t *shape
        const intptr_t *stride

    ctypedef struct nn_shape:
        int ndim
        int64_t shape[8]

    const char *nn_init(const char *cap)
    const nn_kernel_info *nn_info(int kernel)
    const nn_kernels *nn_table(int dtype)
    const char *nn_isa_name(int i)
    const char *nn_baseline()
    bint nn_check_inputs(const nn_kernel_info *info, const nn_array *arrays, void *args, nn_shape *leading, nn_error *error)
    int nn_output_shape(const nn_kernel_info *info, int field, const void *args, const nn_shape *leading, int64_t *shape)
    bint nn_check_output(const nn_kernel_info *info, int field, const nn_array *array, void *args, const nn_shape *leading,
                         nn_error *error)
    bint nn_run(nn_kernel_fn kernel, const void *args, double work)
    int nn_get_num_threads()
    void nn_set_num_threads(int threads)
    void nn_parallel_init(int threads)
    const char *nn_openmp_runtime()

cdef extern from "program.h" nogil:
    enum:
        NN_CHECK_NOT
        NN_CHECK_FIRST
        NN_CHECK_HERE

    ctypedef struct nn_part:
        int64_t offset
        int64_t per_row
        bint pointer

    ctypedef struct nn_record:
        nn_kernel_fn fn
        void *args
        nn_check_fn check
        signed char check_when
        size_t size
        bint shared
        bint wait
        int64_t rows
        const nn_part *parts
        int part_count

    ctypedef struct nn_counter:
        int64_t *where
        int64_t base
        int64_t stride
        int64_t mask

    ctypedef struct nn_program:
        nn_record *records
        int64_t count
        nn_counter *counters
        int64_t counter_count
        double work
        const void *watched
        int watched_dtype
        bint finite
        int64_t failed
        nn_error error

    int64_t nn_program_run(nn_program *program, int64_t first, int64_t steps, double seconds)

cimport numpy as cnp  # after nncore.h: <complex.h> makes `I` a macro


cdef struct Stopwatch:
    int64_t runs    # how often a call is run
    double seconds  # what that took


cdef class Kernel:
    cdef int id
    cdef const nn_kernel_info *info
    cdef readonly str __name__
    cdef readonly str op                      # the name in errors
    cdef int inputs, outputs, optional_outputs
    cdef readonly bint pointwise              # every dense array has the one shape `n...`: elements pair up in any common layout
    cdef int total, count                     # fields with these names, for lists
    cdef list names
    cdef bint _is_output(self, int i) noexcept
    cdef int _field(self, str name) except -1
    cdef _refuse(self, int field, str got, str expected, type error=*)
    cdef str _expected_dtype(self, int field, int dtype)
    cdef tuple _positional(self, tuple args, dict named)
    cdef cnp.ndarray _array(self, int field, object value, int *dtype)
    cdef int _scalar(self, int field, object value, char *block) except -1
    cdef tuple _outs(self, object out)
    cdef int _dtype_without_inputs(self, list held, tuple outs) except -1
    cdef cnp.ndarray _new_output(self, int i, int dtype, list held, int flat, char *block, nn_shape *leading)
    cdef cnp.ndarray _given_output(self, int i, object value, int dtype, list held, int flat, list written_back)
    cdef object _call(self, tuple args, object out, object want, dict named, Stopwatch *watch)
    cdef object _call_lists(self, tuple args, char *block, Stopwatch *watch)

cdef const nn_kernels *table(int dtype) noexcept nogil
cdef int64_t replay(nn_program *program, int64_t first, int64_t steps, double seconds) noexcept nogil
cdef cnp.ndarray new_array(int ndim, cnp.npy_intp *dims, int type, cnp.npy_intp itemsize, bint lasting=*)
cdef bint capturing() noexcept
cdef begin_calls(list calls)
cdef end_calls()
