"""From a nested network to a device program: `program` is the list of operations, `lower` makes it, `simulate` runs it in JAX.

The rules, one a primitive, are in `elementwise_rules` and `layer_rules`; `forms` is what they compute with, and `refusal` what
they say where they cannot follow. Whoever writes a program down begins with `subnetworks`.
"""
