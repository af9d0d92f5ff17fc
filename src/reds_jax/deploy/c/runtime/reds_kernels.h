/* The layers of a nested network, in C99, without memory of their own.
 *
 * The weights of a layer lie in memory once, as the largest subnetwork reads them: a matrix whose row o belongs to output channel
 * o and whose entries are ordered by input channel, [outputs][inputs * kernel_h * kernel_w]. A subnetwork keeps a prefix of the
 * channels, so it reads a PREFIX OF THE ROWS and of each row a PREFIX: the row stride stays that of the largest.
 * Activations are dense at the current width, channel first: [C][H][W]. A prefix of the channels is then a prefix of the array.
 *
 * Rows start at addresses that are a multiple of 4 and are padded with zeros to a multiple of 4 entries (int8) so that a kernel
 * may load whole words up to the padded end of what it was asked to read. Input, output and scratch do not overlap, unless the
 * comment at a function allows it. Every function is re-entrant. Every count (channels, entries, sizes of an image or a window) is
 * at least 1, a stride too; a padding is smaller than its kernel. */
#ifndef REDS_KERNELS_H
#define REDS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* An export writes here which text of the kernels this is; a network is compiled with the kernels that it was exported with. */
#define REDS_KERNELS_VERSION 0

#ifdef __cplusplus
extern "C" {
#endif

/* A window that moves over the positions of an image. Positions outside of it count as zero (convolutions), or not at all (pools).
 * The steps are in elements of the input: H * W, W, 1 for [C][H][W]; 1, W * C, C for an image as cameras give it, [H][W][C]. */
typedef struct {
    uint16_t in_h, in_w;
    uint16_t out_h, out_w;
    uint16_t kernel_h, kernel_w;
    uint16_t stride_h, stride_w;
    uint16_t pad_top, pad_left;
    uint32_t channel_step, row_step, column_step;
} reds_window;

/* ---- Scratch -------------------------------------------------------------------------------------------------------------------
 *
 * How many entries (float, or int16_t) a layer's scratch needs; it must be aligned to 4 bytes. The largest width needs the most.
 * patch = inputs * kernel_h * kernel_w.
 *
 * An int8 convolution holds 4 columns of 16-bit numbers. With a window of more than one position it also holds, as bytes, the
 * kernel_h rows of all channels that a row of outputs reads, with their padding; one column; and where 4 channels begin (for cores
 * with the DSP extension). A layer needs the same on every core.
 * An int8 depthwise layer holds rows of one channel with their padding: all of them where that takes at most REDS_S8_HELD entries
 * (1 kB), else as many as that, and never fewer than kernel_h; and the weights of one channel. */
#define REDS_ROUND4(n) (((n) + 3u) / 4u * 4u)
#define REDS_PITCH(kernel_w, stride_w, out_w) REDS_ROUND4(((out_w) - 1u) * (stride_w) + (kernel_w))
#define REDS_S8_DENSE_SCRATCH(inputs) REDS_ROUND4(inputs)
#define REDS_S8_LINE(depth) ((depth) + 96u)
#define REDS_S8_CONV_SCRATCH(inputs, kernel_h, kernel_w, stride_w, out_w)                                                   \
    (4u * REDS_ROUND4((inputs) * (kernel_h) * (kernel_w)) +                                                                 \
     ((kernel_h) * (kernel_w) == 1u                                                                                         \
          ? 0u                                                                                                              \
          : (REDS_S8_LINE(REDS_ROUND4((inputs) * (kernel_h) * (kernel_w))) + 16u * (kernel_h) +                             \
             (inputs) * (kernel_h) * REDS_PITCH(kernel_w, stride_w, out_w) + 12u) / 2u))
#define REDS_S8_HELD 512u
#define REDS_S8_DEPTHWISE_ALL(kernel_h, stride_h, out_h) (((out_h) - 1u) * (stride_h) + (kernel_h))
#define REDS_S8_DEPTHWISE_MOST(kernel_h, pitch) (REDS_S8_HELD / (pitch) > (kernel_h) ? REDS_S8_HELD / (pitch) : (kernel_h))
#define REDS_S8_DEPTHWISE_ROWS(kernel_h, stride_h, out_h, pitch)                                                            \
    (REDS_S8_DEPTHWISE_ALL(kernel_h, stride_h, out_h) < REDS_S8_DEPTHWISE_MOST(kernel_h, pitch)                             \
         ? REDS_S8_DEPTHWISE_ALL(kernel_h, stride_h, out_h)                                                                 \
         : REDS_S8_DEPTHWISE_MOST(kernel_h, pitch))
#define REDS_S8_DEPTHWISE_SCRATCH(kernel_h, kernel_w, stride_h, stride_w, out_h, out_w)                                     \
    (REDS_S8_DEPTHWISE_ROWS(kernel_h, stride_h, out_h, REDS_PITCH(kernel_w, stride_w, out_w)) *                             \
         REDS_PITCH(kernel_w, stride_w, out_w) + (kernel_h) * (((kernel_w) + 1u) / 2u * 2u))
#define REDS_F32_CONV_SCRATCH(patch) (4u * (patch))
#define REDS_F32_DEPTHWISE_SCRATCH(kernel_h, kernel_w, stride_w, out_w) ((kernel_h) * REDS_PITCH(kernel_w, stride_w, out_w))

/* The int8 kernels for Helium (MVE) need so much instead; the larger of the two serves every core. A convolution holds 4 columns of
 * bytes, their places in the image, and a sum for each output channel; a depthwise layer the same rows, as bytes, and the weights. */
#define REDS_S8_MVE_CONV_SCRATCH(patch, outputs) (4u * (((patch) + 15u) / 16u * 16u) + 2u * (outputs))
#define REDS_S8_MVE_DEPTHWISE_SCRATCH(kernel_h, kernel_w, stride_h, stride_w, out_h, out_w)                              \
    REDS_ROUND4((REDS_S8_DEPTHWISE_ROWS(kernel_h, stride_h, out_h, REDS_S8_MVE_REACH(kernel_w, stride_w, out_w)) *       \
                     REDS_S8_MVE_REACH(kernel_w, stride_w, out_w) + 17u) / 2u + 16u * (kernel_h))
#define REDS_S8_MVE_REACH(kernel_w, stride_w, out_w) (((out_w) - 1u) * (stride_w) + (kernel_w))

typedef enum { REDS_LINEAR = 0, REDS_RELU = 1, REDS_RELU6 = 2, REDS_LEAKY_RELU = 3 } reds_activation;

/* ---- float32: y = activation(scale[o] * sum_i w[o][i] x[i] + offset[o]) --------------------------------------------------- */

typedef struct {
    float scale, offset; /* batch norm and bias, folded */
} reds_f32_channel;

typedef struct { /* what no width changes */
    reds_window window;
    const float *weights;
    uint32_t row; /* entries from one row to the next */
    reds_activation activation;
    float slope; /* of a leaky ReLU */
} reds_f32_layer;

typedef struct { /* what a subnetwork changes */
    uint32_t inputs;  /* conv: channels that are read; dense: entries of a row that are read; depthwise: equal to outputs */
    uint32_t outputs; /* channels that are made */
    const reds_f32_channel *channels; /* [outputs] */
} reds_f32_width;

void reds_f32_conv(const reds_f32_layer *layer, const reds_f32_width *width, const float *in, float *out, float *scratch);
void reds_f32_depthwise(const reds_f32_layer *layer, const reds_f32_width *width, const float *in, float *out, float *scratch);
void reds_f32_dense(const reds_f32_layer *layer, const reds_f32_width *width, const float *in, float *out);
void reds_f32_max_pool(const reds_window *window, uint32_t channels, const float *in, float *out);
void reds_f32_avg_pool(const reds_window *window, uint32_t channels, const float *in, float *out); /* padding is not counted */
/* out may be a or b */
void reds_f32_add(const float *a, const float *b, float *out, uint32_t length, reds_activation activation, float slope);
/* out may be in; reds_f32_functions.h has the exponential, relative error below 1e-6 */
void reds_f32_softmax(const float *in, float *out, uint32_t length);
/* [H][W][C] -> [C][H][W] */
void reds_f32_channel_first(const float *in, float *out, uint32_t positions, uint32_t channels);
/* reds_f32_elementwise.c: out[r][k][n] = activation(a[r][k][n] * b[k]) for ``times`` r, ``length`` k and ``each`` n: 1, entries, 1
 * for arrays of the same shape; 1, channels, positions for a gate [C]; channels, positions, 1 for a gate [H][W]; 1, 1, entries
 * for one number.
 * out may be a; arrays of the same shape: or b */
void reds_f32_mul(const float *a, const float *b, float *out, uint32_t times, uint32_t length, uint32_t each,
                  reds_activation activation, float slope);
/* out[k] = function(in[k]); reds_f32_functions.h has what a function is made of. out may be in */
void reds_f32_map(float (*function)(float), const float *in, float *out, uint32_t length);
/* every row ``down`` times, every column ``across`` times; ``rows`` are those of all channels */
void reds_f32_resize(const float *in, float *out, uint32_t rows, uint32_t columns, uint32_t down, uint32_t across);

/* ---- int8: real = scale * (stored - zero); weights are symmetric ------------------------------------------------------------
 *
 *   sum = sum_i w[o][i] * (x[i] - in_zero)                      int32, no overflow (checked when the network is exported)
 *   t   = mulhi(sum, multiplier[o]) + offset[o]                 mulhi(a, b) = (a * b + 2^31) >> 32 in 64 bits, >> arithmetic
 *   leaky ReLU only:  if (t < 0) t = mulhi(2 * t, slope)        slope in 1/2^31
 *                     t = t + round
 *   y   = saturate(t >> shift) to [-128, 127]
 *
 * |offset|, |round| and |t| stay below 2^30.
 * t has ``shift`` fractional bits. Without a leaky ReLU, the zero point of the output and the half that rounds are part of
 * offset[o]; with it they are ``round``. ReLU and ReLU6 need nothing more: their output has its zero at -128 and its largest value
 * at 127 or beyond, so that saturation is the activation. */

typedef struct {
    int32_t multiplier, offset;
} reds_s8_channel;

typedef struct {
    reds_window window;
    const int8_t *weights;
    uint32_t row; /* entries from one row to the next, a multiple of 4 */
    int32_t slope; /* of a leaky ReLU, in 1/2^31; 0: none */
} reds_s8_layer;

typedef struct {
    uint32_t inputs, outputs; /* as for float32 */
    const reds_s8_channel *channels;
    int32_t in_zero;
    int32_t round; /* with a leaky ReLU only */
    int32_t shift; /* 0 to 22 */
} reds_s8_width;

/* y = saturate(t >> shift), t = (a - a_zero) * a_multiplier + (b - b_zero) * b_multiplier [leaky ReLU as above] + round */
typedef struct {
    int32_t a_zero, a_multiplier, b_zero, b_multiplier, round, slope, shift;
} reds_s8_sum;

/* y = saturate((mulhi(total, multiplier) + offset) >> shift), total = sum of (x - in_zero) over the window; where padding cuts the
 * window from n to m positions, total is first replaced by total * n / m, rounded half away from zero */
typedef struct {
    int32_t in_zero, multiplier, offset, shift;
} reds_s8_mean;

/* y = saturate(t >> shift), t = mulhi((a - a_zero) * (b - b_zero) * 2^14, multiplier) [leaky ReLU as above] + round */
typedef struct {
    int32_t a_zero, b_zero, multiplier, round, slope, shift;
} reds_s8_product;

/* scratch: REDS_S8_CONV_SCRATCH, REDS_S8_DEPTHWISE_SCRATCH or REDS_S8_DENSE_SCRATCH entries, see above */
void reds_s8_conv(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int8_t *out, int16_t *scratch);
void reds_s8_depthwise(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int8_t *out, int16_t *scratch);
void reds_s8_dense(const reds_s8_layer *layer, const reds_s8_width *width, const int8_t *in, int8_t *out, int16_t *scratch);
void reds_s8_max_pool(const reds_window *window, uint32_t channels, const int8_t *in, int8_t *out);
void reds_s8_avg_pool(const reds_window *window, const reds_s8_mean *mean, uint32_t channels, const int8_t *in, int8_t *out);
void reds_s8_add(const reds_s8_sum *sum, const int8_t *a, const int8_t *b, int8_t *out, uint32_t length); /* out may be a or b */
void reds_s8_channel_first(const int8_t *in, int8_t *out, uint32_t positions, uint32_t channels);
/* reds_s8_elementwise.c: as for float32; a map is a table of 256 entries, out[k] = table[in[k] + 128] */
void reds_s8_mul(const reds_s8_product *product, const int8_t *a, const int8_t *b, int8_t *out, uint32_t times, uint32_t length,
                 uint32_t each);
void reds_s8_map(const int8_t *table, const int8_t *in, int8_t *out, uint32_t length);
void reds_s8_resize(const int8_t *in, int8_t *out, uint32_t rows, uint32_t columns, uint32_t down, uint32_t across);

#ifdef __cplusplus
}
#endif
#endif
