/* The inner products of the int8 layers; reds_s8_columns.h tells how the inputs lie. Internal, included by reds_s8.c alone.
 *
 * With the DSP extension, a group of 4 weights is one load, two instructions that take the bytes apart, and two that multiply and
 * add two products each. */
#ifndef REDS_S8_PRODUCTS_H
#define REDS_S8_PRODUCTS_H

#include "reds_s8_math.h"

#if REDS_LOOPS
/* One group of 4 entries of a row: its weights lie at ``address``; 5 instructions for 4 products. Assembler, because compilers run out
 * of registers: reds_four_rows takes 12, so that the end of the loop is read from memory. */
#define REDS_ROW(address, sum)                   \
    "ldr %[word], " address "\n\t"               \
    "sxtb16 %[half], %[word]\n\t"                \
    "sxtb16 %[word], %[word], ror #8\n\t"        \
    "smlad " sum ", %[half], %[even], " sum "\n\t" \
    "smlad " sum ", %[word], %[odd], " sum "\n\t"
#define REDS_FOUR_ROWS                           \
    "ldrd %[even], %[odd], [%[x]], #8\n\t"       \
    REDS_ROW("[%[w], %[row]]", "%[s1]")          \
    REDS_ROW("[%[w]], #4", "%[s0]")              \
    REDS_ROW("[%[v], %[row]]", "%[s3]")          \
    REDS_ROW("[%[v]], #4", "%[s2]")
#define REDS_AGAIN "ldr %[word], %[end]\n\tcmp %[x], %[word]\n\tbne 1b"

/* The same group of one row and of 4 columns: 13 instructions for 16 products. */
#define REDS_TWO_COLUMNS(first, second)                \
    "ldmia %[x]!, {r8-r11}\n\t"                        \
    "smlad " first ", %[half], r8, " first "\n\t"      \
    "smlad " second ", %[half], r10, " second "\n\t"   \
    "smlad " first ", %[word], r9, " first "\n\t"      \
    "smlad " second ", %[word], r11, " second "\n\t"
#define REDS_FOUR_COLUMNS                              \
    "ldr %[word], [%[w]], #4\n\t"                      \
    "sxtb16 %[half], %[word]\n\t"                      \
    "sxtb16 %[word], %[word], ror #8\n\t"              \
    REDS_TWO_COLUMNS("%[s0]", "%[s1]") REDS_TWO_COLUMNS("%[s2]", "%[s3]")
#else
#define REDS_LOOPS 0
#endif

static inline int32_t reds_one_row(const int8_t *weights, const int16_t *column, uint32_t depth) {
    int32_t sum = 0;
#if REDS_SIMD32
    for (const int16_t *const end = column + depth; column != end; column += 4, weights += 4) {
        const uint32_t word = reds_word(weights);
        sum = reds_smlad(reds_bytes_0_2(word), reds_pair(column), sum);
        sum = reds_smlad(reds_bytes_1_3(word), reds_pair(column + 2), sum);
    }
#else
    for (uint32_t k = 0; k < depth; k++) sum += weights[k] * column[k];
#endif
    return sum;
}

#if REDS_V6M
/* A Cortex-M0 has 8 registers that can do everything: 4 rows, their common index (r4), the column (r7), an input (r5) and a weight
 * (r6); the sums stand in the upper registers, which can be added to. 63 instructions for 16 products. Compilers keep half of
 * this in memory. */
#define REDS_ROW(pointer, sum) "ldrsb r6, [" pointer ", r4]\n\tmuls r6, r5, r6\n\tadd " sum ", r6\n\t"
#define REDS_FOUR_ROWS(offset)                                         \
    "ldrh r5, [r7, #" offset "]\n\tsxth r5, r5\n\t"                    \
    REDS_ROW("r0", "r8") REDS_ROW("r1", "r9") REDS_ROW("r2", "r10") REDS_ROW("r3", "r11") \
    "adds r4, #1\n\t"

/* sum[r] = row r of the weights times one column, for 4 rows; depth is a multiple of 4, and not 0 */
void reds_four_rows(const int8_t *weights, uint32_t row, const int16_t *column, uint32_t depth, int32_t *sum);
__asm(
    ".syntax unified\n\t"
    ".section .text.reds_four_rows, \"ax\", %progbits\n\t"
    ".balign 4\n\t.thumb_func\n\t.global reds_four_rows\n\t.type reds_four_rows, %function\n"
    "reds_four_rows:\n\t"
    "push {r4-r7, lr}\n\t"
    "mov r4, r8\n\tmov r5, r9\n\tmov r6, r10\n\tmov r7, r11\n\t"
    "push {r4-r7}\n\t"
    "mov r12, r3\n\t"
    "mov r7, r2\n\t"
    "mov r5, r1\n\t"
    "adds r1, r0, r5\n\tadds r2, r1, r5\n\tadds r3, r2, r5\n\t"
    "movs r4, #0\n\t"
    "mov r8, r4\n\tmov r9, r4\n\tmov r10, r4\n\tmov r11, r4\n"
    "1:\n\t"
    REDS_FOUR_ROWS("0") REDS_FOUR_ROWS("2") REDS_FOUR_ROWS("4") REDS_FOUR_ROWS("6")
    "adds r7, #8\n\t"
    "cmp r4, r12\n\t"
    "bne 1b\n\t"
    "ldr r7, [sp, #36]\n\t" /* sum: behind the 9 registers that were pushed */
    "mov r0, r8\n\tmov r1, r9\n\tmov r2, r10\n\tmov r3, r11\n\t"
    "stmia r7!, {r0-r3}\n\t"
    "pop {r4-r7}\n\t"
    "mov r8, r4\n\tmov r9, r5\n\tmov r10, r6\n\tmov r11, r7\n\t"
    "pop {r4-r7, pc}\n\t"
    ".size reds_four_rows, . - reds_four_rows\n\t"
    ".text");
