/* Batch norm: y = epilogue(xhat * weight + bias), xhat = (x - mean) * rstd, rstd = 1 / sqrt(var + eps), per channel.
 *   dx = rstd * weight * (dy - mean(dy) - xhat * mean(dy * xhat)), the means over the rows; with fixed mean and rstd
 *   (training = 0) dx = rstd * weight * dy;  dweight = sum dy * xhat;  dbias = sum dy.
 *
 * Shapes: x, y, dx, dy (rows, C), rows being every position of every image; all others (C,). weight and bias may be
 *   absent (1 and 0).
 * Parallel: statistics over chunks of rows, then over channels (row_terms.h); y and dx over rows.
 * Numerics: each chunk's sum first, then its squared deviations from its own mean, while it is in the cache; two chunks
 *   a and b together deviate by M_a + M_b + (mean_b - mean_a)^2 n_a n_b / (n_a + n_b), added up pairwise like the sums.
 *   The variance is biased; the running variance takes it times rows / (rows - 1) where `unbiased`. IEEE square root
 *   and division. A NaN stays in its channel.
 * Source: Ioffe and Szegedy, "Batch Normalization", arXiv:1502.03167 (2015); Chan, Golub and LeVeque, "Updating
 * Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979).
 */
#include "epilogue.h"
#include "row_terms.h"

/* ---- forward ---- */
/* Up to NN_COLUMN_VECTORS registers of columns, from col on, and what their chunk is measured from. */
typedef struct {
    const real *x;
    int64_t C, col;
    real center[NN_COLUMN_VECTORS * NN_WIDTH];
} deviations;

NN_INLINE void value_term(const void *context, int64_t row, int64_t col, int64_t n, vec terms[2]) {
    const deviations *d = context;
    terms[0] = row_load(d->x + row * d->C + col, n);
}

NN_INLINE void squared_deviation_term(const void *context, int64_t row, int64_t col, int64_t n, vec terms[2]) {
    const deviations *d = context;
    const vec deviation = row_load(d->x + row * d->C + col, n) - row_load(d->center + col - d->col, n);
    terms[0] = deviation * deviation;
}

/* Sum and squared deviations of a chunk in columns left .. of the panel, into row_partial(panel, chunk, 0) and (.., 1).
 */
NN_INLINE void column_statistics(const real *x, int64_t C, const row_panel *panel, int64_t chunk, int64_t left,
                                 const int vectors, int64_t n) {
    const int64_t begin = chunk * panel->chunk_rows, end = row_chunk_end(panel, chunk);
    deviations d = {.x = x, .C = C, .col = panel->col + left};
    row_panel squares = *panel;
    squares.partial = row_partial(panel, 0, 1);
    row_chunk_columns(value_term, 1, &d, panel, chunk, left, vectors, n);
    const real *sum = row_partial(panel, chunk, 0) + left;
    for (int64_t i = 0; i < (vectors - 1) * NN_WIDTH + n; i++) d.center[i] = sum[i] / (real)(end - begin);
    row_chunk_columns(squared_deviation_term, 1, &d, &squares, chunk, left, vectors, n);
}

static void chunk_statistics(const real *x, int64_t C, const row_panel *panel, int64_t chunk) {
    int64_t left = 0;
    for (; left + NN_COLUMN_VECTORS * NN_WIDTH <= panel->width; left += NN_COLUMN_VECTORS * NN_WIDTH)
        column_statistics(x, C, panel, chunk, left, NN_COLUMN_VECTORS, NN_WIDTH);
    for (; left + NN_WIDTH <= panel->width; left += NN_WIDTH) column_statistics(x, C, panel, chunk, left, 1, NN_WIDTH);
    if (left < panel->width) column_statistics(x, C, panel, chunk, left, 1, panel->width - left);
}

