/* The weights and tables of a nested network, and the order in which its layers run. Written by reds_jax. */
#include "../include/${name}_model.h"

#include "reds_kernels.h"

#if REDS_KERNELS_VERSION != $kernels_version
#error "${name}_model.c belongs to other kernels than these: export all networks of a program with one version of reds_jax"
#endif

#ifndef REDS_ARENA_ATTRIBUTE
#define REDS_ARENA_ATTRIBUTE
#endif
#ifndef REDS_WEIGHTS_ATTRIBUTE
#define REDS_WEIGHTS_ATTRIBUTE
#endif
#ifndef REDS_TABLES_ATTRIBUTE
#define REDS_TABLES_ATTRIBUTE
#endif
$attributes
#ifdef REDS_DEBUG
#define NEEDS(condition, otherwise) \
    if (!(condition)) { \
        return otherwise; \
    }
#else
#define NEEDS(condition, otherwise)
#endif

/* ---- The weights, once, as the largest subnetwork reads them; what differs is a scale and an offset per channel ------------- */

$constants
/* ---- The subnetworks ------------------------------------------------------------------------------------------------------- */

typedef struct ${name}_subnetwork {
    ${name}_info_t info;
    $members
} subnetwork;

${NAME}_TABLES_ATTRIBUTE static const subnetwork subnetworks[${NAME}_LARGEST + 1] = {
$rows};
$row_table
/* ---- A network that is given its arena ------------------------------------------------------------------------------------- */

${name}_status ${name}_net_init(${name}_network_t *network, void *arena, size_t arena_bytes) {
    if (!network) {
        return ${NAME}_NULL_POINTER;
    }
    if (!arena || (uintptr_t)arena % ${NAME}_ARENA_ALIGNMENT || arena_bytes < ${NAME}_ARENA_BYTES) {
        return ${NAME}_ARENA_NOT_ALLOWED;
    }
    $initialise
    network->arena = arena;
    return ${NAME}_OK;
}

${name}_status ${name}_net_adapt(${name}_network_t *network, uint32_t k) {
    NEEDS(network, ${NAME}_NULL_POINTER)
    if (k > (uint32_t)${NAME}_LARGEST) {
        return ${NAME}_NO_SUCH_SUBNETWORK;
    }
    network->active = $to_k;
    return ${NAME}_OK;
}

${name}_status ${name}_net_adapt_to_budget(${name}_network_t *network, uint32_t macs) {
    const subnetwork *s = &subnetworks[${NAME}_LARGEST];
    NEEDS(network, ${NAME}_NULL_POINTER)
    while (s->info.macs > macs) {
        if (s == subnetworks) {
            return ${NAME}_BUDGET_TOO_SMALL;
        }
        s--;
    }
    network->active = $to_s;
    return ${NAME}_OK;
}

uint32_t ${name}_net_active(const ${name}_network_t *network) {
    NEEDS(network && network->arena, ${NAME}_NONE)
    return (uint32_t)($index);
}

uint32_t ${name}_net_invoke(${name}_network_t *network, const ${name}_element *in, ${name}_element *out) {
    NEEDS(network && network->arena && in && out, ${NAME}_NONE)
    $begin
    ${name}_element *const memory = network->arena;
    $unit *const scratch = network->arena;
$unused
    $calls
    return (uint32_t)(s - subnetworks);
}

/* ---- The one that has an arena of its own ---------------------------------------------------------------------------------- */

#ifndef ${NAME}_CALLER_ARENA

${NAME}_ARENA_ATTRIBUTE static ${name}_arena_t arena;
static ${name}_network_t the_network = {$initial, .arena = &arena};

${name}_status ${name}_adapt(uint32_t k) {
    return ${name}_net_adapt(&the_network, k);
}

${name}_status ${name}_adapt_to_budget(uint32_t macs) {
    return ${name}_net_adapt_to_budget(&the_network, macs);
}

uint32_t ${name}_active(void) {
    return ${name}_net_active(&the_network);
}

uint32_t ${name}_invoke(const ${name}_element *in, ${name}_element *out) {
    return ${name}_net_invoke(&the_network, in, out);
}

#endif

/* ---- What is the same for all of them -------------------------------------------------------------------------------------- */

const ${name}_info_t *${name}_info(uint32_t k) {
    return k > (uint32_t)${NAME}_LARGEST ? (const ${name}_info_t *)0 : &subnetworks[k].info;
}

uint32_t ${name}_argmax(const ${name}_element *out) {
    uint32_t best = 0;
    NEEDS(out, ${NAME}_NONE)
    for (uint32_t i = 1; i < ${NAME}_OUTPUT_ITEMS; i++) {
        if (out[i] > out[best]) {
            best = i;
        }
    }
    return best;
}
$more_source
