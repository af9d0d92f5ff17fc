/* A frame of the front end in float32. See reds_mfcc.h.
 *
 * The transform of N real samples is one of N / 2 complex ones, in place: they are stored in bit-reversed order while the window is
 * applied, and transformed by radix-4 steps (two radix-2 steps at once, so that plain bit reversal is their order), after one
 * radix-2 step where N / 2 is no power of 4. What is computed is 2 X: the window is half as large. */
#include "reds_mfcc.h"

#include <string.h>

/* A function of its own has all registers for its loop. */
#ifdef __GNUC__
#define APART __attribute__((noinline))
#else
#define APART
#endif

#if defined(__ARM_FP) && defined(__ARM_ARCH_PROFILE) && !defined(REDS_PLAIN)
#define HAS_ROOT (__ARM_ARCH_PROFILE == 'M' && (__ARM_FP & 4))
#else
#define HAS_ROOT 0
#endif

typedef struct {
    float re, im;
} complex_f32;

static float of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* x >= 0 */
static inline float root(float x) {
#if HAS_ROOT
    __asm("vsqrt.f32 %0, %1" : "=t"(x) : "t"(x));
    return x;
#else /* 1 / sqrt(x): a guess from the exponent, and Newton's steps from 2e-3 over 5e-6 and 3e-11 */
    const float half = 0.5f * x;
    float y = of_bits(0x5f3759dfu - (bits_of(x) >> 1));
    for (int step = 0; step < 3; step++) y = y * (1.5f - half * y * y);
    return x * y;
#endif
}

/* ln x of a normal number: x = 2^e m with m from sqrt(1/2) to sqrt(2), ln m = 2 artanh((m - 1) / (m + 1)) by its series */
static float logarithm(float x) {
    const uint32_t bits = bits_of(x), above = bits - 0x3f3504f3u; /* sqrt(1/2) */
    const int32_t e = (int32_t)above >> 23;
    const float m = of_bits(bits - ((uint32_t)e << 23));
    const float t = (m - 1.0f) / (m + 1.0f), s = t * t;
    const float series = ((((1.0f / 9.0f) * s + 1.0f / 7.0f) * s + 1.0f / 5.0f) * s + 1.0f / 3.0f) * s;
    return (float)e * 0.693147181f + 2.0f * (t + t * series);
}

/* The windowed samples as N / 2 complex ones, in bit-reversed order, padded with zeros. */
static APART void load(const reds_mfcc_f32 *tables, const reds_mfcc_stream *stream, complex_f32 *z) {
    const uint32_t length = 2 * tables->quarter, half = tables->window / 2;
    const int16_t *sample = stream->samples + stream->at, *const end = stream->samples + tables->window;
    const float *weight = tables->half;
    memset(z, 0, length * sizeof *z); /* a float of zero bytes is 0 */
    for (uint32_t pair = 0, reversed = 0; pair < half; pair++) {
        float x[2];
        for (uint32_t i = 0; i < 2; i++) {
            if (sample == end) sample = stream->samples;
            x[i] = *weight * (float)*sample++;
            weight += 2 * pair + i < half ? 1 : -1;
        }
        z[reversed].re = x[0];
        z[reversed].im = x[1];
        uint32_t bit = length >> 1; /* count on, from the highest bit down */
        for (; reversed & bit; bit >>= 1) reversed ^= bit;
        reversed |= bit;
    }
}

/* exp(-2 pi i k / N), k < 3 N / 4 */
static complex_f32 twiddle(const float *sine, uint32_t quarter, uint32_t k) {
    const uint32_t turns = k >= 2 * quarter ? 2 : k >= quarter, rest = k - turns * quarter;
    const float s = sine[rest], c = sine[quarter - rest];
    const complex_f32 w = {turns == 0 ? c : turns == 1 ? -s : -c, turns == 0 ? -s : turns == 1 ? -c : s};
    return w;
}

static inline complex_f32 times(complex_f32 a, complex_f32 w) {
    const complex_f32 y = {a.re * w.re - a.im * w.im, a.re * w.im + a.im * w.re};
    return y;
}