/* After a barrier: unites the chunks in columns begin .. end-1 of the panel; the result stands in chunk 0. */
static void unite_statistics(const row_panel *panel, int64_t begin, int64_t end) {
    for (int64_t step = 1; step < panel->chunks; step *= 2)
        for (int64_t chunk = 0; chunk + step < panel->chunks; chunk += 2 * step) {
            const int64_t other = chunk + step, next = other + step < panel->chunks ? other + step : panel->chunks;
            const real rows_a = (real)(step * panel->chunk_rows);
            const real rows_b = (real)(row_chunk_end(panel, next - 1) - other * panel->chunk_rows);
            const real factor = rows_a * rows_b / (rows_a + rows_b);
            real *restrict sum_a = row_partial(panel, chunk, 0), *restrict squares_a = row_partial(panel, chunk, 1);
            const real *restrict sum_b = row_partial(panel, other, 0), *restrict squares_b =
                                                                           row_partial(panel, other, 1);
            for (int64_t i = begin; i < end; i++) {
                const real apart = sum_b[i] / rows_b - sum_a[i] / rows_a;
                squares_a[i] += squares_b[i] + apart * apart * factor;
                sum_a[i] += sum_b[i];
            }
        }
}

/* running = (1 - momentum) * running + momentum * batch */
NN_INLINE void update_running(real *running, double momentum, real batch) {
    *running = (real)(1 - momentum) * *running + (real)momentum * batch;
}

NN_INLINE void normalise(const nn_normalisation *c, const real *x, real *y, int64_t i, int64_t n) {
    row_store(y + i, nn_normalise(c, row_load(x + i, n), row_load(c->rstd + i, n), i, n), n);
}

/* y of this rank's rows, `width` columns of `cols`, and what comes after while a block of them is in the cache */
static void normalise_rows(const nn_normalisation *c, const nn_epilogue *after, const real *x, real *y, int64_t rows,
                           int64_t cols, int64_t width, const nn_team *team, int rank) {
    const int64_t block = width > 0 ? NN_CHUNK / width + 1 : rows;
    int64_t row, end;
    nn_share(rows, 1, team, rank, &row, &end);
    while (row < end) {
        const int64_t first = row, last = end - row < block ? end : row + block;
        for (; row < last; row++) {
            int64_t i = 0;
            for (; i + NN_WIDTH <= width; i += NN_WIDTH) normalise(c, x + row * cols, y + row * cols, i, NN_WIDTH);
            if (i < width) normalise(c, x + row * cols, y + row * cols, i, width - i);
        }
        if (after) nn_finish_rows(after, y + first * cols, last - first, width, cols, 0);
    }
}

NN_DEFINE(batch_norm_forward) {
    const nn_batch_norm_forward_args *a = args;
    real *mean = a->mean, *rstd = a->rstd, *running_mean = a->running_mean, *running_var = a->running_var;
    const real rows = (real)a->rows;
    for (int64_t left = 0; left < a->C; left += NN_PANEL) {
        const row_panel panel = row_panel_at(left, a->rows, a->C, team);
        int64_t begin, end;
        nn_share(panel.width, NN_LANES, team, rank, &begin, &end);
        int64_t chunk, last;
        nn_share(panel.chunks, 1, team, rank, &chunk, &last);
        for (; chunk < last; chunk++) chunk_statistics(a->x, a->C, &panel, chunk);
        nn_barrier(team);
        unite_statistics(&panel, begin, end);
        for (int64_t i = begin; i < end; i++) {
            const real variance = row_partial(&panel, 0, 1)[i] / rows;
            mean[left + i] = row_partial(&panel, 0, 0)[i] / rows;
            rstd[left + i] = 1 / V_LIBM(sqrt)(variance + (real)a->eps);
            if (running_mean) update_running(running_mean + left + i, a->momentum, mean[left + i]);
            if (running_var)
                update_running(running_var + left + i, a->momentum,
                               a->unbiased ? variance * (rows / (rows - 1)) : variance);
        }
        nn_barrier(team);
    }
    const nn_normalisation columns = {mean, rstd, a->weight, a->bias};
    const nn_epilogue after = {.c = a->y, .addend = a->addend, .activation = a->activation};
    normalise_rows(&columns, nn_if_any(&after), a->x, a->y, a->rows, a->C, a->C, team, rank);
}

