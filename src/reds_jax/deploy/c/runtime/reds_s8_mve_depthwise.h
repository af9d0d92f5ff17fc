/* Depthwise layers of int8 for Helium (MVE), see reds_s8_mve.h. Internal, included by reds_s8.c alone.
 *
 * Some rows of one channel lie in the scratch with the zero point around them. Three ways lead from there to the outputs:
 *
 *   narrow   16 neighbouring bytes hold the whole window, because the image is narrow or the window flat: one product of 16
 *            bytes is an output. The weights lie as the window does, with zeros between.
 *   strip    a window of 3x3: 4 outputs of a row at once, 9 products with one weight each.
 *   pieces   any other window: some of its rows in 16 bytes, the next rows in the next product. */
#ifndef REDS_S8_MVE_DEPTHWISE_H
#define REDS_S8_MVE_DEPTHWISE_H

#include "reds_s8_mve.h"

#if REDS_MVE
#define REDS_MVE_LARGER(a, b) ((a) > (b) ? (a) : (b))
#define REDS_MVE_SMALLER(a, b) ((a) < (b) ? (a) : (b))

typedef struct {
    const reds_window *window;
    int32_t zero;
    uint32_t pitch, used;  /* bytes from row to row; those of the image among them */
    uint32_t rows, pieces; /* rows of the window in a piece; pieces */
    uint32_t area;
    uint8_t *which;  /* [pieces][16]: the weight that a byte meets; 128 and more: none */
    int8_t *weights; /* [pieces][16] */
    int8_t *image;
} reds_mve_slide;

/* What one channel has of its own. */
typedef struct {
    int32_t multiplier, offset, less; /* less: what to add to the sums for the zero point */
    int32_t slope, round, right;      /* right: the shift, negative */
} reds_mve_channel;

/* From 4 sums to outputs, in bits 0 to 7 of each lane, without a leaky ReLU. */
REDS_MVE_INLINE int32x4_t reds_mve_finish(int32x4_t sum, int32x4_t multiplier, int32_t offset, int32_t right) {
    return reds_mve_saturate(vshlq_r_s32(vaddq_n_s32(vrmulhq_s32(sum, multiplier), offset), right));
}

/* ---- The image ----------------------------------------------------------------------------------------------------------- */

static REDS_APART void reds_mve_prepare(reds_mve_slide *s, const reds_window *w, int16_t *scratch) {
    const uint32_t reach = (w->out_w - 1u) * w->stride_w + w->kernel_w - w->pad_left; /* columns of the image */
    s->window = w;
    s->used = REDS_MVE_SMALLER(reach, w->in_w);
    s->pitch = s->used + REDS_MVE_LARGER(w->pad_left, reach - s->used); /* what lies between two rows serves both, ... */
    s->pitch = REDS_MVE_LARGER(s->pitch, w->kernel_w);                  /* ... but a byte meets one weight of a piece */
    s->rows = REDS_MVE_SMALLER((16u - w->kernel_w) / s->pitch + 1u, w->kernel_h);
    s->pieces = (w->kernel_h + s->rows - 1) / s->rows;
    s->area = (uint32_t)w->kernel_h * w->kernel_w;
    s->which = (uint8_t *)scratch, s->weights = (int8_t *)scratch + 16 * s->pieces, s->image = s->weights + 16 * s->pieces;
    for (uint32_t k = 0; k < 16 * s->pieces; k++) s->which[k] = 255;
    for (uint32_t y = 0, k = 0; y < w->kernel_h; y++)
        for (uint32_t x = 0; x < w->kernel_w; x++) s->which[y / s->rows * 16 + y % s->rows * s->pitch + x] = (uint8_t)k++;
}

