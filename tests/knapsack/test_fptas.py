"""The approximation scheme: its promise against enumeration in exact arithmetic, how much it really loses, and its words.

Proofs: proofs/complexity.md; Coq: `scaling`, `share_of_gain`, `share_of_loss`, `small_units_suffice`, `few_labels`.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from width_problems import budget_table, limited, random_capacities, random_chain, random_problem

from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.knapsack import Table, WidthProblem, fptas, layered, solve, solve_nested
from reds_jax.knapsack.exact import labels
from reds_jax.testing.width_strategies import width_chains

EPSILONS = [1e-9, 0.001, 0.05, 0.1, 0.3, 0.7, 1.0]


def signed(problem, sign):
    """The same problem with values that are gains (1) or losses (-1)."""
    values = tuple(Table(t.groups, sign * abs(t.array)) for t in problem.values)
    return WidthProblem(problem.groups, problem.widths, values, problem.resources, problem.peaks)


def check(problem, capacities, epsilon):
    """The promise, the bound, and the costs re-evaluated; None if nothing meets the capacities, else the share lost."""
    try:
        best = solve(problem, capacities, method="brute")
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            solve(problem, capacities, method="fptas", epsilon=epsilon)
        return None
    answer = solve(problem, capacities, method="fptas", epsilon=epsilon)
    whole = all(t.whole for t in problem.values)
    optimum, value, bound, share = (Fraction(x) for x in (best.value, answer.value, answer.bound, epsilon))
    rounding = 0 if whole else Fraction(1e-12) * sum(Fraction(float(abs(t.array).max())) for t in problem.values)
    assert value >= optimum - share * abs(optimum) - rounding
    assert value >= bound - share * abs(bound)  # what is promised is what the bound proves
    assert bound >= optimum - rounding
    assert answer.value == problem.evaluate(answer.widths)
    assert not answer.proven_optimal or value >= optimum - rounding
    assert (answer.method, whole) == ("fptas", isinstance(answer.value, int) and isinstance(answer.bound, int))
    for name, limit in capacities.items():
        assert problem.cost(name, answer.widths) <= limit + 1e-9
    return 0 if optimum == 0 else (optimum - value) / abs(optimum)


@given(st.integers(0, 10**6), st.sampled_from([1, -1]), st.booleans(), st.booleans(), st.sampled_from(EPSILONS))
@settings(max_examples=150, deadline=None)
def test_the_promise_on_layered_graphs(seed, sign, floats, peaks, epsilon):
    """Theorem C: gains keep 1 - epsilon, losses are at most 1 + epsilon times the least, whatever graph the tables span."""
    rng = np.random.default_rng(seed)
    problem = signed(random_problem(rng, resources=1, peaks=peaks, floats=floats, residual=seed % 2 == 0), sign)
    check(problem, random_capacities(rng, problem), epsilon)


@given(limited(width_chains()), st.sampled_from(EPSILONS))
@settings(max_examples=80, deadline=None)
def test_the_promise_on_chains(case, epsilon):
    """Sums of scores, and of logarithms, with all but one of the resources unlimited."""
    problem, capacities = case
    check(problem, {n: math.inf if n.startswith("r") else limit for n, limit in capacities.items()}, epsilon)


@pytest.mark.parametrize("epsilon", [0.3, 0.03, 0.003])
@pytest.mark.parametrize("seed", range(4))
def test_the_promise_on_larger_chains(seed, epsilon):
    """Beside a table over budgets, which knows no bound, no rounding and no dominance."""
    problem = random_chain(np.random.default_rng([seed, 9]), [12, 30, 24, 16], top=10**6, shape=["gamma", "flat"][seed % 2])
    capacity = problem.cost("macs", problem.full_widths) // 3
    answer = solve(problem, {"macs": capacity}, method="fptas", epsilon=epsilon)
    optimum = budget_table(problem, capacity)
    assert (1 - Fraction(epsilon)) * optimum <= answer.value <= optimum <= answer.bound
    assert answer.bound * (1 - Fraction(epsilon)) <= answer.value


def test_it_loses_something_on_random_problems():
    """Were it always optimal, the tests above would say little."""
    rng = np.random.default_rng(1)
    lost = []
    for _ in range(150):
        problem = signed(random_problem(rng, resources=1, peaks=False), 1)
        lost.append(check(problem, random_capacities(rng, problem), 0.7) or 0)
    assert sum(share > 0 for share in lost) > 10
    assert max(lost) > 0.05


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=6), st.integers(0, 45), st.booleans())
def test_values_are_rounded_down_exactly(values, power, floats):
    """Floats are an eighth of these, counted in an eighth of the unit."""
    table = np.array(values) / 8 if floats else np.array(values)
    problem = WidthProblem(("a",), (tuple(range(1, len(values) + 1)),), (Table("a", table),))
    counted = fptas.rounded(problem, power - 3 * floats, 10**15)
    assert counted.values[0].array.tolist() == [v // 2**power for v in values]


def tied(groups, quotient, unit):
    """Widths 1 and 2 of each group count alike in this unit, and 2 is worth a unit less 1 more; width 3 fits in no group."""
    values = tuple(Table(g, [quotient * unit, quotient * unit + unit - 1, 0]) for g in range(groups))
    costs = tuple(Table(g, [1, 2, 99]) for g in range(groups))
    return WidthProblem(tuple(f"g{g}" for g in range(groups)), ((1, 2, 3),) * groups, values, {"macs": costs})


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("power", [1, 4, 10])
def test_the_bound_of_a_rounded_problem_cannot_be_lower(groups, power):
    """What T tables lose by rounding to a unit, T (unit - 1), is lost: the bound less 1 is false."""
    problem = tied(groups, 3, 2**power)
    counted = fptas.rounded(problem, power, problem.evaluate((2,) * groups))
    chosen = solve(counted, {"macs": 2 * groups})
    assert chosen.value == 3 * groups
    optimum = solve(problem, {"macs": 2 * groups}, method="brute").value
    assert fptas.upper_bound(chosen.value, power, groups, whole=True) == optimum
    assert optimum - problem.evaluate((1,) * groups) == groups * (2**power - 1)


def test_the_promise_cannot_be_one_percent_better():
    """An answer of the scheme whose loss is over 0.99 epsilon OPT, and a rounding twice as coarse would break the promise."""
    unit, groups = 2**10, 4
    problem = tied(groups, 3, unit)
    best = problem.evaluate((2,) * groups)
    epsilon = float(Fraction(unit * groups, best)) * (1 + 1e-12)
    answer = solve(problem, {"macs": 2 * groups}, method="fptas", epsilon=epsilon)
    share, optimum = Fraction(epsilon), solve(problem, {"macs": 2 * groups}, method="brute").value
    assert optimum == best
    assert (1 - share) * optimum <= answer.value < (1 - Fraction(99, 100) * share) * optimum
    coarse = tied(groups, 1, 2 * unit)  # the same optimum
    assert coarse.evaluate((2,) * groups) == best
    chosen = solve(fptas.rounded(coarse, 11, coarse.evaluate((2,) * groups)), {"macs": 2 * groups}).widths
    assert coarse.evaluate(chosen) < (1 - share) * best


def subset_sum(numbers):
    """proofs/complexity.md, statement A: every number twice as the positions of a map, widths 1 and 2."""
    scores = [s for a in numbers for s in ((a, a), (0, 0))]
    factors = [a for a in numbers for _ in range(2)]
    return WidthProblem.chain(scores=scores, pair_macs=factors, unit_macs=[0] * len(factors))


def most_labels(monkeypatch, solving):
    """The most labels that stay at a state after dominance."""
    most = 0
    plain = labels.undominated

    def counting(node, value, cost, upper):
        nonlocal most
        kept = plain(node, value, cost, upper)
        most = max(most, int(np.unique(node[kept], return_counts=True)[1].max(initial=0)))
        return kept

    monkeypatch.setattr(labels, "undominated", counting)
    solving()
    return most


def test_few_labels_stay_at_a_state(monkeypatch):
    """Exactly: about as many as subsets. Rounded: at most one for each value from 0 to 2 T / epsilon."""
    numbers = [int(a) for a in np.random.default_rng(0).integers(10**10, 10**11, size=14)]
    problem, epsilon = subset_sum(numbers), 0.2
    capacity = {"macs": 3 * sum(numbers)}
    exactly = most_labels(monkeypatch, lambda: solve(problem, capacity))
    monkeypatch.undo()
    few = most_labels(monkeypatch, lambda: solve(problem, capacity, method="fptas", epsilon=epsilon))
    assert few <= 2 * len(problem.values) / epsilon + 1
    assert exactly > 4 * few


def test_values_of_very_different_sizes():
    """Floats from the smallest to nearly the largest, where a unit of the first round counts nothing of the optimum."""
    large, tiny = 1e300, [5e-324, 1e-300, 3e-200, 7e-200]
    for allowed, best in ((1, 5e-324), (4, 7e-200)):
        macs = {"macs": (Table("a", [1, 2, 3, 4, 9]),)}
        problem = WidthProblem(("a",), ((1, 2, 3, 4, 5),), (Table("a", [*tiny, large]),), macs)
        assert solve(problem, {"macs": allowed}, method="fptas", epsilon=0.5).value == best
        assert check(signed(problem, -1), {"macs": allowed}, 0.5) == 0
    for sign in (1, -1):
        mixed = WidthProblem(("a", "b"), ((1, 2), (1, 2)), (Table("a", [0, 10**18]), Table("b", [0.0, 0.5])),
                             {"macs": (Table(("a", "b"), [[1, 2], [5, 9]]),)})  # fmt: skip
        for limit in (1, 2, 5, 9):
            check(signed(mixed, sign), {"macs": limit}, 1e-9)


def test_nothing_to_gain():
    nothing = WidthProblem(("a",), ((1, 2),), (), {"macs": (Table("a", [3, 5]),)})
    zeros = WidthProblem(("a", "b"), ((1, 2),) * 2, (Table("a", [0.0, 0.0]),), {"macs": (Table(("a", "b"), [[1, 2], [2, 4]]),)})
    lossless = WidthProblem(("a",), ((1, 2, 3),), (Table("a", [-0.5, 0.0, -2.0]),), {"macs": (Table("a", [1, 2, 5]),)})
    for problem in (nothing, zeros, lossless):
        answer = solve(problem, {"macs": 3}, method="fptas", epsilon=0.1)
        assert (answer.value, answer.bound, answer.proven_optimal) == (0, 0, True)


def test_a_small_epsilon_of_integers_is_exact():
    problem = random_chain(np.random.default_rng(2), [9, 9, 9], top=100)
    capacity = {"macs": problem.cost("macs", problem.full_widths) // 2}
    answer = solve(problem, capacity, method="fptas", epsilon=1e-9)
    assert answer.proven_optimal
    assert answer.value == answer.bound == solve(problem, capacity).value


def test_a_time_limit_leaves_an_honest_bound():
    problem = random_chain(np.random.default_rng(5), [40] * 6, top=10**6, shape="flat")
    capacity = {"macs": problem.cost("macs", problem.full_widths) // 4}
    best = solve(problem, capacity).value
    try:
        answer = solve(problem, capacity, method="fptas", epsilon=0.01, time_limit=1e-9)
    except TimeoutError:
        return
    assert answer.value <= best <= answer.bound


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"epsilon": None}, 'epsilon belongs to the approximation scheme, which needs it; got (\'fptas\', None)'),
        ({"method": "exact"}, "epsilon belongs to the approximation scheme"),
        ({"epsilon": 0}, "epsilon is out of range; got 0; allowed: a number from 1e-09 to 1"),
        ({"epsilon": 1.5}, "epsilon is out of range; got 1.5"),
        ({"epsilon": "much"}, "epsilon is not a number; got 'much'"),
        ({"epsilon": math.nan}, "epsilon"),
        ({"capacities": {"macs": 50, "bytes": 50}}, "one limited resource; got ['macs', 'bytes']; allowed: one resource"),
        ({"values": (Table(0, [1, 2, 3]), Table(1, [-1, 0, 1]))}, "values of both signs may cancel; got (-1, 3)"),
        ({"constraints": lambda *_: []}, "extra constraints need the MILP"),
        ({"time_limit": 0}, "time limit is not a positive number"),
    ],
)
def test_errors_say_what_was_given_and_what_is_allowed(arguments, text):
    pair = Table((0, 1), np.outer([1, 2, 3], [1, 2, 3]))
    values = arguments.pop("values", (Table(0, [1, 2, 3]), Table(1, [1, 2, 3])))
    problem = WidthProblem(("a", "b"), ((1, 2, 3),) * 2, values, {"macs": (pair,), "bytes": (pair,)})
    capacities = arguments.pop("capacities", {"macs": 5, "bytes": math.inf})
    with pytest.raises(InvalidArgumentError) as caught:
        solve(problem, capacities, **{"method": "fptas", "epsilon": 0.1, **arguments})
    assert text in str(caught.value)


def test_too_many_arcs_are_an_error(monkeypatch):
    monkeypatch.setattr(layered, "MAX_ARCS", 20)
    problem = random_chain(np.random.default_rng(0), [5, 5], top=9)
    with pytest.raises(InvalidArgumentError, match="too many for the exact solver"):
        solve(problem, {"macs": 20}, method="fptas", epsilon=0.1)


def test_nested_widths_need_a_method_without_epsilon():
    problem = random_chain(np.random.default_rng(0), [5, 5], top=9)
    with pytest.raises(InvalidArgumentError, match="epsilon belongs to"):
        solve_nested(problem, [20, 30], method="fptas")
