/* softmax:     y = exp(x - max) / sum exp(x - max);      dx = y (dy - sum(dy y))
 * log_softmax: y = x - max - log(sum exp(x - max));      dx = dy - exp(y) sum(dy)        per row
 *
 * Shapes: x, y, dx, dy (rows, cols).
 * Parallel: over rows.
 * Numerics: sums go through the lanes of row.h, in `real`. The quotient is a division: exp(x - logsumexp) would carry
 *   the rounding error of the logarithm. No finite input overflows. A row with a NaN or +inf, or of -inf alone, gives
 *   NaN throughout; single -inf give probability 0, log-probability -inf.
 * Source: Blanchard, Higham & Higham, Accurately computing the log-sum-exp and softmax functions, IMA J. Numer. Anal.
 *   41 (2021).
 */
#include "../vecmath.h"
#include "row.h"

typedef struct {
    real *out;
    const real *x, *y; /* inputs, as the step names them */
    vec shift;
} softmax_row;

/* out = exp(x - shift), added up */
NN_INLINE vec exp_step(const void *row, int64_t i, int64_t n, vec accumulator) {
    const softmax_row *r = row;
    const vec e = nnv_exp(row_load(r->x + i, n) - r->shift);
    row_store(r->out + i, e, n);
    return accumulator + e;
}

/* exp(x - shift), added up */
NN_INLINE vec sum_exp_step(const void *row, int64_t i, int64_t n, vec accumulator) {
    const softmax_row *r = row;
    return accumulator + nnv_exp(row_load(r->x + i, n) - r->shift);
}

/* x y, added up */
NN_INLINE vec dot_step(const void *row, int64_t i, int64_t n, vec accumulator) {
    const softmax_row *r = row;
    return v_fma(row_load(r->x + i, n), row_load(r->y + i, n), accumulator);
}

NN_DEFINE(softmax_forward) {
    const nn_softmax_forward_args *a = args;
    int64_t begin, end;
    nn_share(a->rows, 1, team, rank, &begin, &end);
    if (a->cols == 0) return;
    for (int64_t row = begin; row < end; row++) {
        const real *x = (const real *)a->x + row * a->cols;
        real *y = (real *)a->y + row * a->cols;
        const softmax_row r = {.out = y, .x = x, .shift = v_set1(row_max(x, a->cols))};
        const vec sum = v_set1(row_sum(exp_step, &r, a->cols));
        for (int64_t i = 0; i < a->cols; i += NN_WIDTH) {
            const int64_t n = a->cols - i < NN_WIDTH ? a->cols - i : NN_WIDTH;
            row_store(y + i, row_load(y + i, n) / sum, n);
        }
    }
}

NN_DEFINE(softmax_backward) {
    const nn_softmax_backward_args *a = args;
    int64_t begin, end;
    nn_share(a->rows, 1, team, rank, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const real *dy = (const real *)a->dy + row * a->cols, *y = (const real *)a->y + row * a->cols;
        real *dx = (real *)a->dx + row * a->cols;
        const softmax_row r = {.x = dy, .y = y};
        const vec dot = v_set1(row_sum(dot_step, &r, a->cols));
        for (int64_t i = 0; i < a->cols; i += NN_WIDTH) {
            const int64_t n = a->cols - i < NN_WIDTH ? a->cols - i : NN_WIDTH;
            row_store(dx + i, row_load(y + i, n) * (row_load(dy + i, n) - dot), n);
        }
    }
}

NN_DEFINE(log_softmax_forward) {
    const nn_log_softmax_forward_args *a = args;
    int64_t begin, end;
    nn_share(a->rows, 1, team, rank, &begin, &end);
    if (a->cols == 0) return;
    for (int64_t row = begin; row < end; row++) {
        const real *x = (const real *)a->x + row * a->cols;
        real *y = (real *)a->y + row * a->cols;
        const softmax_row r = {.x = x, .shift = v_set1(row_max(x, a->cols))};
        const vec log_sum = nnv_log(v_set1(row_sum(sum_exp_step, &r, a->cols)));
        for (int64_t i = 0; i < a->cols; i += NN_WIDTH) {
            const int64_t n = a->cols - i < NN_WIDTH ? a->cols - i : NN_WIDTH;
            row_store(y + i, row_load(x + i, n) - r.shift - log_sum, n);
        }
    }
}

NN_DEFINE(log_softmax_backward) {
    const nn_log_softmax_backward_args *a = args;
    int64_t begin, end;
    nn_share(a->rows, 1, team, rank, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const real *dy = (const real *)a->dy + row * a->cols, *y = (const real *)a->y + row * a->cols;
        real *dx = (real *)a->dx + row * a->cols;
        const vec sum = v_set1(row_sum(row_add_step, dy, a->cols));
        for (int64_t i = 0; i < a->cols; i += NN_WIDTH) {
            const int64_t n = a->cols - i < NN_WIDTH ? a->cols - i : NN_WIDTH;
            row_store(dx + i, row_load(dy + i, n) - nnv_exp(row_load(y + i, n)) * sum, n);
        }
    }
}
