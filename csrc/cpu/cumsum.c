/* cumsum: y[o,n,i] = x[o,0,i] + ... + x[o,n,i]; reverse: x[o,n,i] + ... + x[o,last,i], its gradient.
 *
 * Shapes: x, y (outer, n, inner).
 * Parallel: over the outer * inner lines along the axis; one line is one chain.
 * Numerics: one addition after the other from zero, in double precision for both floating-point dtypes, rounded where
 * it is written: the error of a float32 element does not grow with n. Integer sums wrap. Source: the definition.
 */
#include "cpu.h"

enum { BLOCK = 256, ROWS = 8 }; /* lines side by side: a chain alone would wait for every addition */

#if NN_IS_FLOAT
typedef double wide;
#else
typedef uint64_t wide;
#endif

/* `width` lines of n elements, `across` elements apart; `along` from one element of a line to the next. */
NN_INLINE void add_up(real *y, const real *x, int64_t n, int64_t along, int64_t across, const int64_t width) {
    wide sum[BLOCK];
    memset(sum, 0, (size_t)width * sizeof(wide));
    for (; n > 0; n--, x += along, y += along)
        for (int64_t i = 0; i < width; i++) {
            sum[i] += (wide)x[i * across];
            y[i * across] = (real)sum[i];
        }
}

NN_DEFINE(cumsum) {
    const nn_cumsum_args *a = args;
    const int64_t n = a->n, inner = a->inner;
    int64_t line, end;
    nn_share(a->outer * inner, 1, team, rank, &line, &end);
    for (int64_t width; line < end; line += width) {
        const int64_t o = line / inner, at = line + o * (n - 1) * inner, along = a->reverse ? -inner : inner;
        const real *x = (const real *)a->x + at + (a->reverse ? (n - 1) * inner : 0);
        real *y = (real *)a->y + (x - (const real *)a->x);
        if (inner == 1 && end - line >= ROWS) {
            width = ROWS;
            add_up(y, x, n, along, n, ROWS);
        } else {
            width = end - line < (o + 1) * inner - line ? end - line : (o + 1) * inner - line;
            width = width < BLOCK ? width : BLOCK;
            add_up(y, x, n, along, 1, width);
        }
    }
}
