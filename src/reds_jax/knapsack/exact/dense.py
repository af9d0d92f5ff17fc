"""Longest and cheapest paths over all arcs of the layered graph: the passes behind every bound."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.table import TOLERANCE, table_scale

NEVER = 2**62
"""The cost of a state from which the sink cannot be reached."""

RESOLUTION = 2.0**-46
"""Tables of floats are rounded to this fraction of the sum of their largest entries, and are integers from then on."""

def _whole(tables: list[np.ndarray]) -> tuple[list[np.ndarray], float, bool]:
    """Tables as int64, the unit in which they count, and whether that is exact."""
    if all(t.dtype.kind == "i" for t in tables):
        return tables, 1.0, True
    scale = table_scale(tables)
    if scale == 0.0:
        return [np.zeros(t.shape, dtype=np.int64) for t in tables], 1.0, True
    unit = 2.0 ** math.ceil(math.log2(scale * RESOLUTION))
    return [np.rint(t / unit).astype(np.int64) for t in tables], unit, False


class DenseGraph:
    """A problem and its capacities as integer arrays over the arcs of its layered graph.

    Args:
        problem: the width problem.
        capacities: for each resource or peak that is limited its capacity; others are left out.

    Attributes:
        names: the resources whose capacity can bind; C arrays have one row for each.
        allowed: for each layer the arcs that no peak forbids, or None for all.
        capacity: (K,) int64.
        cheapest: for each resource and layer the smallest cost from each state to the sink, int64.
        exact_values: the values are the user's integers, so two different values are at least 1 apart.
    """

    def __init__(self, problem: WidthProblem, capacities: Mapping[str, float]) -> None:
        graph = problem.layered
        self.problem, self.layers, self.order = problem, graph.layers, graph.order
        self.value, self.value_unit, self.exact_values = _whole([layer.value for layer in self.layers])
        self.names: list[str] = []
        costs: list[list[np.ndarray]] = []
        limits: list[int] = []
        for name in problem.resources:
            if name not in capacities or math.isinf(capacities[name]):
                continue
            tables = [layer.costs[name] for layer in self.layers]
            whole, unit, exact = _whole(tables)
            slack = 0.0 if exact else TOLERANCE * table_scale(tables)
            limit = math.floor((capacities[name] + slack) / unit) if not exact else math.floor(capacities[name])
            if sum(int(t.max()) for t in whole) > limit:
                self.names.append(name)
                costs.append(whole)
                limits.append(max(limit, -NEVER))
        self.costs = [[c[t] for c in costs] for t in range(len(self.layers))]
        self.capacity = np.array(limits, dtype=np.int64)
        self.allowed: list[np.ndarray | None] = []
        for layer in self.layers:
            mask = None
            for name, array in layer.peaks.items():
                if name in capacities and array.max() > capacities[name]:
                    inside = array <= capacities[name]
                    mask = inside if mask is None else mask & inside
            self.allowed.append(mask)
        self.value_float = [v.astype(np.float64) for v in self.value]
        for t, mask in enumerate(self.allowed):
            if mask is not None:
                self.value_float[t] = np.where(mask, self.value_float[t], -np.inf)
        self.cost_float = [[c.astype(np.float64) for c in row] for row in self.costs]
        self.cheapest = [self._cheapest([row[r] for row in self.costs]) for r in range(len(self.names))]
        self.value_scale = table_scale(self.value)
        self.cost_scale = np.array([table_scale([row[r] for row in self.costs]) for r in range(len(self.names))])

    def _cheapest(self, costs: list[np.ndarray]) -> list[np.ndarray]:
        """Exact backward pass for the smallest cost."""
        ahead = np.zeros(1, dtype=np.int64)
        found = [ahead]
        for t in range(len(self.layers) - 1, -1, -1):
            total = self.layers[t].ahead_block(ahead) + costs[t]
            mask = self.allowed[t]
            if mask is not None:
                total = np.where(mask, total, NEVER)
            ahead = np.broadcast_to(total.min(axis=2), self.layers[t].shape[:2]).reshape(-1)
            ahead = np.minimum(ahead, NEVER)
            found.append(ahead)
        return found[::-1]

    def connected(self) -> bool:
        """Whether the peaks leave any choice of widths at all."""
        if all(mask is None for mask in self.allowed):
            return True
        return bool(np.isfinite(self.forward(np.zeros(len(self.names)))[-1][0]))

    def priced(self, t: int, multipliers: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Value minus priced cost of the arcs of layer t, and (if it does not depend on the tail) the value apart."""
        value, costs = self.value_float[t], self.cost_float[t]
        total = None
        for price, cost in zip(multipliers, costs, strict=True):
            part = cost * -price
            if total is None:
                total = part
            elif total.shape == part.shape:
                total += part
            else:
                total = total + part
        if total is None:
            return value, None
        if value.shape[0] == 1 and total.shape[0] > 1:
            return total, value[0]
        return total + value, None

    def forward(self, multipliers: np.ndarray) -> list[np.ndarray]:
        """For each layer and state the largest value - multipliers . cost of a path from the source to it."""
        reach = np.zeros(1)
        found = [reach]
        for t, layer in enumerate(self.layers):
            total, extra = self.priced(t, multipliers)
            best = (total + reach.reshape(layer.shape[0], layer.shape[1], 1)).max(axis=0)
            if extra is not None:
                best = best + extra
            if not layer.stays:
                best = best.max(axis=1)
            elif best.shape[1] != layer.shape[2]:
                best = np.broadcast_to(best, layer.shape[1:])
            reach = best.reshape(-1)
            if layer.gather is not None:
                reach = reach[layer.gather]
            found.append(reach)
        return found

    def backward(self, multipliers: np.ndarray) -> list[np.ndarray]:
        """For each layer and state the largest value - multipliers . cost of a path from it to the sink."""
        ahead = np.zeros(1)
        found = [ahead]
        for t in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[t]
            total, extra = self.priced(t, multipliers)
            rest = self.layers[t].ahead_block(ahead)
            best = (total + (rest if extra is None else rest + extra)).max(axis=2)
            ahead = np.broadcast_to(best, layer.shape[:2]).reshape(-1)
            found.append(ahead)
        return found[::-1]

    def trace(self, multipliers: np.ndarray, reach: list[np.ndarray]) -> list[int]:
        """The arcs (flat numbers, one for each layer) of a path that attains the forward pass."""
        arcs: list[int] = []
        state = 0
        for t in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[t]
            if layer.gather is not None:
                state = int(layer.gather[state])
            dropped = np.arange(layer.shape[0])
            if layer.stays:
                kept, width = divmod(state, layer.shape[2])
                into = (dropped * layer.shape[1] + kept) * layer.shape[2] + width
            else:
                into = ((dropped * layer.shape[1] + state)[:, None] * layer.shape[2] + np.arange(layer.shape[2])).ravel()
            gain = layer.at(self.value_float[t], into) + reach[t][into // layer.shape[2]]
            for price, cost in zip(multipliers, self.cost_float[t], strict=True):
                gain = gain - price * layer.at(cost, into)
            arc = int(into[np.argmax(gain)])
            arcs.append(arc)
            state = arc // layer.shape[2]
        return arcs[::-1]

    def totals(self, arcs: list[int]) -> tuple[int, np.ndarray]:
        """Exact value and costs of a path."""
        value, cost = 0, np.zeros(len(self.names), dtype=np.int64)
        for t, (layer, arc) in enumerate(zip(self.layers, arcs, strict=True)):
            one = np.array([arc])
            value += int(layer.at(self.value[t], one)[0])
            cost += np.array([layer.at(c, one)[0] for c in self.costs[t]], dtype=np.int64)
        return value, cost

    def widths(self, arcs: list[int]) -> tuple[int, ...]:
        """The widths along a path, in the order of the groups."""
        chosen = [0] * len(self.order)
        for layer, arc in zip(self.layers, arcs, strict=True):
            chosen[layer.group] = self.problem.widths[layer.group][arc % layer.shape[2]]
        return tuple(chosen)

    def rounding(self, multipliers: np.ndarray) -> float:
        """A bound on what the rounding of floats can change in a Lagrangian bound at these multipliers."""
        priced = float(np.abs(multipliers) @ (self.cost_scale + np.abs(self.capacity.astype(np.float64))))
        return 8 * (len(self.layers) + 4) * np.finfo(np.float64).eps * (self.value_scale + priced)
