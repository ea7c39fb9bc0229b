/* Optimizer steps with a rate of its own for every element, or none but the sign; one call for all parameters. With
 * maximize the gradient is negated, then g += weight_decay p; decoupled: p *= 1 - lr weight_decay instead. adagrad   s
 * = s + g^2; p -= lr / (1 + (step - 1) lr_decay) g / (sqrt(s) + eps) adadelta  s = rho s + (1 - rho) g^2; d = sqrt(a +
 * eps) / sqrt(s + eps) g; a = rho a + (1 - rho) d^2; p -= lr d adamax    m = beta1 m + (1 - beta1) g; u = max(beta2 u,
 * |g| + eps); p -= lr / (1 - beta1^step) m / u nadam     m and v as adam; mu_i = beta1 (1 - 0.96^(i momentum_decay) /
 * 2), M their product up to step, M' up to the next; p -= lr (mu' / (1 - M') m + (1 - mu) / (1 - M) g) / (sqrt(v / (1 -
 * beta2^step)) + eps) radam     r = R - 2 step beta2^step / (1 - beta2^step), R = 2 / (1 - beta2) - 1; where r > 5,
 * with c = sqrt((r - 4) (r - 2) R / ((R - 4) (R - 2) r)): p -= lr / (1 - beta1^step) c m / ((sqrt(v) + eps) / sqrt(1 -
 * beta2^step)); else p -= lr / (1 - beta1^step) m lion      p -= lr sign(beta1 m + (1 - beta1) g), after p *= 1 - lr
 * weight_decay; m = beta2 m + (1 - beta2) g
 *
 * Shapes, parallel, numerics: as in optimizer.c. M is not kept from step to step but summed up anew: the logarithm of
 *   the product over i of 1 - q^i / 2 is a series of geometric sums, each half of the one before and less.
 * Source: Duchi, Hazan and Singer, JMLR 12 (2011); Zeiler, arXiv:1212.5701; Kingma and Ba, arXiv:1412.6980
 * (section 7.1); Dozat, ICLR workshop 2016; Liu et al., arXiv:1908.03265; Chen et al., arXiv:2302.06675. Defaults as in
 * torch.optim.
 */
#include "optimizer.h"

/* ---- adagrad ---- */
typedef struct {
    real lr, eps, weight_decay;
    bool maximize;
} adagrad;

NN_INLINE void adagrad_update(const void *step, real *const *arrays, int64_t i, int64_t n) {
    const adagrad *s = step;
    real *param = arrays[0], *sum = arrays[1];
    const vec p = row_load(param + i, n);
    const vec g = load_gradient(arrays[2], i, n, p, s->maximize, s->weight_decay);
    const vec total = row_load(sum + i, n) + square(g);
    row_store(sum + i, total, n);
    row_store(param + i, p - s->lr * g / (v_sqrt(total) + s->eps), n);
}

NN_DEFINE(adagrad_step) {
    const nn_adagrad_step_args *a = args;
    const adagrad s = {(real)(a->lr / (1 + (double)(a->step - 1) * a->lr_decay)), (real)a->eps, (real)a->weight_decay,
                       a->maximize != 0};
    void *const *const lists[MAX_LISTS] = {a->param, a->sum, a->grad};
    update_all(adagrad_update, &s, lists, a->sizes, a->count, a->total, team, rank);
}

/* ---- adadelta ---- */
typedef struct {
    real lr, rho, fresh, eps, weight_decay;
    bool maximize;
} adadelta;

NN_INLINE void adadelta_update(const void *step, real *const *arrays, int64_t i, int64_t n) {
    const adadelta *s = step;
    real *param = arrays[0], *square_avg = arrays[1], *acc_delta = arrays[2];
    const vec p = row_load(param + i, n), moved = row_load(acc_delta + i, n);
    const vec g = load_gradient(arrays[3], i, n, p, s->maximize, s->weight_decay);
    const vec spread = settled(s->rho * row_load(square_avg + i, n) + s->fresh * square(g));
    const vec d = v_sqrt(moved + s->eps) / v_sqrt(spread + s->eps) * g;
    row_store(square_avg + i, spread, n);
    row_store(acc_delta + i, settled(s->rho * moved + s->fresh * square(d)), n);
    row_store(param + i, p - s->lr * d, n);
}

