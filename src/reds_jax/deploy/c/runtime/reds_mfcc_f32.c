/* A frame of the front end in float32. See reds_mfcc.h; reds_mfcc_fft.h has the transform. What is computed is 2 X: the window
 * is half as large. */
#include "reds_mfcc.h"

#include <string.h>

#if defined(__ARM_FP) && defined(__ARM_ARCH_PROFILE) && !defined(REDS_PLAIN)
#define HAS_ROOT (__ARM_ARCH_PROFILE == 'M' && (__ARM_FP & 4))
#else
#define HAS_ROOT 0
#endif

typedef float number, entry, window_entry;
typedef struct {
    float re, im;
} value;
typedef value factor;
typedef int scaling; /* none: the table of the window has it */

static inline factor factor_of(float re, float im) {
    const factor w = {re, im};
    return w;
}

/* a * b + c, in one instruction where the core has it, also under -std=c99 */
#ifdef __FP_FAST_FMAF
#define MULTIPLY_ADD(a, b, c) __builtin_fmaf(a, b, c)
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

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

/* ln x of a normal number: x = 2^e m with m from sqrt(1/2) to sqrt(2), ln m = 2 artanh((m - 1) / (m + 1)) by its
 * series, which leaves 3e-8 */
static float logarithm(float x) {
    const uint32_t bits = bits_of(x), above = bits - 0x3f3504f3u; /* sqrt(1/2) */
    const int32_t e = (int32_t)above >> 23;
    const float m = of_bits(bits - ((uint32_t)e << 23));
    const float t = (m - 1.0f) / (m + 1.0f), s = t * t;
    const float series = (((1.0f / 7.0f) * s + 1.0f / 5.0f) * s + 1.0f / 3.0f) * s;
    return (float)e * 0.693147181f + 2.0f * (t + t * series);
}

static inline value times(value a, factor w) {
    const value y = {MULTIPLY_ADD(-a.im, w.im, a.re * w.re), MULTIPLY_ADD(a.re, w.im, a.im * w.re)};
    return y;
}

static inline float magnitude(value a) { return root(MULTIPLY_ADD(a.re, a.re, a.im * a.im)); }

static inline float windowed(int16_t sample, float weight, scaling none) {
    (void)none;
    return weight * (float)sample;
}

#include "reds_mfcc_fft.h"

void reds_mfcc_f32_frame(const reds_mfcc_f32 *tables, const reds_mfcc_stream *stream, float *scratch, float *out) {
    value *const z = (value *)(void *)scratch;
    load(stream, tables->half, 0, z, tables->quarter);
    transform(z, tables->sine, tables->quarter);
    magnitudes(z, tables->sine, tables->quarter, tables->bins);
    for (uint32_t k = 0; k < tables->coefficients; k++) out[k] = 0.0f;
    const float *weight = tables->weights, *basis = tables->basis;
    for (uint32_t b = 0; b < tables->bands; b++) {
        float energy = 0.0f;
        const value *bin = z + tables->band[b].first;
        for (uint32_t i = 0; i < tables->band[b].count; i++) energy = MULTIPLY_ADD(*weight++, bin++->re, energy);
        const float m = logarithm(energy > 1e-12f ? energy : 1e-12f);
        for (uint32_t k = 0; k < tables->coefficients; k++) out[k] = MULTIPLY_ADD(*basis++, m, out[k]);
    }
}
