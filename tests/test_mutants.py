"""The mutation script: its list fits the tree, and it tells a mutant that is killed from one that survives or says nothing."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))
mutants, listed = import_module("mutants"), import_module("mutant_list")

CODE = "def double(x):\n    return 2 * x\n"
TESTS = '''import random

from toy import double


def test_double():
    assert double(3) == 6


def test_nothing():
    assert double


def test_failing():
    assert random is None
'''


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A tree with a module, its tests and what git would track."""
    for name, text in {"src/toy.py": CODE, "tests/test_toy.py": TESTS, "pyproject.toml": "[tool.pytest.ini_options]\n",
                       ".gitignore": "*.secret\n", "src/left.secret": "no\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def mutant(name: str, new: str, *tests: str, old: str = "2 * x"):
    return mutants.Mutant(name, "src/toy.py", old, new, tuple(f"tests/test_toy.py::{t}" for t in tests or ("test_double",)))


def test_every_entry_fits_the_tree():
    assert mutants.stale(listed.MUTANTS) == []
    assert len(listed.MUTANTS) >= 44
    folders = {Path(m.file).parts[2] for m in listed.MUTANTS}
    assert {"theory", "knapsack", "graph", "run", "testing", "training", "layer_rules.py"} <= folders


def test_the_entries_are_python_after_the_change():
    for m in listed.MUTANTS:
        text = (ROOT / m.file).read_text(encoding="utf-8")
        compile(text.replace(m.old, m.new), m.file, "exec")


def test_killed_survived_and_broken(toy: Path):
    before = (toy / "src/toy.py").read_text(encoding="utf-8")
    told = []
    found = mutants.judge_all([
        mutant("killed", "3 * x"), mutant("survived", "x + x"), mutant("not seen", "3 * x", "test_nothing"),
        mutant("no python", "2 *"), mutant("one of two", "4 * x", "test_nothing", "test_double"),
    ], root=toy, told=told.append)  # fmt: skip
    assert [v.state for v in found] == ["killed", "survived", "survived", "broken", "killed"]
    assert "test_toy.py::test_double" in found[0].why
    assert told == found
    assert (toy / "src/toy.py").read_text(encoding="utf-8") == before  # the tree itself is left alone
    text = mutants.table(found)
    assert "| killed | src/toy.py | killed | tests/test_toy.py::test_double |" in text
    assert "| survived | src/toy.py | SURVIVED |" in text
    assert text.endswith("2 killed, 2 survived, 1 broken")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_copy_has_what_git_would_track_and_is_gone_afterwards(toy: Path, jobs: int):
    with mutants.copies(toy, jobs) as trees:
        assert len(trees) == jobs
        for tree in trees:
            assert sorted(str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file()) == [
                "pyproject.toml", "src/toy.py", "tests/test_toy.py"]
    assert not any(tree.exists() for tree in trees)


def test_tests_that_fail_by_themselves_kill_nothing(toy: Path):
    with pytest.raises(ValueError, match=r"do not pass where nothing is broken: FAILED tests/test_toy\.py::test_failing"):
        mutants.judge_all([mutant("killed", "3 * x", "test_double", "test_failing")], root=toy)


@pytest.mark.parametrize(("wrong", "why"), [
    (mutant("a", "1", old="3 * x"), "a: the old text occurs 0 times in src/toy.py, not once"),
    (mutant("b", "1", old="x"), "b: the old text occurs 2 times"),
    (mutant("c", "2 * x"), "c: the new text is the old one"),
    (mutant("d", "1", "test_missing"), "d: there is no test tests/test_toy.py::test_missing"),
    (mutant("e", "1")._replace(tests=()), "e: no test is named"),
    (mutant("f", "1")._replace(file="src/gone.py"), "f: the old text occurs 0 times in src/gone.py"),
])  # fmt: skip
def test_a_stale_entry_is_an_error(toy: Path, wrong, why: str):
    assert why in "\n".join(mutants.stale([wrong], toy))
    with pytest.raises(ValueError, match="^" + why[0]):
        mutants.judge_all([wrong], root=toy)


def test_a_name_comes_once(toy: Path):
    assert mutants.stale([mutant("same", "1"), mutant("same", "3")], toy) == ["same: the name comes twice"]


def test_the_command(monkeypatch, capsys):
    monkeypatch.setattr(listed, "MUTANTS", [mutant("killed", "3 * x")])
    with pytest.raises(SystemExit):
        mutants.main(["--only", "no such word"])
    assert mutants.main(["--only", "killed"]) == 2  # there is no such file in this tree
    assert "occurs 0 times" in capsys.readouterr().err
