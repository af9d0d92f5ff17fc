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

/* The products of ``count`` bytes with as many others, added. */
REDS_INLINE int32_t reds_mve_product(const int8_t *a, const int8_t *b, uint32_t count) {
    int32_t sum = 0;
    int8x16_t x, y;
    __asm volatile("dlstp.8 lr, %[count]\n"
                   "1:\tvldrb.8 %q[x], [%[a]], #16\n\t"
                   "vldrb.8 %q[y], [%[b]], #16\n\t"
                   "vmladava.s8 %[sum], %q[x], %q[y]\n\t"
                   "letp lr, 1b"
                   : [sum] "+Te"(sum), [a] "+r"(a), [b] "+r"(b), [x] "=&w"(x), [y] "=&w"(y)
                   : [count] "r"(count)
                   : "lr", "memory");
    return sum;
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

/* One column of a window that lies inside the image and starts at ``in``. */
REDS_INLINE void reds_mve_gather(const int8_t *in, const reds_mve_entries *entries, int8_t *to) {
    const uint16_t *offset = entries->offset;
    for (uint32_t n = entries->padded; n != 0; n -= 16, offset += 16, to += 64) {
        vstrbq_s16(to, vldrbq_gather_offset_s16(in, vldrhq_u16(offset)));
        vstrbq_s16(to + 8, vldrbq_gather_offset_s16(in, vldrhq_u16(offset + 8)));
    }
}

/* One column of a window that starts at row ``top`` and column ``left`` of the image, or outside of it. */
static REDS_APART void reds_mve_gather_edge(const reds_window *w, const int8_t *in, int32_t zero, const reds_mve_entries *entries,
                                            int32_t top, int32_t left, int8_t *to) {
    const uint16x8_t bottom = vdupq_n_u16((uint16_t)(w->in_h - 1)), right = vdupq_n_u16((uint16_t)(w->in_w - 1));
    const int16x8_t outside = vdupq_n_s16((int16_t)zero);
    in = (const int8_t *)((uintptr_t)in + (uintptr_t)((uint32_t)top * w->row_step + (uint32_t)left * w->column_step));
    for (uint32_t k = 0; k != entries->padded; k += 8, to += k % 16 != 0 ? 8 : 56) {
        const uint16x8_t y = vaddq_n_u16(vldrbq_u16(entries->y + k), (uint16_t)top); /* above the image: large numbers */
        const uint16x8_t x = vaddq_n_u16(vldrbq_u16(entries->x + k), (uint16_t)left);
        const mve_pred16_t inside = vcmpcsq_m_u16(right, x, vcmpcsq_u16(bottom, y));
        const int16x8_t value = vldrbq_gather_offset_z_s16(in, vldrhq_u16(entries->offset + k), inside);
        vstrbq_s16(to, vpselq_s16(value, outside, inside));
    }
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
    const int32_t bottom = (int32_t)w->in_h - w->kernel_h, right = (int32_t)w->in_w - w->kernel_w;
    const int32_t end = left + (int32_t)w->out_w * w->stride_w;
    for (uint32_t p = 0; p < positions; p += 4) {
        const uint32_t count = positions - p < 4 ? positions - p : 4;
        for (uint32_t c = 0; c < count; c++) {
            if (top >= 0 && left >= 0 && top <= bottom && left <= right)
                reds_mve_gather(in + (uint32_t)top * w->row_step + (uint32_t)left * w->column_step, &entries, tile + 16 * c);
            else
                reds_mve_gather_edge(w, in, width->in_zero, &entries, top, left, tile + 16 * c);
            left += w->stride_w;
            if (left == end) left = -(int32_t)w->pad_left, top += w->stride_h;
        }
        reds_mve_tile(layer, width, tile, depth, less, out + p, positions, count);
    }
}
#endif

#endif
