"""What stands in a rendered scene: persons, and things made of the same parts that are none.

Every figure is painted into a box of height ``h`` that stands on (x, y), all in fractions of the image side.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .raster import Canvas

Palette = tuple[tuple[float, float, float], ...]
SKIN: Palette = ((0.96, 0.80, 0.69), (0.88, 0.68, 0.53), (0.76, 0.54, 0.40), (0.58, 0.38, 0.26), (0.38, 0.24, 0.17),
                 (0.27, 0.17, 0.12))
HAIR: Palette = ((0.08, 0.07, 0.06), (0.22, 0.14, 0.08), (0.40, 0.26, 0.13), (0.72, 0.56, 0.30), (0.55, 0.53, 0.52))


class Dice:
    """Random numbers of one scene as plain floats: quick, and all from one generator."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator
        self._stock: list[float] = []

    def unit(self) -> float:
        """Uniform in [0, 1)."""
        if not self._stock:
            self._stock = self.generator.random(256).tolist()
        return self._stock.pop()

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.unit()

    def chance(self, probability: float) -> bool:
        """True with the probability."""
        return self.unit() < probability

    def below(self, count: int) -> int:
        """A whole number in 0..count-1."""
        return int(self.unit() * count)

    def sign(self) -> float:
        """-1 or 1."""
        return 1.0 if self.unit() < 0.5 else -1.0

    def colour(self, strength: float = 1.0) -> list[float]:
        """Any colour, greys more often than others; ``strength`` bounds the saturation."""
        value, saturation, hue = self.between(0.12, 0.95), strength * self.unit() ** 1.5, self.unit() * 6
        return [value * (1 - saturation * max(0.0, min(1.0, abs((hue + k) % 6 - 3) - 1)))
                for k in (0.0, 2.0, 4.0)]

    def tone(self, palette: Palette) -> list[float]:
        """A colour between two neighbours of a palette."""
        k, t = self.below(len(palette) - 1), self.unit()
        return [a * (1 - t) + b * t for a, b in zip(palette[k], palette[k + 1], strict=True)]


@dataclass(frozen=True)
class Look:
    """The colours of one figure; a thing has the clothes of a person, and now and then the skin."""

    skin: list[float]
    hair: list[float]
    top: list[float]
    bottom: list[float]
    stripes: float

    @classmethod
    def draw(cls, dice: Dice, skin: float) -> "Look":
        """Colours at random, of skin with the chance ``skin`` where a person shows it; one top in five is striped."""
        stripes = dice.between(0.03, 0.08) if dice.chance(0.2) else 0.0
        bare = dice.tone(SKIN) if dice.chance(skin) else dice.colour()
        return cls(bare, dice.tone(HAIR), dice.colour(), dice.colour(), stripes)


def person(canvas: Canvas, dice: Dice, look: Look, x: float, y: float, h: float) -> None:
    """A person of height ``h``: standing, walking, sitting, arms anywhere, seen from the front, the side or behind."""
    head = h * dice.between(0.085, 0.11)
    lean, build = dice.between(-0.12, 0.12), dice.between(0.85, 1.25)
    side = dice.chance(0.3)
    sitting, stride = dice.chance(0.2), dice.between(0.02, 0.30)
    torso, leg = h * dice.between(0.29, 0.33), h * dice.between(0.46, 0.50)
    leg *= 0.62 if sitting else 1.0
    hip = (x, y - leg)
    shoulder = (x + lean * torso, y - leg - torso)
    half = h * 0.085 * build * (0.45 if side else 1.0)
    facing = dice.sign()
    sleeve = look.top if dice.chance(0.6) else look.skin
    trouser = look.bottom if dice.chance(0.8) else look.skin
    angles = [dice.between(-0.3, 0.5) if dice.chance(0.7) else dice.between(0.5, 2.9) for _ in range(2)]

    def arm(k: int) -> None:
        out = facing if side else (-1.0, 1.0)[k]
        a, b = angles[k], angles[k] + dice.between(0.0, 1.2) * (1 if side else dice.sign())
        sx, sy = shoulder[0] + (0.0 if side else out * half), shoulder[1] + 0.02 * h
        ex, ey = sx + out * math.sin(a) * 0.16 * h, sy + math.cos(a) * 0.16 * h
        wx, wy = ex + out * math.sin(b) * 0.15 * h, ey + math.cos(b) * 0.15 * h
        canvas.limb(sx, sy, ex, ey, 0.032 * h * build, 0.026 * h, look.top)
        canvas.limb(ex, ey, wx, wy, 0.026 * h, 0.020 * h, sleeve)
        canvas.ellipse(wx, wy, 0.024 * h, 0.024 * h, look.skin)

    if side:
        arm(0)
    for k in range(2):
        way = (-1.0, 1.0)[k]
        if sitting:
            knee = (hip[0] + (facing * 0.22 * h if side else way * 0.09 * h), hip[1] + (0.02 if side else 0.10) * h)
            foot = (knee[0] + facing * dice.between(-0.04, 0.04) * h, y)
        else:
            knee = (hip[0] + way * stride * 0.24 * h + facing * 0.02 * h, hip[1] + leg * 0.5)
            foot = (hip[0] + way * stride * 0.46 * h, y - (0.06 * h if dice.chance(0.15) else 0.0))
        start = hip[0] + (0.0 if side else way * 0.4 * half)
        canvas.limb(start, hip[1], *knee, 0.052 * h * build, 0.040 * h * build, look.bottom)
        canvas.limb(*knee, *foot, 0.040 * h * build, 0.026 * h, trouser)
        canvas.ellipse(foot[0] + facing * 0.015 * h, foot[1], 0.042 * h, 0.020 * h, look.hair)
    canvas.limb(*shoulder, *hip, half * 1.12, half * dice.between(0.85, 1.05), look.top, stripes=look.stripes)
    if not side:
        across, level = 0.75 * half, shoulder[1] + 0.01 * h
        canvas.limb(shoulder[0] - across, level, shoulder[0] + across, level, 0.040 * h, 0.040 * h, look.top)
    if dice.chance(0.12):  # a skirt or a coat
        canvas.limb(hip[0], hip[1] - 0.05 * h, hip[0], hip[1] + leg * 0.4, half, half * 1.7, look.bottom)
    neck = (shoulder[0] + lean * 0.3 * head, shoulder[1] - 0.6 * head)
    canvas.limb(*shoulder, *neck, 0.030 * h, 0.028 * h, look.skin)
    _head(canvas, dice, look, neck[0] + lean * head + (facing * 0.15 * head if side else 0.0),
          shoulder[1] - 1.45 * head, head, facing if side else 0.0)
    if side:
        arm(1)
    else:
        for k in range(2):
            arm(k)


