/* Optimizer steps, one call for all parameters; with maximize the gradient is negated, then g += weight_decay p.
 *   sgd      b = momentum b + (1 - dampening) g (b = g at step 1); p -= lr (nesterov ? g + momentum b : b);
 *            classic: b = momentum b - lr g; p += nesterov ? momentum b - lr g : b
 *   adam     m = beta1 m + (1 - beta1) g; s = beta2 s + (1 - beta2) g^2; AMSGrad takes the largest s so far;
 *            p -= lr / (1 - beta1^step) m / (sqrt(s) / sqrt(1 - beta2^step) + eps);
 *            decoupled (AdamW): p *= 1 - lr weight_decay, g as it came
 *   rmsprop  s = alpha s + (1 - alpha) g^2; centred: a = alpha a + (1 - alpha) g, s - a^2 in place of s;
 *            d = g / (sqrt(s) + eps); p -= lr d, with momentum b = momentum b + d; p -= lr b
 *
 * Shapes: lists of arrays, sizes[i] elements in the i-th of each list.
 * Parallel: over all elements of all parameters laid end to end; every element stands alone.
 * Numerics: scalars are combined in double and rounded once; IEEE square root and division. s - a^2 is held at 0. What
 *           b, m, s and a keep, and g^2, is 0 where it would be subnormal: without new gradients they decay to there,
 *           never reach 0 by rounding, and cost a hundred cycles an element from then on.
 * Source: Sutskever et al., "On the importance of initialization and momentum", ICML 2013 (classic momentum); Kingma
 *   and Ba, arXiv:1412.6980; Reddi, Kale and Kumar, arXiv:1904.09237; Loshchilov and Hutter, arXiv:1711.05101;
 *   Tieleman and Hinton, Coursera lecture 6.5 (2012); Graves, arXiv:1308.0850 (centred). Defaults as in torch.optim.
 */
#include "optimizer.h"

/* ---- sgd ---- */
typedef struct {
    real lr, momentum, fresh, weight_decay; /* fresh: what g counts for in the buffer */
    bool nesterov, maximize, classic, first;
} sgd;

NN_INLINE void sgd_update(const void *step, real *const *arrays, int64_t i, int64_t n) {
    const sgd *s = step;
    real *param = arrays[0], *buffer = arrays[1];
    vec p = row_load(param + i, n);
    const vec g = load_gradient(arrays[2], i, n, p, s->maximize, s->weight_decay);
    if (!buffer) {
        p -= s->lr * g;
    } else if (s->classic) {
        const vec b = settled(s->momentum * row_load(buffer + i, n) - s->lr * g);
        row_store(buffer + i, b, n);
        p += s->nesterov ? s->momentum * b - s->lr * g : b;
    } else {
        const vec b = settled(s->first ? g : s->momentum * row_load(buffer + i, n) + s->fresh * g);
        row_store(buffer + i, b, n);
        p -= s->lr * (s->nesterov ? g + s->momentum * b : b);
    }
    row_store(param + i, p, n);
}

NN_DEFINE(sgd_step) {
    const nn_sgd_step_args *a = args;
    const sgd s = {(real)a->lr,      (real)a->momentum, (real)(1 - a->dampening), (real)a->weight_decay,
                   a->nesterov != 0, a->maximize != 0,  a->classic != 0,          a->step == 1};
    void *const *const lists[MAX_LISTS] = {a->param, a->momentum_buffer, a->grad};
    update_all(sgd_update, &s, lists, a->sizes, a->count, a->total, team, rank);
}

/* ---- adam ---- */
typedef struct {
    real beta1, fresh1, beta2, fresh2, eps, weight_decay;
    real keep;        /* 1 - lr weight_decay where decoupled, else 1 */
    real step_size;   /* lr / (1 - beta1^step) */
    real denominator; /* 1 / sqrt(1 - beta2^step) */
    bool maximize;
} adam;

