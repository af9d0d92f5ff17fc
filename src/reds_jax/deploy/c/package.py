"""The tree of an export: which file lies where, and the files that belong to all networks in it (build files, README).

Several networks share one tree, and in it one copy of the kernels::

    include/   NAME_model.h, reds_policy.h            src/   the kernels, NAME_model.c
    examples/  NAME_examples.h, NAME_check.c          NAME_model.json

    with a front end: include/  NAME_listen.h, NAME_front_end.h, reds_mfcc.h, reds_spotter.h    src/  what belongs to them
                      examples/ NAME_listen_wav.c, wav.h, wav.c, NAME_microphone.c

Beside them lie a Makefile, a CMakeLists.txt and what Zephyr, ESP-IDF, PlatformIO and Arduino read. These are written anew with
every export, from the facts of all the networks of the tree.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from reds_jax.deploy import folder as exported_folder
from reds_jax.errors import InvalidArgumentError

_INTERNAL = ("reds_kernels", "reds_s8", "reds_f32", "reds_ranges", "reds_mfcc_fft")
_PROGRAMS = ("check.c", "examples.h", "profile.c", "layers.h", "listen_wav.c", "microphone.c")
_PLACEHOLDER = "#define REDS_KERNELS_VERSION 0\n"
_DESCRIPTION = "Nested neural networks, subnetworks of several widths in one copy of the weights"
_PAGE = "https://arxiv.org/abs/2311.13349"
_TREE = ("README.md", "CMakeLists.txt", "zephyr/module.yml", "zephyr/Kconfig", "zephyr/CMakeLists.txt", "idf_component.yml",
         "library.properties")


@cache
def kernels_version() -> str:
    """A number for the text of the whole runtime, as C reads it: 28 bits of its SHA-256.

    A model is compiled with the kernels that it was exported with (`#error` otherwise), and one tree has one version of them.
    """
    folder = resources.files("reds_jax.deploy.c") / "runtime"
    parts = sorted((f.name, f.read_text(encoding="utf-8")) for f in folder.iterdir() if f.name.endswith((".c", ".h")))
    return f"0x{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:7]}u"


def kernels(names: Iterable[str]) -> dict[str, str]:
    """Files of the runtime and what they include, by name; reds_kernels.h with the version of them all."""
    folder, wanted, found = resources.files("reds_jax.deploy.c") / "runtime", [*names], {}
    while wanted:
        if (name := wanted.pop()) not in found:
            found[name] = (folder / name).read_text(encoding="utf-8")
            wanted += re.findall(r'^#include "(.+)"$', found[name], re.MULTILINE)
    header = found["reds_kernels.h"]
    assert header.count(_PLACEHOLDER) == 1, "reds_kernels.h has a place for the version"
    found["reds_kernels.h"] = header.replace(_PLACEHOLDER, _PLACEHOLDER.replace("0\n", f"{kernels_version()}\n"))
    return dict(sorted(found.items()))


def template(name: str, values: Mapping[str, str]) -> str:
    """A file of ``templates/``, filled."""
    text = (resources.files("reds_jax.deploy.c") / "templates" / name).read_text(encoding="utf-8")
    return Template(text).substitute(values)


def place(file: str, name: str) -> str:
    """Where a file of the network ``name``, or of the runtime, lies in the tree."""
    if file in (*(f"{name}_{program}" for program in _PROGRAMS), "wav.h", "wav.c"):
        return f"examples/{file}"
    if (file.endswith(".h") and not file.startswith(_INTERNAL)) or file == f"{name}_model.h":
        return f"include/{file}"
    return f"src/{file}" if file.endswith((".c", ".h")) else file


def placed(files: Mapping[str, str | bytes], name: str) -> dict[str, str | bytes]:
    """The files of a network by their path in the tree; ``src`` names that of public headers, as Arduino wants."""
    def found(m: re.Match[str]) -> str:
        path = place(m[1], name)
        return f'#include "../{path}"' if path.startswith("include/") else m[0]

    paths = {place(file, name): text for file, text in files.items()}
    return {path: re.sub(r'#include "(\w+\.h)"', found, text) if path.startswith("src/") and isinstance(text, str) else text
            for path, text in paths.items()}


def check(folder: Path, name: str) -> None:
    """An `InvalidArgumentError` if the network cannot be written there, see `reds_jax.deploy.folder.check`; nor can it be
    where others are that were exported with other kernels."""
    exported_folder.check(folder, name=name)
    if other := sorted(n for n, facts in _others(folder, name).items() if facts.get("kernels") != kernels_version()):
        raise InvalidArgumentError(
            f"the networks in {str(folder)!r} were exported with other kernels than those of this version", got=other,
            hint="Networks in one folder share the kernels: export all of them again, one after the other, into a new folder.")


def write(folder: Path, name: str, facts: Mapping[str, Any], files: Mapping[str, str | bytes]) -> None:
    """Write a network into the tree, all of it or nothing, and the build files anew for all networks of the tree.

    Args:
        folder: may hold other networks.
        name: of this one; what an older export of it left is replaced.
        facts: of this one, for ``NAME_model.json``.
        files: its C files and kernels, texts or bytes, by name without folders.
    """
    check(folder, name)
    own = placed(files, name)
    own |= {f"{name}_model.json": json.dumps(facts, indent=1) + "\n",
            f"src/{name}_arduino.h": template("tree/arduino.h", {"name": name})}
    paths = {other: names for other, names in exported_folder.networks(folder).items() if other != name} | {name: [*own]}
    every = dict(sorted((_others(folder, name) | {name: dict(facts)}).items()))
    exported_folder.write(folder, name, own | _shared(every, sorted({path for names in paths.values() for path in names})))


def _others(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """The facts of the other networks of the tree."""
    return {other: exported_folder.facts(folder, other) for other in exported_folder.networks(folder) if other != name}


def _shared(networks: Mapping[str, Mapping[str, Any]], paths: list[str]) -> dict[str, str]:
    """The files of the tree that belong to all its networks."""
    from reds_jax.version import __version__

    sources = [path for path in paths if path.startswith("src/") and path.endswith(".c")]
    headers = [f"{name}_model.h" for name in networks]
    version = re.match(r"\d+\.\d+\.\d+", __version__)
    values = {
        "networks": " ".join(networks),
        "listeners": " ".join(name for name, facts in networks.items() if "front_end" in facts),
        "network_list": ", ".join(networks), "first_upper": next(iter(networks)).upper(),
        "objects": " ".join(f"build/{Path(path).stem}.o" for path in sources),
        "sources": "\n".join(f"    {path}" for path in sources),
        "zephyr_sources": "\n".join(f"        ${{reds}}/{path}" for path in sources),
        "version": version.group() if version else "0.0.0", "description": _DESCRIPTION, "url": _PAGE,
        "paragraph": f"Exported by reds_jax: {', '.join(networks)}.",
        "arduino_headers": ",".join(f"{name}_arduino.h" for name in networks),
        "sections": "\n".join(template("network.md", _section(name, facts)) for name, facts in networks.items()).rstrip(),
    }
    library = {"name": "reds-networks", "version": values["version"], "description": _DESCRIPTION, "headers": headers,
               "frameworks": "*", "platforms": "*", "build": {"srcDir": "src", "includeDir": "include"}}
    return {**{name: template(f"tree/{name}", values) for name in _TREE},
            "library.json": json.dumps(library, indent=1) + "\n", "Makefile": template("tree/Makefile", values)}


def _section(name: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """What the README says of one network."""
    subs = facts["subnetworks"]
    notes = ""
    if "any_widths" in facts:
        notes += (f"- `{name}_adapt_to(widths)` takes any row of widths between the smallest and the largest subnetwork; "
                  f"`{name}_model.h` says when it may be called.\n")
    if "revision" in facts:
        notes += (f"- `{name}_load(bytes, size)` takes in `{name}_weights.bin` of another training of this network, checked; "
                  f"this one is revision {facts['revision']}.\n")
    if "normalise" in facts:
        notes += f"- `{name}_from_pixels(pixels, in)` takes the 8-bit pixels of a camera and does what training did.\n"
    return {
        "name": name, "NAME": name.upper(), "count": str(len(subs)), "dtype": facts["dtype"], "notes": notes,
        "listening": template("listen.md", {"name": name}) if "front_end" in facts else "",
        "shape": "".join(f"[{n}]" for n in facts["input_shape"]),
        "exactness": "bit for bit" if facts["dtype"] == "int8" else "to 1e-4 of the largest output",
        "table": "\n".join(f"| {k} | {s['macs']:,} | {s['weight_bytes_read']:,} | {s['arena_bytes']:,} |"
                           for k, s in enumerate(subs)),
        **{key: f"{facts[key]:,}" for key in ("weight_bytes", "table_bytes", "largest_table_bytes", "stack_bytes")},
        "arena_max": f"{max(s['arena_bytes'] for s in subs):,}",
    }
