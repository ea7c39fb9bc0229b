/* The tables: which compilation of each kernel runs on this CPU, and what kernels.def says about it. */
#include <string.h>

#include "check.h"
#include "nncore.h"

/* ---- ISAs of this build, plain first; compilations.py defines NN_HAVE_<isa> for the compilations it adds ---- */
#define REGISTER(dtype, isa) void nn_register_##isa##_##dtype(nn_kernels *table);
REGISTER(f32, baseline)
REGISTER(f64, baseline)
REGISTER(i64, baseline)
REGISTER(i32, baseline)
REGISTER(u8, baseline)
REGISTER(b8, baseline)
static bool always(void) { return true; }
#ifdef NN_HAVE_avx2
REGISTER(f32, avx2)
REGISTER(f64, avx2)
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif
#ifdef NN_HAVE_avx512
REGISTER(f32, avx512)
REGISTER(f64, avx512)
static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && has_avx2();
}
#endif

typedef void (*register_fn)(nn_kernels *table);
typedef struct {
    const char *name;
    bool (*supported)(void);
    register_fn fill[NN_DTYPE_COUNT];
} isa;

static const isa isas[] = {
    {"baseline",
     always,
     {nn_register_baseline_f32, nn_register_baseline_f64, nn_register_baseline_i64, nn_register_baseline_i32,
      nn_register_baseline_u8, nn_register_baseline_b8}},
#ifdef NN_HAVE_avx2
    {"avx2", has_avx2, {nn_register_avx2_f32, nn_register_avx2_f64}},
#endif
#ifdef NN_HAVE_avx512
    {"avx512", has_avx512, {nn_register_avx512_f32, nn_register_avx512_f64}},
#endif
};
enum { ISA_COUNT = sizeof isas / sizeof isas[0] };

const char *nn_baseline(void) {
#if defined(__aarch64__)
    return "NEON";
#elif defined(__x86_64__)
    return "SSE2";
#else
    return "plain C";
#endif
}

static nn_kernels tables[NN_DTYPE_COUNT];

const nn_kernels *nn_table(int dtype) { return dtype >= 0 && dtype < NN_DTYPE_COUNT ? &tables[dtype] : NULL; }

const char *nn_isa_name(int i) { return i >= 0 && i < ISA_COUNT && isas[i].supported() ? isas[i].name : NULL; }

/* ---- kernels.def as data ---- */
#define X(suffix, ctype, name) +1
_Static_assert(NN_DTYPES(X) == NN_DTYPE_COUNT, "one table per dtype");
#undef X

enum { IN = NN_IN, OUT = NN_OUT, INOUT = NN_INOUT, OPT = NN_OPT, NHWC = NN_NHWC, HWIO = NN_HWIO };
enum { REAL = NN_REAL_TYPE, ANYTYPE = NN_ANY_TYPE, I64 = NN_i64, I32 = NN_i32, BOOL = NN_b8 };
enum { FLOAT = false, ANY = true };

/* work and check of each row */
#define NN_KERNEL(types, name, check, work_, doc, ...)                                                                 \
    static double work_of_##name(const void *args) {                                                                   \
        const nn_##name##_args *a = args;                                                                              \
        (void)a;                                                                                                       \
        return work_;                                                                                                  \
    }
#include "kernels.def"

static nn_kernel_info infos[NN_KERNEL_COUNT];

static void fill_info(nn_kernel_info *info, const char *name, const char *doc, bool any_dtype, size_t size,
                      double (*work)(const void *), bool (*check)(void *, nn_error *), const nn_field *fields,
                      int count) {
    info->name = name;
    info->doc = doc;
    info->any_dtype = any_dtype;
    info->size = size;
    info->work = work;
    info->check = check;
    info->count = count;
    memcpy(info->fields, fields, (size_t)count * sizeof *fields);
}

