/* int8 layers over ranges of channels, grouped and dilated; concatenation, padding, shuffle. See reds_ranges.h. */
#include "reds_ranges.h"
#include "reds_s8_math.h"

static inline int32_t finish(int32_t sum, const reds_s8_channel *channel, const reds_s8_layer *layer, const reds_s8_width *width) {
    return layer->slope == 0 ? reds_requantise(sum, *channel, width->shift)
                             : reds_requantise_leaky(sum, *channel, layer->slope, width->round, width->shift);
}

/* ---- Columns: the inputs of a position without their zero point, every range filled up with zeros to a multiple of 4 ---------- */

/* Returns the end of the column. */
static int16_t *gather(const reds_window *w, const reds_spread *spread, int32_t zero, const int8_t *in, int16_t *to, uint32_t p) {
    const uint32_t oy = p / w->out_w, ox = p - oy * w->out_w;
    const int32_t top = (int32_t)(oy * w->stride_h) - w->pad_top, left = (int32_t)(ox * w->stride_w) - w->pad_left;
    const int32_t bottom = top + (int32_t)w->kernel_h * spread->dilation_h, right = left + (int32_t)w->kernel_w * spread->dilation_w;
    for (uint32_t n = 0; n < spread->reads; n++) {
        uint32_t filled = 0;
        for (uint32_t i = 0; i < spread->read[n].count; i++, in += w->channel_step)
            for (int32_t y = top; y < bottom; y += spread->dilation_h) {
                const int8_t *const row = in + (y >= 0 && y < w->in_h ? (uint32_t)y * w->row_step : 0);
                const int32_t in_w = y >= 0 && y < w->in_h ? w->in_w : 0;
                for (int32_t x = left; x < right; x += spread->dilation_w, filled++)
                    *to++ = (int16_t)(x >= 0 && x < in_w ? row[(uint32_t)x * w->column_step] - zero : 0);
            }
        for (; filled % 4 != 0; filled++) *to++ = 0;
    }
    return to;
}

/* With the DSP extension, entries 1 and 2 of every group of 4 change places: that is how a word of weights comes apart. */
static void order(int16_t *entries, const int16_t *end) {
#if REDS_SIMD32
    for (; entries != end; entries += 4) {
        const int16_t second = entries[1];
        entries[1] = entries[2];
        entries[2] = second;
    }
#else
    (void)entries, (void)end;
#endif
}

#if REDS_SIMD32
#define PAIR(pair, from) __builtin_memcpy(&pair, from, 4)
/* Four weights as two pairs of 16 bits: (0, 2) and (1, 3) */
#define WEIGHTS(even, odd, from)                             \
    uint32_t word;                                           \
    __builtin_memcpy(&word, from, 4);                        \
    const int16x2_t even = __sxtb16((int8x4_t)word);         \
    const int16x2_t odd = __sxtb16((int8x4_t)(word >> 8 | word << 24));
#endif

/* sum[c] += weights times column c, for 4 columns that lie ``pitch`` entries apart; depth is a multiple of 4 */
static REDS_APART void add_four(const int8_t *weights, const int16_t *x0, uint32_t pitch, uint32_t depth, int32_t *sum) {
    const int16_t *const x1 = x0 + pitch, *const x2 = x1 + pitch, *const x3 = x2 + pitch;
    int32_t s0 = sum[0], s1 = sum[1], s2 = sum[2], s3 = sum[3];
#if REDS_SIMD32
    for (uint32_t k = 0; k < depth; k += 4) {
        WEIGHTS(even, odd, weights + k)
        int16x2_t a, b;
        PAIR(a, x0 + k), PAIR(b, x0 + k + 2), s0 = __smlad(even, a, __smlad(odd, b, s0));
        PAIR(a, x1 + k), PAIR(b, x1 + k + 2), s1 = __smlad(even, a, __smlad(odd, b, s1));
        PAIR(a, x2 + k), PAIR(b, x2 + k + 2), s2 = __smlad(even, a, __smlad(odd, b, s2));
        PAIR(a, x3 + k), PAIR(b, x3 + k + 2), s3 = __smlad(even, a, __smlad(odd, b, s3));
    }
#else
    for (uint32_t k = 0; k < depth; k++) {
        const int32_t w = weights[k];
        s0 += w * x0[k], s1 += w * x1[k], s2 += w * x2[k], s3 += w * x3[k];
    }
#endif
    sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
}

static inline int32_t add_one(const int8_t *weights, const int16_t *x, uint32_t depth, int32_t sum) {
#if REDS_SIMD32
    for (uint32_t k = 0; k < depth; k += 4) {
        WEIGHTS(even, odd, weights + k)
        int16x2_t a, b;
        PAIR(a, x + k), PAIR(b, x + k + 2), sum = __smlad(even, a, __smlad(odd, b, sum));
    }
#else
    for (uint32_t k = 0; k < depth; k++) sum += weights[k] * x[k];
#endif
    return sum;
}

/* ---- Layers ----------------------------------------------------------------------------------------------------------------- */

