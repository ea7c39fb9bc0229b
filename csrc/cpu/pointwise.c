/* Pointwise kernels: every op of NN_UNARY and NN_LOSS (elementwise.h), forward and backward.
 *
 * Formula:  y = op(x); dx = dy * op'(saved).  Losses: y = op(x, target); dx = dy * op'(x, target).
 * Shapes:   dense arrays of n elements; the dy of a loss is a view, broadcast to their shape. y may be x.
 * Parallel: each rank takes its share of the elements, in blocks of NN_CHUNK.
 * Numerics: each element by itself, see elementwise.h and vecmath.h; the tail goes through the same vector code.
 * Source:   elementwise.h.
 */
#include "simd.h"
#include "../elementwise.h"

typedef vec (*formula)(const void *args, vec x);
typedef vec (*loss_formula)(const void *args, vec x, vec target);

enum { FETCHED_FROM = 1 << 20 };

/* y = f(x) */
NN_INLINE void apply(formula f, const void *args, real *y, const real *x, int64_t n, const nn_team *team, int rank) {
    int64_t i, end;
    nn_share(n, NN_CHUNK, team, rank, &i, &end);
    int64_t ahead = nn_ahead(n, FETCHED_FROM);
    for (; i + NN_WIDTH <= end; i += NN_WIDTH) {
        if (NN_FAR(ahead)) {
            __builtin_prefetch(x + i + ahead);
            __builtin_prefetch(y + i + ahead, 1);
        }
        v_store(y + i, f(args, v_load(x + i)));
    }
    const int64_t left = end - i;
    if (left > 0) v_store_n(y + i, f(args, v_load_n(x + i, left)), left);
}

/* dx = dy * f(saved) */
NN_INLINE void apply_grad(formula f, const void *args, real *dx, const real *dy, const real *saved, int64_t n,
                          const nn_team *team, int rank) {
    int64_t i, end;
    nn_share(n, NN_CHUNK, team, rank, &i, &end);
    int64_t ahead = nn_ahead(n, FETCHED_FROM);
    for (; i + NN_WIDTH <= end; i += NN_WIDTH) {
        if (NN_FAR(ahead)) {
            __builtin_prefetch(dy + i + ahead);
            __builtin_prefetch(saved + i + ahead);
            __builtin_prefetch(dx + i + ahead, 1);
        }
        v_store(dx + i, v_load(dy + i) * f(args, v_load(saved + i)));
    }
    const int64_t left = end - i;
    if (left > 0) v_store_n(dx + i, v_load_n(dy + i, left) * f(args, v_load_n(saved + i, left)), left);
}

/* y = f(x, target) */
NN_INLINE void apply_loss(loss_formula f, const void *args, real *y, const real *x, const real *target, int64_t n,
                          const nn_team *team, int rank) {
    int64_t i, end;
    nn_share(n, NN_CHUNK, team, rank, &i, &end);
    for (; i + NN_WIDTH <= end; i += NN_WIDTH) v_store(y + i, f(args, v_load(x + i), v_load(target + i)));
    const int64_t left = end - i;
    if (left > 0) v_store_n(y + i, f(args, v_load_n(x + i, left), v_load_n(target + i, left)), left);
}

#define BLOCK 256

static bool is_dense(const nn_view *view) {
    int64_t stride = 1;
    for (int dim = view->ndim - 1; dim >= 0; dim--) {
        if (view->shape[dim] != 1 && view->stride[dim] != stride) return false;
        stride *= view->shape[dim];
    }
    return true;
}

/* block[0 .. count) = elements begin .. begin + count of the view, in row-major order; count > 0 */
static void gather_block(real *block, const nn_view *view, int64_t begin, int64_t count) {
    const real *element = view->data;
    int64_t index[NN_MAX_DIM];
    for (int dim = view->ndim - 1; dim >= 0; dim--) {
        index[dim] = begin % view->shape[dim];
        begin /= view->shape[dim];
        element += index[dim] * view->stride[dim];
    }
    for (int64_t i = 0; i < count; i++) {
        block[i] = *element;
        for (int dim = view->ndim - 1; dim >= 0; dim--) {
            element += view->stride[dim];
            if (++index[dim] < view->shape[dim]) break;
            element -= index[dim] * view->stride[dim];
            index[dim] = 0;
        }
    }
}

