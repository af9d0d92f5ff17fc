"""For a user's own instance: what the theorems promise, beside what was reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from reds_jax.errors import InvalidArgumentError
from reds_jax.theory import bounds
from reds_jax.theory.chains import Order
from reds_jax.theory.items import Chain, Instance, Number
from reds_jax.theory.optimum import optimum
from reds_jax.theory.solvers import Method


@dataclass(frozen=True)
class Certificate:
    """What is known about one chain of nested sets, stage by stage from the smallest capacity.

    Attributes:
        chain: the sets.
        stages: N.
        granularity: the largest a with a w_max <= c_i - c_{i-1} for every i.
        optima: OPT(c_i), nesting ignored.
        ratios: p(A_i) / OPT(c_i), 1 where both are 0.
        order: the order that the chain follows more closely, by the two errors below.
        guarantees: the largest ratio that a theorem promises for a chain of this order whose stages err by as much.
        theorems: the theorem behind each guarantee, "-" where none applies.
        bottom_up_error: the least e such that every stage adds at least (1 - e) of the best it could add.
        top_down_error: the least e such that every stage keeps at least (1 - e) of the best it could keep.
    """

    chain: Chain
    stages: int
    granularity: int
    optima: tuple[Number, ...]
    ratios: tuple[Fraction, ...]
    order: Order
    guarantees: tuple[Fraction, ...]
    theorems: tuple[str, ...]
    bottom_up_error: Fraction
    top_down_error: Fraction

    @property
    def total_ratio(self) -> Fraction:
        """The total profit / the sum of the separate optima, which no chain can exceed; compare ``bounds.nesting_ratio``."""
        best = sum(self.optima, 0)
        return Fraction(self.chain.total) / best if best else Fraction(1)

    def __str__(self) -> str:
        lines = ["stage  capacity  profit  optimum  ratio   guaranteed"]
        chain = self.chain
        rows = zip(chain.capacities, chain.values, self.optima, self.ratios, self.guarantees, self.theorems, strict=True)
        for i, (capacity, value, best, ratio, promise, theorem) in enumerate(rows, start=1):
            lines.append(
                f"{i:<5}  {capacity!s:<8}  {value!s:<6}  {best!s:<7}  {float(ratio):.4f}  {float(promise):.4f} ({theorem})"
            )
        return "\n".join(lines)


def certificate(
    instance: Instance,
    chain: Chain | Iterable[Iterable[int]],
    capacities: Iterable[Number] | None = None,
    *,
    method: Method = "auto",
) -> Certificate:
    """The guarantee that applies to each stage of a chain, and the ratio that it reaches.

    The chain may come from anywhere: it is measured how far each stage is from the best that it could add to the stage
    before, and keep of the stage after. The order with the smaller error decides whether T1, T3 and T4 (bottom-up) or T2, T4
    and T5 (top-down) apply, or both if neither errs more. Where an item is heavier than an increment, bottom-up still has
    OPT(c_i) <= M OPT(c_1) with M = 2 ceil(c_i / c_1) - 1 ("M").

    Args:
        instance: the items.
        chain: a ``Chain``, or for each capacity the indices of its items.
        capacities: needed if the chain is not a ``Chain``.
        method: as in ``optimum``.

    Raises:
        InvalidArgumentError: if the sets are not nested or do not fit, if an item is heavier than the smallest capacity (then
            no guarantee holds), or for wrong arguments.

    Test: test_certificates in tests/property/test_nested_knapsack.py.

    >>> items = Instance.of((3, 101), (2, 100), (2, 100), (2, 100))
    >>> print(certificate(items, [[0], [0, 1]], (3, 6)))
    stage  capacity  profit  optimum  ratio   guaranteed
    1      3         101     101      1.0000  1.0000 (T3)
    2      6         201     300      0.6700  0.6667 (T1)
    """
    if isinstance(chain, Chain):
        if chain.instance != instance or (capacities is not None and tuple(capacities) != chain.capacities):
            raise InvalidArgumentError("the chain is of another instance or other capacities", got=chain.capacities)
    elif capacities is None:
        raise InvalidArgumentError("the capacities are missing", allowed="one for each set of the chain")
    else:
        chain = Chain(instance, tuple(capacities), tuple(tuple(s) for s in chain))
    limits = chain.capacities
    bounds.check_light(instance, limits)
    optima = tuple(optimum(instance, c, method=method).value for c in limits)
    up, down = _bottom_up_error(chain, method), _top_down_error(chain, optima[-1], method)
    grown, shrunk = _grown(chain, up), _shrunk(limits, down)
    promises = [max(pair) for pair in zip(grown, shrunk, strict=True)] if up == down else grown if up < down else shrunk
    return Certificate(
        chain, len(limits), bounds.granularity_of(instance, limits), optima,
        tuple(_share(v, o) for v, o in zip(chain.values, optima, strict=True)),
        "bottom_up" if up <= down else "top_down", tuple(p for p, _ in promises), tuple(name for _, name in promises), up, down,
    )  # fmt: skip


def _bottom_up_error(chain: Chain, method: Method) -> Fraction:
    """max_i of 1 - (what stage i adds) / (the most that it could add)."""
    worst, inner = Fraction(1), frozenset[int]()
    for limit, chosen in zip(chain.capacities, chain.sets, strict=True):
        free = [i for i in range(len(chain.instance)) if i not in inner]
        best = optimum(_part(chain.instance, free), limit - chain.instance.weight(inner), method=method).value
        worst = min(worst, _share(chain.instance.profit(set(chosen) - inner), best))
        inner = frozenset(chosen)
    return 1 - worst


def _top_down_error(chain: Chain, best: Number, method: Method) -> Fraction:
    """max_i of 1 - (what stage i keeps) / (the most that it could keep of stage i + 1)."""
    worst = _share(chain.values[-1], best)
    for i in range(len(chain.sets) - 1):
        kept = optimum(_part(chain.instance, chain.sets[i + 1]), chain.capacities[i], method=method).value
        worst = min(worst, _share(chain.values[i], kept))
    return 1 - worst


def _grown(chain: Chain, error: Fraction) -> list[tuple[Fraction, str]]:
    """What T1, T3, T4 promise for each stage of a bottom-up chain of this error."""
    limits, found = chain.capacities, []
    if error == 1:
        return [(Fraction(0), "-")] * len(limits)
    for j in range(1, len(limits) + 1):
        promises = [(bounds.bottom_up_ratio(limits[:2], approximate=error), "T4" if error else "T1")] if j == 2 else []
        if bounds.granularity_of(chain.instance, limits[:j]):
            ratio = bounds.granular_ratios(limits[:j], instance=chain.instance, approximate=error)[-1]
            promises.append((ratio, "T4" if error else "T3"))
        promises.append(((1 - error) / bounds.pieces(limits[0], limits[j - 1]), "M"))
        found.append(max(promises, key=lambda promise: promise[0]))
    return found


def _shrunk(limits: tuple[Number, ...], error: Fraction) -> list[tuple[Fraction, str]]:
    """What T2, T4, T5 promise for each stage of a top-down chain of this error."""
    if error == 1:
        return [(Fraction(0), "-")] * len(limits)
    name = "T4" if error else "T2" if len(limits) == 2 else "T5"
    return [(ratio, name if ratio else "-") for ratio in bounds.top_down_ratios(limits, approximate=error)]


def _part(instance: Instance, items: Iterable[int]) -> Instance:
    chosen = list(items)
    return Instance(tuple(instance.weights[i] for i in chosen), tuple(instance.profits[i] for i in chosen))


def _share(value: Number, best: Number) -> Fraction:
    return Fraction(value) / best if best else Fraction(1)
