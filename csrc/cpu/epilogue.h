/* What planning lets a product or a normalisation do to its rows at once, while they are in the cache.
 *
 * Formula:  c = ((c - mean) rstd weight + bias), rstd = 1 / sqrt(variance + eps), per column; c = c + addend;
 *           c = activation(c); c = c * gate', the derivative of an activation; each where asked for, in this order.
 * Shapes:   c rows of n columns; addend and gate lie as the array does that c is a part of.
 * Parallel: by the caller; every element by itself.
 * Numerics: the operations of the kernels that it stands for, so their bits.
 */
#ifndef NN_EPILOGUE_H
#define NN_EPILOGUE_H

#include "activation.h"
#include "row.h"

/* Per column: (x - mean) rstd weight + bias; weight and bias may be absent. */
typedef struct {
    const real *mean, *rstd, *weight, *bias;
} nn_normalisation;

NN_INLINE vec nn_normalise(const nn_normalisation *c, vec x, vec rstd, int64_t i, int64_t n) {
    vec v = (x - row_load(c->mean + i, n)) * rstd;
    if (c->weight) v *= row_load(c->weight + i, n);
    if (c->bias) v += row_load(c->bias + i, n);
    return v;
}

typedef struct {
    const real *c;         /* start of the whole array */
    nn_normalisation norm; /* of all its columns; mean is NULL where there is none */
    const real *variance;  /* in place of norm.rstd */
    double eps;
    const real *addend;
    int64_t activation; /* NN_ACT_... */
    const real *gate;   /* what the derivative of the activation `gated` is a function of */
    int64_t gated;
} nn_epilogue;

/* The epilogue, or NULL if it does nothing. */
NN_INLINE const nn_epilogue *nn_if_any(const nn_epilogue *e) {
    return e->norm.mean || e->addend || e->activation || e->gate ? e : NULL;
}

static inline void nn_normalise_rows(const nn_epilogue *e, real *rows, int64_t count, int64_t n, int64_t stride,
                                     int64_t column) {
    for (int64_t i = 0; i < n; i += NN_WIDTH) {
        const int64_t lanes = n - i < NN_WIDTH ? n - i : NN_WIDTH;
        const vec rstd = v_set1(1) / v_sqrt(row_load(e->variance + column + i, lanes) + v_set1((real)e->eps));
        for (real *row = rows + i; row < rows + i + count * stride; row += stride)
            row_store(row, nn_normalise(&e->norm, row_load(row, lanes), rstd, column + i, lanes), lanes);
    }
}

NN_INLINE void nn_gate_row(real *row, const real *gate, int64_t n, vec (*slope)(vec)) {
    int64_t i = 0;
    for (; i + NN_WIDTH <= n; i += NN_WIDTH) v_store(row + i, v_load(row + i) * slope(v_load(gate + i)));
    if (i < n) v_store_n(row + i, v_load_n(row + i, n - i) * slope(v_load_n(gate + i, n - i)), n - i);
}

static inline void nn_finish_row(const nn_epilogue *e, real *row, int64_t n) {
    if (e->addend) {
        const real *addend = e->addend + (row - e->c);
        for (int64_t i = 0; i < n; i++) row[i] += addend[i];
    }
    nn_activate(row, n, e->activation);
    const real *gate = e->gate ? e->gate + (row - e->c) : NULL;
    switch (gate ? e->gated : NN_ACT_NONE) {
    case NN_ACT_RELU:
        nn_gate_row(row, gate, n, nn_relu_grad);
        break;
    case NN_ACT_SIGMOID:
        nn_gate_row(row, gate, n, nn_sigmoid_grad);
        break;
    case NN_ACT_TANH:
        nn_gate_row(row, gate, n, nn_tanh_grad);
        break;
    case NN_ACT_GELU:
        nn_gate_row(row, gate, n, nn_gelu_grad);
        break;
    case NN_ACT_SILU:
        nn_gate_row(row, gate, n, nn_silu_grad);
        break;
    }
}

/* Rows that lie `stride` elements apart, from `column` on; dense ones are one long row. */
static inline void nn_finish_rows(const nn_epilogue *e, real *rows, int64_t count, int64_t n, int64_t stride,
                                  int64_t column) {
    if (e->norm.mean) nn_normalise_rows(e, rows, count, n, stride, column);
    if (n == stride)
        nn_finish_row(e, rows, count * n);
    else
        for (int64_t r = 0; r < count; r++) nn_finish_row(e, rows + r * stride, n);
}

#endif
