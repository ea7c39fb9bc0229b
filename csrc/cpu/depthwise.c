/* Depthwise convolution: y[n,c,oh,ow] = epilogue(bias[c] + sum over kh, kw of x[n,c,h,w] weight[c,0,kh,kw])
 *         with h = oh * stride_h - padding_h + kh * dilation_h, w alike
 *
 * Shapes: as conv2d with groups = C = O; everything channels-last, so that a register holds channels of one pixel.
 * Parallel: y and dx over their rows (n, h); dweight over chunks of NN_KC pixels of y.
 * Numerics: conv2d's order: y takes its taps ascending, dx descending, dweight the pixels of y ascending, in chunks of
 *   NN_KC; all are chains of fused multiply-adds from zero. Taps in the padding are left out.
 * Source: XNNPACK's dwconv: several outputs of a row at once, so that a weight is loaded for all of them.
 */
#include "column_sum.h"
#include "depthwise.h"
#include "row.h"
#include "window.h"

/* Where the block of `width` channels that should begin at c does: the last repeats some of the one before. */
NN_INLINE int64_t block_at(int64_t C, int64_t c, const int64_t width) { return c + width <= C ? c : C - width; }

/* ---- y and dx: a row of outputs, each a sum over taps --------------------------------------------------------- */
#define MOST_OUTPUTS 8 /* at once: their sums stay in registers */

typedef struct {
    nn_windows along;       /* taps along a line */
    int64_t lines;          /* rows of the kernel that meet the image */
    const real *x[NN_KC];   /* the line that each meets */
    const real *tap[NN_KC]; /* its weights */
    int64_t tap_step;       /* from tap to tap, in elements */
    const real *bias;       /* or NULL */
    int64_t C;
} filter;

NN_INLINE void filter_store(const filter *f, const vec *sum, const int count, const bool along, int64_t c, int64_t n,
                            real *y, int64_t y_step) {
    NN_UNROLL
    for (int k = 0; k < count; k++) {
        const int64_t channel = along ? c : c + k * NN_WIDTH;
        real *to = along ? y + k * y_step + c : y + channel;
        row_store(to, f->bias ? sum[k] + row_load(f->bias + channel, n) : sum[k], n);
    }
}

/* `count` registers of sums, all of which see `taps`: of channels c .. c+n-1 of outputs i, i+1, ... if `along`, or else
 * of one output's channels c .. c+count*NN_WIDTH-1; y points to output i. */
NN_INLINE void filter_registers(const filter *f, const int count, const bool along, int64_t i, nn_range taps, int64_t c,
                                int64_t n, real *y, int64_t y_step) {
    const int64_t x_step = along ? f->along.step * f->C : NN_WIDTH, tap_step = f->along.dilation * f->C;
    const int64_t first = (f->along.start + i * f->along.step + taps.begin * f->along.dilation) * f->C + c;
    vec sum[MOST_OUTPUTS] = {{0}};
    for (int64_t line = 0; line < f->lines; line++) {
        const real *x = f->x[line] + first, *weight = f->tap[line] + taps.begin * f->tap_step + c;
        for (int64_t tap = taps.begin; tap < taps.end; tap++, x += tap_step, weight += f->tap_step) {
            NN_UNROLL
            for (int k = 0; k < count; k++) {
                const vec w = row_load(along ? weight : weight + k * NN_WIDTH, n);
                sum[k] = v_fma(row_load(x + k * x_step, n), w, sum[k]);
            }
        }
    }
    filter_store(f, sum, count, along, c, n, y, y_step);
}

NN_INLINE void filter_outputs(const filter *f, const int outputs, int64_t i, nn_range taps, real *y, int64_t y_step) {
    if (f->C < NN_WIDTH) filter_registers(f, outputs, true, i, taps, 0, f->C, y, y_step);
    for (int64_t c = 0; c < f->C && f->C >= NN_WIDTH; c += NN_WIDTH)
        filter_registers(f, outputs, true, i, taps, block_at(f->C, c, NN_WIDTH), NN_WIDTH, y, y_step);
}

