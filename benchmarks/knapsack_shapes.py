"""Shapes of the importance scores of a layer's units, as the benchmarks of the width solver draw them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SHAPES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "exponential": lambda rng, n: np.exp(-np.arange(n) * rng.uniform(2, 6) / n),
    "gamma": lambda rng, n: rng.gamma(rng.uniform(0.5, 3), size=n),
    "flat": lambda rng, n: rng.uniform(0.9, 1.1, size=n),
    "lognormal": lambda rng, n: rng.lognormal(0, 1, size=n),
}
