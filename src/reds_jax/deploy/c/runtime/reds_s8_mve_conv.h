/* Convolutions of int8 for Helium (MVE), see reds_s8_mve.h: pairs of rows of weights times tiles of columns, which are gathered
 * from the image. Internal, included by reds_s8.c alone. */
#ifndef REDS_S8_MVE_CONV_H
#define REDS_S8_MVE_CONV_H

#include "reds_s8_mve.h"

#if REDS_MVE
/* ---- Matrix times columns ------------------------------------------------------------------------------------------------- *
 *
 * A row of weights is cut into blocks of 16; the FIRST has what is over, 1 to 16 entries, so that its products need no cleared
 * sums to be added to. A tile holds 4 columns of inputs (positions of the image): block by block, 16 bytes of each column. */

typedef struct {
    uint32_t first, blocks; /* entries of the first block; blocks after it */
} reds_mve_depth;

REDS_MVE_INLINE reds_mve_depth reds_mve_blocks(uint32_t depth) {
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

/* For each pair, 2 * 4 sums and outputs. Assembler, because the sums take all 8 registers that can hold one (r0, r2, ... lr):
 * what else a pair needs lies in memory meanwhile. 15 instructions for 128 products, and 58 around them for 8 outputs. */
#define REDS_MVE_COLUMN(add, a, b)                 \
    "vldrb.8 q2, [r1], #16\n\t"                \
    "vmladav" add ".s8 " a ", q0, q2\n\t"      \
    "vmladav" add ".s8 " b ", q1, q2\n\t"
#define REDS_MVE_COLUMNS(add) \
    REDS_MVE_COLUMN(add, "r0", "r8") REDS_MVE_COLUMN(add, "r2", "r10") \
    REDS_MVE_COLUMN(add, "r4", "r12") REDS_MVE_COLUMN(add, "r6", "lr")
#define REDS_MVE_BLOCK "vldrb.8 q0, [r3], #16\n\tvldrb.8 q1, [r5], #16\n\t" REDS_MVE_COLUMNS("a")
#define REDS_MVE_LEAKY(q) /* slope in q3 */    \
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
    "add r5, r9\n\t" REDS_MVE_COLUMNS("")
    "lsrs r7, #1\n\t"
    "bcc 2f\n\t" /* an even number */
    REDS_MVE_BLOCK
    "2:\tcbz r7, 4f\n"
    "3:\t" REDS_MVE_BLOCK REDS_MVE_BLOCK
    "subs r7, #1\n\t"
    "bne 3b\n"
    "4:\tvmov q0[2], q0[0], r0, r4\n\t"
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
    "bne 6f\n"
    "5:\tvshl.s32 q0, r7\n\t"
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
    "6:\tvdup.32 q3, r10\n\t"
    "ldr r12, [r11, #40]\n\t" /* round */
    REDS_MVE_LEAKY("q0") REDS_MVE_LEAKY("q1")
    "b 5b\n\t"
    ".size reds_mve_multiply, . - reds_mve_multiply\n\t"
    ".text");
#undef REDS_MVE_COLUMN
#undef REDS_MVE_COLUMNS
#undef REDS_MVE_BLOCK
#undef REDS_MVE_LEAKY

/* All outputs of ``positions`` positions, 1 to 4, that follow each other; the next channel's lie ``step`` bytes further. */
static REDS_APART void reds_mve_tile(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *tile,
                                     reds_mve_depth depth, const int32_t *less, int8_t *out, uint32_t step,
                                     uint32_t positions) {
    const uint32_t last = width->outputs - 1;
    reds_mve_pairs pairs = {width->channels, less, out, layer->weights, width->outputs / 2, layer->row, step, -width->shift,
                            vctp32q(positions), layer->slope, width->round, tile, depth.blocks, vctp8q(depth.first),
                            depth.first};
    if (pairs.pairs != 0) reds_mve_multiply(&pairs);
    if (last % 2 == 0) { /* a row without another makes a pair with itself */
        const reds_s8_channel channels[2] = {width->channels[last], width->channels[last]};
        const int32_t twice[2] = {less[last], less[last]};
        pairs.channels = channels, pairs.less = twice, pairs.pairs = 1, pairs.row = pairs.step = 0;
        reds_mve_multiply(&pairs);
    }
}

