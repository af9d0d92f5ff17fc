"""Ranges of every array of a device program, from real inputs: the first half of post-training quantisation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from reds_jax.array_types import Float, Float32, Int8, Shaped
from reds_jax.deploy.lowering.examples import floats
from reds_jax.deploy.lowering.program import Program
from reds_jax.deploy.lowering.simulate import simulate
from reds_jax.errors import InvalidArgumentError

Rule = Literal["minmax", "mse", "percentile"]
PERCENTAGE = 99.9
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
    program: Program, batches: Iterable[Shaped[np.ndarray, "_batch ..."]], *, rule: Rule = "mse",
    percentage: float = PERCENTAGE, seed: int = 0,
) -> Ranges:
    r"""Run every subnetwork on the batches and choose the range of every tensor.

    Of the n values of a tensor, sorted as :math:`v_1 \le \dots \le v_n` (of large ones a random sample):

    - ``"minmax"`` covers :math:`[v_1, v_n]`;
    - ``"mse"`` covers :math:`[s v_1, s v_n]` with the s in [0.3, 1] that makes the mean squared error of the rounded values
      smallest (Banner et al. 2019, arXiv 1810.05723, choose a clip this way); one value far outside is worth more to it than
      all others, and the logits are not clipped;
    - ``"percentile"`` covers :math:`[v_{1+m}, v_{n-m}]`, :math:`m = \lfloor n (1 - p/100) / 2 \rfloor`, p the percentage:
      at each end it leaves out half of the rest, however far out that is, of the logits too (Wu et al. 2020,
      arXiv 2004.09602). The inputs come first: all other tensors are seen behind clipped inputs, as on the device.

    Args:
        batches: inputs [N, ...] as the network gets them in use; a few hundred examples of the training data. Labels are not
            needed, and test data are not to be used: calibration is a choice.
        rule: one of these.
        percentage: of the values that ``"percentile"`` covers, above 50 and up to 100.
        seed: of the sample.

    Raises:
        InvalidArgumentError: a rule or percentage that is not allowed, inputs of another shape or type than the network was
            traced with, or none that is finite.
    """
    if rule not in get_args(Rule):
        raise InvalidArgumentError("there is no such calibration rule", got=rule, allowed="'minmax', 'mse' or 'percentile'")
    if not 50 < percentage <= 100:
        raise InvalidArgumentError("the percentage of the values that ranges cover is out of range", got=percentage,
                                   allowed="above 50, up to 100")
    batches = [floats(batch, program.input_shape, "the calibration examples") for batch in batches if len(batch)]
    if rule == "percentile" and batches:
        values = np.concatenate([batch.ravel() for batch in batches])
        batches = [np.clip(batch, *_inner(values, values.min(), values.max(), percentage)) for batch in batches]
    k_count, t_count = program.subnetworks, len(program.tensors)
    low = np.full((k_count, t_count), np.inf)
    high = np.full((k_count, t_count), -np.inf)
    samples: list[list[list[np.ndarray]]] = [[[] for _ in range(t_count)] for _ in range(k_count)]
    rng = np.random.default_rng(seed)
    runs = [simulate(program, k) for k in range(k_count)]
    for batch in batches:
        for k, run in enumerate(runs):
            for t, value in enumerate(run(jnp.asarray(batch))):
                value = np.asarray(value).ravel()
                low[k, t], high[k, t] = min(low[k, t], value.min()), max(high[k, t], value.max())
                samples[k][t].append(value if value.size <= _SAMPLES else rng.choice(value, _SAMPLES, replace=False))
    if not np.isfinite(low).all() or not np.isfinite(high).all():
        raise InvalidArgumentError("calibration needs at least one batch of finite inputs and outputs",
                                   hint="Pass a few hundred training examples; check the model for NaN and infinity.")
    if rule == "percentile":
        for k in range(k_count):
            for t in range(1, t_count):
                low[k, t], high[k, t] = _inner(np.concatenate(samples[k][t]), low[k, t], high[k, t], percentage)
    elif rule == "mse":
        logits = {program.output, program.without_softmax().output}  # clipping these would tie the best classes
        for k in range(k_count):
            for t in set(range(t_count)) - logits:
                low[k, t], high[k, t] = _clip(np.concatenate(samples[k][t]), low[k, t], high[k, t])
    low[:, 0], high[:, 0] = low[:, 0].min(), high[:, 0].max()  # one input for all subnetworks
    return Ranges(low, high)


def _inner(sample: np.ndarray, low: float, high: float, percentage: float) -> tuple[float, float]:
    """The range of all values but the outermost ones; of an array that is nearly all zeros, the range of all."""
    left_out = int(len(sample) * (100 - percentage) / 200 + 1e-9)
    if not left_out:
        return low, high
    ends = np.partition(sample, [left_out, len(sample) - 1 - left_out])
    found = float(ends[left_out]), float(ends[len(sample) - 1 - left_out])
    return found if any(found) else (low, high)


def _clip(sample: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The shrunken range whose grid has the smallest mean squared error on a sample."""
    errors = []
    for shrink in _SHRINKS:
        grid = Scale.of_range(shrink * low, shrink * high)
        q = np.clip(np.rint(sample / grid.scale) + grid.zero, -128, 127)
        errors.append(np.mean((grid.scale * (q - grid.zero) - sample) ** 2))
    best = _SHRINKS[int(np.argmin(errors))]
    return best * low, best * high
