"""Augmentation on the device: random flips, shifts and small rotations, one key a batch, vectorised over the batch.

Images are [N, H, W, C] of any dtype on any scale; the result is float32 on the same scale, with zeros where nothing was.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from reds_jax.array_types import Array, Bool, Float, Int, Num
from reds_jax.checks import integer, number, one_of
from reds_jax.errors import InvalidArgumentError

Images = Num[Array, "batch height width channels"]
FloatImages = Float[Array, "batch height width channels"]


def flip(images: Images, flips: Bool[Array, " batch"]) -> Images:
    """Mirror left and right the images whose flag is set."""
    return jnp.where(flips[:, None, None, None], images[:, :, ::-1], images)


def shift(images: Images, shifts: Int[Array, "batch 2"]) -> FloatImages:
    """``y[r, c] = x[r - dr, c - dc]`` for the shift (dr, dc) of each image, in pixels; zeros come in.

    Two products with 0/1 matrices, exact, because a gather of single pixels is slow on a CPU.
    """
    n, h, w, c = images.shape
    rows = _shift_matrix(shifts[:, 0], h)  # [N, H, H]
    columns = _shift_matrix(shifts[:, 1], w)
    x = jnp.einsum("nij,njk->nik", rows, images.astype(jnp.float32).reshape(n, h, w * c), precision="highest")
    return jnp.einsum("nij,nhjc->nhic", columns, x.reshape(n, h, w, c), precision="highest")


def _shift_matrix(shifts: jax.Array, size: int) -> jax.Array:
    at = jnp.arange(size)
    return (at[None, :, None] == at[None, None, :] + shifts[:, None, None]).astype(jnp.float32)


def rotate(images: Images, angles: Float[Array, " batch"]) -> FloatImages:
    """Turn each image about its centre by an angle in radians (counter-clockwise), bilinear; zeros come in."""
    n, h, w, c = images.shape
    rows = jnp.arange(h, dtype=jnp.float32)[None, :, None] - (h - 1) / 2
    columns = jnp.arange(w, dtype=jnp.float32)[None, None, :] - (w - 1) / 2
    cos, sin = jnp.cos(angles)[:, None, None], jnp.sin(angles)[:, None, None]
    r = cos * rows + sin * columns + (h - 1) / 2  # where each output pixel comes from, [N, H, W]
    q = cos * columns - sin * rows + (w - 1) / 2
    r0, q0 = jnp.floor(r), jnp.floor(q)
    flat = images.astype(jnp.float32).reshape(n, h * w, c)
    result = jnp.zeros((n, h, w, c), jnp.float32)
    for dr in (0, 1):
        for dq in (0, 1):
            row, column = r0 + dr, q0 + dq
            weight = (1 - jnp.abs(r - row)) * (1 - jnp.abs(q - column))
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            at = jnp.clip(row, 0, h - 1).astype(jnp.int32) * w + jnp.clip(column, 0, w - 1).astype(jnp.int32)
            pixels = jnp.take_along_axis(flat, at.reshape(n, h * w, 1), axis=1).reshape(n, h, w, c)
            result += jnp.where(inside, weight, 0)[..., None] * pixels
    return result


@dataclass(frozen=True)
class Augment:
    """A random flip, then a random rotation, then a random shift; called with (key, images); hashable.

    Args:
        flips: mirror each image left and right with probability 1/2.
        max_shift: shift each image by -p..p pixels, independently in rows and columns; that is padding by p and a crop.
        max_angle: turn each image by an angle of -a..a radians; at most pi.

    Raises:
        InvalidArgumentError: an option out of range, or images that are not [N, H, W, C].
    """

    flips: bool = False
    max_shift: int = 0
    max_angle: float = 0.0

    def __post_init__(self) -> None:
        integer("max_shift", self.max_shift, 0)
        number("max_angle", self.max_angle, 0, 3.141592653589793)

    def __call__(self, key: Array, images: Images) -> FloatImages:
        if getattr(images, "ndim", None) != 4:
            raise InvalidArgumentError("augmentation takes images", got=getattr(images, "shape", type(images).__name__),
                                       allowed="[N, H, W, C]")
        n = images.shape[0]
        flip_key, angle_key, shift_key = jax.random.split(key, 3)
        x = images
        if self.flips:
            x = flip(x, jax.random.bernoulli(flip_key, 0.5, (n,)))
        if self.max_angle:
            x = rotate(x, jax.random.uniform(angle_key, (n,), minval=-self.max_angle, maxval=self.max_angle))
        if self.max_shift:
            x = shift(x, jax.random.randint(shift_key, (n, 2), -self.max_shift, self.max_shift + 1))
        return x.astype(jnp.float32)


PRESETS = ("none", "flip", "flip_shift", "flip_shift_rotate")


def augmentation(name: str) -> Augment | None:
    """The preset of that name: "none" (returns None), "flip", "flip_shift" (2 pixels), "flip_shift_rotate" (0.2 rad).

    Args:
        name: of the preset.

    Raises:
        InvalidArgumentError: there is no such preset.

    >>> augmentation("flip_shift")
    Augment(flips=True, max_shift=2, max_angle=0.0)
    """
    one_of("augmentation", name, PRESETS)
    return {
        "none": None,
        "flip": Augment(flips=True),
        "flip_shift": Augment(flips=True, max_shift=2),
        "flip_shift_rotate": Augment(flips=True, max_shift=2, max_angle=0.2),
    }[name]
