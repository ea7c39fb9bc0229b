/* gather_rows: y[n,:] = table[index[n],:].  scatter_add_rows, its gradient: y[r,:] = sum of dy[n,:] with index[n] = r.
 *
 * Shapes: table (rows, cols), index (n,) within [0, rows), y (n, cols); dy (n, cols), y (rows, cols).
 * Parallel: gather shares the rows of y. scatter shares the columns where they are many, else the rows of y: every rank
 *   reads all of index and adds what falls into its own part, so nothing is written twice.
 * Numerics: gather copies. scatter adds in ascending order of n, starting at zero, whatever the team.
 * Source: the gradient of an embedding table (Bengio et al., A neural probabilistic language model, JMLR 2003).
 */
#include "cpu.h"

enum { AHEAD = 8 }; /* rows: tables are larger than the caches, and the processor cannot guess where it goes next */

/* Cache lines at a time, the last one over what is there already: rows are too short for a call of memcpy to pay. */
NN_INLINE void copy_row(real *restrict y, const real *restrict x, int64_t cols) {
    if (cols < NN_LANES) {
        memcpy(y, x, (size_t)cols * sizeof(real));
        return;
    }
    for (int64_t i = 0; i + NN_LANES <= cols; i += NN_LANES) memcpy(y + i, x + i, NN_LANES * sizeof(real));
    memcpy(y + cols - NN_LANES, x + cols - NN_LANES, NN_LANES * sizeof(real));
}

NN_DEFINE(gather_rows) {
    const nn_gather_rows_args *a = args;
    const int64_t cols = a->cols;
    const real *table = a->table;
    const int64_t *index = a->index;
    real *y = a->y;
    int64_t begin, end;
    nn_share(a->n, 1, team, rank, &begin, &end);
    if (cols == 1) {
        for (int64_t i = begin; i < end; i++) y[i] = table[index[i]];
        return;
    }
    for (int64_t i = begin; i < end; i++) {
        if (i + AHEAD < end) __builtin_prefetch(table + index[i + AHEAD] * cols);
        copy_row(y + i * cols, table + index[i] * cols, cols);
    }
}

#if NN_IS_FLOAT
NN_DEFINE(scatter_add_rows) {
    const nn_scatter_add_rows_args *a = args;
    const real *dy = a->dy;
    const int64_t *index = a->index;
    real *y = a->y;
    int64_t row_begin = 0, row_end = a->rows, col_begin = 0, col_end = a->cols;
    if (a->cols >= 2 * NN_LANES * team->size)
        nn_share(a->cols, NN_LANES, team, rank, &col_begin, &col_end);
    else
        nn_share(a->rows, 1, team, rank, &row_begin, &row_end);

    const int64_t width = col_end - col_begin;
    for (int64_t row = row_begin; row < row_end; row++)
        memset(y + row * a->cols + col_begin, 0, (size_t)width * sizeof(real));
    for (int64_t i = 0; i < a->n; i++) {
        if (index[i] < row_begin || index[i] >= row_end) continue;
        real *restrict sum = y + index[i] * a->cols + col_begin;
        const real *restrict x = dy + i * a->cols + col_begin;
        for (int64_t col = 0; col < width; col++) sum[col] += x[col];
    }
}
#endif
