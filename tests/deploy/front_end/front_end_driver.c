/* Runs the front end "t" (float32) or "u" (integers) over a clip that is pushed in pieces, and writes frame behind frame. */
#include "t_front_end.h"
#include "u_front_end.h"

static int16_t samples[T_MFCC_WINDOW];
static reds_mfcc_stream stream;
static float scratch_f32[T_MFCC_SCRATCH];
static int32_t scratch_s32[U_MFCC_SCRATCH];

/* How many frames there were; only the first ``room`` are written. */
#define RUN(name, type, element)                                                                                               \
    uint32_t run_##type(const int16_t *clip, uint32_t length, const uint32_t *pieces, uint32_t count, element *out,            \
                        uint32_t room);                                                                                        \
    uint32_t run_##type(const int16_t *clip, uint32_t length, const uint32_t *pieces, uint32_t count, element *out,            \
                        uint32_t room) {                                                                                       \
        uint32_t frames = 0, taken, left;                                                                                      \
        reds_mfcc_start(&stream, samples, T_MFCC_WINDOW, T_MFCC_STRIDE);                                                       \
        for (uint32_t piece = 0; length != 0; piece = (piece + 1) % count) {                                                   \
            left = pieces[piece] < length ? pieces[piece] : length;                                                            \
            length -= left;                                                                                                    \
            for (; left != 0; clip += taken, left -= taken) {                                                                  \
                taken = reds_mfcc_push(&stream, clip, left);                                                                   \
                if (reds_mfcc_complete(&stream) && frames++ < room) {                                                          \
                    reds_mfcc_##type##_frame(&name##_front_end_##type, &stream, scratch_##type, out);                          \
                    out += T_MFCC_COEFFICIENTS;                                                                                \
                }                                                                                                              \
            }                                                                                                                  \
        }                                                                                                                      \
        return frames;                                                                                                         \
    }

RUN(t, f32, float)
RUN(u, s32, int32_t)
