/* int8 layers: dense and convolution as products of rows of weights with columns of inputs, depthwise as a sliding window.
 * See reds_kernels.h for what they compute, reds_s8_products.h for the inner loops, reds_s8_mve.h for cores with Helium. */
#include "reds_kernels.h"
#include "reds_s8_columns.h"
#include "reds_s8_math.h"
#include "reds_s8_mve.h"
#include "reds_s8_mve_conv.h"
#include "reds_s8_mve_depthwise.h"
#include "reds_s8_products.h"
#include "reds_s8_slide.h"

/* Four outputs, ``step`` bytes apart; their channels are the same (each = 0) or follow each other (each = 1). */
static inline void store_four(const int32_t *sum, const reds_s8_channel *channels, uint32_t each, const reds_s8_layer *layer,
                              const reds_s8_width *width, int8_t *out, uint32_t step) {
    const reds_s8_channel c0 = channels[0], c1 = channels[each], c2 = channels[2 * each], c3 = channels[3 * each];
    const int32_t slope = layer->slope, shift = width->shift;
    if (slope == 0) {
        out[0] = (int8_t)reds_requantise(sum[0], c0, shift);
        out[step] = (int8_t)reds_requantise(sum[1], c1, shift);
        out[2 * step] = (int8_t)reds_requantise(sum[2], c2, shift);
        out[3 * step] = (int8_t)reds_requantise(sum[3], c3, shift);
    } else {
        out[0] = (int8_t)reds_requantise_leaky(sum[0], c0, slope, width->round, shift);
        out[step] = (int8_t)reds_requantise_leaky(sum[1], c1, slope, width->round, shift);
        out[2 * step] = (int8_t)reds_requantise_leaky(sum[2], c2, slope, width->round, shift);
        out[3 * step] = (int8_t)reds_requantise_leaky(sum[3], c3, slope, width->round, shift);
    }
}

static inline int32_t finish(int32_t sum, const reds_s8_channel *channel, const reds_s8_layer *layer, const reds_s8_width *width) {
    return reds_finish(sum, *channel, layer->slope, width->round, width->shift);
}

/* ---- Matrix times columns --------------------------------------------------------------------------------------------------- */

/* All outputs of one position, ``step`` bytes apart. */
static REDS_APART void multiply_one(const reds_s8_layer *layer, const reds_s8_width *width, const int16_t *column, uint32_t depth,
                                    int8_t *out, uint32_t step) {
    const reds_s8_channel *channel = width->channels;
    const reds_s8_channel *const end = channel + width->outputs;
    const int8_t *weights = layer->weights;
    for (; end - channel >= 4; channel += 4, weights += 4 * layer->row, out += 4 * step) {
        int32_t sum[4];
        reds_four_rows(weights, layer->row, column, depth, sum);
        store_four(sum, channel, 1, layer, width, out, step);
    }
    for (; channel != end; channel++, weights += layer->row, out += step)
        *out = (int8_t)finish(reds_one_row(weights, column, depth), channel, layer, width);
}

/* All outputs of 4 positions that follow each other; those of the next channel lie ``step`` bytes further. */
static REDS_APART void multiply_four(const reds_s8_layer *layer, const reds_s8_width *width, const int16_t *tile, uint32_t depth,
                                     int8_t *out, uint32_t step) {
    const reds_s8_channel *channel = width->channels;
    const reds_s8_channel *const end = channel + width->outputs;
    const int8_t *weights = layer->weights;
    for (; channel != end; channel++, weights += layer->row, out += step) {
        int32_t sum[4];
        reds_four_columns(weights, tile, depth, sum);
        store_four(sum, channel, 0, layer, width, out, 1);
    }
}

/* ---- Layers ----------------------------------------------------------------------------------------------------------------- */

