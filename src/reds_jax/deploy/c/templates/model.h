/* A nested network: $count subnetworks in one set of weights. Written by reds_jax; see README.md beside this file.
 *
 * ${name}_adapt stores one pointer: it may be called at any moment, also from an interrupt or another thread while ${name}_invoke
 * runs. An inference reads the pointer once, when it begins, so it is computed with one subnetwork from end to end.
 * ${name}_invoke uses one static arena: do not call it while it runs. Nothing allocates memory.
 *
 * Compile with -D${NAME}_LARGEST=k to leave out the subnetworks above k: the arena and the tables shrink. */
#ifndef ${NAME}_MODEL_H
#define ${NAME}_MODEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ${NAME}_SUBNETWORKS ${count}u
#define ${NAME}_INPUT_ITEMS ${inputs}u /* $shape, as in Python */
#define ${NAME}_OUTPUT_ITEMS ${outputs}u
$arena_bytes
#ifndef ${NAME}_LARGEST
#define ${NAME}_LARGEST $largest
#endif

typedef $element ${name}_element;

typedef enum {
    ${NAME}_OK = 0,
    ${NAME}_NO_SUCH_SUBNETWORK = 1,
    ${NAME}_BUDGET_TOO_SMALL = 2$more_statuses
} ${name}_status;

typedef struct {
    uint32_t macs;        /* multiply-accumulate operations of one inference */
    uint32_t arena_bytes; /* memory that its activations need */
    float output_scale;   /* real output = output_scale * (stored - output_zero) */
    int32_t output_zero;
} ${name}_info_t;

/* Run subnetwork k from the next inference on (0 is the smallest). On an error nothing changes. */
${name}_status ${name}_adapt(uint32_t k);

/* Run the largest subnetwork that costs at most that many MACs. On an error nothing changes. */
${name}_status ${name}_adapt_to_budget(uint32_t macs);

/* The subnetwork that the next inference runs. */
uint32_t ${name}_active(void);

/* One inference, from ${NAME}_INPUT_ITEMS to ${NAME}_OUTPUT_ITEMS values. Returns the subnetwork that computed it. */
uint32_t ${name}_invoke(const ${name}_element *in, ${name}_element *out);

/* The facts of subnetwork k; a null pointer if there is none. */
const ${name}_info_t *${name}_info(uint32_t k);

/* The index of the largest output. */
uint32_t ${name}_argmax(const ${name}_element *out);
$more_header
#ifdef __cplusplus
}
#endif
#endif
