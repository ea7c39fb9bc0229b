/* Sliding windows along one axis: which taps of a window lie in the image, and which windows a pixel lies in. */
#ifndef NN_WINDOW_H
#define NN_WINDOW_H

#include "cpu.h"

typedef struct {
    int64_t begin, end;
} nn_range;

/* The positions k of a window that lie in the image: 0 <= start + k * dilation < size. */
NN_INLINE nn_range nn_positions_inside(int64_t start, int64_t kernel, int64_t dilation, int64_t size) {
    nn_range range = {0, kernel};
    if (start < 0) range.begin = (-start + dilation - 1) / dilation;
    if (start + (kernel - 1) * dilation >= size)
        range.end = start < size ? (size - start + dilation - 1) / dilation : 0;
    return range;
}

/* Output i sees the positions start + i * step + tap * dilation, tap < taps, of an input of `size` positions. */
typedef struct {
    int64_t start, step, dilation, taps, size;
} nn_windows;

/* The taps of output i that lie in the input. */
NN_INLINE nn_range nn_taps_inside(const nn_windows *w, int64_t i) {
    return nn_positions_inside(w->start + i * w->step, w->taps, w->dilation, w->size);
}

/* The outputs among 0 .. count-1 whose taps all lie in the input. */
NN_INLINE nn_range nn_outputs_inside(const nn_windows *w, int64_t count) {
    const int64_t room = w->size - 1 - (w->taps - 1) * w->dilation - w->start; /* of the last output's step */
    nn_range range = {w->start < 0 ? (-w->start + w->step - 1) / w->step : 0, room < 0 ? 0 : room / w->step + 1};
    if (range.begin > count) range.begin = count;
    if (range.end > count) range.end = count;
    if (range.end < range.begin) range.end = range.begin;
    return range;
}

/* The way back: the pixels phase, phase + stride, ... meet the taps first, first + step, ... of the kernel and no
 * other; tap `first` of pixel `phase` meets position `position` of y, and each further tap dilation positions less. */
typedef struct {
    int64_t pixels;
    int64_t first, step, count;
    int64_t position, dilation;
} phase_taps;

static inline phase_taps taps_of_phase(int64_t phase, int64_t stride, int64_t padding, int64_t dilation, int64_t kernel,
                                       int64_t size) {
    phase_taps t = {.pixels = phase < size ? (size - phase + stride - 1) / stride : 0, .step = 1};
    while (t.step < kernel && t.step * dilation % stride != 0) t.step++;
    while (t.first < t.step && (phase + padding - t.first * dilation) % stride != 0) t.first++;
    if (t.first < t.step) t.count = (kernel - t.first + t.step - 1) / t.step;
    t.position = (phase + padding - t.first * dilation) / stride;
    t.dilation = t.step * dilation / stride;
    return t;
}

/* The positions of y, of `size`, that the pixels of a phase see: pixel i stands for the i-th of them, tap k for the
 * kernel's tap nn_kernel_tap(t, k), so that taps descend and positions ascend. */
NN_INLINE nn_windows nn_windows_back(const phase_taps *t, int64_t size) {
    return (nn_windows){t->position - (t->count - 1) * t->dilation, 1, t->dilation, t->count, size};
}
NN_INLINE int64_t nn_kernel_tap(const phase_taps *t, int64_t tap) { return t->first + (t->count - 1 - tap) * t->step; }

#endif
