/* The int8 layers for cores with the vector extension Helium (MVE), as the Cortex-M55. Internal, included by reds_s8.c alone.
 *
 * They give what reds_kernels.h says, bit for bit: vrmulh is mulhi, two narrowing moves that saturate are saturate. Padding counts
 * as the zero point, so that
 *
 *   sum_i w[i] * (x[i] - zero) = sum_i w[i] * x[i] - zero * sum_i w[i]
 *
 * needs no more than the stored bytes; the second term belongs to the prefix of a row and is computed once per call. Loads beyond
 * the prefix of a row, which may be another array, are predicated. */
#ifndef REDS_S8_MVE_H
#define REDS_S8_MVE_H

#include "reds_s8_math.h"

#if defined(__ARM_FEATURE_MVE) && defined(__OPTIMIZE__) && !defined(__ARM_BIG_ENDIAN) && !defined(REDS_PLAIN)
#define REDS_MVE 1
#else
#define REDS_MVE 0
#endif

#if REDS_MVE
#include <arm_mve.h>

#define REDS_INLINE static inline __attribute__((always_inline))

/* ---- Runs of bytes, of any length from 1 on: loops that the core predicates by itself ------------------------------------------ */

/* The sum of ``count`` bytes. */
REDS_INLINE int32_t reds_mve_sum(const int8_t *bytes, uint32_t count) {
    int32_t sum = 0;
    int8x16_t x;
    __asm volatile("dlstp.8 lr, %[count]\n"
                   "1:\tvldrb.8 %q[x], [%[bytes]], #16\n\t"
                   "vaddva.s8 %[sum], %q[x]\n\t"
                   "letp lr, 1b"
                   : [sum] "+Te"(sum), [bytes] "+r"(bytes), [x] "=&w"(x)
                   : [count] "r"(count)
                   : "lr", "memory");
    return sum;
}

/* sum of weights[k] * (x[k] - zero) */
REDS_INLINE int32_t reds_mve_product(const int8_t *weights, const int8_t *x, int32_t zero, uint32_t count) {
    int32_t products = 0, sum = 0;
    int8x16_t a, b;
    __asm volatile("dlstp.8 lr, %[count]\n"
                   "1:\tvldrb.8 %q[a], [%[weights]], #16\n\t"
                   "vldrb.8 %q[b], [%[x]], #16\n\t"
                   "vmladava.s8 %[products], %q[a], %q[b]\n\t"
                   "vaddva.s8 %[sum], %q[a]\n\t"
                   "letp lr, 1b"
                   : [products] "+Te"(products), [sum] "+Te"(sum), [weights] "+r"(weights), [x] "+r"(x), [a] "=&w"(a), [b] "=&w"(b)
                   : [count] "r"(count)
                   : "lr", "memory");
    return products - zero * sum;
}

REDS_INLINE void reds_mve_copy(const int8_t *from, int8_t *to, uint32_t count) {
    int8x16_t x;
    __asm volatile("dlstp.8 lr, %[count]\n"
                   "1:\tvldrb.8 %q[x], [%[from]], #16\n\t"
                   "vstrb.8 %q[x], [%[to]], #16\n\t"
                   "letp lr, 1b"
                   : [from] "+r"(from), [to] "+r"(to), [x] "=&w"(x)
                   : [count] "r"(count)
                   : "lr", "memory");
}

REDS_INLINE void reds_mve_fill(int8_t *to, int32_t value, uint32_t count) {
    const int8x16_t x = vdupq_n_s8((int8_t)value);
    __asm volatile("dlstp.8 lr, %[count]\n"
                   "1:\tvstrb.8 %q[x], [%[to]], #16\n\t"
                   "letp lr, 1b"
                   : [to] "+r"(to)
                   : [count] "r"(count), [x] "w"(x)
                   : "lr", "memory");
}

/* 4 numbers, saturated to bits 0 to 7 of their lanes. */
REDS_INLINE int32x4_t reds_mve_saturate(int32x4_t t) {
    __asm("vqmovnb.s32 %q0, %q0\n\tvqmovnb.s16 %q0, %q0" : "+w"(t)); /* compilers would copy it twice */
    return t;
}