/* ---- Columns -------------------------------------------------------------------------------------------------------------- *
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
static REDS_APART void reds_mve_gather(const int8_t *a, const int8_t *b, const int8_t *c, const int8_t *d,
                                       const reds_mve_entries *entries, int8_t *to) {
    const uint16_t *offset = entries->offset;
    for (uint32_t n = entries->padded / 16; n != 0; n--, offset += 16, to += 64) {
        const uint16x8_t low = vldrhq_u16(offset), high = vldrhq_u16(offset + 8);
        vstrbq_s16(to, vldrbq_gather_offset_s16(a, low)), vstrbq_s16(to + 8, vldrbq_gather_offset_s16(a, high));
        vstrbq_s16(to + 16, vldrbq_gather_offset_s16(b, low)), vstrbq_s16(to + 24, vldrbq_gather_offset_s16(b, high));
        vstrbq_s16(to + 32, vldrbq_gather_offset_s16(c, low)), vstrbq_s16(to + 40, vldrbq_gather_offset_s16(c, high));
        vstrbq_s16(to + 48, vldrbq_gather_offset_s16(d, low)), vstrbq_s16(to + 56, vldrbq_gather_offset_s16(d, high));
    }
}

/* One column of a window that starts at row ``top`` and column ``left``, inside the image or not; ``in`` is where that would
 * be. Assembler, because compilers carry predicates through the other registers. */
static REDS_APART void reds_mve_gather_edge(const reds_window *w, const int8_t *in, int32_t zero,
                                            const reds_mve_entries *entries, int32_t top, int32_t left, int8_t *to) {
    const uint16x8_t bottom = vdupq_n_u16((uint16_t)(w->in_h - 1)), right = vdupq_n_u16((uint16_t)(w->in_w - 1));
    const int16x8_t outside = vdupq_n_s16((int16_t)zero);
    const uint16_t *offset = entries->offset;
    const uint8_t *ys = entries->y, *xs = entries->x;
    uint16x8_t y, x;
#define REDS_MVE_EIGHT /* a row above the image has a large number */ \
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
        __asm volatile(REDS_MVE_EIGHT "vstrb.16 %q[y], [%[to]], #8\n\t" REDS_MVE_EIGHT "vstrb.16 %q[y], [%[to]], #56"
                       : [ys] "+l"(ys), [xs] "+l"(xs), [offset] "+r"(offset), [to] "+l"(to), [y] "=&w"(y), [x] "=&w"(x)
                       : [top] "r"(top), [left] "r"(left), [in] "r"(in), [bottom] "w"(bottom), [right] "w"(right),
                         [outside] "w"(outside)
                       : "memory");
#undef REDS_MVE_EIGHT
}

/* Whether the addresses of this layer fit the numbers above. */
REDS_MVE_INLINE int reds_mve_fits(const reds_window *w, uint32_t inputs) {
    const uint32_t last = (inputs - 1) * w->channel_step + (w->kernel_h - 1u) * w->row_step +
                          (w->kernel_w - 1u) * w->column_step;
    return last <= 0xffffu && w->kernel_h <= 256 && w->kernel_w <= 256 && w->in_h <= 32768 && w->in_w <= 32768;
}

