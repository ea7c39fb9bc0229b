/* Cross-entropy of softmax(x) with classes or with probabilities, fused with the softmax.
 *
 *   nll[c] = logsumexp(x) - x[c] = (max - x[c]) + log(sum exp(x - max))
 *   cross_entropy, target t:    loss = (1 - s) weight[t] nll[t] + s / cols * sum_c weight[c] nll[c]
 *                               dx[c] = dloss ((A p[c] - s / cols * weight[c]) - [c = t] (1 - s) weight[t]),
 *                               A = (1 - s) weight[t] + s / cols * sum_c weight[c],  p = softmax(x)
 *   soft_cross_entropy:         loss = sum_c weight[c] target[c] nll[c]
 *                               dx[c] = dloss (S p[c] - weight[c] target[c]),  S = sum_c weight[c] target[c]
 *   where s is label_smoothing and an absent weight is 1. A row whose target is ignore_index has loss 0 and dx 0.
 *
 * Shapes: x, dx (rows, cols); target (rows,), or (rows, cols) for soft; weight (cols,); losses, logsumexp (rows,).
 * Parallel: over rows.
 * Numerics: sums go through the lanes of row.h. backward takes e = exp(x - logsumexp) and divides by sum(e): that
 *   undoes the rounding of logsumexp, without a second pass for the maximum. Infinities as in softmax.c: a row with
 *   NaN or +inf, or of -inf alone, has loss NaN; a target class of -inf has loss inf.
 * Source: label smoothing, Szegedy et al., Rethinking the inception architecture (2016); weighted as in PyTorch.
 */
#include "../vecmath.h"
#include "row.h"

typedef struct {
    real *out;
    const real *x, *target, *weight; /* target, weight: NULL for ones */
    vec shift, log_sum;
} loss_row;

/* weight * target at i: the factor of nll[i] */
NN_INLINE vec factor(const loss_row *r, int64_t i, int64_t n) {
    if (!r->target) return r->weight ? row_load(r->weight + i, n) : v_set1(1);
    return r->weight ? row_load(r->weight + i, n) * row_load(r->target + i, n) : row_load(r->target + i, n);
}

NN_INLINE vec factor_step(const void *row, int64_t i, int64_t n, vec accumulator) {
    return accumulator + factor(row, i, n);
}

/* factor * nll, added up */
NN_INLINE vec nll_step(const void *row, int64_t i, int64_t n, vec accumulator) {
    const loss_row *r = row;
    return v_fma(factor(r, i, n), (r->shift - row_load(r->x + i, n)) + r->log_sum, accumulator);
}

NN_INLINE vec sum_exp_step(const void *row, int64_t i, int64_t n, vec accumulator) {
    const loss_row *r = row;
    return accumulator + nnv_exp(row_load(r->x + i, n) - r->shift);
}

/* out = exp(x - shift), added up */
NN_INLINE vec exp_step(const void *row, int64_t i, int64_t n, vec accumulator) {
    const loss_row *r = row;
    const vec e = nnv_exp(row_load(r->x + i, n) - r->shift);
    row_store(r->out + i, e, n);
    return accumulator + e;
}

/* Fills shift = max(x) and log_sum = log(sum exp(x - max)); returns logsumexp. */
NN_INLINE real find_logsumexp(loss_row *r, int64_t cols) {
    const real max = row_max(r->x, cols);
    r->shift = v_set1(max);
    r->log_sum = nnv_log(v_set1(row_sum(sum_exp_step, r, cols)));
    return max + r->log_sum[0];
}

/* dx = dloss (scale p - smooth factor), with p = softmax(x) */
NN_INLINE void write_dx(const loss_row *r, int64_t cols, real dloss, real scale, real smooth) {
    const real sum = row_sum(exp_step, r, cols);
    for (int64_t i = 0; i < cols; i += NN_WIDTH) {
        const int64_t n = cols - i < NN_WIDTH ? cols - i : NN_WIDTH;
        const vec p = row_load(r->out + i, n) / sum;
        row_store(r->out + i, dloss * (scale * p - smooth * factor(r, i, n)), n);
    }
}

NN_DEFINE(cross_entropy_forward) {
    const nn_cross_entropy_forward_args *a = args;
    const int64_t cols = a->cols, *target = a->target;
    const real *weight = a->weight, smoothing = (real)a->label_smoothing;
    real *losses = a->losses, *logsumexp = a->logsumexp;
    int64_t begin, end;
    nn_share(a->rows, 1, team, rank, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        loss_row r = {.x = (const real *)a->x + row * cols, .weight = weight};
        logsumexp[row] = cols > 0 ? find_logsumexp(&r, cols) : -(real)INFINITY;
        if (target[row] == a->ignore_index) {
            losses[row] = 0;
            continue;
        }
        const real nll = (r.shift[0] - r.x[target[row]]) + r.log_sum[0];
        losses[row] = (1 - smoothing) * (weight ? weight[target[row]] * nll : nll);
        if (smoothing != 0) losses[row] += smoothing / (real)cols * row_sum(nll_step, &r, cols);
    }
}

NN_DEFINE(cross_entropy_backward) {
    const nn_cross_entropy_backward_args *a = args;
    const int64_t cols = a->cols, *target = a->target;
    const real *weight = a->weight, *logsumexp = a->logsumexp, *dlosses = a->dlosses.data;
    const real smoothing = (real)a->label_smoothing, smooth = smoothing / (real)cols;
    int64_t begin, end;
    nn_share(a->rows, 1, team, rank, &begin, &end);
    loss_row r = {.weight = weight};
    const real smooth_sum = smoothing != 0 ? smooth * row_sum(factor_step, &r, cols) : 0;
    for (int64_t row = begin; row < end; row++) {
        r.x = (const real *)a->x + row * cols;
        r.out = (real *)a->dx + row * cols;
        r.shift = v_set1(logsumexp[row]);
        if (target[row] == a->ignore_index) {
            memset(r.out, 0, (size_t)cols * sizeof(real));
            continue;
        }
        const real dloss = dlosses[row * a->dlosses.stride[0]];
        const real hard = (1 - smoothing) * (weight ? weight[target[row]] : 1);
        write_dx(&r, cols, dloss, hard + smooth_sum, smooth);
        r.out[target[row]] -= dloss * hard;
    }
}

NN_DEFINE(soft_cross_entropy_forward) {
    const nn_soft_cross_entropy_forward_args *a = args;
    real *losses = a->losses, *logsumexp = a->logsumexp;
    int64_t begin, end;
    nn_share(a->rows, 1, team, rank, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        loss_row r = {.x = (const real *)a->x + row * a->cols,
                      .target = (const real *)a->target + row * a->cols,
                      .weight = a->weight};
        logsumexp[row] = a->cols > 0 ? find_logsumexp(&r, a->cols) : -(real)INFINITY;
        losses[row] = row_sum(nll_step, &r, a->cols);
    }
}

NN_DEFINE(soft_cross_entropy_backward) {
    const nn_soft_cross_entropy_backward_args *a = args;
    const real *logsumexp = a->logsumexp, *dlosses = a->dlosses.data;
    int64_t begin, end;
    nn_share(a->rows, 1, team, rank, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const loss_row r = {.out = (real *)a->dx + row * a->cols,
                            .x = (const real *)a->x + row * a->cols,
                            .target = (const real *)a->target + row * a->cols,
                            .weight = a->weight,
                            .shift = v_set1(logsumexp[row])};
        write_dx(&r, a->cols, dlosses[row * a->dlosses.stride[0]], row_sum(factor_step, &r, a->cols), 1);
    }
}
