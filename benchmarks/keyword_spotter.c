/* On a bare Cortex-M in QEMU: what every subnetwork makes of recorded clips, from raw audio, and the instructions of it.
 *
 * The samples come from a file of the host, a piece of one stride after the other, as from a microphone. Printed are, of every clip,
 * the stored input of the network and the stored outputs of every subnetwork; then the instructions of a frame, and of a frame
 * with an inference. */
#include "count.h"
#include "reds_listen.h"

#define PIECE REDS_MFCC_STRIDE

static reds_listener listener;
static reds_heard heard;
static int16_t samples[PIECE];

static uint32_t semihosting(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t open_clips(void) {
    static const char path[] = CLIPS_FILE;
    const struct {
        const char *path;
        uint32_t mode, length;
    } block = {path, 1 /* "rb" */, sizeof path - 1};
    return semihosting(0x01 /* SYS_OPEN */, &block);
}

static void read_piece(uint32_t file) {
    const struct {
        uint32_t file;
        int16_t *to;
        uint32_t bytes;
    } block = {file, samples, sizeof samples};
    if (semihosting(0x06 /* SYS_READ */, &block) != 0) { /* the bytes that are missing */
        reds_print("the clips are cut off\n");
        reds_exit(3);
    }
}

static void close_clips(uint32_t file) { (void)semihosting(0x02 /* SYS_CLOSE */, &file); }

static void push(void *nothing) {
    (void)nothing;
    for (uint32_t at = 0; at < PIECE;) {
        at += reds_listen(&listener, samples + at, PIECE - at, &heard);
    }
}

static void print_bytes(const char *what, uint32_t clip, uint32_t k, const int8_t *bytes, uint32_t count) {
    reds_print(what);
    reds_print_unsigned(clip);
    reds_print(" ");
    reds_print_unsigned(k);
    reds_print(" ");
    for (uint32_t i = 0; i < count; i += 4) { /* the last digits may be zeros that are no bytes */
        uint32_t word = 0;
        for (uint32_t j = 0; j < 4; j++) {
            word = word << 8 | (i + j < count ? (uint8_t)bytes[i + j] : 0u);
        }
        reds_print_hex(word);
    }
    reds_print("\n");
}

static void start(uint32_t hop, uint32_t window, uint32_t k) {
    const reds_spotter_settings settings = {hop, window, REDS_ONE, 0};
    if (reds_listen_start(&listener, &settings) != REDS_SPOTTER_OK || reds_net_adapt(&listener.network, k) != REDS_OK) {
        reds_exit(4);
    }
}

static void clips(uint32_t k) {
    const uint32_t file = open_clips();
    for (uint32_t clip = 0; clip < CLIPS; clip++) {
        start(REDS_FRAMES, 1, k);
        for (uint32_t piece = 0; piece < CLIP_PIECES; piece++) {
            read_piece(file);
            push(0);
        }
        if (listener.frames != REDS_FRAMES) {
            reds_exit(5);
        }
        if (k == 0) {
            const int8_t *const in = listener.entries + listener.features.at * REDS_MFCC_COEFFICIENTS;
            print_bytes("input ", clip, k, in, REDS_INPUT_ITEMS);
        }
        print_bytes("output ", clip, k, listener.out, REDS_OUTPUT_ITEMS);
    }
    close_clips(file);
}

static void count(uint32_t k) {
    const uint32_t file = open_clips();
    start(5, 5, k);
    for (uint32_t piece = 0; piece < 2 * CLIP_PIECES; piece++) {
        read_piece(file);
        const uint32_t instructions = reds_count(push, 0);
        if (listener.frames > 1) {
            reds_print(heard.inferred ? "inference " : "frame ");
            reds_print_unsigned(k);
            reds_print(" ");
            reds_print_unsigned(instructions);
            reds_print("\n");
        }
    }
    close_clips(file);
}

int main(void) {
    for (uint32_t k = 0; k <= (uint32_t)REDS_LARGEST; k++) {
        clips(k);
        count(k);
    }
    reds_print("listener 0 ");
    reds_print_unsigned(sizeof listener);
    reds_print("\n");
    return 0;
}
