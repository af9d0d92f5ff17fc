"""What the documentation says is run: its Python blocks in order, its links, the doctests of the package."""

import doctest
import importlib
import pkgutil
import re
import shutil
from pathlib import Path

import pytest

import reds_jax

pytestmark = pytest.mark.usefixtures("as_users_write")

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "experiments").glob("*.md"),
                *(ROOT / "proofs").glob("*.md")])
MODULES = [m.name for m in pkgutil.walk_packages(reds_jax.__path__, "reds_jax.")]


@pytest.mark.parametrize(("page", "least"), [("your_own_model", 6), ("data_and_objectives", 7), ("property_tests", 5),
                                             ("deploy", 3)])
def test_the_blocks_of_a_page_run(page, least, tmp_path, monkeypatch):
    if page == "deploy" and not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("no C compiler is installed")
    monkeypatch.chdir(tmp_path)  # a page may write files
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.S)
    assert len(blocks) >= least
    scope: dict[str, object] = {"__name__": page}
    for block in blocks:
        exec(compile(block, f"docs/{page}.md", "exec"), scope)


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


@pytest.mark.parametrize("page", [p for p in PAGES if "    >>> " in p.read_text()], ids=lambda p: str(p.relative_to(ROOT)))
def test_the_sessions_of_a_page_run(page):
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted > 0
    assert found.failed == 0


def test_no_page_on_the_proofs_has_a_block_that_is_not_run():
    """Python on these pages is a session (>>>), which is run; the page on the gap has one."""
    proofs = [page for page in PAGES if page.parent.name == "proofs"]
    assert any("    >>> " in page.read_text() for page in proofs if page.name == "the_gap.md")
    assert not [page.name for page in proofs if "```python" in page.read_text()]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
