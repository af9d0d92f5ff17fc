"""The kernels that a wheel brings for machines without a compiler: a library for each of a few sets of instructions.

A wheel has them if it was built with ``REDS_BUILD_KERNELS=1`` (``hatch_build.py``). They lie in ``prebuilt/`` beside the
sources, with a record of what they were built from. Imports no JAX: it runs where such a wheel is built as well.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from reds_jax.native.compile import FLAGS, SOURCES, make_library, run
from reds_jax.user_cache import processor

FOLDER = Path(__file__).with_name("prebuilt")
RECORD = "record.json"


class Level(NamedTuple):
    """A set of instructions: its name for a compiler, the machines that may have it, and what they then say that they have.

    Source: x86-64 psABI 1.0, table 3.1, in the words of Linux (``flags`` in /proc/cpuinfo).
    """

    name: str
    machines: frozenset[str]
    features: frozenset[str]


_X86 = frozenset({"x86_64", "AMD64"})
_V3 = frozenset("cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma abm movbe xsave".split())
LEVELS = (
    Level("x86-64-v4", _X86, _V3 | frozenset("avx512f avx512bw avx512cd avx512dq avx512vl".split())),
    Level("x86-64-v3", _X86, _V3),
    Level("armv8-a", frozenset({"aarch64", "arm64"}), frozenset()),  # every such machine
)
"""The best first."""


class Prebuilt(NamedTuple):
    """A library that this processor can run and its level; or None, and why there is none."""

    path: Path | None
    text: str


def make_prebuilt(folder: Path, compiler: str, include: str | Path) -> list[Path]:
    """Build a library of every level of this kind of machine, and the record; returns the files.

    Args:
        folder: where they are written.
        compiler: of C++, which knows the levels (GCC 11 or clang 12).
        include: XLA's headers, which `jax.ffi.include_dir` names.

    Raises:
        subprocess.SubprocessError: the compiler fails.
        OSError: it cannot be run, there are no headers, or nothing can be written.
        ValueError: there is no level for this machine.
    """
    here = [level for level in LEVELS if platform.machine() in level.machines]
    if not here:
        raise ValueError(f"no kernels are built ahead for {platform.machine()}")
    made = [folder / f"{level.name}.so" for level in here]
    for level, path in zip(here, made, strict=True):
        make_library(compiler, (*FLAGS, f"-march={level.name}"), SOURCES, include, path)
    record = {"sources": digest(SOURCES), "ffi": ffi_version(include), "compiler": run(compiler, "--version").splitlines()[0],
              "libraries": {level.name: _sha256(path.read_bytes()) for level, path in zip(here, made, strict=True)}}
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return [*made, folder / RECORD]


def find_prebuilt(include: str | Path) -> Prebuilt:
    """The best library that this processor can run, if it was built from the sources and for the version of XLA's FFI here.

    Args:
        include: the headers of the jaxlib that is to load it.
    """
    if not (FOLDER / RECORD).is_file():
        return Prebuilt(None, "none prebuilt")
    try:
        record = json.loads((FOLDER / RECORD).read_text(encoding="utf-8"))
        sources, ffi, libraries = record["sources"], record["ffi"], dict(record["libraries"])
        wanted = ffi_version(include)
        if sources != digest(SOURCES):
            return Prebuilt(None, "the prebuilt ones are of other sources")
        if ffi != wanted:
            return Prebuilt(None, f"the prebuilt ones are for version {ffi} of XLA's FFI, and jaxlib has {wanted}")
        here = [level for level in LEVELS if level.name in libraries and platform.machine() in level.machines]
        level, why = best_level(here, features())
        if level is None:
            return Prebuilt(None, f"the prebuilt ones are not for this processor ({why or platform.machine()})")
        path = FOLDER / f"{level.name}.so"
        if _sha256(path.read_bytes()) != libraries[level.name]:  # to load half a library may end the process
            return Prebuilt(None, f"the prebuilt one for {level.name} is damaged")
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Prebuilt(None, f"the prebuilt ones cannot be read ({error!r})")
    return Prebuilt(path, level.name)


def best_level(levels: Sequence[Level], has: frozenset[str]) -> tuple[Level | None, str]:
    """The first of the levels, the best in front, all of whose features a processor has; or None, and what each lacks."""
    missing = []
    for level in levels:
        if level.features <= has:
            return level, ""
        lacking = sorted(level.features - has)
        missing.append(f"{level.name} needs {', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''}")
    return None, "; ".join(missing)


def features() -> frozenset[str]:
    """The sets of instructions that every core of this machine says it has; empty where that is not told."""
    told = [line.partition(":")[2].split() for line in processor() if line.partition("\t")[0].strip() in ("flags", "Features")]
    return frozenset.intersection(*map(frozenset, told)) if told else frozenset()


def digest(sources: Sequence[Path]) -> str:
    """What tells these sources from others, whatever their lines end with."""
    text = chr(0).join(f"{source.name}{chr(0)}{source.read_text(encoding='utf-8')}" for source in sources)
    return _sha256(text.encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def ffi_version(include: str | Path) -> str:
    """The version of XLA's interface of C functions, ``"0.3"``, that headers declare.

    Raises:
        FileNotFoundError: they are not there.
        ValueError: they do not say it.
    """
    text = (Path(include) / "xla" / "ffi" / "api" / "c_api.h").read_text(encoding="utf-8")
    found = [re.search(rf"^#define XLA_FFI_API_{part} (\d+)", text, re.M) for part in ("MAJOR", "MINOR")]
    if None in found:
        raise ValueError("the headers of XLA do not say their version")
    return ".".join(match[1] for match in found if match)