#else
/* sum[r] = row r of the weights times one column, for 4 rows; depth is a multiple of 4 */
static inline void reds_four_rows(const int8_t *weights, uint32_t row, const int16_t *column, uint32_t depth, int32_t *sum) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#if REDS_LOOPS
    const int8_t *w = weights, *v = weights + 2 * row;
    const int16_t *const end = column + depth;
    uint32_t even, odd, word, half;
#define REDS_OPERANDS                                                                                                              \
    : [s0] "+&r"(s0), [s1] "+&r"(s1), [s2] "+&r"(s2), [s3] "+&r"(s3), [w] "+&r"(w), [v] "+&r"(v), [x] "+&r"(column),               \
      [even] "=&r"(even), [odd] "=&r"(odd), [word] "=&r"(word), [half] "=&r"(half)                                                 \
    : [row] "r"(row), [end] "m"(end)                                                                                               \
    : "cc", "memory"
    if (depth & 4u) __asm volatile(REDS_FOUR_ROWS REDS_OPERANDS);
    if (column != end) __asm volatile("1:\n\t" REDS_FOUR_ROWS REDS_FOUR_ROWS REDS_AGAIN REDS_OPERANDS);
#undef REDS_OPERANDS
#elif REDS_SIMD32
    s0 = reds_one_row(weights, column, depth), s1 = reds_one_row(weights + row, column, depth);
    s2 = reds_one_row(weights + 2 * row, column, depth), s3 = reds_one_row(weights + 3 * row, column, depth);
#else
    const int8_t *const w0 = weights, *const w1 = w0 + row, *const w2 = w1 + row, *const w3 = w2 + row;
    for (uint32_t k = 0; k < depth; k++) {
        const int32_t x = column[k];
        s0 += w0[k] * x;
        s1 += w1[k] * x;
        s2 += w2[k] * x;
        s3 += w3[k] * x;
    }
#endif
    sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
}
#endif

/* sum[c] = one row of the weights times column c, for a tile of 4 columns */
static inline void reds_four_columns(const int8_t *weights, const int16_t *tile, uint32_t depth, int32_t *sum) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#if REDS_LOOPS
    const int16_t *const end = tile + 4 * depth;
    uint32_t word, half;
#define REDS_OPERANDS                                                                                                              \
    : [s0] "+&r"(s0), [s1] "+&r"(s1), [s2] "+&r"(s2), [s3] "+&r"(s3), [w] "+&r"(weights), [x] "+&r"(tile), [word] "=&r"(word),     \
      [half] "=&r"(half)                                                                                                           \
    : [end] "r"(end)                                                                                                               \
    : "r8", "r9", "r10", "r11", "cc", "memory"
    if (depth & 4u) __asm volatile(REDS_FOUR_COLUMNS REDS_OPERANDS);
    if (depth & 8u) __asm volatile(REDS_FOUR_COLUMNS REDS_FOUR_COLUMNS REDS_OPERANDS);
    if (tile != end)
        __asm volatile("1:\n\t" REDS_FOUR_COLUMNS REDS_FOUR_COLUMNS REDS_FOUR_COLUMNS REDS_FOUR_COLUMNS "cmp %[x], %[end]\n\tbne 1b"
                       REDS_OPERANDS);
#undef REDS_OPERANDS
#elif REDS_SIMD32
    for (const int16_t *const end = tile + 4 * depth; tile != end; tile += 16, weights += 4) {
        const uint32_t word = reds_word(weights), even = reds_bytes_0_2(word), odd = reds_bytes_1_3(word);
        s0 = reds_smlad(odd, reds_pair(tile + 2), reds_smlad(even, reds_pair(tile), s0));
        s1 = reds_smlad(odd, reds_pair(tile + 6), reds_smlad(even, reds_pair(tile + 4), s1));
        s2 = reds_smlad(odd, reds_pair(tile + 10), reds_smlad(even, reds_pair(tile + 8), s2));
        s3 = reds_smlad(odd, reds_pair(tile + 14), reds_smlad(even, reds_pair(tile + 12), s3));
    }
#else
    const int16_t *x0 = tile, *x1 = x0 + depth, *x2 = x1 + depth, *x3 = x2 + depth;
    const int8_t *const end = weights + depth;
#define REDS_STEP                                                                \
    {                                                                            \
        const int32_t w = *weights++;                                            \
        s0 += w * *x0++, s1 += w * *x1++, s2 += w * *x2++, s3 += w * *x3++;      \
    }
    while (weights != end) { /* depth is a multiple of 4 */
        REDS_STEP REDS_STEP REDS_STEP REDS_STEP
    }
#undef REDS_STEP
#endif
    sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
}

#endif
