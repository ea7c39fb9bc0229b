/* y = f(a, b), elementwise, over strided arrays that are stretched to one shape; where; copy with conversion.
 *
 * Shapes: y is dense (copy: strided), inputs are views with the shape of y; a broadcast dimension has stride 0.
 * Parallel: the flattened elements of y are shared, so one long row and many short ones both spread; copies that
 *   transpose share strips of tiles instead. Dimensions that lie behind each other in every operand are first made one.
 * Numerics: one operation per element, so the same bits everywhere. maximum and minimum give NaN if either input is
 *   NaN, and b where the two are equal (0 and -0). Integers wrap; on bool, add is or, mul is and.
 *   copy converts as C does, and where C leaves it open: a float beyond the range of an integer type gives the nearest
 *   integer of that type, NaN gives 0; a float is true where it is not 0 (NaN is true); integers wrap.
 * Source: the iterator of NumPy (NEP 10) for merging dimensions.
 */
#include "cpu.h"
#if NN_IS_FLOAT
#include "../vecmath.h"
#endif

/* ---- walking ---- */
enum { MAX_OPERANDS = 4, SHARE = 64, TILE = 16 };

/* Nested loops over operands of one shape. Operand 0 is the output; strides are in bytes. */
typedef struct {
    int operands, ndim;
    int64_t n;
    int64_t shape[NN_MAX_DIM];
    int64_t stride[MAX_OPERANDS][NN_MAX_DIM];
    char *data[MAX_OPERANDS];
} loops;

/* The two innermost loops, or a part of them: operand k starts at data[k]. */
typedef struct {
    int64_t rows, n;
    int64_t row_stride[MAX_OPERANDS], stride[MAX_OPERANDS];
    char *data[MAX_OPERANDS];
} plane;

typedef void (*plane_fn)(const plane *p);

static void add_operand(loops *l, const nn_view *view, size_t itemsize) {
    l->data[l->operands] = view->data;
    for (int d = 0; d < view->ndim; d++) l->stride[l->operands][d] = view->stride[d] * (int64_t)itemsize;
    l->operands++;
}

static nn_view dense_view(void *data, const nn_view *like) {
    nn_view view = *like;
    int64_t stride = 1;
    view.data = data;
    for (int d = like->ndim - 1; d >= 0; d--) {
        view.stride[d] = stride;
        stride *= like->shape[d];
    }
    return view;
}

static void move_dimension(loops *l, int from, int to) {
    l->shape[to] = l->shape[from];
    for (int k = 0; k < l->operands; k++) l->stride[k][to] = l->stride[k][from];
}

static void swap_dimensions(loops *l, int d, int e) {
    const int64_t size = l->shape[d];
    l->shape[d] = l->shape[e];
    l->shape[e] = size;
    for (int k = 0; k < l->operands; k++) {
        const int64_t stride = l->stride[k][d];
        l->stride[k][d] = l->stride[k][e];
        l->stride[k][e] = stride;
    }
}

/* Whether one loop can do what dimension d and, inside it, dimension e do. */
static bool can_merge(const loops *l, int d, int e) {
    for (int k = 0; k < l->operands; k++)
        if (l->stride[k][d] != l->stride[k][e] * l->shape[e]) return false;
    return true;
}

NN_INLINE int64_t magnitude(int64_t stride) { return stride < 0 ? -stride : stride; }

/* Drop dimensions of one element, put those last along which the output is densest, merge what can be merged. */
static void simplify(loops *l, const nn_view *shape) {
    int ndim = 0;
    l->n = 1;
    for (int d = 0; d < shape->ndim; d++) {
        l->n *= l->shape[d] = shape->shape[d];
        if (l->shape[d] != 1) move_dimension(l, d, ndim++);
    }
    for (int d = 1; d < ndim; d++)
        for (int e = d; e > 0 && magnitude(l->stride[0][e - 1]) < magnitude(l->stride[0][e]); e--)
            swap_dimensions(l, e - 1, e);
    int last = 0;
    for (int d = 1; d < ndim; d++) {
        if (can_merge(l, last, d)) {
            const int64_t outer = l->shape[last];
            move_dimension(l, d, last);
            l->shape[last] *= outer;
        } else {
            move_dimension(l, d, ++last);
        }
    }
    l->ndim = ndim > 0 ? last + 1 : 0;
    while (l->ndim < 2) {
        if (l->ndim == 1) move_dimension(l, 0, 1);
        l->shape[0] = 1;
        l->ndim++;
    }
}

