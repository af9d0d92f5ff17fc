
${name}_status ${name}_adapt_to(const uint16_t widths[${NAME}_GROUPS]) {
    const row *const least = rows, *const most = &rows[${NAME}_LARGEST];
    const row *contains = rows;
    volatile row *to = own; /* volatile: all of it is stored before ``active`` is */
    if (!widths) {
        return ${NAME}_WIDTHS_NOT_ALLOWED;
    }
    if (writing) {
        return ${NAME}_BUSY;
    }
    writing = 1;
    while (to == active || to == running) { /* of three, one is neither */
        to++;
    }
    for (uint32_t g = 0; g < ${NAME}_GROUPS; g++) { /* read once: what is checked is what will run */
        const uint16_t width = widths[g];
        if (width < least->widths[g] || width > most->widths[g]) {
            writing = 0;
            return ${NAME}_WIDTHS_NOT_ALLOWED;
        }
        while (width > contains->widths[g]) { /* rows ascend: what was contained stays contained */
            contains++;
        }
        to->widths[g] = width;
    }
    to->tables = contains->tables;
    active = (const row *)to;
    writing = 0;
    return ${NAME}_OK;
}

const uint16_t *${name}_widths(uint32_t k) {
    return k > (uint32_t)${NAME}_LARGEST ? (const uint16_t *)0 : rows[k].widths;
}
$order_source
