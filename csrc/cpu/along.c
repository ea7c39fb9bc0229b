/* gather_along: y[o,m,i] = x[o,index[o,m,i],i].  scatter_along: y = x, or zeros; then y[o,index[o,m,i],i] =
 * source[o,m,i], or += source[o,m,i]. With zeros and += it is gather_along's gradient, and that of a maximum; with =
 * also one-hot codes.
 *
 * Shapes: x (outer, n, inner), index (outer, m, inner) within [0, n); gather: y (outer, m, inner); scatter: source
 *   (outer, m, inner), y (outer, n, inner).
 * Parallel: over the outer * inner lines along the axis, so that nothing is written by two.
 * Numerics: gather copies. scatter goes in ascending order of m, whatever the team: of equal indices the last one is
 *   written, or all are added one after the other.
 * Source: the definition; Chainer and PyTorch's names.
 */
#include "cpu.h"

/* lines first .. last-1 of one o, of a rank's share; moves *line on */
static int64_t next_lines(int64_t *line, int64_t end, int64_t inner, int64_t *first, int64_t *last) {
    const int64_t o = *line / inner;
    *first = *line - o * inner;
    *last = *first + end - *line < inner ? *first + end - *line : inner;
    *line += *last - *first;
    return o;
}

NN_DEFINE(gather_along) {
    const nn_gather_along_args *a = args;
    const int64_t inner = a->inner;
    int64_t line, end, first, last;
    nn_share(a->outer * inner, 1, team, rank, &line, &end);
    while (line < end) {
        const int64_t o = next_lines(&line, end, inner, &first, &last);
        const real *x = (const real *)a->x + o * a->n * inner;
        for (int64_t m = 0; m < a->m; m++) {
            const int64_t row = (o * a->m + m) * inner;
            const int64_t *index = (const int64_t *)a->index + row;
            real *y = (real *)a->y + row;
            for (int64_t i = first; i < last; i++) y[i] = x[index[i] * inner + i];
        }
    }
}

static void begin_with(real *y, const real *x, int64_t n) {
    if (x)
        memcpy(y, x, (size_t)n * sizeof(real));
    else
        memset(y, 0, (size_t)n * sizeof(real));
}

#if NN_IS_FLOAT
static inline real add(real a, real b) { return a + b; }
#else
static inline real add(real a, real b) { return (real)((uint64_t)a + (uint64_t)b); }
#endif

NN_DEFINE(scatter_along) {
    const nn_scatter_along_args *a = args;
    const int64_t inner = a->inner;
    const int64_t *strides = a->source.stride;
    int64_t line, end, first, last;
    nn_share(a->outer * inner, 1, team, rank, &line, &end);
    while (line < end) {
        const int64_t o = next_lines(&line, end, inner, &first, &last), at = o * a->n * inner;
        real *y = (real *)a->y + at;
        const real *x = a->x ? (const real *)a->x + at : NULL;
        if (last - first == inner)
            begin_with(y, x, a->n * inner);
        else
            for (int64_t n = 0; n < a->n; n++)
                begin_with(y + n * inner + first, x ? x + n * inner + first : NULL, last - first);
        for (int64_t m = 0; m < a->m; m++) {
            const int64_t *index = (const int64_t *)a->index + (o * a->m + m) * inner;
            const real *source = (const real *)a->source.data + o * strides[0] + m * strides[1];
            for (int64_t i = first; i < last; i++) {
                real *target = y + index[i] * inner + i;
                *target = a->add ? add(*target, source[i * strides[2]]) : source[i * strides[2]];
            }
        }
    }
}
