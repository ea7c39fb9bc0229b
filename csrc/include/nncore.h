/* nncore: the C interface. Kernels, their argument blocks, the table, the team and the checks.
 *
 * Every kernel has one signature, `void kernel(const void *args, const nn_team *team, int rank)`. Its argument
 * block, its checks, its Python name and its place in the table all expand from its row in kernels.def.
 * A call is: nn_check_inputs -> (allocate outputs) -> nn_check_outputs -> nn_run. Nothing here knows Python.
 */
#ifndef NNCORE_H
#define NNCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NN_MAX_DIM 8
#define NN_MAX_FIELDS 32
#define NN_MAX_ARGS 2048                /* bytes of an argument block */
#define NN_MAX_COUNT (INT64_C(1) << 48) /* elements in one array */
#define NN_SCRATCH (1 << 20)            /* bytes of scratch memory per rank */

/* ---- dtypes: NN_DTYPE(suffix, C type, NumPy/PyTorch name) -------------------------------------------------- */
#define NN_DTYPES(X)                                                                                                   \
    X(f32, float, float32)                                                                                             \
    X(f64, double, float64)                                                                                            \
    X(i64, int64_t, int64)                                                                                             \
    X(i32, int32_t, int32)                                                                                             \
    X(u8, uint8_t, uint8)                                                                                              \
    X(b8, bool, bool)

typedef enum {
#define X(suffix, ctype, name) NN_##suffix,
    NN_DTYPES(X)
#undef X
        NN_DTYPE_COUNT
} nn_dtype;

/* ---- the team ---------------------------------------------------------------------------------------------- */
typedef struct {
    int size;               /* ranks that run this kernel, 1 or more */
    unsigned char *scratch; /* size * NN_SCRATCH bytes, 64-byte aligned, contents undefined */
} nn_team;

static inline void *nn_scratch(const nn_team *team, int rank) { return team->scratch + (size_t)rank * NN_SCRATCH; }

/* Wait until every rank of the team has come here. Orders memory. */
void nn_barrier(const nn_team *team);

/* The share [begin, end) of n items that belongs to `rank`; every share but the last is a multiple of `step`. */
static inline void nn_share(int64_t n, int64_t step, const nn_team *team, int rank, int64_t *begin, int64_t *end) {
    const int64_t blocks = (n + step - 1) / step;
    const int64_t low = blocks * rank / team->size * step, high = blocks * (rank + 1) / team->size * step;
    *begin = low < n ? low : n;
    *end = high < n ? high : n;
}

/* ---- kernels ----------------------------------------------------------------------------------------------- */
typedef void (*nn_kernel_fn)(const void *args, const nn_team *team, int rank);

/* An array argument with strides of its own, in elements; broadcast dimensions have stride 0. */
typedef struct {
    void *data;
    int64_t stride[NN_MAX_DIM];
    int64_t shape[NN_MAX_DIM];
    int32_t ndim;
    int32_t dtype; /* nn_dtype of the elements: kernels.def may allow any */
} nn_view;

enum { /* what a field of kernels.def says about an array */
       NN_IN = 1,
       NN_OUT = 2,
       NN_INOUT = 3,
       NN_OPT = 4,   /* may be absent (NULL); an optional output is computed only when asked for */
       NN_NHWC = 8,  /* shape (N, C, H, W), memory N H W C */
       NN_HWIO = 16, /* shape (O, I, H, W), memory H W I O */
};

enum { NN_REAL_TYPE = -1, NN_ANY_TYPE = -2 }; /* field dtype: the table's own, any; otherwise an nn_dtype */

typedef enum {
    NN_FIELD_ARRAY,
    NN_FIELD_VIEW,
    NN_FIELD_LIST,
    NN_FIELD_REAL,
    NN_FIELD_INT,
    NN_FIELD_SIZE,
    NN_FIELD_COUNT,
    NN_FIELD_SIZES,
    NN_FIELD_FUSED
} nn_field_kind;

#define NN_ARRAY(name, flags, type, ...) void *name;
#define NN_VIEW(name, flags, type, ...) nn_view name;
#define NN_LIST(name, flags, type) void *const *name;
#define NN_REAL(name) double name;
#define NN_INT(name) int64_t name;
#define NN_SIZE(name) int64_t name;
#define NN_COUNT(name) int64_t name;
#define NN_SIZES(name) const int64_t *name;
#define NN_FUSED(type, name) type name;
#define NN_KERNEL(types, name, check, work, doc, ...)                                                                  \
    typedef struct {                                                                                                   \
        __VA_ARGS__                                                                                                    \
    } nn_##name##_args;