static void filter_output(const filter *f, int64_t i, real *y) {
    const nn_range taps = nn_taps_inside(&f->along, i);
    const int64_t width = 4 * NN_WIDTH;
    if (f->C < width) filter_outputs(f, 1, i, taps, y, 0);
    for (int64_t c = 0; c < f->C && f->C >= width; c += width)
        filter_registers(f, 4, false, i, taps, block_at(f->C, c, width), NN_WIDTH, y, 0);
}

/* The same for neighbouring taps, `taps` of them, all inside, and a register of channels or more: every x is loaded
 * once for all the taps it meets. */
NN_INLINE void slide(const filter *f, const int outputs, const int taps, const int step, int64_t i, real *y,
                     int64_t y_step) {
    for (int64_t next = 0; next < f->C; next += NN_WIDTH) {
        const int64_t c = block_at(f->C, next, NN_WIDTH);
        vec sum[MOST_OUTPUTS] = {{0}};
        for (int64_t line = 0; line < f->lines; line++) {
            const real *x = f->x[line] + (f->along.start + i * step) * f->C + c, *weight = f->tap[line] + c;
            vec w[5];
            NN_UNROLL
            for (int tap = 0; tap < taps; tap++) w[tap] = v_load(weight + tap * f->tap_step);
            NN_UNROLL
            for (int position = 0; position < (outputs - 1) * step + taps; position++, x += f->C) {
                const vec v = v_load(x);
                NN_UNROLL
                for (int tap = 0; tap < taps; tap++) {
                    const int k = (position - tap) / step;
                    if (position >= tap && k < outputs && k * step + tap == position) sum[k] = v_fma(v, w[tap], sum[k]);
                }
            }
        }
        filter_store(f, sum, outputs, true, c, NN_WIDTH, y, y_step);
    }
}

/* Outputs with all taps inside. */
NN_INLINE void filter_inside(const filter *f, const int outputs, int64_t i, real *y, int64_t y_step) {
    const nn_windows *w = &f->along;
    const bool dense = w->dilation == 1 && f->C >= NN_WIDTH;
    if (dense && w->taps == 3 && w->step == 1)
        slide(f, outputs, 3, 1, i, y, y_step);
    else if (dense && w->taps == 3 && w->step == 2)
        slide(f, outputs, 3, 2, i, y, y_step);
    else if (dense && w->taps == 5 && w->step == 1)
        slide(f, outputs, 5, 1, i, y, y_step);
    else if (dense && w->taps == 5 && w->step == 2)
        slide(f, outputs, 5, 2, i, y, y_step);
    else
        filter_outputs(f, outputs, i, (nn_range){0, w->taps}, y, y_step);
}

static void filter_row(const filter *f, int64_t outputs, real *y, int64_t y_step) {
    const nn_range inside = nn_outputs_inside(&f->along, outputs);
    int64_t i = 0;
    for (; i < inside.begin; i++) filter_output(f, i, y + i * y_step);
    for (; i + 8 <= inside.end; i += 8) filter_inside(f, 8, i, y + i * y_step, y_step);
    while (inside.end - inside.begin >= 4 && i < inside.end) { /* the last four, whatever of them is there already */
        i = i + 4 <= inside.end ? i : inside.end - 4;
        filter_inside(f, 4, i, y + i * y_step, y_step);
        i += 4;
    }
    for (; i < outputs; i++) filter_output(f, i, y + i * y_step);
}

void NN_FN(depthwise_forward)(const nn_conv2d_forward_args *a, const nn_epilogue *after, const nn_team *team,
                              int rank) {
    const nn_windows down = {-a->padding_h, a->stride_h, a->dilation_h, a->KH, a->H};
    filter f = {.along = {-a->padding_w, a->stride_w, a->dilation_w, a->KW, a->W},
                .tap_step = a->C,
                .bias = a->bias,
                .C = a->C};
    int64_t row, end;
    nn_share(a->N * a->OH, 1, team, rank, &row, &end);
    for (; row < end; row++) {
        const int64_t n = row / a->OH, oh = row % a->OH;
        const nn_range taps = nn_taps_inside(&down, oh);
        f.lines = 0;
        for (int64_t kh = taps.begin; kh < taps.end; kh++, f.lines++) {
            const int64_t h = down.start + oh * down.step + kh * down.dilation;
            f.x[f.lines] = (const real *)a->x + (n * a->H + h) * a->W * a->C;
            f.tap[f.lines] = (const real *)a->weight + kh * a->KW * a->C;
        }
        real *y = (real *)a->y + row * a->OW * a->C;
        filter_row(&f, a->OW, y, a->C);
        if (after) nn_finish_rows(after, y, a->OW, a->C, a->C, 0);
    }
}

