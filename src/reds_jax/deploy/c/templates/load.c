
static uint32_t revision = ${revision}u;

reds_blob_fit ${name}_load(const void *blob, size_t size) {
    static const uint32_t layout[2] = {$layout};
    const uint32_t *const words = blob;
    const reds_blob_fit fit = reds_blob_check(blob, size, layout, ${NAME}_WEIGHTS_BYTES);
    if (fit != REDS_BLOB_FITS) {
        return fit;
    }
    $loads
    revision = words[5];
    return REDS_BLOB_FITS;
}

uint32_t ${name}_revision(void) {
    return revision;
}
