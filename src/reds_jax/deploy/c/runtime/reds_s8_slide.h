/* A window that slides over one channel: the depthwise layers. Internal, included by reds_s8.c alone.
 *
 * The rows of the channel lie in the scratch as 16-bit numbers, with the zero point taken off and zeros for the padding, one below
 * the other, ``pitch`` entries apart: all of them where they are few, else as many as REDS_S8_DEPTHWISE_ROWS tells. */
#ifndef REDS_S8_SLIDE_H
#define REDS_S8_SLIDE_H

#include "reds_s8_math.h"

/* What does not change from channel to channel. */
typedef struct {
    const reds_window *window;
    uint32_t pitch;
    int32_t slope, round, shift;
} reds_slide;

/* ``count`` bytes that lie ``step`` bytes apart, as 16-bit numbers without their zero point */
static inline void expand(const int8_t *in, uint32_t step, uint32_t count, int32_t zero, int16_t *to) {
#if REDS_SIMD32
    const uint32_t minus = reds_twice(-zero);
    if (step == 1)
        for (; count >= 4; count -= 4, in += 4, to += 4) {
            const uint32_t word = reds_word(in);
            const uint32_t even = reds_add_bytes_0_2(minus, word), odd = reds_add_bytes_1_3(minus, word);
            reds_store(to, reds_lows(even, odd)), reds_store(to + 2, reds_highs(even, odd));
        }
#endif
    for (; count != 0; count--, in += step) *to++ = (int16_t)(*in - zero);
}

static inline int32_t slide_finish(const reds_slide *s, reds_s8_channel channel, int32_t sum) {
    return s->slope == 0 ? reds_requantise(sum, channel, s->shift)
                         : reds_requantise_leaky(sum, channel, s->slope, s->round, s->shift);
}

