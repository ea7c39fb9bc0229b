/* Cross-entropy of softmax(x) with classes or with probabilities, fused with the softmax.
 *
 *   nll[c] = logsumexp(x) - x[c] = (max - x[c]) + log(sum exp(x - max))
 *   cross_entropy, target t:    loss = (1 - s) weight[t] nll[t] + s / cols * sum_c weight[c] nll[c]
 *                               dx[c] = dloss ((A p[c] - s / cols * weight[c]) - [c = t] (1 - s) weight[t]),
 *                               A = (1 - s) weight[t] + s / cols * sum_c weight[c],  p = softmax(x)
 *                               mean: see losses.h; its dx has dloss = 1 / divisor
 *   soft_cross_entropy:         loss = sum_c weight[c] target[c] nll[c]
 *                               dx[c] = dloss (S p[c] - weight[c] target[c]),  S = sum_c weight[c] target[c]
 *   where s is label_smoothing and an absent weight is 1. A row whose target is ignore_index has loss 0 and dx 0.
 *
 * Shapes: x, dx (rows, cols); target (rows,), or (rows, cols) for soft; weight (cols,); losses, max, sum (rows,).
 * Parallel: over rows; the mean by one rank, from the losses of all.
 * Numerics: sums go through the lanes of row.h. p = exp(x - max) (1 / sum) as in softmax.c, from the max and sum of the
 *   forward pass, so the two passes and the one that does both give the same bits. Infinities as in softmax.c: a row
 *   with NaN or +inf, or of -inf alone, has loss NaN; a target class of -inf has loss inf.
 * Source: label smoothing, Szegedy et al., Rethinking the inception architecture (2016); weighted as in PyTorch.
 */
#include "exp_row.h"
#include "losses.h"

/* A block of rows, and what is known of each. */
typedef struct {
    real shift[ROW_BLOCK], sum[ROW_BLOCK], log_sum[ROW_BLOCK], inverse_sum[ROW_BLOCK], other[ROW_BLOCK];
    real dloss[ROW_BLOCK], scale[ROW_BLOCK];
} loss_numbers;

typedef struct {
    exp_rows exp;
    const real *target, *weight; /* NULL for ones */
    real *log_sum, *inverse_sum, *other, *dloss, *scale;
    real smooth;
} loss_rows;

NN_INLINE loss_rows loss_block(loss_numbers *n, int64_t cols, const real *weight) {
    return (loss_rows){.exp = {.cols = cols, .shift = n->shift, .sum = n->sum},
                       .weight = weight,
                       .log_sum = n->log_sum,
                       .inverse_sum = n->inverse_sum,
                       .other = n->other,
                       .dloss = n->dloss,
                       .scale = n->scale};
}

/* weight * target at i: the factor of nll[i] */
NN_INLINE vec factor(const loss_rows *r, int64_t row, int64_t i, int64_t n) {
    const vec target = r->target ? row_load(r->target + row * r->exp.cols + i, n) : v_set1(1);
    return r->weight ? row_load(r->weight + i, n) * target : target;
}

NN_INLINE vec factor_step(const void *rows, int64_t row, int64_t i, int64_t n, vec accumulator) {
    return accumulator + factor(rows, row, i, n);
}

/* factor * nll, added up */
NN_INLINE vec nll_step(const void *rows, int64_t row, int64_t i, int64_t n, vec accumulator) {
    const loss_rows *r = rows;
    const vec x = row_load(r->exp.x + row * r->exp.cols + i, n);
    return v_fma(factor(r, row, i, n), (r->exp.shift[row] - x) + r->log_sum[row], accumulator);
}

/* dx = dloss (scale p - smooth factor), of e = exp(x - shift) */
NN_INLINE void store_dx(const loss_rows *r, int64_t row, int64_t i, int64_t n, vec e) {
    vec dx = r->scale[row] * (e * r->inverse_sum[row]);
    if (r->smooth != 0) dx -= r->smooth * factor(r, row, i, n);
    row_store(r->exp.out + row * r->exp.cols + i, r->dloss[row] * dx, n);
}

