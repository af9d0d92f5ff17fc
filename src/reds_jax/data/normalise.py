"""Inputs as a model reads them: pixels to floats by a scale and an offset per channel; floats stay."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ..array_types import UInt8
from ..checks import several
from ..errors import InvalidArgumentError
from .tree import Tree, leaves, map_tree


@dataclass(frozen=True)
class Normalise:
    """Pixels to floats as the model takes them, on the host or on the device: ``(x / 255 - mean) / std``.

    Args:
        mean: one value per channel, on the scale 0..1.
        std: one positive value per channel, on the scale 0..1.

    Hashable, so that it can be a static argument of a compiled function.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            values = several(name, getattr(self, name), "a number for each channel")
            if not all(isinstance(v, numbers.Real) for v in values):
                raise InvalidArgumentError(f"{name} has a value that is no number", got=getattr(self, name))
            object.__setattr__(self, name, values)
        if len(self.mean) != len(self.std) or not self.mean:
            raise InvalidArgumentError("mean and std need one value per channel each", got=(self.mean, self.std))
        if not np.all(np.isfinite(self.mean)) or not all(np.isfinite(s) and s > 0 for s in self.std):
            raise InvalidArgumentError("mean must be finite and std finite and positive", got=(self.mean, self.std))

    @classmethod
    def unit(cls, channels: int) -> Normalise:
        """The plain scale ``x / 255`` for ``channels`` channels."""
        return cls((0.0,) * channels, (1.0,) * channels)

    @classmethod
    def standard(cls, images: UInt8[np.ndarray, "images height width channels"]) -> Normalise:
        """Mean 0 and standard deviation 1 per channel over uint8 ``images`` [N, H, W, C]; exact integer sums."""
        mean, std = [], []
        for channel in np.moveaxis(images, -1, 0):
            counts = np.bincount(channel.ravel(), minlength=256).astype(np.float64)
            values = np.arange(256) / 255.0
            mean.append(float(counts @ values / counts.sum()))
            std.append(float(np.sqrt(counts @ (values - mean[-1]) ** 2 / counts.sum())))
        return cls(tuple(mean), tuple(s if s > 0 else 1.0 for s in std))

    def __call__(self, images: Any) -> Any:
        """uint8 [..., C] to float32 [..., C]; NumPy in, NumPy out; a device array stays on its device.

        Raises:
            InvalidArgumentError: another number of channels, which would be broadcast.
        """
        if np.shape(images)[-1:] != (len(self.mean),):
            raise InvalidArgumentError("the images have another number of channels than the normalisation",
                                       got=list(np.shape(images)), allowed=f"[..., {len(self.mean)}]")
        scaled = images.astype(np.float32) / np.float32(255)
        channels = (*(1,) * (np.ndim(images) - 1), len(self.mean))
        mean, std = (np.asarray(values, np.float32).reshape(channels) for values in (self.mean, self.std))
        return (scaled - mean) / std


@lru_cache(maxsize=64)
def reader(normalise: Callable[[Any], Any] | None) -> Callable[[Tree], Tree]:
    """`read` with this normalisation; of equal ones the same function, so that what is compiled with it is compiled once."""
    return partial(read, normalise=normalise)


def read(inputs: Tree, normalise: Callable[[Any], Any] | None = None, *, like: Tree = None) -> Tree:
    """The inputs as a model reads them: normalised; without a normalisation uint8 becomes ``x / 255`` and the rest stays.

    Args:
        inputs: an array, or a tuple or dict of arrays, of NumPy or on a device.
        normalise: of all inputs together; None for the default.
        like: what the inputs were before an augmentation, which makes floats on the same scale; by default the inputs.
    """
    if normalise is not None:
        return normalise(inputs)
    pixels = {path for path, array in leaves(inputs if like is None else like) if array.dtype == np.uint8}
    return map_tree(lambda path, x: x.astype(np.float32) / np.float32(255) if path in pixels else x, inputs)