void reds_s8_dense(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int8_t *out, int16_t *scratch) {
#if REDS_MVE
    (void)scratch;
    for (uint32_t o = 0; o < width->outputs; o++) {
        const int32_t sum = reds_mve_product(layer->weights + o * layer->row, in, width->in_zero, width->inputs);
        out[o] = (int8_t)finish(sum, width->channels + o, layer, width);
    }
#else
    gather_point(in, width->inputs, 1, width->in_zero, scratch, 4);
    multiply_one(layer, width, scratch, REDS_ROUND4(width->inputs), out, 1);
#endif
}

void reds_s8_conv(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int8_t *out, int16_t *scratch) {
#if REDS_MVE
    if (reds_mve_fits(&layer->window, width->inputs)) {
        reds_mve_conv(layer, width, in, out, scratch);
        return;
    }
#endif
    const reds_window *const w = &layer->window;
    const uint32_t positions = (uint32_t)w->out_h * w->out_w, inputs = width->inputs;
    const uint32_t depth = REDS_ROUND4(inputs * w->kernel_h * w->kernel_w);
    const uint32_t tiled = REDS_V6M ? 0 : positions / 4 * 4; /* a Cortex-M0 has no registers for 4 columns */
    const int point = w->kernel_h == 1 && w->kernel_w == 1;
    int8_t *const line = (int8_t *)(scratch + 4 * depth);
#if REDS_SIMD32
    int16_t *const offsets = scratch + 4 * depth + REDS_S8_LINE(depth) / 2;
    const int four = gathers_four(w);
#endif
    uint32_t p = 0;
    reds_rows rows;
    if (!point) rows = rows_of(w, in, inputs, width->in_zero, line + REDS_S8_LINE(depth) + 16 * w->kernel_h);
    else if (w->stride_h == 1 && w->stride_w == 1 && w->column_step == 1 && w->row_step == w->in_w && w->in_w == w->out_w)
        for (; p < tiled; p += 4) {
            gather_pointwise(in + p, inputs, w->channel_step, width->in_zero, scratch);
            multiply_four(layer, width, scratch, depth, out + p, positions);
        }
    for (uint32_t oy = p / w->out_w, ox = p - oy * w->out_w; p < positions; p++) {
        const uint32_t c = p < tiled ? p & 3u : 0, hop = REDS_SIMD32 && p < tiled ? 16 : 4;
        int16_t *const column = scratch + c * (REDS_SIMD32 ? 4u : depth);
        if (point)
            gather_point(in + oy * w->stride_h * w->row_step + ox * w->stride_w * w->column_step, inputs, w->channel_step,
                         width->in_zero, column, hop);
        else {
            if (ox == 0) rows_advance(&rows, (int32_t)(oy * w->stride_h) - w->pad_top + w->kernel_h);
#if REDS_SIMD32
            if (four && ox == 0) find_rows(&rows, offsets);
            if (four && c == 0 && p < tiled && ox + 4 <= w->out_w) {
                gather_four(&rows, offsets, ox * w->stride_w, scratch);
                multiply_four(layer, width, scratch, depth, out + p, positions);
                p += 3;
                if ((ox += 4) == w->out_w) ox = 0, oy++;
                continue;
            }
#endif
            gather(&rows, ox * w->stride_w, line, depth, column, hop);
        }
        if (p >= tiled) multiply_one(layer, width, scratch, depth, out + p, positions);
        else if (c == 3) multiply_four(layer, width, scratch, depth, out + p - 3, positions);
        if (++ox == w->out_w) ox = 0, oy++;
    }
}

