/* Products, functions of single entries and repeated rows and columns against the formulas in reds_kernels.h.
 *
 * int8 and copies are compared exactly, float32 products to 2.4e-7; the bytes around an output must stay as they were, and in
 * place the same comes out. Prints ``ok``, or the first mismatch and exits with 1. The same seed gives the same cases.
 *
 *   cc -std=c99 -I runtime check_elementwise.c runtime/reds_s8_elementwise.c runtime/reds_f32_elementwise.c
 *   -DREDS_HALVES: the product of a Cortex-M0; -DCHECK_EDGES with -fsanitize=address,undefined: arrays end where memory ends */
#include "reds_kernels.h"

#include <stdio.h>
#include <string.h>

#define CASES 2000
#define CAPACITY 4096
#ifdef CHECK_EDGES
#define GUARD 0
#else
#define GUARD 16
#endif

typedef union {
    float f[CAPACITY + GUARD / 2];
    int8_t b[4 * CAPACITY + 2 * GUARD];
} memory;

static memory a_memory, b_memory, out_memory;
static uint32_t state = 2463534242u;

static uint32_t draw(void) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
}
static int32_t between(int32_t low, int32_t high) { return low + (int32_t)((draw() >> 8) % (uint32_t)(high - low + 1)); }

/* ``bytes`` bytes with guards around them, at the end of their memory, filled with noise */
static void *place(memory *m, size_t bytes) {
    int8_t *const start = m->b + sizeof m->b - GUARD - bytes;
    for (size_t k = 0; k < bytes; k++) start[k] = (int8_t)(draw() >> 9);
    for (int k = 0; k < GUARD; k++) start[-k - 1] = start[bytes + (size_t)k] = 0x5A;
    return start;
}
static int failed(const char *what, int number, uint32_t at, double wanted, double found) {
    printf("%s: case %d at %lu wanted %.9g found %.9g\n", what, number, (unsigned long)at, wanted, found);
    return 1;
}
static int guards(const char *what, int number, const void *array, size_t bytes) {
    const int8_t *const start = array;
    for (int k = 0; k < GUARD; k++)
        if (start[-k - 1] != 0x5A || start[bytes + (size_t)k] != 0x5A) return failed(what, number, (uint32_t)k, 0x5A, -1);
    return 0;
}
static void fill(float *x, uint32_t length) {
    for (uint32_t k = 0; k < length; k++) x[k] = (float)between(-10000, 10000) / 2500.0f;
}

static int64_t mulhi(int64_t a, int64_t b) { return (a * b + 0x80000000LL) >> 32; }

static int check_mul_s8(int number, uint32_t times, uint32_t channels, uint32_t positions) {
    const uint32_t length = times * channels * positions;
    int8_t *const a = place(&a_memory, length), *const b = place(&b_memory, channels), *const out = place(&out_memory, length);
    reds_s8_product p;
    p.a_zero = between(-128, 127), p.b_zero = between(-128, 127), p.shift = between(0, 22);
    p.multiplier = (int32_t)((draw() & 0x7fffffffu) >> between(0, 20));
    if (between(0, 9) == 0) p.multiplier = INT32_MAX;
    p.slope = between(0, 1) ? 0 : (int32_t)(draw() >> between(1, 8));
    p.round = (between(-128, 127) * (1 << p.shift)) + (1 << p.shift) / 2;
    reds_s8_mul(&p, a, b, out, times, channels, positions);
    for (uint32_t k = 0; k < length; k++) {
        int64_t t = mulhi((int64_t)(a[k] - p.a_zero) * (b[k / positions % channels] - p.b_zero) * 16384, p.multiplier);
        if (p.slope != 0 && t < 0) t = mulhi(2 * t, p.slope);
        t = (t + p.round) >> p.shift;
        const int wanted = (int)(t < -128 ? -128 : t > 127 ? 127 : t);
        if (out[k] != wanted) return failed("mul s8", number, k, wanted, out[k]);
    }
    int8_t copy[CAPACITY];
    memcpy(copy, out, length);
    int8_t *const same = times * positions == 1 && between(0, 1) ? b : a;
    reds_s8_mul(&p, a, b, same, times, channels, positions);
    if (memcmp(same, copy, length) != 0) return failed("mul s8 in place", number, 0, 0, 1);
    return guards("mul s8", number, out, length) || guards("mul s8", number, a, length);
}

