"""`MFCC`: waveforms to mel-frequency cepstral coefficients, one definition for NumPy and for JAX.

The numbers are those of TensorFlow's ``audio_spectrogram`` and ``mfcc``, which the keyword-spotting networks were trained on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..checks import integer, number
from ..errors import InvalidArgumentError

FULL_SCALE = 32768
"""What an integer sample is divided by."""
SMALLEST = 1e-12
"""A band below it is taken to be so large, before the logarithm."""


@dataclass(frozen=True)
class MFCC:
    """Waveforms [N, S] to float32 [N, frames, coefficients, 1]; hashable, for `DataSet.normalise` and compiled functions.

    With X_t the Fourier transform of frame t under a periodic Hann window, padded to the next power of two, and T the
    triangular bands, equally wide in mel ``1127 ln(1 + f / 700)``:

        ``m_t[b] = ln max(1e-12, sum_f T[b, f] |X_t[f]|)``,  ``c_t[k] = sqrt(2 / B) sum_b m_t[b] cos(pi k (b + 1/2) / B)``

    The transform is a product with the cosines and sines of the bins that the bands read, a quarter of all, and is taken about
    the middle of the frame: there the window is symmetric, so that each half of the product has half as many terms.

    Args:
        window_ms: length of a frame.
        stride_ms: from the start of a frame to that of the next; 20 for the CNN and the DS-CNN, 40 for the DNN.
        coefficients: how many c_t[k], from k = 0 on.
        bands: B, the number of triangles.
        low_hz, high_hz: what they cover.
        sample_rate: samples a second.

    Raises:
        InvalidArgumentError: an argument is out of range; called with anything but waveforms at least one frame long.

    Source: Davis and Mermelstein 1980, IEEE TASSP 28(4), 357-366; settings of Zhang et al. 2017, arXiv 1711.07128.
    """

    window_ms: int = 40
    stride_ms: int = 20
    coefficients: int = 10
    bands: int = 40
    low_hz: float = 20.0
    high_hz: float = 4000.0
    sample_rate: int = 16000

    def __post_init__(self) -> None:
        for name in ("window_ms", "stride_ms", "bands", "sample_rate"):
            integer(name, getattr(self, name), 1)
        integer("coefficients", self.coefficients, 1, self.bands)
        number("low_hz", self.low_hz, 0)
        number("high_hz", self.high_hz, self.low_hz, self.sample_rate / 2, above=True)
        if self.sample_rate % 1000 or self.window % 2:
            raise InvalidArgumentError("a frame is no even number of samples", got=(self.sample_rate, self.window_ms),
                                       allowed="a sample rate in whole kHz and an even number of samples in window_ms")

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return self.window_ms * self.sample_rate // 1000

    @property
    def stride(self) -> int:
        """Samples from frame to frame."""
        return self.stride_ms * self.sample_rate // 1000

    @property
    def transform_length(self) -> int:
        """Samples of the transform: the window, padded to the next power of two."""
        return 1 << (self.window - 1).bit_length()

    def frames(self, samples: int) -> int:
        """How many frames so many samples have.

        >>> MFCC(stride_ms=20).frames(16000), MFCC(stride_ms=40).frames(16000)
        (49, 25)
        """
        return max(0, 1 + (samples - self.window) // self.stride)

    def __call__(self, waveforms: Any) -> Any:
        """int16 [N, S], or floats [N, S] from -1 to 1, to float32 [N, frames, coefficients, 1]; NumPy in, NumPy out."""
        xp: Any = np if isinstance(waveforms, np.ndarray) else jnp
        kind = getattr(getattr(waveforms, "dtype", None), "name", type(waveforms).__name__)
        if kind not in ("int16", "float32", "float64") or waveforms.ndim != 2 or waveforms.shape[1] < self.window:
            raise InvalidArgumentError("MFCC takes waveforms", got=f"{kind} {list(np.shape(waveforms))}",
                                       allowed=f"int16, or floats from -1 to 1, [N, {self.window} or more samples]")
        scale = np.float32(1 / FULL_SCALE if kind == "int16" else 1)
        x = self._framed(xp, waveforms.astype(np.float32) * scale)
        later, earlier = x[..., self.window // 2 :], x[..., self.window // 2 : 0 : -1]  # from the middle on, to both sides
        cos, sin, triangles, basis = _matrices(self)
        with jax.default_matmul_precision("highest"):  # an accelerator's short products would lose the quiet bands
            real, imaginary = (later + earlier) @ cos, (later - earlier) @ sin
            energies = xp.sqrt(real * real + imaginary * imaginary) @ triangles
            return (xp.log(xp.maximum(energies, np.float32(SMALLEST))) @ basis)[..., None]

    def _framed(self, xp: Any, x: Any) -> Any:
        """[N, S] to [N, frames, window], by slices of blocks: a gather is slow on a CPU."""
        block, frames = math.gcd(self.window, self.stride), self.frames(x.shape[1])
        step, width = self.stride // block, self.window // block
        blocks = x[:, : x.shape[1] // block * block].reshape(len(x), -1, block)
        return xp.concatenate([blocks[:, j : j + (frames - 1) * step + 1 : step] for j in range(width)], axis=-1)


@cache
def _matrices(mfcc: MFCC) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cosines and sines [window / 2, bins] under the window, the triangles [bins, bands], the DCT [bands, coefficients]."""
    half, bins = mfcc.window // 2, transform_bins(mfcc)
    m = np.arange(half)[:, None]
    window = 0.5 + 0.5 * np.cos(np.pi * m / half)  # Hann, about its middle
    cos, sin = (window * f(2 * np.pi * m * bins / mfcc.transform_length) for f in (np.cos, np.sin))
    cos[0] /= 2  # the sample in the middle comes from both sides
    return tuple(a.astype(np.float32) for a in (cos, sin, triangles(mfcc), basis(mfcc)))  # pyright: ignore[reportReturnType]


def transform_bins(mfcc: MFCC) -> np.ndarray:
    """The bins of the transform that the bands read, [bins]."""
    hz = mfcc.sample_rate / mfcc.transform_length
    return np.arange(int(1.5 + mfcc.low_hz / hz), int(mfcc.high_hz / hz) + 1)


def triangles(mfcc: MFCC) -> np.ndarray:
    """What each band takes of each bin, float64 [bins, bands]."""
    hz = transform_bins(mfcc) * mfcc.sample_rate / mfcc.transform_length
    low, high, at = (1127 * np.log1p(np.asarray(f) / 700) for f in (mfcc.low_hz, mfcc.high_hz, hz))
    place = (at - low) / ((high - low) / (mfcc.bands + 1))  # of a bin, in spacings between the middles of the bands
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(1, mfcc.bands + 1)))


def basis(mfcc: MFCC) -> np.ndarray:
    """The cosines from the logarithms of the bands to the coefficients, float64 [bands, coefficients]."""
    cosines = np.cos(np.pi * np.outer(np.arange(mfcc.bands) + 0.5, np.arange(mfcc.coefficients)) / mfcc.bands)
    return cosines * math.sqrt(2 / mfcc.bands)