/* ---- Matrix times columns ------------------------------------------------------------------------------------------------------ *
 *
 * A row of weights is cut into blocks of 16; the FIRST has what is over, 1 to 16 entries, so that its products need no cleared
 * sums to be added to. A tile holds 4 columns of inputs (positions of the image): block by block, 16 bytes of each column. */

typedef struct {
    uint32_t first, blocks; /* entries of the first block; blocks after it */
} reds_mve_depth;

REDS_INLINE reds_mve_depth reds_mve_blocks(uint32_t depth) {
    const uint32_t blocks = (depth - 1) / 16;
    const reds_mve_depth d = {depth - 16 * blocks, blocks};
    return d;
}

/* Pairs of rows times a tile. The assembler below knows the places of the members. */
typedef struct {
    const reds_s8_channel *channels;
    const int32_t *less; /* what to add to the sums of a channel for the zero point */
    int8_t *out;
    const int8_t *weights;
    uint32_t pairs;            /* at least 1 */
    uint32_t row, step;        /* bytes from one row of weights, or of outputs, to the other of its pair */
    int32_t right;             /* the shift, negative */
    uint32_t stored;           /* predicate: which of the 4 positions there are */
    int32_t slope, round;
    const int8_t *tile;
    uint32_t blocks;           /* after the first */
    uint32_t first_lanes, first; /* predicate, entries */
} reds_mve_pairs;

/* For each pair, 2 * 4 sums and outputs. Assembler, because the sums take all 8 registers that can hold one (r0, r2, ... lr): what
 * else a pair needs lies in memory meanwhile. 16 instructions for 128 products, and 56 around them for 8 outputs. */
#define REDS_COLUMN(add, a, b)                 \
    "vldrb.8 q2, [r1], #16\n\t"                \
    "vmladav" add ".s8 " a ", q0, q2\n\t"      \
    "vmladav" add ".s8 " b ", q1, q2\n\t"
#define REDS_FOUR_COLUMNS_MVE(add) \
    REDS_COLUMN(add, "r0", "r8") REDS_COLUMN(add, "r2", "r10") REDS_COLUMN(add, "r4", "r12") REDS_COLUMN(add, "r6", "lr")
#define REDS_LEAKY(q) /* slope in q3 */    \
    "vadd.i32 q2, " q ", " q "\n\t"        \
    "vrmulh.s32 q2, q2, q3\n\t"            \
    "vcmp.s32 lt, " q ", zr\n\t"           \
    "vpsel " q ", q2, " q "\n\t"           \
    "vadd.i32 " q ", " q ", r12\n\t"
