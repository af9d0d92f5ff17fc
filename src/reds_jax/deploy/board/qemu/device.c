/* On a bare processor in QEMU: every subnetwork answers the recorded inputs; its instructions are counted and printed. */
#include "${name}_examples.h"
#include "${name}_model.h"
#include "count.h"

#define EXAMPLES (${NAME}_EXAMPLES < $examples ? ${NAME}_EXAMPLES : $examples) /* of the recorded ones */

static ${name}_element out[${NAME}_OUTPUT_ITEMS];

/* A call through a pointer, so that an empty function costs the same call. */
typedef uint32_t (*setter)(uint32_t);
typedef struct {
    setter function;
    uint32_t value;
} call;

static void make_call(void *argument) {
    const call *const c = argument;
    (void)c->function(c->value);
}

static __attribute__((noinline)) uint32_t nothing(uint32_t value) { return value; } /* its return: one instruction */

/* Instructions of a function of one integer, its return included. */
static uint32_t instructions(setter function, uint32_t value) {
    call empty = {nothing, value}, wanted = {function, value};
    return reds_count(make_call, &wanted) - reds_count(make_call, &empty) + 1;
}

static void invoke(void *argument) { (void)${name}_invoke(argument, out); }

static int wrong(uint32_t k, uint32_t n) {
    const ${name}_element *const expected = ${name}_example_outputs + (k * ${NAME}_EXAMPLES + n) * ${NAME}_OUTPUT_ITEMS;
    float largest = 0.0f;
    int count = 0;
    for (uint32_t i = 0; i < ${NAME}_OUTPUT_ITEMS; i++) {
        const float size = expected[i] < 0 ? -(float)expected[i] : (float)expected[i];
        largest = size > largest ? size : largest;
    }
    for (uint32_t i = 0; i < ${NAME}_OUTPUT_ITEMS; i++) {
        const float d = (float)out[i] - (float)expected[i];
        count += !(d <= $tolerance * largest && d >= -$tolerance * largest);
    }
    return count;
}

int main(void) {
    int failures = 0;
    for (uint32_t k = 0; k <= (uint32_t)${NAME}_LARGEST; k++) {
        const ${name}_info_t *const info = ${name}_info(k);
        const uint32_t by_budget = instructions((setter)${name}_adapt_to_budget, info->macs);
#ifdef ${NAME}_GROUPS
        const uint32_t by_row = instructions((setter)${name}_adapt_to, (uint32_t)(uintptr_t)${name}_widths(k));
#endif
        const uint32_t by_index = instructions((setter)${name}_adapt, k);
        uint32_t count = 0;
        for (uint32_t n = 0; n < EXAMPLES; n++) {
            count = reds_count(invoke, (void *)(uintptr_t)(${name}_example_inputs + n * ${NAME}_INPUT_ITEMS));
            failures += wrong(k, n);
        }
        reds_print("subnetwork ");
        reds_print_unsigned(k);
        reds_print(" ");
        reds_print_unsigned(info->macs);
        reds_print(" ");
        reds_print_unsigned(by_index);
        reds_print(" ");
        reds_print_unsigned(by_budget);
        reds_print(" ");
        reds_print_unsigned(count);
#ifdef ${NAME}_GROUPS
        reds_print(" ");
        reds_print_unsigned(by_row);
#endif
        reds_print("\n");
    }
    if (failures) {
        reds_print_signed(failures);
        reds_print(" values differ from the recorded answers\n");
    }
    return failures != 0;
}
