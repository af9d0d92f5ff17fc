"""The three-parts lemma and the blocks lemma, on which every guarantee of ``bounds.py`` stands, as programs.

The lemma: if what O and A share fits c, then either all of O fits c, or O = b + {s} + f with

    w(b) <= c < w(b) + w(s),    s and f outside A,    p(s) <= p(i) for every i in f.

Proofs: proofs/three_parts_lemma.md, and ``ordered_parts`` and ``blocks`` in proofs/coq.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reds_jax.errors import InvalidArgumentError
from reds_jax.theory.items import Instance, Items, Number, check_capacities


class Parts(NamedTuple):
    """O = ``before`` + {``split``} + ``after``: b, s and f of the lemma, as items of the instance.

    Args:
        before: b.
        split: s.
        after: f.
    """

    before: Items
    split: int
    after: Items


def three_parts(instance: Instance, outer: Iterable[int], inner: Iterable[int], capacity: Number) -> Parts | None:
    """Splits a set O at a capacity c: first what it shares with A, then the rest by increasing profit, as far as it fits.

    Args:
        instance: the items.
        outer: O, as indices.
        inner: A; what it shares with O must fit c.
        capacity: c > 0.

    Returns:
        the parts, or None if all of O fits c.

    Raises:
        InvalidArgumentError: if the items that O and A share do not fit c, or for wrong arguments.

    Source: derived here. Test: test_the_three_parts_lemma.

    >>> items = Instance.of((3, 101), (2, 100), (2, 100), (2, 100))
    >>> three_parts(items, (1, 2, 3), (0,), 3)
    Parts(before=(1,), split=2, after=(3,))
    """
    limit, = check_capacities((capacity,), 1)
    whole, kept = instance.select(outer), set(instance.select(inner).items)
    shared = instance.select(i for i in whole.items if i in kept)
    if shared.weight > limit:
        raise InvalidArgumentError(
            "what the two sets share does not fit the capacity", got=shared.weight, allowed=f"at most {limit}",
            hint="The lemma needs it: an item outside the inner set cannot be the first that overflows.",
        )  # fmt: skip
    if whole.weight <= limit:
        return None
    rest = sorted((i for i in whole.items if i not in kept), key=lambda i: instance.profits[i])
    row: Items = (*shared.items, *rest)
    reached: Number = 0
    for at, item in enumerate(row):
        reached += instance.weights[item]
        if reached > limit:
            return Parts(row[:at], item, row[at + 1 :])
    raise AssertionError("a set that does not fit has an item that overflows")


def blocks(instance: Instance, items: Iterable[int], capacity: Number) -> tuple[Items, ...]:
    """Splits a set O into sets that fit c: at most 2m - 1 of them if w(O) <= m c for an integer m >= 1.

    Args:
        instance: the items, each of O at most as heavy as c.
        items: O, as indices.
        capacity: c > 0.

    Raises:
        InvalidArgumentError: if an item of O is heavier than c, or for wrong arguments.

    Source: derived here. Test: test_the_blocks_lemma.

    >>> blocks(Instance.of((3, 1), (2, 2), (2, 3), (2, 4)), range(4), 3)
    ((0,), (1,), (2,), (3,))
    """
    limit, = check_capacities((capacity,), 1)
    rest, found = instance.select(items).items, []
    heavy = [i for i in rest if instance.weights[i] > limit]
    if heavy:
        raise InvalidArgumentError(f"item {heavy[0]} does not fit the capacity", got=instance.weights[heavy[0]],
                                   allowed=f"weights of at most {limit}")
    while (parts := three_parts(instance, rest, (), limit)) is not None:
        found += [parts.before, (parts.split,)]
        rest = parts.after
    return (*(block for block in found if block), *([rest] if rest else []))
