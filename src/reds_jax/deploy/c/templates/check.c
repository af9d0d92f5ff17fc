/* Runs every subnetwork of ${name} on a few inputs and compares with the recorded answers: `make check`. */
#include <stdio.h>

#include "${name}_examples.h"
#include "${name}_model.h"

#ifdef ${NAME}_CALLER_ARENA /* a network of ours, in memory of ours */
static ${name}_arena_t arena;
static ${name}_network_t network;
#define ${name}_adapt(k) ${name}_net_adapt(&network, k)
$own_adapt_to#define ${name}_invoke(in, out) ${name}_net_invoke(&network, in, out)
#endif

static int differs(${name}_element got, ${name}_element expected, float largest) {
    const float tolerance = $tolerance * largest;
    const float d = (float)got - (float)expected;
    return !(d <= tolerance && d >= -tolerance);
}

int main(void) {
    int failures = 0;
    uint32_t state = 1;
#ifdef ${NAME}_CALLER_ARENA
    if (${name}_net_init(&network, &arena, sizeof arena) != ${NAME}_OK) {
        return 1;
    }
#endif
    for (uint32_t run = 0; run < 8 * ${NAME}_SUBNETWORKS; run++) {
        uint32_t k = run; /* each once, then in random order */
        if (run >= ${NAME}_SUBNETWORKS) {
            state = state * 1664525u + 1013904223u;
            k = (state >> 16) % ${NAME}_SUBNETWORKS;
        }
        if ($adapt != ${NAME}_OK) {
            printf("subnetwork %u is not part of this build\n", (unsigned)k);
            continue;
        }
        const ${name}_info_t *const info = ${name}_info(k);
        uint32_t classes[${NAME}_EXAMPLES];
        for (uint32_t n = 0; n < ${NAME}_EXAMPLES; n++) {
            ${name}_element out[${NAME}_OUTPUT_ITEMS];
            const ${name}_element *const expected = ${name}_example_outputs + (k * ${NAME}_EXAMPLES + n) * ${NAME}_OUTPUT_ITEMS;
            float largest = 0.0f;
            (void)${name}_invoke(${name}_example_inputs + n * ${NAME}_INPUT_ITEMS, out);
            for (uint32_t i = 0; i < ${NAME}_OUTPUT_ITEMS; i++) {
                const float size = expected[i] < 0 ? -(float)expected[i] : (float)expected[i];
                largest = size > largest ? size : largest;
            }
            for (uint32_t i = 0; i < ${NAME}_OUTPUT_ITEMS; i++) {
                failures += differs(out[i], expected[i], largest);
            }
            classes[n] = ${name}_argmax(out);
        }
        if (run < ${NAME}_SUBNETWORKS) {
            printf("subnetwork %u: %u MACs, %u bytes of arena, classes", (unsigned)k, (unsigned)info->macs,
                   (unsigned)info->arena_bytes);
            for (uint32_t n = 0; n < ${NAME}_EXAMPLES; n++) {
                printf(" %u", (unsigned)classes[n]);
            }
            printf("\n");
        }
    }
    if (failures) {
        printf("%d values differ\n", failures);
    } else {
        printf("all answers agree\n");
    }
    return failures != 0;
}
