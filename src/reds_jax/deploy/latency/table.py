"""A table of what every operation of a network costs on a machine, at a grid of widths; between them it is interpolated.

An operation costs what one call of it took at a grid of (width in, width out), or of one width where both are the same
(depthwise, pools, sums). Between the points of the grid the cost is BILINEAR in the two widths (linear in one), and a network
costs the sum over its operations. How far that is off is measured on widths that are not in the grid, and kept with the table.

The table is a resource of the width problem: ``width_problem(graph, scores, extra_resources={table.unit: table})``; with
`reds_jax.choice.Subnetworks` its file bounds what every subnetwork costs. `reds_jax.deploy.latency.measure` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from reds_jax.deploy import one_file
from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.graph.channels import ChannelGraph, Layer, Size, WidthLike
from reds_jax.knapsack import Table
from reds_jax.knapsack.table import exact_sum

Unit = Literal["latency_us", "instructions"]
DTYPES = ("float32", "int8")
FORMAT = "reds_jax latency table 1"
MARK = b'"format": "reds_jax latency table '


@dataclass(frozen=True, eq=False)
class OperationCost:
    """What one operation costs.

    Args:
        name, kind: as in the device program.
        sizes: how its widths follow from those of the groups: (in, out), or (width,).
        points: for each of the sizes the widths that were measured, ascending.
        costs: [points of the first size, points of the second], in the unit of the table.
    """

    name: str
    kind: str
    sizes: tuple[Size, ...]
    points: tuple[tuple[int, ...], ...]
    costs: np.ndarray

    def at(self, *widths: np.ndarray | int) -> np.ndarray:
        """The costs at arrays of widths of one shape, one array for each of the sizes; exact at the measured points.

        >>> op = OperationCost("a", "conv", (Size(0), Size(0)), ((2, 4), (3, 5)), np.array([[10.0, 20.0], [30.0, 60.0]]))
        >>> op.at(2, 5).item(), op.at(3, 4).item()
        (20.0, 30.0)
        """
        shape = np.broadcast_shapes(*(np.shape(w) for w in widths)) if widths else ()
        costs = np.broadcast_to(np.asarray(self.costs, np.float64), (int(np.prod(shape)), *np.shape(self.costs)))
        for given, points in zip(widths, self.points, strict=True):
            flat = np.broadcast_to(given, shape).ravel()
            if len(flat) and (flat.min() < points[0] or flat.max() > points[-1]):
                wrong = int(flat.min()) if flat.min() < points[0] else int(flat.max())
                raise InvalidArgumentError(f"the cost of {self.name!r} was not measured at this width", got=wrong,
                                           allowed=f"{points[0]} to {points[-1]}", hint="Raise the floor of the widths.")
            costs = _between(costs, flat, np.asarray(points, np.float64))
        return costs.reshape(shape)


def _between(costs: np.ndarray, widths: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """[widths, ...]: of costs [widths, points, ...] the two neighbours of every width, by their nearness.

    Entry by entry, so that a width costs the same whatever others are asked for: bounds are met to the last bit.
    """
    right = np.clip(np.searchsorted(grid, widths), min(1, len(grid) - 1), len(grid) - 1)
    left, rows = np.maximum(right - 1, 0), np.arange(len(widths))
    share = (widths - grid[left]) / np.maximum(grid[right] - grid[left], 1)
    share = share.reshape(-1, *[1] * (costs.ndim - 2))
    return costs[rows, left] * (1 - share) + costs[rows, right] * share


@dataclass(frozen=True, eq=False)
class LatencyTable:
    """The cost of every operation of one network on one machine.

    Args:
        unit: ``"latency_us"`` (microseconds) or ``"instructions"``.
        dtype: number format of the kernels.
        groups: name and size of every channel group.
        layers: the layers of the network, by which the table knows it again.
        operations: in the order of execution.
        facts: machine, compiler, flags, clock or processor, how often, and the error of the interpolation.
    """

    unit: Unit
    dtype: str
    groups: tuple[tuple[str, int], ...]
    layers: tuple[Layer, ...]
    operations: tuple[OperationCost, ...]
    facts: Mapping[str, Any]

    def check(self, graph: ChannelGraph) -> None:
        """An `InvalidArgumentError` if the table is of another network than the graph."""
        groups = tuple((g.name, g.size) for g in graph.groups)
        if groups != self.groups:
            raise InvalidArgumentError("the latency table is of another network: its channel groups differ",
                                       got=self.groups, allowed=str(groups), hint="Measure the table for this network.")
        for mine, other in zip(self.layers, graph.layers, strict=False):
            if mine != other:
                raise InvalidArgumentError(f"the latency table is of another network: its layer {mine.path!r} differs",
                                           got=mine, allowed=str(other), hint="Image size, kernel and stride count too.")
        if len(self.layers) != len(graph.layers):
            raise InvalidArgumentError("the latency table is of another network: it has other layers",
                                       got=len(self.layers), allowed=f"{len(graph.layers)} layers")

    def cost(self, graph: ChannelGraph, widths: WidthLike) -> float:
        """The predicted cost of a subnetwork, in the unit of the table: what the width problem says too, to the last bit."""
        tables = self.tables(graph, [(n,) for n in graph.integers(widths)])
        return float(exact_sum(table.array.item() for table in tables))

    def smallest(self, graph: ChannelGraph) -> dict[str, int]:
        """{group: the smallest width that was measured in every operation}; the table says nothing of smaller ones."""
        self.check(graph)
        least = [1] * len(graph.groups)
        for op in self.operations:
            for size, points in zip(op.sizes, op.points, strict=True):
                if len(size.terms) == 1:
                    (group, k), = size.terms
                    least[group] = max(least[group], -(-(points[0] - size.constant) // k))
        return {g.name: n for g, n in zip(graph.groups, least, strict=True)}

    def narrower(self, graph: ChannelGraph) -> LatencyTable:
        """The table of a network with the same layers and at most as many units in each: this one at its widths.

        Raises:
            InvalidArgumentError: the network is none of those.
        """
        names, sizes = [name for name, _ in self.groups], dict(self.groups)
        if [g.name for g in graph.groups] != names or any(g.size > sizes[g.name] for g in graph.groups):
            raise InvalidArgumentError("the latency table is of a network that does not contain this one",
                                       got=tuple((g.name, g.size) for g in graph.groups), allowed=f"at most {self.groups}")
        found = replace(self, groups=tuple((g.name, g.size) for g in graph.groups))
        found.check(graph)
        return found

    def digest(self) -> str:
        """SHA-256 of all that a cost depends on: not of the facts."""
        from reds_jax.training.arrays import json_digest

        return json_digest([self.unit, self.dtype, self.groups, [asdict(layer) for layer in self.layers],
                            [{**asdict(op), "costs": np.asarray(op.costs).tolist()} for op in self.operations]])

    def tables(self, graph: ChannelGraph, widths: Sequence[Sequence[int] | np.ndarray]) -> tuple[Table, ...]:
        """The costs over the allowed widths of every group; what `reds_jax.cost.width_problem` asks for.

        Instructions are rounded to whole numbers, table by table.
        """
        self.check(graph)
        arrays = [np.asarray(w, np.int64) for w in widths]
        sums: dict[tuple[int, ...], np.ndarray] = {}
        for op in self.operations:
            over = tuple(sorted({g for size in op.sizes for g, _ in size.terms})) or (0,)
            axes = dict(zip(over, np.ix_(*(arrays[g] for g in over)), strict=True))
            shape = tuple(len(arrays[g]) for g in over)
            chosen = [np.broadcast_to(size.constant + sum(k * axes[g] for g, k in size.terms), shape) for size in op.sizes]
            sums[over] = sums.get(over, np.zeros(shape)) + op.at(*chosen)
        names = [name for name, _ in self.groups]
        whole = self.unit == "instructions"
        return tuple(Table(tuple(names[g] for g in over), np.rint(table).astype(np.int64) if whole else table)
                     for over, table in sums.items())

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, whole or not at all; it replaces nothing but an older table."""
        digits, kind = (0, int) if self.unit == "instructions" else (4, float)
        lines = [json.dumps({**asdict(op), "costs": np.round(op.costs, digits).astype(kind).tolist()})
                 for op in self.operations]
        head = {"format": FORMAT, "unit": self.unit, "dtype": self.dtype, "facts": dict(self.facts), "groups": self.groups,
                "layers": [asdict(layer) for layer in self.layers]}
        records = ",\n".join(f' "{key}": {json.dumps(value)}' for key, value in head.items())
        text = f'{{\n{records},\n "operations": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
        one_file.write(Path(path), text.encode(), MARK)

    @classmethod
    def load(cls, path: str | Path, graph: ChannelGraph | None = None) -> LatencyTable:
        """Read what `save` wrote; with a graph, a table of another network is an error.

        Raises:
            CheckpointError: there is no such file, or it holds no such table.
            InvalidArgumentError: it is the table of another network.
        """
        from reds_jax.training.arrays import read_json

        if not Path(path).is_file():
            raise CheckpointError("there is no such latency table", got=str(path),
                                  hint="Measure one with reds deploy latency RUN FILE.")
        record = read_json(Path(path))
        try:
            if record["format"] != FORMAT or record["unit"] not in get_args(Unit) or record["dtype"] not in DTYPES:
                raise ValueError((record["format"], record["unit"], record["dtype"]))
            operations = tuple(
                OperationCost(op["name"], op["kind"], tuple(map(_size, op["sizes"])), tuple(map(tuple, op["points"])),
                              np.asarray(op["costs"], np.float64)) for op in record["operations"])
            layers = tuple(Layer(x["path"], x["kind"], x["factor"], tuple(map(_size, x["sizes"]))) for x in record["layers"])
            groups = tuple((name, size) for name, size in record["groups"])
            table = cls(record["unit"], record["dtype"], groups, layers, operations, record["facts"])
            if not all(_sound(op) for op in operations):
                raise ValueError("a table does not fit its grid")
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} holds no latency table", got=repr(error)[:80],
                                  hint="Measure one with reds deploy latency.") from error
        if graph is not None:
            table.check(graph)
        return table


def _sound(op: OperationCost) -> bool:
    return (op.costs.shape == tuple(map(len, op.points)) and len(op.sizes) == len(op.points)
            and bool(np.isfinite(op.costs).all() and (op.costs >= 0).all())
            and all(list(p) == sorted(set(p)) for p in op.points))


def _size(record: Mapping[str, Any]) -> Size:
    return Size(record["constant"], tuple((g, k) for g, k in record["terms"]))
