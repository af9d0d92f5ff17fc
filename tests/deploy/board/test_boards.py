"""The boards of QEMU: one network answers on each of them, and what is around a program there works."""

import ctypes
import shutil
import subprocess
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from test_device import exported

from reds_jax.deploy.board import device, host, image
from reds_jax.deploy.board.boards import BOARDS, BoardName, board_of
from reds_jax.errors import InvalidArgumentError, MissingDependencyError, RedsError
from reds_jax.models import DSCNN

MEMORY = {"m3": BOARDS["m3"].ram[1], "m55": BOARDS["m55"].ram[1], "rv32": BOARDS["rv32"].ram[1]}
PRINTS = """
#include "count.h"
static uint32_t initialised = 0x89abcdef, zero;
static float half = 0.5f;
int main(void) {
    reds_print_hex(initialised);
    reds_print(" ");
    reds_print_signed(-2147483647 - 1);
    reds_print(" ");
    reds_print_unsigned(zero);
    half *= 3.0f;
    return half == 1.5f ? 0 : 7;
}
"""


def needs(*boards):
    """A test that the compiler and QEMU of these boards must be installed for."""
    tools = sorted({tool for b in boards for tool in (f"{BOARDS[b].compiler}gcc", BOARDS[b].emulator)})
    return pytest.mark.skipif(not all(map(shutil.which, tools)), reason=f"not installed: {', '.join(tools)}")


def each(*boards, slow=()):
    return [pytest.param(b, marks=[needs(b), *([pytest.mark.slow] if b in slow else [])]) for b in boards]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Convolutions, depthwise ones, a mean and a dense layer, in both number formats."""
    model = DSCNN(4, 9, (4, 4), (2, 2), ((2, 2), (1, 1)))
    return {dtype: exported(tmp_path_factory.mktemp(dtype) / "net", model, (10, 8, 1), dtype, (0.5, 1.0))
            for dtype in ("int8", "float32")}


def program(here, text, board, *flags):
    (here / "main.c").write_text(text)
    return image.emulate(image.link([here / "main.c"], here, board_of(board), *flags), board_of(board), timeout=60)


@pytest.mark.parametrize("board", each("m3", "m7", "m33", "m55", "rv32", slow=("m7", "m33")))
@pytest.mark.parametrize("dtype", ["int8", pytest.param("float32", marks=pytest.mark.slow)])
def test_every_board_answers_and_counts(small, dtype, board):
    run = device.run(small[dtype], board)  # compares every answer
    assert run.board is BOARDS[board]
    macs = [s.macs for s in run.subnetworks]
    assert len(macs) == 2
    assert all(0 < s.adapt <= 13 and 0 < s.adapt_to_budget <= 32 and s.macs < s.invoke for s in run.subnetworks)
    assert run.subnetworks[0].invoke < run.subnetworks[1].invoke
    assert run.flash > 5_000
    assert 200 < run.ram < 2_000


@needs("m0", "m3")
def test_the_same_code_takes_as_many_instructions_on_a_board_with_another_timer(small):
    m0, m3 = BOARDS["m0"], BOARDS["m3"]
    roomy = replace(m0, machine=m3.machine, timer=m3.timer, flash=m3.flash, ram=m3.ram)
    assert device.run(small["int8"], roomy).subnetworks == device.run(small["int8"], m0).subnetworks


@pytest.mark.parametrize("board", each("m0", "m4", "m55", "rv32"))
def test_a_program_starts_prints_and_ends(tmp_path, board):
    """Its variables have their values, the FPU is on where there is one, and its status is QEMU's."""
    assert program(tmp_path, PRINTS, board) == "89abcdef -2147483648 0"
    with pytest.raises(RedsError, match="status 7"):
        program(tmp_path, PRINTS.replace("1.5f ?", "2.5f ?"), board)


@pytest.mark.parametrize("board", each("m0", "m4", "m55", "rv32"))
def test_a_fault_ends_with_its_own_status(tmp_path, board):
    with pytest.raises(RedsError, match=r"status 99.*\n.*fault"):
        program(tmp_path, "int main(void) { __builtin_trap(); }", board)


@needs("m3")
def test_what_never_ends_is_stopped(tmp_path):
    (tmp_path / "main.c").write_text("int main(void) { for (;;) {} }")
    with pytest.raises(RedsError, match=r"did not finish on Cortex-M3 within 1 s"):
        image.emulate(image.link([tmp_path / "main.c"], tmp_path, BOARDS["m3"]), BOARDS["m3"], timeout=1)


@pytest.mark.parametrize("board", each(*MEMORY))
def test_memory_that_is_not_there_is_an_error_of_the_linker(tmp_path, board):
    text = "char large[{}]; int main(void) {{ large[0] = 1; return large[1]; }}"
    room = MEMORY[board] - BOARDS[board].stack - 256
    program(tmp_path, text.format(room), board)
    with pytest.raises(image.DoesNotFitError, match=f"does not fit {BOARDS[board].name}: region `RAM' overflowed"):
        program(tmp_path, text.format(room + 512), board)


def test_memcpy_and_memset_of_boards_without_a_c_library(tmp_path):
    """Against NumPy, for all alignments and lengths about a word and four."""
    source, library = tmp_path / "memory.c", tmp_path / "memory.so"
    source.write_text(image.part("memory.c").replace("memcpy", "own_memcpy").replace("memset", "own_memset"))
    command = [host.compiler(), *host.WARNINGS, "-O2", "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-shared", "-fPIC",
               "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    functions = ctypes.CDLL(str(library))
    rng = np.random.default_rng(0)
    for length in (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 67):
        for to in range(4):
            for at in range(4):
                source_bytes, target = (rng.integers(0, 256, 96, np.uint8) for _ in range(2))
                wanted = target.copy()
                wanted[to: to + length] = source_bytes[at: at + length]
                functions.own_memcpy(ctypes.c_void_p(target.ctypes.data + to), ctypes.c_void_p(source_bytes.ctypes.data + at),
                                     ctypes.c_size_t(length))
                np.testing.assert_array_equal(target, wanted)
                wanted[to: to + length] = 0xA7
                functions.own_memset(ctypes.c_void_p(target.ctypes.data + to), 0x1A7, ctypes.c_size_t(length))
                np.testing.assert_array_equal(target, wanted)


def test_boards_are_named_where_they_are_offered():
    assert set(get_args(BoardName)) == set(BOARDS)
    with pytest.raises(InvalidArgumentError, match=r"'m5'.*m33, m55, rv32"):
        board_of("m5")


def test_what_is_not_installed_is_named_with_its_packages(tmp_path, monkeypatch):
    for board, package in (("m4", "gcc-arm-none-eabi"), ("rv32", "gcc-riscv64-unknown-elf")):
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "which", lambda name: None)
            with pytest.raises(MissingDependencyError, match=f"apt-get install.*{package}"):
                image.link([], tmp_path, BOARDS[board])
    without_libc = subprocess.CompletedProcess([], 1, "", "ld: cannot find -lc: No such file or directory")
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(host, "run", lambda command, **options: without_libc)
    with pytest.raises(MissingDependencyError, match="libnewlib-arm-none-eabi"):
        image.link([], tmp_path, BOARDS["m4"])
