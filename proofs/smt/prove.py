"""Proves T1, T2 and T6 with z3 for a number of items, and shows an instance that reaches the bound.

python proofs/smt/prove.py --items 6            capacities c and 2c
python proofs/smt/prove.py --items 4 --k 1      all capacities with floor(c2 / c1) = 1
python proofs/smt/prove.py --bound 0.67         a bound that does not hold: shows a counterexample
"""

from __future__ import annotations

import argparse
import time
from fractions import Fraction

from nested_smt import BOUNDS, Counterexample, Theorem, own_bound, refute


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=4, help="number of items; the time grows with it (default 4)")
    parser.add_argument("--theorem", choices=tuple(BOUNDS), action="append", help="default: all three")
    parser.add_argument("--bound", type=Fraction, help="another bound, such as 2/3 or 0.67")
    parser.add_argument("--k", type=int, help="all capacities with this floor(c2 / c1); default c2 = 2 c1")
    given = parser.parse_args()
    theorems: list[Theorem] = given.theorem or list(BOUNDS)
    for theorem in theorems:
        own = own_bound(theorem, given.k)
        bound = own if given.bound is None else given.bound
        started = time.perf_counter()
        found = refute(theorem, given.items, bound, k=given.k)
        print(f"{theorem} >= {bound}, {given.items} items: {'proved' if found is None else show(found)}", end="")
        print(f"  ({time.perf_counter() - started:.1f} s)", flush=True)
        if found is None and bound == own:
            tight = refute(theorem, given.items, bound, k=given.k, reach=True)
            print(f"  reached by {'none' if tight is None else show(tight)}", flush=True)


def show(found: Counterexample) -> str:
    pairs = ", ".join(f"({w}, {p})" for w, p in zip(found.instance.weights, found.instance.profits, strict=True))
    sets = ", ".join(f"{name} = {set(chosen) or '{}'}" for name, chosen in found.sets.items())
    return f"(weight, profit) = {pairs}; c = {found.capacities[0]}, {found.capacities[1]}; {sets}"


if __name__ == "__main__":
    main()
