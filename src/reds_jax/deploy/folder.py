"""The folder of an export: which files in it the export wrote, and how they are replaced, all of them or none.

A folder holds one network or several that share files (the kernels, say). ``manifest.json`` names every file that an export
wrote, with the SHA-256 of its content, and which network needs which. Nothing else is ever replaced or removed, and of those
nothing that another network alone needs: what a user puts beside those files stays (also what ``make`` builds there: it is
older than the new sources, so ``make`` builds it again), and where a file of an export has been edited, or another one has a
name that is needed, the export is refused.

The folder itself is neither renamed nor replaced, so it may be a link, a mount point or ``"."``. The new files are written into
a folder inside it; the old ones are moved there, the new ones out, and the manifest last: that commits. A process that is
killed before leaves the old files there, and the next export begins by putting them back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reds_jax.errors import CheckpointError, InvalidArgumentError

MANIFEST = "manifest.json"
FORMAT = "reds_jax export 2"
_FLAT = "reds_jax export 1"  # one network, without folders; the next export replaces it
_STAGING = ".reds_jax_export"
_NAME = re.compile(r"(\w+/)*\w[\w.]*", re.ASCII)
_EXPORT = "Write one with reds deploy export."
_ANOTHER = "Choose another folder, or move what is in this one away."


@dataclass(frozen=True)
class _Manifest:
    """The SHA-256 of every file by its path in the folder, and the paths that each network needs."""

    files: dict[str, str]
    networks: dict[str, list[str]]

    def only(self, name: str) -> list[str]:
        """The files that no other network needs."""
        others = {path for network, paths in self.networks.items() if network != name for path in paths}
        return [path for path in self.files if path not in others]

    def text(self) -> str:
        return json.dumps({"files": self.files, "format": FORMAT, "networks": self.networks}, indent=1, sort_keys=True) + "\n"


def check(folder: Path, names: Iterable[str] = (), *, name: str = "reds") -> list[str]:
    """The files that would be replaced: those of ``names`` and those that only an older export of the network needs.

    An export that was killed is undone first.

    Args:
        folder: where an export is to be written; it need not exist.
        names: the paths in it that are to be written.
        name: of the network.

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
    if edited := sorted(path for path, digest in manifest.files.items() if _differs(folder, path, digest)):
        raise InvalidArgumentError(
            f"files of the export in {str(folder)!r} were edited since they were written", got=_few(edited),
            hint="Rename them (an export leaves files with other names alone) or remove them, then export again.")
    names = set(names)
    if taken := sorted(path for path in names - set(manifest.files) - {MANIFEST} if _taken(folder, path)):
        raise InvalidArgumentError(f"the export needs names that other files have in {str(folder)!r}", got=_few(taken),
                                   hint="Rename those files, or choose another folder.")
    return [path for path in dict.fromkeys([*manifest.only(name), *names])
            if path in manifest.files and (folder / path).exists()]


def write(folder: Path, name: str, files: Mapping[str, str | bytes]) -> None:
    """Write the files of a network and the manifest, or nothing; those of an older export of the network are replaced.

    Args:
        folder: made if it is missing; other networks in it stay.
        name: of the network.
        files: every file that it needs, text or bytes, by path in the folder; the last is the last to appear.

    Raises:
        InvalidArgumentError: see `check`.
    """
    from reds_jax.training.arrays import write_bytes, write_text

    data = {path: given if isinstance(given, bytes) else given.encode() for path, given in files.items()}
    old = check(folder, files, name=name)
    before = _manifest(folder) or _Manifest({}, {})
    kept = {path: digest for path, digest in before.files.items() if path not in old}
    after = _Manifest({**kept, **{path: _digest(content) for path, content in data.items()}},
                      {**before.networks, name: list(files)})
    folder.mkdir(parents=True, exist_ok=True)
    staging = folder / _STAGING
    try:
        for part in ("old", "new"):
            (staging / part).mkdir(parents=True)
        for path, content in data.items():
            (staging / "new" / path).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(staging / "new" / path, content)
        write_text(staging / MANIFEST, after.text())
        for path in [MANIFEST, *old] if (folder / MANIFEST).exists() else []:
            _move(folder / path, staging / "old" / path)
        for path in files:
            _move(staging / "new" / path, folder / path)
        (staging / MANIFEST).replace(folder / MANIFEST)
    finally:
        _put_back(folder)


def add(folder: Path, path: str, text: str, *, name: str) -> None:
    """Write one more file of the network ``name`` that is in the folder."""
    from reds_jax.training.arrays import write_text

    check(folder, [path], name=name)
    manifest = _manifest(folder) or _Manifest({}, {})
    needed = [*dict.fromkeys([*manifest.networks.get(name, []), path])]
    write_text(folder / MANIFEST, _Manifest({**manifest.files, path: _digest(text.encode())},
                                            {**manifest.networks, name: needed}).text())
    write_text(folder / path, text)


