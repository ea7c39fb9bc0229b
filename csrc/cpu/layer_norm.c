/* Layer norm and RMS norm, which is layer norm with a mean of 0 and no bias.
 * Layer norm: y = xhat * weight + bias, xhat = (x - mean) * rstd, rstd = 1 / sqrt(var + eps), per row.
 *   dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), g = dy * weight;  dweight = sum dy * xhat;  dbias = sum dy.
 * RMS norm: xhat = x * rstd, rstd = 1 / sqrt(mean(x^2) + eps), and dx without mean(g).
 *
 * Shapes: x, y, dx, dy (rows, cols); mean, rstd (rows,); weight, bias, dweight, dbias (cols,), weight and bias may be
 *   absent (1 and 0).
 * Parallel: over rows; dweight and dbias over chunks of rows (row_terms.h), whose dx is computed just before, while the
 *   rows are in cache.
 * Numerics: mean, then the biased variance as the mean of (x - mean)^2, both in the order of row.h; IEEE square root
 *   and division. A NaN stays in its row.
 * Source: Ba, Kiros and Hinton, "Layer Normalization", arXiv:1607.06450 (2016); Zhang and Sennrich, "Root Mean Square
 *   Layer Normalization", NeurIPS 2019.
 */
#include "row_terms.h"

/* A block of rows. */
typedef struct {
    const real *x, *dy, *weight, *bias;
    real *out, *mean, *rstd; /* of the block's first row on */
    int64_t cols;
} norm_rows;

/* Few rows, unless they are short: memory is what takes time, and should be read while there is something to do. */
NN_INLINE int64_t norm_block(int64_t cols, int64_t left) { return row_block(4 * cols, left); }

NN_INLINE vec deviation(const norm_rows *r, int64_t row, int64_t i, int64_t n) {
    return row_load(r->x + row * r->cols + i, n) - r->mean[row];
}

NN_INLINE vec squared_deviation(const void *rows, int64_t row, int64_t i, int64_t n, vec sum) {
    const vec d = deviation(rows, row, i, n);
    return sum + d * d;
}

NN_INLINE vec xhat_of(const norm_rows *r, int64_t row, int64_t i, int64_t n, vec mean, vec rstd) {
    return (row_load(r->x + row * r->cols + i, n) - mean) * rstd;
}

/* A row of the block, what is one number for all of it in registers: a store might change memory. */
typedef struct {
    const norm_rows *all;
    vec mean, rstd, mean_g, mean_g_xhat;
} norm_row;

NN_INLINE void normalise(const void *one, int64_t row, int64_t i, int64_t n) {
    const norm_row *o = one;
    const norm_rows *r = o->all;
    vec v = xhat_of(r, row, i, n, o->mean, o->rstd);
    if (r->weight) v *= row_load(r->weight + i, n);
    if (r->bias) v += row_load(r->bias + i, n);
    row_store(r->out + row * r->cols + i, v, n);
}

/* Without `mean` the mean is 0. */
static void forward(const nn_layer_norm_forward_args *a, const nn_team *team, int rank) {
    const real cols = (real)a->cols;
    real zeros[ROW_BLOCK] = {0};
    norm_rows r = {.weight = a->weight, .bias = a->bias, .cols = a->cols};
    int64_t row, end, count;
    nn_share(a->rows, 1, team, rank, &row, &end);
    for (; row < end; row += count) {
        r.x = (const real *)a->x + row * a->cols;
        r.out = (real *)a->y + row * a->cols;
        r.mean = a->mean ? (real *)a->mean + row : zeros;
        r.rstd = (real *)a->rstd + row;
        count = norm_block(a->cols, end - row);
        if (a->mean) {
            row_sums(r.mean, row_add_step, &(row_array){r.x, a->cols}, count, a->cols);
            for (int64_t i = 0; i < count; i++) r.mean[i] /= cols;
        }
        row_sums(r.rstd, squared_deviation, &r, count, a->cols);
        for (int64_t i = 0; i < count; i++) r.rstd[i] = 1 / V_LIBM(sqrt)(r.rstd[i] / cols + (real)a->eps);
        for (int64_t i = 0; i < count; i++)
            row_each(normalise, &(norm_row){.all = &r, .mean = v_set1(r.mean[i]), .rstd = v_set1(r.rstd[i])}, i,
                     a->cols);
    }
}

NN_DEFINE(layer_norm_forward) { forward(args, team, rank); }

