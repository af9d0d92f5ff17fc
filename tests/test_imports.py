"""The parts that are taught alone need no jax, importing anything does no work, and imports never run in a circle."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import reds_jax

PACKAGES = ("jax", "flax", "cvxpy", "matplotlib", "orbax.checkpoint", "tensorflow_datasets", "tyro", "hypothesis")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*(m for m in {PACKAGES} if m in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_solver_and_the_costs_need_no_jax():
    free = ("knapsack", "theory", "cost", "widths", "graph.channels", "explained", "learned", "sampled")
    assert loaded_after("import " + ", ".join(f"reds_jax.{name}" for name in free)) == set()


def test_optional_packages_are_imported_where_they_are_used():
    assert loaded_after("import reds_jax; reds_jax.nest; import reds_jax.experiments.vww") <= {"jax", "flax"}


def for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below this one, inside functions too, but for what only a type checker reads."""
    for child in node.orelse if for_types(node) else ast.iter_child_nodes(node):
        yield child
        yield from at_run_time(child)


def imported(package: str, nodes: Iterator[ast.AST]) -> Iterator[tuple[str, str | None]]:
    """The (module, name) pairs that import statements ask for; ``package`` is where relative ones start."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            yield from ((".".join([*above, *filter(None, [node.module])]), alias.name) for alias in node.names)


def import_graph(folder: Path) -> dict[str, set[str]]:
    """For each module of a package the modules of it that it imports, at the top or inside functions.

    The packages around a module are imported with it, unless the importing module is inside of them. A name that a package
    offers lazily (``reds_jax.lazy``) counts as the module that its ``__init__`` names for type checkers.
    """
    trees, packages = {}, {}
    for path in folder.rglob("*.py"):
        *parts, last = path.relative_to(folder.parent).with_suffix("").parts
        module = ".".join(parts if last == "__init__" else [*parts, last])
        trees[module], packages[module] = ast.parse(path.read_text()), ".".join(parts)

    def source(module: str, name: str | None) -> str:
        return f"{module}.{name}" if f"{module}.{name}" in trees else module

    lazy = {}
    for module, tree in trees.items():
        typed = (node for block in ast.walk(tree) if isinstance(block, ast.If) and for_types(block) for node in block.body)
        lazy.update({f"{module}.{name}": source(origin, name) for origin, name in imported(packages[module], typed)
                     if packages[module] == module})  # fmt: skip
    graph = {}
    for module, tree in trees.items():
        found = {lazy.get(f"{origin}.{name}", source(origin, name))
                 for origin, name in imported(packages[module], at_run_time(tree))}  # fmt: skip
        around = {origin.rsplit(".", i)[0] for origin in found for i in range(1, origin.count(".") + 1)}
        outside = {name for name in around if not f"{module}.".startswith(f"{name}.")}
        graph[module] = (found | outside) & trees.keys() - {module}
    return graph


def circle(folder: Path) -> list[str]:
    """Modules each of which is imported by the next, the first one again at the end; [] if there is no circle."""
    try:
        TopologicalSorter(import_graph(folder)).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_module_imports_itself_by_way_of_others():
    folder = Path(reds_jax.__path__[0])
    assert sum(map(len, import_graph(folder).values())) > 300
    assert " <- ".join(circle(folder)) == ""


@pytest.mark.parametrize(("files", "expected"), [
    ({"a": "import p.b", "b": "import p.a"}, {"p.a", "p.b"}),
    ({"a": "from p import b", "b": "def f():\n    from p.a import g"}, {"p.a", "p.b"}),
    ({"a": "from . import b", "b": "from .c import f", "c": "try:\n    import p.a\nexcept E: pass"}, {"p.a", "p.b", "p.c"}),
    ({"q/__init__": "from p.a import f", "q/b": "", "a": "import p.q.b"}, {"p.a", "p.q"}),
    ({"q/__init__": "from .b import f", "q/b": "from ..a import f", "a": "from p import q"}, {"p.a", "p.q", "p.q.b"}),
    ({"__init__": "if TYPE_CHECKING:\n    from p.a import f", "a": "import p.b", "b": "from p import f"}, {"p.a", "p.b"}),
    ({"a": "if TYPE_CHECKING:\n    import p.b\nelse:\n    import p.c", "c": "import p.a"}, {"p.a", "p.c"}),
    ({"a": "from p.b import f", "b": "if TYPE_CHECKING:\n    from p.a import g"}, set()),
    ({"q/__init__": "from p.q.b import f", "q/b": "from p.q.c import f", "q/c": "import os", "a": "import p.q"}, set()),
])  # fmt: skip
def test_circles_are_found(tmp_path, files, expected):
    for name, text in {"__init__": "", **files}.items():
        path = tmp_path / "p" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert set(circle(tmp_path / "p")) == expected
