/* Measures single calls of the layers of one network, at many widths. Written by reds_jax; link with the kernels.
 *
 * On a computer: nanoseconds of clock_gettime(CLOCK_MONOTONIC) for every call, a line a case, a column a pass; argument: passes.
 * The inputs are drawn before the call. On a bare Cortex-M in QEMU: instructions. A pass goes through the layers in the order of the network, so that the weights of a
 * layer are as far from the processor as in an inference. */
#if !defined(__arm__) || defined(__linux__)
#define _POSIX_C_SOURCE 199309L
#endif
#include "reds_kernels.h"
${functions}
typedef ${element} element;
typedef reds_${short}_width width;

/* ---- Random weights, inputs and scales; each entry of the network has a place of its own ------------------------------------- */

static union {
    int32_t word; /* aligns the entries */
    element entries[${weight_entries}u];
} weights;
static union {
    int32_t word;
    element entries[${input_entries}u];
} in;
static union {
    int32_t word;
    element entries[${output_entries}u];
} out;
static union {
    int32_t word;
    ${scratch_type} entries[${scratch_entries}u];
} scratch;
static reds_${short}_channel channels[${channels}u];

static uint32_t state = ${seed}u;

static uint32_t draw(void) { /* xorshift, Marsaglia 2003 */
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* Uniform values in [-1, 1), then an activation that multiplies what is negative by ``below``: 1 a line, 0 a ReLU. */
static void fill(element *to, uint32_t length, float below) {
    ${scale}
    for (uint32_t k = 0; k < length; k++) {
        ${draw}
    }
}

static void set_up(void) {
    fill(weights.entries, ${weight_entries}u, 1.0f);
    fill(in.entries, ${input_entries}u, 1.0f);
    for (uint32_t k = 0; k < ${channels}u; k++) {
        ${draw_channel}
    }
}

/* ---- The layers, and a call of each ------------------------------------------------------------------------------------------ */

$layers
typedef struct {
    void (*call)(const width *);
    uint32_t items; /* of the input that are read */
    float below;    /* of the activation before */
    width width;
} measured;

#define CASES ${count}u
static const measured cases[CASES] = {
$cases
};

#if defined(__arm__) && !defined(__linux__)
#include "count.h"

static void call(void *argument) {
    const measured *const m = argument;
    m->call(&m->width);
}

int main(void) {
    set_up();
    for (uint32_t c = 0; c < CASES; c++) {
        fill(in.entries, cases[c].items, cases[c].below);
        reds_print("case ");
        reds_print_unsigned(reds_count(call, (void *)(uintptr_t)(cases + c)));
        reds_print("\n");
    }
    return 0;
}
#else
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static double time_of(const measured *m) {
    const double before = now();
    m->call(&m->width);
    return now() - before;
}

static void nothing(const width *w) { (void)w; }

int main(int argc, char **argv) {
    const uint32_t passes = argc == 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0u;
    double *const found = calloc((size_t)CASES * (passes + 1u), sizeof *found);
    const measured empty = {nothing, 0, 1.0f, cases[0].width};
    double overhead = 1e9;
    if (passes == 0u || found == NULL) return 2;
    set_up();
    for (int k = 0; k < 1000; k++) {
        const double t = time_of(&empty);
        overhead = t < overhead ? t : overhead;
    }
    for (uint32_t p = 0; p <= passes; p++) /* the first pass warms up and is not printed */
        for (uint32_t c = 0; c < CASES; c++) {
            fill(in.entries, cases[c].items, cases[c].below); /* new inputs: a processor would learn the signs of the outputs by heart */
            found[c * (passes + 1u) + p] = time_of(&cases[c]) - overhead;
        }
    for (uint32_t c = 0; c < CASES; c++) {
        printf("case");
        for (uint32_t p = 1; p <= passes; p++) printf(" %.0f", found[c * (passes + 1u) + p]);
        printf("\n");
    }
    free(found);
    return 0;
}
#endif
