/* max_pool2d: y[n,c,oh,ow] = max over kh, kw of x[n, c, oh*stride_h - padding_h + kh*dilation_h, ...]
 * avg_pool2d: y[n,c,oh,ow] = (sum over kh, kw of x[n, c, oh*stride_h - padding_h + kh, ...]) / divisor
 *
 * Shapes: x (N, C, H, W), y and index (N, C, OH, OW), all channels-last in memory.
 * Parallel: forward over the rows (n, oh) of y, backward over the rows (n, ih) of dx: every element has one writer,
 *   which keeps it in a register until all its taps are in. A maximum whose windows do not overlap goes back over the
 *   rows of y.
 * Numerics: the padding of a maximum is -inf and never its index; the first NaN of a window wins. Sums run over
 *   kh, kw ascending (forward) and oh, ow ascending (backward), so an image's bits depend on nothing outside it.
 *   The divisor is the number of window positions inside the image, with count_include_pad inside the padded image:
 *   KH * KW but for windows that stick out (ceil_mode).
 * Source: PyTorch max_pool2d, avg_pool2d.
 */
#include "epilogue.h"
#include "row.h"
#include "window.h"

/* ---- rows of outputs ---- */

/* Computes `length` elements of each of outputs i .. i+count-1, which see `taps`. */
typedef void (*row_part)(const void *row, int64_t i, int64_t count, nn_range taps, int64_t length);

/* Elements from one register to the next that is computed with it, in what is read and in what is written. */
typedef struct {
    int64_t in, out;
} apart;

/* Computes `vectors` registers of n elements each, from `element` of output i on. */
typedef void (*row_lanes)(const void *row, int64_t i, nn_range taps, int64_t element, const int vectors, int64_t n,
                          apart step);

#define MOST_VECTORS 4 /* at once: what is known of a tap serves all of them */

/* Registers of one output, or where it has few, of neighbouring outputs, which are `outputs` apart. */
NN_INLINE void each_lane(row_lanes lanes, const void *row, int64_t i, int64_t count, nn_range taps, int64_t length,
                         apart outputs) {
    const apart lane = {NN_WIDTH, NN_WIDTH};
    const int64_t end = i + count;
    if (length < MOST_VECTORS * NN_WIDTH)
        for (; i + MOST_VECTORS <= end; i += MOST_VECTORS) {
            int64_t element = 0;
            for (; element + NN_WIDTH <= length; element += NN_WIDTH)
                lanes(row, i, taps, element, MOST_VECTORS, NN_WIDTH, outputs);
            if (element < length) lanes(row, i, taps, element, MOST_VECTORS, length - element, outputs);
        }
    for (; i < end; i++) {
        int64_t element = 0;
        for (; element + MOST_VECTORS * NN_WIDTH <= length; element += MOST_VECTORS * NN_WIDTH)
            lanes(row, i, taps, element, MOST_VECTORS, NN_WIDTH, lane);
        for (; element + NN_WIDTH <= length; element += NN_WIDTH) lanes(row, i, taps, element, 1, NN_WIDTH, lane);
        if (element < length) lanes(row, i, taps, element, 1, length - element, lane);
    }
}

/* Outputs i .. end-1 of a row, C channels each; those `inside` see all taps. `join`: outputs inside at step 1, if they
 * are neighbours in memory too, are one long row of elements: the taps of an element C further on lie C further on. */
NN_INLINE void row_parts(row_part part, const void *row, const nn_windows *along, nn_range inside, int64_t i,
                         int64_t end, int64_t C, bool join) {
    const nn_range all = {0, along->taps};
    for (; i < end && i < inside.begin; i++) part(row, i, 1, nn_taps_inside(along, i), C);
    const int64_t count = (inside.end < end ? inside.end : end) - i;
    if (count > 0 && join && along->step == 1)
        part(row, i, 1, all, count * C);
    else if (count > 0)
        part(row, i, count, all, C);
    for (i = count > 0 ? i + count : i; i < end; i++) part(row, i, 1, nn_taps_inside(along, i), C);
}

