"""The listener of an exported keyword spotter on this machine: compile it and let it hear audio from Python."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterable, Mapping
from importlib import resources
from itertools import cycle
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from reds_jax.array_types import Int
from reds_jax.deploy import folder as exported_folder
from reds_jax.deploy.board.host import build
from reds_jax.deploy.escape import c_identifier
from reds_jax.deploy.front_end.spotter import ONE, Detection, Heard, Settings
from reds_jax.errors import InvalidArgumentError


class HostListener:
    """An exported keyword spotter, compiled and loaded, with its front end. It begins with the largest subnetwork.

    Args:
        folder: what `reds_jax.deploy.export` wrote with a ``front_end``.
        flags, cc, name: as for `HostNetwork`.
    """

    def __init__(self, folder: str | Path, *flags: str, cc: str | None = None, name: str = "reds") -> None:
        self.facts = exported_folder.facts(Path(folder), c_identifier(name))
        if "front_end" not in self.facts:
            raise InvalidArgumentError("the export has no front end", got=str(folder),
                                       hint="export(front_end=KeywordSpotter(...))")
        text = (resources.files("reds_jax.deploy.front_end") / "host_listener.c").read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:  # a loaded library needs its file no more
            main, library = Path(temporary) / "listener.c", Path(temporary) / "listener.so"
            main.write_text(Template(text).substitute(name=name, NAME=name.upper()), encoding="utf-8")
            build(Path(folder), library, *(flags or ("-O2",)), "-shared", "-fPIC", cc=cc, main=main, name=name)
            self._library = ctypes.CDLL(str(library))
        self._dtype = np.dtype(np.int8 if self.facts["dtype"] == "int8" else np.float32)
        self._listen = self._library.host_listen
        self._listen.argtypes = [ctypes.c_void_p, ctypes.c_uint32, *[ctypes.c_void_p] * 5]
        self._listen.restype = ctypes.c_uint32

    def __len__(self) -> int:
        return len(self.facts["subnetworks"])

    def adapt(self, k: int) -> bool:
        """Switch to subnetwork k; False, and nothing changes, if there is none."""
        return 0 <= k < 2**32 and self._library.host_adapt(ctypes.c_uint32(k)) == 0

    @property
    def active(self) -> int:
        """The subnetwork that the next inference runs."""
        return int(self._library.host_active())

    def listen(self, waveform: Int[np.ndarray, " samples"], settings: Settings | None = None, *,
               pieces: Iterable[int] = (320,), adapt: Mapping[int, int] | None = None) -> Heard:
        """What is heard in a recording, from its first sample on, by the subnetwork that is active.

        Args:
            waveform: int16 [S], at the sample rate of the front end.
            settings: hop, window, threshold and refractory time.
            pieces: how many samples each call is given, over and over; the result does not depend on it.
            adapt: which subnetwork to switch to when so many frames are there, {frames: subnetwork}.

        Raises:
            InvalidArgumentError: settings or a waveform that the C code does not take.
        """
        settings = settings or Settings()
        given = np.array([settings.hop, settings.window, settings.stored_threshold, settings.refractory], np.uint32)
        waveform = np.ascontiguousarray(waveform)
        if waveform.dtype != np.int16 or waveform.ndim != 1:
            raise InvalidArgumentError("this is no recording", got=f"{waveform.dtype} {list(waveform.shape)}",
                                       allowed="int16 [S]")
        if status := self._library.host_start(ctypes.c_void_p(given.ctypes.data)):
            frames, window = self.facts["input_shape"][0], self.facts["front_end"]["window"]
            raise InvalidArgumentError("the listener does not take these settings", got=(settings, status),
                                       allowed=f"hop 1 to {frames}, window 1 to {window}")
        return self._heard(waveform, cycle(pieces), dict(adapt or {}))

    def _heard(self, waveform: np.ndarray, pieces: Iterable[int], adapt: dict[int, int]) -> Heard:
        classes = self.facts["output_items"]
        rows: list[list[Any]] = []
        detections: list[Detection] = []
        heard, posteriors, means = np.zeros(4, np.uint32), np.zeros(classes, np.uint16), np.zeros(classes, np.uint16)
        given, out = np.zeros(self.facts["input_shape"], self._dtype), np.zeros(classes, self._dtype)
        arrays = [array.ctypes.data for array in (heard, posteriors, means, given, out)]
        at = 0
        for piece in pieces:
            end = min(at + piece, len(waveform))
            while at < end:
                at += self._listen(waveform[at:].ctypes.data, end - at, *arrays)
                word, inferred, subnetwork, frames = heard.tolist()
                if inferred:
                    rows.append([frames, subnetwork, *(array.copy() for array in (posteriors, means, given, out))])
                if word != 2**32 - 1:
                    detections.append(Detection(frames, word, int(means[word]) / ONE))
                if frames in adapt:
                    self.adapt(adapt.pop(frames))
            if at == len(waveform):
                break
        columns = zip(*rows, strict=True) if rows else [[]] * 6
        frames, subnetworks, p, m, x, y = map(np.array, columns)
        shape = (len(rows), classes)
        return Heard(frames, subnetworks, p.reshape(shape), m.reshape(shape), tuple(detections), x, y)