NN_INLINE void adam_update(const void *step, real *const *arrays, int64_t i, int64_t n) {
    const adam *s = step;
    real *param = arrays[0], *exp_avg = arrays[1], *exp_avg_sq = arrays[2], *max_exp_avg_sq = arrays[3];
    const vec p = row_load(param + i, n);
    const vec g = load_gradient(arrays[4], i, n, p, s->maximize, s->weight_decay);
    const vec m = settled(s->beta1 * row_load(exp_avg + i, n) + s->fresh1 * g);
    vec v = settled(s->beta2 * row_load(exp_avg_sq + i, n) + s->fresh2 * square(g));
    row_store(exp_avg + i, m, n);
    row_store(exp_avg_sq + i, v, n);
    if (max_exp_avg_sq) {
        v = v_max(row_load(max_exp_avg_sq + i, n), v);
        row_store(max_exp_avg_sq + i, v, n);
    }
    row_store(param + i, s->keep * p - s->step_size * m / (v_sqrt(v) * s->denominator + s->eps), n);
}

NN_DEFINE(adam_step) {
    const nn_adam_step_args *a = args;
    const double denominator = 1 / sqrt(1 - power(a->beta2, a->step));
    const adam s = {.beta1 = (real)a->beta1,
                    .fresh1 = (real)(1 - a->beta1),
                    .beta2 = (real)a->beta2,
                    .fresh2 = (real)(1 - a->beta2),
                    .eps = (real)(a->epsilon_hat ? a->eps * denominator : a->eps),
                    .weight_decay = a->decoupled ? 0 : (real)a->weight_decay,
                    .keep = a->decoupled ? (real)(1 - a->lr * a->weight_decay) : 1,
                    .step_size = (real)(a->lr / (1 - power(a->beta1, a->step))),
                    .denominator = (real)denominator,
                    .maximize = a->maximize != 0};
    void *const *const lists[MAX_LISTS] = {a->param, a->exp_avg, a->exp_avg_sq, a->max_exp_avg_sq, a->grad};
    update_all(adam_update, &s, lists, a->sizes, a->count, a->total, team, rank);
}

/* ---- rmsprop ---- */
typedef struct {
    real lr, alpha, fresh, eps, weight_decay, momentum;
    bool maximize;
} rmsprop;

NN_INLINE void rmsprop_update(const void *step, real *const *arrays, int64_t i, int64_t n) {
    const rmsprop *s = step;
    real *param = arrays[0], *square_avg = arrays[1], *grad_avg = arrays[2], *buffer = arrays[3];
    vec p = row_load(param + i, n);
    const vec g = load_gradient(arrays[4], i, n, p, s->maximize, s->weight_decay);
    vec spread = settled(s->alpha * row_load(square_avg + i, n) + s->fresh * square(g));
    row_store(square_avg + i, spread, n);
    if (grad_avg) {
        const vec average = settled(s->alpha * row_load(grad_avg + i, n) + s->fresh * g);
        row_store(grad_avg + i, average, n);
        spread = v_max(spread - average * average, v_set1(0));
    }
    vec d = g / (v_sqrt(spread) + s->eps);
    if (buffer) {
        d = settled(d + s->momentum * row_load(buffer + i, n));
        row_store(buffer + i, d, n);
    }
    row_store(param + i, p - s->lr * d, n);
}

NN_DEFINE(rmsprop_step) {
    const nn_rmsprop_step_args *a = args;
    const rmsprop s = {(real)a->lr,           (real)a->alpha,    (real)(1 - a->alpha), (real)a->eps,
                       (real)a->weight_decay, (real)a->momentum, a->maximize != 0};
    void *const *const lists[MAX_LISTS] = {a->param, a->square_avg, a->grad_avg, a->momentum_buffer, a->grad};
    update_all(rmsprop_update, &s, lists, a->sizes, a->count, a->total, team, rank);
}