/* The element of a line that tap 0 of output i meets. */
NN_INLINE int64_t first_element(const nn_windows *along, int64_t i, int64_t C) {
    return (along->start + i * along->step) * C;
}

/* ---- rows of dx ---- */

/* What the pixels at one phase of the stride see of the output; those `inside` lie under all taps of the phase. */
typedef struct {
    phase_taps taps;
    nn_windows outputs;
    nn_range inside;
} phase_back;

#define KNOWN_PHASES 8
typedef struct {
    int64_t stride, padding, dilation, kernel, size, outputs;
    phase_back known[KNOWN_PHASES]; /* the first phases */
} axis_back;

static phase_back find_phase(const axis_back *axis, int64_t phase) {
    phase_back found = {
        .taps = taps_of_phase(phase, axis->stride, axis->padding, axis->dilation, axis->kernel, axis->size)};
    found.outputs = nn_windows_back(&found.taps, axis->outputs);
    found.inside = nn_outputs_inside(&found.outputs, found.taps.pixels);
    return found;
}

static void axis_init(axis_back *axis, int64_t stride, int64_t padding, int64_t dilation, int64_t kernel, int64_t size,
                      int64_t outputs) {
    axis->stride = stride;
    axis->padding = padding;
    axis->dilation = dilation;
    axis->kernel = kernel;
    axis->size = size;
    axis->outputs = outputs;
    for (int64_t phase = 0; phase < stride && phase < KNOWN_PHASES; phase++)
        axis->known[phase] = find_phase(axis, phase);
}

NN_INLINE phase_back phase_at(const axis_back *axis, int64_t phase) {
    return phase < KNOWN_PHASES ? axis->known[phase] : find_phase(axis, phase);
}

/* A row of dx: the rows of the output that it sees, tap k of `inside` being row `first` + k * rows.taps.dilation; and
 * the phase that is being computed, whose first pixel dx points to. */
typedef struct {
    phase_back rows, columns;
    nn_range inside;
    int64_t first;
    real *dx;
    int64_t dx_step, y_row, C;
} row_back;

/* Row ih = i * stride + phase of image n. Divisions take longer than a short row does. */
typedef struct {
    int64_t n, ih, i, phase;
} row_cursor;

static row_cursor cursor_at(int64_t row, const axis_back *h) {
    const int64_t n = row / h->size, ih = row % h->size;
    return (row_cursor){n, ih, ih / h->stride, ih % h->stride};
}

NN_INLINE void next_row(row_cursor *at, const axis_back *h) {
    if (++at->phase == h->stride) {
        at->phase = 0;
        at->i++;
    }
    if (++at->ih == h->size) *at = (row_cursor){at->n + 1, 0, 0, 0};
}

NN_INLINE row_back row_back_at(const axis_back *h, const axis_back *w, const row_cursor *at, real *dx, int64_t C) {
    row_back r = {.rows = phase_at(h, at->phase), .dx = dx, .dx_step = w->stride * C, .y_row = w->outputs * C, .C = C};
    r.inside = nn_taps_inside(&r.rows.outputs, at->i);
    r.first = r.rows.outputs.start + at->i;
    return r;
}

#define BACK_BYTES 4096 /* of dx that all phases write before they go on: memory likes neighbours */

/* All of a row of dx; `r` is part of `row`. */
NN_INLINE void row_parts_back(row_part part, const void *row, row_back *r, const axis_back *w, bool join) {
    real *dx = r->dx;
    const int64_t pixels = w->known[0].taps.pixels, fit = BACK_BYTES / (int64_t)sizeof(real) / (r->dx_step + 1);
    const int64_t block = w->stride == 1 ? pixels : fit + 1;
    for (int64_t i = 0; i < pixels; i += block)
        for (int64_t phase = 0; phase < w->stride && phase < w->size; phase++) {
            r->columns = phase_at(w, phase);
            r->dx = dx + phase * r->C;
            const int64_t end = i + block < r->columns.taps.pixels ? i + block : r->columns.taps.pixels;
            row_parts(part, row, &r->columns.outputs, r->columns.inside, i, end, r->C, join && w->stride == 1);
        }
}

