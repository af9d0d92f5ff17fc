"""A small painter in NumPy: anti-aliased ellipses, boxes and limbs on a canvas of float planes.

Coordinates are fractions of the side, x to the right and y down, so that a scene looks alike at every resolution.
"""

import math
from collections.abc import Sequence

import numpy as np

Colour = Sequence[float]


class Canvas:
    """Red, green, blue and, if asked, a coverage plane: ``planes`` float32 [3 or 4, R, R].

    The coverage plane is painted like a colour: 1 where a shape with ``subject = 1`` is what one sees, 0 elsewhere,
    so a later shape that hides the subject takes its coverage away.
    """

    def __init__(self, resolution: int, *, coverage: bool = False) -> None:
        self.resolution = resolution
        self.planes = np.zeros((4 if coverage else 3, resolution, resolution), np.float32)
        self.centres = (np.arange(resolution, dtype=np.float32) + 0.5) / resolution
        self.subject = 0.0
        self.light = 0.0  # what a shape gains in brightness from its left to its right edge, half each way

    def _window(self, x: float, y: float, reach_x: float, reach_y: float) -> tuple[slice, slice] | None:
        """The pixels that a shape around (x, y) can touch, or None."""
        r = self.resolution
        x0, x1 = max(int((x - reach_x) * r), 0), min(int((x + reach_x) * r) + 2, r)
        y0, y1 = max(int((y - reach_y) * r), 0), min(int((y + reach_y) * r) + 2, r)
        return (slice(y0, y1), slice(x0, x1)) if x0 < x1 and y0 < y1 else None

    def _blend(self, window: tuple[slice, slice], alpha: np.ndarray, colour: Colour, x: float, reach: float,
               stripes: float) -> None:
        """Paint ``colour`` where ``alpha`` [h, w] is 1, shaded by the light, striped across if ``stripes`` > 0."""
        rows, columns = window
        region = self.planes[:, rows, columns]
        tint = np.array((*colour, self.subject)[: len(self.planes)], np.float32)[:, None]
        if stripes:
            tint = tint * (1 + 0.3 * np.sign(np.sin(self.centres[rows] * (2 * math.pi / stripes))))
            tint[3:] = self.subject
            change = tint[:, :, None] - region
        elif self.light and columns.stop - columns.start > 4:
            slope = self.light / reach
            tint = tint * (self.centres[columns] * slope + (1 - slope * x))
            tint[3:] = self.subject
            change = tint[:, None, :] - region
        else:
            change = tint[:, :, None] - region
        change *= alpha
        region += change

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, *, angle: float = 0.0,
                opacity: float = 1.0, stripes: float = 0.0) -> None:
        """An ellipse around (x, y) with half axes ``rx`` and ``ry``, turned by ``angle`` in radians."""
        reach_x, reach_y = (max(rx, ry),) * 2 if angle else (rx, ry)
        window = self._window(x, y, reach_x, reach_y)
        if window is None:
            return
        u, v = self._local(window, x, y, angle)
        sharp = 0.5 * min(rx, ry) * self.resolution  # pixels from the inside to the edge, near the edge
        u, v = u * u * (-sharp / rx**2), v * v * (-sharp / ry**2) + (sharp + 0.5)
        self._blend(window, self._clip(u + v, opacity), colour, x, reach_x, stripes)

    def box(self, x: float, y: float, hx: float, hy: float, colour: Colour, *, angle: float = 0.0,
            opacity: float = 1.0, stripes: float = 0.0) -> None:
        """A rectangle around (x, y) with half sides ``hx`` and ``hy``, turned by ``angle`` in radians."""
        reach_x, reach_y = (math.hypot(hx, hy),) * 2 if angle else (hx, hy)
        window = self._window(x, y, reach_x, reach_y)
        if window is None:
            return
        u, v = self._local(window, x, y, angle)
        r = self.resolution
        across = self._clip(np.abs(u) * -r + (hx * r + 0.5), opacity)
        along = self._clip(np.abs(v) * -r + (hy * r + 0.5), 1.0)
        self._blend(window, across * along, colour, x, reach_x, stripes)

    def limb(self, x0: float, y0: float, x1: float, y1: float, r0: float, r1: float, colour: Colour, *,
             stripes: float = 0.0) -> None:
        """A thick line with round ends, from radius ``r0`` at (x0, y0) to ``r1`` at (x1, y1)."""
        x, y, r = (x0 + x1) / 2, (y0 + y1) / 2, max(r0, r1)
        reach_x, reach_y = abs(x1 - x0) / 2 + r, abs(y1 - y0) / 2 + r
        window = self._window(x, y, reach_x, reach_y)
        if window is None:
            return
        side, length = self.resolution, math.hypot(x1 - x0, y1 - y0)
        cos, sin = ((x1 - x0) / length, (y1 - y0) / length) if length else (1.0, 0.0)
        px = ((self.centres[window[1]] - x0) * side)[None, :]
        py = ((self.centres[window[0]] - y0) * side)[:, None]
        along, across = px * cos + py * sin, py * cos - px * sin  # in pixels from (x0, y0)
        nearest = np.maximum(along, 0)
        np.minimum(nearest, length * side, out=nearest)
        along -= nearest
        along *= along
        across *= across
        along += across
        nearest *= (r1 - r0) / length if length else 0.0
        nearest += r0 * side + 0.5
        nearest -= np.sqrt(along, out=along)
        self._blend(window, self._clip(nearest, 1.0), colour, x, reach_x, stripes)

    def _local(self, window: tuple[slice, slice], x: float, y: float,
               angle: float) -> tuple[np.ndarray, np.ndarray]:
        """Pixel centres relative to (x, y), turned back by ``angle``; [1, w] and [h, 1] when it is 0."""
        px = (self.centres[window[1]] - x)[None, :]
        py = (self.centres[window[0]] - y)[:, None]
        if not angle:
            return px, py
        cos, sin = math.cos(angle), math.sin(angle)
        return px * cos + py * sin, py * cos - px * sin

    @staticmethod
    def _clip(alpha: np.ndarray, most: float) -> np.ndarray:
        """``alpha`` clipped to [0, most], in place; quicker on small arrays than ``np.clip``."""
        np.maximum(alpha, 0, out=alpha)
        np.minimum(alpha, most, out=alpha)
        return alpha
