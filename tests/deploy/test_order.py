"""The folders of `reds_jax.deploy` are imported in the one direction that its docstring states."""

import ast
from pathlib import Path

import pytest

import reds_jax.deploy

FOLDER = Path(reds_jax.deploy.__file__).parent
READS = {
    "lowering": set(), "int8": {"lowering"}, "phone": {"lowering", "one_file"}, "c": {"lowering", "int8", "folder", "escape"},
    "board": {"folder", "escape"}, "front_end": {"int8", "c", "board", "folder", "escape"}, "latency": {"lowering", "c", "board", "saved_run", "one_file", "escape"},
    "policy": {"lowering", "c", "board", "saved_run", "folder", "one_file", "escape"},
}


def read_by(folder: str) -> set[str]:
    """What the files of a folder import of `reds_jax.deploy` beside themselves; imports inside functions count too."""
    found = set()
    for file in (FOLDER / folder).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "reds_jax.deploy":
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reds_jax.deploy."):
                found.add(str(node.module).split(".")[2])
    return found - {folder}


def test_every_folder_has_its_place():
    assert {path.parent.name for path in FOLDER.glob("*/__init__.py")} == set(READS)
    assert all(f"\n    {folder}  " in str(reds_jax.deploy.__doc__) for folder in READS)


@pytest.mark.parametrize("folder", READS)
def test_a_folder_reads_what_comes_before_it(folder):
    assert read_by(folder) == READS[folder]
