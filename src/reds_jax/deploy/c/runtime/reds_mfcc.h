/* From samples of a microphone to mel-frequency cepstral coefficients (MFCC), frame by frame, as in training.
 *
 * A frame is `window` samples; the next begins `stride` samples later. With X the Fourier transform of a frame under a periodic
 * Hann window, padded with zeros to N = 2^n samples, and T the triangular bands:
 *
 *   m[b] = ln max(1e-12, sum_f T[b][f] |X[f]|)                full scale of the samples is 1
 *   c[k] = sum_b basis[b][k] m[b]                             k < coefficients
 *
 *   uint32_t taken;
 *   for (; count != 0; samples += taken, count -= taken) {
 *       taken = reds_mfcc_push(&stream, samples, count);
 *       if (reds_mfcc_complete(&stream)) {
 *           reds_mfcc_f32_frame(&tables, &stream, scratch, frame);
 *           input = reds_mfcc_features_add(&features, frame);        the last frames, as the network reads them
 *       }
 *   }
 *
 * All memory is the caller's, its sizes are constants of the header that an export writes: the samples of one window, 2 * T
 * frames of features, and a scratch of N entries of 4 bytes that is used only while a frame is computed, so that it may lie in
 * the arena of the network. The frames do not depend on how the samples were cut into pushes. Every function is re-entrant. */
#ifndef REDS_MFCC_H
#define REDS_MFCC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The samples of a window, in a ring ---------------------------------------------------------------------------------- */

typedef struct {
    int16_t *samples; /* [window] */
    uint32_t window, stride;
    uint32_t at;      /* of the oldest sample, which the next one replaces */
    uint32_t missing; /* samples until a frame is complete */
} reds_mfcc_stream;

/* Begin, or begin again: the first frame is complete after `window` samples. */
void reds_mfcc_start(reds_mfcc_stream *stream, int16_t *samples, uint32_t window, uint32_t stride);

/* Take samples until a frame is complete or none is left; how many were taken, at least 1 of `count` > 0. */
uint32_t reds_mfcc_push(reds_mfcc_stream *stream, const int16_t *samples, uint32_t count);

/* Whether the last sample that was taken completed a frame: it can be computed until the next push. */
static inline int reds_mfcc_complete(const reds_mfcc_stream *stream) { return stream->missing == 0; }

/* ---- One frame ----------------------------------------------------------------------------------------------------------- */

typedef struct { /* a triangle: bins first, first + 1, ..., and as many weights */
    uint16_t first, count;
} reds_mfcc_band;

typedef struct { /* tables of the float32 front end; N = 4 * quarter */
    uint32_t window, quarter, bins, bands, coefficients; /* bins: those below are read */
    const float *half;          /* [window / 2 + 1]: the rising half of the Hann window, / 65536 */
    const float *sine;          /* [quarter + 1]: sin(2 pi i / N) */
    const reds_mfcc_band *band; /* [bands] */
    const float *weights;       /* of all bands, one after the other */
    const float *basis;         /* [bands][coefficients] */
} reds_mfcc_f32;

/* The coefficients of the complete frame, [coefficients]; scratch: [N]. No function of the C library is called; on recorded
 * speech the numbers are those of the training front end to 1e-4. */
void reds_mfcc_f32_frame(const reds_mfcc_f32 *tables, const reds_mfcc_stream *stream, float *scratch, float *out);

/* The same in integers, for a core without an FPU: data of 32 bits (scaled frame by frame to use them), tables of 16.
 * The same numbers on every core, those of the model in Python. */
typedef struct { /* N = 4 * quarter */
    uint32_t window, quarter, bins, bands, coefficients;
    int32_t fraction;           /* bits that a windowed sample has behind the point */
    int32_t basis_fraction;     /* bits that a sum of the basis has behind the point, 17 or more */
    const uint16_t *half;       /* [window / 2 + 1]: the rising half of the Hann window, in 1/65536 */
    const int16_t *sine;        /* [quarter + 1]: sin(2 pi i / N), in 1/32768 */
    const reds_mfcc_band *band; /* [bands] */
    const uint16_t *weights;    /* of all bands, one after the other, in 1/65536 */
    const int16_t *basis;       /* [bands][coefficients]: * ln 2, in 2^(4 - basis_fraction) */
} reds_mfcc_s32;

/* The coefficients of the complete frame in 1/65536, [coefficients]; scratch: [N]. */
void reds_mfcc_s32_frame(const reds_mfcc_s32 *tables, const reds_mfcc_stream *stream, int32_t *scratch, int32_t *out);

/* ---- On the grid of an int8 network: real = scale * (stored - zero) ----------------------------------------------- */

/* To the nearest integer, halves to the even one; what lies outside is clipped. */
void reds_mfcc_f32_to_s8(const float *in, uint32_t count, float scale, int32_t zero, int8_t *out);

/* stored = saturate(((in * multiplier + 2^31) >> 32 + round) >> shift), multiplier and round as an export writes them. */
typedef struct {
    int32_t multiplier, round, shift;
} reds_mfcc_grid;
void reds_mfcc_s32_to_s8(const int32_t *in, uint32_t count, const reds_mfcc_grid *grid, int8_t *out);

/* ---- The last frames, as the network reads them: [frames][coefficients], the oldest first ------------------------------- */

typedef struct {
    int8_t *entries; /* every frame is kept twice, `frames` apart: the last ones lie in one piece wherever the ring stands */
    uint32_t frames, bytes; /* of a frame */
    uint32_t at;            /* the frame that the next one replaces */
    uint32_t count;         /* frames so far, up to `frames` */
} reds_mfcc_features;

/* Begin, or begin again. `entries`: room for 2 * frames * bytes, aligned as what a frame consists of. Until as many frames were
 * added, the missing ones are real zeros: bytes of `zero`, 0 for float and the stored zero for int8. */
void reds_mfcc_features_start(reds_mfcc_features *features, void *entries, uint32_t frames, uint32_t bytes, int32_t zero);

/* Add a frame; the last `frames` of them. They stay in their place until the next is added. */
const void *reds_mfcc_features_add(reds_mfcc_features *features, const void *frame);

#ifdef __cplusplus
}
#endif
#endif
