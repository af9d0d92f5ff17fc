/* A frame of the front end in integers. See reds_mfcc.h; reds_mfcc_fft.h has the transform.
 *
 * The samples of a frame are scaled by 2^headroom so that the largest uses 16 bits, and get ``fraction`` bits behind the point
 * when the window is applied: few enough that no sum of the transform leaves 32 bits. What is computed is 2 X. A magnitude is
 * the root of a sum of squares of 15 bits, an energy has 64 bits, its logarithm the base 2. Every rounding is stated here,
 * and all cores make the same. */
#include "reds_mfcc.h"

/* A shift to the right of a negative number must repeat the sign: C99 leaves it to the compiler, all that matter do it. */
typedef char reds_mfcc_shift_is_arithmetic[(-5 >> 1) == -3 ? 1 : -1];

#define SMALLEST (-2612471) /* 65536 log2(1e-12) */

typedef int32_t number;
typedef struct {
    int32_t re, im;
} value;
typedef int16_t entry;
typedef uint16_t window_entry;

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(__ARM_BIG_ENDIAN) && !defined(REDS_PLAIN)
typedef uint32_t factor; /* re in the low half, im in the high one: a word for two numbers saves registers */

static inline factor factor_of(entry re, entry im) { return (uint32_t)(uint16_t)re | (uint32_t)im << 16; }

/* (a * the one half) >> 16; no compiler finds these instructions in the expressions below */
static inline int32_t by_re(int32_t a, factor w) {
    int32_t product;
    __asm("smulwb %0, %1, %2" : "=r"(product) : "r"(a), "r"(w));
    return product;
}

static inline int32_t by_im(int32_t a, factor w) {
    int32_t product;
    __asm("smulwt %0, %1, %2" : "=r"(product) : "r"(a), "r"(w));
    return product;
}

static inline int32_t multiply(int32_t a, int32_t w) { return by_re(a, (factor)w); }

#else
typedef struct {
    int32_t re, im;
} factor;

static inline factor factor_of(entry re, entry im) {
    const factor w = {re, im};
    return w;
}

/* (a * w) >> 16, w of 16 bits */
static inline int32_t multiply(int32_t a, int32_t w) {
#if defined(__ARM_ARCH_6M__) || defined(REDS_HALVES) /* two products of 32 bits: cheaper than a call for 64 bits */
    return (a >> 16) * w + (((a & 0xffff) * w) >> 16);
#else
    return (int32_t)(((int64_t)a * w) >> 16);
#endif
}

static inline int32_t by_re(int32_t a, factor w) { return multiply(a, w.re); }
static inline int32_t by_im(int32_t a, factor w) { return multiply(a, w.im); }
#endif

/* A factor is half as large as it stands for, because the table has 15 bits behind the point. */
static inline value times(value a, factor w) {
    const value y = {(by_re(a.re, w) - by_im(a.im, w)) * 2, (by_im(a.re, w) + by_re(a.im, w)) * 2};
    return y;
}

/* How many bits x > 0 has. */
static inline int32_t bits_of(uint32_t x) {
#if defined(__GNUC__) && !defined(__ARM_ARCH_6M__)
    return 32 - __builtin_clz(x);
#else
    int32_t bits = 1;
    if (x >> 16) x >>= 16, bits += 16;
    if (x >> 8) x >>= 8, bits += 8;
    if (x >> 4) x >>= 4, bits += 4;
    if (x >> 2) x >>= 2, bits += 2;
    return bits + (x >> 1 ? 1 : 0);
#endif
}

/* Between two entries of a table, at ``place`` / 65536. */
static inline uint32_t between(const uint16_t *table, uint32_t place) {
    return table[0] + ((((uint32_t)table[1] - table[0]) * place) >> 16);
}

static inline int32_t absolute(int32_t x) { return x < 0 ? -x : x; }

