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

/* ``rows`` rows of ``count`` bytes as 16-bit numbers without their zero point. The bytes lie ``step`` bytes apart, the rows begin
 * ``row_step`` bytes apart, and come ``pitch`` entries apart. */
static inline void expand(const int8_t *in, uint32_t rows, uint32_t row_step, uint32_t count, uint32_t step, int32_t zero, int16_t *to,
                          uint32_t pitch) {
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
/* What a 3x3 window needs for one channel: of each row of weights the pairs (w0, w1) and (w1, w2); of each row of outputs how many
 * are made two at a time, and alone; bytes from one row of inputs to the next, and from the end of a row of outputs to the next. */
typedef struct {
    uint32_t w01[3], w12[3];
    reds_s8_channel channel;
    int32_t shift;
    uint32_t pairs, alone, pitch, skip;
} reds_square;

#if REDS_LOOPS
/* The inputs of a row come as the pairs (x0, x1) and (x2, x3), which is enough for two outputs if the stride is 1: 28 instructions
 * for 18 products. Assembler, because it takes every register. r0 to r2: rows of inputs; r3: outputs; r4 to r9: weights. */
#define REDS_SQUARE_ONE(row, w01, w12)                 \
    "ldrd r10, r11, [" row "], #4\n\t"                 \
    "smlad r12, r10, " w01 ", r12\n\t"                 \
    "smlabt r12, r11, " w12 ", r12\n\t"
#define REDS_SQUARE_TWO(row, w01, w12)                 \
    "ldrd r10, r11, [" row "], #4\n\t"                 \
    "smlad r12, r10, " w01 ", r12\n\t"                 \
    "smlatb lr, r10, " w01 ", lr\n\t"                  \
    "smlabt r12, r11, " w12 ", r12\n\t"                \
    "smlad lr, r11, " w12 ", lr\n\t"
#define REDS_UNUSED __attribute__((unused))

static __attribute__((naked, noinline)) void slide_square(REDS_UNUSED const reds_square *s, REDS_UNUSED const int16_t *image,
                                                          REDS_UNUSED uint32_t rows, REDS_UNUSED int8_t *out) {
    __asm volatile(
        "push {r4-r11, lr}\n\t"
        "sub sp, #36\n\t"
        "ldmia r0!, {r4-r9}\n\t"
        "str r2, [sp, #28]\n\t" /* rows that are left */
        "ldmia r0, {r2, r10-r12}\n\t"
        "str r2, [sp, #0]\n\t"   /* multiplier */
        "str r10, [sp, #4]\n\t"  /* offset */
        "str r11, [sp, #8]\n\t"  /* shift */
        "str r12, [sp, #12]\n\t" /* pairs */
        "ldr r10, [r0, #16]\n\t"
        "str r10, [sp, #16]\n\t" /* alone */
        "ldrd r10, r11, [r0, #20]\n\t"
        "str r11, [sp, #20]\n\t" /* skip */
        "mov r0, r1\n\t"
        "add r1, r0, r10\n\t"
        "add r2, r1, r10\n"
        "1:\n\t"
        "ldr r10, [sp, #12]\n\t"
        "adds r10, r3, r10\n\t"
        "str r10, [sp, #24]\n\t"
        "cmp r3, r10\n\t"
        "beq 3f\n"
        "2:\n\t"
        "ldrd r10, r11, [r0], #4\n\t"
        "smuad r12, r10, r4\n\t"
        "smultb lr, r10, r4\n\t"
        "smlabt r12, r11, r7, r12\n\t"
        "smlad lr, r11, r7, lr\n\t"
        REDS_SQUARE_TWO("r1", "r5", "r8") REDS_SQUARE_TWO("r2", "r6", "r9")
        "ldrd r10, r11, [sp]\n\t"
        "smmlar r12, r12, r10, r11\n\t"
        "smmlar lr, lr, r10, r11\n\t"
        "ldr r10, [sp, #8]\n\t"
        "ldr r11, [sp, #24]\n\t"
        "asr r12, r12, r10\n\t"
        "asr lr, lr, r10\n\t"
        "ssat r12, #8, r12\n\t"
        "ssat lr, #8, lr\n\t"
        "strb r12, [r3], #1\n\t"
        "strb lr, [r3], #1\n\t"
        "cmp r3, r11\n\t"
        "bne 2b\n"
        "3:\n\t"
        "ldr r10, [sp, #16]\n\t"
        "adds r10, r3, r10\n\t"
        "str r10, [sp, #24]\n\t"
        "cmp r3, r10\n\t"
        "beq 5f\n"
        "4:\n\t"
        "ldrd r10, r11, [r0], #4\n\t"
        "smuad r12, r10, r4\n\t"
        "smlabt r12, r11, r7, r12\n\t"
        REDS_SQUARE_ONE("r1", "r5", "r8") REDS_SQUARE_ONE("r2", "r6", "r9")
        "ldrd r10, r11, [sp]\n\t"
        "smmlar r12, r12, r10, r11\n\t"
        "ldr r10, [sp, #8]\n\t"
        "ldr r11, [sp, #24]\n\t"
        "asr r12, r12, r10\n\t"
        "ssat r12, #8, r12\n\t"
        "strb r12, [r3], #1\n\t"
        "cmp r3, r11\n\t"
        "bne 4b\n"
        "5:\n\t"
        "ldr r10, [sp, #20]\n\t"
        "ldr r11, [sp, #28]\n\t"
        "add r0, r0, r10\n\t"
        "add r1, r1, r10\n\t"
        "add r2, r2, r10\n\t"
        "subs r11, r11, #1\n\t"
        "str r11, [sp, #28]\n\t"
        "bne 1b\n\t"
        "add sp, #36\n\t"
        "pop {r4-r11, pc}");
}
#undef REDS_SQUARE_ONE
#undef REDS_SQUARE_TWO
#endif

#define FIRST(row, k, start) REDS_LOAD_TWO(a, b, row, 4); first = reds_smlabt(b, s->w12[k], start);
#define SECOND(k, start) second = reds_smlad(b, s->w12[k], start);
#define NEXT_FIRST(row, k) FIRST(row, k, reds_smlad(a, s->w01[k], first))
#define NEXT_SECOND(k) SECOND(k, reds_smlatb(a, s->w01[k], second))

/* The same with a leaky ReLU, or where the instructions are only a model. */
static void slide_square_in_c(const reds_square *s, const int16_t *image, uint32_t rows, int8_t *out, int32_t slope, int32_t round) {
    const int16_t *r0 = image, *r1 = r0 + s->pitch / 2, *r2 = r1 + s->pitch / 2;
    uint32_t a, b;
    int32_t first, second;
    for (; rows != 0; rows--, r0 += s->skip / 2, r1 += s->skip / 2, r2 += s->skip / 2) {
        for (const int8_t *const last = out + s->pairs; out != last;) {
            FIRST(r0, 0, reds_smuad(a, s->w01[0])) SECOND(0, reds_smultb(a, s->w01[0]))
            NEXT_FIRST(r1, 1) NEXT_SECOND(1) NEXT_FIRST(r2, 2) NEXT_SECOND(2)
            *out++ = (int8_t)reds_finish(first, s->channel, slope, round, s->shift);
            *out++ = (int8_t)reds_finish(second, s->channel, slope, round, s->shift);
        }
        for (const int8_t *const last = out + s->alone; out != last;) {
            FIRST(r0, 0, reds_smuad(a, s->w01[0])) NEXT_FIRST(r1, 1) NEXT_FIRST(r2, 2)
            *out++ = (int8_t)reds_finish(first, s->channel, slope, round, s->shift);
        }
    }
}
#undef FIRST
#undef SECOND
#undef NEXT_FIRST
#undef NEXT_SECOND

/* 3x3 with stride 1 or 2 */
static void slide_3x3(const reds_slide *s, const int8_t *weights, reds_s8_channel channel, const int16_t *image, uint32_t rows,
                      int8_t *out) {
    const uint32_t count = s->window->out_w, pairs = s->window->stride_w == 1 ? count / 2 * 2 : 0;
    reds_square square;
    for (int k = 0; k < 3; k++, weights += 3) {
        square.w01[k] = reds_lows((uint32_t)weights[0], (uint32_t)weights[1]);
        square.w12[k] = reds_lows((uint32_t)weights[1], (uint32_t)weights[2]);
    }
    square.channel = channel, square.shift = s->shift, square.pitch = 2 * s->pitch;
    square.pairs = pairs, square.alone = count - pairs;
    square.skip = 2 * s->window->stride_h * s->pitch - 2 * pairs - 4 * square.alone; /* a pair takes 2 entries, so does one alone */
#if REDS_LOOPS
    if (s->slope == 0) {
        slide_square(&square, image, rows, out);
        return;
    }
#endif
    slide_square_in_c(&square, image, rows, out, s->slope, s->round);
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
static REDS_APART void slide_3x3(const reds_slide *s, const int8_t *weights, reds_s8_channel channel, const int16_t *image,
                                 uint32_t rows, int8_t *out) {
    const int32_t w0 = weights[0], w1 = weights[1], w2 = weights[2], w3 = weights[3], w4 = weights[4], w5 = weights[5],
                  w6 = weights[6], w7 = weights[7], w8 = weights[8];
    const uint32_t stride = s->window->stride_w;
    for (; rows != 0; rows--, image += s->window->stride_h * s->pitch) {
        const int16_t *r0 = image, *r1 = r0 + s->pitch, *r2 = r1 + s->pitch;
        for (const int8_t *const end = out + s->window->out_w; out != end; r0 += stride, r1 += stride, r2 += stride)
            *out++ = (int8_t)reds_finish(w0 * r0[0] + w1 * r0[1] + w2 * r0[2] + w3 * r1[0] + w4 * r1[1] + w5 * r1[2] +
                                             w6 * r2[0] + w7 * r2[1] + w8 * r2[2],
                                         channel, s->slope, s->round, s->shift);
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
