/* max_pool2d: y[n,c,oh,ow] = max over kh, kw of x[n, c, oh*stride_h - padding_h + kh*dilation_h, ...]
 * avg_pool2d: y[n,c,oh,ow] = (sum over kh, kw of x[n, c, oh*stride_h - padding_h + kh, ...]) / divisor
 *
 * Shapes: x (N, C, H, W), y and index (N, C, OH, OW), all channels-last in memory.
 * Parallel: forward over the rows (n, oh) of y, backward over the rows (n, ih) of dx: every element has one writer.
 * Numerics: the padding of a maximum is -inf and never its index; the first NaN of a window wins. Sums run over
 *   kh, kw ascending (forward) and oh, ow ascending (backward), so an image's bits depend on nothing outside it.
 *   The divisor is KH * KW with count_include_pad, otherwise the number of window positions inside the image.
 * Source: PyTorch max_pool2d, avg_pool2d (ceil_mode=False).
 */
#include "window.h"

/* ---- max ---- */

/* y = max(y, x); index = position where x wins. A window that has seen nothing (index -1) always loses. */
NN_INLINE void max_update(real *restrict y, int32_t *restrict index, const real *restrict x, int32_t position,
                          int64_t C) {
    for (int64_t c = 0; c < C; c++) {
        const bool wins = (x[c] > y[c]) | ((x[c] != x[c]) & (y[c] == y[c])) | (index[c] < 0);
        y[c] = wins ? x[c] : y[c];
        index[c] = wins ? position : index[c];
    }
}

NN_DEFINE(max_pool2d_forward) {
    const nn_max_pool2d_forward_args *a = args;
    const int64_t C = a->C;
    int64_t begin, end;
    nn_share(a->N * a->OH, 1, team, rank, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const real *image = (const real *)a->x + row / a->OH * a->H * a->W * C;
        const int64_t ih = row % a->OH * a->stride_h - a->padding_h;
        const nn_range rows = nn_positions_inside(ih, a->kernel_h, a->dilation_h, a->H);
        for (int64_t ow = 0; ow < a->OW; ow++) {
            real *y = (real *)a->y + (row * a->OW + ow) * C;
            int32_t *index = (int32_t *)a->index + (row * a->OW + ow) * C;
            const int64_t iw = ow * a->stride_w - a->padding_w;
            const nn_range cols = nn_positions_inside(iw, a->kernel_w, a->dilation_w, a->W);
            for (int64_t c = 0; c < C; c++) y[c] = -INFINITY;
            for (int64_t c = 0; c < C; c++) index[c] = -1;
            for (int64_t kh = rows.begin; kh < rows.end; kh++)
                for (int64_t kw = cols.begin; kw < cols.end; kw++)
                    max_update(y, index, image + ((ih + kh * a->dilation_h) * a->W + iw + kw * a->dilation_w) * C,
                               (int32_t)(kh * a->kernel_w + kw), C);
        }
    }
}

/* dx += dy where the maximum stood at this position */
NN_INLINE void max_scatter(real *restrict dx, const real *restrict dy, const int32_t *restrict index, int32_t position,
                           int64_t C) {
    for (int64_t c = 0; c < C; c++) dx[c] += index[c] == position ? dy[c] : (real)0;
}

NN_DEFINE(max_pool2d_backward) {
    const nn_max_pool2d_backward_args *a = args;
    const int64_t C = a->C;
    int64_t begin, end;
    nn_share(a->N * a->H, 1, team, rank, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const int64_t n = row / a->H, ih = row % a->H;
        const nn_range over = nn_windows_over(ih, a->padding_h, (a->kernel_h - 1) * a->dilation_h, a->stride_h, a->OH);
        real *dx = (real *)a->dx + row * a->W * C;
        memset(dx, 0, (size_t)(a->W * C) * sizeof(real));
        for (int64_t oh = over.begin; oh < over.end; oh++) {
            const int64_t offset = ih + a->padding_h - oh * a->stride_h, kh = offset / a->dilation_h;
            if (kh * a->dilation_h != offset) continue; /* the row falls between two taps */
            for (int64_t ow = 0; ow < a->OW; ow++) {
                const int64_t window = ((n * a->OH + oh) * a->OW + ow) * C;
                const int64_t iw = ow * a->stride_w - a->padding_w;
                const nn_range cols = nn_positions_inside(iw, a->kernel_w, a->dilation_w, a->W);
                for (int64_t kw = cols.begin; kw < cols.end; kw++)
                    max_scatter(dx + (iw + kw * a->dilation_w) * C, (const real *)a->dy + window,
                                (const int32_t *)a->index + window, (int32_t)(kh * a->kernel_w + kw), C);
            }
        }
    }
}

