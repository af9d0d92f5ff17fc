"""Nested, resource-adaptive subnetworks for JAX and Flax: one set of weights, many widths."""

from reds_jax.graph import ChannelGraph, Subnetwork, extract, permute, trace
from reds_jax.widths import Width, Widths

__all__ = ["ChannelGraph", "Subnetwork", "Width", "Widths", "extract", "permute", "trace"]
