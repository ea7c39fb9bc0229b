/* The register tile of a convolution: rows of patches, read in place run by run, times a panel of columns. */
#ifndef NN_CONVOLVE_TILE_H
#define NN_CONVOLVE_TILE_H

#include "gemm.h"
#include "transpose.h"

#define TILE_VECS (NN_NR / NN_WIDTH)

/* `length` inner indices of A, from `offset` on. */
typedef struct {
    int64_t offset, length;
} segment;

typedef struct {
    const real *a; /* element (i, k) of a segment is a[offset + i * a_row + k * a_column], where one of the two is 1 */
    int64_t a_row, a_column;
    int64_t lower; /* of neighbours, if not 0: the second half of the rows begins so far from the first */
    const segment *segments;
    int count;
    const real *b; /* rows of NN_NR, the segments' one after the other */
    real *c;
    int64_t c_row;
    int64_t columns;
    const real *bias; /* NULL: nothing to add */
    bool first;       /* C = the tile, else C = C + the tile */
} tile_args;

/* C = (C +) tile (+ bias). A register is `whole`, or what C has columns for. */
NN_INLINE void store_tile(const tile_args *t, vec c[NN_MR][TILE_VECS], const int rows, const int vecs,
                          const bool whole) {
    NN_UNROLL
    for (int j = 0; j < vecs; j++) {
        const int64_t left = t->columns - j * NN_WIDTH;
        const int64_t n = whole || left > NN_WIDTH ? NN_WIDTH : left < 0 ? 0 : left;
        NN_UNROLL
        for (int i = 0; i < rows; i++) {
            real *at = t->c + i * t->c_row + j * NN_WIDTH;
            vec value = c[i][j];
            if (!t->first) value = (whole ? v_load(at) : v_load_n(at, n)) + value;
            if (t->bias) value = value + (whole ? v_load(t->bias + j * NN_WIDTH) : v_load_n(t->bias + j * NN_WIDTH, n));
            if (whole)
                v_store(at, value);
            else
                v_store_n(at, value, n);
        }
    }
}

/* One inner index. Element i of A is at[i / per][i % per * a_row + k]; where one register names it, it is an operand of
 * its products, as in the packed tile of gemm. */
NN_INLINE void multiply(vec c[NN_MR][TILE_VECS], const real *const *at, const int per, int64_t a_row, const int k,
                        const real *b, const int rows, const int vecs) {
    vec row[TILE_VECS];
    NN_UNROLL
    for (int j = 0; j < vecs; j++) row[j] = v_load(b + j * NN_WIDTH);
    NN_UNROLL
    for (int i = 0; i < rows; i++) {
        const vec element = v_set1(at[i / per][i % per * a_row + k]);
        if (V_PAIRS && vecs == 2 && (per > 2 ? i % 2 : i % per == 0)) {
            v_fma_pair(at[i / per] + i % per * a_row + k, row, c[i]);
            continue;
        }
        NN_UNROLL
        for (int j = 0; j < vecs; j++) c[i][j] = v_fma(element, row[j], c[i][j]);
    }
}

/* `rows` x `vecs` registers of C. Rows that are `neighbours` have two pointers into A, others one for two of them. */
NN_INLINE void convolve_tile(const tile_args *t, const int rows, const int vecs, const bool neighbours) {
    const int per = neighbours ? (rows + 1) / 2 : 2, pointers = (rows + per - 1) / per;
    const int step = V_PAIRS && !neighbours && rows > NN_MR / 2 ? 2 : 1; /* to move seven pointers less often */
    const int64_t a_row = neighbours ? 1 : t->a_row, a_column = neighbours ? t->a_column : 1;
    const real *b = t->b;
    vec c[NN_MR][TILE_VECS];
    NN_UNROLL
    for (int i = 0; i < rows; i++) {
        NN_UNROLL
        for (int j = 0; j < vecs; j++) {
            c[i][j] = (vec){0};
            __builtin_prefetch(t->c + i * t->c_row + j * NN_WIDTH, 1);
        }
    }
    for (const segment *s = t->segments, *end = s + t->count; s < end; s++) {
        const real *at[(NN_MR + 1) / 2];
        NN_UNROLL
        for (int i = 0; i < pointers; i++)
            at[i] = t->a + s->offset + i * (neighbours && t->lower ? t->lower : per * a_row);
        int64_t k = s->length;
        for (; k >= step; k -= step, b += step * NN_NR) {
            NN_UNROLL
            for (int n = 0; n < step; n++) multiply(c, at, per, a_row, n, b + n * NN_NR, rows, vecs);
            NN_UNROLL
            for (int i = 0; i < pointers; i++) {
                at[i] += step * a_column;
                if (NN_BYTES > 16) NN_KEEP(at[i]); /* NEON would keep the first on the stack */
            }
        }
        if (step > 1 && k) {
            multiply(c, at, per, a_row, 0, b, rows, vecs);
            b += NN_NR;
        }
    }
    if (t->columns < vecs * NN_WIDTH)
        store_tile(t, c, rows, vecs, false);
    else
        store_tile(t, c, rows, vecs, true);
}

#define X(rows)                                                                                                        \
    static void tile_##rows##_narrow(const tile_args *t) { convolve_tile(t, rows, 1, false); }                         \
    static void tile_##rows(const tile_args *t) { convolve_tile(t, rows, TILE_VECS, false); }                          \
    static void tile_##rows##_weight_narrow(const tile_args *t) { convolve_tile(t, rows, 1, true); }                   \
    static void tile_##rows##_weight(const tile_args *t) { convolve_tile(t, rows, TILE_VECS, true); }
NN_TILE_HEIGHTS(X)
#undef X
#define X(rows) {tile_##rows##_narrow, tile_##rows},
static void (*const tiles[NN_MR + 1][2])(const tile_args *) = {{NULL, NULL}, NN_TILE_HEIGHTS(X)};
#undef X
#define X(rows) {tile_##rows##_weight_narrow, tile_##rows##_weight},
static void (*const weight_tiles[NN_MR + 1][2])(const tile_args *) = {{NULL, NULL}, NN_TILE_HEIGHTS(X)};
#undef X

#endif
