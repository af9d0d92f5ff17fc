/* Layers that read or make an array of which a subnetwork has no prefix but RANGES of channels, grouped and dilated convolutions,
 * and what moves whole arrays: concatenation, padding, shuffle.
 *
 * An array that was joined of several has, in a subnetwork, the first channels of each: dense, one behind the other. Among the
 * channels of the largest subnetwork these are ranges, and so are the rows of weights that make such an array and the entries of
 * the rows that read it. In int8 every range of a row begins at a multiple of 4 entries, filled up with zeros in front of it.
 *
 * The formulas are those of reds_kernels.h; the rules there (alignment, overlap, scratch) hold here too. */
#ifndef REDS_RANGES_H
#define REDS_RANGES_H

#include "reds_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ``count`` of what lies together, from ``first`` on; of rows, ``table`` is where the width's channels have those of the first. */
typedef struct {
    uint32_t first, count, table;
} reds_range;

/* What a subnetwork has of a layer's weights. The outputs are ``groups`` times as many, each made of the next width->inputs
 * channels; without groups there is one, of all channels.
 *   make: rows of the weights, of all groups together, in the order of the outputs
 *   read: of a row, that of each group: ``first`` is an entry, ``count`` are channels (of a dense layer, entries)
 * ``dilation`` is how many positions lie from one entry of the window to the next. */
typedef struct {
    uint16_t dilation_h, dilation_w;
    uint32_t groups, reads, makes;
    const reds_range *read, *make;
} reds_spread;

/* Entries of scratch, of the largest width: with depth = inputs of a group * kernel_h * kernel_w, in int8 each range of it rounded
 * up to a multiple of 4. Where a row is read from its first entry on in one range, without dilation, what reds_..._conv needs. */
#define REDS_S8_SPREAD_SCRATCH(depth) (4u * (depth))
#define REDS_F32_SPREAD_SCRATCH(depth) (4u * (depth))

/* Convolution, depthwise (as many groups as channels) and dense (of an image of one position) with any of this. */
void reds_f32_spread(const reds_f32_layer *layer, const reds_f32_width *width, const reds_spread *spread, const float *in, float *out,
                     float *scratch);
void reds_s8_spread(const reds_s8_layer *layer, const reds_s8_width *width, const reds_spread *spread, const int8_t *in, int8_t *out,
                    int16_t *scratch);

/* A depthwise convolution of ranges without dilation; scratch as for reds_..._depthwise. Of ``spread`` it reads ``make``. */
void reds_f32_depthwise_ranges(const reds_f32_layer *layer, const reds_f32_width *width, const reds_spread *spread, const float *in,
                               float *out, float *scratch);
void reds_s8_depthwise_ranges(const reds_s8_layer *layer, const reds_s8_width *width, const reds_spread *spread, const int8_t *in,
                              int8_t *out, int16_t *scratch);

/* One array of a concatenation to its place. */
void reds_f32_concat(const float *in, float *out, uint32_t length, reds_activation activation, float slope);

/* The same from one grid to another: y = saturate((t + round) >> shift), t = (x - zero) * multiplier [leaky ReLU as in
 * reds_kernels.h, if slope is not 0]. A multiplier of 0: on the grid already, y = x. */
typedef struct {
    int32_t zero, multiplier, round, slope, shift;
} reds_s8_move;
void reds_s8_concat(const reds_s8_move *move, const int8_t *in, int8_t *out, uint32_t length);

/* An image [C][H][W] in a larger one: a border of zeros, in int8 of their ``zero``. Of the window it reads sizes and padding. */
void reds_f32_pad(const reds_window *window, uint32_t channels, const float *in, float *out);
void reds_s8_pad(const reds_window *window, uint32_t channels, const int8_t *in, int8_t *out, int32_t zero);

/* Channels [groups][each] -> [each][groups] */
void reds_f32_shuffle(const float *in, float *out, uint32_t groups, uint32_t each, uint32_t positions);
void reds_s8_shuffle(const int8_t *in, int8_t *out, uint32_t groups, uint32_t each, uint32_t positions);

/* ---- Internal ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    const reds_range *range;
    uint32_t used; /* of this range */
} reds_rows;

/* The next rows of the weights that lie together, at most ``most``; there are some. */
static inline reds_range reds_next_rows(reds_rows *at, uint32_t most) {
    while (at->used == at->range->count) at->range++, at->used = 0;
    reds_range found = {at->range->first + at->used, at->range->count - at->used, at->range->table + at->used};
    if (found.count > most) found.count = most;
    at->used += found.count;
    return found;
}

/* Whether the kernels of reds_kernels.h can do it, group by group and range by range. */
static inline int reds_is_direct(const reds_spread *spread) {
    return spread->dilation_h == 1 && spread->dilation_w == 1 && spread->reads == 1 && spread->read->first == 0;
}

#ifdef __cplusplus
}
#endif
#endif
