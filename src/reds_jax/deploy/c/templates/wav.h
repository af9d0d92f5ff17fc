/* Reads the samples of a WAV file: PCM, 16 bits, one channel. For programs on a computer; no part of a firmware. */
#ifndef WAV_H
#define WAV_H

#include <stdint.h>
#include <stdio.h>

typedef struct {
    FILE *file;
    uint32_t left;   /* samples that were not read yet; UNTIL_THE_END: as many as there are */
    char error[160]; /* what is wrong, or empty */
} wav;

/* 1, or 0 with an error: no file, no WAV, another format than 16-bit PCM, more than one channel, another rate. */
int wav_open(wav *w, const char *path, uint32_t rate);

/* Reads at most ``count`` samples and returns how many there were: less only at the end. A file that is shorter than it says sets
 * an error. */
uint32_t wav_read(wav *w, int16_t *samples, uint32_t count);

void wav_close(wav *w);

#endif
