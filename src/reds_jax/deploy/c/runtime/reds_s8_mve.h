/* The int8 layers for cores with the vector extension Helium (MVE), as the Cortex-M55. Internal, included by reds_s8.c alone.
 *
 * They give what reds_kernels.h says, bit for bit: vrmulh is mulhi, two narrowing moves that saturate are saturate. Padding
 * counts as the zero point, so that
 *
 *   sum_i w[i] * (x[i] - zero) = sum_i w[i] * x[i] - zero * sum_i w[i]
 *
 * needs no more than the stored bytes; the second term belongs to the prefix of a row and is computed once per call. What lies
 * beyond an array, or beyond the prefix of a row, is not read: the loads there are predicated. */
#ifndef REDS_S8_MVE_H
#define REDS_S8_MVE_H

#include "reds_s8_math.h"

#if defined(__ARM_FEATURE_MVE) && defined(__OPTIMIZE__) && !defined(__ARM_BIG_ENDIAN) && !defined(REDS_PLAIN)
#define REDS_MVE 1
#else
#define REDS_MVE 0
#endif

#if REDS_MVE
#include <arm_mve.h>

#define REDS_MVE_INLINE static inline __attribute__((always_inline))

/* ---- Runs of bytes, of any length from 1 on: loops that the core predicates by itself ------------------------------------ */

/* The sum of ``count`` bytes. */
REDS_MVE_INLINE int32_t reds_mve_sum(const int8_t *bytes, uint32_t count) {
    int32_t sum = 0;
    int8x16_t x;
    __asm volatile("dlstp.8 lr, %[count]\n"
                   "1:\tvldrb.8 %q[x], [%[bytes]], #16\n\t"
                   "vaddva.s8 %[sum], %q[x]\n\t"
                   "letp lr, 1b"
                   : [sum] "+Te"(sum), [bytes] "+r"(bytes), [x] "=&w"(x)
                   : [count] "r"(count)
                   : "lr", "memory");
    return sum;
}

/* sum of weights[k] * (x[k] - zero) */
REDS_MVE_INLINE int32_t reds_mve_product(const int8_t *weights, const int8_t *x, int32_t zero, uint32_t count) {
    int32_t products = 0, sum = 0;
    int8x16_t a, b;
    __asm volatile("dlstp.8 lr, %[count]\n"
                   "1:\tvldrb.8 %q[a], [%[weights]], #16\n\t"
                   "vldrb.8 %q[b], [%[x]], #16\n\t"
                   "vmladava.s8 %[products], %q[a], %q[b]\n\t"
                   "vaddva.s8 %[sum], %q[a]\n\t"
                   "letp lr, 1b"
                   : [products] "+Te"(products), [sum] "+Te"(sum), [weights] "+r"(weights), [x] "+r"(x), [a] "=&w"(a),
                     [b] "=&w"(b)
                   : [count] "r"(count)
                   : "lr", "memory");
    return products - zero * sum;
}

REDS_MVE_INLINE void reds_mve_copy(const int8_t *from, int8_t *to, uint32_t count) {
    int8x16_t x;
    __asm volatile("dlstp.8 lr, %[count]\n"
                   "1:\tvldrb.8 %q[x], [%[from]], #16\n\t"
                   "vstrb.8 %q[x], [%[to]], #16\n\t"
                   "letp lr, 1b"
                   : [from] "+r"(from), [to] "+r"(to), [x] "=&w"(x)
                   : [count] "r"(count)
                   : "lr", "memory");
}

REDS_MVE_INLINE void reds_mve_fill(int8_t *to, int32_t value, uint32_t count) {
    const int8x16_t x = vdupq_n_s8((int8_t)value);
    __asm volatile("dlstp.8 lr, %[count]\n"
                   "1:\tvstrb.8 %q[x], [%[to]], #16\n\t"
                   "letp lr, 1b"
                   : [to] "+r"(to)
                   : [count] "r"(count), [x] "w"(x)
                   : "lr", "memory");
}

/* 4 numbers, saturated to bits 0 to 7 of their lanes. */
REDS_MVE_INLINE int32x4_t reds_mve_saturate(int32x4_t t) {
    __asm("vqmovnb.s32 %q0, %q0\n\tvqmovnb.s16 %q0, %q0" : "+w"(t)); /* compilers would copy it twice */
    return t;
}

static void reds_mve_add(const reds_s8_sum *s, const int8_t *a, const int8_t *b, int8_t *out, uint32_t length) {
    /* a * a_multiplier + b * b_multiplier + rest: the lanes may wrap around on the way, what comes out does not */
    const int32_t rest = (int32_t)((s->slope == 0 ? (uint32_t)s->round : 0u) - (uint32_t)s->a_zero * (uint32_t)s->a_multiplier -
                                   (uint32_t)s->b_zero * (uint32_t)s->b_multiplier);
    const int32_t right = -s->shift;
    if (s->slope == 0) {
        int32x4_t x, y;
        __asm volatile("dlstp.32 lr, %[length]\n"
                       "1:\tvldrb.s32 %q[x], [%[a]], #4\n\t"
                       "vldrb.s32 %q[y], [%[b]], #4\n\t"
                       "vmul.i32 %q[x], %q[x], %[am]\n\t"
                       "vmla.s32 %q[x], %q[y], %[bm]\n\t"
                       "vadd.i32 %q[x], %q[x], %[rest]\n\t"
                       "vshl.s32 %q[x], %[right]\n\t"
                       "vqmovnb.s32 %q[x], %q[x]\n\t"
                       "vqmovnb.s16 %q[x], %q[x]\n\t"
                       "vstrb.32 %q[x], [%[out]], #4\n\t"
                       "letp lr, 1b"
                       : [a] "+l"(a), [b] "+l"(b), [out] "+l"(out), [x] "=&w"(x), [y] "=&w"(y)
                       : [length] "r"(length), [am] "r"(s->a_multiplier), [bm] "r"(s->b_multiplier), [rest] "r"(rest),
                         [right] "r"(right)
                       : "lr", "memory");
        return;
    }
    const int32x4_t slope = vdupq_n_s32(s->slope);
    for (int32_t left = (int32_t)length; left > 0; left -= 4, a += 4, b += 4, out += 4) {
        const mve_pred16_t lanes = vctp32q((uint32_t)left);
        int32x4_t t = vmlaq_n_s32(vdupq_n_s32(rest), vldrbq_z_s32(a, lanes), s->a_multiplier);
        t = vmlaq_n_s32(t, vldrbq_z_s32(b, lanes), s->b_multiplier);
        t = vaddq_n_s32(vpselq_s32(vrmulhq_s32(vaddq_s32(t, t), slope), t, vcmpltq_n_s32(t, 0)), s->round);
        vstrbq_p_s32(out, reds_mve_saturate(vshlq_r_s32(t, right)), lanes);
    }
}
#endif

#endif