void reds_mve_multiply(reds_mve_pairs *pairs);
__asm(
    ".syntax unified\n\t"
    ".section .text.reds_mve_multiply, \"ax\", %progbits\n\t"
    ".balign 8\n\t.thumb_func\n\t.global reds_mve_multiply\n\t.type reds_mve_multiply, %function\n"
    "reds_mve_multiply:\n\t"
    "push {r4-r11, lr}\n\t"
    "mov r11, r0\n\t"
    "ldr r3, [r11, #12]\n\t" /* weights */
    "ldr r5, [r11, #20]\n"  /* row */
    "1:\tadd r5, r3, r5\n\t"
    "ldrd r1, r7, [r11, #44]\n\t" /* tile, blocks */
    "ldrd r0, r9, [r11, #52]\n\t" /* first_lanes, first */
    "vmsr p0, r0\n\t"
    "vpstt\n\t"
    "vldrbt.8 q0, [r3]\n\t" /* lanes that are left out become 0 */
    "vldrbt.8 q1, [r5]\n\t"
    "add r3, r9\n\t"
    "add r5, r9\n\t" REDS_FOUR_COLUMNS_MVE("")
    "cbz r7, 3f\n"
    "2:\tvldrb.8 q0, [r3], #16\n\t"
    "vldrb.8 q1, [r5], #16\n\t" REDS_FOUR_COLUMNS_MVE("a")
    "subs r7, #1\n\t"
    "bne 2b\n"
    "3:\tvmov q0[2], q0[0], r0, r4\n\t"
    "vmov q0[3], q0[1], r2, r6\n\t"
    "vmov q1[2], q1[0], r8, r12\n\t"
    "vmov q1[3], q1[1], r10, lr\n\t"
    "ldm r11, {r0-r8, r10}\n\t" /* channels, less, out, weights, pairs, row, step, right, stored, slope */
    "ldrd r12, lr, [r1], #8\n\t"
    "vadd.i32 q0, q0, r12\n\t"
    "vadd.i32 q1, q1, lr\n\t"
    "ldrd r12, lr, [r0], #8\n\t"
    "vdup.32 q2, r12\n\t"
    "vrmulh.s32 q0, q0, q2\n\t"
    "vadd.i32 q0, q0, lr\n\t"
    "ldrd r12, lr, [r0], #8\n\t"
    "vdup.32 q2, r12\n\t"
    "vrmulh.s32 q1, q1, q2\n\t"
    "vadd.i32 q1, q1, lr\n\t"
    "cmp r10, #0\n\t"
    "bne 5f\n"
    "4:\tvshl.s32 q0, r7\n\t"
    "vshl.s32 q1, r7\n\t"
    "vqmovnb.s32 q0, q0\n\t"
    "vqmovnb.s16 q0, q0\n\t"
    "vqmovnb.s32 q1, q1\n\t"
    "vqmovnb.s16 q1, q1\n\t"
    "add r7, r2, r6\n\t"
    "vmsr p0, r8\n\t"
    "vpstt\n\t"
    "vstrbt.32 q0, [r2]\n\t"
    "vstrbt.32 q1, [r7]\n\t"
    "add r2, r7, r6\n\t"
    "add r3, r3, r5, lsl #1\n\t"
    "subs r4, #1\n\t"
    "stm r11, {r0-r4}\n\t"
    "bne 1b\n\t"
    "pop {r4-r11, pc}\n"
    "5:\tvdup.32 q3, r10\n\t"
    "ldr r12, [r11, #40]\n\t" /* round */
    REDS_LEAKY("q0") REDS_LEAKY("q1")
    "b 4b\n\t"
    ".size reds_mve_multiply, . - reds_mve_multiply\n\t"
    ".text");
#undef REDS_COLUMN
#undef REDS_FOUR_COLUMNS_MVE
#undef REDS_LEAKY

/* All outputs of ``positions`` positions, 1 to 4, that follow each other; those of the next channel lie ``step`` bytes further. */
static REDS_APART void reds_mve_tile(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *tile, reds_mve_depth depth,
                                     const int32_t *less, int8_t *out, uint32_t step, uint32_t positions) {
    const uint32_t last = width->outputs - 1;
    reds_mve_pairs pairs = {width->channels, less, out, layer->weights, width->outputs / 2, layer->row, step, -width->shift,
                            vctp32q(positions), layer->slope, width->round, tile, depth.blocks, vctp8q(depth.first), depth.first};
    if (pairs.pairs != 0) reds_mve_multiply(&pairs);
    if (last % 2 == 0) { /* a row without another makes a pair with itself */
        const reds_s8_channel channels[2] = {width->channels[last], width->channels[last]};
        const int32_t twice[2] = {less[last], less[last]};
        pairs.channels = channels, pairs.less = twice, pairs.pairs = 1, pairs.row = pairs.step = 0;
        reds_mve_multiply(&pairs);
    }
}

/* ---- Columns ------------------------------------------------------------------------------------------------------------------- *
 *
 * Where the entries of a column lie in the image, from the first one of the window on; computed once per call, in the order and
 * with the blocks of a column. Entries of the first block that no weight meets repeat the first. */
typedef struct {
    uint32_t padded; /* entries with the unused ones of the first block */
    uint16_t *offset;
    uint8_t *y, *x; /* in the window */
} reds_mve_entries;

static REDS_APART void reds_mve_find(const reds_window *w, uint32_t inputs, reds_mve_depth depth, const reds_mve_entries *to) {
    uint32_t k = 0;
    for (uint32_t i = 0; i < inputs; i++)
        for (uint32_t y = 0; y < w->kernel_h; y++)
            for (uint32_t x = 0; x < w->kernel_w; x++) {
                to->offset[k] = (uint16_t)(i * w->channel_step + y * w->row_step + x * w->column_step);
                to->y[k] = (uint8_t)y, to->x[k] = (uint8_t)x;
                if (++k == depth.first)
                    for (; k < 16; k++) to->offset[k] = 0, to->y[k] = to->x[k] = 0;
            }
}

