/* conv2d: y[n,o,oh,ow] = activation(bias[o] + sum over kh, kw, i of x[n,i,h,w] weight[o,i,kh,kw])
 *         with h = oh * stride_h - padding_h + kh * dilation_h, w alike
 *
 * Shapes: x (N, C, H, W), y (N, O, OH, OW), channels-last in memory; weight (O, I, KH, KW), in memory KH KW I O with
 *   I = C / groups; bias (O,). Group g joins channels g*I .. of x to channels g*O/groups .. of y.
 * Parallel: as gemm, over tiles of the output; a small weight gradient over chunks of pixels.
 * Numerics: every pass is a matrix product in gemm's order, with padding multiplied as zeros. The inner index is
 *     forward   kh, kw, i ascending
 *     dx        kh, kw descending (dy ascending), o ascending; only taps that meet the stride
 *     dweight   n, oh, ow ascending
 *   dbias is a column sum. An image's y and dx depend on no other image.
 *   A depthwise convolution (depthwise.c) has the same order, and leaves padding out.
 * Source: the packing of patches inside the matrix product follows San Juan et al., "High performance and portable
 *   convolution operators for multicore processors", SBAC-PAD 2020.
 */
#include "column_sum.h"
#include "depthwise.h"
#include "patches.h"
#include "window.h"

/* B of dx: inner index (kh, kw, o) with the taps descending, columns i. */
typedef struct {
    const real *weight; /* from the group's first output channel */
    int64_t KW, I, O, group_O;
    phase_taps h, w;
} weight_taps;

static void pack_weight(real *panel, const void *source, int64_t first, int64_t count, int64_t k, int64_t depth) {
    const weight_taps *p = source;
    const real *rows[NN_NR];
    for (int64_t i = count; i < NN_NR; i++) rows[i] = zeros;
    const int64_t end = k + depth;
    while (k < end) {
        const int64_t tap = k / p->group_O, o = k % p->group_O;
        const int64_t length = p->group_O - o < end - k ? p->group_O - o : end - k;
        const int64_t kh = p->h.first + (p->h.count - 1 - tap / p->w.count) * p->h.step;
        const int64_t kw = p->w.first + (p->w.count - 1 - tap % p->w.count) * p->w.step;
        for (int64_t i = 0; i < count; i++) rows[i] = p->weight + ((kh * p->KW + kw) * p->I + first + i) * p->O + o;
        pack_rows(panel, NN_NR, rows, length);
        panel += length * NN_NR;
        k += length;
    }
}

/* A patch is a pixel: the image is its own matrix. */
static bool is_pointwise(const nn_conv2d_forward_args *a) {
    return a->KH == 1 && a->KW == 1 && a->stride_h == 1 && a->stride_w == 1 && a->padding_h == 0 && a->padding_w == 0;
}

static patches patches_of_x(const nn_conv2d_forward_args *a, int64_t group, int64_t first_row) {
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
                     .dilation_w = a->dilation_w,
                     .first_row = first_row};
}

