"""The tables of both READMEs and of a page, made from what was recorded: `python experiments/summary.py`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from reds_jax import models, trace
from reds_jax.experiments.compare import TASKS, by_budget, difference, network_of
from reds_jax.experiments.published import PUBLISHED, Published
from reds_jax.training.arrays import write_text

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "benchmarks"))

import gpu_step
import imagenet_cost
import phases_report
import step_profile
import step_report

BEGIN, END = "<!-- summary.py: {} begins -->", "<!-- summary.py: {} ends -->"
HEADER = ("| network, data | uniform, Taylor's order | uniform | default | default - uniform | default - uniform, Taylor |",
          "|---|---:|---:|---:|---:|---:|")
TAYLOR, UNIFORM, CES = "uniform, Taylor", "uniform", "CES, gamma 2"


def recorded() -> list[tuple[str, dict[str, Any]]]:
    """All comparisons by the name of their folder."""
    paths = sorted(HERE.glob("compare/*/results.json"))
    return [(path.parent.name, json.loads(path.read_text(encoding="utf-8"))) for path in paths]


def records() -> list[tuple[str, dict[str, Any]]]:
    """Those of widths, from networks that are trained already, under a budget of MACs alone."""
    found = [(name, record) for name, record in recorded() if record["title"].endswith(": widths")]
    return [(name, record) for name, record in found
            if "--pretrained " in record["command"] and not bounded(record)]


def bounded(record: dict[str, Any]) -> bool:
    """Whether a comparison has more bounds than budgets of MACs."""
    return any(option in record["command"] for option in ("-bytes ", "--subnetworks.latency-table "))


def at(record: dict[str, Any], budget: float) -> dict[str, np.ndarray]:
    """The test metric in percent of each variant that was run at a budget, an entry for every round."""
    return {v: by_budget(record["rounds"], v, "test_metric")[budget]
            for v in (TAYLOR, UNIFORM, CES) if v in record["rounds"][0]["cells"]}


def row(name: str, record: dict[str, Any], budget: float, folder: str) -> str:
    """One line of a table: the means, the differences of the default to uniform widths in its own and in Taylor's order."""
    values, title = at(record, budget), record["title"].rsplit(":", 1)[0]
    means = " | ".join(f"{values[v].mean():.2f}" if v in values else "not run" for v in (TAYLOR, UNIFORM, CES))
    apart = " | ".join(difference(values[CES] - values[v]) if v in values else "" for v in (UNIFORM, TAYLOR))
    return f"| [{title}]({folder}compare/{name}/table.md), {len(record['rounds'])} rounds | {means} | {apart} |"


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


def kind(name: str) -> str:
    """The comparisons of that name: for each the means, and the differences to its first variant."""
    lines: list[str] = []
    for folder, record in recorded():
        title, _, of = record["title"].rpartition(": ")
        if (of == name and not bounded(record)) or (name == "bounds" and bounded(record)):
            lines += [f"[{title}](compare/{folder}/table.md), {len(record['rounds'])} rounds:", "", *means(record), ""]
    return "\n".join(lines).rstrip()


def wider() -> str:
    """Widths beyond the base: the comparisons with --widen beside those of the network itself, paired by round."""
    own = {("--widen" in record["command"], key(record["command"])): (folder, record) for folder, record in recorded()
           if record["title"].endswith(": widths") and "--pretrained " not in record["command"]}
    lines: list[str] = []
    for (widened, of), (_, record) in own.items():
        if widened:
            rows = {}
            for title, (folder, one) in {"the network itself": own[False, of], "1.5 times as wide": own[True, of]}.items():
                for name, variant in {"default": CES, "uniform": UNIFORM}.items():
                    row = f"[{title}](compare/{folder}/table.md), {name}"
                    rows[row] = by_budget(one["rounds"], variant, "test_metric")
            lines += [f"{record['title'].rpartition(': ')[0]}, {len(record['rounds'])} rounds:", "", *compared(rows), ""]
    return "\n".join(lines).rstrip()


def means(record: dict[str, Any]) -> list[str]:
    """A table with a line for each variant: its means in percent, and how far they are from the first variant's."""
    return compared({name: by_budget(record["rounds"], name, "test_metric") for name in record["rounds"][0]["cells"]})


