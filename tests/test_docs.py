"""What the documentation says is run: its Python blocks in order, its links, the doctests of the package."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import reds_jax

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "experiments").glob("*.md"),
                *(ROOT / "proofs").glob("*.md")])
MODULES = [m.name for m in pkgutil.walk_packages(reds_jax.__path__, "reds_jax.")]


def test_the_page_on_a_model_of_ones_own_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/your_own_model.md").read_text(), re.S)
    assert len(blocks) >= 6
    scope: dict[str, object] = {"__name__": "your_own_model"}
    for block in blocks:
        exec(compile(block, "docs/your_own_model.md", "exec"), scope)


def test_the_example_of_the_readme_names_what_exists():
    """It trains on real data, so it is compiled and its imports and attributes are looked up, not run."""
    block, = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    compile(block, "README.md", "exec")
    for line in block.splitlines():
        if line.startswith(("import ", "from ")):
            exec(line, {})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