/* ---- max ---- */
/* Positions as wide as the values they go with. */
#if NN_IS_F32
NN_INLINE ivec load_index(const int32_t *p, int64_t n) { return v_bits(row_load((const real *)p, n)); }
NN_INLINE void store_index(int32_t *p, ivec index, int64_t n) { row_store((real *)p, v_from_bits(index), n); }
#else
NN_INLINE ivec load_index(const int32_t *p, int64_t n) {
    ivec index = {0};
    for (int lane = 0; lane < NN_WIDTH; lane++) index[lane] = lane < n ? p[lane] : 0;
    return index;
}
NN_INLINE void store_index(int32_t *p, ivec index, int64_t n) {
    for (int lane = 0; lane < NN_WIDTH; lane++)
        if (lane < n) p[lane] = (int32_t)index[lane];
}
#endif

typedef struct {
    const real *x; /* the line under the window's first row */
    real *y;
    int32_t *index;
    nn_windows along;
    nn_range rows;
    int64_t x_row, kernel_w, C; /* x_row: elements from row to row of the window */
} max_row;

NN_INLINE void max_lanes(const void *row, int64_t i, nn_range taps, int64_t element, const int vectors, int64_t n,
                         apart step) {
    const max_row *r = row;
    const int64_t first = first_element(&r->along, i, r->C) + element, x_tap = r->along.dilation * r->C;
    const real *line = r->x + first + r->rows.begin * r->x_row + taps.begin * x_tap;
    vec best[MOST_VECTORS];
    ivec index[MOST_VECTORS];
    const bool empty = r->rows.begin >= r->rows.end || taps.begin >= taps.end; /* the window lies between all pixels */
    NN_UNROLL
    for (int v = 0; v < vectors; v++) {
        best[v] = empty ? v_set1(-INFINITY) : row_load(line + v * step.in, n);
        index[v] = v_iset1((nn_int)(empty ? -1 : r->rows.begin * r->kernel_w + taps.begin));
    }
    for (int64_t kh = r->rows.begin; kh < r->rows.end; kh++, line += r->x_row) {
        const real *x = line;
        for (int64_t kw = taps.begin; kw < taps.end; kw++, x += x_tap) {
            const vec position = v_from_bits(v_iset1((nn_int)(kh * r->kernel_w + kw)));
            NN_UNROLL
            for (int v = 0; v < vectors; v++) {
                const vec value = row_load(x + v * step.in, n);
                const vmask wins = v_and(v_not(v_le(value, best[v])), v_not(v_isnan(best[v])));
                best[v] = v_select(wins, value, best[v]);
                index[v] = v_bits(v_select(wins, position, v_from_bits(index[v])));
            }
        }
    }
    NN_UNROLL
    for (int v = 0; v < vectors; v++) {
        row_store(r->y + i * r->C + element + v * step.out, best[v], n);
        store_index(r->index + i * r->C + element + v * step.out, index[v], n);
    }
}

static void max_part(const void *row, int64_t i, int64_t count, nn_range taps, int64_t length) {
    const max_row r = *(const max_row *)row; /* a copy stays in registers, whatever is stored */
    each_lane(max_lanes, &r, i, count, taps, length, (apart){r.along.step * r.C, r.C});
}

NN_DEFINE(max_pool2d_forward) {
    const nn_max_pool2d_forward_args *a = args;
    const nn_windows down = {-a->padding_h, a->stride_h, a->dilation_h, a->kernel_h, a->H};
    const nn_windows along = {-a->padding_w, a->stride_w, a->dilation_w, a->kernel_w, a->W};
    const nn_range inside = nn_outputs_inside(&along, a->OW);
    int64_t row, end;
    nn_share(a->N * a->OH, 1, team, rank, &row, &end);
    for (; row < end; row++) {
        const int64_t n = row / a->OH, oh = row % a->OH, h = down.start + oh * down.step, out = row * a->OW * a->C;
        const max_row r = {.x = (const real *)a->x + (n * a->H + h) * a->W * a->C,
                           .y = (real *)a->y + out,
                           .index = (int32_t *)a->index + out,
                           .along = along,
                           .rows = nn_taps_inside(&down, oh),
                           .x_row = a->dilation_h * a->W * a->C,
                           .kernel_w = a->kernel_w,
                           .C = a->C};
        row_parts(max_part, &r, &along, inside, 0, a->OW, a->C, true);
    }
}