/* 65536 sqrt(i / 256), i = 64 to 256, at most 65535 */
static const uint16_t roots[193] = {
    32768, 33023, 33276, 33527, 33776, 34024, 34270, 34514, 34756, 34996, 35235, 35472, 35708, 35942, 36175, 36406,
    36636, 36864, 37091, 37316, 37540, 37763, 37985, 38205, 38424, 38642, 38858, 39073, 39287, 39500, 39712, 39923,
    40132, 40341, 40548, 40755, 40960, 41164, 41368, 41570, 41771, 41972, 42171, 42369, 42567, 42763, 42959, 43154,
    43348, 43541, 43733, 43925, 44115, 44305, 44494, 44682, 44869, 45056, 45242, 45427, 45611, 45795, 45977, 46160,
    46341, 46522, 46702, 46881, 47059, 47237, 47415, 47591, 47767, 47942, 48117, 48291, 48465, 48637, 48809, 48981,
    49152, 49322, 49492, 49661, 49830, 49998, 50166, 50332, 50499, 50665, 50830, 50995, 51159, 51323, 51486, 51649,
    51811, 51972, 52134, 52294, 52454, 52614, 52773, 52932, 53090, 53248, 53405, 53562, 53719, 53874, 54030, 54185,
    54340, 54494, 54647, 54801, 54954, 55106, 55258, 55410, 55561, 55712, 55862, 56012, 56162, 56311, 56459, 56608,
    56756, 56903, 57051, 57198, 57344, 57490, 57636, 57781, 57926, 58071, 58215, 58359, 58503, 58646, 58789, 58931,
    59073, 59215, 59357, 59498, 59639, 59779, 59919, 60059, 60199, 60338, 60477, 60615, 60753, 60891, 61029, 61166,
    61303, 61440, 61576, 61712, 61848, 61984, 62119, 62254, 62388, 62523, 62657, 62790, 62924, 63057, 63190, 63323,
    63455, 63587, 63719, 63850, 63982, 64113, 64243, 64374, 64504, 64634, 64763, 64893, 65022, 65151, 65279, 65408,
    65535,
};

/* 65536 log2(1 + i / 128), i = 0 to 128, at most 65535 */
static const uint16_t logarithms[129] = {
    0, 736, 1466, 2190, 2909, 3623, 4331, 5034, 5732, 6425, 7112, 7795, 8473, 9146, 9814, 10477,
    11136, 11791, 12440, 13086, 13727, 14363, 14996, 15624, 16248, 16868, 17484, 18096, 18704, 19308, 19909, 20505,
    21098, 21687, 22272, 22854, 23433, 24007, 24579, 25146, 25711, 26272, 26830, 27384, 27936, 28484, 29029, 29571,
    30109, 30645, 31178, 31707, 32234, 32758, 33279, 33797, 34312, 34825, 35334, 35841, 36346, 36847, 37346, 37842,
    38336, 38827, 39316, 39802, 40286, 40767, 41246, 41722, 42196, 42667, 43137, 43603, 44068, 44530, 44990, 45448,
    45904, 46357, 46809, 47258, 47705, 48150, 48593, 49034, 49472, 49909, 50344, 50776, 51207, 51636, 52063, 52488,
    52911, 53332, 53751, 54169, 54584, 54998, 55410, 55820, 56229, 56635, 57040, 57443, 57845, 58245, 58643, 59039,
    59434, 59827, 60219, 60609, 60997, 61384, 61769, 62152, 62534, 62915, 63294, 63671, 64047, 64421, 64794, 65166,
    65535,
};

static inline int32_t magnitude(value a) {
    uint32_t re = (uint32_t)absolute(a.re), im = (uint32_t)absolute(a.im);
    if (!(re | im)) return 0;
    int32_t shift = bits_of(re | im) - 15; /* the larger one to 15 bits: the square is from 2^28 on, below 2^31 */
    re = shift >= 0 ? re >> shift : re << -shift;
    im = shift >= 0 ? im >> shift : im << -shift;
    uint32_t square = re * re + im * im;
    if (square < 0x40000000u) {
        square <<= 2;
        shift--;
    }
    const uint32_t root = between(roots + (square >> 24) - 64, (square >> 8) & 0xffffu); /* of 16 bits */
    return (int32_t)(shift >= 0 ? root << shift : root >> -shift);
}

