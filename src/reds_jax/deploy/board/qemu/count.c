/* See count.h. */
#include "count.h"

static volatile uint32_t *at(uint32_t address) { return (volatile uint32_t *)address; }

#ifdef __ARM_ARCH_6M__ /* -M microbit: TIMER0 of the nRF51, 16 MHz, counts up */

static void start_timer(void) {
    *at(0x40008508u) = 3; /* BITMODE: 32 bits */
    *at(0x40008510u) = 0; /* PRESCALER: none */
    *at(0x40008000u) = 1; /* TASKS_START */
}

static uint32_t ticks(void) {
    *at(0x40008040u) = 1;    /* TASKS_CAPTURE[0] */
    return *at(0x40008540u); /* CC[0] */
}

/* 1024 ns * 16 MHz = 16.384 = 2048 / 125 ticks an instruction; rounded to the nearest instruction */
static uint32_t instructions(uint32_t elapsed) { return (uint32_t)(((uint64_t)elapsed * 125u + 1024u) / 2048u); }

#else /* -M mps2-an386: the CMSDK timer 0, 25 MHz, counts down */

static void start_timer(void) {
    *at(0x40000008u) = 0xFFFFFFFFu; /* RELOAD */
    *at(0x40000004u) = 0xFFFFFFFFu; /* VALUE */
    *at(0x40000000u) = 1;           /* CTRL: enable */
}

static uint32_t ticks(void) { return 0xFFFFFFFFu - *at(0x40000004u); }

/* 1024 ns * 25 MHz = 25.6 = 128 / 5 ticks an instruction; rounded to the nearest instruction */
static uint32_t instructions(uint32_t elapsed) { return (uint32_t)(((uint64_t)elapsed * 5u + 64u) / 128u); }

#endif

static __attribute__((noinline)) uint32_t measure(void (*function)(void *), void *argument) {
    const uint32_t before = ticks();
    function(argument);
    return instructions(ticks() - before);
}

static __attribute__((noinline)) void nothing(void *argument) { (void)argument; }

uint32_t reds_count(void (*function)(void *), void *argument) {
    start_timer();
    const uint32_t overhead = measure(nothing, argument);
    return measure(function, argument) - overhead + 1; /* ``nothing`` is one instruction, its return */
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

void reds_print_hex(uint32_t value) {
    char text[9];
    for (int k = 0; k < 8; k++, value <<= 4) text[k] = "0123456789abcdef"[value >> 28];
    text[8] = 0;
    reds_print(text);
}
