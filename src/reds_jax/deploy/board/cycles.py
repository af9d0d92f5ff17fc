"""Bounds of the cycles that a Cortex-M4F takes for what QEMU has executed: costs of instructions times their executions.

The costs are those of the Technical Reference Manual (Arm DDI 0439D, r0p1: the tables of sections 3.3.1 and 7.2.3, loads and
stores in 3.3.2); P is a refill of the pipeline, N the number of registers that are moved:

======================================  ======================  ===================================================
instruction                             cycles in the manual    counted as (low, high)
======================================  ======================  ===================================================
arithmetic, moves, MUL, MLA, SMLAD ...  1                       1, 1
IT                                      1, 0 if it is folded    0, 1
SDIV, UDIV                              2 to 12                 2, 12
LDR, LDRB, LDRH ...                     2, or 1 if pipelined    1 behind a load that is not part of its address,
                                                                else 2; and 2
STR, STRB, STRH                         1, or 2                 1; 2 if its offset is a register, else 1
LDRD, STRD; LDM, STM, PUSH, POP         1 + N                   1 + N
B, BL, BX, CBZ, POP to PC ...           1 + P if taken          P 1, P 3
TBB, TBH; LDR to PC                     2 + P                   P 1, P 3
VADD, VMUL, VCMP, VCVT, VMOV ...        1 or 2                  1, 2
VMLA, VFMA; VDIV, VSQRT                 3; 14                   3, 4; 14, 15: a result that the next needs is late
VLDR, VSTR; VLDM, VPUSH ...             2 (double 3); 1 + N     2 (3); 1 + N
======================================  ======================  ===================================================

An address that the instruction before computes, or that is relative to the program counter, may cost one more: in the upper
bound it does. It is a model, not a measurement: flash and RAM answer in one cycle, there is no cache, no other master on the
bus, no interrupt, and every access is aligned (one that is not takes 1 or 2 more). How often a branch was taken is how much
less often the instruction behind it was executed, if only the branch leads there; where others do, from that to always.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from reds_jax.deploy.board.profile import Instruction, Listing
from reds_jax.errors import InvalidArgumentError

_CONDITION = "(?P<condition>eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
_REFILL = (1, 3)
_MEMORY = ("load", "store", "double_move", "many", "float_memory")
_RULES = [(kind, re.compile(f"(?:{names}){_CONDITION}$")) for kind, names in (
    ("it", r"it[te]{0,3}"),
    ("compare_branch", r"cbn?z"),
    ("jump", r"b|bx"),
    ("call", r"bl|blx"),
    ("table", r"tb[bh]"),
    ("double_move", r"ldrd|strd"),
    ("load", r"ldr(b|h|sb|sh)?t?"),
    ("store", r"str[bh]?t?"),
    ("many", r"(ld|st)m(ia|db|fd|ea)?|push|pop|v(ld|st)m(ia|db)|vpush|vpop"),
    ("divide", r"[su]div"),
    ("float_memory", r"v(ldr|str)"),
    ("float_multiply_add", r"v(fn?m|mla|mls|nmla|nmls)[as]?"),
    ("float_divide", r"vdiv|vsqrt"),
    ("float", r"v(add|sub|n?mul|abs|neg|cmpe?|cvt[abmnpr]?|mov|mrs|msr|sel|maxnm|minnm|rint\w)"),
    ("single", r"(add|sub|adc|sbc|rsb|and|orr|orn|eor|bic|lsl|lsr|asr|ror|mov|mvn|mul|neg)s?w?|rrx|movt|cmp|cmn|tst|teq"
               r"|adr|nop|clz|rbit|rev(16|sh)?|[su]?bfx|bf[ci]|[su]xta?[bh](16)?|pkh(bt|tb)|[su]sat(16)?|mla|mls|[su](mull|mlal)|umaal"
               r"|sml[as](l?[bt][bt]|w[bt]|l?dx?)|smu[as]dx?|smul([bt][bt]|w[bt])|smm(ul|la|ls)r?"
               r"|[suqh]+(add|sub)(8|16)?|qd?(add|sub)|[suqh]+(asx|sax)|sel|usada?8|dsb|isb|dmb|mrs|msr|bkpt"))]


@dataclass(frozen=True)
class Cycles:
    """A lower and an upper bound."""

    low: int = 0
    high: int = 0

    def __add__(self, other: Cycles) -> Cycles:
        return Cycles(self.low + other.low, self.high + other.high)

    def __str__(self) -> str:
        return f"{self.low:,}-{self.high:,}"


def cycles(listing: Listing, executions: Mapping[int, int]) -> Cycles:
    """Bounds of the cycles of a Cortex-M4F.

    Args:
        listing: the program.
        executions: how often each of its instructions was executed, by address.

    Raises:
        InvalidArgumentError: an executed instruction whose cost is not known.
    """
    targets = _targets(listing)
    addresses = list(listing)
    total, before = Cycles(), None
    for address, following in zip(addresses, [*addresses[1:], -1], strict=True):
        count, instruction = executions.get(address, 0), listing[address]
        if count:
            least = max(0, count - executions.get(following, 0))
            total += _cost(instruction, before, count, (least, count if following in targets else least))
        before = instruction if count else None
    return total


def classify(instruction: Instruction) -> tuple[str, bool]:
    """The row of the table that an instruction belongs to, and whether it has a condition."""
    mnemonic = re.sub(r"\.[nw]$", "", instruction.mnemonic.lower())
    mnemonic = mnemonic.split(".")[0] if mnemonic.startswith("v") else mnemonic
    for kind, pattern in _RULES:
        if found := pattern.match(mnemonic):
            return kind, found["condition"] is not None
    raise InvalidArgumentError("the cycles of an instruction are not known", allowed="those of a Cortex-M4F",
                               got=f"{instruction.mnemonic} {instruction.operands}")


def registers(operands: str) -> int:
    """How many registers a list such as ``{r4-r7, lr}`` has; double ones count twice."""
    count = 0
    for entry in operands[operands.index("{") + 1: operands.index("}")].split(","):
        first, _, last = entry.strip().partition("-")
        number = int(last[1:]) - int(first[1:]) + 1 if last else 1
        count += number * (2 if first.startswith("d") else 1)
    return count


def _cost(instruction: Instruction, before: Instruction | None, count: int, left: tuple[int, int]) -> Cycles:
    """All executions of one instruction, of which so many (at least, at most) did not go on to the next."""
    kind, conditional = classify(instruction)
    operands = instruction.operands
    moved = registers(operands) if kind == "many" else 0
    if kind == "compare_branch" or (kind == "jump" and conditional):
        return Cycles(count + _REFILL[0] * left[0], count + _REFILL[1] * left[1])
    if kind in ("jump", "call", "table") or _writes_pc(kind, operands):
        more = moved + (kind in ("table", "load"))
        low, high = 1 + more + _REFILL[0], 1 + more + _REFILL[1]
    elif kind == "load":
        low, high = 1 if _pipelined(before, operands) else 2, 2
    elif kind == "many":
        low = high = 1 + moved
    elif kind == "float_memory":
        low = high = 3 if operands.startswith("d") else 2
    elif kind == "store":
        low, high = 1, 2 if re.search(r"\[[^,\]]+, *r", operands) else 1
    else:
        low, high = {"it": (0, 1), "single": (1, 1), "divide": (2, 12), "double_move": (3, 3), "float": (1, 2),
                     "float_multiply_add": (3, 4), "float_divide": (14, 15)}[kind]
    high += kind in _MEMORY and _waits(before, operands)
    return Cycles((min(low, 1) if conditional else low) * count, high * count)  # what is skipped takes a cycle


def _writes_pc(kind: str, operands: str) -> bool:
    if kind == "many":
        return "pc" in operands[operands.index("{"):]
    return kind in ("load", "single") and operands.startswith("pc")


def _address(operands: str) -> list[str]:
    """The registers that an address is made of: those in the brackets, or what precedes a list."""
    within = operands[operands.index("["):] if "[" in operands else operands.split("{")[0]
    return re.findall(r"[a-z]\w+", within)


def _pipelined(before: Instruction | None, operands: str) -> bool:
    """Whether a load may begin while the instruction before it, a load, waits for its value."""
    return before is not None and classify(before)[0] == "load" and _first(before) not in _address(operands)


def _waits(before: Instruction | None, operands: str) -> bool:
    """Whether an address needs what the instruction before computes, or the program counter."""
    address = _address(operands)
    return "pc" in address or (before is not None and classify(before)[0] == "single" and _first(before) in address)


def _first(instruction: Instruction) -> str:
    """The register that an instruction writes, if it writes one."""
    return instruction.operands.split(",")[0].strip()


def _targets(listing: Listing) -> set[int]:
    """Where branches lead."""
    return {int(found[1], 16) for i in listing.values()
            if i.mnemonic.startswith(("b", "cb")) and (found := re.search(r"\b([0-9a-f]+) <", i.operands))}
