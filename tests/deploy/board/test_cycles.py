"""The model of a Cortex-M4F on listings of a few lines, by the costs of its manual."""

import pytest

from reds_jax.deploy.board.cycles import Cycles, classify, cycles, registers
from reds_jax.deploy.board.profile import Instruction
from reds_jax.errors import InvalidArgumentError


def bounds(*lines, counts=None):
    """Of lines "mnemonic operands" 2 bytes apart from address 0x100 on, each executed once if nothing else is said."""
    listing = {}
    for k, line in enumerate(lines):
        mnemonic, _, operands = line.partition(" ")
        listing[0x100 + 2 * k] = Instruction(mnemonic, operands, "f")
    found = cycles(listing, dict(zip(listing, counts or [1] * len(lines), strict=True)))
    return found.low, found.high


@pytest.mark.parametrize(("line", "low", "high"), [
    ("adds r0, r1, r2", 1, 1), ("add.w r0, r1, r2, lsl #2", 1, 1), ("movw r0, #17", 1, 1), ("muls r0, r1", 1, 1),
    ("mla r0, r1, r2, r3", 1, 1), ("smlad r0, r1, r2, r0", 1, 1), ("smlal r0, r1, r2, r3", 1, 1),
    ("smlabb r0, r1, r2, r3", 1, 1),
    ("smmulr r0, r1, r2", 1, 1), ("sxtab16 r0, r1, r2, ror #8", 1, 1), ("ssat r0, #8, r1", 1, 1), ("pkhbt r0, r1, r2", 1, 1),
    ("negs r0, r1", 1, 1), ("ubfx r0, r1, #3, #2", 1, 1), ("uxtb r0, r1", 1, 1), ("cmp r0, #1", 1, 1), ("addeq r0, #1", 1, 1),
    ("it eq", 0, 1), ("itete ne", 0, 1), ("sdiv r0, r1, r2", 2, 12), ("udivne r0, r1, r2", 1, 12),
    ("ldr r0, [r1, #4]", 2, 2), ("ldrsb.w r0, [r1], #1", 2, 2), ("ldrne r0, [r1]", 1, 2), ("ldr r0, [pc, #20]", 2, 3),
    ("str r0, [r1, #4]", 1, 1), ("strb r0, [r1, r2]", 1, 2), ("ldrd r0, r1, [r2]", 3, 3), ("strd r0, r1, [r2, #8]", 3, 3),
    ("ldmia r0!, {r4, r5, r6, r7}", 5, 5), ("stmdb sp!, {r4-r11, lr}", 10, 10), ("push {r4, lr}", 3, 3),
    ("pop {r4, r5}", 3, 3), ("pop {r4, pc}", 4, 6), ("ldmia.w sp!, {r4-r8, pc}", 8, 10), ("popne {r4, pc}", 1, 6),
    ("bl 400 <g>", 2, 4), ("blx r3", 2, 4), ("bx lr", 2, 4), ("b.n 400 <g>", 2, 4), ("tbb [pc, r0]", 3, 5),
    ("ldr pc, [r0, #4]", 3, 5), ("mov pc, r0", 2, 4),
    ("vadd.f32 s0, s1, s2", 1, 2), ("vmov.f32 s0, #1.0", 1, 2), ("vcvt.s32.f32 s0, s1", 1, 2), ("vcmpe.f32 s0, s1", 1, 2),
    ("vmrs APSR_nzcv, fpscr", 1, 2), ("vfma.f32 s0, s1, s2", 3, 4), ("vmla.f32 s0, s1, s2", 3, 4),
    ("vdiv.f32 s0, s1, s2", 14, 15),
    ("vldr s0, [r1]", 2, 2), ("vldr d0, [r1]", 3, 3), ("vstr s0, [r1]", 2, 2), ("vldmia r0!, {s0-s7}", 9, 9),
    ("vpush {d8-d9}", 5, 5),
])
def test_cost_of_one_instruction(line, low, high):
    assert bounds(line) == (low, high)


