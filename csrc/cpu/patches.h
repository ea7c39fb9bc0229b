/* The runs of a matrix of patches: im2col without its buffer.
 *
 * A product reads a patch run by run; a run is a piece of it whose elements are neighbours in memory, so that the
 * image's edge and the division of an index into (kh, kw, c) cost something per run, not per element. There are two
 * ways to have the runs:
 *
 *   in lines     where they lie in the image or, if patches reach over its edge, in a copy of the rows needed with the
 *                padding around them. Neighbouring patches overlap, so this is the image once.
 *   gathered     written out, patch after patch: a chunk of inner indices of some hundred patches. For what does not
 *                fit as lines, and for runs that are too short.
 */
#ifndef NN_PATCHES_H
#define NN_PATCHES_H

#include "convolve.h"
#include "row.h"

/* ---- runs ----------------------------------------------------------------------------------------------------- */

/* Elements of a patch that are neighbours: a row of it where nothing lies between its positions, else one position. */
typedef struct {
    int64_t kh, kw, c, length;
} patch_run;

NN_INLINE int64_t run_size(const patches *p, int64_t pixel) {
    return pixel == p->C && p->dilation_w == 1 ? p->KW * p->C : p->C;
}

/* The run at element k of a patch, up to element `end`. */
NN_INLINE patch_run run_at(const patches *p, int64_t pixel, int64_t k, int64_t end) {
    const int64_t size = run_size(p, pixel), position = k / p->C, left = size - k % size;
    return (patch_run){position / p->KW, position % p->KW, k % p->C, left < end - k ? left : end - k};
}

/* ---- lines ---------------------------------------------------------------------------------------------------- */
#define MAX_LINES 256

/* Patches `first` .. first + count, side by side: of element (kh, kw, c) of patch i the address is
 * start + (i * step_w + kw * dilation_w) * pixel + kh * dilation_h * row + c. */
typedef struct {
    const real *start;
    int64_t first, count;
} line;

typedef struct {
    int64_t pixel, row; /* elements from pixel to pixel, from row to row */
    int count;
    line line[MAX_LINES];
} lines;

/* Row h of image n, columns left .. left + width, with zeros around it. */
static void copy_image_row(real *to, const patches *p, int64_t n, int64_t h, int64_t left, int64_t width) {
    const int64_t end = p->W - left < width ? p->W - left : width;
    int64_t w = left < 0 ? -left : 0;
    if (h < 0 || h >= p->H || w >= end) {
        memset(to, 0, (size_t)(width * p->C) * sizeof(real));
        return;
    }
    memset(to, 0, (size_t)(w * p->C) * sizeof(real));
    memset(to + end * p->C, 0, (size_t)((width - end) * p->C) * sizeof(real));
    const real *from = p->image + ((n * p->H + h) * p->W + left) * p->pixel;
    if (p->pixel == p->C) {
        memcpy(to + w * p->C, from + w * p->C, (size_t)((end - w) * p->C) * sizeof(real));
        return;
    }
    for (; w < end; w++)
        for (int64_t c = 0; c < p->C; c += NN_WIDTH) {
            const int64_t length = p->C - c < NN_WIDTH ? p->C - c : NN_WIDTH;
            row_store(to + w * p->C + c, row_load(from + w * p->pixel + c, length), length);
        }
}

/* Rows of the image under a patch, columns under a row of patches. */
NN_INLINE int64_t patch_height(const patches *p) { return (p->KH - 1) * p->dilation_h + 1; }
NN_INLINE int64_t line_width(const patches *p) { return (p->PW - 1) * p->step_w + (p->KW - 1) * p->dilation_w + 1; }

/* Whether no patch reaches over the image's edge: its lines need no copy. */
static bool patches_inside(const patches *p) {
    return p->start_h >= 0 && p->start_w >= 0 && p->start_w + line_width(p) <= p->W &&
           p->start_h + (p->PH - 1) * p->step_h + patch_height(p) <= p->H;
}

/* Whether `size` elements have room for the lines of any `count` patches, at most MAX_LINES. */
static bool lines_fit(const patches *p, int64_t count, int64_t size) {
    const int64_t rows = (count + p->PW - 2) / p->PW + 1, images = (rows + p->PH - 2) / p->PH + 1;
    const int64_t beyond = patch_height(p) > p->step_h ? patch_height(p) - p->step_h : 0;
    return patches_inside(p) || (rows * p->step_h + images * beyond) * line_width(p) * p->C <= size;
}

