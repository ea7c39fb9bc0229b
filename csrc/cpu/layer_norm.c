/* Layer norm: y = xhat * weight + bias, xhat = (x - mean) * rstd, rstd = 1 / sqrt(var + eps), per row.
 *   dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), g = dy * weight;  dweight = sum dy * xhat;  dbias = sum dy.
 *
 * Shapes: x, y, dx, dy (rows, cols); mean, rstd (rows,); weight, bias, dweight, dbias (cols,), weight and bias may be
 *   absent (1 and 0).
 * Parallel: over rows; dweight and dbias over chunks of rows (row_terms.h), whose dx is computed just before, while the
 *   rows are in cache.
 * Numerics: mean, then the biased variance as the mean of (x - mean)^2, both in the order of row.h; IEEE square root
 *   and division. A NaN stays in its row.
 * Source: Ba, Kiros and Hinton, "Layer Normalization", arXiv:1607.06450 (2016).
 */
#include "row_terms.h"

typedef struct {
    const real *x;
    real mean;
} centred_row;

NN_INLINE vec squared_deviation(const void *row, int64_t i, int64_t n, vec sum) {
    const centred_row *r = row;
    const vec d = row_load(r->x + i, n) - r->mean;
    return sum + d * d;
}

NN_INLINE void normalise(const nn_layer_norm_forward_args *a, const real *x, real *y, real mean, real rstd, int64_t i,
                         int64_t n) {
    vec v = (row_load(x + i, n) - mean) * rstd;
    if (a->weight) v *= row_load((const real *)a->weight + i, n);
    if (a->bias) v += row_load((const real *)a->bias + i, n);
    row_store(y + i, v, n);
}

NN_DEFINE(layer_norm_forward) {
    const nn_layer_norm_forward_args *a = args;
    const int64_t cols = a->cols;
    real *mean = a->mean, *rstd = a->rstd;
    int64_t row, end;
    nn_share(a->rows, 1, team, rank, &row, &end);
    for (; row < end; row++) {
        const real *x = (const real *)a->x + row * cols;
        real *y = (real *)a->y + row * cols;
        mean[row] = row_sum(row_add_step, x, cols) / (real)cols;
        const centred_row centred = {x, mean[row]};
        const real variance = row_sum(squared_deviation, &centred, cols) / (real)cols;
        rstd[row] = 1 / V_LIBM(sqrt)(variance + (real)a->eps);
        int64_t i = 0;
        for (; i + NN_WIDTH <= cols; i += NN_WIDTH) normalise(a, x, y, mean[row], rstd[row], i, NN_WIDTH);
        if (i < cols) normalise(a, x, y, mean[row], rstd[row], i, cols - i);
    }
}

/* One row of the backward pass. */
typedef struct {
    const real *x, *dy, *weight;
    real mean, rstd;
} gradient_row;

NN_INLINE vec row_gradient(const gradient_row *r, int64_t i, int64_t n) {
    const vec dy = row_load(r->dy + i, n);
    return r->weight ? dy * row_load(r->weight + i, n) : dy;
}

NN_INLINE vec row_xhat(const gradient_row *r, int64_t i, int64_t n) {
    return (row_load(r->x + i, n) - r->mean) * r->rstd;
}

NN_INLINE vec add_g(const void *row, int64_t i, int64_t n, vec sum) { return sum + row_gradient(row, i, n); }
NN_INLINE vec add_g_xhat(const void *row, int64_t i, int64_t n, vec sum) {
    return sum + row_gradient(row, i, n) * row_xhat(row, i, n);
}

NN_INLINE void store_dx(const gradient_row *r, real *dx, real mean_g, real mean_g_xhat, int64_t i, int64_t n) {
    row_store(dx + i, (row_gradient(r, i, n) - mean_g - row_xhat(r, i, n) * mean_g_xhat) * r->rstd, n);
}

static void dx_row(const nn_layer_norm_backward_args *a, int64_t row) {
    const int64_t cols = a->cols;
    const gradient_row r = {(const real *)a->x + row * cols, (const real *)a->dy + row * cols, a->weight,
                            ((const real *)a->mean)[row], ((const real *)a->rstd)[row]};
    const real mean_g = row_sum(add_g, &r, cols) / (real)cols;
    const real mean_g_xhat = row_sum(add_g_xhat, &r, cols) / (real)cols;
    real *dx = (real *)a->dx + row * cols;
    int64_t i = 0;
    for (; i + NN_WIDTH <= cols; i += NN_WIDTH) store_dx(&r, dx, mean_g, mean_g_xhat, i, NN_WIDTH);
    if (i < cols) store_dx(&r, dx, mean_g, mean_g_xhat, i, cols - i);
}

/* dy and dy * xhat */
NN_INLINE void weight_terms(const void *args, int64_t row, int64_t col, int64_t n, vec terms[2]) {
    const nn_layer_norm_backward_args *a = args;
    const int64_t i = row * a->cols + col;
    const real mean = ((const real *)a->mean)[row], rstd = ((const real *)a->rstd)[row];
    terms[0] = row_load((const real *)a->dy + i, n);
    terms[1] = terms[0] * ((row_load((const real *)a->x + i, n) - mean) * rstd);
}

NN_DEFINE(layer_norm_backward) {
    const nn_layer_norm_backward_args *a = args;
    const bool sums = a->dweight || a->dbias;
    for (int64_t col = 0; col < a->cols; col += NN_PANEL) {
        const row_panel panel = row_panel_at(col, a->rows, a->cols, team);
        int64_t chunk, end;
        nn_share(panel.chunks, 1, team, rank, &chunk, &end);
        for (; chunk < end; chunk++) {
            const int64_t last = (chunk + 1) * panel.chunk_rows < a->rows ? (chunk + 1) * panel.chunk_rows : a->rows;
            for (int64_t row = chunk * panel.chunk_rows; a->dx && col == 0 && row < last; row++) dx_row(a, row);
            if (sums) row_chunk_terms(weight_terms, 2, a, &panel, chunk);
        }
        if (!sums) return;
        nn_barrier(team);
        int64_t begin;
        nn_share(panel.width, NN_LANES, team, rank, &begin, &end);
        row_total(&panel, 2, begin, end);
        const size_t bytes = (size_t)(end - begin) * sizeof(real);
        if (a->dbias) memcpy((real *)a->dbias + col + begin, row_partial(&panel, 0, 0) + begin, bytes);
        if (a->dweight) memcpy((real *)a->dweight + col + begin, row_partial(&panel, 0, 1) + begin, bytes);
        nn_barrier(team);
    }
}
