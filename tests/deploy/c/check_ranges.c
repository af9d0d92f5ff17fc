/* Random layers over ranges of channels, grouped and dilated, against a naive reference; concatenation, padding and shuffle too.
 *
 * int8 is compared exactly, float32 to 1e-5 of the sum of the magnitudes; the bytes around outputs and scratch must stay as they
 * were. Weights outside of the ranges are noise. Prints ``ok``, or the first mismatch and exits with 1.
 *
 * cc -std=c99 -I runtime check_ranges.c runtime/reds_{s8,f32}.c runtime/reds_{s8,f32}_ranges.c
 * with -DCHECK_EDGES for an address sanitizer; on a bare core with board/qemu/startup.c and board/qemu/count.c */
#include "reds_ranges.h"

#if defined(__arm__) && !defined(__linux__)
#include "count.h"
#else
#include <stdio.h>
static void reds_print(const char *text) { fputs(text, stdout); }
static void reds_print_signed(int32_t value) { printf("%ld", (long)value); }
#endif

#ifndef CASES
#define CASES 1500
#endif
#ifndef CAPACITY /* entries of an array: what does not fit is drawn again */
#define CAPACITY 6000
#endif
#ifdef CHECK_EDGES /* arrays end where their memory ends */
#define GUARD 0
#else
#define GUARD 16
#endif
#define MOST 5 /* ranges */

typedef union {
    float f[CAPACITY + GUARD];
    int32_t word;
    int8_t b[4 * (CAPACITY + GUARD)];
} memory;

static memory in_memory, out_memory, scratch_memory, weight_memory;
static reds_s8_channel s8_channels[100];
static reds_f32_channel f32_channels[100];
static uint32_t state = 88172645u;

static uint32_t draw(void) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
}
static int32_t between(int32_t low, int32_t high) { return low + (int32_t)((draw() >> 8) % (uint32_t)(high - low + 1)); }
static uint32_t count(int32_t low, int32_t high) { return (uint32_t)between(low, high); }
static float real(void) { return (float)between(-10000, 10000) / 5000.0f; }
static double size_of(double x) { return x < 0 ? -x : x; }

static int failed(const char *what, uint32_t at, double wanted, double found) {
    reds_print(what), reds_print(" at "), reds_print_signed((int32_t)at);
    reds_print(" in 1/1000: wanted "), reds_print_signed((int32_t)(1000 * wanted));
    reds_print(" found "), reds_print_signed((int32_t)(1000 * found)), reds_print("\n");
    return 1;
}

/* ``bytes`` bytes of noise with guards around them, at the end of their memory */
static void *place(memory *m, uint32_t bytes) {
    int8_t *const start = m->b + sizeof *m - GUARD - bytes;
    for (uint32_t k = 0; k < bytes; k++) start[k] = (int8_t)(draw() >> 9);
    for (int k = 1; k <= GUARD; k++) start[-k] = 0x5A, start[bytes + (uint32_t)k - 1] = 0x5A;
    return start;
}
static float *floats(memory *m, uint32_t length) {
    float *const start = place(m, 4 * length);
    for (uint32_t k = 0; k < length; k++) start[k] = real();
    return start;
}
static int guards(const char *what, const void *array, uint32_t bytes) {
    const int8_t *const start = array;
    for (int k = 1; k <= GUARD; k++)
        if (start[-k] != 0x5A || start[bytes + (uint32_t)k - 1] != 0x5A) return failed(what, bytes, 0x5A, 0);
    return 0;
}

/* ---- Drawing ---------------------------------------------------------------------------------------------------------------- */

typedef struct {
    reds_window w;
    reds_spread spread;
    reds_range read[MOST], make[MOST];
    uint32_t inputs, outputs, each, area, row, rows, depth;
} shape;

static uint16_t out_size(int32_t in, int32_t reach, int32_t stride, int32_t before, int32_t after) {
    return (uint16_t)(in + before + after < reach ? 0 : (in + before + after - reach) / stride + 1);
}

