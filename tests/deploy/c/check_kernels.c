/* Random layers of every kind against a naive reference, written from the formulas in reds_kernels.h.
 *
 * int8 is compared exactly, float32 to 1e-5 of the sum of the magnitudes; the bytes around outputs and scratch must stay as they
 * were, and a subnetwork must not depend on what the scratch held before. Prints ``ok``, or the first mismatch and exits with 1.
 * The same seed gives the same layers everywhere.
 *
 * On a PC:          cc -std=c99 -I runtime check_kernels.c runtime/reds_s8.c runtime/reds_f32.c
 *                   -DREDS_HALVES: the product of a Cortex-M0; -DCHECK_EDGES with -fsanitize=address,undefined
 * On a bare core:   with board/qemu/startup.c and board/qemu/count.c; on a Cortex-M0 with -DCASES=30 -DCAPACITY=600; on a
 *                   Cortex-M55 with m55.c and -DCHECK_EDGES */
#include "reds_kernels.h"

#include <stddef.h>

#if defined(__arm__) && !defined(__linux__)
#include "count.h"
#else
#include <stdio.h>
static void reds_print(const char *text) { fputs(text, stdout); }
static void reds_print_signed(int32_t value) { printf("%ld", (long)value); }
#endif

#ifndef CASES
#define CASES 3000
#endif
#ifndef CAPACITY /* entries of an array: what does not fit is drawn again */
#define CAPACITY 8192
#endif
#ifdef CHECK_EDGES /* with an address sanitizer, or what m55.c protects: arrays start or end where their memory does */
#define GUARD 0
#else
#define GUARD 16
#endif

typedef union {
    float f[CAPACITY + GUARD / 2];
    int16_t h[2 * (CAPACITY + GUARD / 2)];
    int8_t b[4 * (CAPACITY + GUARD / 2)];
} memory;

#if defined(CHECK_EDGES) && defined(__arm__)
#define EDGE(k) __attribute__((section(".edge" #k), aligned(32)))
#else
#define EDGE(k)
#endif
static EDGE(0) memory in_memory;
static EDGE(1) memory out_memory;
static EDGE(2) memory scratch_memory;
static EDGE(3) memory weight_memory;
static reds_s8_channel s8_channels[64];
static reds_f32_channel f32_channels[64];
static uint32_t state = 2463534242u;
static const char *kind;
static int32_t number;

static uint32_t draw(void) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
}
static int32_t between(int32_t low, int32_t high) { return low + (int32_t)((draw() >> 8) % (uint32_t)(high - low + 1)); }
static float real(void) { return (float)between(-10000, 10000) / 5000.0f; }

static int failed(const char *what, int32_t index, int32_t wanted, int32_t found) {
    const int32_t numbers[4] = {number, index, wanted, found};
    const char *const words[4] = {" case ", " at ", " wanted ", " found "};
    reds_print(kind), reds_print(": "), reds_print(what);
    for (int k = 0; k < 4; k++) reds_print(words[k]), reds_print_signed(numbers[k]);
    reds_print("\n");
    return 1;
}

/* ``bytes`` bytes with guards around them, at the end of their memory or at its start; everything is filled with noise */
static void *place(memory *m, uint32_t bytes) {
    int8_t *const start = between(0, 1) ? m->b + GUARD : m->b + sizeof *m - GUARD - bytes;
    for (uint32_t k = 0; k < bytes; k++) start[k] = (int8_t)(draw() >> 9);
    for (int k = 1; k <= GUARD; k++) start[-k] = 0x5A;
    for (int k = 0; k < GUARD; k++) start[bytes + (uint32_t)k] = 0x5A;
    return start;
}
static int guards(const char *what, const void *array, uint32_t bytes) {
    const int8_t *const start = array;
    for (int k = 1; k <= GUARD; k++)
        if (start[-k] != 0x5A) return failed(what, -k, 0x5A, start[-k]);
    for (int k = 0; k < GUARD; k++)
        if (start[bytes + (uint32_t)k] != 0x5A) return failed(what, (int32_t)bytes + k, 0x5A, start[bytes + (uint32_t)k]);
    return 0;
}
static void fill_floats(float *a, uint32_t length) {
    for (uint32_t k = 0; k < length; k++) a[k] = real();
}

/* ---- Drawing layers --------------------------------------------------------------------------------------------------------- */

