"""What nested chains reach, against what is proved: ``python -m reds_jax.experiments.theory``.

Random, near-tight and real width problems (those of the library's models, with drawn scores), N stages, additive and
bilinear costs: for each the ratio value / optimum of bottom-up, top-down, the better of both, and joint. Writes bounds.png,
ratios.md and ratios.json. ``--exhaustive 4`` searches every small instance of 4 items as well.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from reds_jax import report
from reds_jax.console import console, escape, guard
from reds_jax.errors import InvalidArgumentError, RedsError
from reds_jax.experiments import theory_exhaustive as exhaustive
from reds_jax.experiments import theory_picture as picture
from reds_jax.experiments.theory_cases import METHODS, MODELS, SETTINGS, Case, draw, traced
from reds_jax.training.arrays import write_text

COMMAND = "python -m reds_jax.experiments.theory"
Advance = Callable[[int], object]


@dataclass(frozen=True)
class Theory:
    """Achieved ratios of nested chains against the proved bounds.

    Args:
        seed: of everything that is drawn.
        stages: the numbers of nested subnetworks N, each at least 2.
        instances: random and near-tight instances for each N.
        draws: of importance scores, for each model and N.
        models: any of dnn_s, cnn_s, ds_cnn_s, resnet8, mobilenet_v1.
        exhaustive: search every integer instance of so many items, at most 8, for the least ratios.
        exhaustive_capacity: the largest c of this search; the capacities are (c, 2c), the weights 1 to c.
        exhaustive_profit: its largest profit.
        output: folder of bounds.png, ratios.md and ratios.json.
    """

    seed: int = 0
    stages: tuple[int, ...] = (2, 4, 10)
    instances: int = 40
    draws: int = 3
    models: tuple[str, ...] = tuple(MODELS)
    exhaustive: int | None = None
    exhaustive_capacity: int = 6
    exhaustive_profit: int = 6
    output: Path = Path("runs/theory")

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InvalidArgumentError("the seed is negative", got=self.seed, allowed="integers from 0")
        if not self.stages or min(self.stages) < 2 or len(set(self.stages)) != len(self.stages):
            raise InvalidArgumentError("the numbers of stages are out of range", got=self.stages,
                                       allowed="different integers of at least 2")
        if self.instances < 1 or self.draws < 1:
            raise InvalidArgumentError("instances or draws is out of range", got=(self.instances, self.draws),
                                       allowed="integers from 1")
        if unknown := [name for name in self.models if name not in MODELS]:
            raise InvalidArgumentError("the experiment has no such model", got=unknown[0], allowed=", ".join(MODELS))
        if self.exhaustive is not None:
            exhaustive.check_sizes(self.exhaustive, self.exhaustive_capacity, self.exhaustive_profit)


@guard
def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and run; the exit codes are those of `reds_jax.console`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    options = tyro.cli(Theory, args=argv, prog=COMMAND, description=__doc__)
    run(options, console=console(), command=f"{COMMAND} {shlex.join(argv)}".strip())


def run(options: Theory, *, console: Console, command: str = COMMAND) -> dict[str, Any]:
    """Solve every case, search if asked to, and write the three files; returns what ratios.json holds.

    Raises:
        RedsError: if a case breaks a promise, which would be an error of the library.
        OSError: if the output cannot be written.
    """
    console.print(f"{count_cases(options)} cases, into {escape(options.output)}", highlight=False, soft_wrap=True)
    begin, environment = time.monotonic(), report.environment()
    options.output.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        search = None
        if options.exhaustive is not None:
            search = _search(options, progress)
        bar = progress.add_task("cases", total=count_cases(options))
        cases = solve_cases(options, lambda count: progress.advance(bar, count))
    results = {
        "command": command, "seed": options.seed, "options": asdict(options) | {"output": str(options.output)},
        "environment": environment, "seconds": round(time.monotonic() - begin, 1),
        "settings": SETTINGS, "methods": METHODS, "groups": summarise(cases), "exhaustive": search,
    }
    write_text(options.output / "ratios.json", report.to_json(results))
    write_text(options.output / "ratios.md", picture.markdown(results))
    console.print(_table(results["groups"]))
    for found in search["minima"] if search else ():
        console.print(f"{exhaustive.RATIOS[found['ratio']][0]}: least {found['least']}, proved {found['proved']}",
                      highlight=False, soft_wrap=True)
    console.print(f"{escape(options.output / 'ratios.md')}, {results['seconds']:.0f} s", highlight=False, soft_wrap=True)
    picture.plot(options.output / "bounds.png", results["groups"])  # last: it may fail
    return results


def count_cases(options: Theory) -> int:
    """How many cases there are."""
    items = sum(1 for name in SETTINGS if not name.startswith("models"))
    return len(options.stages) * (items * options.instances + 2 * options.draws * len(options.models))


def solve_cases(options: Theory, advance: Advance = lambda count: None) -> list[Case]:
    """All cases, by setting and number of stages. Each block has its own generator, so none depends on another.

    Raises:
        RedsError: if a case breaks a promise.
    """
    for name in options.models:
        traced(name)
    cases = []
    for i, setting in enumerate(SETTINGS):
        for stages in options.stages:
            rng = np.random.default_rng([options.seed, i, stages])
            count = options.draws if setting.startswith("models") else options.instances
            for case in draw(setting, stages, count, rng, options.models):
                if broken := case.broken():
                    raise RedsError("a promise of the theorems is broken", got=broken, hint=f"Please report it: {case.label}")
                cases.append(case)
                advance(1)
    return cases


def summarise(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """For each setting, number of stages and method: the least and mean ratios, what is proved, and the worst case.

    Ratios are floats for reading; the values and optima of the worst case are exact.
    """
    found = []
    for setting, stages in dict.fromkeys((c.setting, c.stages) for c in cases):
        here = [c for c in cases if (c.setting, c.stages) == (setting, stages)]
        for method in METHODS:
            ratios = [c.ratios(method) for c in here]
            totals = [c.total_ratio(method) for c in here]
            worst = min(range(len(here)), key=lambda i: (min(ratios[i]), totals[i]))
            found.append({
                "setting": setting, "stages": stages, "method": method, "cases": len(here),
                "proven": sum(c.joint_proven for c in here) if method == "joint" else len(here),
                "least": [float(min(column)) for column in zip(*ratios, strict=True)],
                "mean": [float(sum(column, Fraction(0)) / len(here)) for column in zip(*ratios, strict=True)],
                "proved": [float(min(column)) for column in zip(*(c.proved[method] for c in here), strict=True)],
                "least_total": float(min(totals)), "mean_total": float(sum(totals, Fraction(0)) / len(here)),
                "proved_total": float(min(c.proved_total[method] for c in here)),
                "worst": {"label": here[worst].label, "values": list(here[worst].values[method]),
                          "optima": list(here[worst].optima)},
            })  # fmt: skip
    return found


def _search(options: Theory, progress: Progress) -> dict[str, Any]:
    sizes = {"items": options.exhaustive or 0, "capacity": options.exhaustive_capacity, "profit": options.exhaustive_profit}
    total = exhaustive.count_instances(**sizes)
    bar = progress.add_task("every small instance", total=total)
    minima = exhaustive.search(sizes["items"], capacity=sizes["capacity"], profit=sizes["profit"],
                               progress=lambda count: progress.advance(bar, count))
    plain = [asdict(m) | {"least": str(m.least), "proved": str(m.proved), "weights": list(m.weights),
                          "profits": list(m.profits), "capacities": list(m.capacities)} for m in minima]
    return {**sizes, "instances": total, "minima": plain}


def _table(groups: Sequence[dict[str, Any]]) -> Table:
    """The least ratios for the terminal: of any stage, and of the total."""
    table = Table(title="the least ratio of any stage, and of the total (proved)")
    table.add_column("setting")
    table.add_column("N", justify="right")
    for name in METHODS.values():
        table.add_column(name, justify="right")
    for i in range(0, len(groups), len(METHODS)):
        row = groups[i : i + len(METHODS)]
        cells = [f"{min(g['least']):.3f}, {g['least_total']:.3f} ({picture.bound(g['proved_total'], 3)})" for g in row]
        table.add_row(SETTINGS[row[0]["setting"]], str(row[0]["stages"]), *cells)
    return table


if __name__ == "__main__":
    main()
