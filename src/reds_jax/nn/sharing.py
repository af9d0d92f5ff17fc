"""What nested subnetworks have in common is computed once.

Traced together, the widest first, two subnetworks share every operation that sees the same input or a prefix of the same
channels, as long as the operation treats each channel by itself: the first convolution, its batch norm (batch statistics
are per channel), its activation, the depthwise convolution behind it. The narrower result is a slice of the wider one, in
exact arithmetic and in floats. Inside `sharing()` the operations of `reds_jax.nn` look their result up here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax


class _Memory:
    def __init__(self) -> None:
        self.source: dict[int, jax.Array] = {}  # id of a prefix slice -> the wide array that it is a prefix of
        self.result: dict[Hashable, tuple[Any, ...]] = {}  # operation and the ids of its arguments -> its wide results
        self.slices: dict[tuple[int, int], jax.Array] = {}  # (id of a wide array, channels) -> its one slice
        self.alive: list[Any] = []  # arguments whose ids are used as keys: they must not be freed


_memory: ContextVar[_Memory | None] = ContextVar("reds_jax_sharing", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Within this context (one trace, widest subnetwork first) equal work is done once."""
    token = _memory.set(_Memory())
    try:
        yield
    finally:
        _memory.reset(token)


def _prefix(memory: _Memory, wide: jax.Array, n: int) -> jax.Array:
    if wide.shape[-1] == n:
        return wide
    key = (id(wide), n)
    if key not in memory.slices:
        memory.slices[key] = narrow = wide[..., :n]
        memory.source[id(narrow)] = wide
    return memory.slices[key]


def shared(
    key: tuple[Hashable, ...],
    x: jax.Array,
    parameters: tuple[jax.Array | None, ...],
    channels: int | None,
    compute: Callable[[jax.Array], tuple[jax.Array, ...]],
    *,
    per_channel: bool,
) -> tuple[jax.Array, ...]:
    """``compute(x)``, a tuple of arrays with the channels last, or the prefix of what a wider subnetwork computed.

    Args:
        key: the operation and its static arguments (not its width).
        x: the input, channels last.
        parameters: the full arrays that the operation uses; they must be the same objects to be shared.
        channels: number of output channels; None: those of ``x``.
        compute: the operation at this width.
        per_channel: output channel c depends on input channel c alone, so that a prefix of ``x`` is enough.
    """
    memory = _memory.get()
    if memory is None:
        return compute(x)
    n = x.shape[-1] if channels is None else channels
    wide_x = memory.source.get(id(x), x) if per_channel else x
    full_key = (key, id(wide_x), tuple(id(p) for p in parameters))
    found = memory.result.get(full_key)
    if found is not None and found[0].shape[-1] >= n:
        return tuple(_prefix(memory, r, n) for r in found)
    results = compute(x)
    if wide_x is x:
        memory.result[full_key] = results
        memory.alive += [x, *parameters]
    return results
