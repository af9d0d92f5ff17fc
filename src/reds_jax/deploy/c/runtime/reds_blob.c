/* The check of weights that come from outside. See reds_blob.h. */
#include "reds_blob.h"

static uint32_t word(const uint8_t *bytes, uint32_t k) {
    const uint8_t *const b = bytes + 4u * k;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Four bits at a time: 16 words of table. */
static uint32_t crc32(const uint8_t *bytes, uint32_t count) {
    static const uint32_t of_nibble[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
                                           0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
                                           0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    uint32_t crc = 0xffffffffu;
    for (; count; count--) {
        crc ^= *bytes++;
        crc = crc >> 4 ^ of_nibble[crc & 15u];
        crc = crc >> 4 ^ of_nibble[crc & 15u];
    }
    return ~crc;
}

reds_blob_fit reds_blob_check(const void *blob, size_t size, const uint32_t layout[2], uint32_t bytes) {
    const uint8_t *const b = blob;
    if (!b || (uintptr_t)b % 4u) return REDS_BLOB_NOT_ALIGNED;
    if (size < 4u * (REDS_BLOB_HEAD + 1u) || b[0] != 'R' || b[1] != 'E' || b[2] != 'D' || b[3] != 'S') return REDS_BLOB_NO_WEIGHTS;
    if (word(b, 1) != REDS_BLOB_FORMAT) return REDS_BLOB_OTHER_FORMAT;
    if (word(b, 2) != bytes || word(b, 3) != layout[0] || word(b, 4) != layout[1]) return REDS_BLOB_OTHER_NETWORK;
    if (size < bytes) return REDS_BLOB_CUT_SHORT;
    return word(b, bytes / 4u - 1u) == crc32(b, bytes - 4u) ? REDS_BLOB_FITS : REDS_BLOB_DAMAGED;
}
