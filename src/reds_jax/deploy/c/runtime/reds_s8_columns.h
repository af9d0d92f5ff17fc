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
/* One group of 4 positions: a word of neighbouring inputs for each of its 4 rows. */
static inline void turn(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t minus, int16_t *tile) {
    const uint32_t ac = reds_lows(a, c), bd = reds_lows(b, d), ca = reds_highs(a, c), db = reds_highs(b, d);
    reds_store(tile, reds_add_bytes_0_2(minus, ac)), reds_store(tile + 2, reds_add_bytes_0_2(minus, bd));
    reds_store(tile + 4, reds_add_bytes_1_3(minus, ac)), reds_store(tile + 6, reds_add_bytes_1_3(minus, bd));
    reds_store(tile + 8, reds_add_bytes_0_2(minus, ca)), reds_store(tile + 10, reds_add_bytes_0_2(minus, db));
    reds_store(tile + 12, reds_add_bytes_1_3(minus, ca)), reds_store(tile + 14, reds_add_bytes_1_3(minus, db));
}
#endif

/* The columns of 4 positions of a pointwise layer, whose inputs lie side by side. */
static REDS_APART void gather_pointwise(const int8_t *in, uint32_t inputs, uint32_t channel_step, int32_t zero, int16_t *tile) {
#if REDS_SIMD32
    const uint32_t minus = reds_twice(-zero), nothing = reds_four_times(zero);
    for (; inputs >= 4; inputs -= 4, tile += 16, in += 4 * channel_step)
        turn(reds_word(in), reds_word(in + channel_step), reds_word(in + 2 * channel_step), reds_word(in + 3 * channel_step), minus,
             tile);
    if (inputs != 0)
        turn(reds_word(in), inputs > 1 ? reds_word(in + channel_step) : nothing,
             inputs > 2 ? reds_word(in + 2 * channel_step) : nothing, nothing, minus, tile);
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

/* One pair of entries of each of 4 columns: the bytes 0 and 2 of a word belong to one column, 1 and 3 to the next. */
static inline void put_pairs(int16_t *to, uint32_t first, uint32_t second, uint32_t minus) {
    reds_store(to, reds_add_bytes_0_2(minus, first)), reds_store(to + 4, reds_add_bytes_1_3(minus, first));
    reds_store(to + 8, reds_add_bytes_0_2(minus, second)), reds_store(to + 12, reds_add_bytes_1_3(minus, second));
}

/* 4 columns beside each other, of windows that are 1 or 3 wide with stride 1; they begin ``x`` bytes into the rows. Four rows of a
 * window are 1 or 3 groups of entries; what is missing in the last four is padding, and may be more than a group. */
static REDS_APART void gather_four(const reds_rows *r, const int16_t *offset, uint32_t x, int16_t *tile) {
    const uint32_t minus = reds_twice(-r->zero), kernel_h = r->window->kernel_h, kernel_w = r->window->kernel_w;
    const int16_t *const start = offset, *const end = offset + 8 * kernel_h;
    const int8_t *base = r->start + x;
    for (uint32_t left = r->inputs * kernel_h;; left -= 4) {
        const int8_t *const a = base + reds_pair(offset);
        const int8_t *const b = left > 1 ? base + reds_pair(offset + 2) : r->end;
        const int8_t *const c = left > 2 ? base + reds_pair(offset + 4) : r->end;
        const int8_t *const d = left > 3 ? base + reds_pair(offset + 6) : r->end;
        if (kernel_w == 1) {
            turn(reds_word(a), reds_word(b), reds_word(c), reds_word(d), minus, tile), tile += 16;
        } else { /* the groups a0 a1 a2 b0, b1 b2 c0 c1, c2 d0 d1 d2, each moved on by one from column to column */
            const uint32_t a1 = reds_word(a + 1), b0 = reds_word(b), b1 = reds_word(b + 1), b2 = reds_word(b + 2);
            const uint32_t c0 = reds_word(c), c1 = reds_word(c + 1), c2 = reds_word(c + 2), d1 = reds_word(d + 1);
            put_pairs(tile, reds_word(a), reds_word(a + 2), minus);
            put_pairs(tile + 2, reds_lows(a1, b0), reds_highs(a1, b0), minus);
            put_pairs(tile + 16, reds_lows(b1, c0), reds_highs(b1, c0), minus);
            put_pairs(tile + 18, reds_lows(b2, c1), reds_highs(b2, c1), minus);
            put_pairs(tile + 32, reds_lows(c2, d1), reds_highs(c2, d1), minus);
            put_pairs(tile + 34, reds_word(d), reds_word(d + 2), minus);
            tile += 48;
        }
        if (left <= 4) return;
        if ((offset += 8) == end) offset = start, base += 4 * r->pitch;
    }
}
#endif

#endif