#include "../kernels.def"
#undef NN_ARRAY
#undef NN_VIEW
#undef NN_LIST
#undef NN_REAL
#undef NN_INT
#undef NN_SIZE
#undef NN_COUNT
#undef NN_SIZES
#undef NN_FUSED

typedef enum {
#define NN_KERNEL(types, name, check, work, doc, ...) NN_KERNEL_##name,
#include "../kernels.def"
    NN_KERNEL_COUNT
} nn_kernel_id;

/* The table: one per dtype, filled ISA by ISA, the plain reference (baseline) first. */
typedef struct {
    nn_kernel_fn fn[NN_KERNEL_COUNT];
    const char *isa[NN_KERNEL_COUNT]; /* which compilation a kernel comes from */
} nn_kernels;

/* ---- what kernels.def says, at run time -------------------------------------------------------------------- */
typedef struct {
    const char *name;
    int kind;             /* nn_field_kind */
    int flags;            /* NN_IN, NN_OUT, ... */
    int dtype;            /* nn_dtype, NN_REAL_TYPE or NN_ANY_TYPE */
    size_t offset;        /* in the argument block */
    const char *shape;    /* "rows..., cols" as written in kernels.def */
    int leading;          /* field that holds the product of the leading dimensions, or -1 */
    int ndim;             /* named dimensions after the leading ones */
    int dims[NN_MAX_DIM]; /* fields that hold them */
} nn_field;

typedef struct {
    char message[512];
} nn_error;
typedef bool (*nn_check_fn)(void *args, nn_error *error);

typedef struct {
    const char *name, *doc;
    bool any_dtype; /* otherwise float32 and float64 */
    int count;      /* of fields */
    nn_field fields[NN_MAX_FIELDS];
    size_t size; /* of the argument block */
    double (*work)(const void *args);
    nn_check_fn check;
} nn_kernel_info;

/* Read kernels.def, fill the tables from baseline up to the best ISA of this CPU (or of `cap`, if not NULL). Returns
 * the name of that ISA, or NULL if `cap` names none. Called once, before anything else. */
const char *nn_init(const char *cap);
const nn_kernel_info *nn_info(int kernel);
const nn_kernels *nn_table(int dtype);
/* Names of the ISAs in this build that this CPU can run, best last; NULL after the last. */
const char *nn_isa_name(int i);
/* What "baseline" is on this family of CPUs: the vector instructions that all of them have. */
const char *nn_baseline(void);

/* ---- checks: shapes, sizes, values; no kernel runs on what they refuse -------------------------------------- */
typedef struct {
    void *data; /* NULL: absent */
    int ndim;
    int dtype;
    int itemsize;
    const intptr_t *shape;
    const intptr_t *stride; /* bytes */
} nn_array;

typedef struct {
    int ndim;
    int64_t shape[NN_MAX_DIM];
    uint64_t bound; /* bit i: field i (a size) is known */
    bool has_leading;
} nn_shape; /* of the leading dimensions, and which sizes are known */

/* Match the inputs in arrays[field] with the row's shapes; write pointers, views and sizes into args; run the row's
 * check. */
bool nn_check_inputs(const nn_kernel_info *info, const nn_array *arrays, void *args, nn_shape *leading,
                     nn_error *error);
/* The shape that output `field` must have; to be called after nn_check_inputs. Returns its ndim, or -1 (too large, or
 * unknown). */
int nn_output_shape(const nn_kernel_info *info, int field, const void *args, const nn_shape *leading, int64_t *shape);
bool nn_check_output(const nn_kernel_info *info, int field, const nn_array *array, void *args, const nn_shape *leading,
                     nn_error *error);

/* ---- running ------------------------------------------------------------------------------------------------ */
/* Run a kernel on as many threads as `work` is worth. False if scratch memory could not be had. */
bool nn_run(nn_kernel_fn kernel, const void *args, double work);
int nn_get_num_threads(void);
void nn_set_num_threads(int threads);
void nn_parallel_init(int threads);
const char *nn_openmp_runtime(void);

/* A matrix in panels (cpu/gemm.h): of NN_PANEL_COLUMNS columns, the last one filled up. */
#define NN_PANEL_COLUMNS 32
static inline int64_t nn_panels_size(int64_t K, int64_t N) {
    return K * ((N + NN_PANEL_COLUMNS - 1) / NN_PANEL_COLUMNS * NN_PANEL_COLUMNS);
}

/* Activations that a GEMM or convolution can apply to its output tile. */
enum { NN_ACT_NONE, NN_ACT_RELU, NN_ACT_SIGMOID, NN_ACT_TANH, NN_ACT_GELU, NN_ACT_SILU, NN_ACT_COUNT };

#endif
