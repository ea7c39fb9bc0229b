/* cumsum: y[o,n,i] = x[o,0,i] + ... + x[o,n,i]; reverse: x[o,n,i] + ... + x[o,last,i], its gradient.
 *
 * Shapes: x, y (outer, n, inner).
 * Parallel: over the outer * inner lines along the axis; one line is one chain.
 * Numerics: one addition after the other from zero, in double precision for both floating-point dtypes, rounded where
 * it is written: the error of a float32 element does not grow with n. Integer sums wrap. Source: the definition.
 */
#include "cpu.h"

enum { BLOCK = 256 }; /* lines side by side */

#if NN_IS_FLOAT
typedef double wide;
#else
typedef uint64_t wide;
#endif

NN_DEFINE(cumsum) {
    const nn_cumsum_args *a = args;
    const int64_t inner = a->inner;
    wide sum[BLOCK];
    int64_t line, end;
    nn_share(a->outer * inner, 1, team, rank, &line, &end);
    while (line < end) {
        const int64_t o = line / inner, first = line - o * inner;
        int64_t width = end - line < inner - first ? end - line : inner - first;
        if (width > BLOCK) width = BLOCK;
        memset(sum, 0, (size_t)width * sizeof(wide));
        for (int64_t step = 0; step < a->n; step++) {
            const int64_t at = (o * a->n + (a->reverse ? a->n - 1 - step : step)) * inner + first;
            const real *x = (const real *)a->x + at;
            real *y = (real *)a->y + at;
            for (int64_t i = 0; i < width; i++) {
                sum[i] += (wide)x[i];
                y[i] = (real)sum[i];
            }
        }
        line += width;
    }
}