/* ---- average ---- */

/* What the window with these positions inside the image is divided by. */
NN_INLINE real window_divisor(int64_t kernel_area, bool count_include_pad, nn_range rows, nn_range cols) {
    return (real)(count_include_pad ? kernel_area : (rows.end - rows.begin) * (cols.end - cols.begin));
}

NN_INLINE void add_to(real *restrict y, const real *restrict x, int64_t C) {
    for (int64_t c = 0; c < C; c++) y[c] += x[c];
}

NN_INLINE void add_quotient(real *restrict y, const real *restrict x, real divisor, int64_t C) {
    for (int64_t c = 0; c < C; c++) y[c] += x[c] / divisor;
}

NN_DEFINE(avg_pool2d_forward) {
    const nn_avg_pool2d_forward_args *a = args;
    const int64_t C = a->C;
    int64_t begin, end;
    nn_share(a->N * a->OH, 1, team, rank, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const real *image = (const real *)a->x + row / a->OH * a->H * a->W * C;
        const int64_t ih = row % a->OH * a->stride_h - a->padding_h;
        const nn_range rows = nn_positions_inside(ih, a->kernel_h, 1, a->H);
        for (int64_t ow = 0; ow < a->OW; ow++) {
            real *y = (real *)a->y + (row * a->OW + ow) * C;
            const int64_t iw = ow * a->stride_w - a->padding_w;
            const nn_range cols = nn_positions_inside(iw, a->kernel_w, 1, a->W);
            const real divisor = window_divisor(a->kernel_h * a->kernel_w, a->count_include_pad, rows, cols);
            for (int64_t c = 0; c < C; c++) y[c] = 0;
            for (int64_t kh = rows.begin; kh < rows.end; kh++)
                for (int64_t kw = cols.begin; kw < cols.end; kw++)
                    add_to(y, image + ((ih + kh) * a->W + iw + kw) * C, C);
            for (int64_t c = 0; c < C; c++) y[c] /= divisor;
        }
    }
}

NN_DEFINE(avg_pool2d_backward) {
    const nn_avg_pool2d_backward_args *a = args;
    const int64_t C = a->C;
    int64_t begin, end;
    nn_share(a->N * a->H, 1, team, rank, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        const int64_t n = row / a->H, ih = row % a->H;
        const nn_range over = nn_windows_over(ih, a->padding_h, a->kernel_h - 1, a->stride_h, a->OH);
        real *dx = (real *)a->dx + row * a->W * C;
        memset(dx, 0, (size_t)(a->W * C) * sizeof(real));
        for (int64_t oh = over.begin; oh < over.end; oh++) {
            const nn_range rows = nn_positions_inside(oh * a->stride_h - a->padding_h, a->kernel_h, 1, a->H);
            for (int64_t ow = 0; ow < a->OW; ow++) {
                const real *dy = (const real *)a->dy + ((n * a->OH + oh) * a->OW + ow) * C;
                const int64_t iw = ow * a->stride_w - a->padding_w;
                const nn_range cols = nn_positions_inside(iw, a->kernel_w, 1, a->W);
                const real divisor = window_divisor(a->kernel_h * a->kernel_w, a->count_include_pad, rows, cols);
                for (int64_t kw = cols.begin; kw < cols.end; kw++) add_quotient(dx + (iw + kw) * C, dy, divisor, C);
            }
        }
    }
}
