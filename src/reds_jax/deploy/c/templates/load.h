
/* ---- Weights from outside ----
 *
 * Weights, scales, offsets and grids of all $count subnetworks can be replaced by those of another training of the same network with the
 * same widths: ${name}_weights.bin of its export, $blob_bytes bytes. */
#define ${NAME}_WEIGHTS_BYTES ${blob_bytes}u

/* From the next inference on the network has the weights in these bytes, which must stay where they are (nothing is copied but what
 * describes them; ``size`` may be more). REDS_BLOB_FITS (0), or what is wrong with them, and then nothing changes. The bytes lie at a
 * multiple of 4. Not while an inference runs, in no network of this kind: adapt as you like, but load between two inferences.
 * After a reset the network has the weights that it was built with. */
reds_blob_fit ${name}_load(const void *blob, size_t size);

/* The revision of the weights, as the export that made them was told (this one: ${revision}). */
uint32_t ${name}_revision(void);
