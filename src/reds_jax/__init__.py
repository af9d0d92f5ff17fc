"""Nested, resource-adaptive subnetworks for JAX and Flax: one set of weights, many widths."""
