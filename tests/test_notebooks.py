"""The notebooks run from top to bottom as notebooks, have exercises with solutions, and link to what exists."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/notebooks"
NOTEBOOKS = sorted(path for path in FOLDER.glob("*.py") if path.read_text().startswith("# ---\n# jupyter:\n"))
PAGES = [*NOTEBOOKS, FOLDER / "README.md"]
NAMED = re.compile(r"((?:`\w+`(?:,\s+)?)+)\]\(([^)#]+\.(?:v|py))\)")
SECONDS = 120

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def cells(path):
    """The cells of a percent script: (is it Markdown, its text)."""
    parts = re.split(r"(?m)^# %%", path.read_text())[1:]
    return [(part.startswith(" [markdown]"), prose(part)) for part in parts]


def prose(text):
    """Markdown without the comment signs and line breaks of a percent script."""
    return re.sub(r"(?m)^# ?", "", text)


def test_all_three_are_there():
    names = {path.stem for path in NOTEBOOKS}
    assert names == {"the_nested_knapsack", "what_the_theorem_does_not_say", "why_a_network_can_be_sorted"}
    readme = (FOLDER / "README.md").read_text()
    assert all(f"]({name}.py)" in readme for name in names)


@pytest.mark.slow
@each_notebook
def test_it_runs(path, tmp_path):
    """In a kernel of its own, by the command behind ``make notebooks``; in another process, so that warnings stay there."""
    command = [sys.executable, str(FOLDER / "execute.py"), path.stem, "--to", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False,
                          env={**os.environ, "JAX_PLATFORMS": "cpu"})
    assert done.returncode == 0, done.stderr[-5000:]
    notebook = json.loads((tmp_path / f"{path.stem}.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]


@each_notebook
def test_it_has_exercises_with_solutions_that_run(path):
    text = prose(path.read_text())
    count = len(re.findall(r"(?m)^### Exercise \d", text))
    assert 4 <= count <= 6
    for i in range(1, count + 1):
        exercise, solution = text.index(f"\n### Exercise {i}."), text.index(f"\n#### Solution {i}\n")
        following = text.find("\n### Exercise", exercise + 1)
        assert exercise < solution < (following if following > 0 else len(text))
    after = [cells(path)[i : i + 2] for i, (_, cell) in enumerate(cells(path)) if "\n#### Solution" in cell]
    assert len(after) == count
    for (_, words), (is_markdown, code) in after:
        assert words.count("<details><summary>") == words.count("</details>") == 1
        assert not is_markdown
        assert "assert" in code


@each_notebook
def test_it_says_what_is_learned_what_is_assumed_and_whose_it_is(path):
    start = cells(path)[0][1]
    for part in ("**At the end you will know**", "**Assumed:**", "**Whose is what.**", "arxiv.org/abs/2311.13349",
                 "](../../proofs/whose_is_what.md)"):
        assert part in start


@each_page
def test_links_lead_somewhere(path):
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose(path.read_text())) if "://" not in target]
    assert len(targets) >= 5
    for target in targets:
        assert (FOLDER / target).exists(), f"{path.name} links to {target}"


@each_page
def test_what_a_link_names_is_there(path):
    """Every theorem and test stands in the file that its link leads to."""
    named = [(name, target) for names, target in NAMED.findall(prose(path.read_text())) for name in re.findall(r"\w+", names)]
    assert len(named) >= 8 or path.suffix == ".md"
    for name, target in named:
        kind = r"(?:Theorem|Lemma|Corollary|Example)" if target.endswith(".v") else r"(?:def|class)"
        assert re.search(rf"\b{kind}\s+{name}\b", (FOLDER / target).read_text()), f"{path.name} names {name} in {target}"
