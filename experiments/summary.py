"""The tables of both READMEs on the recorded comparisons, made from their records: `python experiments/summary.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from reds_jax.experiments.compare import difference
from reds_jax.training.arrays import write_text

HERE = Path(__file__).parent
BEGIN, END = "<!-- summary.py begins -->", "<!-- summary.py ends -->"
HEADER = ("| network, data | uniform, Taylor's order | uniform | default | default - uniform | default - uniform, Taylor |",
          "|---|---:|---:|---:|---:|---:|")
TAYLOR, UNIFORM, CES = "uniform, Taylor", "uniform", "CES, gamma 2"


def records() -> list[tuple[str, dict[str, Any]]]:
    """The recorded comparisons of widths by the name of their folder."""
    paths = sorted(HERE.glob("compare/*/results.json"))
    found = [(path.parent.name, json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    return [(name, record) for name, record in found if {TAYLOR, UNIFORM, CES} <= set(record["rounds"][0]["cells"])]


def at(record: dict[str, Any], budget: float) -> dict[str, np.ndarray]:
    """The test metric in percent of each variant at a budget, an entry for every round."""
    return {v: np.array([100 * s["test_metric"] for one in record["rounds"] for s in one["cells"][v]["subnetworks"]
                         if s["budget"] == budget]) for v in (TAYLOR, UNIFORM, CES)}


def row(name: str, record: dict[str, Any], budget: float, folder: str) -> str:
    """One line of a table: the means, the differences of the default to uniform widths in its own and in Taylor's order."""
    values, title = at(record, budget), record["title"].rsplit(":", 1)[0]
    means = " | ".join(f"{values[v].mean():.2f}" for v in (TAYLOR, UNIFORM, CES))
    return (f"| [{title}]({folder}compare/{name}/table.md) | {means} | {difference(values[CES] - values[UNIFORM])} | "
            f"{difference(values[CES] - values[TAYLOR])} |")


def summary() -> str:
    """For experiments/README.md: a table for every budget below the full network."""
    lines = []
    for budget in (0.25, 0.5, 0.75):
        lines += [f"Test accuracy in percent at {100 * budget:g} % of the true MACs:", "", *HEADER]
        lines += [*(row(name, record, budget, "") for name, record in records()), ""]
    return "\n".join(lines).rstrip()


def short() -> str:
    """For README.md: the smallest budget."""
    return "\n".join([*HEADER, *(row(name, record, 0.25, "experiments/") for name, record in records())])


def filled(page: Path) -> str:
    """The page with its table between the marks."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    return f"{before}{BEGIN}\n\n{PAGES[page]()}\n\n{END}{rest.split(END)[1]}"


PAGES = {HERE / "README.md": summary, HERE.parent / "README.md": short}

if __name__ == "__main__":
    for page in PAGES:
        write_text(page, filled(page))
