"""The folder of an export: which files in it the export wrote, and how they are replaced, all of them or none.

``manifest.json`` names every file that an export wrote, with the SHA-256 of its content. Nothing else is ever replaced or
removed: what a user puts beside those files stays (also what ``make`` builds there: it is older than the new sources, so
``make`` builds it again), and where a file of the export has been edited, or another one has a name that is needed, the export
is refused.

The folder itself is neither renamed nor replaced, so it may be a link, a mount point or ``"."``. The new files are written into
a folder inside it; the old ones are moved there, the new ones out, and the manifest last: that commits. A process that is
killed before leaves the old files there, and the next export begins by putting them back.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reds_jax.errors import CheckpointError, InvalidArgumentError

MANIFEST = "manifest.json"
FORMAT = "reds_jax export 1"
_PROGRAMS = {"main.c", "listen.c", "wav.c", "microphone.c"}
_STAGING = ".reds_jax_export"
_NAME = re.compile(r"\w[\w.]*", re.ASCII)
_EXPORT = "Write one with reds deploy export."
_ANOTHER = "Choose another folder, or move what is in this one away."


def check(folder: Path, names: Iterable[str] = ()) -> list[str]:
    """The names of the files that an older export left in the folder, after one that was killed has been undone.

    Args:
        folder: where an export is to be written; it need not exist.
        names: the files that are to be written.

    Raises:
        InvalidArgumentError: something stands there that no export wrote, or that was edited since.
    """
    if not os.path.lexists(folder):
        return []
    if folder.is_dir():
        _put_back(folder)
    else:
        raise InvalidArgumentError("an export cannot be written there: it is no folder", got=str(folder), hint=_ANOTHER)
    if (manifest := _manifest(folder)) is None:
        if foreign := sorted(p.name for p in folder.iterdir() if p.name != _STAGING):
            raise InvalidArgumentError(f"the folder {str(folder)!r} holds something else than an export", got=_few(foreign),
                                       allowed="a new or empty folder, or one that an export wrote", hint=_ANOTHER)
        return []
    if edited := sorted(name for name, digest in manifest.items() if _differs(folder / name, digest)):
        raise InvalidArgumentError(
            f"files of the export in {str(folder)!r} were edited since they were written", got=_few(edited),
            hint="Rename them (an export leaves files with other names alone) or remove them, then export again.")
    if taken := sorted(name for name in set(names) - set(manifest) - {MANIFEST} if os.path.lexists(folder / name)):
        raise InvalidArgumentError(f"the export needs names that other files have in {str(folder)!r}", got=_few(taken),
                                   hint="Rename those files, or choose another folder.")
    return [name for name in manifest if (folder / name).exists()]


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files of an export and its manifest, or nothing; those of an older export are replaced.

    Args:
        folder: made if it is missing.
        files: the text of every file by name; the last is the last to appear.

    Raises:
        InvalidArgumentError: see `check`.
    """
    from reds_jax.training.arrays import write_text

    old = check(folder, files)
    folder.mkdir(parents=True, exist_ok=True)
    staging = folder / _STAGING
    try:
        for part in ("old", "new"):
            (staging / part).mkdir(parents=True)
        for name, text in files.items():
            write_text(staging / "new" / name, text)
        write_text(staging / MANIFEST, _text({name: _digest(text.encode()) for name, text in files.items()}))
        for name in [MANIFEST, *old] if (folder / MANIFEST).exists() else []:
            (folder / name).replace(staging / "old" / name)
        for name in files:
            (staging / "new" / name).replace(folder / name)
        (staging / MANIFEST).replace(folder / MANIFEST)
    finally:
        _put_back(folder)


def add(folder: Path, name: str, text: str) -> None:
    """Write one more file of the export that is in the folder."""
    from reds_jax.training.arrays import write_text

    check(folder, [name])
    write_text(folder / MANIFEST, _text({**(_manifest(folder) or {}), name: _digest(text.encode())}))
    write_text(folder / name, text)


def facts(folder: Path) -> dict[str, Any]:
    """What model.json of an exported folder says; an `InvalidArgumentError` if there is no (whole) export."""
    from reds_jax.training.arrays import read_json

    try:
        if _manifest(folder) is None:
            raise CheckpointError(f"{MANIFEST} is missing")
        found = read_json(folder / "model.json")
        if missing := {"dtype", "subnetworks", "input_shape", "output_items"} - set(found):
            raise CheckpointError(f"model.json lacks {sorted(missing)}")
    except CheckpointError as error:
        raise InvalidArgumentError("there is no exported network in the folder", got=str(folder),
                                   hint=_EXPORT) from error
    return found


def sources(folder: Path) -> list[Path]:
    """The C files of the network and its kernels: those that the export wrote (without a manifest all), but its programs."""
    manifest = _manifest(folder)
    names = [p.name for p in folder.glob("*.c")] if manifest is None else manifest
    if found := [folder / name for name in sorted(names) if name.endswith(".c") and name not in _PROGRAMS]:
        return found
    raise InvalidArgumentError("there is no exported network in the folder", got=str(folder), hint=_EXPORT)


def _put_back(folder: Path) -> None:
    """Undo an export that has not been committed, and remove what it or a committed one leaves."""
    staging = folder / _STAGING
    if not staging.is_dir():
        return
    if (staging / MANIFEST).exists():  # not committed; without it nothing has been moved, or all of it
        moved_in = {name for name, digest in (_manifest(staging) or {}).items() if not (staging / "new" / name).exists()
                    and (folder / name).exists() and not _differs(folder / name, digest)}
        old = sorted(path.name for path in (staging / "old").iterdir())
        if taken := [name for name in old if name not in moved_in and os.path.lexists(folder / name)]:
            raise InvalidArgumentError(f"an export into {str(folder)!r} was killed, and where files of the one before belong, "
                                       "others are", got=_few(taken), hint="Rename them, then export again.")
        for name in moved_in:
            (folder / name).unlink()
        for name in old:
            (staging / "old" / name).replace(folder / name)
    shutil.rmtree(staging)


def _manifest(folder: Path) -> dict[str, str] | None:
    """The digests by name, or None if no export wrote this folder."""
    from reds_jax.training.arrays import read_json

    if not (folder / MANIFEST).is_file():
        return None
    try:
        found = read_json(folder / MANIFEST)
    except CheckpointError:
        return None  # something else that has the same name
    files = found.get("files")
    if found.get("format") != FORMAT or not isinstance(files, dict) or not all(_NAME.fullmatch(name) for name in files):
        return None
    return files


def _text(digests: Mapping[str, str]) -> str:
    return json.dumps({"format": FORMAT, "files": dict(digests)}, indent=1) + "\n"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _differs(path: Path, digest: str) -> bool:
    """Whether something else than the file with that digest is there (nothing at all is no loss)."""
    return os.path.lexists(path) and (path.is_symlink() or not path.is_file() or _digest(path.read_bytes()) != digest)


def _few(names: list[str]) -> list[str]:
    return names if len(names) <= 5 else [*names[:5], f"and {len(names) - 5} more"]
