"""What is known of a value while a model is lowered: an array of parameters, or a form of a stored array."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from reds_jax.deploy.lowering.function import Function
from reds_jax.deploy.lowering.program import WEIGHTED, Activation, Kind, Operation, Tensor, Window
from reds_jax.errors import TraceError
from reds_jax.graph.channels import Size
from reds_jax.program import flat

Vectors = tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Known:
    """An array that depends on parameters alone: one value a subnetwork (the same object where they agree)."""

    values: Vectors

    @property
    def shared(self) -> bool:
        return all(v is self.values[0] for v in self.values)


@dataclass(frozen=True, eq=False)
class Source:
    """An array that some operation makes. It is not written before it is known in which forms it is read.

    ``full`` is its number of channels at full width; ``stored`` is the tensor if it is written already.
    """

    number: int
    tensor: Tensor
    full: int
    kind: Kind | None = None
    name: str = ""
    inputs: tuple[int, ...] = ()
    window: Window | None = None
    weights: np.ndarray | None = None
    groups: tuple[int, ...] = ()
    stored: int | None = None
    function: Function | None = None

    def canonical(self) -> np.ndarray:
        """The index of a value [1, H, W, C] (or [1, C]) that is this array as it is."""
        t = self.tensor
        index = np.arange(self.full * t.positions)
        if t.channel_first:
            index = index.reshape(self.full, t.height, t.width).transpose(1, 2, 0)
        return index.reshape(1, t.height, t.width, self.full)

    def channel(self, index: np.ndarray) -> np.ndarray:
        """The channel of every entry."""
        return index // self.tensor.positions if self.tensor.channel_first else index % self.full


@dataclass(frozen=True, eq=False)
class Affine:
    """``activation(scale * source + offset)``; ``index`` says which entry of the full-width array every entry is."""

    source: Source
    index: np.ndarray
    scale: Vectors  # [full] for each subnetwork
    offset: Vectors
    activation: Activation = "linear"
    slope: float = 0.0

    @property
    def affine(self) -> bool:
        """Whether scale or offset do anything (n times 1 / n may be one rounding away from 1)."""
        return any(np.any(np.abs(s - 1) > 1e-6) for s in self.scale) or any(np.any(o) for o in self.offset)

    def is_image(self) -> bool:
        """Whether the value is [1, H, W, C] (or [1, C], or [1, W, C]), every entry in its place."""
        image, t = self.source.canonical(), self.source.tensor
        shapes = (image.shape, (1, self.source.full), (1, t.width, self.source.full))
        return self.index.size == image.size and self.index.shape in shapes and bool(
            np.array_equal(self.index.reshape(image.shape), image))


@dataclass(frozen=True, eq=False)
class Repeated:
    """Entries of ``form``, some of them more than once.

    Args:
        form: what is repeated.
        index: says which entry of the full-width array every entry is.
        by: the operation that repeats them.
    """

    form: Affine
    index: np.ndarray
    by: flat.Operation


@dataclass(frozen=True, eq=False)
class Part:
    """An intermediate of a pattern of several operations: ``what`` has been made of ``form``."""

    what: str
    form: Affine
    values: Known | None = None


Form = Affine | Known | Part | Repeated


class Writer:
    """Makes the tensors and operations of a program from the forms that are asked for.

    Args:
        demands: from an earlier pass: the forms in which every source is read. A source that is read in one form takes it
            into its own operation; otherwise it is written as it is, and other forms are made from it.
    """

    def __init__(self, subnetworks: int, demands: Mapping[int, set[Hashable]] | None = None) -> None:
        self.subnetworks = subnetworks
        self.tensors: list[Tensor] = []
        self.operations: list[Operation] = []
        self.demands: dict[int, set[Hashable]] = defaultdict(set)
        self._known_demands = demands
        self._written: dict[Hashable, int] = {}
        self._sources = 0

    def input(self, shape: tuple[int, ...], *, every_row: bool = False) -> Affine:
        """The network's input, [1, H, W, C] or [1, C]; it lies in memory as it is given, and every row of widths reads all."""
        if len(shape) not in (2, 3, 4):
            raise TraceError("a device program reads one image, one sequence or one vector", got=shape,
                             allowed="[1, H, W, C], [1, T, C] or [1, C]")
        h, w = (1, 1, *shape[1:-1])[-2:]  # a sequence is an image of one row
        lies_channel_first = h * w == 1 or shape[-1] == 1
        size = Size(shape[-1]) if every_row else None
        self.tensors.append(Tensor((shape[-1],) * self.subnetworks, h, w, lies_channel_first, size))
        form = self.plain(self.source(self.tensors[0], shape[-1], stored=0))
        return replace(form, index=form.index.reshape(shape))

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Whatever is written inside is taken back if it ends in a refusal."""
        tensors, operations, sources = len(self.tensors), len(self.operations), self._sources
        written, demands = dict(self._written), {number: set(keys) for number, keys in self.demands.items()}
        try:
            yield
        except TraceError:
            del self.tensors[tensors:], self.operations[operations:]
            self._sources, self._written = sources, written
            self.demands.clear()
            self.demands.update(demands)
            raise

    def source(self, tensor: Tensor, full: int, **what) -> Source:
        self._sources += 1
        return Source(self._sources, tensor, full, **what)

    def plain(self, source: Source, index: np.ndarray | None = None) -> Affine:
        """A source as it is."""
        ones, zeros = np.ones(source.full, np.float32), np.zeros(source.full, np.float32)
        return Affine(source, source.canonical() if index is None else index,
                      (ones,) * self.subnetworks, (zeros,) * self.subnetworks)

    def stored(self, form: Affine) -> Affine:
        """The same value as a plain form of an array that is written."""
        tensor = self.write(form)
        return self.plain(self.source(replace(form.source.tensor, channel_first=self.tensors[tensor].channel_first),
                                      form.source.full, stored=tensor), self.moved(form, tensor))

    def moved(self, form: Affine, tensor: int) -> np.ndarray:
        """The index of a form in the array that it is written to, which may lie in another order than its source."""
        source = form.source
        if source.tensor.channel_first == self.tensors[tensor].channel_first:
            return form.index
        positions = source.tensor.positions
        return form.index % source.full * positions + form.index // source.full

    def write(self, form: Affine) -> int:
        """The tensor that holds all entries of a form."""
        source = form.source
        as_is = not form.affine and form.activation == "linear"
        vectors = () if as_is else tuple(v.tobytes() for v in (*form.scale, *form.offset))
        key = (source.number, vectors, form.activation, form.slope)
        self.demands[source.number].add(key)
        if key not in self._written:
            self._written[key] = self._place(form, as_is)
        return self._written[key]

    def _place(self, form: Affine, as_is: bool) -> int:
        source = form.source
        if source.stored is not None:
            return source.stored if as_is else self._elementwise(form)
        takes_in = source.kind in WEIGHTED or as_is or (source.kind in ("add", "mul", "concat") and not form.affine)
        alone = self._known_demands is None or len(self._known_demands[source.number]) == 1
        if not takes_in or not (alone or as_is):
            return self._elementwise(form)
        assert source.kind is not None
        inputs = tuple(map(self.channel_first, source.inputs)) if source.kind == "pad" else source.inputs
        vectors = {} if source.weights is None else {"scale": self._cut(form.scale, source),
                                                     "offset": self._cut(form.offset, source)}
        return self._append(Operation(source.kind, source.name, inputs, len(self.tensors), source.window,
                                      source.weights, **vectors, activation=form.activation, slope=form.slope,
                                      function=source.function, groups=source.groups), source.tensor)

    def _append(self, operation: Operation, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        self.operations.append(operation)
        return operation.output

    def _cut(self, vectors: Vectors, source: Source) -> Vectors:
        return tuple(np.asarray(v[source.tensor.kept(k)], np.float32) for k, v in enumerate(vectors))

    def _elementwise(self, form: Affine) -> int:
        """A depthwise 1 x 1 convolution of weight 1: what no operation could take in."""
        source = form.source
        x = self.channel_first(self.write(self.plain(source)))
        return self._append(Operation(
            "depthwise", f"{source.name or 'input'}_elementwise", (x,), len(self.tensors), Window((1, 1)),
            np.ones((source.full, 1), np.float32), self._cut(form.scale, source), self._cut(form.offset, source),
            form.activation, form.slope), replace(source.tensor, channel_first=True))

    def channel_first(self, tensor: int) -> int:
        """The tensor as [C, H, W]."""
        lies = self.tensors[tensor]
        if lies.channel_first:
            return tensor
        key = ("channel_first", tensor)
        if key not in self._written:
            self._written[key] = self._append(
                Operation("channel_first", "input_channel_first", (tensor,), len(self.tensors)),
                replace(lies, channel_first=True))
        return self._written[key]


def per_channel(form: Affine, known: Known) -> Vectors | None:
    """An array of parameters as one vector over the channels of a form a subnetwork, or None if it is no such vector."""
    channel = form.source.channel(form.index)
    found: list[np.ndarray] = []
    for k, value in enumerate(known.values):
        if k and known.values[k] is known.values[0]:
            found.append(found[0])
            continue
        full = np.broadcast_to(np.asarray(value, np.float32), form.index.shape)
        vector = np.zeros(form.source.full, np.float32)
        vector[channel.ravel()] = full.ravel()
        if not np.array_equal(vector[channel], full, equal_nan=True):
            return None
        found.append(vector)
    return tuple(found)
