"""Every theorem and test that a page under proofs/ names exists where its link says."""

import re
from pathlib import Path

import pytest

PROOFS = Path(__file__).parents[1] / "proofs"
LINK = re.compile(r"\[`(\w+)`\]\(([^)#]+\.(?:v|py))\)")
NAMED = [(page.name, name, target) for page in sorted(PROOFS.glob("*.md")) for name, target in LINK.findall(page.read_text())]


def test_there_are_links_to_check():
    assert len(NAMED) > 40


@pytest.mark.parametrize(("page", "name", "target"), NAMED)
def test_the_named_thing_is_there(page, name, target):
    text = (PROOFS / target).read_text()
    kind = r"(?:Theorem|Lemma|Corollary|Example|Definition|Fixpoint)" if target.endswith(".v") else r"(?:def|class)"
    assert re.search(rf"\b{kind}\s+{name}\b", text), f"{page} names {name} in {target}"
