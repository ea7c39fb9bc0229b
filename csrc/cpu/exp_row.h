/* What softmax and cross-entropy share: sums of exp(x - shift) over a block of rows, in the order of row.h. */
#ifndef NN_EXP_ROW_H
#define NN_EXP_ROW_H

#include "../vecmath.h"
#include "row.h"

/* A block of rows: what is read, written, and known of each row. Exponentials that are needed twice are kept at e, rows
 * `stride` apart. */
typedef struct {
    real *out, *e;
    const real *x, *y;
    int64_t cols, stride;
    real *shift, *sum; /* of each row */
} exp_rows;

/* Chooses e: where the result will be, or for short rows scratch memory, where each row begins a cache line. A masked
 * load from the line of the last masked store would wait for it. */
NN_INLINE void place_exp(exp_rows *r, const nn_team *team, int rank) {
    const bool is_short = r->cols * ROW_BLOCK * (int)sizeof(real) <= ROW_BLOCK_BYTES;
    r->e = is_short ? nn_scratch(team, rank) : r->out;
    r->stride = is_short ? (r->cols + NN_LANES - 1) / NN_LANES * NN_LANES : r->cols;
}

NN_INLINE vec exp_shifted(const exp_rows *r, int64_t row, int64_t i, int64_t n) {
    const real *x = r->x + row * r->cols + i;
    __builtin_prefetch(x + ROW_BLOCK_BYTES / (int)sizeof(real), 0, 2); /* the next block, while there is much to do */
    return nnv_exp(row_load(x, n) - r->shift[row]);
}

/* exp(x - shift), added up */
NN_INLINE vec sum_exp_step(const void *rows, int64_t row, int64_t i, int64_t n, vec accumulator) {
    return accumulator + exp_shifted(rows, row, i, n);
}

/* e = exp(x - shift), added up */
NN_INLINE vec store_exp_step(const void *rows, int64_t row, int64_t i, int64_t n, vec accumulator) {
    const exp_rows *r = rows;
    const vec e = exp_shifted(r, row, i, n);
    row_store(r->e + row * r->stride + i, e, n);
    return accumulator + e;
}

NN_INLINE vec larger_number(vec a, vec b) { return v_at_least(b, a); }

/* shift = the largest of each row of one or more elements. Where a row has a NaN it may be any of its elements: the sum
 * is NaN either way, so the test for NaN that row_max makes is not needed. */
NN_INLINE void find_shifts(exp_rows *r, int64_t count) {
    row_extremes(r->shift, larger_number, -(real)INFINITY, r->x, count, r->cols);
}

/* y = log(x), of `count` numbers */
NN_INLINE void row_logs(real *y, const real *x, int64_t count) {
    for (int64_t i = 0; i < count; i += NN_WIDTH) {
        const int64_t n = count - i < NN_WIDTH ? count - i : NN_WIDTH;
        row_store(y + i, nnv_log(row_load(x + i, n)), n);
    }
}

NN_INLINE vec load_exp(const exp_rows *r, int64_t row, int64_t i, int64_t n) {
    return row_load(r->e + row * r->stride + i, n);
}

#endif
