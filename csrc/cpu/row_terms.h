/* total_k[col] = sum over rows of term_k(row, col), for up to two terms at once: the column sums of the norms.
 *
 * Shapes: terms are functions of a dense (rows, cols) matrix. The columns go in panels of NN_PANEL, so that the chunk
 *   sums of a panel fit in the scratch memory of one rank, whatever the shape.
 * Parallel: rows are cut into at most NN_ROW_CHUNKS chunks, a function of `rows` alone, which the ranks share. After a
 *   barrier each rank adds up the chunk sums of its own columns. The caller sets the barriers.
 * Numerics: in `real`. Within a chunk blocks of NN_ROW_BLOCK rows are summed ascending, and block sums added
 *   ascending; chunk sums are added pairwise.
 */
#ifndef NN_ROW_TERMS_H
#define NN_ROW_TERMS_H

#include "row.h"

#define NN_ROW_CHUNKS 64
#define NN_ROW_CHUNK_LEAST 16 /* rows */
#define NN_ROW_BLOCK 256
#define NN_PANEL (NN_SCRATCH / (NN_ROW_CHUNKS * 2 * (int)sizeof(real)))
#define NN_COLUMN_VECTORS 4 /* registers per sum that go down the rows together */

/* Writes the terms of row `row`, columns col .. col+n-1. */
typedef void (*row_terms)(const void *context, int64_t row, int64_t col, int64_t n, vec terms[2]);

/* Columns col .. col+width-1 of the matrix and where their sums go: partial[chunk][k][column of the panel]. */
typedef struct {
    int64_t rows, chunk_rows, chunks, col, width;
    real *partial;
} row_panel;

NN_INLINE row_panel row_panel_at(int64_t col, int64_t rows, int64_t cols, const nn_team *team) {
    const int64_t even = (rows + NN_ROW_CHUNKS - 1) / NN_ROW_CHUNKS;
    row_panel panel = {.rows = rows, .col = col, .width = cols - col < NN_PANEL ? cols - col : NN_PANEL};
    panel.chunk_rows = even > NN_ROW_CHUNK_LEAST ? even : NN_ROW_CHUNK_LEAST;
    panel.chunks = (rows + panel.chunk_rows - 1) / panel.chunk_rows;
    panel.partial = nn_scratch(team, 0);
    return panel;
}

NN_INLINE real *row_partial(const row_panel *panel, int64_t chunk, int k) {
    return panel->partial + (2 * chunk + k) * panel->width;
}

/* Sums rows row .. end-1 in the columns from `left` (of the panel) on: n of them in `vectors` registers. */
NN_INLINE void row_block_sum(row_terms terms, int count, const void *context, const row_panel *panel, int64_t chunk,
                             int64_t row, int64_t end, bool first, int64_t left, int vectors, int64_t n) {
    vec sums[2][NN_COLUMN_VECTORS] = {{{0}}};
    for (; row < end; row++)
        for (int v = 0; v < vectors; v++) {
            vec term[2];
            terms(context, row, panel->col + left + v * NN_WIDTH, n, term);
            for (int k = 0; k < count; k++) sums[k][v] += term[k];
        }
    for (int k = 0; k < count; k++) {
        real *partial = row_partial(panel, chunk, k) + left;
        for (int v = 0; v < vectors; v++)
            row_store(partial + v * NN_WIDTH, first ? sums[k][v] : row_load(partial + v * NN_WIDTH, n) + sums[k][v], n);
    }
}

NN_INLINE int64_t row_chunk_end(const row_panel *panel, int64_t chunk) {
    const int64_t end = (chunk + 1) * panel->chunk_rows;
    return end < panel->rows ? end : panel->rows;
}

/* The chunk's sums of the first `count` terms, in the columns of row_block_sum. */
NN_INLINE void row_chunk_columns(row_terms terms, int count, const void *context, const row_panel *panel, int64_t chunk,
                                 int64_t left, int vectors, int64_t n) {
    const int64_t begin = chunk * panel->chunk_rows, end = row_chunk_end(panel, chunk);
    for (int64_t row = begin; row < end; row += NN_ROW_BLOCK)
        row_block_sum(terms, count, context, panel, chunk, row, row + NN_ROW_BLOCK < end ? row + NN_ROW_BLOCK : end,
                      row == begin, left, vectors, n);
}

/* The chunk's sums of the first `count` terms. */
NN_INLINE void row_chunk_terms(row_terms terms, int count, const void *context, const row_panel *panel, int64_t chunk) {
    const int64_t begin = chunk * panel->chunk_rows, end = row_chunk_end(panel, chunk);
    for (int64_t row = begin; row < end; row += NN_ROW_BLOCK) {
        const int64_t last = row + NN_ROW_BLOCK < end ? row + NN_ROW_BLOCK : end;
        const bool first = row == begin;
        int64_t left = 0;
        for (; left + NN_COLUMN_VECTORS * NN_WIDTH <= panel->width; left += NN_COLUMN_VECTORS * NN_WIDTH)
            row_block_sum(terms, count, context, panel, chunk, row, last, first, left, NN_COLUMN_VECTORS, NN_WIDTH);
        for (; left + NN_WIDTH <= panel->width; left += NN_WIDTH)
            row_block_sum(terms, count, context, panel, chunk, row, last, first, left, 1, NN_WIDTH);
        if (left < panel->width)
            row_block_sum(terms, count, context, panel, chunk, row, last, first, left, 1, panel->width - left);
    }
}

/* The sums of this rank's chunks. */
NN_INLINE void row_chunks_terms(row_terms terms, int count, const void *context, const row_panel *panel,
                                const nn_team *team, int rank) {
    int64_t chunk, end;
    nn_share(panel->chunks, 1, team, rank, &chunk, &end);
    for (; chunk < end; chunk++) row_chunk_terms(terms, count, context, panel, chunk);
}

/* After a barrier: adds up the chunk sums of columns begin .. end-1 of the panel, into row_partial(panel, 0, k). */
static inline void row_total(const row_panel *panel, int count, int64_t begin, int64_t end) {
    for (int k = 0; k < count; k++) {
        if (panel->chunks == 0)
            for (int64_t i = begin; i < end; i++) row_partial(panel, 0, k)[i] = 0;
        for (int64_t step = 1; step < panel->chunks; step *= 2)
            for (int64_t chunk = 0; chunk + step < panel->chunks; chunk += 2 * step) {
                real *sum = row_partial(panel, chunk, k);
                const real *other = row_partial(panel, chunk + step, k);
                for (int64_t i = begin; i < end; i++) sum[i] += other[i];
            }
    }
}

#endif
