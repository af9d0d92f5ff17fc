"""Clips of sound in memory, or their features, parted into train, validation and test by groups: no speaker is in two."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, InvalidArgumentError
from .clip_augment import ClipAugment
from .mfcc import MFCC
from .npz import npz_class_names, read_npz
from .parting import split_off
from .source import DataSet
from .split import Split

CLASS_NAMES = ("_silence_", "_unknown_", "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
"""The twelve classes of Speech Commands, in the order of the labels."""
SAMPLES = 16000
"""Of one clip, one second."""
_AT_ONCE = 100
_GROUPS = ("fold", "speaker", "group")


def of_clips(
    x: Any, y: Any, groups: Any, *, test_groups: Collection[Any], validation_groups: Collection[Any],
    class_names: Sequence[str] = CLASS_NAMES, normalise: MFCC | None = None, features: bool = False, noise: Any = None,
    source: str = "clips in memory",
) -> DataSet:
    """Clips or features as a data set whose splits have no group in common; what is in no other split is for training.

    Args:
        x: waveforms int16 [N, S] (or floats from -1 to 1), or features float32 [N, frames, coefficients] or [..., 1], which are
            read as they are.
        y: the class of each, integers [N].
        groups: what must not be parted, a speaker or a fold of several, integers or text [N].
        test_groups, validation_groups: those of the two splits.
        class_names: one per class.
        normalise: what the network reads of a waveform; by default ``MFCC()``, 49 x 10.
        features: compute them once, here, instead of in each step: less work, but no augmentation of the waveforms.
        noise: recordings [M] one behind the other, of the type of x, which the augmentation "shift_noise" adds; None: it only
            shifts.
        source: where the clips come from, for the report.

    Raises:
        InvalidArgumentError: a group is in both splits. DataError: arrays of other forms, a group without a clip, a split
            without one.
    """
    x, y, groups, mfcc = np.asarray(x), np.asarray(y), np.asarray(groups), MFCC() if normalise is None else normalise
    check_clips(x, y, mfcc)
    if groups.shape != y.shape or groups.dtype.kind not in "iuU":
        raise DataError("there is no group for each clip", got=f"{groups.dtype} {list(groups.shape)}",
                        allowed=f"integers or text [{len(x)}]")
    if both := set(test_groups) & set(validation_groups):
        raise InvalidArgumentError("a group is for validation and for the test", got=sorted(both))
    known = set(groups.tolist())
    if unknown := sorted((set(test_groups) | set(validation_groups)) - known):
        raise DataError("a group has no clip", got=unknown[:6], allowed=f"{len(known)} groups, such as {sorted(known)[:6]}")
    tested, held = (np.isin(groups, list(names)) for names in (test_groups, validation_groups))
    parts = {"train": ~tested & ~held, "validation": held, "test": tested}
    if empty := [name for name, rows in parts.items() if not rows.any()]:
        raise DataError("a split has no clip", got=", ".join(empty), hint="Name other groups for validation and test.")
    train, validation, test = (Split(x[rows], y[rows]) for rows in parts.values())
    return clip_data(train, validation, test, class_names=class_names, mfcc=mfcc, features=features, noise=noise,
                     source=source)


def clip_data(train: Split, validation: Split, test: Split, *, class_names: Sequence[str], mfcc: MFCC, features: bool = False,
              noise: Any = None, source: str, synthetic: bool = False) -> DataSet:
    """The data set of three splits of clips or of features; the arguments are those of `of_clips`."""
    read: MFCC | None = mfcc
    splits = [train, validation, test]
    if train.inputs.ndim > 2:
        read, splits = None, [Split(s.inputs.reshape(*s.inputs.shape[:3], 1), s.targets) for s in splits]
    elif features:
        read, source = None, f"{source}; features of {mfcc.window_ms} ms every {mfcc.stride_ms} ms"
        splits = [Split(features_of(s.inputs, mfcc), s.targets) for s in splits]
    return DataSet("speech_commands", splits[0], splits[1], splits[2], tuple(map(str, class_names)), read, source, synthetic,
                   {} if read is None else {"shift_noise": ClipAugment(noise)})


def features_of(x: np.ndarray, mfcc: MFCC) -> np.ndarray:
    """float32 [N, frames, coefficients, 1] of waveforms [N, S], some at a time."""
    return np.concatenate([mfcc(x[i : i + _AT_ONCE]) for i in range(0, len(x), _AT_ONCE)])


def check_clips(x: np.ndarray, y: np.ndarray, mfcc: MFCC, name: str = "the clips") -> None:
    """A `DataError` unless x are waveforms or features of the form that ``mfcc`` gives, and y labels of as many."""
    form = (mfcc.frames(SAMPLES), mfcc.coefficients)
    waveforms = x.ndim == 2 and x.dtype in (np.int16, np.float32, np.float64) and x.shape[1] >= mfcc.window
    if not waveforms and not (x.dtype.kind == "f" and x.shape[1:] in (form, (*form, 1))):
        raise DataError(f"{name} have the wrong form", got=f"{x.dtype} {list(x.shape)}",
                        allowed=f"waveforms int16 [N, {SAMPLES}], or features float32 [N, {form[0]}, {form[1]}]",
                        hint="The DNN reads 25 x 10 features, the others 49 x 10.")
    if y.shape != x.shape[:1] or y.dtype.kind not in "iu":
        raise DataError(f"{name} need a label each", got=f"{y.dtype} {list(y.shape)}", allowed=f"integers [{len(x)}]")


def npz_clips(path: str | Path, *, validation: float, test: float, seed: int, mfcc: MFCC) -> DataSet:
    """The clips of an .npz: ``x, y``, and as far as there are ``fold`` or ``speaker``, ``noise``, class_names: see `of_clips`.

    With groups, ``test_groups`` and ``validation_groups`` of the file say which are for what; without these two, groups are
    drawn by the seed until a split has its share of the clips. Without groups the clips are parted by the seed, class by class.

    Raises:
        DataError: an array is missing or has the wrong form; the message names the file.
    """
    arrays = read_npz(path)
    if missing := {"x", "y"} - set(arrays):
        raise DataError(f"{path} lacks {' and '.join(sorted(missing))}", got=sorted(arrays), allowed="x, y; fold or speaker")
    x, y, noise, names = arrays["x"], arrays["y"], arrays.get("noise"), npz_class_names(path, CLASS_NAMES)
    check_clips(x, y, mfcc, f"x in {path}")
    found, source = [name for name in _GROUPS if name in arrays], f"clips from {path}"
    try:
        if not found:
            rest, tested = split_off(Split(x, y), test, seed)
            train, held = split_off(rest, validation / (1 - test), seed + 1)
            return clip_data(train, held, tested, class_names=names, mfcc=mfcc, noise=noise,
                             source=f"{source}, parted by seed {seed}")
        groups = arrays[found[0]]
        if {"test_groups", "validation_groups"} <= set(arrays):
            chosen = [arrays[f"{part}_groups"].ravel().tolist() for part in ("test", "validation")]
        else:
            chosen = drawn_groups(groups, (test, validation), seed)
        return of_clips(x, y, groups, test_groups=chosen[0], validation_groups=chosen[1], class_names=names, normalise=mfcc,
                        noise=noise, source=f"{source}, parted by {found[0]}")
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def drawn_groups(groups: np.ndarray, shares: Sequence[float], seed: int) -> list[list[Any]]:
    """For each share the groups, drawn one after the other, that together have it of all clips or just more."""
    names, counts = np.unique(groups, return_counts=True)
    order, result, at = np.random.default_rng(seed).permutation(len(names)), [], 0
    for share in shares:
        taken = 0
        result.append([])
        while at < len(order) and taken < share * counts.sum():
            result[-1].append(names[order[at]].item())
            taken, at = taken + counts[order[at]], at + 1
    return result
