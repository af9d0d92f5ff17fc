"""Repaired consumers: the layers that read a prefix get the weights that make up best for what was cut, without training.

A repair belongs to one subnetwork: each has weights of its own, so nested subnetworks, which share them, cannot have it. It
says what a prefix is worth, and how good a subnetwork is before nested training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.adapters import PureModel, adapt
from reds_jax.checks import number
from reds_jax.data.normalise import read
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph.channels import ChannelGraph
from reds_jax.graph.trace import INFERENCE, traced
from reds_jax.program.flat import leaves_by_path
from reds_jax.run.readers import Consumer, consumers, some_of, watch
from reds_jax.run.stored import Kernel, kernels
from reds_jax.training.inputs import check_finite, check_inputs
from reds_jax.widths import Width, check_widths

RIDGE = 1e-2
"""The default ridge, as a share of the mean second moment of the inputs that stay."""
ROWS = 1024
"""Rows of one layer that are looked at in one batch: examples times positions, a random part of them if there are more."""
ENTRIES = 1 << 26
"""Entries of the second moments of one layer, 512 MiB: 8192 positions."""


def repair(
    model: Any, variables: Any, graph: ChannelGraph, widths: Sequence[Width], batches: Iterable[tuple[Any, Any]], *,
    preprocess: Callable[[Any], Any] | None = None, ridge: float = RIDGE, seed: int = 0,
) -> tuple[Any, ...]:
    """The variables of every subnetwork alone, with consumers that make up for what was cut as well as a linear map can.

    A layer ``y = W^T x + b`` reads the inputs x, its taps times channels, of which the subnetwork keeps P and has lost C. With
    the second moments S of x about its mean m, over the rows (examples, positions) that the layer reads in the full network,

        W_P <- W_P + (S_PP + r I)^-1 S_PC W_C,      b <- b + W^T m - W_P^T m_P  (with the new W_P),

    which minimises ``E |y - W_P^T x_P - b|^2 + r |W_P - its value before|^2``; for r -> 0 that is ``W_P = S_PP^-1 S_P: W``.
    Here ``r = ridge tr(S_PP) / |P|``: it decides where S_PP has no inverse. At full width nothing changes.

    Exact, up to r: the sums of each layer, given its inputs in the full network, of which it sees those in P. In the subnetwork
    the inputs themselves are changed by what was cut before, so errors add up from layer to layer, and batch statistics are to
    be measured again (`reds_jax.training.recalibrate`).

    The offset goes to the bias, or to the mean that a batch norm subtracts from the sums. Where neither is found directly
    behind the layer, there is none, and S are the moments about 0. Depthwise convolutions, and grouped ones that are cut by
    whole groups, mix no units: nothing can be repaired there. Layers in loops, kernels that are computed from parameters (a
    standardised one), and kernels that something else reads too stay as they are. A kernel that several layers share is fitted
    to the rows of all of them.

    Args:
        model: whatever `reds_jax.adapters.adapt` takes.
        variables: its full variables, sorted.
        graph: from `reds_jax.trace`.
        widths: of the subnetworks, in any order; the result follows it.
        batches: pairs (inputs [N, ...], targets), all of one size, as `reds_jax.importance.score` takes them; no targets are
            read.
        preprocess: inputs as the model reads them; by default ``x / 255`` for uint8.
        ridge: above 0, a share of the mean second moment. Sums and solutions are in float64, of activations in float32.
        seed: of the rows that are looked at, where there are many.

    Returns:
        For every width the variables in their full shapes, to be run at this width: `reds_jax.run.run`, `reds_jax.extract`,
        `reds_jax.training.evaluate`. What is cut stays in the arrays and is not read.

    Raises:
        InvalidArgumentError: no batches, variables or inputs that are not finite, a ridge that is not above 0, or a layer that
            reads too many positions for its second moments. WidthError: a width that is not allowed.

    Source: least squares for the layers behind pruned channels, He, Zhang, Sun 2017, arXiv 1707.06168, equation 1; statistics
    alone: REPAIR, Jordan et al. 2023, arXiv 2211.08403.
    """
    model, variables = adapt(model, variables)
    check_finite(variables)
    number("ridge", ridge, 0, above=True)
    integers = [graph.integers(w) for w in check_widths(widths)]
    inputs = (check_inputs(batch[0], f"inputs of batch {i}", preprocess) for i, batch in enumerate(batches))
    layers = _look(model, variables, inputs, preprocess, seed)
    arrays = leaves_by_path(variables)
    found = []
    for one in integers:
        kept = dict(zip((g.name for g in graph.groups), one, strict=True))
        new = {path: np.array(a, order="C") for path, a in arrays.items()}
        for layer in layers:
            layer.write(new, kept, ridge)
        found.append(jax.tree.unflatten(jax.tree.structure(variables), new.values()))
    return tuple(found)


@dataclass(eq=False)
class _Layer:
    """A kernel, who reads it, and the sums over all rows that were read: of 1, of x [B, P], and of its squares [B, P, P]."""

    kernel: Kernel
    of: list[Consumer]  # of its first operation, one for each group
    rows: int
    total: np.ndarray
    squares: np.ndarray

    def add(self, x: np.ndarray) -> None:
        """Rows [B, rows, P]."""
        self.rows += x.shape[1]
        self.total += x.sum(1)
        self.squares += x.swapaxes(1, 2) @ x

    def write(self, arrays: dict[str, np.ndarray], widths: dict[str, int], ridge: float) -> None:
        """The repaired weights and offset into the arrays."""
        (path, at), offset = self.kernel.weights, self.kernel.offset
        stays = np.all([c.unit < widths[c.group] for c in self.of], axis=0)
        p, c = (np.flatnonzero(np.tile(s, at.shape[1])) for s in (stays, ~stays))
        if not len(p) or not len(c):
            return
        at = at.reshape(at.shape[0], -1, at.shape[3])
        w = arrays[path].ravel()[at].astype(np.float64)
        mean, second = self.total / self.rows, self.squares / self.rows
        if offset is not None:
            second -= mean[:, :, None] * mean[:, None]
        within = second[:, p[:, None], p]
        scale = ridge * np.trace(within, axis1=1, axis2=2) / len(p)
        scale[scale <= 0] = 1  # nothing that stays varies, and nothing goes along with it
        step = np.linalg.solve(within + scale[:, None, None] * np.eye(len(p)), second[:, p[:, None], c] @ w[:, c])
        arrays[path].ravel()[at[:, p]] = w[:, p] + step
        if offset is not None:
            lost = np.einsum("bc,bco->bo", mean[:, c], w[:, c]) - np.einsum("bp,bpo->bo", mean[:, p], step)
            arrays[offset.entries.path].ravel()[offset.entries.at] += offset.sign * lost


def _look(
    model: PureModel, variables: Any, batches: Iterable[Any], preprocess: Callable[[Any], Any] | None, seed: int
) -> list[_Layer]:
    """One pass over the batches: the layers that can be repaired, with the sums over what they read in the full network."""
    layers: list[_Layer] | None = None

    @jax.jit
    def look(variables: Any, inputs: Any, key: jax.Array) -> list[Any]:
        x = read(inputs, preprocess)
        found = traced(model, variables, x)

        def rows(i: int, reader: Consumer, x: Any, kernel: Any) -> Any:
            taps = reader.kernel(kernel).shape[1]
            return reader.rows(x.astype(jnp.float32), taps, lambda count, _: some_of(count, jax.random.fold_in(key, i), ROWS))

        readers = [of[0] for of in _by_operation(consumers(found))]
        return watch(found, [readers[i] for layer in layers or () for i in layer.kernel.readers], rows, variables, x)

    for i, inputs in enumerate(batches):
        layers = _layers(model, variables, inputs, preprocess) if layers is None else layers
        found = iter(look(variables, inputs, jax.random.fold_in(jax.random.key(seed), i)))
        for layer in layers:
            for _ in layer.kernel.readers:
                x = np.asarray(next(found), np.float64)
                layer.add(x.reshape(*x.shape[:2], -1))
    if layers is None:
        raise InvalidArgumentError("there is nothing to repair the consumers with",
                                   hint="Pass batches=[(inputs, labels), ...].")
    return layers


def _layers(model: PureModel, variables: Any, inputs: Any, preprocess: Callable[[Any], Any] | None) -> list[_Layer]:
    """The layers that can be repaired, without any rows."""
    x = jax.eval_shape(lambda inputs: read(inputs, preprocess), inputs)
    network = traced(model, variables, jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), x))
    readers, layers = _by_operation(consumers(network)), []
    for kernel in kernels(network.programs[INFERENCE], [of[0] for of in readers]):
        groups, taps, channels, _ = kernel.weights.at.shape
        size = taps * channels
        if groups * size * size > ENTRIES:
            raise InvalidArgumentError(f"the layer with {kernel.weights.path!r} reads too many positions to be repaired",
                                       got=size, allowed=f"at most {int((ENTRIES / groups) ** 0.5)}")
        layers.append(_Layer(kernel, readers[kernel.readers[0]], 0, np.zeros((groups, size)), np.zeros((groups, size, size))))
    return layers


def _by_operation(found: Iterable[Consumer]) -> list[list[Consumer]]:
    """The consumers of each operation, one for each group that it reads."""
    by_operation: dict[int, list[Consumer]] = {}
    for consumer in found:
        by_operation.setdefault(id(consumer.operation), []).append(consumer)
    return list(by_operation.values())
