/* Losses of rows with classes: which rows count, how much, and the mean over them.
 *
 *   mean = sum losses / divisor,  divisor = sum of weight[target[row]] over the rows that count (1 without weights)
 * Numerics: both sums in the order of row.h.
 */
#ifndef NN_LOSSES_H
#define NN_LOSSES_H

#include "row.h"

typedef struct {
    const int64_t *target;
    const real *weight; /* NULL for ones */
    int64_t ignore_index;
} class_rows;

/* The factor of a row's loss: 0 if its class is to be ignored. */
NN_INLINE real class_weight(const class_rows *c, int64_t row) {
    if (c->target[row] == c->ignore_index) return 0;
    return c->weight ? c->weight[c->target[row]] : 1;
}

NN_INLINE vec class_weight_step(const void *classes, int64_t row, int64_t i, int64_t n, vec accumulator) {
    (void)row;
    real weights[NN_WIDTH] = {0};
    for (int64_t k = 0; k < n; k++) weights[k] = class_weight(classes, i + k);
    return accumulator + v_load(weights);
}

NN_INLINE real class_divisor(const class_rows *c, int64_t rows) { return row_sum(class_weight_step, c, 0, rows); }

/* After a barrier, by one rank. */
NN_INLINE real mean_loss(const real *losses, int64_t rows, real divisor) {
    return row_sum(row_add_step, &(row_array){losses, rows}, 0, rows) / divisor;
}

#endif
