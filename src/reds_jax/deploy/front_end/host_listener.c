/* Functions of plain arguments around ${name}_listen, for Python. */
#include "${name}_listen.h"

int32_t host_start(const uint32_t *settings);
int32_t host_adapt(uint32_t k);
uint32_t host_active(void);
uint32_t host_listen(const int16_t *samples, uint32_t count, uint32_t *heard, uint16_t *posteriors, uint16_t *means,
                     ${name}_element *in, ${name}_element *out);

static ${name}_listener listener;
static uint32_t wanted = ${NAME}_LARGEST;

int32_t host_start(const uint32_t *settings) {
    const reds_spotter_settings given = {settings[0], settings[1], settings[2], settings[3]};
    const reds_spotter_status status = ${name}_listen_start(&listener, &given);
    return status == REDS_SPOTTER_OK ? host_adapt(wanted) : (int32_t)status;
}

/* The subnetwork of this recording, and of those after it. */
int32_t host_adapt(uint32_t k) {
    wanted = k <= (uint32_t)${NAME}_LARGEST ? k : wanted;
    return (int32_t)${name}_net_adapt(&listener.network, k);
}

uint32_t host_active(void) { return wanted; }

/* heard: word, inferred, subnetwork, frames; the arrays are of the last inference. */
uint32_t host_listen(const int16_t *samples, uint32_t count, uint32_t *heard, uint16_t *posteriors, uint16_t *means,
                     ${name}_element *in, ${name}_element *out) {
    ${name}_heard found = {0};
    const uint32_t taken = ${name}_listen(&listener, samples, count, &found);
    heard[0] = found.word;
    heard[1] = found.inferred;
    heard[2] = found.subnetwork;
    heard[3] = found.frames;
    for (uint32_t c = 0; found.inferred && c < ${NAME}_CLASSES; c++) {
        posteriors[c] = listener.posteriors[c];
        means[c] = (uint16_t)reds_spotter_mean(&listener.spotter, c);
        out[c] = listener.out[c];
    }
    for (uint32_t i = 0; found.inferred && i < ${NAME}_INPUT_ITEMS; i++) {
        in[i] = ((const ${name}_element *)listener.entries)[listener.features.at * ${NAME}_MFCC_COEFFICIENTS + i];
    }
    return taken;
}
