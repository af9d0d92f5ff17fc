"""What is in a data set: numbers, forms, ranges, the balance of the classes, and examples that are there more than once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .source import DataSet
from .split import Split
from .tree import leaves


@dataclass(frozen=True)
class ArrayFacts:
    """One array of a split.

    Args:
        split: its name.
        name: ``inputs``, ``targets``, or the path in a tree of them.
        examples: their number N.
        dtype, shape: of one example.
        low, high, mean: of all its values.
    """

    split: str
    name: str
    examples: int
    dtype: str
    shape: tuple[int, ...]
    low: float
    high: float
    mean: float


@dataclass(frozen=True)
class Repeats:
    """Examples whose inputs are the same, bit for bit.

    Args:
        within: {split: how many of its examples repeat an earlier one of it}.
        across: {(one split, other split): how many examples of the other are in the one}.
        contradictions: how many different inputs are there with more than one target.
    """

    within: dict[str, int]
    across: dict[tuple[str, str], int]
    contradictions: int


def facts(data: DataSet) -> list[ArrayFacts]:
    """Every array of every split."""
    found = []
    for part, split in data.splits.items():
        for kind, tree in (("inputs", split.inputs), ("targets", split.targets)):
            for path, array in () if tree is None else leaves(tree):
                found.append(ArrayFacts(part, f"{kind}/{path}" if path else kind, len(array), array.dtype.name, array.shape[1:],
                                        float(array.min()), float(array.max()), float(array.mean(dtype=np.float64))))
    return found


def balance(data: DataSet) -> dict[str, list[int]]:
    """{name of a class: its examples in train, validation and test}; {} of what has no labels [N]."""
    if data.class_names is None or not data.train.is_labelled:
        return {}
    counts = [np.bincount(split.labels, minlength=data.classes) for split in data.splits.values()]
    return {name: [int(count[k]) for count in counts] for k, name in enumerate(data.class_names)}


def repeats(data: DataSet) -> Repeats:
    """The examples that are there more than once, by the SHA-256 of their inputs."""
    digests = {part: _digests(split) for part, split in data.splits.items()}
    targets: dict[bytes, set[bytes]] = {}
    for part, split in data.splits.items():
        rows = [b""] * len(split) if split.targets is None else _rows(split.targets)
        for digest, row in zip(digests[part], rows, strict=True):
            targets.setdefault(digest, set()).add(row)
    sets = {part: set(rows) for part, rows in digests.items()}
    return Repeats({part: len(rows) - len(sets[part]) for part, rows in digests.items()},
                   {(a, b): sum(digest in sets[a] for digest in digests[b]) for a, b in combinations(digests, 2)},
                   sum(len(rows) > 1 for rows in targets.values()))


def _digests(split: Split) -> list[bytes]:
    return [hashlib.sha256(row).digest() for row in _rows(split.inputs)]


def _rows(tree: object) -> list[bytes]:
    """The bytes of every example."""
    arrays = [array for _, array in leaves(tree)]
    return [b"".join(np.ascontiguousarray(array[k]).tobytes() for array in arrays) for k in range(len(arrays[0]))]
