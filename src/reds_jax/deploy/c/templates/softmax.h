
/* The probabilities of the classes, from the outputs of subnetwork k. */
void ${name}_probabilities(uint32_t k, const int8_t *in, float *out);
