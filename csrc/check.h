/* Checks of what shapes cannot say: the `check` column of kernels.def. False leaves a sentence in error. */
#ifndef NN_CHECK_H
#define NN_CHECK_H

#include "nncore.h"

bool nn_check_along(void *args, nn_error *error);
bool nn_check_attention_backward(void *args, nn_error *error);
bool nn_check_attention_forward(void *args, nn_error *error);
bool nn_check_avg_pool2d_backward(void *args, nn_error *error);
bool nn_check_avg_pool2d_forward(void *args, nn_error *error);
bool nn_check_batch_norm_forward(void *args, nn_error *error);
bool nn_check_combine_rows(void *args, nn_error *error);
bool nn_check_conv2d_backward(void *args, nn_error *error);
bool nn_check_conv2d_forward(void *args, nn_error *error);
bool nn_check_conv_transpose2d_forward(void *args, nn_error *error);
bool nn_check_cross_entropy_backward(void *args, nn_error *error);
bool nn_check_cross_entropy_forward(void *args, nn_error *error);
bool nn_check_dropout(void *args, nn_error *error);
bool nn_check_gather_along(void *args, nn_error *error);
bool nn_check_gather_rows(void *args, nn_error *error);
bool nn_check_gru_backward(void *args, nn_error *error);
bool nn_check_gru_forward(void *args, nn_error *error);
bool nn_check_linear_forward(void *args, nn_error *error);
bool nn_check_lstm_backward(void *args, nn_error *error);
bool nn_check_lstm_forward(void *args, nn_error *error);
bool nn_check_max_pool2d_backward(void *args, nn_error *error);
bool nn_check_max_pool2d_forward(void *args, nn_error *error);
bool nn_check_nll_loss_backward(void *args, nn_error *error);
bool nn_check_nll_loss_forward(void *args, nn_error *error);
bool nn_check_reduce(void *args, nn_error *error);
bool nn_check_rnn_backward(void *args, nn_error *error);
bool nn_check_rnn_forward(void *args, nn_error *error);
bool nn_check_scatter_add_rows(void *args, nn_error *error);
bool nn_check_scatter_along(void *args, nn_error *error);

#endif
