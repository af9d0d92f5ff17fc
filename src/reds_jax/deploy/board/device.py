"""Run an exported network on emulated processors: right answers, instruction counts, and the size of the image.

QEMU counts INSTRUCTIONS, not cycles (no wait states, no pipeline). A count is exact and repeatable, so it can be a test; a
time is only ever "instructions / clock, at one instruction a cycle" and is called that. `reds_jax.deploy.board.cycles` bounds
the cycles of a Cortex-M4.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

from reds_jax.deploy import folder as exported_folder
from reds_jax.deploy.board.boards import BOARDS, Board, board_of
from reds_jax.deploy.board.cycles import Cycles
from reds_jax.deploy.board.cycles import cycles as cycles_of
from reds_jax.deploy.board.image import FLAGS, DoesNotFitError, emulate, link, part, sections, versions
from reds_jax.deploy.board.profile import profile
from reds_jax.deploy.escape import c_identifier
from reds_jax.errors import InvalidArgumentError

__all__ = ["BOARDS", "FLAGS", "Board", "DoesNotFitError", "Run", "Subnetwork", "execute", "link_folder", "part", "run", "sizes",
           "versions"]
PAPER_ADAPTATION = 2432  # 38 us at 64 MHz, cycles (Corti et al. 2023, arXiv 2311.13349)


@dataclass(frozen=True)
class Subnetwork:
    """Instructions of one subnetwork.

    Args:
        adapt_to: of an adaptation to its row of widths, of an export that takes any.
        cycles: bounds of those of ``invoke`` on a Cortex-M4F, if they were asked for.
    """

    macs: int
    adapt: int
    adapt_to_budget: int
    invoke: int
    adapt_to: int | None = None
    cycles: Cycles | None = None


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


def run(folder: str | Path, board: str | Board = "m4", *, name: str = "reds", examples: int = 2, cycles: bool = False,
        timeout: float = 300) -> Run:
    """Build an exported folder for a board, run every subnetwork in QEMU, compare with the recorded answers, count.

    Where the largest subnetworks do not fit the board, the network is built without them (``REDS_LARGEST``).

    Args:
        board: a name of `reds_jax.deploy.board.boards.BOARDS`, or a board of one's own.
        name: the prefix that the export was given.
        examples: how many of the recorded inputs are run.
        cycles: also bound the cycles of a Cortex-M4F; on no other board is their cost known.
        timeout: seconds that QEMU may take.

    Raises:
        DoesNotFitError: the linker finds too little flash or RAM even for the smallest subnetwork.
        RedsError: an answer differs from the recorded one, or the program fails.
        MissingDependencyError: the compiler or QEMU is not installed.
    """
    target, folder = board_of(board) if isinstance(board, str) else board, Path(folder)
    if cycles and "-mcpu=cortex-m4" not in target.flags:
        raise InvalidArgumentError("the cycles of an instruction are not known", got=target.name, allowed=BOARDS["m4"].name)
    facts = exported_folder.facts(folder, c_identifier(name))
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
        here = Path(temporary)
        tolerance = "0.0f" if facts["dtype"] == "int8" else "1e-4f"
        text = Template(part("device.c")).substitute(name=name, NAME=name.upper(), tolerance=tolerance, examples=f"{examples}u")
        (here / "main.c").write_text(text, encoding="utf-8")
        why = ""
        for largest in reversed(range(len(facts["subnetworks"]))):
            try:
                image = link_folder(folder, here, target, f"-D{name.upper()}_LARGEST={largest}", name=name)
            except DoesNotFitError as error:
                if not largest:
                    raise
                why = why or str(error)
                continue
            found = _profiled(image, target, timeout) if cycles else _parse(emulate(image, target, timeout=timeout))
            return Run(target, found, sections(image, target), why)
    raise InvalidArgumentError("the exported network has no subnetworks", got=str(folder))


def execute(folder: Path, here: Path, board: str, *defines: str, timeout: float = 300, name: str = "reds") -> str:
    """Link ``here``/main.c with an exported network, run it on a board, and return what it printed."""
    target = board_of(board)
    return emulate(link_folder(folder, here, target, *defines, name=name), target, timeout=timeout)


def sizes(folder: Path, here: Path, board: str, *defines: str, name: str = "reds") -> dict[str, int]:
    """The bytes of the sections, see `Run`, of ``here``/main.c linked with an exported network."""
    target = board_of(board)
    return sections(link_folder(folder, here, target, *defines, name=name), target)


def link_folder(folder: Path, here: Path, board: Board, *flags: str, name: str = "reds") -> Path:
    """The image of ``here``/main.c with an exported network."""
    folder = folder.absolute()
    return link([*exported_folder.sources(folder, name), here / "main.c"], here, board, *flags,
                *exported_folder.include_flags(folder))


def _parse(text: str) -> tuple[Subnetwork, ...]:
    rows = [[int(v) for v in line.split()[2:]] for line in text.splitlines() if line.startswith("subnetwork ")]
    return tuple(Subnetwork(*row[:4], adapt_to=row[4] if len(row) > 4 else None) for row in rows)


def _profiled(image: Path, board: Board, timeout: float) -> tuple[Subnetwork, ...]:
    """As `_parse`, with bounds of the cycles of the last call of ``reds_count`` for each subnetwork, an inference."""
    found = profile(image, board, timeout=timeout)
    rows = _parse(found.printed)
    each = len(found.calls) // len(rows)
    bounds = [cycles_of(found.listing, call) for call in found.calls[each - 1:: each]]
    return tuple(replace(row, cycles=bound) for row, bound in zip(rows, bounds, strict=True))
