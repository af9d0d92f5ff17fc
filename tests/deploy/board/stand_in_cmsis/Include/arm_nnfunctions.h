/* The interface of CMSIS-NN that benchmarks/cmsis_program.py uses, for tests without CMSIS-NN. */
#ifndef STAND_IN_H
#define STAND_IN_H
#include <stdint.h>

typedef enum { ARM_CMSIS_NN_SUCCESS = 0, ARM_CMSIS_NN_ARG_ERROR = -1 } arm_cmsis_nn_status;
typedef struct { void *buf; int32_t size; } cmsis_nn_context;
typedef struct { int32_t n, h, w, c; } cmsis_nn_dims;
typedef struct { int32_t w, h; } cmsis_nn_tile;
typedef struct { int32_t min, max; } cmsis_nn_activation;
typedef struct { int32_t *multiplier, *shift; } cmsis_nn_per_channel_quant_params;
typedef struct { int32_t multiplier, shift; } cmsis_nn_per_tensor_quant_params;
typedef struct { int32_t input_offset, output_offset; cmsis_nn_tile stride, padding, dilation; cmsis_nn_activation activation;
} cmsis_nn_conv_params;
typedef struct { int32_t input_offset, output_offset, ch_mult; cmsis_nn_tile stride, padding, dilation;
                 cmsis_nn_activation activation; } cmsis_nn_dw_conv_params;
typedef struct { cmsis_nn_tile stride, padding; cmsis_nn_activation activation; } cmsis_nn_pool_params;
typedef struct { int32_t input_offset, filter_offset, output_offset; cmsis_nn_activation activation; } cmsis_nn_fc_params;

typedef const cmsis_nn_dims *dims;
int32_t arm_convolve_wrapper_s8_get_buffer_size(const cmsis_nn_conv_params *p, dims x, dims k, dims y);
int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size(const cmsis_nn_dw_conv_params *p, dims x, dims k, dims y);
int32_t arm_fully_connected_s8_get_buffer_size(dims k);
int32_t arm_avgpool_s8_get_buffer_size(int width, int channels);
arm_cmsis_nn_status arm_convolve_wrapper_s8(const cmsis_nn_context *, const cmsis_nn_conv_params *p,
    const cmsis_nn_per_channel_quant_params *q, dims x, const int8_t *in, dims k, const int8_t *weights, dims b, const int32_t *bias,
    dims y, int8_t *out);
arm_cmsis_nn_status arm_depthwise_conv_wrapper_s8(const cmsis_nn_context *, const cmsis_nn_dw_conv_params *p,
    const cmsis_nn_per_channel_quant_params *q, dims x, const int8_t *in, dims k, const int8_t *weights, dims b, const int32_t *bias,
    dims y, int8_t *out);
arm_cmsis_nn_status arm_vector_sum_s8(int32_t *sums, int32_t columns, int32_t rows, const int8_t *weights, int32_t offset,
    int32_t other, const int32_t *bias);
arm_cmsis_nn_status arm_fully_connected_s8(const cmsis_nn_context *, const cmsis_nn_fc_params *p,
    const cmsis_nn_per_tensor_quant_params *q, dims x, const int8_t *in, dims k, const int8_t *weights, dims b, const int32_t *bias,
    dims y, int8_t *out);
arm_cmsis_nn_status arm_avgpool_s8(const cmsis_nn_context *, const cmsis_nn_pool_params *p, dims x, const int8_t *in, dims k,
    dims y, int8_t *out);
arm_cmsis_nn_status arm_max_pool_s8(const cmsis_nn_context *, const cmsis_nn_pool_params *p, dims x, const int8_t *in, dims k,
    dims y, int8_t *out);
arm_cmsis_nn_status arm_elementwise_add_s8(const int8_t *a, const int8_t *b, int32_t a_offset, int32_t a_multiplier,
    int32_t a_shift, int32_t b_offset, int32_t b_multiplier, int32_t b_shift, int32_t left_shift, int8_t *out, int32_t offset,
    int32_t multiplier, int32_t shift, int32_t low, int32_t high, int32_t count);
#endif