void NN_FN(depthwise_dx)(const nn_conv2d_backward_args *a, const nn_epilogue *after, const nn_team *team, int rank) {
    filter f = {.C = a->C};
    int64_t row, end;
    nn_share(a->N * a->H, 1, team, rank, &row, &end);
    for (; row < end; row++) {
        const int64_t n = row / a->H, h = row % a->H, phase_h = h % a->stride_h;
        const phase_taps taps_h = taps_of_phase(phase_h, a->stride_h, a->padding_h, a->dilation_h, a->KH, a->H);
        const nn_windows down = nn_windows_back(&taps_h, a->OH);
        const nn_range taps = nn_taps_inside(&down, h / a->stride_h);
        for (int64_t phase = 0; phase < a->stride_w && phase < a->W; phase++) {
            const phase_taps taps_w = taps_of_phase(phase, a->stride_w, a->padding_w, a->dilation_w, a->KW, a->W);
            f.along = nn_windows_back(&taps_w, a->OW);
            f.tap_step = -taps_w.step * a->C;
            f.lines = 0;
            for (int64_t tap = taps.begin; tap < taps.end; tap++, f.lines++) {
                const int64_t oh = down.start + h / a->stride_h + tap * down.dilation;
                const int64_t kh = nn_kernel_tap(&taps_h, tap), kw = nn_kernel_tap(&taps_w, 0);
                f.x[f.lines] = (const real *)a->dy + (n * a->OH + oh) * a->OW * a->C;
                f.tap[f.lines] = (const real *)a->weight + (kh * a->KW + kw) * a->C;
            }
            filter_row(&f, taps_w.pixels, (real *)a->dx + (row * a->W + phase) * a->C, a->stride_w * a->C);
        }
        if (after) nn_finish_rows(after, (real *)a->dx + row * a->W * a->C, a->W, a->C, a->C, 0);
    }
}

/* ---- dweight: the sums of all taps over a run of pixels -------------------------------------------------------- */

/* A run of neighbouring outputs and what a block of taps sees of it; all taps of outputs `inside` lie in the image. */
typedef struct {
    real *sum;      /* tap (0, 0); sum_row elements from row to row of the kernel */
    const real *dy; /* of output 0 of the row */
    const real *x;  /* of pixel 0 of the line under kernel row 0 */
    nn_windows along;
    nn_range outputs, inside;
    int64_t C, sum_row, x_row;
} run;

/* Adds output `i` to the sums; not `whole`: of those taps alone that lie in the image. */
NN_INLINE void run_add(const run *r, vec *sum, const int rows, const int cols, const bool whole, int64_t i, int64_t kh,
                       int64_t kw, int64_t c, int64_t n) {
    const nn_range taps = nn_taps_inside(&r->along, i);
    const int64_t tap = r->along.dilation * r->C;
    const int64_t at = kh * r->x_row + (r->along.start + i * r->along.step) * r->C + kw * tap + c;
    const vec dy = row_load(r->dy + i * r->C + c, n);
    NN_UNROLL
    for (int j = 0; j < cols; j++) {
        if (!whole && (kw + j < taps.begin || kw + j >= taps.end)) continue;
        NN_UNROLL
        for (int k = 0; k < rows; k++) {
            vec *to = sum + k * cols + j;
            *to = v_fma(row_load(r->x + at + k * r->x_row + j * tap, n), dy, *to);
        }
    }
}