NN_DEFINE(batch_norm_inference) {
    const nn_batch_norm_inference_args *a = args;
    const real *variance = a->running_var, *weight = a->weight, *bias = a->bias;
    const nn_epilogue after = {.c = a->y, .addend = a->addend, .activation = a->activation};
    real *rstd = nn_scratch(team, rank);
    for (int64_t left = 0; left < a->C; left += NN_PANEL) {
        const int64_t width = a->C - left < NN_PANEL ? a->C - left : NN_PANEL;
        for (int64_t i = 0; i < width; i++) rstd[i] = 1 / V_LIBM(sqrt)(variance[left + i] + (real)a->eps);
        const nn_normalisation columns = {(const real *)a->running_mean + left, rstd, weight ? weight + left : NULL,
                                          bias ? bias + left : NULL};
        normalise_rows(&columns, nn_if_any(&after), (const real *)a->x + left, (real *)a->y + left, a->rows, a->C,
                       width, team, rank);
    }
}

/* ---- backward ---- */
NN_INLINE vec xhat(const nn_batch_norm_backward_args *a, int64_t row, int64_t col, int64_t n) {
    return (row_load((const real *)a->x + row * a->C + col, n) - row_load((const real *)a->mean + col, n)) *
           row_load((const real *)a->rstd + col, n);
}

/* dy and dy * xhat */
NN_INLINE void gradient_terms(const void *args, int64_t row, int64_t col, int64_t n, vec terms[2]) {
    const nn_batch_norm_backward_args *a = args;
    terms[0] = row_load((const real *)a->dy + row * a->C + col, n);
    terms[1] = terms[0] * xhat(a, row, col, n);
}

/* dx of one row in the panel's column i on; mean_dy and mean_dy_xhat start at the panel. */
NN_INLINE void store_dx(const nn_batch_norm_backward_args *a, const row_panel *panel, int64_t row, int64_t i,
                        int64_t n) {
    const real *mean_dy = row_partial(panel, 0, 0), *mean_dy_xhat = row_partial(panel, 0, 1);
    const int64_t col = panel->col + i, at = row * a->C + col;
    vec v = row_load((const real *)a->dy + at, n);
    if (a->training) v = v - row_load(mean_dy + i, n) - xhat(a, row, col, n) * row_load(mean_dy_xhat + i, n);
    v *= row_load((const real *)a->rstd + col, n);
    if (a->weight) v *= row_load((const real *)a->weight + col, n);
    row_store((real *)a->dx + at, v, n);
}

NN_DEFINE(batch_norm_backward) {
    const nn_batch_norm_backward_args *a = args;
    const bool sums = a->dweight || a->dbias || a->training;
    for (int64_t left = 0; left < a->C; left += NN_PANEL) {
        const row_panel panel = row_panel_at(left, a->rows, a->C, team);
        if (sums) {
            real *sum_dy = row_partial(&panel, 0, 0), *sum_dy_xhat = row_partial(&panel, 0, 1);
            int64_t begin, end;
            nn_share(panel.width, NN_LANES, team, rank, &begin, &end);
            row_chunks_terms(gradient_terms, 2, a, &panel, team, rank);
            nn_barrier(team);
            row_total(&panel, 2, begin, end);
            for (int64_t i = begin; i < end; i++) {
                if (a->dbias) ((real *)a->dbias)[left + i] = sum_dy[i];
                if (a->dweight) ((real *)a->dweight)[left + i] = sum_dy_xhat[i];
                sum_dy[i] /= (real)a->rows;
                sum_dy_xhat[i] /= (real)a->rows;
            }
            nn_barrier(team);
        }
        int64_t row, end;
        nn_share(a->dx ? a->rows : 0, 1, team, rank, &row, &end);
        for (; row < end; row++) {
            int64_t i = 0;
            for (; i + NN_WIDTH <= panel.width; i += NN_WIDTH) store_dx(a, &panel, row, i, NN_WIDTH);
            if (i < panel.width) store_dx(a, &panel, row, i, panel.width - i);
        }
        if (sums) nn_barrier(team);
    }
}