typedef struct {
    reds_window w;
    uint32_t inputs, outputs, row, patch;
} shape;

static uint16_t out_size(uint16_t in, uint16_t kernel, uint16_t stride, uint16_t before, uint16_t after) {
    return (uint16_t)(in + before + after < kernel ? 0 : (in + before + after - kernel) / stride + 1);
}

enum { CONV, DEPTHWISE, DENSE, POOL };

/* Entries of the scratch, int16_t and float. */
static uint32_t s8_scratch(const shape *s, int what) {
    const reds_window *const w = &s->w;
    if (what == DENSE) return REDS_S8_DENSE_SCRATCH(s->inputs);
    if (what == POOL) return 0;
#ifdef __ARM_FEATURE_MVE
    const uint32_t helium = what == CONV ? REDS_S8_MVE_CONV_SCRATCH(s->patch, s->outputs)
                                         : REDS_S8_MVE_DEPTHWISE_SCRATCH(w->kernel_h, w->kernel_w, w->stride_h, w->stride_w,
                                                                         w->out_h, w->out_w);
#else
    const uint32_t helium = 0;
#endif
    const uint32_t plain = what == CONV ? REDS_S8_CONV_SCRATCH(s->inputs, w->kernel_h, w->kernel_w, w->stride_w, w->out_w)
                                        : REDS_S8_DEPTHWISE_SCRATCH(w->kernel_h, w->kernel_w, w->stride_h, w->stride_w,
                                                                    w->out_h, w->out_w);
    return plain > helium ? plain : helium;
}
static uint32_t f32_scratch(const shape *s, int what) {
    const reds_window *const w = &s->w;
    return what == CONV        ? REDS_F32_CONV_SCRATCH(s->patch)
           : what == DEPTHWISE ? REDS_F32_DEPTHWISE_SCRATCH(w->kernel_h, w->kernel_w, w->stride_w, w->out_w)
                               : 0;
}

static shape draw_shape(int what) {
    shape s;
    for (;;) {
        reds_window *const w = &s.w;
        const int pointwise = what == CONV && between(0, 2) == 0, three = between(0, 2) == 0;
        const int large = between(0, 7) == 0; /* more rows than a depthwise layer holds at a time */
        const int longer = between(0, 31);    /* a window that is high, wide or both */
        const int high = longer == 0 || longer == 2 ? 20 : 7, wide = longer == 1 || longer == 2 ? 20 : 9;
        w->in_h = (uint16_t)between(1, large ? 40 : 11), w->in_w = (uint16_t)between(1, large ? 50 : 13);
        w->kernel_h = (uint16_t)(pointwise || between(0, 7) == 0 ? 1 : three ? 3 : between(1, high));
        w->kernel_w = (uint16_t)(pointwise || between(0, 7) == 0 ? 1 : three ? 3 : between(1, wide));
        w->stride_h = (uint16_t)(pointwise && between(0, 2) ? 1 : between(1, 3));
        w->stride_w = (uint16_t)(pointwise && between(0, 2) ? 1 : between(1, 3));
        if (three && between(0, 1)) w->stride_h = w->stride_w = (uint16_t)between(1, 2);
        w->pad_top = (uint16_t)between(0, w->kernel_h - 1), w->pad_left = (uint16_t)between(0, w->kernel_w - 1);
        w->out_h = out_size(w->in_h, w->kernel_h, w->stride_h, w->pad_top, (uint16_t)between(0, w->kernel_h - 1));
        w->out_w = out_size(w->in_w, w->kernel_w, w->stride_w, w->pad_left, (uint16_t)between(0, w->kernel_w - 1));
        s.inputs = (uint32_t)(what == DENSE ? between(1, 150) : between(1, large ? 3 : pointwise ? 70 : 14));
        s.outputs = (uint32_t)between(1, large ? 3 : 21);
        if (what == DEPTHWISE || what == POOL) s.inputs = s.outputs;
        s.patch = (what == DEPTHWISE ? 1u : s.inputs) * w->kernel_h * w->kernel_w;
        if (what == DENSE) s.patch = s.inputs;
        s.row = REDS_ROUND4(s.patch) + 4u * (uint32_t)between(0, 5);
        const uint32_t image = (uint32_t)w->in_h * w->in_w;
        const int last = between(0, 2) == 0; /* [H][W][C] */
        w->channel_step = last ? 1 : image;
        w->column_step = last ? s.inputs : 1;
        w->row_step = w->column_step * w->in_w;
        if (what != DENSE && (w->out_h == 0 || w->out_w == 0)) continue;
        if (s.inputs * (what == DENSE ? 1 : image) <= CAPACITY && s.row * s.outputs <= CAPACITY &&
            s.outputs * w->out_h * w->out_w <= CAPACITY && s8_scratch(&s, what) <= 2 * CAPACITY &&
            f32_scratch(&s, what) <= CAPACITY)
            return s;
    }
}

