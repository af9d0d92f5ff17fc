/* float32 layers: dense, convolution, depthwise, pools and the functions between them. See reds_kernels.h for what they compute,
 * reds_f32_products.h for the inner loops. */
#include "reds_kernels.h"
#include "reds_f32_functions.h"
#include "reds_f32_line.h"
#include "reds_f32_products.h"

#include <float.h>

/* A function of its own has all registers for its loop. */
#ifdef __GNUC__
#define APART __attribute__((noinline))
#else
#define APART
#endif

/* ---- Dense: 4 rows at once, so that each input is read once for 4 products -------------------------------------------------- */

/* All outputs of one position, ``step`` apart. */
static APART void multiply_one(const reds_f32_layer *layer, const reds_f32_width *width, const float *x, uint32_t length, float *out,
                               uint32_t step) {
    const reds_f32_channel *channel = width->channels;
    const reds_f32_channel *const end = channel + width->outputs;
    const bend line = bend_of(layer->activation, layer->slope);
    const float *weights = layer->weights;
    for (; end - channel >= 4; weights += 4 * layer->row) {
        float sum[4];
        reds_f32_four_rows(weights, layer->row, x, length, sum);
        for (uint32_t r = 0; r < 4; r++, out += step) *out = finish(sum[r], *channel++, line);
    }
    for (; channel != end; weights += layer->row, out += step) *out = finish(reds_f32_one_row(weights, x, length), *channel++, line);
}

void reds_f32_dense(const reds_f32_layer *layer, const reds_f32_width *width, const float *in, float *out) {
    multiply_one(layer, width, in, width->inputs, out, 1);
}

/* ---- Convolution: blocks of 4 rows x 4 positions ---------------------------------------------------------------------------- */

/* All outputs of 4 positions that follow each other; those of the next channel lie ``positions`` further. */
static APART void multiply_four(const reds_f32_layer *layer, const reds_f32_width *width, const float *x, uint32_t step, uint32_t patch,
                                float *out, uint32_t positions) {
    const reds_f32_channel *channel = width->channels;
    const reds_f32_channel *const end = channel + width->outputs;
    const bend line = bend_of(layer->activation, layer->slope);
    const float *weights = layer->weights;
    float sum[4][4];
    while (channel != end) {
        uint32_t rows = 1;
        if (end - channel >= 4) {
            rows = 4;
            reds_f32_four_by_four(weights, layer->row, x, step, patch, sum);
        } else {
            reds_f32_one_by_four(weights, x, step, patch, sum[0]);
        }
        weights += rows * layer->row;
        for (uint32_t r = 0; r < rows; r++, channel++, out += positions) {
            out[0] = finish(sum[r][0], *channel, line);
            out[1] = finish(sum[r][1], *channel, line);
            out[2] = finish(sum[r][2], *channel, line);
            out[3] = finish(sum[r][3], *channel, line);
        }
    }
}

/* The inputs of output position p, ``step`` entries apart. Rows of the patch are copied without a test for each entry. */
static APART void gather(const reds_f32_layer *layer, const reds_f32_width *width, const float *in, float *to, uint32_t step, uint32_t p) {
    const reds_window *const w = &layer->window;
    const uint32_t oy = p / w->out_w, ox = p - oy * w->out_w;
    const int32_t top = (int32_t)(oy * w->stride_h) - w->pad_top, left = (int32_t)(ox * w->stride_w) - w->pad_left;
    const int32_t kernel_w = w->kernel_w, in_w = w->in_w;
    const int32_t lead = left >= 0 ? 0 : -left < kernel_w ? -left : kernel_w; /* zeros on the left */
    const int32_t right = in_w - left > lead ? in_w - left : lead;            /* where those on the right begin */
    const int32_t inside = right < kernel_w ? right : kernel_w;
    for (uint32_t i = 0; i < width->inputs; i++, in += w->channel_step)
        for (int32_t y = top; y < top + w->kernel_h; y++) {
            int32_t x = 0;
            if (y >= 0 && y < w->in_h && lead < inside) {
                const float *from = in + (uint32_t)y * w->row_step + (uint32_t)(left + lead) * w->column_step;
                for (; x < lead; x++, to += step) *to = 0.0f;
                for (uint32_t at = 0; x < inside; x++, to += step, at += w->column_step) *to = from[at];
            }
            for (; x < kernel_w; x++, to += step) *to = 0.0f;
        }
}

