"""The channel graph of a network: traced from its jaxpr, used to cost, sort and cut it.

`reds_jax.trace`, `reds_jax.permute` and `reds_jax.extract` live in the modules of the same names here. What this package
itself offers needs no jax.
"""

from reds_jax.graph.channels import ChannelGraph, Group, Layer, Parameter, Pinned, Size, Step

__all__ = ["ChannelGraph", "Group", "Layer", "Parameter", "Pinned", "Size", "Step"]
