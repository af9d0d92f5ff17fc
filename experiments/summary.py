"""The summary of the recorded comparisons in experiments/README.md, from their records: `python experiments/summary.py`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from reds_jax.experiments.compare import difference
from reds_jax.training.arrays import write_text

HERE = Path(__file__).parent
BEGIN, END = "<!-- summary.py begins -->", "<!-- summary.py ends -->"
TAYLOR, UNIFORM, CES = "uniform, Taylor", "uniform", "CES, gamma 2"


def summary() -> str:
    """A table for every budget below the full network, one row for each recorded comparison of widths."""
    records = [(path.parent.name, json.loads(path.read_text())) for path in sorted(HERE.glob("compare/*/results.json"))]
    records = [(name, record) for name, record in records if {TAYLOR, UNIFORM, CES} <= set(record["rounds"][0]["cells"])]
    budgets = sorted({s["budget"] for _, r in records for s in r["rounds"][0]["cells"][CES]["subnetworks"]} - {1.0})
    lines = []
    for budget in budgets:
        lines += [f"Test accuracy in percent at {100 * budget:g} % of the true MACs:", "",
                  "| network, data | rounds | uniform, Taylor's order | uniform | CES (default) | CES - uniform | "
                  "default - uniform in Taylor's order |", "|---|---:|---:|---:|---:|---:|---:|"]
        for name, record in records:
            values = {v: np.array([100 * s["test_metric"] for one in record["rounds"] for s in one["cells"][v]["subnetworks"]
                                   if s["budget"] == budget]) for v in (TAYLOR, UNIFORM, CES)}
            title = record["title"].rsplit(":", 1)[0]
            lines.append(f"| [{title}](compare/{name}/table.md) | {len(record['rounds'])} | "
                         + " | ".join(f"{values[v].mean():.2f}" for v in (TAYLOR, UNIFORM, CES))
                         + f" | {difference(values[CES] - values[UNIFORM])} | {difference(values[CES] - values[TAYLOR])} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def with_summary(page: str) -> str:
    """The page with the summary between its marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{summary()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    write_text(HERE / "README.md", with_summary((HERE / "README.md").read_text()))
