"""The channel graph of a network: traced from its jaxpr, used to cost, sort and cut it."""

from reds_jax.graph.channels import ChannelGraph, Group, Layer, Parameter, Size, Step
from reds_jax.graph.extract import Subnetwork, extract
from reds_jax.graph.permute import Scores, permute, reorder
from reds_jax.graph.trace import trace

__all__ = ["ChannelGraph", "Group", "Layer", "Parameter", "Scores", "Size", "Step", "Subnetwork", "extract", "permute",
           "reorder", "trace"]
