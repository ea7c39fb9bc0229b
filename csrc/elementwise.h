/* Pointwise formulas and their derivatives, each written once, for every ISA, dtype and device.
 *
 * The lists come first: kernels.def, the kernels and the tests all expand them. The formulas come second, as
 * functions of a `vec` (cpu/simd.h: one SIMD register; CUDA: one number).
 *
 *   NN_UNARY(X):  X(op, saved, cost, params, doc)   y = nn_op(x, params), dx = dy * nn_op_grad(saved, params)
 *                 saved is the one array the derivative is a function of: x, the input, or y, the output.
 *   NN_LOSS(X):   X(op, cost, params, doc)          y = nn_op(x, target), dx = dy * nn_op_grad(x, target)
 *   NN_BINARY_*(X), NN_COMPARE(X), NN_LOGIC(X): X(op, doc)
 * cost is in multiples of a load and a store; it decides only how many threads are worth waking.
 */
#define NN_UNARY(X)                                                                                                    \
    X(abs, x, 2, , "y = |x|")                                                                                          \
    X(ceil, x, 2, , "y = the smallest integer >= x")                                                                   \
    X(clamp, x, 2, NN_REAL(min) NN_REAL(max), "y = min(max(x, min), max)")                                             \
    X(cos, x, 12, , "y = cos(x)")                                                                                      \
    X(elu, x, 10, NN_REAL(alpha) NN_REAL(scale) NN_REAL(input_scale),                                                  \
      "y = scale * x if x > 0 else scale * alpha * (exp(input_scale * x) - 1)")                                        \
    X(erf, x, 12, , "y = erf(x)")                                                                                      \
    X(exp, y, 8, , "y = exp(x)")                                                                                       \
    X(expm1, y, 10, , "y = exp(x) - 1, exact near 0")                                                                  \
    X(floor, x, 2, , "y = the largest integer <= x")                                                                   \
    X(gelu, x, 12, , "y = x * Phi(x), Phi the normal distribution function")                                           \
    X(gelu_tanh, x, 14, , "y = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))")                                     \
    X(hardsigmoid, x, 2, , "y = min(max(x + 3, 0), 6) / 6")                                                            \
    X(hardswish, x, 2, , "y = x * min(max(x + 3, 0), 6) / 6")                                                          \
    X(leaky_relu, x, 2, NN_REAL(negative_slope), "y = x if x > 0 else negative_slope * x")                             \
    X(log, x, 8, , "y = log(x)")                                                                                       \
    X(log1p, x, 10, , "y = log(1 + x), exact near 0")                                                                  \
    X(logsigmoid, x, 14, , "y = -log(1 + exp(-x))")                                                                    \
    X(mish, x, 12, , "y = x * tanh(log(1 + exp(x)))")                                                                  \
    X(neg, x, 2, , "y = -x")                                                                                           \
    X(pow_scalar, x, 20, NN_REAL(exponent), "y = x ** exponent")                                                       \
    X(reciprocal, y, 4, , "y = 1 / x")                                                                                 \
    X(relu, y, 2, , "y = max(x, 0)")                                                                                   \
    X(round, x, 2, , "y = x to the nearest integer, ties to even")                                                     \
    X(rsqrt, y, 6, , "y = 1 / sqrt(x)")                                                                                \
    X(sigmoid, y, 10, , "y = 1 / (1 + exp(-x))")                                                                       \
    X(sign, x, 2, , "y = -1, 0 or 1, the sign of x")                                                                   \
    X(silu, x, 10, , "y = x * sigmoid(x)")                                                                             \
    X(sin, x, 12, , "y = sin(x)")                                                                                      \
    X(softplus, x, 16, NN_REAL(beta) NN_REAL(threshold),                                                               \
      "y = log(1 + exp(beta x)) / beta, and x where beta x > threshold")                                               \
    X(softsign, x, 4, , "y = x / (1 + |x|)")                                                                           \
    X(sqrt, y, 4, , "y = sqrt(x)")                                                                                     \
    X(square, x, 2, , "y = x^2")                                                                                       \
    X(tanh, y, 10, , "y = tanh(x)")

