/* See ${name}_listen.h. Written by reds_jax. */
#include "${name}_listen.h"

const char *const ${name}_class_names[${NAME}_CLASSES] = {
$class_names
};

static const uint8_t words[${NAME}_CLASSES] = {$words};

$tables
reds_spotter_status ${name}_listen_start(${name}_listener *listener, const reds_spotter_settings *settings) {
    reds_spotter *const spotter = &listener->spotter;
    spotter->classes = ${NAME}_CLASSES;
    spotter->words = words;
    spotter->history = listener->history;
    spotter->sums = listener->sums;
    spotter->quiet = listener->quiet;
    const reds_spotter_status status = reds_spotter_start(spotter, settings, ${NAME}_FRAMES, ${NAME}_LISTEN_WINDOW);
    if (status != REDS_SPOTTER_OK) {
        return status;
    }
    (void)${name}_net_init(&listener->network, &listener->memory.arena, sizeof listener->memory.arena);
    reds_mfcc_start(&listener->stream, listener->samples, ${NAME}_MFCC_WINDOW, ${NAME}_MFCC_STRIDE);
    reds_mfcc_features_start(&listener->features, listener->entries, ${NAME}_FRAMES,
                             ${NAME}_MFCC_COEFFICIENTS * (uint32_t)sizeof(${name}_element), $zero);
    listener->frames = 0;
    listener->missing = ${NAME}_FRAMES;
    return REDS_SPOTTER_OK;
}

uint32_t ${name}_listen(${name}_listener *listener, const int16_t *samples, uint32_t count, ${name}_heard *heard) {
    const uint32_t taken = reds_mfcc_push(&listener->stream, samples, count);
    heard->word = REDS_NO_WORD;
    heard->inferred = 0;
    if (taken != 0 && reds_mfcc_complete(&listener->stream)) {
$frame
        const ${name}_element *const in = reds_mfcc_features_add(&listener->features, $entry);
        listener->frames++;
        listener->missing--;
        if (listener->missing == 0) {
            const uint32_t k = ${name}_net_invoke(&listener->network, in, listener->out);
            $posteriors
            heard->word = reds_spotter_decide(&listener->spotter, listener->posteriors);
            heard->inferred = 1;
            heard->subnetwork = k;
            listener->missing = listener->spotter.settings.hop;
        }
    }
    heard->frames = listener->frames;
    return taken;
}