/* ``count`` rows of the image from row ``top`` on, which may lie outside; what is between them stays. */
static REDS_APART void reds_mve_rows(const reds_mve_slide *s, const int8_t *in, int32_t top, int32_t count) {
    const reds_window *const w = s->window;
    const int32_t above = top >= 0 ? 0 : -top < count ? -top : count;
    const int32_t below = top + count <= w->in_h ? 0 : top + count - w->in_h < count ? top + count - w->in_h : count;
    int8_t *to = s->image + w->pad_left;
    for (int32_t k = 0; k < above; k++, to += s->pitch) reds_mve_fill(to, s->zero, s->used);
    const int8_t *from = in + (uint32_t)(top + above) * w->row_step;
    int32_t rows = count - above - below;
    if (w->column_step == 1 && s->used <= 16) {
        const mve_pred16_t lanes = vctp8q(s->used);
        for (; rows > 0; rows--, to += s->pitch, from += w->row_step) vstrbq_p_s8(to, vldrbq_z_s8(from, lanes), lanes);
    } else if (w->column_step == 1) {
        for (; rows > 0; rows--, to += s->pitch, from += w->row_step) reds_mve_copy(from, to, s->used);
    } else {
        for (; rows > 0; rows--, to += s->pitch, from += w->row_step)
            for (uint32_t k = 0; k < s->used; k++) to[k] = from[k * w->column_step];
    }
    for (int32_t k = 0; k < below; k++, to += s->pitch) reds_mve_fill(to, s->zero, s->used);
}

/* The weights of a channel as the bytes of the image meet them. */
REDS_MVE_INLINE void reds_mve_spread(const reds_mve_slide *s, const int8_t *weights) {
    for (uint32_t k = 0; k < 16 * s->pieces; k += 16) {
        const uint8x16_t which = vldrbq_u8(s->which + k);
        vstrbq_s8(s->weights + k, vldrbq_gather_offset_z_s8(weights, which, vcmpgeq_n_s8(vreinterpretq_s8_u8(which), 0)));
    }
}

/* ---- Four outputs at once: of 4 rows, or what is left of the rows as 4 parts of each, which may overlap ------------------ */

typedef struct {
    const int8_t *p0, *p1, *p2, *p3; /* where their windows start */
    uint32x4_t to;                   /* where they go, from the first one on */
    uint32_t rows, count;            /* rows that this is; how often, one column further each time */
} reds_mve_lanes;

REDS_MVE_INLINE reds_mve_lanes reds_mve_four(const reds_mve_slide *s, uint32_t rows, const int8_t *from) {
    const uint32_t out_w = s->window->out_w, part = (out_w + 3u) / 4u;
    reds_mve_lanes l;
    l.rows = rows < 4 ? 1 : 4, l.count = rows < 4 ? part : out_w;
    const uint32_t step = rows < 4 ? part : out_w, last = rows < 4 ? out_w - part : 3 * out_w;
    const uint32_t jump = rows < 4 ? part * s->window->stride_w : s->window->stride_h * s->pitch;
    const uint32_t end = rows < 4 ? last * s->window->stride_w : 3 * jump;
    l.p0 = from, l.p1 = from + REDS_MVE_SMALLER(jump, end), l.p2 = from + REDS_MVE_SMALLER(2 * jump, end), l.p3 = from + end;
    l.to = vminq_u32(vmulq_n_u32(vidupq_n_u32(0, 1), step), vdupq_n_u32(last));
    return l;
}

