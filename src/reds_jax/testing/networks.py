"""Small networks built from a list of layers, with random variables: what the strategies draw and the properties run on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.adapters.pure import arguments
from reds_jax.program.flat import leaf_path
from reds_jax.slimmable import Slimmable
from reds_jax.testing.blocks import ZEROS, Attention, Decaying, Gate, Recurrent, Stack, Twice, shuffle

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "none": lambda x: x, "relu": nn.relu, "maximum": lambda x: jnp.maximum(x, 0), "tanh": jnp.tanh, "sigmoid": nn.sigmoid,
    "leaky_relu": lambda x: nn.leaky_relu(x, 0.3), "softplus": nn.softplus, "shifted_relu": lambda x: nn.relu(x) + 1,
    "relu6": nn.relu6,
}
"""By name; sigmoid, softplus and shifted_relu are not 0 at 0, so that a mask before them is not a mask behind them."""


@dataclass(frozen=True)
class LayerSpec:
    """One layer of a `RandomNet`.

    Args:
        kind: conv, depthwise, dense, norm, layer_norm, act, dropout, max_pool, avg_pool, mean, reshape (a flatten over H, W,
            C), flatten (one that goes channel by channel), turn (a transpose there and back), slice (every second channel
            where ``groups`` is 2, else the first ones), gate, shuffle, twice (shared weights), scan, gru, stack, attention;
            or of ``parts``: residual (a sum; an empty part is the identity), maybe (a residual where the shapes allow it),
            concat, and split (each part gets a part of the channels).
        features: channels that it makes.
        groups: of a convolution or a shuffle.
        norm, act: batch norm and an activation behind it.
        norm_form: which parameters batch norm has: both, scale, bias or neither.
    """

    kind: str
    features: int = 0
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    groups: int = 1
    bias: bool = True
    norm: bool = False
    norm_form: str = "both"
    act: str = "none"
    parts: tuple[tuple[LayerSpec, ...], ...] = ()


class RandomNet(nn.Module):
    """Images [N, H, W, I] -> one output per head; a head is a list of layers that all read the trunk's result.

    Its kernels start at zero, which is quick to trace: the variables come from `random_variables`. ``normalise`` is a mean and
    a deviation for every channel of the input; ``ending`` is softmax or argmax, behind every head.

    Args:
        trunk: layers that all heads share.
        heads: layers of each head.
        outputs: of each head.
        normalise: mean and deviation for every channel of the input.
        ending: "none", "softmax" or "argmax".
    """

    trunk: tuple[LayerSpec, ...]
    heads: tuple[tuple[LayerSpec, ...], ...]
    outputs: int = 2
    normalise: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    ending: str = "none"

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> tuple[Any, ...]:
        if self.normalise is not None:
            mean, deviation = (np.asarray(v, np.float32).reshape(*(1,) * (x.ndim - 1), -1) for v in self.normalise)
            x = (x - mean) / deviation
        x = self._run(self.trunk, x, train)
        return tuple(self._output(self._run(head, x, train)) for head in self.heads)

    def _output(self, x: Any) -> Any:
        layer = nn.Conv(self.outputs, (1, 1), kernel_init=ZEROS) if x.ndim == 4 else nn.Dense(self.outputs, kernel_init=ZEROS)
        return {"none": lambda x: x, "softmax": nn.softmax, "argmax": lambda x: jnp.argmax(x, -1)}[self.ending](layer(x))

    def _run(self, layers: tuple[LayerSpec, ...], x: Any, train: bool) -> Any:
        for layer in layers:
            x = self._layer(layer, x, train)
            if layer.norm or layer.kind == "norm":
                scale, bias = (layer.norm_form in ("both", name) for name in ("scale", "bias"))
                x = nn.BatchNorm(not train, momentum=0.75, epsilon=1e-3, use_scale=scale, use_bias=bias)(x)
            x = ACTIVATIONS[layer.act](x)
        return x

    def _layer(self, spec: LayerSpec, x: Any, train: bool) -> Any:
        match spec.kind:
            case "conv" | "depthwise":
                groups = x.shape[-1] if spec.kind == "depthwise" else spec.groups
                return nn.Conv(spec.features, spec.kernel, spec.strides, spec.padding, feature_group_count=groups,
                               use_bias=spec.bias, kernel_init=ZEROS)(x)
            case "dense":
                return nn.Dense(spec.features, use_bias=spec.bias, kernel_init=ZEROS)(x)
            case "residual" | "maybe" | "concat" | "split":
                return self._joined(spec, x, train)
            case "dropout":
                return nn.Dropout(0.5, deterministic=not train)(x)
            case "layer_norm":
                return nn.LayerNorm()(x)
            case "gate" | "twice" | "scan" | "stack" | "attention":
                return {"gate": Gate, "twice": Twice, "scan": Decaying, "stack": Stack, "attention": Attention}[spec.kind]()(x)
            case "gru":
                return Recurrent(spec.features)(x)
            case "norm" | "act":
                return x
            case _:
                return _moved(spec, x)

    def _joined(self, spec: LayerSpec, x: Any, train: bool) -> Any:
        inputs = [x] * len(spec.parts)
        if spec.kind == "split":
            inputs = jnp.array_split(x, len(spec.parts), -1)
        branches = [self._run(part, y, train) for part, y in zip(spec.parts, inputs, strict=True)]
        if spec.kind in ("concat", "split"):
            return jnp.concatenate(branches, -1)
        if spec.kind == "maybe":
            (y,) = branches
            return x + y if x.shape == y.shape else y
        return sum(branches[1:], branches[0])


def _moved(spec: LayerSpec, x: Any) -> Any:
    """Layers without parameters."""
    match spec.kind:
        case "max_pool":
            return nn.max_pool(x, spec.kernel, spec.strides, spec.padding)
        case "avg_pool":
            return nn.avg_pool(x, spec.kernel, spec.strides, spec.padding, count_include_pad=False)
        case "mean":
            return jnp.mean(x, (1, 2))
        case "flatten":
            return x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
        case "reshape":
            return x.reshape(x.shape[0], -1)
        case "turn":
            return (jnp.tanh(x.transpose(0, 3, 2, 1)) * 2).transpose(0, 3, 2, 1)
        case "slice":
            return x[..., :: spec.groups][..., : spec.features]
        case "shuffle":
            return shuffle(x, spec.groups)
    raise ValueError(f"unknown kind of layer {spec.kind!r}")


def random_variables(model: nn.Module, x: Any, *, seed: int = 0, integers: bool = False) -> Any:
    """Variables of a flax.linen module for inputs like ``x``, float32, NumPy: every array random, the statistics too.

    Scales and biases have both signs; the variances lie in [0.3, 2]. With ``integers`` all weights are -1, 0 or 1, scales and
    means small integers and variances 1 - 1e-3, which an epsilon of 1e-3 completes to 1: every value of a network of ReLUs is
    an integer up to rounding of that one sum, and exact without batch norm.

    Args:
        model: a flax.linen module.
        x: an input [N, ...].
        seed: of all values.
        integers: as above.
    """
    args, kwargs = ((x,), {}) if isinstance(model, Slimmable) else arguments(x)
    shapes = jax.eval_shape(model.init, jax.random.key(0), *args, **kwargs)
    rng = np.random.default_rng(seed)

    def draw(path: Any, array: Any) -> np.ndarray:
        name = leaf_path(path).rsplit("/", 1)[-1]
        if name == "var":
            values = np.full(array.shape, 1 - 1e-3) if integers else rng.uniform(0.3, 2, array.shape)
        elif integers:
            values = rng.integers(-1, 2, array.shape)
        else:
            values = rng.normal(0, 1, array.shape) / (math.sqrt(math.prod(array.shape[:-1])) if name == "kernel" else 1)
        return np.asarray(values, np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)
