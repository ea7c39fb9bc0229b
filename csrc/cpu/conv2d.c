/* conv2d: y[n,o,oh,ow] = epilogue(bias[o] + sum over kh, kw, i of x[n,i,h,w] weight[o,i,kh,kw])
 *         with h = oh * stride_h - padding_h + kh * dilation_h, w alike
 *
 * Shapes: x (N, C, H, W), y (N, O, OH, OW), channels-last in memory; weight (O, I, KH, KW), in memory KH KW I O with
 *   I = C / groups; bias (O,). Group g joins channels g*I .. of x to channels g*O/groups .. of y.
 * Parallel: as convolve and gemm, over tiles of the output; a small weight gradient over chunks of pixels.
 * Numerics: every pass is a matrix product in gemm's order, with padding multiplied as zeros. The inner index is
 *     forward   kh, kw, i ascending
 *     dx        kh, kw descending (dy ascending), o ascending; only taps that meet the stride
 *     dweight   n, oh, ow ascending
 *   dbias is a column sum. An image's y and dx depend on no other image.
 *   A depthwise convolution (depthwise.c) has the same order, and leaves padding out.
 * conv_transpose2d is the dx of a convolution, with x in the place of dy, and has the numerics of dx.
 * Source: convolve.c; the phases of dx are those of a strided convolution, Dumoulin & Visin, "A guide to convolution
 *   arithmetic for deep learning", 2016.
 */
#include "column_sum.h"
#include "convolve.h"
#include "depthwise.h"
#include "transpose.h"
#include "window.h"

/* B of dx: inner index (kh, kw, o) with the taps descending, columns i. */
typedef struct {
    const real *weight; /* from the group's first output channel */
    int64_t KW, I, O, group_O;
    phase_taps h, w;
} weight_taps;

static void pack_taps(real *panel, const void *source, int64_t first, int64_t count, int64_t k, int64_t depth) {
    const weight_taps *p = source;
    for (const int64_t end = k + depth; k < end;) {
        const int64_t tap = k / p->group_O, o = k % p->group_O;
        const int64_t length = p->group_O - o < end - k ? p->group_O - o : end - k;
        const int64_t kh = nn_kernel_tap(&p->h, tap / p->w.count), kw = nn_kernel_tap(&p->w, tap % p->w.count);
        const real *from = p->weight + ((kh * p->KW + kw) * p->I + first) * p->O + o, *rows[NN_NR];
        for (int64_t i = 0; i < NN_NR; i++) rows[i] = from + (i < count ? i : count - 1) * p->O;
        nn_pack_rows(panel, NN_NR, rows, length);
        panel += length * NN_NR;
        k += length;
    }
}

/* B of y: inner index (kh, kw, i), columns o. */
typedef struct {
    const real *weight; /* from the group's first output channel */
    int64_t O;
} weight_rows;

static void pack_weight(real *panel, const void *source, int64_t first, int64_t count, int64_t k, int64_t depth) {
    const weight_rows *p = source;
    for (const real *row = p->weight + k * p->O + first; depth > 0; depth--, row += p->O, panel += NN_NR)
        for (int i = 0; i < NN_NR; i += NN_WIDTH) {
            const int64_t left = count - i < 0 ? 0 : count - i;
            v_store(panel + i, left < NN_WIDTH ? v_load_n(row + i, left) : v_load(row + i));
        }
}

/* The epilogue of a group whose first channel is `column`. */
static nn_epilogue from_column(const nn_epilogue *e, int64_t column) {
    nn_epilogue part = *e;
    if (e->norm.mean) part.norm.mean += column;
    if (e->variance) part.variance += column;
    if (e->norm.weight) part.norm.weight += column;
    if (e->norm.bias) part.norm.bias += column;
    return part;
}

/* A patch is a pixel: the image is its own matrix. */
static bool is_pointwise(const nn_conv2d_forward_args *a) {
    return a->KH == 1 && a->KW == 1 && a->stride_h == 1 && a->stride_w == 1 && a->padding_h == 0 && a->padding_w == 0;
}

static patches patches_of_x(const nn_conv2d_forward_args *a, int64_t group) {
    return (patches){.image = (const real *)a->x + group * a->I,
                     .H = a->H,
                     .W = a->W,
                     .pixel = a->C,
                     .PH = a->OH,
                     .PW = a->OW,
                     .KH = a->KH,
                     .KW = a->KW,
                     .C = a->I,
                     .start_h = -a->padding_h,
                     .start_w = -a->padding_w,
                     .step_h = a->stride_h,
                     .step_w = a->stride_w,
                     .dilation_h = a->dilation_h,
                     .dilation_w = a->dilation_w};
}

static void pointwise_forward(const nn_conv2d_forward_args *a, int64_t group, const nn_epilogue *after,
                              const nn_team *team, int rank) {
    const int64_t group_O = a->O / a->groups, first_o = group * group_O;
    const nn_matrix x = {(const real *)a->x + group * a->I, a->C, 1};
    const nn_matrix weight = {(const real *)a->weight + first_o, a->O, 1};
    const nn_gemm product = {.c = (real *)a->y + first_o,
                             .row_stride = a->O,
                             .M = a->N * a->OH * a->OW,
                             .N = group_O,
                             .K = a->I,
                             .a = &x,
                             .b = &weight,
                             .bias = a->bias ? (const real *)a->bias + first_o : NULL,
                             .after = after};
    NN_FN(gemm)(&product, team, rank);
}

