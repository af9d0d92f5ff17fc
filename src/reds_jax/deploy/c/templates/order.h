
/* The order has ${order_rows} rows that never shrink, the first of them that of the smallest subnetwork. */

/* Its last row of at most that many MACs, for ${name}_adapt_to. ${NAME}_BUDGET_TOO_SMALL: there is none, and widths is as it was;
 * ${NAME}_WIDTHS_NOT_ALLOWED: a null pointer. */
${name}_status ${name}_widths_for(uint32_t macs, uint16_t widths[${NAME}_GROUPS]);

/* 1 if the row is one of the order (and of this build), else 0; 0 for a null pointer. */
uint32_t ${name}_in_order(const uint16_t widths[${NAME}_GROUPS]);
