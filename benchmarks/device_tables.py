"""The tables of `device.py`: instructions and cycles, the comparison with CMSIS-NN, and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from device_networks import FRACTIONS

from reds_jax.deploy.board import device
from reds_jax.deploy.board.cycles import Cycles

COLUMNS = ("network", "processor", "width", "MACs", "instructions", "per MAC", "cycles", "adapt", "by budget", "arena bytes")
COMPARED = ("network", "processor", "width", "MACs", "ours: instructions", "cycles", "CMSIS-NN: instructions", "cycles",
            "instructions, CMSIS-NN / ours", "cycles, CMSIS-NN / ours", "ahead")
FLASH = ("network", "code", "weights", "tables", "nested", "4 networks", "full + 3 masks", "RAM", "folding")


def markdown(columns: tuple[str, ...], body: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in ([*columns], ["---"] * len(columns), *body))


def instructions(found: Mapping[str, Any]) -> list[list[str]]:
    """What the nested network needs on each board, and what does not fit it."""
    lines, what = [], f"{found['network']} {found['dtype']}"
    for board, run in found["boards"].items():
        name = device.BOARDS[board].name
        if isinstance(run, str):
            lines.append([what, name, "any", "-", run, *["-"] * 5])
            continue
        for k, s in enumerate(run.subnetworks):
            lines.append([what, name, _percent(k), f"{s.macs:,}", f"{s.invoke:,}", f"{s.invoke / s.macs:.2f}",
                          "-" if s.cycles is None else str(s.cycles), str(s.adapt), str(s.adapt_to_budget),
                          f"{found['facts']['subnetworks'][k]['arena_bytes']:,}"])
        if run.left_out:
            lines.append([what, name, "larger", "-", run.left_out.rstrip("."), *["-"] * 5])
    return lines


def compared(ours: Mapping[tuple[str, str], device.Run], theirs: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Every subnetwork beside the same in CMSIS-NN, where its counts are known for as many MACs.

    Args:
        ours: runs in int8 by network and board.
        theirs: the rows of `cmsis`.
    """
    known = {(row["network"], row["board"], row["macs"]): row for row in theirs}
    lines = []
    for (network, board), run in ours.items():
        for k, s in enumerate(run.subnetworks):
            head = [network, run.board.name, _percent(k), f"{s.macs:,}", f"{s.invoke:,}",
                    "-" if s.cycles is None else str(s.cycles)]
            row = known.get((network, board, s.macs))
            if row is None:
                lines.append([*head, *["-"] * 5])
                continue
            bounds = None if row["cycles"] is None else Cycles(**row["cycles"])
            ratios = [row["instructions"] / s.invoke]
            if bounds is not None and s.cycles is not None:
                ratios += [bounds.low / s.cycles.low, bounds.high / s.cycles.high]
            lines.append([*head, f"{row['instructions']:,}", "-" if bounds is None else str(bounds), f"{ratios[0]:.2f}",
                          "-".join(f"{r:.2f}" for r in ratios[1:]) or "-",
                          "yes" if min(ratios) > 1 else "no" if max(ratios) <= 1 else "in part"])
    return lines


def by_layer(rows: Iterable[Mapping[str, Any]], board: str) -> list[list[str]]:
    """Instructions of CMSIS-NN by layer at full width."""
    full = {row["network"]: row for row in rows if row["board"] == board and row["subnetwork"] == len(FRACTIONS) - 1}
    return [[network, ", ".join(f"{name} {count:,}" for name, count in row["layers"])] for network, row in full.items()]


def sizes(found: Mapping[str, Any]) -> list[str] | None:
    """Flash of one nested network, of one network a subnetwork, and of the full one with masks (Cortex-M4F)."""
    nested, alone = found["boards"].get("m4"), found.get("separate")
    if not isinstance(nested, device.Run) or not alone or None in alone:
        return None
    facts, code = found["facts"], nested.sections["text"]
    constants = facts["weight_bytes"] + facts["table_bytes"]
    separate = sum(r.sections["rodata"] for r in alone) - sum(_examples(found, alone=True) for _ in alone)
    full = alone[-1].sections["rodata"] - _examples(found, alone=True)
    weights = facts["weight_bytes"] // (1 if found["dtype"] == "int8" else 4)
    masks = (len(FRACTIONS) - 1) * -(-weights // 8)
    return [f"{found['network']} {found['dtype']}", f"{code:,}", f"{facts['weight_bytes']:,}", f"{facts['table_bytes']:,}",
            f"{nested.sections['rodata'] - _examples(found):,}", f"{separate:,}", f"{full + masks:,}",
            f"{nested.sections['data'] + nested.sections['bss']:,}", f"{constants / facts['weight_bytes']:.2f}"]


def _examples(found: Mapping[str, Any], *, alone: bool = False) -> int:
    """Bytes of the recorded examples in the image, which are no part of a network."""
    facts, size = found["facts"], 1 if found["dtype"] == "int8" else 4
    return 4 * size * (facts["input_items"] + facts["output_items"] * (1 if alone else len(FRACTIONS)))


def _percent(k: int) -> str:
    return f"{100 * FRACTIONS[k]:.0f} %"
