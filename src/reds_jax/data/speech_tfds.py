"""Speech Commands as TensorFlow Datasets prepares it, read without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from .clips import CLASS_NAMES, SAMPLES
from .parting import at_most
from .speech_folder import SHARE
from .split import Split
from .tfds_source import data_sources, first_line
from .wav import one_second

ORDER = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes", "_silence_", "_unknown_")
"""The labels of TFDS."""
_OURS = np.array([CLASS_NAMES.index(name) for name in ORDER])


def tfds_splits(data_dir: str | None, *, seed: int, limit: int | None) -> tuple[Split, Split, Split]:
    """(train, validation, test): clips int16 [N, 16000] with their classes, in our order.

    TFDS keeps every unknown word for training and validation; here they are drawn, a tenth as many as keywords.

    Raises:
        DataError: the set is not prepared, lacks a split, or is damaged.
    """
    parts = data_sources("speech_commands", data_dir)
    if missing := {"train", "validation", "test"} - set(parts):
        raise DataError("the TFDS set speech_commands lacks splits", got=sorted(missing), allowed="train, validation, test")
    train, held, test = (_read(parts[name], name, seed, limit) for name in ("train", "validation", "test"))
    return train, held, test


def _read(source: Sequence[dict[str, Any]], name: str, seed: int, limit: int | None) -> Split:
    try:
        labels = _OURS[[int(example["label"]) for example in source]]
        kept = np.arange(len(labels))
        if name != "test":
            unknown = np.random.default_rng(seed).permutation(np.flatnonzero(labels == 1))
            kept = np.setdiff1d(kept, unknown[int(np.ceil(SHARE * (labels > 1).sum())) :])
        chosen = at_most(Split(kept, labels[kept]), limit, seed)
        clips = np.empty((len(chosen), SAMPLES), np.int16)
        for row, i in enumerate(chosen.inputs.tolist()):
            clips[row] = one_second(np.asarray(source[i]["audio"]))
    except (RuntimeError, OSError, KeyError, IndexError) as error:
        raise DataError(f"a file of TFDS is damaged, or of another set ({first_line(error)})", got=f"speech_commands, {name}",
                        hint="Prepare the set again.") from error
    return Split(clips, chosen.targets)
