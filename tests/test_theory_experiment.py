"""The theory experiment: what it writes, that no proved bound is broken, and that a seed decides everything."""

import dataclasses
import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
from rich.console import Console

from reds_jax.errors import InvalidArgumentError, RedsError
from reds_jax.experiments import theory, theory_cases, theory_exhaustive
from reds_jax.experiments.theory import Theory
from reds_jax.experiments.theory_cases import ADDITIVE, METHODS, SETTINGS
from reds_jax.knapsack import WidthProblem
from reds_jax.theory import Instance, every_chain, joint_optimum, optimum

TINY = Theory(stages=(2, 4), instances=3, draws=1, models=("dnn_s",))


@pytest.fixture(scope="module")
def cases():
    return theory.solve_cases(TINY)


def test_no_bound_is_broken_and_every_setting_is_there(cases):
    assert {c.setting for c in cases} == set(SETTINGS)
    assert len(cases) == theory.count_cases(TINY)
    for case in cases:
        assert case.broken() == []
        for method in METHODS:
            assert all(v <= o for v, o in zip(case.values[method], case.optima, strict=True))
            assert (case.proved_total[method] > 0) == (case.setting in (*ADDITIVE, "bilinear"))
        assert case.total_ratio("joint") >= case.total_ratio("best")


def test_the_near_tight_cases_are_near_the_bounds(cases):
    def least(setting, method, stages):
        return min(min(c.ratios(method)) for c in cases if (c.setting, c.stages) == (setting, stages))

    assert least("tight_bottom_up", "bottom_up", 2) < Fraction(70, 100)
    assert least("tight_bottom_up", "bottom_up", 4) < Fraction(4, 7) + Fraction(2, 100)
    assert least("tight_top_down", "top_down", 2) < Fraction(53, 100)
    assert least("bilinear", "bottom_up", 4) < Fraction(4, 7)  # below what additive costs would guarantee


def test_a_broken_promise_is_noticed(cases, monkeypatch):
    case = next(c for c in cases if c.setting == "tight_bottom_up")
    more = {name: tuple(min(r + Fraction(1, 1000), Fraction(2)) for r in case.ratios(name)) for name in METHODS}
    wrong = dataclasses.replace(case, proved=more)
    assert len(wrong.broken()) == len(METHODS) * case.stages
    monkeypatch.setattr(theory, "draw", lambda *args: iter([wrong]))
    with pytest.raises(RedsError, match="a promise of the theorems is broken"):
        theory.solve_cases(TINY)


def test_a_seed_decides_everything(cases):
    again = theory.solve_cases(dataclasses.replace(TINY, stages=(4,)))  # and no other number of stages does
    assert again == [c for c in cases if c.stages == 4]
    other = theory.solve_cases(dataclasses.replace(TINY, stages=(4,), seed=1))
    assert other != again


def test_the_files_hold_what_was_found(tmp_path):
    options = dataclasses.replace(TINY, stages=(2,), exhaustive=4, exhaustive_capacity=3, exhaustive_profit=2,
                                  output=tmp_path / "new" / "theory")
    results = theory.run(options, console=Console(quiet=True), command="the command")
    assert sorted(p.name for p in options.output.iterdir()) == ["bounds.png", "ratios.json", "ratios.md"]
    read = json.loads((options.output / "ratios.json").read_text())
    assert read == json.loads(json.dumps(results))
    assert read["command"] == "the command"
    assert read["seed"] == 0
    assert {"machine", "commit"} <= set(read["environment"])
    assert len(read["groups"]) == len(SETTINGS) * len(METHODS)
    for group in read["groups"]:
        assert all(r >= p for r, p in zip(group["least"], group["proved"], strict=True))
        assert group["least_total"] >= group["proved_total"]
    assert [m["least"] for m in read["exhaustive"]["minima"]] == ["2/3", "1/2", "8/9", "8/9"]
    table = (options.output / "ratios.md").read_text()
    assert all(title[1:] in table for title in SETTINGS.values())
    assert "`the command`" in table
    assert (options.output / "bounds.png").read_bytes().startswith(b"\x89PNG")


def test_the_exhaustive_search_is_that_of_the_chains():
    """Against every chain of every instance, one by one."""
    found = {m.ratio: m.least for m in theory_exhaustive.search(3, capacity=2, profit=2)}
    least = dict.fromkeys(found, Fraction(2))
    count = 0
    for c in (1, 2):
        kinds = list(itertools.product(range(1, c + 1), (1, 2)))
        for items in itertools.combinations_with_replacement(kinds, 3):
            instance, limits = Instance.of(*items), (c, 2 * c)
            one, two = (optimum(instance, limit).value for limit in limits)
            up = min(chain.values[1] for chain in every_chain(instance, limits, "bottom_up"))
            down = min(chain.values[0] for chain in every_chain(instance, limits, "top_down"))
            here = {"bottom_up": Fraction(up, two), "top_down": Fraction(down, one),
                    "best_total": Fraction(max(one + up, down + two), one + two),
                    "joint_total": Fraction(joint_optimum(instance, limits).total, one + two)}
            least = {name: min(least[name], here[name]) for name in least}
            count += 1
    assert found == least
    assert count == theory_exhaustive.count_instances(3, 2, 2)


def test_the_joint_milp_agrees_with_the_states():
    rng = np.random.default_rng(3)
    instance, limits = theory_cases._random_items(4, rng)
    known = theory_cases.bottom_up(instance, limits)
    more = (*limits, *(limits[-1] + i for i in (1, 2)))  # enough stages for the MILP
    chain, proven = theory_cases._joint(instance, more, theory_cases.bottom_up(instance, more))
    assert proven
    assert chain.total == joint_optimum(instance, more).total
    assert theory_cases._joint(instance, limits, known)[0].total == joint_optimum(instance, limits).total


def test_items_of_a_width_problem():
    problem = WidthProblem.chain(scores=[[5, 3, 2], [4, 1]], pair_macs=[0, 0], unit_macs=[2, 7])
    items = theory_cases.items_of(problem)
    assert sorted(zip(items.weights, items.profits, strict=True)) == [(2, 2), (2, 3), (7, 1)]
    with pytest.raises(InvalidArgumentError, match="not additive"):
        theory_cases.items_of(WidthProblem.chain(scores=[[5, 3], [4, 1]], pair_macs=[0, 1], unit_macs=[1, 0]))


@pytest.mark.parametrize(("options", "message"), [
    ({"seed": -1}, "seed"), ({"stages": (1, 2)}, "stages"), ({"stages": (2, 2)}, "stages"), ({"instances": 0}, "instances"),
    ({"models": ("alexnet",)}, "no such model"),
])
def test_wrong_options(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        Theory(**options)


def test_the_search_refuses_what_it_cannot_finish():
    with pytest.raises(InvalidArgumentError, match="out of range"):
        theory_exhaustive.search(9, capacity=3, profit=2)
    with pytest.raises(InvalidArgumentError, match="too many instances"):
        theory_exhaustive.search(8, capacity=10, profit=10)


def test_an_output_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        theory.main(["--output", str(tmp_path / "file"), "--instances", "1"])
    assert stop.value.code == 1
    assert "A file is in the place of a folder" in capsys.readouterr().err
