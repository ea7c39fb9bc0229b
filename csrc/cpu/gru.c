/* gru: r, z = sigmoid(x[t] weight_ih^T + bias_ih + h weight_hh^T + bias_hh), each its third of the rows of the weights;
 *      n = tanh(x[t] weight_in^T + bias_in + r q) with q = h weight_hn^T + bias_hn                      (reset_after)
 *      n = tanh(x[t] weight_in^T + bias_in + q weight_hn^T + bias_hn) with q = r h                      (otherwise)
 *      h' = y[t] = (1 - z) n + z h
 *
 * Shapes: x (seq, batch, I), y, h, q (seq, batch, H): h[t] is the state before step t, hn (batch, H) the one after the
 *   last; gates (seq, batch, 3H) r, z, n, or with update_first z, r, n; weight_ih (3H, I), weight_hh (3H, H), biases
 *   (3H,); da (steps, batch, 3H), the gradient of what is activated, dq (steps, batch, H).
 * Parallel: recurrent.h.
 * Numerics: recurrent.h. h' = fma(z, h - n, n); with reset_after n = tanh(fma(r, q, .)).
 * Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014; reset_after is the form
 *   of cuDNN, which needs one product less in a row.
 */
#include "recurrent.h"

typedef struct {
    int64_t H, reset, update; /* where in a row of gates r and z begin */
    bool reset_after;
} layout;

static layout layout_of(int64_t H, int64_t reset_after, int64_t update_first) {
    return (layout){H, update_first ? H : 0, update_first ? 0 : H, reset_after != 0};
}

typedef struct {
    layout l;
    real *gates, *q, *y, *h_next;
    const real *bias, *h;
} gru_row;

/* r and z; otherwise than with reset_after q = r h. */
NN_INLINE void gate_cells(const void *row, int64_t j, const int64_t n) {
    const gru_row p = *(const gru_row *)row;
    const int64_t at_r = j + p.l.reset, at_z = j + p.l.update;
    const vec r = nnv_sigmoid(row_load(p.gates + at_r, n) + nn_load_or_zero(p.bias, at_r, n));
    const vec z = nnv_sigmoid(row_load(p.gates + at_z, n) + nn_load_or_zero(p.bias, at_z, n));
    row_store(p.gates + at_r, r, n);
    row_store(p.gates + at_z, z, n);
    if (!p.l.reset_after) row_store(p.q + j, r * row_load(p.h + j, n), n);
}
static void reset_and_update(const gru_row *p) { nn_each_cell(gate_cells, p, p->l.H); }

/* n and the next state. */
NN_INLINE void next_cells(const void *row, int64_t j, const int64_t n) {
    const gru_row p = *(const gru_row *)row;
    const int64_t at_n = j + 2 * p.l.H;
    const vec bias = nn_load_or_zero(p.bias, at_n, n), z = row_load(p.gates + j + p.l.update, n);
    vec sum = row_load(p.gates + at_n, n);
    if (p.l.reset_after) {
        const vec q = row_load(p.q + j, n) + bias;
        row_store(p.q + j, q, n);
        sum = v_fma(row_load(p.gates + j + p.l.reset, n), q, sum);
    } else {
        sum = sum + bias;
    }
    const vec candidate = nnv_tanh(sum), h = v_fma(z, row_load(p.h + j, n) - candidate, candidate);
    row_store(p.gates + at_n, candidate, n);
    row_store(p.h_next + j, h, n);
    row_store(p.y + j, h, n);
}
static void next_state(const gru_row *p) { nn_each_cell(next_cells, p, p->l.H); }

/* Past the end of the row: nothing is put out, and the state stays. */
static void same_state(const gru_row *p) {
    const size_t bytes = (size_t)p->l.H * sizeof(real);
    memcpy(p->h_next, p->h, bytes);
    memset(p->y, 0, bytes);
    memset(p->q, 0, bytes);
    memset(p->gates, 0, 3 * bytes);
}

