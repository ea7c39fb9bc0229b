/* matmul:  y[b] = a[b] b[b]
 * linear:  y = activation(x weight^T + bias + addend);  dx = (dy weight + addend) gate', dweight = dy^T x, dbias =
 * column sums of dy.
 *
 * Shapes: a (batch, M, K), b (batch, K, N), y (batch, M, N); x (M, K), weight (N, K), bias (N,), y (M, N). a, b,
 *   weight and dweight may have any strides; weight is best stored as (K, N), its columns then are read in order.
 * Parallel: see gemm; matmul gives whole matrices to the ranks where there are enough of them.
 * Numerics: see gemm, and column_sum for dbias.
 * Source: the gradients are those of Goodfellow, Bengio & Courville, "Deep Learning", 2016, section 6.5.6.
 */
#include "column_sum.h"
#include "gemm.h"
#include "weight_gradient.h"

NN_DEFINE(matmul) {
    const nn_matmul_args *p = args;
    const int64_t *a_stride = p->a.stride, *b_stride = p->b.stride;
    nn_gemm g = {.row_stride = p->N, .M = p->M, .N = p->N, .K = p->K};
    nn_matrix a = {p->a.data, a_stride[1], a_stride[2]}, b = {p->b.data, b_stride[1], b_stride[2]};
    int64_t batch = p->batch;
    g.a = &a;
    g.b = &b;

    /* One b under a stack of a: one tall matrix. */
    const bool stacked = p->M == 1 || a_stride[0] == p->M * a_stride[1];
    if (batch > 1 && b_stride[0] == 0 && stacked) {
        if (p->M == 1) a.row_stride = a_stride[0];
        g.M *= batch;
        batch = 1;
    }

    const nn_team alone = {1, nn_scratch(team, rank)};
    const bool whole = batch % team->size == 0 || batch >= 4 * team->size;
    int64_t i = 0, end = batch;
    if (whole) nn_share(batch, 1, team, rank, &i, &end);
    for (; i < end; i++) {
        g.c = (real *)p->y + i * g.M * g.N;
        a.data = (const real *)p->a.data + i * a_stride[0];
        b.data = (const real *)p->b.data + i * b_stride[0];
        if (whole)
            NN_FN(gemm)(&g, &alone, 0);
        else
            NN_FN(gemm)(&g, team, rank);
    }
}

NN_DEFINE(linear_forward) {
    const nn_linear_forward_args *p = args;
    const nn_matrix x = {p->x, p->K, 1};
    const nn_matrix weight = {p->weight.data, p->weight.stride[1], p->weight.stride[0]}; /* transposed: (K, N) */
    const nn_epilogue after = {.c = p->y, .addend = p->addend, .activation = p->activation};
    const nn_gemm g = {.c = p->y,
                       .row_stride = p->N,
                       .M = p->M,
                       .N = p->N,
                       .K = p->K,
                       .a = &x,
                       .b = &weight,
                       .bias = p->bias,
                       .after = nn_if_any(&after)};
    NN_FN(gemm)(&g, team, rank);
}

NN_DEFINE(linear_backward) {
    const nn_linear_backward_args *p = args;
    if (p->dx) {
        const nn_epilogue after = {.c = p->dx, .addend = p->addend, .gate = p->gate, .gated = p->gated};
        const nn_matrix dy = {p->dy, p->N, 1};
        const nn_matrix weight = {p->weight.data, p->weight.stride[0], p->weight.stride[1]};
        const nn_gemm g = {.c = p->dx,
                           .row_stride = p->K,
                           .M = p->M,
                           .N = p->K,
                           .K = p->N,
                           .a = &dy,
                           .b = &weight,
                           .after = nn_if_any(&after)};
        NN_FN(gemm)(&g, team, rank);
    }
    if (p->dweight.data) nn_weight_gradient(&p->dweight, p->dy, p->N, p->x, p->M, p->N, p->K, false, team, rank);
    if (p->dbias) nn_column_sum(p->dbias, p->dy, p->M, p->N, team, rank);
}
