/* Depthwise layers of int8 for Helium (MVE), see reds_s8_mve.h. Internal, included by reds_s8.c alone.
 *
 * Some rows of one channel lie in the scratch with the zero point around them. Three ways lead from there to the outputs:
 *
 *   narrow   16 neighbouring bytes hold the whole window, because the image is narrow or the window flat: one product of 16 bytes is
 *            an output. The weights lie as the window does, with zeros between.
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
    int32x4_t multiplier;
    int32_t offset, less;
    int32_t slope, round, right;
} reds_mve_channel;

/* From 4 sums to outputs, in bits 0 to 7 of each lane; ``leaky`` is a constant. */
REDS_INLINE int32x4_t reds_mve_finish(int32x4_t sum, const reds_mve_channel *c, int leaky) {
    int32x4_t t = vaddq_n_s32(vrmulhq_s32(sum, c->multiplier), c->offset);
    if (leaky) {
        const int32x4_t scaled = vrmulhq_s32(vaddq_s32(t, t), vdupq_n_s32(c->slope));
        t = vaddq_n_s32(vpselq_s32(scaled, t, vcmpltq_n_s32(t, 0)), c->round);
    }
    t = vshlq_r_s32(t, c->right);
    __asm("vqmovnb.s32 %q0, %q0\n\tvqmovnb.s16 %q0, %q0" : "+w"(t)); /* compilers would copy it twice */
    return t;
}

/* ---- The image ----------------------------------------------------------------------------------------------------------------- */

static REDS_APART void reds_mve_prepare(reds_mve_slide *s, const reds_window *w, int16_t *scratch) {
    const uint32_t reach = (w->out_w - 1u) * w->stride_w + w->kernel_w - w->pad_left; /* columns from the first of the image on */
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
static REDS_APART void reds_mve_rows(const reds_mve_slide *s, const int8_t *in, int32_t top, uint32_t count) {
    const reds_window *const w = s->window;
    int8_t *to = s->image + w->pad_left;
    for (; count != 0; count--, top++, to += s->pitch) {
        const int8_t *const from = in + (uint32_t)top * w->row_step;
        if (top < 0 || top >= w->in_h) reds_mve_fill(to, s->zero, s->used);
        else if (w->column_step == 1) reds_mve_copy(from, to, s->used);
        else
            for (uint32_t k = 0; k < s->used; k++) to[k] = from[k * w->column_step];
    }
}

/* The weights of a channel as the bytes of the image meet them. */
REDS_INLINE void reds_mve_spread(const reds_mve_slide *s, const int8_t *weights) {
    for (uint32_t k = 0; k < 16 * s->pieces; k += 16) {
        const uint8x16_t which = vldrbq_u8(s->which + k);
        vstrbq_s8(s->weights + k, vldrbq_gather_offset_z_s8(weights, which, vcmpgeq_n_s8(vreinterpretq_s8_u8(which), 0)));
    }
}

/* ---- Four outputs at once ------------------------------------------------------------------------------------------------------ */

/* Where 4 outputs start in the image and, from the first, in the output; ``count`` times, one column further each time. */
typedef struct {
    const int8_t *start[4];
    uint32x4_t to;
    uint32_t count;
} reds_mve_lanes;

/* narrow, stride 1 */
REDS_INLINE void reds_mve_narrow(const reds_mve_slide *s, const reds_mve_lanes *lanes, const reds_mve_channel *c, int8_t *out, int leaky) {
    const int8_t *p0 = lanes->start[0], *p1 = lanes->start[1], *p2 = lanes->start[2], *p3 = lanes->start[3];
    const int8x16_t w = vldrbq_s8(s->weights);
    for (uint32_t n = lanes->count; n != 0; n--) {
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
              : [p0] "+r"(p0), [p1] "+r"(p1), [p2] "+r"(p2), [p3] "+r"(p3), [a] "=&Te"(a), [b] "=&Te"(b), [x] "=&w"(x),
                [sum] "=&w"(sum)
              : [w] "w"(w)
              : "memory");
        vstrbq_scatter_offset_s32(out++, lanes->to, reds_mve_finish(vaddq_n_s32(sum, c->less), c, leaky));
    }
}

