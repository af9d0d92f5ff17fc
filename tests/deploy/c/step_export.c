/* An interrupt behind every single instruction: the trap flag of an x86-64 stops after each, and a handler adapts the network
 * there, as an interrupt of a microcontroller may. Returns 0 if every inference is that of one row, and every row is whole.
 *
 * Rows 0 to 4 of the largest subnetwork are told apart by their answers, so that a mixture of two shows. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include "reds_model.h"

#define ROWS 5u
#define TRAP_FLAG 0x100

static reds_element input[REDS_INPUT_ITEMS];
static reds_element answers[ROWS][REDS_OUTPUT_ITEMS];
static uint16_t rows[ROWS][REDS_GROUPS];
static uint32_t until, at_once; /* instructions before the interrupt; how many rows it adapts to, one after the other */
static uint32_t second; /* instructions from there to another one, which adapts to three rows; 0: there is none */
static volatile uint32_t busy, fired;
static reds_element inferred[REDS_OUTPUT_ITEMS]; /* by an interrupt that adapts to nothing */

static void make_rows(void) {
    for (uint32_t k = 0; k < ROWS; k++) {
        for (uint32_t g = 0; g < REDS_GROUPS; g++) {
            const uint32_t least = reds_widths(REDS_LARGEST - 1)[g] + 1u, most = reds_widths(REDS_LARGEST)[g];
            rows[k][g] = (uint16_t)(least + (most - least) * k / (ROWS - 1u));
        }
    }
}

static void begin_stepping(void) { __asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc"); }
static void end_stepping(void) { __asm volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc"); }

static void interrupt(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    if (until-- != 0) return;
    for (uint32_t n = 0; n < at_once; n++) busy += reds_adapt_to(rows[1 + n]) == REDS_BUSY;
    if (at_once == 0) (void)reds_invoke(input, inferred);
    fired = 1;
    until = second, at_once = 3, second = 0;
    if (until) return;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static int is(uint32_t k, const reds_element *out) { return memcmp(out, answers[k], sizeof answers[k]) == 0; }

int main(void) {
    struct sigaction action;
    reds_element out[REDS_OUTPUT_ITEMS];
    uint32_t refused = 0, inside = 0, instructions = 0;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = interrupt, action.sa_flags = SA_SIGINFO;
    if (sigaction(SIGTRAP, &action, NULL)) return 1;
    for (uint32_t i = 0; i < REDS_INPUT_ITEMS; i++) input[i] = (reds_element)(i * 37u % 101u) - (reds_element)50;
    make_rows();
    for (uint32_t k = 0; k < ROWS; k++) {
        if (reds_adapt_to(rows[k]) != REDS_OK) return 2;
        (void)reds_invoke(input, answers[k]);
        for (uint32_t j = 0; j < k; j++) {
            if (is(j, answers[k])) return 3;
        }
    }
    /* in the midst of an adaptation: the nested one is refused or comes first or last, and what is left is a whole row */
    for (uint32_t step = 0, ended = 0; !ended; step++) {
        if (reds_adapt_to(rows[4]) != REDS_OK) return 4;
        busy = fired = 0, until = step, at_once = 2;
        begin_stepping();
        const reds_status status = reds_adapt_to(rows[0]);
        end_stepping();
        ended = !fired;
        if (status != REDS_OK || (busy != 0 && busy != 2)) return 5;
        refused += busy != 0;
        (void)reds_invoke(input, out);
        if (!(is(0, out) || (!busy && fired && is(2, out)))) return 6;
    }
    if (refused == 0) return 7;
    /* an inference in the midst of an adaptation, also of one that is refused: the row before, or the new one at the end */
    for (int allowed = 0; allowed < 2; allowed++) {
        for (uint32_t step = 0, ended = 0, old = 0; !ended; step++) {
            uint16_t wrong[REDS_GROUPS];
            memcpy(wrong, rows[0], sizeof wrong);
            wrong[REDS_GROUPS - 1] = 0;
            for (int n = 0; n < 3; n++) { /* wherever the row will be written, there is one of the smallest subnetwork */
                if (reds_adapt_to(reds_widths(0)) != REDS_OK) return 13;
                if (n == 0) (void)reds_invoke(input, out);
            }
            if (reds_adapt_to(rows[3]) != REDS_OK) return 13;
            (void)reds_invoke(input, out);
            if (reds_adapt_to(rows[4]) != REDS_OK) return 13;
            fired = 0, until = step, at_once = 0;
            begin_stepping();
            const reds_status status = reds_adapt_to(allowed ? rows[0] : wrong);
            end_stepping();
            ended = !fired;
            if (status != (allowed ? REDS_OK : REDS_WIDTHS_NOT_ALLOWED)) return 14;
            if (fired && !(is(4, inferred) || (allowed && is(0, inferred)))) return 15;
            old += fired && is(4, inferred);
            (void)reds_invoke(input, out);
            if (!is(allowed ? 0 : 4, out)) return 16;
            if (ended && old == 0) return 17;
        }
    }
    /* in the midst of an inference, and before it reads its row: one to three rows at once, and one and then three */
    for (uint32_t rows_at_once = 1; rows_at_once <= 4; rows_at_once++) {
        const uint32_t first = rows_at_once < 4 ? rows_at_once : 1, again = rows_at_once < 4 ? 0 : 150;
        for (uint32_t step = 0, ended = 0; !ended; step += step < 40u ? 1u : step) {
            if (reds_adapt_to(rows[4]) != REDS_OK || reds_adapt_to(rows[0]) != REDS_OK) return 8;
            busy = fired = 0, until = step, at_once = first, second = again;
            begin_stepping();
            (void)reds_invoke(input, out);
            end_stepping();
            ended = !fired;
            if (busy) return 9;
            if (!is(0, out) && !(fired && is(first, out))) return 10;
            inside += fired && is(0, out);
            (void)reds_invoke(input, out); /* the next one is that of the last adaptation */
            if (fired && !is(first, out) && !(again && is(3, out))) return 11;
            instructions = step;
        }
    }
    if (inside == 0) return 12;
    printf("%u adaptations refused, inferences of about %u instructions\n", (unsigned)refused, (unsigned)instructions);
    return 0;
}
