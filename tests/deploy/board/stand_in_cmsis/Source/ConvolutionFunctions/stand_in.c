/* The layers in loops over their definitions, rounded once. -DWRONG_CONV, -DWRONG_ADD, -DFAILS and -DLARGE make mistakes. */
#include "arm_nnfunctions.h"

static int32_t scaled(int64_t value, int32_t multiplier, int32_t shift) {
    const int total = 31 - shift;
    return (int32_t)((value * multiplier + ((int64_t)1 << (total - 1))) >> total);
}

static int8_t clamped(int32_t v, cmsis_nn_activation a) { return (int8_t)(v < a.min ? a.min : v > a.max ? a.max : v); }

/* per: outputs have their own input channel; otherwise all are summed */
static void convolve(cmsis_nn_tile stride, cmsis_nn_tile pad, cmsis_nn_activation act, int32_t in_offset, int32_t out_offset, int per,
                     const cmsis_nn_per_channel_quant_params *q, dims x, const int8_t *in, dims k, const int8_t *w,
                     const int32_t *bias, dims y, int8_t *out) {
    for (int32_t i = 0; i < y->h; i++)
        for (int32_t j = 0; j < y->w; j++)
            for (int32_t o = 0; o < y->c; o++) {
                int32_t sum = bias[o];
                for (int32_t a = 0; a < k->h; a++)
                    for (int32_t b = 0; b < k->w; b++) {
                        const int32_t r = i * stride.h - pad.h + a, c = j * stride.w - pad.w + b;
                        if (r < 0 || r >= x->h || c < 0 || c >= x->w) continue;
                        for (int32_t d = per ? o : 0; d < (per ? o + 1 : x->c); d++)
                            sum += (in[(r * x->w + c) * x->c + d] + in_offset) *
                                   w[per ? (a * k->w + b) * y->c + o : ((o * k->h + a) * k->w + b) * x->c + d];
                    }
                out[(i * y->w + j) * y->c + o] = clamped(scaled(sum, q->multiplier[o], q->shift[o]) + out_offset, act);
            }
}

int32_t arm_convolve_wrapper_s8_get_buffer_size(const cmsis_nn_conv_params *p, dims x, dims k, dims y) {
#ifdef LARGE
    return 1 << 20;
#endif
    return 0;
}

arm_cmsis_nn_status arm_convolve_wrapper_s8(const cmsis_nn_context *ctx, const cmsis_nn_conv_params *p,
    const cmsis_nn_per_channel_quant_params *q, dims x, const int8_t *in, dims k, const int8_t *w, dims b, const int32_t *bias, dims y,
    int8_t *out) {
    if (k->n != y->c || k->c != x->c || b->c != y->c) return ARM_CMSIS_NN_ARG_ERROR;
    convolve(p->stride, p->padding, p->activation, p->input_offset, p->output_offset, 0, q, x, in, k, w, bias, y, out);
#ifdef WRONG_CONV
    out[1] = (int8_t)(out[1] + 2);
#endif
    return ARM_CMSIS_NN_SUCCESS;
}

int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size(const cmsis_nn_dw_conv_params *p, dims x, dims k, dims y) { return 0; }

arm_cmsis_nn_status arm_depthwise_conv_wrapper_s8(const cmsis_nn_context *ctx, const cmsis_nn_dw_conv_params *p,
    const cmsis_nn_per_channel_quant_params *q, dims x, const int8_t *in, dims k, const int8_t *w, dims b, const int32_t *bias, dims y,
    int8_t *out) {
    if (p->ch_mult != 1 || k->n != 1 || k->c != y->c || x->c != y->c) return ARM_CMSIS_NN_ARG_ERROR;
    convolve(p->stride, p->padding, p->activation, p->input_offset, p->output_offset, 1, q, x, in, k, w, bias, y, out);
    return ARM_CMSIS_NN_SUCCESS;
}

int32_t arm_fully_connected_s8_get_buffer_size(dims k) { return 4 * k->c; }

