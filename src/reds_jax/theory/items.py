"""Items with exact weights and profits, and chains of nested sets of them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from reds_jax.errors import InvalidArgumentError

Number = int | Fraction
Items = tuple[int, ...]


class Selection(NamedTuple):
    """A set of items with its profit and its weight.

    Args:
        items: indices of the instance.
        value: the sum of their profits.
        weight: the sum of their weights.
    """

    items: Items
    value: Number
    weight: Number


class Scaled(NamedTuple):
    """The same items in integers: weight = ``weights[i] * weight_unit``, profit = ``profits[i] * profit_unit``."""

    weights: tuple[int, ...]
    profits: tuple[int, ...]
    weight_unit: Fraction
    profit_unit: Fraction

    def room(self, capacity: Number) -> int:
        """The capacity in weight units, rounded down, which changes no feasible set."""
        return math.floor(Fraction(capacity) / self.weight_unit)


@dataclass(frozen=True)
class Instance:
    """Items with exact weights and profits, both at least 0.

    Args:
        weights: integers or Fractions.
        profits: integers or Fractions, as many.

    Raises:
        InvalidArgumentError: for lengths that differ, negative numbers, or floats.

    >>> instance = Instance((3, 2, 2, 2), (101, 100, 100, 100))
    >>> instance.weight((0, 1)), instance.profit((0, 1))
    (5, 201)
    """

    weights: tuple[Number, ...]
    profits: tuple[Number, ...]

    def __post_init__(self) -> None:
        for name in ("weights", "profits"):
            given = getattr(self, name)
            if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
                raise InvalidArgumentError(f"the {name} must be a sequence of numbers", got=given)
            exact = tuple(exact_number(value, f"entry {i} of the {name}") for i, value in enumerate(given))
            negative = [i for i, value in enumerate(exact) if value < 0]
            if negative:
                raise InvalidArgumentError(
                    f"entry {negative[0]} of the {name} is negative", got=exact[negative[0]], allowed="numbers >= 0"
                )
            object.__setattr__(self, name, exact)
        if len(self.weights) != len(self.profits):
            raise InvalidArgumentError(
                "there must be one profit for each weight", got=(len(self.weights), len(self.profits)),
                allowed="two sequences of the same length",
            )  # fmt: skip

    @classmethod
    def of(cls, *items: tuple[Number, Number]) -> Instance:
        """The instance with these (weight, profit) pairs.

        >>> Instance.of((3, 101), (2, 100)).profits
        (101, 100)
        """
        for i, item in enumerate(items):
            if not isinstance(item, Sequence) or len(item) != 2:
                raise InvalidArgumentError(f"item {i} is not a pair (weight, profit)", got=item)
        return cls(tuple(w for w, _ in items), tuple(p for _, p in items))

    def __len__(self) -> int:
        return len(self.weights)

    def weight(self, items: Iterable[int]) -> Number:
        """w(S)."""
        return _plain(sum((self.weights[i] for i in items), 0))

    def profit(self, items: Iterable[int]) -> Number:
        """p(S)."""
        return _plain(sum((self.profits[i] for i in items), 0))

    def select(self, items: Iterable[int]) -> Selection:
        """A set of items with its profit and weight.

        Raises:
            InvalidArgumentError: for an index that is no item, or one that comes twice.
        """
        chosen = sorted(items)
        if any(isinstance(i, bool) or not isinstance(i, numbers.Integral) or not 0 <= i < len(self) for i in chosen):
            raise InvalidArgumentError("a set names an unknown item", got=chosen, allowed=f"integers from 0 to {len(self) - 1}")
        if any(a == b for a, b in pairwise(chosen)):
            raise InvalidArgumentError("a set names an item twice", got=chosen, allowed="each item at most once")
        plain = tuple(int(i) for i in chosen)
        return Selection(plain, self.profit(plain), self.weight(plain))

    @cached_property
    def scaled(self) -> Scaled:
        """The items in the largest units in which all weights, and all profits, are integers."""
        units = _unit(self.weights), _unit(self.profits)
        return Scaled(tuple(int(w / units[0]) for w in self.weights), tuple(int(p / units[1]) for p in self.profits), *units)


@dataclass(frozen=True)
class Chain:
    """Nested sets of items, one for each capacity: A_1 in A_2 in ... in A_N, w(A_i) <= c_i.

    Args:
        instance: the items.
        capacities: ascending and positive.
        sets: for each capacity the indices of its items, in any order.

    Raises:
        InvalidArgumentError: if a set does not fit its capacity, or does not contain the one before.

    >>> chain = Chain(Instance.of((3, 101), (2, 100)), (3, 6), ([0], [1, 0]))
    >>> chain.sets, chain.values, chain.weights, chain.total
    (((0,), (0, 1)), (101, 201), (3, 5), 302)
    """

    instance: Instance
    capacities: tuple[Number, ...]
    sets: tuple[Items, ...]

    def __post_init__(self) -> None:
        limits = check_capacities(self.capacities)
        chosen = [self.instance.select(s) for s in self.sets]
        if len(chosen) != len(limits):
            raise InvalidArgumentError("a chain needs one set for each capacity", got=len(chosen), allowed=str(len(limits)))
        for i, (part, limit) in enumerate(zip(chosen, limits, strict=True)):
            if part.weight > limit:
                raise InvalidArgumentError(
                    f"the set of stage {i} does not fit its capacity", got=part.weight, allowed=f"at most {limit}"
                )
        for i, (inner, outer) in enumerate(pairwise(chosen)):
            lost = set(inner.items) - set(outer.items)
            if lost:
                raise InvalidArgumentError(
                    f"stage {i + 1} does not contain stage {i}", got=outer.items, allowed=f"sets with item {min(lost)}"
                )
        object.__setattr__(self, "capacities", limits)
        object.__setattr__(self, "sets", tuple(part.items for part in chosen))

    @property
    def values(self) -> tuple[Number, ...]:
        """The profit of each stage."""
        return tuple(self.instance.profit(s) for s in self.sets)

    @property
    def weights(self) -> tuple[Number, ...]:
        """The weight of each stage."""
        return tuple(self.instance.weight(s) for s in self.sets)

    @property
    def total(self) -> Number:
        """The sum of the profits of all stages."""
        return _plain(sum(self.values, 0))


def exact_number(value: object, what: str) -> Number:
    """An int or a Fraction, a Fraction with denominator 1 as an int.

    Raises:
        InvalidArgumentError: for a float, or anything else that is not exact.
    """
    if isinstance(value, numbers.Rational) and not isinstance(value, bool):
        return _plain(Fraction(int(value.numerator), int(value.denominator)))
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        hint = "fractions.Fraction(x) converts a float exactly, Fraction('0.1') a decimal."
        raise InvalidArgumentError(f"{what} is not an exact number", got=value, allowed="int or Fraction", hint=hint)
    raise InvalidArgumentError(f"{what} is not a number", got=value, allowed="int or Fraction")


def check_capacities(capacities: Iterable[Number], stages: int | None = None) -> tuple[Number, ...]:
    """The capacities as exact numbers.

    Raises:
        InvalidArgumentError: if there are none, they are not positive and strictly ascending, or not ``stages`` of them.
    """
    if isinstance(capacities, (str, bytes)) or not isinstance(capacities, Iterable):
        raise InvalidArgumentError("the capacities must be a sequence of numbers", got=capacities)
    limits = tuple(exact_number(c, f"capacity {i}") for i, c in enumerate(capacities))
    if not limits or limits[0] <= 0 or any(a >= b for a, b in pairwise(limits)):
        raise InvalidArgumentError(
            "the capacities are not positive and strictly ascending", got=limits, allowed="0 < c_1 < c_2 < ... < c_N"
        )
    if stages is not None and len(limits) != stages:
        raise InvalidArgumentError("the number of capacities does not fit", got=limits, allowed=f"{stages} capacities")
    return limits


def check_integer(name: str, value: object, least: int) -> None:
    """Raises InvalidArgumentError unless the value is an integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        allowed = f"{least}, {least + 1}, ..."
        raise InvalidArgumentError(f"{name} is not an integer of at least {least}", got=value, allowed=allowed)


def _plain(value: Number) -> Number:
    return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value


def _unit(values: Sequence[Number]) -> Fraction:
    """The largest u with every value an integer multiple of u; 1 if all are 0."""
    denominator = math.lcm(*(Fraction(v).denominator for v in values))
    numerator = math.gcd(*(int(v * denominator) for v in values))
    return Fraction(numerator or 1, denominator)
