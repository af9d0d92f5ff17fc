/* The 3x3 window of a depthwise layer, with stride 1 or 2. Internal, included by reds_s8_slide.h alone, which tells how the rows of
 * a channel lie. */
#ifndef REDS_S8_SQUARE_H
#define REDS_S8_SQUARE_H

#include "reds_s8_math.h"

/* What does not change from channel to channel. */
typedef struct {
    const reds_window *window;
    uint32_t pitch;
    int32_t slope, round, shift;
} reds_slide;

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
static void slide_square_in_c(const reds_square *s, const int16_t *image, uint32_t rows, int8_t *out, int32_t slope,
                              int32_t round) {
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
#endif

#endif