def test_loads_behind_loads_are_pipelined_unless_one_needs_the_other():
    assert bounds("ldr r0, [r4]", "ldr r1, [r5]", "ldr r2, [r6, #4]") == (4, 6)
    assert bounds("ldr r0, [r4]", "ldr r1, [r0]") == (4, 4)
    assert bounds("ldr r0, [r4]", "adds r2, r2, r3", "ldr r1, [r5]") == (5, 5)
    assert bounds("str r0, [r4]", "ldr r1, [r5]") == (3, 3)
    assert bounds("ldr r0, [r4]", "ldr r1, [r5]", counts=[0, 3]) == (6, 6)  # the first is not executed


def test_an_address_that_was_just_computed_may_wait():
    assert bounds("adds r4, r4, r3", "ldr r0, [r4]") == (3, 4)
    assert bounds("adds r4, r4, r3", "ldr r4, [r5]") == (3, 3)
    assert bounds("adds r4, r4, r3", "ldmia r4!, {r0, r1}") == (4, 5)
    assert bounds("ldr r4, [r3]", "ldr r0, [r4]") == (4, 4)  # a load, whose wait is counted


def test_a_loop_takes_its_branch_but_once():
    """10 rounds: 9 times back, once on."""
    lines = ("movs r0, #10", "subs r0, #1", "bne.n 102 <f+0x2>", "bx lr")
    assert bounds(*lines, counts=[1, 10, 10, 1]) == (1 + 10 + (10 + 9) + 2, 1 + 10 + (10 + 27) + 4)
    assert bounds("cbz r0, 104 <f>", "adds r1, #1", "bx lr", counts=[5, 5, 1])[0] == 5 + 5 + 2  # never taken


def test_what_also_others_lead_to_says_less_of_a_branch():
    """The instruction behind the first branch is where the second leads: the first was taken from 0 to 8 times."""
    lines = ("bne.n 106 <f>", "adds r1, #1", "beq.n 102 <f>", "bx lr")
    assert bounds(*lines, counts=[8, 8, 8, 8]) == (8 + 8 + 8 + 16, 8 + 24 + 8 + 8 + 24 + 32)


def test_bounds_scale_with_executions_and_add_up():
    lines = ("ldr r0, [r4]", "sdiv r0, r0, r1", "vfma.f32 s0, s1, s2", "stmia r1!, {r0, r2}", "itt ne")
    low, high = bounds(*lines)
    assert bounds(*lines, counts=[7] * len(lines)) == (7 * low, 7 * high)
    assert sum([Cycles(1, 2), Cycles(10, 20)], Cycles()) == Cycles(11, 22)
    assert str(Cycles(1234, 5678)) == "1,234-5,678"


@pytest.mark.parametrize(("mnemonic", "kind", "conditional"), [
    ("b.n", "jump", False), ("bls.n", "jump", True), ("blt.w", "jump", True), ("bl", "call", False), ("bleq", "call", True),
    ("bics", "single", False), ("lsls", "single", False), ("subls", "single", True), ("mls", "single", False),
    ("movs", "single", False), ("teq", "single", False), ("ldrsh.w", "load", False), ("ldrht", "load", False),
    ("strhi", "store", True), ("strh.w", "store", False), ("vmls.f32", "float_multiply_add", False),
    ("smullls", "single", True), ("umullls", "single", True), ("vsubge.f32", "float", True),
    ("svc", None, None), ("vldrb.u8", None, None), ("letp", None, None),
])
def test_mnemonics(mnemonic, kind, conditional):
    instruction = Instruction(mnemonic, "", "f")
    if kind is None:
        with pytest.raises(InvalidArgumentError, match=f"cycles of an instruction are not known; got '{mnemonic} '"):
            classify(instruction)
    else:
        assert classify(instruction) == (kind, conditional)


def test_lists_of_registers() -> None:
    lists = ("{r0}", "sp!, {r4-r11, lr}", "{s0-s15}", "r0!, {d0-d3}", "{d8}")
    assert list(map(registers, lists)) == [1, 9, 16, 8, 2]
