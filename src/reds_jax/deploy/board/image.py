"""From C to an image for a board, and the image in QEMU. Nothing here knows of networks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from string import Template

from reds_jax.deploy.board import host
from reds_jax.deploy.board.boards import BOARDS, Board
from reds_jax.errors import MissingDependencyError, RedsError

FLAGS = ("-O2", "-std=c99", "-ffreestanding", "-fno-tree-loop-distribute-patterns", "-ffunction-sections", "-fdata-sections")
_COUNT = ("-icount", "shift=10,align=off,sleep=off")  # qemu/count.h


class DoesNotFitError(RedsError):
    """The network is larger than the flash or the RAM of the board."""


def part(name: str) -> str:
    """A file of ``qemu/``: what is around a program on a bare processor."""
    return (resources.files("reds_jax.deploy.board") / "qemu" / name).read_text(encoding="utf-8")


def write_startup(here: Path, board: Board) -> list[Path]:
    """Write what is around a program on a board into a folder, the linker script too; returns the C files."""
    names = ["startup.c", "count.c", *([] if "-lc" in board.libraries else ["memory.c"])]
    for name in (*names, "count.h"):
        (here / name).write_text(part(name), encoding="utf-8")
    (flash, flash_bytes), (ram, ram_bytes) = board.flash, board.ram
    (here / "board.ld").write_text(Template(part("board.ld")).substitute(
        flash=flash, flash_bytes=flash_bytes, ram=ram, ram_bytes=ram_bytes, stack_bytes=board.stack), encoding="utf-8")
    return [here / name for name in names]


def compile_flags(board: Board) -> tuple[str, ...]:
    """Flags of the compiler for a board."""
    return (*board.flags, *FLAGS, f"-DREDS_TIMER_{board.timer}")


def link_flags(here: Path) -> tuple[str, ...]:
    """Flags of the linker, with the script that `write_startup` has put there; the libraries of the board follow them."""
    return "-nostdlib", "-Wl,--gc-sections", f"-Wl,-T,{here / 'board.ld'}"


def link(sources: Iterable[Path], here: Path, board: Board, *flags: str, libraries: Iterable[str] = ()) -> Path:
    """Compile a program with what is around it on a bare processor; returns the image.

    Args:
        sources: C files, objects or archives; one has a main.
        here: a folder for the image, also searched for headers.
        board: where it shall run.
        flags: more options of the compiler, such as ``-I``.
        libraries: linked before the board's own.

    Raises:
        DoesNotFitError: the flash or the RAM of the board is too small.
        MissingDependencyError: the compiler or its C library is not installed.
    """
    image, startup = here / "image.elf", write_startup(here, board)
    command = [tool(f"{board.compiler}gcc"), *compile_flags(board), *flags, f"-I{here}", "-o", str(image),
               *map(str, [*sources, *startup]), *link_flags(here), *libraries, *board.libraries]
    done = host.run(command)
    if done.returncode == 0:
        return image
    if "overflowed" in done.stderr or "will not fit" in done.stderr:
        why = " and ".join(sorted({line.split(": ", 1)[-1] for line in done.stderr.splitlines() if "overflowed" in line}))
        raise DoesNotFitError(f"the network does not fit {board.name}: {why}")
    if "cannot find -lc" in done.stderr:
        raise MissingDependencyError("the C library of the compiler is not installed", hint=_hint("libnewlib-arm-none-eabi"))
    raise RedsError(f"the exported network does not compile for {board.name}:\n{done.stderr}")


def emulate(image: Path, board: Board, *options: str, timeout: float = 300) -> str:
    """Run an image in QEMU and return what it printed.

    Raises:
        RedsError: it ends with another status than 0, or not in ``timeout`` seconds.
    """
    firmware = ("-bios", "none") if board.machine == "virt" else ()
    command = [tool(board.emulator), "-M", board.machine, *firmware, "-nographic", "-semihosting-config",
               "enable=on,target=native", *_COUNT, *options, "-kernel", str(image)]
    try:
        done = host.run(command, timeout=timeout, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise RedsError(f"the network did not finish on {board.name} within {timeout:.0f} s") from error
    if done.returncode:
        raise RedsError(f"the network fails on {board.name} (status {done.returncode}):\n{done.stderr[-2000:]}")
    return done.stderr


def sections(image: Path, board: Board) -> dict[str, int]:
    """Bytes of the image: text (code), rodata (constants), data, bss (the arena)."""
    done = host.run([tool(f"{board.compiler}size"), "-A", str(image)])
    found = {row[0]: int(row[1]) for line in done.stdout.splitlines() if len(row := line.split()) == 3 and row[1].isdigit()}
    return {name: sum(size for section, size in found.items() if section == f".{name}")
            for name in ("text", "rodata", "data", "bss")}


def tool(name: str) -> str:
    """The path of a compiler or of QEMU, or an error that names the packages."""
    found = shutil.which(name)
    if found is None:
        arm = "arm" in name
        raise MissingDependencyError(f"{name} is not installed", hint=_hint(
            "qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi" if arm else "qemu-system-misc gcc-riscv64-unknown-elf"))
    return found


def _hint(packages: str) -> str:
    return f"Debian: apt-get install --no-install-recommends {packages}"


def versions(boards: Iterable[str] = ("m4",)) -> dict[str, str]:
    """The first line that the compilers and emulators of the boards say of themselves."""
    names = dict.fromkeys(name for board in boards for name in (f"{BOARDS[board].compiler}gcc", BOARDS[board].emulator))
    return {name: host.run([tool(name), "--version"]).stdout.splitlines()[0] for name in names}
