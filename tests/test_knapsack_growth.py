"""The benchmark of the width solver and its peers: they agree on one instance, and a wrong answer of a peer is caught."""

import doctest
import json
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from reds_jax.knapsack import solve_nested

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
peers, growth = import_module("knapsack_peers"), import_module("knapsack_growth")

CASES = [peers.Case(9, 3), peers.Case(7, 3, resources=3, percent=75, value="sum"),
         peers.Case(8, 2, subnetworks=3, shape="gamma", percent=75, seed=5, value="sum")]  # fmt: skip


def answer(solver: str, case) -> dict:
    """As `peers.ask` gives it, without the process."""
    if why := peers.missing(solver):
        pytest.skip(why)
    problem = case.problem()
    return peers.asdict(peers.SOLVERS[solver][0](case, problem, case.capacities(problem), 30.0))


def test_doctests():
    assert doctest.testmod(growth).failed == 0


def test_a_case_has_true_macs_and_its_share_of_them():
    case = peers.Case(6, 3, resources=2, subnetworks=4, percent=50)
    problem = case.problem()
    for a, b, c in [(1, 1, 1), (2, 6, 3), (6, 6, 6)]:
        assert problem.cost("macs", (a, b, c)) == 784 * 100 * a + 100 * a * b + 100 * b * c + 10 * 100 * c
    full = problem.costs(problem.full_widths)
    for s, limits in enumerate(case.capacities(problem), 1):
        for name, limit in limits.items():
            assert limit <= full[name] * 0.5 * s / 4 < limit + 1


def test_the_separate_optima_of_the_nested_case_are_not_nested():
    problem = CASES[2].problem()
    assert solve_nested(problem, CASES[2].capacities(problem), exact_joint=True).certificate < 0.99


@pytest.mark.parametrize("case", CASES, ids=["one", "three resources", "nested"])
def test_peers_find_the_optimum(case):
    best = answer("exact", case)
    assert best["proven"]
    assert peers.faults(case, best, best) == []
    found = answer("HiGHS", case)
    assert found["proven"]
    assert peers.faults(case, found, best) == []


@pytest.mark.skipif(find_spec("ortools") is None, reason="OR-Tools is not installed")
@pytest.mark.parametrize("case", CASES, ids=["one", "three resources", "nested"])
def test_cp_sat_finds_the_optimum(case):
    """In a process of its own: OR-Tools and HiGHS cannot be loaded into one."""
    found = peers.ask("CP-SAT", case, 30.0, 12_000)
    assert found["proven"]
    assert peers.faults(case, found, answer("exact", case)) == []


def test_wrong_answers_are_caught():
    case = CASES[2]
    best = answer("exact", case)
    small, middle, large = best["widths"]
    full = case.problem().full_widths

    def said(widths, proven: bool, known=best) -> list[str]:
        return peers.faults(case, {"widths": widths, "bound": None, "proven": proven}, known)

    assert said([small, small, small], proven=False) == []
    assert any("claims that" in s and "is the optimum" in s for s in said([small, small, small], proven=True))
    assert any("costs" in s and "macs" in s for s in said([small, full, full], proven=False))
    assert any("is not inside the next" in s for s in said([middle, small, large], proven=False))
    assert any("nothing is feasible" in s for s in said(None, proven=True))
    assert said(None, proven=False) == []
    low = {"widths": [small, small, small], "bound": peers.math.fsum(map(case.problem().evaluate, [small] * 3)), "proven": True}
    assert any("above the exact solver's bound" in s for s in said(best["widths"], proven=False, known=low))


def test_a_process_answers_and_one_that_fails_costs_its_row_only():
    case = CASES[0]
    alone = peers.ask("exact", case, 30.0, 12_000)
    assert (alone["widths"], alone["proven"]) == ([list(w) for w in answer("exact", case)["widths"]], True)
    assert alone["cpu"] > 0
    assert 10 < alone["peak_mb"] < 12_000
    assert "failed" in peers.ask("exact", case, 30.0, 30)  # MB of memory: too few to begin


def test_a_process_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(peers, "GRACE", -29.9)
    assert peers.ask("exact", CASES[0], 30.0, 12_000)["failed"] == "ended after 0.1 s"


@pytest.fixture
def asked(monkeypatch):
    """What each solver was asked; HiGHS gives up above 8 units, and answers as the exact solver does below."""
    calls = []

    def ask(solver, case, seconds, memory_mb):
        calls.append((solver, case.units))
        if solver == "HiGHS" and case.units > 8:
            return {"failed": "ended", "seconds": 90.0}
        return {**answer("exact", case), "seconds": case.units / 4, "cpu": case.units / 8, "peak_mb": 50.0}

    monkeypatch.setattr(growth, "ask", ask)
    monkeypatch.setattr(growth, "missing", {"CP-SAT": "not installed", "HiGHS": None, "exact": None}.get)
    return calls


SMALL = ["--axes", "units", "--layers", "2", "--percent", "75", "--shapes", "exponential", "flat",
         "--sizes", "4", "8", "16", "32"]  # fmt: skip


def test_a_peer_is_not_asked_beyond_what_it_leaves_unproven(asked, tmp_path):
    growth.main([*SMALL, "--results", str(tmp_path / "new" / "record.json")])
    assert [units for solver, units in asked if solver == "exact"] == [4, 4, 8, 8, 16, 16, 32, 32]
    assert [units for solver, units in asked if solver == "HiGHS"] == [4, 4, 8, 8, 16]
    record = json.loads((tmp_path / "new" / "record.json").read_text(encoding="utf-8"))
    assert record["missing"] == {"CP-SAT": "not installed"}
    assert (tmp_path / "new" / "record.png").stat().st_size > 1000
    fits = {of["solver"]: of for of in record["fits"]}
    assert fits["exact"]["exponent"] == pytest.approx(1.0)
    assert fits["exact"]["passes"] == {"1": [pytest.approx(8.0), False], "10": [pytest.approx(80.0), True]}
    assert fits["HiGHS"]["sizes"] == [4, 8]
    last = record["rows"][-1]
    assert (last["solver"], last["size"], last["median_cpu_s"]) == ("exact", 32, 4.0)
    assert (last["proven"], last["runs"], last["largest_gap"]) == (2, 2, 0.0)


def test_an_instance_of_two_axes_is_asked_once(asked):
    growth.main(["--axes", "units", "layers", "--sizes", "2", "--units", "2", "--layers", "2", "--percent", "75",
                 "--shapes", "flat"])  # fmt: skip
    assert asked == [("exact", 2), ("HiGHS", 2)]


def test_a_wrong_answer_makes_the_command_fail(asked, monkeypatch, capsys):
    monkeypatch.setattr(growth, "faults", lambda case, given, best=None: ["is wrong"] if best is not None else [])
    with pytest.raises(SystemExit) as end:
        growth.main(SMALL)
    assert end.value.code == 1
    assert "HiGHS, Case(units=4" in capsys.readouterr().err
