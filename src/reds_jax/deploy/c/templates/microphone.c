/* A keyword spotter on a board: the loop, and the one function that is yours.
 *
 * Compile it with the files of src/. What it prints, or lights, is in ``say``. */
#include "${name}_listen.h"

/* YOURS. Waits until the microphone has given 1 to ``count`` new samples (16 bits, one channel, ${rate} a second), copies them and
 * returns how many there are; 0 or less when it has ended. An I2S or PDM driver fills two buffers in turn by DMA: return the one
 * that is full. While an inference runs, the driver has to keep what comes in: ${stride} samples every ${stride_ms} ms. */
int read_samples(int16_t *samples, int count);

/* YOURS. A word was heard. */
void say(const char *word, unsigned subnetwork);

static ${name}_listener listener;

int main(void) {
    static int16_t samples[${NAME}_MFCC_STRIDE];
    const reds_spotter_settings settings = {
        .hop = 5,        /* frames from one inference to the next */
        .window = 5,     /* inferences that are averaged */
        .threshold = REDS_POSTERIOR(0.6),
        .refractory = 50 /* frames until the same word is reported again */
    };
    int count;
    if (${name}_listen_start(&listener, &settings) != REDS_SPOTTER_OK) {
        return 1;
    }
    while ((count = read_samples(samples, (int)${NAME}_MFCC_STRIDE)) > 0) {
        for (uint32_t at = 0; at < (uint32_t)count;) {
            ${name}_heard heard;
            at += ${name}_listen(&listener, samples + at, (uint32_t)count - at, &heard);
            if (heard.word != REDS_NO_WORD) {
                say(${name}_class_names[heard.word], (unsigned)heard.subnetwork);
            }
            /* ${name}_net_adapt(&listener.network, k), when you like: a larger subnetwork while somebody speaks, a smaller one on a low battery */
        }
    }
    return 0;
}