/* The lines of patches first .. end, or of as many as there is room for. Returns the first one left out. */
static int64_t lay_lines(lines *l, const patches *p, int64_t first, int64_t end, real *room, int64_t size) {
    const int64_t height = patch_height(p), width = line_width(p);
    const bool inside = patches_inside(p);
    l->pixel = inside ? p->pixel : p->C;
    l->row = inside ? p->W * p->pixel : width * p->C;
    int64_t image = -1, top = 0, bottom = 0; /* the copy holds rows top .. bottom of this image, from `copy` on */
    real *copy = room;
    for (l->count = 0; first < end && l->count < MAX_LINES; l->count++) {
        const int64_t n = first / (p->PH * p->PW), pw = first % p->PW;
        const int64_t h = p->start_h + first / p->PW % p->PH * p->step_h;
        const int64_t count = p->PW - pw < end - first ? p->PW - pw : end - first;
        const real *start = p->image + ((n * p->H + h) * p->W + p->start_w) * p->pixel;
        if (!inside) {
            if (n != image) {
                copy += (bottom - top) * l->row;
                top = bottom = h;
                image = n;
            }
            if (copy + (h + height - top) * l->row > room + size) break;
            for (; bottom < h + height; bottom++)
                copy_image_row(copy + (bottom - top) * l->row, p, n, bottom, p->start_w, width);
            start = copy + (h - top) * l->row;
        }
        l->line[l->count] = (line){start + pw * p->step_w * l->pixel, first, count};
        first += count;
    }
    return first;
}

/* ---- gathered ------------------------------------------------------------------------------------------------- */

/* A run, h rows and w elements away from the patch's start. */
typedef struct {
    int64_t h, w, length;
} run_place;

/* Both write up to NN_WIDTH - 1 elements more than `length`: whole registers, the next run goes over them. */
NN_INLINE void copy_run(real *to, const real *from, int64_t length) {
    for (; length > NN_WIDTH; to += NN_WIDTH, from += NN_WIDTH, length -= NN_WIDTH) v_store(to, v_load(from));
    v_store(to, v_load_n(from, length));
}

/* The run that starts in row h, w elements to the right of the row's begin, with zeros outside the image. */
NN_INLINE void copy_run_at_edge(real *to, const patches *p, const real *image, int64_t h, int64_t w, int64_t length) {
    const int64_t row = p->W * p->pixel, begin = w < 0 ? -w : 0, end = w + length > row ? row - w : length;
    for (int64_t i = 0; i < length; i += NN_WIDTH) v_store(to + i, (vec){0});
    if (h >= 0 && h < p->H && begin < end) copy_run(to + begin, image + h * row + w + begin, end - begin);
}

/* to[i * depth + j] = element k + j of patch first + i; depth is at most NN_KC. Writes up to NN_WIDTH - 1 more. */
static void gather_patches(real *to, const patches *p, int64_t first, int64_t count, int64_t k, int64_t depth) {
    const int64_t row = p->W * p->pixel, end = k + depth;
    run_place runs[NN_KC];
    int run_count = 0;
    for (; k < end; run_count++) {
        const patch_run run = run_at(p, p->pixel, k, end);
        runs[run_count] = (run_place){run.kh * p->dilation_h, run.kw * p->dilation_w * p->pixel + run.c, run.length};
        k += run.length;
    }
    const int64_t height = patch_height(p), width = ((p->KW - 1) * p->dilation_w + 1) * p->pixel;
    const real *image = p->image + first / (p->PH * p->PW) * p->H * row;
    int64_t ph = first / p->PW % p->PH, pw = first % p->PW;
    for (; count > 0; count--) {
        const int64_t h = p->start_h + ph * p->step_h, w = (p->start_w + pw * p->step_w) * p->pixel;
        if (h >= 0 && h + height <= p->H && w >= 0 && w + width <= row) {
            const real *start = image + h * row + w;
            for (int i = 0; i < run_count; to += runs[i++].length)
                copy_run(to, start + runs[i].h * row + runs[i].w, runs[i].length);
        } else {
            for (int i = 0; i < run_count; to += runs[i++].length)
                copy_run_at_edge(to, p, image, h + runs[i].h, w + runs[i].w, runs[i].length);
        }
        if (++pw < p->PW) continue;
        pw = 0;
        if (++ph < p->PH) continue;
        ph = 0;
        image += p->H * row;
    }
}

#endif
