/* gemm where C has at most NN_THIN rows or columns: a matrix times a few vectors.
 *
 * Shapes: a (m, K), b (K, n), c (m, n) with m <= NN_THIN; for a C of few columns the operands are exchanged.
 * Parallel: by the caller; a rank computes c alone.
 * Numerics: as in gemm. The lanes of a register are columns of c, so a sum stays one chain.
 * Source: the loops of BLAS gemv, over rows of b where they are contiguous, else over its columns.
 *
 * b is read once, in the order in which it lies in memory, and nothing is packed: these products wait for memory.
 */
#ifndef NN_THIN_H
#define NN_THIN_H

#include "gemm.h"
#include "transpose.h"

#define NN_THIN 3
#define THIN_REGISTERS 8             /* of columns whose sums stay in registers, at most */
#define THIN_COLUMNS (64 * NN_LANES) /* of c at a time: their sums stay in L1 */

typedef struct {
    nn_matrix a, b;
    real *c;
    int64_t c_row, c_column;
    const real *bias; /* NULL, or element (i, j) is bias[i * bias_row + j * bias_column] */
    int64_t bias_row, bias_column;
    int m;
    int64_t n, K;
    bool add;
} thin_args;

NN_INLINE const real *element(nn_matrix a, int64_t i, int64_t j) {
    return a.data + i * a.row_stride + j * a.column_stride;
}

/* sums[i][..] = sum over k of a[i][k] b[k][..] for `registers` of columns; of the last, `lanes` lie in memory. */
NN_INLINE void thin_rows_block(const int m, const int registers, nn_matrix a, const real *b, int64_t b_row,
                               int64_t depth, const int64_t lanes, real *sums) {
    vec sum[NN_THIN][THIN_REGISTERS];
    NN_UNROLL
    for (int i = 0; i < m; i++) {
        NN_UNROLL
        for (int j = 0; j < registers; j++) sum[i][j] = (vec){0};
    }
    for (int64_t k = 0; k < depth; k++, b += b_row) {
        vec coefficient[NN_THIN];
        NN_UNROLL
        for (int i = 0; i < m; i++) coefficient[i] = v_set1(*element(a, i, k));
        NN_UNROLL
        for (int j = 0; j < registers; j++) {
            const bool whole = j + 1 < registers || lanes == NN_WIDTH;
            __builtin_prefetch(b + 8 * b_row + j * NN_WIDTH); /* a few lines of each row: nobody else runs ahead */
            const vec row = whole ? v_load(b + j * NN_WIDTH) : v_load_n(b + j * NN_WIDTH, lanes);
            NN_UNROLL
            for (int i = 0; i < m; i++) sum[i][j] = v_fma(coefficient[i], row, sum[i][j]);
        }
    }
    NN_UNROLL
    for (int i = 0; i < m; i++) {
        NN_UNROLL
        for (int j = 0; j < registers; j++) v_store(sums + i * THIN_COLUMNS + j * NN_WIDTH, sum[i][j]);
    }
}

/* Rows of b are contiguous: as many of their columns at a time as there are registers for. */
NN_INLINE void thin_rows(const int m, nn_matrix a, nn_matrix b, int64_t depth, int64_t columns, real *sums) {
    const int most = NN_BYTES == 64 || m == 1 ? THIN_REGISTERS : THIN_REGISTERS / 2;
    int64_t j = 0;
#define BLOCK(registers, lanes) thin_rows_block(m, registers, a, b.data + j, b.row_stride, depth, lanes, sums + j)
    for (; j + most * NN_WIDTH <= columns; j += most * NN_WIDTH) BLOCK(most, NN_WIDTH);
    for (; j + 4 * NN_WIDTH <= columns; j += 4 * NN_WIDTH) BLOCK(4, NN_WIDTH);
    for (; j + 2 * NN_WIDTH <= columns; j += 2 * NN_WIDTH) BLOCK(2, NN_WIDTH);
    if (columns - j > NN_WIDTH)
        BLOCK(2, columns - j - NN_WIDTH);
    else if (columns - j == NN_WIDTH)
        BLOCK(1, NN_WIDTH);
    else if (columns > j)
        BLOCK(1, columns - j);
#undef BLOCK
}

