/* y = f(a, b), elementwise, over strided arrays that are stretched to one shape; where; copy with conversion.
 *
 * Shapes: y is dense (copy: strided), inputs are views with the shape of y; a broadcast dimension has stride 0.
 * Parallel: the flattened elements of y are shared, so one long row and many short ones both spread; copies that
 *   transpose share tiles instead. Dimensions that lie behind each other in every operand are first made one.
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
enum { MAX_OPERANDS = 4, SHARE = 64, TILE = 32 };

/* Nested loops over operands of one shape. Operand 0 is the output; strides are in bytes. */
typedef struct {
    int operands, ndim;
    int64_t n;
    int64_t shape[NN_MAX_DIM];
    int64_t stride[MAX_OPERANDS][NN_MAX_DIM];
    char *data[MAX_OPERANDS];
} loops;

/* A run of n elements; operand k starts at data[k] and has stride[k]. */
typedef void (*run_fn)(char *const *data, const int64_t *stride, int64_t n);

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
        for (int e = d; e > 0 && magnitude(l->stride[0][e - 1]) < magnitude(l->stride[0][e]); e--) swap_dimensions(l, e - 1, e);
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
    l->ndim = last + 1;
    if (ndim == 0) l->shape[0] = 1;
}

static void walk(const loops *l, run_fn run, const nn_team *team, int rank) {
    int64_t begin, end, index[NN_MAX_DIM], stride[MAX_OPERANDS];
    char *data[MAX_OPERANDS];
    nn_share(l->n, SHARE, team, rank, &begin, &end);
    if (begin == end) return;
    const int inner = l->ndim - 1;
    for (int k = 0; k < l->operands; k++) {
        data[k] = l->data[k];
        stride[k] = l->stride[k][inner];
    }
    int64_t rest = begin;
    for (int d = inner; d >= 0; d--) {
        index[d] = rest % l->shape[d];
        rest /= l->shape[d];
        for (int k = 0; k < l->operands; k++) data[k] += index[d] * l->stride[k][d];
    }
    for (;;) {
        int64_t n = l->shape[inner] - index[inner];
        if (n > end - begin) n = end - begin;
        run(data, stride, n);
        begin += n;
        if (begin == end) return;
        for (int k = 0; k < l->operands; k++) data[k] -= index[inner] * stride[k];
        index[inner] = 0;
        for (int d = inner - 1;; d--) {
            for (int k = 0; k < l->operands; k++) data[k] += l->stride[k][d];
            if (++index[d] < l->shape[d]) break;
            for (int k = 0; k < l->operands; k++) data[k] -= l->shape[d] * l->stride[k][d];
            index[d] = 0;
        }
    }
}

static void walk_binary(run_fn run, void *y, size_t itemsize, const nn_view *a, const nn_view *b, const nn_team *team,
                        int rank) {
    loops l = {0};
    const nn_view y_view = dense_view(y, a);
    add_operand(&l, &y_view, itemsize);
    add_operand(&l, a, sizeof(real));
    add_operand(&l, b, sizeof(real));
    simplify(&l, a);
    walk(&l, run, team, rank);
}

/* ---- y = op(a, b) ---- */
#if NN_IS_FLOAT
static inline real nn_add(real a, real b) { return a + b; }
static inline real nn_sub(real a, real b) { return a - b; }
static inline real nn_mul(real a, real b) { return a * b; }
static inline real nn_div(real a, real b) { return a / b; }
static inline real nn_maximum(real a, real b) { return a > b || a != a ? a : b; }
static inline real nn_minimum(real a, real b) { return a < b || a != a ? a : b; }
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

NN_INLINE void binary_run(real (*op)(real, real), char *const *data, const int64_t *stride, int64_t n) {
    real *y = (real *)data[0];
    const real *a = (const real *)data[1], *b = (const real *)data[2];
    const int64_t a_stride = stride[1] / (int64_t)sizeof(real), b_stride = stride[2] / (int64_t)sizeof(real);
    if (a_stride == 1 && b_stride == 1) {
        for (int64_t i = 0; i < n; i++) y[i] = op(a[i], b[i]);
    } else if (a_stride == 1 && b_stride == 0) {
        const real b0 = b[0];
        for (int64_t i = 0; i < n; i++) y[i] = op(a[i], b0);
    } else if (a_stride == 0 && b_stride == 1) {
        const real a0 = a[0];
        for (int64_t i = 0; i < n; i++) y[i] = op(a0, b[i]);
    } else {
        for (int64_t i = 0; i < n; i++) y[i] = op(a[i * a_stride], b[i * b_stride]);
    }
}