NN_DEFINE(adadelta_step) {
    const nn_adadelta_step_args *a = args;
    const adadelta s = {(real)a->lr,  (real)a->rho,          (real)(1 - a->rho),
                        (real)a->eps, (real)a->weight_decay, a->maximize != 0};
    void *const *const lists[MAX_LISTS] = {a->param, a->square_avg, a->acc_delta, a->grad};
    update_all(adadelta_update, &s, lists, a->sizes, a->count, a->total, team, rank);
}

/* ---- adamax ---- */
typedef struct {
    real step_size, beta1, fresh1, beta2, eps, weight_decay; /* step_size: lr / (1 - beta1^step) */
    bool maximize;
} adamax;

NN_INLINE void adamax_update(const void *step, real *const *arrays, int64_t i, int64_t n) {
    const adamax *s = step;
    real *param = arrays[0], *exp_avg = arrays[1], *exp_inf = arrays[2];
    const vec p = row_load(param + i, n);
    const vec g = load_gradient(arrays[3], i, n, p, s->maximize, s->weight_decay);
    const vec m = settled(s->beta1 * row_load(exp_avg + i, n) + s->fresh1 * g);
    const vec u = v_max(settled(s->beta2 * row_load(exp_inf + i, n)), v_abs(g) + s->eps);
    row_store(exp_avg + i, m, n);
    row_store(exp_inf + i, u, n);
    row_store(param + i, p - s->step_size * m / u, n);
}

NN_DEFINE(adamax_step) {
    const nn_adamax_step_args *a = args;
    const adamax s = {(real)(a->lr / (1 - power(a->beta1, a->step))),
                      (real)a->beta1,
                      (real)(1 - a->beta1),
                      (real)a->beta2,
                      (real)a->eps,
                      (real)a->weight_decay,
                      a->maximize != 0};
    void *const *const lists[MAX_LISTS] = {a->param, a->exp_avg, a->exp_inf, a->grad};
    update_all(adamax_update, &s, lists, a->sizes, a->count, a->total, team, rank);
}

/* ---- nadam, radam: p = keep p - (from_m m + from_g g) / (sqrt(v) denominator + eps), or over 1 ---- */
typedef struct {
    real beta1, fresh1, beta2, fresh2, eps, weight_decay, keep, from_m, from_g, denominator;
    bool adapts, maximize;
} moments;

NN_INLINE void moments_update(const void *step, real *const *arrays, int64_t i, int64_t n) {
    const moments *s = step;
    real *param = arrays[0], *exp_avg = arrays[1], *exp_avg_sq = arrays[2];
    const vec p = row_load(param + i, n);
    const vec g = load_gradient(arrays[3], i, n, p, s->maximize, s->weight_decay);
    const vec m = settled(s->beta1 * row_load(exp_avg + i, n) + s->fresh1 * g);
    const vec v = settled(s->beta2 * row_load(exp_avg_sq + i, n) + s->fresh2 * square(g));
    row_store(exp_avg + i, m, n);
    row_store(exp_avg_sq + i, v, n);
    vec d = s->from_m * m + s->from_g * g;
    if (s->adapts) d = d / (v_sqrt(v) * s->denominator + s->eps);
    row_store(param + i, s->keep * p - d, n);
}

/* The product over i = 1 .. n of 1 - q^i / 2, 0 < q <= 1, from log(1 - x) = -sum over k of x^k / k. */
static double product_of_halves(double q, int64_t n) {
    double logarithm = 0, half = 0.5;
    for (int k = 1; k <= 60; k++, half *= 0.5) {
        const double rate = k * log(q); /* the sum over i of q^(ik) = q^k (1 - q^(nk)) / (1 - q^k) */
        const double sum = rate == 0 ? (double)n : exp(rate) * expm1((double)n * rate) / expm1(rate);
        logarithm -= half * sum / k;
    }
    return exp(logarithm);
}

