/* How the inputs of the int8 layers come into the scratch. Internal, included by reds_s8.c alone.
 *
 * A column holds the inputs of one output position as 16-bit numbers, with the zero point taken off and zeros for the padding of
 * the image and up to a multiple of 4: the inner loops then know neither zero points nor borders. What the weights hold beyond
 * the prefix that is asked for meets these zeros.
 *
 * Four columns make a tile. On a core with the DSP extension they are interleaved, 4 entries of the first, of the second, of the
 * third, of the fourth, the next 4 of the first, so that one pointer serves them all, and the entries of every group of 4 lie in
 * the order 0, 2, 1, 3, in which the instruction sxtb16 takes a word of weights apart. Elsewhere column follows column. */
#ifndef REDS_S8_COLUMNS_H
#define REDS_S8_COLUMNS_H

#include "reds_s8_rows.h"

#define REDS_SECOND (REDS_SIMD32 ? 2 : 1) /* where the second entry of a group of 4 lies; the third lies at 3 - REDS_SECOND */

#if REDS_SIMD32
/* The entries of a column, a multiple of 4, from its bytes; its groups of 4 get ``hop`` entries apart. */
static inline void spread(const int8_t *line, const int8_t *end, int32_t zero, int16_t *to, uint32_t hop) {
    const uint32_t minus = reds_twice(-zero);
    for (; line != end; line += 4, to += hop) {
        const uint32_t word = reds_word(line);
        reds_store(to, reds_add_bytes_0_2(minus, word)), reds_store(to + 2, reds_add_bytes_1_3(minus, word));
    }
}
#endif

/* A column whose entries lie ``step`` bytes apart. */
static REDS_APART void gather_point(const int8_t *in, uint32_t inputs, uint32_t step, int32_t zero, int16_t *to, uint32_t hop) {
#if REDS_SIMD32
    if (step == 1) {
        const uint32_t whole = inputs / 4 * 4;
        spread(in, in + whole, zero, to, hop);
        in += whole, to += inputs / 4 * hop, inputs -= whole;
    }
#endif
    for (; inputs >= 4; inputs -= 4, in += 4 * step, to += hop) {
        to[0] = (int16_t)(in[0] - zero), to[REDS_SECOND] = (int16_t)(in[step] - zero);
        to[3 - REDS_SECOND] = (int16_t)(in[2 * step] - zero), to[3] = (int16_t)(in[3 * step] - zero);
    }
    if (inputs == 0) return;
    to[0] = (int16_t)(in[0] - zero), to[REDS_SECOND] = (int16_t)(inputs > 1 ? in[step] - zero : 0);
    to[3 - REDS_SECOND] = (int16_t)(inputs > 2 ? in[2 * step] - zero : 0), to[3] = 0;
}

#if REDS_SIMD32
/* One pair of entries of each of 4 columns, which begin ``stride`` bytes apart, 1 or 2: from one row the bytes 0 and 2 of a column
 * (``one``), or from two rows byte 0 of each. */
REDS_INSIDE void put_pair(int16_t *to, const int8_t *a, const int8_t *b, const int one, const uint32_t stride, uint32_t minus) {
    if (stride == 1) { /* the bytes 0 and 2 of a word are for one column, 1 and 3 for the next */
        const uint32_t x = reds_word(a), y = reds_word(one ? a + 2 : b);
        const uint32_t first = one ? x : reds_lows(x, y), second = one ? y : reds_highs(x, y);
        reds_store(to, reds_add_bytes_0_2(minus, first)), reds_store(to + 4, reds_add_bytes_1_3(minus, first));
        reds_store(to + 8, reds_add_bytes_0_2(minus, second)), reds_store(to + 12, reds_add_bytes_1_3(minus, second));
    } else {
        const uint32_t x = reds_word(a), y = reds_word(one ? a + 2 : b);
        const uint32_t z = reds_word(a + 4), t = reds_word(one ? a + 6 : b + 4);
        reds_store(to, reds_add_bytes_0_2(minus, one ? x : reds_lows(x, y)));
        reds_store(to + 4, reds_add_bytes_0_2(minus, one ? y : reds_highs(x, y)));
        reds_store(to + 8, reds_add_bytes_0_2(minus, one ? z : reds_lows(z, t)));
        reds_store(to + 12, reds_add_bytes_0_2(minus, one ? t : reds_highs(z, t)));
    }
}

/* Four rows of a window, of 4 columns: ``width`` groups of 4 entries, of which a column takes those with the numbers 0 and 2 as a
 * pair, and 1 and 3. Number e is byte e % width of row e / width. */
REDS_INSIDE void put_rows(int16_t *tile, const int8_t *const *row, const uint32_t width, const uint32_t stride, uint32_t minus) {
#define PAIR(e, to)                                                                                                        \
    put_pair(to, row[(e) / width] + (e) % width, row[((e) + 2) / width] + ((e) + 2) % width, (e) / width == ((e) + 2) / width, \
             stride, minus)
#define GROUP(g) PAIR(4u * (g), tile + 16 * (g)), PAIR(4u * (g) + 1u, tile + 16 * (g) + 2)
    GROUP(0);
    if (width > 1) GROUP(1), GROUP(2);
    if (width > 3) GROUP(3), GROUP(4);
#undef GROUP
#undef PAIR
}
#endif

