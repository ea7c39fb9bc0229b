/* A square block of a matrix, NN_WIDTH x NN_WIDTH, turned in registers. */
#ifndef NN_TRANSPOSE_H
#define NN_TRANSPOSE_H

#include "simd.h"

/* Lane i of the two results of exchanging the off-diagonal s x s blocks of a pair of rows. */
#define LOW(i, s) ((i) & (s) ? NN_WIDTH + (i) - (s) : (i))
#define HIGH(i, s) ((i) & (s) ? NN_WIDTH + (i) : (i) + (s))
#define LANES2(F, i, s) F(i, s), F(i + 1, s)
#define LANES4(F, i, s) LANES2(F, i, s), LANES2(F, i + 2, s)
#define LANES8(F, i, s) LANES4(F, i, s), LANES4(F, i + 4, s)
#define LANES16(F, i, s) LANES8(F, i, s), LANES8(F, i + 8, s)
#if NN_WIDTH == 16
#define LANES(F, s) LANES16(F, 0, s)
#elif NN_WIDTH == 8
#define LANES(F, s) LANES8(F, 0, s)
#elif NN_WIDTH == 4
#define LANES(F, s) LANES4(F, 0, s)
#else
#define LANES(F, s) LANES2(F, 0, s)
#endif
#define EXCHANGE(s)                                                                                                    \
    NN_UNROLL                                                                                                          \
    for (int i = 0; i < NN_WIDTH; i++)                                                                                 \
        if (!(i & (s))) {                                                                                              \
            const vec a = rows[i], b = rows[i + (s)];                                                                  \
            rows[i] = __builtin_shufflevector(a, b, LANES(LOW, s));                                                    \
            rows[i + (s)] = __builtin_shufflevector(a, b, LANES(HIGH, s));                                             \
        }

/* Eklundh, "A Fast Computer Method for Matrix Transposing", IEEE Trans. Computers C-21(7), 1972. */
NN_INLINE void nn_transpose(vec rows[NN_WIDTH]){EXCHANGE(1)
#if NN_WIDTH > 2
                                                    EXCHANGE(2)
#endif
#if NN_WIDTH > 4
                                                        EXCHANGE(4)
#endif
#if NN_WIDTH > 8
                                                            EXCHANGE(8)
#endif
}

/* Row i of the block from source + i * stride; what lies past `height` rows or `width` columns is zero. */
NN_INLINE void nn_load_block(vec rows[NN_WIDTH], const real *source, int64_t stride, int64_t height, int64_t width) {
    vec edge[NN_WIDTH];
    if (height < NN_WIDTH || width < NN_WIDTH) {
        memset(edge, 0, sizeof edge);
        for (int i = 0; i < NN_WIDTH && i < height; i++)
            edge[i] = v_load_n(source + i * stride, width < NN_WIDTH ? width : NN_WIDTH);
        source = (const real *)edge;
        stride = NN_WIDTH;
    }
    NN_UNROLL
    for (int i = 0; i < NN_WIDTH; i++) rows[i] = v_load(source + i * stride);
}

#undef LANES
#undef LANES2
#undef LANES4
#undef LANES8
#undef LANES16
#undef LOW
#undef HIGH
#undef EXCHANGE

#endif
