"""z3 decides the two-stage bounds for a number of items, over ALL real weights, profits and capacities at once.

For n items the unknowns are the capacities c1 < c2 (c2 = 2 c1, or any c2 with floor(c2 / c1) = k), n weights in [0, c1] and n
profits >= 0; c1 = 1 and a value of 1 for the optimum choose the units. Which item is in which set is tried case by case; the
items of a case are in order, as they can be renamed, and an item in no set can be left out.

"A is optimal at c" says p(S) <= p(A) for every set S of items with w(S) <= c. There are 2^n of these inequalities; one is
added when a proposed counterexample breaks it. So z3 proposes numbers, exact rational arithmetic looks for a better set, and
the better set becomes a new inequality. At the end either nothing is left to propose, which proves the bound, or the
proposal is a counterexample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement
from typing import Literal, cast

import z3

from reds_jax.theory import Instance, bounds, optimum

Theorem = Literal["T1", "T2", "T6"]
BOUNDS: dict[Theorem, Callable[..., Fraction]] = {
    "T1": bounds.bottom_up_ratio,
    "T2": bounds.top_down_ratio,
    "T6": bounds.nesting_ratio,
}

# The roles that an item can have: the sets that contain it. A1 in A2, D1 in D2; B and O are any sets that fit c1 and c2.
# T6 needs neither, since A1 is optimal at c1 and D2 at c2.
ROLES: dict[Theorem, tuple[str, ...]] = {
    "T1": ("A1 A2", "A1 A2 O", "A2", "A2 O", "O"),
    "T2": ("D1 D2", "D1 D2 B", "D2", "D2 B", "B"),
    "T6": ("A1 A2", "A2", "D1 D2", "D2", "A1 A2 D1 D2", "A1 A2 D2", "A2 D1 D2", "A2 D2"),
}


@dataclass(frozen=True)
class Counterexample:
    """Items, both capacities, and the sets that fall below the bound."""

    instance: Instance
    capacities: tuple[Fraction, Fraction]
    sets: dict[str, tuple[int, ...]]


def refute(
    theorem: Theorem,
    items: int,
    bound: Fraction | None = None,
    *,
    k: int | None = None,
    reach: bool = False,
) -> Counterexample | None:
    """A counterexample to a bound among all instances with this many items, or None, which proves it for them.

    Args:
        theorem: "T1": p(A2) >= bound OPT(c2), bottom-up; "T2": p(D1) >= bound OPT(c1), top-down; "T6": the better of both
            orders keeps bound (OPT(c1) + OPT(c2)).
        items: the number of items (some may have weight and profit 0, so fewer are included).
        bound: default the theorem's own; 2/3, 1/2, 8/9 for c2 = 2 c1.
        k: all capacities with floor(c2 / c1) = k at once; default c2 = 2 c1.
        reach: ask for an instance that is AT the bound or below: the tight instance.

    Test: tests/property/test_smt.py.
    """
    ratio = own_bound(theorem, k) if bound is None else bound
    for roles in combinations_with_replacement(ROLES[theorem], items):
        found = _Search(theorem, roles, ratio, k, reach).run()
        if found is not None:
            return found
    return None


def own_bound(theorem: Theorem, k: int | None = None) -> Fraction:
    """What the theorem says for c2 = 2 c1, or for floor(c2 / c1) = k."""
    return BOUNDS[theorem]((2, 3) if k == 1 else (1, k or 2))


class _Search:
    """One assignment of roles: the sets are fixed, the numbers are unknown."""

    def __init__(self, theorem: Theorem, roles: tuple[str, ...], ratio: Fraction, k: int | None, reach: bool) -> None:
        self.count, self.solver = len(roles), z3.SolverFor("QF_LRA")
        self.w = [z3.Real(f"w{i}") for i in range(self.count)]
        self.p = [z3.Real(f"p{i}") for i in range(self.count)]
        self.c1, self.c2 = z3.Real("c1"), z3.Real("c2")
        names = sorted({name for role in ROLES[theorem] for name in role.split()})
        self.sets = {name: tuple(i for i in range(self.count) if name in roles[i].split()) for name in names}
        self.solver.add(self.c1 == 1)  # the unit of weight
        self.solver.add(self.c2 == 2 if k is None else z3.And(self.c2 > 1, k <= self.c2, self.c2 < k + 1))
        self.solver.add(*[z3.And(w >= 0, w <= self.c1, p >= 0) for w, p in zip(self.w, self.p, strict=True)])
        for name, chosen in self.sets.items():
            self.solver.add(self.weight(chosen) <= self.room(name))
        a, b = ratio.numerator, ratio.denominator
        below: Callable = (lambda x, y: x <= y) if reach else (lambda x, y: x < y)
        best, chains = {"T1": ("O", ["A2"]), "T2": ("B", ["D1"]), "T6": ("A1 D2", ["A1 A2", "D1 D2"])}[theorem]
        for chain in chains:
            self.solver.add(below(b * self.total(chain), a * self.total(best)))
        self.solver.add(self.total(best) == 1)  # the unit of profit

    def run(self) -> Counterexample | None:
        while self.solver.check() == z3.sat:
            model = self.solver.model()
            unknowns = self.w, self.p, [self.c1, self.c2]
            w, p, c = (tuple(_exact(model.eval(x, model_completion=True)) for x in xs) for xs in unknowns)
            instance, capacities = Instance(w, p), (c[0], c[1])
            better = next(self.better(instance, capacities), None)
            if better is None:
                return Counterexample(instance, capacities, self.sets)
            name, chosen = better
            fits = self.weight(chosen) <= self.room(name)
            self.solver.add(z3.Implies(fits, self.profit(chosen) <= self.profit(self.sets[name])))
        assert self.solver.check() == z3.unsat, "z3 gave up"
        return None

    def better(self, instance: Instance, capacities: tuple[Fraction, Fraction]) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Sets that show that A1, A2, D1 or D2 is not the best of its stage."""
        everything = tuple(range(self.count))
        for name, chosen in self.sets.items():
            if name in ("O", "B"):
                continue  # any feasible set will do
            inner = self.sets["A1"] if name == "A2" else ()
            free = self.sets["D2"] if name == "D1" else tuple(i for i in everything if i not in inner)
            part = Instance(tuple(instance.weights[i] for i in free), tuple(instance.profits[i] for i in free))
            room = capacities[name.endswith("2")] - instance.weight(inner)
            best = tuple(sorted((*inner, *(free[i] for i in optimum(part, room).items))))
            if instance.profit(best) > instance.profit(chosen):
                yield name, best

    def room(self, name: str) -> z3.ArithRef:
        return self.c1 if name in ("A1", "D1", "B") else self.c2

    def total(self, names: str) -> z3.ArithRef:
        return self.profit(tuple(i for name in names.split() for i in self.sets[name]))

    def weight(self, chosen: tuple[int, ...]) -> z3.ArithRef:
        return cast(z3.ArithRef, z3.Sum([self.w[i] for i in chosen]))

    def profit(self, chosen: tuple[int, ...]) -> z3.ArithRef:
        return cast(z3.ArithRef, z3.Sum([self.p[i] for i in chosen]))


def _exact(value: z3.ExprRef) -> Fraction:
    assert isinstance(value, z3.RatNumRef)
    return Fraction(value.numerator_as_long(), value.denominator_as_long())