/* Four transforms of m values become one of 4 m; here their value k. */
static inline void combine(complex_f32 *x, uint32_t m, complex_f32 t1, complex_f32 t2, complex_f32 t3) {
    const complex_f32 t0 = x[0];
    const complex_f32 a = {t0.re + t1.re, t0.im + t1.im}, b = {t0.re - t1.re, t0.im - t1.im};
    const complex_f32 c = {t2.re + t3.re, t2.im + t3.im}, d = {t2.re - t3.re, t2.im - t3.im};
    x[0].re = a.re + c.re, x[0].im = a.im + c.im;
    x[m].re = b.re + d.im, x[m].im = b.im - d.re; /* b - i d */
    x[2 * m].re = a.re - c.re, x[2 * m].im = a.im - c.im;
    x[3 * m].re = b.re - d.im, x[3 * m].im = b.im + d.re;
}

static APART void turn_and_combine(complex_f32 *x, const complex_f32 *end, uint32_t m, const complex_f32 w[3]) {
    for (; x < end; x += 4 * m) combine(x, m, times(x[m], w[1]), times(x[2 * m], w[0]), times(x[3 * m], w[2]));
}

static APART void transform(complex_f32 *z, const float *sine, uint32_t quarter) {
    const uint32_t length = 2 * quarter;
    complex_f32 *const end = z + length;
    uint32_t m = 1;
    if (!(length & 0x55555555u)) { /* an odd power of 2 */
        for (complex_f32 *x = z; x < end; x += 2) {
            const complex_f32 a = x[0], b = x[1];
            x[0].re = a.re + b.re, x[0].im = a.im + b.im;
            x[1].re = a.re - b.re, x[1].im = a.im - b.im;
        }
        m = 2;
    }
    for (; m < length; m *= 4) {
        for (complex_f32 *x = z; x < end; x += 4 * m) combine(x, m, x[m], x[2 * m], x[3 * m]);
        for (uint32_t k = 1, step = quarter / m; k < m; k++) {
            const complex_f32 w[3] = {twiddle(sine, quarter, k * step), twiddle(sine, quarter, 2 * k * step),
                                      twiddle(sine, quarter, 3 * k * step)};
            turn_and_combine(z + k, end, m, w);
        }
    }
}

/* |2 X[k]| in place of value k of the complex transform, for k from 1 on. Those of k and of N / 2 - k come from the same two. */
static APART void magnitudes(complex_f32 *z, const float *sine, uint32_t quarter, uint32_t bins) {
    const uint32_t length = 2 * quarter;
    for (uint32_t k = 1; k <= quarter && k < bins; k++) {
        complex_f32 *const x = z + k, *const y = z + length - k;
        const complex_f32 even = {x->re + y->re, x->im - y->im}, odd = {x->im + y->im, y->re - x->re};
        const complex_f32 w = {sine[quarter - k], -sine[k]}, t = times(odd, w);
        const complex_f32 sum = {even.re + t.re, even.im + t.im}, difference = {even.re - t.re, even.im - t.im};
        if (length - k < bins) y->re = root(difference.re * difference.re + difference.im * difference.im);
        x->re = root(sum.re * sum.re + sum.im * sum.im);
    }
}

void reds_mfcc_f32_frame(const reds_mfcc_f32 *tables, const reds_mfcc_stream *stream, float *scratch, float *out) {
    complex_f32 *const z = (complex_f32 *)(void *)scratch;
    load(tables, stream, z);
    transform(z, tables->sine, tables->quarter);
    magnitudes(z, tables->sine, tables->quarter, tables->bins);
    for (uint32_t k = 0; k < tables->coefficients; k++) out[k] = 0.0f;
    const float *weight = tables->weights, *basis = tables->basis;
    for (uint32_t b = 0; b < tables->bands; b++) {
        float energy = 0.0f;
        const complex_f32 *bin = z + tables->band[b].first;
        for (uint32_t i = 0; i < tables->band[b].count; i++) energy += *weight++ * bin++->re;
        const float m = logarithm(energy > 1e-12f ? energy : 1e-12f);
        for (uint32_t k = 0; k < tables->coefficients; k++) out[k] += *basis++ * m;
    }
}
