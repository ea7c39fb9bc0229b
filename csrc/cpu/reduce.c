/* y[o,i] = the sum, mean, sum of squares, maximum or minimum over n of x[o,n,i]; argmax, argmin: the first n where it
 * is.
 *
 * Shapes: x (outer, n, inner), dense; y (outer, inner).
 * Parallel: over blocks of outputs. Where there are few outputs and n is long, sum, max and min share the chunks of n
 *   instead, in groups that are whole subtrees, so the bits do not change.
 * Numerics: n is cut into chunks, which are then folded pairwise (nn_pairwise_sum). With inner = 1 a chunk is NN_CHUNK
 *   elements in NN_LANES lanes (row.h); otherwise it is NN_KC rows, added in ascending order from zero. The error of a
 *   sum grows with log(n). A square is added by one fused multiply-add. Integer sums wrap. NaN wins: max and min give
 * NaN if any element is, argmax and argmin the first NaN. Source: pairwise summation, Higham, The accuracy of floating
 * point summation, SIAM J. Sci. Comput. 14 (1993).
 */
#include "cpu.h"
#if NN_IS_FLOAT
#include "row.h"
#endif

enum { BLOCK = 512, MAX_DEPTH = 64, GROUPS_PER_RANK = 8, PANEL = 8, ROWS = 16 };
_Static_assert((MAX_DEPTH + 3 * GROUPS_PER_RANK) * BLOCK * sizeof(real) <= NN_SCRATCH, "a rank's scratch memory");

/* ---- one chunk ---- */
#if NN_IS_FLOAT
static inline int is_nan(real x) { return x != x; } /* int: an operand of | and & */
static inline real add(real a, real b) { return a + b; }
#else
static inline int is_nan(real x) { return (void)x, 0; }
static inline real add(real a, real b) { return (real)((uint64_t)a + (uint64_t)b); }
#endif
static inline real larger(real a, real b) { return ((a > b) | is_nan(a)) ? a : b; }
static inline real smaller(real a, real b) { return ((a < b) | is_nan(a)) ? a : b; }

#if NN_IS_FLOAT
static void sum_rows(real *y, const real *x, int64_t count, int64_t n) {
    row_sums(y, row_add_step, &(row_array){x, n}, count, n);
}
NN_INLINE vec add_square_step(const void *rows, int64_t row, int64_t i, int64_t n, vec accumulator) {
    const row_array *a = rows;
    const vec value = row_load(a->x + row * a->cols + i, n);
    return v_fma(value, value, accumulator);
}
static void square_rows(real *y, const real *x, int64_t count, int64_t n) {
    row_sums(y, add_square_step, &(row_array){x, n}, count, n);
}
static void max_rows(real *y, const real *x, int64_t count, int64_t n) {
    row_extremes(y, v_max, -(real)INFINITY, x, count, n);
}
static void min_rows(real *y, const real *x, int64_t count, int64_t n) {
    row_extremes(y, v_min, (real)INFINITY, x, count, n);
}

/* `vectors` registers of columns, of n lanes each, go down the rows together. */
NN_INLINE void fold_panel(vec (*op)(vec, vec), bool from_zero, real *out, const real *x, int64_t rows, int64_t inner,
                          int vectors, int64_t n) {
    vec folded[PANEL];
    for (int v = 0; v < vectors; v++) folded[v] = from_zero ? v_set1(0) : row_load(x + v * NN_WIDTH, n);
    for (int64_t row = 0; row < rows; row++, x += inner)
        for (int v = 0; v < vectors; v++) folded[v] = op(folded[v], row_load(x + v * NN_WIDTH, n));
    for (int v = 0; v < vectors; v++) row_store(out + v * NN_WIDTH, folded[v], n);
}