#define NN_LOSS(X)                                                                                                     \
    X(bce, 16, , "binary cross-entropy of a probability x, logarithms held at -100 and above")                         \
    X(bce_with_logits, 20, , "binary cross-entropy of sigmoid(x), without overflow")                                   \
    X(huber, 4, NN_REAL(delta), "(x-t)^2/2 where |x-t| <= delta, else delta (|x-t| - delta/2)")                        \
    X(l1, 3, , "|x - t|")                                                                                              \
    X(mse, 3, , "(x - t)^2")                                                                                           \
    X(smooth_l1, 4, NN_REAL(beta), "(x-t)^2/(2 beta) where |x-t| < beta, else |x-t| - beta/2")

#define NN_BINARY_ANY(X)                                                                                               \
    X(add, "y = a + b")                                                                                                \
    X(sub, "y = a - b")                                                                                                \
    X(mul, "y = a * b")                                                                                                \
    X(maximum, "y = the larger of a and b; NaN if either is")                                                          \
    X(minimum, "y = the smaller of a and b; NaN if either is")

#define NN_BINARY_FLOAT(X)                                                                                             \
    X(div, "y = a / b")                                                                                                \
    X(pow, "y = a ** b")

#define NN_COMPARE(X)                                                                                                  \
    X(eq, ==, "y = a == b")                                                                                            \
    X(ne, !=, "y = a != b")                                                                                            \
    X(lt, <, "y = a < b")                                                                                              \
    X(le, <=, "y = a <= b")                                                                                            \
    X(gt, >, "y = a > b")                                                                                              \
    X(ge, >=, "y = a >= b")

#define NN_LOGIC(X)                                                                                                    \
    X(logical_and, &&, "y = a and b")                                                                                  \
    X(logical_or, ||, "y = a or b")                                                                                    \
    X(logical_xor, !=, "y = a xor b")

#if defined(NN_WIDTH) && !defined(NN_FORMULAS)
#define NN_FORMULAS
#include "vecmath.h"

/* ---- unary ---- */

NN_INLINE vec nn_abs(vec x) { return v_abs(x); }
NN_INLINE vec nn_sign(vec x) {
    const vec zero = v_set1(0);
    return v_select(v_gt(x, zero), v_set1(1), v_select(v_lt(x, zero), v_set1(-1), v_select(v_isnan(x), x, zero)));
}
NN_INLINE vec nn_abs_grad(vec x) { return nn_sign(x); }
NN_INLINE vec nn_sign_grad(vec x) { return (void)x, v_set1(0); }

NN_INLINE vec nn_ceil(vec x) { return v_ceil(x); }
NN_INLINE vec nn_ceil_grad(vec x) { return (void)x, v_set1(0); }
NN_INLINE vec nn_floor(vec x) { return v_floor(x); }
NN_INLINE vec nn_floor_grad(vec x) { return (void)x, v_set1(0); }
NN_INLINE vec nn_round(vec x) { return v_round(x); }
NN_INLINE vec nn_round_grad(vec x) { return (void)x, v_set1(0); }

NN_INLINE vec nn_clamp(vec x, vec min, vec max) { return v_clamp(x, min, max); }
NN_INLINE vec nn_clamp_grad(vec x, vec min, vec max) {
    return v_select(v_and(v_le(min, x), v_le(x, max)), v_set1(1), v_set1(0));
}

NN_INLINE vec nn_cos(vec x) { return nnv_cos(x); }
NN_INLINE vec nn_cos_grad(vec x) { return v_neg(nnv_sin(x)); }
NN_INLINE vec nn_sin(vec x) { return nnv_sin(x); }
NN_INLINE vec nn_sin_grad(vec x) { return nnv_cos(x); }