def compared(values: dict[str, dict[float, np.ndarray]]) -> list[str]:
    """The table of {variant: {budget: [rounds]}}."""
    base = next(iter(values.values()))
    budgets = sorted({budget for one in values.values() for budget in one})
    lines = ["| | " + " | ".join(f"{100 * b:g} %" for b in budgets) + " |", "|---|" + "---:|" * len(budgets)]
    for name, one in values.items():
        cells = [f"{one[b].mean():.2f}" + (f" ({difference(one[b] - base[b])})" if one is not base and b in base else "")
                 if b in one else "" for b in budgets]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def nested_step(folder: str = "", subnetworks: int | None = None) -> str:
    """The nested training step beside its peers, as it was recorded last."""
    found = [(path, record) for path in HERE.glob("step/*/") for record in step_report.read(path)]
    last = max(found, key=lambda one: one[1]["machine"]["date"], default=None)
    if last is None:
        return "Not recorded yet."
    chosen = [record for at, record in found if at == last[0] and subnetworks in (None, len(record["fractions"]))]
    picture = min(last[0].glob("*_4_*.png"))
    return step_report.summary(chosen, f"{folder}step/{last[0].name}/{picture.name}")


def gpu() -> str:
    """The nested training step on a GPU, as it was recorded last."""
    folder = max(HERE.glob("gpu/*/"), key=lambda path: max(r["machine"]["date"] for r in step_report.read(path)))
    return gpu_step.summary(step_report.read(folder), f"gpu/{folder.name}")


def imagenet() -> str:
    """What training on ImageNet would cost, under the assumptions that are the defaults."""
    return imagenet_cost.tables(*imagenet_cost.read_counts(), imagenet_cost.recorded_steps(), imagenet_cost.Assumptions())


def growth(name: str = "growth") -> dict[str, Any]:
    """A record of the width solver's growth beside its peers: "growth", or "large" for its largest instance alone."""
    return json.loads((HERE / "knapsack" / f"{name}.json").read_text(encoding="utf-8"))


def where(record: dict[str, Any]) -> str:
    """Command, commit and machine of the record of growth."""
    machine, versions = record["machine"], ", ".join(f"{name} {of}" for name, of in record["solvers"].items())
    cores = f"{machine['cores_used']} core{'s' if machine['cores_used'] > 1 else ''} used"
    return (f"`{record['command']}`, commit {machine['commit']}, {machine['date']}, {machine['machine']}, {cores}"
            + (f"; {versions}" if versions else ""))


def growth_table() -> str:
    """For experiments/README.md: every row of the record, then the exponents and the sizes that take 1 s and 10 s."""
    record, alone = growth(), growth("large")
    solvers = list(dict.fromkeys(row["solver"] for row in record["rows"]))
    lines = [f"{where(record)}; the last line: {where(alone)}.", "",
             "| grows | size | " + " | ".join(f"{s}: median (max) s | proven | gap | MB" for s in solvers) + " |",
             "|---|---:|" + "---:|---:|---:|---:|" * len(solvers)]
    for of, note in ((record, ""), (alone, ", alone")):
        for axis, size in dict.fromkeys((row["axis"], row["size"]) for row in of["rows"]):
            rows = {r["solver"]: r for r in of["rows"] if (r["axis"], r["size"]) == (axis, size)}
            cells = [cell(rows[s]) if s in rows else "not tried | | |" for s in solvers]
            name = f"layers of {rows['exact']['units']} units{note}" if axis == "large" else axis
            lines.append(f"| {name} | {size} | " + " | ".join(cells) + " |")
    lines += ["", "| grows | solver | exponent | 1 s at | 10 s at |", "|---|---|---:|---:|---:|"]
    for of in record["fits"]:
        exponent = "" if of["exponent"] is None else f"{of['exponent']:.2f}"
        lines.append("| " + " | ".join([of["axis"], of["solver"], exponent, *map(size_at, of["passes"].values())]) + " |")
    return "\n".join(lines)


def cell(row: dict[str, Any]) -> str:
    """The processor seconds of a solver at one size, the proofs, the largest gap, and the memory of its process."""
    times = f"{step_report.figures(row['median_cpu_s'])} ({step_report.figures(row['max_cpu_s'])})"
    gap = "" if row["largest_gap"] is None else f"{row['largest_gap']:.1e}" if row["largest_gap"] else "0"
    peak = "" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
    if row["runs"] == 1 and row["failed"]:
        times = row["failed"]
    return f"{times} | {row['proven']} of {row['runs']} | {gap} | {peak}"


def size_at(passed: tuple[float, bool] | None) -> str:
    """The size at which a time is passed."""
    return "not told" if passed is None else f"{step_report.figures(passed[0])}{', extrapolated' if passed[1] else ''}"


