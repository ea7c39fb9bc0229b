/* Folds down the columns of x (outer, n, inner), over the middle axis, `inner` > 1: a panel of columns at a time, kept
 * in registers.
 *
 * Parallel: panels are shared among the ranks.
 * Numerics: rows go in chunks of NN_KC, ascending from zero; chunk sums are added pairwise, as by nn_pairwise_sum.
 */
#ifndef NN_COLUMN_H
#define NN_COLUMN_H

#include "row.h"

enum { COLUMN_PANEL = 4, COLUMN_LEVELS = 48, COLUMN_AHEAD = 12 }; /* registers; chunks fewer than 2^48; rows */

/* One panel: element (row, v, lane) of an array lies at row * inner + v * NN_WIDTH + lane of where the panel begins. */
typedef struct {
    const void *args;
    int64_t at, output; /* where the panel begins in x, and in (outer, inner) */
    int64_t rows, inner, lanes;
    int vectors;
    vec shift[COLUMN_PANEL], sum[COLUMN_PANEL];
} column_panel;

typedef vec (*column_step)(const column_panel *p, const int64_t at, int v, vec accumulator);
typedef void (*column_work)(column_panel *p);

NN_INLINE vec column_load(const column_panel *p, const void *x, int64_t at) {
    __builtin_prefetch((const real *)x + at +
                       COLUMN_AHEAD * p->inner); /* rows are too far apart for the processor to see */
    return row_load((const real *)x + at, p->lanes);
}
NN_INLINE void column_store(const column_panel *p, void *x, int64_t at, vec value) {
    row_store((real *)x + at, value, p->lanes);
}
NN_INLINE int64_t column_at(const column_panel *p, int64_t row, int v) { return p->at + row * p->inner + v * NN_WIDTH; }

/* folded = the fold that `step` makes of rows begin .. end-1 */
NN_INLINE void column_fold(const column_panel *p, vec *folded, column_step step, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++)
        for (int v = 0; v < p->vectors; v++) folded[v] = step(p, column_at(p, row, v), v, folded[v]);
}

NN_INLINE void column_sums(const column_panel *p, vec *sums, column_step step) {
    vec partial[COLUMN_LEVELS][COLUMN_PANEL];
    int64_t count = 0;
    int level;
    for (int v = 0; v < p->vectors; v++) sums[v] = v_set1(0);
    for (int64_t begin = 0; begin < p->rows; begin += NN_KC, count++) {
        vec chunk[COLUMN_PANEL];
        for (int v = 0; v < p->vectors; v++) chunk[v] = v_set1(0);
        column_fold(p, chunk, step, begin, begin + NN_KC < p->rows ? begin + NN_KC : p->rows);
        for (level = 0; count >> level & 1; level++)
            for (int v = 0; v < p->vectors; v++) chunk[v] = partial[level][v] + chunk[v];
        for (int v = 0; v < p->vectors; v++) partial[level][v] = chunk[v];
    }
    bool first = true;
    for (level = 0; count >> level; level++) {
        if (!(count >> level & 1)) continue;
        for (int v = 0; v < p->vectors; v++) sums[v] = first ? partial[level][v] : partial[level][v] + sums[v];
        first = false;
    }
}

NN_INLINE void column_part(column_work work, const void *args, int64_t o, int64_t col, int64_t n, int64_t inner,
                           int vectors, int64_t lanes) {
    column_panel p = {.args = args,
                      .at = o * n * inner + col,
                      .output = o * inner + col,
                      .rows = n,
                      .inner = inner,
                      .lanes = lanes,
                      .vectors = vectors};
    work(&p);
}

/* Every panel of this rank. */
NN_INLINE void column_each(column_work work, const void *args, int64_t outer, int64_t n, int64_t inner,
                           const nn_team *team, int rank) {
    const int64_t width = COLUMN_PANEL * NN_WIDTH, panels = (inner + width - 1) / width;
    int64_t item, end;
    nn_share(outer * panels, 1, team, rank, &item, &end);
    for (; item < end; item++) {
        const int64_t o = item / panels, last = (item % panels + 1) * width;
        int64_t col = item % panels * width;
        if (last <= inner) {
            column_part(work, args, o, col, n, inner, COLUMN_PANEL, NN_WIDTH);
            continue;
        }
        for (; col + NN_WIDTH <= inner; col += NN_WIDTH) column_part(work, args, o, col, n, inner, 1, NN_WIDTH);
        if (col < inner) column_part(work, args, o, col, n, inner, 1, inner - col);
    }
}

#endif
