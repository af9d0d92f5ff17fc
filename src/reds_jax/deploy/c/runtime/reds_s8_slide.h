/* A window that slides over one channel: the depthwise layers. Internal, included by reds_s8.c alone.
 *
 * The rows of the channel lie in the scratch as 16-bit numbers, with the zero point taken off and zeros for the padding, one below
 * the other, ``pitch`` entries apart: all of them where they are few, else as many as REDS_S8_DEPTHWISE_ROWS tells. */
#ifndef REDS_S8_SLIDE_H
#define REDS_S8_SLIDE_H

#include "reds_s8_square.h"

/* ``rows`` rows of ``count`` bytes as 16-bit numbers without their zero point. The bytes lie ``step`` bytes apart, the rows begin
 * ``row_step`` bytes apart, and come ``pitch`` entries apart. */
static inline void expand(const int8_t *in, uint32_t rows, uint32_t row_step, uint32_t count, uint32_t step, int32_t zero,
                          int16_t *to, uint32_t pitch) {
    for (; rows != 0; rows--, in += row_step, to += pitch)
        for (uint32_t k = 0, at = 0; k < count; k++, at += step) to[k] = (int16_t)(in[at] - zero);
}

#if REDS_SIMD32
/* The same for bytes side by side, 4 or more. */
static REDS_APART void expand_words(const int8_t *in, uint32_t rows, uint32_t over, uint32_t count, int32_t zero, int16_t *to,
                                    uint32_t skip) {
    const uint32_t minus = reds_twice(-zero);
    do {
        uint32_t left = count;
        do {
            const uint32_t word = reds_word(in);
            const uint32_t even = reds_add_bytes_0_2(minus, word), odd = reds_add_bytes_1_3(minus, word);
            reds_store(to, reds_lows(even, odd)), reds_store(to + 2, reds_highs(even, odd));
            in += 4, to += 4, left -= 4;
        } while (left >= 4);
        for (; left != 0; left--) *to++ = (int16_t)(*in++ - zero);
        in += over, to += skip;
    } while (--rows != 0);
}
#endif

#if REDS_SIMD32
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
    const uint32_t kernel_h = s->window->kernel_h, kernel_w = s->window->kernel_w, pitch = s->pitch, stride = s->window->stride_w;
    for (; rows != 0; rows--, image += s->window->stride_h * pitch) {
        const int16_t *at = image;
        for (uint32_t left = s->window->out_w; left != 0; at += 4 * stride) {
            const uint32_t n = left < 4 ? left : 4; /* beyond the end of the row the last one is repeated */
            const uint32_t second = n > 1 ? stride : 0, third = n > 2 ? 2 * stride : 0, fourth = n > 3 ? 3 * stride : 0;
            int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
            const int16_t *pair = weights, *x = at;
            if (kernel_w == 1)
                for (const int16_t *const end = pair + 2 * kernel_h; pair != end; pair += 2, x += pitch) {
                    const int32_t w = *pair;
                    s0 += w * x[0], s1 += w * x[second], s2 += w * x[third], s3 += w * x[fourth];
                }
            else
                for (uint32_t y = kernel_h; y != 0; y--, x += pitch - (kernel_w + 1) / 2 * 2)
                    for (const int16_t *const end = pair + (kernel_w + 1) / 2 * 2; pair != end; pair += 2, x += 2) {
                        const uint32_t w = reds_pair(pair);
                        s0 = reds_smlad(reds_pair(x), w, s0), s1 = reds_smlad(reds_pair(x + second), w, s1);
                        s2 = reds_smlad(reds_pair(x + third), w, s2), s3 = reds_smlad(reds_pair(x + fourth), w, s3);
                    }
            if (n == 4 && s->slope == 0) {
                const int32_t shift = s->shift;
                out[0] = (int8_t)reds_requantise(s0, channel, shift), out[1] = (int8_t)reds_requantise(s1, channel, shift);
                out[2] = (int8_t)reds_requantise(s2, channel, shift), out[3] = (int8_t)reds_requantise(s3, channel, shift);
            } else {
                const int32_t sums[4] = {s0, s1, s2, s3};
                for (uint32_t k = 0; k < n; k++) out[k] = (int8_t)reds_finish(sums[k], channel, s->slope, s->round, s->shift);
            }
            out += n, left -= n;
        }
    }
}
#else
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
            *out++ = (int8_t)reds_finish(sum, channel, s->slope, s->round, s->shift);
        }
    }
}
#endif

static inline void clear(int16_t *to, uint32_t count) {
    for (const int16_t *const end = to + count; to != end; to++) *to = 0;
}

/* The rows of one channel that ``rows`` rows of outputs reach, the first of them row ``top`` of the image. What lies left and right
 * of the image is 0 already; so is what lies above and below it, unless the scratch held other rows (``again``). */
static REDS_APART void slide_rows(const reds_slide *s, const int8_t *in, int32_t zero, int32_t top, uint32_t rows, int again,
                                  int16_t *to) {
    const reds_window *const w = s->window;
    const uint32_t pitch = s->pitch, inside = pitch - w->pad_left < w->in_w ? pitch - w->pad_left : w->in_w;
    const int32_t bottom = top + (int32_t)((rows - 1) * w->stride_h + w->kernel_h);
    const int32_t first = top < 0 ? bottom < 0 ? bottom : 0 : top;                     /* rows above the image end here */
    const int32_t last = bottom < w->in_h ? bottom : first < w->in_h ? w->in_h : first; /* and those below it begin here */
    if (again) {
        clear(to, (uint32_t)(first - top) * pitch);
        clear(to + (uint32_t)(last - top) * pitch, (uint32_t)(bottom - last) * pitch);
    }
    if (first == last) return;
    in += (uint32_t)first * w->row_step, to += (uint32_t)(first - top) * pitch + w->pad_left;
#if REDS_SIMD32
    if (w->column_step == 1 && inside >= 4) {
        expand_words(in, (uint32_t)(last - first), w->row_step - inside, inside, zero, to, pitch - inside);
        return;
    }
#endif
    expand(in, (uint32_t)(last - first), w->row_step, inside, w->column_step, zero, to, pitch);
}

#endif