/* narrow, of stride 1 */
static REDS_APART void reds_mve_narrow(const reds_mve_slide *s, uint32_t rows, const reds_mve_channel *c, int8_t *out) {
    const uint32_t jump = s->window->stride_h * s->pitch, out_w = s->window->out_w;
    const int8x16_t w = vldrbq_s8(s->weights);
    const int32x4_t multiplier = vdupq_n_s32(c->multiplier);
    const int32_t less = c->less, offset = c->offset, right = c->right;
    const int8_t *from = s->image;
    while (rows != 0) {
        reds_mve_lanes l = reds_mve_four(s, rows, from);
        int8_t *to = out;
        for (uint32_t n = l.count; n != 0; n--) {
            int32x4_t sum;
            int32_t a, b;
            int8x16_t x;
            __asm("vldrb.8 %q[x], [%[p0]], #1\n\t"
                  "vmladav.s8 %[a], %q[w], %q[x]\n\t"
                  "vldrb.8 %q[x], [%[p2]], #1\n\t"
                  "vmladav.s8 %[b], %q[w], %q[x]\n\t"
                  "vmov %q[sum][2], %q[sum][0], %[a], %[b]\n\t"
                  "vldrb.8 %q[x], [%[p1]], #1\n\t"
                  "vmladav.s8 %[a], %q[w], %q[x]\n\t"
                  "vldrb.8 %q[x], [%[p3]], #1\n\t"
                  "vmladav.s8 %[b], %q[w], %q[x]\n\t"
                  "vmov %q[sum][3], %q[sum][1], %[a], %[b]"
                  : [p0] "+r"(l.p0), [p1] "+r"(l.p1), [p2] "+r"(l.p2), [p3] "+r"(l.p3), [a] "=&Te"(a), [b] "=&Te"(b),
                    [x] "=&w"(x), [sum] "=&w"(sum)
                  : [w] "w"(w)
                  : "memory");
            vstrbq_scatter_offset_s32(to++, l.to, reds_mve_finish(vaddq_n_s32(sum, less), multiplier, offset, right));
        }
        rows -= l.rows, from += l.rows * jump, out += l.rows * out_w;
    }
}

/* pieces, with or without a leaky ReLU */
static REDS_APART void reds_mve_pieces(const reds_mve_slide *s, uint32_t rows, const reds_mve_channel *c, int8_t *out) {
    const uint32_t step = s->window->stride_h * s->pitch, out_w = s->window->out_w;
    const int32x4_t multiplier = vdupq_n_s32(c->multiplier), slope = vdupq_n_s32(c->slope);
    const int8_t *from = s->image;
    while (rows != 0) {
        reds_mve_lanes l = reds_mve_four(s, rows, from);
        for (uint32_t n = 0; n < l.count; n++) {
            int32_t s0 = c->less, s1 = s0, s2 = s0, s3 = s0;
            uint32_t at = n * s->window->stride_w;
            for (uint32_t k = 0; k < 16 * s->pieces; k += 16, at += s->rows * s->pitch) {
                const int8x16_t w = vldrbq_s8(s->weights + k);
                s0 = vmladavaq_s8(s0, w, vldrbq_s8(l.p0 + at)), s1 = vmladavaq_s8(s1, w, vldrbq_s8(l.p1 + at));
                s2 = vmladavaq_s8(s2, w, vldrbq_s8(l.p2 + at)), s3 = vmladavaq_s8(s3, w, vldrbq_s8(l.p3 + at));
            }
            int32x4_t t = vsetq_lane_s32(s3, vsetq_lane_s32(s2, vsetq_lane_s32(s1, vdupq_n_s32(s0), 1), 2), 3);
            if (c->slope == 0) t = reds_mve_finish(t, multiplier, c->offset, c->right);
            else {
                t = vaddq_n_s32(vrmulhq_s32(t, multiplier), c->offset);
                t = vpselq_s32(vrmulhq_s32(vaddq_s32(t, t), slope), t, vcmpltq_n_s32(t, 0));
                t = reds_mve_saturate(vshlq_r_s32(vaddq_n_s32(t, c->round), c->right));
            }
            vstrbq_scatter_offset_s32(out + n, l.to, t);
        }
        rows -= l.rows, from += l.rows * step, out += l.rows * out_w;
    }
}

/* ---- Strips --------------------------------------------------------------------------------------------------------------- *
 *
 * The assembler below knows the places of the members. It keeps the 9 weights in registers, r4 to r12. */
typedef struct {
    int8_t *out;
    const int8_t *from;
    uint32_t pitch, step; /* from a row of the image to the next, and to that of the next row of outputs */
    uint32_t out_w, rows; /* at least 1 */
    const int8_t *weights;
    int32_t multiplier, offset, less, right;
} reds_mve_strip;

void reds_mve_strips_1(reds_mve_strip *strip); /* stride 1 */
void reds_mve_strips_2(reds_mve_strip *strip); /* stride 2 */

