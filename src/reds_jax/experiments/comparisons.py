"""What is compared: for every comparison its variants, of which the first is the one that the others are measured against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from reds_jax.choice import Method
from reds_jax.experiments.config import Experiment

How = Literal["nested", "scratch", "late", "alone", "one_statistics", "published"]


@dataclass(frozen=True)
class Variant:
    """One way of doing it: how the widths are chosen, and what differs from the options that all share.

    Args:
        name: in the table.
        method: see `reds_jax.nest`.
        subnetworks, nested: fields of these options that differ.
        how: ``"nested"``: all subnetworks together, from the trained network. ``"scratch"``: from weights that are not trained,
            for the epochs of both trainings (of the nested one alone where trained weights are imported). ``"late"``: the full
            network alone for the first half of the epochs of nested training. ``"alone"``: every subnetwork by itself, from the
            trained network, its widths chosen for its budget alone. ``"one_statistics"``: nested, and all subnetworks are
            measured with the batch statistics of the largest. ``"published"``: nested, with the widths of
            `reds_jax.experiments.published`.
    """

    name: str
    method: Method = "reds"
    subnetworks: Mapping[str, Any] = field(default_factory=dict)
    nested: Mapping[str, Any] = field(default_factory=dict)
    how: How = "nested"

    def of(self, experiment: Experiment) -> Experiment:
        """The experiment in this variant."""
        return replace(experiment, subnetworks=replace(experiment.subnetworks, **self.subnetworks),
                       nested=replace(experiment.nested, **self.nested))


def _explained(name: str, method: Method = "reds", how: How = "nested", **subnetworks: Any) -> Variant:
    return Variant(name, method, {"importance": "explained", **subnetworks}, how=how)


def _ces(gamma: float, **subnetworks: Any) -> dict[str, Any]:
    return {"value": "ces", "gamma": gamma, "floor": 0.0, **subnetworks}


UNIFORM = _explained("uniform", "uniform_sorted")
CES = _explained("CES, gamma 2", **_ces(2.0))
UNIFORM_TAYLOR = Variant("uniform, Taylor", "uniform_sorted", {"importance": "taylor"})
SCORES = {"taylor_squared": "Taylor squared", "l1": "L1", "random": "random"}
PLAIN = {"distill": 0.0, "distill_average": 0.0, "weights": "uniform", "sandwich": None, "norms": "shared"}
TEN = tuple(i / 10 for i in range(1, 11))

COMPARISONS: dict[str, tuple[Variant, ...]] = {
    "widths": (
        UNIFORM, CES, _explained("log, floor 1/4", value="log_retention", floor=0.25),
        UNIFORM_TAYLOR,
        _explained("uniform, dead units first", "uniform_live"), _explained("sum, no floor", value="sum", floor=0.0),
        _explained("learned amplitudes", value="learned", floor=0.0), Variant("uniform, unsorted", "uniform_unsorted"),
        Variant("knapsack, the paper's score and value", "paper"),
        _explained("learned amplitudes, supernet", value="learned", floor=0.0, supernet=0.25),
    ),
    "orders": (
        UNIFORM, CES, UNIFORM_TAYLOR, Variant("CES, Taylor", "reds", {"importance": "taylor", **_ces(2.0)}),
        *(Variant(f"uniform, {name}", "uniform_sorted", {"importance": score}) for score, name in SCORES.items()),
        *(Variant(f"CES, {name}", "reds", {"importance": score, **_ces(2.0)}) for score, name in SCORES.items()),
    ),
    "gammas": (
        CES, *(_explained(f"CES, gamma {gamma:g}", **_ces(gamma)) for gamma in (0.5, 1.0, 4.0, 8.0)),
        _explained("CES, gamma 2, floor 1/8", **_ces(2.0, floor=0.125)),
        _explained("CES, gamma 2, floor 1/4", **_ces(2.0, floor=0.25)),
    ),
    "batches": (
        replace(CES, name="100 batches", subnetworks={**CES.subnetworks, "scoring_batches": 100}),
        *(replace(CES, name=f"{n} batches" if n > 1 else "1 batch", subnetworks={**CES.subnetworks, "scoring_batches": n})
          for n in (1, 3, 10, 30)),
    ),
    "training": (
        replace(CES, name="plain", nested=PLAIN),
        replace(CES, name="distillation 0.5", nested={**PLAIN, "distill": 0.5}),
        replace(CES, name="weights sqrt_params", nested={**PLAIN, "weights": "sqrt_params"}),
        replace(CES, name="smallest, largest and one more", nested={**PLAIN, "sandwich": 1}),
        replace(CES, name="each alone", nested=PLAIN, how="alone"),
        replace(CES, name="from scratch", nested=PLAIN, how="scratch"),
        replace(CES, name="nested from half of the epochs", nested=PLAIN, how="late"),
        replace(CES, name="statistics of the largest for all", nested=PLAIN, how="one_statistics"),
        replace(CES, name="scale and offset of its own", nested={**PLAIN, "norms": "private"}),
        replace(CES, name="distillation 0.5 from averaged weights", nested={**PLAIN, "distill": 0.5, "distill_average": 0.98}),
    ),
    "steps": (
        replace(CES, name="step 1"),
        *(replace(CES, name=f"step {n}", subnetworks={**CES.subnetworks, "step": n}) for n in (4, 8, 16)),
        *(replace(UNIFORM, name=f"uniform, step {n}", subnetworks={**UNIFORM.subnetworks, "step": n}) for n in (1, 4, 8, 16)),
    ),
    "many": (
        replace(UNIFORM, name="uniform, ten", subnetworks={**UNIFORM.subnetworks, "budgets": TEN}),
        replace(CES, name="CES, ten", subnetworks={**CES.subnetworks, "budgets": TEN}),
        replace(UNIFORM, name="uniform, four", subnetworks={**UNIFORM.subnetworks, "budgets": TEN[::3]}),
        replace(CES, name="CES, four", subnetworks={**CES.subnetworks, "budgets": TEN[::3]}),
        _explained("log, floor 1/4, ten", value="log_retention", floor=0.25, budgets=TEN),
        _explained("log, floor 1/8, ten", value="log_retention", floor=0.125, budgets=TEN),
    ),
    "published": (
        _explained("the paper's widths", how="published"), CES, UNIFORM,
        Variant("the paper's widths, Taylor", "reds", {"importance": "taylor"}, how="published"),
    ),
}
"""The comparisons by name."""
