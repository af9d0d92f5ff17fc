"""The order of units by what a prefix explains (proofs/order_of_units.md), in fractions, against all subsets.

The twins: a share that is 1 % larger than k/U fails, prefix sums of pivots are not the trace explained, greedy is not the
best, the error after repair may exceed the trace that is left.
"""

import math
from fractions import Fraction
from itertools import combinations, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.explained import pivoted_cholesky


def gram(vectors):
    """The Gram matrix of what units contribute, in fractions."""
    return [[Fraction(sum(a * b for a, b in zip(u, v, strict=True))) for v in vectors] for u in vectors]


@st.composite
def grams(draw, *, least=1):
    units, size = draw(st.integers(max(2, least), 5)), draw(st.integers(1, 4))
    vector = st.lists(st.integers(-3, 3), min_size=size, max_size=size)
    return gram(draw(st.lists(vector, min_size=units, max_size=units).filter(lambda vs: any(map(any, vs)))))


def condition(matrix, unit):
    """What is left of a Gram matrix once ``unit`` is known: the Schur complement; a unit that is explained changes nothing."""
    pivot, size = matrix[unit][unit], range(len(matrix))
    return matrix if not pivot else [[matrix[i][j] - matrix[i][unit] * matrix[unit][j] / pivot for j in size] for i in size]


def residual(matrix, units):
    for unit in units:
        matrix = condition(matrix, unit)
    return matrix


def trace(matrix):
    return sum(matrix[i][i] for i in range(len(matrix)))


def explained(matrix, units):
    return trace(matrix) - trace(residual(matrix, units))


def greedy(matrix):
    """Pivoted Cholesky in fractions: the order, and the pivots."""
    order, pivots, left = [], [], list(range(len(matrix)))
    while left:
        unit = max(left, key=lambda i: (matrix[i][i], -i))
        order.append(unit)
        pivots.append(matrix[unit][unit])
        left.remove(unit)
        matrix = condition(matrix, unit)
    return order, pivots


def prefixes(matrix):
    order, _ = greedy(matrix)
    return [explained(matrix, order[: k + 1]) for k in range(len(order))]


def best(matrix, k):
    return max(explained(matrix, units) for units in combinations(range(len(matrix)), k))


@settings(max_examples=150, deadline=None)
@given(grams())
def test_pivots_and_the_trace_explained(matrix):
    """Pivots do not increase; their prefix sums are at most the trace explained; their product is a determinant."""
    order, pivots = greedy(matrix)
    size, total = len(order), trace(matrix)
    assert pivots == sorted(pivots, reverse=True)
    found = [Fraction(0), *prefixes(matrix)]
    for k in range(size):
        gain = found[k + 1] - found[k]
        assert pivots[k] <= gain <= (size - k) * pivots[k]
        assert found[k + 1] >= total * (k + 1) / size
        assert total - found[k + 1] <= (size - k - 1) * pivots[k]
    assert found[-1] == total
    diagonal = all(not matrix[i][j] for i in range(size) for j in range(size) if i != j)
    assert (sum(pivots) == total) == diagonal


@settings(max_examples=100, deadline=None)
@given(grams())
def test_greedy_against_the_best_subset(matrix):
    """What greedy leaves is at most (U - k) 4^k times what the best k leave; no k units beat the k largest eigenvalues."""
    found, size = prefixes(matrix), len(matrix)
    spectrum = np.linalg.eigvalsh(np.array(matrix, float))[::-1]
    for k in range(1, size):
        most = best(matrix, k)
        assert trace(matrix) - found[k - 1] <= (size - k) * 4**k * (trace(matrix) - most)
        assert float(most) <= spectrum[:k].sum() + 1e-9


@settings(max_examples=100, deadline=None)
@given(grams(), st.data())
def test_what_a_unit_adds_to_the_volume_falls(matrix, data):
    """Submodular: the residual of a unit is no larger behind more units; the volume of a prefix is the product of pivots."""
    units = data.draw(st.permutations(range(len(matrix))))
    few, unit = units[: data.draw(st.integers(0, len(units) - 1))], units[-1]
    assert residual(matrix, units[:-1])[unit][unit] <= residual(matrix, few)[unit][unit]
    order, pivots = greedy(matrix)
    for k in range(len(order)):
        volume = np.linalg.det(np.array([[matrix[i][j] for j in order[: k + 1]] for i in order[: k + 1]], float))
        assert volume == pytest.approx(float(math.prod(pivots[: k + 1])), abs=1e-6 * max(1, abs(volume)))