/* The columns of ``count`` positions, 1 to 4, from the one on whose window starts at (*top, *left); moves these on. */
static REDS_APART void reds_mve_columns(const reds_window *w, const int8_t *in, int32_t zero, const reds_mve_entries *entries,
                                        uint32_t count, int32_t *top, int32_t *left, int8_t *tile) {
    const int32_t bottom = (int32_t)w->in_h - w->kernel_h, right = (int32_t)w->in_w - w->kernel_w; /* the last ones inside */
    const int32_t end = (int32_t)w->out_w * w->stride_w - w->pad_left;
    const int8_t *from[4], *inner = 0;
    int32_t tops[4], lefts[4];
    int edge[4] = {0, 0, 0, 0};
    for (uint32_t c = 0; c < count; c++) {
        edge[c] = *top < 0 || *left < 0 || *top > bottom || *left > right;
        from[c] = (const int8_t *)((uintptr_t)in + (uint32_t)*top * w->row_step + (uint32_t)*left * w->column_step);
        tops[c] = *top, lefts[c] = *left;
        if (!edge[c]) inner = from[c];
        *left += w->stride_w;
        if (*left == end) *left = -(int32_t)w->pad_left, *top += w->stride_h;
    }
    if (inner) { /* what stands in for the others is written over, or not used */
        const int8_t *all[4];
        for (uint32_t c = 0; c < 4; c++) all[c] = c < count && !edge[c] ? from[c] : inner;
        reds_mve_gather(all[0], all[1], all[2], all[3], entries, tile);
    }
    for (uint32_t c = 0; c < count; c++)
        if (edge[c]) reds_mve_gather_edge(w, from[c], zero, entries, tops[c], lefts[c], tile + 16 * c);
}

static void reds_mve_conv(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int8_t *out,
                          int16_t *scratch) {
    reds_window w = layer->window;
    const uint32_t positions = (uint32_t)w.out_h * w.out_w;
    const uint32_t patch = width->inputs * w.kernel_h * w.kernel_w;
    if (patch == width->inputs && w.stride_h == 1 && w.stride_w == 1 && w.in_h == w.out_h && w.in_w == w.out_w &&
        w.row_step == w.in_w * w.column_step && positions <= 32768) /* pointwise: one long row */
        w.in_h = w.out_h = 1, w.in_w = w.out_w = (uint16_t)positions;
    const reds_mve_depth depth = reds_mve_blocks(patch);
    reds_mve_entries entries;
    entries.padded = 16 * (depth.blocks + 1);
    int8_t *const tile = (int8_t *)scratch;
    entries.offset = (uint16_t *)scratch + 2 * entries.padded;
    entries.y = (uint8_t *)(entries.offset + entries.padded), entries.x = entries.y + entries.padded;
    int32_t *const less = (int32_t *)(void *)(entries.x + entries.padded);
    reds_mve_find(&w, width->inputs, depth, &entries);
    for (uint32_t o = 0; o < width->outputs; o++)
        less[o] = -width->in_zero * reds_mve_sum(layer->weights + o * layer->row, patch);
    int32_t top = -(int32_t)w.pad_top, left = -(int32_t)w.pad_left;
    const int32_t bottom = (int32_t)w.in_h - w.kernel_h, right = (int32_t)w.in_w - w.kernel_w - 3 * (int32_t)w.stride_w;
    const int32_t end = left + ((int32_t)w.out_w - 4) * w.stride_w; /* the last 4 positions of a row */
    const uint32_t step = w.stride_w * w.column_step;
    for (uint32_t p = 0; p < positions; p += 4) {
        const uint32_t count = positions - p < 4 ? positions - p : 4;
        if (top >= 0 && left >= 0 && top <= bottom && left <= right && left < end) { /* 4 of a row, not the last: most tiles */
            const int8_t *const from = in + (uint32_t)top * w.row_step + (uint32_t)left * w.column_step;
            reds_mve_gather(from, from + step, from + 2 * step, from + 3 * step, &entries, tile);
            left += 4 * w.stride_w;
        } else reds_mve_columns(&w, in, width->in_zero, &entries, count, &top, &left, tile);
        reds_mve_tile(layer, width, tile, depth, less, out + p, positions, count);
    }
}
#endif

#endif
