"""Tables of products are the tables of their entries, in everything that the solvers ask of a table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import Table


@st.composite
def both_forms(draw):
    """A table of one to three products over one to three groups, and the same table given by its entries."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    low = draw(st.sampled_from([0, -5]))
    scale = draw(st.sampled_from([1, 0.37]))
    numbers = st.integers(low, 9)
    rows = [[draw(st.lists(numbers, min_size=n, max_size=n)) for n in sizes] for _ in range(draw(st.integers(1, 3)))]
    products = [[np.array(row) * scale for row in product] for product in rows]
    if draw(st.booleans()):
        products = [[np.sort(row) for row in rows] for rows in products]
    table = Table.of_products(range(len(sizes)), products)
    return table, Table(table.groups, table.array)


@given(both_forms())
def test_entries_and_shape(forms):
    products, dense = forms
    assert (products.shape, products.whole) == (dense.shape, dense.whole)
    assert all(products.entry(index) == dense.entry(index) for index in np.ndindex(dense.shape))
    assert products.grows() == dense.grows()


@given(both_forms(), st.data())
def test_bounds_over_blocks_hold_and_are_attained_by_growing_factors(forms, data):
    products, dense = forms
    starts = [np.array(sorted({0} | data.draw(st.sets(st.integers(0, n - 1))))) for n in dense.shape]
    for largest, better in ((True, np.greater_equal), (False, np.less_equal)):
        true = dense.blocks(starts, largest=largest).array
        found = products.blocks(starts, largest=largest).array
        assert better(found, true).all()
        assert better(products.extent()[largest], dense.extent()[largest])
        if all((np.diff(f, axis=1) >= 0).all() and (f >= 0).all() for f in products.factors):
            assert (found == true).all()
            assert products.extent() == dense.extent()
    for block in np.ndindex(true.shape):
        inside = tuple(slice(at[b], at[b + 1] if b + 1 < len(at) else None) for b, at in zip(block, starts, strict=True))
        assert dense.array[inside].min() == true[block]


@given(both_forms(), st.data())
def test_some_of_the_widths(forms, data):
    products, dense = forms
    kept = [np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1)))) for n in dense.shape]
    assert np.array_equal(products.at(kept).array, dense.at(kept).array)
    assert np.array_equal(dense.at(kept).array, dense.array[np.ix_(*kept)])


def test_a_table_of_products_over_thousands_of_units_is_not_built():
    units = np.arange(1, 100_001)
    table = Table.of_products(("a", "b"), [(units, units), (units, np.ones_like(units))])
    assert (table.entry((99_999, 1)), table.extent(), table.grows()) == (300_000, (2, 10**10 + 10**5), True)
    assert table.at([np.array([1, 2]), np.array([0])]).array.tolist() == [[4], [6]]


@pytest.mark.parametrize(
    ("groups", "products", "text"),
    [
        (("a", "b"), [([1, 2],)], "needs one axis for each"),
        (("a", "b"), [], "needs one row of numbers"),
        (("a", "b"), [([1], [2.5, np.nan])], "not finite"),
        (("a", "b"), [([2**40], [2**23])], "do not fit into 64-bit"),
    ],
)
def test_what_is_no_table_of_products(groups, products, text):
    with pytest.raises(InvalidArgumentError, match=text):
        Table.of_products(groups, products)
