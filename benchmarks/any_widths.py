"""What `any_widths` costs on emulated Cortex-M processors: ``python benchmarks/any_widths.py --help``.

The networks of `device.py` are exported twice, with and without any_widths, and run in QEMU, where every subnetwork must give
the recorded answers. With any_widths there is an order too, which widens one group after the other by one channel. Counted
are the instructions of an adaptation (of each kind, at the row of the largest subnetwork, the most expensive one), of the two
functions of the order at its last row, and of an inference; and the bytes of code, constants and RAM. Instructions are no
cycles.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from device_networks import Network, networks, prepare
from rich.console import Console

from reds_jax import report
from reds_jax.deploy.board import device
from reds_jax.deploy.c.export import export
from reds_jax.training.arrays import write_text

CALLS = ("adapt", "adapt_to", "widths_for", "in_order")
MAIN = """
#include "count.h"
#include "reds_model.h"
static uint16_t row[REDS_GROUPS];
static void adapt(void *n) { (void)n; (void)reds_adapt(REDS_LARGEST); }
static void adapt_to(void *n) { (void)n; (void)reds_adapt_to(reds_widths(REDS_LARGEST)); }
static void widths_for(void *n) { (void)n; (void)reds_widths_for(0xFFFFFFFFu, row); }
static void in_order(void *n) { (void)n; (void)reds_in_order(row); }
int main(void) {
    void (*const calls[])(void *) = {adapt, adapt_to, widths_for, in_order};
    for (int i = 0; i < 4; i++) {
        reds_print_unsigned(reds_count(calls[i], 0));
        reds_print("\\n");
    }
    return reds_in_order(row) != 1 || reds_active() != REDS_LARGEST;
}
"""
COLUMNS = ("network", "processor", "groups", "adapt", "adapt to widths", "widths for a budget", "in order", "rows of the order",
           "inference", "with any widths", "code", "constants", "RAM", "more code", "more constants", "more RAM")


@dataclass(frozen=True)
class Options:
    """What is measured, and where the record goes."""

    only: tuple[str, ...] = ()
    """Names of the networks; all by default."""
    boards: tuple[str, ...] = ("m4", "m0")
    """m4: Cortex-M4F (mps2-an386); m0: Cortex-M0 (microbit, 256 kB flash, 16 kB RAM)."""
    seed: int = 0
    """Of weights, statistics and inputs."""
    output: Path | None = None
    """Folder for any_widths.md and any_widths.json."""


def one_channel_at_a_time(least: tuple[int, ...], most: tuple[int, ...]) -> list[list[int]]:
    """An order: always the group with the smallest share of its way from the least to the most."""
    order = [list(least)]
    while order[-1] != list(most):
        shares = [(n - a) / (b - a) if n < b else 2.0 for n, a, b in zip(order[-1], least, most, strict=True)]
        g = int(np.argmin(shares))
        order.append([n + (i == g) for i, n in enumerate(order[-1])])
    return order


def measure(network: Network, dtype: str, options: Options, folder: Path) -> list[dict[str, Any]]:
    """Export twice and run on the boards."""
    given = prepare(network, options.seed)
    trees, graph, widths, batch = given.trees, given.graph, given.widths, given.batch
    order = one_channel_at_a_time(widths[0].values_tuple(), widths[-1].values_tuple())
    exported = [export(network.model, trees, graph, widths, folder / name, dtype,  # type: ignore[arg-type]
                       calibration=[batch], rule="minmax", **more)  # type: ignore[arg-type]
                for name, more in (("plain", {}), ("any", {"any_widths": True, "order": order}))]
    found = []
    for board in options.boards:
        record = {"network": network.name, "dtype": dtype, "board": board, "groups": len(graph.groups),
                  "order_rows": len(order)}
        try:
            runs = [device.run(e.folder, board) for e in exported]
            if any(run.left_out for run in runs):
                raise device.DoesNotFitError(runs[-1].left_out or runs[0].left_out)
            with tempfile.TemporaryDirectory(prefix="reds_jax_") as here:
                (Path(here) / "main.c").write_text(MAIN, encoding="utf-8")
                counts = map(int, device.execute(exported[1].folder, Path(here), board).split())
            record |= {"runs": runs, "instructions": dict(zip(CALLS, counts, strict=True))}
        except device.DoesNotFitError as error:
            record["left_out"] = error.what
        found.append(record)
    return found


def line(record: dict[str, Any]) -> list[str]:
    """A row of the table."""
    head = [f"{record['network']} {record['dtype']}", device.BOARDS[record["board"]].name, str(record["groups"])]
    if "left_out" in record:
        return [*head, record["left_out"].rstrip("."), *["-"] * (len(COLUMNS) - len(head) - 1)]
    plain, more = record["runs"]
    sizes = [(run.sections["text"], run.sections["rodata"], run.ram) for run in (plain, more)]
    before, after = (run.subnetworks[-1].invoke for run in (plain, more))
    calls = [f"{record['instructions'][call]:,}" for call in CALLS]
    return [*head, *calls, str(record["order_rows"]), f"{before:,}", f"{100 * (after / before - 1):+.2f} %",
            *(f"{n:,}" for n in sizes[0]), *(f"{b - a:+,}" for a, b in zip(*sizes, strict=True))]


def main(options: Options, command: str) -> None:
    """Measure and print; write the record where one is wanted."""
    records = []
    for network in networks():
        if options.only and network.name not in options.only:
            continue
        for dtype in network.formats:
            with tempfile.TemporaryDirectory(prefix="reds_jax_") as folder:
                records += measure(network, dtype, options, Path(folder))
            print(f"{network.name} {dtype} done", file=sys.stderr)
    body = "\n".join(f"| {' | '.join(row)} |" for row in (COLUMNS, ["---"] * len(COLUMNS), *map(line, records)))
    text = ("Instructions in QEMU (not cycles), the calls with what calls them; bytes of the image with its recorded examples. "
            f"Every answer equals the recorded one.\n\n{body}")
    Console().print(text, highlight=False, soft_wrap=True, markup=False)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        environment = report.environment()  # of the tree before anything is written into it
        write_text(options.output / "any_widths.md", f"Command: `{command}`\n\n{text}\n")
        write_text(options.output / "any_widths.json", report.to_json(
            {"command": command, "environment": environment, "tools": device.versions(), "runs": records}))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__), f"python benchmarks/any_widths.py {shlex.join(sys.argv[1:])}".strip())
