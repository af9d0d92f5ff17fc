"""The questions of the class: where each stands in the notebooks, the form of its answer, and a check that computes.

No answer is written here: every check computes with the library what is asked, and says what to think about when it differs.
Needs ``reds_jax.theory`` and NumPy, no jax.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement, permutations, product
from typing import Any

from reds_jax.theory import Instance, Number, bottom_up, every_chain, joint_optimum, optimum, top_down

SORTED, KNAPSACK, GAP = "why_a_network_can_be_sorted", "the_nested_knapsack", "what_the_theorem_does_not_say"


class WrongAnswer(Exception):
    """What to think about."""


@dataclass(frozen=True)
class Question:
    """One question.

    Args:
        notebook, exercise: where it stands.
        form: Python text with ``...`` where the student writes.
        check: takes the names of ``form`` in their order; raises `WrongAnswer` with a hint.
    """

    notebook: str
    exercise: int
    form: str
    check: Callable[..., None]

    @property
    def names(self) -> list[str]:
        """The names that the student gives a value."""
        code = compile(self.form, "form", "exec")
        return list(dict.fromkeys(code.co_names))


def need(true: Any, hint: str) -> None:
    if not true:
        raise WrongAnswer(hint)


def number(x: Any) -> Fraction:
    need(isinstance(x, (int, Fraction)) and not isinstance(x, bool), "give whole numbers or Fractions, not floats or text")
    return Fraction(x)


# -- why a network can be sorted ----------------------------------------------------------------------------------------


def count(orders: Any) -> None:
    found = sum(1 for _ in product(permutations(range(3)), permutations(range(2))))
    need(number(orders) != 3 + 2 and number(orders) != 120, "each layer has its own order, and they are chosen independently")
    need(number(orders) == found, "how many orders has a layer of 3 units? And one of 2? Both are chosen")


def early_mask(harmless: Any) -> None:
    need(isinstance(harmless, (set, frozenset)), "give a set of whole numbers")
    for beta in range(-3, 4):
        needed = max(beta, 0) == 0
        need((beta in harmless) == needed, f"what does a dropped unit add with beta = {beta}? It computes relu(beta)")
    need(len(harmless) == len(harmless & set(range(-3, 4))), "only the numbers from -3 to 3 are asked for")


def normalisation(normalise: Any) -> None:
    need(callable(normalise), "give a function of a list of numbers")
    rng = random.Random(0)
    alone = True
    for _ in range(30):
        x = [Fraction(rng.randint(-9, 9)) for _ in range(5)]
        full = normalise(x)
        need(len(full) == len(x), "as many numbers come out as go in")
        need(normalise(x[::-1]) == full[::-1], "(a) another order of the channels must give the same numbers in that order")
        need(normalise(x[:3] + [Fraction(0)] * 2)[:3] == normalise(x[:3]),
             "(b) a zero must count as little as a channel that is not there: a mean divides by how many there are")
        alone &= normalise([x[0]])[0] == full[0]
    need(not alone, "(c) it must look at the other channels too")


# -- the nested knapsack ------------------------------------------------------------------------------------------------


def by_hand(optima: Any, bottom_up_values: Any, top_down_values: Any, best_total: Any) -> None:
    items, capacities = Instance.of((4, 7), (3, 5), (3, 5), (2, 3)), (4, 8)
    right = tuple(optimum(items, c).value for c in capacities)
    up, down = bottom_up(items, capacities).values, top_down(items, capacities).values
    need(tuple(optima) == right, "optima: write down every set that fits, with its profit; three light items may fit 8")
    need(tuple(bottom_up_values) != right, "bottom-up: the set at 8 must contain the one at 4")
    need(tuple(bottom_up_values) == up, "bottom-up: take the optimum at 4, then the best that fits beside it")
    need(tuple(top_down_values) == down, "top-down: take the optimum at 8, then the best part of it that fits 4")
    need(number(best_total) != sum(right), "the two optima are not nested, so their sum is not reached")
    need(number(best_total) == joint_optimum(items, capacities).total, "add both values of a nested pair; try all pairs")


def instance_and_capacities(answer: Any) -> tuple[Instance, tuple[int, ...]]:
    need(isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Instance),
         "give a pair: Instance.of((weight, profit), ...), (c1, c2)")
    return answer


def assumption(bad_for_bottom_up: Any, bad_for_top_down: Any) -> None:
    items, capacities = instance_and_capacities(bad_for_bottom_up)
    share = Fraction(bottom_up(items, capacities).values[1]) / optimum(items, capacities[1]).value
    need(max(items.weights) > capacities[0], "bottom-up: every item fits c1 here, and then a theorem protects you")
    need(share < Fraction(1, 1000), f"bottom-up keeps {share} of the optimum: make what is shut out dearer")
    items, capacities = instance_and_capacities(bad_for_top_down)
    need(optimum(items, capacities[0]).value > 0, "top-down: something must fit c1, or there is nothing to lose")
    need(top_down(items, capacities).values[0] == 0, "top-down: the optimum at c2 must have no part that fits c1")


def ties(last_values: Any) -> None:
    chains = every_chain(Instance.of((3, 1), (2, 1), (2, 1), (2, 1)), (3, 6), "bottom_up")
    need(isinstance(last_values, (set, frozenset)), "give a set of whole numbers")
    need(last_values == {chain.values[-1] for chain in chains}, "which single items are optimal at 3? Start with each of them")


def smallest_counterexample(worst_ratio: Any, refuted: Any) -> None:
    kinds = list(product((1, 2, 3), (1, 2, 3, 4)))
    every = (Instance.of(*some) for n in (1, 2, 3, 4) for some in combinations_with_replacement(kinds, n))
    worst = min(Fraction(bottom_up(i, (3, 6), ties="adversarial").values[1]) / optimum(i, 6).value for i in every)
    need(number(worst_ratio) == worst, "break ties against the order (ties='adversarial'), and give the ratio as a Fraction")
    need(refuted is (worst < Fraction(7, 10)), "True if some instance has a ratio below 7/10")


def density_greedy(items: Instance, capacity: Number) -> Number:
    room, value = capacity, 0
    for i in sorted(range(len(items)), key=lambda i: Fraction(items.profits[i]) / (items.weights[i] or 1), reverse=True):
        if items.weights[i] <= room:
            room, value = room - items.weights[i], value + items.profits[i]
    return value


def greedy(greedy_fails_on: Any) -> None:
    need(isinstance(greedy_fails_on, tuple) and len(greedy_fails_on) == 2 and isinstance(greedy_fails_on[0], Instance),
         "give a pair: Instance.of((weight, profit), ...), capacity")
    items, capacity = greedy_fails_on
    share = Fraction(density_greedy(items, capacity)) / (optimum(items, capacity).value or 1)
    need(share <= Fraction(1, 100), f"greedy keeps {share} here: let a dense little item shut out a large one")


def middle(from_the_middle: Any) -> None:
    need(callable(from_the_middle), "give a function of (items, capacities)")
    rng = random.Random(1)

    def some(items: Instance, chosen: Iterable[int]) -> Instance:
        return Instance.of(*[(items.weights[i], items.profits[i]) for i in chosen])

    for _ in range(40):
        items, (c1, c2, c3) = Instance.of(*[(rng.randint(1, 6), rng.randint(1, 99)) for _ in range(6)]), (6, 9, 15)
        inner, centre, outer = (frozenset(s) for s in from_the_middle(items, (c1, c2, c3)))
        need(inner <= centre <= outer, "the three sets must be nested: return (at c1, at c2, at c3)")
        need(items.weight(centre) <= c2 and items.profit(centre) == optimum(items, c2).value, "start with the optimum at c2")
        need(items.weight(inner) <= c1 and items.profit(inner) == optimum(some(items, centre), c1).value,
             "at c1 take the best part of the set at c2")
        rest = some(items, set(range(6)) - centre)
        best = items.profit(centre) + optimum(rest, c3 - items.weight(centre)).value
        need(items.weight(outer) <= c3 and items.profit(outer) == best, "at c3 add the best that fits beside the set at c2")


# -- what the theorem does not say --------------------------------------------------------------------------------------


def family(K: int, P: int, j: int = 2) -> Fraction:
    return Fraction(K * (P + 1) + j * P, j * K * P + P + 1)


def below_two_thirds(units: Any, profit: Any) -> None:
    small = Fraction(2, 3)
    K = next(K for K in range(3, 99) if family(K, 10**9) < small)
    P = next(P for P in range(1, 999) if family(K, P) < small)
    need(number(units) == K, "let P grow without bound in the ratio of section 4: for which K is the limit below 2/3?")
    need(number(profit) == P, "put your K into the ratio and solve for P; below means less than, not equal")


def empty_layers(start: Any, end: Any) -> None:
    def worth(pair: tuple[int, int]) -> int:
        return 101 * pair[0] + 100 * pair[1]

    every = [(a, b) for a in range(6) for b in range(11)]
    first = max((p for p in every if p[0] * p[1] <= 5), key=worth)
    last = max((p for p in every if p[0] * p[1] <= 10 and p[0] >= first[0] and p[1] >= first[1]), key=worth)
    need(tuple(start) == first, "what do widths (0, b) cost?")
    need(tuple(end) == last, "grow from the start; neither width may shrink")


def half(units: Any) -> None:
    need(number(units) == next(K for K in range(3, 999) if family(K, K) < Fraction(51, 100)),
         "put P = K and j = 2 into the ratio; the smallest K with a ratio below 51/100")


QUESTIONS = (
    Question(SORTED, 1, "orders = ...\n", count),
    Question(SORTED, 3, "harmless = ...  # the set of those beta from -3 to 3 for which the early mask is harmless\n",
             early_mask),
    Question(SORTED, 5, "normalise = ...  # a function: list of Fractions -> list of as many\n", normalisation),
    Question(KNAPSACK, 1, "optima = ...  # at 4 and at 8: a pair\nbottom_up_values = ...  # a pair\n"
             "top_down_values = ...  # a pair\nbest_total = ...  # of all nested pairs\n", by_hand),
    Question(KNAPSACK, 2, "bad_for_bottom_up = ...  # Instance.of((weight, profit), ...), (c1, c2)\nbad_for_top_down = ...\n",
             assumption),
    Question(KNAPSACK, 3, "last_values = ...  # the set of values that bottom-up can end with\n", ties),
    Question(KNAPSACK, 4, "worst_ratio = ...  # of all these instances, a Fraction\nrefuted = ...  # is 7/10? True or False\n",
             smallest_counterexample),
    Question(KNAPSACK, 5, "greedy_fails_on = ...  # Instance.of(...), capacity: greedy keeps at most 1/100 of the optimum\n",
             greedy),
    Question(KNAPSACK, 6, "from_the_middle = ...  # a function: items, capacities -> three sets of indices\n", middle),
    Question(GAP, 1, "units = ...  # K\nprofit = ...  # P\n", below_two_thirds),
    Question(GAP, 2, "start = ...  # widths (a, b) at 5\nend = ...  # at 10\n", empty_layers),
    Question(GAP, 3, "units_for_a_half = ...\n", half),
)
