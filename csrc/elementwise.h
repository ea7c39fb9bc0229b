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
#define NN_UNARY(X)                                                                                            \
    X(abs, x, 2, , "y = |x|")                                                                                  \
    X(ceil, x, 2, , "y = the smallest integer >= x")                                                           \
    X(clamp, x, 2, NN_REAL(min) NN_REAL(max), "y = min(max(x, min), max)")                                     \
    X(cos, x, 12, , "y = cos(x)")                                                                              \
    X(elu, x, 10, NN_REAL(alpha), "y = x if x > 0 else alpha * (exp(x) - 1)")                                  \
    X(erf, x, 12, , "y = erf(x)")                                                                              \
    X(exp, y, 8, , "y = exp(x)")                                                                               \
    X(expm1, y, 10, , "y = exp(x) - 1, exact near 0")                                                          \
    X(floor, x, 2, , "y = the largest integer <= x")                                                           \
    X(gelu, x, 12, , "y = x * Phi(x), Phi the normal distribution function")                                   \
    X(gelu_tanh, x, 14, , "y = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))")                             \
    X(leaky_relu, x, 2, NN_REAL(negative_slope), "y = x if x > 0 else negative_slope * x")                     \
    X(log, x, 8, , "y = log(x)")                                                                               \
    X(log1p, x, 10, , "y = log(1 + x), exact near 0")                                                          \
    X(neg, x, 2, , "y = -x")                                                                                   \
    X(pow_scalar, x, 20, NN_REAL(exponent), "y = x ** exponent")                                               \
    X(reciprocal, y, 4, , "y = 1 / x")                                                                         \
    X(relu, y, 2, , "y = max(x, 0)")                                                                           \
    X(round, x, 2, , "y = x to the nearest integer, ties to even")                                             \
    X(rsqrt, y, 6, , "y = 1 / sqrt(x)")                                                                        \
    X(sigmoid, y, 10, , "y = 1 / (1 + exp(-x))")                                                               \
    X(sign, x, 2, , "y = -1, 0 or 1, the sign of x")                                                           \
    X(silu, x, 10, , "y = x * sigmoid(x)")                                                                     \
    X(sin, x, 12, , "y = sin(x)")                                                                              \
    X(softplus, x, 16, NN_REAL(beta) NN_REAL(threshold),                                                       \
      "y = log(1 + exp(beta x)) / beta, and x where beta x > threshold")                                       \
    X(sqrt, y, 4, , "y = sqrt(x)")                                                                             \
    X(square, x, 2, , "y = x^2")                                                                               \
    X(tanh, y, 10, , "y = tanh(x)")

#define NN_LOSS(X)                                                                                             \
    X(bce, 16, , "binary cross-entropy of a probability x, logarithms held at -100 and above")                 \
    X(bce_with_logits, 20, , "binary cross-entropy of sigmoid(x), without overflow")                           \
    X(huber, 4, NN_REAL(delta), "(x-t)^2/2 where |x-t| <= delta, else delta (|x-t| - delta/2)")                \
    X(l1, 3, , "|x - t|")                                                                                      \
    X(mse, 3, , "(x - t)^2")                                                                                   \
    X(smooth_l1, 4, NN_REAL(beta), "(x-t)^2/(2 beta) where |x-t| < beta, else |x-t| - beta/2")

#define NN_BINARY_ANY(X)                                                                                       \
    X(add, "y = a + b")                                                                                        \
    X(sub, "y = a - b")                                                                                        \
    X(mul, "y = a * b")                                                                                        \
    X(maximum, "y = the larger of a and b; NaN if either is")                                                  \
    X(minimum, "y = the smaller of a and b; NaN if either is")

#define NN_BINARY_FLOAT(X)                                                                                     \
    X(div, "y = a / b")                                                                                        \
    X(pow, "y = a ** b")

#define NN_COMPARE(X)                                                                                          \
    X(eq, ==, "y = a == b")                                                                                    \
    X(ne, !=, "y = a != b")                                                                                    \
    X(lt, <, "y = a < b")                                                                                      \
    X(le, <=, "y = a <= b")                                                                                    \
    X(gt, >, "y = a > b")                                                                                      \
    X(ge, >=, "y = a >= b")

#define NN_LOGIC(X)                                                                                            \
    X(logical_and, &&, "y = a and b")                                                                          \
    X(logical_or, ||, "y = a or b")                                                                            \
    X(logical_xor, !=, "y = a xor b")

#ifdef NN_WIDTH
/* formulas: see below */
#endif