/* ELU; with the two scales CELU and SELU too */
NN_INLINE vec nn_elu(vec x, vec alpha, vec scale, vec input_scale) {
    return v_select(v_gt(x, v_set1(0)), scale * x, (scale * alpha) * nnv_expm1(input_scale * x));
}
NN_INLINE vec nn_elu_grad(vec x, vec alpha, vec scale, vec input_scale) {
    return v_select(v_gt(x, v_set1(0)), scale, (scale * alpha * input_scale) * nnv_exp(input_scale * x));
}

NN_INLINE vec nn_erf(vec x) { return nnv_erf(x); }
NN_INLINE vec nn_erf_grad(vec x) { return v_set1((real)1.1283791670955126) * nnv_exp(v_neg(x * x)); } /* 2/sqrt(pi) */

NN_INLINE vec nn_exp(vec x) { return nnv_exp(x); }
NN_INLINE vec nn_exp_grad(vec y) { return y; }
NN_INLINE vec nn_expm1(vec x) { return nnv_expm1(x); }
NN_INLINE vec nn_expm1_grad(vec y) { return y + v_set1(1); }

/* d(x Phi)/dx = Phi + x phi with phi = exp(-x^2/2) / sqrt(2 pi); far out, where x^2 is infinite, phi is 0 */
NN_INLINE vec nn_gelu(vec x) { return x * nnv_normal_cdf(x); }
NN_INLINE vec nn_gelu_grad(vec x) {
    const vec near = v_clamp(x, v_set1(-40), v_set1(40)), gaussian = nnv_exp(near * near * v_set1((real)-0.5));
    return v_fma(near * v_set1((real)0.3989422804014327), gaussian, nnv_normal_cdf(x));
}

/* (1 + tanh(u))/2 = sigmoid(2u) with u = sqrt(2/pi) (x + 0.044715 x^3) */
NN_INLINE vec nn_gelu_tanh_sigmoid(vec x) {
    const vec cubic = v_fma(x * x, v_set1((real)0.044715), v_set1(1));
    return nnv_sigmoid(x * v_set1((real)1.5957691216057308) * cubic);
}
NN_INLINE vec nn_gelu_tanh(vec x) { return x * nn_gelu_tanh_sigmoid(x); }
/* s + x s (1 - s) 2u', u' = sqrt(2/pi) (1 + 3 * 0.044715 x^2) */
NN_INLINE vec nn_gelu_tanh_grad(vec x) {
    const vec s = nn_gelu_tanh_sigmoid(x);
    const vec slope = v_set1((real)1.5957691216057308) * v_fma(x * x, v_set1((real)0.134145), v_set1(1));
    return v_fma(s * (v_set1(1) - s), x * slope, s);
}

NN_INLINE vec nn_hardsigmoid(vec x) { return v_clamp(x + v_set1(3), v_set1(0), v_set1(6)) / v_set1(6); }
NN_INLINE vec nn_hardsigmoid_grad(vec x) {
    return v_select(v_lt(v_abs(x), v_set1(3)), v_set1((real)(1.0 / 6)), v_set1(0));
}
NN_INLINE vec nn_hardswish(vec x) { /* 0 at -inf */
    return v_select(v_le(x, v_set1(-3)), v_set1(0), x * v_clamp(x + v_set1(3), v_set1(0), v_set1(6)) / v_set1(6));
}
NN_INLINE vec nn_hardswish_grad(vec x) {
    const vec inside = v_select(v_lt(x, v_set1(3)), x / v_set1(3) + v_set1((real)0.5), v_set1(1));
    return v_select(v_le(x, v_set1(-3)), v_set1(0), inside);
}

NN_INLINE vec nn_leaky_relu(vec x, vec negative_slope) { return v_select(v_gt(x, v_set1(0)), x, negative_slope * x); }
NN_INLINE vec nn_leaky_relu_grad(vec x, vec negative_slope) {
    return v_select(v_gt(x, v_set1(0)), v_set1(1), negative_slope);
}

