/* The two rings of the front end, of samples and of frames, and the way to int8. See reds_mfcc.h. */
#include "reds_mfcc.h"

#include <string.h>

void reds_mfcc_start(reds_mfcc_stream *stream, int16_t *samples, uint32_t window, uint32_t stride) {
    const reds_mfcc_stream first = {samples, window, stride, 0, window};
    *stream = first;
}

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

uint32_t reds_mfcc_push(reds_mfcc_stream *stream, const int16_t *samples, uint32_t count) {
    if (count == 0) return 0;
    if (stream->missing == 0) stream->missing = stream->stride; /* of the frame before nothing is needed any more */
    const uint32_t taken = smaller(count, stream->missing);
    for (uint32_t done = 0; done < taken;) {
        const uint32_t run = smaller(taken - done, stream->window - stream->at);
        memcpy(stream->samples + stream->at, samples + done, run * sizeof *samples);
        stream->at = stream->at + run == stream->window ? 0 : stream->at + run;
        done += run;
    }
    stream->missing -= taken;
    return taken;
}

void reds_mfcc_features_start(reds_mfcc_features *features, void *entries, uint32_t frames, uint32_t bytes, int32_t zero) {
    const reds_mfcc_features first = {entries, frames, bytes, 0, 0};
    *features = first;
    memset(entries, zero, (size_t)2 * frames * bytes);
}

const void *reds_mfcc_features_add(reds_mfcc_features *features, const void *frame) {
    int8_t *const to = features->entries + (size_t)features->at * features->bytes;
    memcpy(to, frame, features->bytes);
    memcpy(to + (size_t)features->frames * features->bytes, frame, features->bytes);
    features->at = features->at + 1 == features->frames ? 0 : features->at + 1;
    features->count += features->count != features->frames;
    return features->entries + (size_t)features->at * features->bytes;
}

void reds_mfcc_f32_to_s8(const float *in, uint32_t count, float scale, int32_t zero, int8_t *out) {
    const float low = (float)(-128 - zero), high = (float)(127 - zero);
    for (uint32_t i = 0; i < count; i++) {
        float x = in[i] / scale;
        if (!(x > low)) { /* also what is not a number */
            x = low;
        } else if (x > high) {
            x = high;
        }
        /* to the nearest integer, halves to the even one: below 2^22 the sum keeps no fraction */
        const volatile float shifted = x + 12582912.0f;
        out[i] = (int8_t)((int32_t)(shifted - 12582912.0f) + zero);
    }
}