void reds_f32_conv(const reds_f32_layer *layer, const reds_f32_width *width, const float *in, float *out, float *scratch) {
    const reds_window *const w = &layer->window;
    const uint32_t positions = (uint32_t)w->out_h * w->out_w;
    const uint32_t patch = width->inputs * w->kernel_h * w->kernel_w;
    /* A pointwise layer finds neighbouring positions side by side and needs no copy. */
    const int pointwise = w->kernel_h == 1 && w->kernel_w == 1 && w->stride_h == 1 && w->stride_w == 1 && w->pad_top == 0 &&
                          w->pad_left == 0 && w->column_step == 1 && w->row_step == w->in_w && w->in_h == w->out_h && w->in_w == w->out_w;
    uint32_t p = 0;
    for (; p + 4 <= positions; p += 4) {
        for (uint32_t c = 0; c < 4 && !pointwise; c++) gather(layer, width, in, scratch + c, 4, p + c);
        if (pointwise) multiply_four(layer, width, in + p, w->channel_step, patch, out + p, positions);
        else multiply_four(layer, width, scratch, 4, patch, out + p, positions);
    }
    for (; p < positions; p++) { /* the positions that are left: fewer than 4 */
        gather(layer, width, in, scratch, 1, p);
        multiply_one(layer, width, scratch, patch, out + p, positions);
    }
}

/* ---- Depthwise -------------------------------------------------------------------------------------------------------------- */

/* One row of outputs of a 3x3 window; with stride 1, two outputs share the inputs that they have in common. */
static APART void slide_3x3(const float *w, const float *const *rows, uint32_t stride, uint32_t count, reds_f32_channel channel, bend line,
                            float *out) {
    const float *r0 = rows[0], *r1 = rows[1], *r2 = rows[2];
    const float w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3], w4 = w[4], w5 = w[5], w6 = w[6], w7 = w[7], w8 = w[8];
#define ROW(sum, x, a, b, c) sum = MULTIPLY_ADD(a, (x)[0], sum), sum = MULTIPLY_ADD(b, (x)[1], sum), sum = MULTIPLY_ADD(c, (x)[2], sum)
    for (; stride == 1 && count >= 2; count -= 2, r0 += 2, r1 += 2, r2 += 2) {
        float first = 0.0f, second = 0.0f;
        ROW(first, r0, w0, w1, w2), ROW(second, r0 + 1, w0, w1, w2);
        ROW(first, r1, w3, w4, w5), ROW(second, r1 + 1, w3, w4, w5);
        ROW(first, r2, w6, w7, w8), ROW(second, r2 + 1, w6, w7, w8);
        *out++ = finish(first, channel, line);
        *out++ = finish(second, channel, line);
    }
    for (; count != 0; count--, r0 += stride, r1 += stride, r2 += stride) {
        float sum = 0.0f;
        ROW(sum, r0, w0, w1, w2), ROW(sum, r1, w3, w4, w5), ROW(sum, r2, w6, w7, w8);
        *out++ = finish(sum, channel, line);
    }
#undef ROW
}

/* One row of outputs of any window; the row ky of the window lies at slot + ky, around the ring. */
static APART void slide_any(const reds_window *w, const float *weights, const float *ring, uint32_t pitch, uint32_t slot,
                            reds_f32_channel channel, bend line, float *out) {
    for (uint32_t ox = 0; ox < w->out_w; ox++) {
        const float *weight = weights;
        float sum = 0.0f;
        uint32_t s = slot;
        for (uint32_t ky = 0; ky < w->kernel_h; ky++) {
            const float *const x = ring + s * pitch + ox * w->stride_w;
            for (uint32_t kx = 0; kx < w->kernel_w; kx++, weight++) sum = MULTIPLY_ADD(*weight, x[kx], sum);
            if (++s == w->kernel_h) s = 0;
        }
        out[ox] = finish(sum, channel, line);
    }
}

