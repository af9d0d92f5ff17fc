/* What every layer of ${name} costs in every subnetwork: `make profile`.
 *
 * The model is compiled with -DREDS_ON_LAYER=reds_on_layer, so that it calls reds_on_layer(i) before layer i, and once more after the
 * last. Compiled without, it has nothing of it. On a board, -DREDS_TICKS=f names your `uint32_t f(void)`, a clock or a counter of
 * cycles that counts up; here it is clock().
 *
 * It prints a line for every layer with the fields of a latency table of reds_jax: "points" has, for the channels that a layer reads
 * and for those that it makes, those of every subnetwork, and "costs" the ticks of each, a mean over ${NAME}_PASSES inferences. */
#include <stdio.h>

#include "${name}_examples.h"
#include "${name}_layers.h"
#include "${name}_model.h"

#ifndef ${NAME}_PASSES
#define ${NAME}_PASSES 20u
#endif

#ifdef REDS_TICKS
uint32_t REDS_TICKS(void);
#else
#include <time.h>
#define REDS_TICKS() ((uint32_t)clock())
#endif

void reds_on_layer(uint32_t layer);

static uint32_t began, spent[${NAME}_LAYERS];

void reds_on_layer(uint32_t layer) {
    const uint32_t now = REDS_TICKS();
    if (layer != 0u) {
        spent[layer - 1u] += now - began;
    }
    began = REDS_TICKS(); /* what this function takes is no layer's */
}

int main(void) {
    static double costs[${NAME}_LAYERS][${NAME}_SUBNETWORKS];
    static ${name}_arena_t arena;
    static ${name}_network_t network;
    ${name}_element out[${NAME}_OUTPUT_ITEMS];
    uint32_t count = 0;
    if (${name}_net_init(&network, &arena, sizeof arena) != ${NAME}_OK) {
        return 1;
    }
    for (uint32_t k = 0; k < ${NAME}_SUBNETWORKS && ${name}_net_adapt(&network, k) == ${NAME}_OK; k++, count++) {
        for (uint32_t i = 0; i < ${NAME}_LAYERS; i++) {
            spent[i] = 0;
        }
        for (uint32_t n = 0; n < ${NAME}_PASSES; n++) {
            (void)${name}_net_invoke(&network, ${name}_example_inputs, out);
        }
        for (uint32_t i = 0; i < ${NAME}_LAYERS; i++) {
            costs[i][k] = (double)spent[i] / ${NAME}_PASSES;
        }
    }
    for (uint32_t i = 0; i < ${NAME}_LAYERS; i++) {
        const ${name}_layer_t *const layer = ${name}_layers + i;
        printf("{\"name\": \"%s\", \"kind\": \"%s\", \"points\": [[", layer->name, layer->kind);
        for (uint32_t k = 0; k < count; k++) {
            printf("%s%u", k ? ", " : "", (unsigned)layer->reads[k]);
        }
        printf("], [");
        for (uint32_t k = 0; k < count; k++) {
            printf("%s%u", k ? ", " : "", (unsigned)layer->makes[k]);
        }
        printf("]], \"costs\": [");
        for (uint32_t k = 0; k < count; k++) {
            printf("%s%.2f", k ? ", " : "", costs[i][k]);
        }
        printf("]}\n");
    }
    return 0;
}
