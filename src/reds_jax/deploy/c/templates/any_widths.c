
${name}_status ${name}_net_adapt_to(${name}_network_t *network, const uint16_t widths[${NAME}_GROUPS]) {
    const ${name}_row_t *const least = rows, *const most = &rows[${NAME}_LARGEST];
    const ${name}_row_t *contains = rows;
    NEEDS(network, ${NAME}_NULL_POINTER)
    volatile ${name}_row_t *to = network->own; /* volatile: all of it is stored before ``active`` is */
    if (!widths) {
        return ${NAME}_WIDTHS_NOT_ALLOWED;
    }
    if (network->writing) {
        return ${NAME}_BUSY;
    }
    network->writing = 1;
    while (to == network->active || to == network->running) { /* of three, one is neither */
        to++;
    }
    for (uint32_t g = 0; g < ${NAME}_GROUPS; g++) { /* read once: what is checked is what will run */
        const uint16_t width = widths[g];
        if (width < least->widths[g] || width > most->widths[g]) {
            network->writing = 0;
            return ${NAME}_WIDTHS_NOT_ALLOWED;
        }
        while (width > contains->widths[g]) { /* rows ascend: what was contained stays contained */
            contains++;
        }
        to->widths[g] = width;
    }
    to->tables = contains->tables;
    network->active = (const ${name}_row_t *)to;
    network->writing = 0;
    return ${NAME}_OK;
}

#ifndef ${NAME}_CALLER_ARENA
${name}_status ${name}_adapt_to(const uint16_t widths[${NAME}_GROUPS]) {
    return ${name}_net_adapt_to(&the_network, widths);
}
#endif

const uint16_t *${name}_widths(uint32_t k) {
    return k > (uint32_t)${NAME}_LARGEST ? (const uint16_t *)0 : rows[k].widths;
}
$order_source
