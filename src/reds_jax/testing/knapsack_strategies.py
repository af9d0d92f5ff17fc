"""Hypothesis strategies for nested knapsacks, and the theorems as properties of any solver: ``assert_nested_guarantee``.

Uniformly random instances are too weak: they would let pass bounds that are 1 % too good. ``near_tight`` draws members of
the worst-case families with noise, and ``nested_cases`` mixes both. ``heavy_cases`` break the assumption of the theorems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, Literal, NamedTuple, get_args

from reds_jax.errors import InvalidArgumentError
from reds_jax.optional import needs
from reds_jax.testing.solver_runs import Settings, settings_for, try_solver
from reds_jax.theory import Certificate, Chain, Instance, Number, Order, Theorem, bounds, certificate, tight_instance
from reds_jax.theory.items import check_capacities

with needs("hypothesis", "a strategy"):
    from hypothesis import strategies as st

Promise = Literal["bottom_up", "top_down", "total", "min_ratio"]
Solver = Callable[[Instance, tuple[Number, ...]], "Chain | Iterable[Iterable[int]]"]

ORDERS: tuple[Order, ...] = get_args(Order)
PROFITS = (1, 10, 23, 100, 1000, 10**6)


class Case(NamedTuple):
    """Items and capacities; no item is heavier than the smallest capacity unless it was asked for."""

    instance: Instance
    capacities: tuple[Number, ...]


@st.composite
def knapsack_instances(
    draw: st.DrawFn, *, min_items: int = 0, max_items: int = 6, max_weight: int = 10, max_profit: int = 10,
    fractions: bool = False,
) -> Instance:  # fmt: skip
    """Items with independent weights and profits, integers from 0, or Fractions with denominators up to 12."""

    def numbers(most: int) -> st.SearchStrategy[Number]:
        if fractions:
            return st.fractions(0, most, max_denominator=12)
        return st.integers(0, most)

    items = draw(st.lists(st.tuples(numbers(max_weight), numbers(max_profit)), min_size=min_items, max_size=max_items))
    return Instance.of(*items)


@st.composite
def capacities_for(draw: st.DrawFn, instance: Instance, *, stages: int = 2, granular: bool = False) -> tuple[Number, ...]:
    """Capacities c_1 < ... < c_N, c_1 at least the largest weight; with ``granular`` every increment is, too."""
    heaviest = math.ceil(max(instance.weights, default=0))
    steps = [heaviest + draw(st.integers(0 if heaviest else 1, heaviest + 3))]
    least = max(heaviest, 1) if granular else 1
    steps += [draw(st.integers(least, max(least, 2 * heaviest + 3))) for _ in range(stages - 1)]
    return tuple(sum(steps[: i + 1]) for i in range(stages))


@st.composite
def near_tight(
    draw: st.DrawFn, theorems: Sequence[Theorem] = get_args(Theorem), *, stages: int = 2, noise: bool = True,
    approximate: Number = Fraction(1, 10),
) -> Case:  # fmt: skip
    """A member of a worst-case family (``tight_instance``) in integers, often with noise in weights and profits.

    Args:
        theorems: the families to draw from.
        stages: for T3 and T5; the others have two stages.
        noise: if False, the families alone.
        approximate: e, for T4.
    """
    theorem = draw(st.sampled_from(list(theorems)))
    profit = max(draw(st.sampled_from(PROFITS)), 2)
    if theorem in ("T3", "T5"):
        granularity = draw(st.integers(1, 2)) if theorem == "T3" else None
        tight = tight_instance(theorem, stages=stages, granularity=granularity, profit=profit)
    else:
        c1 = draw(st.integers(1, 6))
        c2 = draw(st.one_of(st.just(2 * c1), st.integers(c1 + 1, 4 * c1)))
        order = draw(st.sampled_from(ORDERS)) if theorem == "T4" else None
        error = approximate if theorem == "T4" else None
        tight = tight_instance(theorem, capacities=(c1, c2), profit=profit, order=order, approximate=error)
    case = _integers(tight.instance, tight.capacities)
    return draw(_noisy(case)) if noise and draw(st.booleans()) else case


@st.composite
def nested_cases(draw: st.DrawFn, *, stages: int = 2, granular: bool = False) -> Case:
    """Integer items and capacities for the theorems: uniform or near-tight; ``granular``: no item heavier than an increment."""
    families: tuple[Theorem, ...] = ("T3",) if granular else get_args(Theorem) if stages == 2 else ("T3", "T5")
    if stages > 1 and draw(st.integers(0, 2)):
        return draw(near_tight(families, stages=stages, noise=not granular))
    instance = draw(knapsack_instances(max_items=6))
    return Case(instance, draw(capacities_for(instance, stages=stages, granular=granular)))


@st.composite
def heavy_cases(draw: st.DrawFn, *, stages: int = 2) -> Case:
    """Cases with an item that is heavier than c_1: no theorem holds for them. For negative tests, and tests of errors."""
    c1, extra = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    steps = draw(st.lists(st.integers(1, 9), min_size=stages - 1, max_size=stages - 1))
    capacities = tuple(c1 + sum(steps[:i]) for i in range(stages))
    light = draw(knapsack_instances(max_items=5, max_profit=1000))
    items = [*zip(light.weights, light.profits, strict=True), (c1 + extra, draw(st.integers(0, 1000)))]
    return Case(Instance.of(*draw(st.permutations(items))), capacities)


def assert_nested_guarantee(
    solver: Solver,
    *,
    promise: Promise = "bottom_up",
    stages: int = 2,
    approximate: Number = 0,
    cases: st.SearchStrategy[Case] | None = None,
    max_examples: int | None = None,
    settings: Settings | None = None,
) -> None:
    """Puts a nested knapsack solver under the theorems: its chains are nested and feasible, and keep what is promised.

    Args:
        solver: called with an ``Instance`` and its capacities; returns a ``Chain``, or for each capacity item indices.
        promise: "bottom_up" and "top_down": every stage is optimal in this order, and T1, T3 or T2, T5 hold; "total": T6,
            as for the better of both or the joint optimum; "min_ratio": T7. The last two need two stages.
        stages: the number of capacities that are drawn.
        approximate: e: the stages are solved to (1 - e), and T4 takes the place of T1 to T3 and T5.
        cases: a strategy of your own for ``Case``; default ``nested_cases(stages=stages)``.
        max_examples: how many are tried; default that of the settings.
        settings: of hypothesis; default the profile in force, with its deadline, database and seed.

    Raises:
        AssertionError: with the smallest instance that was found on which the solver raises, returns no sets, or breaks its
            promise.
        InvalidArgumentError: for an unknown promise, or one that is not for this number of stages.

    >>> from reds_jax.theory import bottom_up
    >>> assert_nested_guarantee(bottom_up, max_examples=10)
    """
    _check_promise(promise, stages, approximate)

    def check(answer: Any, case: Case) -> None:
        check_nested_guarantee(answer, *case, promise=promise, approximate=approximate)

    drawn = nested_cases(stages=stages) if cases is None else cases
    try_solver(solver, drawn, check, lambda case: _where(*case), settings_for(settings, max_examples))


def check_nested_guarantee(
    chain: Chain | Iterable[Iterable[int]],
    instance: Instance,
    capacities: Sequence[Number],
    *,
    promise: Promise = "bottom_up",
    approximate: Number = 0,
) -> Certificate:
    """The same for one chain.

    Args:
        chain: the sets, from the smallest capacity to the largest, as indices of items.
        instance: the items.
        capacities: ascending.
        promise: see `assert_nested_guarantee`.
        approximate: e, if every stage is within (1 - e) of what it could gain.

    Raises:
        AssertionError: if the chain is none, is not nested, does not fit, or does not keep the promise; it names the instance
            and the capacities.
        InvalidArgumentError: for wrong capacities, an unknown promise, or one that is not for this number of stages.
    """
    limits = check_capacities(capacities)
    _check_promise(promise, len(limits), approximate)
    where = _where(instance, limits)
    try:
        sets = chain if isinstance(chain, Chain) else Chain(instance, limits, tuple(tuple(s) for s in chain))
        found = certificate(instance, sets, limits)
    except InvalidArgumentError as wrong:
        raise AssertionError(f"{wrong} {where}") from wrong
    except Exception as wrong:
        raise AssertionError(f"the answer {chain!r} is no sequence of sets of items {where}") from wrong
    shown = f"{where}: the sets {found.chain.sets} are worth {found.chain.values}, the separate optima {found.optima}"
    if promise == "total":
        ratio = bounds.nesting_ratio(limits, instance=instance)
        assert found.total_ratio >= ratio, f"T6 promises {ratio} of the sum of the optima {shown}"
    elif promise == "min_ratio":
        least = bounds.min_ratio(limits, instance=instance)
        assert min(found.ratios) >= least, f"T7 promises {float(least):.4f} of both optima {shown}"
    else:
        error = found.bottom_up_error if promise == "bottom_up" else found.top_down_error
        assert error <= approximate, f"a stage misses {error} of its own optimum in the order {promise} {shown}"
        promised = _promised(promise, instance, limits, Fraction(approximate))
        for i, (ratio, least) in enumerate(zip(found.ratios, promised, strict=True)):
            assert ratio >= least, f"stage {i} keeps {ratio}, the theorems promise {least} {shown}"
    return found


def _check_promise(promise: str, stages: int, approximate: Number) -> None:
    if promise not in get_args(Promise):
        raise InvalidArgumentError("unknown promise", got=promise, allowed=str(get_args(Promise)))
    if promise in ("total", "min_ratio") and (stages != 2 or approximate):
        raise InvalidArgumentError(f"{promise!r} is a promise for two exact stages", got=(stages, approximate))
    bounds.check_error(approximate)


def _where(instance: Instance, capacities: tuple[Number, ...]) -> str:
    return f"on weights {instance.weights}, profits {instance.profits}, capacities {capacities}"


def _promised(
    promise: Promise, instance: Instance, limits: tuple[Number, ...], approximate: Fraction
) -> tuple[Fraction, ...]:
    """The ratio of each stage, 0 where the theorems say nothing."""
    if promise == "top_down":
        return bounds.top_down_ratios(limits, instance=instance, approximate=approximate)
    return tuple(_grown(instance, limits[:j], approximate) for j in range(1, len(limits) + 1))


def _grown(instance: Instance, limits: tuple[Number, ...], approximate: Fraction) -> Fraction:
    """What the last stage keeps bottom-up: by T1, by T3 if no item is heavier than an increment, by the first stage alone."""
    found = [(1 - approximate) / bounds.pieces(limits[0], limits[-1])]
    if len(limits) == 2:
        found.append(bounds.bottom_up_ratio(limits, instance=instance, approximate=approximate))
    if bounds.granularity_of(instance, limits):
        found.append(bounds.granular_ratios(limits, instance=instance, approximate=approximate)[-1])
    return max(found)


def _integers(instance: Instance, capacities: Sequence[Number]) -> Case:
    """The same case in integers."""
    by_weight = math.lcm(*(Fraction(x).denominator for x in (*instance.weights, *capacities)))
    by_profit = math.lcm(*(Fraction(p).denominator for p in instance.profits))
    scaled = Instance(tuple(w * by_weight for w in instance.weights), tuple(p * by_profit for p in instance.profits))
    return Case(scaled, tuple(int(c * by_weight) for c in capacities))


@st.composite
def _noisy(draw: st.DrawFn, case: Case) -> Case:
    """Weights off by one unit of a finer scale, profits off by one or two, and up to two items more."""
    scale = draw(st.sampled_from([1, 10, 100]))
    capacities = tuple(c * scale for c in case.capacities)
    most = max(case.instance.profits, default=0)
    items = [
        (min(max(w * scale + draw(st.integers(-1, 1)), 0), capacities[0]), max(p + draw(st.integers(-2, 2)), 0))
        for w, p in zip(case.instance.weights, case.instance.profits, strict=True)
    ]
    extra = st.tuples(st.integers(0, int(capacities[0])), st.integers(0, int(most)))
    return Case(Instance.of(*items, *draw(st.lists(extra, max_size=2))), capacities)
