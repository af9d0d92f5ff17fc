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

_NETWORK = """
struct {name}_subnetwork;
typedef struct {{
    const struct {name}_subnetwork *volatile active; /* the one thing that an adaptation changes */
    void *arena;
}} {name}_network_t;
"""
_NETWORK_OF_ROWS = """
#define {NAME}_GROUPS {groups}u

struct {name}_subnetwork;
typedef struct {{ /* a row of widths, and the subnetwork that has the tables for it */
    const struct {name}_subnetwork *tables;
    uint16_t widths[{NAME}_GROUPS];
}} {name}_row_t;
typedef struct {{
    const {name}_row_t *volatile active;  /* the row of the next inference, which is what an adaptation changes */
    const {name}_row_t *volatile running; /* that of the latest one */
    volatile uint8_t writing;             /* 1 while a row is copied */
    {name}_row_t own[3];                  /* what {name}_net_adapt_to was given */
    void *arena;
}} {name}_network_t;
"""
_TABLE = """
{place}static const {name}_row_t rows[{NAME}_LARGEST + 1] = {{
{table}}};
"""
_BEGIN = """do {{ /* the inference keeps its row to its end: nothing is written where ``running`` points */
        network->running = network->active;
    }} while (network->running != network->active);
    const {name}_row_t *const r = network->running;
    const subnetwork *const s = r->tables;"""


def of_row(tensor: Tensor, factor: int) -> str:
    """A multiple of the channels of a tensor at the row ``r``."""
    assert tensor.size is not None, "the program was lowered for its subnetworks only"
    terms = [f"{k * factor}u * r->widths[{g}]" if k * factor > 1 else f"r->widths[{g}]" for g, k in tensor.size.terms]
    if len(terms) > 1 and not tensor.size.constant and terms[0].startswith("r"):
        terms[0] = f"(uint32_t){terms[0]}"  # a sum of two 16-bit numbers has a sign in C
    return " + ".join(([f"{tensor.size.constant * factor}u"] if tensor.size.constant or not terms else []) + terms)


def state(name: str, rows: AnyWidths | None, guard: Guard) -> dict[str, str]:
    """What an adaptation changes: a pointer to a subnetwork, or to a row of widths that names one."""
    upper = name.upper()
    if rows is None:
        first = f"&subnetworks[{upper}_LARGEST]"
        return {
            "network": _NETWORK.format(name=name), "row_table": "", "to_k": "&subnetworks[k]", "to_s": "s",
            "index": "network->active - subnetworks", "initial": f".active = {first}",
            "initialise": f"network->active = {first};",
            "begin": "const subnetwork *const s = network->active; /* once: the inference keeps it to its end */",
        }
    first = f"&rows[{upper}_LARGEST]"
    table = "".join(guard(k, f"    {{&subnetworks[{k}], {{{', '.join(f'{n}u' for n in row)}}}}},\n")
                    for k, row in enumerate(rows.rows))
    return {
        "network": _NETWORK_OF_ROWS.format(name=name, NAME=upper, groups=len(rows.groups)),
        "row_table": _TABLE.format(name=name, NAME=upper, place=f"{upper}_TABLES_ATTRIBUTE ", table=table),
        "to_k": "&rows[k]", "to_s": "&rows[s - subnetworks]", "index": "network->active->tables - subnetworks",
        "initial": f".active = {first}, .running = {first}",
        "initialise": f"network->active = {first};\n    network->running = {first};\n    network->writing = 0;",
        "begin": _BEGIN.format(name=name),
    }


def values(name: str, rows: AnyWidths, guard: Guard) -> dict[str, str]:
    """What the templates of ``any_widths`` and ``order`` are filled with, and what else differs where they are."""
    upper = name.upper()
    found = {
        "groups_comment": _comment(rows),
        "more_statuses": f"\n    {upper}_WIDTHS_NOT_ALLOWED = 3,\n    {upper}_BUSY = 4,",
        "own_adapt_to": f"#define {name}_adapt_to(widths) {name}_net_adapt_to(&network, widths)\n",
        "adapt": f"(run % 2u ? {name}_adapt_to({name}_widths(k)) : {name}_adapt(k))",
    }
    if rows.order:
        found |= {"order_rows": str(len(rows.order)), "order_table": _order(rows, guard, f"{upper}_TABLES_ATTRIBUTE ")}
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


def _order(rows: AnyWidths, guard: Guard, place: str) -> str:
    """The order as a constant array."""
    text = [f"{place}static const order_change changes[] = {{\n"
            f"    {{{rows.macs[0]}u, 0u, {rows.rows[0][0]}u}}, /* the first row */\n"]
    for k, found in enumerate(changes(rows)):
        if found:
            text.append(guard(k, lines([f"{{{macs}u, {g}u, {n}u}}" for macs, g, n in found], per_line=6) + ",\n"))
    return "".join([*text, "};\n"])
