/* Reads samples from the standard input and prints the frames, bit for bit; all memory is on the heap, none too large. */
#include "t_front_end.h"
#include "u_front_end.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print(const void *word) {
    uint32_t bits;
    memcpy(&bits, word, sizeof bits);
    printf(" %lu", (unsigned long)bits);
}

int main(void) {
    int16_t *const samples = malloc(T_MFCC_WINDOW * sizeof *samples);
    float *const scratch = malloc(T_MFCC_SCRATCH * sizeof *scratch), *const frame = malloc(T_MFCC_COEFFICIENTS * sizeof *frame);
    int32_t *const integers = malloc(U_MFCC_SCRATCH * sizeof *integers);
    int32_t *const fixed = malloc(U_MFCC_COEFFICIENTS * sizeof *fixed);
    float *const entries = malloc(2 * 3 * T_MFCC_COEFFICIENTS * sizeof *entries);
    reds_mfcc_stream stream;
    reds_mfcc_features features;
    int16_t *given = 0;
    uint32_t taken;
    reds_mfcc_start(&stream, samples, T_MFCC_WINDOW, T_MFCC_STRIDE);
    reds_mfcc_features_start(&features, entries, 3, T_MFCC_COEFFICIENTS * sizeof *frame, 0);
    for (uint32_t room = 1;; room = (room * 5 + 3) % 1009 + 1) { /* pieces of all sizes */
        given = realloc(given, room * sizeof *given);
        uint32_t left = (uint32_t)fread(given, sizeof *given, room, stdin);
        if (left == 0) break;
        for (const int16_t *from = given; left != 0; from += taken, left -= taken) {
            taken = reds_mfcc_push(&stream, from, left);
            if (!reds_mfcc_complete(&stream)) continue;
            reds_mfcc_f32_frame(&t_front_end_f32, &stream, scratch, frame);
            reds_mfcc_s32_frame(&u_front_end_s32, &stream, integers, fixed);
            const float *const last = reds_mfcc_features_add(&features, frame);
            for (uint32_t k = 0; k < T_MFCC_COEFFICIENTS; k++) print(last + 2 * T_MFCC_COEFFICIENTS + k);
            for (uint32_t k = 0; k < T_MFCC_COEFFICIENTS; k++) print(fixed + k);
            printf("\n");
        }
    }
    free(samples), free(scratch), free(frame), free(integers), free(fixed), free(entries), free(given);
    return 0;
}
