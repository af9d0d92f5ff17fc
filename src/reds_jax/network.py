"""A nested network: one set of parameters, several subnetworks, each with its widths and its batch statistics."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from reds_jax.adapters import adapt
from reds_jax.adapters.trees import check_arrays, check_shapes, shapes_of
from reds_jax.checks import integer, number
from reds_jax.data import read
from reds_jax.errors import InvalidArgumentError, WidthError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.trace import INFERENCE, Traced, traced
from reds_jax.network_file import Description, check_module, described_module, load_network, save_network
from reds_jax.private import variables_of
from reds_jax.program.digest import program_digest
from reds_jax.run import run
from reds_jax.run.example import check_example, one_example
from reds_jax.run.extract import Subnetwork, extract
from reds_jax.widths import Widths


@dataclass(frozen=True)
class NestedNetwork:
    """What training leaves: run subnetwork k with ``apply(k, x)``, cut it out with ``subnetwork(k)``.

    With an ``example`` everything else is checked against the model when the network is made, and each input of `apply` against
    the example; without one the variables are checked by the first `apply`, and the network cannot be saved.

    Args:
        model: whatever `reds_jax.adapters.adapt` takes.
        params: the full parameters, sorted by importance, shared by all subnetworks; where there is a `Private`, each has its
            own (`variables` puts them together).
        batch_stats: one tree of batch statistics per subnetwork (empty without batch norm).
        widths: one `Widths` per subnetwork, ascending: each is contained in the next.
        macs: multiply-accumulate operations of each subnetwork for one example.
        example: one batch of inputs as the model reads them, [N, ...], or a tuple or dict of such; shapes and types are kept.
        normalise: raw inputs to inputs as the model reads them, see `reds_jax.data.DataSet`; `read` calls it.
        class_names: what the outputs stand for, if that is known.

    Raises:
        InvalidArgumentError: variables of another architecture (it names the array and both shapes), or MACs of another one.
        WidthError: widths of another network, or that are not nested.
    """

    model: Any
    params: Any
    batch_stats: tuple[Any, ...]
    widths: tuple[Widths, ...]
    macs: tuple[int, ...]
    example: Any = None
    normalise: Callable[[Any], Any] | None = None
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        counts = {len(self.batch_stats), len(self.widths), len(self.macs)}
        if len(counts) != 1 or not self.widths:
            raise InvalidArgumentError("a nested network needs statistics, widths and MACs for each subnetwork",
                                       got=(len(self.batch_stats), len(self.widths), len(self.macs)))
        for count in self.macs:
            integer("the MACs of a subnetwork", count, 0)
        check_nested(self.widths)
        for k in range(1, len(self)):
            check_shapes(self.variables(k), shapes_of(self.variables(0)))
        if self.example is None:
            adapt(self.model, self.variables(0))  # flax.linen does not know its variables without an input, the others do
            return
        object.__setattr__(self, "example", one_example(self.example))
        graph = self.graph
        for k, (widths, macs) in enumerate(zip(self.widths, self.macs, strict=True)):
            if graph.macs(widths) != macs:
                raise InvalidArgumentError(f"subnetwork {k} does not cost so many MACs", got=macs,
                                           allowed=f"{graph.macs(widths)}, as graph.macs(widths) counts them")

    def __len__(self) -> int:
        return len(self.widths)

    @property
    def graph(self) -> ChannelGraph:
        """The channel graph of the model; needs an ``example``."""
        return self._traced().graph

    def _traced(self) -> Traced:
        if self.example is None:
            raise InvalidArgumentError("the network does not know its inputs", hint="Give it one batch as the model reads it: "
                                       "dataclasses.replace(network, example=x).")
        pure, variables = adapt(self.model, self.variables(0))
        return traced(pure, variables, self.example)

    def variables(self, k: int) -> dict[str, Any]:
        """The full variables of subnetwork k: what all share, its own parameters and its statistics."""
        return variables_of(self.params, self.batch_stats, self._number(k))

    def _number(self, k: Any) -> int:
        try:
            found = operator.index(k)
        except TypeError as error:
            raise InvalidArgumentError("a subnetwork is named by its number", got=k, allowed=f"0 to {len(self) - 1}") from error
        if isinstance(k, bool) or not -len(self) <= found < len(self):
            raise InvalidArgumentError("there is no such subnetwork", got=k, allowed=f"0 to {len(self) - 1}")
        return found

    def read(self, inputs: Any) -> Any:
        """Raw inputs [N, ...], such as images uint8, as the model reads them; NumPy in, NumPy out.

        Normalised as in training; without a normalisation uint8 becomes ``x / 255`` and anything else stays.
        """
        check_arrays(inputs)
        return read(inputs, self.normalise)

    def apply(self, k: int, x: Any) -> Any:
        """The outputs of subnetwork k (0 is the smallest) for inputs x [N, ...]; compiled once for each shape of x.

        ``x`` is as the model reads it: ``network.apply(k, network.read(images))`` of raw images.

        Raises:
            InvalidArgumentError: no such subnetwork, or inputs of another form than the ``example``.
        """
        variables = self.variables(k)
        if self.example is not None:
            x = check_example(x, self.example)
        return run(self.model, variables, x, self.widths[self._number(k)])[0]

    def for_budget(self, macs: float) -> int:
        """The largest subnetwork that costs at most ``macs``; an error names the smallest cost if there is none."""
        number("macs", macs, 0)
        fitting = [k for k, cost in enumerate(self.macs) if cost <= macs]
        if not fitting:
            raise InvalidArgumentError("no subnetwork is that small", got=macs, allowed=f"at least {min(self.macs)} MACs")
        return max(fitting, key=lambda k: self.macs[k])

    def subnetwork(self, k: int, graph: ChannelGraph | None = None) -> tuple[Subnetwork, Any]:
        """Subnetwork k alone, as ordinary dense parameters and a model that runs them; ``graph`` is by default the own one."""
        return extract(self.model, self.variables(k), self.graph if graph is None else graph, self.widths[self._number(k)])

    def save(
        self, folder: str | Path, *, architecture: dict[str, Any] | None = None, notes: dict[str, Any] | None = None
    ) -> None:
        """Write arrays and JSON to ``folder``, whole or not at all, without pickle.

        It knows the shapes and types of its inputs, its normalisation, its class names, and a digest of its module.

        Args:
            architecture: ``{"name": ..., "arguments": {...}}`` of `reds_jax.models.build`, so that `load` finds the model.
            notes: anything else for the record (JSON).

        Raises:
            InvalidArgumentError: the network has no ``example``, or notes that JSON cannot hold.
        """
        found = self._traced()
        module = described_module(program_digest(found.programs[INFERENCE]), adapt(self.model, self.variables(0))[0])
        save_network(Path(folder), self.params, self.batch_stats, Description(
            architecture, self.widths, tuple(map(int, self.macs)), self.example, self.normalise, self.class_names, module,
            notes or {}))

    @classmethod
    def load(cls, folder: str | Path, model: Any = None, *, normalise: Callable[[Any], Any] | None = None,
             strict: bool = True) -> NestedNetwork:
        """Read what `save` wrote, and compare it with the model.

        A network that was saved when a flatten went channel by channel is converted, with a message.

        Args:
            model: needed for an architecture that is not of this library.
            normalise: needed if the network was trained with a function of your own.
            strict: whether a module that computes something else than the saved one is an error. Otherwise it is a warning, as
                it always is where another version of jax or of the framework wrote the network.

        Raises:
            CheckpointError: no saved network, a damaged or an edited one, or one of another module.
            InvalidArgumentError: a model with other variables than the saved ones; it names the array and both shapes.
        """
        model, variables, saved = load_network(Path(folder), model, normalise)
        params, *stats = jax.tree.map(jnp.asarray, variables)
        network = cls(model, params, tuple(stats), saved.widths, saved.macs, saved.example, saved.normalise, saved.class_names)
        if saved.module is not None:
            check_module(saved.module, program_digest(network._traced().programs[INFERENCE]), str(folder), strict)
        return network


def check_nested(widths: tuple[Any, ...]) -> None:
    """The widths of the subnetworks are `Widths` of the same groups, each contained in the next."""
    for k, width in enumerate(widths):
        if not isinstance(width, Widths):
            raise WidthError(f"subnetwork {k} has no Widths", got=width, allowed="Widths", hint="Make it by graph.widths(...).")
        before = widths[k - 1] if k else width
        if list(before) != list(width):
            raise WidthError(f"subnetworks {k - 1} and {k} are not of one network", got=list(width)[:6],
                             allowed=str(list(before)[:6]))
        if wider := [name for name in width if before[name] > width[name]]:
            raise WidthError(f"subnetwork {k - 1} is not contained in subnetwork {k}", got=wider[:6],
                             allowed="widths that ascend in every group")