/* The address of input (channel, y, x) in elements, or -1 in the padding. */
static int32_t address(const reds_window *w, uint32_t channel, int32_t y, int32_t x) {
    if (y < 0 || x < 0 || y >= w->in_h || x >= w->in_w) return -1;
    return (int32_t)(channel * w->channel_step + (uint32_t)y * w->row_step + (uint32_t)x * w->column_step);
}

/* ---- int8 ------------------------------------------------------------------------------------------------------------------- */

static int64_t mulhi(int64_t a, int64_t b) { return (a * b + 0x80000000LL) >> 32; }
static int32_t saturated(int64_t t, int32_t shift) { return (int32_t)(t >> shift < -128 ? -128 : t >> shift > 127 ? 127 : t >> shift); }

static int32_t draw_multiplier(void) {
    switch (between(0, 9)) {
    case 0: return INT32_MAX;
    case 1: return INT32_MIN + 1;
    case 2: return between(-2, 2);
    case 3: return (1 << between(20, 30)) * (between(0, 1) ? 1 : -1); /* sums that lie exactly half way */
    default: return (int32_t)((draw() & 0x7fffffffu) >> between(0, 12)) * (between(0, 3) ? 1 : -1);
    }
}

static int check_s8(int what) {
    const shape s = draw_shape(what);
    const uint32_t positions = what == DENSE ? 1u : (uint32_t)s.w.out_h * s.w.out_w;
    const uint32_t in_bytes = what == DENSE ? s.inputs : s.inputs * s.w.in_h * s.w.in_w, out_bytes = s.outputs * positions;
    const uint32_t scratch_bytes = 2 * s8_scratch(&s, what);
    int8_t *const in = place(&in_memory, in_bytes), *const out = place(&out_memory, out_bytes);
    int8_t *const weights = place(&weight_memory, s.outputs * s.row);
    int16_t *const scratch = place(&scratch_memory, scratch_bytes);
    const int large = between(0, 3) == 0; /* the largest sums */
    for (uint32_t k = 0; large && k < s.outputs * s.row; k++) weights[k] = (int8_t)(between(0, 7) ? 127 : -128);
    for (uint32_t k = 0; large && k < in_bytes; k++) in[k] = (int8_t)(between(0, 7) ? 127 : -128);
    const int32_t zeros[4] = {-128, 127, 0, between(-128, 127)};
    const reds_s8_layer layer = {s.w, weights, s.row, between(0, 2) ? 0 : between(0, 1) ? INT32_MAX : (int32_t)(draw() >> 1) + 1 - 1};
    const reds_s8_width width = {s.inputs,         s.outputs, s8_channels, zeros[between(0, 3)],
                                 between(-5000, 5000), between(0, 3) ? between(0, 12) : between(0, 22)};
    for (uint32_t o = 0; o < s.outputs; o++) {
        const int32_t top = 1 << (width.shift + 7);
        s8_channels[o].multiplier = draw_multiplier();
        s8_channels[o].offset = between(0, 1) ? between(-2 * top < -8000000 ? -8000000 : -2 * top, top < 8000000 ? top : 8000000)
                                              : top / 128 * between(-128, 127);
    }
    if (what == DENSE) reds_s8_dense(&layer, &width, in, out, scratch);
    if (what == CONV) reds_s8_conv(&layer, &width, in, out, scratch);
    if (what == DEPTHWISE) reds_s8_depthwise(&layer, &width, in, out, scratch);
    for (uint32_t o = 0; o < s.outputs; o++)
        for (uint32_t p = 0; p < positions; p++) {
            const int8_t *w = weights + o * s.row;
            int64_t sum = 0;
            if (what == DENSE)
                for (uint32_t i = 0; i < s.inputs; i++) sum += w[i] * (in[i] - width.in_zero);
            else
                for (uint32_t i = 0; i < (what == DEPTHWISE ? 1 : s.inputs); i++)
                    for (int32_t ky = 0; ky < s.w.kernel_h; ky++)
                        for (int32_t kx = 0; kx < s.w.kernel_w; kx++, w++) {
                            const int32_t a = address(&s.w, what == DEPTHWISE ? o : i,
                                                      (int32_t)(p / s.w.out_w * s.w.stride_h) + ky - s.w.pad_top,
                                                      (int32_t)(p % s.w.out_w * s.w.stride_w) + kx - s.w.pad_left);
                            if (a >= 0) sum += *w * (in[a] - width.in_zero);
                        }
            int64_t t = mulhi(sum, s8_channels[o].multiplier) + s8_channels[o].offset;
            if (layer.slope != 0) t = (t < 0 ? mulhi(2 * t, layer.slope) : t) + width.round;
            const int32_t wanted = saturated(t, width.shift);
            if (out[o * positions + p] != wanted) return failed("output", (int32_t)(o * positions + p), wanted, out[o * positions + p]);
        }
    return guards("output guard", out, out_bytes) || guards("scratch guard", scratch, scratch_bytes);
}

