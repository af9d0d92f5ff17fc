"""`Split`: examples in memory, inputs and targets of any form, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..array_types import Int32, UInt8
from ..errors import DataError
from .tree import Tree, checked, describe, map_tree, rows, take


@dataclass(frozen=True, eq=False)
class Split:
    """Examples in memory: ``inputs`` with N in front, and ``targets`` with N in front, or None: the inputs are the targets.

    Images uint8 [N, H, W, C], sensor windows [N, T, C], features [N, F], MFCC [N, T, F]; classes [N], the classes of every
    pixel [N, H, W], numbers [N, K]. Each is an array, or a tuple or dict of arrays for a network with several inputs or
    outputs: a tuple is passed as ``f(*inputs)``, a dict as ``f(**inputs)``. Arrays of 64 bits become 32, labels [N] int32; all
    are read-only.

    Args:
        inputs: an array [N, ...], or a tuple or dict of arrays.
        targets: the same, or None.

    Raises:
        DataError: an array is no number [N, ...], has a value that is not finite, or the numbers of examples differ; N = 0.
    """

    inputs: Tree
    targets: Tree = None

    def __post_init__(self) -> None:
        inputs = checked(self.inputs, "inputs")
        targets = None if self.targets is None else checked(self.targets, "targets")
        if targets is not None and rows(inputs) != rows(targets):
            raise DataError("inputs and targets differ in number", got=(rows(inputs), rows(targets)))
        if isinstance(targets, np.ndarray) and (targets.dtype == bool or (targets.ndim == 1 and targets.dtype.kind in "iu")):
            targets = targets.astype(np.int32 if targets.ndim == 1 else np.uint8)
            targets.flags.writeable = False
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "targets", targets)

    @classmethod
    def of_images(cls, images: Any, labels: Any) -> Split:
        """Images uint8 [N, H, W, C] with their classes, integers [N] from 0 up; a DataError for anything else."""
        images, labels = np.asarray(images), np.asarray(labels)
        if images.dtype != np.uint8 or images.ndim != 4:
            raise DataError("images have the wrong form", got=f"{images.dtype} {list(images.shape)}",
                            allowed="uint8 [N, H, W, C]")
        if labels.dtype.kind not in "iu" or labels.ndim != 1:
            raise DataError("labels have the wrong form", got=f"{labels.dtype} {list(labels.shape)}", allowed="integers [N]")
        split = cls(images, labels)
        if split.labels.min() < 0:
            raise DataError("a label is out of range", got=int(split.labels.min()), allowed="0 and up")
        return split

    def __len__(self) -> int:
        return rows(self.inputs)

    @property
    def images(self) -> UInt8[np.ndarray, "images height width channels"]:
        """The inputs, uint8 [N, H, W, C]; a DataError if they are no images."""
        if not isinstance(self.inputs, np.ndarray) or self.inputs.dtype != np.uint8 or self.inputs.ndim != 4:
            raise DataError("the inputs are no images", got=describe(self.inputs), allowed="uint8 [N, H, W, C]",
                            hint="Read split.inputs.")
        return self.inputs

    @property
    def labels(self) -> Int32[np.ndarray, " images"]:
        """The targets, classes int32 [N]; a DataError if they are none."""
        if not self.is_labelled:
            got = "no targets" if self.targets is None else describe(self.targets)
            raise DataError("the targets are no labels", got=got, allowed="integers [N]", hint="Read split.targets.")
        return self.targets

    @property
    def is_labelled(self) -> bool:
        """Whether the targets are integers [N]."""
        return isinstance(self.targets, np.ndarray) and self.targets.dtype.kind in "biu" and self.targets.ndim == 1

    @property
    def shape(self) -> Any:
        """The shape of one input, (H, W, C) of an image; a tree of shapes for a tree of inputs."""
        return map_tree(lambda path, array: array.shape[1:], self.inputs)

    def take(self, indices: Any) -> Split:
        """The examples at ``indices`` (integers [M] or a slice), in that order."""
        return Split(take(self.inputs, indices), None if self.targets is None else take(self.targets, indices))
