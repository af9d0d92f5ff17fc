/* The inner products of the float32 layers. Internal.
 *
 * A Cortex-M with an FPU loads several neighbouring floats by ONE instruction, vldmia, which compilers do not choose in loops: the
 * two inner loops are written out for it. Elsewhere the loops are in C, in a form that compilers vectorise. */
#ifndef REDS_F32_PRODUCTS_H
#define REDS_F32_PRODUCTS_H

#include "reds_kernels.h"

/* a * b + c, in one instruction where the core has it, also under -std=c99 */
#ifdef __FP_FAST_FMAF
#define MULTIPLY_ADD(a, b, c) __builtin_fmaf(a, b, c)
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

#if defined(__ARM_FEATURE_FMA) && defined(__ARM_FP) && defined(__ARM_ARCH_PROFILE) && !defined(REDS_PLAIN)
#define REDS_VLDM (__ARM_ARCH_PROFILE == 'M' && (__ARM_FP & 4))
#else
#define REDS_VLDM 0
#endif

/* A compiler may not reorder a sum of floats: that it can use its vectors, the sums are four from the start. The vector types are
 * those of gcc and clang; a core without vectors, or another compiler, has one lane. */
#if defined(__GNUC__) && (defined(__SSE2__) || defined(__ARM_NEON)) && !defined(REDS_PLAIN)
#define REDS_F32_LANES 4
typedef float reds_lanes __attribute__((vector_size(16)));
static inline float reds_f32_total(reds_lanes v) { return (v[0] + v[1]) + (v[2] + v[3]); }
#else
#define REDS_F32_LANES 1
typedef float reds_lanes;
static inline float reds_f32_total(reds_lanes v) { return v; }
#endif
#ifdef __GNUC__
#define REDS_COPY __builtin_memcpy
#else
#include <string.h>
#define REDS_COPY memcpy
#endif
static inline reds_lanes reds_f32_load(const float *from) {
    reds_lanes v;
    REDS_COPY(&v, from, sizeof v);
    return v;
}

#if REDS_VLDM

/* sum[r] = row r of the weights times x, for 4 rows */
static inline void reds_f32_four_rows(const float *weights, uint32_t row, const float *x, uint32_t length, float sum[4]) {
    const float *w0 = weights, *w1 = w0 + row, *w2 = w1 + row, *w3 = w2 + row;
    uint32_t groups = length / 4;
    sum[0] = sum[1] = sum[2] = sum[3] = 0.0f;
    if (groups != 0)
        __asm volatile( /* 4 inputs times 4 rows: 16 products by 21 instructions and 2 for the loop */
            "vldmia %[sum], {s20-s23}\n"
            "1:\n\t"
            "vldmia %[x]!, {s0-s3}\n\t"
            "vldmia %[w0]!, {s4-s7}\n\t"
            "vldmia %[w1]!, {s8-s11}\n\t"
            "vldmia %[w2]!, {s12-s15}\n\t"
            "vldmia %[w3]!, {s16-s19}\n\t"
            "vfma.f32 s20, s0, s4\n\tvfma.f32 s21, s0, s8\n\tvfma.f32 s22, s0, s12\n\tvfma.f32 s23, s0, s16\n\t"
            "vfma.f32 s20, s1, s5\n\tvfma.f32 s21, s1, s9\n\tvfma.f32 s22, s1, s13\n\tvfma.f32 s23, s1, s17\n\t"
            "vfma.f32 s20, s2, s6\n\tvfma.f32 s21, s2, s10\n\tvfma.f32 s22, s2, s14\n\tvfma.f32 s23, s2, s18\n\t"
            "vfma.f32 s20, s3, s7\n\tvfma.f32 s21, s3, s11\n\tvfma.f32 s22, s3, s15\n\tvfma.f32 s23, s3, s19\n\t"
            "subs %[groups], #1\n\t"
            "bne 1b\n\t"
            "vstmia %[sum], {s20-s23}"
            : [x] "+&r"(x), [w0] "+&r"(w0), [w1] "+&r"(w1), [w2] "+&r"(w2), [w3] "+&r"(w3), [groups] "+&r"(groups)
            : [sum] "r"(sum)
            : "cc", "memory", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15",
              "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23");
    for (uint32_t k = 0; k < length % 4; k++) {
        sum[0] = MULTIPLY_ADD(w0[k], x[k], sum[0]);
        sum[1] = MULTIPLY_ADD(w1[k], x[k], sum[1]);
        sum[2] = MULTIPLY_ADD(w2[k], x[k], sum[2]);
        sum[3] = MULTIPLY_ADD(w3[k], x[k], sum[3]);
    }
}

static inline float reds_f32_one_row(const float *weights, const float *x, uint32_t length) {
    float sum = 0.0f;
    for (uint32_t k = 0; k < length; k++) sum = MULTIPLY_ADD(weights[k], x[k], sum);
    return sum;
}

