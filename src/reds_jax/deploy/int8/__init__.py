"""A device program in 8 bits: ranges (`calibrate`), weights and scales (`quantize`), its answers in JAX (`simulate`)."""
