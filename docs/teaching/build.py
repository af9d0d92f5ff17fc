"""What the class gets, made from its one source: ``python docs/teaching/build.py --to build/class``.

- ``exercises.py``: the exercises of the notebooks that are graded, with room for the answers; it needs NumPy alone.
- ``NAME.ipynb``: each notebook without its solutions (the cells tagged "solution").
- ``slides.html``: the slides, one file that needs no network: arrow keys, or print it.
- ``interactive.html``: the page for the projector, as it is.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import jupytext
import nbformat
from markdown_it import MarkdownIt
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from questions import GAP, KNAPSACK, QUESTIONS, SORTED

HERE = Path(__file__).parent
FORMS = {(q.notebook, q.exercise): q.form for q in QUESTIONS}
START = """# Exercises

Write your answers in place of the dots and check them as often as you like:

    python docs/teaching/grade.py exercises.py

The exercises are those of the three notebooks, which have what you need to know. They grow harder."""
IMPORTS = "from fractions import Fraction\n\nfrom reds_jax.theory import Instance, bottom_up, joint_optimum, optimum, top_down"


def cells(notebook: str) -> list[nbformat.NotebookNode]:
    return jupytext.read(HERE.parent / f"notebooks/{notebook}.py").cells


def tagged(cell: nbformat.NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def exercise(cell: nbformat.NotebookNode) -> int:
    """The number of the exercise that a cell states, from its heading."""
    return int(cell.source.split("### Exercise ", 1)[1].split(".", 1)[0])


def without_solutions(notebook: str) -> nbformat.NotebookNode:
    """The notebook with an empty cell for each answer in place of the solutions."""
    found = []
    for cell in cells(notebook):
        if tagged(cell, "solution"):
            continue
        found.append(cell)
        if tagged(cell, "exercise"):
            found.append(new_code_cell(FORMS.get((notebook, exercise(cell)), "# your answer").strip()))
    return new_notebook(cells=found, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


def exercises() -> nbformat.NotebookNode:
    """The graded exercises alone, in one file."""
    found = [new_markdown_cell(START), new_code_cell(IMPORTS)]
    for notebook in (SORTED, KNAPSACK, GAP):
        found.append(new_markdown_cell(f"## From *{notebook.replace('_', ' ')}*"))
        for cell in cells(notebook):
            if tagged(cell, "exercise") and (form := FORMS.get((notebook, exercise(cell)))):
                found += [new_markdown_cell("### Exercise " + cell.source.split("### Exercise ", 1)[1]),
                          new_code_cell(form.strip())]
    return new_notebook(cells=found)


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ margin: 0; font: 3vmin/1.45 system-ui, sans-serif; color: #222; background: #fff }}
section {{ display: none; box-sizing: border-box; min-height: 100vh; padding: 6vmin 9vmin }}
section.shown {{ display: block }}
h1 {{ font-size: 6vmin }} h2 {{ font-size: 4.6vmin; color: #0b4f8a }}
code, pre {{ font: 2.5vmin/1.4 ui-monospace, monospace; background: #f3f3f3 }} pre {{ padding: 1.5vmin; overflow: auto }}
table {{ border-collapse: collapse }} td, th {{ padding: .6vmin 2vmin; border-bottom: 1px solid #ccc; text-align: left }}
blockquote {{ border-left: .6vmin solid #0b4f8a; margin-left: 0; padding-left: 2vmin }}
footer {{ position: fixed; right: 2vmin; bottom: 1vmin; font-size: 2vmin; color: #888 }}
@media print {{ section {{ display: block; break-after: page; min-height: 0 }} footer {{ display: none }} }}
</style>
{slides}
<footer></footer>
<script>
const slides = document.querySelectorAll("section");
function show(i) {{
  i = Math.max(0, Math.min(slides.length - 1, i));
  slides.forEach((slide, k) => slide.classList.toggle("shown", k === i));
  document.querySelector("footer").textContent = `${{i + 1}} / ${{slides.length}}`;
  history.replaceState(null, "", "#" + (i + 1));
}}
const at = () => Number(location.hash.slice(1) || 1) - 1;
addEventListener("keydown", event => {{
  if (["ArrowRight", "PageDown", " "].includes(event.key)) show(at() + 1);
  if (["ArrowLeft", "PageUp"].includes(event.key)) show(at() - 1);
}});
addEventListener("hashchange", () => show(at()));
show(at());
</script>
</html>
"""


def slides(text: str) -> str:
    """One HTML file from Markdown whose slides are parted by lines of three dashes."""
    render = MarkdownIt().enable("table").render
    parts = [f"<section>\n{render(part)}</section>" for part in text.split("\n---\n")]
    return PAGE.format(title=text.partition("\n")[0].lstrip("# "), slides="\n".join(parts))


def build(to: Path) -> None:
    """Write everything into ``to``."""
    to.mkdir(parents=True, exist_ok=True)
    jupytext.write(exercises(), to / "exercises.py", fmt="py:percent")
    for notebook in (SORTED, KNAPSACK, GAP):
        nbformat.write(without_solutions(notebook), to / f"{notebook}.ipynb")
    (to / "slides.html").write_text(slides((HERE / "slides.md").read_text("utf-8")), "utf-8")
    shutil.copy(HERE / "interactive.html", to)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make what the class gets.")
    parser.add_argument("--to", type=Path, required=True, help="folder for the files")
    build(parser.parse_args().to)