/* The columns of 4 positions of a pointwise layer, whose inputs lie side by side. */
static REDS_APART void gather_pointwise(const int8_t *in, uint32_t inputs, uint32_t channel_step, int32_t zero, int16_t *tile) {
#if REDS_SIMD32
    const uint32_t minus = reds_twice(-zero), nothing = reds_four_times(zero);
    int8_t padding[4];
    reds_store_word(padding, nothing);
    for (; inputs >= 4; inputs -= 4, tile += 16, in += 4 * channel_step) {
        const int8_t *const rows[4] = {in, in + channel_step, in + 2 * channel_step, in + 3 * channel_step};
        put_rows(tile, rows, 1, 1, minus);
    }
    if (inputs != 0) {
        const int8_t *const rows[4] = {in, inputs > 1 ? in + channel_step : padding, inputs > 2 ? in + 2 * channel_step : padding,
                                       padding};
        put_rows(tile, rows, 1, 1, minus);
    }
#else
    const uint32_t depth = REDS_ROUND4(inputs);
    for (uint32_t k = 0; k < depth; k++)
        for (uint32_t c = 0; c < 4; c++) tile[c * depth + k] = (int16_t)(k < inputs ? in[k * channel_step + c] - zero : 0);
#endif
}

/* One column of a window: it begins ``x`` bytes into the rows. The line takes it as bytes. */
static REDS_APART void gather(const reds_rows *r, uint32_t x, int8_t *line, uint32_t depth, int16_t *to, uint32_t hop) {
    const uint32_t kernel_h = r->window->kernel_h, kernel_w = r->window->kernel_w, pitch = r->pitch;
    const int8_t *first = r->to + x;
#if REDS_SIMD32
    const int8_t *const end = line + depth;
    int8_t *put = line;
    if (kernel_h == 3 && kernel_w <= 4) { /* up to 3 bytes are written that the next row, or the padding, replaces */
        const int8_t *second = row_below(r, first), *third = row_below(r, second);
        for (uint32_t i = r->inputs; i != 0; i--, first += pitch, second += pitch, third += pitch) {
            reds_store_word(put, reds_word(first)), put += kernel_w;
            reds_store_word(put, reds_word(second)), put += kernel_w;
            reds_store_word(put, reds_word(third)), put += kernel_w;
        }
    } else
        for (uint32_t i = r->inputs; i != 0; i--, first += pitch) {
            const int8_t *row = first;
            for (uint32_t y = kernel_h; y != 0; y--, put += kernel_w, row = row_below(r, row)) {
                reds_store_word(put, reds_word(row));
                for (uint32_t k = 4; k < kernel_w; k += 4) reds_store_word(put + k, reds_word(row + k));
            }
        }
    while (put < end) *put++ = (int8_t)r->zero;
    spread(line, end, r->zero, to, hop);
#else
    const int16_t *const end = to + depth;
    const int32_t zero = r->zero;
    (void)line, (void)hop;
    for (uint32_t i = r->inputs; i != 0; i--, first += pitch) {
        const int8_t *row = first;
        for (uint32_t y = kernel_h; y != 0; y--, row = row_below(r, row))
            for (uint32_t k = 0; k < kernel_w; k++) *to++ = (int16_t)(row[k] - zero);
    }
    while (to != end) *to++ = 0;
#endif
}

#if REDS_SIMD32
/* Where the windows' rows of 4 channels begin, from the ring's start: kernel_h for each channel. */
static inline void find_rows(const reds_rows *r, int16_t *offset) {
    const int8_t *at = r->to;
    for (uint32_t y = r->window->kernel_h; y != 0; y--, at = row_below(r, at), offset += 2)
        for (uint32_t i = 0; i < 4; i++) reds_store(offset + 2 * i * r->window->kernel_h, (uint32_t)(at - r->start) + i * r->pitch);
}

/* 4 columns beside each other, of windows ``width`` wide with stride 1 or 2; they begin ``x`` bytes into the rows. What is missing in
 * the last four rows is padding, which may be more than what fills up the last group. */
REDS_INSIDE void gather_rows(const reds_rows *r, const int16_t *offset, uint32_t x, int16_t *tile, const uint32_t width,
                             const uint32_t stride) {
    const uint32_t minus = reds_twice(-r->zero), kernel_h = r->window->kernel_h;
    const int16_t *const start = offset, *const end = offset + 8 * kernel_h;
    const int8_t *base = r->start + x;
    for (uint32_t left = r->inputs * kernel_h;; left -= 4, tile += 16 * width) {
        const int8_t *const row[4] = {base + reds_pair(offset), left > 1 ? base + reds_pair(offset + 2) : r->end,
                                      left > 2 ? base + reds_pair(offset + 4) : r->end,
                                      left > 3 ? base + reds_pair(offset + 6) : r->end};
        put_rows(tile, row, width, stride, minus);
        if (left <= 4) return;
        if ((offset += 8) == end) offset = start, base += 4 * r->pitch;
    }
}

static inline int gathers_four(const reds_window *w) {
    return (w->stride_w == 1 && (w->kernel_w == 1 || w->kernel_w == 5)) || (w->stride_w <= 2 && w->kernel_w == 3);
}

static REDS_APART void gather_four(const reds_rows *r, const int16_t *offset, uint32_t x, int16_t *tile) {
    const uint32_t width = r->window->kernel_w;
    if (width == 1) gather_rows(r, offset, x, tile, 1, 1);
    else if (width == 5) gather_rows(r, offset, x, tile, 5, 1);
    else if (r->window->stride_w == 1) gather_rows(r, offset, x, tile, 3, 1);
    else gather_rows(r, offset, x, tile, 3, 2);
}
#endif

#endif