/* out[i] = x[0,i] op x[1,i] op ..., in this order */
NN_INLINE void fold_columns(vec (*op)(vec, vec), bool from_zero, real *out, const real *x, int64_t rows, int64_t inner,
                            int64_t width) {
    int64_t i = 0;
    for (; i + PANEL * NN_WIDTH <= width; i += PANEL * NN_WIDTH)
        fold_panel(op, from_zero, out + i, x + i, rows, inner, PANEL, NN_WIDTH);
    for (; i + NN_WIDTH <= width; i += NN_WIDTH) fold_panel(op, from_zero, out + i, x + i, rows, inner, 1, NN_WIDTH);
    if (i < width) fold_panel(op, from_zero, out + i, x + i, rows, inner, 1, width - i);
}
static void sum_columns(real *out, const real *x, int64_t rows, int64_t inner, int64_t width) {
    fold_columns(row_add, true, out, x, rows, inner, width);
}
NN_INLINE vec add_square(vec sum, vec x) { return v_fma(x, x, sum); }
static void square_columns(real *out, const real *x, int64_t rows, int64_t inner, int64_t width) {
    fold_columns(add_square, true, out, x, rows, inner, width);
}
static void max_columns(real *out, const real *x, int64_t rows, int64_t inner, int64_t width) {
    fold_columns(v_max, false, out, x, rows, inner, width);
}
static void min_columns(real *out, const real *x, int64_t rows, int64_t inner, int64_t width) {
    fold_columns(v_min, false, out, x, rows, inner, width);
}
#else
NN_INLINE void fold_rows(real (*op)(real, real), bool from_zero, real *restrict y, const real *x, int64_t count,
                         int64_t n) {
    for (int64_t row = 0; row < count; row++, x += n) {
        real folded = from_zero ? 0 : x[0];
        for (int64_t i = 0; i < n; i++) folded = op(folded, x[i]);
        y[row] = folded;
    }
}
static void sum_rows(real *y, const real *x, int64_t count, int64_t n) { fold_rows(add, true, y, x, count, n); }
static void max_rows(real *y, const real *x, int64_t count, int64_t n) { fold_rows(larger, false, y, x, count, n); }
static void min_rows(real *y, const real *x, int64_t count, int64_t n) { fold_rows(smaller, false, y, x, count, n); }

NN_INLINE void fold_columns(real (*op)(real, real), bool from_zero, real *restrict out, const real *x, int64_t rows,
                            int64_t inner, int64_t width) {
    for (int64_t i = 0; i < width; i++) out[i] = from_zero ? 0 : x[i];
    for (int64_t row = 0; row < rows; row++, x += inner)
        for (int64_t i = 0; i < width; i++) out[i] = op(out[i], x[i]);
}
static void sum_columns(real *out, const real *x, int64_t rows, int64_t inner, int64_t width) {
    fold_columns(add, true, out, x, rows, inner, width);
}
static void max_columns(real *out, const real *x, int64_t rows, int64_t inner, int64_t width) {
    fold_columns(larger, false, out, x, rows, inner, width);
}
static void min_columns(real *out, const real *x, int64_t rows, int64_t inner, int64_t width) {
    fold_columns(smaller, false, out, x, rows, inner, width);
}
#endif

NN_INLINE void fold_pair(real (*op)(real, real), real *restrict left, const real *restrict right, int64_t width) {
    for (int64_t i = 0; i < width; i++) left[i] = op(left[i], right[i]);
}

/* ---- the tree over chunks ---- */
typedef struct {
    void (*rows)(real *y, const real *x, int64_t count, int64_t n); /* n up to a chunk */
    void (*columns)(real *out, const real *x, int64_t rows, int64_t inner, int64_t width);
    void (*pair)(real *left, const real *right, int64_t width);
} fold;

static void sum_pair(real *left, const real *right, int64_t width) { fold_pair(add, left, right, width); }
static void max_pair(real *left, const real *right, int64_t width) { fold_pair(larger, left, right, width); }
static void min_pair(real *left, const real *right, int64_t width) { fold_pair(smaller, left, right, width); }
static const fold fold_sum = {sum_rows, sum_columns, sum_pair};
#if NN_IS_FLOAT
static const fold fold_squares = {square_rows, square_columns, sum_pair};
#endif
static const fold fold_max = {max_rows, max_columns, max_pair};
static const fold fold_min = {min_rows, min_columns, min_pair};

