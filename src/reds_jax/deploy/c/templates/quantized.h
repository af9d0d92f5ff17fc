
/* Real inputs on the grid of the network, real = $input_scale * (stored - ($input_zero)); what lies outside is clipped. */
void ${name}_quantize(const float *in, int8_t *out);

/* The real outputs of subnetwork k. */
void ${name}_dequantize(uint32_t k, const int8_t *in, float *out);
