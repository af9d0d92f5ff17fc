/* Functions of one number in float32, from sums and products alone: nothing of the C library.
 *
 * For every float exp, expm1, log, log1p, sqrt, tanh, logistic and erf are within 1e-6 of the exact value, relative; erfc is
 * within 1e-6, absolute. What would be below the smallest normal number may be 0. What is not a number stays so, and where
 * there is no value, a function is not a number. */
#ifndef REDS_F32_FUNCTIONS_H
#define REDS_F32_FUNCTIONS_H

#include <stdint.h>

typedef union {
    uint32_t bits;
    float value;
} reds_float;

static inline float reds_f32_from_bits(uint32_t bits) {
    const reds_float x = {bits};
    return x.value;
}

static inline float reds_f32_infinity(void) { return reds_f32_from_bits(0x7f800000u); }

static inline float reds_f32_nan(void) { return reds_f32_from_bits(0x7fc00000u); }

static inline float reds_f32_abs(float x) {
    reds_float y;
    y.value = x, y.bits &= 0x7fffffffu;
    return y.value;
}

/* The larger and the smaller; not a number if one of the two is not. */
static inline float reds_f32_max(float a, float b) { return a > b || a != a ? a : b; }

static inline float reds_f32_min(float a, float b) { return a < b || a != a ? a : b; }

/* x = n ln 2 + r with |r| <= ln 2 / 2, e^r as its Taylor polynomial, 2^n by writing an exponent. */
static inline float reds_f32_exp(float x) {
    if (!(x > -87.3365f)) return x != x ? x : 0.0f; /* below the smallest normal number */
    if (x > 88.7228f) return reds_f32_infinity();
    const int32_t n = (int32_t)(x * 1.44269504f + (x < 0.0f ? -0.5f : 0.5f));
    /* ln 2 in two parts: the first product is exact */
    const float r = (x - (float)n * 0.693359375f) + (float)n * 2.12194440e-4f;
    const float e = 1.0f + r * (1.0f + r * (1.0f / 2 + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720))))));
    if (n > 127) return 2.0f * (e * reds_f32_from_bits(254u << 23));
    return e * reds_f32_from_bits((uint32_t)(n + 127) << 23);
}

/* e^x - 1: near 0 as its Taylor polynomial. */
static inline float reds_f32_expm1(float x) {
    if (!(reds_f32_abs(x) < 0.35f)) return reds_f32_exp(x) - 1.0f;
    return x + x * x * (1.0f / 2 + x * (1.0f / 6 + x * (1.0f / 24 + x * (1.0f / 120 + x * (1.0f / 720 + x * (1.0f / 5040))))));
}

/* ln((1 + s) / (1 - s)) = 2 (s + s^3 / 3 + s^5 / 5 + ...), for |s| <= 1/4. */
static inline float reds_f32_log_ratio(float s) {
    const float q = s * s;
    return 2.0f * s + 2.0f * s * q * (1.0f / 3 + q * (1.0f / 5 + q * (1.0f / 7 + q * (1.0f / 9 + q * (1.0f / 11)))));
}

/* x = 2^n m with m between sqrt(1/2) and sqrt(2): ln x = n ln 2 + ln m. */
static inline float reds_f32_log(float x) {
    reds_float m;
    int32_t n = 0;
    if (!(x > 0.0f)) return x == 0.0f ? -reds_f32_infinity() : reds_f32_nan();
    if (x > 3.40282347e38f) return x;
    if (x < 1.17549435e-38f) x *= 8388608.0f, n = -23; /* below the smallest normal number */
    m.value = x;
    n += (int32_t)(m.bits >> 23) - 127;
    m.bits = (m.bits & 0x007fffffu) | 0x3f800000u;
    if (m.value > 1.41421356f) m.value *= 0.5f, n++;
    return (float)n * 0.693359375f + (reds_f32_log_ratio((m.value - 1.0f) / (m.value + 1.0f)) - (float)n * 2.12194440e-4f);
}

/* ln(1 + x) */
static inline float reds_f32_log1p(float x) {
    return reds_f32_abs(x) < 0.4f ? reds_f32_log_ratio(x / (2.0f + x)) : reds_f32_log(1.0f + x);
}

/* Newton's iteration from half the exponent. */
static inline float reds_f32_sqrt(float x) {
    reds_float y;
    float factor = 1.0f;
    if (!(x > 0.0f)) return x == 0.0f ? x : reds_f32_nan();
    if (x > 3.40282347e38f) return x;
    if (x < 1.0e-30f) x *= 1.8446744073709552e19f, factor = 2.3283064365386963e-10f; /* 2^64 and 2^-32 */
    y.value = x, y.bits = (y.bits >> 1) + 0x1fbd1df5u;
    for (int k = 0; k < 3; k++) y.value = 0.5f * (y.value + x / y.value);
    return factor * y.value;
}

/* tanh |x| = (1 - e^(-2 |x|)) / (1 + e^(-2 |x|)) */
static inline float reds_f32_tanh(float x) {
    const float t = reds_f32_expm1(-2.0f * reds_f32_abs(x)), y = -t / (t + 2.0f);
    return x < 0.0f ? -y : y;
}

/* 1 / (1 + e^-x), from the exponential of a negative number */
static inline float reds_f32_logistic(float x) {
    const float e = reds_f32_exp(x < 0.0f ? x : -x);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* 1 - erf x = p(t) e^(-x^2) with t = 2 / (2 + x), for x >= 0; p is the polynomial of degree 9 without a constant that comes
 * nearest, relatively, for x up to 10. */
static inline float reds_f32_erfc_positive(float x) {
    const float t = 2.0f / (2.0f + x);
    const float p = t * (0.282086418f + t * (0.282375309f + t * (0.24310376f + t * (0.202686881f + t * (-0.0266256962f +
                    t * (0.27806721f + t * (-0.487199948f + t * (0.284574991f + t * -0.0590689665f))))))));
    return p * reds_f32_exp(-x * x);
}

static inline float reds_f32_erfc(float x) { return x < 0.0f ? 2.0f - reds_f32_erfc_positive(-x) : reds_f32_erfc_positive(x); }

/* near 0 as its Taylor series */
static inline float reds_f32_erf(float x) {
    const float q = x * x;
    if (!(q < 0.25f)) return x < 0.0f ? reds_f32_erfc_positive(-x) - 1.0f : 1.0f - reds_f32_erfc_positive(x);
    const float rest = 1.0f / 42 - q * (1.0f / 216 - q * (1.0f / 1320 - q * (1.0f / 9360)));
    return x * 1.12837917f * (1.0f - q * (1.0f / 3 - q * (1.0f / 10 - q * rest)));
}

#endif
