/* float32 layers over ranges of channels, grouped and dilated; concatenation, padding, shuffle. See reds_ranges.h. */
#include "reds_ranges.h"
#include "reds_f32_line.h"
#include "reds_f32_products.h"

/* The inputs of output position p, ``step`` entries apart. */
static void gather(const reds_window *w, const reds_spread *spread, uint32_t inputs, const float *in, float *to, uint32_t step,
                   uint32_t p) {
    const uint32_t oy = p / w->out_w, ox = p - oy * w->out_w;
    const int32_t top = (int32_t)(oy * w->stride_h) - w->pad_top, left = (int32_t)(ox * w->stride_w) - w->pad_left;
    const int32_t bottom = top + (int32_t)w->kernel_h * spread->dilation_h, right = left + (int32_t)w->kernel_w * spread->dilation_w;
    for (uint32_t i = 0; i < inputs; i++, in += w->channel_step)
        for (int32_t y = top; y < bottom; y += spread->dilation_h)
            for (int32_t x = left; x < right; x += spread->dilation_w, to += step)
                *to = y >= 0 && y < w->in_h && x >= 0 && x < w->in_w ? in[(uint32_t)y * w->row_step + (uint32_t)x * w->column_step]
                                                                      : 0.0f;
}

/* sum[r][c] = row r of the weights times position c, over all ranges; 4 rows or 1, 4 positions or 1 */
static void products(const float *weights, uint32_t row, const reds_spread *spread, uint32_t area, const float *x, uint32_t rows,
                     uint32_t columns, float sum[4][4]) {
    for (uint32_t r = 0; r < 4; r++)
        for (uint32_t c = 0; c < 4; c++) sum[r][c] = 0.0f;
    for (const reds_range *range = spread->read, *const end = range + spread->reads; range != end; range++) {
        const uint32_t length = range->count * area;
        const float *const w = weights + range->first;
        if (columns == 4) {
            float part[4][4] = {{0.0f}};
            if (rows == 4) reds_f32_four_by_four(w, row, x, 4, length, part);
            else reds_f32_one_by_four(w, x, 4, length, part[0]);
            for (uint32_t r = 0; r < rows; r++)
                for (uint32_t c = 0; c < 4; c++) sum[r][c] += part[r][c];
        } else {
            float part[4] = {0.0f};
            if (rows == 4) reds_f32_four_rows(w, row, x, length, part);
            else part[0] = reds_f32_one_row(w, x, length);
            for (uint32_t r = 0; r < rows; r++) sum[r][0] += part[r];
        }
        x += length * columns;
    }
}

/* The outputs of rows that lie together, at 4 positions or 1. */
static void multiply(const reds_f32_layer *layer, const reds_f32_width *width, const reds_spread *spread, reds_range rows,
                     const float *x, uint32_t columns, float *out, uint32_t positions) {
    const bend line = bend_of(layer->activation, layer->slope);
    const uint32_t area = (uint32_t)layer->window.kernel_h * layer->window.kernel_w;
    const reds_f32_channel *channel = width->channels + rows.table;
    const float *weights = layer->weights + rows.first * layer->row;
    for (uint32_t done = 0; done < rows.count;) {
        const uint32_t block = rows.count - done >= 4 ? 4 : 1;
        float sum[4][4];
        products(weights, layer->row, spread, area, x, block, columns, sum);
        for (uint32_t r = 0; r < block; r++, channel++, out += positions)
            for (uint32_t c = 0; c < columns; c++) out[c] = finish(sum[r][c], *channel, line);
        done += block, weights += block * layer->row;
    }
}

/* By the convolution without ranges. */
static void direct(const reds_f32_layer *layer, const reds_f32_width *width, const reds_spread *spread, const float *in, float *out,
                   float *scratch) {
    const uint32_t positions = (uint32_t)layer->window.out_h * layer->window.out_w, each = width->outputs / spread->groups;
    reds_f32_layer part = *layer;
    reds_f32_width some = *width;
    reds_rows at = {spread->make, 0};
    for (uint32_t g = 0; g < spread->groups; g++, in += width->inputs * layer->window.channel_step)
        for (uint32_t left = each; left != 0; left -= some.outputs, out += some.outputs * positions) {
            const reds_range rows = reds_next_rows(&at, left);
            part.weights = layer->weights + rows.first * layer->row;
            some.outputs = rows.count, some.channels = width->channels + rows.table;
            reds_f32_conv(&part, &some, in, out, scratch);
        }
}

void reds_f32_spread(const reds_f32_layer *layer, const reds_f32_width *width, const reds_spread *spread, const float *in, float *out,
                     float *scratch) {
    const reds_window *const w = &layer->window;
    const uint32_t positions = (uint32_t)w->out_h * w->out_w, each = width->outputs / spread->groups;
    if (reds_is_direct(spread)) {
        direct(layer, width, spread, in, out, scratch);
        return;
    }
    for (uint32_t p = 0, columns; p < positions; p += columns) {
        columns = positions - p >= 4 ? 4 : 1;
        reds_rows at = {spread->make, 0};
        const float *from = in;
        float *to = out + p;
        for (uint32_t g = 0; g < spread->groups; g++, from += width->inputs * w->channel_step) {
            for (uint32_t c = 0; c < columns; c++) gather(w, spread, width->inputs, from, scratch + c, columns, p + c);
            for (uint32_t left = each; left != 0;) {
                const reds_range rows = reds_next_rows(&at, left);
                multiply(layer, width, spread, rows, scratch, columns, to, positions);
                left -= rows.count, to += rows.count * positions;
            }
        }
    }
}

void reds_f32_depthwise_ranges(const reds_f32_layer *layer, const reds_f32_width *width, const reds_spread *spread, const float *in,
                               float *out, float *scratch) {
    const uint32_t positions = (uint32_t)layer->window.out_h * layer->window.out_w;
    reds_f32_layer part = *layer;
    reds_f32_width some = *width;
    for (uint32_t n = 0; n < spread->makes; n++) {
        some.inputs = some.outputs = spread->make[n].count;
        if (some.outputs == 0) continue;
        some.channels = width->channels + spread->make[n].table;
        part.weights = layer->weights + spread->make[n].first * layer->row;
        reds_f32_depthwise(&part, &some, in, out, scratch);
        in += some.outputs * layer->window.channel_step, out += some.outputs * positions;
    }
}

void reds_f32_concat(const float *in, float *out, uint32_t length, reds_activation activation, float slope) {
    const bend line = bend_of(activation, slope);
    for (uint32_t k = 0; k < length; k++) out[k] = activate(in[k], line);
}

void reds_f32_pad(const reds_window *window, uint32_t channels, const float *in, float *out) {
    const reds_window *const w = window;
    for (uint32_t c = 0; c < channels; c++, in += w->channel_step)
        for (int32_t y = -(int32_t)w->pad_top; y < w->out_h - w->pad_top; y++)
            for (int32_t x = -(int32_t)w->pad_left; x < w->out_w - w->pad_left; x++)
                *out++ = y >= 0 && y < w->in_h && x >= 0 && x < w->in_w ? in[(uint32_t)y * w->row_step + (uint32_t)x * w->column_step]
                                                                         : 0.0f;
}

void reds_f32_shuffle(const float *in, float *out, uint32_t groups, uint32_t each, uint32_t positions) {
    for (uint32_t j = 0; j < each; j++)
        for (uint32_t g = 0; g < groups; g++) {
            const float *const from = in + (g * each + j) * positions;
            for (uint32_t p = 0; p < positions; p++) *out++ = from[p];
        }
}
