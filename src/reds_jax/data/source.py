"""The data protocol: a ``DataSet`` is what is trained on, chosen on and judged on, three checked ``Split``s."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import DataError
from .normalise import Normalise, read
from .split import Split
from .tree import Tree, describe, leaves, take

Loader = Callable[..., "DataSet"]
"""What reads a data set: keyword options in, a checked ``DataSet`` out."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """What an experiment trains on (``train``), chooses on (``validation``) and is judged on once (``test``).

    Args:
        name: the name of the task.
        train, validation, test: splits of inputs and targets of the same shapes and types.
        class_names: of a classification, one per class; labels index it. None for any other task.
        normalise: inputs as the model reads them, applied on the device: `Normalise`, or any hashable function. None: uint8
            becomes ``x / 255``, anything else stays.
        augmentations: random changes of training inputs that need these data, by name, such as noise recorded with them:
            (key, inputs) -> inputs, see `reds_jax.training.make_train_step`.
        source: where the data come from, one line for the report.
        synthetic: True if the data are made up, so that no figure on them says anything about real ones.

    Raises:
        DataError: the splits differ in form, a label has no class name, a class is missing in ``train``.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...] | None = None
    normalise: Callable[[Any], Any] | None = None
    source: str = "arrays in memory"
    synthetic: bool = False
    augmentations: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part, split in self.splits.items():
            for kind in ("inputs", "targets"):
                got, expected = (_form(getattr(s, kind)) for s in (split, self.train))
                if got != expected:
                    raise DataError(f"{self.name}: {part} has {kind} of another form than train", got=got, allowed=expected)
        if self.class_names is not None:
            self._check_classes(self.class_names)
        channels = None if self.pixel_scale is None else len(self.pixel_scale.mean)
        if channels is not None and (isinstance(self.shape, dict) or self.shape[-1:] != (channels,)):
            raise DataError(f"{self.name}: normalise needs one mean and std per channel", got=channels,
                            allowed=f"the last axis of {self.shape}")

    def _check_classes(self, names: tuple[str, ...]) -> None:
        found = set()
        for part, split in self.splits.items():
            labels = split.targets
            if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "biu":
                raise DataError(f"{self.name}: class_names need labels", got=_form(labels), allowed="integers [N, ...]",
                                hint="Leave class_names out for any other task than classification.")
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= len(names):
                raise DataError(f"{self.name}: a label of {part} has no class", got=low if low < 0 else high,
                                allowed=f"0..{len(names) - 1}, one per class name")
            found |= set(np.unique(labels).tolist()) if part == "train" else set()
        if missing := [name for i, name in enumerate(names) if i not in found]:
            raise DataError(f"{self.name}: classes without a training example", got=missing)

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def shape(self) -> Any:
        """The shape of one input, (H, W, C) of an image; a tree of shapes for a tree of inputs."""
        return self.train.shape

    @property
    def classes(self) -> int:
        """The number of classes."""
        if self.class_names is None:
            raise DataError(f"{self.name} has no classes", got=_form(self.train.targets))
        return len(self.class_names)

    @property
    def pixel_scale(self) -> Normalise | None:
        """Mean and standard deviation of every channel, if the inputs are pixels that are normalised so."""
        return self.normalise if isinstance(self.normalise, Normalise) else None

    def read(self, inputs: Tree) -> Tree:
        """Inputs as the model reads them, normalised; NumPy in, NumPy out."""
        return read(inputs, self.normalise)

    def example(self) -> Tree:
        """The first input of ``train`` as the model reads it, [1, ...]: for ``model.init`` and `reds_jax.trace`."""
        return self.read(take(self.train.inputs, slice(0, 1)))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the three splits, for the record of a run: shapes, types, values, class names."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for part, split in self.splits.items():
            for kind, tree in (("inputs", split.inputs), ("targets", split.targets)):
                for path, array in () if tree is None else leaves(tree):
                    if kind == "targets" and split.is_labelled:  # an image with a label needs no more than its shape
                        digest.update(array.astype("<i4").tobytes())
                        continue
                    named = "" if array.dtype == np.uint8 and not path and kind == "inputs" else f" {kind}/{path} {array.dtype}"
                    digest.update(f"{part} {array.shape}{named}".encode())
                    digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        for name, augmentation in sorted(self.augmentations.items()):
            digest.update(f"{name} {augmentation!r}".encode())
        return digest.hexdigest()

    def describe(self) -> str:
        """One line: name, numbers, form, origin."""
        sizes = " / ".join(f"{len(split):,}" for split in self.splits.values())
        stand_in = "SYNTHETIC stand-in; " if self.synthetic else ""
        return f"{self.name}: {sizes} train / validation / test examples, {self.form}; {stand_in}{self.source}"

    @property
    def form(self) -> str:
        """What an example is: ``"uint8 [28, 28, 1] -> int32 []"``."""
        return f"{_form(self.train.inputs)} -> {_form(self.train.targets)}"


def _form(tree: Tree) -> str:
    return "the inputs" if tree is None else describe(tree)
