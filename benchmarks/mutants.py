"""Breaks the library in one place at a time, and looks whether the tests see it: ``python benchmarks/mutants.py --help``.

Each mutant is one change of one file (``mutant_list.py``) and the tests that must fail. All of it happens in a temporary copy
of the files that git tracks or would track; the checkout is left alone. First the tests of the chosen mutants run on the
unbroken copy, where they must pass. Then every mutant is written, its tests run, and the file is put back. A mutant is *killed*
if a test fails; it *survived* if all pass: then something is claimed that nothing checks. If nothing could be collected, or no
test failed although pytest did, the mutant is *broken*: it says nothing. hypothesis draws the same examples in every run
(``mutant_plugin``).

    python benchmarks/mutants.py --only certificate bilinear    # those whose name has one of these words
    python benchmarks/mutants.py --jobs 2

The exit status is 1 if a mutant survived or is broken, 2 for an entry that does not fit the tree.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
NEEDED = ("src/", "tests/", "benchmarks/", "pyproject.toml")
PASSED, FAILED = 0, 1
SECONDS = 600


class Mutant(NamedTuple):
    """One change and who must see it.

    Args:
        name: what is broken, in words.
        file: a path in the repository.
        old: a text that occurs in it exactly once.
        new: what stands there instead.
        tests: as pytest takes them, at least one of which fails.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


class Verdict(NamedTuple):
    """"killed", "survived" or "broken", and the first line of what the tests said."""

    mutant: Mutant
    state: str
    why: str


def stale(mutants: Sequence[Mutant], root: Path = ROOT) -> list[str]:
    """What does not fit the tree: a text that does not occur exactly once, a change of nothing, a test that is not there."""
    found = []
    for m in mutants:
        path = root / m.file
        count = path.read_text(encoding="utf-8").count(m.old) if path.exists() and m.old else 0
        if count != 1:
            found.append(f"{m.name}: the old text occurs {count} times in {m.file}, not once")
        if m.old == m.new:
            found.append(f"{m.name}: the new text is the old one")
        if not m.tests:
            found.append(f"{m.name}: no test is named")
        for test in m.tests:
            file, _, name = test.partition("::")
            name = name.partition("[")[0]
            text = (root / file).read_text(encoding="utf-8") if (root / file).exists() else ""
            if not name or not re.search(rf"^def {re.escape(name)}\(", text, re.M):
                found.append(f"{m.name}: there is no test {test}")
    names = [m.name for m in mutants]
    return found + [f"{name}: the name comes twice" for name in sorted({n for n in names if names.count(n) > 1})]


def run_tests(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """The exit status of pytest in a copy, and the line that names the first failure, or else the last line."""
    paths = os.pathsep.join(map(str, (tree / "src", Path(__file__).parent / "mutant_plugin")))
    env = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    options = ["-q", "-x", "--tb=line", "-m", "", "-p", "no:cacheprovider", "-p", "mutant_profile"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    try:
        done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return -1, f"no end after {SECONDS} s"
    lines = (done.stdout + done.stderr).strip().splitlines() or ["pytest said nothing"]
    return done.returncode, next((line for line in lines if line.startswith("FAILED ")), lines[-1])


def judge(mutant: Mutant, tree: Path) -> Verdict:
    """Breaks the copy, runs the tests, and mends it."""
    path = tree / mutant.file
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        status, said = run_tests(tree, mutant.tests)
    finally:
        path.write_text(before, encoding="utf-8")
    if status == PASSED:
        return Verdict(mutant, "survived", said)
    return Verdict(mutant, "killed" if status == FAILED and said.startswith("FAILED ") else "broken", said)


@contextmanager
def copies(root: Path, count: int) -> Iterator[list[Path]]:
    """Temporary copies of what git tracks or would track, as far as the tests need it."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *NEEDED],
                            cwd=root, capture_output=True, text=True, check=True).stdout  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees = [Path(folder) / str(i) for i in range(count)]
        for tree in trees:
            for name in filter(None, listed.split("\0")):
                if (root / name).is_file():
                    (tree / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(root / name, tree / name)
        yield trees


def judge_all(
    mutants: Sequence[Mutant], *, root: Path = ROOT, jobs: int = 1, told: Callable[[Verdict], None] = lambda verdict: None
) -> list[Verdict]:
    """A verdict on every mutant, in the order of the list.

    Raises:
        ValueError: an entry does not fit the tree, or a test fails where nothing is broken.
    """
    if wrong := stale(mutants, root):
        raise ValueError("\n".join(wrong))
    with copies(root, jobs) as trees:
        tests = list(dict.fromkeys(test for m in mutants for test in m.tests))
        status, said = run_tests(trees[0], tests) if tests else (PASSED, "")
        if status != PASSED:
            raise ValueError(f"the tests do not pass where nothing is broken: {said}")
        free: SimpleQueue[Path] = SimpleQueue()
        for tree in trees:
            free.put(tree)

        def work(mutant: Mutant) -> Verdict:
            tree = free.get()
            try:
                verdict = judge(mutant, tree)
            finally:
                free.put(tree)
            told(verdict)
            return verdict

        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(work, mutants))


def table(verdicts: Sequence[Verdict]) -> str:
    """Markdown: what was broken, where, the verdict, and the test that saw it."""
    rows = ["| what is broken | file | verdict | seen by |", "|---|---|---|---|"]
    for m, state, why in verdicts:
        seen = why.removeprefix("FAILED ").partition(" - ")[0] if state == "killed" else why
        rows.append(f"| {m.name} | {m.file} | {state if state == 'killed' else state.upper()} | {seen} |")
    counts = {state: sum(v.state == state for v in verdicts) for state in ("killed", "survived", "broken")}
    return "\n".join([*rows, "", ", ".join(f"{n} {state}" for state, n in counts.items())])


def main(arguments: Sequence[str] | None = None) -> int:
    from mutant_list import MUTANTS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="mutants whose name or file has one of these")
    parser.add_argument("--jobs", type=int, default=1, help="as many at a time, each in a copy of its own")
    options = parser.parse_args(arguments)
    chosen = [m for m in MUTANTS if not options.only or any(word in f"{m.name} {m.file}" for word in options.only)]
    if not chosen:
        parser.error("no mutant has one of these words")
    try:
        verdicts = judge_all(chosen, jobs=max(1, options.jobs), told=lambda v: print(f"{v.state}: {v.mutant.name}", flush=True))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(verdicts))
    return 0 if all(v.state == "killed" for v in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
