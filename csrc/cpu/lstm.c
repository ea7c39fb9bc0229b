/* lstm: (i, f, g, o) = x[t] weight_ih^T + bias_ih + h weight_hh^T + bias_hh
 *       i, f, o = sigmoid(.), g = tanh(.), c' = f c + i g, h' = y[t] = o tanh(c')
 *
 * Shapes: x (seq, batch, I), y, h, c (seq, batch, H): h[t] and c[t] are the states before step t, hn and cn (batch, H)
 *   those after the last; gates (seq, batch, 4H), activated; weight_ih (4H, I), weight_hh (4H, H), biases (4H,);
 *   da (steps, batch, 4H), the gradient of what is activated.
 * Parallel: recurrent.h.
 * Numerics: recurrent.h. c' = fma(f, c, i g); the backward pass computes it again.
 * Source: Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997; the forget gate is that of
 *   Gers, Schmidhuber & Cummins, "Learning to forget", Neural Computation 12(10), 2000.
 */
#include "recurrent.h"

typedef struct {
    real *gates, *y, *h_next, *c_next;
    const real *bias, *h, *c;
    int64_t H;
} lstm_row;

NN_INLINE void next_cells(const void *row, int64_t j, const int64_t n) {
    const lstm_row p = *(const lstm_row *)row;
    real *gate = p.gates + j;
    const vec i = nnv_sigmoid(row_load(gate, n) + nn_load_or_zero(p.bias, j, n));
    const vec f = nnv_sigmoid(row_load(gate + p.H, n) + nn_load_or_zero(p.bias, j + p.H, n));
    const vec g = nnv_tanh(row_load(gate + 2 * p.H, n) + nn_load_or_zero(p.bias, j + 2 * p.H, n));
    const vec o = nnv_sigmoid(row_load(gate + 3 * p.H, n) + nn_load_or_zero(p.bias, j + 3 * p.H, n));
    const vec c = v_fma(f, row_load(p.c + j, n), i * g), h = o * nnv_tanh(c);
    row_store(gate, i, n);
    row_store(gate + p.H, f, n);
    row_store(gate + 2 * p.H, g, n);
    row_store(gate + 3 * p.H, o, n);
    row_store(p.c_next + j, c, n);
    row_store(p.h_next + j, h, n);
    row_store(p.y + j, h, n);
}
static void next_state(const lstm_row *p) { nn_each_cell(next_cells, p, p->H); }

/* Past the end of the row: nothing is put out, and the state stays. */
static void same_state(const lstm_row *p) {
    const size_t bytes = (size_t)p->H * sizeof(real);
    memcpy(p->c_next, p->c, bytes);
    memcpy(p->h_next, p->h, bytes);
    memset(p->y, 0, bytes);
    memset(p->gates, 0, 4 * bytes);
}

NN_DEFINE(lstm_forward) {
    const nn_lstm_forward_args *a = args;
    const nn_team alone = {1, nn_scratch(team, rank)};
    const int64_t H = a->H, slice = a->batch * H;
    const nn_rows rows = nn_rows_of(a->batch, team, rank);
    const nn_factor weight = nn_factor_of(&a->weight_hh, 0, 4 * H, true, a->packed ? a->panels : NULL, team, rank);
    const int64_t first = a->reverse ? a->seq - 1 : 0, forward = a->reverse ? -1 : 1;
    nn_copy_rows(a->seq > 0 ? (real *)a->h + first * slice : a->hn, a->h0, rows, H);
    nn_copy_rows(a->seq > 0 ? (real *)a->c + first * slice : a->cn, a->c0, rows, H);

    for (int64_t block = 0; block < a->seq; block += a->steps) {
        const int64_t count = a->seq - block < a->steps ? a->seq - block : a->steps;
        const int64_t start = a->reverse ? a->seq - block - count : block;
        nn_project((real *)a->gates + 4 * start * slice, (const real *)a->x + start * a->batch * a->I, count * a->batch,
                   &a->weight_ih, a->bias_ih, team, rank);
        nn_barrier(team);
        for (int64_t i = block; i < block + count; i++) {
            const int64_t t = first + i * forward;
            const nn_rows active = nn_active_rows(a->lengths, rows, t);
            real *gates = (real *)a->gates + 4 * t * slice, *y = (real *)a->y + t * slice;
            real *h = (real *)a->h + t * slice, *h_next = i + 1 < a->seq ? h + forward * slice : a->hn;
            real *c = (real *)a->c + t * slice, *c_next = i + 1 < a->seq ? c + forward * slice : a->cn;
            nn_multiply(gates + 4 * rows.begin * H, 4 * H, h + rows.begin * H, H, active.end - rows.begin, &weight,
                        true, &alone);
            for (int64_t row = rows.begin; row < rows.end; row++) {
                const int64_t at = row * H;
                const lstm_row p = {gates + 4 * at, y + at, h_next + at, c_next + at, a->bias_hh, h + at, c + at, H};
                if (nn_is_active(a->lengths, row, t))
                    next_state(&p);
                else
                    same_state(&p);
            }
        }
    }
}

