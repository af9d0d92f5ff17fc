/* A bare Cortex-M55, qemu-system-arm -M mps3-an547, for the tests of the Helium kernels: start, text, a count of instructions.
 *
 * With -DCHECK_EDGES the memory protection lets a program reach its code, its variables and stack, and the sections .edge0 to
 * .edge3, which lie apart (m55.ld): a single byte that is read or written beside one of these is a fault, status 99.
 * Lanes that a predicate switches off reach nothing, so they do not fault. */
#include "count.h"

#include <stddef.h>

/* from the linker script: their addresses are the values */
extern uint32_t _estack, _flash, _flash_end, _ram, _sidata, _sdata, _edata, _sbss, _ebss;
extern uint32_t _edge0, _edge0_end, _edge1, _edge1_end, _edge2, _edge2_end, _edge3, _edge3_end;

int main(void);
void Reset_Handler(void);

static volatile uint32_t *at(uint32_t address) { return (volatile uint32_t *)address; }

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

void reds_print_unsigned(uint32_t value) {
    char text[11];
    char *digit = text + sizeof text - 1;
    *digit = 0;
    do {
        *--digit = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    reds_print(digit);
}

void reds_print_signed(int32_t value) {
    if (value < 0) reds_print("-");
    reds_print_unsigned(value < 0 ? 0u - (uint32_t)value : (uint32_t)value);
}

/* SysTick counts 32 MHz down from 2^24. With -icount shift=3 an instruction takes 8 ns: a tick is 125 / 32 instructions, and the
 * count is right to 4 of up to 65 million. */
uint32_t reds_count(void (*function)(void *), void *argument) {
    *at(0xE000E014u) = 0xFFFFFFu; /* reload */
    *at(0xE000E018u) = 0;         /* value */
    *at(0xE000E010u) = 5;         /* on, by the clock of the processor */
    const uint32_t before = *at(0xE000E018u);
    function(argument);
    return (uint32_t)((uint64_t)((before - *at(0xE000E018u)) & 0xFFFFFFu) * 125u / 32u);
}

#ifdef CHECK_EDGES
static void region(uint32_t number, const uint32_t *first, const uint32_t *end) {
    *at(0xE000ED98u) = number;                                            /* MPU_RNR */
    *at(0xE000ED9Cu) = (uint32_t)(uintptr_t)first | 2u;                   /* MPU_RBAR: read, write and execute */
    *at(0xE000EDA0u) = (((uint32_t)(uintptr_t)end - 1u) & ~31u) | 1u;     /* MPU_RLAR: the last 32 bytes; memory of kind 0 */
}

static void protect(void) {
    *at(0xE000EDC0u) = 0xFFu; /* MPU_MAIR0: kind 0 is ordinary memory */
    region(0, &_flash, &_flash_end);
    region(1, &_ram, &_estack);
    region(2, &_edge0, &_edge0_end);
    region(3, &_edge1, &_edge1_end);
    region(4, &_edge2, &_edge2_end);
    region(5, &_edge3, &_edge3_end);
    *at(0xE000ED94u) = 1; /* MPU_CTRL: on; what is in no region is out of reach */
    __asm volatile("dsb\n\tisb");
}
#endif

__attribute__((noinline)) static void start(void) {
    const uint32_t *from = &_sidata;
    for (uint32_t *to = &_sdata; to < &_edata;) *to++ = *from++;
    for (uint32_t *to = &_sbss; to < &_ebss;) *to++ = 0;
#ifdef CHECK_EDGES
    protect();
#endif
    reds_exit(main());
}

void Reset_Handler(void) {
    *at(0xE000ED88u) |= 0xFu << 20; /* CPACR: Helium is off after a reset, and a compiler may use it for the loops above */
    __asm volatile("dsb\n\tisb" ::: "memory");
    start();
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
    {.handler = Fault_Handler}, {.handler = Fault_Handler}, {.handler = Fault_Handler}, {.handler = Fault_Handler},
};
