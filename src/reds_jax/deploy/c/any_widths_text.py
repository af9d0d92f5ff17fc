"""The C text of `AnyWidths`: the rows of the subnetworks, what an adaptation changes, counts at a row, the order of rows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from reds_jax.deploy.c.any_widths import AnyWidths
from reds_jax.deploy.c.constants import lines
from reds_jax.deploy.escape import c_comment
from reds_jax.deploy.lowering.program import Tensor

Guard = Callable[[int, str], str]
"""``guard(k, text)``: text that is left out where no subnetwork as large as k is wanted."""

_STATE = """/* A row of widths, and the subnetwork that has the tables for it. */
typedef struct {{
    const subnetwork *tables;
    uint16_t widths[{upper}_GROUPS];
}} row;

static const row rows[{upper}_LARGEST + 1] = {{
{table}}};

/* What {lower}_adapt_to was given. */
static row own[3];

/* What an adaptation changes: the row of the next inference. ``running`` is that of the latest one; ``writing`` is 1 while a
 * row is copied. */
static const row *volatile active = &rows[{upper}_LARGEST];
static const row *volatile running = &rows[{upper}_LARGEST];
static volatile uint8_t writing;
"""
_BEGIN = """do {{ /* the inference keeps its row to its end: nothing is written where ``running`` points */
        running = active;
    }} while (running != active);
    const row *const r = running;
    const subnetwork *const s = r->tables;"""


def of_row(tensor: Tensor, factor: int) -> str:
    """A multiple of the channels of a tensor at the row ``r``."""
    assert tensor.size is not None, "the program was lowered for its subnetworks only"
    terms = [f"{k * factor}u * r->widths[{g}]" if k * factor > 1 else f"r->widths[{g}]" for g, k in tensor.size.terms]
    if len(terms) > 1 and not tensor.size.constant and terms[0].startswith("r"):
        terms[0] = f"(uint32_t){terms[0]}"  # a sum of two 16-bit numbers has a sign in C
    return " + ".join(([f"{tensor.size.constant * factor}u"] if tensor.size.constant or not terms else []) + terms)


def state(upper: str, rows: AnyWidths | None, guard: Guard) -> dict[str, str]:
    """What an adaptation changes: a pointer to a subnetwork, or to a row of widths that names one."""
    if rows is None:
        return {
            "state": "/* The one thing that an adaptation changes. */\n"
                     f"static const subnetwork *volatile active = &subnetworks[{upper}_LARGEST];\n",
            "to_k": "&subnetworks[k]", "to_s": "s", "index": "active - subnetworks",
            "begin": "const subnetwork *const s = active; /* once: the inference keeps it to its end */",
        }
    table = "".join(guard(k, f"    {{&subnetworks[{k}], {{{', '.join(f'{n}u' for n in row)}}}}},\n")
                    for k, row in enumerate(rows.rows))
    return {"state": _STATE.format(upper=upper, lower=upper.lower(), table=table), "to_k": "&rows[k]",
            "to_s": "&rows[s - subnetworks]", "index": "active->tables - subnetworks", "begin": _BEGIN.format()}


def values(name: str, rows: AnyWidths, guard: Guard) -> dict[str, str]:
    """What the templates of ``any_widths`` and ``order`` are filled with, and what else differs where they are."""
    upper = name.upper()
    found = {
        "groups": str(len(rows.groups)), "groups_comment": _comment(rows),
        "more_statuses": f",\n    {upper}_WIDTHS_NOT_ALLOWED = 3,\n    {upper}_BUSY = 4",
        "adapt": f"(run % 2u ? {name}_adapt_to({name}_widths(k)) : {name}_adapt(k))",
        "rows_note": f"- `{name}_adapt_to(widths)` takes any row of widths between the smallest and the largest subnetwork; "
                     f"`{name}_model.h` says when it may be called.\n",
    }
    if rows.order:
        found |= {"order_rows": str(len(rows.order)), "order_table": _order(rows, guard)}
    return found


def _comment(rows: AnyWidths) -> str:
    """The groups with their least and largest widths, a line each."""
    return "\n".join(f" *   {i}: {c_comment(name)}, {least} to {most}" for i, (name, least, most) in enumerate(
        zip(rows.groups, rows.rows[0], rows.rows[-1], strict=True)))


def changes(rows: AnyWidths) -> list[list[tuple[int, int, int]]]:
    """For every subnetwork k the changes (MACs, group, width) of the order's rows that it contains and k - 1 does not.

    A step that changes several groups is several changes with the MACs of its end, so that a budget has all or none of them.
    """
    found: list[list[tuple[int, int, int]]] = [[] for _ in rows.rows]
    for (before, least), (after, macs) in pairwise(zip(rows.order, rows.macs, strict=True)):
        assert (macs > least) == (before != after), "every channel costs MACs"
        found[rows.subnetwork(after)] += [(macs, g, n) for g, (m, n) in enumerate(zip(before, after, strict=True)) if m != n]
    return found


def _order(rows: AnyWidths, guard: Guard) -> str:
    """The order as a constant array."""
    text = [f"static const order_change changes[] = {{\n    {{{rows.macs[0]}u, 0u, {rows.rows[0][0]}u}}, /* the first row */\n"]
    for k, found in enumerate(changes(rows)):
        if found:
            text.append(guard(k, lines([f"{{{macs}u, {g}u, {n}u}}" for macs, g, n in found], per_line=6) + ",\n"))
    return "".join([*text, "};\n"])
