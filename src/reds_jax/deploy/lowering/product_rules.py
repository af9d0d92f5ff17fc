"""What reads an array at repeated positions: the product of two arrays, one of which may be a gate, and resizing to nearest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from reds_jax.deploy.lowering.forms import Affine, Form, Known, Repeated, Writer
from reds_jax.deploy.lowering.refusal import name_of, refusal
from reds_jax.program.flat import Operation

Rule = Callable[[Operation, list[Form]], Form | None]


class Products:
    """The rules for values that are read several times; ``elementwise`` are those of a value and a parameter."""

    def __init__(self, writer: Writer, elementwise: Mapping[str, Rule]) -> None:
        self._writer, self._elementwise = writer, elementwise
        self._resized: dict[int, tuple[Repeated, Affine]] = {}

    # -- repeated positions --------------------------------------------------------------------------------------------

    def gather(self, op: Operation, inputs: list[Form]) -> Form | None:
        """Entries that are picked by constant indices: the same entries in another order, or some of them several times."""
        x, *known = inputs
        if not isinstance(x, Affine | Repeated) or not all(isinstance(k, Known) and k.shared for k in known):
            return None
        numbers = (k.values[0] for k in known if isinstance(k, Known))
        index = np.asarray(op.primitive.bind(x.index.astype(np.int32), *numbers, **op.params)).astype(x.index.dtype)
        base = x.form if isinstance(x, Repeated) else x
        if index.size < x.index.size or not np.array_equal(np.unique(index), np.unique(base.index)):
            return None  # it leaves entries out
        if index.size == base.index.size:
            return replace(base, index=index)
        return Repeated(base, index, op)

    @staticmethod
    def broadcast(op: Operation, x: Form) -> Form:
        """A value as an operand of an elementwise operation, which repeats it along axes of one entry."""
        shape = op.outputs[0].shape
        if not isinstance(x, Affine | Repeated) or x.index.shape == shape:
            return x
        return Repeated(x.form if isinstance(x, Repeated) else x, np.broadcast_to(x.index, shape), op)

    def resized(self, x: Form) -> Form:
        """A value whose entries are repeated as an array of its own, with rows and columns that are repeated."""
        if not isinstance(x, Repeated):
            return x
        if id(x) not in self._resized:
            self._resized[id(x)] = x, self._resize(x)
        return self._resized[id(x)][1]

    def _resize(self, x: Repeated) -> Affine:
        if (factors := repeats(x)) is None:
            raise refusal(x.by, "repeats an activation in another way than by whole numbers of rows and columns")
        t = self._writer.channel_first(self._writer.write(x.form))
        read = self._writer.tensors[t]
        made = replace(read, height=factors[0] * read.height, width=factors[1] * read.width)
        new = self._writer.source(made, x.form.source.full, kind="resize", inputs=(t,),
                                  name=f"{x.form.source.name or 'input'}_resize")
        return self._writer.plain(new, new.canonical().reshape(x.index.shape))

    # -- products ------------------------------------------------------------------------------------------------------

    def mul(self, op: Operation, a: Affine | Repeated, b: Affine | Repeated) -> Affine:
        """``a * b`` of two arrays: in the same places, or b a gate for the channels or the positions of a."""
        if isinstance(a, Repeated) and not isinstance(b, Repeated):
            a, b = b, a
        first = self.resized(a)
        assert isinstance(first, Affine)
        x, index = self._stored(first)
        if isinstance(b, Repeated) and 1 in (b.form.source.tensor.positions, b.form.source.full):
            y, entry = self._stored(replace(b.form, index=b.index))
            whole, gate = self._writer.tensors[x], self._writer.tensors[y]
            channel, position = np.divmod(index, whole.positions)
            if b.form.source.full == 1:
                whole, channel = replace(whole, channels=gate.channels, size=gate.size), 0 * channel
            if gate.positions == 1:
                whole, position = replace(whole, height=1, width=1), 0 * position
            if gate != whole or not np.array_equal(entry, channel * gate.positions + position):
                raise refusal(op, "multiplies an array by a gate whose channels or positions do not lie in the same order")
        else:
            second = self.resized(b)
            assert isinstance(second, Affine)
            y, other = self._stored(second)
            if self._writer.tensors[x] != self._writer.tensors[y] or not np.array_equal(index, other):
                raise refusal(op, "multiplies two arrays that do not lie in the same order at every width")
        source = self._writer.source(self._writer.tensors[x], first.source.full, kind="mul", name=name_of(op), inputs=(x, y))
        return self._writer.plain(source, index)

    def sub(self, op: Operation, a: Affine | Repeated, b: Affine | Repeated) -> Form | None:
        """``a - b`` of two arrays, as ``a + (-b)``."""
        negative = self._elementwise["neg"](op, [self.resized(b)])
        assert negative is not None
        return self._elementwise["add"](op, [self.resized(a), negative])

    def _stored(self, form: Affine) -> tuple[int, np.ndarray]:
        """The tensor [C, H, W] that holds a form, and the form's index in it."""
        t = self._writer.channel_first(self._writer.write(form))
        return t, self._writer.moved(form, t)


def repeats(x: Repeated) -> tuple[int, int] | None:
    """How often every row and every column of an image [1, H, W, C] or a sequence [1, T, C] is repeated; None if it is none."""
    image, shape = x.form.source.canonical(), x.index.shape
    shape = (1, *shape) if len(shape) == 3 else shape
    if len(shape) != 4 or shape[0] != 1 or any(n % m for n, m in zip(shape[1:3], image.shape[1:3], strict=True)):
        return None
    rows, columns = (n // m for n, m in zip(shape[1:3], image.shape[1:3], strict=True))
    return (rows, columns) if np.array_equal(x.index.reshape(shape), image.repeat(rows, 1).repeat(columns, 2)) else None
