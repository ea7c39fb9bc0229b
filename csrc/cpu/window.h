/* Which positions of a sliding window lie in the image, and which windows enclose a pixel, along one axis. */
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

/* The windows o whose first and last position enclose i: o * stride <= i + padding <= o * stride + extent. */
NN_INLINE nn_range nn_windows_over(int64_t i, int64_t padding, int64_t extent, int64_t stride, int64_t count) {
    const int64_t first = i + padding - extent, last = (i + padding) / stride;
    return (nn_range){first > 0 ? (first + stride - 1) / stride : 0, last < count ? last + 1 : count};
}

#endif
