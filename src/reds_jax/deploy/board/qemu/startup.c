/* From reset to main on a bare processor in QEMU: vector table, .data and .bss, the FPU, and the two calls of the semihosting
 * interface that are needed to speak and to stop.
 *
 * QEMU's exit status is what main returns, or 99 after a fault. The text comes on the standard ERROR of QEMU. */
#include "count.h"

#include <stddef.h>

/* from the linker script: their addresses are the values */
extern uint32_t _estack, _sidata, _sdata, _edata, _sbss, _ebss;

int main(void);
void Reset_Handler(void);

static uintptr_t semihosting(uintptr_t operation, const void *argument) {
#ifdef __riscv
    register uintptr_t a0 __asm("a0") = operation;
    register const void *a1 __asm("a1") = argument;
    __asm volatile(".option push\n\t.option norvc\n\t.balign 16\n\t" /* the three lie in one page and are 4 bytes each */
                   "slli zero, zero, 0x1f\n\tebreak\n\tsrai zero, zero, 7\n\t.option pop"
                   : "+r"(a0)
                   : "r"(a1)
                   : "memory");
    return a0;
#else
    register uintptr_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#endif
}

void reds_print(const char *text) { semihosting(0x04, text); /* SYS_WRITE0 */ }

void reds_exit(int status) {
    const uint32_t block[2] = {0x20026u /* the application ended */, (uint32_t)status};
    semihosting(0x20, block); /* SYS_EXIT_EXTENDED */
    for (;;) {}
}

static __attribute__((used, noreturn)) void start(void) {
    const uint32_t *from = &_sidata;
    for (uint32_t *to = &_sdata; to < &_edata;) *to++ = *from++;
    for (uint32_t *to = &_sbss; to < &_ebss;) *to++ = 0;
    reds_exit(main());
}

static __attribute__((used, aligned(4))) void fault(void) {
    reds_print("fault\n");
    reds_exit(99);
}

#ifdef __riscv

/* The first instruction of the image: a machine without firmware starts there. */
__attribute__((naked, section(".isr_vector"))) void Reset_Handler(void) {
    __asm volatile(".option arch, +zicsr\n\tla sp, _estack\n\tla t0, fault\n\tcsrw mtvec, t0\n\tj start");
}

#else

void Reset_Handler(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: the FPU, and Helium with it, is off after a reset */
    __asm volatile("dsb\n\tisb");
#endif
    start();
}

typedef union {
    uint32_t *stack;
    void (*handler)(void);
} vector;

__attribute__((section(".isr_vector"), used)) static const vector vectors[16] = {
    {.stack = &_estack}, {.handler = Reset_Handler}, {.handler = fault}, {.handler = fault},
    {.handler = fault},  {.handler = fault},         {.handler = fault}, {.handler = fault},
};

#endif