NN_DEFINE(conv2d_forward) {
    const nn_conv2d_forward_args *a = args;
    if (nn_is_depthwise(a)) {
        NN_FN(depthwise_forward)(a, team, rank);
        return;
    }
    const bool pointwise = is_pointwise(a);
    for (int64_t group = 0; group < a->groups; group++) {
        const int64_t first_o = group * (a->O / a->groups);
        const patches x = patches_of_x(a, group, 0);
        const nn_matrix pixels = {x.image, a->C, 1}, weight = {(const real *)a->weight + first_o, a->O, 1};
        const nn_gemm product = {.c = (real *)a->y + first_o,
                                 .row_stride = a->O,
                                 .M = a->N * a->OH * a->OW,
                                 .N = a->O / a->groups,
                                 .K = a->KH * a->KW * a->I,
                                 .pack_a = pointwise ? NULL : pack_patches,
                                 .a = pointwise ? (const void *)&pixels : &x,
                                 .b = &weight,
                                 .bias = a->bias ? (const real *)a->bias + first_o : NULL,
                                 .activation = (int)a->activation};
        NN_FN(gemm)(&product, team, rank);
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
static void pointwise_dx(const nn_conv2d_backward_args *a, int64_t group, const nn_team *team, int rank) {
    const int64_t group_O = a->O / a->groups, first_o = group * group_O;
    const nn_matrix dy = {(const real *)a->dy + first_o, a->O, 1};
    const nn_matrix weight = {(const real *)a->weight + first_o, 1, a->O};
    const nn_gemm product = {.c = (real *)a->dx + group * a->I,
                             .row_stride = a->C,
                             .M = a->N * a->H * a->W,
                             .N = a->I,
                             .K = group_O,
                             .a = &dy,
                             .b = &weight};
    NN_FN(gemm)(&product, team, rank);
}

/* dx at the pixels of one phase: patches of dy times the taps that meet them. With stride 1 these are all pixels and
 * the product is dx; otherwise it is formed block by block and its rows are spread over dx. */
static void phase_dx(const nn_conv2d_backward_args *a, int64_t group, int64_t phase_h, int64_t phase_w,
                     const nn_team *team, int rank) {
    const int64_t group_O = a->O / a->groups, first_o = group * group_O;
    const phase_taps h = taps_of_phase(phase_h, a->stride_h, a->padding_h, a->dilation_h, a->KH, a->H);
    const phase_taps w = taps_of_phase(phase_w, a->stride_w, a->padding_w, a->dilation_w, a->KW, a->W);
    patches dy = {.image = (const real *)a->dy + first_o,
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
                  .dilation_w = w.dilation};
    weight_taps weight = {(const real *)a->weight + first_o, a->KW, a->I, a->O, group_O, h, w};
    nn_gemm product = {.c = (real *)a->dx + group * a->I,
                       .row_stride = a->C,
                       .M = a->N * h.pixels * w.pixels,
                       .N = a->I,
                       .K = h.count * w.count * group_O,
                       .pack_a = pack_patches,
                       .a = &dy,
                       .pack_b = pack_weight,
                       .b = &weight};
    if (a->stride_h == 1 && a->stride_w == 1) {
        NN_FN(gemm)(&product, team, rank);
        return;
    }
    if (a->I == 0) return;
    const nn_team alone = {1, nn_scratch(team, rank)};
    const int64_t room = (NN_SCRATCH - NN_GEMM_SCRATCH) / (int64_t)sizeof(real);
    const int64_t max_columns = a->I < 64 * NN_WIDTH ? a->I : 64 * NN_WIDTH;
    const int64_t max_rows = room / (max_columns * NN_MR) * NN_MR;
    real *block = (real *)(alone.scratch + NN_GEMM_SCRATCH);
    int64_t begin, end;
    nn_share(product.M, NN_MR, team, rank, &begin, &end);
    for (int64_t column = 0; column < a->I; column += max_columns) {
        weight.weight = (const real *)a->weight + column * a->O + first_o;
        product.c = block;
        product.N = product.row_stride = a->I - column < max_columns ? a->I - column : max_columns;
        for (int64_t row = begin; row < end; row += max_rows) {
            dy.first_row = row;
            product.M = end - row < max_rows ? end - row : max_rows;
            NN_FN(gemm)(&product, &alone, 0);
            for (int64_t i = 0; i < product.M; i++) {
                const int64_t n = (row + i) / (h.pixels * w.pixels);
                const int64_t ih = phase_h + (row + i) / w.pixels % h.pixels * a->stride_h;
                const int64_t iw = phase_w + (row + i) % w.pixels * a->stride_w;
                real *dx = (real *)a->dx + ((n * a->H + ih) * a->W + iw) * a->C + group * a->I + column;
                memcpy(dx, block + i * product.N, (size_t)product.N * sizeof(real));
            }
        }
    }
}

/* The part of dweight that comes from pixels first .. first + count of dy. */
static void dweight_of_pixels(const nn_conv2d_backward_args *a, real *dweight, int64_t first, int64_t count,
                              const nn_team *team, int rank) {
    const nn_conv2d_forward_args forward = forward_of(a);
    const bool pointwise = is_pointwise(&forward);
    for (int64_t group = 0; group < a->groups; group++) {
        const int64_t group_O = a->O / a->groups, first_o = group * group_O;
        const patches x = patches_of_x(&forward, group, first);
        const nn_matrix pixels = {x.image + (pointwise ? first * a->C : 0), 1, a->C};
        const nn_matrix dy = {(const real *)a->dy + first * a->O + first_o, a->O, 1};
        const nn_gemm product = {.c = dweight + first_o,
                                 .row_stride = a->O,
                                 .M = a->KH * a->KW * a->I,
                                 .N = group_O,
                                 .K = count,
                                 .pack_a = pointwise ? NULL : pack_positions,
                                 .a = pointwise ? (const void *)&pixels : &x,
                                 .b = &dy};
        NN_FN(gemm)(&product, team, rank);
    }
}

static void dweight_chunk(real *sum, const void *source, int64_t chunk, void *scratch) {
    const nn_conv2d_backward_args *a = source;
    const nn_team alone = {1, scratch};
    const int64_t first = chunk * NN_KC, left = a->N * a->OH * a->OW - first;
    dweight_of_pixels(a, sum, first, left < NN_KC ? left : NN_KC, &alone, 0);
}

NN_DEFINE(conv2d_backward) {
    const nn_conv2d_backward_args *a = args;
    const nn_conv2d_forward_args forward = forward_of(a);
    const int64_t pixels = a->N * a->OH * a->OW, chunks = (pixels + NN_KC - 1) / NN_KC;
    const int64_t weights = a->KH * a->KW * a->I * a->O, room = (NN_SCRATCH - NN_GEMM_SCRATCH) / (int64_t)sizeof(real);
    const bool depthwise = nn_is_depthwise(&forward), pointwise = is_pointwise(&forward);

    if (a->dx && depthwise) NN_FN(depthwise_dx)(a, team, rank);
    for (int64_t group = 0; a->dx && !depthwise && group < a->groups; group++) {
        if (pointwise) {
            pointwise_dx(a, group, team, rank);
            continue;
        }
        for (int64_t h = 0; h < a->stride_h && h < a->H; h++)
            for (int64_t w = 0; w < a->stride_w && w < a->W; w++) phase_dx(a, group, h, w, team, rank);
    }

    /* few weights make few tiles: the chunks of pixels are then what the ranks share */
    if (a->dweight && depthwise)
        NN_FN(depthwise_dweight)(a, team, rank);
    else if (a->dweight && chunks > 1 && weights <= room / 2)
        nn_sum_chunks(a->dweight, weights, chunks, dweight_chunk, a, NN_GEMM_SCRATCH, team, rank);
    else if (a->dweight)
        dweight_of_pixels(a, a->dweight, 0, pixels, team, rank);

    if (a->dbias) nn_column_sum(a->dbias, a->dy, pixels, a->O, team, rank);
}
