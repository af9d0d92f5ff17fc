
void ${name}_probabilities(uint32_t k, const int8_t *in, float *out) {
    ${name}_dequantize(k, in, out);
    reds_f32_softmax(out, out, ${NAME}_OUTPUT_ITEMS);
}
