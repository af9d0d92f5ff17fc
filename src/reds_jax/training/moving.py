"""Moving averages of any layer: which arrays they are, how fast they forget, and what one batch adds to them.

A moving average is written in training and not read: ``new = m old + (1 - m) batch``. So two runs on one batch, with all
of them at 0 and at a number S, give ``m = (new(S) - new(0)) / S``, whatever layer wrote it; from then on one run with 0 a batch
gives ``batch = new(0) / (1 - m)``. S is so large a power of two that ``m S`` is exact and the batch vanishes beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.errors import InvalidArgumentError

Observe = Callable[[Sequence[Any]], tuple[Any, tuple[Any, ...]]]
"""Batch statistics of each subnetwork -> outputs and new statistics of each, after one batch in training mode."""

Flat = dict[str, np.ndarray]


def _flat(tree: Any) -> Flat:
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _like(tree: Any, flat: Mapping[str, Any]) -> Any:
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.asarray(flat[jax.tree_util.keystr(path, simple=True, separator="/")], leaf.dtype), tree)


@dataclass(frozen=True, eq=False)
class MovingStatistics:
    """The moving averages of a network, found by running it.

    Args:
        zeroed: the given statistics of each subnetwork with the moving averages at 0, to run batches with.
        momentum: ``m`` of every moving average, by its path, for each subnetwork.
        counters: integers that training advances by one.
    """

    zeroed: tuple[Any, ...]
    momentum: tuple[dict[str, float], ...]
    counters: frozenset[str]

    @classmethod
    def measure(cls, observe: Observe, given: Any, subnetworks: int) -> MovingStatistics:
        """Find the moving averages among the given statistics, with three runs on one batch.

        An array that is read in training and does not move is a constant, and stays. If there is one, the arrays are told
        apart by moving one after the other, a run each. A flag that says that nothing was seen yet is set.

        Raises:
            InvalidArgumentError: an array that is neither; the message has its path.
        """
        start = _flat(given)
        moving = {path for path, leaf in start.items() if jnp.issubdtype(leaf.dtype, jnp.floating)}
        probe = _Probe(observe, given, start, subnetworks)
        found = probe.slopes(moving)
        if found is None and any(leaf.dtype == bool for leaf in start.values()):  # as equinox has one, with mode="ema"
            seen = {p: np.ones_like(leaf) if leaf.dtype == bool else leaf for p, leaf in start.items()}
            probe = _Probe(observe, given, seen, subnetworks)
            found = probe.slopes(moving)
        if found is None:
            moving -= probe.constants(moving)
            found = probe.slopes(moving)
        if found is None:
            raise InvalidArgumentError(f"the statistic {probe.crooked!r} is no moving average, so it cannot be recalibrated",
                                       allowed="new = m old + (1 - m) batch")
        return cls((probe.tree(dict.fromkeys(moving, 0.0)),) * subnetworks, found, probe.counters)

    def of_batch(self, subnetwork: int, new: Any) -> Flat:
        """The statistics of one batch alone, by path, of what a run with ``zeroed`` returned; float64."""
        flat = _flat(new)
        return {path: flat[path].astype(np.float64) / (1 - m) for path, m in self.momentum[subnetwork].items()}


class _Probe:
    """Runs with changed statistics."""

    def __init__(self, observe: Observe, given: Any, start: Flat, subnetworks: int) -> None:
        self._observe, self._given, self._start, self._n = observe, given, start, subnetworks
        self.crooked: str | None = None  # an array whose update is not affine in its old value
        self.counters: frozenset[str] = frozenset()

    def tree(self, values: Mapping[str, float]) -> Any:
        """The given statistics with some arrays filled with one value each."""
        return _like(self._given, {path: np.full(leaf.shape, values[path]) if path in values else leaf
                                   for path, leaf in self._start.items()})

    def run(self, tree: Any) -> tuple[list[np.ndarray], list[Flat]]:
        outputs, new = self._observe((tree,) * self._n)
        return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(outputs)], [_flat(stats) for stats in new]

    def slopes(self, moving: set[str]) -> tuple[dict[str, float], ...] | None:
        """``m`` of every array for each subnetwork; None if the outputs or other arrays depend on them in training."""
        large = {path: 2.0 ** min(40, jnp.finfo(self._start[path].dtype).maxexp - 2) for path in moving}
        (out_0, at_0), (out_1, at_1), (out_s, at_s) = (
            self.run(self.tree(values)) for values in (dict.fromkeys(moving, 0.0), dict.fromkeys(moving, 1.0), large))
        if not (_same(out_0, out_1) and _same(out_0, out_s)):
            self.crooked = ", ".join(sorted(moving))
            return None
        self.counters = frozenset(p for p, leaf in self._start.items() if jnp.issubdtype(leaf.dtype, jnp.integer)
                                  and leaf.size and np.array_equal(at_0[0][p], leaf + 1))
        found: list[dict[str, float]] = []
        for zero, one, far in zip(at_0, at_1, at_s, strict=True):
            momentum = {}
            for path in sorted(moving):
                a, b, s = (new[path].astype(np.float64) for new in (zero, one, far))
                slope = (s - a) / large[path]
                near = max(1e-3, 8 * float(jnp.finfo(zero[path].dtype).eps)) * (1 + np.abs(a))
                if not (np.abs(b - a - slope) <= near).all():
                    self.crooked = path
                    return None
                momentum[path] = _momentum(path, slope, near=near.min(), moves=bool((a != 0).any()))
            found.append(momentum)
        return tuple(found)

    def constants(self, moving: set[str]) -> set[str]:
        """The arrays that are read in training and do not move; an error for one that is read and moves."""
        given = self.tree({})
        outputs, before = self.run(given)
        constant = set()
        for path in sorted(moving):
            changed = _like(self._given, {**self._start, path: self._start[path].astype(np.float64) + 1})
            other_outputs, after = self.run(changed)
            rest = [[new[p].astype(np.float64) for new in stats for p in sorted(moving - {path})] for stats in (before, after)]
            if _same(outputs, other_outputs) and _same(*rest):
                continue
            still = all(np.array_equal(b[path], self._start[path]) for b in before)
            if not still or not all(np.array_equal(a[path], _flat(changed)[path]) for a in after):
                raise InvalidArgumentError(f"the statistic {path!r} is read and changed in training: it cannot be recalibrated",
                                           allowed="moving averages, which training does not read, and constants")
            constant.add(path)
        return constant


def _same(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> bool:
    """Equal, but for rounding."""
    return all(np.allclose(x, y, rtol=1e-4, atol=1e-6 + 1e-4 * float(np.abs(x).max(initial=0.0)), equal_nan=True)
               for x, y in zip(a, b, strict=True))


def _momentum(path: str, slope: np.ndarray, *, near: float, moves: bool) -> float:
    """The one slope below 1 of an array; at the channels that a subnetwork does not keep it is 1."""
    kept = slope[slope < 1 - 1e-7]
    if not kept.size:
        what = "adds up without forgetting" if moves else "does not move in training"
        raise InvalidArgumentError(f"the statistic {path!r} {what}, so it cannot be recalibrated", got="momentum 1",
                                   allowed="a momentum below 1")
    if kept.max() - kept.min() > near or kept.min() < -near:
        raise InvalidArgumentError(f"the statistic {path!r} is no moving average", got=(float(kept.min()), float(kept.max())),
                                   allowed="one momentum in [0, 1) for all channels")
    return float(str(np.float32(np.median(kept))))  # the decimal that was meant: 1 - 0.99 is 0.01


def filled(stats: Any, values: Mapping[str, int]) -> Any:
    """The statistics with some arrays filled with one value each."""
    return _like(stats, {path: np.full(leaf.shape, values.get(path)) if path in values else leaf
                         for path, leaf in _flat(stats).items()})


def pool(batches: Sequence[Flat], given: Any) -> Any:
    """Statistics over all batches in the form of ``given``, which has what no batch changes.

    The mean over the batches; a variance, told by a sibling with ``mean`` in place of ``var`` or ``variance`` in its name
    (``mean`` / ``var``, ``moving_mean`` / ``moving_variance``, ``running_mean`` / ``running_var``), has the variance of
    that mean over the batches added. A variance under another name, or without its mean, is only averaged.
    """
    pooled: dict[str, Any] = _flat(given)
    for path in batches[0]:
        total = np.mean([batch[path] for batch in batches], axis=0)
        mean = mean_of(path, batches[0])
        if mean is not None:
            total = total + np.var([batch[mean] for batch in batches], axis=0)
        pooled[path] = total
    return _like(given, pooled)


def mean_of(path: str, paths: Mapping[str, np.ndarray]) -> str | None:
    """The path of the mean that belongs to a variance, if there is one.

    >>> mean_of("norm/moving_variance", {"norm/moving_mean": np.zeros(3), "norm/moving_variance": np.zeros(3)})
    'norm/moving_mean'
    """
    parts = path.split("/")
    if re.search(r"(^|/)(batch|ema)_state_index/1$", path):  # the pair (mean, variance) of equinox.nn.BatchNorm
        return path[:-1] + "0"
    for i in reversed(range(len(parts))):
        named = re.sub(r"(?:variance|var)$", "mean", parts[i])
        sibling = "/".join([*parts[:i], named, *parts[i + 1 :]])
        if named != parts[i] and sibling in paths and paths[sibling].shape == paths[path].shape:
            return sibling
    return None
