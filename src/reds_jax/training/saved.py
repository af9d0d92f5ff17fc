"""Saved models: arrays in one .npz and a description in JSON, never pickle, whole or not at all, checked when read.

``model.json`` names the arrays, their digest, the tree that they belong to and the description, and a digest of all of this: a
change of one character, in the one file or the other, is found. (Nobody is kept from writing both anew: a digest is no
signature.)
"""

from __future__ import annotations

import json
import os
import re
import uuid
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reds_jax.data.npz import check_sizes
from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.training.arrays import Arrays, digest, json_digest, read_json, write_text

FORMAT = 2
_FIELDS = {"format", "arrays", "sha256", "tree", "meta"}
_NAME = re.compile(r"arrays-[0-9a-f]{16}\.npz")


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
    sha256 = digest(arrays)
    name = f"arrays-{sha256[:16]}.npz"
    try:
        info = json.loads(json.dumps({"format": FORMAT, "arrays": name, "sha256": sha256, "tree": tree, "meta": dict(meta)},
                                     allow_nan=False))
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
    text = json.dumps({**info, "digest": json_digest(info)}, indent=1)
    write_text(folder / "model.json", text + "\n")  # the commit: until here the old model is the valid one
    for old in folder.glob("arrays-*.npz"):
        if old.name != name:
            old.unlink()


def load_model(folder: str | Path) -> tuple[Any, dict[str, Any]]:
    """The variables (dicts and tuples of NumPy arrays) and the description that `save_model` wrote.

    Args:
        folder: what `save_model` wrote.

    Raises:
        CheckpointError: there is no model, or it is incomplete, damaged, or edited by hand.

    Warns:
        UserWarning: a model of the format before, whose description was under no digest.
    """
    folder = Path(folder)
    if not (folder / "model.json").exists():
        raise CheckpointError("there is no saved model in this folder", got=str(folder),
                              allowed="a folder with model.json")
    info = _description(folder / "model.json")
    path = folder / info["arrays"]
    names = set(_names(info["tree"]))
    try:
        with open(path, "rb") as raw:
            check_sizes(raw, os.fstat(raw.fileno()).st_size)  # the arrays are stored as they are: they unpack to no more
            with np.load(raw, allow_pickle=False) as file:
                if set(file.files) != names:
                    raise CheckpointError(f"{path} holds other arrays than model.json names",
                                          got=sorted(set(file.files) ^ names)[:6])
                arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from error
    if digest(arrays) != info["sha256"]:
        raise CheckpointError(f"{path} is damaged: its digest differs from the one in model.json")
    return _fill(info["tree"], arrays), info["meta"]


def _description(path: Path) -> dict[str, Any]:
    """What model.json says, if nobody has changed it."""
    info = read_json(path)
    given = info.pop("digest", None)
    if info.get("format") not in (1, FORMAT) or set(info) != _FIELDS:
        raise CheckpointError("model.json has another format", got=info.get("format"), allowed=f"1, {FORMAT}")
    if info["format"] == 1:
        warnings.warn(f"{path} was written when the description of a model was under no digest: an edit of it cannot be found. "
                      "Save the network again to have it checked.", stacklevel=3)
    elif given != json_digest(info):
        raise CheckpointError(f"{path} was changed after it was written: its digest is another one",
                              hint="Take the file as it was saved, or save the network again.")
    if not isinstance(info["arrays"], str) or not _NAME.fullmatch(info["arrays"]):
        raise CheckpointError(f"{path} names no file of arrays in its own folder", got=info["arrays"],
                              allowed="arrays-<16 hexadecimal digits>.npz")
    if not isinstance(info["meta"], dict):
        raise CheckpointError(f"the description in {path} is no object", got=type(info["meta"]).__name__)
    return info


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
                                   allowed="NumPy's booleans, integers and floats",
                                   hint="jax.tree.map(lambda a: a.astype('float32'), variables) makes floats that can.")
    arrays[path] = array
    return path


def _names(tree: Any) -> list[str]:
    """The names of the arrays in a tree of JSON."""
    if isinstance(tree, (dict, list)):
        return [name for value in (tree.values() if isinstance(tree, dict) else tree) for name in _names(value)]
    if not isinstance(tree, str):
        raise CheckpointError("the tree of the saved model has a leaf that names no array", got=tree)
    return [tree]


def _fill(tree: Any, arrays: Arrays) -> Any:
    if isinstance(tree, dict):
        return {name: _fill(value, arrays) for name, value in tree.items()}
    if isinstance(tree, list):
        return tuple(_fill(value, arrays) for value in tree)
    return arrays[tree]
