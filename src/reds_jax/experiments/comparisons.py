"""What is compared: for every comparison its variants, of which the first is the one that the others are measured against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reds_jax.choice import Method
from reds_jax.experiments.config import Experiment


@dataclass(frozen=True)
class Variant:
    """One way of doing it: how the widths are chosen, and what differs from the options that all share.

    Args:
        name: in the table.
        method: see `reds_jax.nest`.
        subnetworks, nested: fields of these options that differ.
    """

    name: str
    method: Method = "reds"
    subnetworks: Mapping[str, Any] = field(default_factory=dict)
    nested: Mapping[str, Any] = field(default_factory=dict)

    def of(self, experiment: Experiment) -> Experiment:
        """The experiment in this variant."""
        return replace(experiment, subnetworks=replace(experiment.subnetworks, **self.subnetworks),
                       nested=replace(experiment.nested, **self.nested))


def _explained(name: str, method: Method = "reds", **subnetworks: Any) -> Variant:
    return Variant(name, method, {"importance": "explained", **subnetworks})


def _ces(gamma: float, **subnetworks: Any) -> dict[str, Any]:
    return {"value": "ces", "gamma": gamma, "floor": 0.0, **subnetworks}


UNIFORM = _explained("uniform", "uniform_sorted")
CES = _explained("CES, gamma 2", **_ces(2.0))

COMPARISONS: dict[str, tuple[Variant, ...]] = {
    "widths": (
        UNIFORM, CES, _explained("log, floor 1/4", value="log_retention", floor=0.25),
        Variant("uniform, Taylor", "uniform_sorted", {"importance": "taylor"}),
        _explained("uniform, dead units first", "uniform_live"), _explained("sum, no floor", value="sum", floor=0.0),
        Variant("uniform, unsorted", "uniform_unsorted"), Variant("knapsack, the paper's score and value", "paper"),
    ),
    "orders": (
        UNIFORM, CES, Variant("uniform, taylor", "uniform_sorted", {"importance": "taylor"}),
        Variant("CES, taylor", "reds", {"importance": "taylor", **_ces(2.0)}),
        *(Variant(f"uniform, {name}", "uniform_sorted", {"importance": name}) for name in ("taylor_squared", "l1", "random")),
        *(Variant(f"CES, {name}", "reds", {"importance": name, **_ces(2.0)}) for name in ("taylor_squared", "l1", "random")),
    ),
    "gammas": (
        CES, *(_explained(f"CES, gamma {gamma:g}", **_ces(gamma)) for gamma in (0.5, 1.0, 4.0, 8.0)),
        _explained("CES, gamma 2, floor 1/8", **_ces(2.0, floor=0.125)),
        _explained("CES, gamma 2, floor 1/4", **_ces(2.0, floor=0.25)),
    ),
    "training": (
        replace(CES, name="plain", nested={"distill": 0.0}),
        replace(CES, name="distillation 0.5", nested={"distill": 0.5}),
        replace(CES, name="weights sqrt_params", nested={"distill": 0.0, "weights": "sqrt_params"}),
        replace(CES, name="smallest, largest and one more", nested={"distill": 0.0, "sandwich": 1}),
    ),
}
"""The comparisons by name."""