/* A window; with groups the input is [C][H][W], else at times [H][W][C]. */
static int draw_window(shape *s, uint32_t channels, int dilated) {
    reds_window *const w = &s->w;
    s->spread.dilation_h = (uint16_t)(dilated ? between(1, 4) : 1), s->spread.dilation_w = (uint16_t)(dilated ? between(1, 4) : 1);
    w->in_h = (uint16_t)between(1, 9), w->in_w = (uint16_t)between(1, 9);
    w->kernel_h = (uint16_t)between(1, 3), w->kernel_w = (uint16_t)between(1, 3);
    w->stride_h = (uint16_t)between(1, 2), w->stride_w = (uint16_t)between(1, 2);
    const int32_t reach_h = (w->kernel_h - 1) * s->spread.dilation_h + 1, reach_w = (w->kernel_w - 1) * s->spread.dilation_w + 1;
    w->pad_top = (uint16_t)between(0, reach_h - 1), w->pad_left = (uint16_t)between(0, reach_w - 1);
    w->out_h = out_size(w->in_h, reach_h, w->stride_h, w->pad_top, between(0, reach_h - 1));
    w->out_w = out_size(w->in_w, reach_w, w->stride_w, w->pad_left, between(0, reach_w - 1));
    const int last = s->spread.groups == 1 && between(0, 3) == 0;
    w->column_step = last ? channels : 1, w->row_step = w->column_step * w->in_w;
    w->channel_step = last ? 1 : (uint32_t)w->in_h * w->in_w;
    s->area = (uint32_t)w->kernel_h * w->kernel_w;
    return w->out_h != 0 && w->out_w != 0;
}

/* Rows in order with gaps, and the tables of their channels in places of their own. */
static void draw_rows(shape *s, uint32_t outputs) {
    uint32_t first = count(0, 2), table = 0, left = outputs;
    s->spread.makes = count(1, MOST);
    for (uint32_t n = 0; n < s->spread.makes; n++) {
        const uint32_t taken = n + 1 == s->spread.makes ? left : count(0, (int32_t)left);
        s->make[n].first = first, s->make[n].count = taken, s->make[n].table = table;
        first += taken + count(0, 2), table += taken + count(0, 3), left -= taken;
    }
    s->outputs = outputs, s->rows = first;
}

static shape draw_shape(uint32_t align) {
    shape s;
    for (;;) {
        s.spread.groups = between(0, 2) ? 1 : count(2, 4);
        s.each = count(1, 9), s.inputs = 0, s.row = 0, s.depth = 0;
        const int plain = between(0, 2) == 0; /* what the kernels without ranges may do */
        s.spread.reads = plain ? 1 : count(1, MOST);
        for (uint32_t n = 0; n < s.spread.reads; n++) s.inputs += s.read[n].count = count(1, 4);
        if (!draw_window(&s, s.inputs, !plain)) continue;
        for (uint32_t n = 0; n < s.spread.reads; n++) {
            if (!plain) s.row += align * count(0, 2);
            const uint32_t entries = s.read[n].count * s.area, whole = (entries + align - 1) / align * align;
            s.read[n].first = s.row, s.read[n].table = 0;
            s.row += whole, s.depth += whole;
        }
        s.row += align * count(0, 2);
        draw_rows(&s, s.each * s.spread.groups);
        if (s.rows * s.row <= CAPACITY && 4 * s.depth <= CAPACITY && s.outputs * s.w.out_h * s.w.out_w <= CAPACITY &&
            s.inputs * s.spread.groups * s.w.in_h * s.w.in_w <= CAPACITY && s.outputs <= 40)
            return s;
    }
}

/* ---- The formulas ------------------------------------------------------------------------------------------------------------- */

static int32_t address(const reds_window *w, uint32_t channel, int32_t y, int32_t x) {
    if (y < 0 || x < 0 || y >= w->in_h || x >= w->in_w) return -1;
    return (int32_t)(channel * w->channel_step + (uint32_t)y * w->row_step + (uint32_t)x * w->column_step);
}

/* The range that output o is of; returns its row. */
static uint32_t row_of(const shape *s, uint32_t o, uint32_t *table) {
    const reds_range *range = s->make;
    for (; o >= range->count; range++) o -= range->count;
    *table = range->table + o;
    return range->first + o;
}