arm_cmsis_nn_status arm_vector_sum_s8(int32_t *sums, int32_t columns, int32_t rows, const int8_t *w, int32_t offset, int32_t other,
                                      const int32_t *bias) {
    for (int32_t r = 0; r < rows; r++) {
        sums[r] = bias[r];
        for (int32_t c = 0; c < columns; c++) sums[r] += offset * w[r * columns + c];
    }
    return other == 0 ? ARM_CMSIS_NN_SUCCESS : ARM_CMSIS_NN_ARG_ERROR;
}

arm_cmsis_nn_status arm_fully_connected_s8(const cmsis_nn_context *ctx, const cmsis_nn_fc_params *p,
    const cmsis_nn_per_tensor_quant_params *q, dims x, const int8_t *in, dims k, const int8_t *w, dims b, const int32_t *bias, dims y,
    int8_t *out) {
#ifdef FAILS
    return ARM_CMSIS_NN_ARG_ERROR;
#endif
    const int32_t *const sums = ctx->buf;
    for (int32_t o = 0; o < y->c; o++) {
        int32_t sum = sums[o];
        for (int32_t i = 0; i < k->n; i++) sum += in[i] * w[o * k->n + i];
        out[o] = clamped(scaled(sum, q->multiplier, q->shift) + p->output_offset, p->activation);
    }
    return ARM_CMSIS_NN_SUCCESS;
}

static void pool(const cmsis_nn_pool_params *p, int largest, dims x, const int8_t *in, dims k, dims y, int8_t *out) {
    for (int32_t i = 0; i < y->h; i++)
        for (int32_t j = 0; j < y->w; j++)
            for (int32_t o = 0; o < x->c; o++) {
                int32_t sum = 0, count = 0, top = -128;
                for (int32_t r = i * p->stride.h - p->padding.h; r < i * p->stride.h - p->padding.h + k->h; r++)
                    for (int32_t c = j * p->stride.w - p->padding.w; c < j * p->stride.w - p->padding.w + k->w; c++) {
                        if (r < 0 || r >= x->h || c < 0 || c >= x->w) continue;
                        const int32_t v = in[(r * x->w + c) * x->c + o];
                        sum += v;
                        count++;
                        top = v > top ? v : top;
                    }
                out[(i * y->w + j) * x->c + o] = (int8_t)(largest ? top : (sum > 0 ? sum + count / 2 : sum - count / 2) / count);
            }
}

int32_t arm_avgpool_s8_get_buffer_size(int width, int channels) { return 0; }

arm_cmsis_nn_status arm_avgpool_s8(const cmsis_nn_context *ctx, const cmsis_nn_pool_params *p, dims x, const int8_t *in, dims k,
                                   dims y, int8_t *out) {
    pool(p, 0, x, in, k, y, out);
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_max_pool_s8(const cmsis_nn_context *ctx, const cmsis_nn_pool_params *p, dims x, const int8_t *in, dims k,
                                    dims y, int8_t *out) {
    pool(p, 1, x, in, k, y, out);
    return ARM_CMSIS_NN_SUCCESS;
}

arm_cmsis_nn_status arm_elementwise_add_s8(const int8_t *a, const int8_t *b, int32_t a_offset, int32_t a_multiplier,
    int32_t a_shift, int32_t b_offset, int32_t b_multiplier, int32_t b_shift, int32_t left_shift, int8_t *out, int32_t offset,
    int32_t multiplier, int32_t shift, int32_t low, int32_t high, int32_t count) {
    const cmsis_nn_activation range = {low, high};
    for (int32_t i = 0; i < count; i++) {
        const int32_t sum = scaled((int64_t)(a[i] + a_offset) << left_shift, a_multiplier, a_shift) +
                            scaled((int64_t)(b[i] + b_offset) << left_shift, b_multiplier, b_shift);
        out[i] = clamped(scaled(sum, multiplier, shift) + offset, range);
    }
#ifdef WRONG_ADD
    out[3] = (int8_t)(out[3] - 2);
#endif
    return ARM_CMSIS_NN_SUCCESS;
}