typedef struct {
    row_back to;
    const real *dy; /* the image's */
    const int32_t *index;
    int64_t kernel_w;
} max_back;

NN_INLINE void max_back_lanes(const void *row, int64_t i, nn_range taps, int64_t element, const int vectors, int64_t n,
                              apart step) {
    const max_back *r = row;
    const row_back *t = &r->to;
    const int64_t line_step = t->rows.taps.dilation * t->y_row, tap_step = t->columns.taps.dilation * t->C;
    int64_t line = first_element(&t->columns.outputs, i, t->C) + element + taps.begin * tap_step + t->first * t->y_row +
                   t->inside.begin * line_step;
    int64_t line_position =
        nn_kernel_tap(&t->rows.taps, t->inside.begin) * r->kernel_w + nn_kernel_tap(&t->columns.taps, taps.begin);
    vec sum[MOST_VECTORS] = {{0}};
    for (int64_t tap = t->inside.begin; tap < t->inside.end; tap++) {
        int64_t at = line, position = line_position;
        for (int64_t k = taps.begin; k < taps.end; k++) {
            const ivec here = v_iset1((nn_int)position);
            NN_UNROLL
            for (int v = 0; v < vectors; v++) {
                const ivec won = load_index(r->index + at + v * step.in, n) == here;
                sum[v] += v_from_bits(v_bits(row_load(r->dy + at + v * step.in, n)) & won);
            }
            at += tap_step;
            position -= t->columns.taps.step;
        }
        line += line_step;
        line_position -= t->rows.taps.step * r->kernel_w;
    }
    NN_UNROLL
    for (int v = 0; v < vectors; v++) row_store(t->dx + i * t->dx_step + element + v * step.out, sum[v], n);
}

NN_INLINE void max_back_part(const void *row, int64_t i, int64_t count, nn_range taps, int64_t length) {
    const row_back *to = &((const max_back *)row)->to;
    each_lane(max_back_lanes, row, i, count, taps, length, (apart){to->C, to->dx_step});
}

/* Windows side by side: every element of dx is of one window at most, and the windows are read once. */
static bool windows_are_tiles(const nn_max_pool2d_backward_args *a) {
    return a->stride_h == a->kernel_h && a->stride_w == a->kernel_w && a->padding_h == 0 && a->padding_w == 0 &&
           a->dilation_h == 1 && a->dilation_w == 1 && a->OH * a->kernel_h <= a->H && a->OW * a->kernel_w <= a->W;
}

/* All of dx under row oh of image n; under the last one also what no window covers. */
static void tiles_back(const nn_max_pool2d_backward_args *a, const nn_epilogue *after, int64_t n, int64_t oh) {
    const int64_t C = a->C, x_row = a->W * C, covered = a->OW * a->kernel_w * C;
    const real *dy = (const real *)a->dy + (n * a->OH + oh) * a->OW * C;
    const int32_t *index = (const int32_t *)a->index + (n * a->OH + oh) * a->OW * C;
    real *dx = (real *)a->dx + (n * a->H + oh * a->kernel_h) * x_row;
    for (int64_t ow = 0; ow < a->OW; ow++, dy += C, index += C)
        for (int64_t c = 0; c < C; c += NN_WIDTH) {
            const int64_t length = C - c < NN_WIDTH ? C - c : NN_WIDTH;
            const vec gradient = row_load(dy + c, length);
            const ivec winner = load_index(index + c, length);
            int64_t position = 0;
            for (int64_t kh = 0; kh < a->kernel_h; kh++) {
                real *to = dx + kh * x_row + ow * a->kernel_w * C + c;
                for (int64_t kw = 0; kw < a->kernel_w; kw++, to += C, position++) {
                    const ivec won = winner == v_iset1((nn_int)position);
                    row_store(to, (vec){0} + v_from_bits(v_bits(gradient) & won), length);
                }
            }
        }
    const int64_t rows = oh + 1 < a->OH ? a->kernel_h : a->H - oh * a->kernel_h;
    for (int64_t h = 0; h < rows; h++) {
        const int64_t done = h < a->kernel_h ? covered : 0;
        memset(dx + h * x_row + done, 0, (size_t)(x_row - done) * sizeof(real));
    }
    if (after) nn_finish_rows(after, dx, rows, x_row, x_row, 0);
}

