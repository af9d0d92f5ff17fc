"""Rendered scenes with and without a person: a stand-in for Visual Wake Words that needs no download.

Image i depends on (seed, stream, i) only. Both classes have the same backgrounds, clutter, light and noise, and a
subject of the same clothes, sizes and places: a person, or a thing made of the same parts that is none. Persons are
cut by the frame and half hidden, as they are in photographs; what is seen of them is more than 0.5 % of the image.
"""

import math

import numpy as np

from ..errors import InvalidArgumentError
from .figures import DISTRACTORS, Dice, Look, person
from .raster import Canvas

MIN_COVERAGE = 0.006
"""The least share of the pixels that shows a person in an image of class 1."""
THING_SKIN = 0.25
"""How often a thing has the colour of skin where a person shows it."""
_COARSE = 7  # cells a side of the coarse texture of a background


def render_scenes(count: int, *, resolution: int = 96, seed: int = 0, stream: int = 0,
                  start: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``count`` scenes from number ``start`` on; odd numbers show a person.

    Args:
        count: images, 1 or more.
        resolution: pixels a side, 16 or more; a scene looks alike at every resolution.
        seed, stream, start: non-negative integers; streams of a seed are independent of each other.

    Returns:
        images uint8 [N, R, R, 3], labels int32 [N] (1 = person), coverage float32 [N] (share of pixels of persons).
    """
    if count < 1 or resolution < 16 or min(seed, stream, start) < 0:
        raise InvalidArgumentError("scenes cannot be rendered so", got=(count, resolution, seed, stream, start),
                                   allowed="count >= 1, resolution >= 16, seed, stream and start >= 0")
    images = np.empty((count, resolution, resolution, 3), np.uint8)
    labels = ((start + np.arange(count)) % 2).astype(np.int32)
    coverage = np.zeros(count, np.float32)
    coarse = _coarse_to_fine(resolution)
    for k in range(count):
        dice = Dice(np.random.default_rng((seed, stream, start + k)))
        images[k], coverage[k] = _scene(resolution, bool(labels[k]), dice, coarse)
    return images, labels, coverage


def _coarse_to_fine(resolution: int) -> np.ndarray:
    """Linear interpolation [R, _COARSE] from a coarse grid to the pixels."""
    position = (np.arange(resolution) + 0.5) / resolution * (_COARSE - 1)
    weights = 1 - np.abs(position[:, None] - np.arange(_COARSE)[None])
    return np.maximum(weights, 0).astype(np.float32)


def _scene(resolution: int, positive: bool, dice: Dice, coarse: np.ndarray) -> tuple[np.ndarray, float]:
    """One image uint8 [R, R, 3] and the share of its pixels that show a person."""
    while True:  # a person who is hidden too far is drawn again, which is rare
        canvas = Canvas(resolution, coverage=positive)
        ground = _background(canvas, dice, coarse)
        canvas.light = dice.between(-0.25, 0.25)
        for _ in range(dice.below(4)):
            _clutter(canvas, dice, ground)
        if dice.chance(0.1):
            _subject(canvas, dice, False)
        if dice.chance(0.2):
            _subject(canvas, dice, positive)
        x, y, h = _subject(canvas, dice, positive)
        if dice.chance(0.3):
            _occluder(canvas, dice, x, y, h)
        coverage = float(canvas.planes[3].mean()) if positive else 0.0
        if not positive or coverage >= MIN_COVERAGE:
            return _develop(canvas, dice), coverage


def _background(canvas: Canvas, dice: Dice, coarse: np.ndarray) -> float:
    """A room or a place outdoors: two textured planes that meet at a height, which is returned."""
    planes, y = canvas.planes[:3], canvas.centres
    horizon = dice.between(0.35, 0.85)
    far, near = np.asarray(dice.colour(0.4), np.float32), np.asarray(dice.colour(0.4), np.float32)
    indoor = dice.chance(0.5)
    if not indoor:
        far = 0.5 * far + 0.5 * np.array([0.62, 0.74, 0.92], np.float32)
        near = 0.6 * near + 0.4 * np.array([0.33, 0.42, 0.24], np.float32)
    edge = np.clip((y - horizon) * (40 if indoor else 12) + 0.5, 0, 1)
    ramp = 1 + dice.between(-0.5, 0.3) * (y - 0.5)
    profile = (far[:, None] * (1 - edge) + near[:, None] * edge) * ramp
    rough = dice.between(0.02, 0.16)
    grid = dice.generator.standard_normal((_COARSE, _COARSE), np.float32)
    texture = coarse @ (grid * rough) @ coarse.T
    if dice.chance(0.35):  # planks, tiles, wallpaper
        period = dice.between(0.04, 0.2)
        wave = np.sin(y * (2 * math.pi / period)) * dice.between(0.02, 0.1)
        texture += (wave * edge)[:, None] if dice.chance(0.5) else ((1 - edge)[:, None] * wave[None, :])
    np.multiply(profile[:, :, None].astype(np.float32), (1 + texture)[None], out=planes)
    if indoor:
        if dice.chance(0.6):  # skirting board
            canvas.box(0.5, horizon, 0.6, 0.012, dice.colour(0.4))
        if dice.chance(0.5):  # a window or a door
            canvas.box(x := dice.unit(), horizon * 0.5, w := dice.between(0.08, 0.2), 0.4 * horizon, dice.colour(0.4))
            canvas.box(x, horizon * 0.5, 0.85 * w, 0.34 * horizon, dice.colour(0.4))
            canvas.box(x, horizon * 0.5, 0.08 * w, 0.34 * horizon, dice.colour(0.4))
    else:
        for _ in range(dice.below(4)):  # hills, or houses
            if dice.chance(0.5):
                canvas.ellipse(dice.unit(), horizon + 0.1, dice.between(0.2, 0.5), dice.between(0.12, 0.3),
                               dice.colour(0.4))
            else:
                canvas.box(dice.unit(), horizon - 0.1, dice.between(0.05, 0.2), dice.between(0.12, 0.35),
                           dice.colour(0.4), stripes=dice.between(0.04, 0.12) if dice.chance(0.6) else 0.0)
    return horizon


def _clutter(canvas: Canvas, dice: Dice, ground: float) -> None:
    """One thing of the surroundings, of a kind, size and place at random."""
    kind, x, y = dice.below(7), dice.unit(), dice.between(ground - 0.1, 1.0)
    w, h = dice.between(0.03, 0.16), dice.between(0.03, 0.2)
    if kind == 0:  # a box with a lid
        canvas.box(x, y - h, w, h, dice.colour(0.4), angle=dice.between(-0.2, 0.2))
        canvas.box(x, y - 2 * h, w * 1.08, 0.25 * h, dice.colour(0.4))
    elif kind == 1:  # a ball
        canvas.ellipse(x, y, 0.6 * w, 0.6 * w, dice.colour(0.4))
    elif kind == 2:  # a pole
        canvas.limb(x, y, x + dice.between(-0.05, 0.05), y - 4 * h, 0.15 * w, 0.12 * w, dice.colour(0.4))
    elif kind == 3:  # a poster or a picture with something round on it
        up = dice.between(0.1, 0.5)
        canvas.box(x, up, w, h, dice.colour(0.4))
        canvas.box(x, up, 0.85 * w, 0.87 * h, dice.colour(0.4))
        canvas.ellipse(x, up, 0.4 * w, 0.5 * h, dice.colour(0.4))
    elif kind == 4:  # a bush
        colour = dice.colour(0.4)
        for _ in range(3):
            canvas.ellipse(x + dice.between(-w, w), y - dice.between(0, h), 0.7 * w, 0.6 * w, colour)
    elif kind == 5:  # a table
        canvas.box(x, y - 2 * h, 1.6 * w, 0.015, colour := dice.colour(0.4))
        for k in (-1.4, 1.4):
            canvas.box(x + k * w, y - h, 0.012, h, colour)
    else:  # a bottle or a vase
        canvas.limb(x, y, x, y - h, 0.4 * w, 0.35 * w, colour := dice.colour(0.4))
        canvas.limb(x, y - h, x, y - 1.8 * h, 0.12 * w, 0.14 * w, colour)


def _subject(canvas: Canvas, dice: Dice, positive: bool) -> tuple[float, float, float]:
    """A person or a thing like one at a place at random; (x, y of the feet, height)."""
    h = 0.36 * (1.5 / 0.36) ** (dice.unit() ** 0.6)
    x = dice.between(0.08, 0.92)
    y = dice.between(max(h + 0.02, 0.6), max(h + 0.02, 1.03)) if h < 0.85 else h + dice.between(0.0, 0.22)
    look = Look.draw(dice, 1.0 if positive else THING_SKIN)
    canvas.ellipse(x, y, 0.22 * h, 0.035 * h, [0.05, 0.05, 0.05], opacity=dice.between(0.15, 0.5))
    if positive:
        canvas.subject = 1.0
        person(canvas, dice, look, x, y, h)
        canvas.subject = 0.0
    else:
        DISTRACTORS[dice.below(len(DISTRACTORS))](canvas, dice, look, x, y, h)
    return x, y, h


def _occluder(canvas: Canvas, dice: Dice, x: float, y: float, h: float) -> None:
    """Something in front of the subject: a table, a bush or a wall over its lower part, or a post across it."""
    bottom, kind = min(y, 1.0), dice.below(3)
    high = dice.between(0.1, 0.4) * (bottom - (y - h))
    side = x + dice.between(-0.15, 0.15) * h
    if kind == 0:
        canvas.box(side, bottom - 0.4 * high, dice.between(0.15, 0.4) * h, 0.6 * high, dice.colour())
    elif kind == 1:
        for _ in range(3):
            canvas.ellipse(side + dice.between(-0.2, 0.2) * h, bottom - 0.4 * high, 0.17 * h, 0.6 * high, dice.colour())
    else:
        canvas.limb(side, bottom + 0.05, side, bottom - 1.2 * h, 0.02 * h, 0.02 * h, dice.colour())


def _develop(canvas: Canvas, dice: Dice) -> np.ndarray:
    """Light, cast, vignette and grain; float planes to uint8 [R, R, 3]."""
    planes, at = canvas.planes[:3], canvas.centres - 0.5
    gain = dice.between(0.75, 1.15)
    cast = np.array([gain * dice.between(0.94, 1.06) for _ in range(3)], np.float32)
    across, down, dim = dice.between(-0.3, 0.3), dice.between(-0.3, 0.3), dice.between(0.0, 0.6)
    field = (1 + across * at - dim * at * at)[None, :] \
        + (down * at - dim * at * at)[:, None]
    planes *= field
    planes *= (255 * cast)[:, None, None]
    grain = dice.generator.standard_normal(planes.shape[1:], np.float32)
    grain *= dice.between(0.5, 4.0)
    planes += grain
    np.clip(planes, 0, 255, out=planes)
    return planes.astype(np.uint8).transpose(1, 2, 0)
