"""T1 to T7: chains are nested, feasible, stage-optimal and keep what `reds_jax.theory.bounds` promises, exactly.

Every tie is broken against us ("adversarial"), so a stage j is checked on the chain that ends (bottom-up) or starts
(top-down) with it. The twins, in which a slightly larger bound fails, are in test_bounds_are_sharp.py.
"""

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import Table, WidthProblem, solve, solve_nested
from reds_jax.testing.knapsack_strategies import capacities_for, check_nested_guarantee, knapsack_instances, nested_cases
from reds_jax.theory import (
    Chain,
    Instance,
    best_of_both,
    bottom_up,
    bounds,
    certificate,
    every_chain,
    joint_optimum,
    optimal_sets,
    optimum,
    tight_instance,
    top_down,
)

ERRORS = st.sampled_from([Fraction(1, 100), Fraction(1, 10), Fraction(1, 4), Fraction(1, 2)])


def many(n):
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=n, deadline=None, suppress_health_check=slow, print_blob=True)


def optima(instance, capacities):
    return [optimum(instance, c).value for c in capacities]


@many(150)
@given(nested_cases())
def test_t1(case):
    """T1: (k + 1) p(A_2) >= k OPT(c_2)."""
    k = int(case.capacities[1] // case.capacities[0])
    assert bounds.bottom_up_ratio(case.capacities, instance=case.instance) == Fraction(k, k + 1)
    chain = bottom_up(*case, ties="adversarial")
    assert (k + 1) * chain.values[1] >= k * optimum(case.instance, case.capacities[1]).value
    assert chain.values[0] == optimum(case.instance, case.capacities[0]).value


@many(150)
@given(nested_cases())
def test_t2(case):
    """T2: 2 p(D_1) >= OPT(c_1)."""
    assert bounds.top_down_ratio(case.capacities, instance=case.instance) == Fraction(1, 2)
    chain = top_down(*case, ties="adversarial")
    assert 2 * chain.values[0] >= optimum(case.instance, case.capacities[0]).value
    assert chain.values[1] == optimum(case.instance, case.capacities[1]).value


@many(100)
@given(st.integers(2, 4).flatmap(lambda n: nested_cases(stages=n, granular=True)))
def test_t3(case):
    """T3: (a j + j - 1) p(A_j) >= a j OPT(c_j), for every stage j."""
    ratios = bounds.granular_ratios(case.capacities, instance=case.instance)
    for j in range(1, len(case.capacities) + 1):
        limits = case.capacities[:j]
        a = bounds.granularity_of(case.instance, limits)
        steps = [c - before for before, c in zip((0, *limits), limits, strict=False)]
        heaviest = max(case.instance.weights, default=0)
        assert a >= 1
        assert all(a * heaviest <= step for step in steps)
        assert not heaviest or any((a + 1) * heaviest > step for step in steps)
        assert ratios[j - 1] == Fraction(a * j, a * j + j - 1)
        value = bottom_up(case.instance, limits, ties="adversarial").values[-1]
        assert (a * j + j - 1) * value >= a * j * optimum(case.instance, limits[-1]).value


@many(60)
@given(nested_cases(), ERRORS)
def test_t4(case, error):
    """T4: stages within 1 - e keep (1 - e) k / (k + 1) bottom-up, (1 - e)^2 / (2 (1 - e) + M e) top-down."""
    small, large = optima(*case)
    up = bottom_up(*case, ties="adversarial", approximate=error)
    k = int(case.capacities[1] // case.capacities[0])
    assert (k + 1) * up.values[1] >= (1 - error) * k * large
    down = top_down(*case, ties="adversarial", approximate=error)
    pieces = bounds.pieces(*case.capacities)
    assert large <= pieces * small
    assert (2 * (1 - error) + pieces * error) * down.values[0] >= (1 - error) ** 2 * small
    assert down.values[0] >= bounds.top_down_ratio(case.capacities, approximate=error) * small


@many(300)
@given(st.fractions(0, 1).filter(lambda e: e < 1), st.integers(1, 40), st.integers(1, 400))
def test_the_two_forms_of_t4(error, c1, more):
    """(1 - e)^2 / (2 (1 - e) + M e) is never less than (1 - e) (1 - M e) / 2, and equal only for e = 0; it is never 0."""
    m = bounds.pieces(c1, c1 + more)
    sharp = bounds.top_down_ratio((c1, c1 + more), approximate=error)
    assert sharp == (1 - error) ** 2 / (2 * (1 - error) + m * error)
    simple = (1 - error) * (1 - m * error) / 2
    assert 2 * (2 * (1 - error) + m * error) * (sharp - simple) == (1 - error) * m * error * (1 + (m - 2) * error)
    assert sharp >= max(simple, 0)
    assert sharp > 0
    assert (sharp == simple) == (error == 0)


@many(40)
@given(nested_cases(stages=3, granular=True), ERRORS)
def test_t4_in_three_stages(case, error):
    """T4 with T3: every stage within 1 - e keeps (1 - e) a j / (a j + j - 1)."""
    ratios = bounds.granular_ratios(case.capacities, instance=case.instance, approximate=error)
    if len(case.instance) <= 8:
        value = bottom_up(*case, ties="adversarial", approximate=error).values[-1]
        assert value >= ratios[-1] * optimum(case.instance, case.capacities[-1]).value


@many(100)
@given(st.integers(2, 5).flatmap(lambda n: nested_cases(stages=n)))
def test_t5(case):
    """T5: (N - i + 1) p(D_i) >= OPT(c_i), for every stage i and any capacities. Coq: top_down_stages_exact."""
    ratios = bounds.top_down_ratios(case.capacities, instance=case.instance)
    ties = "adversarial" if len(case.instance) <= 9 else "first"  # alike items have too many sets to look at each
    for i, best in enumerate(optima(*case)):
        stages = len(case.capacities) - i
        assert ratios[i] == Fraction(1, stages)
        assert stages * top_down(case.instance, case.capacities[i:], ties=ties).values[0] >= best


@many(60)
@given(st.integers(2, 4).flatmap(lambda n: nested_cases(stages=n)), st.one_of(st.just(Fraction(1, 1000)), ERRORS))
def test_t4_in_several_stages_down(case, error):
    """T4 with T5: t = 1 - e keeps t (t - e (M_3 + ... + M_N)) / (N t + e M_2) of OPT(c_1). Coq: top_down_stages_near."""
    if len(case.instance) > 7:
        return
    for i, best in enumerate(optima(*case)):
        limits, keep = case.capacities[i:], 1 - error
        value = top_down(case.instance, limits, ties="adversarial", approximate=error).values[0]
        many_times = [2 * -(-c // limits[0]) - 1 for c in limits[1:]]
        lost, first = error * sum(many_times[1:]), error * sum(many_times[:1])
        assert (len(limits) * keep + first) * value >= keep * (keep - lost) * best
        ratio = bounds.top_down_ratios(case.capacities, approximate=error)[i]
        assert ratio == max(keep * (keep - lost) / (len(limits) * keep + first), 0)
        assert value >= ratio * best


@many(200)
@given(st.fractions(0, 1).filter(lambda e: e < 1), st.integers(1, 40), st.integers(1, 400))
def test_the_several_stages_of_t4_agree_with_two(error, c1, more):
    assert bounds.top_down_ratios((c1, c1 + more), approximate=error) == (
        bounds.top_down_ratio((c1, c1 + more), approximate=error), 1 - error)  # fmt: skip


@many(150)
@given(nested_cases())
def test_t6(case):
    """T6: (2k + 5) max(p(A_1) + p(A_2), p(D_1) + p(D_2)) >= (2k + 4) (OPT(c_1) + OPT(c_2))."""
    k = int(case.capacities[1] // case.capacities[0])
    assert bounds.nesting_ratio(case.capacities, instance=case.instance) == Fraction(2 * k + 4, 2 * k + 5)
    assert (2 * k + 5) * best_of_both(*case, ties="adversarial").total >= (2 * k + 4) * sum(optima(*case))


@many(150)
@given(nested_cases())
def test_t7(case):
    """T7: the least ratio r of the better order has (k + 1) r^2 - (k - 1) r - 1 >= 0, which is r >= rho_k."""
    k = int(case.capacities[1] // case.capacities[0])
    chain = best_of_both(*case, by="min_ratio", ties="adversarial")
    ratio = min((Fraction(v) / o for v, o in zip(chain.values, optima(*case), strict=True) if o), default=Fraction(1))
    p, q = ratio.numerator, ratio.denominator
    keeps = (k + 1) * p * p - (k - 1) * p * q - q * q >= 0
    assert keeps
    assert (ratio >= bounds.min_ratio(case.capacities, instance=case.instance)) == keeps


@many(60)
@given(st.integers(1, 3).flatmap(lambda n: nested_cases(stages=n)), st.booleans())
def test_chains_are_stage_optimal_whatever_the_ties(case, fractions):
    """Every stage is optimal given the stage before it; "kind" and "adversarial" are the best and the worst chain."""
    instance, limits = case
    if fractions:
        instance = Instance(tuple(Fraction(w, 7) for w in instance.weights), tuple(Fraction(p, 3) for p in instance.profits))
        limits = tuple(Fraction(c, 7) for c in limits)
    for order, run in (("bottom_up", bottom_up), ("top_down", top_down)):
        found = {ties: run(instance, limits, ties=ties) for ties in ("first", "kind", "adversarial")}
        for chain in found.values():
            for a, b in zip(chain.sets, chain.sets[1:], strict=False):
                assert set(a) <= set(b)
            assert all(w <= c for w, c in zip(chain.weights, limits, strict=True))
            shown = certificate(instance, chain)
            assert (shown.bottom_up_error if order == "bottom_up" else shown.top_down_error) == 0
        if len(instance) <= 5:
            rank = (lambda chain: chain.values[::-1]) if order == "bottom_up" else (lambda chain: chain.values)
            ranks = [rank(chain) for chain in every_chain(instance, limits, order)]
            assert rank(found["kind"]) == max(ranks)
            assert rank(found["adversarial"]) == min(ranks)
            assert min(ranks) <= rank(found["first"]) <= max(ranks)


@many(60)
@given(st.data(), st.integers(1, 3), st.booleans())
def test_the_joint_optimum_is_that_of_enumeration(data, stages, fractions):
    instance = data.draw(knapsack_instances(max_items=5, fractions=fractions))
    limits = data.draw(capacities_for(instance, stages=stages))
    best = 0
    for code in range((stages + 1) ** len(instance)):
        levels = [code // (stages + 1) ** i % (stages + 1) for i in range(len(instance))]
        sets = [[i for i, level in enumerate(levels) if level <= s] for s in range(stages)]
        if all(instance.weight(s) <= c for s, c in zip(sets, limits, strict=True)):
            best = max(best, sum(instance.profit(s) for s in sets))
    assert joint_optimum(instance, limits).total == best


@pytest.mark.parametrize(("weights", "profits", "capacities", "orders", "joint"), [
    ((5, 9, 7, 5, 3, 8), (2, 7, 8, 8, 4, 7), (11, 13), 24, 26),
    ((2, 4, 2, 8, 4, 8), (10, 7, 10, 6, 2, 8), (8, 15, 19), 85, 89),
    ((2, 1, 1, 8, 9, 9), (8, 5, 2, 8, 5, 11), (9, 11, 12), 54, 57),
    ((3, 9, 2, 8, 6, 9), (6, 9, 11, 9, 4, 6), (9, 11, 16), 59, 60),
    ((4, 6, 8, 9, 5, 9), (3, 7, 2, 11, 12, 3), (12, 18, 20), 65, 68),
    ((7, 9, 5, 5, 1, 3), (2, 10, 8, 11, 1, 1), (9, 11, 16), 47, 53),
])  # fmt: skip
def test_the_joint_optimum_can_beat_both_orders(weights, profits, capacities, orders, joint):
    """Values from enumeration; among uniform instances about one in forty is like this."""
    instance = Instance(weights, profits)
    assert best_of_both(instance, capacities).total == orders
    chain = joint_optimum(instance, capacities)
    assert chain.total == joint


@many(60)
@given(st.integers(1, 4).flatmap(lambda n: nested_cases(stages=n)), st.data())
def test_certificates(case, data):
    """What a certificate promises is reached: for chains of both orders, and for any chain at all."""
    levels = data.draw(st.lists(st.integers(0, len(case.capacities)), min_size=len(case.instance), max_size=len(case.instance)))
    sets, inner = [], set()
    for s, limit in enumerate(case.capacities):
        for i, level in enumerate(levels):
            if level <= s and i not in inner and case.instance.weight({*inner, i}) <= limit:
                inner.add(i)
        sets.append(frozenset(inner))
    for chain in (bottom_up(*case), top_down(*case), Chain(*case, sets=tuple(sets))):
        shown = certificate(case.instance, chain)
        assert shown.ratios == tuple(
            Fraction(v) / o if o else 1 for v, o in zip(chain.values, optima(*case), strict=True)
        )  # fmt: skip
        assert all(ratio >= promise >= 0 for ratio, promise in zip(shown.ratios, shown.guarantees, strict=True))
        assert 0 <= shown.total_ratio <= 1
        assert len(str(shown).splitlines()) == len(case.capacities) + 1
    grown = certificate(case.instance, bottom_up(*case))
    assert grown.bottom_up_error == 0
    assert grown.guarantees[0] == 1
    if len(case.capacities) > 1:
        assert grown.guarantees[1] >= bounds.bottom_up_ratio(case.capacities[:2])


def test_a_certificate_names_the_theorem():
    """The paper's quarter steps: 1, 2/3, 3/5, 4/7; units of 1 % of the cost: 100/103; steps too small: M."""
    tight = tight_instance("T3", stages=4, granularity=25)
    shown = certificate(tight.instance, bottom_up(tight.instance, tight.capacities))
    assert shown.granularity == 25
    assert (shown.guarantees[-1], shown.theorems[-1], shown.order) == (Fraction(100, 103), "T3", "bottom_up")
    assert shown.ratios[-1] == tight.ratio
    quarters = tight_instance("T3", stages=4)
    promised = certificate(quarters.instance, bottom_up(quarters.instance, quarters.capacities)).guarantees
    assert promised == (1, Fraction(2, 3), Fraction(3, 5), Fraction(4, 7))
    steps = certificate(Instance.of((25, 11), (15, 10), (15, 10)), [[0], [0], [0, 1, 2]], (25, 30, 60))
    assert steps.granularity == 0
    assert steps.theorems == ("T3", "T1", "M")
    assert steps.guarantees == (1, Fraction(1, 2), Fraction(1, 5))
    coarse = Instance((25,) * 5, (5, 4, 3, 2, 1))
    shrunk = certificate(coarse, [[1], [1, 2], [0, 1, 2, 3, 4]], (25, 70, 125))
    assert shrunk.order == "top_down"
    assert shrunk.top_down_error == Fraction(2, 9)
    assert shrunk.guarantees == (0, Fraction(49, 180), Fraction(7, 9))  # T4 for 70 and 125, e = 2/9, M = 3
    assert shrunk.theorems == ("-", "T4", "T4")


def test_a_certificate_needs_what_the_theorems_need():
    heavy = Instance.of((10, 1000), (1, 1))
    with pytest.raises(InvalidArgumentError, match="item 0 is heavier than the smallest capacity; got 10; allowed: .* 5"):
        certificate(heavy, [[1], [1]], (5, 10))
    with pytest.raises(InvalidArgumentError, match="does not contain"):
        certificate(Instance.of((1, 1), (1, 1)), [[0], [1]], (1, 2))
    with pytest.raises(InvalidArgumentError, match="capacities are missing"):
        certificate(Instance.of((1, 1)), [[0]])
    chain = Chain(Instance.of((1, 1)), (1, 2), ((0,), (0,)))
    with pytest.raises(InvalidArgumentError, match="another instance"):
        certificate(Instance.of((1, 2)), chain)


@many(40)
@given(st.data())
def test_prefixes_with_additive_costs_are_the_classic_knapsack(data):
    """Units of a layer cost the same and are sorted: the prefix constraint costs nothing, and T1, T2 hold for widths."""
    layers = data.draw(st.lists(st.tuples(st.integers(1, 5), st.lists(st.integers(1, 9), min_size=1, max_size=3)),
                                min_size=1, max_size=2))  # fmt: skip
    layers = [(cost, sorted(scores, reverse=True)) for cost, scores in layers]
    instance = Instance.of(*[(cost, score) for cost, scores in layers for score in scores])
    c1, c2 = data.draw(capacities_for(instance))
    problem = WidthProblem(  # width n keeps n - 1 units, as widths start at 1
        tuple(f"layer{i}" for i in range(len(layers))),
        tuple(tuple(range(1, len(scores) + 2)) for _, scores in layers),
        tuple(Table(i, [sum(scores[:n]) for n in range(len(scores) + 1)]) for i, (_, scores) in enumerate(layers)),
        {"macs": tuple(Table(i, [cost * n for n in range(len(scores) + 1)]) for i, (cost, scores) in enumerate(layers))},
    )
    best = [optimum(instance, c).value for c in (c1, c2)]
    assert [solve(problem, {"macs": c}).value for c in (c1, c2)] == best
    grown, shrunk = (solve_nested(problem, (c1, c2), order=order) for order in ("bottom_up", "top_down"))
    k = c2 // c1
    assert (k + 1) * grown.values[1] >= k * best[1]
    assert 2 * shrunk.values[0] >= best[0]
    assert any(set(grown.values) == set(chain.values) for chain in every_chain(instance, (c1, c2), "bottom_up"))


@many(40)
@given(nested_cases())
def test_every_set_that_a_stage_may_return_is_looked_at(case):
    """The optimal sets of all methods are those of enumeration, on near-tight instances, too."""
    expected = sorted(optimal_sets(case.instance, case.capacities[1], method="enumeration"))
    assert sorted(optimal_sets(case.instance, case.capacities[1], method="states")) == expected
    check_nested_guarantee(joint_optimum(*case), *case, promise="total")