@settings(max_examples=100, deadline=None)
@given(grams(), st.data())
def test_the_trace_bounds_the_error_of_rescaled_consumers(matrix, data):
    """Scaling the kept columns alone leaves ``1^T Q 1``, at most the number of units dropped times the trace of Q."""
    keep = data.draw(st.integers(1, len(matrix)))
    rest = residual(matrix, greedy(matrix)[0][:keep])
    assert 0 <= sum(map(sum, rest)) <= (len(matrix) - keep) * trace(rest)


@settings(max_examples=100, deadline=None)
@given(grams())
def test_the_library_computes_these_numbers(matrix):
    found = pivoted_cholesky(np.array(matrix, float))
    order = [int(i) for i in found.order]
    assert sorted(order) == list(range(len(matrix)))
    for k, unit in enumerate(order):  # along its own order: rounding may decide between equal units
        left = [residual(matrix, order[:k])[i][i] for i in order[k:]]
        assert found.pivots[k] == pytest.approx(float(left[0]), abs=1e-9 * float(trace(matrix)))
        assert float(max(left) - left[0]) <= 1e-9 * float(trace(matrix)), unit
    exact = [float(explained(matrix, order[: k + 1])) for k in range(len(order))]
    np.testing.assert_allclose(found.explained, exact, atol=1e-9 * float(trace(matrix)))


ALIKE = [[Fraction(n) for n in row] for row in ([2, 1, 1], [1, 2, 1], [1, 1, 2])]
BETWEEN = [[Fraction(n) for n in row] for row in ([4, 0, 3], [0, 4, 3], [3, 3, 5])]


def test_prefix_sums_of_pivots_are_not_the_trace_explained():
    assert greedy(ALIKE)[1] == [2, Fraction(3, 2), Fraction(4, 3)]
    assert prefixes(ALIKE) == [3, Fraction(14, 3), 6]


def test_neither_share_bounds_the_other():
    """Of the pivots, and of the trace: at the first unit of three alike it is 12/29 < 1/2; beside five copies 3/5 > 3/13."""
    pivots = greedy(ALIKE)[1]
    assert pivots[0] / sum(pivots) == Fraction(12, 29) < prefixes(ALIKE)[0] / trace(ALIKE) == Fraction(1, 2)
    copies = [[Fraction(3 if i == j == 0 else 2 * (i > 0 and j > 0)) for j in range(6)] for i in range(6)]
    pivots = greedy(copies)[1]
    assert pivots[0] / sum(pivots) == Fraction(3, 5) > prefixes(copies)[0] / trace(copies) == Fraction(3, 13)
    assert prefixes(copies)[:2] == [3, 13]  # what a unit adds may grow


def test_the_share_k_of_u_cannot_be_raised():
    identity = [[Fraction(i == j) for j in range(4)] for i in range(4)]
    assert all(share < Fraction(101, 100) * (k + 1) for k, share in enumerate(prefixes(identity)[:-1]))


@pytest.mark.parametrize("copies", [3, 10])
def test_greedy_loses_where_a_large_unit_stands_alone(copies):
    """One unit of 5/4, ``copies`` alike units of 1: at k = 1 greedy explains 5/4, the best unit all the copies."""
    size = copies + 1
    matrix = [[Fraction(5, 4) if i == j == 0 else Fraction(i > 0 and j > 0) for j in range(size)] for i in range(size)]
    assert (prefixes(matrix)[0], best(matrix, 1)) == (Fraction(5, 4), copies)


def test_greedy_can_leave_exponentially_more():
    """Kahan's matrix, c = 12/13: at k = U - 1 greedy (equal units in turn) leaves over 3.5^(k-1) times the least."""
    c, s, size = Fraction(12, 13), Fraction(5, 13), 6
    vectors = [[s**i * (1 if i == j else -c if i < j else 0) for i in range(size)] for j in range(size)]
    matrix = [[sum(a * b for a, b in zip(u, v, strict=True)) for v in vectors] for u in vectors]
    left, least = (trace(matrix) - value for value in (prefixes(matrix)[-2], best(matrix, size - 1)))
    assert Fraction(7, 2) ** (size - 2) < left / least < 4 ** (size - 1)


