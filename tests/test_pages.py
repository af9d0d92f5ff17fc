"""Every theorem, test and function that a page under proofs/ names exists where its link says; and none is left out."""

import re
from pathlib import Path

import pytest

PROOFS = Path(__file__).parents[1] / "proofs"
PAGES = [*sorted(PROOFS.glob("*.md")), PROOFS / "coq" / "README.md"]
LINK = re.compile(r"\[((?:`\w+`,?\s*)+)\]\(([^)#]+\.(?:v|py))\)")  # one name, or several: [`a`, `b`](file)
NAMED = [(page, name, target) for page in PAGES for names, target in LINK.findall(page.read_text())
         for name in re.findall(r"\w+", names)]
CLOSED = ": Closed under the global context"
EXPECTED = [line.removesuffix(CLOSED) for line in (PROOFS / "coq/expected.txt").read_text().splitlines()]
TABLES = [line.strip("|").split(" | ") for line in (PROOFS / "README.md").read_text().splitlines()
          if re.match(r"\| \[[^]]+\]\(\w+\.md\) \|", line)]  # fmt: skip


BY_HAND = {"pivots", "k of U", "the best k", "nested orders", "inside"}  # claims that are proved on their page alone


def test_there_are_links_to_check():
    assert len(NAMED) > 150
    assert len(TABLES) > 20


@pytest.mark.parametrize(("page", "name", "target"), NAMED, ids=lambda x: x.name if isinstance(x, Path) else x)
def test_the_named_thing_is_there(page, name, target):
    text = (page.parent / target).read_text()
    kind = r"(?:Theorem|Lemma|Corollary|Example|Definition|Fixpoint)" if target.endswith(".v") else r"(?:def|class)"
    assert re.search(rf"\b{kind}\s+{name}\b", text), f"{page.name} names {name} in {target}"


def test_every_theorem_is_expected_to_rest_on_nothing():
    """expected.txt, which `make proofs` compares with what Coq prints, has each theorem of the sources, and nothing else."""
    sources = re.search(r"^FILES *= (.*)$", (PROOFS / "coq/Makefile").read_text(), re.M)
    assert sources is not None
    written = [f"{file}.{name}" for file in sources[1].split()
               for name in re.findall(r"^ *(?:Theorem|Corollary) ([\w']+)", (PROOFS / f"coq/{file}.v").read_text(), re.M)]
    assert written == EXPECTED
    assert all(line.endswith(CLOSED) for line in (PROOFS / "coq/expected.txt").read_text().splitlines())


def test_every_theorem_is_named_on_a_page():
    text = "\n".join(page.read_text() for page in PAGES)
    assert [t for t in EXPECTED if not re.search(rf"`{t.partition('.')[2]}`", text)] == []


def test_the_coq_page_names_theorems_of_the_files_it_says():
    """Its tables: | claim | names | files | ..."""
    known = set(EXPECTED)
    rows = [line.split(" | ") for line in (PROOFS / "coq/README.md").read_text().splitlines() if re.match(r"\| .* \| `", line)]
    assert len(rows) > 40
    for _, names, files, *_ in rows:
        for name in re.findall(r"`(\w+)`", names):
            assert any(f"{file}.{name}" in known for file in files.split(", ")), (name, files)


@pytest.mark.parametrize("row", TABLES, ids=lambda row: f"{row[0]} {row[1]}")
def test_every_claim_leads_to_its_proof_theorem_test_and_function(row):
    """A row of proofs/README.md: claim and page, statement, Coq or that there is none, test, library, status, with links."""
    claim, _, coq, test, library, _ = row
    assert re.search(r"\(\w+\.md\)", claim)
    theorems = LINK.findall(coq)
    assert theorems or (re.findall(r"\[(.*?)\]", claim)[0] in BY_HAND and coq == "no: by hand")
    for names, target in theorems:
        assert {f"{Path(target).stem}.{name}" for name in re.findall(r"\w+", names)} <= set(EXPECTED)
    assert all("/tests/" in target for _, target in LINK.findall(test))
    assert LINK.findall(test)
    assert all("/src/reds_jax/" in target for _, target in LINK.findall(library))
    assert LINK.findall(library)


def test_the_picture_is_shown_with_the_command_that_drew_it():
    page, evidence = (PROOFS / "README.md").read_text(), (PROOFS / "evidence/ratios.md").read_text()
    command = re.search(r"- command: (`.*`)", evidence)
    assert command is not None
    assert "](evidence/bounds.png)" in page
    assert command[1] in page


def test_the_readme_leads_to_the_proofs():
    assert "(proofs/README.md)" in (PROOFS.parent / "README.md").read_text()
