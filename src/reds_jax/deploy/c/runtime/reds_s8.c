/* int8 layers: dense and convolution as products of rows of weights with columns of inputs, depthwise as a sliding window.
 * See reds_kernels.h for what they compute, reds_s8_products.h for the inner loops. */
#include "reds_kernels.h"
#include "reds_s8_columns.h"
#include "reds_s8_math.h"
#include "reds_s8_mve.h"
#include "reds_s8_mve_conv.h"
#include "reds_s8_mve_depthwise.h"
#include "reds_s8_products.h"

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
    return layer->slope == 0 ? reds_requantise(sum, *channel, width->shift)
                             : reds_requantise_leaky(sum, *channel, layer->slope, width->round, width->shift);
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
    const uint32_t depth = REDS_ROUND4(width->inputs);
    expand(in, width->inputs, width->in_zero, scratch);
    for (uint32_t k = width->inputs; k < depth; k++) scratch[k] = 0;
    order(scratch, depth);
    multiply_one(layer, width, scratch, depth, out, 1);
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
    const uint32_t positions = (uint32_t)w->out_h * w->out_w;
    const uint32_t depth = REDS_ROUND4(width->inputs * w->kernel_h * w->kernel_w);
    const int pointwise = w->kernel_h == 1 && w->kernel_w == 1 && w->stride_h == 1 && w->stride_w == 1 && w->pad_top == 0 &&
                          w->pad_left == 0 && w->column_step == 1 && w->row_step == w->in_w && w->in_h == w->out_h && w->in_w == w->out_w;
    uint32_t p = 0;
    for (; !REDS_V6M && p + 4 <= positions; p += 4) { /* a Cortex-M0 has no registers for 4 columns */
        if (pointwise) gather_pointwise(in + p, width->inputs, w->channel_step, width->in_zero, scratch, depth);
        else gather_tile(layer, width, in, scratch, 4, depth, p);
        multiply_four(layer, width, scratch, depth, out + p, positions);
    }
    for (; p < positions; p++) { /* the positions that are left */
        gather_tile(layer, width, in, scratch, 1, depth, p);
        multiply_one(layer, width, scratch, depth, out + p, positions);
    }
}

/* ---- Depthwise -------------------------------------------------------------------------------------------------------------- */

/* kernel_h rows of one channel, with their padding, in the scratch: row y of the padded image lies at y % kernel_h. */
typedef struct {
    int16_t *start, *end, *to; /* ``to``: where the next row goes */
    const int8_t *image;
    int32_t next; /* the row of the image that comes next, negative above it */
    uint32_t pitch, columns;   /* entries of a row; columns of the image that a window reaches */
    const reds_window *window;
    int32_t zero;
} ring;

/* Takes in all rows above ``bottom``. */
static REDS_APART void ring_advance(ring *r, int32_t bottom) {
    const reds_window *const w = r->window;
    for (; r->next < bottom; r->next++) {
        int16_t *const to = r->to;
        if (r->next < 0 || r->next >= w->in_h) {
            for (uint32_t k = 0; k < r->pitch; k++) to[k] = 0;
        } else {
            const int8_t *const from = r->image + (uint32_t)r->next * w->row_step;
            if (w->column_step == 1) expand(from, r->columns, r->zero, to + w->pad_left);
            else
                for (uint32_t k = 0; k < r->columns; k++) to[w->pad_left + k] = (int16_t)(from[k * w->column_step] - r->zero);
        }
        r->to = to + r->pitch == r->end ? r->start : to + r->pitch;
    }
}

/* What a 3x3 window needs for one channel. */
typedef struct {
#if REDS_SIMD32
    int16x2_t w01[3], w12[3]; /* of each row, the pairs (w0, w1) and (w1, w2) */
#else
    const int8_t *weights;
#endif
    reds_s8_channel channel;
    int32_t slope, round, shift;
    uint32_t stride, count;
} slide;

static inline void slide_weights(slide *s, const int8_t *weights) {
#if REDS_SIMD32
    for (int k = 0; k < 3; k++, weights += 3) {
        s->w01[k] = reds_lows(weights[0], weights[1]);
        s->w12[k] = reds_lows(weights[1], weights[2]);
    }
#else
    s->weights = weights;
#endif
}

static inline int32_t slide_finish(const slide *s, int32_t sum) {
    return s->slope == 0 ? reds_requantise(sum, s->channel, s->shift)
                         : reds_requantise_leaky(sum, s->channel, s->slope, s->round, s->shift);
}

