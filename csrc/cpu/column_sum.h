/* Sums over chunks of rows, and sum[c] = sum over rows of x[r,c], the gradient of a bias.
 *
 * Shapes: x (rows, cols), dense; sum (cols,). Every rank of the team calls these functions.
 * Parallel: the ranks sum chunks of NN_KC rows into their scratch memory, then add the chunk sums, each its columns.
 * Numerics: rows ascending within a chunk, starting at zero; then the chunk sums in order. How many chunks fit into
 *   scratch memory, and who sums them, changes nothing.
 */
#ifndef NN_COLUMN_SUM_H
#define NN_COLUMN_SUM_H

#include "row.h"

/* Writes the `width` sums over one chunk. scratch: what the caller of nn_sum_chunks has reserved. */
typedef void (*nn_chunk_sum)(real *sum, const void *source, int64_t chunk, void *scratch);

/* y += x */
NN_INLINE void nn_add_to(real *restrict y, const real *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

/* total = the sums over all chunks, added in order; `width` of them, reserved + one chunk's fit into NN_SCRATCH.
 * The first `reserved` bytes of the scratch memory are left to chunk_sum. */
static inline void nn_sum_chunks(real *total, int64_t width, int64_t chunks, nn_chunk_sum chunk_sum, const void *source,
                                 int64_t reserved, const nn_team *team, int rank) {
    const int64_t room = (NN_SCRATCH - reserved) / (int64_t)sizeof(real);
    int64_t left, right;
    nn_share(width, NN_LANES, team, rank, &left, &right);
    memset(total + left, 0, (size_t)(right - left) * sizeof(real));
    for (int64_t first = 0, round; width > 0 && first < chunks; first += round) {
        round = room / width * team->size;
        if (round > chunks - first) round = chunks - first;
        int64_t begin, end;
        nn_share(round, 1, team, rank, &begin, &end);
        unsigned char *scratch = nn_scratch(team, rank);
        real *sum = (real *)(scratch + reserved);
        for (int64_t i = begin; i < end; i++, sum += width) chunk_sum(sum, source, first + i, scratch);
        nn_barrier(team);
        for (int r = 0; r < team->size; r++) {
            nn_share(round, 1, team, r, &begin, &end);
            sum = (real *)((unsigned char *)nn_scratch(team, r) + reserved);
            for (int64_t i = begin; i < end; i++, sum += width) {
                if (first + i == 0)
                    memcpy(total + left, sum + left, (size_t)(right - left) * sizeof(real));
                else
                    nn_add_to(total + left, sum + left, right - left);
            }
        }
        nn_barrier(team);
    }
}

typedef struct {
    const real *x;
    int64_t rows, cols, left, width;
} nn_column_block;

/* The sums of `vecs` registers of columns; of the last of them n columns count. */
NN_INLINE void nn_sum_columns(real *sum, const real *x, int64_t rows, int64_t stride, const int vecs, int64_t n) {
    vec total[4];
    NN_UNROLL
    for (int j = 0; j < vecs; j++) total[j] = (vec){0};
    for (int64_t row = 0; row < rows; row++, x += stride) {
        NN_UNROLL
        for (int j = 0; j < vecs; j++) total[j] += row_load(x + j * NN_WIDTH, n);
    }
    NN_UNROLL
    for (int j = 0; j < vecs; j++) row_store(sum + j * NN_WIDTH, total[j], n);
}

static inline void nn_column_chunk_sum(real *sum, const void *source, int64_t chunk, void *scratch) {
    (void)scratch;
    const nn_column_block *s = source;
    const int64_t left = s->rows - chunk * NN_KC, rows = left < NN_KC ? left : NN_KC;
    const real *x = s->x + chunk * NN_KC * s->cols + s->left;
    int64_t c = 0;
    for (; c + 4 * NN_WIDTH <= s->width; c += 4 * NN_WIDTH) nn_sum_columns(sum + c, x + c, rows, s->cols, 4, NN_WIDTH);
    for (; c + NN_WIDTH <= s->width; c += NN_WIDTH) nn_sum_columns(sum + c, x + c, rows, s->cols, 1, NN_WIDTH);
    if (c < s->width) nn_sum_columns(sum + c, x + c, rows, s->cols, 1, s->width - c);
}

static inline void nn_column_sum(real *sum, const real *x, int64_t rows, int64_t cols, const nn_team *team, int rank) {
    const int64_t room = NN_SCRATCH / (int64_t)sizeof(real), chunks = (rows + NN_KC - 1) / NN_KC;
    for (int64_t left = 0; left < cols; left += room) {
        const nn_column_block block = {x, rows, cols, left, cols - left < room ? cols - left : room};
        nn_sum_chunks(sum + left, block.width, chunks, nn_column_chunk_sum, &block, 0, team, rank);
    }
}

#endif
