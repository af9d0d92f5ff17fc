"""Nested, resource-adaptive subnetworks for JAX and Flax: one set of weights, many widths."""

from typing import TYPE_CHECKING

from reds_jax.lazy import exports

if TYPE_CHECKING:
    from reds_jax import data, importance, knapsack, models, nn, theory, training
    from reds_jax.cost import width_problem
    from reds_jax.graph import ChannelGraph
    from reds_jax.graph.extract import Subnetwork, extract
    from reds_jax.graph.permute import permute
    from reds_jax.graph.trace import trace
    from reds_jax.network import NestedNetwork
    from reds_jax.pipeline import Subnetworks, nest
    from reds_jax.widths import Width, Widths

__all__ = [
    "ChannelGraph", "NestedNetwork", "Subnetwork", "Subnetworks", "Width", "Widths", "data", "extract", "importance",
    "knapsack", "models", "nest", "nn", "permute", "theory", "trace", "training", "width_problem",
]

__getattr__ = exports(__name__, {
    "ChannelGraph": "reds_jax.graph", "permute": "reds_jax.graph.permute", "trace": "reds_jax.graph.trace",
    **dict.fromkeys(["Subnetwork", "extract"], "reds_jax.graph.extract"),
    **dict.fromkeys(["Width", "Widths"], "reds_jax.widths"),
    **dict.fromkeys(["Subnetworks", "nest"], "reds_jax.pipeline"),
    **{module: f"reds_jax.{module}" for module in ("data", "importance", "knapsack", "models", "nn", "theory", "training")},
    "NestedNetwork": "reds_jax.network", "width_problem": "reds_jax.cost",
})
