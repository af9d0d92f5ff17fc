"""``reds deploy profile``: what an exported network takes of boards that can be bought, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from reds_jax import report
from reds_jax.console import escape
from reds_jax.deploy import folder, one_file
from reds_jax.deploy.board import device
from reds_jax.deploy.board.products import PRODUCTS, Product, product

_MARK = b"reds_jax.deploy profile"
_COLUMNS = ("board", "processor", "subnetwork", "flash", "RAM", "of it arena", "stack", "instructions", "cycles", "ms", "fits")
_NOTE = ("Bytes. Flash: code, weights and tables, with a start-up and a test program of about 2 kB around them. RAM: the arena "
         "of the subnetwork, its input and output, and other variables; stack beside it, a bound. Instructions are counted in "
         "QEMU. ms: at the highest clock; of a Cortex-M4F by the bounds of its cycles, of others as if every instruction took "
         "one cycle, which is a lower bound where no two are executed at once (a Cortex-M7 does that). Flash that makes the "
         "processor wait is in neither.")


@dataclass(frozen=True)
class Estimate:
    """What a subnetwork takes of a board; bytes, instructions, milliseconds (low, high)."""

    board: str
    subnetwork: int
    flash: int
    ram: int
    arena: int
    stack: int
    instructions: int
    cycles: tuple[int, int] | None
    milliseconds: tuple[float, float | None]
    fits: bool


def estimate(path: Path, name: str, wanted: Product, found: device.Run) -> list[Estimate]:
    """What every subnetwork takes of a board.

    Args:
        path: what `reds_jax.deploy.export` wrote.
        name: the prefix of the network.
        found: of a run on the board's processor.
    """
    facts = folder.facts(path, name)
    size, subs = 1 if facts["dtype"] == "int8" else 4, facts["subnetworks"]
    both = size * (facts["input_items"] + facts["output_items"])
    largest = max(s["arena_bytes"] for s in subs[: len(found.subnetworks)])
    flash = found.flash - _examples(facts, size)
    rows = []
    for k, s in enumerate(found.subnetworks):
        arena = subs[k]["arena_bytes"]
        ram = max(0, found.ram - largest) + arena + both
        cycles = None if s.cycles is None else (s.cycles.low, s.cycles.high)
        low, high = cycles or (s.invoke, None)
        ms = low / wanted.mhz / 1e3, None if high is None else high / wanted.mhz / 1e3
        fits = flash <= wanted.flash_kb << 10 and ram + facts["stack_bytes"] <= wanted.ram_kb << 10
        rows.append(Estimate(wanted.title, k, flash, ram, arena, facts["stack_bytes"], s.invoke, cycles, ms, fits))
    return rows


def _examples(facts: Mapping[str, Any], size: int) -> int:
    """Bytes of the recorded examples, which are no part of a network."""
    return facts["examples"] * size * (facts["input_items"] + facts["output_items"] * len(facts["subnetworks"]))


@dataclass(frozen=True)
class Profile:
    """What an exported network takes of boards: flash, RAM, stack, instructions, time."""

    folder: Path
    """What `export` wrote."""
    boards: tuple[str, ...] = tuple(PRODUCTS)
    """Names of boards, or processor,MHz,flash_kB,RAM_kB of your own (m4,80,1024,128)."""
    name: str = "reds"
    """Prefix of the C identifiers."""
    output: Path | None = None
    """Also write the estimates there, as JSON."""

    def __call__(self, console: Console, command: str) -> None:
        wanted = [product(text) for text in self.boards]
        if self.output is not None:
            one_file.check(self.output, _MARK)
        runs = {p.processor: device.run(self.folder, p.board, name=self.name, examples=1, cycles=p.processor == "m4")
                for p in {p.processor: p for p in wanted}.values()}
        rows = [row for p in wanted for row in estimate(self.folder, self.name, p, runs[p.processor])]
        table = Table(*_COLUMNS, title=f"{escape(self.folder)}, estimated")
        for p in wanted:
            for row in estimate(self.folder, self.name, p, runs[p.processor]):
                table.add_row(escape(row.board), p.board.name, str(row.subnetwork), *(f"{n:,}" for n in (
                    row.flash, row.ram, row.arena, row.stack, row.instructions)),
                    "-" if row.cycles is None else f"{row.cycles[0]:,} to {row.cycles[1]:,}", _milliseconds(row.milliseconds),
                    "yes" if row.fits else "NO")
        console.print(table)
        console.print(_NOTE, highlight=False, soft_wrap=True)
        if self.output is not None:
            one_file.write(self.output, report.to_json(
                {"written_by": _MARK.decode(), "command": command, "environment": report.environment(), "note": _NOTE,
                 "estimates": rows}).encode(), _MARK)


def _milliseconds(bounds: tuple[float, float | None]) -> str:
    low, high = bounds
    return f"{low:.3g} or more" if high is None else f"{low:.3g} to {high:.3g}"
