/* An image as a matrix of patches, one per row, for gemm to read: im2col without its buffer.
 *
 * The packers write panels straight from the image. A patch is cut into runs, elements that are neighbours in memory,
 * so that divisions and the tests for the image's edge are made per run, not per element.
 */
#ifndef NN_PATCHES_H
#define NN_PATCHES_H

#include "gemm.h"

/* Row (n, ph, pw) is the patch of KH x KW positions, C channels each, that starts at
 * h = start_h + ph * step_h, w = start_w + pw * step_w. Outside the image there are zeros. */
typedef struct {
    const real *image;   /* N images, from the group's first channel */
    int64_t H, W, pixel; /* size; elements from pixel to pixel */
    int64_t PH, PW;      /* patches per image */
    int64_t KH, KW, C;   /* size of a patch */
    int64_t start_h, start_w, step_h, step_w, dilation_h, dilation_w;
    int64_t first_row; /* this patch is row 0 */
} patches;

static const real zeros[NN_KC];

/* A patch starts in row h of an image, w elements to the right of the row's begin. */
typedef struct {
    const real *image;
    int64_t ph, pw, h, w;
} patch;

NN_INLINE patch patch_at(const patches *p, int64_t row) {
    row += p->first_row;
    const int64_t n = row / (p->PH * p->PW), ph = row / p->PW % p->PH, pw = row % p->PW;
    return (patch){p->image + n * p->H * p->W * p->pixel, ph, pw, p->start_h + ph * p->step_h,
                   (p->start_w + pw * p->step_w) * p->pixel};
}

NN_INLINE void next_patch(const patches *p, patch *at) {
    at->w += p->step_w * p->pixel;
    if (++at->pw < p->PW) return;
    at->pw = 0;
    at->w = p->start_w * p->pixel;
    at->h += p->step_h;
    if (++at->ph < p->PH) return;
    at->ph = 0;
    at->h = p->start_h;
    at->image += p->H * p->W * p->pixel;
}

/* Elements of a patch that are neighbours in the image: a row of it where nothing lies between its positions, else
 * one position. They are h rows and w elements away from the patch's start. */
typedef struct {
    int64_t h, w, length;
} patch_run;

NN_INLINE patch_run run_at(const patches *p, int64_t k, int64_t end) {
    const bool whole_rows = p->C == p->pixel && p->dilation_w == 1;
    const int64_t size = whole_rows ? p->KW * p->C : p->C, in_row = whole_rows ? 1 : p->KW;
    const int64_t run = k / size, offset = k % size;
    return (patch_run){run / in_row * p->dilation_h, run % in_row * p->dilation_w * p->pixel + offset,
                       size - offset < end - k ? size - offset : end - k};
}

/* The part of a run that the image's edge leaves, in a line of zeros. */
static const real *cut_run(const real *row, int64_t row_length, int64_t w, int64_t length, real *line) {
    const int64_t begin = w < 0 ? -w : 0, end = w + length > row_length ? row_length - w : length;
    memset(line, 0, (size_t)length * sizeof(real));
    memcpy(line + begin, row + w + begin, (size_t)(end - begin) * sizeof(real));
    return line;
}

NN_INLINE const real *run_elements(const patches *p, const patch *at, patch_run run, real *line) {
    const int64_t h = at->h + run.h, w = at->w + run.w, row_length = p->W * p->pixel;
    if (h < 0 || h >= p->H || w >= row_length || w + run.length <= 0) return zeros;
    const real *row = at->image + h * row_length;
    return w >= 0 && w + run.length <= row_length ? row + w : cut_run(row, row_length, w, run.length, line);
}

/* ---- packing ------------------------------------------------------------------------------------------------ */
typedef real quad __attribute__((vector_size(4 * sizeof(real))));

/* panel[k * width + i] = rows[i][k] */
NN_INLINE void pack_rows(real *panel, const int width, const real *const *rows, int64_t length) {
    int64_t k = 0;
    for (; k + 4 <= length; k += 4)
        for (int first = 0; first < width; first += 4) {
            const int i = first + 4 <= width ? first : width - 4;
            quad a, b, c, d;
            memcpy(&a, rows[i] + k, sizeof a);
            memcpy(&b, rows[i + 1] + k, sizeof b);
            memcpy(&c, rows[i + 2] + k, sizeof c);
            memcpy(&d, rows[i + 3] + k, sizeof d);
            const quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
            const quad ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            const quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
            const quad cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            a = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
            b = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
            c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
            d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
            memcpy(panel + k * width + i, &a, sizeof a);
            memcpy(panel + (k + 1) * width + i, &b, sizeof b);
            memcpy(panel + (k + 2) * width + i, &c, sizeof c);
            memcpy(panel + (k + 3) * width + i, &d, sizeof d);
        }
    for (; k < length; k++)
        for (int i = 0; i < width; i++) panel[k * width + i] = rows[i][k];
}

/* A of the forward product and of dx: rows are patches, k runs along them. */
static void pack_patches(real *panel, const void *source, int64_t first, int64_t count, int64_t k, int64_t depth) {
    const patches *p = source;
    real lines[NN_MR][NN_KC];
    const real *rows[NN_MR];
    patch at[NN_MR], next = patch_at(p, first);
    for (int64_t i = 0; i < count; i++) {
        at[i] = next;
        next_patch(p, &next);
    }
    for (int64_t i = count; i < NN_MR; i++) rows[i] = zeros;
    const int64_t end = k + depth;
    while (k < end) {
        const patch_run run = run_at(p, k, end);
        for (int64_t i = 0; i < count; i++) rows[i] = run_elements(p, &at[i], run, lines[i]);
        pack_rows(panel, NN_MR, rows, run.length);
        panel += run.length * NN_MR;
        k += run.length;
    }
}

/* A of dweight: rows are positions within a patch, k runs over the patches. */
static void pack_positions(real *panel, const void *source, int64_t first, int64_t count, int64_t k, int64_t depth) {
    const patches *p = source;
    for (int64_t i = 0; i < count;) {
        const patch_run run = run_at(p, first + i, first + count);
        patch at = patch_at(p, k);
        for (int64_t kk = 0; kk < depth; kk++, next_patch(p, &at)) {
            real line[NN_MR];
            const real *from = run_elements(p, &at, run, line);
            real *to = panel + kk * NN_MR + i;
            int64_t j = 0;
            for (; j + 4 <= run.length; j += 4) memcpy(to + j, from + j, sizeof(quad));
            for (; j < run.length; j++) to[j] = from[j];
        }
        i += run.length;
    }
    for (int64_t kk = 0; kk < depth; kk++)
        for (int64_t i = count; i < NN_MR; i++) panel[kk * NN_MR + i] = 0;
}

#endif
