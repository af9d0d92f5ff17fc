/* The Fourier transform of N real numbers and its magnitudes. Internal, included by the bodies of the front end, which define
 * before:
 *
 *   number, value    of the data, and a complex one: {re, im}
 *   window_entry     of the table of the window: windowed(sample, entry, scale) is a number, with a ``scaling`` of the frame
 *   entry            of the table of sines
 *   factor           what a value is multiplied by, made of two entries: factor_of(re, im)
 *   times(a, w)      the product of a value and a factor
 *   magnitude(a)     |a|, a number
 *
 * N real numbers are N / 2 complex ones, in place and in bit-reversed order. A radix-2 step is followed by radix-4 steps (two
 * radix-2 steps at once, so that plain bit reversal is their order), after one more of radix 2 where N / 4 is no power of 4. */
#ifndef REDS_MFCC_FFT_H
#define REDS_MFCC_FFT_H

#include "reds_mfcc.h"

/* A function of its own has all registers for its loop. */
#ifdef __GNUC__
#define APART __attribute__((noinline))
#else
#define APART
#endif

/* ``reversed``, i < length with its bits in reverse order, of the next i: counts on from the highest bit down. */
static inline uint32_t reversed_next(uint32_t reversed, uint32_t length) {
    uint32_t bit = length >> 1;
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    return reversed | bit;
}

/* The sample of the ring and the weight of the window that come next; the window falls as it rose. */
typedef struct {
    const int16_t *sample, *first, *end;
    const window_entry *weight, *middle;
    int step;
} cursor;

static inline number next(cursor *at, scaling scale) {
    if (at->sample == at->end) at->sample = at->first;
    if (at->weight == at->middle) at->step = -1;
    const number x = windowed(*at->sample++, *at->weight, scale);
    at->weight += at->step;
    return x;
}

/* The windowed samples, two of them a complex number, in bit-reversed order and with the first radix-2 step, of i and
 * i + N / 4. Most of the latter are padding, and a sum with zero is a copy. */
static APART void load(const reds_mfcc_stream *stream, const window_entry *half, scaling scale, value *z, uint32_t quarter) {
    const int16_t *const first = stream->samples;
    cursor at = {first + stream->at, first, first + stream->window, half, half + stream->window / 2, 1};
    const uint32_t length = 2 * quarter;
    for (uint32_t i = 0, reversed = 0; i < quarter; i++, reversed = reversed_next(reversed, length)) {
        z[reversed].re = z[reversed + 1].re = next(&at, scale);
        z[reversed].im = z[reversed + 1].im = next(&at, scale);
    }
    for (uint32_t i = quarter, reversed = 0; i < stream->window / 2; i++, reversed = reversed_next(reversed, length)) {
        const number re = next(&at, scale), im = next(&at, scale);
        z[reversed].re += re, z[reversed].im += im;
        z[reversed + 1].re -= re, z[reversed + 1].im -= im;
    }
}

/* exp(-2 pi i k / N) for k up to N / 4, and for k < 3 N / 4 */
static inline factor twiddle_of_first(const entry *sine, uint32_t quarter, uint32_t k) {
    return factor_of(sine[quarter - k], (entry)-sine[k]);
}

static inline factor twiddle(const entry *sine, uint32_t quarter, uint32_t k) {
    if (k < quarter) return twiddle_of_first(sine, quarter, k);
    if (k < 2 * quarter) return factor_of((entry)-sine[k - quarter], (entry)-sine[2 * quarter - k]);
    return factor_of((entry)-sine[3 * quarter - k], sine[k - 2 * quarter]);
}

/* Four transforms of m values become one of 4 m; here their value k. */
static inline void combine(value *x, uint32_t m, value t1, value t2, value t3) {
    const value t0 = x[0];
    const value a = {t0.re + t1.re, t0.im + t1.im}, b = {t0.re - t1.re, t0.im - t1.im};
    const value c = {t2.re + t3.re, t2.im + t3.im}, d = {t2.re - t3.re, t2.im - t3.im};
    x[0].re = a.re + c.re, x[0].im = a.im + c.im;
    x[m].re = b.re + d.im, x[m].im = b.im - d.re; /* b - i d */
    x[2 * m].re = a.re - c.re, x[2 * m].im = a.im - c.im;
    x[3 * m].re = b.re - d.im, x[3 * m].im = b.im + d.re;
}

static APART void transform(value *z, const entry *sine, uint32_t quarter) {
    const uint32_t length = 2 * quarter;
    uint32_t m = 2;
    if (!(quarter & 0x55555555u)) { /* an odd power of 2: a step of radix 2 */
        for (value *x = z; x != z + length; x += 4) {
            const value a = x[0], b = x[1], c = x[2], d = x[3];
            x[0].re = a.re + c.re, x[0].im = a.im + c.im;
            x[1].re = b.re + d.im, x[1].im = b.im - d.re; /* b - i d */
            x[2].re = a.re - c.re, x[2].im = a.im - c.im;
            x[3].re = b.re - d.im, x[3].im = b.im + d.re;
        }
        m = 4;
    }
    for (; m < length; m *= 4) {
        value *const last = z + length - 4 * m; /* of the groups of 4 m values */
        for (value *x = z;; x += 4 * m) {
            combine(x, m, x[m], x[2 * m], x[3 * m]);
            if (x == last) break;
        }
        for (uint32_t k = 1, step = quarter / m; k < m; k++) {
            const factor w1 = twiddle_of_first(sine, quarter, k * step), w2 = twiddle(sine, quarter, 2 * k * step),
                         w3 = twiddle(sine, quarter, 3 * k * step);
            for (value *x = z + k;; x += 4 * m) {
                combine(x, m, times(x[m], w2), times(x[2 * m], w1), times(x[3 * m], w3));
                if (x == last + k) break;
            }
        }
    }
}

/* |2 X[k]| in place of value k of the complex transform, k from 1 on. Those of k and of N / 2 - k come from the same values. */
static APART void magnitudes(value *z, const entry *sine, uint32_t quarter, uint32_t bins) {
    const uint32_t length = 2 * quarter;
    for (uint32_t k = 1; k <= quarter && k < bins; k++) {
        value *const x = z + k, *const y = z + length - k;
        const value even = {x->re + y->re, x->im - y->im}, odd = {x->im + y->im, y->re - x->re};
        const value t = times(odd, twiddle_of_first(sine, quarter, k));
        const value sum = {even.re + t.re, even.im + t.im}, difference = {even.re - t.re, even.im - t.im};
        if (length - k < bins) y->re = magnitude(difference);
        x->re = magnitude(sum);
    }
}

#endif
