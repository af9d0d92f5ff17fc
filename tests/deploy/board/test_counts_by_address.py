"""Counts by address: their sums are what the timers count, and they lie where the program says."""

import pytest
from test_boards import each

from reds_jax.deploy.board import device, image
from reds_jax.deploy.board.boards import board_of
from reds_jax.deploy.board.cycles import cycles
from reds_jax.deploy.board.profile import Instruction, parse_listing, profile
from reds_jax.errors import InvalidArgumentError, RedsError

LOOPS = """
#include "count.h"
static volatile uint32_t sum;
static __attribute__((noinline)) void inner(uint32_t n) { for (uint32_t i = 0; i < n; i++) sum += i; }
static void outer(void *argument) { for (uint32_t k = 0; k < *(const uint32_t *)argument; k++) inner(k); }
int main(void) {
    for (uint32_t n = 0; n < 120; n += 40) {
        reds_print_unsigned(reds_count(outer, &n));
        reds_print(" ");
    }
    return 0;
}
"""
LISTING = """
image.elf:     file format elf32-littlearm

Disassembly of section .text:

00000000 <vectors>:
   0:\t.word\t0x20400000

00000040 <inner>:
  40:\tldr\tr3, [pc, #16]\t@ (54 <inner+0x14>)
  42:\tb.n\t4a <inner+0xa>
  44:\tstmdb\tsp!, {r4, r5, lr}
  54:\t.word\t0x20000000

00000058 <main.part.0>:
  58:\tbl\t40 <inner>
  5c:\tldrne.w\tr0, [r1, #4]\t; 0x4
80000060:\taddi\ta0,a0,12 # 8000006c <x>
"""


def linked(here, text, board):
    (here / "main.c").write_text(text)
    return image.link([here / "main.c"], here, board_of(board))


@pytest.mark.parametrize("board", each("m0", "m4", "m55", "rv32"))
def test_sums_are_what_the_timer_counts(tmp_path, board):
    found = profile(linked(tmp_path, LOOPS, board), board_of(board))
    assert [call.total() for call in found.calls] == [int(n) for n in found.printed.split()]
    first, second, third = (found.by_function(k) for k in range(3))
    assert set(second) == set(third) == {"inner", "outer"}
    assert set(first) == {"outer"}
    assert third["inner"] > 3 * second["inner"]
    assert all(found.listing[address].function in third for address in found.calls[2])


@pytest.mark.parametrize("board", each("m4"))
@pytest.mark.parametrize(("does", "message"), [
    ("(void)reds_count(nothing, unused)", r"image\.elf calls reds_count within reds_count"),
    ("reds_exit(0)", r"image\.elf ends within reds_count"),
])
def test_what_cannot_be_told_apart_is_an_error(tmp_path, board, does, message):
    text = f"""
#include "count.h"
static inline void nothing(void *unused) {{ (void)unused; }}
static void counted(void *unused) {{ {does}; }}
int main(void) {{ return reds_count(counted, 0) == 0; }}
"""
    with pytest.raises(RedsError, match=message):
        profile(linked(tmp_path, text, board), board_of(board))


def test_a_listing_is_read() -> None:
    assert parse_listing(LISTING) == {
        0x40: Instruction("ldr", "r3, [pc, #16]", "inner"),
        0x42: Instruction("b.n", "4a <inner+0xa>", "inner"),
        0x44: Instruction("stmdb", "sp!, {r4, r5, lr}", "inner"),
        0x58: Instruction("bl", "40 <inner>", "main.part.0"),
        0x5c: Instruction("ldrne.w", "r0, [r1, #4]", "main.part.0"),
        0x80000060: Instruction("addi", "a0,a0,12", "main.part.0"),
    }


@pytest.mark.parametrize("board", each("m4"))
def test_an_inference_has_bounds_of_its_cycles(tmp_path, board):
    from test_device import exported

    from reds_jax.models import DNN

    folder = exported(tmp_path / "c", DNN(4, (12,)), (9,), "float32", (0.5, 1.0))
    counted, bounded = device.run(folder, board), device.run(folder, board, cycles=True)
    assert [s.invoke for s in bounded.subnetworks] == [s.invoke for s in counted.subnetworks]
    small, large = (s.cycles for s in bounded.subnetworks)
    assert counted.subnetworks[0].invoke < small.low < small.high < large.high
    assert small.low < large.low
    assert all(s.cycles is None for s in counted.subnetworks)
    with pytest.raises(InvalidArgumentError, match="Cortex-M55.*Cortex-M4F"):
        device.run(folder, "m55", cycles=True)


@pytest.mark.parametrize("board", each("m4"))
def test_cycles_of_a_real_loop_lie_between_those_of_one_and_four_per_instruction(tmp_path, board):
    found = profile(linked(tmp_path, LOOPS, board), board_of(board))
    for call in found.calls:
        bounds = cycles(found.listing, call)
        assert call.total() < bounds.low <= bounds.high < 4 * call.total()
