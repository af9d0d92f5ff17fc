"""Run an exported network on emulated Cortex-M processors: right answers, instruction counts, and the size of the image.

QEMU counts INSTRUCTIONS, not cycles (no wait states, no pipeline). A count is exact and repeatable, so it can be a test; a
time is only ever "instructions / clock, at one instruction a cycle" and is called that.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from reds_jax.deploy import folder as exported_folder
from reds_jax.deploy.board import host
from reds_jax.deploy.escape import c_identifier
from reds_jax.errors import InvalidArgumentError, MissingDependencyError, RedsError

FLAGS = ("-mthumb", "-O2", "-std=c99", "-ffreestanding", "-fno-tree-loop-distribute-patterns", "-ffunction-sections",
         "-fdata-sections")
PAPER_ADAPTATION = 2432  # 38 us at 64 MHz, cycles (Corti et al. 2023, arXiv 2311.13349)


@dataclass(frozen=True)
class Board:
    """A processor of QEMU: its machine, compiler flags and linker script."""

    name: str
    machine: str
    flags: tuple[str, ...]
    script: str


BOARDS = {
    "m4": Board("Cortex-M4F", "mps2-an386", ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"), "mps2.ld"),
    "m0": Board("Cortex-M0", "microbit", ("-mcpu=cortex-m0",), "microbit.ld"),
}


@dataclass(frozen=True)
class Subnetwork:
    """Instructions of one subnetwork; ``adapt_to`` those of its row of widths, of an export that takes any."""

    macs: int
    adapt: int
    adapt_to_budget: int
    invoke: int
    adapt_to: int | None = None


@dataclass(frozen=True)
class Run:
    """What a run on one board found.

    Args:
        subnetworks: those that fit, from the smallest on.
        left_out: why the larger ones are not among them, or nothing.
        sections: bytes of the image: text (code), rodata (weights, tables and the recorded examples), data, bss (the arena).
    """

    board: Board
    subnetworks: tuple[Subnetwork, ...]
    sections: dict[str, int]
    left_out: str = ""

    @property
    def flash(self) -> int:
        return self.sections["text"] + self.sections["rodata"] + self.sections["data"]

    @property
    def ram(self) -> int:
        return self.sections["data"] + self.sections["bss"]


class DoesNotFitError(RedsError):
    """The network is larger than the flash or the RAM of the board."""


def run(folder: str | Path, board: str = "m4", *, name: str = "reds", examples: int = 2, timeout: float = 300) -> Run:
    """Build an exported folder for a board, run every subnetwork in QEMU, compare with the recorded answers, count.

    Where the largest subnetworks do not fit the board, the network is built without them (``REDS_LARGEST``).

    Raises:
        DoesNotFitError: the linker finds too little flash or RAM even for the smallest subnetwork.
        RedsError: an answer differs from the recorded one, or the program fails.
        MissingDependencyError: the compiler or QEMU is not installed.
    """
    if board not in BOARDS:
        raise InvalidArgumentError("there is no such board", got=board, allowed=", ".join(BOARDS))
    target, folder = BOARDS[board], Path(folder)
    facts = exported_folder.facts(folder, c_identifier(name))
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
        here = Path(temporary)
        tolerance = "0.0f" if facts["dtype"] == "int8" else "1e-4f"
        text = Template(part("device.c")).substitute(name=name, NAME=name.upper(), tolerance=tolerance, examples=f"{examples}u")
        (here / "main.c").write_text(text, encoding="utf-8")
        why = ""
        for largest in reversed(range(len(facts["subnetworks"]))):
            try:
                image = _link(folder, here, target, f"-D{name.upper()}_LARGEST={largest}", name=name)
            except DoesNotFitError as error:
                if not largest:
                    raise
                why = why or str(error)
                continue
            return Run(target, _parse(_qemu(image, target, timeout)), _sections(image), why)
    raise InvalidArgumentError("the exported network has no subnetworks", got=str(folder))


def part(name: str) -> str:
    """A file of ``qemu/``: what is around a program on a bare processor."""
    return (resources.files("reds_jax.deploy.board") / "qemu" / name).read_text(encoding="utf-8")


def execute(folder: Path, here: Path, board: str, *defines: str, timeout: float = 300, name: str = "reds") -> str:
    """Link ``here``/main.c with an exported network, run it on a board, and return what it printed."""
    target = BOARDS[board]
    return _qemu(_link(folder, here, target, *defines, name=name), target, timeout)


def sizes(folder: Path, here: Path, board: str, *defines: str, name: str = "reds") -> dict[str, int]:
    """The bytes of the sections, see `Run`, of ``here``/main.c linked with an exported network."""
    return _sections(_link(folder, here, BOARDS[board], *defines, name=name))


def _link(folder: Path, here: Path, board: Board, *defines: str, name: str) -> Path:
    for file in ("startup.c", "count.c", "count.h", board.script):
        (here / file).write_text(part(file), encoding="utf-8")
    image, folder = here / "image.elf", folder.absolute()
    sources = [str(p) for p in exported_folder.sources(folder, name)]
    command = [_tool("arm-none-eabi-gcc"), *FLAGS, *board.flags, *defines, *exported_folder.include_flags(folder), f"-I{here}",
               "-o", str(image), *sources, *(str(here / f) for f in ("startup.c", "count.c", "main.c")), "-nostdlib",
               "-Wl,--gc-sections", f"-Wl,-T,{here / board.script}", "-lgcc"]
    done = host.run(command)
    if done.returncode and ("overflowed" in done.stderr or "will not fit" in done.stderr):
        why = " and ".join(sorted({line.split(": ", 1)[-1] for line in done.stderr.splitlines() if "overflowed" in line}))
        raise DoesNotFitError(f"the network does not fit {board.name}: {why}")
    if done.returncode:
        raise RedsError(f"the exported network does not compile for {board.name}:\n{done.stderr}")
    return image


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingDependencyError(f"{name} is not installed",
                                     hint="Debian: apt-get install --no-install-recommends qemu-system-arm gcc-arm-none-eabi")
    return found


def _qemu(image: Path, board: Board, timeout: float) -> str:
    command = [_tool("qemu-system-arm"), "-M", board.machine, "-nographic", "-semihosting-config", "enable=on,target=native",
               "-icount", "shift=10,align=off,sleep=off", "-kernel", str(image)]
    try:
        done = host.run(command, timeout=timeout, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise RedsError(f"the network did not finish on {board.name} within {timeout:.0f} s") from error
    if done.returncode:
        raise RedsError(f"the network fails on {board.name} (status {done.returncode}):\n{done.stderr[-2000:]}")
    return done.stderr


def _parse(text: str) -> tuple[Subnetwork, ...]:
    rows = [line.split() for line in text.splitlines() if line.startswith("subnetwork ")]
    return tuple(Subnetwork(*(int(v) for v in row[2:])) for row in rows)


def _sections(image: Path) -> dict[str, int]:
    done = host.run([_tool("arm-none-eabi-size"), "-A", str(image)])
    found = {row[0]: int(row[1]) for line in done.stdout.splitlines() if len(row := line.split()) == 3 and row[1].isdigit()}
    return {name: sum(size for section, size in found.items() if section == f".{name}")
            for name in ("text", "rodata", "data", "bss")}


def versions() -> dict[str, str]:
    """The first line that the compiler and QEMU say of themselves."""
    return {name: host.run([_tool(name), "--version"]).stdout.splitlines()[0]
            for name in ("arm-none-eabi-gcc", "qemu-system-arm")}
