"""Photographs that were read once, kept at their resolution: a reading that is stopped goes on, and the next one is quick.

The cache is a folder for every folder of photographs and resolution. In it the images lie in 128 parts by the hash of their
names, so that another seed, limit or share of validation finds those that it has in common. Every image is kept with the size
and the time of its file: one that was changed is read again. A part is written whole or not at all, and one that is damaged is
made anew. Labels are not kept: they come from the annotations, by their rule, at every reading.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..user_cache import cache_folder
from ..whole_file import write_bytes
from .npz import read_npz

PARTS = 128
VERSION = 1
"""Changes when images of the same files would be read differently."""

Stamped = dict[str, tuple[tuple[int, int], np.ndarray]]
"""{name: ((bytes of the file, its time in ns), image)}."""


def photograph_folder() -> Path:
    """``photographs`` in the folder of `reds_jax.user_cache`."""
    return cache_folder() / "photographs"


def through_cache(cache: Path, place: Path, names: Sequence[str], resolution: int, read: Callable[[int], np.ndarray | None],
                  keep: Callable[[int, np.ndarray], None]) -> None:
    """Hand every image of ``names`` to ``keep``, from the cache or by ``read``, which may return None; then it is not kept.

    Args:
        cache: the folder of all caches, made if it is missing; where it cannot be written, a warning says so.
        place: the folder of the photographs.
        names: their files, below it.
        resolution: pixels a side.
        read: a position in ``names`` to an image uint8 [R, R, 3].
        keep: takes a position and its image.
    """
    folder = cache / hashlib.sha256(f"{VERSION} {resolution} {place.resolve()}".encode()).hexdigest()[:16]
    parts: dict[int, list[int]] = {}
    for k, name in enumerate(names):
        parts.setdefault(hashlib.sha256(name.encode()).digest()[0] % PARTS, []).append(k)
    for number, positions in sorted(parts.items()):
        path = folder / f"{number:03}.npz"
        known, new = _load(path, resolution), False
        for k in positions:
            stamp = _stamp(place / names[k])
            found = known.get(names[k])
            if found is not None and found[0] == stamp:
                keep(k, found[1])
                continue
            image = read(k)
            if image is not None and stamp is not None:
                known[names[k]], new = (stamp, image), True
            if image is not None:
                keep(k, image)
        if new:
            _save(path, known)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:  # reading it says so
        return None
    return found.st_size, found.st_mtime_ns


def _load(path: Path, resolution: int) -> Stamped:
    if not path.is_file():
        return {}
    try:
        arrays = read_npz(path)
        names, stamps, images = arrays["names"], arrays["stamps"], arrays["images"]
    except (DataError, KeyError):  # damaged: made anew
        return {}
    n = len(names)
    if stamps.shape != (n, 2) or images.shape != (n, resolution, resolution, 3) or images.dtype != np.uint8:
        return {}
    return {str(name): ((int(size), int(when)), image) for name, (size, when), image in zip(names, stamps, images, strict=True)}


def _save(path: Path, known: Stamped) -> None:
    data = io.BytesIO()
    np.savez(data, names=np.array(list(known)), stamps=np.array([stamp for stamp, _ in known.values()], np.int64),
             images=np.stack([image for _, image in known.values()]))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data.getvalue())
    except OSError as error:
        warnings.warn(f"photographs are not kept for the next reading ({error}); XDG_CACHE_HOME names another place for them",
                      stacklevel=2)
