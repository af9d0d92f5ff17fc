"""Ten simple shapes from a seed: the whole pipeline runs on them where there is no data set."""

import math

import numpy as np

from ..errors import InvalidArgumentError
from .figures import Dice
from .raster import Canvas

SHAPES = ("disc", "ring", "square", "frame", "cross", "horizontal bar", "vertical bar", "slash", "backslash",
          "two dots")


def render_shapes(count: int, *, resolution: int = 28, channels: int = 1, seed: int = 0,
                  stream: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(images uint8 [N, R, R, channels], labels int32 [N]): image i shows shape i mod 10.

    Args:
        count: images, 1 or more.
        resolution: pixels a side, 8 or more.
        channels: 1 (grey) or 3 (colour).
        seed, stream: non-negative integers; streams of a seed are independent of each other.
    """
    if count < 1 or resolution < 8 or channels not in (1, 3) or min(seed, stream) < 0:
        raise InvalidArgumentError("shapes cannot be rendered so", got=(count, resolution, channels, seed, stream),
                                   allowed="count >= 1, resolution >= 8, 1 or 3 channels, seed and stream >= 0")
    images = np.empty((count, resolution, resolution, channels), np.uint8)
    for k in range(count):
        images[k] = _shape(k % len(SHAPES), resolution, channels, Dice(np.random.default_rng((seed, stream, k))))
    return images, (np.arange(count) % len(SHAPES)).astype(np.int32)


def _shape(kind: int, resolution: int, channels: int, dice: Dice) -> np.ndarray:
    """One image uint8 [R, R, channels]."""
    canvas = Canvas(resolution)
    back = [dice.between(0.0, 0.3) for _ in range(3)]
    ink = [dice.between(0.5, 1.0) for _ in range(3)]
    x, y, r = dice.between(0.35, 0.65), dice.between(0.35, 0.65), dice.between(0.18, 0.32)
    thin = r * dice.between(0.22, 0.32)
    tilt = dice.between(-0.15, 0.15)
    canvas.box(0.5, 0.5, 1.0, 1.0, back)
    if kind in (0, 1):
        canvas.ellipse(x, y, r, r * dice.between(0.8, 1.2), ink)
    elif kind in (2, 3):
        canvas.box(x, y, r, r * dice.between(0.8, 1.2), ink, angle=tilt)
    if kind == 1:
        canvas.ellipse(x, y, r - thin, r - thin, back)
    elif kind == 3:
        canvas.box(x, y, r - thin, r - thin, back, angle=tilt)
    angles = {4: (0.0, math.pi / 2), 5: (0.0,), 6: (math.pi / 2,), 7: (-math.pi / 4,), 8: (math.pi / 4,)}
    for angle in angles.get(kind, ()):
        canvas.box(x, y, 1.2 * r, thin, ink, angle=angle + tilt)
    if kind == 9:
        for way in (-1.0, 1.0):
            canvas.ellipse(x + way * 0.7 * r, y + dice.between(-0.4, 0.4) * r, 1.6 * thin, 1.6 * thin, ink)
    grey = canvas.planes[:3].mean(0, keepdims=True) if channels == 1 else canvas.planes[:3]
    noise = dice.generator.standard_normal(grey.shape, np.float32) * np.float32(dice.between(2.0, 16.0))
    return np.clip(255 * grey + noise, 0, 255).astype(np.uint8).transpose(1, 2, 0)
