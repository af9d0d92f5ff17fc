/* On a bare Cortex-M in QEMU: the front end computes every frame of a clip, prints it, and the instructions of it. */
#include "count.h"
#include "t_front_end.h"

#include <string.h>

#include "clip.h"

static int16_t samples[T_MFCC_WINDOW];
static reds_mfcc_stream stream;
static $number scratch[T_MFCC_SCRATCH], frame[T_MFCC_COEFFICIENTS];

static const int16_t *next_sample;
static uint32_t left;

static void push(void *argument) {
    (void)argument;
    const uint32_t taken = reds_mfcc_push(&stream, next_sample, left);
    next_sample += taken;
    left -= taken;
}

static void compute(void *argument) {
    (void)argument;
    reds_mfcc_${short}_frame(&t_front_end_${short}, &stream, scratch, frame);
}

int main(void) {
    reds_mfcc_start(&stream, samples, T_MFCC_WINDOW, T_MFCC_STRIDE);
    next_sample = clip;
    left = sizeof clip / sizeof *clip;
    while (left != 0) {
        const uint32_t pushed = reds_count(push, 0);
        if (!reds_mfcc_complete(&stream)) break;
        reds_print("frame ");
        reds_print_unsigned(reds_count(compute, 0));
        reds_print(" ");
        reds_print_unsigned(pushed);
        for (uint32_t k = 0; k < T_MFCC_COEFFICIENTS; k++) {
            uint32_t bits;
            memcpy(&bits, &frame[k], sizeof bits);
            reds_print(" ");
            reds_print_hex(bits);
        }
        reds_print("\n");
    }
    return 0;
}