static int size_field(const nn_kernel_info *info, const char *name, size_t length) {
    for (int i = 0; i < info->count; i++)
        if ((info->fields[i].kind == NN_FIELD_SIZE || info->fields[i].kind == NN_FIELD_COUNT) &&
            strlen(info->fields[i].name) == length && !strncmp(info->fields[i].name, name, length))
            return i;
    return -1;
}

/* "rows..., cols" -> leading = field rows, dims = {field cols} */
static void parse_shape(nn_kernel_info *info, nn_field *field) {
    field->leading = -1;
    field->ndim = 0;
    for (const char *p = field->shape; p && *p;) {
        p += strspn(p, ", ");
        const size_t length = strcspn(p, "., ");
        const int size = size_field(info, p, length);
        p += length;
        if (!strncmp(p, "...", 3)) {
            field->leading = size;
            p += 3;
        } else {
            field->dims[field->ndim++] = size;
        }
    }
}

static void read_kernels_def(void) {
#define NN_ARRAY(name, flags, type, ...)                                                                               \
    {#name, NN_FIELD_ARRAY, flags, type, offsetof(row, name), #__VA_ARGS__, 0, 0, {0}},
#define NN_VIEW(name, flags, type, ...)                                                                                \
    {#name, NN_FIELD_VIEW, flags, type, offsetof(row, name), #__VA_ARGS__, 0, 0, {0}},
#define NN_LIST(name, flags, type) {#name, NN_FIELD_LIST, flags, type, offsetof(row, name), NULL, 0, 0, {0}},
#define NN_REAL(name) {#name, NN_FIELD_REAL, 0, 0, offsetof(row, name), NULL, 0, 0, {0}},
#define NN_INT(name) {#name, NN_FIELD_INT, 0, 0, offsetof(row, name), NULL, 0, 0, {0}},
#define NN_SIZE(name) {#name, NN_FIELD_SIZE, 0, 0, offsetof(row, name), NULL, 0, 0, {0}},
#define NN_COUNT(name) {#name, NN_FIELD_COUNT, 0, 0, offsetof(row, name), NULL, 0, 0, {0}},
#define NN_SIZES(name) {#name, NN_FIELD_SIZES, 0, 0, offsetof(row, name), NULL, 0, 0, {0}},
#define NN_FUSED(type, name) {#name, NN_FIELD_FUSED, 0, 0, offsetof(row, name), NULL, 0, 0, {0}},
#define NN_KERNEL(types, kernel, check, work, doc, ...)                                                                \
    {                                                                                                                  \
        typedef nn_##kernel##_args row;                                                                                \
        static const nn_field fields[] = {__VA_ARGS__};                                                                \
        _Static_assert(sizeof fields / sizeof fields[0] <= NN_MAX_FIELDS, "too many fields");                          \
        _Static_assert(sizeof(row) <= NN_MAX_ARGS, "the argument block is too large");                                 \
        fill_info(&infos[NN_KERNEL_##kernel], #kernel, doc, types, sizeof(row), work_of_##kernel, check, fields,       \
                  sizeof fields / sizeof fields[0]);                                                                   \
    }
#include "kernels.def"
    for (int k = 0; k < NN_KERNEL_COUNT; k++)
        for (int i = 0; i < infos[k].count; i++) parse_shape(&infos[k], &infos[k].fields[i]);
}

const nn_kernel_info *nn_info(int kernel) { return kernel >= 0 && kernel < NN_KERNEL_COUNT ? &infos[kernel] : NULL; }

const char *nn_init(const char *cap) {
    int best = -1;
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
#endif
    for (int i = 0; i < ISA_COUNT; i++) {
        if (isas[i].supported()) best = i;
        if (cap && !strcmp(cap, isas[i].name)) {
            cap = NULL;
            break;
        }
    }
    if (cap) return NULL;
    read_kernels_def();
    for (int i = 0; i <= best; i++)
        for (int d = 0; d < NN_DTYPE_COUNT; d++)
            if (isas[i].fill[d]) isas[i].fill[d](&tables[d]);
    return isas[best].name;
}