NN_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void walk(const loops *l, plane_fn run, const nn_team *team, int rank) {
    const int inner = l->ndim - 1, middle = l->ndim - 2;
    int64_t begin, end, index[NN_MAX_DIM];
    nn_share(l->n, SHARE, team, rank, &begin, &end);
    if (begin == end) return;

    plane p;
    for (int k = 0; k < l->operands; k++) {
        p.data[k] = l->data[k];
        p.stride[k] = l->stride[k][inner];
        p.row_stride[k] = l->stride[k][middle];
    }
    int64_t rest = begin;
    for (int d = inner; d >= 0; d--) {
        index[d] = rest % l->shape[d];
        rest /= l->shape[d];
        for (int k = 0; k < l->operands; k++) p.data[k] += index[d] * l->stride[k][d];
    }
    for (;;) {
        const int64_t left = end - begin, row = l->shape[inner];
        const bool whole_rows = index[inner] == 0 && left >= row;
        p.rows = whole_rows ? least(left / row, l->shape[middle] - index[middle]) : 1;
        p.n = whole_rows ? row : least(left, row - index[inner]);
        run(&p);
        begin += p.rows * p.n;
        if (begin == end) return;
        int d = whole_rows ? middle : inner;
        int64_t steps = whole_rows ? p.rows : p.n;
        for (;; steps = 1) {
            for (int k = 0; k < l->operands; k++) p.data[k] += steps * l->stride[k][d];
            index[d] += steps;
            if (index[d] < l->shape[d]) break;
            for (int k = 0; k < l->operands; k++) p.data[k] -= l->shape[d] * l->stride[k][d];
            index[d--] = 0;
        }
    }
}

static void walk_binary(plane_fn run, void *y, size_t itemsize, const nn_view *a, const nn_view *b, const nn_team *team,
                        int rank) {
    loops l = {0};
    const nn_view y_view = dense_view(y, a);
    add_operand(&l, &y_view, itemsize);
    add_operand(&l, a, sizeof(real));
    add_operand(&l, b, sizeof(real));
    simplify(&l, a);
    walk(&l, run, team, rank);
}

/* Before a loop whose rounds are independent: y is one of the inputs or does not overlap them. */
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

/* ---- y = op(a, b) ---- */
#if NN_IS_FLOAT
static inline real nn_add(real a, real b) { return a + b; }
static inline real nn_sub(real a, real b) { return a - b; }
static inline real nn_mul(real a, real b) { return a * b; }
static inline real nn_div(real a, real b) { return a / b; }
static inline real nn_maximum(real a, real b) { return ((a > b) | (a != a)) ? a : b; }
static inline real nn_minimum(real a, real b) { return ((a < b) | (a != a)) ? a : b; }
#else
static inline real nn_add(real a, real b) { return (real)((uint64_t)a + (uint64_t)b); }
static inline real nn_sub(real a, real b) { return (real)((uint64_t)a - (uint64_t)b); }
static inline real nn_mul(real a, real b) {
    const uint64_t product = (uint64_t)a * (uint64_t)b;
    return (real)product;
}
static inline real nn_maximum(real a, real b) { return a > b ? a : b; }
static inline real nn_minimum(real a, real b) { return a < b ? a : b; }
#endif

NN_INLINE void binary_rows(real (*op)(real, real), const plane *p, int64_t a_stride, int64_t b_stride) {
    const int64_t n = p->n;
    for (int64_t row = 0; row < p->rows; row++) {
        real *y = (real *)(p->data[0] + row * p->row_stride[0]);
        const real *a = (const real *)(p->data[1] + row * p->row_stride[1]), a0 = *a;
        const real *b = (const real *)(p->data[2] + row * p->row_stride[2]), b0 = *b;
        INDEPENDENT
        for (int64_t i = 0; i < n; i++)
            y[i] = op(a_stride == 0 ? a0 : a[i * a_stride], b_stride == 0 ? b0 : b[i * b_stride]);
    }
}

