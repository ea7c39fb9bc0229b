/* rnn: h' = y[t] = activation(x[t] weight_ih^T + bias_ih + h weight_hh^T + bias_hh)
 *
 * Shapes: x (seq, batch, I), y, h (seq, batch, H): h[t] is the state before step t, hn (batch, H) the one after the
 *   last; weight_ih (H, I), weight_hh (H, H), biases (H,); da (steps, batch, H), the gradient of what is activated.
 * Parallel, numerics: recurrent.h.
 * Source: Elman, "Finding structure in time", Cognitive Science 14, 1990; backpropagation through time after Werbos,
 *   Proceedings of the IEEE 78(10), 1990.
 */
#include "activation.h"
#include "recurrent.h"

NN_DEFINE(rnn_forward) {
    const nn_rnn_forward_args *a = args;
    const nn_team alone = {1, nn_scratch(team, rank)};
    const int64_t H = a->H, slice = a->batch * H;
    const real *bias = a->bias_hh;
    const nn_rows rows = nn_rows_of(a->batch, team, rank);
    const nn_factor weight = nn_factor_of(&a->weight_hh, 0, H, true, a->packed ? a->panels : NULL, team, rank);
    const int64_t first = a->reverse ? a->seq - 1 : 0, forward = a->reverse ? -1 : 1;
    nn_copy_rows(a->seq > 0 ? (real *)a->h + first * slice : a->hn, a->h0, rows, H);

    for (int64_t block = 0; block < a->seq; block += a->steps) {
        const int64_t count = a->seq - block < a->steps ? a->seq - block : a->steps;
        const int64_t start = a->reverse ? a->seq - block - count : block;
        nn_project((real *)a->y + start * slice, (const real *)a->x + start * a->batch * a->I, count * a->batch,
                   &a->weight_ih, a->bias_ih, team, rank);
        nn_barrier(team);
        for (int64_t i = block; i < block + count; i++) {
            const int64_t t = first + i * forward;
            const nn_rows active = nn_active_rows(a->lengths, rows, t);
            real *y = (real *)a->y + t * slice, *h = (real *)a->h + t * slice;
            real *next = i + 1 < a->seq ? h + forward * slice : a->hn;
            nn_multiply(y + rows.begin * H, H, h + rows.begin * H, H, active.end - rows.begin, &weight, true, &alone);
            for (int64_t row = rows.begin; row < rows.end; row++) {
                real *to = y + row * H;
                if (nn_is_active(a->lengths, row, t)) {
                    if (bias) nn_add_to(to, bias, H);
                    nn_activate(to, H, a->activation);
                    memcpy(next + row * H, to, (size_t)H * sizeof(real));
                } else {
                    memset(to, 0, (size_t)H * sizeof(real));
                    memcpy(next + row * H, h + row * H, (size_t)H * sizeof(real));
                }
            }
        }
    }
}

typedef struct {
    real *da, *dh;
    const real *dy, *y;
    int64_t activation;
} rnn_row_back;

/* da = (dh + dy) * slope(y); no gradient of the state is left. */
NN_INLINE void cells_back(const void *row, int64_t j, const int64_t n) {
    const rnn_row_back p = *(const rnn_row_back *)row;
    const vec state = row_load(p.y + j, n);
    vec slope = v_set1(1);
    if (p.activation == NN_ACT_TANH)
        slope = nn_tanh_grad(state);
    else if (p.activation == NN_ACT_RELU)
        slope = nn_relu_grad(state);
    else if (p.activation == NN_ACT_SIGMOID)
        slope = nn_sigmoid_grad(state);
    row_store(p.da + j, (row_load(p.dh + j, n) + nn_load_or_zero(p.dy, j, n)) * slope, n);
    row_store(p.dh + j, (vec){0}, n);
}
static void state_back(const rnn_row_back *p, int64_t H) { nn_each_cell(cells_back, p, H); }

NN_DEFINE(rnn_backward) {
    const nn_rnn_backward_args *a = args;
    const nn_team alone = {1, nn_scratch(team, rank)};
    const int64_t H = a->H, slice = a->batch * H;
    const nn_rows rows = nn_rows_of(a->batch, team, rank);
    const nn_factor weight = nn_factor_of(&a->weight_hh, 0, H, false, a->panels, team, rank);
    real *dh = a->dh0;
    nn_copy_rows(dh, a->dhn, rows, H);

    for (int64_t block = 0; block == 0 || block < a->seq; block += a->steps) {
        const int64_t count = a->seq - block < a->steps ? a->seq - block : a->steps, M = count * a->batch;
        const int64_t start = a->reverse ? block : a->seq - block - count;
        const bool add = block > 0;
        nn_barrier(team);
        for (int64_t i = 0; i < count; i++) {
            const int64_t step = a->reverse ? i : count - 1 - i, t = start + step;
            const nn_rows active = nn_active_rows(a->lengths, rows, t);
            real *da = (real *)a->da + step * slice;
            for (int64_t row = rows.begin; row < rows.end; row++) {
                const int64_t at = t * slice + row * H;
                const rnn_row_back p = {da + row * H, dh + row * H, a->dy ? (const real *)a->dy + at : NULL,
                                        (const real *)a->y + at, a->activation};
                if (nn_is_active(a->lengths, row, t))
                    state_back(&p, H);
                else
                    memset(p.da, 0, (size_t)H * sizeof(real));
            }
            nn_multiply(dh + rows.begin * H, H, da + rows.begin * H, H, active.end - rows.begin, &weight, true, &alone);
        }
        nn_barrier(team);
        const real *x = (const real *)a->x + start * a->batch * a->I, *h = (const real *)a->h + start * slice;
        if (a->dx) nn_project_back((real *)a->dx + start * a->batch * a->I, a->da, M, &a->weight_ih, team, rank);
        if (a->dweight_ih.data) nn_weight_gradient(&a->dweight_ih, a->da, H, x, M, H, a->I, add, team, rank);
        if (a->dweight_hh.data) nn_weight_gradient(&a->dweight_hh, a->da, H, h, M, H, H, add, team, rank);
        if (a->dbias_ih) nn_bias_gradient(a->dbias_ih, a->da, M, H, H, add, team, rank);
        if (a->dbias_hh && !a->dbias_ih) nn_bias_gradient(a->dbias_hh, a->da, M, H, H, add, team, rank);
    }
    if (a->dbias_hh && a->dbias_ih) nn_same_bias(a->dbias_hh, a->dbias_ih, H, team, rank);
}
