/* dweight (N, K) = dy^T x, of a weight that lies in memory as it likes; with `add` dweight += dy^T x.
 *
 * Parallel, numerics: see gemm; the inner index is the row of dy and x.
 */
#ifndef NN_WEIGHT_GRADIENT_H
#define NN_WEIGHT_GRADIENT_H

#include "gemm.h"

/* x (M, K) is dense, rows of dy (M, N) are dy_row apart. C is written along the axis of unit stride: dy^T x, or its
 * transpose x^T dy. */
static inline void nn_weight_gradient(const nn_view *dweight, const real *dy, int64_t dy_row, const real *x, int64_t M,
                                      int64_t N, int64_t K, bool add, const nn_team *team, int rank) {
    const int64_t row_stride = dweight->stride[0], column_stride = dweight->stride[1];
    const nn_matrix dy_t = {dy, 1, dy_row}, x_t = {x, 1, K}, dy_rows = {dy, dy_row, 1};
    nn_matrix x_rows = {x, K, 1};
    nn_gemm g = {
        .c = dweight->data, .row_stride = row_stride, .M = N, .N = K, .K = M, .a = &dy_t, .b = &x_rows, .add = add};
    if (column_stride == 1 || K == 1) {
        NN_FN(gemm)(&g, team, rank);
    } else if (row_stride == 1 || N == 1) {
        g.row_stride = column_stride;
        g.M = K;
        g.N = N;
        g.a = &x_t;
        g.b = &dy_rows;
        NN_FN(gemm)(&g, team, rank);
    } else {
        g.N = 1;
        for (int64_t k = 0; k < K; k++, x_rows.data++, g.c += column_stride) NN_FN(gemm)(&g, team, rank);
    }
}

#endif
