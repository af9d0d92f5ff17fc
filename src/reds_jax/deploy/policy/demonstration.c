/* A device whose budget varies, with three policies: adapt, always the smallest subnetwork, always the largest one.
 *
 * Scene 0, deadlines: before every inference other work leaves some time, from just enough for the smallest subnetwork to more than
 * enough for the largest. An answer that is late is no answer. Scene 1, battery: a store of energy has to last for all inferences;
 * when it is empty there are no answers.
 * The unit of cost is the instruction (in QEMU) or the MAC (on a PC). One line a step:
 * scene policy step available subnetwork cost right, with subnetwork -1 where nothing was run. */
#include "${name}_model.h"
#include "policy_data.h"
#include "reds_policy.h"

#ifdef REDS_QEMU
#include "count.h"
static void print_number(int32_t value) { reds_print_signed(value); reds_print(" "); }
static void print_text(const char *text) { reds_print(text); }
#else
#include <stdio.h>
static void print_number(int32_t value) { printf("%ld ", (long)value); }
static void print_text(const char *text) { printf("%s", text); }
#endif

static ${name}_element out[${NAME}_OUTPUT_ITEMS];

static void invoke(void *argument) { (void)${name}_invoke((const ${name}_element *)argument, out); }

/* Runs subnetwork k on an example and returns what it did cost. */
static uint32_t run(uint32_t k, uint32_t example) {
    const ${name}_element *const in = policy_inputs + example * ${NAME}_INPUT_ITEMS;
    (void)${name}_adapt(k);
#ifdef REDS_QEMU
    return reds_count(invoke, (void *)(uintptr_t)in);
#else
    invoke((void *)(uintptr_t)in);
    return ${name}_info(k)->macs;
#endif
}

enum { ADAPT, SMALLEST, LARGEST };

int main(void) {
    uint32_t costs[${NAME}_SUBNETWORKS];
    for (uint32_t k = 0; k < ${NAME}_SUBNETWORKS; k++) {
        costs[k] = run(k, 0);
    }
    const uint32_t least = costs[0] + costs[0] / 32u;
    const uint32_t span = costs[${NAME}_SUBNETWORKS - 1] - costs[0];
    print_text("costs ");
    for (uint32_t k = 0; k < ${NAME}_SUBNETWORKS; k++) {
        print_number((int32_t)costs[k]);
    }
    print_text("\n");
    for (int scene = 0; scene < 2; scene++) {
        for (int policy = ADAPT; policy <= LARGEST; policy++) {
            uint64_t energy = (uint64_t)POLICY_STEPS * (least + (uint64_t)span * POLICY_ENERGY / 256u);
            reds_policy adaptive;
            reds_policy_start(&adaptive, ${NAME}_SUBNETWORKS, costs, 2u);
            for (uint32_t step = 0; step < POLICY_STEPS; step++) {
                const uint32_t available = scene == 0 ? least + (uint32_t)((uint64_t)span * policy_time[step] / 256u)
                                                      : reds_policy_pace(energy, POLICY_STEPS - step);
                uint32_t k = policy == ADAPT ? reds_policy_choose(&adaptive, available)
                             : policy == SMALLEST ? 0u : ${NAME}_SUBNETWORKS - 1u;
                uint32_t cost = 0;
                int right = 0;
                if (k != REDS_POLICY_NONE && (scene == 0 || costs[k] <= energy)) {
                    cost = run(k, step);
                    reds_policy_observe(&adaptive, k, cost);
                    const int in_time = scene == 1 || cost <= available;
                    right = in_time && ${name}_argmax(out) == policy_labels[step];
                    if (scene == 1) {
                        energy -= cost <= energy ? cost : energy;
                    }
                } else {
                    k = REDS_POLICY_NONE;
                }
                print_text("step ");
                print_number(scene);
                print_number(policy);
                print_number((int32_t)step);
                print_number((int32_t)available);
                print_number(k == REDS_POLICY_NONE ? -1 : (int32_t)k);
                print_number((int32_t)cost);
                print_number(right);
                print_text("\n");
            }
        }
    }
    return 0;
}