NN_DEFINE(nadam_step) {
    const nn_nadam_step_args *a = args;
    const double q = pow(0.96, a->momentum_decay);
    const double mu = a->beta1 * (1 - 0.5 * power(q, a->step)), next = a->beta1 * (1 - 0.5 * power(q, a->step + 1));
    const double all = power(a->beta1, a->step) * product_of_halves(q, a->step);
    const moments s = {.beta1 = (real)a->beta1,
                       .fresh1 = (real)(1 - a->beta1),
                       .beta2 = (real)a->beta2,
                       .fresh2 = (real)(1 - a->beta2),
                       .eps = (real)a->eps,
                       .weight_decay = a->decoupled ? 0 : (real)a->weight_decay,
                       .keep = a->decoupled ? (real)(1 - a->lr * a->weight_decay) : 1,
                       .from_m = (real)(a->lr * next / (1 - all * next)),
                       .from_g = (real)(a->lr * (1 - mu) / (1 - all)),
                       .denominator = (real)(1 / sqrt(1 - power(a->beta2, a->step))),
                       .adapts = true,
                       .maximize = a->maximize != 0};
    void *const *const lists[MAX_LISTS] = {a->param, a->exp_avg, a->exp_avg_sq, a->grad};
    update_all(moments_update, &s, lists, a->sizes, a->count, a->total, team, rank);
}

NN_DEFINE(radam_step) {
    const nn_radam_step_args *a = args;
    const double decayed = power(a->beta2, a->step), most = 2 / (1 - a->beta2) - 1;
    const double length = most - 2 * (double)a->step * decayed / (1 - decayed);
    const double rectified = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length);
    const bool adapts = length > 5;
    const double rate = a->lr / (1 - power(a->beta1, a->step));
    const moments s = {.beta1 = (real)a->beta1,
                       .fresh1 = (real)(1 - a->beta1),
                       .beta2 = (real)a->beta2,
                       .fresh2 = (real)(1 - a->beta2),
                       .eps = (real)a->eps,
                       .weight_decay = a->decoupled ? 0 : (real)a->weight_decay,
                       .keep = a->decoupled ? (real)(1 - a->lr * a->weight_decay) : 1,
                       .from_m = (real)(adapts ? rate * sqrt(rectified * (1 - decayed)) : rate),
                       .from_g = 0,
                       .denominator = 1,
                       .adapts = adapts,
                       .maximize = a->maximize != 0};
    void *const *const lists[MAX_LISTS] = {a->param, a->exp_avg, a->exp_avg_sq, a->grad};
    update_all(moments_update, &s, lists, a->sizes, a->count, a->total, team, rank);
}

/* ---- lion ---- */
typedef struct {
    real lr, beta1, fresh1, beta2, fresh2, keep;
    bool maximize;
} lion;

NN_INLINE void lion_update(const void *step, real *const *arrays, int64_t i, int64_t n) {
    const lion *s = step;
    real *param = arrays[0], *exp_avg = arrays[1];
    const vec p = row_load(param + i, n), m = row_load(exp_avg + i, n), zero = v_set1(0);
    const vec g = load_gradient(arrays[2], i, n, p, s->maximize, 0);
    const vec c = s->beta1 * m + s->fresh1 * g;
    const vec sign = v_select(v_gt(c, zero), v_set1(1), v_select(v_lt(c, zero), v_set1(-1), c)); /* NaN stays */
    row_store(exp_avg + i, settled(s->beta2 * m + s->fresh2 * g), n);
    row_store(param + i, s->keep * p - s->lr * sign, n);
}

NN_DEFINE(lion_step) {
    const nn_lion_step_args *a = args;
    const lion s = {(real)a->lr,     (real)a->beta1,       (real)(1 - a->beta1),
                    (real)a->beta2,  (real)(1 - a->beta2), (real)(1 - a->lr * a->weight_decay),
                    a->maximize != 0};
    void *const *const lists[MAX_LISTS] = {a->param, a->exp_avg, a->grad};
    update_all(lion_update, &s, lists, a->sizes, a->count, a->total, team, rank);
}