def test_what_nesting_costs():
    """The best unit is the one between; the best pair are the others. So no order is the best at 1 and at 2."""
    assert (best(BETWEEN, 1), best(BETWEEN, 2)) == (Fraction(43, 5), Fraction(25, 2))
    chains = {order: (explained(BETWEEN, order[:1]), explained(BETWEEN, order[:2])) for order in permutations(range(3))}
    assert max(sum(pair) for pair in chains.values()) == Fraction(43, 5) + Fraction(135, 11)
    assert (Fraction(43, 5), Fraction(25, 2)) not in chains.values()
    order, _ = greedy(BETWEEN)
    assert chains[tuple(order)] == (Fraction(43, 5), Fraction(135, 11))  # greedy is the best nested chain here, and loses at 2


def after_repair(activations, weights, kept):
    """The squared error of the best linear map from the kept activations to each output, summed over the outputs."""
    outputs = [[sum(w[o] * a for w, a in zip(weights, row, strict=True)) for row in zip(*activations, strict=True)]
               for o in range(len(weights[0]))]
    left = residual(gram([*activations, *outputs]), kept)
    return sum(left[i][i] for i in range(len(activations), len(left)))


@st.composite
def readers(draw):
    """Activations over rows, outgoing weights, and what is kept."""
    units, rows, outputs = draw(st.integers(2, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    def vectors(size):
        return draw(st.lists(st.lists(st.integers(-3, 3), min_size=size, max_size=size), min_size=units, max_size=units))
    return vectors(rows), vectors(outputs), draw(st.sets(st.integers(0, units - 1), max_size=units - 1))


@settings(max_examples=200, deadline=None)
@given(readers())
def test_what_is_left_after_repair(case):
    activations, weights, kept = case
    units, cut = range(len(weights)), [i for i in range(len(weights)) if i not in kept]
    inner = gram(weights)
    left = residual(gram(activations), kept)
    contributions = [[a * w for a in row for w in out] for row, out in zip(activations, weights, strict=True)]
    separate = sum(left[c][c] * inner[c][c] for c in cut)
    error = after_repair(activations, weights, kept)
    assert error == sum(left[c][d] * inner[c][d] for c in cut for d in cut)  # Lemma 3
    trace_left = trace(residual(gram(contributions), kept))
    assert separate <= trace_left
    if len(weights[0]) == 1 and all(weights[i] != [0] for i in kept):
        assert separate == trace_left
    assert error <= len(cut) * separate
    if len(cut) == 1:
        assert error == separate
    signs = list(product((1, -1), repeat=len(cut)))
    flipped = [[[dict(zip(cut, sign, strict=True)).get(i, 1) * w for w in weights[i]] for i in units] for sign in signs]
    assert sum(after_repair(activations, w, kept) for w in flipped) == separate * len(signs)


def test_the_trace_is_no_bound_of_the_error_after_repair():
    """Two equal units, both cut, for one output."""
    activations, weights = [[1], [1]], [[1], [1]]
    assert (after_repair(activations, weights, ()), trace(gram(activations))) == (4, 2)


@pytest.mark.parametrize("r", [Fraction(0), Fraction(1, 2), Fraction(-2, 3), Fraction(1)])
def test_shared_weights_cannot_be_the_repair_of_two_prefixes(r):
    """Both units have variance 1; the error of weights (u, v) for a + b is the quadratic form of (1 - u, 1 - v)."""
    def both(u):
        one = (1 - u) ** 2 + 2 * r * (1 - u) + 1  # of the first unit alone: v is 0
        return one + (1 - u) ** 2 * (1 - r**2)  # with the best v

    best = 1 + r / (2 - r**2)
    assert all(both(best) < both(best + step) for step in (Fraction(1, 100), Fraction(-1, 100)))
    assert both(best) - (1 - r**2) == r**2 * (1 - r**2) / (2 - r**2)
    assert both(1 + r) - (1 - r**2) == r**2 * (1 - r**2)  # the repair of the first, kept for the pair