static int check_s8_pool(int mean) {
    const shape s = draw_shape(POOL);
    const reds_window *const w = &s.w;
    const uint32_t positions = (uint32_t)w->out_h * w->out_w, out_bytes = s.outputs * positions;
    int8_t *const in = place(&in_memory, s.inputs * w->in_h * w->in_w), *const out = place(&out_memory, out_bytes);
    const reds_s8_mean m = {between(-128, 127), draw_multiplier(), between(-3000, 3000), between(0, 6)};
    if (mean) reds_s8_avg_pool(w, &m, s.outputs, in, out);
    else reds_s8_max_pool(w, s.outputs, in, out);
    for (uint32_t k = 0; k < out_bytes; k++) {
        int32_t best = -128, count = 0, full = w->kernel_h * w->kernel_w;
        int64_t total = 0;
        for (int32_t n = 0; n < full; n++) {
            const int32_t a = address(w, k / positions, (int32_t)(k % positions / w->out_w * w->stride_h) + n / w->kernel_w - w->pad_top,
                                      (int32_t)(k % positions % w->out_w * w->stride_w) + n % w->kernel_w - w->pad_left);
            if (a < 0) continue;
            if (in[a] > best) best = in[a];
            total += in[a] - m.in_zero, count++;
        }
        if (count < full && count > 0) total = (2 * total * full + (total < 0 ? -count : count)) / (2 * count);
        const int32_t wanted = mean ? saturated(mulhi(total, m.multiplier) + m.offset, m.shift) : best;
        if (out[k] != wanted) return failed("output", (int32_t)k, wanted, out[k]);
    }
    return guards("output guard", out, out_bytes);
}

static int check_s8_add(void) {
    const uint32_t length = (uint32_t)between(1, 40);
    int8_t *const a = place(&in_memory, length), *const b = place(&weight_memory, length), *out = place(&out_memory, length);
    const reds_s8_sum s = {between(-128, 127), between(-1, 1 << 20),    between(-128, 127), between(-(1 << 20), 1 << 20),
                           between(-3000, 3000), between(0, 1) ? 0 : (int32_t)(draw() >> 1), between(0, 22)};
    int8_t wanted[40];
    for (uint32_t k = 0; k < length; k++) {
        int64_t t = (int64_t)(a[k] - s.a_zero) * s.a_multiplier + (int64_t)(b[k] - s.b_zero) * s.b_multiplier;
        if (s.slope != 0 && t < 0) t = mulhi(2 * t, s.slope);
        wanted[k] = (int8_t)saturated(t + s.round, s.shift);
    }
    int8_t *const place_of_out[3] = {out, a, b};
    out = place_of_out[between(0, 2)];
    reds_s8_add(&s, a, b, out, length);
    for (uint32_t k = 0; k < length; k++)
        if (out[k] != wanted[k]) return failed("output", (int32_t)k, wanted[k], out[k]);
    return guards("output guard", out, length);
}

/* ---- float32 ---------------------------------------------------------------------------------------------------------------- */

static double size_of(double x) { return x < 0 ? -x : x; }

