/* The rows of an image that the windows of one row of outputs reach, with their padding. Internal, included by reds_s8.c alone.
 *
 * They lie in the scratch as bytes, [kernel_h][inputs][pitch]: a ring of rows, each of all channels. Padding holds the zero point,
 * and so counts as zero. Whoever reads a window then meets neither borders nor the order [H][W][C], and may load whole words:
 * behind the ring there are REDS_SPARE bytes of padding. */
#ifndef REDS_S8_ROWS_H
#define REDS_S8_ROWS_H

#include "reds_s8_math.h"

typedef struct {
    const reds_window *window;
    const int8_t *in;
    int8_t *start, *end;
    int8_t *to;       /* where the next row goes; when all are there, the first row of the window */
    uint32_t inputs;
    uint32_t pitch;   /* bytes of a row of one channel */
    uint32_t slot;    /* bytes of a row of all channels */
    uint32_t columns; /* of the image that a window reaches */
    int32_t next;     /* the row of the image that comes next, negative above it */
    int32_t zero;
} reds_rows;

#define REDS_SPARE 12u

/* ``count`` times a byte, a multiple of 4 */
static inline void fill(int8_t *to, uint32_t count, int32_t byte) {
    for (const int8_t *const end = to + count; to != end; to += 4) {
#if REDS_SIMD32
        reds_store_word(to, reds_four_times(byte));
#else
        to[0] = to[1] = to[2] = to[3] = (int8_t)byte;
#endif
    }
}

/* ``count`` bytes that lie ``step`` bytes apart, side by side */
static inline void copy(const int8_t *from, uint32_t step, uint32_t count, int8_t *to) {
#if REDS_SIMD32
    if (step == 1)
        for (; count >= 4; count -= 4, from += 4, to += 4) reds_store_word(to, reds_word(from));
#endif
    for (; count >= 4; count -= 4, from += 4 * step, to += 4) {
        const int8_t a = from[0], b = from[step], c = from[2 * step], d = from[3 * step];
        to[0] = a, to[1] = b, to[2] = c, to[3] = d;
    }
    for (; count != 0; count--, from += step) *to++ = *from;
}

static inline reds_rows rows_of(const reds_window *window, const int8_t *in, uint32_t inputs, int32_t zero, int8_t *start) {
    reds_rows r;
    r.window = window, r.in = in, r.inputs = inputs, r.zero = zero;
    r.pitch = REDS_PITCH(window->kernel_w, window->stride_w, window->out_w);
    r.slot = inputs * r.pitch;
    r.columns = r.pitch - window->pad_left < window->in_w ? r.pitch - window->pad_left : window->in_w;
    r.start = r.to = start, r.end = start + window->kernel_h * r.slot;
    r.next = -(int32_t)window->pad_top;
    fill(start, window->kernel_h * r.slot + REDS_SPARE, zero); /* once: what lies left and right of the image stays */
    return r;
}

/* Where the row below is. */
static inline const int8_t *row_below(const reds_rows *r, const int8_t *at) {
    return (uint32_t)(r->end - at) > r->slot ? at + r->slot : at + r->slot - (r->end - r->start);
}

/* Takes in all rows above row ``bottom`` of the image that its window reaches. */
static REDS_APART void rows_advance(reds_rows *r, int32_t bottom) {
    const reds_window *const w = r->window;
    for (; r->next < bottom; r->next++) {
        if (r->next >= bottom - w->kernel_h) {
            if (r->next < 0 || r->next >= w->in_h) fill(r->to, r->slot, r->zero);
            else {
                const int8_t *from = r->in + (uint32_t)r->next * w->row_step;
                int8_t *to = r->to + w->pad_left;
                for (uint32_t i = 0; i < r->inputs; i++, from += w->channel_step, to += r->pitch)
                    copy(from, w->column_step, r->columns, to);
            }
        }
        r->to += r->slot;
        if (r->to == r->end) r->to = r->start;
    }
}

#endif
