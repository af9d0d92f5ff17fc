"""The documentation site: ``make docs``. Its source is the repository itself, so that pages and files keep their links."""

import sys
from pathlib import Path

from sphinx import addnodes

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

project, author, copyright = "reds_jax", "the authors of reds_jax", "the authors of reds_jax"
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "docs/**.md", "docs/notebooks/*.py", "proofs/*.md", "proofs/coq/README.md",
                    "proofs/evidence/*.md", "experiments/README.md"]
exclude_patterns = ["docs/notebooks/execute.py"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinxcontrib.bibtex"]

html_theme = "furo"
html_title = "reds_jax"
html_extra_path = ["site"]
bibtex_bibfiles = ["references.bib"]

nitpicky = True
nitpick_ignore_regex = [("py:class", ".*"), ("py:obj", ".*")]
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # one name in several places, as `widths`
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "build/notebooks")
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_show_tb = True


def files_beside_the_pages(app, doctree):
    """A link to a file that is no page (a test, a source, a table) gives the file; MyST takes every .py and .md for a page."""
    for link in list(doctree.findall(addnodes.pending_xref)):
        if link.get("refdomain") != "doc" or link["reftarget"] in app.env.found_docs:
            continue
        for suffix in (".py", ".md"):
            if (ROOT / f"{link['reftarget']}{suffix}").is_file():
                link.replace_self(addnodes.download_reference(
                    "", "", *link.children, reftarget=f"/{link['reftarget']}{suffix}", refdoc=app.env.docname))


def setup(app):
    app.connect("doctree-read", files_beside_the_pages, priority=100)