static int check_mul_f32(int number, uint32_t times, uint32_t channels, uint32_t positions) {
    const uint32_t length = times * channels * positions;
    float *const a = place(&a_memory, 4 * length), *const b = place(&b_memory, 4 * channels);
    float *const out = place(&out_memory, 4 * length);
    const reds_activation activation = (reds_activation)between(0, 3);
    fill(a, length), fill(b, channels);
    reds_f32_mul(a, b, out, times, channels, positions, activation, 0.3f);
    for (uint32_t k = 0; k < length; k++) {
        double y = (double)a[k] * b[k / positions % channels];
        if (y < 0.0 && activation != REDS_LINEAR) y = activation == REDS_LEAKY_RELU ? (double)0.3f * y : 0.0;
        if (activation == REDS_RELU6 && y > 6.0) y = 6.0;
        const double error = out[k] - y, bound = 2.4e-7 * (y < 0 ? -y : y);
        if (!(error <= bound && -error <= bound)) return failed("mul f32", number, k, y, out[k]);
    }
    float copy[CAPACITY];
    memcpy(copy, out, 4 * length);
    float *const same = times * positions == 1 && between(0, 1) ? b : a;
    reds_f32_mul(a, b, same, times, channels, positions, activation, 0.3f);
    if (memcmp(same, copy, 4 * length) != 0) return failed("mul f32 in place", number, 0, 0, 1);
    return guards("mul f32", number, out, 4 * length) || guards("mul f32", number, b, 4 * channels);
}

static float tripled(float x) { return 3.0f * x; }

static int check_map(int number, uint32_t length) {
    int8_t *const a = place(&a_memory, length), *const table = place(&b_memory, 256), *const out = place(&out_memory, length);
    reds_s8_map(table, a, out, length);
    for (uint32_t k = 0; k < length; k++)
        if (out[k] != table[(int)a[k] + 128]) return failed("map s8", number, k, table[(int)a[k] + 128], out[k]);
    reds_s8_map(table, a, a, length);
    if (memcmp(a, out, length) != 0) return failed("map s8 in place", number, 0, 0, 1);
    if (guards("map s8", number, out, length)) return 1;
    float *const x = place(&a_memory, 4 * length), *const y = place(&out_memory, 4 * length);
    fill(x, length);
    reds_f32_map(tripled, x, y, length);
    for (uint32_t k = 0; k < length; k++)
        if (y[k] != 3.0f * x[k]) return failed("map f32", number, k, 3.0f * x[k], y[k]);
    reds_f32_map(tripled, x, x, length);
    if (memcmp(x, y, 4 * length) != 0) return failed("map f32 in place", number, 0, 0, 1);
    return guards("map f32", number, y, 4 * length);
}

static int check_resize(int number) {
    const uint32_t channels = (uint32_t)between(1, 5), h = (uint32_t)between(1, 6), w = (uint32_t)between(1, 6);
    const uint32_t down = (uint32_t)between(1, 4), across = (uint32_t)between(1, 4), out_h = h * down, out_w = w * across;
    const uint32_t length = channels * h * w, made = length * down * across;
    int8_t *const a = place(&a_memory, length), *const out = place(&out_memory, made);
    reds_s8_resize(a, out, channels * h, w, down, across);
    for (uint32_t k = 0; k < made; k++) {
        const uint32_t c = k / (out_h * out_w), y = k / out_w % out_h, x = k % out_w;
        const int8_t wanted = a[(c * h + y / down) * w + x / across];
        if (out[k] != wanted) return failed("resize s8", number, k, wanted, out[k]);
    }
    if (guards("resize s8", number, out, made)) return 1;
    float *const b = place(&a_memory, 4 * length), *const y = place(&out_memory, 4 * made);
    fill(b, length);
    reds_f32_resize(b, y, channels * h, w, down, across);
    for (uint32_t k = 0; k < made; k++) {
        const float wanted = b[(k / (out_h * out_w) * h + k / out_w % out_h / down) * w + k % out_w / across];
        if (y[k] != wanted) return failed("resize f32", number, k, wanted, y[k]);
    }
    return guards("resize f32", number, y, 4 * made);
}

int main(void) {
    for (int number = 0; number < CASES; number++) {
        const uint32_t channels = (uint32_t)between(1, 40), positions = between(0, 2) ? (uint32_t)between(2, 25) : 1u;
        const uint32_t times = between(0, 2) ? 1u : (uint32_t)between(2, 4);
        if (check_mul_s8(number, times, channels, positions) || check_mul_f32(number, times, channels, positions) ||
            check_map(number, channels * positions) || check_resize(number))
            return 1;
    }
    puts("ok");
    return 0;
}
