
/* From the 8-bit pixels of a camera, $shape, to the input of the network: (pixel / 255 - mean) / std, as in training. */
void ${name}_from_pixels(const uint8_t *pixels, ${name}_element *in);