/* pieces */
REDS_INLINE void reds_mve_pieces(const reds_mve_slide *s, const reds_mve_lanes *lanes, const reds_mve_channel *c, int8_t *out, int leaky) {
    const uint32_t jump = s->rows * s->pitch, stride = s->window->stride_w;
    for (uint32_t n = 0; n < lanes->count; n++) {
        const int8_t *p0 = lanes->start[0] + n * stride, *p1 = lanes->start[1] + n * stride;
        const int8_t *p2 = lanes->start[2] + n * stride, *p3 = lanes->start[3] + n * stride;
        int32_t s0 = c->less, s1 = s0, s2 = s0, s3 = s0;
        for (uint32_t k = 0; k < 16 * s->pieces; k += 16, p0 += jump, p1 += jump, p2 += jump, p3 += jump) {
            const int8x16_t w = vldrbq_s8(s->weights + k);
            s0 = vmladavaq_s8(s0, w, vldrbq_s8(p0)), s1 = vmladavaq_s8(s1, w, vldrbq_s8(p1));
            s2 = vmladavaq_s8(s2, w, vldrbq_s8(p2)), s3 = vmladavaq_s8(s3, w, vldrbq_s8(p3));
        }
        const int32_t sums[4] = {s0, s1, s2, s3};
        vstrbq_scatter_offset_s32(out++, lanes->to, reds_mve_finish(vldrwq_s32(sums), c, leaky));
    }
}

/* All rows of outputs that the rows in the scratch are enough for: 4 rows at once, what is left of them as 4 parts of each row. */
REDS_INLINE void reds_mve_outputs(const reds_mve_slide *s, uint32_t rows, const reds_mve_channel *c, int8_t *out, int leaky) {
    const reds_window *const w = s->window;
    const uint32_t out_w = w->out_w, step = w->stride_h * s->pitch, part = (out_w + 3u) / 4u;
    const int8_t *from = s->image;
    reds_mve_lanes lanes;
    for (uint32_t y = 0; y < rows;) {
        const uint32_t on = rows - y < 4 ? 1 : 4;
        uint32_t to[4];
        for (uint32_t k = 0; k < 4; k++) {
            const uint32_t column = REDS_MVE_SMALLER(k * part, out_w - part); /* parts may overlap */
            to[k] = on == 4 ? k * out_w : column;
            lanes.start[k] = from + (on == 4 ? k * step : column * w->stride_w);
        }
        lanes.to = vldrwq_u32(to), lanes.count = on == 4 ? out_w : part;
        if (s->pieces == 1 && w->stride_w == 1) reds_mve_narrow(s, &lanes, c, out, leaky);
        else reds_mve_pieces(s, &lanes, c, out, leaky);
        y += on, from += on * step, out += on * out_w;
    }
}

