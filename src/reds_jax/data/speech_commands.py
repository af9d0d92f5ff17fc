"""Speech Commands, twelve classes of one second each: the published folder, TFDS, an .npz, or chirps from a seed."""

from __future__ import annotations

from pathlib import Path

from ..checks import one_of
from ..errors import InvalidArgumentError
from .chirps import chirp_noise, render_chirps
from .clips import CLASS_NAMES, clip_data, npz_clips
from .images import parse_spec
from .mfcc import MFCC
from .parting import at_most
from .source import DataSet
from .speech_folder import folder_splits
from .speech_tfds import tfds_splits
from .split import Split

FRONT_ENDS = {"mfcc_40_20": MFCC(stride_ms=20), "mfcc_40_40": MFCC(stride_ms=40)}
"""What a network reads of a clip: 49 x 10 coefficients, or 25 x 10."""
CHIRPS = {"train": 960, "validation": 240, "test": 240}
"""How many chirps are rendered for each split."""


def speech_commands_data(spec: str | None = None, *, resolution: int | None = None, seed: int = 0, limit: int | None = None,
                         validation: float = 0.1, normalise: str = "mfcc_40_20") -> DataSet:
    """Twelve classes: silence, unknown words, and ten words; waveforms int16 [N, 16000].

    Args:
        spec: where the clips come from. ``synthetic`` (the default): a chirp per class from the seed; nothing is read.
            ``folder:DIR``: the published folder, see `reds_jax.data.speech_folder.folder_splits`. ``npz:FILE``: clips or
            features, see `reds_jax.data.clips.npz_clips`. ``tfds[:DIR]``: as prepared by TFDS.
        resolution: has no meaning for sound; None.
        seed: of what is rendered, parted off or drawn under a limit; a non-negative integer.
        limit: at most so many clips a split.
        validation: the share of all clips for validation, where the source has no validation split; 10 % are for the test.
        normalise: "mfcc_40_20" (49 x 10 coefficients) or "mfcc_40_40" (25 x 10, what the DNN reads).

    Raises:
        InvalidArgumentError: an argument is out of range. DataError: the data are missing or damaged.
    """
    kind, path = parse_spec(spec or "synthetic", ("synthetic", "folder", "npz", "tfds"))
    if resolution is not None:
        raise InvalidArgumentError("sound has no resolution", got=resolution, hint="Leave --resolution out.")
    mfcc = FRONT_ENDS[one_of("normalisation", normalise, tuple(FRONT_ENDS))]
    if kind == "folder":
        if path is None:
            raise InvalidArgumentError("the folder of clips is not named", got="folder", allowed="folder:DIR")
        train, held, test, noise = folder_splits(Path(path).expanduser(), seed=seed, limit=limit, validation=validation)
        found = clip_data(train, held, test, class_names=CLASS_NAMES, mfcc=mfcc, noise=noise,
                          source=f"Speech Commands from {path}")
    elif kind == "tfds":
        found = clip_data(*tfds_splits(path, seed=seed, limit=limit), class_names=CLASS_NAMES, mfcc=mfcc,
                          source=f"Speech Commands, TFDS in {path or '~/tensorflow_datasets'}; no noise is added")
    elif kind == "npz":
        assert path is not None  # parse_spec
        found = npz_clips(path, validation=validation, test=0.1, seed=seed, mfcc=mfcc)
    else:
        train, held, test = (Split(*render_chirps(min(count, limit or count), seed=seed, stream=i))
                             for i, count in enumerate(CHIRPS.values()))
        found = clip_data(train, held, test, class_names=CLASS_NAMES, mfcc=mfcc, synthetic=True, noise=chirp_noise(seed),
                          source=f"chirps in place of words, seed {seed}")
    train, held, test = (at_most(part, limit, seed) for part in found.splits.values())
    return DataSet(found.name, train, held, test, found.class_names, found.normalise, found.source, found.synthetic,
                   found.augmentations)
