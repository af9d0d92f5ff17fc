/* From audio to the words that were said: frames of MFCC, an inference every few frames, posteriors, a decision.
 *
 *   static ${name}_listener listener;
 *   const reds_spotter_settings settings = {5, 5, REDS_POSTERIOR(0.6), 50}; // see reds_spotter.h
 *   (void)${name}_listen_start(&listener, &settings);
 *   for (;;) {
 *       int16_t samples[320];                              // any number, as the microphone gives them
 *       uint32_t count = read_samples(samples, 320), at = 0;
 *       while (at < count) {
 *           ${name}_heard heard;
 *           at += ${name}_listen(&listener, samples + at, count - at, &heard);
 *           if (heard.word != REDS_NO_WORD) {
 *               say(${name}_class_names[heard.word]);
 *           }
 *       }
 *   }
 *
 * The first inference is made when ${frames} frames are there, the others every ``hop`` frames. What is heard does not depend on
 * how the samples were cut. The listener has a network of its own: ${name}_net_adapt(&listener.network, k) may be called between any
 * two calls, and in an interrupt; the next inference runs the new subnetwork, and its posteriors are averaged with those before.
 * Written by reds_jax. */
#ifndef ${NAME}_LISTEN_H
#define ${NAME}_LISTEN_H

#include "${name}_model.h"
#include "${name}_front_end.h"
#include "reds_spotter.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ${NAME}_FRAMES ${frames}u /* that the network reads at once: $seconds s */
#define ${NAME}_CLASSES ${classes}u

/* The most inferences that can be averaged, 2 * ${NAME}_CLASSES bytes each; at most 65535. */
#ifndef ${NAME}_LISTEN_WINDOW
#define ${NAME}_LISTEN_WINDOW ${most}
#endif

extern const char *const ${name}_class_names[${NAME}_CLASSES];

/* All that a listener needs, in static memory: sizeof(${name}_listener) bytes. It must not be moved or copied once it has started.
 * To be read by others: ``out`` and ``posteriors`` of the last inference, and ``spotter`` by reds_spotter_mean. */
typedef struct {
    ${name}_network_t network;
    union { /* a frame is computed before the inference that reads it */
        ${name}_arena_t arena;
        $number scratch[${NAME}_MFCC_SCRATCH];
    } memory;
    reds_mfcc_stream stream;
    reds_mfcc_features features;
    reds_spotter spotter;
    uint32_t frames;  /* so far, modulo 2^32 */
    uint32_t missing; /* frames until the next inference */
    uint32_t sums[${NAME}_CLASSES], quiet[${NAME}_CLASSES];
    ${name}_element entries[2 * ${NAME}_FRAMES * ${NAME}_MFCC_COEFFICIENTS];
    ${name}_element out[${NAME}_OUTPUT_ITEMS];
    int16_t samples[${NAME}_MFCC_WINDOW];
    uint16_t posteriors[${NAME}_CLASSES];
    uint16_t history[(uint32_t)${NAME}_LISTEN_WINDOW * ${NAME}_CLASSES];
} ${name}_listener;

typedef struct {
    uint32_t word;       /* the class that is heard, or REDS_NO_WORD */
    uint32_t inferred;   /* 1 if the last sample that was taken led to an inference */
    uint32_t subnetwork; /* which one made it */
    uint32_t frames;     /* so far, modulo 2^32: the last one ends ${NAME}_MFCC_WINDOW + (frames - 1) * ${NAME}_MFCC_STRIDE samples
                          * after the start */
} ${name}_heard;

/* Begin, or begin again, with the largest subnetwork. On an error, see reds_spotter_status, nothing changes: hop 1 to ${NAME}_FRAMES, window 1 to
 * ${NAME}_LISTEN_WINDOW, threshold 1 to REDS_ONE. */
reds_spotter_status ${name}_listen_start(${name}_listener *listener, const reds_spotter_settings *settings);

/* Take samples until a frame is complete or none is left; how many were taken, at least 1 of ``count`` > 0. With the frame it
 * makes the inference that is due and decides. Two listeners may run in two threads. */
uint32_t ${name}_listen(${name}_listener *listener, const int16_t *samples, uint32_t count, ${name}_heard *heard);

#ifdef __cplusplus
}
#endif
#endif