NN_INLINE void dx_of_stored_exp(const void *rows, int64_t row, int64_t i, int64_t n) {
    const loss_rows *r = rows;
    store_dx(r, row, i, n, load_exp(&r->exp, row, i, n));
}

NN_INLINE void dx_of_x(const void *rows, int64_t row, int64_t i, int64_t n) {
    const loss_rows *r = rows;
    store_dx(r, row, i, n, exp_shifted(&r->exp, row, i, n));
}

/* Fills shift, sum, log_sum; with `store`, e = exp(x - shift). */
NN_INLINE void find_sums(loss_rows *r, int64_t count, bool store) {
    if (r->exp.cols == 0)
        for (int64_t i = 0; i < count; i++) r->exp.shift[i] = -(real)INFINITY;
    else
        find_shifts(&r->exp, count);
    row_sums(r->exp.sum, store ? store_exp_step : sum_exp_step, r, count, r->exp.cols);
    row_logs(r->log_sum, r->exp.sum, count);
}

/* ---- classes ---- */
typedef struct {
    class_rows classes;
    real smoothing, smooth_sum; /* s; s / cols * the sum of the weights */
} smoothed_classes;

static smoothed_classes smoothed(const class_rows *classes, double label_smoothing, int64_t cols) {
    smoothed_classes s = {*classes, (real)label_smoothing, 0};
    const loss_rows weights = {.weight = classes->weight};
    if (s.smoothing != 0) s.smooth_sum = s.smoothing / (real)cols * row_sum(factor_step, &weights, 0, cols);
    return s;
}

/* dx of a block whose first row is `first`; `action` says where the exponentials come from. */
NN_INLINE void write_dx(row_action action, loss_rows *r, const smoothed_classes *s, int64_t first, int64_t count) {
    const int64_t cols = r->exp.cols;
    r->smooth = s->smoothing / (real)cols;
    for (int64_t i = 0; i < count; i++) {
        const int64_t target = s->classes.target[first + i];
        real *dx = r->exp.out + i * cols;
        if (target == s->classes.ignore_index) {
            memset(dx, 0, (size_t)cols * sizeof(real));
            continue;
        }
        const real hard = (1 - s->smoothing) * (s->classes.weight ? s->classes.weight[target] : 1);
        r->scale[i] = hard + s->smooth_sum;
        r->inverse_sum[i] = 1 / r->exp.sum[i];
        row_each(action, r, i, cols);
        dx[target] -= r->dloss[i] * hard;
    }
}

NN_INLINE void write_losses(real *losses, loss_rows *r, const smoothed_classes *s, int64_t first, int64_t count) {
    const real smoothing = s->smoothing;
    if (smoothing != 0) row_sums(r->other, nll_step, r, count, r->exp.cols);
    for (int64_t i = 0; i < count; i++) {
        const int64_t target = s->classes.target[first + i];
        losses[i] = 0;
        if (target == s->classes.ignore_index) continue;
        const real nll = (r->exp.shift[i] - r->exp.x[i * r->exp.cols + target]) + r->log_sum[i];
        losses[i] = (1 - smoothing) * (s->classes.weight ? s->classes.weight[target] * nll : nll);
        if (smoothing != 0) losses[i] += smoothing / (real)r->exp.cols * r->other[i];
    }
}

