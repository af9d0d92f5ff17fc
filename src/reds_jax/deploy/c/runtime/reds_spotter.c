/* See reds_spotter.h. */
#include "reds_spotter.h"

reds_spotter_status reds_spotter_start(reds_spotter *spotter, const reds_spotter_settings *settings, uint32_t frames,
                                       uint32_t most) {
    if (settings->hop == 0 || settings->hop > frames) {
        return REDS_SPOTTER_HOP_NOT_ALLOWED;
    }
    if (settings->window == 0 || settings->window > most) {
        return REDS_SPOTTER_WINDOW_NOT_ALLOWED;
    }
    if (settings->threshold == 0 || settings->threshold > REDS_ONE) {
        return REDS_SPOTTER_THRESHOLD_NOT_ALLOWED;
    }
    spotter->settings = *settings;
    spotter->filled = spotter->next = 0;
    for (uint32_t c = 0; c < spotter->classes; c++) {
        spotter->sums[c] = spotter->quiet[c] = 0;
    }
    return REDS_SPOTTER_OK;
}

uint32_t reds_spotter_decide(reds_spotter *spotter, const uint16_t *posteriors) {
    const reds_spotter_settings *const settings = &spotter->settings;
    uint16_t *const row = spotter->history + spotter->next * spotter->classes;
    const uint32_t full = spotter->filled == settings->window;
    uint32_t best = 0;
    for (uint32_t c = 0; c < spotter->classes; c++) {
        spotter->sums[c] += posteriors[c] - (full ? (uint32_t)row[c] : 0u); /* modulo 2^32; the sum is not negative */
        row[c] = posteriors[c];
        spotter->quiet[c] -= spotter->quiet[c] < settings->hop ? spotter->quiet[c] : settings->hop;
        if (spotter->sums[c] > spotter->sums[best]) {
            best = c;
        }
    }
    spotter->filled += !full;
    spotter->next = spotter->next + 1 == settings->window ? 0 : spotter->next + 1;
    if (!spotter->words[best] || spotter->quiet[best] || spotter->sums[best] < settings->threshold * spotter->filled) {
        return REDS_NO_WORD;
    }
    spotter->quiet[best] = settings->refractory;
    return best;
}

uint32_t reds_spotter_mean(const reds_spotter *spotter, uint32_t c) {
    return spotter->filled ? spotter->sums[c] / spotter->filled : 0u;
}

/* 65536 * 2^(-exponent / 65536), to the nearest. Between powers of two a polynomial of degree 4, to 2^-15. */
static uint32_t power(uint32_t exponent) {
    const uint32_t f = exponent & 0xFFFFu, whole = exponent >> 16, half = 0x8000u;
    uint32_t y = 3482u - ((f * 444u + half) >> 16);
    y = 15690u - ((f * y + half) >> 16);
    y = 45420u - ((f * y + half) >> 16);
    y = 65536u - ((f * y + half) >> 16);
    return whole > 16u ? 0u : ((2u * y >> whole) + 1u) >> 1;
}

/* The weight of an int8 output that lies ``below`` the largest, 0 to 255. */
static uint32_t weight_s8(int32_t below, uint32_t step) { return power(((uint32_t)below * step + 8u) >> 4); }

/* weight / sum, to the nearest. */
static uint16_t share(uint32_t weight, uint32_t sum) {
    return (uint16_t)(sum ? (weight * REDS_ONE + sum / 2u) / sum : 0u);
}

void reds_posteriors_s8(const int8_t *outputs, uint32_t classes, uint32_t step, uint16_t *posteriors) {
    int32_t largest = outputs[0];
    uint32_t sum = 0;
    for (uint32_t c = 1; c < classes; c++) {
        largest = outputs[c] > largest ? outputs[c] : largest;
    }
    for (uint32_t c = 0; c < classes; c++) {
        sum += weight_s8(largest - outputs[c], step);
    }
    for (uint32_t c = 0; c < classes; c++) {
        posteriors[c] = share(weight_s8(largest - outputs[c], step), sum);
    }
}

/* e^(output - largest) as ``power`` has it. */
static uint32_t weight_f32(float output, float largest) {
    const float exponent = (largest - output) * 94548.46f; /* 65536 * log2(e) */
    return exponent < 1114112.0f ? power((uint32_t)exponent) : 0u; /* 17 * 65536; also what is not a number is no less */
}

void reds_posteriors_f32(const float *outputs, uint32_t classes, uint16_t *posteriors) {
    float largest = outputs[0];
    uint32_t sum = 0;
    for (uint32_t c = 1; c < classes; c++) {
        largest = outputs[c] > largest || largest != largest ? outputs[c] : largest;
    }
    for (uint32_t c = 0; c < classes; c++) {
        sum += weight_f32(outputs[c], largest);
    }
    for (uint32_t c = 0; c < classes; c++) {
        posteriors[c] = share(weight_f32(outputs[c], largest), sum);
    }
}

void reds_posteriors_of_probabilities(const float *outputs, uint32_t classes, uint16_t *posteriors) {
    for (uint32_t c = 0; c < classes; c++) {
        const float p = outputs[c];
        posteriors[c] = (uint16_t)(!(p > 0.0f) ? 0u : p < 1.0f ? (uint32_t)(p * 32768.0f) : REDS_ONE);
    }
}
