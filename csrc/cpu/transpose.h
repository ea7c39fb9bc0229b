/* Rows turned into a panel: panel[k * width + i] = rows[i][k]. What packing does where k runs along memory.
 *
 * NN_WIDTH rows of 128 bits each are turned in registers. A register takes the 128-bit parts of NN_PARTS rows straight
 * from memory, so that only the exchanges within a part are left to do.
 */
#ifndef NN_TRANSPOSE_H
#define NN_TRANSPOSE_H

#include "simd.h"

#define NN_PART (NN_WIDTH / NN_PARTS) /* elements in 128 bits */

/* Lane i of: the halves of each part of a and b, element by element; the pairs of each part of a and b. */
#define ELEMENTS(i, half) ((i) / NN_PART * NN_PART + (half) * (NN_PART / 2) + (i) % NN_PART / 2 + (i) % 2 * NN_WIDTH)
#define PAIRS(i, half) ((i) / 4 * 4 + (half) * 2 + (i) % 2 + (i) % 4 / 2 * NN_WIDTH)
#define LANES2(F, i, half) F(i, half), F(i + 1, half)
#define LANES4(F, i, half) LANES2(F, i, half), LANES2(F, i + 2, half)
#define LANES8(F, i, half) LANES4(F, i, half), LANES4(F, i + 4, half)
#define LANES16(F, i, half) LANES8(F, i, half), LANES8(F, i + 8, half)
#if NN_WIDTH == 16
#define LANES(F, half) LANES16(F, 0, half)
#elif NN_WIDTH == 8
#define LANES(F, half) LANES8(F, 0, half)
#elif NN_WIDTH == 4
#define LANES(F, half) LANES4(F, 0, half)
#else
#define LANES(F, half) LANES2(F, 0, half)
#endif

/* turned[k] = element k of NN_WIDTH rows, k < count * NN_PART. A row is read at once: its cache line may not stay. */
NN_INLINE void nn_turn(vec *turned, const real *const rows[NN_WIDTH], const int count) {
    vec part[NN_PARTS][NN_PART];
    NN_UNROLL
    for (int i = 0; i < NN_PART; i++) {
        NN_UNROLL
        for (int n = 0; n < count; n++) {
            const real *parts[NN_PARTS];
            NN_UNROLL
            for (int j = 0; j < NN_PARTS; j++) parts[j] = rows[j * NN_PART + i] + n * NN_PART;
            part[n][i] = v_load_parts(parts);
        }
    }
    NN_UNROLL
    for (int n = 0; n < count; n++) {
        vec *to = turned + n * NN_PART, *from = part[n];
        NN_UNROLL
        for (int i = 0; i < NN_PART; i += 2) {
            to[i / 2] = __builtin_shufflevector(from[i], from[i + 1], LANES(ELEMENTS, 0));
            to[NN_PART / 2 + i / 2] = __builtin_shufflevector(from[i], from[i + 1], LANES(ELEMENTS, 1));
        }
#if NN_IS_F32
        NN_UNROLL
        for (int i = 0; i < NN_PART; i += 2) {
            const vec a = to[i], b = to[i + 1];
            to[i] = __builtin_shufflevector(a, b, LANES(PAIRS, 0));
            to[i + 1] = __builtin_shufflevector(a, b, LANES(PAIRS, 1));
        }
#endif
    }
}

/* A square block, turned: row k of it is element k of the rows at source + i * stride. What lies past `height` rows or
 * `width` elements is zero. */
NN_INLINE void nn_turn_block(vec turned[NN_WIDTH], const real *source, int64_t stride, int64_t height, int64_t width) {
    vec edge[NN_WIDTH];
    if (height < NN_WIDTH || width < NN_WIDTH) {
        memset(edge, 0, sizeof edge);
        for (int i = 0; i < NN_WIDTH && i < height; i++)
            edge[i] = v_load_n(source + i * stride, width < NN_WIDTH ? width : NN_WIDTH);
        source = (const real *)edge;
        stride = NN_WIDTH;
    }
    const real *rows[NN_WIDTH];
    NN_UNROLL
    for (int i = 0; i < NN_WIDTH; i++) rows[i] = source + i * stride;
    nn_turn(turned, rows, NN_PARTS);
}

#undef LANES
#undef LANES2
#undef LANES4
#undef LANES8
#undef LANES16
#undef ELEMENTS
#undef PAIRS

/* Columns k .. k + count * NN_PART of the panel. */
NN_INLINE void nn_pack_turned(real *panel, const int width, const real *const *rows, int64_t k, const int count) {
    NN_UNROLL
    for (int first = (width - 1) / NN_WIDTH * NN_WIDTH; first >= 0; first -= NN_WIDTH) {
        const real *some[NN_WIDTH];
        NN_UNROLL
        for (int i = 0; i < NN_WIDTH; i++) some[i] = rows[first + i < width ? first + i : width - 1] + k;
        vec turned[NN_WIDTH];
        nn_turn(turned, some, count);
        NN_UNROLL
        for (int i = 0; i < count * NN_PART; i++) v_store(panel + (k + i) * width + first, turned[i]);
    }
}

/* panel[k * width + i] = rows[i][k] for k < length. Writes up to NN_WIDTH - 1 elements past the panel, and before it
 * ends only where a later store writes again. */
NN_INLINE void nn_pack_rows(real *panel, const int width, const real *const *rows, int64_t length) {
    int64_t k = 0;
    for (; k + NN_WIDTH <= length; k += NN_WIDTH) nn_pack_turned(panel, width, rows, k, NN_PARTS);
    for (; k + NN_PART <= length; k += NN_PART) nn_pack_turned(panel, width, rows, k, 1);
    for (; k < length; k++)
        for (int i = 0; i < width; i++) panel[k * width + i] = rows[i][k];
}

#endif
