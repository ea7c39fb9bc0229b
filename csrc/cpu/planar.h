/* convolve where Y has few columns: the lanes of a register are pixels.
 *
 * Shapes, numerics: as convolve; `columns` at most NN_WIDTH / 2, step 1 in both directions.
 * Parallel: by the caller.
 *
 *   for each block of rows of one image      its channels as planes, with padding around them, in L2
 *     for each tile of pixels                neighbours in a plane: a row, its padding, the next row, ...
 *       for each chunk of NN_KC inner indices
 */
#ifndef NN_PLANAR_H
#define NN_PLANAR_H

#include "column_sum.h"
#include "convolve.h"
#include "transpose.h"

#define PLANAR_COLUMNS (NN_WIDTH / 2)
#define PLANAR_VECS 8
/* registers for sums: all but those that one step needs */
#define PLANAR_SUMS (NN_BYTES == 64 ? 24 : 12)

/* sums[o][..] = sum over k of plane[k][..] * weight[k][o], for `vecs` registers of pixels. The planes of inner index k
 * start at a[k]. */
NN_INLINE void planar_tile(real sums[][PLANAR_VECS * NN_WIDTH], const real *a, const int32_t *offsets, int64_t depth,
                           const real *weight, const int columns, const int vecs) {
    vec sum[PLANAR_COLUMNS][PLANAR_VECS];
    NN_UNROLL
    for (int o = 0; o < columns; o++) {
        NN_UNROLL
        for (int j = 0; j < vecs; j++) sum[o][j] = (vec){0};
    }
    for (int64_t k = 0; k < depth; k++, weight += columns) {
        const real *from = a + offsets[k];
        vec pixels[PLANAR_VECS];
        NN_UNROLL
        for (int j = 0; j < vecs; j++) pixels[j] = v_load(from + j * NN_WIDTH);
        NN_UNROLL
        for (int o = 0; o < columns; o++) {
            const vec element = v_set1(weight[o]);
            NN_UNROLL
            for (int j = 0; j < vecs; j++) sum[o][j] = v_fma(pixels[j], element, sum[o][j]);
        }
    }
    NN_UNROLL
    for (int o = 0; o < columns; o++) {
        NN_UNROLL
        for (int j = 0; j < vecs; j++) v_store(sums[o] + j * NN_WIDTH, sum[o][j]);
    }
}

/* Pixels i .. end of the sums go to y, each with its columns side by side. */
NN_INLINE void planar_pixels(real sums[][PLANAR_VECS * NN_WIDTH], int64_t i, int64_t end, real *y, int64_t y_pixel,
                             const int columns) {
    for (; i < end; i++, y += y_pixel) {
        NN_UNROLL
        for (int o = 0; o < columns; o++) y[o] = sums[o][i];
    }
}

typedef void (*planar_fn)(real sums[][PLANAR_VECS * NN_WIDTH], const real *a, const int32_t *offsets, int64_t depth,
                          const real *weight);
#define PLANAR_TILE_VECS(columns) ((columns) <= 2 ? PLANAR_SUMS / 3 : PLANAR_SUMS / (columns) < 4 ? 3 : 4)
#if NN_WIDTH == 16
#define PLANAR_TILES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#elif NN_WIDTH == 8
#define PLANAR_TILES(X) X(1) X(2) X(3) X(4)
#elif NN_WIDTH == 4
#define PLANAR_TILES(X) X(1) X(2)
#else
#define PLANAR_TILES(X) X(1)
#endif
#define X(columns)                                                                                                     \
    static void planar_tile_##columns(real sums[][PLANAR_VECS * NN_WIDTH], const real *a, const int32_t *offsets,      \
                                      int64_t depth, const real *weight) {                                             \
        planar_tile(sums, a, offsets, depth, weight, columns, PLANAR_TILE_VECS(columns));                              \
    }                                                                                                                  \
    static void planar_pixels_##columns(real sums[][PLANAR_VECS * NN_WIDTH], int64_t i, int64_t end, real *y,          \
                                        int64_t y_pixel) {                                                             \
        planar_pixels(sums, i, end, y, y_pixel, columns);                                                              \
    }
PLANAR_TILES(X)
#undef X
#define X(columns) {planar_tile_##columns, planar_pixels_##columns, PLANAR_TILE_VECS(columns)},
static const struct {
    planar_fn tile;
    void (*store)(real sums[][PLANAR_VECS * NN_WIDTH], int64_t i, int64_t end, real *y, int64_t y_pixel);
    int vecs;
} planar_tiles[] = {{NULL, NULL, 0}, PLANAR_TILES(X)};
#undef X

/* ---- planes --------------------------------------------------------------------------------------------------- */

/* Row h of image n, columns left .. left + width, a channel's part to plane[c * size ..], with zeros around it. */
static void copy_to_planes(real *plane, int64_t size, const patches *p, int64_t n, int64_t h, int64_t left,
                           int64_t width) {
    int64_t begin = left < 0 ? -left : 0, end = p->W - left < width ? p->W - left : width;
    if (h < 0 || h >= p->H || begin >= end) begin = end = width;
    for (int64_t c = 0; c < p->C; c++) {
        memset(plane + c * size, 0, (size_t)begin * sizeof(real));
        memset(plane + c * size + end, 0, (size_t)(width - end) * sizeof(real));
    }
    const real *from = p->image + ((n * p->H + h) * p->W + left) * p->pixel;
    if (p->pixel == 1) {
        memcpy(plane + begin, from + begin, (size_t)(end - begin) * sizeof(real));
        return;
    }
    for (int64_t c = 0; c < p->C; c += NN_WIDTH)
        for (int64_t w = begin; w < end; w += NN_WIDTH) {
            vec block[NN_WIDTH];
            nn_turn_block(block, from + w * p->pixel + c, p->pixel, end - w, p->C - c);
            for (int64_t i = 0; i < NN_WIDTH && i < p->C - c; i++)
                v_store_n(plane + (c + i) * size + w, block[i], end - w < NN_WIDTH ? end - w : NN_WIDTH);
        }
}