NN_INLINE vec nn_log(vec x) { return nnv_log(x); }
NN_INLINE vec nn_log_grad(vec x) { return v_set1(1) / x; }
NN_INLINE vec nn_log1p(vec x) { return nnv_log1p(x); }
NN_INLINE vec nn_log1p_grad(vec x) { return v_set1(1) / (v_set1(1) + x); }

/* -softplus(-x) */
NN_INLINE vec nn_logsigmoid(vec x) { return v_neg(v_at_least(v_neg(x), v_set1(0)) + nnv_log1p_unit(nnv_exp_minus(x))); }
NN_INLINE vec nn_logsigmoid_grad(vec x) { return nnv_sigmoid(v_neg(x)); }

/* tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2), e = exp(x): 1 long before e^2 overflows */
NN_INLINE vec nn_mish_exp(vec x) { return nnv_exp(v_at_most(x, v_set1(40))); }
NN_INLINE vec nn_mish(vec x) {
    const vec e = nn_mish_exp(x), n = e * (e + v_set1(2));
    return x * (n / (n + v_set1(2)));
}
/* t + x sigmoid(x) (1 - t^2) with t = n / (n + 2), 1 - t = 2 / (n + 2) */
NN_INLINE vec nn_mish_grad(vec x) {
    const vec e = nn_mish_exp(x), n = e * (e + v_set1(2)), inverse = v_set1(1) / (n + v_set1(2)), t = n * inverse;
    const vec rest = (e / (e + v_set1(1))) * (v_set1(1) + t) * (inverse + inverse);
    return v_select(v_gt(x, v_set1(40)), v_set1(1), v_fma(x, rest, t));
}

NN_INLINE vec nn_neg(vec x) { return v_neg(x); }
NN_INLINE vec nn_neg_grad(vec x) { return (void)x, v_set1(-1); }

/* Exact where the exponent is 0, 1/2, 1 or 2. */
NN_INLINE vec nn_pow_scalar(vec x, vec exponent) {
    if (v_any(v_eq(exponent, v_set1(1)))) return x;
    if (v_any(v_eq(exponent, v_set1(2)))) return x * x;
    if (v_any(v_eq(exponent, v_set1((real)0.5)))) /* pow(-inf, 1/2) = inf and pow(-0, 1/2) = 0, unlike sqrt */
        return v_sqrt(v_select(v_eq(x, v_set1(-NNV_INF)), v_set1(NNV_INF), x)) + v_set1(0);
    return nnv_pow(x, exponent);
}
NN_INLINE vec nn_pow_scalar_grad(vec x, vec exponent) {
    const vec slope = exponent * nn_pow_scalar(x, exponent - v_set1(1));
    return v_select(v_eq(exponent, v_set1(0)), v_set1(0), slope);
}

NN_INLINE vec nn_reciprocal(vec x) { return v_set1(1) / x; }
NN_INLINE vec nn_reciprocal_grad(vec y) { return v_neg(y * y); }

/* NaN is not below 0, so it passes. */
NN_INLINE vec nn_relu(vec x) { return v_select(v_le(x, v_set1(0)), v_set1(0), x); }
NN_INLINE vec nn_relu_grad(vec y) { return v_select(v_gt(y, v_set1(0)), v_set1(1), v_set1(0)); }

/* d(x^(-1/2))/dx = -y^3/2 */
NN_INLINE vec nn_rsqrt(vec x) { return v_set1(1) / v_sqrt(x); }
NN_INLINE vec nn_rsqrt_grad(vec y) { return v_set1((real)-0.5) * y * y * y; }
NN_INLINE vec nn_sqrt(vec x) { return v_sqrt(x); }
NN_INLINE vec nn_sqrt_grad(vec y) { return v_set1((real)0.5) / y; }

NN_INLINE vec nn_sigmoid(vec x) { return nnv_sigmoid(x); }
NN_INLINE vec nn_sigmoid_grad(vec y) { return y * (v_set1(1) - y); }

