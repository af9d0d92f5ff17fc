/* The layers of ${name} in the order of execution: their names, and the channels that every subnetwork reads and makes. */
#ifndef ${NAME}_LAYERS_H
#define ${NAME}_LAYERS_H

#include <stdint.h>

#define ${NAME}_LAYERS ${layers}u

typedef struct {
    const char *name, *kind;
    uint32_t reads[$count], makes[$count];
} ${name}_layer_t;

static const ${name}_layer_t ${name}_layers[${NAME}_LAYERS] = {
$layer_rows
};

#endif