void reds_s8_depthwise(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int8_t *out, int16_t *scratch) {
#if REDS_MVE
    if (reds_mve_slides(&layer->window)) {
        reds_mve_depthwise(layer, width, in, out, scratch);
        return;
    }
#endif
    const reds_window *const w = &layer->window;
    const uint32_t pitch = REDS_PITCH(w->kernel_w, w->stride_w, w->out_w);
    const uint32_t held = REDS_S8_DEPTHWISE_ROWS(w->kernel_h, w->stride_h, w->out_h, pitch);
    const uint32_t most = (held - w->kernel_h) / w->stride_h + 1; /* rows of outputs at a time */
    const int fast = w->kernel_h == 3 && w->kernel_w == 3 && w->stride_w <= 2;
    const reds_slide s = {w, pitch, layer->slope, width->round, width->shift};
    clear(scratch, held * pitch);
    for (uint32_t o = 0; o < width->outputs; o++, in += w->channel_step) {
        const reds_s8_channel channel = width->channels[o];
        const int8_t *const weights = layer->weights + o * layer->row;
#if REDS_SIMD32
        int16_t *const pairs = scratch + held * pitch;
        if (!fast) slide_pairs(w, weights, pairs);
#else
        const int8_t *const pairs = weights;
#endif
        for (uint32_t oy = 0, rows; oy < w->out_h; oy += rows, out += rows * w->out_w) {
            rows = w->out_h - oy < most ? w->out_h - oy : most;
            slide_rows(&s, in, width->in_zero, (int32_t)(oy * w->stride_h) - w->pad_top, rows, most < w->out_h, scratch);
            if (fast) slide_3x3(&s, weights, channel, scratch, rows, out);
            else slide_any(&s, pairs, channel, scratch, rows, out);
        }
    }
}

/* ---- Layers without weights ------------------------------------------------------------------------------------------------- */

/* The part [first, last) of a window of length ``kernel`` at ``start`` that lies inside an image of length ``length``. */
static inline void clip(int32_t start, int32_t kernel, int32_t length, int32_t *first, int32_t *last) {
    *first = start < 0 ? 0 : start;
    *last = start + kernel > length ? length : start + kernel;
    if (*last < *first) *last = *first;
}

#if REDS_SIMD32
/* The largest byte of a window up to 4 wide, in the lowest byte; whole words are read. */
static inline uint32_t max_of(const int8_t *row, uint32_t step, int32_t rows, uint32_t width) {
    const uint32_t beyond = width == 4 ? 0 : ~0u << 8 * width, least = reds_four_times(-128);
    uint32_t best = least;
    for (; rows > 0; rows--, row += step) best = reds_max_bytes(best, reds_word(row));
    best = (best & ~beyond) | (least & beyond);
    best = reds_max_bytes(best, best >> 16);
    return reds_max_bytes(best, best >> 8);
}
#endif

void reds_s8_max_pool(const reds_window *window, uint32_t channels, const int8_t *in, int8_t *out) {
    const reds_window w = *window; /* a copy: the compiler need not read it again after each output */
    for (uint32_t c = 0; c < channels; c++, in += w.channel_step)
        for (uint32_t oy = 0; oy < w.out_h; oy++) {
            int32_t top, bottom, left, right, x = -(int32_t)w.pad_left;
            clip((int32_t)(oy * w.stride_h) - w.pad_top, w.kernel_h, w.in_h, &top, &bottom);
            const int8_t *const rows = in + (uint32_t)top * w.row_step;
            for (uint32_t ox = 0; ox < w.out_w; ox++, x += w.stride_w) {
#if REDS_SIMD32
                if (w.kernel_w <= 4 && w.column_step == 1 && x >= 0 && x + 4 <= w.in_w) {
                    *out++ = (int8_t)max_of(rows + x, w.row_step, bottom - top, w.kernel_w);
                    continue;
                }
#endif
                clip(x, w.kernel_w, w.in_w, &left, &right);
                const int8_t *row = rows + (uint32_t)left * w.column_step;
                int8_t best = -128;
                for (int32_t y = top; y < bottom; y++, row += w.row_step) {
                    const int8_t *at = row;
                    for (int32_t k = left; k < right; k++, at += w.column_step)
                        if (*at > best) best = *at;
                }
                *out++ = best;
            }
        }
}

