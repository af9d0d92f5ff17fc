
$pixel_table
void ${name}_from_pixels(const uint8_t *pixels, ${name}_element *in) {
    for (uint32_t i = 0; i < ${NAME}_INPUT_ITEMS; i++) {
        in[i] = $of_pixel[i % ${channels}u][pixels[i]];
    }
}
