/* The Fourier transform of N real numbers and its magnitudes. Internal, included by the bodies of the front end, which define before:
 *
 *   number, value    of the data, and a complex one: {re, im}
 *   entry            of the table of sines
 *   factor           what a number is multiplied by: {re, im}, made of entries
 *   times(a, w)      the product of a value and a factor
 *   magnitude(a)     |a|, a number
 *
 * N real numbers are N / 2 complex ones, in place and in bit-reversed order (reversed_next). They are transformed by radix-4 steps
 * (two radix-2 steps at once, so that plain bit reversal is their order), after one radix-2 step where N / 2 is no power of 4. */
#ifndef REDS_MFCC_FFT_H
#define REDS_MFCC_FFT_H

#include <stdint.h>

/* A function of its own has all registers for its loop. */
#ifdef __GNUC__
#define APART __attribute__((noinline))
#else
#define APART
#endif

/* The index whose bits are reversed, for the next index: counts on from the highest bit down. */
static inline uint32_t reversed_next(uint32_t reversed, uint32_t length) {
    uint32_t bit = length >> 1;
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    return reversed | bit;
}

/* exp(-2 pi i k / N), k < 3 N / 4 */
static inline factor twiddle(const entry *sine, uint32_t quarter, uint32_t k) {
    const uint32_t turns = k >= 2 * quarter ? 2 : k >= quarter, rest = k - turns * quarter;
    const entry s = sine[rest], c = sine[quarter - rest];
    const factor first = {c, -s}, second = {-s, -c}, third = {-c, s};
    return turns == 0 ? first : turns == 1 ? second : third;
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

static APART void turn_and_combine(value *x, const value *end, uint32_t m, factor w1, factor w2, factor w3) {
    for (; x < end; x += 4 * m) combine(x, m, times(x[m], w2), times(x[2 * m], w1), times(x[3 * m], w3));
}

static APART void transform(value *z, const entry *sine, uint32_t quarter) {
    const uint32_t length = 2 * quarter;
    value *const end = z + length;
    uint32_t m = 1;
    if (!(length & 0x55555555u)) { /* an odd power of 2 */
        for (value *x = z; x < end; x += 2) {
            const value a = x[0], b = x[1];
            x[0].re = a.re + b.re, x[0].im = a.im + b.im;
            x[1].re = a.re - b.re, x[1].im = a.im - b.im;
        }
        m = 2;
    }
    for (; m < length; m *= 4) {
        for (value *x = z; x < end; x += 4 * m) combine(x, m, x[m], x[2 * m], x[3 * m]);
        for (uint32_t k = 1, step = quarter / m; k < m; k++) {
            turn_and_combine(z + k, end, m, twiddle(sine, quarter, k * step), twiddle(sine, quarter, 2 * k * step),
                             twiddle(sine, quarter, 3 * k * step));
        }
    }
}

/* |2 X[k]| in place of value k of the complex transform, k from 1 on. Those of k and of N / 2 - k come from the same two values. */
static APART void magnitudes(value *z, const entry *sine, uint32_t quarter, uint32_t bins) {
    const uint32_t length = 2 * quarter;
    for (uint32_t k = 1; k <= quarter && k < bins; k++) {
        value *const x = z + k, *const y = z + length - k;
        const value even = {x->re + y->re, x->im - y->im}, odd = {x->im + y->im, y->re - x->re};
        const factor w = {sine[quarter - k], -sine[k]};
        const value t = times(odd, w);
        const value sum = {even.re + t.re, even.im + t.im}, difference = {even.re - t.re, even.im - t.im};
        if (length - k < bins) y->re = magnitude(difference);
        x->re = magnitude(sum);
    }
}

#endif