NN_DEFINE(gru_forward) {
    const nn_gru_forward_args *a = args;
    const nn_team alone = {1, nn_scratch(team, rank)};
    const int64_t H = a->H, slice = a->batch * H;
    const layout l = layout_of(H, a->reset_after, a->update_first);
    const nn_rows rows = nn_rows_of(a->batch, team, rank);
    real *panels = a->packed ? a->panels : NULL, *more_panels = panels ? panels + nn_panels_size(H, 2 * H) : NULL;
    const nn_factor of_gates = nn_factor_of(&a->weight_hh, 0, 2 * H, true, panels, team, rank);
    const nn_factor of_candidate = nn_factor_of(&a->weight_hh, 2 * H, H, true, more_panels, team, rank);
    const int64_t first = a->reverse ? a->seq - 1 : 0, forward = a->reverse ? -1 : 1;
    nn_copy_rows(a->seq > 0 ? (real *)a->h + first * slice : a->hn, a->h0, rows, H);

    for (int64_t block = 0; block < a->seq; block += a->steps) {
        const int64_t count = a->seq - block < a->steps ? a->seq - block : a->steps;
        const int64_t start = a->reverse ? a->seq - block - count : block;
        nn_project((real *)a->gates + 3 * start * slice, (const real *)a->x + start * a->batch * a->I, count * a->batch,
                   &a->weight_ih, a->bias_ih, team, rank);
        nn_barrier(team);
        for (int64_t i = block; i < block + count; i++) {
            const int64_t t = first + i * forward;
            const int64_t active = nn_active_rows(a->lengths, rows, t).end - rows.begin;
            real *gates = (real *)a->gates + 3 * t * slice, *y = (real *)a->y + t * slice,
                 *q = (real *)a->q + t * slice;
            real *h = (real *)a->h + t * slice, *next = i + 1 < a->seq ? h + forward * slice : a->hn;
            real *own_gates = gates + 3 * rows.begin * H, *own_q = q + rows.begin * H, *own_h = h + rows.begin * H;
            nn_multiply(own_gates, 3 * H, own_h, H, active, &of_gates, true, &alone);
            if (l.reset_after) nn_multiply(own_q, H, own_h, H, active, &of_candidate, false, &alone);
            for (int64_t row = rows.begin; row < rows.end; row++) {
                const int64_t at = row * H;
                const gru_row p = {l, gates + 3 * at, q + at, y + at, next + at, a->bias_hh, h + at};
                if (nn_is_active(a->lengths, row, t)) {
                    reset_and_update(&p);
                    if (l.reset_after) next_state(&p);
                } else {
                    same_state(&p);
                }
            }
            if (l.reset_after) continue;
            nn_multiply(own_gates + 2 * H, 3 * H, own_q, H, active, &of_candidate, true, &alone);
            for (int64_t row = rows.begin; row < rows.end; row++) {
                const int64_t at = row * H;
                const gru_row p = {l, gates + 3 * at, q + at, y + at, next + at, a->bias_hh, h + at};
                if (nn_is_active(a->lengths, row, t))
                    next_state(&p);
                else
                    same_state(&p);
            }
        }
    }
}

typedef struct {
    layout l;
    real *da, *dq, *dh;
    const real *dy, *gates, *q, *h;
} gru_row_back;

/* From dh, of the state after a step, to da of z and n, and what of dh goes past the gates to the state before it; with
 * reset_after also da of r, and dq. */
NN_INLINE void candidate_cells_back(const void *row, int64_t j, const int64_t n) {
    const gru_row_back p = *(const gru_row_back *)row;
    const vec z = row_load(p.gates + j + p.l.update, n), candidate = row_load(p.gates + j + 2 * p.l.H, n);
    const vec of_h = row_load(p.dh + j, n) + nn_load_or_zero(p.dy, j, n);
    const vec da = of_h * (v_set1(1) - z) * nn_tanh_grad(candidate);
    row_store(p.da + j + 2 * p.l.H, da, n);
    row_store(p.da + j + p.l.update, of_h * (row_load(p.h + j, n) - candidate) * nn_sigmoid_grad(z), n);
    row_store(p.dh + j, of_h * z, n);
    if (!p.l.reset_after) return;
    const vec r = row_load(p.gates + j + p.l.reset, n);
    row_store(p.da + j + p.l.reset, da * row_load(p.q + j, n) * nn_sigmoid_grad(r), n);
    row_store(p.dq + j, da * r, n);
}
static void candidate_back(const gru_row_back *p) { nn_each_cell(candidate_cells_back, p, p->l.H); }

/* Without reset_after: from dq, the gradient of r h, to da of r and what h gets. */
NN_INLINE void reset_cells_back(const void *row, int64_t j, const int64_t n) {
    const gru_row_back p = *(const gru_row_back *)row;
    const vec r = row_load(p.gates + j + p.l.reset, n), dq = row_load(p.dq + j, n);
    row_store(p.da + j + p.l.reset, dq * row_load(p.h + j, n) * nn_sigmoid_grad(r), n);
    row_store(p.dh + j, v_fma(dq, r, row_load(p.dh + j, n)), n);
}
static void reset_back(const gru_row_back *p) { nn_each_cell(reset_cells_back, p, p->l.H); }

