/* var:       y[o,i] = sum_n (x[o,n,i] - mean[o,i])^2 / (n - correction);  dx = dy * 2 (x - mean) / (n - correction)
 * logsumexp: y[o,i] = log(sum_n exp(x[o,n,i]))
 *
 * Shapes: x, dx (outer, n, inner); y, mean, dy (outer, inner).
 * Parallel: over blocks of rows (inner = 1, row.h) or panels of columns (column.h).
 * Numerics: two passes, each in the order of `sum`; a square is added by one fused multiply-add. With n <= correction
 *   var divides by 0. logsumexp subtracts the maximum, if that is finite: no finite input overflows, a row of -inf
 *   alone (or of nothing) gives -inf, NaN gives NaN.
 * Source: as softmax.c.
 */
#include "column.h"
#include "exp_row.h"

static real freedom(int64_t n, double correction) {
    return (double)n > correction ? (real)((double)n - correction) : 0;
}

/* ---- var, rows ---- */
typedef struct {
    const real *x, *mean;
    int64_t cols;
} centred_rows;

NN_INLINE vec add_squared_deviation(const void *rows, int64_t row, int64_t i, int64_t n, vec sum) {
    const centred_rows *r = rows;
    const vec d = row_load(r->x + row * r->cols + i, n) - r->mean[row];
    return v_fma(d, d, sum);
}

static void var_rows(const nn_var_args *a, const nn_team *team, int rank) {
    int64_t row, end, count;
    nn_share(a->outer, 1, team, rank, &row, &end);
    for (; row < end; row += count) {
        const real *x = (const real *)a->x + row * a->n;
        real *mean = (real *)a->mean + row, *y = (real *)a->y + row;
        count = row_block(a->n, end - row);
        row_sums(mean, row_add_step, &(row_array){x, a->n}, count, a->n);
        for (int64_t i = 0; i < count; i++) mean[i] /= (real)a->n;
        row_sums(y, add_squared_deviation, &(centred_rows){x, mean, a->n}, count, a->n);
        for (int64_t i = 0; i < count; i++) y[i] /= freedom(a->n, a->correction);
    }
}

/* ---- var, columns ---- */
NN_INLINE vec add_x(const column_panel *p, int64_t at, int v, vec sum) {
    (void)v;
    return sum + column_load(p, ((const nn_var_args *)p->args)->x, at);
}
NN_INLINE vec add_squared(const column_panel *p, int64_t at, int v, vec sum) {
    const vec d = column_load(p, ((const nn_var_args *)p->args)->x, at) - p->shift[v];
    return v_fma(d, d, sum);
}
NN_INLINE void var_panel(column_panel *p) {
    const nn_var_args *a = p->args;
    column_sums(p, p->shift, add_x);
    for (int v = 0; v < p->vectors; v++) p->shift[v] /= (real)a->n;
    column_sums(p, p->sum, add_squared);
    for (int v = 0; v < p->vectors; v++) {
        column_store(p, a->mean, p->output + v * NN_WIDTH, p->shift[v]);
        column_store(p, a->y, p->output + v * NN_WIDTH, p->sum[v] / freedom(a->n, a->correction));
    }
}

NN_DEFINE(var) {
    const nn_var_args *a = args;
    if (a->inner == 1)
        var_rows(a, team, rank);
    else
        column_each(var_panel, a, a->outer, a->n, a->inner, team, rank);
}

typedef struct {
    real *dx;
    const real *x;
    int64_t cols;
    vec mean, slope;
} var_row;

NN_INLINE void var_slope(const void *rows, int64_t row, int64_t i, int64_t n) {
    const var_row *r = rows;
    const int64_t at = row * r->cols + i;
    row_store(r->dx + at, r->slope * (row_load(r->x + at, n) - r->mean), n);
}
NN_INLINE void var_dx_panel(column_panel *p) {
    const nn_var_backward_args *a = p->args;
    for (int v = 0; v < p->vectors; v++) {
        p->shift[v] = column_load(p, a->mean, p->output + v * NN_WIDTH);
        p->sum[v] = column_load(p, a->dy, p->output + v * NN_WIDTH) * (2 / freedom(a->n, a->correction));
    }
    for (int64_t row = 0; row < p->rows; row++)
        for (int v = 0; v < p->vectors; v++) {
            const int64_t at = column_at(p, row, v);
            column_store(p, a->dx, at, p->sum[v] * (column_load(p, a->x, at) - p->shift[v]));
        }
}

NN_DEFINE(var_backward) {
    const nn_var_backward_args *a = args;
    if (a->inner != 1) {
        column_each(var_dx_panel, a, a->outer, a->n, a->inner, team, rank);
        return;
    }
    var_row r = {.dx = a->dx, .x = a->x, .cols = a->n};
    int64_t row, end;
    nn_share(a->outer, 1, team, rank, &row, &end);
    for (; row < end; row++) {
        r.mean = v_set1(((const real *)a->mean)[row]);
        r.slope = v_set1(((const real *)a->dy)[row] * (2 / freedom(a->n, a->correction)));
        row_each(var_slope, &r, row, a->n);
    }
}

/* ---- logsumexp ---- */
NN_INLINE vec finite_or_zero(vec x) { return v_select(v_lt(v_abs(x), v_set1((real)INFINITY)), x, v_set1(0)); }

NN_INLINE vec larger(const column_panel *p, int64_t at, int v, vec largest) {
    (void)v;
    return v_at_least(column_load(p, ((const nn_logsumexp_args *)p->args)->x, at), largest);
}
NN_INLINE vec add_exp(const column_panel *p, int64_t at, int v, vec sum) {
    return sum + nnv_exp(column_load(p, ((const nn_logsumexp_args *)p->args)->x, at) - p->shift[v]);
}
NN_INLINE void logsumexp_panel(column_panel *p) {
    const nn_logsumexp_args *a = p->args;
    for (int v = 0; v < p->vectors; v++) p->shift[v] = v_set1(-(real)INFINITY);
    column_fold(p, p->shift, larger, 0, p->rows);
    for (int v = 0; v < p->vectors; v++) p->shift[v] = finite_or_zero(p->shift[v]);
    column_sums(p, p->sum, add_exp);
    for (int v = 0; v < p->vectors; v++)
        column_store(p, a->y, p->output + v * NN_WIDTH, nnv_log(p->sum[v]) + p->shift[v]);
}

NN_DEFINE(logsumexp) {
    const nn_logsumexp_args *a = args;
    if (a->inner != 1) {
        column_each(logsumexp_panel, a, a->outer, a->n, a->inner, team, rank);
        return;
    }
    real shift[ROW_BLOCK], sum[ROW_BLOCK];
    exp_rows r = {.cols = a->n, .shift = shift, .sum = sum};
    int64_t row, end, count;
    nn_share(a->outer, 1, team, rank, &row, &end);
    for (; row < end; row += count) {
        real *y = (real *)a->y + row;
        r.x = (const real *)a->x + row * a->n;
        count = row_block(a->n, end - row);
        find_shifts(&r, count);
        for (int64_t i = 0; i < count; i++) r.shift[i] = fabs(r.shift[i]) < INFINITY ? r.shift[i] : 0;
        row_sums(r.sum, sum_exp_step, &r, count, a->n);
        row_logs(y, r.sum, count);
        for (int64_t i = 0; i < count; i++) y[i] += r.shift[i];
    }
}