/* One loop for each pair of strides that can be vectorised, and one for the others. */
NN_INLINE void binary_plane(real (*op)(real, real), const plane *p) {
    const int64_t a_stride = p->stride[1] / (int64_t)sizeof(real), b_stride = p->stride[2] / (int64_t)sizeof(real);
    if (a_stride == 1 && b_stride == 1)
        binary_rows(op, p, 1, 1);
    else if (a_stride == 1 && b_stride == 0)
        binary_rows(op, p, 1, 0);
    else if (a_stride == 0 && b_stride == 1)
        binary_rows(op, p, 0, 1);
    else
        binary_rows(op, p, a_stride, b_stride);
}

#define X(op, doc)                                                                                                     \
    static void op##_plane(const plane *p) { binary_plane(nn_##op, p); }                                               \
    NN_DEFINE(op) {                                                                                                    \
        const nn_##op##_args *a = args;                                                                                \
        walk_binary(op##_plane, a->y, sizeof(real), &a->a, &a->b, team, rank);                                         \
    }
NN_BINARY_ANY(X)
#undef X

#if NN_IS_FLOAT
static void div_plane(const plane *p) { binary_plane(nn_div, p); }

/* Up to NN_WIDTH elements, `stride` apart. */
NN_INLINE vec load_strided(const real *x, int64_t stride, int64_t n) {
    if (stride == 0) return v_set1(x[0]);
    if (stride == 1) return n == NN_WIDTH ? v_load(x) : v_load_n(x, n);
    vec v = {0};
    for (int i = 0; i < NN_WIDTH; i++)
        if (i < n) v[i] = x[i * stride];
    return v;
}

static void pow_plane(const plane *p) {
    const int64_t a_stride = p->stride[1] / (int64_t)sizeof(real), b_stride = p->stride[2] / (int64_t)sizeof(real);
    for (int64_t row = 0; row < p->rows; row++) {
        real *y = (real *)(p->data[0] + row * p->row_stride[0]);
        const real *a = (const real *)(p->data[1] + row * p->row_stride[1]);
        const real *b = (const real *)(p->data[2] + row * p->row_stride[2]);
        for (int64_t i = 0; i < p->n; i += NN_WIDTH) {
            const int64_t n = least(p->n - i, NN_WIDTH);
            const vec base = load_strided(a + i * a_stride, a_stride, n);
            v_store_n(y + i, nnv_pow(base, load_strided(b + i * b_stride, b_stride, n)), n);
        }
    }
}

#define X(op, doc)                                                                                                     \
    NN_DEFINE(op) {                                                                                                    \
        const nn_##op##_args *a = args;                                                                                \
        walk_binary(op##_plane, a->y, sizeof(real), &a->a, &a->b, team, rank);                                         \
    }
NN_BINARY_FLOAT(X)
#undef X
#endif

/* ---- y = a is so to b ---- */
NN_INLINE void test_rows(bool (*test)(real, real), const plane *p, int64_t a_stride, int64_t b_stride) {
    const int64_t n = p->n;
    for (int64_t row = 0; row < p->rows; row++) {
        bool *y = (bool *)(p->data[0] + row * p->row_stride[0]);
        const real *a = (const real *)(p->data[1] + row * p->row_stride[1]), a0 = *a;
        const real *b = (const real *)(p->data[2] + row * p->row_stride[2]), b0 = *b;
        INDEPENDENT
        for (int64_t i = 0; i < n; i++)
            y[i] = test(a_stride == 0 ? a0 : a[i * a_stride], b_stride == 0 ? b0 : b[i * b_stride]);
    }
}

NN_INLINE void test_plane(bool (*test)(real, real), const plane *p) {
    const int64_t a_stride = p->stride[1] / (int64_t)sizeof(real), b_stride = p->stride[2] / (int64_t)sizeof(real);
    if (a_stride == 1 && b_stride == 1)
        test_rows(test, p, 1, 1);
    else if (a_stride == 1 && b_stride == 0)
        test_rows(test, p, 1, 0);
    else if (a_stride == 0 && b_stride == 1)
        test_rows(test, p, 0, 1);
    else
        test_rows(test, p, a_stride, b_stride);
}

#define X(op, symbol, doc)                                                                                             \
    static inline bool nn_##op(real a, real b) { return a symbol b; }
NN_COMPARE(X)
#undef X
#define X(op, symbol, doc)                                                                                             \
    static inline bool nn_##op(real a, real b) { return (a != 0) symbol(b != 0); }
NN_LOGIC(X)
#undef X

#define X(op, symbol, doc)                                                                                             \
    static void op##_plane(const plane *p) { test_plane(nn_##op, p); }                                                 \
    NN_DEFINE(op) {                                                                                                    \
        const nn_##op##_args *a = args;                                                                                \
        walk_binary(op##_plane, a->y, sizeof(bool), &a->a, &a->b, team, rank);                                         \
    }
NN_COMPARE(X)
NN_LOGIC(X)
#undef X

/* ---- where ---- */
NN_INLINE void where_rows(const plane *p, int64_t condition_stride, int64_t a_stride, int64_t b_stride) {
    const int64_t n = p->n;
    for (int64_t row = 0; row < p->rows; row++) {
        real *y = (real *)(p->data[0] + row * p->row_stride[0]);
        const uint8_t *condition = (const uint8_t *)(p->data[1] + row * p->row_stride[1]);
        const real *a = (const real *)(p->data[2] + row * p->row_stride[2]), a0 = *a;
        const real *b = (const real *)(p->data[3] + row * p->row_stride[3]), b0 = *b;
        INDEPENDENT
        for (int64_t i = 0; i < n; i++) { /* both are read, so that it is a select and no branch */
            const real from_a = a_stride == 0 ? a0 : a[i * a_stride], from_b = b_stride == 0 ? b0 : b[i * b_stride];
            y[i] = condition[i * condition_stride] != 0 ? from_a : from_b;
        }
    }
}

static void where_plane(const plane *p) {
    const int64_t a_stride = p->stride[2] / (int64_t)sizeof(real), b_stride = p->stride[3] / (int64_t)sizeof(real);
    if (p->stride[1] == 1 && a_stride == 1 && b_stride == 1)
        where_rows(p, 1, 1, 1);
    else if (p->stride[1] == 1 && a_stride == 1 && b_stride == 0)
        where_rows(p, 1, 1, 0);
    else if (p->stride[1] == 1 && a_stride == 0 && b_stride == 1)
        where_rows(p, 1, 0, 1);
    else
        where_rows(p, p->stride[1], a_stride, b_stride);
}

NN_DEFINE(where) {
    const nn_where_args *a = args;
    loops l = {0};
    const nn_view y = dense_view(a->y, &a->condition);
    add_operand(&l, &y, sizeof(real));
    add_operand(&l, &a->condition, sizeof(bool));
    add_operand(&l, &a->a, sizeof(real));
    add_operand(&l, &a->b, sizeof(real));
    simplify(&l, &a->condition);
    walk(&l, where_plane, team, rank);
}

/* ---- copy ---- */
#if NN_IS_FLOAT
static inline real from_float(double x) { return (real)x; }
#elif NN_IS_BOOL
static inline real from_float(double x) { return x != 0; }
#else
static inline real from_float(double x) {
    const bool is_unsigned = (real)-1 > 0;
    const real largest = is_unsigned ? (real)-1 : (real)((UINT64_C(1) << (8 * sizeof(real) - 1)) - 1);
    const real smallest = is_unsigned ? 0 : (real)(-largest - 1);
    const double beyond = (double)largest + 1; /* for int64 both are 2^63 */
    return x >= beyond ? largest : x <= (double)smallest ? smallest : x == x ? (real)x : 0;
}
#endif
static inline real from_f32(float x) { return from_float((double)x); }
static inline real from_f64(double x) { return from_float(x); }
static inline real from_i64(int64_t x) { return (real)x; }
static inline real from_i32(int32_t x) { return (real)x; }
static inline real from_u8(uint8_t x) { return (real)x; }
static inline real from_b8(bool x) { return (real)x; }

typedef real (*load_fn)(const char *x);

NN_INLINE void copy_rows(load_fn load, const plane *p, int64_t y_stride, int64_t x_stride) {
    const int64_t n = p->n;
    for (int64_t row = 0; row < p->rows; row++) {
        real *y = (real *)(p->data[0] + row * p->row_stride[0]);
        const char *x = p->data[1] + row * p->row_stride[1];
        INDEPENDENT
        for (int64_t i = 0; i < n; i++) y[i * y_stride] = load(x + i * x_stride);
    }
}

NN_INLINE void copy_plane(load_fn load, int64_t x_size, const plane *p) {
    const int64_t y_stride = p->stride[0] / (int64_t)sizeof(real);
    if (y_stride == 1 && p->stride[1] == x_size)
        copy_rows(load, p, 1, x_size);
    else if (y_stride == 1 && p->stride[1] == 0)
        copy_rows(load, p, 1, 0);
    else
        copy_rows(load, p, y_stride, p->stride[1]);
}

/* y, dense along its rows, is x, dense along its columns, transposed: in tiles, so that the cache lines of both stay
 * while they are used. */
NN_INLINE void copy_transposed(load_fn load, int64_t x_size, const plane *p) {
    for (int64_t left = 0; left < p->n; left += TILE) {
        const int64_t width = least(p->n - left, TILE);
        const char *x = p->data[1] + left * p->stride[1];
        for (int64_t row = 0; row < p->rows; row++) {
            real *restrict y = (real *)(p->data[0] + row * p->row_stride[0]) + left;
            if (width == TILE)
                for (int64_t i = 0; i < TILE; i++) y[i] = load(x + row * x_size + i * p->stride[1]);
            else
                for (int64_t i = 0; i < width; i++) y[i] = load(x + row * x_size + i * p->stride[1]);
        }
    }
}

#define X(suffix, ctype, name)                                                                                         \
    static inline real load_##suffix(const char *x) {                                                                  \
        ctype value;                                                                                                   \
        memcpy(&value, x, sizeof value);                                                                               \
        return from_##suffix(value);                                                                                   \
    }                                                                                                                  \
    static void copy_plane_##suffix(const plane *p) { copy_plane(load_##suffix, sizeof(ctype), p); }                   \
    static void copy_transposed_##suffix(const plane *p) { copy_transposed(load_##suffix, sizeof(ctype), p); }
NN_DTYPES(X)
#undef X

static const struct {
    plane_fn plane, transposed;
    size_t itemsize;
} copy_from[] = {
#define X(suffix, ctype, name) [NN_##suffix] = {copy_plane_##suffix, copy_transposed_##suffix, sizeof(ctype)},
    NN_DTYPES(X)
#undef X
};

/* The dimension along which x is dense, if y is dense along the last one and x is not; else -1. */
static int transposed_dimension(const loops *l, size_t x_size) {
    const int inner = l->ndim - 1;
    if (l->stride[0][inner] != (int64_t)sizeof(real) || l->stride[1][inner] == 0) return -1;
    if (l->stride[1][inner] == (int64_t)x_size) return -1;
    for (int d = 0; d < inner; d++)
        if (l->stride[1][d] == (int64_t)x_size) return d;
    return -1;
}

/* The ranks share strips of TILE rows: rows along the dimension where x is dense. */
static void walk_transposed(loops *l, int dense, plane_fn run, const nn_team *team, int rank) {
    const int inner = l->ndim - 1, middle = l->ndim - 2;
    swap_dimensions(l, dense, middle);
    const int64_t rows = l->shape[middle], strips = (rows + TILE - 1) / TILE;
    plane p = {.n = l->shape[inner]};
    for (int k = 0; k < 2; k++) {
        p.stride[k] = l->stride[k][inner];
        p.row_stride[k] = l->stride[k][middle];
    }
    int64_t begin, end;
    nn_share(l->n / (rows * p.n) * strips, 1, team, rank, &begin, &end);
    for (int64_t strip = begin; strip < end; strip++) {
        const int64_t first = strip % strips * TILE;
        p.rows = least(rows - first, TILE);
        for (int k = 0; k < 2; k++) {
            int64_t rest = strip / strips;
            p.data[k] = l->data[k] + first * l->stride[k][middle];
            for (int d = middle - 1; d >= 0; d--) {
                p.data[k] += rest % l->shape[d] * l->stride[k][d];
                rest /= l->shape[d];
            }
        }
        run(&p);
    }
}

NN_DEFINE(copy) {
    const nn_copy_args *a = args;
    const size_t x_size = copy_from[a->x.dtype].itemsize;
    loops l = {0};
    add_operand(&l, &a->y, sizeof(real));
    add_operand(&l, &a->x, x_size);
    simplify(&l, &a->y);
    const int dense = transposed_dimension(&l, x_size);
    if (l.n > 0 && dense >= 0)
        walk_transposed(&l, dense, copy_from[a->x.dtype].transposed, team, rank);
    else
        walk(&l, copy_from[a->x.dtype].plane, team, rank);
}
