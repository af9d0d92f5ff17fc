"""Nested, resource-adaptive subnetworks for JAX and Flax: one set of weights, many widths."""

from typing import TYPE_CHECKING

from reds_jax.lazy import exports

if TYPE_CHECKING:
    from reds_jax import adapters, data, importance, knapsack, models, run, theory, training
    from reds_jax.adapters import adapt
    from reds_jax.choice import Subnetworks
    from reds_jax.compiled import keep_compiled
    from reds_jax.cost import width_problem
    from reds_jax.graph import ChannelGraph
    from reds_jax.graph.permute import permute
    from reds_jax.graph.trace import trace
    from reds_jax.lowering import describe_backend
    from reds_jax.memory import keep_memory
    from reds_jax.network import NestedNetwork
    from reds_jax.pipeline import nest
    from reds_jax.private import Private
    from reds_jax.repaired import repair
    from reds_jax.run.extract import Subnetwork, extract
    from reds_jax.slimmable import Slimmable
    from reds_jax.version import __version__ as __version__
    from reds_jax.widths import Width, Widths

__all__ = [
    "ChannelGraph", "NestedNetwork", "Private", "Slimmable", "Subnetwork", "Subnetworks", "Width", "Widths", "adapt",
    "adapters", "data", "describe_backend", "extract", "importance", "keep_compiled", "keep_memory", "knapsack", "models",
    "nest", "permute", "repair", "run", "theory", "trace", "training", "width_problem",
]

__getattr__ = exports(__name__, {
    "ChannelGraph": "reds_jax.graph", "permute": "reds_jax.graph.permute", "trace": "reds_jax.graph.trace",
    **dict.fromkeys(["Subnetwork", "extract"], "reds_jax.run.extract"),
    **dict.fromkeys(["Width", "Widths"], "reds_jax.widths"), "describe_backend": "reds_jax.lowering",
    "Subnetworks": "reds_jax.choice", "nest": "reds_jax.pipeline", "Private": "reds_jax.private",
    "repair": "reds_jax.repaired", "keep_compiled": "reds_jax.compiled", "keep_memory": "reds_jax.memory",
    **{module: f"reds_jax.{module}" for module in (
        "adapters", "data", "importance", "knapsack", "models", "run", "theory", "training")},
    "NestedNetwork": "reds_jax.network", "Slimmable": "reds_jax.slimmable", "adapt": "reds_jax.adapters",
    "width_problem": "reds_jax.cost", "__version__": "reds_jax.version",
})