/* The sum of ``count`` bytes that lie ``step`` bytes apart. */
static inline int32_t sum_of(const int8_t *from, uint32_t count, uint32_t step) {
    int32_t total = 0;
#if REDS_MVE
    if (step == 1 && count != 0) return reds_mve_sum(from, count);
#elif REDS_SIMD32
    if (step == 1) {
        const int8_t *const words = from + count / 4 * 4;
        uint32_t sum = 0; /* of the bytes with 128 added, which have no sign */
        for (; from != words; from += 4) sum = reds_usada8(reds_word(from) ^ 0x80808080u, 0, sum);
        total = (int32_t)sum - (int32_t)(count / 4 * 4 * 128);
        count %= 4;
    }
#endif
    for (; count != 0; count--, from += step) total += *from;
    return total;
}

void reds_s8_avg_pool(const reds_window *window, const reds_s8_mean *mean, uint32_t channels, const int8_t *in, int8_t *out) {
    const reds_s8_mean m = *mean;
    const reds_window w = *window; /* a copy: the compiler need not read it again after each output */
    const int32_t full = (int32_t)w.kernel_h * w.kernel_w;
    for (uint32_t c = 0; c < channels; c++, in += w.channel_step)
        for (uint32_t oy = 0; oy < w.out_h; oy++) {
            int32_t top, bottom, left, right;
            clip((int32_t)(oy * w.stride_h) - w.pad_top, w.kernel_h, w.in_h, &top, &bottom);
            const int8_t *const rows = in + (uint32_t)top * w.row_step;
            for (uint32_t ox = 0; ox < w.out_w; ox++) {
                clip((int32_t)(ox * w.stride_w) - w.pad_left, w.kernel_w, w.in_w, &left, &right);
                const uint32_t height = (uint32_t)(bottom - top), across = (uint32_t)(right - left);
                const int8_t *row = rows + (uint32_t)left * w.column_step;
                const int32_t count = (int32_t)(height * across);
                int32_t total = -count * m.in_zero;
                if (across * w.column_step == w.row_step) total += sum_of(row, height * across, w.column_step); /* one piece */
                else if (across >= 4)
                    for (uint32_t y = height; y != 0; y--, row += w.row_step) total += sum_of(row, across, w.column_step);
                else
                    for (uint32_t y = height; y != 0; y--, row += w.row_step)
                        for (uint32_t x = 0, at = 0; x < across; x++, at += w.column_step) total += row[at];
                if (count < full && count > 0) { /* cut by the border: as if the window were filled up with its own mean */
                    const int64_t whole = (int64_t)total * full;
                    total = (int32_t)((whole + (whole < 0 ? -count : count) / 2) / count);
                }
                *out++ = (int8_t)reds_saturate(reds_mulhi_add(total, m.multiplier, m.offset) >> m.shift);
            }
        }
}

void reds_s8_add(const reds_s8_sum *sum, const int8_t *a, const int8_t *b, int8_t *out, uint32_t length) {
#if REDS_MVE
    reds_mve_add(sum, a, b, out, length);
#else
    const reds_s8_sum s = *sum;
    const int32_t zeros = -(s.a_zero * s.a_multiplier + s.b_zero * s.b_multiplier), base = zeros + s.round;
    if (s.slope == 0)
        for (uint32_t k = 0; k < length; k++)
            out[k] = (int8_t)reds_saturate((a[k] * s.a_multiplier + (b[k] * s.b_multiplier + base)) >> s.shift);
    else
        for (uint32_t k = 0; k < length; k++) {
            int32_t t = a[k] * s.a_multiplier + b[k] * s.b_multiplier + zeros;
            if (t < 0) t = reds_mulhi_add(2 * t, s.slope, 0);
            out[k] = (int8_t)reds_saturate((t + s.round) >> s.shift);
        }
#endif
}

void reds_s8_channel_first(const int8_t *in, int8_t *out, uint32_t positions, uint32_t channels) {
    for (uint32_t c = 0; c < channels; c++)
        for (uint32_t p = 0; p < positions; p++) *out++ = in[p * channels + c];
}
