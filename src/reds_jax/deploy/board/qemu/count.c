/* See count.h. */
#include "count.h"

static volatile uint32_t *at(uint32_t address) { return (volatile uint32_t *)address; }

/* Each timer: how it is started and read, and the ticks of 1024 ns, the time of an instruction, as a fraction. The reading is not
 * inlined: plugin.c sees from its calls where a measurement begins and ends. */
static void start_timer(void);
static uint32_t timer_ticks(void) __attribute__((noinline));

#if defined REDS_TIMER_NRF51 /* -M microbit: TIMER0 of the nRF51, 16 MHz, counts up */

static void start_timer(void) {
    *at(0x40008508u) = 3; /* BITMODE: 32 bits */
    *at(0x40008510u) = 0; /* PRESCALER: none */
    *at(0x40008000u) = 1; /* TASKS_START */
}

static uint32_t timer_ticks(void) {
    *at(0x40008040u) = 1;    /* TASKS_CAPTURE[0] */
    return *at(0x40008540u); /* CC[0] */
}

enum { TICKS = 2048, INSTRUCTIONS = 125 };

#elif defined REDS_TIMER_SSE /* -M mps3-an547: the system counter of the SSE-300, 32 MHz, counts up */

static void start_timer(void) { *at(0x58100000u) = 1; /* CNTCR: enable */ }

static uint32_t timer_ticks(void) { return *at(0x58100008u); /* CNTCV, the low word */ }

enum { TICKS = 4096, INSTRUCTIONS = 125 };

#elif defined REDS_TIMER_CLINT /* -M virt of RISC-V: mtime, 10 MHz, counts up */

static void start_timer(void) {}

static uint32_t timer_ticks(void) { return *at(0x0200BFF8u); }

enum { TICKS = 256, INSTRUCTIONS = 25 };

#else /* the CMSDK timer 0, counts down: 25 MHz on -M mps2-an385, an386, an500; 20 MHz on an505, there in its secure place */

#ifdef REDS_TIMER_CMSDK_SECURE
enum { TIMER = 0x50000000, TICKS = 512, INSTRUCTIONS = 25 };
#else
enum { TIMER = 0x40000000, TICKS = 128, INSTRUCTIONS = 5 };
#endif

static void start_timer(void) {
    *at(TIMER + 8u) = 0xFFFFFFFFu; /* RELOAD */
    *at(TIMER + 4u) = 0xFFFFFFFFu; /* VALUE */
    *at(TIMER) = 1;                /* CTRL: enable */
}

static uint32_t timer_ticks(void) { return 0xFFFFFFFFu - *at(TIMER + 4u); }

#endif

/* rounded to the nearest */
static uint32_t instructions(uint32_t elapsed) {
    return (uint32_t)(((uint64_t)elapsed * INSTRUCTIONS + TICKS / 2) / TICKS);
}

static __attribute__((noinline)) uint32_t measure(void (*function)(void *), void *argument) {
    const uint32_t before = timer_ticks();
    function(argument);
    return instructions(timer_ticks() - before);
}

static __attribute__((noinline)) void timer_nothing(void *argument) { (void)argument; }

uint32_t reds_count(void (*function)(void *), void *argument) {
    start_timer();
    const uint32_t overhead = measure(timer_nothing, argument);
    return measure(function, argument) - overhead + 1; /* ``timer_nothing`` is one instruction, its return */
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
