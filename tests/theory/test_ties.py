"""Of the sets that a stage may return, "kind" takes the best for the stages that follow, "adversarial" the worst."""

import pytest

from reds_jax.theory import Instance, bottom_up, top_down


@pytest.mark.parametrize(("order", "items", "capacities", "kind", "adversarial"), [
    (bottom_up, [(2, 5), (1, 5), (3, 9)], (2, 4), (5, 14), (5, 10)),  # 5 of weight 1 leaves room for 9, 5 of weight 2 for 5
    (top_down, [(4, 6), (2, 3), (2, 3)], (2, 4), (3, 6), (0, 6)),  # 6 in two items of which one stays, or in one
    (bottom_up, [(2, 5), (1, 5), (3, 9)], (2, 4, 5), (5, 14, 14), (5, 10, 10)),
])  # fmt: skip
def test_ties_are_broken_for_or_against_the_stages_that_follow(order, items, capacities, kind, adversarial):
    instance = Instance.of(*items)
    assert order(instance, capacities, ties="kind").values == kind
    assert order(instance, capacities, ties="adversarial").values == adversarial