NN_DEFINE(conv2d_forward) {
    const nn_conv2d_forward_args *a = args;
    const nn_epilogue whole = {.c = a->y,
                               .norm = {.mean = a->mean, .weight = a->scale, .bias = a->shift},
                               .variance = a->variance,
                               .eps = a->eps,
                               .addend = a->addend,
                               .activation = a->activation};
    if (nn_is_depthwise(a)) {
        NN_FN(depthwise_forward)(a, nn_if_any(&whole), team, rank);
        return;
    }
    for (int64_t group = 0; group < a->groups; group++) {
        const int64_t group_O = a->O / a->groups, first_o = group * group_O;
        const nn_epilogue part = from_column(&whole, first_o), *after = nn_if_any(&part);
        if (is_pointwise(a)) {
            pointwise_forward(a, group, after, team, rank);
            continue;
        }
        const weight_rows weight = {(const real *)a->weight + first_o, a->O};
        const nn_convolution product = {.x = patches_of_x(a, group),
                                        .images = a->N,
                                        .columns = group_O,
                                        .pack_b = pack_weight,
                                        .b = &weight,
                                        .y = (real *)a->y + first_o,
                                        .y_image = a->OH * a->OW * a->O,
                                        .y_row = a->OW * a->O,
                                        .y_pixel = a->O,
                                        .bias = a->bias ? (const real *)a->bias + first_o : NULL,
                                        .after = after};
        NN_FN(convolve)(&product, team, rank);
    }
}

/* The convolution whose gradients these are. */
static nn_conv2d_forward_args forward_of(const nn_conv2d_backward_args *a) {
    return (nn_conv2d_forward_args){.x = a->x,
                                    .weight = a->weight,
                                    .stride_h = a->stride_h,
                                    .stride_w = a->stride_w,
                                    .padding_h = a->padding_h,
                                    .padding_w = a->padding_w,
                                    .dilation_h = a->dilation_h,
                                    .dilation_w = a->dilation_w,
                                    .groups = a->groups,
                                    .N = a->N,
                                    .C = a->C,
                                    .H = a->H,
                                    .W = a->W,
                                    .O = a->O,
                                    .I = a->I,
                                    .KH = a->KH,
                                    .KW = a->KW,
                                    .OH = a->OH,
                                    .OW = a->OW};
}

/* dx of a pointwise convolution: dy times the transposed weights. */
static void pointwise_dx(const nn_conv2d_backward_args *a, int64_t group, const nn_epilogue *after, const nn_team *team,
                         int rank) {
    const int64_t group_O = a->O / a->groups, first_o = group * group_O;
    const nn_matrix dy = {(const real *)a->dy + first_o, a->O, 1};
    const nn_matrix weight = {(const real *)a->weight + first_o, 1, a->O};
    const nn_gemm product = {.c = (real *)a->dx + group * a->I,
                             .row_stride = a->C,
                             .M = a->N * a->H * a->W,
                             .N = a->I,
                             .K = group_O,
                             .a = &dy,
                             .b = &weight,
                             .after = after};
    NN_FN(gemm)(&product, team, rank);
}

/* dx at the pixels of one phase: patches of dy times the taps that meet them. */
static void phase_dx(const nn_conv2d_backward_args *a, int64_t group, int64_t phase_h, int64_t phase_w,
                     const nn_epilogue *after, const nn_team *team, int rank) {
    const int64_t group_O = a->O / a->groups, first_o = group * group_O;
    const phase_taps h = taps_of_phase(phase_h, a->stride_h, a->padding_h, a->dilation_h, a->KH, a->H);
    const phase_taps w = taps_of_phase(phase_w, a->stride_w, a->padding_w, a->dilation_w, a->KW, a->W);
    const weight_taps weight = {(const real *)a->weight + first_o, a->KW, a->I, a->O, group_O, h, w};
    const nn_convolution product = {
        .x = {.image = (const real *)a->dy + first_o,
              .H = a->OH,
              .W = a->OW,
              .pixel = a->O,
              .PH = h.pixels,
              .PW = w.pixels,
              .KH = h.count,
              .KW = w.count,
              .C = group_O,
              .start_h = h.position - (h.count - 1) * h.dilation,
              .start_w = w.position - (w.count - 1) * w.dilation,
              .step_h = 1,
              .step_w = 1,
              .dilation_h = h.dilation,
              .dilation_w = w.dilation},
        .images = a->N,
        .columns = a->I,
        .pack_b = pack_taps,
        .b = &weight,
        .y = (real *)a->dx + (phase_h * a->W + phase_w) * a->C + group * a->I,
        .y_image = a->H * a->W * a->C,
        .y_row = a->stride_h * a->W * a->C,
        .y_pixel = a->stride_w * a->C,
        .after = after,
    };
    NN_FN(convolve)(&product, team, rank);
}