#if REDS_SIMD32
/* One row of outputs. The inputs come as the pairs (x0, x1) and (x2, x3), which is enough for two outputs if the stride is 1. */
static REDS_APART void slide_3x3(const slide *s, const int16_t *const *rows, int8_t *out) {
    const int16_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2];
    const int16x2_t w01_0 = s->w01[0], w01_1 = s->w01[1], w01_2 = s->w01[2];
    const int16x2_t w12_0 = s->w12[0], w12_1 = s->w12[1], w12_2 = s->w12[2];
    int8_t *const end = out + s->count;
    int16x2_t a, b;
#define ONE(row, k)                             \
    REDS_LOAD_TWO(a, b, row, 4);                \
    first = __smlabt(b, w12_##k, __smlad(a, w01_##k, first));
#define TWO(row, k) ONE(row, k) second = __smlad(b, w12_##k, __smlatb(a, w01_##k, second));
    if (s->stride == 1) {
        for (; end - out >= 2; out += 2) {
            const reds_s8_channel channel = s->channel;
            const int32_t shift = s->shift;
            int32_t first = 0, second = 0;
            TWO(r0, 0) TWO(r1, 1) TWO(r2, 2)
            if (s->slope == 0) {
                out[0] = (int8_t)reds_requantise(first, channel, shift);
                out[1] = (int8_t)reds_requantise(second, channel, shift);
            } else {
                out[0] = (int8_t)reds_requantise_leaky(first, channel, s->slope, s->round, shift);
                out[1] = (int8_t)reds_requantise_leaky(second, channel, s->slope, s->round, shift);
            }
        }
    }
    while (out != end) {
        int32_t first = 0;
        ONE(r0, 0) ONE(r1, 1) ONE(r2, 2)
        *out++ = (int8_t)slide_finish(s, first);
    }
#undef ONE
#undef TWO
}
#else
static REDS_APART void slide_3x3(const slide *s, const int16_t *const *rows, int8_t *out) {
    const int16_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2];
    const int8_t *const w = s->weights;
    const int32_t w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3], w4 = w[4], w5 = w[5], w6 = w[6], w7 = w[7], w8 = w[8];
    for (uint32_t k = 0; k < s->count; k++, r0 += s->stride, r1 += s->stride, r2 += s->stride)
        out[k] = (int8_t)slide_finish(s, w0 * r0[0] + w1 * r0[1] + w2 * r0[2] + w3 * r1[0] + w4 * r1[1] + w5 * r1[2] +
                                             w6 * r2[0] + w7 * r2[1] + w8 * r2[2]);
}
#endif

