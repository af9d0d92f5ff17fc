/* Says which words are in WAV files: `make listen`, then build/${name}_listen_wav FILE.wav. A program for a computer.
 *
 * What is no longer than the network reads at once is one clip: it is filled up with silence, and the most probable class is
 * printed. In anything longer words are detected, with the time at which the last frame of the inference ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "${name}_listen.h"
#include "wav.h"

#define ONE_CLIP (${NAME}_MFCC_WINDOW + (${NAME}_FRAMES - 1u) * ${NAME}_MFCC_STRIDE)

static ${name}_listener listener;
static int posteriors; /* whether they are printed */

static void print(const char *path, uint32_t k, const ${name}_heard *heard) {
    const double seconds = (${NAME}_MFCC_WINDOW + (heard->frames - 1.0) * ${NAME}_MFCC_STRIDE) / ${NAME}_MFCC_SAMPLE_RATE;
    if (posteriors && heard->inferred) {
        printf("%s: subnetwork %lu: %8.3f s  posteriors", path, (unsigned long)k, seconds);
        for (uint32_t c = 0; c < ${NAME}_CLASSES; c++) {
            printf(" %lu", (unsigned long)reds_spotter_mean(&listener.spotter, c));
        }
        printf("\n");
    }
    if (heard->word != REDS_NO_WORD) {
        printf("%s: subnetwork %lu: %8.3f s  %s  %.2f\n", path, (unsigned long)k, seconds, ${name}_class_names[heard->word],
               reds_spotter_mean(&listener.spotter, heard->word) / 32768.0);
    }
}

static void push(const char *path, uint32_t k, const int16_t *samples, uint32_t count, int clip) {
    for (uint32_t at = 0; at < count;) {
        ${name}_heard heard;
        at += ${name}_listen(&listener, samples + at, count - at, &heard);
        if (!clip) {
            print(path, k, &heard);
        } else if (heard.inferred) {
            printf("%s: subnetwork %lu: %s\n", path, (unsigned long)k, ${name}_class_names[${name}_argmax(listener.out)]);
        }
    }
}

/* A clip is pushed when it has ended, or when it turns out that it is none. */
static int listen_to(const char *path, uint32_t k, const reds_spotter_settings *settings) {
    static int16_t start[ONE_CLIP + ${NAME}_MFCC_STRIDE];
    wav w;
    uint32_t count = 0;
    if (wav_open(&w, path, ${NAME}_MFCC_SAMPLE_RATE)) {
        memset(start, 0, sizeof start);
        count = wav_read(&w, start, ONE_CLIP + ${NAME}_MFCC_STRIDE);
        const int clip = count < ONE_CLIP + ${NAME}_MFCC_STRIDE;
        (void)${name}_listen_start(&listener, settings);
        (void)${name}_net_adapt(&listener.network, k);
        if (!w.error[0] && count > 0) {
            push(path, k, start, clip ? ONE_CLIP : count, clip);
        }
        while (!clip && !w.error[0] && (count = wav_read(&w, start, ${NAME}_MFCC_STRIDE)) > 0) {
            push(path, k, start, count, 0);
        }
        if (clip && count == 0 && !w.error[0]) {
            (void)snprintf(w.error, sizeof w.error, "there are no samples in the file");
        }
    }
    wav_close(&w);
    if (w.error[0]) {
        fprintf(stderr, "%s: %s\n", path, w.error);
    }
    return w.error[0] != 0;
}

static int usage(const char *what) {
    fprintf(stderr,
            "%s\n"
            "usage: ${name}_listen_wav [-k SUBNETWORK] [-s HOP] [-n WINDOW] [-t THRESHOLD] [-r REFRACTORY] [-p] FILE.wav ...\n"
            "  -k  which subnetwork listens, 0 to %d; by default all, one after the other\n"
            "  -s  frames of %u ms from one inference to the next, 1 to %u; 5 by default\n"
            "  -n  how many of the last inferences are averaged, 1 to %d; 5 by default\n"
            "  -t  mean posterior from which on a word is heard, above 0 to 1; 0.6 by default\n"
            "  -r  frames in which the same word is not reported again; 50 by default\n"
            "  -p  also print the mean posteriors of all classes, in 1/32768, at every inference\n",
            what, (int)${NAME}_LARGEST, (unsigned)(1000u * ${NAME}_MFCC_STRIDE / ${NAME}_MFCC_SAMPLE_RATE), (unsigned)${NAME}_FRAMES,
            (int)${NAME}_LISTEN_WINDOW);
    return 2;
}

static int number(const char *text, double *value) {
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == 0 && *value >= 0.0 && *value <= 4294967295.0;
}

int main(int count, char **arguments) {
    static const char *const wrong[] = {"", "such a hop is not allowed", "such a window is not allowed",
                                        "such a threshold is not allowed"};
    reds_spotter_settings settings = {5, 5, REDS_POSTERIOR(0.6), 50};
    uint32_t first = 0, last = (uint32_t)${NAME}_LARGEST;
    int at = 1, failures = 0;
    for (; at < count && arguments[at][0] == '-'; at++) {
        const char option = arguments[at][1];
        double value = 0.0;
        if (!option || arguments[at][2]) {
            return usage("there is no such option");
        }
        if (option == 'p') {
            posteriors = 1;
            continue;
        }
        if (at + 1 == count || !number(arguments[at + 1], &value)) {
            return usage("an option lacks its number");
        }
        at++;
        if (option != 't' && value != (double)(uint32_t)value) {
            return usage("the number is no integer");
        }
        switch (option) {
        case 'k': first = last = (uint32_t)value; break;
        case 's': settings.hop = (uint32_t)value; break;
        case 'n': settings.window = (uint32_t)value; break;
        case 't': settings.threshold = value > 1.0 ? 0u : REDS_POSTERIOR(value); break;
        case 'r': settings.refractory = (uint32_t)value; break;
        default: return usage("there is no such option");
        }
    }
    const reds_spotter_status status = ${name}_listen_start(&listener, &settings);
    if (status != REDS_SPOTTER_OK) {
        return usage(wrong[status]);
    }
    if (at == count) {
        return usage("no file is named");
    }
    if (last > (uint32_t)${NAME}_LARGEST) {
        return usage("there is no such subnetwork");
    }
    for (; at < count; at++) {
        for (uint32_t k = first; k <= last; k++) {
            if (listen_to(arguments[at], k, &settings)) {
                failures = 1;
                break;
            }
        }
    }
    return failures;
}