static int64_t mulhi(int64_t a, int64_t b) { return (a * b + 0x80000000LL) >> 32; }
static int32_t saturated(int64_t t, int32_t shift) {
    t >>= shift;
    return (int32_t)(t < -128 ? -128 : t > 127 ? 127 : t);
}

/* Every product of output (o, p): with floats their sum and that of the magnitudes, with bytes the sum. */
static void sum_of(const shape *s, uint32_t o, uint32_t p, const void *weights, const void *in, int32_t zero, int bytes, double *sum,
                   double *magnitude) {
    uint32_t table, channel = o / s->each * s->inputs;
    const uint32_t row = row_of(s, o, &table) * s->row;
    *sum = *magnitude = 0;
    for (uint32_t n = 0; n < s->spread.reads; n++)
        for (uint32_t i = 0; i < s->read[n].count; i++, channel++)
            for (uint32_t tap = 0; tap < s->area; tap++) {
                const int32_t y = (int32_t)(p / s->w.out_w * s->w.stride_h + tap / s->w.kernel_w * s->spread.dilation_h) - s->w.pad_top;
                const int32_t x = (int32_t)(p % s->w.out_w * s->w.stride_w + tap % s->w.kernel_w * s->spread.dilation_w) - s->w.pad_left;
                const int32_t a = address(&s->w, channel, y, x);
                if (a < 0) continue;
                const uint32_t k = row + s->read[n].first + i * s->area + tap;
                const double product = bytes ? (double)((const int8_t *)weights)[k] * (((const int8_t *)in)[a] - zero)
                                             : (double)((const float *)weights)[k] * (double)((const float *)in)[a];
                *sum += product, *magnitude += size_of(product);
            }
}

typedef void s8_kernel(const reds_s8_layer *, const reds_s8_width *, const reds_spread *, const int8_t *, int8_t *, int16_t *);
typedef void f32_kernel(const reds_f32_layer *, const reds_f32_width *, const reds_spread *, const float *, float *, float *);

static int compare_s8(const char *what, shape *s, s8_kernel *layer_of, uint32_t scratch_entries) {
    const uint32_t positions = (uint32_t)s->w.out_h * s->w.out_w, out_bytes = s->outputs * positions;
    int8_t *const in = place(&in_memory, s->inputs * s->spread.groups * s->w.in_h * s->w.in_w), *const out = place(&out_memory, out_bytes);
    int8_t *const weights = place(&weight_memory, s->rows * s->row);
    int16_t *const scratch = place(&scratch_memory, 2 * scratch_entries);
    const reds_s8_layer layer = {s->w, weights, s->row, between(0, 2) ? 0 : (int32_t)(draw() >> 1)};
    const reds_s8_width width = {s->inputs, s->outputs, s8_channels, between(-128, 127), between(-5000, 5000), between(0, 12)};
    for (reds_s8_channel *c = s8_channels; c != s8_channels + 100; c++)
        c->multiplier = (int32_t)draw() >> between(0, 12), c->offset = between(-9999, 9999);
    s->spread.make = s->make, s->spread.read = s->read;
    layer_of(&layer, &width, &s->spread, in, out, scratch);
    for (uint32_t o = 0; o < s->outputs; o++)
        for (uint32_t p = 0; p < positions; p++) {
            double sum, magnitude;
            uint32_t table;
            sum_of(s, o, p, weights, in, width.in_zero, 1, &sum, &magnitude);
            row_of(s, o, &table);
            int64_t t = mulhi((int64_t)sum, s8_channels[table].multiplier) + s8_channels[table].offset;
            if (layer.slope != 0) t = (t < 0 ? mulhi(2 * t, layer.slope) : t) + width.round;
            if (out[o * positions + p] != saturated(t, width.shift))
                return failed(what, o * positions + p, saturated(t, width.shift), out[o * positions + p]);
        }
    return guards("s8 output guard", out, out_bytes) || guards("s8 scratch guard", scratch, 2 * scratch_entries);
}