/* The outputs of rows that lie together, at 4 positions or 1. */
static void multiply(const reds_s8_layer *layer, const reds_s8_width *width, const reds_spread *spread, reds_range rows,
                     const int16_t *x, uint32_t pitch, uint32_t columns, int8_t *out, uint32_t positions) {
    const uint32_t area = (uint32_t)layer->window.kernel_h * layer->window.kernel_w;
    const reds_s8_channel *channel = width->channels + rows.table;
    const int8_t *weights = layer->weights + rows.first * layer->row;
    for (uint32_t r = 0; r < rows.count; r++, channel++, weights += layer->row, out += positions) {
        const int16_t *from = x;
        int32_t sum[4] = {0, 0, 0, 0};
        for (uint32_t n = 0; n < spread->reads; n++) {
            const uint32_t depth = REDS_ROUND4(spread->read[n].count * area);
            if (columns == 4) add_four(weights + spread->read[n].first, from, pitch, depth, sum);
            else sum[0] = add_one(weights + spread->read[n].first, from, depth, sum[0]);
            from += depth;
        }
        for (uint32_t c = 0; c < columns; c++) out[c] = (int8_t)finish(sum[c], channel, layer, width);
    }
}

/* By the convolution without ranges. */
static void direct(const reds_s8_layer *layer, const reds_s8_width *width, const reds_spread *spread, const int8_t *in, int8_t *out,
                   int16_t *scratch) {
    const uint32_t positions = (uint32_t)layer->window.out_h * layer->window.out_w, each = width->outputs / spread->groups;
    reds_s8_layer part = *layer;
    reds_s8_width some = *width;
    reds_rows at = {spread->make, 0};
    for (uint32_t g = 0; g < spread->groups; g++, in += width->inputs * layer->window.channel_step)
        for (uint32_t left = each; left != 0; left -= some.outputs, out += some.outputs * positions) {
            const reds_range rows = reds_next_rows(&at, left);
            part.weights = layer->weights + rows.first * layer->row;
            some.outputs = rows.count, some.channels = width->channels + rows.table;
            reds_s8_conv(&part, &some, in, out, scratch);
        }
}

void reds_s8_spread(const reds_s8_layer *layer, const reds_s8_width *width, const reds_spread *spread, const int8_t *in, int8_t *out,
                    int16_t *scratch) {
    const reds_window *const w = &layer->window;
    const uint32_t positions = (uint32_t)w->out_h * w->out_w, each = width->outputs / spread->groups;
    if (reds_is_direct(spread)) {
        direct(layer, width, spread, in, out, scratch);
        return;
    }
    for (uint32_t p = 0, columns; p < positions; p += columns) {
        columns = positions - p >= 4 ? 4 : 1;
        reds_rows at = {spread->make, 0};
        const int8_t *from = in;
        int8_t *to = out + p;
        for (uint32_t g = 0; g < spread->groups; g++, from += width->inputs * w->channel_step) {
            int16_t *end = scratch;
            for (uint32_t c = 0; c < columns; c++) end = gather(w, spread, width->in_zero, from, end, p + c);
            order(scratch, end);
            const uint32_t pitch = (uint32_t)(end - scratch) / columns;
            for (uint32_t left = each; left != 0;) {
                const reds_range rows = reds_next_rows(&at, left);
                multiply(layer, width, spread, rows, scratch, pitch, columns, to, positions);
                left -= rows.count, to += rows.count * positions;
            }
        }
    }
}

void reds_s8_depthwise_ranges(const reds_s8_layer *layer, const reds_s8_width *width, const reds_spread *spread, const int8_t *in,
                              int8_t *out, int16_t *scratch) {
    const uint32_t positions = (uint32_t)layer->window.out_h * layer->window.out_w;
    reds_s8_layer part = *layer;
    reds_s8_width some = *width;
    for (uint32_t n = 0; n < spread->makes; n++) {
        some.inputs = some.outputs = spread->make[n].count;
        if (some.outputs == 0) continue;
        some.channels = width->channels + spread->make[n].table;
        part.weights = layer->weights + spread->make[n].first * layer->row;
        reds_s8_depthwise(&part, &some, in, out, scratch);
        in += some.outputs * layer->window.channel_step, out += some.outputs * positions;
    }
}

void reds_s8_concat(const reds_s8_move *move, const int8_t *in, int8_t *out, uint32_t length) {
    const reds_s8_move m = *move;
    for (uint32_t k = 0; k < length; k++) {
        if (m.multiplier == 0) {
            out[k] = in[k];
            continue;
        }
        int32_t t = (in[k] - m.zero) * m.multiplier;
        if (m.slope != 0 && t < 0) t = reds_mulhi_add(2 * t, m.slope, 0);
        out[k] = (int8_t)reds_saturate((t + m.round) >> m.shift);
    }
}

void reds_s8_pad(const reds_window *window, uint32_t channels, const int8_t *in, int8_t *out, int32_t zero) {
    const reds_window *const w = window;
    for (uint32_t c = 0; c < channels; c++, in += w->channel_step)
        for (int32_t y = -(int32_t)w->pad_top; y < w->out_h - w->pad_top; y++)
            for (int32_t x = -(int32_t)w->pad_left; x < w->out_w - w->pad_left; x++)
                *out++ = y >= 0 && y < w->in_h && x >= 0 && x < w->in_w ? in[(uint32_t)y * w->row_step + (uint32_t)x * w->column_step]
                                                                         : (int8_t)zero;
}

void reds_s8_shuffle(const int8_t *in, int8_t *out, uint32_t groups, uint32_t each, uint32_t positions) {
    for (uint32_t j = 0; j < each; j++)
        for (uint32_t g = 0; g < groups; g++) {
            const int8_t *const from = in + (g * each + j) * positions;
            for (uint32_t p = 0; p < positions; p++) *out++ = from[p];
        }
}
