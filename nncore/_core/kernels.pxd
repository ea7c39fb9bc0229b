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

    ctypedef struct nn_kernel_info:
        const char *name
        const char *doc
        bint any_dtype
        int count
        nn_field fields[32]
        size_t size
        double (*work)(const void *args) noexcept

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