static int compare_f32(const char *what, shape *s, f32_kernel *layer_of, uint32_t scratch_entries) {
    const uint32_t positions = (uint32_t)s->w.out_h * s->w.out_w, length = s->outputs * positions;
    float *const in = floats(&in_memory, s->inputs * s->spread.groups * s->w.in_h * s->w.in_w), *const out = floats(&out_memory, length);
    float *const weights = floats(&weight_memory, s->rows * s->row), *const scratch = floats(&scratch_memory, scratch_entries);
    const reds_f32_layer layer = {s->w, weights, s->row, (reds_activation)between(0, 3), 0.125f};
    const reds_f32_width width = {s->inputs, s->outputs, f32_channels};
    for (int k = 0; k < 100; k++) f32_channels[k].scale = real(), f32_channels[k].offset = real();
    s->spread.make = s->make, s->spread.read = s->read;
    layer_of(&layer, &width, &s->spread, in, out, scratch);
    for (uint32_t o = 0; o < s->outputs; o++)
        for (uint32_t p = 0; p < positions; p++) {
            double sum, magnitude;
            uint32_t table;
            sum_of(s, o, p, weights, in, 0, 0, &sum, &magnitude);
            row_of(s, o, &table);
            double y = (double)f32_channels[table].scale * sum + (double)f32_channels[table].offset;
            if (layer.activation != REDS_LINEAR && y < 0) y *= layer.activation == REDS_LEAKY_RELU ? 0.125 : 0;
            if (layer.activation == REDS_RELU6 && y > 6) y = 6;
            const double found = (double)out[o * positions + p];
            if (size_of(y - found) > 1e-5 * (1 + 2 * magnitude)) return failed(what, o * positions + p, y, found);
        }
    return guards("f32 output guard", out, 4 * length) || guards("f32 scratch guard", scratch, 4 * scratch_entries);
}

/* As many groups as channels, of one row each. */
static shape draw_depthwise(void) {
    shape s;
    for (;;) {
        s.spread.groups = 2; /* [C][H][W] */
        const uint32_t channels = count(1, 20);
        if (!draw_window(&s, channels, 0)) continue;
        s.spread.groups = channels, s.spread.reads = 1, s.each = s.inputs = 1;
        s.read[0].first = 0, s.read[0].count = 1, s.read[0].table = 0;
        s.row = REDS_ROUND4(s.area) + 4 * count(0, 1);
        draw_rows(&s, channels);
        const uint32_t image = (uint32_t)s.w.in_h * s.w.in_w, ring = 4u * (uint32_t)(s.w.in_w + 8);
        if (channels * image <= CAPACITY && channels * s.w.out_h * s.w.out_w <= CAPACITY && s.rows * s.row <= CAPACITY && ring <= CAPACITY)
            return s;
    }
}

static int check_layers(void) {
    shape bytes = draw_shape(4), numbers = draw_shape(1), depthwise = draw_depthwise();
    const reds_window *const w = &depthwise.w, *const v = &bytes.w;
    const uint32_t held = REDS_S8_DEPTHWISE_SCRATCH(w->kernel_h, w->kernel_w, w->stride_h, w->stride_w, w->out_h, w->out_w);
    const uint32_t ring = REDS_F32_DEPTHWISE_SCRATCH(w->kernel_h, w->kernel_w, w->stride_w, w->out_w);
    bytes.spread.read = bytes.read;
    const uint32_t needs = reds_is_direct(&bytes.spread)
                               ? REDS_S8_CONV_SCRATCH(bytes.inputs, v->kernel_h, v->kernel_w, v->stride_w, v->out_w)
                               : REDS_S8_SPREAD_SCRATCH(bytes.depth);
    return compare_s8("s8 spread", &bytes, reds_s8_spread, needs) ||
           compare_f32("f32 spread", &numbers, reds_f32_spread, REDS_F32_SPREAD_SCRATCH(numbers.depth)) ||
           compare_s8("s8 depthwise", &depthwise, reds_s8_depthwise_ranges, held) ||
           compare_f32("f32 depthwise", &depthwise, reds_f32_depthwise_ranges, ring);
}

/* ---- What moves arrays ---------------------------------------------------------------------------------------------------------- */

