/* convolve: the two products of a convolution. y = patches times weights, dweight = patches^T times dy. */
#ifndef NN_CONVOLVE_H
#define NN_CONVOLVE_H

#include "gemm.h"

/* An image as a matrix of patches. Row (n, ph, pw) is the patch of KH x KW positions, C channels each, that starts at
 * h = start_h + ph * step_h, w = start_w + pw * step_w. Outside the image there are zeros. */
typedef struct {
    const real *image;   /* N images, from the group's first channel */
    int64_t H, W, pixel; /* size; elements from pixel to pixel */
    int64_t PH, PW;      /* patches per image */
    int64_t KH, KW, C;   /* size of a patch */
    int64_t start_h, start_w, step_h, step_w, dilation_h, dilation_w;
} patches;

/* Y[row (n, ph, pw) of x][o] = epilogue(sum over k of x[row][k] b[k][o] + bias[o]), where Y is an image itself. */
typedef struct {
    patches x;
    int64_t images, columns;
    nn_pack pack_b;
    const void *b;
    real *y;
    int64_t y_image, y_row, y_pixel; /* elements from image to image, row to row, pixel to pixel */
    const real *bias;                /* `columns` values, or NULL */
    const nn_epilogue *after;        /* or NULL */
} nn_convolution;

/* Every rank computes its share of Y; there is no barrier inside. Order of the sum: as gemm. */
void NN_FN(convolve)(const nn_convolution *c, const nn_team *team, int rank);

/* D[k][o] = sum over rows of x[row][k] dy[row][o]. */
typedef struct {
    patches x;
    int64_t images, columns;
    const real *dy; /* rows of unit stride, dy_row elements apart */
    int64_t dy_row;
    real *d;
    int64_t d_row;
} nn_correlation;

/* Rows NN_KC * chunk .. of the sum, added to d or, if chunk is `first`, written. Every rank computes its share of d. */
void NN_FN(correlate)(const nn_correlation *c, int64_t chunk, int64_t first, const nn_team *team, int rank);

/* The scratch memory that both may use, from the start of each rank's. */
#define NN_CONVOLVE_SCRATCH (896 << 10)

#endif
