
/* ---- Any row of widths ----
 *
 * A row has a width for each of ${NAME}_GROUPS channel groups, in this order, each from its least to its largest:
$groups_comment
 * (the largest of the subnetworks that are in the build; no width has to be a multiple of anything). A row runs with the scales
 * and offsets (and in int8 the grids of its arrays) of the smallest subnetwork that contains it, group by group: that one is
 * what ${name}_active and ${name}_invoke return. The row of a subnetwork is that subnetwork (the first, of equal ones). */

/* Run this row from the next inference on. ${NAME}_WIDTHS_NOT_ALLOWED: a null pointer, or a width out of its range. On an error
 * nothing changes.
 *
 * It may be called while an inference runs, also from an interrupt: the inference ends with the row that it began with. Where it
 * is called by an interrupt in the midst of itself it returns ${NAME}_BUSY. It is not for two threads at a time, nor for another
 * core than that of ${name}_invoke. The row is copied. */
#ifndef ${NAME}_CALLER_ARENA
${name}_status ${name}_adapt_to(const uint16_t widths[${NAME}_GROUPS]);
#endif
${name}_status ${name}_net_adapt_to(${name}_network_t *network, const uint16_t widths[${NAME}_GROUPS]);

/* The row of subnetwork k; a null pointer if there is none. */
const uint16_t *${name}_widths(uint32_t k);
$order_header
