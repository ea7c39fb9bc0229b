/* softmax and log_softmax, as in softmax.c, over the middle axis.
 *
 * Shapes: x, y, dx, dy (outer, n, inner).
 * Parallel: over panels of columns (column.h).
 * Numerics: as in softmax.c, but for the order of the sums, which is column.h's.
 */
#include "../vecmath.h"
#include "column.h"

NN_INLINE void forward(column_panel *p, const void *x, void *y, column_step larger, column_step sum_exp, bool is_log) {
    for (int v = 0; v < p->vectors; v++) p->shift[v] = v_set1(-(real)INFINITY);
    column_fold(p, p->shift, larger, 0, p->rows);
    column_sums(p, p->sum, sum_exp);
    for (int v = 0; v < p->vectors; v++) p->sum[v] = is_log ? nnv_log(p->sum[v]) : v_set1(1) / p->sum[v];
    for (int64_t row = 0; row < p->rows; row++)
        for (int v = 0; v < p->vectors; v++) {
            const int64_t at = column_at(p, row, v);
            const vec log_y = column_load(p, x, at) - p->shift[v] - p->sum[v];
            column_store(p, y, at, is_log ? log_y : column_load(p, y, at) * p->sum[v]);
        }
}

/* ---- softmax ---- */
NN_INLINE vec softmax_larger(const column_panel *p, int64_t at, int v, vec largest) {
    (void)v;
    return v_at_least(column_load(p, ((const nn_softmax_columns_forward_args *)p->args)->x, at), largest);
}
NN_INLINE vec softmax_exp(const column_panel *p, int64_t at, int v, vec sum) {
    const nn_softmax_columns_forward_args *a = p->args;
    const vec e = nnv_exp(column_load(p, a->x, at) - p->shift[v]);
    column_store(p, a->y, at, e);
    return sum + e;
}
NN_INLINE void softmax_panel(column_panel *p) {
    const nn_softmax_columns_forward_args *a = p->args;
    forward(p, a->x, a->y, softmax_larger, softmax_exp, false);
}
NN_DEFINE(softmax_columns_forward) {
    const nn_softmax_columns_forward_args *a = args;
    column_each(softmax_panel, a, a->outer, a->n, a->inner, team, rank);
}

NN_INLINE vec dot(const column_panel *p, int64_t at, int v, vec sum) {
    (void)v;
    const nn_softmax_columns_backward_args *a = p->args;
    return v_fma(column_load(p, a->dy, at), column_load(p, a->y, at), sum);
}
NN_INLINE void softmax_dx(column_panel *p) {
    const nn_softmax_columns_backward_args *a = p->args;
    column_sums(p, p->sum, dot);
    for (int64_t row = 0; row < p->rows; row++)
        for (int v = 0; v < p->vectors; v++) {
            const int64_t at = column_at(p, row, v);
            column_store(p, a->dx, at, column_load(p, a->y, at) * (column_load(p, a->dy, at) - p->sum[v]));
        }
}
NN_DEFINE(softmax_columns_backward) {
    const nn_softmax_columns_backward_args *a = args;
    column_each(softmax_dx, a, a->outer, a->n, a->inner, team, rank);
}

/* ---- log_softmax ---- */
NN_INLINE vec log_larger(const column_panel *p, int64_t at, int v, vec largest) {
    (void)v;
    return v_at_least(column_load(p, ((const nn_log_softmax_columns_forward_args *)p->args)->x, at), largest);
}
NN_INLINE vec log_exp(const column_panel *p, int64_t at, int v, vec sum) {
    const nn_log_softmax_columns_forward_args *a = p->args;
    return sum + nnv_exp(column_load(p, a->x, at) - p->shift[v]);
}
NN_INLINE void log_softmax_panel(column_panel *p) {
    const nn_log_softmax_columns_forward_args *a = p->args;
    forward(p, a->x, a->y, log_larger, log_exp, true);
}
NN_DEFINE(log_softmax_columns_forward) {
    const nn_log_softmax_columns_forward_args *a = args;
    column_each(log_softmax_panel, a, a->outer, a->n, a->inner, team, rank);
}

NN_INLINE vec sum_dy(const column_panel *p, int64_t at, int v, vec sum) {
    (void)v;
    return sum + column_load(p, ((const nn_log_softmax_columns_backward_args *)p->args)->dy, at);
}
NN_INLINE void log_softmax_dx(column_panel *p) {
    const nn_log_softmax_columns_backward_args *a = p->args;
    column_sums(p, p->sum, sum_dy);
    for (int64_t row = 0; row < p->rows; row++)
        for (int v = 0; v < p->vectors; v++) {
            const int64_t at = column_at(p, row, v);
            column_store(p, a->dx, at, column_load(p, a->dy, at) - nnv_exp(column_load(p, a->y, at)) * p->sum[v]);
        }
}
NN_DEFINE(log_softmax_columns_backward) {
    const nn_log_softmax_columns_backward_args *a = args;
    column_each(log_softmax_dx, a, a->outer, a->n, a->inner, team, rank);
}
