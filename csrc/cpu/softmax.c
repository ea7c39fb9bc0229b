/* softmax:     y = exp(x - max) / sum exp(x - max);      dx = y (dy - sum(dy y))
 * log_softmax: y = x - max - log(sum exp(x - max));      dx = dy - exp(y) sum(dy)
 *
 * Shapes: x, y, dx, dy (rows, cols), over the rows; for softmax_columns and log_softmax_columns (outer, n, inner), over
 *   the middle axis.
 * Parallel: over rows; over panels of columns.
 * Numerics: sums of a row go through the lanes of row.h, sums of a column in chunks of NN_KC rows, ascending from zero,
 *   which are added pairwise; all in `real`. Softmax multiplies by 1 / sum, both rounded: exp(x - logsumexp) would
 *   carry the rounding error of the logarithm. No finite input overflows. A row with a NaN or +inf, or of -inf alone,
 *   gives NaN throughout; single -inf give probability 0, log-probability -inf.
 * Source: Blanchard, Higham & Higham, Accurately computing the log-sum-exp and softmax functions, IMA J. Numer. Anal.
 *   41 (2021).
 */
#include "exp_row.h"

/* ---- rows ---- */
NN_INLINE real *out_at(const exp_rows *r, int64_t row, int64_t i) { return r->out + row * r->cols + i; }
NN_INLINE vec x_at(const exp_rows *r, int64_t row, int64_t i, int64_t n) {
    return row_load(r->x + row * r->cols + i, n);
}
NN_INLINE vec y_at(const exp_rows *r, int64_t row, int64_t i, int64_t n) {
    return row_load(r->y + row * r->cols + i, n);
}

NN_INLINE void scale(const void *rows, int64_t row, int64_t i, int64_t n) {
    const exp_rows *r = rows;
    row_store(out_at(r, row, i), load_exp(r, row, i, n) * r->sum[row], n);
}

NN_INLINE void store_log(const void *rows, int64_t row, int64_t i, int64_t n) {
    const exp_rows *r = rows;
    row_store(out_at(r, row, i), x_at(r, row, i, n) - r->shift[row] - r->sum[row], n);
}

/* gradients: x is dy */
NN_INLINE vec dot_step(const void *rows, int64_t row, int64_t i, int64_t n, vec accumulator) {
    return v_fma(x_at(rows, row, i, n), y_at(rows, row, i, n), accumulator);
}

NN_INLINE vec sum_dy_step(const void *rows, int64_t row, int64_t i, int64_t n, vec accumulator) {
    return accumulator + x_at(rows, row, i, n);
}

NN_INLINE void store_dx(const void *rows, int64_t row, int64_t i, int64_t n) {
    const exp_rows *r = rows;
    row_store(out_at(r, row, i), y_at(r, row, i, n) * (x_at(r, row, i, n) - r->sum[row]), n);
}

NN_INLINE void store_log_dx(const void *rows, int64_t row, int64_t i, int64_t n) {
    const exp_rows *r = rows;
    row_store(out_at(r, row, i), x_at(r, row, i, n) - nnv_exp(y_at(r, row, i, n)) * r->sum[row], n);
}

NN_DEFINE(softmax_forward) {
    const nn_softmax_forward_args *a = args;
    real shift[ROW_BLOCK], sum[ROW_BLOCK];
    exp_rows r = {.cols = a->cols, .shift = shift, .sum = sum};
    int64_t row, end, count;
    nn_share(a->rows, 1, team, rank, &row, &end);
    for (; row < end && r.cols > 0; row += count) {
        r.x = (const real *)a->x + row * r.cols;
        r.out = (real *)a->y + row * r.cols;
        count = row_block(r.cols, end - row);
        place_exp(&r, team, rank);
        find_shifts(&r, count);
        row_sums(r.sum, store_exp_step, &r, count, r.cols);
        for (int64_t i = 0; i < count; i++) r.sum[i] = 1 / r.sum[i];
        for (int64_t i = 0; i < count; i++) row_each(scale, &r, i, r.cols);
    }
}

NN_DEFINE(log_softmax_forward) {
    const nn_log_softmax_forward_args *a = args;
    real shift[ROW_BLOCK], sum[ROW_BLOCK];
    exp_rows r = {.cols = a->cols, .shift = shift, .sum = sum};
    int64_t row, end, count;
    nn_share(a->rows, 1, team, rank, &row, &end);
    for (; row < end && r.cols > 0; row += count) {
        r.x = (const real *)a->x + row * r.cols;
        r.out = (real *)a->y + row * r.cols;
        count = row_block(r.cols, end - row);
        find_shifts(&r, count);
        row_sums(r.sum, sum_exp_step, &r, count, r.cols);
        row_logs(r.sum, r.sum, count);
        for (int64_t i = 0; i < count; i++) row_each(store_log, &r, i, r.cols);
    }
}

NN_INLINE void backward_rows(row_step add, row_action store, real *dx, const real *dy, const real *y, int64_t rows,
                             int64_t cols, const nn_team *team, int rank) {
    real sum[ROW_BLOCK];
    exp_rows r = {.cols = cols, .sum = sum};
    int64_t row, end, count;
    nn_share(rows, 1, team, rank, &row, &end);
    for (; row < end; row += count) {
        r.x = dy + row * cols;
        r.y = y + row * cols;
        r.out = dx + row * cols;
        count = row_block(4 * cols, end - row); /* few, unless short: memory takes the time */
        row_sums(r.sum, add, &r, count, cols);
        for (int64_t i = 0; i < count; i++) row_each(store, &r, i, cols);
    }
}

NN_DEFINE(softmax_backward) {
    const nn_softmax_backward_args *a = args;
    backward_rows(dot_step, store_dx, a->dx, a->dy, a->y, a->rows, a->cols, team, rank);
}

NN_DEFINE(log_softmax_backward) {
    const nn_log_softmax_backward_args *a = args;
    backward_rows(sum_dy_step, store_log_dx, a->dx, a->dy, a->y, a->rows, a->cols, team, rank);
}