NN_DEFINE(max_pool2d_backward) {
    const nn_max_pool2d_backward_args *a = args;
    const nn_epilogue whole = {.c = a->dx, .addend = a->addend, .gate = a->gate, .gated = a->gated};
    const nn_epilogue *after = nn_if_any(&whole);
    if (windows_are_tiles(a)) {
        int64_t row, end;
        nn_share(a->N * a->OH, 1, team, rank, &row, &end);
        for (; row < end; row++) tiles_back(a, after, row / a->OH, row % a->OH);
        return;
    }
    axis_back h, w;
    axis_init(&h, a->stride_h, a->padding_h, a->dilation_h, a->kernel_h, a->H, a->OH);
    axis_init(&w, a->stride_w, a->padding_w, a->dilation_w, a->kernel_w, a->W, a->OW);
    const int64_t image = a->OH * a->OW * a->C;
    int64_t row, end;
    nn_share(a->N * a->H, 1, team, rank, &row, &end);
    row_cursor at = cursor_at(row, &h);
    for (; row < end; row++, next_row(&at, &h)) {
        max_back r = {.to = row_back_at(&h, &w, &at, (real *)a->dx + row * a->W * a->C, a->C),
                      .dy = (const real *)a->dy + at.n * image,
                      .index = (const int32_t *)a->index + at.n * image,
                      .kernel_w = a->kernel_w};
        row_parts_back(max_back_part, &r, &r.to, &w, true);
        if (after) nn_finish_rows(after, (real *)a->dx + row * a->W * a->C, 1, a->W * a->C, a->W * a->C, 0);
    }
}

/* ---- average ---- */

/* How many positions of window i count, which has those of `inside` in the image: with the padding, which is as wide
 * behind as before, all but those behind that. */
NN_INLINE int64_t counted(const nn_windows *w, int64_t i, nn_range inside, bool count_include_pad) {
    if (!count_include_pad) return inside.end - inside.begin;
    const int64_t room = w->size - w->start - (w->start + i * w->step);
    return room < w->taps ? room : w->taps;
}

typedef struct {
    const real *x; /* the line under the window's first row */
    real *y;
    nn_windows along;
    nn_range rows;
    int64_t x_row, counted_rows, C;
    bool count_include_pad;
} avg_row;

NN_INLINE void avg_lanes(const void *row, int64_t i, nn_range taps, int64_t element, const int vectors, int64_t n,
                         apart step) {
    const avg_row *r = row;
    const real *line =
        r->x + first_element(&r->along, i, r->C) + element + r->rows.begin * r->x_row + taps.begin * r->C;
    vec sum[MOST_VECTORS] = {{0}};
    for (int64_t kh = r->rows.begin; kh < r->rows.end; kh++, line += r->x_row) {
        const real *x = line;
        for (int64_t kw = taps.begin; kw < taps.end; kw++, x += r->C) {
            NN_UNROLL
            for (int v = 0; v < vectors; v++) sum[v] += row_load(x + v * step.in, n);
        }
    }
    const vec divisor = v_set1((real)(r->counted_rows * counted(&r->along, i, taps, r->count_include_pad)));
    NN_UNROLL
    for (int v = 0; v < vectors; v++) row_store(r->y + i * r->C + element + v * step.out, sum[v] / divisor, n);
}

static void avg_part(const void *row, int64_t i, int64_t count, nn_range taps, int64_t length) {
    const avg_row r = *(const avg_row *)row;
    each_lane(avg_lanes, &r, i, count, taps, length, (apart){r.along.step * r.C, r.C});
}

