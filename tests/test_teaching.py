"""The class pack: the check of answers takes right ones and nothing else, and the page computes what the library computes."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest

from reds_jax.errors import InvalidArgumentError
from reds_jax.theory import Instance, bottom_up, bounds, joint_optimum, optimum, tight_instance, top_down

FOLDER = Path(__file__).parents[1] / "docs/teaching"
SHEET = re.search(r"```python\n(.*?)```", (FOLDER / "teacher.md").read_text(), re.S)


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def grade(monkeypatch):
    return module("grade", monkeypatch)


def answers(text: str = "") -> dict[str, object]:
    assert SHEET is not None
    scope: dict[str, object] = {}
    exec(SHEET[1] + text, scope)
    return scope


def test_right_answers_pass(grade, tmp_path, capsys):
    assert SHEET is not None
    (tmp_path / "mine.py").write_text(SHEET[1])
    assert grade.main([str(tmp_path / "mine.py")]) == 0
    assert f"{len(grade.QUESTIONS)} of {len(grade.QUESTIONS)} right" in capsys.readouterr().out


@pytest.mark.parametrize(("wrong", "hint"), [
    ("orders = 120", "its own order"), ("orders = 5", "independently"), ("orders = 12.0", "not floats"),
    ("harmless = {0}", "beta = -3"), ("harmless = set(range(-3, 4))", "beta = 1"), ("harmless = 3", "a set"),
    ("normalise = lambda x: [v - sum(x) / len(x) for v in x]", "mean"), ("normalise = lambda x: x", "(c)"),
    ("normalise = lambda x: sorted(x)", "(a)"), ("normalise = lambda x: x[1:]", "as many"),
    ("bottom_up_values = 7, 13", "must contain"), ("top_down_values = 7, 12", "top-down"), ("best_total = 20", "not nested"),
    ("optima = 7, 12", "optima"), ("best_total = 18", "all pairs"), ("optima = 7", "iterable"),
    ("bad_for_bottom_up = Instance.of((1, 1), (1, 5)), (5, 10)", "a theorem protects you"),
    ("bad_for_bottom_up = Instance.of((10, 20), (1, 1)), (5, 10)", "keeps 1/20"), ("bad_for_bottom_up = 5", "a pair"),
    ("bad_for_bottom_up = Instance.of((1, 1)), (5, 5)", "ascending"),
    ("bad_for_top_down = Instance.of((10, 20)), (5, 10)", "something must fit"),
    ("bad_for_top_down = Instance.of((2, 1), (1, 1)), (2, 3)", "no part"),
    ("last_values = {2}", "optimal at 3"), ("last_values = [2, 3]", "a set"),
    ("worst_ratio = Fraction(3, 4)", "adversarial"), ("refuted = False", "below 7/10"),
    ("greedy_fails_on = Instance.of((1, 1), (2, 2)), 2", "keeps 1"),
    ("from_the_middle = lambda items, c: [(), optimum(items, c[1]).items, range(6)]", "not yet"),
    ("from_the_middle = lambda items, c: [optimum(items, x).items for x in c]", "not yet"),
    ("units = 4", "without bound"), ("profit = 13", "less than"), ("start = 5, 1", "cost"), ("end = 5, 2", "grow"),
    ("units_for_a_half = 124", "P = K"),
])  # fmt: skip
def test_a_typical_wrong_answer_gets_a_hint_and_no_solution(grade, wrong, hint):
    given = answers(f"\n{wrong}\n")
    name = wrong.split(" ")[0]
    said, = [grade.verdict(question, given) for question in grade.QUESTIONS if name in question.names]
    assert hint in said
    solution = answers()[name]
    if isinstance(solution, (int, Fraction)) and not isinstance(solution, bool):
        assert not re.search(rf"\b{solution}\b", said)


def test_the_students_file_is_blank_and_holds_no_solution(grade, monkeypatch, tmp_path):
    build = module("build", monkeypatch)
    build.build(tmp_path)
    text = (tmp_path / "exercises.py").read_text()
    assert len(re.findall(r"(?m)^# ### Exercise \d", text)) == len(grade.QUESTIONS)
    scope: dict[str, object] = {}
    exec(text, scope)  # it runs as it is handed out
    assert {grade.verdict(question, scope) for question in grade.QUESTIONS} == {"not answered yet"}
    for path in [*tmp_path.glob("*.ipynb"), tmp_path / "exercises.py"]:
        assert "Solution" not in path.read_text()
    forms = {question.form.strip() for question in grade.QUESTIONS} | {"# your answer"}
    for name in (build.SORTED, build.KNAPSACK, build.GAP):
        cells = json.loads((tmp_path / f"{name}.ipynb").read_text())["cells"]
        texts = ["".join(cell["source"]) for cell in cells]
        stated = [i for i, text in enumerate(texts) if "### Exercise" in text]
        assert len(stated) == 6
        code = [text for cell, text in zip(cells, texts, strict=True) if cell["cell_type"] == "code"]
        assert set(code[-6:]) <= forms
        assert [cell["cell_type"] for cell in cells[stated[0]:][:12]] == ["markdown", "code"] * 6
    slides = (tmp_path / "slides.html").read_text()
    assert slides.count("<section>") == (FOLDER / "slides.md").read_text().count("\n---\n") + 1
    assert "://" not in slides + (tmp_path / "interactive.html").read_text()


def test_grading_needs_no_jax():
    code = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import questions; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_path_takes_ninety_minutes_and_every_minute_once():
    rows = re.findall(r"(?m)^\| (\d+) to (\d+) \|", (FOLDER / "path.md").read_text())
    assert [int(begin) for begin, _ in rows] == [0, *(int(end) for _, end in rows[:-1])]
    assert rows[-1][1] == "90"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_page_computes_what_the_library_computes():
    """On random instances with many ties, on the tight ones, and with items that are too heavy."""
    import random

    rng = random.Random(0)
    cases: list[tuple] = [
        ([(rng.randint(1, 5), rng.randint(0, 6)) for _ in range(rng.randint(1, 6))], c1, c1 + rng.randint(1, 9))
        for c1 in (3, 4, 5, 6, 7) for _ in range(12)]
    for theorem in ("T1", "T2", "T6"):
        tight = tight_instance(theorem, profit=50)
        cases.append((list(zip(tight.instance.weights, tight.instance.profits, strict=True)), *tight.capacities))
    solver = re.search(r'<script id="solver">\n(.*?)</script>', (FOLDER / "interactive.html").read_text(), re.S)
    assert solver is not None
    call = f"\nconsole.log(JSON.stringify({json.dumps(cases)}.map(([i, a, b]) => [solve(i, a, b), promise(i, a, b)])))"
    done = subprocess.run(["node", "-e", solver[1] + call], capture_output=True, text=True, check=True)
    for (items, c1, c2), (found, promised) in zip(cases, json.loads(done.stdout), strict=True):
        instance, capacities = Instance.of(*items), (c1, c2)
        assert found["optima"] == [optimum(instance, c).value for c in capacities]
        assert found["bottomUp"] == list(bottom_up(instance, capacities, ties="adversarial").values)
        assert found["topDown"] == list(top_down(instance, capacities, ties="adversarial").values)
        assert found["joint"] == joint_optimum(instance, capacities).total
        if promised is None:
            with pytest.raises(InvalidArgumentError, match="heavier"):
                bounds.bottom_up_ratio(capacities, instance=instance)
        else:
            assert Fraction(*promised["bottomUp"]) == bounds.bottom_up_ratio(capacities, instance=instance)
            assert Fraction(*promised["topDown"]) == bounds.top_down_ratio(capacities, instance=instance)
