/* Scale, offset and activation of the float32 layers. Internal. */
#ifndef REDS_F32_LINE_H
#define REDS_F32_LINE_H

#include "reds_f32_products.h"
#include "reds_kernels.h"

#include <float.h>

/* All activations are lines with up to two bends: y below zero is multiplied, y above a limit is cut. */
typedef struct {
    float below, limit;
} bend;

static inline bend bend_of(reds_activation activation, float slope) {
    const bend line = {activation == REDS_LINEAR ? 1.0f : activation == REDS_LEAKY_RELU ? slope : 0.0f,
                       activation == REDS_RELU6 ? 6.0f : FLT_MAX};
    return line;
}

static inline float activate(float y, bend line) {
    if (y < 0.0f) return line.below * y;
    return y > line.limit ? line.limit : y;
}

static inline float finish(float sum, reds_f32_channel channel, bend line) {
    return activate(MULTIPLY_ADD(sum, channel.scale, channel.offset), line);
}

#endif
