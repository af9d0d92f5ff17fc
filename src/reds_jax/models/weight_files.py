"""Trained weights from files of any kind as arrays by name."""

from __future__ import annotations

import logging
from pathlib import Path

import jax
import numpy as np

from reds_jax.data.npz import read_npz
from reds_jax.errors import DataError
from reds_jax.models.keras_files import read_keras
from reds_jax.models.tflite_files import read_tflite
from reds_jax.optional import needs

KINDS = {".npz": read_npz, ".h5": read_keras, ".hdf5": read_keras, ".keras": read_keras, ".tflite": read_tflite}


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a file of weights by name.

    Args:
        path: an .npz, with the names that it has; .keras, .h5 or .hdf5 of Keras and .tflite in floats, with the names of Keras,
            ``conv2d_1/kernel``, numbered by kind in the order of the layers; or the folder of a checkpoint of orbax, with the
            path in its tree, ``params/conv/kernel``.

    Raises:
        DataError: it is missing, damaged, or of another kind. MissingDependencyError: what reads it is not installed.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _orbax(path)
    if path.suffix.lower() not in KINDS:
        raise DataError("it is not known how weights are read from such a file", got=str(path),
                        allowed=f"{', '.join(KINDS)}, or the folder of a checkpoint of orbax")
    if not path.is_file():
        raise DataError("there is no such file of weights", got=str(path))
    return KINDS[path.suffix.lower()](path)


def _orbax(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint: its own folder, or that of a step with one item."""
    with needs("orbax", "a checkpoint of orbax"):
        import orbax.checkpoint as ocp
    if not (folder / "_METADATA").is_file():
        inside = [path.parent for path in sorted(folder.glob("*/_METADATA"))]
        if len(inside) != 1:
            raise DataError(f"{folder} is no checkpoint of orbax", got=[p.name for p in inside] or "no _METADATA",
                            allowed="a folder with _METADATA, or a step with one such folder")
        folder = inside[0]
    quiet = logging.getLogger("absl")
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it warns of what a checkpoint without other items lacks
    try:
        with ocp.PyTreeCheckpointer() as reader:
            tree = reader.metadata(folder.absolute()).item_metadata.tree
            arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            restored = reader.restore(folder.absolute(), restore_args=arguments)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"{folder} cannot be read as a checkpoint of orbax ({type(error).__name__}: {reason})") from error
    finally:
        quiet.setLevel(level)
    leaves, _ = jax.tree_util.tree_flatten_with_path(restored)
    return {jax.tree_util.keystr(where, simple=True, separator="/"): np.asarray(leaf) for where, leaf in leaves}