/* sum[kh][kw] += x * dy in n channels from c on, but for the first `done`, for taps whose sums stay in registers */
NN_INLINE void run_block(const run *r, const int rows, const int cols, int64_t kh, int64_t kw, int64_t c, int64_t n,
                         int64_t done) {
    real *at = r->sum + kh * r->sum_row + kw * r->C + c;
    vec sum[10];
    for (int k = 0; k < rows; k++)
        for (int j = 0; j < cols; j++) sum[k * cols + j] = row_load(at + k * r->sum_row + j * r->C, n);
    for (int64_t i = r->outputs.begin; i < r->outputs.end; i++) {
        for (; i >= r->inside.begin && i < r->inside.end; i++) run_add(r, sum, rows, cols, true, i, kh, kw, c, n);
        if (i < r->outputs.end) run_add(r, sum, rows, cols, false, i, kh, kw, c, n);
    }
    for (int k = 0; k < rows; k++)
        for (int j = 0; j < cols; j++) {
            real *to = at + k * r->sum_row + j * r->C;
            row_store(to, v_select(v_first(done), row_load(to, n), sum[k * cols + j]), n);
        }
}

NN_INLINE void run_taps(const run *r, const int rows, const int cols, int64_t kh, int64_t kw) {
    if (r->C < NN_WIDTH) run_block(r, rows, cols, kh, kw, 0, r->C, 0);
    for (int64_t next = 0; next < r->C && r->C >= NN_WIDTH; next += NN_WIDTH) {
        const int64_t c = block_at(r->C, next, NN_WIDTH);
        run_block(r, rows, cols, kh, kw, c, NN_WIDTH, next - c);
    }
}

/* All rows of the kernel, `cols` of its columns; `block` rows at a time, as many as registers are there for. */
NN_INLINE void run_columns(const run *r, const int block, const int cols, int64_t KH, int64_t kw) {
    int64_t kh = 0;
    for (; kh + block <= KH; kh += block) run_taps(r, block, cols, kh, kw);
    for (; kh < KH; kh++) run_taps(r, 1, cols, kh, kw);
}

static void run_kernel(const run *r, int64_t KH, int64_t KW) {
    int64_t kw = 0;
    for (; KW - kw == 5; kw += 5) run_columns(r, 2, 5, KH, kw);
    for (; KW - kw >= 3; kw += 3) run_columns(r, 3, 3, KH, kw);
    for (; kw < KW; kw++) run_columns(r, 8, 1, KH, kw);
}

NN_INLINE int64_t within(const nn_range *range, int64_t i) {
    return i < range->begin ? range->begin : i > range->end ? range->end : i;
}

static void dweight_chunk(real *sum, const void *source, int64_t chunk, void *scratch) {
    (void)scratch;
    const nn_conv2d_backward_args *a = source;
    const nn_windows down = {-a->padding_h, a->stride_h, a->dilation_h, a->KH, a->H};
    const int64_t pixels = a->N * a->OH * a->OW, row = a->W * a->C;
    const int64_t end = (chunk + 1) * NN_KC < pixels ? (chunk + 1) * NN_KC : pixels;
    run r = {.along = {-a->padding_w, a->stride_w, a->dilation_w, a->KW, a->W},
             .C = a->C,
             .sum_row = a->KW * a->C,
             .x_row = a->dilation_h * row};
    const nn_range inside = nn_outputs_inside(&r.along, a->OW);
    memset(sum, 0, (size_t)(a->KH * a->KW * a->C) * sizeof(real));
    for (int64_t pixel = chunk * NN_KC, next; pixel < end; pixel = next) {
        const int64_t line = pixel / a->OW, n = line / a->OH, oh = line % a->OH, first = line * a->OW;
        const nn_range rows = nn_taps_inside(&down, oh);
        next = first + a->OW < end ? first + a->OW : end;
        if (rows.begin >= rows.end) continue;
        r.outputs = (nn_range){pixel - first, next - first};
        r.inside = (nn_range){within(&r.outputs, inside.begin), within(&r.outputs, inside.end)};
        r.sum = sum + rows.begin * r.sum_row;
        r.dy = (const real *)a->dy + first * a->C;
        const int64_t h = down.start + oh * down.step + rows.begin * down.dilation;
        r.x = (const real *)a->x + (n * a->H + h) * row;
        run_kernel(&r, rows.end - rows.begin, a->KW);
    }
}

void NN_FN(depthwise_dweight)(const nn_conv2d_backward_args *a, const nn_team *team, int rank) {
    const int64_t chunks = (a->N * a->OH * a->OW + NN_KC - 1) / NN_KC;
    nn_sum_chunks(a->dweight, a->KH * a->KW * a->C, chunks, dweight_chunk, a, 0, team, rank);
}