/* One row of outputs of any window; its first row lies at slot ``slot`` of the ring. */
static REDS_APART void slide_any(const reds_s8_layer *layer, const reds_s8_width *width, uint32_t o, const ring *r, uint32_t slot,
                                 int8_t *out) {
    const reds_window *const w = &layer->window;
    for (uint32_t ox = 0; ox < w->out_w; ox++) {
        const int8_t *weight = layer->weights + o * layer->row;
        const int16_t *row = r->start + slot * r->pitch + ox * w->stride_w;
        int32_t sum = 0;
        for (uint32_t ky = 0; ky < w->kernel_h; ky++) {
            for (uint32_t kx = 0; kx < w->kernel_w; kx++) sum += *weight++ * row[kx];
            row = slot + ky + 1 == w->kernel_h ? r->start + ox * w->stride_w : row + r->pitch;
        }
        out[ox] = (int8_t)finish(sum, width->channels + o, layer, width);
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
    const uint32_t pitch = REDS_ROUND4((w->out_w - 1u) * w->stride_w + w->kernel_w);
    ring r;
    r.start = scratch, r.end = scratch + w->kernel_h * pitch, r.pitch = pitch, r.window = w, r.zero = width->in_zero;
    r.columns = pitch <= w->pad_left ? 0 : pitch - w->pad_left < w->in_w ? pitch - w->pad_left : w->in_w;
    for (int16_t *k = r.start; k != r.end; k++) *k = 0; /* once for all channels: the zeros left and right stay */
    const int fast = w->kernel_h == 3 && w->kernel_w == 3 && w->stride_w <= 2;
    const int16_t *const second = scratch + (fast ? pitch : 0), *const third = second + (fast ? pitch : 0);
    const int16_t *const rows[5] = {scratch, second, third, scratch, second};
    slide s;
    s.slope = layer->slope, s.round = width->round, s.shift = width->shift, s.stride = w->stride_w, s.count = w->out_w;
    for (uint32_t o = 0; o < width->outputs; o++, in += w->channel_step) {
        uint32_t slot = 0; /* where the first row of the window lies in the ring */
        r.to = scratch, r.image = in, r.next = -(int32_t)w->pad_top;
        if (fast) slide_weights(&s, layer->weights + o * layer->row);
        s.channel = width->channels[o];
        int32_t bottom = w->kernel_h - w->pad_top;
        for (uint32_t oy = 0; oy < w->out_h; oy++, bottom += w->stride_h, out += w->out_w) {
            ring_advance(&r, bottom);
            if (fast) slide_3x3(&s, rows + slot, out);
            else slide_any(layer, width, o, &r, slot, out);
            for (slot += w->stride_h; slot >= w->kernel_h;) slot -= w->kernel_h;
        }
    }
}

/* ---- Layers without weights ------------------------------------------------------------------------------------------------- */

/* The part [first, last) of a window of length ``kernel`` at ``start`` that lies inside an image of length ``length``. */
static void clip(int32_t start, int32_t kernel, int32_t length, int32_t *first, int32_t *last) {
    *first = start < 0 ? 0 : start;
    *last = start + kernel > length ? length : start + kernel;
    if (*last < *first) *last = *first;
}

void reds_s8_max_pool(const reds_window *window, uint32_t channels, const int8_t *in, int8_t *out) {
    const reds_window *const w = window;
    for (uint32_t c = 0; c < channels; c++, in += w->channel_step)
        for (uint32_t oy = 0; oy < w->out_h; oy++)
            for (uint32_t ox = 0; ox < w->out_w; ox++) {
                int32_t top, bottom, left, right;
                int8_t best = -128;
                clip((int32_t)(oy * w->stride_h) - w->pad_top, w->kernel_h, w->in_h, &top, &bottom);
                clip((int32_t)(ox * w->stride_w) - w->pad_left, w->kernel_w, w->in_w, &left, &right);
                for (int32_t y = top; y < bottom; y++)
                    for (int32_t x = left; x < right; x++) {
                        const int8_t value = in[(uint32_t)y * w->row_step + (uint32_t)x * w->column_step];
                        if (value > best) best = value;
                    }
                *out++ = best;
            }
}

void reds_s8_avg_pool(const reds_window *window, const reds_s8_mean *mean, uint32_t channels, const int8_t *in, int8_t *out) {
    const reds_window *const w = window;
    const int32_t full = (int32_t)w->kernel_h * w->kernel_w;
    for (uint32_t c = 0; c < channels; c++, in += w->channel_step)
        for (uint32_t oy = 0; oy < w->out_h; oy++)
            for (uint32_t ox = 0; ox < w->out_w; ox++) {
                int32_t top, bottom, left, right, total = 0;
                clip((int32_t)(oy * w->stride_h) - w->pad_top, w->kernel_h, w->in_h, &top, &bottom);
                clip((int32_t)(ox * w->stride_w) - w->pad_left, w->kernel_w, w->in_w, &left, &right);
#if REDS_MVE
                if (w->column_step == 1 && top < bottom && left < right)
                    total = reds_mve_sum_of_window(w, in, top, bottom, left, right);
                else
#endif
                for (int32_t y = top; y < bottom; y++)
                    for (int32_t x = left; x < right; x++)
                        total += in[(uint32_t)y * w->row_step + (uint32_t)x * w->column_step];
                const int32_t count = (bottom - top) * (right - left);
                total -= count * mean->in_zero;
                if (count < full && count > 0) { /* cut by the border: as if the window were filled up with its own mean */
                    const int64_t whole = (int64_t)total * full;
                    total = (int32_t)((whole + (whole < 0 ? -count : count) / 2) / count);
                }
                *out++ = (int8_t)reds_saturate(reds_mulhi_add(total, mean->multiplier, mean->offset) >> mean->shift);
            }
}

void reds_s8_add(const reds_s8_sum *sum, const int8_t *a, const int8_t *b, int8_t *out, uint32_t length) {
#if REDS_MVE
    reds_mve_add(sum, a, b, out, length);
#else
    const reds_s8_sum s = *sum;
    for (uint32_t k = 0; k < length; k++) {
        int32_t t = (a[k] - s.a_zero) * s.a_multiplier + (b[k] - s.b_zero) * s.b_multiplier;
        if (s.slope != 0 && t < 0) t = reds_mulhi_add(2 * t, s.slope, 0);
        out[k] = (int8_t)reds_saturate((t + s.round) >> s.shift);
    }
#endif
}

void reds_s8_channel_first(const int8_t *in, int8_t *out, uint32_t positions, uint32_t channels) {
    for (uint32_t c = 0; c < channels; c++)
        for (uint32_t p = 0; p < positions; p++) *out++ = in[p * channels + c];
}
