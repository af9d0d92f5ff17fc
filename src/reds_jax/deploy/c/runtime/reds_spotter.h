/* From the outputs of a network, inference after inference, to the words that were said: posteriors, their mean over the last
 * inferences, and a decision.
 *
 *   posterior of class c in inference i      p[i][c] = softmax of the outputs (REDS_ONE stands for 1)
 *   smoothed over the last n inferences      m[i][c] = (p[i - n + 1][c] + ... + p[i][c]) / n; over all there are, while fewer
 *   a word is heard in inference i if        c = argmax m[i] is a word (no silence, say), m[i][c] >= threshold, and the word was
 *                                            not heard in the ``refractory`` frames before
 *
 * Smoothing and threshold: Chen, Parada and Heigold 2014, "Small-footprint keyword spotting using deep neural networks", ICASSP;
 * their confidence in a word that is one label is the largest m[i][c].
 * All of it is in integers, so every processor and the model of it in Python come to the same decisions. */
#ifndef REDS_SPOTTER_H
#define REDS_SPOTTER_H

#include <stdint.h>

#define REDS_ONE 32768u                                         /* the posterior 1 */
#define REDS_POSTERIOR(p) ((uint32_t)((p) * 32768.0 + 0.5))     /* of a constant from 0 to 1 */
#define REDS_NO_WORD 0xFFFFFFFFu

typedef struct {
    uint32_t hop;        /* frames from one inference to the next: 1 to those that the network reads */
    uint32_t window;     /* n, inferences that are averaged: 1 to the inferences that there is memory for */
    uint32_t threshold;  /* of the mean, 1 to REDS_ONE */
    uint32_t refractory; /* frames from one report of a word to the next of the same word; 0: none are left out */
} reds_spotter_settings;

typedef enum {
    REDS_SPOTTER_OK = 0,
    REDS_SPOTTER_HOP_NOT_ALLOWED = 1,
    REDS_SPOTTER_WINDOW_NOT_ALLOWED = 2,
    REDS_SPOTTER_THRESHOLD_NOT_ALLOWED = 3
} reds_spotter_status;

/* The memory is the caller's and stays where it is. */
typedef struct {
    reds_spotter_settings settings;
    uint32_t classes;
    const uint8_t *words; /* [classes]: 1 for a word, 0 for what is never reported */
    uint16_t *history;    /* [window][classes]: the last posteriors, a ring */
    uint32_t *sums;       /* [classes]: of the history */
    uint32_t *quiet;      /* [classes]: frames until the word may be reported again */
    uint32_t filled;      /* inferences in the history */
    uint32_t next;        /* where the next one goes */
} reds_spotter;

/* Begin with settings, which are checked against ``frames``, those that the network reads, and ``most``, the inferences that fit
 * ``history``. On an error nothing changes. The other members of the struct are set by the caller before. */
reds_spotter_status reds_spotter_start(reds_spotter *spotter, const reds_spotter_settings *settings, uint32_t frames,
                                       uint32_t most);

/* One inference more. Returns the word that is heard, or REDS_NO_WORD. */
uint32_t reds_spotter_decide(reds_spotter *spotter, const uint16_t *posteriors);

/* m[i][c] of the last inference, rounded down; 0 before the first. */
uint32_t reds_spotter_mean(const reds_spotter *spotter, uint32_t c);

/* Softmax of int8 outputs, real = scale * (stored - zero). step = scale * log2(e) * 2^20, rounded, at most 2^24. To 1e-4. */
void reds_posteriors_s8(const int8_t *outputs, uint32_t classes, uint32_t step, uint16_t *posteriors);

/* Softmax of outputs in floats. To 1e-4; what is not a number has the posterior 0. */
void reds_posteriors_f32(const float *outputs, uint32_t classes, uint16_t *posteriors);

/* Outputs that are probabilities already, because the network ends in a softmax. */
void reds_posteriors_of_probabilities(const float *outputs, uint32_t classes, uint16_t *posteriors);

#endif