static int check_concat(void) {
    const uint32_t length = count(1, 60);
    const reds_s8_move move = {between(-128, 127), between(0, 3) ? between(1, 1 << 20) : 0, between(-3000, 3000),
                               between(0, 1) ? 0 : (int32_t)(draw() >> 1), between(0, 20)};
    int8_t *const in = place(&in_memory, length), *const out = place(&out_memory, length);
    reds_s8_concat(&move, in, out, length);
    for (uint32_t k = 0; k < length; k++) {
        int64_t t = (int64_t)(in[k] - move.zero) * move.multiplier;
        if (move.slope != 0 && t < 0) t = mulhi(2 * t, move.slope);
        const int32_t wanted = move.multiplier == 0 ? in[k] : saturated(t + move.round, move.shift);
        if (out[k] != wanted) return failed("s8 concat", k, wanted, out[k]);
    }
    if (guards("s8 concat guard", out, length)) return 1;
    float *const from = floats(&in_memory, length), *const to = floats(&out_memory, length);
    for (uint32_t k = 0; k < length; k++) from[k] *= 5;
    reds_f32_concat(from, to, length, (reds_activation)(length % 4), 0.25f);
    for (uint32_t k = 0; k < length; k++) {
        double y = (double)from[k];
        if (y < 0 && length % 4 != REDS_LINEAR) y *= length % 4 == REDS_LEAKY_RELU ? 0.25 : 0;
        if (y > 6 && length % 4 == REDS_RELU6) y = 6;
        if (size_of((double)to[k] - y) > 1e-6) return failed("f32 concat", k, y, (double)to[k]);
    }
    return guards("f32 concat guard", to, 4 * length);
}

static int check_pad_and_shuffle(void) {
    const uint32_t groups = count(1, 5), each = count(1, 5), channels = groups * each;
    reds_window w = {(uint16_t)between(1, 5), (uint16_t)between(1, 5), 0, 0, 1, 1, 1, 1, (uint16_t)between(0, 3), (uint16_t)between(0, 3),
                     0, 0, 0};
    w.out_h = (uint16_t)(w.in_h + w.pad_top + between(0, 3)), w.out_w = (uint16_t)(w.in_w + w.pad_left + between(0, 3));
    w.channel_step = (uint32_t)w.in_h * w.in_w, w.row_step = w.in_w, w.column_step = 1;
    const uint32_t image = w.channel_step, whole = (uint32_t)w.out_h * w.out_w;
    const int32_t zero = between(-128, 127);
    if (channels * whole > CAPACITY) return 0;
    int8_t *const in = place(&in_memory, channels * image), *const out = place(&out_memory, channels * whole);
    reds_s8_pad(&w, channels, in, out, zero);
    float *const from = floats(&weight_memory, channels * image), *const to = floats(&scratch_memory, channels * whole);
    reds_f32_pad(&w, channels, from, to);
    for (uint32_t k = 0; k < channels * whole; k++) {
        const int32_t a = address(&w, k / whole, (int32_t)(k % whole / w.out_w) - w.pad_top, (int32_t)(k % w.out_w) - w.pad_left);
        if (out[k] != (a < 0 ? zero : in[a])) return failed("s8 pad", k, a < 0 ? zero : in[a], out[k]);
        if (size_of((double)to[k] - (a < 0 ? 0 : (double)from[a])) > 0) return failed("f32 pad", k, 0, (double)to[k]);
    }
    if (guards("s8 pad guard", out, channels * whole) || guards("f32 pad guard", to, 4 * channels * whole)) return 1;
    int8_t *const turned = place(&out_memory, channels * image);
    float *const real_turned = floats(&scratch_memory, channels * image);
    reds_s8_shuffle(in, turned, groups, each, image);
    reds_f32_shuffle(from, real_turned, groups, each, image);
    for (uint32_t k = 0; k < channels * image; k++) {
        const uint32_t c = k / image, a = (c % groups * each + c / groups) * image + k % image;
        if (turned[k] != in[a]) return failed("s8 shuffle", k, in[a], turned[k]);
        if (size_of((double)real_turned[k] - (double)from[a]) > 0) return failed("f32 shuffle", k, 0, (double)real_turned[k]);
    }
    return guards("s8 shuffle guard", turned, channels * image) || guards("f32 shuffle guard", real_turned, 4 * channels * image);
}

int main(void) {
    for (int number = 0; number < CASES; number++)
        if (check_layers() || check_concat() || check_pad_and_shuffle()) return 1;
    reds_print("ok\n");
    return 0;
}
