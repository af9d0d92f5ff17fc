"""The data protocol: a ``DataSet`` is three ``Split``s of uint8 images in memory, checked when it is made."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import DataError, InvalidArgumentError

Loader = Callable[..., "DataSet"]
"""What reads a data set: keyword options in, a checked ``DataSet`` out."""


@dataclass(frozen=True)
class Normalise:
    """Pixels to floats as the model takes them, on the host or on the device: ``(x / 255 - mean) / std``.

    Args:
        mean: one value per channel, on the scale 0..1.
        std: one positive value per channel, on the scale 0..1.

    Hashable, so that it can be a static argument of a compiled function.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise InvalidArgumentError("mean and std need one value per channel each", got=(self.mean, self.std))
        if not np.all(np.isfinite(self.mean)) or not all(np.isfinite(s) and s > 0 for s in self.std):
            raise InvalidArgumentError("mean must be finite and std finite and positive", got=(self.mean, self.std))

    @classmethod
    def unit(cls, channels: int) -> "Normalise":
        """The plain scale ``x / 255`` for ``channels`` channels."""
        return cls((0.0,) * channels, (1.0,) * channels)

    @classmethod
    def standard(cls, images: np.ndarray) -> "Normalise":
        """Mean 0 and standard deviation 1 per channel over uint8 ``images`` [N, H, W, C]; exact integer sums."""
        mean, std = [], []
        for channel in np.moveaxis(images, -1, 0):
            counts = np.bincount(channel.ravel(), minlength=256).astype(np.float64)
            values = np.arange(256) / 255.0
            mean.append(float(counts @ values / counts.sum()))
            std.append(float(np.sqrt(counts @ (values - mean[-1]) ** 2 / counts.sum())))
        return cls(tuple(mean), tuple(s if s > 0 else 1.0 for s in std))

    def __call__(self, images: Any) -> Any:
        """uint8 [..., C] to float32 [..., C]; NumPy in, NumPy out; a device array stays on its device."""
        scaled = images.astype(np.float32) / np.float32(255)
        return (scaled - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their classes: ``images`` uint8 [N, H, W, C], ``labels`` int32 [N]; both read-only.

    Raises:
        DataError: the images are not uint8 NHWC, the labels are not integers, their numbers differ, or N = 0.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.dtype != np.uint8 or images.ndim != 4:
            got = f"{images.dtype} {list(images.shape)}"
            raise DataError("images have the wrong form", got=got, allowed="uint8 [N, H, W, C]")
        if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
            got = f"{labels.dtype} {list(labels.shape)}"
            raise DataError("labels have the wrong form", got=got, allowed="integers [N]")
        if len(images) != len(labels):
            raise DataError("images and labels differ in number", got=(len(images), len(labels)))
        if images.size == 0:
            raise DataError("a split is empty", got=list(images.shape), hint="Give at least one image per class.")
        if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
            raise DataError("a label is out of range", got=(int(labels.min()), int(labels.max())), allowed="0 and up")
        images, labels = images.view(), labels.astype(np.int32)
        images.flags.writeable = labels.flags.writeable = False
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def take(self, indices: np.ndarray) -> "Split":
        """The images at ``indices`` [M], in that order."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True, eq=False)
class DataSet:
    """What an experiment trains on (``train``), chooses on (``validation``) and is judged on once (``test``).

    Args:
        name: the name of the task.
        train, validation, test: splits of the same image shape.
        class_names: one per class; labels index it.
        normalise: pixels to floats, applied on the device.
        source: where the data come from, one line for the report.
        synthetic: True if the images are made up, so that no accuracy on them says anything about real images.

    Raises:
        DataError: the splits differ in shape, a label has no class name, a class is missing in ``train``.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    normalise: Normalise
    source: str
    synthetic: bool = False

    def __post_init__(self) -> None:
        for part, split in self.splits.items():
            if split.shape != self.train.shape:
                raise DataError(f"{self.name}: {part} has images of another shape than train", got=split.shape)
            if split.labels.max() >= len(self.class_names):
                allowed = f"0..{len(self.class_names) - 1}, one per class name"
                raise DataError(f"{self.name}: a label of {part} has no class", got=int(split.labels.max()),
                                allowed=allowed)
        counts = np.bincount(self.train.labels, minlength=len(self.class_names))
        if missing := [name for name, count in zip(self.class_names, counts, strict=True) if count == 0]:
            raise DataError(f"{self.name}: classes without a training image", got=missing)
        if len(self.normalise.mean) != self.train.shape[-1]:
            raise DataError(f"{self.name}: normalise needs one mean and std per channel", got=self.normalise.mean)

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        return self.train.shape

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the three splits, for the record of a run: shapes, pixels, labels, class names."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for part, split in self.splits.items():
            digest.update(f"{part} {split.images.shape}".encode())
            digest.update(split.images.tobytes())
            digest.update(split.labels.astype("<i4").tobytes())
        return digest.hexdigest()

    def describe(self) -> str:
        """One line: name, numbers, shape, origin."""
        sizes = " / ".join(f"{len(split):,}" for split in self.splits.values())
        stand_in = "SYNTHETIC stand-in; " if self.synthetic else ""
        return f"{self.name}: {sizes} train / validation / test images {self.shape}; {stand_in}{self.source}"


def split_off(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Part a split in two, ``(rest, taken)``: every class gives its share, the choice depends on ``seed`` alone.

    Of a class with n images, floor or ceil of ``n * fraction`` are taken (largest remainders first, so that the
    total is ``round(N * fraction)``), but never all of them. Both parts keep the order of ``split``.

    Args:
        split: what is parted.
        fraction: the share that is taken, in (0, 1).
        seed: a non-negative integer.

    Raises:
        InvalidArgumentError: the fraction is not in (0, 1), or so small that nothing is taken.
    """
    if not 0 < fraction < 1:
        raise InvalidArgumentError("the fraction to split off is out of range", got=fraction, allowed="in (0, 1)")
    classes, inverse, counts = np.unique(split.labels, return_inverse=True, return_counts=True)
    exact = counts * fraction
    quota = np.floor(exact).astype(int)
    missing = int(np.floor(len(split) * fraction + 0.5)) - int(quota.sum())
    room = (quota < exact) & (quota < counts - 1)
    by_remainder = np.argsort(np.where(room, quota - exact, 1.0), kind="stable")
    quota[by_remainder[: min(missing, int(room.sum()))]] += 1
    if quota.sum() == 0:
        raise InvalidArgumentError("the fraction takes no image at all", got=fraction,
                                   hint=f"The split has {len(split)} images of {len(classes)} classes.")
    order = np.argsort(np.random.default_rng(seed).random(len(split)), kind="stable")
    taken = np.zeros(len(split), bool)
    for index, share in enumerate(quota):
        taken[order[inverse[order] == index][:share]] = True
    return split.take(np.flatnonzero(~taken)), split.take(np.flatnonzero(taken))


def at_most(split: Split, limit: int | None, seed: int) -> Split:
    """The split, or ``limit`` of its images chosen by ``seed`` with every class in its share; None takes all.

    Raises:
        InvalidArgumentError: the limit is below 1.
    """
    if limit is None:
        return split
    if limit < 1:
        raise InvalidArgumentError("the limit of images is too small", got=limit, allowed="1 and up, or None for all")
    return split if limit >= len(split) else split_off(split, limit / len(split), seed)[1]