#if REDS_SIMD32
/* 3x3. The inputs come as the pairs (x0, x1) and (x2, x3), which is enough for two outputs if the stride is 1. */
static REDS_APART void slide_3x3(const reds_slide *s, const int8_t *weights, reds_s8_channel channel, const int16_t *image,
                                 uint32_t rows, int8_t *out) {
    const uint32_t w01_0 = reds_lows((uint32_t)weights[0], (uint32_t)weights[1]), w12_0 = reds_lows((uint32_t)weights[1], (uint32_t)weights[2]);
    const uint32_t w01_1 = reds_lows((uint32_t)weights[3], (uint32_t)weights[4]), w12_1 = reds_lows((uint32_t)weights[4], (uint32_t)weights[5]);
    const uint32_t w01_2 = reds_lows((uint32_t)weights[6], (uint32_t)weights[7]), w12_2 = reds_lows((uint32_t)weights[7], (uint32_t)weights[8]);
    const uint32_t step = s->window->stride_h * s->pitch, out_w = s->window->out_w;
    const uint32_t pairs = s->window->stride_w == 1 ? out_w / 2 * 2 : 0;
    const int32_t shift = s->shift;
    uint32_t a, b;
#define ONE(row, k)                             \
    REDS_LOAD_TWO(a, b, row, 4);                \
    first = reds_smlabt(b, w12_##k, reds_smlad(a, w01_##k, first));
#define TWO(row, k) ONE(row, k) second = reds_smlad(b, w12_##k, reds_smlatb(a, w01_##k, second));
    for (; rows != 0; rows--, image += step) {
        const int16_t *r0 = image, *r1 = r0 + s->pitch, *r2 = r1 + s->pitch;
        const int8_t *const end = out + out_w;
        if (s->slope == 0) {
            for (const int8_t *const last = out + pairs; out != last; out += 2) {
                int32_t first = 0, second = 0;
                TWO(r0, 0) TWO(r1, 1) TWO(r2, 2)
                out[0] = (int8_t)reds_requantise(first, channel, shift);
                out[1] = (int8_t)reds_requantise(second, channel, shift);
            }
            while (out != end) {
                int32_t first = 0;
                ONE(r0, 0) ONE(r1, 1) ONE(r2, 2)
                *out++ = (int8_t)reds_requantise(first, channel, shift);
            }
        } else {
            for (const int8_t *const last = out + pairs; out != last; out += 2) {
                int32_t first = 0, second = 0;
                TWO(r0, 0) TWO(r1, 1) TWO(r2, 2)
                out[0] = (int8_t)reds_requantise_leaky(first, channel, s->slope, s->round, shift);
                out[1] = (int8_t)reds_requantise_leaky(second, channel, s->slope, s->round, shift);
            }
            while (out != end) {
                int32_t first = 0;
                ONE(r0, 0) ONE(r1, 1) ONE(r2, 2)
                *out++ = (int8_t)reds_requantise_leaky(first, channel, s->slope, s->round, shift);
            }
        }
    }
#undef ONE
#undef TWO
}

/* The weights of a channel as pairs of 16-bit numbers; a row that is odd is filled up with 0. */
static inline void slide_pairs(const reds_window *w, const int8_t *weights, int16_t *to) {
    for (uint32_t y = 0; y < w->kernel_h; y++) {
        for (uint32_t x = 0; x < w->kernel_w; x++) *to++ = *weights++;
        if (w->kernel_w & 1u) *to++ = 0;
    }
}

/* Any window; its weights come as pairs. Four outputs share a load of them. */
static REDS_APART void slide_any(const reds_slide *s, const int16_t *weights, reds_s8_channel channel, const int16_t *image,
                                 uint32_t rows, int8_t *out) {
    const uint32_t kernel_h = s->window->kernel_h, across = (s->window->kernel_w + 1u) / 2u, stride = s->window->stride_w;
    for (; rows != 0; rows--, image += s->window->stride_h * s->pitch) {
        const int16_t *at = image;
        for (uint32_t left = s->window->out_w; left != 0; at += 4 * stride) {
            const uint32_t n = left < 4 ? left : 4; /* beyond the end of the row the last one is repeated */
            const uint32_t second = n > 1 ? stride : 0, third = n > 2 ? 2 * stride : 0, fourth = n > 3 ? 3 * stride : 0;
            int32_t sum[4] = {0, 0, 0, 0};
            const int16_t *pair = weights, *row = at;
            for (uint32_t y = kernel_h; y != 0; y--, row += s->pitch) {
                const int16_t *x = row;
                for (const int16_t *const end = pair + 2 * across; pair != end; pair += 2, x += 2) {
                    const uint32_t w = reds_pair(pair);
                    sum[0] = reds_smlad(reds_pair(x), w, sum[0]);
                    sum[1] = reds_smlad(reds_pair(x + second), w, sum[1]);
                    sum[2] = reds_smlad(reds_pair(x + third), w, sum[2]);
                    sum[3] = reds_smlad(reds_pair(x + fourth), w, sum[3]);
                }
            }
            for (uint32_t k = 0; k < n; k++) *out++ = (int8_t)slide_finish(s, channel, sum[k]);
            left -= n;
        }
    }
}
#else
static REDS_APART void slide_3x3(const reds_slide *s, const int8_t *weights, reds_s8_channel channel, const int16_t *image,
                                 uint32_t rows, int8_t *out) {
    const int32_t w0 = weights[0], w1 = weights[1], w2 = weights[2], w3 = weights[3], w4 = weights[4], w5 = weights[5],
                  w6 = weights[6], w7 = weights[7], w8 = weights[8];
    const uint32_t stride = s->window->stride_w;
    for (; rows != 0; rows--, image += s->window->stride_h * s->pitch) {
        const int16_t *r0 = image, *r1 = r0 + s->pitch, *r2 = r1 + s->pitch;
        for (const int8_t *const end = out + s->window->out_w; out != end; r0 += stride, r1 += stride, r2 += stride)
            *out++ = (int8_t)slide_finish(s, channel, w0 * r0[0] + w1 * r0[1] + w2 * r0[2] + w3 * r1[0] + w4 * r1[1] + w5 * r1[2] +
                                                          w6 * r2[0] + w7 * r2[1] + w8 * r2[2]);
    }
}

static REDS_APART void slide_any(const reds_slide *s, const int8_t *weights, reds_s8_channel channel, const int16_t *image,
                                 uint32_t rows, int8_t *out) {
    const uint32_t kernel_h = s->window->kernel_h, kernel_w = s->window->kernel_w;
    for (; rows != 0; rows--, image += s->window->stride_h * s->pitch) {
        const int16_t *at = image;
        for (const int8_t *const end = out + s->window->out_w; out != end; at += s->window->stride_w) {
            const int8_t *w = weights;
            const int16_t *row = at;
            int32_t sum = 0;
            for (uint32_t y = kernel_h; y != 0; y--, row += s->pitch)
                for (uint32_t x = 0; x < kernel_w; x++) sum += *w++ * row[x];
            *out++ = (int8_t)slide_finish(s, channel, sum);
        }
    }
}
#endif

/* The rows of one channel that ``rows`` rows of outputs reach, the first of them row ``top`` of the image. What lies left and right
 * of the image is 0 already; so is what lies above and below it, unless the scratch held other rows (``again``). */
static REDS_APART void slide_rows(const reds_slide *s, const int8_t *in, int32_t zero, int32_t top, uint32_t rows, int again,
                                  int16_t *to) {
    const reds_window *const w = s->window;
    const uint32_t pitch = s->pitch, inside = pitch - w->pad_left < w->in_w ? pitch - w->pad_left : w->in_w;
    for (const int32_t bottom = top + (int32_t)((rows - 1) * w->stride_h + w->kernel_h); top < bottom; top++, to += pitch) {
        if (top >= 0 && top < w->in_h) expand(in + (uint32_t)top * w->row_step, w->column_step, inside, zero, to + w->pad_left);
        else if (again)
            for (uint32_t k = 0; k < pitch; k++) to[k] = 0;
    }
}

#endif
