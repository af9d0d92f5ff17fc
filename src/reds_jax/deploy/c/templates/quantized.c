
void ${name}_quantize(const float *in, int8_t *out) {
    const float low = (float)(-128 - ($grid_zero)), high = (float)(127 - ($grid_zero));
    for (uint32_t i = 0; i < ${NAME}_INPUT_ITEMS; i++) {
        float x = in[i] / $grid_scale;
        if (!(x > low)) { /* also what is not a number */
            x = low;
        } else if (x > high) {
            x = high;
        }
        /* to the nearest integer, halves to the even one: below 2^22 the sum keeps no fraction */
        const volatile float shifted = x + 12582912.0f;
        out[i] = (int8_t)((int32_t)(shifted - 12582912.0f) + ($grid_zero));
    }
}

void ${name}_dequantize(uint32_t k, const int8_t *in, float *out) {
    const ${name}_info_t *const info = &subnetworks[k > (uint32_t)${NAME}_LARGEST ? (uint32_t)${NAME}_LARGEST : k].info;
    for (uint32_t i = 0; i < ${NAME}_OUTPUT_ITEMS; i++) {
        out[i] = info->output_scale * (float)((int32_t)in[i] - info->output_zero);
    }
}
