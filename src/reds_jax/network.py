"""A nested network: one set of parameters, several subnetworks, each with its widths and its batch statistics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from reds_jax import models
from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.graph import ChannelGraph
from reds_jax.models.converted import rows_by_position
from reds_jax.run import run
from reds_jax.run.extract import Subnetwork, extract
from reds_jax.training import load_model, save_model
from reds_jax.widths import Widths


@dataclass(frozen=True)
class NestedNetwork:
    """What training leaves: run subnetwork k with ``apply(k, x)``, cut it out with ``subnetwork(k, graph)``.

    Args:
        model: whatever `reds_jax.adapters.adapt` takes.
        params: the full parameters, sorted by importance, shared by all subnetworks.
        batch_stats: one tree of batch statistics per subnetwork (empty without batch norm).
        widths: one `Widths` per subnetwork, ascending: each is contained in the next.
        macs: multiply-accumulate operations of each subnetwork for one example.
    """

    model: Any
    params: Any
    batch_stats: tuple[Any, ...]
    widths: tuple[Widths, ...]
    macs: tuple[int, ...]

    def __post_init__(self) -> None:
        counts = {len(self.batch_stats), len(self.widths), len(self.macs)}
        if len(counts) != 1 or not self.widths:
            raise InvalidArgumentError("a nested network needs statistics, widths and MACs for each subnetwork",
                                       got=(len(self.batch_stats), len(self.widths), len(self.macs)))

    def __len__(self) -> int:
        return len(self.widths)

    def variables(self, k: int) -> dict[str, Any]:
        """The full variables with the statistics of subnetwork k."""
        if not -len(self) <= k < len(self):
            raise InvalidArgumentError("there is no such subnetwork", got=k, allowed=f"0 to {len(self) - 1}")
        stats = self.batch_stats[k]
        return {"params": self.params, "batch_stats": stats} if stats else {"params": self.params}

    def apply(self, k: int, x: Any) -> Any:
        """The outputs of subnetwork k (0 is the smallest) for inputs x [N, ...]; compiled once for each shape of x."""
        return run(self.model, self.variables(k), x, self.widths[k])[0]

    def for_budget(self, macs: int) -> int:
        """The largest subnetwork that costs at most ``macs``; an error names the smallest cost if there is none."""
        fitting = [k for k, cost in enumerate(self.macs) if cost <= macs]
        if not fitting:
            raise InvalidArgumentError("no subnetwork is that small", got=macs, allowed=f"at least {min(self.macs)} MACs")
        return max(fitting, key=lambda k: self.macs[k])

    def subnetwork(self, k: int, graph: ChannelGraph) -> tuple[Subnetwork, Any]:
        """Subnetwork k alone, as ordinary dense parameters and a model that runs them."""
        return extract(self.model, self.variables(k), graph, self.widths[k])

    def save(
        self, folder: str | Path, *, architecture: dict[str, Any] | None = None, notes: dict[str, Any] | None = None
    ) -> None:
        """Write arrays and JSON to ``folder``, whole or not at all, without pickle.

        Args:
            architecture: ``{"name": ..., "arguments": {...}}`` of `reds_jax.models.build`, so that `load` finds the model.
            notes: anything else for the record (JSON).
        """
        variables = {"params": self.params, **{f"batch_stats_{k}": s for k, s in enumerate(self.batch_stats) if s}}
        widths = [{"groups": w.groups} for w in self.widths]
        save_model(Path(folder), variables, {"architecture": architecture, "widths": widths, "macs": list(self.macs),
                                             "notes": notes or {}})

    @classmethod
    def load(cls, folder: str | Path, model: Any = None) -> NestedNetwork:
        """Read what `save` wrote; ``model`` is needed for an architecture that is not of this library.

        A network that was saved when a flatten went channel by channel is converted, with a message.
        """
        arrays, meta = load_model(Path(folder))
        variables = jax.tree.map(jnp.asarray, arrays)
        if model is None:
            architecture = meta.get("architecture")
            if not architecture:
                raise CheckpointError(f"the saved model in {str(folder)!r} does not name its architecture",
                                      hint="Pass model=..., the module that it was trained with.")
            model = models.build(architecture["name"], architecture["arguments"])
        widths = tuple(Widths(_tuples(w["groups"])) for w in meta["widths"])
        params = variables["params"]
        if any("outputs" in w for w in meta["widths"]):
            params = jax.tree.map(jnp.asarray, rows_by_position(model, params))
        stats = tuple(variables.get(f"batch_stats_{k}", {}) for k in range(len(widths)))
        return cls(model, params, stats, widths, tuple(meta["macs"]))


def _tuples(value: Any) -> Any:
    """Lists of JSON as tuples, at every depth."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
