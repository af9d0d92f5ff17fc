"""The spotter of ``reds_spotter.c`` in NumPy, number for number: posteriors, their mean over the last inferences, decisions.

For tests, and to choose a hop and a threshold on validation data before a board is flashed. Smoothing and threshold are those
of Chen, Parada and Heigold 2014, "Small-footprint keyword spotting using deep neural networks", ICASSP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import numpy as np

from reds_jax.array_types import Int, Shaped, UInt
from reds_jax.checks import integer, number
from reds_jax.deploy.c.exported import Exported
from reds_jax.errors import InvalidArgumentError

ONE = 32768
"""The posterior 1 (``REDS_ONE``)."""
LARGEST_STEP = 1 << 24
"""Of `exponent_step`: an output that is one step below the largest then has the posterior 0 already."""


@dataclass(frozen=True)
class Settings:
    """How a stream is listened to.

    Args:
        hop: frames from one inference to the next, from 1 to those that the network reads.
        window: how many of the last inferences are averaged, from 1 up.
        threshold: of the mean posterior of a word, above 0, at most 1.
        refractory: frames from one report of a word to the next of the same word; 0: none are left out.

    Raises:
        InvalidArgumentError: an argument is out of range.
    """

    hop: int = 5
    window: int = 5
    threshold: float = 0.6
    refractory: int = 50

    def __post_init__(self) -> None:
        integer("hop", self.hop, 1)
        integer("window", self.window, 1, 65535)
        integer("refractory", self.refractory, 0, 2**32 - 1)
        number("threshold", self.threshold, 0, 1, above=True)

    @property
    def stored_threshold(self) -> int:
        """As the device compares with it: the macro ``REDS_POSTERIOR(threshold)``, and at least 1."""
        return max(1, int(self.threshold * ONE + 0.5))


@dataclass(frozen=True)
class Detection:
    """A word that was heard.

    Args:
        frame: how many frames there were by then; the last of them is the last that the inference read.
        word: its class.
        posterior: the mean that passed the threshold, from 0 to 1.
    """

    frame: int
    word: int
    posterior: float


@dataclass(frozen=True, eq=False)
class Heard:
    """What a stream was heard as.

    Args:
        frames: how many frames there were at every inference, int [I].
        subnetworks: which one made it, int [I].
        posteriors: of every inference, in 1/32768, uint16 [I, classes].
        means: the same, smoothed, uint16 [I, classes].
        detections: the words, in the order of time.
        inputs: what the network read, [I, frames, ...], as it is stored (int8 or float32).
        outputs: what it answered, [I, classes].
    """

    frames: np.ndarray
    subnetworks: np.ndarray
    posteriors: UInt[np.ndarray, "inferences classes"]
    means: UInt[np.ndarray, "inferences classes"]
    detections: tuple[Detection, ...]
    inputs: np.ndarray
    outputs: np.ndarray


def posteriors(exported: Exported, k: int, outputs: Shaped[np.ndarray, "batch classes"]) -> UInt[np.ndarray, "batch classes"]:
    """Softmax of what the compiled subnetwork k answers, as the device computes it: in 1/32768, to 1e-4.

    Args:
        exported: what `reds_jax.deploy.export` returned.
        k: the subnetwork.
        outputs: its answers, see `Exported.expected`.
    """
    if exported.quantized is not None:
        step = exponent_step(exported.quantized.output_scale(k).scale)
        return softmax_int8(np.asarray(outputs, np.int8), step)
    x = np.asarray(outputs, np.float32)
    if exported.facts["ends_in"] == "softmax":
        return np.clip(np.nan_to_num(x * np.float32(ONE), nan=0), 0, ONE).astype(np.uint16)
    return softmax_float32(x)


def exponent_step(scale: float) -> int:
    """A step of the grid of the outputs as an exponent of 2 in 1/2^20: ``scale log2(e) 2^20``, rounded.

    >>> exponent_step(0.1)
    151278
    """
    return min(LARGEST_STEP, round(scale * log2(np.e) * 2**20))


def softmax_int8(outputs: Shaped[np.ndarray, "batch classes"], step: int) -> UInt[np.ndarray, "batch classes"]:
    """``reds_posteriors_s8``."""
    q = outputs.astype(np.int64)
    return _shares(_power(((q.max(-1, keepdims=True) - q) * step + 8) >> 4))


def softmax_float32(outputs: Shaped[np.ndarray, "batch classes"]) -> UInt[np.ndarray, "batch classes"]:
    """``reds_posteriors_f32``."""
    with np.errstate(invalid="ignore", over="ignore"):
        exponent = (np.fmax.reduce(outputs, -1, keepdims=True) - outputs) * np.float32(94548.46)
    heard = exponent < np.float32(17 << 16)
    return _shares(np.where(heard, _power(np.where(heard, exponent, 0).astype(np.int64)), 0))


def _power(exponent: np.ndarray) -> np.ndarray:
    """65536 * 2^(-exponent / 65536), by a polynomial of degree 4 between powers of two."""
    f, whole, y = exponent & 0xFFFF, exponent >> 16, 444
    for c in (3482, 15690, 45420, 65536):
        y = c - ((f * y + 0x8000) >> 16)
    return np.where(whole > 16, 0, ((2 * y >> np.minimum(whole, 17)) + 1) >> 1)


def _shares(weights: np.ndarray) -> np.ndarray:
    total = weights.sum(-1, keepdims=True)
    return np.where(total > 0, (weights * ONE + total // 2) // np.maximum(total, 1), 0).astype(np.uint16)


def spot(
    posteriors: UInt[np.ndarray, "inferences classes"], words: Sequence[bool], settings: Settings, *, first: int
) -> tuple[UInt[np.ndarray, "inferences classes"], tuple[Detection, ...]]:
    """The means and the words in a stream of posteriors.

    With p_i those of inference i, the mean m_i is that of p over the last ``window`` inferences (over all there are, while
    there are fewer). The word c is heard in inference i if it is the class with the largest mean, a word,
    ``m_i[c] >= threshold``, and it was not heard in the ``refractory`` frames before.

    Args:
        posteriors: in 1/32768, of one inference after the other.
        words: for every class whether it is a word that is reported (silence is none).
        settings: see `Settings`.
        first: how many frames there were at the first inference.

    Returns:
        The means, rounded down, in 1/32768, and the words.
    """
    p = np.asarray(posteriors, np.int64)
    if p.ndim != 2 or p.shape[1] != len(words):
        raise InvalidArgumentError("these are no posteriors of these classes", got=list(p.shape), allowed=f"[N, {len(words)}]")
    sums = np.cumsum(p, axis=0)
    sums[settings.window :] -= sums[: -settings.window].copy()
    filled = np.minimum(np.arange(len(p)) + 1, settings.window)
    detections: list[Detection] = []
    last: dict[int, int] = {}
    for i, (total, n) in enumerate(zip(sums, filled.tolist(), strict=True)):
        best, frame = int(total.argmax()), first + i * settings.hop
        if not words[best] or total[best] < settings.stored_threshold * n:
            continue
        if best not in last or frame - last[best] >= settings.refractory:
            last[best] = frame
            detections.append(Detection(frame, best, int(total[best]) // n / ONE))
    return (sums // filled[:, None]).astype(np.uint16), tuple(detections)


def listen(
    exported: Exported, waveform: Int[np.ndarray, " samples"], settings: Settings | None = None, k: int | Sequence[int] = 0, *,
    features: Shaped[np.ndarray, "frames ..."] | None = None,
) -> Heard:
    """What the compiled keyword spotter hears in a recording, from its first sample on.

    Args:
        exported: what `reds_jax.deploy.export` returned, with a ``front_end``.
        waveform: int16 [S], at the sample rate of the front end.
        settings: hop, window, threshold and refractory time.
        k: the subnetwork, or that of every inference.
        features: the frames as the network reads them, [F, coefficients], int8 or float32, where others are wanted than those
            of `KeywordSpotter.features`; the float32 front end of C differs from it in the last bits, which can move an int8
            input by one.

    Raises:
        InvalidArgumentError: the export has no front end; a waveform of another form; a hop longer than the network's input.
    """
    settings = settings or Settings()
    front_end: Any = exported.front_end  # a KeywordSpotter, which imports this module
    if front_end is None:
        raise InvalidArgumentError("the export has no front end", hint="export(front_end=KeywordSpotter(...))")
    shape = exported.program.input_shape
    integer("hop", settings.hop, 1, shape[0])
    integer("window", settings.window, 1, front_end.window)
    quantized = exported.quantized
    grid = None if quantized is None else quantized.input_scale
    if features is None:
        features = front_end.features(waveform, grid)
    x = windows(np.asarray(features).reshape(-1, *shape[1:]), shape[0], settings.hop)
    real = x if grid is None else (x.astype(np.int32) - grid.zero) * np.float32(grid.scale)  # quantised again, the same
    chosen = np.full(len(x), k) if isinstance(k, int) else np.asarray(k)
    if chosen.shape != (len(x),):
        raise InvalidArgumentError("there is no subnetwork for every inference", got=len(chosen), allowed=str(len(x)))
    y = np.zeros((len(x), len(front_end.class_names)), np.float32 if quantized is None else np.int8)
    p = np.zeros(y.shape, np.uint16)
    for one in np.unique(chosen).tolist():
        rows = chosen == one
        y[rows] = exported.expected(one, real[rows].astype(np.float32))
        p[rows] = posteriors(exported, one, y[rows])
    means, detections = spot(p, front_end.words, settings, first=shape[0])
    return Heard(shape[0] + settings.hop * np.arange(len(x)), chosen, p, means, detections, x, y)


def windows(features: Shaped[np.ndarray, "frames ..."], frames: int, hop: int) -> Shaped[np.ndarray, "inferences frames ..."]:
    """What the network reads at every inference: the first ``frames`` frames, and on by ``hop``; [I, frames, ...]."""
    starts = np.arange(0, len(features) - frames + 1, hop)
    return features[starts[:, None] + np.arange(frames)]
