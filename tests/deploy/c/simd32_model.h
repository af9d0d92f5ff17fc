/* The instructions of the DSP extension that the int8 kernels use, as C functions after the architecture manual (ARM DDI 0403E).
 * With -DREDS_SIMD32_MODEL the bodies of the Cortex-M4 then run on a little-endian PC, where an address sanitizer sees what they
 * read and write. ldrd and ldm want addresses that are multiples of 4, which a PC would not. */
#ifndef SIMD32_MODEL_H
#define SIMD32_MODEL_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t model_pair(int32_t low, int32_t high) { return (uint32_t)low % 65536u | (uint32_t)high % 65536u << 16; }
static inline int32_t model_low(uint32_t pair) { return (int16_t)(pair & 0xffffu); }
static inline int32_t model_high(uint32_t pair) { return (int16_t)(pair >> 16); }
static inline int32_t model_byte(uint32_t word, int k) { return (int8_t)(word >> 8 * k & 0xffu); }
static inline int32_t model_add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

static inline uint32_t reds_bytes_0_2(uint32_t word) { return model_pair(model_byte(word, 0), model_byte(word, 2)); }
static inline uint32_t reds_bytes_1_3(uint32_t word) { return model_pair(model_byte(word, 1), model_byte(word, 3)); }
static inline uint32_t reds_add_bytes_0_2(uint32_t a, uint32_t word) {
    return model_pair(model_low(a) + model_byte(word, 0), model_high(a) + model_byte(word, 2));
}
static inline uint32_t reds_add_bytes_1_3(uint32_t a, uint32_t word) {
    return model_pair(model_low(a) + model_byte(word, 1), model_high(a) + model_byte(word, 3));
}
static inline uint32_t reds_lows(uint32_t a, uint32_t b) { return model_pair(model_low(a), model_low(b)); }
static inline uint32_t reds_highs(uint32_t a, uint32_t b) { return model_pair(model_high(a), model_high(b)); }

static inline int32_t reds_smlabb(uint32_t a, uint32_t b, int32_t sum) { return model_add(sum, model_low(a) * model_low(b)); }
static inline int32_t reds_smlatb(uint32_t a, uint32_t b, int32_t sum) { return model_add(sum, model_high(a) * model_low(b)); }
static inline int32_t reds_smlabt(uint32_t a, uint32_t b, int32_t sum) { return model_add(sum, model_low(a) * model_high(b)); }
static inline int32_t reds_smlad(uint32_t a, uint32_t b, int32_t sum) {
    return model_add(reds_smlabb(a, b, sum), model_high(a) * model_high(b));
}
static inline int32_t reds_smuad(uint32_t a, uint32_t b) { return reds_smlad(a, b, 0); }
static inline int32_t reds_smultb(uint32_t a, uint32_t b) { return reds_smlatb(a, b, 0); }
static inline int32_t reds_smmlar(int32_t a, int32_t b, int32_t addend) {
    return model_add((int32_t)(((int64_t)a * b + 0x80000000LL) >> 32), addend);
}
static inline int32_t reds_ssat8(int32_t value) { return value < -128 ? -128 : value > 127 ? 127 : value; }
static inline uint32_t reds_usada8(uint32_t a, uint32_t b, uint32_t sum) {
    for (int k = 0; k < 4; k++) {
        const uint32_t x = a >> 8 * k & 0xffu, y = b >> 8 * k & 0xffu;
        sum += x > y ? x - y : y - x;
    }
    return sum;
}

static inline uint32_t reds_max_bytes(uint32_t a, uint32_t b) {
    uint32_t word = 0;
    for (int k = 0; k < 4; k++) word |= (model_byte(a, k) > model_byte(b, k) ? a : b) & 0xffu << 8 * k;
    return word;
}

#define REDS_LOAD_TWO(first, second, address, step)    \
    do {                                               \
        assert((uintptr_t)(address) % 4 == 0);         \
        memcpy(&(first), (address), 4);                \
        memcpy(&(second), (address) + 2, 4);           \
        (address) += (step) / 2;                       \
    } while (0)

#endif
