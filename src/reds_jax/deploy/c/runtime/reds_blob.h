/* Weights and tables of a network as one array of bytes, so that a device can take in new ones ("over the air") without new code.
 *
 * Words of 32 bits, little-endian:
 *
 *   0     "REDS", as characters
 *   1     REDS_BLOB_FORMAT
 *   2     bytes of all of it, a multiple of 4
 *   3, 4  the layout: which network it fits, a number of 64 bits that the exporter computes from every size and place
 *   5     revision, a number of the user's
 *   6...  weights, scales and offsets
 *   last  CRC-32 of all bytes before (ISO 3309; polynomial 0xEDB88320, reflected)
 *
 * The CRC finds damage, not malice: whoever lets strangers send weights must check a signature before. */
#ifndef REDS_BLOB_H
#define REDS_BLOB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define REDS_BLOB_FORMAT 1u
#define REDS_BLOB_HEAD 6u /* words before the first weight */

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "weights from outside are read where they lie, which is little-endian: this processor cannot"
#endif

typedef enum {
    REDS_BLOB_FITS = 0,
    REDS_BLOB_NOT_ALIGNED,   /* a null pointer, or no multiple of 4 */
    REDS_BLOB_NO_WEIGHTS,    /* too short, or it does not begin as weights do */
    REDS_BLOB_OTHER_FORMAT,  /* of an exporter that writes another format */
    REDS_BLOB_OTHER_NETWORK, /* another layout or another size than the network's */
    REDS_BLOB_CUT_SHORT,     /* fewer bytes than it says */
    REDS_BLOB_DAMAGED        /* the CRC is another */
} reds_blob_fit;

/* The real number of a word. */
static inline float reds_blob_real(uint32_t word) {
    union {
        uint32_t word;
        float real;
    } both;
    both.word = word;
    return both.real;
}

/* Whether ``size`` bytes at ``blob`` are weights for a network with that layout and so many bytes. More bytes than the blob says
 * are allowed: flash comes in pages. Nothing outside of ``size`` is read. */
reds_blob_fit reds_blob_check(const void *blob, size_t size, const uint32_t layout[2], uint32_t bytes);

#ifdef __cplusplus
}
#endif
#endif
