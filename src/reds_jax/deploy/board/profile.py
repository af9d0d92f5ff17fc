"""How often each instruction of a program is executed on a board, by a plugin of QEMU that is compiled when it is needed.

The instructions between two readings of the timer of ``qemu/count.c`` are taken by address, so that the result is what
``reds_count`` prints, taken apart: by function, or weighted by what each instruction costs (`reds_jax.deploy.board.cycles`).
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from reds_jax.deploy.board import host
from reds_jax.deploy.board.boards import Board
from reds_jax.deploy.board.image import emulate, part, tool
from reds_jax.errors import RedsError


@dataclass(frozen=True)
class Instruction:
    """An instruction of a listing: its mnemonic, what stands behind it, and the function that it is in."""

    mnemonic: str
    operands: str
    function: str


Listing = dict[int, Instruction]  # by address, ascending


@dataclass(frozen=True)
class Profile:
    """What a program printed, and for each call of ``reds_count`` in turn the executions by address.

    Args:
        printed: on the standard error of QEMU.
        calls: executions by address; their sum is what ``reds_count`` returns.
        listing: the program, disassembled.
    """

    printed: str
    calls: tuple[Counter[int], ...]
    listing: Listing

    def by_function(self, call: int) -> Counter[str]:
        """Instructions by the function that they are in."""
        found: Counter[str] = Counter()
        for address, count in self.calls[call].items():
            found[self.listing[address].function] += count
        return found


def profile(image: Path, board: Board, *, timeout: float = 300) -> Profile:
    """Run an image in QEMU as `emulate` does, and count by address.

    Raises:
        RedsError: as `emulate`; or an instruction was executed that is not in the image.
    """
    symbols, listing = _symbols(image, board), disassemble(image, board)
    base, text = board.flash[0], max(listing) + 4 - board.flash[0]
    mark = symbols["timer_ticks"]
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
        file = Path(temporary) / "counts"
        options = f"{_plugin(Path(temporary))},base={base},bytes={text},mark={mark},out={file}"
        printed = emulate(image, board, "-plugin", options, timeout=timeout)
        _, *regions = _read(file.read_text(encoding="utf-8"))  # before the first is the start
    if any(address not in listing for region in regions for address in region):
        raise RedsError(f"{image.name} executes instructions that are not in its listing")
    if len(regions) % 4:
        raise RedsError(f"{image.name} ends within reds_count")
    calls = []
    for k in range(0, len(regions), 4):  # reds_count reads the timer before and after an empty function, and the function
        call = regions[k + 2].copy()
        call.subtract(regions[k])
        call[symbols["timer_nothing"]] += 1  # its return, as reds_count
        if min(call.values()) < 0:
            raise RedsError(f"{image.name} calls reds_count within reds_count")
        calls.append(+call)
    return Profile(printed, tuple(calls), listing)


def _read(text: str) -> list[Counter[int]]:
    """The regions of the plugin's file."""
    regions: list[Counter[int]] = []
    for line in text.splitlines():
        address, _, count = line.partition(" ")
        if address == "region":
            regions.append(Counter())
        else:
            regions[-1][int(address, 16)] = int(count)
    return regions


def disassemble(image: Path, board: Board) -> Listing:
    """The instructions of an image."""
    done = host.run([tool(f"{board.compiler}objdump"), "-d", "--no-show-raw-insn", str(image)])
    if done.returncode:
        raise RedsError(f"{image.name} cannot be disassembled:\n{done.stderr}")
    return parse_listing(done.stdout)


def parse_listing(text: str) -> Listing:
    """The instructions of what ``objdump -d --no-show-raw-insn`` prints."""
    listing: Listing = {}
    function = ""
    for line in text.splitlines():
        if found := re.match(r"[0-9a-f]+ <(.+)>:$", line):
            function = found[1]
        elif (found := re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*)", line)) and not found[2].startswith("."):
            operands = re.split(r"\s*[;@#]\s", found[3])[0]  # what stands behind is a comment
            listing[int(found[1], 16)] = Instruction(found[2], operands.strip(), function)
    return listing


def _symbols(image: Path, board: Board) -> dict[str, int]:
    done = host.run([tool(f"{board.compiler}nm"), str(image)])
    return {row[2]: int(row[0], 16) for line in done.stdout.splitlines() if len(row := line.split()) == 3}


def _plugin(here: Path) -> Path:
    """The plugin, compiled with the C compiler of this computer."""
    source, library = here / "plugin.c", here / "plugin.so"
    source.write_text(part("plugin.c"), encoding="utf-8")
    done = host.run([host.compiler(), "-O2", "-shared", "-fPIC", "-o", str(library), str(source)])
    if done.returncode:
        raise RedsError(f"the plugin of QEMU does not compile:\n{done.stderr}")
    return library
