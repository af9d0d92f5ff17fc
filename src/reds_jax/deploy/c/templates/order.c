
/* A change of one width from a row of the order to the next, with the MACs of that next row, which are more than those of the row
 * before. The first one changes nothing. */
typedef struct {
    uint32_t macs;
    uint16_t group, width;
} order_change;

$order_table
#define CHANGES (sizeof changes / sizeof *changes)

${name}_status ${name}_widths_for(uint32_t macs, uint16_t widths[${NAME}_GROUPS]) {
    if (!widths) {
        return ${NAME}_WIDTHS_NOT_ALLOWED;
    }
    if (changes[0].macs > macs) {
        return ${NAME}_BUDGET_TOO_SMALL;
    }
    for (uint32_t g = 0; g < ${NAME}_GROUPS; g++) {
        widths[g] = rows[0].widths[g];
    }
    for (uint32_t i = 1; i < CHANGES && changes[i].macs <= macs; i++) {
        widths[changes[i].group] = changes[i].width;
    }
    return ${NAME}_OK;
}

uint32_t ${name}_in_order(const uint16_t widths[${NAME}_GROUPS]) {
    uint16_t reached[${NAME}_GROUPS];
    uint32_t i = 1;
    if (!widths) {
        return 0;
    }
    for (uint32_t g = 0; g < ${NAME}_GROUPS; g++) {
        reached[g] = rows[0].widths[g];
    }
    while (i < CHANGES && changes[i].width <= widths[changes[i].group]) {
        reached[changes[i].group] = changes[i].width;
        i++;
    }
    if (i < CHANGES && changes[i].macs == changes[i - 1].macs) { /* in the midst of a step */
        return 0;
    }
    for (uint32_t g = 0; g < ${NAME}_GROUPS; g++) {
        if (reached[g] != widths[g]) {
            return 0;
        }
    }
    return 1;
}