/* sum += 4 inputs times a weight */
#define REDS_MVE_TAKE(load, weight) load "vmla.s32 q0, q1, " weight "\n\t"
#define REDS_MVE_NEXT(row, on) "vldrb.s32 q1, [" row "], #" on "\n\t"
#define REDS_MVE_EVERY(row, at) "vldrb.s32 q1, [" row ", " at "]\n\t"
#define REDS_MVE_ROW_1(row, a, b, c)                                                                \
    REDS_MVE_TAKE(REDS_MVE_NEXT(row, "1"), a)                                                       \
    REDS_MVE_TAKE(REDS_MVE_NEXT(row, "1"), b)                                                       \
    REDS_MVE_TAKE(REDS_MVE_NEXT(row, "2"), c)
#define REDS_MVE_ROW_2(row, a, b, c)                                                                \
    REDS_MVE_TAKE(REDS_MVE_EVERY(row, "q5"), a)                                                     \
    REDS_MVE_TAKE(REDS_MVE_EVERY(row, "q6"), b)                                                     \
    REDS_MVE_TAKE(REDS_MVE_EVERY(row, "q7"), c)                                                     \
    "adds " row ", #8\n\t"
#define REDS_MVE_STRIPS(name, row)                                                                  \
    ".section .text." name ", \"ax\", %progbits\n\t"                                                \
    ".balign 8\n\t.thumb_func\n\t.global " name "\n\t.type " name ", %function\n"                   \
    name ":\n\t"                                                                                    \
    "push {r0, r4-r11, lr}\n\t"                                                                     \
    "vpush {d8-d15}\n\t"                                                                            \
    "sub sp, #16\n\t"                                                                               \
    "add r1, r0, #28\n\t"                                                                           \
    "ldm r1, {r1-r4}\n\t" /* multiplier, offset, less, right */                                     \
    "vdup.32 q2, r1\n\t"                                                                            \
    "vdup.32 q3, r2\n\t"                                                                            \
    "vdup.32 q0, r3\n\t"                                                                            \
    "vdup.32 q4, r4\n\t"                                                                            \
    "vstrw.32 q0, [sp]\n\t"                                                                         \
    "movs r2, #0\n\t"                                                                               \
    "vidup.u32 q5, r2, #2\n\t" /* of every second column: this, the next, the one after */          \
    "movs r1, #1\n\t"                                                                               \
    "vadd.i32 q6, q5, r1\n\t"                                                                       \
    "vadd.i32 q7, q6, r1\n\t"                                                                       \
    "ldr r3, [r0, #24]\n\t" /* weights */                                                           \
    "ldrsb r4, [r3]\n\tldrsb r5, [r3, #1]\n\tldrsb r6, [r3, #2]\n\t"                                \
    "ldrsb r7, [r3, #3]\n\tldrsb r8, [r3, #4]\n\tldrsb r9, [r3, #5]\n\t"                            \
    "ldrsb r10, [r3, #6]\n\tldrsb r11, [r3, #7]\n\tldrsb r12, [r3, #8]\n\t"                         \
    "mov lr, r0\n"                                                                                  \
    "1:\tldm lr, {r0-r3}\n\t" /* out, from, pitch, step */                                          \
    "add r3, r1, r3\n\t"                                                                            \
    "str r3, [lr, #4]\n\t"                                                                          \
    "add r3, r1, r2, lsl #1\n\t"                                                                    \
    "add r2, r1, r2\n\t"                                                                            \
    "ldr lr, [lr, #16]\n\t" /* out_w */                                                             \
    "dlstp.32 lr, lr\n"                                                                             \
    "2:\tvldrw.32 q0, [sp]\n\t" row("r1", "r4", "r5", "r6") row("r2", "r7", "r8", "r9")             \
    row("r3", "r10", "r11", "r12")                                                                  \
    "vrmulh.s32 q0, q0, q2\n\t"                                                                     \
    "vadd.i32 q0, q0, q3\n\t"                                                                       \
    "vshl.s32 q0, q0, q4\n\t"                                                                       \
    "vqmovnb.s32 q0, q0\n\t"                                                                        \
    "vqmovnb.s16 q0, q0\n\t"                                                                        \
    "vstrb.32 q0, [r0], #4\n\t"                                                                     \
    "letp lr, 2b\n\t"                                                                               \
    "ldr lr, [sp, #80]\n\t" /* behind 16 bytes and q4 to q7 */                                      \
    "ldrd r1, r2, [lr, #16]\n\t" /* out_w, rows */                                                  \
    "ldr r0, [lr]\n\t"                                                                              \
    "add r0, r1\n\t"                                                                                \
    "str r0, [lr]\n\t"                                                                              \
    "subs r2, #1\n\t"                                                                               \
    "str r2, [lr, #20]\n\t"                                                                         \
    "bne 1b\n\t"                                                                                    \
    "add sp, #16\n\t"                                                                               \
    "vpop {d8-d15}\n\t"                                                                             \
    "pop {r0, r4-r11, pc}\n\t"                                                                      \
    ".size " name ", . - " name "\n\t"