/* dx = dy * f(x, target), with dy gathered a block at a time unless it is dense */
NN_INLINE void apply_loss_grad(loss_formula f, const void *args, real *dx, const nn_view *dy, const real *x,
                               const real *target, int64_t n, const nn_team *team, int rank) {
    const bool dense = is_dense(dy);
    real block[BLOCK];
    int64_t i, end;
    nn_share(n, NN_CHUNK, team, rank, &i, &end);
    while (i < end) {
        const int64_t block_end = end - i < BLOCK ? end : i + BLOCK;
        if (!dense) gather_block(block, dy, i, block_end - i);
        const real *dy_block = dense ? (const real *)dy->data + i : block;
        for (; i + NN_WIDTH <= block_end; i += NN_WIDTH, dy_block += NN_WIDTH)
            v_store(dx + i, v_load(dy_block) * f(args, v_load(x + i), v_load(target + i)));
        const int64_t left = block_end - i;
        if (left > 0) {
            const vec slope = f(args, v_load_n(x + i, left), v_load_n(target + i, left));
            v_store_n(dx + i, v_load_n(dy_block, left) * slope, left);
        }
        i = block_end;
    }
}

#define NN_REAL(name) , v_set1((real)a->name)

#define X(op, saved, cost, params, doc)                                                                                \
    NN_INLINE vec op##_value(const void *args, vec x) {                                                                \
        const nn_##op##_forward_args *a = args;                                                                        \
        return (void)a, nn_##op(x params);                                                                             \
    }                                                                                                                  \
    NN_INLINE vec op##_grad(const void *args, vec saved) {                                                             \
        const nn_##op##_backward_args *a = args;                                                                       \
        return (void)a, nn_##op##_grad(saved params);                                                                  \
    }                                                                                                                  \
    NN_DEFINE(op##_forward) {                                                                                          \
        const nn_##op##_forward_args a = *(const nn_##op##_forward_args *)args;                                        \
        apply(op##_value, &a, a.y, a.x, a.n, team, rank);                                                              \
    }                                                                                                                  \
    NN_DEFINE(op##_backward) {                                                                                         \
        const nn_##op##_backward_args a = *(const nn_##op##_backward_args *)args;                                      \
        apply_grad(op##_grad, &a, a.dx, a.dy, a.saved, a.n, team, rank);                                               \
    }
NN_UNARY(X)
#undef X

#define X(op, cost, params, doc)                                                                                       \
    NN_INLINE vec op##_value(const void *args, vec x, vec target) {                                                    \
        const nn_##op##_forward_args *a = args;                                                                        \
        return (void)a, nn_##op(x, target params);                                                                     \
    }                                                                                                                  \
    NN_INLINE vec op##_grad(const void *args, vec x, vec target) {                                                     \
        const nn_##op##_backward_args *a = args;                                                                       \
        return (void)a, nn_##op##_grad(x, target params);                                                              \
    }                                                                                                                  \
    NN_DEFINE(op##_forward) {                                                                                          \
        const nn_##op##_forward_args a = *(const nn_##op##_forward_args *)args;                                        \
        apply_loss(op##_value, &a, a.y, a.x, a.target, a.n, team, rank);                                               \
    }                                                                                                                  \
    NN_DEFINE(op##_backward) {                                                                                         \
        const nn_##op##_backward_args a = *(const nn_##op##_backward_args *)args;                                      \
        apply_loss_grad(op##_grad, &a, a.dx, &a.dy, a.x, a.target, a.n, team, rank);                                   \
    }
NN_LOSS(X)
#undef X