static double activated(double y, reds_activation activation, double slope) {
    if (activation == REDS_LINEAR) return y;
    if (activation == REDS_LEAKY_RELU) return y < 0 ? slope * y : y;
    return y < 0 ? 0 : activation == REDS_RELU6 && y > 6 ? 6 : y;
}

static int close(uint32_t k, double wanted, double found, double magnitude) {
    if (size_of(wanted - found) <= 1e-5 * magnitude) return 0;
    return failed("output, in 1/1000000", (int32_t)k, (int32_t)(wanted * 1e6), (int32_t)(found * 1e6));
}

static int check_f32(int what) {
    const shape s = draw_shape(what);
    const uint32_t positions = what == DENSE ? 1u : (uint32_t)s.w.out_h * s.w.out_w;
    const uint32_t in_length = what == DENSE ? s.inputs : s.inputs * s.w.in_h * s.w.in_w, out_length = s.outputs * positions;
    const uint32_t scratch_length = f32_scratch(&s, what);
    const uint32_t row = s.patch + (uint32_t)between(0, 7);
    if (row * s.outputs > CAPACITY) return 0;
    float *const in = place(&in_memory, 4 * in_length), *const out = place(&out_memory, 4 * out_length);
    float *const weights = place(&weight_memory, 4 * row * s.outputs), *const scratch = place(&scratch_memory, 4 * scratch_length);
    fill_floats(in, in_length), fill_floats(weights, row * s.outputs), fill_floats(out, out_length);
    for (uint32_t o = 0; o < s.outputs; o++) f32_channels[o].scale = real(), f32_channels[o].offset = real();
    const reds_f32_layer layer = {s.w, weights, row, (reds_activation)between(0, 3), 0.125f};
    const reds_f32_width width = {s.inputs, s.outputs, f32_channels};
    if (what == DENSE) reds_f32_dense(&layer, &width, in, out);
    if (what == CONV) reds_f32_conv(&layer, &width, in, out, scratch);
    if (what == DEPTHWISE) reds_f32_depthwise(&layer, &width, in, out, scratch);
    for (uint32_t k = 0; k < out_length; k++) {
        const uint32_t o = k / positions, p = k % positions;
        const float *w = weights + o * row;
        double sum = 0, magnitude = 0;
        for (uint32_t n = 0; n < s.patch; n++, w++) {
            const uint32_t area = (uint32_t)s.w.kernel_h * s.w.kernel_w;
            int32_t a = (int32_t)n;
            if (what != DENSE)
                a = address(&s.w, what == DEPTHWISE ? o : n / area,
                            (int32_t)(p / s.w.out_w * s.w.stride_h + n % area / s.w.kernel_w) - s.w.pad_top,
                            (int32_t)(p % s.w.out_w * s.w.stride_w + n % area % s.w.kernel_w) - s.w.pad_left);
            if (a < 0) continue;
            sum += (double)*w * (double)in[a], magnitude += size_of((double)*w * (double)in[a]);
        }
        const double scale = (double)f32_channels[o].scale, offset = (double)f32_channels[o].offset;
        if (close(k, activated(scale * sum + offset, layer.activation, 0.125), (double)out[k],
                  size_of(scale) * magnitude + size_of(offset)))
            return 1;
    }
    return guards("output guard", out, 4 * out_length) || guards("scratch guard", scratch, 4 * scratch_length);
}

static int check_f32_pool(int mean) {
    const shape s = draw_shape(POOL);
    const reds_window *const w = &s.w;
    const uint32_t positions = (uint32_t)w->out_h * w->out_w, length = s.outputs * positions;
    float *const in = place(&in_memory, 4 * s.inputs * w->in_h * w->in_w), *const out = place(&out_memory, 4 * length);
    fill_floats(in, s.inputs * w->in_h * w->in_w);
    if (mean) reds_f32_avg_pool(w, s.outputs, in, out);
    else reds_f32_max_pool(w, s.outputs, in, out);
    for (uint32_t k = 0; k < length; k++) {
        double best = -1e30, total = 0;
        int32_t count = 0;
        for (int32_t n = 0; n < w->kernel_h * w->kernel_w; n++) {
            const int32_t a = address(w, k / positions, (int32_t)(k % positions / w->out_w * w->stride_h) + n / w->kernel_w - w->pad_top,
                                      (int32_t)(k % positions % w->out_w * w->stride_w) + n % w->kernel_w - w->pad_left);
            if (a < 0) continue;
            if ((double)in[a] > best) best = (double)in[a];
            total += (double)in[a], count++;
        }
        if (close(k, mean ? total / count : best, (double)out[k], mean ? 2 : 0)) return 1;
    }
    return guards("output guard", out, 4 * length);
}