static void dx_of(const nn_conv2d_backward_args *a, const nn_epilogue *after, const nn_team *team, int rank) {
    const nn_conv2d_forward_args forward = forward_of(a);
    if (nn_is_depthwise(&forward)) {
        NN_FN(depthwise_dx)(a, after, team, rank);
        return;
    }
    for (int64_t group = 0; group < a->groups; group++) {
        if (is_pointwise(&forward)) {
            pointwise_dx(a, group, after, team, rank);
            continue;
        }
        for (int64_t h = 0; h < a->stride_h && h < a->H; h++)
            for (int64_t w = 0; w < a->stride_w && w < a->W; w++) phase_dx(a, group, h, w, after, team, rank);
    }
}

NN_DEFINE(conv_transpose2d_forward) {
    const nn_conv_transpose2d_forward_args *a = args;
    const nn_conv2d_backward_args convolution = {.dx = a->y,
                                                 .dy = a->x,
                                                 .weight = a->weight,
                                                 .stride_h = a->stride_h,
                                                 .stride_w = a->stride_w,
                                                 .padding_h = a->padding_h,
                                                 .padding_w = a->padding_w,
                                                 .dilation_h = a->dilation_h,
                                                 .dilation_w = a->dilation_w,
                                                 .groups = a->groups,
                                                 .N = a->N,
                                                 .C = a->C,
                                                 .H = a->OH,
                                                 .W = a->OW,
                                                 .O = a->O,
                                                 .I = a->I,
                                                 .KH = a->KH,
                                                 .KW = a->KW,
                                                 .OH = a->H,
                                                 .OW = a->W};
    dx_of(&convolution, NULL, team, rank);
}

static void pointwise_dweight(const nn_conv2d_backward_args *a, int64_t group, const nn_team *team, int rank) {
    const int64_t group_O = a->O / a->groups, first_o = group * group_O;
    const nn_matrix x = {(const real *)a->x + group * a->I, 1, a->C};
    const nn_matrix dy = {(const real *)a->dy + first_o, a->O, 1};
    const nn_gemm product = {.c = (real *)a->dweight + first_o,
                             .row_stride = a->O,
                             .M = a->I,
                             .N = group_O,
                             .K = a->N * a->OH * a->OW,
                             .a = &x,
                             .b = &dy};
    NN_FN(gemm)(&product, team, rank);
}

/* The part of dweight that comes from a chunk of pixels. */
static void dweight_of_chunk(const nn_conv2d_backward_args *a, real *dweight, int64_t chunk, int64_t first,
                             const nn_team *team, int rank) {
    const nn_conv2d_forward_args forward = forward_of(a);
    for (int64_t group = 0; group < a->groups; group++) {
        const int64_t group_O = a->O / a->groups, first_o = group * group_O;
        const nn_correlation product = {.x = patches_of_x(&forward, group),
                                        .images = a->N,
                                        .columns = group_O,
                                        .dy = (const real *)a->dy + first_o,
                                        .dy_row = a->O,
                                        .d = dweight + first_o,
                                        .d_row = a->O};
        NN_FN(correlate)(&product, chunk, first, team, rank);
    }
}

static void dweight_chunk(real *sum, const void *source, int64_t chunk, void *scratch) {
    const nn_team alone = {1, scratch};
    dweight_of_chunk(source, sum, chunk, chunk, &alone, 0);
}

NN_DEFINE(conv2d_backward) {
    const nn_conv2d_backward_args *a = args;
    const nn_conv2d_forward_args forward = forward_of(a);
    const int64_t pixels = a->N * a->OH * a->OW, chunks = (pixels + NN_KC - 1) / NN_KC;
    const int64_t weights = a->KH * a->KW * a->I * a->O;
    const int64_t room = (NN_SCRATCH - NN_CONVOLVE_SCRATCH) / (int64_t)sizeof(real);
    const bool depthwise = nn_is_depthwise(&forward), pointwise = is_pointwise(&forward);

    const nn_epilogue whole = {.c = a->dx, .addend = a->addend, .gate = a->gate, .gated = a->gated};
    const nn_epilogue *after = nn_if_any(&whole);

    if (a->dx) dx_of(a, after, team, rank);

    /* few weights make few tiles: the chunks of pixels are then what the ranks share */
    if (a->dweight && depthwise)
        NN_FN(depthwise_dweight)(a, team, rank);
    else if (a->dweight && pointwise)
        for (int64_t group = 0; group < a->groups; group++) pointwise_dweight(a, group, team, rank);
    else if (a->dweight && team->size > 1 && weights <= room / 2)
        nn_sum_chunks(a->dweight, weights, chunks, dweight_chunk, a, NN_CONVOLVE_SCRATCH, team, rank);
    else if (a->dweight)
        for (int64_t chunk = 0; chunk == 0 || chunk < chunks; chunk++)
            dweight_of_chunk(a, a->dweight, chunk, 0, team, rank);

    if (a->dbias) nn_column_sum(a->dbias, a->dy, pixels, a->O, team, rank);
}
