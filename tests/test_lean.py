"""What a user does not call is not needed: jax, flax, optax, numpy, scipy and what they bring themselves are enough."""

import ast
import importlib.metadata as metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import reds_jax
from reds_jax.optional import INSTALL

ROOT = Path(__file__).parents[1]
LEAN = ("jax", "flax", "optax", "numpy", "scipy")
EVERYBODY = {*sys.stdlib_module_names, "reds_jax", *LEAN, "jaxlib", "rich"}  # flax brings rich and orbax
AT_THE_TOP = {"adapters/equinox.py", "adapters/keras.py",
              *(f"testing/{name}.py" for name in ("strategies", "knapsack_strategies", "solver_runs", "width_solvers",
                                                  "width_strategies"))}  # fmt: skip
"""Modules that are of no use without their package, and are imported by no other one until they are asked for."""

BLOCK = """
import runpy, sys
class Block:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
blocked = set(sys.argv.pop(1).split(","))
sys.meta_path.insert(0, Block())
"""
CALLS = """
from pathlib import Path
from reds_jax import data, report
from reds_jax.data.photographs import read_image
from reds_jax.errors import MissingDependencyError
from reds_jax.deploy.phone import litert_file, onnx
from reds_jax.knapsack import WidthProblem, solve
from reds_jax.models import keras_files
problem = WidthProblem.chain(scores=[[9, 5], [8, 6]], pair_macs=[0, 2], unit_macs=[10, 1])
for call in (lambda: solve(problem, {"macs": 50}, method="milp"), lambda: read_image(Path("a.png"), 8),
             lambda: data.load("fashion_mnist", "tfds"), litert_file.schema, keras_files._h5py, onnx._onnx, report.check_plots,
             lambda: __import__("reds_jax.adapters.keras"), lambda: __import__("reds_jax.adapters.equinox"),
             lambda: __import__("reds_jax.testing.strategies")):
    try:
        call()
    except MissingDependencyError as error:
        print(error)
"""


def closure(names: tuple[str, ...]) -> set[str]:
    """The distributions that come along when ``names`` are installed."""
    found, new = set(), {canonicalize_name(n) for n in names}
    while new:
        found |= new
        requirements = [Requirement(r) for n in new for r in metadata.requires(n) or ()]
        new = {canonicalize_name(r.name) for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})} - found
    return found


def blocked(*kept: str) -> str:
    """Everything that can be imported here and would not be there if only ``kept`` were installed, but for this library."""
    there = closure(kept) | {"reds-jax"}
    return ",".join(module for module, dists in metadata.packages_distributions().items()
                    if there.isdisjoint(map(canonicalize_name, dists)))  # fmt: skip


def lean(code: str, *arguments: str, kept: tuple[str, ...] = LEAN) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", BLOCK + code, blocked(*kept), *arguments],
                          capture_output=True, text=True, check=False)  # fmt: skip


@pytest.mark.slow
def test_the_whole_path_needs_nothing_that_it_does_not_use(tmp_path):
    script = Path(__file__).with_name("whole_path.py")
    done = lean("sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')", str(script), str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "trained:" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("int8: ")


def test_the_solver_needs_numpy_alone():
    done = lean("from reds_jax import knapsack, theory, widths, cost\n"
                "import reds_jax.graph.channels, reds_jax.array_types\n"
                "p = knapsack.WidthProblem.chain(scores=[[9, 5, 4, 1], [8, 6, 3]], pair_macs=[0, 2], unit_macs=[10, 1])\n"
                "print(knapsack.solve(p, {'macs': 50}).widths, knapsack.solve_nested(p, [{'macs': 30}, {'macs': 50}]).widths)",
                kept=("numpy",))  # fmt: skip
    assert done.stdout.startswith("(3, 2) "), done.stderr


def test_what_is_missing_is_named_as_it_must_be_typed():
    done = lean(CALLS)
    found = re.findall(r"^.* needs (\w+) \(No module named .*\)\. Run: pip install (.*)$", done.stdout, re.M)
    assert dict(found) == {name: command for name, command in INSTALL.items() if name not in ("orbax", "tyro")}, done.stderr


@pytest.mark.parametrize("command", ["vww", "theory", "evaluate", "deploy"])
def test_a_command_without_what_reads_its_options_ends_with_one_line(command):
    code = f"import sys; sys.modules['tyro'] = None; from reds_jax.__main__ import main; main(['{command}'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"error: a command line needs tyro \(.*\)\. Run: pip install tyro\n", done.stderr), done.stderr


def imports(node: ast.AST, within: tuple[str, ...] = ("",)) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(package, what is around) of each import at run time: the functions, and the packages of ``with needs(...)``."""
    for child in node.orelse if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) else \
            ast.iter_child_nodes(node):  # fmt: skip
        around = within
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            around = (*within, "function")
        elif isinstance(child, ast.With):
            calls = [item.context_expr for item in child.items]
            around = (*within, *(c.args[0].value for c in calls if isinstance(c, ast.Call) and ast.unparse(c.func) == "needs"
                                 and isinstance(c.args[0], ast.Constant)))  # fmt: skip
        elif isinstance(child, ast.Import):
            yield from ((alias.name.partition(".")[0], within) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and not child.level:
            yield (child.module or "").partition(".")[0], within
        yield from imports(child, around)


def faults(tree: ast.AST, *, may_at_the_top: bool = False) -> list[str]:
    """The packages that a module imports at its top, or without ``needs``, although not everybody has them."""
    return [package for package, around in imports(tree) if package not in EVERYBODY
            and not (set(around) & {*INSTALL} and (may_at_the_top or "function" in around))]  # fmt: skip


def test_a_package_that_not_everybody_has_is_imported_where_it_is_used():
    package = Path(reds_jax.__path__[0])
    trees = {path.relative_to(package).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
             for path in package.rglob("*.py")}  # fmt: skip
    del trees["array_types.py"]  # it has stand-ins for jaxtyping
    assert len(trees) > 150
    found = {name: faults(tree, may_at_the_top=name in AT_THE_TOP) for name, tree in trees.items()}
    assert {name: packages for name, packages in found.items() if packages} == {}


@pytest.mark.parametrize(("text", "found"), [
    ("import tyro", ["tyro"]), ("def f():\n    import tyro.conf", ["tyro"]), ("class A:\n    from PIL import Image", ["PIL"]),
    ("with needs('tyro', ''):\n    import tyro", ["tyro"]), ("try:\n    import keras\nexcept E: pass", ["keras"]),
    ("def f():\n    with needs('tyro', ''):\n        import tyro", []), ("import numpy, os\nfrom rich import x", []),
    ("if TYPE_CHECKING:\n    import tyro\nelse:\n    import cvxpy", ["cvxpy"]), ("from . import tyro", []),
])  # fmt: skip
def test_such_imports_are_found(text, found):
    assert faults(ast.parse(text)) == found


def test_every_dependency_is_for_everybody_or_has_its_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {Requirement(r).name for r in project["dependencies"]}
    words = {word for line in INSTALL.values() for word in line.split()}
    assert declared - {*LEAN, "rich", "jaxtyping"} == {w for w in words if "[" not in w}
    for extra in (w for w in words if "[" in w):
        name = re.fullmatch(r"'reds_jax\[(\w+)\]'", extra)
        assert name is not None
        assert name[1] in project["optional-dependencies"]