/* `width` neighbouring outputs: x is their first element, rows are `inner` apart. */
typedef struct {
    const fold *fold;
    const real *x;
    int64_t n, inner, width;
} item;

static int64_t chunk_size(int64_t inner) { return inner == 1 ? NN_CHUNK : NN_KC; }

static void fold_chunk(const item *it, int64_t chunk, real *out) {
    const int64_t size = chunk_size(it->inner), begin = chunk * size;
    const int64_t n = it->n - begin < size ? it->n - begin : size;
    if (it->inner == 1)
        it->fold->rows(out, it->x + begin, 1, n);
    else
        it->fold->columns(out, it->x + begin * it->inner, n, it->inner, it->width);
}

/* The stack holds subtrees, widths apart; leaf `index` was pushed last. Join the subtrees that are complete. */
static int64_t join(const item *it, real *stack, int64_t depth, int64_t index) {
    for (; index & 1; index >>= 1, depth--)
        it->fold->pair(stack + (depth - 2) * it->width, stack + (depth - 1) * it->width, it->width);
    return depth;
}

static void join_rest(const item *it, real *stack, int64_t depth) {
    for (; depth > 1; depth--)
        it->fold->pair(stack + (depth - 2) * it->width, stack + (depth - 1) * it->width, it->width);
}

/* Fold chunks begin .. end into stack[0 .. width). */
static void fold_chunks(const item *it, int64_t begin, int64_t end, real *stack) {
    int64_t depth = 0;
    for (int64_t chunk = begin; chunk < end; chunk++) {
        fold_chunk(it, chunk, stack + depth * it->width);
        depth = join(it, stack, depth + 1, chunk - begin);
    }
    join_rest(it, stack, depth);
}

/* ---- all outputs ---- */
typedef struct {
    const fold *fold;
    const real *x;
    int64_t outer, n, inner;
} reduction;

static int64_t blocks_of(int64_t inner) { return (inner + BLOCK - 1) / BLOCK; }

/* Item i, and where its output begins. */
static item item_at(const reduction *r, int64_t i, int64_t *output) {
    const int64_t blocks = blocks_of(r->inner), o = i / blocks, first = i % blocks * BLOCK;
    *output = o * r->inner + first;
    return (item){r->fold, r->x + o * r->n * r->inner + first, r->n, r->inner,
                  r->inner - first < BLOCK ? r->inner - first : BLOCK};
}

/* Items are many: each is one rank's. */
static void share_items(const reduction *r, real *y, int64_t items, int64_t chunks, const nn_team *team, int rank) {
    int64_t begin, end, output;
    nn_share(items, 1, team, rank, &begin, &end);
    if (chunks == 1 && r->inner == 1) {
        r->fold->rows(y + begin, r->x + begin * r->n, end - begin, r->n);
        return;
    }
    for (int64_t i = begin; i < end; i++) {
        const item it = item_at(r, i, &output);
        if (chunks == 1) {
            fold_chunk(&it, 0, y + output);
        } else {
            real *stack = nn_scratch(team, rank);
            fold_chunks(&it, 0, chunks, stack);
            memcpy(y + output, stack, (size_t)it.width * sizeof(real));
        }
    }
}

/* Where part p of `parts` is kept: in the scratch memory of the rank that folds it. */
static real *part_at(int64_t p, int64_t parts, const nn_team *team) {
    int64_t begin, end;
    for (int rank = 0;; rank++) {
        nn_share(parts, 1, team, rank, &begin, &end);
        if (p < end) return (real *)nn_scratch(team, rank) + (MAX_DEPTH + p - begin) * BLOCK;
    }
}

