/* loss = -weight[t] x[t] for the class t of each row; dx[t] = -dloss weight[t], 0 elsewhere.
 *
 * Shapes: x, dx (rows, cols); target, losses (rows,); weight (cols,), absent: ones; mean, divisor one number, losses.h.
 *   With a divisor, backward divides dlosses by it. A row whose target is ignore_index has loss 0 and dx 0.
 * Parallel: over rows; the mean by one rank, from the losses of all.
 * Numerics: one product per row; the sums of the mean in the order of row.h.
 */
#include "losses.h"

NN_DEFINE(nll_loss_forward) {
    const nn_nll_loss_forward_args *a = args;
    const class_rows classes = {a->target, a->weight, a->ignore_index};
    const real *x = a->x;
    real *losses = a->losses;
    int64_t row, end;
    nn_share(a->rows, 1, team, rank, &row, &end);
    for (; row < end; row++) {
        const int64_t target = classes.target[row];
        losses[row] = target == a->ignore_index ? 0 : -x[row * a->cols + target] * class_weight(&classes, row);
    }
    if (!a->mean && !a->divisor) return;
    nn_barrier(team);
    if (rank != 0) return;
    const real divisor = class_divisor(&classes, a->rows);
    if (a->divisor) *(real *)a->divisor = divisor;
    if (a->mean) *(real *)a->mean = mean_loss(losses, a->rows, divisor);
}

NN_DEFINE(nll_loss_backward) {
    const nn_nll_loss_backward_args *a = args;
    const class_rows classes = {a->target, a->weight, a->ignore_index};
    const real *dlosses = a->dlosses.data, *divisor = a->divisor;
    int64_t row, end;
    nn_share(a->rows, 1, team, rank, &row, &end);
    memset((real *)a->dx + row * a->cols, 0, (size_t)((end - row) * a->cols) * sizeof(real));
    for (; row < end; row++) {
        if (classes.target[row] == a->ignore_index) continue;
        const real dloss = dlosses[row * a->dlosses.stride[0]];
        ((real *)a->dx)[row * a->cols + classes.target[row]] =
            -(divisor ? dloss / *divisor : dloss) * class_weight(&classes, row);
    }
}