def growth_line() -> str:
    """For README.md: the largest instance, and the peers at the largest width that all of them prove."""
    record, alone = growth(), growth("large")
    large = next(r for r in alone["rows"] if r["solver"] == "exact")
    rows = [r for r in record["rows"] if r["axis"] == "units" and r["proven"] == r["asked"]]
    solvers = {r["solver"] for r in rows}
    units = max(u for u in {r["size"] for r in rows} if sum(r["size"] == u for r in rows) == len(solvers))
    took = {r["solver"]: step_report.figures(r["median_cpu_s"]) for r in rows if r["size"] == units}
    peers = ", ".join(f"{name} {seconds} s" for name, seconds in took.items() if name != "exact")
    figures = step_report.figures
    return (f"{large['layers']} layers of {large['units']} units: {large['proven']} of {large['runs']} instances proven "
            f"optimal in {figures(large['median_cpu_s'])} s of processor time (median; at most {figures(large['max_cpu_s'])}; "
            f"{where(alone)}).\n"
            f"{rows[0]['layers']} layers of {units} units: {took['exact']} s, {peers}.\n"
            f"[How it grows](experiments/README.md#how-the-width-solver-grows-beside-its-peers): {where(record)}.")


def published() -> str:
    """What the paper reports beside what was measured here, from the comparisons of widths."""
    here = {key(record["command"]): (name, record) for name, record in records()}
    at_budgets = "nested, at 100 / 75 / 50 / 25 %"
    lines = [f"| network, data | published: trained | {at_budgets} | here: trained | {at_budgets} "
             "| here: training examples, epochs | true MACs of the paper's widths |", "|---|---:|---:|---:|---:|---:|---:|"]
    for of, paper in PUBLISHED.items():
        network = TASKS[of[0]].networks[of[1]].title
        cells = [f"{network}, {TASKS[of[0]].title}", "" if paper.base is None else f"{paper.base:.2f}", slashes(paper.nested)]
        if of in here:
            name, record = here[of]
            rounds = record["rounds"]
            nested = [at(record, budget)[CES].mean() for budget in (1.0, 0.75, 0.5, 0.25)]
            examples = sorted({one["examples"][0] for one in rounds})
            cells[0] = f"[{cells[0]}](compare/{name}/table.md)"
            cells += [f"{np.mean([100 * one['test_metric'] for one in rounds]):.2f}", slashes(nested),
                      f"{examples[0]:,}{f' to {examples[-1]:,}' if len(examples) > 1 else ''}, {epochs(record['command'])}"]
        else:
            cells += ["", "", "not run"]
        shares = true_shares(of, paper)
        lines.append("| " + " | ".join([*cells, " / ".join(f"{100 * share:.1f}" for share in shares)]) + " |")
    return "\n".join(lines)


def key(command: str) -> tuple[str, str]:
    """Task and network of a command, as `PUBLISHED` names them."""
    task, network = network_of(command)
    return task.name, network.architecture


def epochs(command: str) -> str:
    """The epochs of nested training that a command names."""
    words = shlex.split(command)
    return words[words.index("--nested.epochs") + 1]


def slashes(values: Sequence[float]) -> str:
    """``91.60 / 91.51``."""
    return " / ".join(f"{v:.2f}" for v in values)


def true_shares(of: tuple[str, str], paper: Published) -> list[float]:
    """The true MACs of the widths that the paper's code finds, from 75 to 25 %, as shares of the full network's."""
    if not paper.widths:
        return []
    chosen = TASKS[of[0]].networks[of[1]]
    model, x = models.build(chosen.architecture, chosen.arguments), jax.numpy.zeros((1, *SHAPES[chosen.normalise], 1))
    graph = trace(model, jax.eval_shape(model.init, jax.random.key(0), x), x)
    full = graph.full_widths.values_tuple()
    return [graph.macs((*widths, *full[len(widths):])) / graph.macs() for widths in reversed(paper.widths)]


SHAPES: dict[str | None, tuple[int, int]] = {"mfcc_40_20": (49, 10), "mfcc_40_40": (25, 10)}
KINDS = {name: partial(kind, name) for name in ("orders", "training", "batches", "gammas", "steps", "many", "bounds")}
PAGES = {HERE / "README.md": {"widths": summary, "published": published, "paper_widths": partial(kind, "published"),
                              "wider": wider, "nested_step": nested_step, "nested_step_gpu": gpu, "growth": growth_table,
                              "phases": partial(phases_report.summary, HERE / "phases"),
                              "step_profile": partial(step_profile.summary, HERE / "step_samples"), **KINDS},
         HERE.parent / "README.md": {"widths": short, "nested_step": partial(nested_step, "experiments/", 4),
                                     "growth": growth_line},
         HERE.parent / "docs" / "imagenet_cost.md": {"imagenet_cost": imagenet}}


def filled(page: Path) -> str:
    """The page with its tables between their marks."""
    text = page.read_text(encoding="utf-8")
    for name, table in PAGES[page].items():
        before, rest = text.split(BEGIN.format(name))
        text = f"{before}{BEGIN.format(name)}\n\n{table()}\n\n{END.format(name)}{rest.split(END.format(name))[1]}"
    return text


if __name__ == "__main__":
    for page in PAGES:
        write_text(page, filled(page))
