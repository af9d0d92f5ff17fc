"""A small painter in NumPy: anti-aliased ellipses, boxes and limbs on a canvas of float planes.

Coordinates are fractions of the side, x to the right and y down, so that a scene looks alike at every resolution.
"""

import math
from collections.abc import Sequence

import numpy as np

Colour = Sequence[float]


class Canvas:
    """Red, green, blue and a coverage plane: ``planes`` float32 [4, R, R].

    The coverage plane is painted like a colour: 1 where a shape with ``subject=1`` is what one sees, 0 elsewhere, so
    a later shape that hides the subject takes its coverage away.
    """

    def __init__(self, resolution: int) -> None:
        self.resolution = resolution
        self.planes = np.zeros((4, resolution, resolution), np.float32)
        self.centres = (np.arange(resolution, dtype=np.float32) + np.float32(0.5)) / np.float32(resolution)
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
        if stripes:
            factor = (1 + 0.3 * np.sign(np.sin(self.centres[rows] * np.float32(2 * math.pi / stripes))))[:, None]
        elif self.light:
            factor = (1 + (self.light / max(reach, 1e-3)) * (self.centres[columns] - np.float32(x)))[None, :]
        else:
            factor = np.ones((1, 1), np.float32)
        tint = np.empty((4, *factor.shape), np.float32)
        np.multiply(np.asarray(colour, np.float32)[:, None, None], factor, out=tint[:3])
        tint[3] = self.subject
        region = self.planes[:, rows, columns]
        tint = tint - region
        tint *= alpha
        region += tint

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, *, angle: float = 0.0,
                opacity: float = 1.0, stripes: float = 0.0) -> None:
        """An ellipse around (x, y) with half axes ``rx`` and ``ry``, turned by ``angle`` in radians."""
        reach_x = reach_y = max(rx, ry) if angle else 0.0
        window = self._window(x, y, reach_x or rx, reach_y or ry)
        if window is None:
            return
        u, v = self._local(window, x, y, angle)
        u *= np.float32(1 / rx)
        v *= np.float32(1 / ry)
        u *= u
        v *= v
        inside = np.float32(1) - (u + v)
        inside *= np.float32(0.5 * min(rx, ry) * self.resolution)
        inside += np.float32(0.5)
        self._blend(window, self._opaque(inside, opacity), colour, x, reach_x or rx, stripes)

    def box(self, x: float, y: float, hx: float, hy: float, colour: Colour, *, angle: float = 0.0,
            opacity: float = 1.0, stripes: float = 0.0) -> None:
        """A rectangle around (x, y) with half sides ``hx`` and ``hy``, turned by ``angle`` in radians."""
        reach = math.hypot(hx, hy) if angle else 0.0
        window = self._window(x, y, reach or hx, reach or hy)
        if window is None:
            return
        u, v = self._local(window, x, y, angle)
        r = np.float32(self.resolution)
        across = (np.float32(hx) - np.abs(u)) * r
        along = (np.float32(hy) - np.abs(v)) * r
        across += np.float32(0.5)
        along += np.float32(0.5)
        alpha = self._opaque(across, opacity) * self._opaque(along, 1.0)
        self._blend(window, alpha, colour, x, reach or hx, stripes)

    def limb(self, x0: float, y0: float, x1: float, y1: float, r0: float, r1: float, colour: Colour, *,
             stripes: float = 0.0) -> None:
        """A thick line with round ends, from radius ``r0`` at (x0, y0) to ``r1`` at (x1, y1)."""
        x, y, r = (x0 + x1) / 2, (y0 + y1) / 2, max(r0, r1)
        reach_x, reach_y = abs(x1 - x0) / 2 + r, abs(y1 - y0) / 2 + r
        window = self._window(x, y, reach_x, reach_y)
        if window is None:
            return
        dx, dy = x1 - x0, y1 - y0
        squared = max(dx * dx + dy * dy, 1e-9)
        px = self.centres[window[1]] - np.float32(x0)
        py = self.centres[window[0]] - np.float32(y0)
        t = (px * np.float32(dx / squared))[None, :] + (py * np.float32(dy / squared))[:, None]
        np.maximum(t, 0, out=t)
        np.minimum(t, 1, out=t)
        u = px[None, :] - t * np.float32(dx)
        v = py[:, None] - t * np.float32(dy)
        u *= u
        v *= v
        u += v
        t *= np.float32(r1 - r0)
        t += np.float32(r0)
        t -= np.sqrt(u)
        t *= np.float32(self.resolution)
        t += np.float32(0.5)
        self._blend(window, self._opaque(t, 1.0), colour, x, reach_x, stripes)

    def _local(self, window: tuple[slice, slice], x: float, y: float,
               angle: float) -> tuple[np.ndarray, np.ndarray]:
        """Pixel centres relative to (x, y), turned back by ``angle``; [1, w] and [h, 1] when it is 0."""
        px = (self.centres[window[1]] - np.float32(x))[None, :]
        py = (self.centres[window[0]] - np.float32(y))[:, None]
        if not angle:
            return px, py
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        return px * cos + py * sin, py * cos - px * sin

    @staticmethod
    def _opaque(alpha: np.ndarray, opacity: float) -> np.ndarray:
        """``alpha`` clipped to [0, opacity], in place."""
        np.maximum(alpha, 0, out=alpha)
        np.minimum(alpha, np.float32(opacity), out=alpha)
        return alpha
