"""z3 proves T1, T2, T6 for a few items over all real numbers, and finds the worst instance when asked for more.

The larger sizes: `python proofs/smt/prove.py --items 6`.
"""

import importlib.util
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from reds_jax.theory import Chain, every_chain, optimum

pytest.importorskip("z3", reason="z3 is not installed: pip install z3-solver")

FOLDER = Path(__file__).parents[2] / "proofs" / "smt"


@pytest.fixture(scope="module")
def smt():
    spec = importlib.util.spec_from_file_location("nested_smt", FOLDER / "nested_smt.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nested_smt"] = module
    spec.loader.exec_module(module)
    return module


def reached(theorem, found):
    """The ratio of a counterexample, after a check that its chains are what the orders really give."""
    instance, capacities = found.instance, found.capacities
    assert all(w <= capacities[0] for w in instance.weights)
    chains = {}
    for order, names in (("bottom_up", ("A1", "A2")), ("top_down", ("D1", "D2"))):
        if names[0] in found.sets:
            chains[order] = Chain(instance, capacities, tuple(found.sets[name] for name in names))
            assert chains[order] in list(every_chain(instance, capacities, order))
    best = [Fraction(optimum(instance, c).value) for c in capacities]
    if theorem == "T1":
        return chains["bottom_up"].values[1] / best[1]
    if theorem == "T2":
        return chains["top_down"].values[0] / best[0]
    return max(chain.total for chain in chains.values()) / sum(best)


@pytest.mark.parametrize(("theorem", "items", "k"), [
    ("T1", 5, None), ("T2", 5, None), ("T6", 4, None), ("T1", 4, 1), ("T2", 3, 3), ("T6", 3, 1), ("T1", 5, 3),
])  # fmt: skip
def test_the_bound_is_proved(smt, theorem, items, k):
    """For c and 2c, or for all capacities with floor(c2 / c1) = k."""
    assert smt.refute(theorem, items, k=k) is None


@pytest.mark.parametrize("theorem", ["T1", "T2", "T6"])
def test_a_stronger_bound_is_refuted(smt, theorem):
    """0.1 % more: z3 shows an instance, and the chains of `reds_jax.theory` fall below on it."""
    stronger = smt.own_bound(theorem) * Fraction(1001, 1000)
    found = smt.refute(theorem, 4, stronger)
    assert found is not None
    assert smt.own_bound(theorem) <= reached(theorem, found) < stronger


@pytest.mark.parametrize(("theorem", "k"), [("T1", None), ("T2", None), ("T6", None), ("T6", 1)])
def test_the_bound_is_reached(smt, theorem, k):
    """With ties broken against us, some instance of four items is exactly at the bound; none of three items, for c and 2c."""
    found = smt.refute(theorem, 4, k=k, reach=True)
    assert found is not None
    assert reached(theorem, found) == smt.own_bound(theorem, k)
    if k is None and theorem != "T6":
        assert smt.refute(theorem, 3, reach=True) is None


def test_the_script():
    shown = subprocess.run([sys.executable, FOLDER / "prove.py", "--items", "3", "--theorem", "T1", "--theorem", "T2"],
                           capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert "T1 >= 2/3, 3 items: proved" in shown
    assert "T2 >= 1/2, 3 items: proved" in shown
