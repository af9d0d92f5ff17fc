"""The twins: each bound of `reds_jax.theory.bounds` fails as soon as it is strengthened, and each assumption is needed.

`hypothesis.find` looks for the violating instance in the same strategies in which test_nested_knapsack.py finds none for
the bound itself; the seed is fixed, so it is found in every run.
"""

import random
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import solve_nested
from reds_jax.testing.knapsack_strategies import (
    Case,
    capacities_for,
    heavy_cases,
    knapsack_instances,
    near_tight,
    nested_cases,
)
from reds_jax.theory import (
    Instance,
    best_of_both,
    bilinear_instance,
    bottom_up,
    bounds,
    joint_optimum,
    optimum,
    tight_instance,
    top_down,
)

PAIRS = ((3, 6), (4, 6), (5, 6), (2, 6), (2, 7), (1, Fraction(22, 7)), (3, 17), (10, 101))
PERCENT, PERMILLE = Fraction(101, 100), Fraction(1001, 1000)
TENTH, HUNDREDTH = Fraction(1, 10), Fraction(1, 100)


def look(strategy, violates, *, tries=2000):
    """A case that violates a claim; NoSuchExample if none is found."""
    quick = settings(max_examples=tries, deadline=None, database=None, phases=[Phase.generate],
                     suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip
    return find(strategy, violates, settings=quick, random=random.Random(0))


def share(chain, stage, instance, capacities):
    best = optimum(instance, capacities[stage]).value
    return Fraction(chain.values[stage]) / best if best else Fraction(1)


def grown(case):
    return share(bottom_up(*case, ties="adversarial"), -1, *case)


def shrunk(case):
    return share(top_down(*case, ties="adversarial"), 0, *case)


def total(case):
    best = sum(optimum(case.instance, c).value for c in case.capacities)
    return Fraction(best_of_both(*case, ties="adversarial").total) / best if best else Fraction(1)


def least(case):
    chain = best_of_both(*case, by="min_ratio", ties="adversarial")
    return min(share(chain, i, *case) for i in range(2))


def worst_grown(case, error):
    return share(bottom_up(*case, ties="adversarial", approximate=error), -1, *case)


def worst_shrunk(case, error):
    return share(top_down(*case, ties="adversarial", approximate=error), 0, *case)


TWINS = {
    "T1": (nested_cases(), grown, lambda case: bounds.bottom_up_ratio(case.capacities), PERCENT),
    "T2": (nested_cases(), shrunk, lambda case: bounds.top_down_ratio(case.capacities), PERCENT),
    "T3, two stages": (nested_cases(stages=2, granular=True), grown,
                       lambda case: bounds.granular_ratios(case.capacities, instance=case.instance)[-1], PERCENT),
    "T3, three stages": (nested_cases(stages=3, granular=True), grown,
                         lambda case: bounds.granular_ratios(case.capacities, instance=case.instance)[-1], PERCENT),
    "T4, bottom-up": (near_tight(["T4"]), lambda case: worst_grown(case, TENTH),
                      lambda case: bounds.bottom_up_ratio(case.capacities, approximate=TENTH), PERMILLE),
    "T4, top-down, e = 1/100": (near_tight(["T4"], approximate=HUNDREDTH), lambda case: worst_shrunk(case, HUNDREDTH),
                                lambda case: bounds.top_down_ratio(case.capacities, approximate=HUNDREDTH), PERCENT),
    "T5, two stages": (nested_cases(), shrunk, lambda case: bounds.top_down_ratios(case.capacities)[0], PERCENT),
    "T5, three stages": (nested_cases(stages=3), shrunk, lambda case: bounds.top_down_ratios(case.capacities)[0], PERCENT),
    "T5, four stages": (nested_cases(stages=4), shrunk, lambda case: bounds.top_down_ratios(case.capacities)[0], PERCENT),
    "T6": (nested_cases(), total, lambda case: bounds.nesting_ratio(case.capacities), PERMILLE),
    "T7": (nested_cases(), least, lambda case: bounds.min_ratio(case.capacities), PERMILLE),
}  # fmt: skip


@pytest.mark.parametrize("name", TWINS)
def test_a_stronger_bound_fails(name):
    """A violating instance is found for 1.01 or 1.001 times the bound, and it respects the bound itself."""
    cases, ratio, bound, factor = TWINS[name]
    found = look(cases, lambda case: ratio(case) < bound(case) * factor and ratio(case) < 1)
    assert ratio(found) >= bound(found)


def test_uniform_instances_are_too_weak():
    """Why the strategies need near-tight instances: among uniform ones nothing contradicts a T6 that is 0.1 % too good."""
    uniform = knapsack_instances().flatmap(lambda items: capacities_for(items).map(lambda limits: Case(items, limits)))
    with pytest.raises(NoSuchExample):
        look(uniform, lambda case: total(case) < bounds.nesting_ratio(case.capacities) * PERMILLE, tries=300)


def test_t4_top_down_needs_its_second_factor():
    """(1 - e) / 2 does not hold top-down: an error e at c_2 may cost more than the share e of OPT(c_1)."""
    found = look(near_tight(["T4"]), lambda case: worst_shrunk(case, TENTH) < (1 - TENTH) / 2)
    assert worst_shrunk(found, TENTH) >= bounds.top_down_ratio(found.capacities, approximate=TENTH)


@pytest.mark.parametrize("stages", [2, 3, 4, 5, 6])
def test_t5_is_sharp(stages):
    """T5 promises 1/N at c_1, and with the kindest ties a family falls to 1/N (1 + 1/P). Coq: top_down_stages_sharp."""
    tight = tight_instance("T5", stages=stages, profit=1000)
    chain = top_down(tight.instance, tight.capacities, ties="kind")
    assert share(chain, 0, tight.instance, tight.capacities) == tight.ratio == Fraction(1001, stages * 1000)
    assert tight.bound == Fraction(1, stages) <= tight.ratio < tight.bound * PERCENT


@pytest.mark.parametrize("capacities", PAIRS)
def test_the_two_stage_families_are_tight_for_all_capacities(capacities):
    """T1, T2, T6 and T7: the families reach what they say, with the kindest ties, and converge to the bounds."""
    for profit in (2, 10, 1000):
        case = {name: tight_instance(name, capacities=capacities, profit=profit) for name in ("T1", "T2", "T6", "T7")}
        one, two, six, seven = (case[name] for name in ("T1", "T2", "T6", "T7"))
        assert share(bottom_up(one.instance, capacities, ties="kind"), 1, one.instance, capacities) == one.ratio
        assert share(top_down(two.instance, capacities, ties="kind"), 0, two.instance, capacities) == two.ratio
        best = sum(optimum(six.instance, c).value for c in capacities)
        joint = Fraction(joint_optimum(six.instance, capacities).total) / best
        assert joint == total(Case(six.instance, capacities)) == six.ratio == six.bound
        assert least(Case(seven.instance, capacities)) == seven.ratio
        for tight in case.values():
            assert tight.bound <= tight.ratio <= tight.bound + Fraction(1, profit)


@pytest.mark.parametrize("capacities", PAIRS[:6])
def test_no_nested_pair_is_better_than_t7(capacities):
    """Of all nested pairs none keeps 1.001 rho_k in both stages, and one keeps rho_k. Coq: min_ratio_price."""
    tight = tight_instance("T7", capacities=capacities, profit=1000)
    items, kept = tight.instance, []
    optima = [optimum(items, c).value for c in capacities]
    for levels in product(range(3), repeat=len(items)):
        pair = [[i for i, level in enumerate(levels) if level <= stage] for stage in range(2)]
        if all(items.weight(s) <= c for s, c in zip(pair, capacities, strict=True)):
            kept.append(min(Fraction(items.profit(s)) / best for s, best in zip(pair, optima, strict=True)))
    assert bounds.min_ratio(capacities) <= max(kept) == tight.ratio < bounds.min_ratio(capacities) * PERMILLE


@pytest.mark.parametrize("capacities", PAIRS[:5])
def test_the_family_of_t7_has_the_worst_small_item(capacities):
    """Among all profits of the small item the one of the family makes both orders lose most."""
    for profit in (2, 7, 23):
        tight = tight_instance("T7", capacities=capacities, profit=profit)
        (small, *others), (_, *profits) = tight.instance.weights, tight.instance.profits
        items = [Instance((small, *others), (s, *profits)) for s in range(profit + 1)]
        assert tight.ratio == min(least(Case(instance, capacities)) for instance in items)


@pytest.mark.parametrize("stages", [2, 3, 4, 5])
@pytest.mark.parametrize("granularity", [1, 2, 3])
def test_the_family_of_t3_is_tight(stages, granularity):
    tight = tight_instance("T3", stages=stages, granularity=granularity, profit=1000)
    assert bounds.granularity_of(tight.instance, tight.capacities) == granularity
    chain = bottom_up(tight.instance, tight.capacities)
    assert share(chain, -1, tight.instance, tight.capacities) == tight.ratio
    assert tight.bound == Fraction(granularity * stages, granularity * stages + stages - 1)
    assert tight.bound <= tight.ratio <= tight.bound * PERMILLE


@pytest.mark.parametrize("capacities", PAIRS[:-1])
@pytest.mark.parametrize("error", [Fraction(1, 100), TENTH, Fraction(1, 3)])
def test_the_families_of_t4(capacities, error):
    """Bottom-up the bound is reached; top-down (1 - e)^2 / (2 + (k - 2) e) is the worst that is known."""
    up = tight_instance("T4", capacities=capacities, approximate=error)
    assert worst_grown(Case(up.instance, capacities), error) == up.ratio == up.bound
    down = tight_instance("T4", capacities=capacities, approximate=error, order="top_down")
    k = int(capacities[1] // capacities[0])
    assert worst_shrunk(Case(down.instance, capacities), error) == down.ratio == (1 - error) ** 2 / (2 + (k - 2) * error)
    assert down.bound <= down.ratio


def test_t1_does_not_grow_with_the_smaller_capacity():
    ratios = [bounds.bottom_up_ratio((c1, 12)) for c1 in range(1, 12)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[5] == Fraction(2, 3)  # c1 = 6
    assert set(ratios[6:]) == {Fraction(1, 2)}
    tight = tight_instance("T1", capacities=(7, 12), profit=100)
    assert grown(Case(tight.instance, tight.capacities)) < Fraction(2, 3)


def test_light_items_are_needed():
    """T1 to T7 without "every weight <= c_1": bottom-up falls to 1/M, top-down to 0, and the bounds refuse."""
    heavy = Case(Instance.of((10, 1000), (1, 1)), (5, 10))
    assert grown(heavy) == Fraction(1, 1000)
    assert shrunk(heavy) == 0
    for bound in (bounds.bottom_up_ratio, bounds.top_down_ratio, bounds.granular_ratios, bounds.top_down_ratios,
                  bounds.nesting_ratio, bounds.min_ratio):  # fmt: skip
        with pytest.raises(InvalidArgumentError, match="item 0 is heavier than the smallest capacity"):
            bound(heavy.capacities, instance=heavy.instance)

    for ratio in (grown, shrunk):
        found = look(heavy_cases(), lambda case: ratio(case) < Fraction(1, 10))  # noqa: B023 - called at once
        with pytest.raises(InvalidArgumentError, match="is heavier than the smallest capacity"):
            bounds.bottom_up_ratio(found.capacities, instance=found.instance)
    look(heavy_cases(), lambda case: total(case) < bounds.nesting_ratio(case.capacities))
    look(heavy_cases(), lambda case: least(case) < bounds.min_ratio(case.capacities))


def test_the_granularity_is_needed():
    """T3 with a + 1 in place of a fails; and where an item is heavier than an increment, there is no T3."""
    cases = nested_cases(stages=3, granular=True)

    def finer(case):
        a = bounds.granularity_of(case.instance, case.capacities) + 1
        return bounds.granular_ratios(case.capacities, granularity=a)[-1]

    found = look(cases, lambda case: grown(case) < finer(case))
    assert grown(found) >= bounds.granular_ratios(found.capacities, instance=found.instance)[-1]
    tight = tight_instance("T1", capacities=(5, 6))
    assert grown(Case(tight.instance, tight.capacities)) < bounds.granular_ratios((5, 6))[-1]  # as if a were 1
    with pytest.raises(InvalidArgumentError, match="heavier than an increment"):
        bounds.granular_ratios((5, 6), instance=tight.instance)


def test_an_error_is_a_share_of_what_a_stage_adds():
    """T4 bottom-up: (1 - e) of the whole of a stage, not of what it adds, is not enough."""
    p, keep = 1000, 1 - TENTH
    items = Instance.of((3, keep * p), *[(2, p)] * 3, (2, keep * (keep * p + p) - keep * p))
    stages = ((0,), (0, 4))
    assert items.profit(stages[0]) >= keep * optimum(items, 3).value
    best_superset = keep * p + p
    assert items.profit(stages[1]) == keep * best_superset
    assert items.profit(stages[1]) < bounds.bottom_up_ratio((3, 6), approximate=TENTH) * optimum(items, 6).value


def test_additive_costs_are_needed():
    """The gap: with cost n1 * n2 bottom-up ends at 705 of 1101, below 2/3, and families go to 1/j in both orders."""
    problem, capacities = bilinear_instance("bottom_up")
    answer = solve_nested(problem, capacities, order="bottom_up")
    assert (capacities, answer.widths, answer.values) == ((5, 10), ((5, 1), (5, 2)), (605, 705))
    best = answer.optima[1]
    assert (best.widths, best.value, best.proven_optimal) == ((1, 10), 1101, True)
    assert 3 * 705 < 2 * 1101
    assert sum(solve_nested(problem, capacities, order="joint").values) > sum(answer.values)


@pytest.mark.parametrize("stages", [2, 3, 4])
@pytest.mark.parametrize("order", ["bottom_up", "top_down"])
def test_the_bilinear_families_go_to_one_over_j(order, stages):
    """Top-down 1/j is reached by j = c_N / c_1, however many capacities lie between."""
    units, profit = 100, 100
    problem, capacities = bilinear_instance(order, stages=stages, units=units, profit=profit)
    answer = solve_nested(problem, capacities, order=order)
    lost = -1 if order == "bottom_up" else 0
    value, best = answer.values[lost], answer.optima[lost].value
    assert value == units * (profit + 1) + stages * profit
    assert best == stages * units * profit + profit + 1
    assert Fraction(1, stages) < Fraction(value, best) < Fraction(1, stages) + Fraction(1, 20)