NN_DEFINE(avg_pool2d_forward) {
    const nn_avg_pool2d_forward_args *a = args;
    const nn_windows down = {-a->padding_h, a->stride_h, 1, a->kernel_h, a->H};
    const nn_windows along = {-a->padding_w, a->stride_w, 1, a->kernel_w, a->W};
    const nn_range inside = nn_outputs_inside(&along, a->OW);
    int64_t row, end;
    nn_share(a->N * a->OH, 1, team, rank, &row, &end);
    for (; row < end; row++) {
        const int64_t n = row / a->OH, oh = row % a->OH, h = down.start + oh * down.step;
        const nn_range rows = nn_taps_inside(&down, oh);
        const avg_row r = {.x = (const real *)a->x + (n * a->H + h) * a->W * a->C,
                           .y = (real *)a->y + row * a->OW * a->C,
                           .along = along,
                           .rows = rows,
                           .x_row = a->W * a->C,
                           .counted_rows = counted(&down, oh, rows, a->count_include_pad),
                           .C = a->C,
                           .count_include_pad = a->count_include_pad};
        row_parts(avg_part, &r, &along, inside, 0, a->OW, a->C, true);
    }
}

/* Lines (n, oh) of dy / divisor, which several rows of dx read, in a ring. */
typedef struct {
    const nn_avg_pool2d_backward_args *a;
    nn_windows down, along; /* of the windows that dy belongs to */
    nn_range inside;
    real *quotients;             /* NULL where the ring does not fit: quotients are then formed again for each dx */
    int64_t lines, ready, place; /* lines before `ready` have been divided; the place of the next */
} divided;

NN_INLINE real divisor_of(const divided *d, int64_t oh, int64_t ow) {
    const bool padded = d->a->count_include_pad;
    return (real)(counted(&d->down, oh, nn_taps_inside(&d->down, oh), padded) *
                  counted(&d->along, ow, nn_taps_inside(&d->along, ow), padded));
}

static void divide_line(divided *d, int64_t line, int64_t oh) {
    const int64_t C = d->a->C, OW = d->a->OW;
    const real *dy = (const real *)d->a->dy + line * OW * C;
    real *quotients = d->quotients + d->place * OW * C;
    for (int64_t ow = 0, count; ow < OW; ow += count) {
        count = ow >= d->inside.begin && ow < d->inside.end ? d->inside.end - ow : 1;
        const vec divisor = v_set1(divisor_of(d, oh, ow));
        int64_t i = ow * C;
        const int64_t end = i + count * C;
        for (; i + NN_WIDTH <= end; i += NN_WIDTH) v_store(quotients + i, v_load(dy + i) / divisor);
        if (i < end) v_store_n(quotients + i, v_load_n(dy + i, end - i) / divisor, end - i);
    }
}

/* Divides lines image_line + oh, ..., image_line + end_oh - 1, but for those that are there. Returns the first one's
 * place. */
NN_INLINE int64_t divide_lines(divided *d, int64_t image_line, int64_t oh, int64_t end_oh) {
    if (d->ready < image_line + oh) {
        d->ready = image_line + oh;
        d->place = 0;
    }
    for (; d->ready < image_line + end_oh; d->ready++) {
        divide_line(d, d->ready, d->ready - image_line);
        d->place = d->place + 1 < d->lines ? d->place + 1 : 0;
    }
    const int64_t first = d->place - (d->ready - image_line - oh);
    return first < 0 ? first + d->lines : first;
}

typedef struct {
    row_back to;
    const divided *divided;
    const real *quotients;
    int64_t lines, place; /* place: where the first line inside stands */
    int64_t image_line;   /* the image's first line */
} avg_back;