NN_DEFINE(cross_entropy_forward) {
    const nn_cross_entropy_forward_args *a = args;
    const class_rows classes = {a->target, a->weight, a->ignore_index};
    const smoothed_classes s = smoothed(&classes, a->label_smoothing, a->cols);
    const real divisor = a->mean || a->dx ? class_divisor(&classes, a->rows) : 1;
    loss_numbers numbers;
    loss_rows r = loss_block(&numbers, a->cols, a->weight);
    int64_t row, end, count;
    nn_share(a->rows, 1, team, rank, &row, &end);
    for (; row < end; row += count) {
        count = row_block(a->cols, end - row);
        r.exp.x = (const real *)a->x + row * a->cols;
        r.exp.out = a->dx ? (real *)a->dx + row * a->cols : NULL;
        if (a->dx) {
            place_exp(&r.exp, team, rank);
            find_sums(&r, count, true);
        } else {
            find_sums(&r, count, false);
        }
        memcpy((real *)a->max + row, r.exp.shift, (size_t)count * sizeof(real));
        memcpy((real *)a->sum + row, r.exp.sum, (size_t)count * sizeof(real));
        write_losses((real *)a->losses + row, &r, &s, row, count);
        if (!a->dx) continue;
        for (int64_t i = 0; i < count; i++) r.dloss[i] = 1 / divisor;
        write_dx(dx_of_stored_exp, &r, &s, row, count);
    }
    if (!a->mean) return;
    nn_barrier(team);
    if (rank == 0) *(real *)a->mean = mean_loss(a->losses, a->rows, divisor);
}

NN_DEFINE(cross_entropy_backward) {
    const nn_cross_entropy_backward_args *a = args;
    const class_rows classes = {a->target, a->weight, a->ignore_index};
    const smoothed_classes s = smoothed(&classes, a->label_smoothing, a->cols);
    const real *dlosses = a->dlosses.data;
    loss_numbers numbers;
    loss_rows r = loss_block(&numbers, a->cols, a->weight);
    int64_t row, end, count;
    nn_share(a->rows, 1, team, rank, &row, &end);
    for (; row < end; row += count) {
        count = row_block(a->cols, end - row);
        r.exp.x = (const real *)a->x + row * a->cols;
        r.exp.out = (real *)a->dx + row * a->cols;
        memcpy(r.exp.shift, (const real *)a->max + row, (size_t)count * sizeof(real));
        memcpy(r.exp.sum, (const real *)a->sum + row, (size_t)count * sizeof(real));
        for (int64_t i = 0; i < count; i++) r.dloss[i] = dlosses[(row + i) * a->dlosses.stride[0]];
        write_dx(dx_of_x, &r, &s, row, count);
    }
}

/* ---- probabilities ---- */
NN_DEFINE(soft_cross_entropy_forward) {
    const nn_soft_cross_entropy_forward_args *a = args;
    loss_numbers numbers;
    loss_rows r = loss_block(&numbers, a->cols, a->weight);
    int64_t row, end, count;
    nn_share(a->rows, 1, team, rank, &row, &end);
    for (; row < end; row += count) {
        count = row_block(a->cols, end - row);
        r.exp.x = (const real *)a->x + row * a->cols;
        r.target = (const real *)a->target + row * a->cols;
        find_sums(&r, count, false);
        memcpy((real *)a->max + row, r.exp.shift, (size_t)count * sizeof(real));
        memcpy((real *)a->sum + row, r.exp.sum, (size_t)count * sizeof(real));
        row_sums((real *)a->losses + row, nll_step, &r, count, a->cols);
    }
}

NN_DEFINE(soft_cross_entropy_backward) {
    const nn_soft_cross_entropy_backward_args *a = args;
    const real *dlosses = a->dlosses.data;
    loss_numbers numbers;
    loss_rows r = loss_block(&numbers, a->cols, a->weight);
    r.smooth = 1;
    int64_t row, end, count;
    nn_share(a->rows, 1, team, rank, &row, &end);
    for (; row < end; row += count) {
        count = row_block(a->cols, end - row);
        r.exp.x = (const real *)a->x + row * a->cols;
        r.exp.out = (real *)a->dx + row * a->cols;
        r.target = (const real *)a->target + row * a->cols;
        memcpy(r.exp.shift, (const real *)a->max + row, (size_t)count * sizeof(real));
        row_sums(r.scale, factor_step, &r, count, a->cols);
        for (int64_t i = 0; i < count; i++) {
            r.inverse_sum[i] = 1 / ((const real *)a->sum)[row + i];
            r.dloss[i] = dlosses[(row + i) * a->dlosses.stride[0]];
            row_each(dx_of_x, &r, i, a->cols);
        }
    }
}