/* e^x = 1 / (1 + y (1 + y/2 (1 + y/3 ...)))^1024 with y = -x / 1024 */
static double exponential(double x) {
    double sum = 1;
    for (int k = 12; k > 0; k--) sum = 1 - x / 1024 / k * sum;
    for (int k = 0; k < 10; k++) sum *= sum;
    return 1 / sum;
}

static int check_f32_rest(void) {
    const uint32_t length = (uint32_t)between(1, 30), channels = (uint32_t)between(1, 6);
    float *const a = place(&in_memory, 4 * length), *const b = place(&weight_memory, 4 * length), *out = place(&out_memory, 4 * length);
    float wanted[30];
    float largest = -1e30f;
    double total = 0, small = 0;
    const reds_activation activation = (reds_activation)between(0, 3);
    fill_floats(a, length), fill_floats(b, length);
    for (uint32_t k = 0; k < length; k++) a[k] *= 5, b[k] *= 7, wanted[k] = (float)activated((double)(a[k] + b[k]), activation, 0.25);
    float *const places[3] = {out, a, b};
    out = places[between(0, 2)];
    reds_f32_add(a, b, out, length, activation, 0.25f);
    for (uint32_t k = 0; k < length; k++)
        if (close(k, (double)wanted[k], (double)out[k], 0.1)) return 1;
    if (guards("output guard", out, 4 * length)) return 1;
    /* softmax: every quotient of two outputs is the exponential of a difference; they add to 1 */
    fill_floats(a, length);
    for (uint32_t k = 0; k < length; k++) {
        a[k] *= 20;
        if (a[k] > largest) largest = a[k];
    }
    float *const to = between(0, 1) ? a : b;
    for (uint32_t k = 0; k < length; k++) wanted[k] = a[k], small += exponential((double)(a[k] - largest));
    reds_f32_softmax(a, to, length);
    for (uint32_t k = 0; k < length; k++) {
        const double p = exponential((double)(wanted[k] - largest)) / small;
        total += (double)to[k];
        if (size_of((double)to[k] - p) > 3e-6 * p + 1e-37) return close(k, p, (double)to[k], 0), 1;
    }
    if (close(0, 1, total, 1) || guards("softmax guard", to, 4 * length)) return 1;
    /* [H][W][C] -> [C][H][W] */
    const uint32_t positions = length / channels;
    float *const first = place(&out_memory, 4 * positions * channels);
    reds_f32_channel_first(a, first, positions, channels);
    for (uint32_t k = 0; k < positions * channels; k++)
        if (!(first[k] >= a[k % positions * channels + k / positions] && first[k] <= a[k % positions * channels + k / positions]))
            return failed("channel first", (int32_t)k, 0, 1);
    int8_t *const bytes = place(&in_memory, length), *const turned = place(&out_memory, positions * channels);
    reds_s8_channel_first(bytes, turned, positions, channels);
    for (uint32_t k = 0; k < positions * channels; k++)
        if (turned[k] != bytes[k % positions * channels + k / positions]) return failed("channel first", (int32_t)k, 0, 2);
    return guards("channel first guard", turned, positions * channels);
}

int main(void) {
    static const char *const kinds[11] = {"s8 conv",  "s8 depthwise",  "s8 dense",  "s8 max pool",  "s8 avg pool", "s8 add",
                                          "f32 conv", "f32 depthwise", "f32 dense", "f32 max pool", "f32 avg pool"};
    for (number = 0; number < CASES; number++) {
        for (int k = 0; k < 11; k++) {
            kind = kinds[k];
            if (k < 3   ? check_s8(k)
                : k < 5 ? check_s8_pool(k - 3)
                : k < 6 ? check_s8_add()
                : k < 9 ? check_f32(k - 6)
                        : check_f32_pool(k - 9))
                return 1;
        }
        kind = "f32 add, softmax, channel first";
        if (check_f32_rest()) return 1;
    }
    reds_print("ok\n");
    return 0;
}
