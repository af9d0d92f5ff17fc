"""The processors that QEMU emulates here: machine, memories, timer and compiler flags of each.

The memories are those of the machine as QEMU 7.2 has it. Where a machine has more than one kind of memory, flash is the memory
that it starts from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reds_jax.errors import InvalidArgumentError

BoardName = Literal["m0", "m3", "m4", "m7", "m33", "m55", "rv32"]


@dataclass(frozen=True)
class Board:
    """A processor of QEMU.

    Args:
        name: of the processor.
        machine: ``-M`` of QEMU.
        flags: of the compiler, for the processor.
        flash: first address and bytes of the memory of code and constants.
        ram: first address and bytes of the memory of variables and the stack.
        timer: the part of ``qemu/count.c`` that reads a timer of the machine.
        stack: bytes of the RAM that variables may not take.
        compiler: prefix of the names of the compiler and its tools.
        emulator: the program of QEMU.
        libraries: what is linked behind the program; without a C library ``qemu/memory.c`` has memcpy and memset.
    """

    name: str
    machine: str
    flags: tuple[str, ...]
    flash: tuple[int, int]
    ram: tuple[int, int]
    timer: Literal["CMSDK", "CMSDK_SECURE", "NRF51", "SSE", "CLINT"] = "CMSDK"
    stack: int = 8 << 10
    compiler: str = "arm-none-eabi-"
    emulator: str = "qemu-system-arm"
    libraries: tuple[str, ...] = ("-lc", "-lgcc")


_MPS2 = (0, 4 << 20), (0x20000000, 4 << 20)

BOARDS: dict[str, Board] = {
    "m0": Board("Cortex-M0", "microbit", ("-mthumb", "-mcpu=cortex-m0"), (0, 256 << 10), (0x20000000, 16 << 10), "NRF51",
                2 << 10),
    "m3": Board("Cortex-M3", "mps2-an385", ("-mthumb", "-mcpu=cortex-m3"), *_MPS2),
    "m4": Board("Cortex-M4F", "mps2-an386", ("-mthumb", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"), *_MPS2),
    "m7": Board("Cortex-M7", "mps2-an500", ("-mthumb", "-mcpu=cortex-m7", "-mfpu=fpv5-d16", "-mfloat-abi=hard"), *_MPS2),
    "m33": Board("Cortex-M33", "mps2-an505", ("-mthumb", "-mcpu=cortex-m33", "-mfloat-abi=hard"), (0x10000000, 4 << 20),
                 (0x38000000, 4 << 20), "CMSDK_SECURE"),
    "m55": Board("Cortex-M55", "mps3-an547", ("-mthumb", "-mcpu=cortex-m55", "-mfloat-abi=hard"), (0x10000000, 512 << 10),
                 (0x31000000, 4 << 20), "SSE"),
    "rv32": Board("RISC-V rv32imc", "virt", ("-march=rv32imc", "-mabi=ilp32", "-msmall-data-limit=0"), (0x80000000, 4 << 20),
                  (0x80400000, 4 << 20), "CLINT", compiler="riscv64-unknown-elf-", emulator="qemu-system-riscv32",
                  libraries=("-lgcc",)),
}


def board_of(name: str) -> Board:
    """The board of that name."""
    if name not in BOARDS:
        raise InvalidArgumentError("there is no such board", got=name, allowed=", ".join(BOARDS))
    return BOARDS[name]