/* 4 columns of windows that lie inside the image, by their places in it. */
static REDS_APART void reds_mve_gather(const int8_t *const *in, const reds_mve_entries *entries, int8_t *to) {
    const int8_t *const a = in[0], *const b = in[1], *const c = in[2], *const d = in[3];
    const uint16_t *offset = entries->offset;
    for (uint32_t n = entries->padded / 16; n != 0; n--, offset += 16, to += 64) {
        const uint16x8_t low = vldrhq_u16(offset), high = vldrhq_u16(offset + 8);
        vstrbq_s16(to, vldrbq_gather_offset_s16(a, low)), vstrbq_s16(to + 8, vldrbq_gather_offset_s16(a, high));
        vstrbq_s16(to + 16, vldrbq_gather_offset_s16(b, low)), vstrbq_s16(to + 24, vldrbq_gather_offset_s16(b, high));
        vstrbq_s16(to + 32, vldrbq_gather_offset_s16(c, low)), vstrbq_s16(to + 40, vldrbq_gather_offset_s16(c, high));
        vstrbq_s16(to + 48, vldrbq_gather_offset_s16(d, low)), vstrbq_s16(to + 56, vldrbq_gather_offset_s16(d, high));
    }
}

/* One column of a window that starts at row ``top`` and column ``left``, inside the image or not; ``in`` is where that would be.
 * Assembler, because compilers carry predicates through the other registers. */
static REDS_APART void reds_mve_gather_edge(const reds_window *w, const int8_t *in, int32_t zero, const reds_mve_entries *entries,
                                            int32_t top, int32_t left, int8_t *to) {
    const uint16x8_t bottom = vdupq_n_u16((uint16_t)(w->in_h - 1)), right = vdupq_n_u16((uint16_t)(w->in_w - 1));
    const int16x8_t outside = vdupq_n_s16((int16_t)zero);
    const uint16_t *offset = entries->offset;
    const uint8_t *ys = entries->y, *xs = entries->x;
    uint16x8_t y, x;
#define REDS_EIGHT /* a row above the image has a large number */ \
    "vldrb.u16 %q[y], [%[ys]], #8\n\t"                            \
    "vldrb.u16 %q[x], [%[xs]], #8\n\t"                            \
    "vadd.i16 %q[y], %q[y], %[top]\n\t"                           \
    "vadd.i16 %q[x], %q[x], %[left]\n\t"                          \
    "vpt.u16 cs, %q[bottom], %q[y]\n\t"                           \
    "vcmpt.u16 cs, %q[right], %q[x]\n\t"                          \
    "vldrh.16 %q[x], [%[offset]], #16\n\t"                        \
    "vpst\n\t"                                                    \
    "vldrbt.s16 %q[y], [%[in], %q[x]]\n\t"                        \
    "vpsel %q[y], %q[y], %q[outside]\n\t"
    for (uint32_t n = entries->padded / 16; n != 0; n--)
        __asm volatile(REDS_EIGHT "vstrb.16 %q[y], [%[to]], #8\n\t" REDS_EIGHT "vstrb.16 %q[y], [%[to]], #56"
                       : [ys] "+l"(ys), [xs] "+l"(xs), [offset] "+r"(offset), [to] "+l"(to), [y] "=&w"(y), [x] "=&w"(x)
                       : [top] "r"(top), [left] "r"(left), [in] "r"(in), [bottom] "w"(bottom), [right] "w"(right), [outside] "w"(outside)
                       : "memory");
#undef REDS_EIGHT
}

/* Whether the addresses of this layer fit the numbers above. */
REDS_INLINE int reds_mve_fits(const reds_window *w, uint32_t inputs) {
    const uint32_t last = (inputs - 1) * w->channel_step + (w->kernel_h - 1u) * w->row_step + (w->kernel_w - 1u) * w->column_step;
    return last <= 0xffffu && w->kernel_h <= 256 && w->kernel_w <= 256 && w->in_h <= 32768 && w->in_w <= 32768;
}