typedef struct {
    real *da, *dh, *dc;
    const real *dy, *gates, *c;
    int64_t H;
} lstm_row_back;

/* From dh and dc, of the states after a step, to da, and dc of the state before it. Of dh nothing is left: what comes
 * through the gates is added later. */
NN_INLINE void cells_back(const void *row, int64_t j, const int64_t n) {
    const lstm_row_back p = *(const lstm_row_back *)row;
    const real *gate = p.gates + j;
    const vec i = row_load(gate, n), f = row_load(gate + p.H, n);
    const vec g = row_load(gate + 2 * p.H, n), o = row_load(gate + 3 * p.H, n);
    const vec c_before = row_load(p.c + j, n), squashed = nnv_tanh(v_fma(f, c_before, i * g));
    const vec of_h = row_load(p.dh + j, n) + nn_load_or_zero(p.dy, j, n);
    const vec of_c = v_fma(of_h * o, nn_tanh_grad(squashed), row_load(p.dc + j, n));
    real *da = p.da + j;
    row_store(da, of_c * g * nn_sigmoid_grad(i), n);
    row_store(da + p.H, of_c * c_before * nn_sigmoid_grad(f), n);
    row_store(da + 2 * p.H, of_c * i * nn_tanh_grad(g), n);
    row_store(da + 3 * p.H, of_h * squashed * nn_sigmoid_grad(o), n);
    row_store(p.dc + j, of_c * f, n);
    row_store(p.dh + j, (vec){0}, n);
}
static void state_back(const lstm_row_back *p) { nn_each_cell(cells_back, p, p->H); }

NN_DEFINE(lstm_backward) {
    const nn_lstm_backward_args *a = args;
    const nn_team alone = {1, nn_scratch(team, rank)};
    const int64_t H = a->H, G = 4 * H, slice = a->batch * H;
    const nn_rows rows = nn_rows_of(a->batch, team, rank);
    const nn_factor weight = nn_factor_of(&a->weight_hh, 0, G, false, a->panels, team, rank);
    real *dh = a->dh0, *dc = a->dc0;
    nn_copy_rows(dh, a->dhn, rows, H);
    nn_copy_rows(dc, a->dcn, rows, H);

    for (int64_t block = 0; block == 0 || block < a->seq; block += a->steps) {
        const int64_t count = a->seq - block < a->steps ? a->seq - block : a->steps, M = count * a->batch;
        const int64_t start = a->reverse ? block : a->seq - block - count;
        const bool add = block > 0;
        nn_barrier(team);
        for (int64_t i = 0; i < count; i++) {
            const int64_t step = a->reverse ? i : count - 1 - i, t = start + step;
            const nn_rows active = nn_active_rows(a->lengths, rows, t);
            real *da = (real *)a->da + 4 * step * slice;
            for (int64_t row = rows.begin; row < rows.end; row++) {
                const int64_t at = t * slice + row * H;
                const lstm_row_back p = {da + row * G,
                                         dh + row * H,
                                         dc + row * H,
                                         a->dy ? (const real *)a->dy + at : NULL,
                                         (const real *)a->gates + 4 * at,
                                         (const real *)a->c + at,
                                         H};
                if (nn_is_active(a->lengths, row, t))
                    state_back(&p);
                else
                    memset(p.da, 0, (size_t)G * sizeof(real));
            }
            nn_multiply(dh + rows.begin * H, H, da + rows.begin * G, G, active.end - rows.begin, &weight, true, &alone);
        }
        nn_barrier(team);
        const real *x = (const real *)a->x + start * a->batch * a->I, *h = (const real *)a->h + start * slice;
        if (a->dx) nn_project_back((real *)a->dx + start * a->batch * a->I, a->da, M, &a->weight_ih, team, rank);
        if (a->dweight_ih.data) nn_weight_gradient(&a->dweight_ih, a->da, G, x, M, G, a->I, add, team, rank);
        if (a->dweight_hh.data) nn_weight_gradient(&a->dweight_hh, a->da, G, h, M, G, H, add, team, rank);
        if (a->dbias_ih) nn_bias_gradient(a->dbias_ih, a->da, M, G, G, add, team, rank);
        if (a->dbias_hh && !a->dbias_ih) nn_bias_gradient(a->dbias_hh, a->da, M, G, G, add, team, rank);
    }
    if (a->dbias_hh && a->dbias_ih) nn_same_bias(a->dbias_hh, a->dbias_ih, G, team, rank);
}
