/* How the inputs of the int8 layers come into the scratch. Internal, included by reds_s8.c alone.
 *
 * A column holds the inputs of one output position as 16-bit numbers, with the zero point taken off and zeros for the padding of
 * the image and up to a multiple of 4: the inner loops then know neither zero points nor borders. What the weights hold beyond
 * the prefix that is asked for meets these zeros.
 *
 * Four columns make a tile. On a core with the DSP extension they are interleaved, 4 entries of the first, of the second, of the
 * third, of the fourth, the next 4 of the first, so that one pointer serves them all, and the entries of every group of 4 lie in
 * the order 0, 2, 1, 3, in which the instruction sxtb16 takes a word of weights apart. Elsewhere column follows column. */
#ifndef REDS_S8_COLUMNS_H
#define REDS_S8_COLUMNS_H

#include "reds_s8_math.h"

/* ``count`` neighbouring bytes as 16-bit numbers without their zero point, in their order */
static inline void expand(const int8_t *in, uint32_t count, int32_t zero, int16_t *to) {
#if REDS_SIMD32
    const int16x2_t minus = reds_twice(-zero);
    for (; count >= 4; count -= 4, in += 4, to += 4) {
        const uint32_t word = reds_word(in);
        const int16x2_t even = reds_add_bytes_0_2(minus, word), odd = reds_add_bytes_1_3(minus, word);
        reds_store(to, reds_lows(even, odd));
        reds_store(to + 2, reds_highs(even, odd));
    }
#endif
    for (; count != 0; count--) *to++ = (int16_t)(*in++ - zero);
}

/* The inner loops read the entries of every group of 4 in this order. */
static inline void order(int16_t *entries, uint32_t count) {
#if REDS_SIMD32
    for (int16_t *const end = entries + count; entries != end; entries += 4) {
        const int16_t second = entries[1];
        entries[1] = entries[2];
        entries[2] = second;
    }
#else
    (void)entries, (void)count;
#endif
}

/* One column: natural order, ``hop`` entries between its groups of 4. Rows of the patch are copied without a test for each entry. */
static REDS_APART void gather(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int16_t *to, uint32_t hop,
                              uint32_t depth, int32_t top, int32_t left) {
    const reds_window *const w = &layer->window;
    const int32_t zero = width->in_zero, kernel_w = w->kernel_w, in_w = w->in_w;
    const int32_t lead = left >= 0 ? 0 : -left < kernel_w ? -left : kernel_w; /* zeros on the left */
    const int32_t right = in_w - left > lead ? in_w - left : lead;            /* where those on the right begin */
    const int32_t inside = right < kernel_w ? right : kernel_w;
    const int words = REDS_SIMD32 && kernel_w == 4 && lead == 0 && inside == 4 && w->column_step == 1;
    uint32_t k = 0;
#define PUT(value) \
    *to++ = (int16_t)(value); \
    if ((++k & 3u) == 0) to += hop;
    for (uint32_t i = 0; i < width->inputs; i++, in += w->channel_step)
        for (int32_t y = top; y < top + w->kernel_h; y++) {
            const int row_inside = y >= 0 && y < w->in_h;
            int32_t x = 0;
            if (row_inside && words) {
                expand(in + (uint32_t)y * w->row_step + (uint32_t)left, 4, zero, to);
                to += 4 + hop, k += 4;
                continue;
            }
            if (row_inside && lead < inside) {
                const int8_t *from = in + (uint32_t)y * w->row_step + (uint32_t)(left + lead) * w->column_step;
                for (; x < lead; x++) { PUT(0) }
                for (uint32_t at = 0; x < inside; x++, at += w->column_step) { PUT(from[at] - zero) }
            }
            for (; x < kernel_w; x++) { PUT(0) }
        }
    while (k < depth) { PUT(0) }
#undef PUT
}

/* The columns of ``columns`` positions, 1 or 4, from position p on. */
static inline void gather_tile(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int16_t *tile, uint32_t columns,
                        uint32_t depth, uint32_t p) {
    const reds_window *const w = &layer->window;
    uint32_t oy = p / w->out_w, ox = p - oy * w->out_w;
    for (uint32_t c = 0; c < columns; c++) {
        gather(layer, width, in, tile + c * (REDS_SIMD32 ? 4u : depth), REDS_SIMD32 ? 4u * (columns - 1u) : 0u, depth,
               (int32_t)(oy * w->stride_h) - w->pad_top, (int32_t)(ox * w->stride_w) - w->pad_left);
        if (++ox == w->out_w) ox = 0, oy++;
    }
    order(tile, columns * depth);
}

/* The same for 4 columns of a pointwise layer, whose inputs lie side by side. */
static REDS_APART void gather_pointwise(const int8_t *in, uint32_t inputs, uint32_t channel_step, int32_t zero, int16_t *tile,
                                        uint32_t depth) {
#if REDS_SIMD32
    const int16x2_t minus = reds_twice(-zero);
    (void)depth;
    uint32_t i = 0;
    for (; i + 4 <= inputs; i += 4, tile += 16) { /* 4 channels of 4 positions are turned */
        const int8_t *const from = in + i * channel_step;
        const uint32_t a = reds_word(from), b = reds_word(from + channel_step), c = reds_word(from + 2 * channel_step),
                       d = reds_word(from + 3 * channel_step);
        const int16x2_t a02 = reds_add_bytes_0_2(minus, a), b02 = reds_add_bytes_0_2(minus, b);
        const int16x2_t c02 = reds_add_bytes_0_2(minus, c), d02 = reds_add_bytes_0_2(minus, d);
        const int16x2_t a13 = reds_add_bytes_1_3(minus, a), b13 = reds_add_bytes_1_3(minus, b);
        const int16x2_t c13 = reds_add_bytes_1_3(minus, c), d13 = reds_add_bytes_1_3(minus, d);
        reds_store(tile, reds_lows(a02, c02)), reds_store(tile + 2, reds_lows(b02, d02));
        reds_store(tile + 4, reds_lows(a13, c13)), reds_store(tile + 6, reds_lows(b13, d13));
        reds_store(tile + 8, reds_highs(a02, c02)), reds_store(tile + 10, reds_highs(b02, d02));
        reds_store(tile + 12, reds_highs(a13, c13)), reds_store(tile + 14, reds_highs(b13, d13));
    }
    if (i == inputs) return;
    for (uint32_t c = 0; c < 4; c++)
        for (uint32_t k = 0; k < 4; k++) /* the entries 1 and 2 of a group change places */
            tile[4 * c + (k == 1 ? 2 : k == 2 ? 1 : k)] = (int16_t)(i + k < inputs ? in[(i + k) * channel_step + c] - zero : 0);
#else
    for (uint32_t k = 0; k < depth; k++)
        for (uint32_t c = 0; c < 4; c++) tile[c * depth + k] = (int16_t)(k < inputs ? in[k * channel_step + c] - zero : 0);
#endif
}

#endif
