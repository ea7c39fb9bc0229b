/* What the optimizer steps of optimizer.c and adaptive.c share: the walk over all parameters, the gradient, what a
 * state keeps. */
#ifndef NN_OPTIMIZER_H
#define NN_OPTIMIZER_H

#include "row.h"
#include "vecmath.h"

/* Updates elements i .. i+n-1, n <= NN_WIDTH, of the arrays `lists` points to. */
typedef void (*update)(const void *step, real *const *arrays, int64_t i, int64_t n);

/* FETCHED_FROM: elements of a parameter that comes from memory. */
enum { MAX_LISTS = 5, FETCHED_FROM = 1 << 17 };

/* Updates this rank's share: `lists` are the lists of one call, absent ones NULL. */
NN_INLINE void update_all(update one, const void *step, void *const *const lists[MAX_LISTS], const int64_t *sizes,
                          int64_t count, int64_t total, const nn_team *team, int rank) {
    int64_t begin, end, first = 0; /* elements of all parameters; the first of this parameter */
    nn_share(total, 1024, team, rank, &begin, &end);
    for (int64_t k = 0; k < count && first < end; first += sizes[k++]) {
        int64_t i = begin > first ? begin - first : 0;
        const int64_t last = end - first < sizes[k] ? end - first : sizes[k];
        real *arrays[MAX_LISTS];
        for (int list = 0; list < MAX_LISTS; list++) arrays[list] = lists[list] ? lists[list][k] : NULL;
        const int64_t ahead = nn_ahead(sizes[k], FETCHED_FROM);
        for (; i + NN_WIDTH <= last; i += NN_WIDTH) {
            for (int list = 0; ahead && list < MAX_LISTS; list++)
                if (arrays[list]) __builtin_prefetch(arrays[list] + i + ahead, 1);
            one(step, arrays, i, NN_WIDTH);
        }
        if (i < last) one(step, arrays, i, last - i);
    }
}

/* The gradient, negated where maximize is set, plus weight_decay * p. */
NN_INLINE vec load_gradient(const real *grad, int64_t i, int64_t n, vec p, bool maximize, real weight_decay) {
    vec g = row_load(grad + i, n);
    if (maximize) g = -g;
    if (weight_decay != 0) g += weight_decay * p;
    return g;
}

/* x, and 0 for subnormal numbers */
NN_INLINE vec settled(vec x) { return v_select(v_lt(v_abs(x), v_set1(NNV_REAL(0x1p-126, 0x1p-1022))), v_set1(0), x); }

/* g^2, and 0 where that is subnormal */
NN_INLINE vec square(vec g) {
    const vec root = v_set1(NNV_REAL(0x1p-63, 0x1p-511));
    g = v_select(v_lt(v_abs(g), root), v_set1(0), g);
    return g * g;
}

/* base^n for n >= 0, by squaring */
NN_INLINE double power(double base, int64_t n) {
    double result = 1;
    for (; n > 0; n /= 2, base *= base)
        if (n % 2) result *= base;
    return result;
}

#endif