/* Gradients of weight_hh and bias_hh from a block: those of r and z meet h; that of n meets h through dq, or q. */
static void recurrent_gradients(const nn_gru_backward_args *a, int64_t start, int64_t M, bool add, const nn_team *team,
                                int rank) {
    const int64_t H = a->H, G = 3 * H, at = start * a->batch * H;
    const real *h = (const real *)a->h + at, *da_n = (const real *)a->da + 2 * H;
    const real *dn = a->reset_after ? a->dq : da_n, *meets = a->reset_after ? h : (const real *)a->q + at;
    const int64_t dn_row = a->reset_after ? H : G;
    if (a->dweight_hh.data) {
        nn_view candidate = a->dweight_hh;
        candidate.data = (real *)candidate.data + 2 * H * candidate.stride[0];
        nn_weight_gradient(&a->dweight_hh, a->da, G, h, M, 2 * H, H, add, team, rank);
        nn_weight_gradient(&candidate, dn, dn_row, meets, M, H, H, add, team, rank);
    }
    if (a->dbias_hh) {
        nn_bias_gradient(a->dbias_hh, a->da, M, G, 2 * H, add, team, rank);
        nn_bias_gradient((real *)a->dbias_hh + 2 * H, dn, M, dn_row, H, add, team, rank);
    }
}

NN_DEFINE(gru_backward) {
    const nn_gru_backward_args *a = args;
    const nn_team alone = {1, nn_scratch(team, rank)};
    const int64_t H = a->H, G = 3 * H, slice = a->batch * H;
    const layout l = layout_of(H, a->reset_after, a->update_first);
    const nn_rows rows = nn_rows_of(a->batch, team, rank);
    real *more_panels = (real *)a->panels + nn_panels_size(2 * H, H);
    const nn_factor of_gates = nn_factor_of(&a->weight_hh, 0, 2 * H, false, a->panels, team, rank);
    const nn_factor of_candidate = nn_factor_of(&a->weight_hh, 2 * H, H, false, more_panels, team, rank);
    real *dh = a->dh0;
    nn_copy_rows(dh, a->dhn, rows, H);

    for (int64_t block = 0; block == 0 || block < a->seq; block += a->steps) {
        const int64_t count = a->seq - block < a->steps ? a->seq - block : a->steps, M = count * a->batch;
        const int64_t start = a->reverse ? block : a->seq - block - count;
        const bool add = block > 0;
        nn_barrier(team);
        for (int64_t i = 0; i < count; i++) {
            const int64_t step = a->reverse ? i : count - 1 - i, t = start + step;
            const int64_t active = nn_active_rows(a->lengths, rows, t).end - rows.begin;
            real *da = (real *)a->da + 3 * step * slice, *dq = (real *)a->dq + step * slice;
            real *own_da = da + rows.begin * G, *own_dq = dq + rows.begin * H, *own_dh = dh + rows.begin * H;
            for (int phase = 0; phase < (l.reset_after ? 1 : 2); phase++) {
                for (int64_t row = rows.begin; row < rows.end; row++) {
                    const int64_t at = t * slice + row * H;
                    const gru_row_back p = {l,
                                            da + row * G,
                                            dq + row * H,
                                            dh + row * H,
                                            a->dy ? (const real *)a->dy + at : NULL,
                                            (const real *)a->gates + 3 * at,
                                            (const real *)a->q + at,
                                            (const real *)a->h + at};
                    if (!nn_is_active(a->lengths, row, t)) {
                        memset(p.da, 0, (size_t)G * sizeof(real));
                        memset(p.dq, 0, (size_t)H * sizeof(real));
                    } else if (phase == 0) {
                        candidate_back(&p);
                    } else {
                        reset_back(&p);
                    }
                }
                if (phase == 0 && !l.reset_after)
                    nn_multiply(own_dq, H, own_da + 2 * H, G, active, &of_candidate, false, &alone);
            }
            nn_multiply(own_dh, H, own_da, G, active, &of_gates, true, &alone);
            if (l.reset_after) nn_multiply(own_dh, H, own_dq, H, active, &of_candidate, true, &alone);
        }
        nn_barrier(team);
        if (a->dx) nn_project_back((real *)a->dx + start * a->batch * a->I, a->da, M, &a->weight_ih, team, rank);
        if (a->dweight_ih.data)
            nn_weight_gradient(&a->dweight_ih, a->da, G, (const real *)a->x + start * a->batch * a->I, M, G, a->I, add,
                               team, rank);
        if (a->dbias_ih) nn_bias_gradient(a->dbias_ih, a->da, M, G, G, add, team, rank);
        recurrent_gradients(a, start, M, add, team, rank);
    }
}
