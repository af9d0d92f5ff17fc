"""What the C front end reads: the window, the sines of the transform, the bands and the basis of an `MFCC`, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reds_jax.array_types import Float, Int
from reds_jax.data.mfcc import MFCC, basis, transform_bins, triangles
from reds_jax.errors import InvalidArgumentError

LONGEST = 64000
"""Samples of a window: a sum over it has 32 bits."""
MOST_BANDS = 4096
_NOTHING = 2.0**-40  # a weight below is rounding: the last bin, at high_hz, has weight 0


@dataclass(frozen=True)
class Tables:
    """The front end as arrays; a fast transform of N real samples is taken, N the window padded to a power of two.

    Args:
        mfcc: what they belong to.
        half: the rising half of the periodic Hann window, ``1/2 - 1/2 cos(2 pi n / window)`` for n from 0 to window / 2.
        sine: ``sin(2 pi i / N)`` for i from 0 to N / 4.
        first, count: the bins of every band, ``first[b]`` to ``first[b] + count[b] - 1``.
        weights: of these bins, band after band.
        basis: from the logarithms of the bands to the coefficients.
    """

    mfcc: MFCC
    half: Float[np.ndarray, " half_window"]
    sine: Float[np.ndarray, " quarter"]
    first: Int[np.ndarray, " bands"]
    count: Int[np.ndarray, " bands"]
    weights: Float[np.ndarray, " weights"]
    basis: Float[np.ndarray, "bands coefficients"]

    @classmethod
    def of(cls, mfcc: MFCC) -> Tables:
        """The tables of a front end.

        Raises:
            InvalidArgumentError: it is no `MFCC`, its window is over ``LONGEST``, or it has more bands than ``MOST_BANDS``.
        """
        if not isinstance(mfcc, MFCC):
            raise InvalidArgumentError("the front end on a device is an MFCC", got=type(mfcc).__name__)
        if mfcc.window > LONGEST:
            raise InvalidArgumentError("the window is too long for the front end on a device", got=mfcc.window,
                                       allowed=f"up to {LONGEST} samples")
        if mfcc.bands > MOST_BANDS:
            raise InvalidArgumentError("there are too many bands for the front end on a device", got=mfcc.bands,
                                       allowed=f"up to {MOST_BANDS}")
        length = max(4, mfcc.transform_length)  # the two bins of a transform of 2 are in no band
        bands = np.where((triangle := triangles(mfcc)) > _NOTHING, triangle, 0.0).T
        used = [np.flatnonzero(band) for band in bands]
        start = transform_bins(mfcc)[:1].sum()
        return cls(
            mfcc, 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(mfcc.window // 2 + 1) / mfcc.window),
            np.sin(2 * np.pi * np.arange(length // 4 + 1) / length),
            np.array([start + u[0] if len(u) else 0 for u in used]), np.array([len(u) for u in used]),
            np.concatenate([band[u] for band, u in zip(bands, used, strict=True)]), basis(mfcc))

    @property
    def quarter(self) -> int:
        """N / 4."""
        return len(self.sine) - 1

    @property
    def bins(self) -> int:
        """The bins that the bands read are below it; at most N / 2."""
        return int((self.first + self.count).max())
