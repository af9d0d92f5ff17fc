"""Saved models: arrays in one .npz and a description in JSON, never pickle, whole or not at all, checked when read."""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.training.arrays import Arrays, digest, read_json, write_text

FORMAT = 1


def save_model(folder: str | Path, variables: Any, meta: Mapping[str, Any]) -> None:
    """Write variables and their description: ``arrays-<digest>.npz`` and ``model.json``, committed by one rename.

    A model that is in the folder already is replaced, or stays as it is if the write fails.

    Args:
        folder: made if it is missing.
        variables: nested mappings (names without "/") and sequences of arrays of NumPy's own types.
        meta: a description that JSON can hold.

    Raises:
        InvalidArgumentError: a leaf or a name that cannot be saved, or a description that is not JSON.
    """
    folder, arrays = Path(folder), {}
    tree = _skeleton(variables, "", arrays)
    name = f"arrays-{digest(arrays)[:16]}.npz"
    try:
        text = json.dumps({"format": FORMAT, "arrays": name, "sha256": digest(arrays), "tree": tree, "meta": dict(meta)},
                          indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"the description of the model is not JSON ({error})") from error
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{uuid.uuid4().hex[:8]}.npz"
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / name)
    finally:
        temporary.unlink(missing_ok=True)
    write_text(folder / "model.json", text + "\n")  # the commit: until here the old model is the valid one
    for old in folder.glob("arrays-*.npz"):
        if old.name != name:
            old.unlink()


def load_model(folder: str | Path) -> tuple[Any, dict[str, Any]]:
    """The variables (dicts and tuples of NumPy arrays) and the description that `save_model` wrote.

    Args:
        folder: what `save_model` wrote.

    Raises:
        CheckpointError: there is no model, or it is incomplete or damaged.
    """
    folder = Path(folder)
    if not (folder / "model.json").exists():
        raise CheckpointError("there is no saved model in this folder", got=str(folder),
                              allowed="a folder with model.json")
    info = read_json(folder / "model.json")
    if info.get("format") != FORMAT or not {"arrays", "sha256", "tree", "meta"} <= set(info):
        raise CheckpointError("model.json has another format", got=info.get("format"), allowed=str(FORMAT))
    try:
        with open(folder / info["arrays"], "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{folder / info['arrays']} cannot be read ({type(error).__name__})") from error
    if digest(arrays) != info["sha256"]:
        raise CheckpointError(f"{folder / info['arrays']} is damaged: its digest differs from the one in model.json")
    return _fill(info["tree"], arrays), info["meta"]


def _skeleton(tree: Any, path: str, arrays: Arrays) -> Any:
    """The tree with the name of its array in each leaf, as JSON; the arrays are collected."""
    if isinstance(tree, Mapping):
        for name in tree:
            if not isinstance(name, str) or "/" in name:
                raise InvalidArgumentError("a name cannot be saved", got=name, allowed="strings without '/'")
        return {name: _skeleton(value, f"{path}/{name}" if path else name, arrays) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_skeleton(value, f"{path}/{i}" if path else str(i), arrays) for i, value in enumerate(tree)]
    array = np.asarray(tree)
    if array.dtype.kind not in "biuf" or array.dtype.isbuiltin != 1:
        raise InvalidArgumentError(f"the array {path!r} cannot be saved", got=str(array.dtype),
                                   allowed="NumPy's booleans, integers and floats")
    arrays[path] = array
    return path


def _fill(tree: Any, arrays: Arrays) -> Any:
    if isinstance(tree, dict):
        return {name: _fill(value, arrays) for name, value in tree.items()}
    if isinstance(tree, list):
        return tuple(_fill(value, arrays) for value in tree)
    return arrays[tree]
