/* What rnn.c, lstm.c and gru.c share: the way through a sequence, and the matrix products on it.
 *
 * Shapes: x (seq, batch, I), states (batch, H), weight_ih (G, I), weight_hh (G, H) with any strides, G one to four H.
 * Parallel: the sequence goes in blocks of `steps` steps. x weight_ih^T of a block, and in the backward pass dx and the
 *   gradients of the weights, are products shared by the team; between them every rank takes its own rows of the batch
 *   from step to step and waits for nobody. So there is a barrier or two for a block, none for a step.
 * Numerics: the sum for a gate is (x weight_ih^T + bias_ih) + h weight_hh^T, its chunks added in order, then + bias_hh.
 *   Gradients of the weights sum over the rows (step, batch) of a block as gemm does, and over the blocks in the order
 *   in which the backward pass comes to them. A row of the batch depends on no other.
 * Source: the input product for many steps at once and the gradients of the weights after the recurrence are those of
 *   Appleyard, Kocisky & Blunsom, "Optimizing Performance of Recurrent Neural Networks on GPUs", 2016.
 */
#ifndef NN_RECURRENT_H
#define NN_RECURRENT_H

#include "column_sum.h"
#include "gemm.h"
#include "weight_gradient.h"

#include "../elementwise.h"

/* B of the products in every step: in place, or in panels. */
typedef struct {
    nn_matrix matrix;
    const real *panels;
    int64_t K, N;
} nn_factor;

/* Rows first .. first+rows of a weight: transposed, as the states meet it, or as it is, as their gradients do. With
 * panels: packs it there. A barrier comes before its use. */
static inline nn_factor nn_factor_of(const nn_view *weight, int64_t first, int64_t rows, bool transposed, real *panels,
                                     const nn_team *team, int rank) {
    const int64_t row = weight->stride[0], column = weight->stride[1], H = weight->shape[1];
    const real *data = (const real *)weight->data + first * row;
    const nn_factor f = {.matrix = transposed ? (nn_matrix){data, column, row} : (nn_matrix){data, row, column},
                         .panels = panels,
                         .K = transposed ? H : rows,
                         .N = transposed ? rows : H};
    if (panels) NN_FN(pack_panels)(panels, &f.matrix, f.K, f.N, team, rank);
    return f;
}

/* c = a b, or c += a b, of one row and `registers` of columns; sums as in gemm. */
#define ROW_REGISTERS (NN_BYTES == 64 ? 16 : 8)
NN_INLINE void nn_row_block(const int registers, real *c, const real *a, const real *b, int64_t b_row, int64_t K,
                            bool add) {
    for (int64_t k = 0; k < K;) {
        const bool first = k == 0 && !add;
        vec sum[ROW_REGISTERS];
        NN_UNROLL
        for (int i = 0; i < registers; i++) sum[i] = (vec){0};
        for (const int64_t end = K - k < NN_KC ? K : k + NN_KC; k < end; k++, b += b_row) {
            const vec coefficient = v_set1(a[k]);
            NN_UNROLL
            for (int i = 0; i < registers; i++) sum[i] = v_fma(coefficient, v_load(b + i * NN_WIDTH), sum[i]);
        }
        NN_UNROLL
        for (int i = 0; i < registers; i++)
            v_store(c + i * NN_WIDTH, first ? sum[i] : v_load(c + i * NN_WIDTH) + sum[i]);
    }
}

/* The product of one row, which waits for b, in L2 from the second step on: many columns at a time, and nothing is
 * fetched ahead. Returns how many columns are done: whole registers. */
static inline int64_t nn_multiply_row(real *c, const real *a, const nn_factor *b, bool add) {
    int64_t j = 0;
#define BLOCK(registers)                                                                                               \
    for (; j + registers * NN_WIDTH <= b->N; j += registers * NN_WIDTH)                                                \
    nn_row_block(registers, c + j, a, b->matrix.data + j, b->matrix.row_stride, b->K, add)
    BLOCK(ROW_REGISTERS);
    BLOCK(4);
    BLOCK(1);
#undef BLOCK
    return j;
}

/* c = a b, or c += a b, for `rows` rows; one rank alone. */
static inline void nn_multiply(real *c, int64_t c_row, const real *a, int64_t a_row, int64_t rows, const nn_factor *b,
                               bool add, const nn_team *alone) {
    const bool is_row = rows == 1 && !b->panels && b->matrix.column_stride == 1 && b->K > 0;
    const int64_t done = is_row ? nn_multiply_row(c, a, b, add) : 0;
    if (done == b->N) return;
    const nn_matrix left = {a, a_row, 1},
                    right = {b->matrix.data + done, b->matrix.row_stride, b->matrix.column_stride};
    const nn_gemm g = {.c = c + done,
                       .row_stride = c_row,
                       .M = rows,
                       .N = b->N - done,
                       .K = b->K,
                       .a = &left,
                       .b = &right,
                       .panels = b->panels,
                       .add = add};
    NN_FN(gemm)(&g, alone, 0);
}