/* sum[r][c] = row r of the weights times position c, for 4 rows and 4 positions; x[k * step + c] is input k of position c */
static inline void reds_f32_four_by_four(const float *weights, uint32_t row, const float *x, uint32_t step, uint32_t length,
                                         float sum[4][4]) {
    const float *w0 = weights, *w1 = w0 + row, *w2 = w1 + row, *w3 = w2 + row;
    uint32_t pairs = length / 2;
    for (uint32_t r = 0; r < 4; r++, weights += row)
        for (uint32_t c = 0; c < 4; c++) sum[r][c] = length % 2 != 0 ? weights[length - 1] * x[(length - 1) * step + c] : 0.0f;
    if (pairs != 0)
        __asm volatile( /* 2 inputs of 4 positions times 4 rows: 32 products by 40 instructions and 2 for the loop */
            "vldmia %[sum], {s16-s31}\n"
            "1:\n\t"
            "vldmia %[w0]!, {s8-s9}\n\t"
            "vldmia %[w1]!, {s10-s11}\n\t"
            "vldmia %[w2]!, {s12-s13}\n\t"
            "vldmia %[w3]!, {s14-s15}\n\t"
            "vldmia %[x], {s0-s3}\n\t"
            "add %[x], %[x], %[step]\n\t"
            "vldmia %[x], {s4-s7}\n\t"
            "add %[x], %[x], %[step]\n\t"
            "vfma.f32 s16, s8, s0\n\tvfma.f32 s17, s8, s1\n\tvfma.f32 s18, s8, s2\n\tvfma.f32 s19, s8, s3\n\t"
            "vfma.f32 s20, s10, s0\n\tvfma.f32 s21, s10, s1\n\tvfma.f32 s22, s10, s2\n\tvfma.f32 s23, s10, s3\n\t"
            "vfma.f32 s24, s12, s0\n\tvfma.f32 s25, s12, s1\n\tvfma.f32 s26, s12, s2\n\tvfma.f32 s27, s12, s3\n\t"
            "vfma.f32 s28, s14, s0\n\tvfma.f32 s29, s14, s1\n\tvfma.f32 s30, s14, s2\n\tvfma.f32 s31, s14, s3\n\t"
            "vfma.f32 s16, s9, s4\n\tvfma.f32 s17, s9, s5\n\tvfma.f32 s18, s9, s6\n\tvfma.f32 s19, s9, s7\n\t"
            "vfma.f32 s20, s11, s4\n\tvfma.f32 s21, s11, s5\n\tvfma.f32 s22, s11, s6\n\tvfma.f32 s23, s11, s7\n\t"
            "vfma.f32 s24, s13, s4\n\tvfma.f32 s25, s13, s5\n\tvfma.f32 s26, s13, s6\n\tvfma.f32 s27, s13, s7\n\t"
            "vfma.f32 s28, s15, s4\n\tvfma.f32 s29, s15, s5\n\tvfma.f32 s30, s15, s6\n\tvfma.f32 s31, s15, s7\n\t"
            "subs %[pairs], #1\n\t"
            "bne 1b\n\t"
            "vstmia %[sum], {s16-s31}"
            : [x] "+&r"(x), [w0] "+&r"(w0), [w1] "+&r"(w1), [w2] "+&r"(w2), [w3] "+&r"(w3), [pairs] "+&r"(pairs)
            : [sum] "r"(sum), [step] "r"(4 * step)
            : "cc", "memory", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15",
              "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31");
}

#else

static inline void reds_f32_four_rows(const float *weights, uint32_t row, const float *x, uint32_t length, float sum[4]) {
    const float *const w0 = weights, *const w1 = w0 + row, *const w2 = w1 + row, *const w3 = w2 + row;
    reds_lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    uint32_t k = 0;
    for (; k + REDS_F32_LANES <= length; k += REDS_F32_LANES) {
        const reds_lanes v = reds_f32_load(x + k);
        s0 += reds_f32_load(w0 + k) * v;
        s1 += reds_f32_load(w1 + k) * v;
        s2 += reds_f32_load(w2 + k) * v;
        s3 += reds_f32_load(w3 + k) * v;
    }
    sum[0] = reds_f32_total(s0), sum[1] = reds_f32_total(s1), sum[2] = reds_f32_total(s2), sum[3] = reds_f32_total(s3);
    for (; k < length; k++) sum[0] += w0[k] * x[k], sum[1] += w1[k] * x[k], sum[2] += w2[k] * x[k], sum[3] += w3[k] * x[k];
}

static inline float reds_f32_one_row(const float *weights, const float *x, uint32_t length) {
    reds_lanes lanes = {0};
    uint32_t k = 0;
    for (; k + REDS_F32_LANES <= length; k += REDS_F32_LANES) lanes += reds_f32_load(weights + k) * reds_f32_load(x + k);
    float sum = reds_f32_total(lanes);
    for (; k < length; k++) sum += weights[k] * x[k];
    return sum;
}

static inline void reds_f32_four_by_four(const float *weights, uint32_t row, const float *x, uint32_t step, uint32_t length,
                                         float sum[4][4]) {
    const float *const w0 = weights, *const w1 = w0 + row, *const w2 = w1 + row, *const w3 = w2 + row;
    for (uint32_t c = 0; c < 4; c += REDS_F32_LANES) { /* the positions are the lanes */
        reds_lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        for (uint32_t k = 0; k < length; k++) {
            const reds_lanes v = reds_f32_load(x + k * step + c);
            s0 += w0[k] * v, s1 += w1[k] * v, s2 += w2[k] * v, s3 += w3[k] * v;
        }
        REDS_COPY(&sum[0][c], &s0, sizeof s0), REDS_COPY(&sum[1][c], &s1, sizeof s1);
        REDS_COPY(&sum[2][c], &s2, sizeof s2), REDS_COPY(&sum[3][c], &s3, sizeof s3);
    }
}

#endif

/* sum[c] = one row of the weights times position c: the rows that are left when those of blocks are done */
static inline void reds_f32_one_by_four(const float *weights, const float *x, uint32_t step, uint32_t length, float sum[4]) {
    float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    for (uint32_t k = 0; k < length; k++) {
        const float *const v = x + k * step;
        s0 = MULTIPLY_ADD(weights[k], v[0], s0);
        s1 = MULTIPLY_ADD(weights[k], v[1], s1);
        s2 = MULTIPLY_ADD(weights[k], v[2], s2);
        s3 = MULTIPLY_ADD(weights[k], v[3], s3);
    }
    sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
}

#endif
