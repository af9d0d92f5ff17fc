"""One architecture of the zoo: how it is built, and what must be found in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import numpy as np

Built = tuple[Any, Any, Any]
"""(model, variables or None where the model holds them, inputs)"""


@dataclass(frozen=True)
class Case:
    """An architecture as a user would write it.

    Args:
        name: of the architecture.
        build: makes (model, variables, inputs).
        cut: parameters of which an axis can be cut, as paths in the params, ``Conv_0/kernel``: the last axis, or another as
            ``query/kernel:1``.
        pinned: layers of which output channels stay at full width, so ``graph.pinned`` must name them.
    """

    name: str
    build: Callable[[], Built]
    cut: tuple[str, ...]
    pinned: tuple[str, ...] = ()


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def array(*shape: int) -> np.ndarray:
    """Normal numbers, float32."""
    return rng().normal(size=shape).astype(np.float32)


def tokens(*shape: int, vocabulary: int) -> np.ndarray:
    return rng().integers(0, vocabulary, shape).astype(np.int32)


def varied(tree: Any) -> Any:
    """Variables of these shapes as after training: scales, biases and statistics are neither 0 nor 1."""
    draw = rng()

    def vary(path: Any, leaf: Any) -> Any:
        name = str(getattr(path[-1], "key", getattr(path[-1], "name", "")))
        shape = np.shape(leaf)
        if np.dtype(leaf.dtype).kind != "f":
            return leaf
        if name in ("scale", "var", "gamma", "moving_variance") or (name == "1" and "state_index" in str(path)):
            return draw.uniform(0.5, 1.5, shape).astype(leaf.dtype)
        if name in ("bias", "mean", "beta", "moving_mean"):
            return (0.2 * draw.normal(size=shape)).astype(leaf.dtype)
        fan_in = max(1, int(np.prod(shape[:-1]))) if len(shape) > 1 else 4
        return (draw.normal(size=shape) / np.sqrt(fan_in)).astype(leaf.dtype)

    return jax.tree_util.tree_map_with_path(vary, tree)


def linen(name: str, module: nn.Module, *inputs: Any, cut: tuple[str, ...], pinned: tuple[str, ...] = ()) -> Case:
    """The case of a flax.linen module with these inputs; one input that is a dict goes in by name."""
    args, kwargs = ((), inputs[0]) if isinstance(inputs[0], dict) else (inputs, {})

    def build() -> Built:
        keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        shapes = jax.eval_shape(lambda a, k: module.init(keys, *a, **k), args, kwargs)
        return module, varied(shapes), inputs[0] if len(inputs) == 1 else inputs

    return Case(name, build, cut, pinned)
