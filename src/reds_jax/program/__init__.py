"""The program of a model: its jaxpr at full width as one list of operations, and how units pass through it.

One program has three readers: `reds_jax.graph` (channel groups and costs), `reds_jax.run` (the program at a width) and
`reds_jax.deploy` (for a device), so that a subnetwork means the same in all of them.
"""
