"""WAV files of one second: 16 kHz, one channel, 16 bits, by the standard library."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from ..errors import DataError

RATE = 16000


def read_wav(path: Path) -> np.ndarray:
    """The samples int16 [S] of a file.

    Raises:
        DataError: the file is missing, is no WAV, is cut short, or has another rate or kind of samples; it names the file.
    """
    try:
        with wave.open(str(path), "rb") as file:
            form, count = (file.getframerate(), file.getnchannels(), 8 * file.getsampwidth()), file.getnframes()
            data = file.readframes(count)
    except FileNotFoundError:
        raise DataError("a sound file is missing", got=str(path)) from None
    except (wave.Error, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be read as WAV ({error})", hint="Fetch or unpack the file again.") from error
    if form != (RATE, 1, 16):
        raise DataError(f"{path} has another form", got="{} Hz, channels: {}, {} bits".format(*form),
                        allowed=f"{RATE} Hz, one channel, 16 bits", hint="Convert it with sox or ffmpeg.")
    if len(data) != 2 * count or not count:
        raise DataError(f"{path} is cut short", got=f"{len(data)} bytes", allowed=f"{2 * count} bytes, as its header says",
                        hint="Fetch or unpack the file again.")
    return np.frombuffer(data, "<i2").astype(np.int16)


def one_second(samples: np.ndarray) -> np.ndarray:
    """int16 [16000]: cut at the end, or with zeros behind."""
    return np.pad(samples[:RATE], (0, max(0, RATE - len(samples))))
