/* Three threads run one network at the same time: two instances with arenas of their own, and the simple interface. Each adapts
 * its own; every answer is the recorded one. Before that: an instance writes to its arena and to no other. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "ears_examples.h"
#include "ears_model.h"

static ears_arena_t arenas[2];
static ears_network_t networks[2];
static pthread_barrier_t start;

static int differs(uint32_t k, uint32_t n, const ears_element *out) {
    const ears_element *const expected = ears_example_outputs + (k * EARS_EXAMPLES + n) * EARS_OUTPUT_ITEMS;
    int count = 0;
    for (uint32_t i = 0; i < EARS_OUTPUT_ITEMS; i++) count += out[i] != expected[i];
    return count;
}

static void *work(void *argument) {
    ears_network_t *const network = argument; /* NULL: the simple interface */
    uint32_t failures = 0, state = (uint32_t)(network ? network - networks : 2) + 1u;
    (void)pthread_barrier_wait(&start);
    for (int turn = 0; turn < 200; turn++) {
        ears_element out[EARS_OUTPUT_ITEMS];
        state = state * 1664525u + 1013904223u;
        const uint32_t k = (state >> 16) % EARS_SUBNETWORKS, n = (state >> 24) % EARS_EXAMPLES;
        const ears_element *const in = ears_example_inputs + n * EARS_INPUT_ITEMS;
        failures += (network ? ears_net_adapt(network, k) : ears_adapt(k)) != EARS_OK;
        failures += (network ? ears_net_invoke(network, in, out) : ears_invoke(in, out)) != k;
        failures += differs(k, n, out) != 0;
    }
    return failures ? &arenas : NULL;
}

static int all_are(const ears_arena_t *memory, int byte) {
    const unsigned char *const bytes = (const unsigned char *)memory;
    for (size_t i = 0; i < sizeof *memory; i++) {
        if (bytes[i] != byte) return 0;
    }
    return 1;
}

int main(void) {
    pthread_t threads[3];
    ears_element out[EARS_OUTPUT_ITEMS];
    for (int i = 0; i < 2; i++) {
        if (ears_net_init(&networks[i], &arenas[i], sizeof arenas[i]) != EARS_OK) return 1;
    }
    memset(arenas, 0x5A, sizeof arenas);
    (void)ears_invoke(ears_example_inputs, out);
    if (!all_are(&arenas[0], 0x5A) || !all_are(&arenas[1], 0x5A)) return 4;
    (void)ears_net_invoke(&networks[1], ears_example_inputs, out);
    if (!all_are(&arenas[0], 0x5A) || all_are(&arenas[1], 0x5A)) return 5;
    if (pthread_barrier_init(&start, NULL, 3)) return 6;
    for (int i = 0; i < 3; i++) {
        if (pthread_create(&threads[i], NULL, work, i < 2 ? &networks[i] : NULL)) return 2;
    }
    for (int i = 0; i < 3; i++) {
        void *failed;
        if (pthread_join(threads[i], &failed) || failed) return 3;
    }
    printf("as recorded\n");
    return 0;
}
