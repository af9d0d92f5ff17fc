"""The documentation site: ``make docs``. Its source is the repository itself, so that pages and files keep their links."""

import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from urllib.parse import unquote

from sphinx import addnodes
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

project, author, copyright = "reds_jax", "the authors of reds_jax", "the authors of reds_jax"
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "docs/**.md", "docs/notebooks/*.py", "proofs/*.md", "proofs/coq/README.md",
                    "proofs/evidence/*.md", "experiments/README.md"]
exclude_patterns = ["docs/notebooks/execute.py", "docs/teaching/slides.md"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinxcontrib.bibtex"]

html_theme = "furo"
html_title = "reds_jax"
html_extra_path = ["site", "../build/class"]  # the start page; what docs/teaching/build.py made
bibtex_bibfiles = ["references.bib"]

nitpicky = True
nitpick_ignore_regex = [("py:class", ".*"), ("py:obj", r"typing\..*")]  # annotations: pyright knows better
default_role = "py:obj"
suppress_warnings = ["ref.python"]  # one name in several places, as `widths`
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "build/executed")
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_show_tb = True

logger = logging.getLogger(__name__)
PACKAGES = ("reds_jax", *(m.name for m in pkgutil.walk_packages([str(ROOT / "src/reds_jax")], "reds_jax.") if m.ispkg))
PUBLIC = {f"{package}.{name}": getattr(module, name) for package in PACKAGES  # also imports what is imported when asked for
          for module in [importlib.import_module(package)] for name in getattr(module, "__all__", ())}


def files_beside_the_pages(app, doctree):
    """A link to a file that is no page (a test, a source, a table) gives the file; MyST takes every .py and .md for a page."""
    for link in list(doctree.findall(addnodes.pending_xref)):
        if link.get("refdomain") != "doc" or link["reftarget"] in app.env.found_docs:
            continue
        for suffix in (".py", ".md"):
            if (ROOT / f"{link['reftarget']}{suffix}").is_file():
                link.replace_self(addnodes.download_reference(
                    "", "", *link.children, reftarget=f"/{link['reftarget']}{suffix}", refdoc=app.env.docname))


def names_without_their_module(app, env, node, contnode):
    """A docstring says `Split`, wherever it stands: the one entry of that name; and it may name a module that has no page."""
    if node.get("refdomain") != "py" or node.get("reftype") not in ("obj", "exc"):
        return None
    target = node["reftarget"].removesuffix("()")
    domain = env.get_domain("py")
    found = {entry.node_id: (name, entry) for name, entry in domain.objects.items()
             if name.endswith(f".{target}") and not entry.aliased}
    if len(found) == 1:
        (name, entry), = found.values()
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, name)
    inside = importlib.import_module(node.get("py:module") or "reds_jax")
    return contnode if hasattr(inside, target) or exists(target) or exists(f"{inside.__name__}.{target}") else None


def exists(path):
    try:
        pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError):
        return False
    return True


def every_public_name_has_an_entry(app, env):
    """A name that two packages offer has one entry; `autodoc` records under which module it is at home."""
    documented = {name for name, *_ in env.get_domain("py").get_objects()}
    for name, value in PUBLIC.items():
        home = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
        if not inspect.ismodule(value) and name not in documented and home not in documented:
            logger.warning("the public name %s has no entry under docs/reference", name)


def readable_offline(app, error):
    """No page loads a script, a style, a font or a picture from elsewhere, and every link leads to a file that is there."""
    elsewhere = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=["']?(?:https?:)?//[^"'> ]+""")
    for page in () if error else Path(app.outdir).rglob("*.html"):
        text = page.read_text("utf-8")
        if found := elsewhere.search(text):
            raise ExtensionError(f"{page} loads {found[0]}")
        for link in re.findall(r"""<(?:a|img|script|link)\b[^>]*?(?:href|src)=["']((?![a-z]+:)[^"'#?]+)""", text):
            if not (page.parent / unquote(link)).exists() and page.parent.name != "_modules":  # whose index is Sphinx's own
                raise ExtensionError(f"{page} links to {link}, which is not there")


def setup(app):
    app.connect("missing-reference", names_without_their_module)
    app.connect("env-check-consistency", every_public_name_has_an_entry)
    app.connect("build-finished", readable_offline)
    app.connect("doctree-read", files_beside_the_pages, priority=100)