NN_DEFINE(rms_norm_forward) {
    const nn_rms_norm_forward_args *a = args;
    forward(&(nn_layer_norm_forward_args){.y = a->y,
                                          .rstd = a->rstd,
                                          .x = a->x,
                                          .weight = a->weight,
                                          .eps = a->eps,
                                          .rows = a->rows,
                                          .cols = a->cols},
            team, rank);
}

/* ---- backward ---- */
NN_INLINE vec row_gradient(const norm_rows *r, int64_t row, int64_t i, int64_t n) {
    const vec dy = row_load(r->dy + row * r->cols + i, n);
    return r->weight ? dy * row_load(r->weight + i, n) : dy;
}

NN_INLINE vec add_g(const void *rows, int64_t row, int64_t i, int64_t n, vec sum) {
    return sum + row_gradient(rows, row, i, n);
}
NN_INLINE vec add_g_xhat(const void *rows, int64_t row, int64_t i, int64_t n, vec sum) {
    const norm_rows *r = rows;
    return sum + row_gradient(r, row, i, n) * xhat_of(r, row, i, n, v_set1(r->mean[row]), v_set1(r->rstd[row]));
}

NN_INLINE void store_dx(const void *one, int64_t row, int64_t i, int64_t n) {
    const norm_row *o = one;
    const norm_rows *r = o->all;
    const vec xhat = xhat_of(r, row, i, n, o->mean, o->rstd);
    const vec centred = row_gradient(r, row, i, n) - o->mean_g - xhat * o->mean_g_xhat;
    row_store(r->out + row * r->cols + i, centred * o->rstd, n);
}

static void dx_rows(const nn_layer_norm_backward_args *a, int64_t row, int64_t end) {
    const real cols = (real)a->cols;
    real zeros[ROW_BLOCK] = {0}, mean_g[ROW_BLOCK] = {0}, mean_g_xhat[ROW_BLOCK];
    norm_rows r = {.weight = a->weight, .cols = a->cols};
    for (int64_t count; row < end; row += count) {
        r.x = (const real *)a->x + row * a->cols;
        r.dy = (const real *)a->dy + row * a->cols;
        r.out = (real *)a->dx + row * a->cols;
        r.mean = a->mean ? (real *)a->mean + row : zeros;
        r.rstd = (real *)a->rstd + row;
        count = norm_block(a->cols, end - row);
        if (a->mean) row_sums(mean_g, add_g, &r, count, a->cols);
        row_sums(mean_g_xhat, add_g_xhat, &r, count, a->cols);
        for (int64_t i = 0; i < count; i++) {
            const norm_row one = {&r, v_set1(r.mean[i]), v_set1(r.rstd[i]), v_set1(mean_g[i] / cols),
                                  v_set1(mean_g_xhat[i] / cols)};
            row_each(store_dx, &one, i, a->cols);
        }
    }
}

/* dy and dy * xhat */
NN_INLINE void weight_terms(const void *args, int64_t row, int64_t col, int64_t n, vec terms[2]) {
    const nn_layer_norm_backward_args *a = args;
    const int64_t i = row * a->cols + col;
    const real mean = a->mean ? ((const real *)a->mean)[row] : 0, rstd = ((const real *)a->rstd)[row];
    terms[0] = row_load((const real *)a->dy + i, n);
    terms[1] = terms[0] * ((row_load((const real *)a->x + i, n) - mean) * rstd);
}

static void backward(const nn_layer_norm_backward_args *a, const nn_team *team, int rank) {
    const bool sums = a->dweight || a->dbias;
    for (int64_t col = 0; col < a->cols; col += NN_PANEL) {
        const row_panel panel = row_panel_at(col, a->rows, a->cols, team);
        int64_t chunk, end;
        nn_share(panel.chunks, 1, team, rank, &chunk, &end);
        for (; chunk < end; chunk++) {
            const int64_t last = (chunk + 1) * panel.chunk_rows < a->rows ? (chunk + 1) * panel.chunk_rows : a->rows;
            if (a->dx && col == 0) dx_rows(a, chunk * panel.chunk_rows, last);
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

NN_DEFINE(layer_norm_backward) { backward(args, team, rank); }

NN_DEFINE(rms_norm_backward) {
    const nn_rms_norm_backward_args *a = args;
    backward(&(nn_layer_norm_backward_args){.dx = a->dx,
                                            .dweight = a->dweight,
                                            .dy = a->dy,
                                            .x = a->x,
                                            .rstd = a->rstd,
                                            .weight = a->weight,
                                            .rows = a->rows,
                                            .cols = a->cols},
             team, rank);
}