def _head(canvas: Canvas, dice: Dice, look: Look, x: float, y: float, r: float, facing: float) -> None:
    """A head with hair, often a hat, and a face if it is large enough to have one."""
    behind = not facing and dice.chance(0.15)
    if dice.chance(0.2):
        canvas.limb(x - facing * 0.4 * r, y - 0.2 * r, x - facing * 0.5 * r, y + 1.0 * r, r, 0.8 * r, look.hair)
    canvas.ellipse(x, y, 0.82 * r, r, look.hair if behind else look.skin)
    if not behind and dice.chance(0.85):
        canvas.ellipse(x - facing * 0.3 * r, y - 0.6 * r, 0.84 * r, 0.5 * r, look.hair)
    if dice.chance(0.15):
        canvas.ellipse(x, y - 0.75 * r, 0.9 * r, 0.5 * r, look.bottom)
        canvas.box(x + facing * 0.4 * r, y - 0.45 * r, 1.25 * r, 0.12 * r, look.bottom)
    if not behind and r * canvas.resolution > 5:
        dark = [0.5 * c for c in look.skin]
        for k in ((0.5 * facing,) if facing else (-0.35, 0.35)):
            canvas.ellipse(x + k * r, y + 0.05 * r, 0.13 * r, 0.10 * r, [0.1, 0.1, 0.1])
        canvas.box(x + 0.4 * facing * r, y + 0.52 * r, 0.28 * r, 0.06 * r, dark)


def stack(canvas: Canvas, dice: Dice, look: Look, x: float, y: float, h: float) -> None:
    """Balls on each other, as a snowman: a head and a body without limbs."""
    colours = (look.bottom, look.top, look.skin)
    r, top = h * 0.4 / (1 + 0.72 + 0.5), y
    for k, colour in enumerate(colours):
        size = r * (1.0, 0.72, 0.5)[k]
        canvas.ellipse(x + dice.between(-0.1, 0.1) * size, top - size, size, size, colour,
                       stripes=look.stripes if k == 1 else 0.0)
        top -= 1.9 * size


def tree(canvas: Canvas, dice: Dice, look: Look, x: float, y: float, h: float) -> None:
    """A trunk, two boughs and a round crown in any colours."""
    width, crown = h * dice.between(0.03, 0.06), h * dice.between(0.10, 0.20)
    canvas.limb(x, y, x + dice.between(-0.05, 0.05) * h, y - h + crown, width, 0.7 * width, look.hair)
    for way in (-1.0, 1.0):
        canvas.limb(x, y - 0.45 * h, x + way * dice.between(0.1, 0.25) * h, y - dice.between(0.55, 0.8) * h,
                    0.5 * width, 0.3 * width, look.hair)
    for _ in range(2):
        canvas.ellipse(x + dice.between(-0.06, 0.06) * h, y - h + crown, crown, crown * dice.between(0.8, 1.1),
                       look.top if dice.chance(0.5) else look.skin)


def ball_on_box(canvas: Canvas, dice: Dice, look: Look, x: float, y: float, h: float) -> None:
    """A ball on a tall box, where a head would be on a body."""
    r, half = h * dice.between(0.07, 0.12), h * dice.between(0.07, 0.13)
    body = (h - 2 * r) / 2
    canvas.box(x, y - body, half, body, look.top, stripes=look.stripes)
    canvas.box(x, y - 0.4 * body, half * 1.02, 0.4 * body, look.bottom)
    canvas.ellipse(x + dice.between(-0.3, 0.3) * half, y - 2 * body - r, r, r, look.skin)


