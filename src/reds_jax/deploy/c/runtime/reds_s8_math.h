/* The arithmetic that the int8 layers share. Internal: include reds_kernels.h instead.
 *
 * Every function here has ONE meaning and up to three bodies: for cores with the DSP extension (Cortex-M4, M7, M33), for cores
 * without a 64-bit product (Cortex-M0), and for all others. They agree bit for bit, so an int8 network gives the same answer on
 * a microcontroller and on a PC. */
#ifndef REDS_S8_MATH_H
#define REDS_S8_MATH_H

#include "reds_kernels.h"

/* Without optimisation the registers do not suffice for the inner loops; -DREDS_PLAIN is for comparisons. REDS_SIMD32_MODEL is a
 * header that gives the instructions as C functions: a test then sees every address that the bodies of the DSP extension touch. */
#ifdef REDS_SIMD32_MODEL
#include REDS_SIMD32_MODEL
#define REDS_SIMD32 1
#define REDS_LOOPS 0
#elif defined(__ARM_FEATURE_SIMD32) && defined(__ARM_FEATURE_SAT) && defined(__thumb2__) && defined(__OPTIMIZE__) && \
    !defined(__ARM_BIG_ENDIAN) && !defined(REDS_PLAIN)
#include <arm_acle.h>
#define REDS_SIMD32 1
#define REDS_LOOPS 1 /* inner loops in assembler */
#else
#define REDS_SIMD32 0
#define REDS_LOOPS 0
#endif

#if defined(__ARM_ARCH_6M__) && defined(__GNUC__) && !defined(REDS_PLAIN)
#define REDS_V6M 1 /* Cortex-M0, M0+ */
#else
#define REDS_V6M 0
#endif

/* A function of its own has all registers for its loop. */
#ifdef __GNUC__
#define REDS_APART __attribute__((noinline))
#define REDS_INSIDE static inline __attribute__((always_inline)) /* one body for each constant that it is called with */
#else
#define REDS_APART
#define REDS_INSIDE static inline
#endif

/* A shift to the right of a negative number must repeat the sign: C99 leaves it to the compiler, all that matter do it. */
typedef char reds_shift_is_arithmetic[(-5 >> 1) == -3 ? 1 : -1];

#if REDS_SIMD32
/* ---- The DSP extension ---------------------------------------------------------------------------------------------------------
 *
 * A word holds four bytes (0, 1, 2, 3), from the lowest, or a pair of 16-bit numbers (low, high). Bytes come apart as the pairs
 * (0, 2) and (1, 3). */
#ifndef REDS_SIMD32_MODEL
#define REDS_INSTRUCTION(name, text)                      \
    static inline uint32_t name(uint32_t a, uint32_t b) { \
        uint32_t word;                                    \
        __asm(text : "=r"(word) : "r"(a), "r"(b));        \
        return word;                                      \
    }
REDS_INSTRUCTION(reds_add_bytes_0_2, "sxtab16 %0, %1, %2")         /* a + bytes (0, 2) of b */
REDS_INSTRUCTION(reds_add_bytes_1_3, "sxtab16 %0, %1, %2, ror #8") /* a + bytes (1, 3) of b */
REDS_INSTRUCTION(reds_lows, "pkhbt %0, %1, %2, lsl #16")           /* (low of a, low of b) */
REDS_INSTRUCTION(reds_highs, "pkhtb %0, %2, %1, asr #16")          /* (high of a, high of b) */
#undef REDS_INSTRUCTION

static inline uint32_t reds_bytes_0_2(uint32_t word) { return (uint32_t)__sxtb16((int8x4_t)word); }

static inline uint32_t reds_bytes_1_3(uint32_t word) {
    uint32_t pair;
    __asm("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

static inline int32_t reds_smmlar(int32_t a, int32_t b, int32_t addend) {
    int32_t sum;
    __asm("smmlar %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(addend));
    return sum;
}

static inline int32_t reds_ssat8(int32_t value) {
    __asm("ssat %0, #8, %1" : "=r"(value) : "r"(value));
    return value;
}

/* smlad: sum + the products of both pairs; smlatb: sum + high of a * low of b; smlabt: sum + low of a * high of b; without a sum
 * smuad and smultb */
static inline int32_t reds_smlad(uint32_t a, uint32_t b, int32_t sum) { return __smlad((int16x2_t)a, (int16x2_t)b, sum); }
static inline int32_t reds_smlatb(uint32_t a, uint32_t b, int32_t sum) { return __smlatb((int32_t)a, (int32_t)b, sum); }
static inline int32_t reds_smlabt(uint32_t a, uint32_t b, int32_t sum) { return __smlabt((int32_t)a, (int32_t)b, sum); }
static inline int32_t reds_smuad(uint32_t a, uint32_t b) { return __smuad((int16x2_t)a, (int16x2_t)b); }
static inline int32_t reds_smultb(uint32_t a, uint32_t b) { return __smlatb((int32_t)a, (int32_t)b, 0); }

/* sum + the differences of the four bytes of a and of b, which have no sign */
static inline uint32_t reds_usada8(uint32_t a, uint32_t b, uint32_t sum) { return __usada8(a, b, sum); }

/* of each byte the larger one */
static inline uint32_t reds_max_bytes(uint32_t a, uint32_t b) {
    uint32_t word;
    __asm("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(word) : "r"(a), "r"(b) : "cc");
    return word;
}

/* The next two words of an array, which starts at a multiple of 4; the address moves on by ``step`` bytes. */
#define REDS_LOAD_TWO(first, second, address, step) \
    __asm volatile("ldrd %0, %1, [%2], %3" : "=&r"(first), "=&r"(second), "+&r"(address) : "i"(step) : "memory")
#endif

static inline uint32_t reds_word(const int8_t *bytes) {
    uint32_t word;
    __builtin_memcpy(&word, bytes, 4);
    return word;
}

static inline uint32_t reds_pair(const int16_t *entries) {
    uint32_t pair;
    __builtin_memcpy(&pair, entries, 4);
    return pair;
}

static inline void reds_store_word(int8_t *to, uint32_t word) { __builtin_memcpy(to, &word, 4); }
static inline void reds_store(int16_t *to, uint32_t pair) { __builtin_memcpy(to, &pair, 4); }

/* (value, value), and four times a byte */
static inline uint32_t reds_twice(int32_t value) { return (uint32_t)value << 16 | ((uint32_t)value & 0xffffu); }
static inline uint32_t reds_four_times(int32_t byte) { return ((uint32_t)byte & 0xffu) * 0x01010101u; }
#endif

/* addend + (a * b + 2^31) >> 32 */
static inline int32_t reds_mulhi_add(int32_t a, int32_t b, int32_t addend) {
#if REDS_SIMD32
    return reds_smmlar(a, b, addend); /* no compiler finds this instruction in the expression below */
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
    return reds_ssat8(value);
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

static inline int32_t reds_finish(int32_t sum, reds_s8_channel channel, int32_t slope, int32_t round, int32_t shift) {
    return slope == 0 ? reds_requantise(sum, channel, shift) : reds_requantise_leaky(sum, channel, slope, round, shift);
}

#endif
