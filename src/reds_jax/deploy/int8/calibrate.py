"""Ranges of every array of a device program, from real inputs: the first half of post-training quantisation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from reds_jax.array_types import Float, Float32, Int8, Shaped
from reds_jax.deploy.lowering.program import Program
from reds_jax.deploy.lowering.simulate import simulate
from reds_jax.errors import InvalidArgumentError

Rule = Literal["minmax", "mse"]
_SAMPLES = 1 << 14  # values of a tensor that are looked at, from every batch
_SHRINKS = np.linspace(0.3, 1.0, 71)


@dataclass(frozen=True)
class Scale:
    """An 8-bit grid: ``real = scale * (stored - zero)`` with stored in [-128, 127]; zero is on the grid."""

    scale: float
    zero: int

    @classmethod
    def of_range(cls, low: float, high: float) -> Scale:
        """The grid that covers [low, high] and 0."""
        low, high = min(float(low), 0.0), max(float(high), 0.0)
        scale = (high - low) / 255 if high - low > 1e-27 else 1 / 255  # an array of zeros has any scale
        return cls(scale, int(np.clip(round(-128 - low / scale), -128, 127)))

    def quantize(self, x: ArrayLike) -> Int8[np.ndarray, "*shape"]:
        """The nearest grid points, as int8, in single precision as a device does it; what lies outside is clipped.

        NaN is an error.
        """
        x = np.asarray(x, np.float32)
        if np.isnan(x).any():
            raise InvalidArgumentError("an input to be quantised holds NaN")
        with np.errstate(over="ignore"):
            return np.clip(np.rint(x / np.float32(self.scale)) + self.zero, -128, 127).astype(np.int8)

    def dequantize(self, q: ArrayLike) -> Float32[np.ndarray, "*shape"]:
        return np.float32(self.scale) * (np.asarray(q, np.float32) - self.zero)


@dataclass(frozen=True)
class Ranges:
    """``low[k][t]`` and ``high[k][t]``: what tensor t of subnetwork k is to cover."""

    low: Float[np.ndarray, "subnetworks tensors"]
    high: Float[np.ndarray, "subnetworks tensors"]


def calibrate(
    program: Program, batches: Iterable[Shaped[np.ndarray, "_batch ..."]], *, rule: Rule = "mse", seed: int = 0
) -> Ranges:
    """Run every subnetwork on the batches and choose the range of every tensor.

    Args:
        batches: inputs [N, ...] as the network gets them in use; a few hundred examples of the training data. Labels are not
            needed, and test data are not to be used: calibration is a choice.
        rule: ``"minmax"`` covers all values seen; ``"mse"`` clips where that makes the mean squared error of the rounded
            values smallest (on a random sample of the values; Banner et al. 2019, arXiv 1810.05723, choose a clip this way).
        seed: of the sample.
    """
    if rule not in ("minmax", "mse"):
        raise InvalidArgumentError("there is no such calibration rule", got=rule, allowed="'minmax' or 'mse'")
    k_count, t_count = program.subnetworks, len(program.tensors)
    low = np.full((k_count, t_count), np.inf)
    high = np.full((k_count, t_count), -np.inf)
    samples: list[list[list[np.ndarray]]] = [[[] for _ in range(t_count)] for _ in range(k_count)]
    rng = np.random.default_rng(seed)
    runs = [simulate(program, k) for k in range(k_count)]
    for batch in batches:
        if not len(batch):
            continue
        for k, run in enumerate(runs):
            for t, value in enumerate(run(jnp.asarray(batch, jnp.float32))):
                value = np.asarray(value).ravel()
                low[k, t], high[k, t] = min(low[k, t], value.min()), max(high[k, t], value.max())
                samples[k][t].append(value if value.size <= _SAMPLES else rng.choice(value, _SAMPLES, replace=False))
    if not np.isfinite(low).all() or not np.isfinite(high).all():
        raise InvalidArgumentError("calibration needs at least one batch of finite inputs and outputs",
                                   hint="Pass a few hundred training examples; check the model for NaN and infinity.")
    if rule == "mse":
        logits = {program.output, program.without_softmax().output}  # clipping these would tie the best classes
        for k in range(k_count):
            for t in set(range(t_count)) - logits:
                low[k, t], high[k, t] = _clip(np.concatenate(samples[k][t]), low[k, t], high[k, t])
    low[:, 0], high[:, 0] = low[:, 0].min(), high[:, 0].max()  # one input for all subnetworks
    return Ranges(low, high)


def _clip(sample: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The shrunken range whose grid has the smallest mean squared error on a sample."""
    errors = []
    for shrink in _SHRINKS:
        grid = Scale.of_range(shrink * low, shrink * high)
        q = np.clip(np.rint(sample / grid.scale) + grid.zero, -128, 127)
        errors.append(np.mean((grid.scale * (q - grid.zero) - sample) ** 2))
    best = _SHRINKS[int(np.argmin(errors))]
    return best * low, best * high
