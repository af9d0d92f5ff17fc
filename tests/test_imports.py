"""The parts that are taught alone need no jax, and importing anything does no work."""

import subprocess
import sys

PACKAGES = ("jax", "flax", "cvxpy", "matplotlib", "tensorflow_datasets", "hypothesis")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*(m for m in {PACKAGES} if m in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_solver_and_the_costs_need_no_jax():
    free = ("knapsack", "theory", "cost", "widths", "graph.channels")
    assert loaded_after("import " + ", ".join(f"reds_jax.{name}" for name in free)) == set()


def test_optional_packages_are_imported_where_they_are_used():
    assert loaded_after("import reds_jax; reds_jax.nest; import reds_jax.experiments.vww") <= {"jax", "flax"}
