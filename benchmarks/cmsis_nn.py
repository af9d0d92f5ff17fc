"""Networks layer by layer in CMSIS-NN, from a checkout of it, in the same emulated processors as the exported C.

Every subnetwork is a network of its own here, with dense tensors of its widths. Of several builds of the library the best
counts: the fewest instructions, and the fewest cycles, of each subnetwork.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cmsis_program
import numpy as np
from cmsis_layers import Net, expected

from reds_jax.deploy.board import host, image
from reds_jax.deploy.board.boards import BOARDS, Board
from reds_jax.deploy.board.cycles import Cycles, cycles
from reds_jax.deploy.board.profile import profile
from reds_jax.errors import InvalidArgumentError, RedsError

_ASSEMBLY = "-DCMSIS_NN_USE_REQUANTIZE_INLINE_ASSEMBLY"  # an option of CMSIS-NN: fewer instructions, on Thumb-2
_FOLDERS = ("ConvolutionFunctions", "FullyConnectedFunctions", "PoolingFunctions", "BasicMathFunctions", "NNSupportFunctions",
            "TransposeFunctions")
_OTHERS = re.compile(r"_(f16|f32|flt|s4)(_|\.)|(?<!_s8)(?<!_s8_to)_s16|lstm|svdf|transpose_conv|batch_matmul")  # not of s8


def builds(board: str) -> tuple[tuple[str, ...], ...]:
    """The options of the compiler that CMSIS-NN is built with, each for itself."""
    more = () if board in ("m0", "rv32") else (_ASSEMBLY,)
    return ("-O2", *more), ("-Ofast", *more)


def roomy(board: str) -> Board:
    """The board; a Cortex-M0 with the memories of the Cortex-M3 board, which runs the same instructions."""
    small, large = BOARDS[board], BOARDS["m3"]
    if board != "m0":
        return small
    return replace(small, machine=large.machine, flash=large.flash, ram=large.ram, timer=large.timer, stack=large.stack)


@dataclass(frozen=True)
class Found:
    """What one build of CMSIS-NN needs for one subnetwork: instructions by layer, and on a Cortex-M4F bounds of the cycles."""

    build: tuple[str, ...]
    layers: tuple[int, ...]
    cycles: Cycles | None = None

    @property
    def instructions(self) -> int:
        return sum(self.layers)


class Library:
    """CMSIS-NN, compiled from a checkout for one board and with one set of options.

    Raises:
        InvalidArgumentError: there is no CMSIS-NN in the folder.
        RedsError: it does not compile.
    """

    def __init__(self, checkout: Path, board: Board, build: tuple[str, ...], folder: Path) -> None:
        self.board, self.build = board, build
        self.include = (checkout / "Include").absolute()
        sources = [str(p.absolute()) for name in _FOLDERS for p in sorted((checkout / "Source" / name).glob("*.c"))
                   if not _OTHERS.search(p.name)]
        if not sources or not (self.include / "arm_nnfunctions.h").exists():
            raise InvalidArgumentError("there is no CMSIS-NN in the folder", got=str(checkout),
                                       hint="git clone https://github.com/ARM-software/CMSIS-NN")
        folder.mkdir(parents=True)
        compiler = [image.tool(f"{board.compiler}gcc"), *board.flags, *build, "-std=gnu99", "-ffunction-sections",
                    "-fdata-sections", f"-I{self.include}", *_headers(folder, board), "-w", "-c"]
        _ran(host.run([*compiler, *sources], cwd=folder), "CMSIS-NN does not compile")
        self.archive = folder / "libcmsis_nn.a"
        objects = sorted(str(p) for p in folder.glob("*.o"))
        _ran(host.run([image.tool(f"{board.compiler}ar"), "rcs", str(self.archive), *objects]), "ar fails")

    def run(self, nets: Sequence[Net], here: Path) -> list[Found]:
        """Count the layers of the subnetworks, and compare what they compute with the formulas.

        Raises:
            RedsError: a status is no success, or an output is off by more than one.
        """
        here.mkdir(parents=True, exist_ok=True)
        (here / "main.c").write_text(cmsis_program.text(nets), encoding="utf-8")
        built = image.link([here / "main.c", self.archive], here, self.board, "-w", "-std=gnu99", f"-I{self.include}",
                           *_headers(here, self.board))
        calls = None
        if self.board.name == "Cortex-M4F":
            found = profile(built, self.board, timeout=600)
            printed, calls = found.printed, [cycles(found.listing, call) for call in found.calls]
        else:
            printed = image.emulate(built, self.board, timeout=600)
        counts = check(nets, printed)
        every, first = [], 0
        for net, row in zip(nets, counts, strict=True):
            own = None if calls is None else sum(calls[first: first + len(net.layers)], Cycles())
            first += len(net.layers)
            every.append(Found(self.build, tuple(row), own))
        return every


def check(nets: Sequence[Net], printed: str) -> list[list[int]]:
    """The counts of what a program printed, by subnetwork and layer, if its values are those of the formulas, +-1."""
    lines = iter(line for line in printed.splitlines() if line.startswith(("layer ", "values ")))
    counts: list[list[int]] = []
    for k, net in enumerate(nets):
        values, row = {0: net.x}, []
        for i, layer in enumerate(net.layers):
            _, subnetwork, number, count = next(lines, "layer - - 0").split()
            if (subnetwork, number) != (str(k), str(i)):
                raise RedsError(f"CMSIS-NN's layer {layer.name!r} of subnetwork {k} did not run")
            row.append(int(count))
            given = bytes.fromhex("".join(next(lines).split()[1:]))
            values[layer.output] = np.frombuffer(given, np.int8).reshape(layer.shapes[1])
            wanted = expected(layer, [values[t] for t in layer.inputs])
            off = np.abs(values[layer.output].astype(int) - wanted).max()
            if off > 1:
                raise RedsError(f"CMSIS-NN's layer {layer.name!r} of subnetwork {k} is off by up to {off}")
            if wanted.size > 1 and wanted.min() == wanted.max():
                raise RedsError(f"all outputs of CMSIS-NN's layer {layer.name!r} of subnetwork {k} are the same")
        counts.append(row)
    return counts


def best(found: Sequence[Found]) -> tuple[Found, Cycles | None]:
    """The build with the fewest instructions, and the lowest bounds of the cycles of any build."""
    known = [f.cycles for f in found if f.cycles is not None]
    return (min(found, key=lambda f: f.instructions),
            Cycles(min(c.low for c in known), min(c.high for c in known)) if known else None)


def version(checkout: Path) -> str:
    """The commit of the checkout."""
    done = host.run(["git", "-C", str(checkout), "rev-parse", "HEAD"])
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _headers(folder: Path, board: Board) -> list[str]:
    """What stands for the headers of a C library that the RISC-V compiler lacks: memcpy and memset are all that is used."""
    if "-lc" in board.libraries:
        return []
    own = folder / "headers"
    own.mkdir(exist_ok=True)
    (own / "string.h").write_text("#include <stddef.h>\nvoid *memcpy(void *, const void *, size_t);\n"
                                  "void *memset(void *, int, size_t);\n", encoding="utf-8")
    return [f"-I{own}", "-ffreestanding"]


def _ran(done: object, what: str) -> None:
    if done.returncode:  # type: ignore[attr-defined]
        raise RedsError(f"{what}:\n{done.stderr[-3000:]}")  # type: ignore[attr-defined]
