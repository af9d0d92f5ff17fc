/* From reset to main on a bare Cortex-M in QEMU: vector table, .data and .bss, the FPU, and the two calls of the semihosting
 * interface that are needed to speak and to stop. No C library.
 *
 * QEMU's exit status is what main returns, or 99 after a fault. The text comes on the standard ERROR of QEMU. */
#include "count.h"

#include <stddef.h>

/* from the linker script: their addresses are the values */
extern uint32_t _estack, _sidata, _sdata, _edata, _sbss, _ebss;

int main(void);
void Reset_Handler(void);

static uint32_t semihosting(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void reds_print(const char *text) { semihosting(0x04, text); /* SYS_WRITE0 */ }

void reds_exit(int status) {
    const uint32_t block[2] = {0x20026u /* the application ended */, (uint32_t)status};
    semihosting(0x20, block); /* SYS_EXIT_EXTENDED */
    for (;;) {}
}

void Reset_Handler(void) {
    const uint32_t *from = &_sidata;
    for (uint32_t *to = &_sdata; to < &_edata;) *to++ = *from++;
    for (uint32_t *to = &_sbss; to < &_ebss;) *to++ = 0;
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: the FPU is off after a reset */
    __asm volatile("dsb\n\tisb");
#endif
    reds_exit(main());
}

static void Fault_Handler(void) {
    reds_print("fault\n");
    reds_exit(99);
}

typedef union {
    uint32_t *stack;
    void (*handler)(void);
} vector;

__attribute__((section(".isr_vector"), used)) static const vector vectors[16] = {
    {.stack = &_estack},        {.handler = Reset_Handler}, {.handler = Fault_Handler}, {.handler = Fault_Handler},
    {.handler = Fault_Handler}, {.handler = Fault_Handler}, {.handler = Fault_Handler},
};

/* The compiler may call these where the source has a loop or an assignment. Compile with -fno-tree-loop-distribute-patterns, or
 * it may find that their own loops are calls of themselves. */
void *memcpy(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);

__attribute__((used)) void *memcpy(void *to, const void *from, size_t length) {
    char *t = to;
    for (const char *f = from; length != 0; length--) *t++ = *f++;
    return to;
}

__attribute__((used)) void *memset(void *to, int value, size_t length) {
    for (char *t = to; length != 0; length--) *t++ = (char)value;
    return to;
}