/* sum[i][half] += a[i][k] b[k][..] for count * NN_PART inner indices of TURNED columns. */
#define TURNED (2 * NN_WIDTH)
NN_INLINE void thin_columns_step(vec sum[NN_THIN][2], const int m, nn_matrix a, const real *const *rows, int64_t k,
                                 const int count) {
    NN_UNROLL
    for (int half = 0; half < 2; half++) {
        const real *some[NN_WIDTH];
        NN_UNROLL
        for (int i = 0; i < NN_WIDTH; i++) some[i] = rows[half * NN_WIDTH + i] + k;
        vec turned[NN_WIDTH];
        nn_turn(turned, some, count);
        NN_UNROLL
        for (int d = 0; d < count * NN_PART; d++) {
            NN_UNROLL
            for (int i = 0; i < m; i++) sum[i][half] = v_fma(v_set1(*element(a, i, k + d)), turned[d], sum[i][half]);
        }
    }
}

/* Columns of b are contiguous: they are turned into rows, in registers. */
NN_INLINE void thin_columns(const int m, nn_matrix a, nn_matrix b, int64_t depth, int64_t columns, real *sums) {
    for (int64_t j = 0; j < columns; j += TURNED) {
        const int64_t width = columns - j < TURNED ? columns - j : TURNED;
        const real *rows[TURNED];
        for (int i = 0; i < TURNED; i++) rows[i] = element(b, 0, i < width ? j + i : j);
        vec sum[NN_THIN][2];
        NN_UNROLL
        for (int i = 0; i < m; i++) sum[i][0] = sum[i][1] = (vec){0};
        int64_t k = 0;
        for (; k + NN_WIDTH <= depth; k += NN_WIDTH) thin_columns_step(sum, m, a, rows, k, NN_PARTS);
        for (; k + NN_PART <= depth; k += NN_PART) thin_columns_step(sum, m, a, rows, k, 1);
        real total[NN_THIN][TURNED];
        memcpy(total, sum, sizeof total);
        for (; k < depth; k++)
            for (int i = 0; i < m; i++)
                for (int c = 0; c < TURNED; c++) total[i][c] = nn_fma1(*element(a, i, k), rows[c][k], total[i][c]);
        for (int i = 0; i < m; i++) memcpy(sums + i * THIN_COLUMNS + j, total[i], (size_t)width * sizeof(real));
    }
}

static real thin_chain(nn_matrix a, nn_matrix b, int64_t i, int64_t j, int64_t depth) {
    real sum = 0;
    for (int64_t k = 0; k < depth; k++) sum = nn_fma1(*element(a, i, k), *element(b, k, j), sum);
    return sum;
}

/* The sums over one chunk of inner indices. */
static void thin_chunk(int m, nn_matrix a, nn_matrix b, int64_t depth, int64_t columns, real *sums) {
    const bool rows = b.column_stride == 1;
    if (rows && m == 1)
        thin_rows(1, a, b, depth, columns, sums);
    else if (rows && m == 2)
        thin_rows(2, a, b, depth, columns, sums);
    else if (rows)
        thin_rows(3, a, b, depth, columns, sums);
    else if (b.row_stride == 1 && m == 1)
        thin_columns(1, a, b, depth, columns, sums);
    else if (b.row_stride == 1 && m == 2)
        thin_columns(2, a, b, depth, columns, sums);
    else if (b.row_stride == 1)
        thin_columns(3, a, b, depth, columns, sums);
    else
        for (int i = 0; i < m; i++)
            for (int64_t j = 0; j < columns; j++) sums[i * THIN_COLUMNS + j] = thin_chain(a, b, i, j, depth);
}

/* One element of c, which starts with `total` if there is something to add to: its chunks are chains that need not wait
 * for each other. */
static real thin_dot(nn_matrix a, nn_matrix b, int64_t K, bool add, real total) {
    enum { CHAINS = 8 };
    for (int64_t k = 0; k < K;) {
        const int chains = K - k >= CHAINS * NN_KC ? CHAINS : 1;
        real sum[CHAINS] = {0};
        if (chains == CHAINS) {
            for (int64_t d = k; d < k + NN_KC; d++) {
                NN_UNROLL
                for (int i = 0; i < CHAINS; i++)
                    sum[i] = nn_fma1(*element(a, 0, d + i * NN_KC), *element(b, d + i * NN_KC, 0), sum[i]);
            }
        } else {
            const nn_matrix a_chunk = {element(a, 0, k), a.row_stride, a.column_stride};
            const nn_matrix b_chunk = {element(b, k, 0), b.row_stride, b.column_stride};
            sum[0] = thin_chain(a_chunk, b_chunk, 0, 0, K - k < NN_KC ? K - k : NN_KC);
        }
        for (int i = 0; i < chains; i++, k += NN_KC) total = k == 0 && !add ? sum[i] : total + sum[i];
    }
    return total;
}

