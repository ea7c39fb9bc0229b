/* Applies NN_ACT_... to a row: the end of a matrix product or convolution, while the row is in the cache. */
#ifndef NN_ACTIVATION_H
#define NN_ACTIVATION_H

#include "simd.h"

#include "../elementwise.h"

NN_INLINE void nn_map_row(real *row, int64_t n, vec (*formula)(vec)) {
    int64_t i = 0;
    for (; i + NN_WIDTH <= n; i += NN_WIDTH) v_store(row + i, formula(v_load(row + i)));
    if (i < n) v_store_n(row + i, formula(v_load_n(row + i, n - i)), n - i);
}

static inline void nn_activate(real *row, int64_t n, int64_t activation) {
    switch (activation) {
    case NN_ACT_RELU:
        nn_map_row(row, n, nn_relu);
        break;
    case NN_ACT_SIGMOID:
        nn_map_row(row, n, nn_sigmoid);
        break;
    case NN_ACT_TANH:
        nn_map_row(row, n, nn_tanh);
        break;
    case NN_ACT_GELU:
        nn_map_row(row, n, nn_gelu);
        break;
    case NN_ACT_SILU:
        nn_map_row(row, n, nn_silu);
        break;
    }
}

#endif
