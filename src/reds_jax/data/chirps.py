"""Twelve kinds of chirps from a seed: the whole pipeline for sound runs on them where there are no clips."""

from __future__ import annotations

import numpy as np

from ..checks import integer

KINDS = 12
RATE = 16000


def render_chirps(count: int, *, samples: int = RATE, seed: int = 0, stream: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(waveforms int16 [N, samples], kinds int32 [N]): clip i is of kind i mod 12.

    Kind 0 is noise alone, kind 1 noise that swells and fades; the others are tones over noise that rise, fall or stay, at one
    of several heights, somewhere in the clip.

    Args:
        count: clips, 1 or more.
        samples: of one clip, at 16 kHz.
        seed, stream: non-negative integers; streams of a seed are independent of each other.
    """
    integer("count", count, 1)
    clips = np.empty((count, samples), np.int16)
    for i in range(count):
        clips[i] = _chirp(i % KINDS, samples, np.random.default_rng((seed, stream, i)))
    return clips, (np.arange(count) % KINDS).astype(np.int32)


def _chirp(kind: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """One clip, with its loudness, place, length and height drawn."""
    seconds = np.arange(samples) / RATE
    middle, length = rng.uniform(0.35, 0.65) * samples / RATE, rng.uniform(0.1, 0.2) * samples / RATE
    envelope = np.exp(-0.5 * ((seconds - middle) / length) ** 2)
    noise = rng.standard_normal(samples) * rng.uniform(20, 200)
    if kind == 0:
        return noise.astype(np.int16)
    if kind == 1:
        return (noise + envelope * rng.standard_normal(samples) * 2000).astype(np.int16)
    height, slope = 250 * 2.0 ** ((kind - 2) // 3 + rng.uniform(-0.15, 0.15)), ((kind - 2) % 3 - 1) * 0.5
    tone = np.sin(2 * np.pi * height * (seconds - middle) * (1 + slope * (seconds - middle) / (2 * length)) + rng.uniform(0, 6))
    return (noise + envelope * tone * rng.uniform(1500, 6000)).astype(np.int16)


def chirp_noise(seed: int) -> np.ndarray:
    """Four seconds of noise whose power falls with the frequency, int16 [64000], as the recordings of a room."""
    spectrum = np.fft.rfft(np.random.default_rng((seed, KINDS)).standard_normal(4 * RATE))
    sound = np.fft.irfft(spectrum / np.sqrt(1 + np.arange(len(spectrum))))
    return np.round(sound / np.abs(sound).max() * 16000).astype(np.int16)