/* a = x weight^T + bias for `rows` rows, shared by the team. */
static inline void nn_project(real *a, const real *x, int64_t rows, const nn_view *weight, const real *bias,
                              const nn_team *team, int rank) {
    const int64_t N = weight->shape[0], K = weight->shape[1];
    const nn_matrix left = {x, K, 1}, right = {weight->data, weight->stride[1], weight->stride[0]};
    const nn_gemm g = {.c = a, .row_stride = N, .M = rows, .N = N, .K = K, .a = &left, .b = &right, .bias = bias};
    NN_FN(gemm)(&g, team, rank);
}

/* dx = da weight, shared by the team. */
static inline void nn_project_back(real *dx, const real *da, int64_t rows, const nn_view *weight, const nn_team *team,
                                   int rank) {
    const int64_t K = weight->shape[0], N = weight->shape[1];
    const nn_matrix left = {da, K, 1}, right = {weight->data, weight->stride[0], weight->stride[1]};
    const nn_gemm g = {.c = dx, .row_stride = N, .M = rows, .N = N, .K = K, .a = &left, .b = &right};
    NN_FN(gemm)(&g, team, rank);
}

/* sum = the column sums of `rows` rows, `stride` apart; or what they add to it. */
static inline void nn_bias_gradient(real *sum, const real *x, int64_t rows, int64_t stride, int64_t cols, bool add,
                                    const nn_team *team, int rank) {
    enum { WIDTH = 4 * NN_WIDTH };
    int64_t c, end, width;
    nn_share(cols, NN_LANES, team, rank, &c, &end);
    for (; c < end; c += width) {
        width = end - c >= WIDTH ? WIDTH : end - c < NN_WIDTH ? end - c : NN_WIDTH;
        for (int64_t row = 0; row == 0 || row < rows; row += NN_KC) {
            const int64_t count = rows - row < NN_KC ? rows - row : NN_KC;
            real part[WIDTH];
            if (width == WIDTH)
                nn_sum_columns(part, x + row * stride + c, count, stride, 4, NN_WIDTH);
            else
                nn_sum_columns(part, x + row * stride + c, count, stride, 1, width);
            if (row == 0 && !add)
                memcpy(sum + c, part, (size_t)width * sizeof(real));
            else
                nn_add_to(sum + c, part, width);
        }
    }
}

/* to = from, two biases that are added to one sum; each rank the columns that nn_bias_gradient gave it. */
static inline void nn_same_bias(real *to, const real *from, int64_t cols, const nn_team *team, int rank) {
    int64_t c, end;
    nn_share(cols, NN_LANES, team, rank, &c, &end);
    memcpy(to + c, from + c, (size_t)(end - c) * sizeof(real));
}

/* The rows of the batch that a rank takes through the sequence. */
typedef struct {
    int64_t begin, end;
} nn_rows;

static inline nn_rows nn_rows_of(int64_t batch, const nn_team *team, int rank) {
    nn_rows r;
    nn_share(batch, 1, team, rank, &r.begin, &r.end);
    return r;
}

/* to = from, or zero where there is none. */
static inline void nn_copy_rows(real *to, const real *from, nn_rows rows, int64_t size) {
    const size_t bytes = (size_t)((rows.end - rows.begin) * size) * sizeof(real);
    if (from)
        memcpy(to + rows.begin * size, from + rows.begin * size, bytes);
    else
        memset(to + rows.begin * size, 0, bytes);
}

static inline bool nn_is_active(const int64_t *lengths, int64_t row, int64_t t) { return !lengths || t < lengths[row]; }

/* The last rows may all be past their end: they need no product. */
static inline nn_rows nn_active_rows(const int64_t *lengths, nn_rows rows, int64_t t) {
    while (rows.end > rows.begin && !nn_is_active(lengths, rows.end - 1, t)) rows.end--;
    return rows;
}

/* Something done with elements j .. j+n-1 of the rows of a step; n is a whole register but at the end. */
typedef void (*nn_cells)(const void *row, int64_t j, const int64_t n);
NN_INLINE void nn_each_cell(nn_cells cells, const void *row, int64_t H) {
    int64_t j = 0;
    for (; j + NN_WIDTH <= H; j += NN_WIDTH) cells(row, j, NN_WIDTH);
    if (j < H) cells(row, j, H - j);
}

NN_INLINE vec nn_load_or_zero(const real *x, int64_t j, int64_t n) { return x ? row_load(x + j, n) : (vec){0}; }

#endif