/* Items are few: groups of 2^k chunks of each are shared, then folded. */
static void share_groups(const reduction *r, real *y, int64_t items, int64_t chunks, const nn_team *team, int rank) {
    const int64_t wanted = (GROUPS_PER_RANK * team->size + items - 1) / items;
    int64_t group = 1, begin, end, output;
    while ((chunks + group - 1) / group > wanted) group *= 2;
    const int64_t groups = (chunks + group - 1) / group;
    real *stack = nn_scratch(team, rank);

    nn_share(items * groups, 1, team, rank, &begin, &end);
    for (int64_t p = begin; p < end; p++) {
        const item it = item_at(r, p / groups, &output);
        const int64_t first = p % groups * group;
        fold_chunks(&it, first, first + group < chunks ? first + group : chunks, stack);
        memcpy(part_at(p, items * groups, team), stack, (size_t)it.width * sizeof(real));
    }
    nn_barrier(team);

    nn_share(items, 1, team, rank, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        const item it = item_at(r, i, &output);
        int64_t depth = 0;
        for (int64_t g = 0; g < groups; g++) {
            const real *part = part_at(i * groups + g, items * groups, team);
            memcpy(stack + depth * it.width, part, (size_t)it.width * sizeof(real));
            depth = join(&it, stack, depth + 1, g);
        }
        join_rest(&it, stack, depth);
        memcpy(y + output, stack, (size_t)it.width * sizeof(real));
    }
}

static void reduce(const reduction *r, real *y, const nn_team *team, int rank) {
    const int64_t items = r->outer * blocks_of(r->inner), size = chunk_size(r->inner);
    const int64_t chunks = r->n > size ? (r->n + size - 1) / size : 1;
    if (items == 0) return;
    if (chunks == 1 || team->size == 1 || items >= 2 * team->size)
        share_items(r, y, items, chunks, team, rank);
    else
        share_groups(r, y, items, chunks, team, rank);
}

NN_DEFINE(sum) {
    const nn_sum_args *a = args;
    reduce(&(reduction){&fold_sum, a->x, a->outer, a->n, a->inner}, a->y, team, rank);
}

#if NN_IS_FLOAT
NN_DEFINE(mean) {
    const nn_mean_args *a = args;
    reduce(&(reduction){&fold_sum, a->x, a->outer, a->n, a->inner}, a->y, team, rank);
    nn_barrier(team);
    int64_t i, end;
    nn_share(a->outer * a->inner, NN_LANES, team, rank, &i, &end);
    for (; i < end; i++) ((real *)a->y)[i] /= (real)a->n;
}

NN_DEFINE(sum_squares) {
    const nn_sum_squares_args *a = args;
    reduce(&(reduction){&fold_squares, a->x, a->outer, a->n, a->inner}, a->y, team, rank);
}
#endif

NN_DEFINE(max) {
    const nn_max_args *a = args;
    reduce(&(reduction){&fold_max, a->x, a->outer, a->n, a->inner}, a->y, team, rank);
}

NN_DEFINE(min) {
    const nn_min_args *a = args;
    reduce(&(reduction){&fold_min, a->x, a->outer, a->n, a->inner}, a->y, team, rank);
}

/* ---- argmax, argmin ---- */
static inline bool beats_max(real x, real best) { return (x > best) | (is_nan(x) & !is_nan(best)); }
static inline bool beats_min(real x, real best) { return (x < best) | (is_nan(x) & !is_nan(best)); }

/* The first position of value, which is there. */
#if NN_IS_FLOAT
NN_INLINE vmask is_value(vec v, real value) { /* a NaN is there only if value is one */
    return v_or(v_eq(v, v_set1(value)), v_isnan(v));
}
static int64_t find(real value, const real *x, int64_t n) {
    int64_t i = 0;
    for (; i + 4 * NN_WIDTH <= n; i += 4 * NN_WIDTH) { /* where they stand is a guess: guess seldom */
        vmask found = is_value(v_load(x + i), value);
        for (int k = 1; k < 4; k++) found = v_or(found, is_value(v_load(x + i + k * NN_WIDTH), value));
        if (v_any(found)) break;
    }
    for (;; i += NN_WIDTH) {
        const vmask found = is_value(row_load(x + i, n - i < NN_WIDTH ? n - i : NN_WIDTH), value);
        if (v_any(found)) return i + v_first_of(found);
    }
}
#else
static int64_t find(real value, const real *x, int64_t n) {
    int64_t i = 0;
    while (i < n - 1 && x[i] != value) i++;
    return i;
}
#endif

