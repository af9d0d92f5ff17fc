/* The weights and tables of a nested network, and the order in which its layers run. Written by reds_jax. */
#include "${name}_model.h"

#include "reds_kernels.h"
$functions
/* ---- The weights, once, as the largest subnetwork reads them; what differs is a scale and an offset per channel ------------- */

$constants
/* ---- The subnetworks ------------------------------------------------------------------------------------------------------- */

typedef struct {
    ${name}_info_t info;
    $members
} subnetwork;

static const subnetwork subnetworks[${NAME}_LARGEST + 1] = {
$rows};

$state
$arena
static union {
    int32_t word; /* aligns the entries */
    $unit entries[ARENA_ENTRIES];
} arena;

/* ---- The interface --------------------------------------------------------------------------------------------------------- */

${name}_status ${name}_adapt(uint32_t k) {
    if (k > (uint32_t)${NAME}_LARGEST) {
        return ${NAME}_NO_SUCH_SUBNETWORK;
    }
    active = $to_k;
    return ${NAME}_OK;
}

${name}_status ${name}_adapt_to_budget(uint32_t macs) {
    const subnetwork *s = &subnetworks[${NAME}_LARGEST];
    while (s->info.macs > macs) {
        if (s == subnetworks) {
            return ${NAME}_BUDGET_TOO_SMALL;
        }
        s--;
    }
    active = $to_s;
    return ${NAME}_OK;
}

uint32_t ${name}_active(void) {
    return (uint32_t)($index);
}

uint32_t ${name}_invoke(const ${name}_element *in, ${name}_element *out) {
    $begin
    ${name}_element *const memory = $memory;
$uses_memory
    $calls
    return (uint32_t)(s - subnetworks);
}

const ${name}_info_t *${name}_info(uint32_t k) {
    return k > (uint32_t)${NAME}_LARGEST ? (const ${name}_info_t *)0 : &subnetworks[k].info;
}

uint32_t ${name}_argmax(const ${name}_element *out) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < ${NAME}_OUTPUT_ITEMS; i++) {
        if (out[i] > out[best]) {
            best = i;
        }
    }
    return best;
}
$more_source