/* Columns column .. column+columns of c. */
static void thin_block(const thin_args *t, int64_t column, int64_t columns, real *totals) {
    real *sums = totals + NN_THIN * THIN_COLUMNS;
    if (t->m == 1 && columns == 1) {
        const nn_matrix b = {element(t->b, 0, column), t->b.row_stride, t->b.column_stride};
        totals[0] = thin_dot(t->a, b, t->K, t->add, t->add ? t->c[column * t->c_column] : 0);
    } else {
        if (t->add)
            for (int i = 0; i < t->m; i++)
                for (int64_t j = 0; j < columns; j++)
                    totals[i * THIN_COLUMNS + j] = t->c[i * t->c_row + (column + j) * t->c_column];
        for (int64_t k = 0; k < t->K; k += NN_KC) {
            const bool first = k == 0 && !t->add;
            const nn_matrix a = {element(t->a, 0, k), t->a.row_stride, t->a.column_stride};
            const nn_matrix b = {element(t->b, k, column), t->b.row_stride, t->b.column_stride};
            const int64_t depth = t->K - k < NN_KC ? t->K - k : NN_KC;
            thin_chunk(t->m, a, b, depth, columns, first ? totals : sums);
            if (first) continue;
            for (int i = 0; i < t->m; i++)
                for (int64_t j = 0; j < columns; j++) totals[i * THIN_COLUMNS + j] += sums[i * THIN_COLUMNS + j];
        }
    }
    for (int i = 0; i < t->m; i++) {
        real *total = totals + i * THIN_COLUMNS, *c = t->c + i * t->c_row + column * t->c_column;
        const real *bias = t->bias ? t->bias + i * t->bias_row + column * t->bias_column : NULL;
        if (bias && t->bias_column == 1)
            for (int64_t j = 0; j < columns; j++) total[j] += bias[j];
        else if (bias)
            for (int64_t j = 0; j < columns; j++) total[j] += *bias;
        if (t->c_column == 1)
            memcpy(c, total, (size_t)columns * sizeof(real));
        else
            for (int64_t j = 0; j < columns; j++) c[j * t->c_column] = total[j];
    }
}

/* C[row .. row+rows, column .. column+columns], one of rows and columns at most NN_THIN. */
static void thin_gemm(const nn_gemm *g, int64_t row, int64_t rows, int64_t column, int64_t columns, real *scratch) {
    const nn_matrix *a = g->a, *b = g->b;
    thin_args t = {.a = {element(*a, row, 0), a->row_stride, a->column_stride},
                   .b = {element(*b, 0, column), b->row_stride, b->column_stride},
                   .c = g->c + row * g->row_stride + column,
                   .c_row = g->row_stride,
                   .c_column = 1,
                   .bias = g->bias ? g->bias + column : NULL,
                   .bias_column = 1,
                   .m = (int)rows,
                   .n = columns,
                   .K = g->K,
                   .add = g->add};
    if (rows > NN_THIN) {
        const nn_matrix a_t = {t.a.data, a->column_stride, a->row_stride};
        t.a = (nn_matrix){t.b.data, b->column_stride, b->row_stride};
        t.b = a_t;
        t.c_row = 1;
        t.c_column = g->row_stride;
        t.bias_row = 1;
        t.bias_column = 0;
        t.m = (int)columns;
        t.n = rows;
    }
    /* Along contiguous columns a few are read to their end, along contiguous rows many of them for each k. */
    const bool along_columns = t.b.row_stride == 1 && t.b.column_stride != 1 && t.K > NN_KC;
    const int64_t step = along_columns ? TURNED : THIN_COLUMNS;
    for (int64_t j = 0; j < t.n; j += step) thin_block(&t, j, t.n - j < step ? t.n - j : step, scratch);
    if (g->after) nn_finish_rows(g->after, g->c + row * g->row_stride + column, rows, columns, g->row_stride, column);
}

#endif
