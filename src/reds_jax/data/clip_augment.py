"""Augmentation of waveforms on the device: a shift in time and recorded noise, one key a batch, vectorised over it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..array_types import Array, Float, Int, Num
from ..checks import integer, number
from ..errors import InvalidArgumentError

Waveforms = Num[Array, "batch samples"]


def shift_clips(clips: Waveforms, shifts: Int[Array, " batch"], most: int) -> Waveforms:
    """``y[t] = x[t - d]`` for the shift d of each clip, in samples from -most to most; zeros come in."""
    padded = jnp.pad(clips, ((0, 0), (most, most)))
    return jax.vmap(lambda clip, d: jax.lax.dynamic_slice_in_dim(clip, most - d, clips.shape[1]))(padded, shifts)


def add_noise(clips: Waveforms, noise: Num[Array, " recorded"], starts: Int[Array, " batch"],
              volumes: Float[Array, " batch"]) -> Waveforms:
    """``y = x + v n[s : s + S]``, cut off at full scale; integers are rounded and stay integers.

    Args:
        clips: [N, S], int16 or floats from -1 to 1.
        noise: of the same type, recordings one behind the other, longer than a clip.
        starts: where the noise of each clip begins.
        volumes: what it is multiplied by.
    """
    taken = jax.vmap(lambda s: jax.lax.dynamic_slice_in_dim(noise, s, clips.shape[1]))(starts)
    mixed = clips.astype(jnp.float32) + volumes[:, None].astype(jnp.float32) * taken.astype(jnp.float32)
    if jnp.issubdtype(clips.dtype, jnp.integer):
        return jnp.clip(jnp.round(mixed), -32768, 32767).astype(clips.dtype)
    return jnp.clip(mixed, -1, 1)


@partial(jax.tree_util.register_dataclass, data_fields=["noise"], meta_fields=["max_shift", "volume", "probability"])
@dataclass(frozen=True, eq=False)
class ClipAugment:
    """A random shift in time, then random noise; called with (key, waveforms), which keep their type.

    A pytree: the recordings are an argument of the compiled training step, not a constant in it. Two are equal if their
    settings and recordings are.

    Args:
        noise: recordings [M] one behind the other, longer than a clip, of the same type; None: no noise.
        max_shift: each clip is moved by -d..d samples; 1600 are 100 ms at 16 kHz.
        volume: of the noise, drawn from 0 up to it.
        probability: that a clip gets noise at all.

    Raises:
        InvalidArgumentError: an option out of range, or inputs that are no waveforms.

    Source: Warden 2018, arXiv 1804.03209; the defaults are those of its training code.
    """

    noise: Any = None
    max_shift: int = 1600
    volume: float = 0.1
    probability: float = 0.8

    def __post_init__(self) -> None:
        integer("max_shift", self.max_shift, 0)
        number("volume", self.volume, 0, 1)
        number("probability", self.probability, 0, 1)

    def _identity(self) -> tuple[Any, ...]:
        noise = None if self.noise is None else np.asarray(self.noise)
        digest = "none" if noise is None else f"{noise.dtype}, {hashlib.sha256(noise.tobytes()).hexdigest()[:16]}"
        return digest, self.max_shift, self.volume, self.probability

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClipAugment) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        digest, max_shift, volume, probability = self._identity()
        return f"ClipAugment(noise=<{digest}>, {max_shift=}, {volume=}, {probability=})"

    def __call__(self, key: Array, clips: Waveforms) -> Waveforms:
        if getattr(clips, "ndim", None) != 2 or clips.dtype not in (jnp.int16, jnp.float32):
            raise InvalidArgumentError("this augmentation takes waveforms", got=getattr(clips, "shape", type(clips).__name__),
                                       allowed="int16 or float32 [N, S]", hint="Features cannot be shifted any more.")
        n, samples = clips.shape
        shift_key, start_key, volume_key, whether_key = jax.random.split(key, 4)
        if self.max_shift:
            clips = shift_clips(clips, jax.random.randint(shift_key, (n,), -self.max_shift, self.max_shift + 1), self.max_shift)
        if self.noise is None:
            return clips
        if self.noise.ndim != 1 or self.noise.dtype != clips.dtype or len(self.noise) <= samples:
            raise InvalidArgumentError("the noise has the wrong form", got=f"{self.noise.dtype} {list(self.noise.shape)}",
                                       allowed=f"{clips.dtype} [M], M above {samples}")
        volumes = jax.random.uniform(volume_key, (n,), jnp.float32, maxval=self.volume)
        volumes *= jax.random.bernoulli(whether_key, self.probability, (n,)).astype(jnp.float32)
        starts = jax.random.randint(start_key, (n,), 0, len(self.noise) - samples + 1)
        return add_noise(clips, jnp.asarray(self.noise), starts, volumes)