/* strip; ``stride`` is a constant */
REDS_INLINE void reds_mve_strips(const reds_mve_slide *s, const int8_t *weights, uint32_t rows, const reds_mve_channel *c, int8_t *out,
                                 uint32_t stride, int leaky) {
    const reds_window *const w = s->window;
    static const uint32_t twos[4] = {0, 2, 4, 6};
    const uint32x4_t at = vldrwq_u32(twos);
    const int32_t w0 = weights[0], w1 = weights[1], w2 = weights[2], w3 = weights[3], w4 = weights[4], w5 = weights[5];
    const int32_t w6 = weights[6], w7 = weights[7], w8 = weights[8];
    const int8_t *from = s->image;
    const int32x4_t less = vdupq_n_s32(c->less);
    for (; rows != 0; rows--, from += w->stride_h * s->pitch) {
        const int8_t *r0 = from, *r1 = from + s->pitch, *r2 = r1 + s->pitch;
        for (int32_t left = w->out_w; left > 0; left -= 4, r0 += 4 * stride, r1 += 4 * stride, r2 += 4 * stride) {
            int32x4_t sum = less;
#define REDS_LOAD(row, k) (stride == 1 ? vldrbq_s32(row + k) : vldrbq_gather_offset_s32(row + k, at))
            sum = vmlaq_n_s32(sum, REDS_LOAD(r0, 0), w0), sum = vmlaq_n_s32(sum, REDS_LOAD(r0, 1), w1);
            sum = vmlaq_n_s32(sum, REDS_LOAD(r0, 2), w2), sum = vmlaq_n_s32(sum, REDS_LOAD(r1, 0), w3);
            sum = vmlaq_n_s32(sum, REDS_LOAD(r1, 1), w4), sum = vmlaq_n_s32(sum, REDS_LOAD(r1, 2), w5);
            sum = vmlaq_n_s32(sum, REDS_LOAD(r2, 0), w6), sum = vmlaq_n_s32(sum, REDS_LOAD(r2, 1), w7);
            sum = vmlaq_n_s32(sum, REDS_LOAD(r2, 2), w8);
#undef REDS_LOAD
            vstrbq_p_s32(out, reds_mve_finish(sum, c, leaky), vctp32q((uint32_t)left));
            out += left < 4 ? left : 4;
        }
    }
}

REDS_INLINE void reds_mve_channels(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int8_t *out, reds_mve_slide *s,
                                   int leaky) {
    const reds_window *const w = &layer->window;
    const int three = s->pieces > 1 && w->kernel_h == 3 && w->kernel_w == 3 && w->stride_w <= 2;
    for (uint32_t o = 0; o < width->outputs; o++, in += w->channel_step) {
        const int8_t *const weights = layer->weights + o * layer->row;
        reds_mve_channel c;
        c.multiplier = vdupq_n_s32(width->channels[o].multiplier), c.offset = width->channels[o].offset;
        c.less = -width->in_zero * reds_mve_sum(weights, s->area);
        c.slope = layer->slope, c.round = width->round, c.right = -width->shift;
        if (!three) reds_mve_spread(s, weights);
        for (uint32_t y = 0; y < w->out_h; y += REDS_S8_MVE_ROWS) {
            const uint32_t rows = REDS_MVE_SMALLER(w->out_h - y, REDS_S8_MVE_ROWS);
            reds_mve_rows(s, in, (int32_t)(y * w->stride_h) - w->pad_top, (rows - 1) * w->stride_h + w->kernel_h);
            if (!three) reds_mve_outputs(s, rows, &c, out, leaky);
            else if (w->stride_w == 1) reds_mve_strips(s, weights, rows, &c, out, 1, leaky);
            else reds_mve_strips(s, weights, rows, &c, out, 2, leaky);
            out += rows * w->out_w;
        }
    }
}

/* Whether a row of the window fits 16 bytes, and its weights the numbers of ``which``. */
REDS_INLINE int reds_mve_slides(const reds_window *w) { return w->kernel_w <= 16 && w->kernel_h * w->kernel_w <= 128; }

static void reds_mve_depthwise(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int8_t *out, int16_t *scratch) {
    const reds_window *const w = &layer->window;
    reds_mve_slide s;
    reds_mve_prepare(&s, w, scratch);
    s.zero = width->in_zero;
    const uint32_t rows = (REDS_MVE_SMALLER(w->out_h, REDS_S8_MVE_ROWS) - 1) * w->stride_h + w->kernel_h;
    reds_mve_fill(s.image, s.zero, w->pad_left + rows * s.pitch);
    if (layer->slope == 0) reds_mve_channels(layer, width, in, out, &s, 0);
    else reds_mve_channels(layer, width, in, out, &s, 1);
}
#endif

#endif
