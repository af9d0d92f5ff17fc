"""Two layers, cost n1 * n2, every capacity from K to R K (proofs/any_budget.md; proofs/coq/AnyWidth.v). In integers."""

from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reds_jax.errors import InvalidArgumentError
from reds_jax.theory import any_width_instance, any_width_ratio, one_layer_first


def best(scores, capacity):
    v1, v2 = ((0, *accumulate(layer)) for layer in scores)
    return max(v1[a] + v2[min(capacity // a, len(v2) - 1)] for a in range(1, len(v1)) if a <= capacity)


def least_ratio(scores, smallest, largest):
    """Of the longest part of the way that fits, over every capacity."""
    order = one_layer_first(scores, smallest, largest)
    found = Fraction(1)
    for c in range(smallest, largest + 1):
        a, b = order.widths(c)
        assert a * b <= c
        value, most = sum(scores[0][:a]) + sum(scores[1][:b]), best(scores, c)
        if most:
            found = min(found, Fraction(value, most))
    return found


def layers(most):
    units = st.one_of(
        st.lists(st.integers(0, 50), min_size=1, max_size=most),
        st.tuples(st.integers(0, 50), st.integers(1, most), st.sampled_from([0, 1, 5])).map(lambda t: [t[0], *[t[2]] * t[1]]),
    )
    return units.map(lambda u: sorted(u, reverse=True))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(layers(30), layers(30), st.integers(1, 6), st.integers(0, 60))
def test_one_layer_first(first, second, smallest, more):
    """one_layer_first: 1/(m+1) of OPT(c) for K <= c <= R K, m = ceil(sqrt(R)), and the rows are a walk."""
    scores, largest = [first, second], smallest + more
    assert least_ratio(scores, smallest, largest) >= any_width_ratio(smallest, largest)
    rows = one_layer_first(scores, smallest, largest).rows
    assert rows[0].tolist() == [1, 1]
    assert rows[-1].tolist() == [len(first), len(second)]
    assert (abs(rows[1:] - rows[:-1]).sum(axis=1) == 1).all()


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("k", [1, 5, 50])
def test_one_layer_first_keeps_no_more(m, k):
    """one_layer_first_tight: (mK + 1)/((m + 1) mK), which goes to 1/(m+1)."""
    n = m * m * k
    scores = [[m * k] + [0] * (n - 1), [1] * n]
    assert any_width_ratio(k, n) == Fraction(1, m + 1)
    assert least_ratio(scores, k, n) == Fraction(m * k + 1, (m + 1) * m * k)


@pytest.mark.parametrize(("m", "q"), [(2, 1), (2, 3), (3, 1), (3, 2)])
def test_no_nested_pair(m, q):
    """no_nested_pair: at most (1 + 1/q)/m of both optima, and some pair keeps 1/m: the two bounds meet as q grows."""
    problem, (small, large) = any_width_instance(m, q)
    scores = [[m] * small, [1] * large]
    optima = [best(scores, c) for c in (small, large)]
    assert optima[0] == problem.evaluate((small, 1))
    kept = max(
        min(Fraction(m * a + b, optima[0]), Fraction(m * wide + min(large // wide, large), optima[1]))
        for a in range(1, small + 1) for b in range(1, small // a + 1)
        for wide in range(a, small + 1) if large // wide >= b
    )  # fmt: skip
    assert Fraction(1, m) < kept <= Fraction(q + 1, q * m)


@pytest.mark.parametrize("largest", [1, 2, 4, 5, 9, 10, 16, 17, 10**30])
def test_m_is_the_root_rounded_up(largest):
    m = 1 / any_width_ratio(1, largest) - 1
    assert (m - 1) ** 2 < largest <= m**2
    assert any_width_ratio(Fraction(3, 2), Fraction(9, 2)) == Fraction(1, 3)
    assert any_width_ratio(3, 3) == Fraction(1, 2)


def test_errors():
    with pytest.raises(InvalidArgumentError, match="no widths fit"):
        any_width_ratio(Fraction(1, 2), 3)
    with pytest.raises(InvalidArgumentError, match="below the smallest"):
        any_width_ratio(3, 2)
    with pytest.raises(InvalidArgumentError, match="two layers"):
        one_layer_first([[1]], 1, 2)
    with pytest.raises(InvalidArgumentError, match="negative profit"):
        one_layer_first([[1], [2, -1]], 1, 2)
    with pytest.raises(InvalidArgumentError, match="root is not an integer"):
        any_width_instance(1)