/* kernel_h rows of one channel, with their padding, are kept as a ring; row y of the padded image lies at y % kernel_h. */
void reds_f32_depthwise(const reds_f32_layer *layer, const reds_f32_width *width, const float *in, float *out, float *scratch) {
    const reds_window *const w = &layer->window;
    const uint32_t pitch = REDS_ROUND4((w->out_w - 1u) * w->stride_w + w->kernel_w);
    /* the columns of the image that a window reaches; the zeros left and right of them are written once */
    const uint32_t columns = pitch <= w->pad_left ? 0 : pitch - w->pad_left < w->in_w ? pitch - w->pad_left : w->in_w;
    const int fast = w->kernel_h == 3 && w->kernel_w == 3;
    const float *const second = scratch + (fast ? pitch : 0), *const third = second + (fast ? pitch : 0);
    const float *const rows[5] = {scratch, second, third, scratch, second};
    const bend line = bend_of(layer->activation, layer->slope);
    const float *weights = layer->weights;
    for (uint32_t k = 0; k < w->kernel_h * pitch; k++) scratch[k] = 0.0f;
    for (uint32_t o = 0; o < width->outputs; o++, in += w->channel_step, weights += layer->row) {
        int32_t next = -(int32_t)w->pad_top; /* the first row of the image that is not in the ring yet */
        uint32_t next_slot = 0, slot = 0;    /* where it goes, and where the first row of the window lies */
        for (int32_t bottom = w->kernel_h - w->pad_top, oy = w->out_h; oy != 0; oy--, bottom += w->stride_h, out += w->out_w) {
            for (; next < bottom; next++) {
                float *const row = scratch + next_slot * pitch;
                const int inside = next >= 0 && next < w->in_h;
                const float *const from = in + (inside ? (uint32_t)next * w->row_step : 0);
                uint32_t at = 0;
                for (float *to = row + w->pad_left, *const end = to + columns; to != end; at += w->column_step)
                    *to++ = inside ? from[at] : 0.0f;
                if (++next_slot == w->kernel_h) next_slot = 0;
            }
            if (fast) slide_3x3(weights, rows + slot, w->stride_w, w->out_w, width->channels[o], line, out);
            else slide_any(w, weights, scratch, pitch, slot, width->channels[o], line, out);
            for (slot += w->stride_h; slot >= w->kernel_h;) slot -= w->kernel_h;
        }
    }
}

/* ---- Layers without weights ------------------------------------------------------------------------------------------------- */

/* The part [first, last) of a window of length ``kernel`` at ``start`` that lies inside an image of length ``length``. */
static void clip(int32_t start, int32_t kernel, int32_t length, int32_t *first, int32_t *last) {
    *first = start < 0 ? 0 : start;
    *last = start + kernel > length ? length : start + kernel;
    if (*last < *first) *last = *first;
}

static void pool(const reds_window *w, uint32_t channels, const float *in, float *out, int mean) {
    for (uint32_t c = 0; c < channels; c++, in += w->channel_step)
        for (uint32_t oy = 0; oy < w->out_h; oy++)
            for (uint32_t ox = 0; ox < w->out_w; ox++) {
                int32_t top, bottom, left, right;
                float best = -FLT_MAX, total = 0.0f;
                clip((int32_t)(oy * w->stride_h) - w->pad_top, w->kernel_h, w->in_h, &top, &bottom);
                clip((int32_t)(ox * w->stride_w) - w->pad_left, w->kernel_w, w->in_w, &left, &right);
                for (int32_t y = top; y < bottom; y++)
                    for (int32_t x = left; x < right; x++) {
                        const float value = in[(uint32_t)y * w->row_step + (uint32_t)x * w->column_step];
                        total += value;
                        if (value > best) best = value;
                    }
                const int32_t count = (bottom - top) * (right - left);
                *out++ = !mean ? best : count > 0 ? total / (float)count : 0.0f;
            }
}

void reds_f32_max_pool(const reds_window *window, uint32_t channels, const float *in, float *out) { pool(window, channels, in, out, 0); }

void reds_f32_avg_pool(const reds_window *window, uint32_t channels, const float *in, float *out) { pool(window, channels, in, out, 1); }

void reds_f32_add(const float *a, const float *b, float *out, uint32_t length, reds_activation activation, float slope) {
    const bend line = bend_of(activation, slope);
    for (uint32_t k = 0; k < length; k++) out[k] = activate(a[k] + b[k], line);
}

void reds_f32_softmax(const float *in, float *out, uint32_t length) {
    float largest = -FLT_MAX, total = 0.0f;
    for (uint32_t k = 0; k < length; k++)
        if (in[k] > largest) largest = in[k];
    for (uint32_t k = 0; k < length; k++) total += out[k] = reds_f32_exp(in[k] - largest);
    for (uint32_t k = 0; k < length; k++) out[k] /= total;
}

void reds_f32_channel_first(const float *in, float *out, uint32_t positions, uint32_t channels) {
    for (uint32_t c = 0; c < channels; c++)
        for (uint32_t p = 0; p < positions; p++) *out++ = in[p * channels + c];
}
