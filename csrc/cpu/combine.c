/* combine_rows: y[b,r,:] = sum over t in ends[r-1] .. ends[r]-1 of weight[t] * x[b,index[t],:], ends[-1] being 0.
 *   A sparse matrix, its rows one after the other, times dense ones. An image's pixels are the rows: resampling, means
 *   over uneven windows, and by the transposed matrix their gradients.
 *
 * Shapes: x (batch, n, cols), y (batch, rows, cols); weight, index (terms,), index within [0, n); ends (rows,) within
 *   [0, terms], a row whose end is not after the end before it is 0.
 * Parallel: over the rows of y.
 * Numerics: the first term is a product, each further one a fused multiply-add, in order of t.
 * Source: Saad, Iterative Methods for Sparse Linear Systems, 2003, section 3.4 (compressed sparse rows).
 */
#include "row.h"

#define MOST_VECTORS 4 /* at once: index and weight are read once for all of them */

/* `vectors` registers of n elements each of a row of y, of terms first .. last-1. */
NN_INLINE void combine(real *y, const real *x, const nn_combine_rows_args *a, int64_t first, int64_t last,
                       const int vectors, int64_t n) {
    const real *weight = a->weight;
    const int64_t *index = a->index;
    vec sum[MOST_VECTORS] = {{0}};
    for (int64_t t = first; t < last; t++) {
        const real *from = x + index[t] * a->cols;
        const vec w = v_set1(weight[t]);
        NN_UNROLL
        for (int v = 0; v < vectors; v++) {
            const vec value = row_load(from + v * NN_WIDTH, n);
            sum[v] = t == first ? w * value : v_fma(w, value, sum[v]);
        }
    }
    NN_UNROLL
    for (int v = 0; v < vectors; v++) row_store(y + v * NN_WIDTH, sum[v], n);
}

NN_DEFINE(combine_rows) {
    const nn_combine_rows_args *a = args;
    const int64_t *ends = a->ends, cols = a->cols;
    int64_t row, end;
    nn_share(a->batch * a->rows, 1, team, rank, &row, &end);
    for (; row < end; row++) {
        const int64_t r = row % a->rows, first = r > 0 ? ends[r - 1] : 0, last = ends[r];
        const real *x = (const real *)a->x + row / a->rows * a->n * cols;
        real *y = (real *)a->y + row * cols;
        int64_t col = 0;
        for (; col + MOST_VECTORS * NN_WIDTH <= cols; col += MOST_VECTORS * NN_WIDTH)
            combine(y + col, x + col, a, first, last, MOST_VECTORS, NN_WIDTH);
        for (; col + NN_WIDTH <= cols; col += NN_WIDTH) combine(y + col, x + col, a, first, last, 1, NN_WIDTH);
        if (col < cols) combine(y + col, x + col, a, first, last, 1, cols - col);
    }
}