/* d(x s)/dx = s (1 + x (1 - s)) with s = sigmoid(x) */
NN_INLINE vec nn_silu(vec x) { return x * nnv_sigmoid(x); }
NN_INLINE vec nn_silu_grad(vec x) {
    const vec s = nnv_sigmoid(x);
    return s * v_fma(x, v_set1(1) - s, v_set1(1));
}

/* log(1 + exp(s)) = max(s, 0) + log(1 + exp(-|s|)) */
NN_INLINE vec nn_softplus(vec x, vec beta, vec threshold) {
    const vec scaled = beta * x, inverse = v_set1(1) / beta;
    const vec y = v_at_least(scaled, v_set1(0)) + nnv_log1p_unit(nnv_exp_minus(scaled));
    return v_select(v_gt(scaled, threshold), x, y * inverse);
}
NN_INLINE vec nn_softplus_grad(vec x, vec beta, vec threshold) {
    const vec scaled = beta * x;
    return v_select(v_gt(scaled, threshold), v_set1(1), nnv_sigmoid(scaled));
}

NN_INLINE vec nn_softsign(vec x) {
    const vec size = v_abs(x); /* 1 at infinity */
    return v_select(v_eq(size, v_set1(NNV_INF)), nn_sign(x), x / (v_set1(1) + size));
}
NN_INLINE vec nn_softsign_grad(vec x) {
    const vec y = v_set1(1) / (v_set1(1) + v_abs(x));
    return y * y;
}

NN_INLINE vec nn_square(vec x) { return x * x; }
NN_INLINE vec nn_square_grad(vec x) { return x + x; }

NN_INLINE vec nn_tanh(vec x) { return nnv_tanh(x); }
NN_INLINE vec nn_tanh_grad(vec y) { return v_fma(v_neg(y), y, v_set1(1)); }

/* ---- losses: x the prediction, t the target ---- */

/* -(t log(x) + (1 - t) log(1 - x)), as in PyTorch: the logarithms held at -100, the slope's denominator at 1e-12 */
NN_INLINE vec nn_bce(vec x, vec t) {
    const vec low = v_set1(-100), log_x = v_max(nnv_log(x), low), log_1_x = v_max(nnv_log1p(v_neg(x)), low);
    return v_neg(v_fma(t, log_x, (v_set1(1) - t) * log_1_x));
}
NN_INLINE vec nn_bce_grad(vec x, vec t) { return (x - t) / v_max(x * (v_set1(1) - x), v_set1((real)1e-12)); }

/* max(x, 0) - x t + log(1 + exp(-|x|)) */
NN_INLINE vec nn_bce_with_logits(vec x, vec t) { return (nn_relu(x) - x * t) + nnv_log1p_unit(nnv_exp_minus(x)); }
NN_INLINE vec nn_bce_with_logits_grad(vec x, vec t) { return nnv_sigmoid(x) - t; }

NN_INLINE vec nn_huber(vec x, vec t, vec delta) {
    const vec d = v_abs(x - t), half = v_set1((real)0.5);
    return v_select(v_le(d, delta), half * d * d, delta * (d - half * delta));
}
NN_INLINE vec nn_huber_grad(vec x, vec t, vec delta) { return v_clamp(x - t, v_neg(delta), delta); }

NN_INLINE vec nn_l1(vec x, vec t) { return v_abs(x - t); }
NN_INLINE vec nn_l1_grad(vec x, vec t) { return nn_sign(x - t); }

NN_INLINE vec nn_mse(vec x, vec t) {
    const vec d = x - t;
    return d * d;
}
NN_INLINE vec nn_mse_grad(vec x, vec t) {
    const vec d = x - t;
    return d + d;
}

NN_INLINE vec nn_smooth_l1(vec x, vec t, vec beta) {
    const vec d = v_abs(x - t), half = v_set1((real)0.5);
    return v_select(v_lt(d, beta), half * d * d / beta, d - half * beta);
}
NN_INLINE vec nn_smooth_l1_grad(vec x, vec t, vec beta) {
    const vec d = x - t;
    return v_select(v_lt(v_abs(d), beta), d / beta, nn_sign(d));
}

#endif
