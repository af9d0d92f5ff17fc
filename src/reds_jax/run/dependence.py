"""On which widths the entries of a value depend: what nested subnetworks share is read off this, operation by operation.

A subnetwork keeps some positions of a value. Their content changes with the width of every group that was summed over on the
way, and with nothing else: where those widths are equal, the narrower value is a part of the wider one, in exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reds_jax.graph.numbering import Numbering
from reds_jax.program.flat import Atom, Call, Item, Value, as_operation, opened


class Dependence(NamedTuple):
    """Groups whose widths change a value's entries, and the subnetworks' own arrays (by number) that it is computed from."""

    groups: frozenset[int]
    own: frozenset[int]


NOTHING = Dependence(frozenset(), frozenset())


def dependences(items: Iterable[Item], numbering: Numbering, own: Iterable[int]) -> dict[int, Dependence]:
    """The dependence of every value that the items make; leaves in ``own`` may differ between subnetworks."""
    found = {number: Dependence(frozenset(), frozenset([number])) for number in own}

    def of(x: Atom) -> Dependence:
        return found.get(x.number, NOTHING) if isinstance(x, Value) else NOTHING

    for item in items:
        op = as_operation(item)
        inputs = [of(x) for x in op.inputs]
        groups = frozenset().union(*(d.groups for d in inputs), _summed(item, numbering))
        arrays = frozenset().union(*(d.own for d in inputs))
        for value in op.outputs:
            found.setdefault(value.number, Dependence(groups, arrays))
    return found


def _summed(item: Item, numbering: Numbering) -> frozenset[int]:
    """The groups that an item sums over."""
    if isinstance(item, Call):
        return frozenset().union(*(_summed(op, numbering) for op in opened(item.items)))
    if item.body is not None:  # a loop: all that it touches
        values = [*item.body.inputs, *(v for op in opened(item.body.items) for v in op.outputs)]
        return frozenset().union(*(_groups(v, range(len(v.shape)), numbering) for v in values))
    name, params = item.primitive.name, item.params
    if name == "dot_general":
        lhs, rhs = params["dimension_numbers"][0]
        return _groups(item.inputs[0], lhs, numbering) | _groups(item.inputs[1], rhs, numbering)
    if name == "conv_general_dilated":  # by the kernel: one that is cut by whole groups sums over none
        return _groups(item.inputs[1], [params["dimension_numbers"].rhs_spec[1]], numbering)
    if name.startswith("reduce_") and "axes" in params:
        return _groups(item.inputs[0], params["axes"], numbering)
    return frozenset()


def _groups(x: Atom, axes: Iterable[int], numbering: Numbering) -> frozenset[int]:
    if not isinstance(x, Value):
        return frozenset()
    found = numbering.axes(x)
    return frozenset(int(g) for i in axes if (axis := found[i]) is not None for g in axis.group if g >= 0)

