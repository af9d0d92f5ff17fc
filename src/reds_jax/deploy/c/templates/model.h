/* A nested network: $count subnetworks in one set of weights. Written by reds_jax; README.md tells how to build it.
 *
 * ${name}_adapt stores one pointer: it may be called at any moment, also from an interrupt or another thread while ${name}_invoke
 * runs. An inference reads the pointer once, when it begins, so it is computed with one subnetwork from end to end.
 * ${name}_invoke works in one arena: do not call it while it runs. Nothing allocates memory.
 *
 * A build may define, the same for all files (in its flags, or in a header of yours that -DREDS_CONFIG='"my_config.h"' names):
 * - ${NAME}_LARGEST=k leaves out the subnetworks above k: the arena and the tables shrink.
 * - ${NAME}_ARENA_ATTRIBUTE, ${NAME}_WEIGHTS_ATTRIBUTE and ${NAME}_TABLES_ATTRIBUTE (every other constant) stand before the definitions of
 *   these, so that you say where they lie: __attribute__((section(".dtcm"), aligned(16))), for instance.
 * - ${NAME}_CALLER_ARENA leaves out the arena, and with it the functions that use it: you give each network its memory.
 * - REDS_DEBUG makes null pointers an error; without it they are not looked at.
 * REDS_CALLER_ARENA and REDS_..._ATTRIBUTE count for every network of the program that has none of its own. */
#ifndef ${NAME}_MODEL_H
#define ${NAME}_MODEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef REDS_CONFIG
#include REDS_CONFIG
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if defined(REDS_CALLER_ARENA) && !defined(${NAME}_CALLER_ARENA)
#define ${NAME}_CALLER_ARENA
#endif

#define ${NAME}_SUBNETWORKS ${count}u
#define ${NAME}_INPUT_ITEMS ${inputs}u /* $shape, as in Python */
#define ${NAME}_OUTPUT_ITEMS ${outputs}u
#define ${NAME}_NONE 0xFFFFFFFFu /* instead of a subnetwork: there is none */
#ifndef ${NAME}_LARGEST
#define ${NAME}_LARGEST $largest
#endif

/* Bytes of the arena that each subnetwork needs, and that all of this build need. */
$arena_bytes
$arena_size
#define ${NAME}_ARENA_ALIGNMENT ${alignment}u

/* Bytes of stack that an inference takes at most, whichever subnetwork: ${name}_invoke and all that it calls, compiled by GCC 12 at
 * -O2 for a Cortex-M0 or M4F. Nothing recurses, and no array on the stack grows. Another compiler, core or level of optimisation
 * may need more: -fstack-usage tells. */
#define ${NAME}_STACK_BYTES ${stack}u

typedef $element ${name}_element;

/* An arena of this build, for those who place it themselves. */
typedef union {
    int32_t word; /* aligns the entries */
    $unit entries[${NAME}_ARENA_BYTES / sizeof($unit)];
} ${name}_arena_t;

typedef enum {
    ${NAME}_OK = 0,
    ${NAME}_NO_SUCH_SUBNETWORK = 1,
    ${NAME}_BUDGET_TOO_SMALL = 2,$more_statuses
    ${NAME}_ARENA_NOT_ALLOWED = 5,
    ${NAME}_NULL_POINTER = 6
} ${name}_status;

typedef struct {
    uint32_t macs;        /* multiply-accumulate operations of one inference */
    uint32_t arena_bytes; /* memory that its activations need */
    float output_scale;   /* real output = output_scale * (stored - output_zero) */
    int32_t output_zero;
} ${name}_info_t;

/* ---- One network, with an arena of its own ---- */
#ifndef ${NAME}_CALLER_ARENA

/* Run subnetwork k from the next inference on (0 is the smallest). On an error nothing changes. */
${name}_status ${name}_adapt(uint32_t k);

/* Run the largest subnetwork that costs at most that many MACs. On an error nothing changes. */
${name}_status ${name}_adapt_to_budget(uint32_t macs);

/* The subnetwork that the next inference runs. */
uint32_t ${name}_active(void);

/* One inference, from ${NAME}_INPUT_ITEMS to ${NAME}_OUTPUT_ITEMS values. Returns the subnetwork that computed it; with REDS_DEBUG
 * ${NAME}_NONE for a null pointer, and nothing is computed. */
uint32_t ${name}_invoke(const ${name}_element *in, ${name}_element *out);

#endif

/* ---- Several networks, each with the arena that it is given ----
 *
 * The same four functions for a network of yours. They keep nothing anywhere else, so two networks may run at the same time, in two
 * threads, if their arenas are two. Networks that never run at the same time may share one arena, also with other exports: nothing
 * is kept there from one inference to the next. The fields are not for you, and a network is not copied. */
$network
/* Before all else: the network runs in this memory, with the largest subnetwork. ${NAME}_ARENA_NOT_ALLOWED: no memory, less than
 * ${NAME}_ARENA_BYTES, or not aligned to ${NAME}_ARENA_ALIGNMENT; ${NAME}_NULL_POINTER: no network. */
${name}_status ${name}_net_init(${name}_network_t *network, void *arena, size_t arena_bytes);

${name}_status ${name}_net_adapt(${name}_network_t *network, uint32_t k);
${name}_status ${name}_net_adapt_to_budget(${name}_network_t *network, uint32_t macs);
uint32_t ${name}_net_active(const ${name}_network_t *network);
uint32_t ${name}_net_invoke(${name}_network_t *network, const ${name}_element *in, ${name}_element *out);

/* ---- What is the same for all of them ---- */

/* The facts of subnetwork k; a null pointer if there is none. */
const ${name}_info_t *${name}_info(uint32_t k);

/* The index of the largest output. */
uint32_t ${name}_argmax(const ${name}_element *out);
$more_header
#ifdef __cplusplus
}
#endif
#endif