/* ---- the loops ------------------------------------------------------------------------------------------------ */
#define PLANAR_WEIGHTS (2 * NN_KC * NN_NR) /* room for all of B */

typedef struct {
    int64_t width, rows, size; /* of a plane: its row, its rows of patches, elements from plane to plane */
} plane_shape;

/* Planes of as many rows of patches as there is room for; none where it is not worth it. */
static plane_shape planar_shape(const nn_convolution *c, int64_t room) {
    const patches *p = &c->x;
    const int64_t K = p->KH * p->KW * p->C;
    plane_shape s = {.width = p->PW + (p->KW - 1) * p->dilation_w};
    if (c->columns < 1 || c->columns > PLANAR_COLUMNS || p->step_h != 1 || p->step_w != 1 || K < NN_WIDTH / 2 ||
        K * c->columns > PLANAR_WEIGHTS)
        return s;
    const int64_t halo = (p->KH - 1) * p->dilation_h * s.width, slack = PLANAR_VECS * NN_WIDTH;
    s.rows = ((room - slack) / p->C - halo - NN_LANES) / s.width;
    if (s.rows < 1) s.rows = 0;
    if (s.rows > p->PH) s.rows = p->PH;
    /* an odd number of cache lines: neighbouring planes share no set of L1 */
    s.size = ((s.rows * s.width + halo + NN_LANES - 1) / NN_LANES | 1) * NN_LANES;
    return s;
}

/* Sums of pixels first .. first + count of a block of rows go to y. */
static void planar_store(const nn_convolution *c, real sums[][PLANAR_VECS * NN_WIDTH], int64_t width, int64_t first,
                         int64_t count, real *y) {
    for (int64_t o = 0; o < c->columns && c->bias; o++)
        for (int64_t i = 0; i < count; i++) sums[o][i] += c->bias[o];
    for (int64_t i = 0; i < count;) {
        const int64_t pw = (first + i) % width, left = width - pw < count - i ? width - pw : count - i;
        real *to = y + (first + i) / width * c->y_row + pw * c->y_pixel;
        const int64_t end = i + (c->x.PW - pw < left ? c->x.PW - pw : left);
        planar_tiles[c->columns].store(sums, i, end, to, c->y_pixel);
        i += left;
    }
}

/* All of B as [k][columns], and for each k where its plane starts at a pixel. */
static void planar_pack(const nn_convolution *c, plane_shape s, real *weight, int32_t *offsets, real *panel) {
    const patches *p = &c->x;
    const int64_t K = p->KH * p->KW * p->C;
    for (int64_t k = 0; k < K; k += NN_KC) {
        const int64_t depth = K - k < NN_KC ? K - k : NN_KC;
        c->pack_b(panel, c->b, 0, c->columns, k, depth);
        for (int64_t i = 0; i < depth; i++, weight += c->columns)
            memcpy(weight, panel + i * NN_NR, (size_t)c->columns * sizeof(real));
    }
    for (int64_t kh = 0; kh < p->KH; kh++)
        for (int64_t kw = 0; kw < p->KW; kw++)
            for (int64_t channel = 0; channel < p->C; channel++)
                *offsets++ = (int32_t)(channel * s.size + kh * p->dilation_h * s.width + kw * p->dilation_w);
}

/* Rows of patches first .. end. Scratch memory: B, offsets, planes. */
static void planar_convolve(const nn_convolution *c, plane_shape s, int64_t first, int64_t end, real *weight) {
    const patches *p = &c->x;
    const int64_t K = p->KH * p->KW * p->C, step = planar_tiles[c->columns].vecs * NN_WIDTH;
    int32_t *offsets = (int32_t *)(weight + PLANAR_WEIGHTS);
    real *planes = weight + 2 * PLANAR_WEIGHTS;
    planar_pack(c, s, weight, offsets, planes);
    for (int64_t rows; first < end; first += rows) {
        const int64_t n = first / p->PH, ph = first % p->PH, left = end - first < s.rows ? end - first : s.rows;
        rows = p->PH - ph < left ? p->PH - ph : left;
        for (int64_t h = 0; h < rows + (p->KH - 1) * p->dilation_h; h++)
            copy_to_planes(planes + h * s.width, s.size, p, n, p->start_h + ph + h, p->start_w, s.width);
        real *y = c->y + n * c->y_image + ph * c->y_row;
        const int64_t pixels = rows * s.width;
        for (int64_t pixel = 0; pixel < pixels; pixel += step) {
            real total[PLANAR_COLUMNS][PLANAR_VECS * NN_WIDTH], sums[PLANAR_COLUMNS][PLANAR_VECS * NN_WIDTH];
            for (int64_t k = 0; k < K; k += NN_KC) {
                planar_tiles[c->columns].tile(k == 0 ? total : sums, planes + pixel, offsets + k,
                                              K - k < NN_KC ? K - k : NN_KC, weight + k * c->columns);
                for (int64_t o = 0; k > 0 && o < c->columns; o++) nn_add_to(total[o], sums[o], step);
            }
            planar_store(c, total, s.width, pixel, pixels - pixel < step ? pixels - pixel : step, y);
        }
        for (int64_t row = 0; c->after && row < rows; row++)
            nn_finish_rows(c->after, y + row * c->y_row, p->PW, c->columns, c->y_pixel, 0);
    }
}

#endif
