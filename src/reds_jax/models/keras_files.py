"""The weights in files of Keras: .h5 of whole models and of weights, .keras, .weights.h5; read with h5py, Keras is not needed.

Every array gets the name that Keras gives its layer by default: the kind of layer and a number in the order of the layers,
``conv2d``, ``conv2d_1``, then the variable, ``conv2d_1/kernel``. So a network that was the second of its session, or whose
layers have names of their own, is read as any other.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reds_jax.errors import DataError
from reds_jax.optional import needs

_VARIABLES = {"batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
              "depthwise_conv2d": ("depthwise_kernel", "bias"),
              "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias")}
"""Of kinds of layers, their variables in order; of all others they are kernel and bias."""


@dataclass(frozen=True)
class _Layer:
    """A layer with its variables; ``name`` is the one in the file, ``place`` orders those of a kind."""

    kind: str
    name: str
    place: tuple[int, ...]
    variables: dict[str, np.ndarray]


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """The weights by name, ``conv2d_1/kernel``; see above.

    Args:
        path: a .keras, .h5 or .hdf5 file.

    Raises:
        DataError: it is damaged, or of another form. MissingDependencyError: h5py is not installed.
    """
    h5py = _h5py()
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                config, data = json.loads(archive.read("config.json")), archive.read("model.weights.h5")
            with h5py.File(io.BytesIO(data), "r") as file:
                layers = list(_layers(file, h5py, _configs(config), ()))
        else:
            with h5py.File(path, "r") as file:
                layers = list(_old(file)) if "layer_names" in _model(file).attrs else list(_layers(file, h5py, {}, ()))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, EOFError, zipfile.BadZipFile,
            zlib.error) as error:  # fmt: skip
        raise DataError(f"{path} cannot be read as a file of Keras ({type(error).__name__}: {error})",
                        hint="Save the network again, with model.save or model.save_weights.") from error
    if not layers:
        raise DataError(f"{path} has no layer with weights", got="none", allowed="a model, or its weights, as Keras saves them")
    return _numbered(layers)


def _h5py() -> Any:
    with needs("h5py", "a file of Keras"):
        import h5py
    return h5py


def _model(file: Any) -> Any:
    """The group with the weights: of a whole model in the old form, one below the file."""
    return file.get("model_weights", file)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _old(file: Any) -> Iterator[_Layer]:
    """The layers of the form before Keras 3: names of layers and of weights as attributes."""
    config = file.attrs.get("model_config")
    configs = {} if config is None else _configs(json.loads(_text(config)))
    group = _model(file)
    for number, name in enumerate(map(_text, group.attrs["layer_names"])):
        arrays = {_text(full): np.asarray(group[name][_text(full)]) for full in group[name].attrs["weight_names"]}
        if arrays:
            kind = _snake(configs[name]["class_name"]) if name in configs else re.sub(r"_\d+$", "", name)
            variables = {full.rpartition("/")[2].removesuffix(":0"): array for full, array in arrays.items()}
            if len(variables) != len(arrays):
                raise ValueError(f"the layer {name!r} is a network of its own")
            if kind == "depthwise_conv2d" and "kernel" in variables:  # so Keras 3 calls it
                variables["depthwise_kernel"] = variables.pop("kernel")
            yield _Layer(kind, name, (number,), variables)


def _layers(group: Any, h5py: Any, configs: dict[str, Any], place: tuple[int, ...]) -> Iterator[_Layer]:
    """The layers of the form of Keras 3: groups by kind and number, at any depth, with numbered variables."""
    for key, part in group.items():
        if not isinstance(part, h5py.Group):
            continue
        kind, number = re.fullmatch(r"(.+?)(?:_(\d+))?", key).groups()  # type: ignore[union-attr]
        below = (*place, int(number or 0))
        held = part.get("vars")
        if isinstance(held, h5py.Group) and len(held):
            name = _text(held.attrs.get("name", key))
            arrays = [np.asarray(held[str(k)]) for k in range(len(held))]
            names = _variables(kind, len(arrays), configs.get(name, {}).get("config", {}))
            yield _Layer(kind, name, below, dict(zip(names, arrays, strict=True)))
        else:
            yield from _layers(part, h5py, configs, below)


def _variables(kind: str, count: int, config: dict[str, Any]) -> tuple[str, ...]:
    names = _VARIABLES.get(kind, ("kernel", "bias"))
    if kind == "batch_normalization" and count < 4:
        if not config and count == 3:
            raise ValueError("a batch norm without scale or without offset, and no config that says which: save a .keras file")
        kept = {"gamma": config.get("scale", False), "beta": config.get("center", False)}
        names = tuple(name for name in names if kept.get(name, True))
    if kind.endswith(("dense", "conv1d", "conv2d", "transpose")) and count == len(names) - 1:  # without a bias
        names = names[:-1]
    return names if len(names) == count else tuple(map(str, range(count)))


def _configs(config: Any) -> dict[str, Any]:
    """The descriptions of layers by name, at any depth of a model's config."""
    found: dict[str, Any] = {}
    if isinstance(config, dict):
        inner = config.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("name"), str) and "class_name" in config:
            found[inner["name"]] = config
        for value in config.values():
            found |= _configs(value)
    elif isinstance(config, list):
        for value in config:
            found |= _configs(value)
    return found


def _snake(name: str) -> str:
    """``DepthwiseConv2D`` -> ``depthwise_conv2d``, as Keras makes names of classes."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))).lower()


def _numbered(layers: list[_Layer]) -> dict[str, np.ndarray]:
    """The arrays, the layers of every kind numbered from 0: by the numbers in their names if all have such, else in order."""
    weights: dict[str, np.ndarray] = {}
    for kind in {layer.kind: None for layer in layers}:
        alike = [layer for layer in layers if layer.kind == kind]
        numbers = [re.fullmatch(rf"{re.escape(kind)}(?:_(\d+))?", layer.name) for layer in alike]
        named = all(numbers) and len({layer.name for layer in alike}) == len(alike)
        by_name = [(int(found[1] or 0),) if named and found else layer.place
                   for layer, found in zip(alike, numbers, strict=True)]
        for number, k in enumerate(sorted(range(len(alike)), key=lambda k: by_name[k])):
            prefix = f"{kind}_{number}" if number else kind
            weights |= {f"{prefix}/{name}": array for name, array in alike[k].variables.items()}
    return weights