NN_INLINE void avg_back_lanes(const void *row, int64_t i, nn_range taps, int64_t element, const int vectors, int64_t n,
                              apart step) {
    const avg_back *r = row;
    const row_back *t = &r->to;
    const int64_t tap_step = t->columns.taps.dilation * t->C;
    const int64_t first = first_element(&t->columns.outputs, i, t->C) + element + taps.begin * tap_step;
    int64_t place = r->place;
    vec sum[MOST_VECTORS] = {{0}};
    for (int64_t tap = t->inside.begin; tap < t->inside.end; tap++) {
        const real *from = r->quotients + place * t->y_row + first;
        for (int64_t k = taps.begin; k < taps.end; k++, from += tap_step) {
            NN_UNROLL
            for (int v = 0; v < vectors; v++) sum[v] += row_load(from + v * step.in, n);
        }
        place = place + 1 < r->lines ? place + 1 : 0;
    }
    NN_UNROLL
    for (int v = 0; v < vectors; v++) row_store(t->dx + i * t->dx_step + element + v * step.out, sum[v], n);
}

/* The same from dy itself. */
NN_INLINE void divide_and_add(const avg_back *r, int64_t i, nn_range taps, int64_t element, int64_t n) {
    const row_back *t = &r->to;
    const real *dy = (const real *)r->divided->a->dy + r->image_line * t->y_row;
    vec sum = v_set1(0);
    for (int64_t tap = t->inside.begin; tap < t->inside.end; tap++)
        for (int64_t k = taps.begin; k < taps.end; k++) {
            const int64_t oh = t->first + tap * t->rows.taps.dilation;
            const int64_t ow = t->columns.outputs.start + i + k * t->columns.taps.dilation;
            sum += row_load(dy + oh * t->y_row + ow * t->C + element, n) / v_set1(divisor_of(r->divided, oh, ow));
        }
    row_store(t->dx + i * t->dx_step + element, sum, n);
}

NN_INLINE void avg_back_part(const void *row, int64_t i, int64_t count, nn_range taps, int64_t length) {
    const avg_back *r = row;
    if (r->quotients)
        each_lane(avg_back_lanes, row, i, count, taps, length, (apart){r->to.C, r->to.dx_step});
    else
        for (const int64_t end = i + count; i < end; i++)
            for (int64_t element = 0; element < length; element += NN_WIDTH)
                divide_and_add(r, i, taps, element, length - element < NN_WIDTH ? length - element : NN_WIDTH);
}

NN_DEFINE(avg_pool2d_backward) {
    const nn_avg_pool2d_backward_args *a = args;
    const nn_epilogue whole = {.c = a->dx, .addend = a->addend, .gate = a->gate, .gated = a->gated};
    const nn_epilogue *after = nn_if_any(&whole);
    axis_back h, w;
    axis_init(&h, a->stride_h, a->padding_h, 1, a->kernel_h, a->H, a->OH);
    axis_init(&w, a->stride_w, a->padding_w, 1, a->kernel_w, a->W, a->OW);
    const int64_t lines = (a->kernel_h - 1) / a->stride_h + 1;
    divided d = {.a = a,
                 .down = {-a->padding_h, a->stride_h, 1, a->kernel_h, a->H},
                 .along = {-a->padding_w, a->stride_w, 1, a->kernel_w, a->W},
                 .lines = lines < a->OH ? lines : a->OH};
    d.inside = nn_outputs_inside(&d.along, a->OW);
    if (d.lines * a->OW * a->C <= NN_SCRATCH / (int64_t)sizeof(real)) d.quotients = nn_scratch(team, rank);
    int64_t row, end;
    nn_share(a->N * a->H, 1, team, rank, &row, &end);
    row_cursor at = cursor_at(row, &h);
    for (; row < end; row++, next_row(&at, &h)) {
        avg_back r = {.to = row_back_at(&h, &w, &at, (real *)a->dx + row * a->W * a->C, a->C),
                      .divided = &d,
                      .quotients = d.quotients,
                      .lines = d.lines,
                      .image_line = at.n * a->OH};
        const int64_t step = r.to.rows.taps.dilation;
        if (d.quotients && r.to.inside.begin < r.to.inside.end)
            r.place = divide_lines(&d, r.image_line, r.to.first + r.to.inside.begin * step,
                                   r.to.first + (r.to.inside.end - 1) * step + 1);
        row_parts_back(avg_back_part, &r, &r.to, &w, d.quotients != NULL);
        if (after) nn_finish_rows(after, (real *)a->dx + row * a->W * a->C, 1, a->W * a->C, a->W * a->C, 0);
    }
}
