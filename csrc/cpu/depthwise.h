/* A convolution of each channel with filters of its own (groups = C), which conv2d hands over. */
#ifndef NN_DEPTHWISE_H
#define NN_DEPTHWISE_H

#include "epilogue.h"

/* Whether the functions below take this convolution. */
NN_INLINE bool nn_is_depthwise(const nn_conv2d_forward_args *a) {
    const int64_t taps = a->KH * a->KW;
    return a->groups > 1 && a->groups == a->C && a->groups == a->O && taps <= NN_KC &&
           taps * a->C <= NN_SCRATCH / (int64_t)sizeof(real);
}

/* Every rank of the team calls them. */
void NN_FN(depthwise_forward)(const nn_conv2d_forward_args *a, const nn_epilogue *after, const nn_team *team, int rank);
void NN_FN(depthwise_dx)(const nn_conv2d_backward_args *a, const nn_epilogue *after, const nn_team *team, int rank);
void NN_FN(depthwise_dweight)(const nn_conv2d_backward_args *a, const nn_team *team, int rank);

#endif