#define X(op, doc)                                                                                             \
    static void op##_run(char *const *data, const int64_t *stride, int64_t n) {                                \
        binary_run(nn_##op, data, stride, n);                                                                  \
    }                                                                                                          \
    NN_DEFINE(op) {                                                                                            \
        const nn_##op##_args *a = args;                                                                        \
        walk_binary(op##_run, a->y, sizeof(real), &a->a, &a->b, team, rank);                                   \
    }
NN_BINARY_ANY(X)
#undef X

#if NN_IS_FLOAT
static void div_run(char *const *data, const int64_t *stride, int64_t n) { binary_run(nn_div, data, stride, n); }

/* Up to NN_WIDTH elements, `stride` apart. */
NN_INLINE vec load_strided(const real *x, int64_t stride, int64_t n) {
    if (stride == 0) return v_set1(x[0]);
    if (stride == 1) return n == NN_WIDTH ? v_load(x) : v_load_n(x, n);
    vec v = {0};
    for (int i = 0; i < NN_WIDTH; i++)
        if (i < n) v[i] = x[i * stride];
    return v;
}

static void pow_run(char *const *data, const int64_t *stride, int64_t n) {
    real *y = (real *)data[0];
    const real *a = (const real *)data[1], *b = (const real *)data[2];
    const int64_t a_stride = stride[1] / (int64_t)sizeof(real), b_stride = stride[2] / (int64_t)sizeof(real);
    for (int64_t i = 0; i < n; i += NN_WIDTH) {
        const int64_t left = n - i < NN_WIDTH ? n - i : NN_WIDTH;
        const vec power = nnv_pow(load_strided(a + i * a_stride, a_stride, left), load_strided(b + i * b_stride, b_stride, left));
        v_store_n(y + i, power, left);
    }
}

#define X(op, doc)                                                                                             \
    NN_DEFINE(op) {                                                                                            \
        const nn_##op##_args *a = args;                                                                        \
        walk_binary(op##_run, a->y, sizeof(real), &a->a, &a->b, team, rank);                                   \
    }
NN_BINARY_FLOAT(X)
#undef X
#endif

/* ---- y = a is so to b ---- */
NN_INLINE void test_run(bool (*test)(real, real), char *const *data, const int64_t *stride, int64_t n) {
    bool *y = (bool *)data[0];
    const real *a = (const real *)data[1], *b = (const real *)data[2];
    const int64_t a_stride = stride[1] / (int64_t)sizeof(real), b_stride = stride[2] / (int64_t)sizeof(real);
    if (a_stride == 1 && b_stride == 1) {
        for (int64_t i = 0; i < n; i++) y[i] = test(a[i], b[i]);
    } else if (a_stride == 1 && b_stride == 0) {
        const real b0 = b[0];
        for (int64_t i = 0; i < n; i++) y[i] = test(a[i], b0);
    } else if (a_stride == 0 && b_stride == 1) {
        const real a0 = a[0];
        for (int64_t i = 0; i < n; i++) y[i] = test(a0, b[i]);
    } else {
        for (int64_t i = 0; i < n; i++) y[i] = test(a[i * a_stride], b[i * b_stride]);
    }
}

#define X(op, symbol, doc)                                                                                     \
    static inline bool nn_##op(real a, real b) { return a symbol b; }
NN_COMPARE(X)
#undef X
#define X(op, symbol, doc)                                                                                     \
    static inline bool nn_##op(real a, real b) { return (a != 0)symbol(b != 0); }
NN_LOGIC(X)
#undef X

#define X(op, symbol, doc)                                                                                     \
    static void op##_run(char *const *data, const int64_t *stride, int64_t n) {                                \
        test_run(nn_##op, data, stride, n);                                                                    \
    }                                                                                                          \
    NN_DEFINE(op) {                                                                                            \
        const nn_##op##_args *a = args;                                                                        \
        walk_binary(op##_run, a->y, sizeof(bool), &a->a, &a->b, team, rank);                                   \
    }
NN_COMPARE(X)
NN_LOGIC(X)
#undef X

/* ---- where ---- */
static void where_run(char *const *data, const int64_t *stride, int64_t n) {
    real *y = (real *)data[0];
    const bool *condition = (const bool *)data[1];
    const real *a = (const real *)data[2], *b = (const real *)data[3];
    const int64_t a_stride = stride[2] / (int64_t)sizeof(real), b_stride = stride[3] / (int64_t)sizeof(real);
    if (stride[1] == 1 && a_stride == 1 && b_stride == 1) {
        for (int64_t i = 0; i < n; i++) {
            const real from_a = a[i], from_b = b[i]; /* read both: a select, not a branch */
            y[i] = condition[i] ? from_a : from_b;
        }
    } else if (stride[1] == 1 && a_stride == 1 && b_stride == 0) {
        const real b0 = b[0];
        for (int64_t i = 0; i < n; i++) {
            const real from_a = a[i];
            y[i] = condition[i] ? from_a : b0;
        }
    } else if (stride[1] == 1 && a_stride == 0 && b_stride == 1) {
        const real a0 = a[0];
        for (int64_t i = 0; i < n; i++) {
            const real from_b = b[i];
            y[i] = condition[i] ? a0 : from_b;
        }
    } else {
        for (int64_t i = 0; i < n; i++) y[i] = condition[i * stride[1]] ? a[i * a_stride] : b[i * b_stride];
    }
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
    walk(&l, where_run, team, rank);
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

NN_INLINE void copy_run(load_fn load, int64_t x_size, char *const *data, const int64_t *stride, int64_t n) {
    real *y = (real *)data[0];
    const char *x = data[1];
    const int64_t y_stride = stride[0] / (int64_t)sizeof(real), x_stride = stride[1];
    if (y_stride == 1 && x_stride == x_size) {
        for (int64_t i = 0; i < n; i++) y[i] = load(x + i * x_size);
    } else if (y_stride == 1 && x_stride == 0) {
        const real x0 = load(x);
        for (int64_t i = 0; i < n; i++) y[i] = x0;
    } else {
        for (int64_t i = 0; i < n; i++) y[i * y_stride] = load(x + i * x_stride);
    }
}

/* A tile of rows x cols elements that y holds row by row and x column by column, by way of a buffer, so that whole cache
 * lines are read and written however far apart rows and columns are. */
NN_INLINE void copy_tile(load_fn load, int64_t x_size, real *y, int64_t y_stride, const char *x, int64_t x_stride,
                         int64_t rows, int64_t cols) {
    real tile[TILE][TILE];
    for (int64_t col = 0; col < cols; col++)
        for (int64_t row = 0; row < rows; row++) tile[row][col] = load(x + col * x_stride + row * x_size);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t col = 0; col < cols; col++) y[row * y_stride + col] = tile[row][col];
}

typedef void (*tile_fn)(real *y, int64_t y_stride, const char *x, int64_t x_stride, int64_t rows, int64_t cols);

#define X(suffix, ctype, name)                                                                                 \
    static inline real load_##suffix(const char *x) {                                                          \
        ctype value;                                                                                           \
        memcpy(&value, x, sizeof value);                                                                       \
        return from_##suffix(value);                                                                           \
    }                                                                                                          \
    static void copy_run_##suffix(char *const *data, const int64_t *stride, int64_t n) {                       \
        copy_run(load_##suffix, sizeof(ctype), data, stride, n);                                               \
    }                                                                                                          \
    static void copy_tile_##suffix(real *y, int64_t y_stride, const char *x, int64_t x_stride, int64_t rows,   \
                                   int64_t cols) {                                                             \
        copy_tile(load_##suffix, sizeof(ctype), y, y_stride, x, x_stride, rows, cols);                         \
    }
NN_DTYPES(X)
#undef X

static const struct {
    run_fn run;
    tile_fn tile;
    size_t itemsize;
} copy_from[] = {
#define X(suffix, ctype, name) [NN_##suffix] = {copy_run_##suffix, copy_tile_##suffix, sizeof(ctype)},
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

static void walk_tiles(loops *l, int dense, tile_fn tile, const nn_team *team, int rank) {
    swap_dimensions(l, dense, l->ndim - 2);
    const int row_dim = l->ndim - 2, col_dim = l->ndim - 1;
    const int64_t rows = l->shape[row_dim], cols = l->shape[col_dim];
    const int64_t y_stride = l->stride[0][row_dim], x_stride = l->stride[1][col_dim];
    const int64_t row_tiles = (rows + TILE - 1) / TILE, col_tiles = (cols + TILE - 1) / TILE;
    int64_t begin, end;
    nn_share(l->n / (rows * cols) * row_tiles * col_tiles, 1, team, rank, &begin, &end);
    for (int64_t item = begin; item < end; item++) {
        const int64_t col = item % col_tiles * TILE, row = item / col_tiles % row_tiles * TILE;
        int64_t rest = item / col_tiles / row_tiles;
        char *y = l->data[0] + row * y_stride + col * (int64_t)sizeof(real);
        const char *x = l->data[1] + row * l->stride[1][row_dim] + col * x_stride;
        for (int d = row_dim - 1; d >= 0; d--) {
            y += rest % l->shape[d] * l->stride[0][d];
            x += rest % l->shape[d] * l->stride[1][d];
            rest /= l->shape[d];
        }
        tile((real *)y, y_stride / (int64_t)sizeof(real), x, x_stride, rows - row < TILE ? rows - row : TILE,
             cols - col < TILE ? cols - col : TILE);
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
        walk_tiles(&l, dense, copy_from[a->x.dtype].tile, team, rank);
    else
        walk(&l, copy_from[a->x.dtype].run, team, rank);
}