/* 65536 log2 x, x > 0 */
static int32_t logarithm(uint64_t x) {
    const uint32_t high = (uint32_t)(x >> 32);
    const int32_t bits = high ? 32 + bits_of(high) : bits_of((uint32_t)x);
    const uint32_t first = (uint32_t)(bits >= 32 ? x >> (bits - 32) : x << (32 - bits)); /* 32 bits, the highest is 1 */
    return (bits - 1) * 65536 + (int32_t)between(logarithms + ((first >> 24) & 127u), (first >> 8) & 0xffffu);
}

typedef struct {
    int32_t headroom, shift; /* a sample is multiplied by 2^headroom, and a product shifted to the right */
} scaling;

static inline int32_t windowed(int16_t sample, uint16_t weight, scaling scale) {
    return (sample * (1 << scale.headroom) * weight + (1 << (scale.shift - 1))) >> scale.shift;
}

#include "reds_mfcc_fft.h"

/* How many bits the largest sample leaves of 16. */
static APART int32_t headroom_of(const int16_t *samples, uint32_t window) {
    int32_t used = 0;
    for (uint32_t i = 0; i < window; i++) used |= samples[i] < 0 ? ~samples[i] : samples[i];
    return used ? 15 - bits_of((uint32_t)used) : 15;
}

/* The sum of weight * magnitude. */
static APART uint64_t energy_of(const uint16_t *weight, const value *bin, uint32_t count) {
#if defined(__ARM_ARCH_6M__) || defined(REDS_HALVES)
    uint32_t first = 0, second = 0, third = 0; /* of 16 bits, and their carries: a band has at most 2^15 bins */
    for (const uint16_t *const end = weight + count; weight != end; bin++) {
        const uint32_t magnitude = (uint32_t)bin->re, w = *weight++;
        const uint32_t high = (magnitude >> 16) * w, low = (magnitude & 0xffffu) * w;
        first += low & 0xffffu;
        second += (low >> 16) + (high & 0xffffu);
        third += high >> 16;
    }
    return first + ((uint64_t)second << 16) + ((uint64_t)third << 32);
#else
    uint64_t energy = 0;
    for (uint32_t i = 0; i < count; i++) energy += (uint64_t)(uint32_t)bin[i].re * weight[i];
    return energy;
#endif
}

void reds_mfcc_s32_frame(const reds_mfcc_s32 *tables, const reds_mfcc_stream *stream, int32_t *scratch, int32_t *out) {
    value *const z = (value *)(void *)scratch;
    const scaling scale = {headroom_of(stream->samples, tables->window), 16 - tables->fraction};
    load(stream, tables->half, scale, z, tables->quarter);
    transform(z, tables->sine, tables->quarter);
    magnitudes(z, tables->sine, tables->quarter, tables->bins);
    /* an energy has 15 bits of the samples, 16 of the weights and 1 of 2 X behind the point, and these two */
    const int32_t point = (32 + tables->fraction + scale.headroom) * 65536;
    for (uint32_t k = 0; k < tables->coefficients; k++) out[k] = 0;
    const uint16_t *weight = tables->weights;
    const int16_t *basis = tables->basis;
    for (uint32_t b = 0; b < tables->bands; b++) {
        const reds_mfcc_band band = tables->band[b];
        const uint64_t energy = energy_of(weight, z + band.first, band.count);
        weight += band.count;
        int32_t m = energy ? logarithm(energy) - point : SMALLEST;
        if (m < SMALLEST) m = SMALLEST;
        for (uint32_t k = 0; k < tables->coefficients; k++) out[k] += multiply(m * 16, *basis++);
    }
    const int32_t shift = tables->basis_fraction - 16;
    for (uint32_t k = 0; k < tables->coefficients; k++) out[k] = (out[k] + (1 << (shift - 1))) >> shift;
}

void reds_mfcc_s32_to_s8(const int32_t *in, uint32_t count, const reds_mfcc_grid *grid, int8_t *out) {
    for (uint32_t i = 0; i < count; i++) {
        const int32_t t = (int32_t)(((int64_t)in[i] * grid->multiplier + 0x80000000LL) >> 32);
        const int32_t x = (t + grid->round) >> grid->shift;
        out[i] = (int8_t)(x < -128 ? -128 : x > 127 ? 127 : x);
    }
}