def coat_rack(canvas: Canvas, dice: Dice, look: Look, x: float, y: float, h: float) -> None:
    """A coat on a pole: the clothes of a person on a thin stand, a small knob on top."""
    canvas.limb(x, y, x, y - h, 0.012 * h, 0.012 * h, look.hair)
    for way in (-1.0, 1.0):
        canvas.limb(x, y - 0.03 * h, x + way * 0.13 * h, y, 0.014 * h, 0.012 * h, look.hair)
    half = h * dice.between(0.06, 0.10)
    canvas.limb(x, y - 0.8 * h, x + dice.between(-0.03, 0.03) * h, y - dice.between(0.25, 0.5) * h, half, half * 1.2,
                look.top, stripes=look.stripes)
    canvas.limb(x - half, y - 0.8 * h, x - 1.2 * half, y - 0.5 * h, 0.035 * h, 0.03 * h, look.bottom)
    canvas.ellipse(x, y - h, 0.025 * h, 0.025 * h, look.skin)


def animal(canvas: Canvas, dice: Dice, look: Look, x: float, y: float, h: float) -> None:
    """Four legs under a long body, a head at one end, a tail at the other."""
    h *= 0.6
    way, leg, body = dice.sign(), 0.45 * h, h * dice.between(0.40, 0.55)
    for k in (-0.9, -0.7, 0.65, 0.9):
        canvas.limb(x + k * body, y - leg - 0.05 * h, x + (k + dice.between(-0.15, 0.15)) * body, y, 0.07 * h, 0.04 * h,
                    look.bottom)
    canvas.ellipse(x, y - leg - 0.15 * h, 1.15 * body, 0.2 * h, look.top, stripes=look.stripes)
    canvas.limb(x + way * body, y - leg - 0.2 * h, x + way * 1.4 * body, y - 0.82 * h, 0.12 * h, 0.08 * h, look.top)
    canvas.ellipse(x + way * 1.6 * body, y - 0.85 * h, 0.19 * h, 0.13 * h, look.skin)
    canvas.limb(x - way * 1.1 * body, y - leg - 0.2 * h, x - way * 1.5 * body, y - 0.8 * h, 0.04 * h, 0.02 * h,
                look.hair)


def chair(canvas: Canvas, dice: Dice, look: Look, x: float, y: float, h: float) -> None:
    """A chair with a cushion on it."""
    half, way = 0.24 * h, dice.sign()
    for k in (-1.0, -0.6, 0.6, 1.0):
        canvas.box(x + k * half, y - 0.22 * h, 0.025 * h, 0.22 * h, look.hair)
    canvas.box(x, y - 0.46 * h, 1.15 * half, 0.045 * h, look.bottom)
    canvas.box(x - way * half, y - 0.72 * h, 0.05 * h, 0.28 * h, look.top, stripes=look.stripes)
    canvas.ellipse(x + way * 0.2 * half, y - 0.56 * h, 0.13 * h, 0.09 * h, look.skin)


def lamp(canvas: Canvas, dice: Dice, look: Look, x: float, y: float, h: float) -> None:
    """A post with a round lamp and an arm, as in a street."""
    canvas.limb(x, y, x, y - 0.9 * h, 0.03 * h, 0.02 * h, look.bottom)
    canvas.limb(x, y - 0.85 * h, x + dice.sign() * 0.2 * h, y - 0.8 * h, 0.02 * h, 0.02 * h, look.top)
    canvas.ellipse(x, y - 0.92 * h, 0.08 * h, 0.08 * h, look.skin)
    canvas.box(x, y - 0.05 * h, 0.08 * h, 0.05 * h, look.hair)


def heap(canvas: Canvas, dice: Dice, look: Look, x: float, y: float, h: float) -> None:
    """The parts of a person without their order: limbs, a trunk and a ball thrown over each other."""
    def place() -> tuple[float, float]:
        return x + dice.between(-0.25, 0.25) * h, y - dice.between(0.05, 0.95) * h

    for k in range(8):
        (x0, y0), angle = place(), dice.between(0, math.pi)
        length, width = 0.17 * h, (0.045, 0.03)[k % 2] * h
        colour = (look.top, look.bottom, look.skin, look.bottom)[k % 4]
        canvas.limb(x0, y0, x0 + length * math.cos(angle), y0 + length * math.sin(angle), width, 0.8 * width, colour)
    (x0, y0), angle = place(), dice.between(0, math.pi)
    canvas.limb(x0, y0, x0 + 0.25 * h * math.cos(angle), y0 + 0.25 * h * math.sin(angle), 0.09 * h, 0.08 * h, look.top,
                stripes=look.stripes)
    canvas.ellipse(*place(), 0.07 * h, 0.075 * h, look.skin)
    canvas.ellipse(*place(), 0.06 * h, 0.045 * h, look.hair)


Figure = Callable[[Canvas, Dice, Look, float, float, float], None]
DISTRACTORS: tuple[Figure, ...] = (stack, tree, ball_on_box, coat_rack, animal, chair, lamp, heap)
