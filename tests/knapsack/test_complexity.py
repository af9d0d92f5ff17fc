"""The reductions of proofs/complexity.md, run through the solver and beside a search through all subsets.

Theorem A (`subset_sum_chain` in proofs/coq/Chain.v), the table of theorem B (`chain_dp_exact`), D and E.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fptas import subset_sum
from width_problems import budget_table

import reds_jax
from reds_jax.cost import width_problem
from reds_jax.knapsack import Table, WidthProblem, solve


def sums(numbers):
    """Every sum of some of the numbers."""
    return {sum(part) for r in range(len(numbers) + 1) for part in itertools.combinations(numbers, r)}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=7), st.data())
@settings(max_examples=80, deadline=None)
def test_a_chain_says_whether_some_numbers_add_up(numbers, data):
    """Theorem A: widths worth A + B within 2 (A + B) exactly if some numbers add up to B."""
    reached, total = sums(numbers), sum(numbers)
    target = data.draw(st.sampled_from(sorted(reached)) | st.integers(0, total))
    problem = subset_sum(numbers)
    answer = solve(problem, {"macs": 2 * (total + target)})
    assert answer.proven_optimal
    assert (answer.value >= total + target) == (target in reached)
    assert answer.value == total + max(s for s in reached if s <= target)
    short = solve(problem, {"macs": 2 * (total + target) - 1}).value if target else 0
    assert short < total + target  # one operation less is never enough


def test_the_numbers_may_be_large():
    """Numbers of forty binary digits: the table of theorem B would be as long as the numbers are large."""
    numbers = [2**39 + 3**k for k in range(1, 11)]
    target = sum(numbers[1::3])
    for wanted, there in ((target, True), (target + 1, False)):
        answer = solve(subset_sum(numbers), {"macs": 2 * (sum(numbers) + wanted)})
        assert (answer.value == sum(numbers) + wanted) == there
        assert (wanted in sums(numbers)) == there


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 10**6), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_plain_chains_have_a_short_table(units, seed, share):
    """Theorem B: fully connected layers cost at most L U^2, so a table over layer, width and cost has L^2 U^3 entries."""
    scores = [np.sort(np.random.default_rng(seed).integers(0, 10**9, size=u))[::-1] for u in units]
    problem = WidthProblem.chain(scores=scores, pair_macs=[1] * len(units), unit_macs=[0] * len(units))
    full, widest = problem.cost("macs", problem.full_widths), max(units)
    assert full <= len(units) * widest**2
    capacity = int(len(units) + (full - len(units)) * share)
    assert budget_table(problem, capacity) == solve(problem, {"macs": capacity}).value


@st.composite
def graphs(draw):
    """The number of vertices and the edges, from the smaller vertex to the larger."""
    count = draw(st.integers(1, 6))
    pairs = list(itertools.combinations(range(count), 2))
    return count, sorted(draw(st.sets(st.sampled_from(pairs)))) if pairs else []


def independence_number(count, edges):
    """The size of a largest set of vertices without an edge inside."""
    return max(sum(chosen) for chosen in itertools.product((0, 1), repeat=count)
               if not any(chosen[u] and chosen[v] for u, v in edges))  # fmt: skip


def degrees(count, edges):
    return [sum(v in edge for edge in edges) for v in range(count)]


def concatenations(count, edges):
    """Theorem D: the tables of the network, widths 1 and 2, every score 1."""
    degree = degrees(count, edges)
    rest = max(degree) + 1
    own = [Table(v, np.array([1, 2]) * (rest - degree[v] + 1)) for v in range(count)]
    macs = (*own, *(Table(edge, [[1, 2], [2, 4]]) for edge in edges))
    values = tuple(Table(v, [1, 2]) for v in range(count))
    return WidthProblem(tuple(f"v{v}" for v in range(count)), ((1, 2),) * count, values, {"macs": macs})


def capacity_for(count, edges, size):
    most = max(degrees(count, edges)) + 2
    return count * most - len(edges) + most * size


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_concatenations_find_independent_sets(graph):
    """Theorem D: widths worth n + k within the capacity of k exactly if k vertices are independent; all numbers small."""
    count, edges = graph
    largest = independence_number(count, edges)
    problem = concatenations(count, edges)
    for size in range(count + 1):
        answer = solve(problem, {"macs": capacity_for(count, edges, size)})
        assert (answer.value >= count + size) == (size <= largest)
        if size <= largest:
            chosen = [v for v, width in enumerate(answer.widths) if width == 2]
            assert not any(u in chosen and v in chosen for u, v in edges)
    assert max(t.array.max() for t in problem.resources["macs"]) <= 2 * (count + 1)


class Concatenated(nn.Module):
    """A fully connected layer of two units for each vertex: it reads some inputs, and its neighbours before it."""

    count: int
    edges: tuple

    @nn.compact
    def __call__(self, x):
        degree, layers = degrees(self.count, self.edges), []
        for v in range(self.count):
            given = x[:, : max(degree) + 1 - degree[v]]
            before = [layers[u] for u in range(v) if (u, v) in self.edges]
            layers.append(nn.relu(nn.Dense(2, name=f"v{v}")(jnp.concatenate([given, *before], -1))))
        return nn.Dense(1, name="output")(jnp.concatenate(layers, -1))


@pytest.mark.parametrize(
    "edges", [((0, 1), (0, 2), (1, 2), (2, 3)), ((0, 1), (1, 2), (2, 3), (3, 4), (0, 4)), ((0, 3), (1, 3))]
)
def test_a_network_with_concatenations_finds_independent_sets(edges):
    """The same with a network, traced, its multiplications counted by the library."""
    count = max(itertools.chain(*edges)) + 1
    model, x = Concatenated(count, edges), jnp.zeros((1, max(degrees(count, edges)) + 1))
    graph = reds_jax.trace(model, jax.eval_shape(model.init, jax.random.key(0), x), x)
    traced = width_problem(graph, {g.name: np.ones(g.size) for g in graph.groups}, value="sum")
    plain = concatenations(count, edges)
    order = [next(v for v in range(count) if f"v{v}" in g) for g in traced.groups]
    assert sorted(order) == list(range(count))
    for widths in itertools.product((1, 2), repeat=count):
        assert traced.cost("macs", widths) == plain.cost("macs", [widths[order.index(v)] for v in range(count)])
    for size in range(count + 1):
        answer = solve(traced, {"macs": capacity_for(count, edges, size)})
        assert (answer.value >= count + size) == (size <= independence_number(count, edges))


@given(st.lists(st.integers(0, 9), min_size=2, max_size=8).filter(lambda a: len(a) % 2 == 0))
@settings(max_examples=60, deadline=None)
def test_two_resources_find_halves_of_equal_number(numbers):
    """Theorem E: scores of 1 and two resources; n + n/2 is reached exactly if half of the numbers have half of the sum."""
    count, total, top = len(numbers), 2 * sum(numbers), 2 * max(numbers) + 1
    doubled = [2 * a for a in numbers]  # so that half of the sum is whole
    problem = WidthProblem.chain(
        scores=[(1, 1)] * count, pair_macs=[0] * count, unit_macs=doubled,
        resources={"rest": ([0] * count, [top - a for a in doubled])},
    )  # fmt: skip
    base = problem.costs((1,) * count)
    limits = {"macs": base["macs"] + total // 2, "rest": base["rest"] + count // 2 * top - total // 2}
    halves = any(2 * sum(part) == sum(numbers) for part in itertools.combinations(numbers, count // 2))
    found = solve(problem, limits).value
    assert (found >= count + count // 2) == halves
    assert found <= count + count // 2
