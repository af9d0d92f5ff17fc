/* Runs every subnetwork of an export on inputs that nobody expects; input and output end where their memory ends. Returns 0. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reds_model.h"

static uint32_t state = 2463534242u;

static uint32_t draw(void) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
}

static float any_float(void) {
    static const float edges[] = {0.0f, -0.0f, 1.0f, -1.0f, 3.4e38f, -3.4e38f, 1e-45f, 1e30f, 127.5f, -128.5f};
    const uint32_t which = draw() % 16u;
    float value;
    uint32_t bits = draw();
    if (which < 10u) return edges[which];
    if (which == 10u) return INFINITY;
    if (which == 11u) return -INFINITY;
    if (which == 12u) return NAN;
    memcpy(&value, &bits, sizeof value);
    return value;
}

int main(void) {
    reds_element *const in = malloc(REDS_INPUT_ITEMS * sizeof *in), *const out = malloc(REDS_OUTPUT_ITEMS * sizeof *out);
    float *const reals = malloc(REDS_INPUT_ITEMS * sizeof *reals);
    float *const results = malloc(REDS_OUTPUT_ITEMS * sizeof *results);
    if (!in || !out || !reals || !results) return 1;
    for (uint32_t n = 0; n < 40u * REDS_SUBNETWORKS; n++) {
        const uint32_t k = draw() % (REDS_SUBNETWORKS + 1u); /* one of them does not exist */
        const int constant = n % 5u == 0;
        const reds_status status = n % 2u ? reds_adapt(k) : reds_adapt_to_budget(draw());
        if (n % 2u && (status == REDS_OK) != (k < REDS_SUBNETWORKS)) return 2;
        for (uint32_t i = 0; i < REDS_INPUT_ITEMS; i++) reals[i] = constant && i ? reals[0] : any_float();
#ifdef FUZZ_INT8
        if (n % 3u) {
            for (uint32_t i = 0; i < REDS_INPUT_ITEMS; i++) in[i] = (int8_t)(constant ? (n & 1u ? -128 : 127) : (int)(draw() % 256u) - 128);
        } else {
            reds_quantize(reals, in);
        }
#else
        memcpy(in, reals, REDS_INPUT_ITEMS * sizeof *in);
#endif
#ifdef REDS_GROUPS
        if (n % 4u != 0) { /* any row, now and then one that is not allowed */
            uint16_t row[REDS_GROUPS];
            int allowed = 1;
            for (uint32_t g = 0; g < REDS_GROUPS; g++) {
                const uint32_t least = reds_widths(0)[g], most = reds_widths(REDS_LARGEST)[g];
                row[g] = (uint16_t)(draw() % 64u ? least + draw() % (most - least + 1u) : draw());
                allowed &= row[g] >= least && row[g] <= most;
            }
            const uint32_t before = reds_active();
            if ((reds_adapt_to(row) == REDS_OK) != allowed || (!allowed && reds_active() != before)) return 6;
        }
        if (reds_adapt_to((const uint16_t *)0) != REDS_WIDTHS_NOT_ALLOWED) return 7;
#endif
        if (reds_invoke(in, out) != reds_active()) return 3;
        if (reds_argmax(out) >= REDS_OUTPUT_ITEMS) return 4;
#ifdef FUZZ_INT8
        reds_dequantize(k, out, results);
        for (uint32_t i = 0; i < REDS_OUTPUT_ITEMS; i++) {
            if (!isfinite(results[i])) return 5;
        }
#endif
    }
    free(in), free(out), free(reals), free(results);
    return 0;
}
