"""The front end in integers, for a core without an FPU: its tables, and the numbers that the C code gives, bit for bit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reds_jax.array_types import Int, Int8, Int32, UInt
from reds_jax.data.mfcc import MFCC, SMALLEST
from reds_jax.deploy.front_end.tables import Tables
from reds_jax.deploy.int8.calibrate import Scale
from reds_jax.errors import InvalidArgumentError

_ROOTS = np.minimum(65535, np.rint(65536 * np.sqrt(np.arange(257) / 256))).astype(np.int64)
_LOGARITHMS = np.minimum(65535, np.rint(65536 * np.log2(1 + np.arange(129) / 128))).astype(np.int64)
_SMALLEST = round(65536 * math.log2(SMALLEST))


@dataclass(frozen=True)
class FixedTables:
    """`Tables` in integers of 16 bits.

    Args:
        tables: in float64.
        fraction: bits that a windowed sample has behind the point. Every sum of the transform is at most
            ``2 * 32768 * window / 2``, the sum over the window, and below 2^31 with them.
        basis_fraction: bits that a sum of the basis has behind the point; no logarithm is beyond 64 to the base 2.
        half, weights: in 1/65536.
        sine: in 1/32768.
        basis: times ln 2, in 2^(4 - basis_fraction); logarithms are to the base 2.
    """

    tables: Tables
    fraction: int
    basis_fraction: int
    half: UInt[np.ndarray, " half_window"]
    sine: Int[np.ndarray, " quarter"]
    weights: UInt[np.ndarray, " weights"]
    basis: Int[np.ndarray, "bands coefficients"]

    @classmethod
    def of(cls, mfcc: MFCC) -> FixedTables:
        """The tables of a front end; an `InvalidArgumentError` where `Tables.of` has one."""
        tables = Tables.of(mfcc)
        basis = tables.basis * math.log(2)
        bits = math.floor(min(math.log2(32767 / np.abs(basis).max()), 21 - math.log2(np.abs(basis).sum(axis=0).max())) - 1e-3)
        return cls(
            tables, math.floor(math.log2(64000 / mfcc.window)), 4 + bits, _rounded(tables.half, 65536, np.uint16),
            _rounded(tables.sine, 32768, np.int16), _rounded(tables.weights, 65536, np.uint16),
            np.rint(basis * 2**bits).astype(np.int16))

    def __call__(self, waveforms: Int[np.ndarray, "clips samples"]) -> Int32[np.ndarray, "clips frames coefficients"]:
        """The coefficients in 1/65536, as ``reds_mfcc_s32_frame`` of the C runtime computes them from every frame.

        Raises:
            InvalidArgumentError: these are no int16 clips of at least one frame.
        """
        mfcc, t = self.tables.mfcc, self.tables
        if waveforms.dtype != np.int16 or waveforms.ndim != 2 or waveforms.shape[1] < mfcc.window:
            raise InvalidArgumentError("the front end in integers takes waveforms",
                                       got=f"{waveforms.dtype} {list(waveforms.shape)}",
                                       allowed=f"int16 [N, {mfcc.window} or more samples]")
        starts = mfcc.stride * np.arange(mfcc.frames(waveforms.shape[1]))
        x = waveforms[:, starts[:, None] + np.arange(mfcc.window)].astype(np.int64)
        used = np.bitwise_or.reduce(np.where(x < 0, ~x, x), axis=-1)
        headroom = np.where(used > 0, 15 - _bits(used), 15)[..., None]
        weight = np.concatenate([self.half[:-1], self.half[:0:-1]]).astype(np.int64)
        shift = 16 - self.fraction
        z = np.zeros((*x.shape[:2], 4 * t.quarter), np.int64)
        z[..., : mfcc.window] = ((x << headroom) * weight + (1 << (shift - 1))) >> shift
        magnitudes = self._magnitudes(*self._transform(z[..., ::2], z[..., 1::2]))
        energies = np.zeros((*x.shape[:2], mfcc.bands), np.uint64)
        at = 0
        for b, (first, count) in enumerate(zip(t.first, t.count, strict=True)):
            energies[..., b] = magnitudes[..., first : first + count] @ self.weights[at : at + count].astype(np.uint64)
            at += count
        m = np.where(energies > 0, _logarithm(np.maximum(energies, 1)) - (32 + self.fraction + headroom) * 65536, _SMALLEST)
        products = (np.maximum(m, _SMALLEST)[..., None] * 16 * self.basis.astype(np.int64)) >> 16
        shift = self.basis_fraction - 16
        return ((products.sum(axis=-2) + (1 << (shift - 1))) >> shift).astype(np.int32)

    def _transform(self, re: Int[np.ndarray, "..."], im: Int[np.ndarray, "..."]) -> tuple[np.ndarray, np.ndarray]:
        """N / 2 complex numbers, radix 4 after one step of radix 2 where it is needed."""
        length = re.shape[-1]
        width = length.bit_length() - 1
        order = [int(f"{i:0{width}b}"[::-1], 2) for i in range(length)]
        z, m = np.stack([re[..., order], im[..., order]]), 1
        if width % 2:
            pairs = z.reshape(*z.shape[:-1], length // 2, 2)
            z = np.stack([pairs[..., 0] + pairs[..., 1], pairs[..., 0] - pairs[..., 1]], axis=-1).reshape(z.shape)
            m = 2
        while m < length:
            parts = z.reshape(*z.shape[:-1], length // (4 * m), 4, m)
            k = np.arange(m) * (self.tables.quarter // m)
            t0, t1, t2, t3 = parts[..., 0, :], *(self._turned(parts[..., j, :], f * k) for j, f in ((1, 2), (2, 1), (3, 3)))
            a, b, c, (d_re, d_im) = t0 + t1, t0 - t1, t2 + t3, t2 - t3
            turned = np.stack([d_im, -d_re])
            z = np.stack([a + c, b + turned, a - c, b - turned], axis=-2).reshape(z.shape)
            m *= 4
        return z[0], z[1]

    def _turned(self, z: np.ndarray, k: np.ndarray) -> np.ndarray:
        """Times exp(-2 pi i k / N), as the products of the C code round."""
        quarter, sine = self.tables.quarter, self.sine.astype(np.int64)
        turns, rest = np.divmod(k, quarter)
        s, c = sine[rest], sine[quarter - rest]
        cos, sin = np.choose(turns, [c, -s, -c]), np.choose(turns, [-s, -c, s])
        y = np.stack([_product(z[0], cos) - _product(z[1], sin), _product(z[0], sin) + _product(z[1], cos)]) * 2
        return np.where(k == 0, z, y)

    def _magnitudes(self, re: np.ndarray, im: np.ndarray) -> np.ndarray:
        """Of bins 0 to ``bins`` - 1; that of bin 0, which no band reads, is 0."""
        t, length = self.tables, re.shape[-1]
        found = np.zeros((*re.shape[:-1], max(t.bins, 1)), np.uint64)
        for k in range(1, min(t.quarter + 1, t.bins)):
            other = length - k
            even = np.stack([re[..., k] + re[..., other], im[..., k] - im[..., other]])
            odd = np.stack([im[..., k] + im[..., other], re[..., other] - re[..., k]])
            turned = self._turned(odd, np.array(k))
            if other < t.bins:
                found[..., other] = _magnitude(*(even - turned))
            found[..., k] = _magnitude(*(even + turned))
        return found


@dataclass(frozen=True)
class FixedGrid:
    """From coefficients c in 1/65536 to an 8-bit grid, by a product of 32 bits.

    ``clip((((c * multiplier + 2^31) >> 32) + round) >> shift, -128, 127)``, the multiplier being ``2^(16 + shift) / scale``.

    Args:
        multiplier: below 2^31.
        round: the zero point and the half that rounds, with ``shift`` bits behind the point.
        shift: 1 to 20.
    """

    multiplier: int
    round: int
    shift: int

    @classmethod
    def of(cls, grid: Scale) -> FixedGrid:
        """For the grid of a network's input.

        Raises:
            InvalidArgumentError: its scale is so small that the multiplier leaves 31 bits even with a shift of 1.
        """
        shift = min(20, math.floor(15 + math.log2(grid.scale) - 1e-9))
        if shift < 1:
            raise InvalidArgumentError("the scale of the input is too small for the front end in integers", got=grid.scale,
                                       allowed=f"from {2.0**-14} up")
        return cls(round(2 ** (16 + shift) / grid.scale), (grid.zero << shift) + (1 << (shift - 1)), shift)

    def quantize(self, coefficients: Int32[np.ndarray, "*shape"]) -> Int8[np.ndarray, "*shape"]:
        t = (np.asarray(coefficients, np.int64) * self.multiplier + (1 << 31)) >> 32
        return np.clip((t + self.round) >> self.shift, -128, 127).astype(np.int8)


def _rounded(x: np.ndarray, scale: int, dtype: type) -> np.ndarray:
    return np.minimum(np.rint(x * scale), np.iinfo(dtype).max).astype(dtype)


def _bits(x: np.ndarray) -> np.ndarray:
    """How many bits the integers have, which may be 64."""
    high, low = np.asarray(x, np.uint64) >> np.uint64(32), np.asarray(x, np.uint64) & np.uint64(0xFFFFFFFF)
    return np.where(high > 0, 32 + np.frexp(high.astype(float))[1], np.frexp(low.astype(float))[1])


def _product(a: np.ndarray, w: np.ndarray) -> np.ndarray:
    return (a * w) >> 16


def _between(table: np.ndarray, i: np.ndarray, place: np.ndarray) -> np.ndarray:
    return table[i] + (((table[i + 1] - table[i]) * place) >> 16)


def _magnitude(re: np.ndarray, im: np.ndarray) -> np.ndarray:
    re, im = np.abs(re), np.abs(im)
    shift = _bits(re | im) - 15
    re, im = ((v << np.maximum(-shift, 0)) >> np.maximum(shift, 0) for v in (re, im))
    square = re * re + im * im
    small = square < 1 << 30
    square, shift = np.where(small, square << 2, square), shift - small
    root = _between(_ROOTS, square >> 24, (square >> 8) & 0xFFFF)
    return np.where(square > 0, (root << np.maximum(shift, 0)) >> np.maximum(-shift, 0), 0).astype(np.uint64)


def _logarithm(x: np.ndarray) -> np.ndarray:
    bits = _bits(x)
    first = np.where(bits >= 32, x >> np.maximum(bits - 32, 0).astype(np.uint64),
                     x << np.maximum(32 - bits, 0).astype(np.uint64)).astype(np.int64)
    return (bits - 1) * 65536 + _between(_LOGARITHMS, (first >> 24) & 127, (first >> 8) & 0xFFFF)
