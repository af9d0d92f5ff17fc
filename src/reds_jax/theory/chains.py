"""Chains of nested sets for growing capacities, bottom-up and top-down, stage by stage.

Items have a weight and a profit; w(S) and p(S) are sums; OPT(c) = max { p(S) : w(S) <= c }. A chain for the capacities
c_1 < ... < c_N is A_1 in A_2 in ... in A_N with w(A_i) <= c_i. Bottom-up takes an optimal set for c_1 and adds the best
further items stage by stage; top-down takes an optimal set for c_N and keeps the best part of it stage by stage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Literal

from reds_jax.errors import InvalidArgumentError
from reds_jax.theory.items import Chain, Instance, Items, Number, check_capacities, exact_number
from reds_jax.theory.optimum import optimum
from reds_jax.theory.solvers import Method, solve_sets

Order = Literal["bottom_up", "top_down"]
Ties = Literal["first", "kind", "adversarial"]

MAX_SETS = 100_000


def bottom_up(
    instance: Instance,
    capacities: Iterable[Number],
    *,
    ties: Ties = "first",
    approximate: Number = 0,
    method: Method = "auto",
) -> Chain:
    """The chain that grows: A_i = A_{i-1} + a best set of further items within c_i - w(A_{i-1}).

    Args:
        instance: the items.
        capacities: c_1 < ... < c_N, exact numbers.
        ties: which of the sets that a stage may return: the "first" that the solver finds, the one that is best for the
            stages that follow ("kind"), or worst ("adversarial"). Best and worst mean the profit of the stage that is
            decided last, then of the one before, and so on.
        approximate: e in [0, 1): a stage may return any set of further items worth at least (1 - e) of the best one.
        method: as in ``optimum``.

    Raises:
        InvalidArgumentError: for a wrong argument, an instance that is too large, or more than 100,000 sets that a stage
            may return where all have to be looked at.

    Source: the paper, appendix (arXiv 2311.13349), for two stages. Guarantees: ``bounds.bottom_up_ratio`` and others.

    >>> chain = bottom_up(Instance.of((3, 101), (2, 100), (2, 100), (2, 100)), (3, 6))
    >>> chain.values
    (101, 201)
    """
    return _solve("bottom_up", instance, capacities, ties, approximate, method)


def top_down(
    instance: Instance,
    capacities: Iterable[Number],
    *,
    ties: Ties = "first",
    approximate: Number = 0,
    method: Method = "auto",
) -> Chain:
    """The chain that shrinks: D_N is optimal for c_N, D_i = a best part of D_{i+1} within c_i.

    Args:
        instance, capacities, ties, approximate, method: as for `bottom_up`; a stage may return any set worth at least
            (1 - e) of its best. The errors are the same.

    Source: the paper, appendix (arXiv 2311.13349), for two stages. Guarantees: ``bounds.top_down_ratio`` and others.

    >>> top_down(Instance.of((3, 200), (2, 101), (2, 101), (2, 101)), (3, 6)).values
    (101, 303)
    """
    return _solve("top_down", instance, capacities, ties, approximate, method)


def every_chain(
    instance: Instance,
    capacities: Iterable[Number],
    order: Order,
    *,
    approximate: Number = 0,
    method: Method = "auto",
) -> Iterator[Chain]:
    """Every chain that the order can give, whatever sets its stages return. There may be exponentially many.

    Args:
        instance, capacities, approximate, method: as for `bottom_up`.
        order: "bottom_up" or "top_down".

    >>> instance = Instance.of((3, 1), (2, 1), (2, 1), (2, 1))
    >>> sorted({chain.values for chain in every_chain(instance, (3, 6), "bottom_up")})
    [(1, 2), (1, 3)]
    """
    stages = _Stages.of(order, instance, capacities, approximate, method)

    def walk(done: tuple[Items, ...]) -> Iterator[Chain]:
        if len(done) == len(stages.limits):
            yield stages.chain(done)
            return
        for chosen in stages.options(done[-1] if done else None, len(done)):
            yield from walk((*done, chosen))

    return walk(())


def best_of_both(
    instance: Instance,
    capacities: Iterable[Number],
    *,
    by: Literal["total", "min_ratio"] = "total",
    ties: Ties = "first",
    approximate: Number = 0,
    method: Method = "auto",
) -> Chain:
    """The better of the bottom-up and the top-down chain, by the total profit or by min_i p(A_i) / OPT(c_i).

    Args:
        instance, capacities, ties, approximate, method: as for `bottom_up`.
        by: "total", or "min_ratio".

    Guarantees: ``bounds.nesting_ratio`` for the total, ``bounds.min_ratio`` for the least ratio.

    >>> best_of_both(Instance.of((1, 1), (2, 2), (2, 2), (2, 2)), (3, 6)).total
    8
    """
    if by not in ("total", "min_ratio"):
        raise InvalidArgumentError("unknown measure of a chain", got=by, allowed="'total' or 'min_ratio'")
    limits = check_capacities(capacities)
    chains = [_solve(order, instance, limits, ties, approximate, method) for order in ("bottom_up", "top_down")]
    if by == "total":
        return max(chains, key=lambda chain: chain.total)
    optima = [optimum(instance, c, method=method).value for c in limits]

    def least(chain: Chain) -> Fraction:
        return min((Fraction(v) / o for v, o in zip(chain.values, optima, strict=True) if o), default=Fraction(1))

    return max(chains, key=least)


def _solve(
    order: Order, instance: Instance, capacities: Iterable[Number], ties: Ties, approximate: Number, method: Method
) -> Chain:
    if ties not in ("first", "kind", "adversarial"):
        raise InvalidArgumentError("unknown way to break ties", got=ties, allowed="'first', 'kind' or 'adversarial'")
    stages = _Stages.of(order, instance, capacities, approximate, method)
    if ties == "first":
        done: list[Items] = []
        for i in range(len(stages.limits)):
            done.append(next(stages.options(done[-1] if done else None, i)))
        return stages.chain(tuple(done))
    return stages.chain(_follow(stages, max if ties == "kind" else min))


@dataclass(frozen=True)
class _Stages:
    """The stages in the order in which they are decided, and the sets that each may return."""

    order: Order
    instance: Instance
    limits: tuple[Number, ...]
    share: Fraction
    method: Method

    @classmethod
    def of(
        cls, order: Order, instance: Instance, capacities: Iterable[Number], approximate: Number, method: Method
    ) -> _Stages:
        if not isinstance(instance, Instance):
            raise InvalidArgumentError("the items are not an Instance", got=type(instance).__name__)
        if order not in ("bottom_up", "top_down"):
            raise InvalidArgumentError("unknown order", got=order, allowed="'bottom_up' or 'top_down'")
        limits = check_capacities(capacities)
        error = exact_number(approximate, "the error of a stage")
        if not 0 <= error < 1:
            raise InvalidArgumentError("the error of a stage is not in [0, 1)", got=error, allowed="0 <= approximate < 1")
        return cls(order, instance, limits if order == "bottom_up" else limits[::-1], 1 - Fraction(error), method)

    def options(self, last: Items | None, stage: int) -> Iterator[Items]:
        """The sets that a stage may return after the set of the stage before."""
        scaled = self.instance.scaled
        room = scaled.room(self.limits[stage])
        fixed: Items = ()
        free = range(len(self.instance))
        if last is not None and self.order == "bottom_up":
            fixed, inside = last, set(last)
            free = [i for i in free if i not in inside]
            room -= sum(scaled.weights[i] for i in fixed)
        elif last is not None:
            free = list(last)
        weights, profits = [scaled.weights[i] for i in free], [scaled.profits[i] for i in free]
        found = solve_sets(weights, profits, room, lambda best: math.ceil(self.share * best), method=self.method)[1]
        return (tuple(sorted((*fixed, *(free[i] for i in chosen)))) for chosen in found)

    def chain(self, done: tuple[Items, ...]) -> Chain:
        limits, sets = (self.limits, done) if self.order == "bottom_up" else (self.limits[::-1], done[::-1])
        return Chain(self.instance, limits, sets)


def _follow(stages: _Stages, pick: Callable) -> tuple[Items, ...]:
    """The best or worst chain by the profits of its stages, the last decided first."""
    profits = stages.instance.scaled.profits
    known: dict[tuple[int, Items | None], tuple[tuple[int, ...], tuple[Items, ...]]] = {}

    def follow(stage: int, last: Items | None) -> tuple[tuple[int, ...], tuple[Items, ...]]:
        if (stage, last) not in known:
            known[stage, last] = pick((rate(stage, chosen) for chosen in options(stage, last)), key=lambda found: found[0])
        return known[stage, last]

    def rate(stage: int, chosen: Items) -> tuple[tuple[int, ...], tuple[Items, ...]]:
        rest: tuple[tuple[int, ...], tuple[Items, ...]] = ((), ())
        if stage + 1 < len(stages.limits):
            rest = follow(stage + 1, chosen)
        return (*rest[0], sum(profits[i] for i in chosen)), (chosen, *rest[1])

    def options(stage: int, last: Items | None) -> list[Items]:
        if stage + 1 == len(stages.limits) and stages.share == 1:
            return [next(stages.options(last, stage))]  # all of the same profit, and nothing follows
        found = list(islice(stages.options(last, stage), MAX_SETS + 1))
        if len(found) > MAX_SETS:
            raise InvalidArgumentError(
                f"too many sets that stage {stage} may return to look at each", got=f"more than {MAX_SETS}",
                allowed=f"at most {MAX_SETS}", hint='Use ties="first".',
            )  # fmt: skip
        return found

    return follow(0, None)[1]
