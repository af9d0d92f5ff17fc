/* int8: products, functions of single entries, and repeated rows and columns. See reds_kernels.h for what they compute. */
#include "reds_kernels.h"
#include "reds_s8_math.h"

void reds_s8_mul(const reds_s8_product *product, const int8_t *a, const int8_t *b, int8_t *out, uint32_t times, uint32_t length,
                 uint32_t each) {
    const reds_s8_product p = *product;
    for (uint32_t r = 0; r < times; r++)
        for (uint32_t k = 0; k < length; k++) {
            const int32_t gate = (b[k] - p.b_zero) * (1 << 14); /* times a difference of 8-bit numbers it is below 2^30 */
            for (uint32_t n = 0; n < each; n++) {
                int32_t t = reds_mulhi_add((*a++ - p.a_zero) * gate, p.multiplier, 0);
                if (p.slope != 0 && t < 0) t = reds_mulhi_add(2 * t, p.slope, 0);
                *out++ = (int8_t)reds_saturate((t + p.round) >> p.shift);
            }
        }
}

void reds_s8_map(const int8_t *table, const int8_t *in, int8_t *out, uint32_t length) {
    for (uint32_t k = 0; k < length; k++) out[k] = table[in[k] + 128];
}

void reds_s8_resize(const int8_t *in, int8_t *out, uint32_t rows, uint32_t columns, uint32_t down, uint32_t across) {
    for (uint32_t r = 0; r < rows; r++, in += columns)
        for (uint32_t d = 0; d < down; d++)
            for (uint32_t k = 0; k < columns; k++)
                for (uint32_t n = 0; n < across; n++) *out++ = in[k];
}
