"""How arrays are joined along their channels, and how images get a border of zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reds_jax.deploy.lowering import ranges
from reds_jax.deploy.lowering.forms import Affine, Form, Known, Writer
from reds_jax.deploy.lowering.grouped import unshuffled
from reds_jax.deploy.lowering.kept import Kept
from reds_jax.deploy.lowering.program import Tensor, Window
from reds_jax.deploy.lowering.refusal import refusal
from reds_jax.program.flat import Operation


class Arrays:
    """The rules; each takes an operation and the forms of its inputs, and returns the form of its output, or None."""

    def __init__(self, writer: Writer, kept: Kept) -> None:
        self._writer, self._kept = writer, kept
        self.rules: dict[str, Callable[[Operation, list[Form]], Form | None]] = {
            "concatenate": self._concatenate, "pad": self._pad,
        }

    def _concatenate(self, op: Operation, inputs: list[Form]) -> Form:
        """Arrays one behind the other: images along their channels, or vectors, of which each is all of an array."""
        joined = [unshuffled(self._writer, op, x) for x in inputs if isinstance(x, Affine)]
        rank = len(op.outputs[0].shape)
        if len(joined) < len(inputs):
            raise refusal(op, "joins an activation with a constant, or with something that is no array")
        if rank not in (2, 3, 4) or op.params["dimension"] != rank - 1:
            raise refusal(op, "joins arrays along another axis than that of the channels")
        images = rank > 2
        written = [self._writer.channel_first(self._writer.write(x)) for x in joined]
        read = [self._writer.tensors[t] for t in written]
        index, parts, first = [], [], 0
        for x, t, tensor in zip(joined, written, read, strict=True):
            entries, each = self._writer.moved(x, t), 1 if images else tensor.positions
            full = x.source.full * each
            whole = np.array_equal(np.sort(entries, axis=None), np.arange(x.source.full * tensor.positions))
            if not whole or (images and not replace(x, source=replace(x.source, tensor=tensor), index=entries).is_image()):
                raise refusal(op, "joins a part of an array, or one whose channels and positions have been moved")
            index.append(first + entries)
            parts.append((tensor, full, each))
            first += full
        size = (read[0].height, read[0].width) if images else (1, 1)
        source = self._writer.source(self._joined(op, parts, size), first, kind="concat", name=self._kept.name(op, "concat"),
                                     inputs=tuple(written))
        plain = self._writer.plain(source)
        return replace(plain, index=plain.index.reshape(op.outputs[0].shape) if images else np.concatenate(index, axis=1))

    def _joined(self, op: Operation, parts: list[tuple[Tensor, int, int]], size: tuple[int, int]) -> Tensor:
        """The array of several (array, its channels, entries that each of them becomes a channel each)."""
        kept = np.zeros((self._writer.subnetworks, sum(full for _, full, _ in parts)), bool)
        of = np.full((kept.shape[1], 2), -1)
        first = 0
        for tensor, full, each in parts:
            for k, row in enumerate(kept):
                row[first + (tensor.kept(k)[:, None] * each + np.arange(each)).ravel()] = True
            if self._kept.every_row:
                of[first : first + full] = np.repeat(ranges.stored(tensor, full // each), each, axis=0)
            first += full
        made = ranges.tensor(kept, of if self._kept.every_row else None, *size)
        if made is None:
            raise refusal(op, f"joins arrays of which a subnetwork keeps more than {ranges.MOST} ranges of channels")
        return made

    def _pad(self, op: Operation, inputs: list[Form]) -> Form | None:
        """A border of zeros around an image; a convolution behind takes it into its window (`unpadded`)."""
        x, value = inputs
        if not isinstance(x, Affine) or not isinstance(value, Known):
            return None
        if any(np.any(v) for v in value.values):
            raise refusal(op, f"pads with {float(np.ravel(value.values[0])[0]):g}, not with zeros")
        batch, *others, channels = [tuple(map(int, along)) for along in op.params["padding_config"]]
        if len(others) not in (1, 2) or any(channels) or any(batch):
            raise refusal(op, "pads along another axis than those of the positions")
        if any(low < 0 or high < 0 or between for low, high, between in others):
            raise refusal(op, "cuts positions off its input, or puts zeros between them")
        x = unshuffled(self._writer, op, x)
        if not x.is_image():
            raise refusal(op, "pads an image whose channels and positions have been moved")
        tensor = self._writer.write(x)
        (top, bottom, _), (left, right, _) = ((0, 0, 0), *others)[-2:]
        padded = _padded(self._writer, tensor, x.source.full, (top, left), (bottom, right), self._kept.name(op, "pad"))
        return replace(padded, index=padded.index.reshape(op.outputs[0].shape))


def _padded(writer: Writer, tensor: int, full: int, before: tuple[int, int], after: tuple[int, int], name: str) -> Affine:
    """An image of ``full`` channels with a border of zeros."""
    lies = writer.tensors[tensor]
    made = replace(lies, height=before[0] + lies.height + after[0], width=before[1] + lies.width + after[1], channel_first=True)
    return writer.plain(writer.source(made, full, kind="pad", name=name, inputs=(tensor,),
                                      window=Window((1, 1), before=before, after=after)))


def over_padding(writer: Writer, mean: Affine) -> Affine:
    """An average pool as one that counts the padding of its window: over an image with a border of zeros."""
    pool = mean.source
    assert pool.window is not None
    bordered = _padded(writer, pool.inputs[0], pool.full, pool.window.before, pool.window.after, f"{pool.name}_pad")
    counted = writer.plain(writer.source(pool.tensor, pool.full, kind="avg_pool", name=pool.name,
                                         inputs=(writer.write(bordered),),
                                         window=replace(pool.window, before=(0, 0), after=(0, 0))))
    return replace(counted, index=counted.index.reshape(mean.index.shape))


def unpadded(writer: Writer, x: Affine, window: Window) -> tuple[Affine, Window]:
    """What a window reads, and the window: a border of zeros is padding of the window, if the window is larger than it."""
    source = x.source
    if source.window is None or source.kind != "pad" or x.affine or x.activation != "linear" or not x.is_image():
        return x, window
    if min(*window.before, *window.after) < 0:
        return x, window
    before, after = (tuple(a + b for a, b in zip(*pair, strict=True)) for pair in (
        (window.before, source.window.before), (window.after, source.window.after)))
    if any(n >= reach for side in (before, after) for n, reach in zip(side, window.reach, strict=True)):
        return x, window
    tensor = source.inputs[0]
    inner = writer.plain(writer.source(writer.tensors[tensor], source.full, stored=tensor))
    return inner, replace(window, before=before, after=after)