/* Finds the chunk first, so that memory is read once. */
NN_INLINE int64_t find_in_row(bool (*beats)(real, real), const item *it, real *found) {
    int64_t chunk = 0;
    real best, value;
    it->fold->rows(&best, it->x, 1, it->n < NN_CHUNK ? it->n : NN_CHUNK);
    for (int64_t begin = NN_CHUNK; begin < it->n; begin += NN_CHUNK) {
        it->fold->rows(&value, it->x + begin, 1, it->n - begin < NN_CHUNK ? it->n - begin : NN_CHUNK);
        if (!beats(value, best)) continue;
        best = value;
        chunk = begin;
    }
    *found = best;
    return chunk + find(best, it->x + chunk, it->n - chunk);
}

NN_INLINE void find_columns(bool (*beats)(real, real), int64_t *restrict y, real *restrict best, const real *x,
                            int64_t n, int64_t inner, int64_t width) {
    for (int64_t i = 0; i < width; i++) {
        best[i] = x[i];
        y[i] = 0;
    }
    for (int64_t row = 1; row < n; row++) {
        x += inner;
        for (int64_t i = 0; i < width; i++) {
            const bool better = beats(x[i], best[i]);
            best[i] = better ? x[i] : best[i];
            y[i] = better ? row : y[i];
        }
    }
}

/* Rows of one chunk: the extremes of several rows, then where they are. */
static void find_in_rows(const fold *f, const real *x, int64_t count, int64_t n, int64_t *y, real *values) {
    real best[ROWS];
    for (int64_t row = 0; row < count; row += ROWS) {
        const int64_t together = count - row < ROWS ? count - row : ROWS;
        f->rows(best, x + row * n, together, n);
        for (int64_t i = 0; i < together; i++) y[row + i] = find(best[i], x + (row + i) * n, n);
        if (values) memcpy(values + row, best, (size_t)together * sizeof(real));
    }
}

/* values: NULL if nobody wants them */
NN_INLINE void find_all(bool (*beats)(real, real), const reduction *r, int64_t *y, real *values, const nn_team *team,
                        int rank) {
    int64_t begin, end, output;
    nn_share(r->outer * blocks_of(r->inner), 1, team, rank, &begin, &end);
    if (r->inner == 1 && r->n <= NN_CHUNK) {
        find_in_rows(r->fold, r->x + begin * r->n, end - begin, r->n, y + begin, values ? values + begin : NULL);
        return;
    }
    for (int64_t i = begin; i < end; i++) {
        const item it = item_at(r, i, &output);
        real *best = values ? values + output : nn_scratch(team, rank);
        if (it.inner == 1)
            y[output] = find_in_row(beats, &it, best);
        else
            find_columns(beats, y + output, best, it.x, it.n, it.inner, it.width);
    }
}

NN_DEFINE(argmax) {
    const nn_argmax_args *a = args;
    find_all(beats_max, &(reduction){&fold_max, a->x, a->outer, a->n, a->inner}, a->y, NULL, team, rank);
}

NN_DEFINE(argmin) {
    const nn_argmin_args *a = args;
    find_all(beats_min, &(reduction){&fold_min, a->x, a->outer, a->n, a->inner}, a->y, NULL, team, rank);
}

NN_DEFINE(max_along) {
    const nn_max_along_args *a = args;
    find_all(beats_max, &(reduction){&fold_max, a->x, a->outer, a->n, a->inner}, a->index, a->y, team, rank);
}

NN_DEFINE(min_along) {
    const nn_min_along_args *a = args;
    find_all(beats_min, &(reduction){&fold_min, a->x, a->outer, a->n, a->inner}, a->index, a->y, team, rank);
}
