/* The arithmetic that the int8 layers share. Internal: include reds_kernels.h instead.
 *
 * Every function here has ONE meaning and up to three bodies: for cores with the DSP extension (Cortex-M4, M7, M33), for cores
 * without a 64-bit product (Cortex-M0), and for all others. They agree bit for bit, so an int8 network gives the same answer on
 * a microcontroller and on a PC. */
#ifndef REDS_S8_MATH_H
#define REDS_S8_MATH_H

#include "reds_kernels.h"

/* Without optimisation the registers do not suffice for the inner loops; -DREDS_PLAIN is for comparisons. */
#if defined(__ARM_FEATURE_SIMD32) && defined(__ARM_FEATURE_SAT) && defined(__thumb2__) && defined(__OPTIMIZE__) && \
    !defined(__ARM_BIG_ENDIAN) && !defined(REDS_PLAIN)
#include <arm_acle.h>
#define REDS_SIMD32 1
#else
#define REDS_SIMD32 0
#endif

#if defined(__ARM_ARCH_6M__) && defined(__GNUC__) && !defined(REDS_PLAIN)
#define REDS_V6M 1 /* Cortex-M0, M0+ */
#else
#define REDS_V6M 0
#endif

/* A function of its own has all registers for its loop. */
#ifdef __GNUC__
#define REDS_APART __attribute__((noinline))
#else
#define REDS_APART
#endif

/* A shift to the right of a negative number must repeat the sign: C99 leaves it to the compiler, all that matter do it. */
typedef char reds_shift_is_arithmetic[(-5 >> 1) == -3 ? 1 : -1];

/* addend + (a * b + 2^31) >> 32 */
static inline int32_t reds_mulhi_add(int32_t a, int32_t b, int32_t addend) {
#if REDS_SIMD32
    int32_t sum; /* no compiler finds this instruction in the expression below */
    __asm("smmlar %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(addend));
    return sum;
#elif REDS_V6M || defined(REDS_HALVES) /* four products of 16-bit halves: cheaper than a call for 64 bits */
    const int32_t a_high = a >> 16, b_high = b >> 16;
    const uint32_t a_low = (uint32_t)a & 0xffffu, b_low = (uint32_t)b & 0xffffu;
    const int32_t first = a_high * (int32_t)b_low + 0x8000; /* the half that rounds */
    const int32_t second = b_high * (int32_t)a_low + (int32_t)((a_low * b_low) >> 16);
    const uint32_t carry = (((uint32_t)first & 0xffffu) + ((uint32_t)second & 0xffffu)) >> 16;
    return a_high * b_high + (first >> 16) + (second >> 16) + (int32_t)carry + addend;
#else
    return (int32_t)(((int64_t)a * b + 0x80000000LL) >> 32) + addend;
#endif
}

static inline int32_t reds_saturate(int32_t value) {
#if REDS_SIMD32
    __asm("ssat %0, #8, %1" : "=r"(value) : "r"(value));
    return value;
#else
    return value < -128 ? -128 : value > 127 ? 127 : value;
#endif
}

/* From a sum to an output, see reds_kernels.h; ``channel`` is a copy: the compiler need not read it again after each store. */
static inline int32_t reds_requantise(int32_t sum, reds_s8_channel channel, int32_t shift) {
    return reds_saturate(reds_mulhi_add(sum, channel.multiplier, channel.offset) >> shift);
}

static inline int32_t reds_requantise_leaky(int32_t sum, reds_s8_channel channel, int32_t slope, int32_t round, int32_t shift) {
    const int32_t t = reds_mulhi_add(sum, channel.multiplier, channel.offset);
    return reds_saturate((t < 0 ? reds_mulhi_add(2 * t, slope, round) : t + round) >> shift);
}

#if REDS_SIMD32
/* ---- Instructions of the DSP extension that C does not reach -------------------------------------------------------------------
 *
 * A pair is a word with two 16-bit numbers, (low, high). A word of four bytes (0, 1, 2, 3) comes apart as (0, 2) and (1, 3). */

/* The next 8 bytes of an array, which starts at a multiple of 4, as two pairs; the address moves on by ``step`` bytes. */
#define REDS_LOAD_TWO(first, second, address, step) \
    __asm volatile("ldrd %0, %1, [%2], %3" : "=&r"(first), "=&r"(second), "+&r"(address) : "i"(step) : "memory")

static inline uint32_t reds_word(const int8_t *bytes) {
    uint32_t word;
    __builtin_memcpy(&word, bytes, 4);
    return word;
}

static inline void reds_store(int16_t *to, int16x2_t pair) { __builtin_memcpy(to, &pair, 4); }

static inline int16x2_t reds_bytes_0_2(uint32_t word) { return __sxtb16((int8x4_t)word); }

static inline int16x2_t reds_bytes_1_3(uint32_t word) {
    int16x2_t pair;
    __asm("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

static inline int16x2_t reds_add_bytes_0_2(int16x2_t pair, uint32_t word) { return __sxtab16(pair, (int8x4_t)word); }

static inline int16x2_t reds_add_bytes_1_3(int16x2_t pair, uint32_t word) {
    int16x2_t sum;
    __asm("sxtab16 %0, %1, %2, ror #8" : "=r"(sum) : "r"(pair), "r"(word));
    return sum;
}

/* (low of a, low of b), (high of a, high of b) */
static inline int16x2_t reds_lows(int16x2_t a, int16x2_t b) {
    int16x2_t pair;
    __asm("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(a), "r"(b));
    return pair;
}

static inline int16x2_t reds_highs(int16x2_t a, int16x2_t b) {
    int16x2_t pair;
    __asm("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(b), "r"(a));
    return pair;
}

/* (value, value) */
static inline int16x2_t reds_twice(int32_t value) {
    return (int16x2_t)((uint32_t)value << 16 | ((uint32_t)value & 0xffffu));
}
#endif

#endif
