"""A nested network as files: what its description says in JSON, read back and checked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from reds_jax import models
from reds_jax.adapters import PureModel
from reds_jax.data import MFCC, Normalise
from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.models.converted import rows_by_position
from reds_jax.private import Private, is_private, private_paths
from reds_jax.program.flat import leaf_path
from reds_jax.training import load_model, save_model
from reds_jax.widths import Widths


@dataclass(frozen=True)
class Description:
    """What a saved network says beside its arrays; of a network that was saved before, what is missing is None.

    Args:
        architecture: ``{"name": ..., "arguments": {...}}`` of `reds_jax.models.build`, or None.
        widths, macs, example, normalise, class_names: see `reds_jax.NestedNetwork`.
        module: from `described_module`.
        notes: JSON.
    """

    architecture: dict[str, Any] | None
    widths: tuple[Widths, ...]
    macs: tuple[int, ...]
    example: Any
    normalise: Callable[[Any], Any] | None
    class_names: tuple[str, ...] | None
    module: dict[str, Any] | None
    notes: dict[str, Any]


def described_module(digest: str, pure: PureModel) -> dict[str, Any]:
    """The digest of a module's program, and the versions that it was made with: others may write the same module otherwise."""
    framework = {"linen": "flax", "nnx": "flax", "equinox": "equinox", "keras": "keras"}
    found = framework.get(type(pure).__module__.rpartition(".")[2])
    names = ["reds_jax", "jax", *([found] if found else [])]
    return {"digest": digest, "versions": {name: metadata.version(name) for name in names},
            "x64": jax.config.values["jax_enable_x64"]}


def check_module(saved: dict[str, Any], digest: str, folder: str, strict: bool) -> None:
    """The module is the one that was saved; a warning where that cannot be told, or with ``strict=False``.

    Raises:
        CheckpointError: under the same versions it computes something else.
    """
    if saved["digest"] == digest:
        return
    others: dict[str, tuple[Any, Any]] = {
        name: (before, now) for name, before in saved["versions"].items() if (now := metadata.version(name)) != before}
    if saved["x64"] != jax.config.values["jax_enable_x64"]:
        others["JAX_ENABLE_X64"] = (saved["x64"], not saved["x64"])
    what = f"the module computes something else than the one that was saved in {folder!r}, from the same variables"
    if strict and not others:
        raise CheckpointError(what, hint="Pass the module that it was trained with; load(..., strict=False) takes this one.")
    told = "; ".join(f"{name} was {before} and is {now}" for name, (before, now) in others.items())
    warnings.warn(what + (f". This may be due to other versions: {told}" if told else ""), stacklevel=3)


def save_network(folder: Path, params: Any, batch_stats: tuple[Any, ...], saved: Description) -> None:
    """Write variables and description; private parameters lie one behind the other [subnetworks, ...]."""
    stacked = jax.tree.map(lambda node: np.stack(node.arrays) if is_private(node) else node, params, is_leaf=is_private)
    variables = {"params": stacked, **{f"batch_stats_{k}": s for k, s in enumerate(batch_stats) if s}}
    private = private_paths(params)
    save_model(folder, variables, {
        **({"private": private} if private else {}),
        "architecture": saved.architecture, "widths": [{"groups": w.groups} for w in saved.widths], "macs": list(saved.macs),
        "example": _to_json(saved.example), "module": saved.module,
        "normalise": _scale_to_json(saved.normalise),
        "class_names": None if saved.class_names is None else list(saved.class_names), "notes": saved.notes})


def load_network(
    folder: Path, model: Any, normalise: Callable[[Any], Any] | None
) -> tuple[Any, tuple[Any, ...], Description]:
    """The model, (params, batch statistics of every subnetwork), and the description; see `reds_jax.NestedNetwork.load`."""
    arrays, meta = load_model(folder)
    where = f"the saved network in {str(folder)!r}"
    try:
        saved = _description(meta, where, normalise)
        params = _unstacked(arrays["params"], meta.get("private") or ())
        stats = tuple(arrays.get(f"batch_stats_{k}", {}) for k in range(len(saved.widths)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{where} has a description that cannot be read ({type(error).__name__}: {error})") from error
    if model is None:
        if not saved.architecture:
            raise CheckpointError(f"the saved model in {str(folder)!r} does not name its architecture",
                                  hint="Pass model=..., the module that it was trained with.")
        model = models.build(saved.architecture["name"], saved.architecture["arguments"])
    if any("outputs" in w for w in meta["widths"]):
        params = rows_by_position(model, params)
    return model, (params, *stats), saved


def _unstacked(params: Any, private: Sequence[str]) -> Any:
    """The parameters with a `Private` at each of these paths."""
    return jax.tree_util.tree_map_with_path(
        lambda path, array: Private(tuple(array)) if leaf_path(path) in private else array, params)


def _description(meta: dict[str, Any], where: str, normalise: Callable[[Any], Any] | None) -> Description:
    widths = tuple(Widths(tuple((name, n) for name, n in w["groups"])) for w in meta["widths"])
    notes = dict(meta.get("notes") or {})
    scale = meta["normalise"] if "example" in meta else notes.get("normalise")  # before, an experiment noted it
    if normalise is None and scale is not None:
        if "function" in scale:
            raise CheckpointError(f"{where} reads its inputs by a function, which a file cannot hold", got=scale["function"],
                                  hint="Pass normalise=..., the function that it was trained with.")
        normalise = MFCC(**scale["mfcc"]) if "mfcc" in scale else Normalise(tuple(scale["mean"]), tuple(scale["std"]))
    names, example = meta.get("class_names"), meta.get("example")
    return Description(meta.get("architecture"), widths, tuple(meta["macs"]), None if example is None else _from_json(example),
                       normalise, None if names is None else tuple(names), meta.get("module"), notes)


def _scale_to_json(scale: Callable[[Any], Any] | None) -> Any:
    """How inputs are read as JSON: a mean and a standard deviation, the settings of an MFCC, or the name of a function."""
    if isinstance(scale, Normalise):
        return {"mean": scale.mean, "std": scale.std}
    if isinstance(scale, MFCC):
        return {"mfcc": asdict(scale)}
    return None if scale is None else {"function": getattr(scale, "__name__", type(scale).__name__)}


def _to_json(example: Any) -> Any:
    """Shapes in a tree as JSON: ``{"float32": [28, 28, 1]}``, a list for a tuple, ``{"dict": {...}}`` for a dict."""
    if isinstance(example, tuple):
        return [_to_json(part) for part in example]
    if isinstance(example, dict):
        return {"dict": {name: _to_json(part) for name, part in example.items()}}
    if not isinstance(example, jax.ShapeDtypeStruct):
        raise InvalidArgumentError("the inputs of this network cannot be saved", got=type(example).__name__,
                                   allowed="an array, or a tuple or dict of such")
    return {np.dtype(example.dtype).name: list(example.shape[1:])}


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(part) for part in value)
    (name, content), = value.items()
    if name == "dict":
        return {key: _from_json(part) for key, part in content.items()}
    return jax.ShapeDtypeStruct((1, *content), jax.numpy.dtype(name))
