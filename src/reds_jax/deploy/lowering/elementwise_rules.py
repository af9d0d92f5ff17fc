"""How elementwise primitives are folded: scale and offset per channel, activations, residual adds, and a softmax at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reds_jax.deploy.lowering.forms import Affine, Form, Known, Part, Vectors, Writer, per_channel
from reds_jax.deploy.lowering.grouped import unshuffled
from reds_jax.deploy.lowering.refusal import name_of, refusal
from reds_jax.program.flat import Operation


class Elementwise:
    """The rules; each takes an operation and the forms of its inputs, and returns the form of its output, or None."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.rules: dict[str, Callable[[Operation, list[Form]], Form | None]] = {
            "add": self._add, "add_any": self._add, "sub": self._sub, "mul": self._mul, "div": self._div, "neg": self._neg,
            "max": self._max, "min": self._min, "clamp": self._clamp, "ge": self._positive, "gt": self._positive,
            "select_n": self._select, "exp": self._exp,
        }

    def _affine(self, form: Form, known: Form, change: Callable[[Affine, Vectors], Affine]) -> Affine | None:
        """``change`` applied to a form and a vector per channel."""
        if not isinstance(form, Affine) or not isinstance(known, Known):
            return None
        vectors = per_channel(form, known)
        if vectors is None:
            return None
        if form.activation != "linear":
            form = self._writer.stored(form)
        return change(form, vectors)

    def _add(self, op: Operation, inputs: list[Form]) -> Form | None:
        a, b = inputs
        if isinstance(a, Known):
            a, b = b, a
        if isinstance(a, Affine) and isinstance(b, Affine):
            return self._residual(op, a, b)
        return self._affine(a, b, lambda f, v: replace(f, offset=_each(np.add, f.offset, v)))

    def _residual(self, op: Operation, a: Affine, b: Affine) -> Affine:
        a, b = (unshuffled(self._writer, op, f) for f in (a, b))
        x, y = (self._writer.channel_first(self._writer.write(f)) for f in (a, b))
        tensors = self._writer.tensors
        index = self._writer.moved(a, x)
        if tensors[x] != tensors[y] or not np.array_equal(index, self._writer.moved(b, y)):
            raise refusal(op, "adds two arrays that do not lie in the same order at every width")
        return replace(self._writer.plain(self._writer.source(
            tensors[x], a.source.full, kind="add", name=name_of(op), inputs=(x, y))), index=index)

    def _sub(self, op: Operation, inputs: list[Form]) -> Form | None:
        a, b = inputs
        if isinstance(b, Part) and b.what == "maximum" and b.form is a:
            return Part("shifted", b.form)
        if isinstance(a, Known):
            flipped = self._neg(op, [b])
            return None if flipped is None else self._add(op, [flipped, a])
        return self._affine(a, b, lambda f, v: replace(f, offset=_each(np.subtract, f.offset, v)))

    def _neg(self, op: Operation, inputs: list[Form]) -> Form | None:
        return self._mul(op, [inputs[0], Known((np.asarray(-1.0, np.float32),) * self._writer.subnetworks)])

    def _mul(self, op: Operation, inputs: list[Form]) -> Form | None:
        a, b = inputs
        if isinstance(a, Known):
            a, b = b, a
        return self._affine(a, b, lambda f, v: replace(f, scale=_each(np.multiply, f.scale, v),
                                                       offset=_each(np.multiply, f.offset, v)))

    def _div(self, op: Operation, inputs: list[Form]) -> Form | None:
        a, b = inputs
        if isinstance(a, Part) and isinstance(b, Part) and (a.what, b.what) == ("exponential", "total") and a.form is b.form:
            return self._softmax(op, a.form)
        if isinstance(a, Part) and a.what == "window sum" and isinstance(b, Known):
            counts = np.broadcast_to(np.asarray(b.values[0]), a.form.index.shape)
            assert a.values is not None
            if not b.shared or not np.allclose(counts, a.values.values[0]):
                raise refusal(op, "averages over padding too")
            return a.form
        return self._affine(a, b, lambda f, v: replace(f, scale=_each(np.divide, f.scale, v),
                                                       offset=_each(np.divide, f.offset, v)))

    def _max(self, op: Operation, inputs: list[Form]) -> Form | None:
        a, b = inputs
        if isinstance(a, Known):
            a, b = b, a
        if isinstance(a, Part) and a.what == "maximum" and isinstance(b, Known) and _is(b, -np.inf):
            return a
        if isinstance(a, Affine) and isinstance(b, Affine):  # max(x, slope * x)
            return self._leaky(a, b) or self._leaky(b, a)
        if isinstance(a, Affine) and isinstance(b, Known) and _is(b, 0):
            if a.activation in ("relu", "relu6"):
                return a
            return replace(self._linear(a), activation="relu")
        return None

    def _linear(self, form: Affine) -> Affine:
        return form if form.activation == "linear" else self._writer.stored(form)

    def _min(self, op: Operation, inputs: list[Form]) -> Form | None:
        a, b = inputs
        if isinstance(a, Known):
            a, b = b, a
        if isinstance(a, Affine) and a.activation in ("relu", "relu6") and isinstance(b, Known) and _is(b, 6):
            return replace(a, activation="relu6")
        return None

    def _clamp(self, op: Operation, inputs: list[Form]) -> Form | None:
        low, x, high = inputs
        if isinstance(x, Affine) and isinstance(low, Known) and isinstance(high, Known) and _is(low, 0) and _is(high, 6):
            return replace(self._linear(x), activation="relu6")
        return None

    def _positive(self, op: Operation, inputs: list[Form]) -> Form | None:
        x, zero = inputs
        return Part("positive", x) if isinstance(x, Affine) and isinstance(zero, Known) and _is(zero, 0) else None

    def _select(self, op: Operation, inputs: list[Form]) -> Form | None:
        which, negative, positive = inputs
        if isinstance(which, Part) and which.what == "positive" and which.form is positive and isinstance(negative, Affine):
            return self._leaky(which.form, negative)
        return None

    def _leaky(self, x: Affine, below: Affine) -> Affine | None:
        """``x`` where positive, ``below = slope * x`` elsewhere."""
        stored = self._linear(x)  # what is multiplied behind an activation has been stored too
        if below.activation != "linear" or not (x.source is below.source if stored is x
                                                else stored.source.stored == below.source.stored):
            return None
        x = stored
        pairs = [(p, q) for p, q in zip((*x.scale, *x.offset), (*below.scale, *below.offset), strict=True)]
        ratios = np.concatenate([q[p != 0] / p[p != 0] for p, q in pairs])
        slope = float(np.median(ratios)) if ratios.size else 0.0
        if not 0 < slope < 1 or not all(np.allclose(q, slope * p, rtol=1e-5, atol=0) for p, q in pairs):
            return None
        return replace(x, activation="leaky_relu", slope=slope)

    # -- softmax at the end --------------------------------------------------------------------------------------------

    def _exp(self, op: Operation, inputs: list[Form]) -> Form | None:
        x = inputs[0]
        return Part("exponential", x.form) if isinstance(x, Part) and x.what == "shifted" else None

    def _softmax(self, op: Operation, logits: Affine) -> Affine:
        if logits.index.ndim != 2 or not logits.is_image():
            raise refusal(op, "is a softmax over something else than the outputs of the network")
        x = self._writer.write(logits)
        tensor = self._writer.tensors[x]
        if tensor.positions != 1:
            raise refusal(op, "is a softmax over positions")
        source = self._writer.source(tensor, logits.source.full, kind="softmax", name="softmax", inputs=(x,))
        return self._writer.plain(source, logits.index)


def _each(function: Callable[..., np.ndarray], *vectors: Vectors) -> Vectors:
    return tuple(function(*v) for v in zip(*vectors, strict=True))


def _is(known: Known, value: float) -> bool:
    return all(bool(np.all(v == value)) for v in known.values)
