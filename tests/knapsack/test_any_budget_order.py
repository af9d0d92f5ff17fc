"""One list of widths for every budget: what it must be, and what it keeps."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.knapsack import Table, WidthProblem, any_budget_order, ces, solve, solve_nested
from reds_jax.testing.width_strategies import width_chains
from reds_jax.theory import bilinear_instance


def many(n):
    return settings(max_examples=n, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)


def tapered(value="ces"):
    """Three groups of 8, 12 and 10 units with a floor of 2, MACs and weights of neighbours, and a peak."""
    scores = [np.array([2.0 ** (-k / (3 + g)) for k in range(u)]) for g, u in enumerate((8, 12, 10))]
    return WidthProblem.chain(
        scores=scores, pair_macs=[0, 40, 20], unit_macs=[90, 5, 7], value=value, min_width=2, step=2,
        resources={"weight_bytes": ([0, 3, 1], [9, 4, 4])}, peaks={"peak_bytes": ([20, 9, 4], [9, 4, 1])},
    )  # fmt: skip


def budgets_of(problem, *shares):
    """Of the way from the smallest to the full widths, in every resource."""
    low, full = problem.costs(problem.smallest_widths), problem.costs(problem.full_widths)
    return [{n: low[n] + share * (full[n] - low[n]) for n in full} for share in shares]


@many(40)
@given(width_chains(kernels=False), st.integers(0, 4), st.data())
def test_the_list_is_a_walk_and_every_budget_takes_the_last_row_that_fits(problem, anchors, data):
    order = any_budget_order(problem, anchors=anchors)
    rows = [tuple(r) for r in order.rows.tolist()]
    assert rows[0] == problem.smallest_widths
    assert rows[-1] == problem.full_widths
    assert len(rows) == 1 + sum(len(w) - 1 for w in problem.widths)
    for before, after in pairwise(rows):
        assert sorted(np.subtract(problem.index(after), problem.index(before))) == [0] * (len(before) - 1) + [1]
    names = (*problem.resources, *problem.peaks)
    assert {n: order.costs[n].tolist() for n in names} == {n: [problem.cost(n, r) for r in rows] for n in names}
    limits = {n: data.draw(st.integers(int(order.costs[n][0]), int(order.costs[n][-1]) + 1)) for n in names}
    fitting = [r for r in rows if all(problem.cost(n, r) <= limit for n, limit in limits.items())]
    assert rows.index(order.widths(limits)) == order.row(limits) == len(fitting) - 1


@pytest.mark.parametrize("value", ["ces", "log_retention", "sum"])
def test_it_passes_through_the_nested_widths(value):
    problem = tapered(value)
    budgets = budgets_of(problem, 0.2, 0.5, 0.8)
    order = any_budget_order(problem, budgets=budgets)
    rows = [tuple(r) for r in order.rows.tolist()]
    for widths, budget in zip(solve_nested(problem, budgets).widths, budgets, strict=True):
        assert widths in rows
        assert problem.evaluate(order.widths(budget)) >= problem.evaluate(widths)


def test_between_two_it_takes_the_best_value_per_cost():
    problem = WidthProblem.chain(scores=[[9, 5, 1], [7, 4, 3]], pair_macs=[0, 0], unit_macs=[2, 1])  # 5/2 < 3 < 4 < 5
    assert any_budget_order(problem, anchors=0).rows.tolist() == [[1, 1], [1, 2], [1, 3], [2, 3], [3, 3]]
    free = WidthProblem.chain(scores=[[9, 1], [7, 4, 3]], pair_macs=[0, 0], unit_macs=[0, 1])
    assert any_budget_order(free, anchors=0).rows.tolist() == [[1, 1], [2, 1], [2, 2], [2, 3]]


def test_of_several_resources_every_one_counts_by_its_share():
    """The second group costs nothing of what is plentiful, and all of what is scarce."""
    table = lambda group, *cost: Table(group, list(cost))  # noqa: E731
    values = (table("a", 0, 10), table("b", 0, 11))
    costs = {"macs": (table("a", 0, 500), table("b", 0, 1500)), "bytes": (table("a", 0, 1), table("b", 0, 3))}
    for names in (["macs"], ["bytes"], ["macs", "bytes"]):
        problem = WidthProblem(("a", "b"), ((1, 2), (1, 2)), values, {n: costs[n] for n in names})
        assert any_budget_order(problem, anchors=0).rows.tolist() == [[1, 1], [2, 1], [2, 2]]
    costs["bytes"] = (table("a", 0, 9), table("b", 0, 1))
    problem = WidthProblem(("a", "b"), ((1, 2), (1, 2)), values, costs)
    assert any_budget_order(problem, anchors=0).rows.tolist() == [[1, 1], [1, 2], [2, 2]]


@pytest.mark.parametrize("value", ["ces", "log_retention", "sum"])
def test_certificates_are_ratios_to_the_optimum(value):
    problem = tapered(value)
    budgets = budgets_of(problem, 0.9, 0.0, 0.4, 0.2)
    order = any_budget_order(problem, anchors=3)
    found = order.certificates(budgets)
    assert found[0] == 1.0
    assert max(found) <= 1.0
    for ratio, budget in zip(found, sorted(budgets, key=lambda b: b["macs"]), strict=True):
        value_here, best = problem.evaluate(order.widths(budget)), solve(problem, budget).value
        assert (ratio == 1.0) == (value_here == best)
        if value == "sum":
            assert ratio == pytest.approx(value_here / best)
        else:
            kept = {"log_retention": np.exp, "ces": lambda v: (1 - 2 * v) ** -0.5}[value]
            assert ratio == pytest.approx(kept(value_here / 3) / kept(best / 3))


def test_anchors_are_worth_it_where_costs_are_products():
    """The instance of proofs/the_gap.md: step by step it widens the first layer, and keeps 705 of 1101 at 10."""
    problem, (_, large) = bilinear_instance("bottom_up")
    assert any_budget_order(problem, anchors=0).certificates([large]) == (705 / 1101,)
    anchored = any_budget_order(problem, budgets=[large])
    assert anchored.certificates([large]) == (1.0,)
    assert anchored.widths(large) == (1, 10)


def test_zero_gamma_free_and_unlimited_problems():
    free = WidthProblem(("a",), ((1, 2, 3),), (Table("a", ces([3, 2, 1])),))
    order = any_budget_order(free)
    assert order.rows.tolist() == [[1], [2], [3]]
    assert order.widths({}) == (3,)
    problem = tapered()
    assert any_budget_order(problem, anchors=0).widths({"macs": np.inf}) == problem.full_widths


def test_errors():
    problem = tapered()
    order = any_budget_order(problem, anchors=0)
    with pytest.raises(InfeasibleError, match="not even the smallest widths meet the capacity of 'macs'") as caught:
        order.widths({"macs": 1})
    assert caught.value.resource == "macs"
    assert caught.value.smallest == problem.cost("macs", problem.smallest_widths)
    with pytest.raises(InvalidArgumentError, match="no such resource"):
        order.widths({"seconds": 1})
    with pytest.raises(InvalidArgumentError, match="anchors is not a number"):
        any_budget_order(problem, anchors=-1)
    with pytest.raises(InvalidArgumentError, match="anchors is not a number"):
        any_budget_order(problem, anchors=True)
    falls = WidthProblem(("a",), ((1, 2),), (Table("a", [0, 1]),), {"macs": (Table("a", [2, 1]),)})
    with pytest.raises(InvalidArgumentError, match="falls somewhere"):
        any_budget_order(falls)