static void reds_mve_conv(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int8_t *out, int16_t *scratch) {
    const reds_window *const w = &layer->window;
    const uint32_t positions = (uint32_t)w->out_h * w->out_w;
    const uint32_t patch = width->inputs * w->kernel_h * w->kernel_w;
    const reds_mve_depth depth = reds_mve_blocks(patch);
    reds_mve_entries entries;
    entries.padded = 16 * (depth.blocks + 1);
    int8_t *const tile = (int8_t *)scratch;
    entries.offset = (uint16_t *)scratch + 2 * entries.padded;
    entries.y = (uint8_t *)(entries.offset + entries.padded), entries.x = entries.y + entries.padded;
    int32_t *const less = (int32_t *)(void *)(entries.x + entries.padded);
    reds_mve_find(w, width->inputs, depth, &entries);
    for (uint32_t o = 0; o < width->outputs; o++)
        less[o] = -width->in_zero * reds_mve_sum(layer->weights + o * layer->row, patch);
    int32_t top = -(int32_t)w->pad_top, left = -(int32_t)w->pad_left;
    const int32_t bottom = (int32_t)w->in_h - w->kernel_h, right = (int32_t)w->in_w - w->kernel_w; /* the last that lie inside */
    const int32_t end = left + (int32_t)w->out_w * w->stride_w;
    for (uint32_t p = 0; p < positions; p += 4) {
        const uint32_t count = positions - p < 4 ? positions - p : 4;
        const int8_t *from[4];
        int32_t tops[4], lefts[4];
        int inside = count == 4;
        for (uint32_t c = 0; c < count; c++) {
            inside = inside && top >= 0 && left >= 0 && top <= bottom && left <= right;
            from[c] = (const int8_t *)((uintptr_t)in + (uint32_t)top * w->row_step + (uint32_t)left * w->column_step);
            tops[c] = top, lefts[c] = left;
            left += w->stride_w;
            if (left == end) left = -(int32_t)w->pad_left, top += w->stride_h;
        }
        if (inside) reds_mve_gather(from, &entries, tile);
        for (uint32_t c = 0; !inside && c < count; c++)
            reds_mve_gather_edge(w, from[c], width->in_zero, &entries, tops[c], lefts[c], tile + 16 * c);
        reds_mve_tile(layer, width, tile, depth, less, out + p, positions, count);
    }
}

/* ---- Layers without weights ---------------------------------------------------------------------------------------------------- */

/* The sum over the rows [top, bottom) and columns [left, right) of a channel, none of which is empty; whole rows are one run. */
static int32_t reds_mve_sum_of_window(const reds_window *w, const int8_t *in, int32_t top, int32_t bottom, int32_t left, int32_t right) {
    uint32_t rows = (uint32_t)(bottom - top), run = (uint32_t)(right - left);
    in += (uint32_t)top * w->row_step + (uint32_t)left;
    if (run == w->row_step) run *= rows, rows = 1;
    int32_t sum = 0;
    for (; rows != 0; rows--, in += w->row_step) sum += reds_mve_sum(in, run);
    return sum;
}

static void reds_mve_add(const reds_s8_sum *s, const int8_t *a, const int8_t *b, int8_t *out, uint32_t length) {
    /* without the zero points; the lanes wrap around, their sum does not */
    const int32x4_t rest = vdupq_n_s32((int32_t)(-(uint32_t)s->a_zero * (uint32_t)s->a_multiplier -
                                                 (uint32_t)s->b_zero * (uint32_t)s->b_multiplier + (s->slope == 0 ? (uint32_t)s->round : 0u)));
    const int32x4_t slope = vdupq_n_s32(s->slope);
    for (int32_t left = (int32_t)length; left > 0; left -= 4, a += 4, b += 4, out += 4) {
        const mve_pred16_t lanes = vctp32q((uint32_t)left);
        int32x4_t t = vmlaq_n_s32(rest, vldrbq_z_s32(a, lanes), s->a_multiplier);
        t = vmlaq_n_s32(t, vldrbq_z_s32(b, lanes), s->b_multiplier);
        if (s->slope != 0) t = vaddq_n_s32(vpselq_s32(vrmulhq_s32(vaddq_s32(t, t), slope), t, vcmpltq_n_s32(t, 0)), s->round);
        vstrbq_p_s32(out, reds_mve_saturate(vshlq_r_s32(t, -s->shift)), lanes);
    }
}
#endif

#endif
