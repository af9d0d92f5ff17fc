"""The best chain of nested sets: the joint optimum over several capacities.

Every item enters at one stage or never. A state is the weight of every stage so far; of the ways to one state only the
most valuable is kept, and none that cannot beat the best chain known: what the items left can add is at most the sum,
over the stages, of the separate optimum of these items within the room that is left.
"""

from __future__ import annotations

from collections.abc import Iterable

from reds_jax.errors import InvalidArgumentError
from reds_jax.theory.chains import best_of_both
from reds_jax.theory.items import Chain, Instance, Number, check_capacities
from reds_jax.theory.optimum import optimum
from reds_jax.theory.solvers import Method, make_table

MAX_STATES = 1_000_000


def joint_optimum(instance: Instance, capacities: Iterable[Number], *, method: Method = "auto") -> Chain:
    """A chain of the largest total profit: max sum_i p(A_i) over A_1 in ... in A_N with w(A_i) <= c_i.

    Args:
        instance: the items.
        capacities: c_1 < ... < c_N, exact numbers.
        method: for the separate optima, as in ``optimum``, without "enumeration".

    Raises:
        InvalidArgumentError: for a wrong argument, or if more than a million states are alive.

    No nested pair is better than 8/9 of the separate optima in the worst case (``bounds.nesting_ratio``):

    >>> chain = joint_optimum(Instance.of((1, 1), (2, 2), (2, 2), (2, 2)), (3, 6))
    >>> chain.total
    8
    """
    limits = check_capacities(capacities)
    known = best_of_both(instance, limits, method=method)
    if known.total == sum(optimum(instance, c, method=method).value for c in limits):
        return known
    scaled = instance.scaled
    weights, profits = scaled.weights, scaled.profits
    rooms = tuple(scaled.room(c) for c in limits)
    count, stages = len(weights), len(rooms)
    order = sorted(range(count), key=lambda i: profits[i] * (sum(weights) + 1) // (weights[i] + 1))  # the densest item first
    table = make_table([weights[i] for i in order], [profits[i] for i in order], rooms[-1], method)
    least = int(known.total / scaled.profit_unit) + 1  # a chain of interest is worth at least this
    layers: list[dict[tuple[int, ...], tuple[int, tuple[int, ...], int]]] = [{rooms: (0, rooms, stages)}]
    for left in range(count - 1, -1, -1):
        item = order[left]
        layer: dict[tuple[int, ...], tuple[int, tuple[int, ...], int]] = {}
        for room, (value, _, _) in layers[-1].items():
            for entry in range(stages + 1):  # the item is in the stages entry, entry + 1, ..., or in none
                after = tuple(r - weights[item] if s >= entry else r for s, r in enumerate(room))
                worth = value + profits[item] * (stages - entry)
                if entry < stages and min(after[entry:]) < 0:
                    continue
                if after in layer and layer[after][0] >= worth:
                    continue
                if worth + sum(table.best(left, r) for r in after) >= least:
                    layer[after] = (worth, room, entry)
        if len(layer) > MAX_STATES:
            raise InvalidArgumentError(
                "the joint optimum of this instance is too large to compute", got=f"{len(layer)} states",
                allowed=f"at most {MAX_STATES}", hint="Use best_of_both, which is never far from it (bounds.nesting_ratio).",
            )  # fmt: skip
        layers.append(layer)
    if not layers[-1]:
        return known
    room = max(layers[-1], key=lambda key: layers[-1][key][0])
    sets: list[list[int]] = [[] for _ in rooms]
    for left, layer in enumerate(reversed(layers[1:])):
        _, before, entry = layer[room]
        for chosen in sets[entry:]:
            chosen.append(order[left])
        room = before
    return Chain(instance, limits, tuple(tuple(chosen) for chosen in sets))
