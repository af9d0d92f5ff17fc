"""Width-aware layers and operations: write a flax.linen module with them, and it runs at any width."""

from reds_jax.nn.layers import BatchNorm, Conv, Dense, DepthwiseConv
from reds_jax.nn.lowering import lowering
from reds_jax.nn.ops import (
    activation,
    add,
    avg_pool,
    concat,
    flatten,
    global_avg_pool,
    leaky_relu,
    max_pool,
    relu,
    relu6,
)
from reds_jax.nn.sharing import sharing

__all__ = [
    "BatchNorm", "Conv", "Dense", "DepthwiseConv", "activation", "add", "avg_pool", "concat", "flatten",
    "global_avg_pool", "leaky_relu", "lowering", "max_pool", "relu", "relu6", "sharing",
]
