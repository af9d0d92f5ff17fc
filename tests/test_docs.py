"""What the documentation says is run: its Python blocks in order, its links, the doctests of the package."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import reds_jax
from reds_jax import pipeline
from reds_jax.data import DataSet, image_data
from reds_jax.lowering import lowering

pytestmark = pytest.mark.usefixtures("as_users_write")

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "experiments").glob("*.md"),
                *(ROOT / "proofs").glob("*.md")])
MODULES = [m.name for m in pkgutil.walk_packages(reds_jax.__path__, "reds_jax.")]


RUN = {"your_own_model": 6, "data_and_objectives": 8, "property_tests": 5, "deploy": 5, "extending": 7, "tutorial": 5}
SLOW = {"tutorial", "data_and_objectives", "your_own_model"}  # tests/test_pipeline.py goes through the stages by default


@pytest.mark.parametrize(("page", "least"), [
    pytest.param(page, least, marks=[pytest.mark.slow] if page in SLOW else []) for page, least in RUN.items()])
def test_the_blocks_of_a_page_run(page, least, tmp_path, monkeypatch):
    if page in ("deploy", "extending") and not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("no C compiler is installed")
    monkeypatch.chdir(tmp_path)  # a page may write files
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.S)
    assert len(blocks) >= least
    scope: dict[str, object] = {"__name__": page}
    for block in blocks:
        exec(compile(block, f"docs/{page}.md", "exec"), scope)


def fashion(name):
    """Rendered shapes in the form of the data set, in place of `reds_jax.data.load`: three batches to train on."""
    found = image_data(name, "synthetic", limit=300)
    few = (found.train, found.validation.take(slice(60)), found.test.take(slice(60)))
    return DataSet(name, *few, found.class_names, found.normalise, "rendered shapes", synthetic=True)


def test_no_page_has_a_block_that_is_not_run():
    """The page on phones is run by the tests of its exporters, the teacher's answers by those of the class."""
    elsewhere = {"README", "deploy_phones", "teacher"}
    assert {page.stem for page in PAGES if "```python" in page.read_text()} == {*RUN, *elsewhere}


def test_the_example_of_the_readme_names_what_exists():
    """The quick sister of the next one: it is compiled and its imports are looked up."""
    block, = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    compile(block, "README.md", "exec")
    for line in block.splitlines():
        if line.startswith(("import ", "from ")):
            exec(line, {})


@pytest.mark.slow
def test_the_example_of_the_readme_runs(monkeypatch, capsys):
    """Word by word, on less data than it names: what it trains, finds, prints and answers."""
    scoring_batches = pipeline.scoring_batches
    monkeypatch.setattr(pipeline, "scoring_batches", lambda data, **options: scoring_batches(data, **{**options, "batches": 2}))
    block, = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    monkeypatch.setattr(reds_jax.data, "load", fashion)
    scope: dict[str, Any] = {"__name__": "readme"}
    with lowering("lax"):  # which compiles quickly
        exec(compile(block, "README.md", "exec"), scope)
    network, result = scope["network"], scope["result"]
    assert len(network) == len(result.subnetworks) == 4
    assert [s.macs_fraction <= b for s, b in zip(result.subnetworks, (0.25, 0.5, 0.75, 1.0), strict=True)] == [True] * 4
    assert capsys.readouterr().out.count("% of the MACs: ") == 4
    assert scope["logits"].shape == (60, 10)
    assert network.macs[network.for_budget(macs=400_000)] <= 400_000


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


def test_every_message_on_the_page_of_symptoms_is_in_the_source():
    """The first column quotes messages, with … for what is filled in: each piece is a string constant of the package."""
    constants = [node.value for path in (ROOT / "src/reds_jax").rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    quoted = re.findall(r"(?m)^\| `([^`]+)` \|", (ROOT / "docs/symptoms.md").read_text())
    assert len(quoted) > 30
    missing = [(message, piece) for message in quoted for piece in message.split("…")
               if not any(piece.strip(" ()") in constant for constant in constants)]
    assert not missing


def test_every_paper_that_is_cited_is_among_the_references():
    """By its arXiv number, on the pages and in the docstrings."""
    known = re.findall(r"eprint = \{([\d.]+)\}", (ROOT / "docs/references.bib").read_text())
    assert len(known) == len(set(known))
    sources = [*PAGES, *(ROOT / "docs/notebooks").glob("*.py"), *(ROOT / "src").rglob("*.py")]
    cited = {number for path in sources for number in re.findall(r"\b\d{4}\.\d{5}\b", path.read_text())}
    assert cited - set(known) == set()


PACKAGES = ["reds_jax", *(m.name for m in pkgutil.walk_packages(reds_jax.__path__, "reds_jax.") if m.ispkg)]
PUBLIC = [(package, name) for package in PACKAGES for name in getattr(importlib.import_module(package), "__all__", ())]
REFERENCE = "\n".join(page.read_text() for page in (ROOT / "docs/reference").glob("*.md"))


def test_every_package_and_every_module_that_a_page_imports_from_is_in_the_reference():
    """`sphinx` makes the entries from the names that a module offers; what is no class has a line of its own."""
    documented = set(re.findall(r"automodule:: (\S+)", REFERENCE))
    assert {package for package, _ in PUBLIC} <= documented
    pages = [*PAGES, *(ROOT / "docs/notebooks").glob("*.py")]
    imported = {name for page in pages if page.name != "extending.md"  # which changes what is not public
                for name in re.findall(r"(?m)^(?:    >>> )?from (reds_jax\S*) import", page.read_text())}
    assert {"reds_jax.cost", "reds_jax.training"} <= imported
    packages_of_modules = {"reds_jax.deploy.phone": {"reds_jax.deploy.phone.onnx", "reds_jax.deploy.phone.litert"}}
    for module in imported:
        assert packages_of_modules.get(module, {module}) <= documented, module


@pytest.mark.parametrize(("package", "name"), PUBLIC)
def test_a_public_name_says_what_it_is_and_what_it_takes(package, name):
    value = getattr(importlib.import_module(package), name)
    if not (inspect.isclass(value) or inspect.isfunction(value) or inspect.ismodule(value)):
        assert f"py:data:: {name}\n" in REFERENCE
        return
    text = value.__doc__ or ""
    assert re.match(r"[^\n]+[.:]", text.lstrip()), "a first line that is a sentence"
    if inspect.ismodule(value) or (inspect.isclass(value) and value.__init__ in (object.__init__, AssertionError.__init__)):
        return
    takes = [p for p in inspect.signature(value).parameters if p not in ("self", "parent", "name")]
    assert not takes or "Args:" in text or "Attributes:" in text, f"{name} takes {takes}"