__asm(".syntax unified\n\t" REDS_MVE_STRIPS("reds_mve_strips_1", REDS_MVE_ROW_1)
      REDS_MVE_STRIPS("reds_mve_strips_2", REDS_MVE_ROW_2) ".text");
#undef REDS_MVE_TAKE
#undef REDS_MVE_NEXT
#undef REDS_MVE_EVERY
#undef REDS_MVE_ROW_1
#undef REDS_MVE_ROW_2
#undef REDS_MVE_STRIPS

/* ---- The layer ----------------------------------------------------------------------------------------------------------- */

/* Whether a row of the window fits 16 bytes, and its weights the numbers of ``which``. */
REDS_MVE_INLINE int reds_mve_slides(const reds_window *w) { return w->kernel_w <= 16 && w->kernel_h * w->kernel_w <= 128; }

static void reds_mve_depthwise(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int8_t *out,
                               int16_t *scratch) {
    const reds_window *const w = &layer->window;
    reds_mve_slide s;
    reds_mve_prepare(&s, w, scratch);
    s.zero = width->in_zero;
    const uint32_t reach = REDS_S8_MVE_REACH(w->kernel_w, w->stride_w, w->out_w);
    const uint32_t held = REDS_S8_DEPTHWISE_ROWS(w->kernel_h, w->stride_h, w->out_h, reach);
    const uint32_t at_once = (held - w->kernel_h) / w->stride_h + 1; /* rows of outputs */
    reds_mve_fill(s.image, s.zero, w->pad_left + held * s.pitch);
    const int narrow = layer->slope == 0 && s.pieces == 1 && w->stride_w == 1;
    const int strips = layer->slope == 0 && !narrow && w->kernel_h == 3 && w->kernel_w == 3 && w->stride_w <= 2;
    for (uint32_t o = 0; o < width->outputs; o++, in += w->channel_step) {
        const int8_t *const weights = layer->weights + o * layer->row;
        const int32_t less = -width->in_zero * reds_mve_sum(weights, s.area);
        const reds_mve_channel c = {width->channels[o].multiplier, width->channels[o].offset, less, layer->slope, width->round,
                                    -width->shift};
        if (!strips) reds_mve_spread(&s, weights);
        for (uint32_t y = 0; y < w->out_h; y += at_once) {
            const uint32_t rows = REDS_MVE_SMALLER(w->out_h - y, at_once);
            reds_mve_rows(&s, in, (int32_t)(y * w->stride_h) - w->pad_top, (int32_t)((rows - 1) * w->stride_h + w->kernel_h));
            if (narrow) reds_mve_narrow(&s, rows, &c, out);
            else if (!strips) reds_mve_pieces(&s, rows, &c, out);
            else {
                reds_mve_strip strip = {out, s.image, s.pitch, w->stride_h * s.pitch, w->out_w, rows, weights, c.multiplier,
                                        c.offset, less, c.right};
                if (w->stride_w == 1) reds_mve_strips_1(&strip);
                else reds_mve_strips_2(&strip);
            }
            out += rows * w->out_w;
        }
    }
}
#endif

#endif