def networks(folder: Path) -> dict[str, list[str]]:
    """The paths that each network of an exported folder needs, by its name; nothing where there is no export."""
    manifest = _manifest(folder)
    return manifest.networks if manifest else {}


def facts(folder: Path, name: str = "reds") -> dict[str, Any]:
    """What NAME_model.json of an exported folder says; an `InvalidArgumentError` if there is no (whole) export of that name."""
    from reds_jax.training.arrays import read_json

    try:
        if not (found := networks(folder)):
            raise CheckpointError(f"{MANIFEST} is missing, or of an earlier form")
        if name not in found:
            raise InvalidArgumentError("the export in the folder has another name", got=name, allowed=", ".join(sorted(found)),
                                       hint="Give the name that it was exported with (--name).")
        read = read_json(folder / f"{name}_model.json")
        if missing := {"dtype", "subnetworks", "input_shape", "output_items"} - set(read):
            raise CheckpointError(f"{name}_model.json lacks {sorted(missing)}")
    except CheckpointError as error:
        raise InvalidArgumentError("there is no exported network in the folder", got=str(folder),
                                   hint=_EXPORT) from error
    return read


def sources(folder: Path, name: str | None = "reds") -> list[Path]:
    """The C files of the network (None: of all in the folder) and its kernels: those of ``src`` that an export wrote for it.

    Without a manifest they are all that are there.
    """
    manifest = _manifest(folder)
    if manifest is None:
        found = {f"src/{path.name}" for path in folder.glob("src/*.c")}
    else:
        found = {path for network, paths in manifest.networks.items() if name in (network, None) for path in paths}
    if found := [folder / path for path in sorted(found) if path.startswith("src/") and path.endswith(".c")]:
        return found
    raise InvalidArgumentError("there is no exported network in the folder", got=str(folder), hint=_EXPORT)


def include_flags(folder: Path) -> list[str]:
    """What a compiler is told so that it finds the headers of an exported folder, and the recorded examples."""
    return [f"-I{folder / part}" for part in ("include", "examples")]


def _put_back(folder: Path) -> None:
    """Undo an export that has not been committed, and remove what it or a committed one leaves."""
    staging = folder / _STAGING
    if not staging.is_dir():
        return
    old = sorted(path.relative_to(staging / "old").as_posix() for path in (staging / "old").rglob("*") if not path.is_dir())
    before = _manifest(staging / "old") or _manifest(folder) or _Manifest({}, {})
    left = [*before.files]
    if (staging / MANIFEST).exists():  # not committed; without it nothing has been moved, or all of it
        after = _manifest(staging) or before
        moved_in = {path for path, digest in after.files.items()
                    if (path in old or before.files.get(path) != digest)  # else it is the file from before
                    and not (staging / "new" / path).exists()
                    and (folder / path).exists() and not _differs(folder, path, digest)}
        if taken := [path for path in old if path not in moved_in and _taken(folder, path)]:
            raise InvalidArgumentError(f"an export into {str(folder)!r} was killed, and where files of the one before belong, "
                                       "others are", got=_few(taken), hint="Rename them, then export again.")
        for path in moved_in:
            (folder / path).unlink()
        for path in old:
            _move(staging / "old" / path, folder / path)
        left = [*after.files]
    for parent in sorted({parent for path in left for parent in Path(path).parents} - {Path()}, reverse=True):
        with contextlib.suppress(OSError):  # there is something in it
            (folder / parent).rmdir()
    shutil.rmtree(staging)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def _manifest(folder: Path) -> _Manifest | None:
    """What the manifest says, or None if no export wrote this folder."""
    from reds_jax.training.arrays import read_json

    if not (folder / MANIFEST).is_file():
        return None
    try:
        found = read_json(folder / MANIFEST)
    except CheckpointError:
        return None  # something else that has the same name
    files, networks = found.get("files"), found.get("networks", {})
    if found.get("format") not in (FORMAT, _FLAT) or not isinstance(files, dict) or not all(map(_NAME.fullmatch, files)):
        return None
    return _Manifest(files, networks if found["format"] == FORMAT else {})


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _blocked(folder: Path, path: str) -> bool:
    """Whether something that is no folder of its own (a file, a link) stands where a folder of the path would be."""
    parents = [folder / parent for parent in Path(path).parents if parent != Path()]
    return any(os.path.lexists(parent) and (parent.is_symlink() or not parent.is_dir()) for parent in parents)


def _taken(folder: Path, path: str) -> bool:
    return _blocked(folder, path) or os.path.lexists(folder / path)


def _differs(folder: Path, path: str, digest: str) -> bool:
    """Whether something else than the file with that digest is there (nothing at all is no loss)."""
    file = folder / path
    return _blocked(folder, path) or (os.path.lexists(file) and (
        file.is_symlink() or not file.is_file() or _digest(file.read_bytes()) != digest))


def _few(names: list[str]) -> list[str]:
    return names if len(names) <= 5 else [*names[:5], f"and {len(names) - 5} more"]
