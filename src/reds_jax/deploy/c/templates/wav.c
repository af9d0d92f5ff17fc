/* See wav.h. The format: Microsoft and IBM 1991, "Multimedia Programming Interface and Data Specifications 1.0", RIFF and WAVE. */
#include "wav.h"

#include <string.h>

#define UNTIL_THE_END 0xFFFFFFFFu /* what a program writes that did not know the length */
#define PCM 1u
#define EXTENSIBLE 0xFFFEu /* then the first two bytes of the sub-format say what it is */

static uint32_t little(const uint8_t *bytes, uint32_t count) {
    uint32_t value = 0;
    while (count-- > 0) {
        value = value << 8 | bytes[count];
    }
    return value;
}

static int wrong(wav *w, const char *what, uint32_t got, const char *allowed) {
    (void)snprintf(w->error, sizeof w->error, "%s; got %lu, allowed: %s", what, (unsigned long)got, allowed);
    wav_close(w);
    return 0;
}

static int damaged(wav *w, const char *what) {
    (void)snprintf(w->error, sizeof w->error, "%s", what);
    wav_close(w);
    return 0;
}

static int skip(FILE *file, uint32_t bytes) {
    while (bytes > 0 && getc(file) != EOF) {
        bytes--;
    }
    return bytes == 0;
}

static int read_format(wav *w, uint32_t size, uint32_t rate) {
    uint8_t format[40];
    const uint32_t known = size < sizeof format ? size : (uint32_t)sizeof format;
    if (size < 16 || fread(format, 1, known, w->file) != known || !skip(w->file, size - known + (size & 1u))) {
        return damaged(w, "the description of the samples is cut off");
    }
    uint32_t kind = little(format, 2);
    if (kind == EXTENSIBLE && known >= 26) {
        kind = little(format + 24, 2);
    }
    if (kind != PCM) {
        return wrong(w, "the samples are not stored as plain numbers (PCM)", kind, "format 1");
    }
    if (little(format + 14, 2) != 16) {
        return wrong(w, "the samples have another size", little(format + 14, 2), "16 bits");
    }
    if (little(format + 2, 2) != 1) {
        return wrong(w, "there are several channels", little(format + 2, 2), "1 channel");
    }
    if (little(format + 4, 4) != rate) {
        char allowed[40];
        (void)snprintf(allowed, sizeof allowed, "%lu samples a second", (unsigned long)rate);
        return wrong(w, "the rate is another one", little(format + 4, 4), allowed);
    }
    return 1;
}

int wav_open(wav *w, const char *path, uint32_t rate) {
    uint8_t head[12];
    int described = 0;
    w->error[0] = 0;
    w->left = 0;
    w->file = fopen(path, "rb");
    if (!w->file) {
        return damaged(w, "the file cannot be opened");
    }
    if (fread(head, 1, 12, w->file) != 12 || memcmp(head, "RIFF", 4) != 0 || memcmp(head + 8, "WAVE", 4) != 0) {
        return damaged(w, "this is no WAV file (RIFF, WAVE)");
    }
    while (fread(head, 1, 8, w->file) == 8) {
        const uint32_t size = little(head + 4, 4);
        if (memcmp(head, "data", 4) == 0) {
            if (!described) {
                return damaged(w, "the samples come before their description");
            }
            if (size != UNTIL_THE_END && size % 2u != 0) {
                return wrong(w, "the samples end in the midst of one", size, "an even number of bytes");
            }
            w->left = size == UNTIL_THE_END ? size : size / 2u;
            return 1;
        }
        if (memcmp(head, "fmt ", 4) == 0) {
            if (!read_format(w, size, rate)) {
                return 0;
            }
            described = 1;
        } else if (!skip(w->file, size) || (size % 2u != 0 && !skip(w->file, 1))) { /* chunks have an even length */
            break;
        }
    }
    return damaged(w, "there are no samples in the file");
}

uint32_t wav_read(wav *w, int16_t *samples, uint32_t count) {
    uint32_t n = 0;
    uint8_t bytes[2];
    while (w->file && n < count && w->left > 0) {
        if (fread(bytes, 1, 2, w->file) != 2) {
            if (w->left != UNTIL_THE_END) {
                (void)snprintf(w->error, sizeof w->error, "the file is cut off: %lu samples are missing", (unsigned long)w->left);
            }
            w->left = 0;
            break;
        }
        const int32_t value = (int32_t)little(bytes, 2);
        samples[n++] = (int16_t)(value < 32768 ? value : value - 65536);
        w->left -= w->left != UNTIL_THE_END;
    }
    return n;
}

void wav_close(wav *w) {
    if (w->file) {
        (void)fclose(w->file);
        w->file = NULL;
    }
}
