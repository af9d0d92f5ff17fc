/* float32: products, functions of single entries, and repeated rows and columns. See reds_kernels.h for what they compute. */
#include "reds_kernels.h"

void reds_f32_mul(const float *a, const float *b, float *out, uint32_t times, uint32_t length, uint32_t each,
                  reds_activation activation, float slope) {
    const float below = activation == REDS_LINEAR ? 1.0f : activation == REDS_LEAKY_RELU ? slope : 0.0f;
    for (uint32_t r = 0; r < times; r++)
        for (uint32_t k = 0; k < length; k++) {
            const float gate = b[k];
            for (uint32_t n = 0; n < each; n++) {
                const float y = *a++ * gate, line = y < 0.0f ? below * y : y;
                *out++ = activation == REDS_RELU6 && line > 6.0f ? 6.0f : line;
            }
        }
}

void reds_f32_map(float (*function)(float), const float *in, float *out, uint32_t length) {
    for (uint32_t k = 0; k < length; k++) out[k] = function(in[k]);
}

void reds_f32_resize(const float *in, float *out, uint32_t rows, uint32_t columns, uint32_t down, uint32_t across) {
    for (uint32_t r = 0; r < rows; r++, in += columns)
        for (uint32_t d = 0; d < down; d++)
            for (uint32_t k = 0; k < columns; k++)
                for (uint32_t n = 0; n < across; n++) *out++ = in[k];
}
