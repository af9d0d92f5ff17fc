"""Networks with their device programs, and how both are run: by NumPy in double precision, so that nothing is compiled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import flax.linen as nn
import numpy as np

from reds_jax.deploy.int8.calibrate import Ranges
from reds_jax.deploy.lowering.lower import lower
from reds_jax.deploy.lowering.program import Program
from reds_jax.deploy.lowering.simulate import _run
from reds_jax.graph import ChannelGraph
from reds_jax.graph.trace import trace
from reds_jax.lowering import lowering
from reds_jax.run import run
from reds_jax.testing import interpret, random_variables
from reds_jax.widths import Widths


@dataclass(frozen=True, eq=False)
class Case:
    """A network, one tree of variables and one width per subnetwork, inputs, and the program."""

    model: Any
    trees: list[Any]
    graph: ChannelGraph
    widths: list[Widths]
    x: np.ndarray
    program: Program

    def expected(self, k: int) -> np.ndarray:
        """The outputs of the model at the widths of subnetwork k."""
        with lowering("lax"):
            return interpret(lambda v, x: run(self.model, v, x, self.widths[k])[0], self.trees[k], self.x)[0]

    def found(self, k: int) -> np.ndarray:
        """The outputs of the program; with an argmax at the end, the class."""
        outputs = tensors(self.program, k, self.x)[self.program.output].reshape(len(self.x), -1)
        return outputs.argmax(-1) if self.program.argmax else outputs


def tensors(program: Program, k: int, x: np.ndarray) -> list[np.ndarray]:
    """All tensors of a program, in double precision."""
    return interpret(lambda _, x: _run(program, k, x), {}, np.asarray(x, np.float32))


def ranges_of(program: Program, x: np.ndarray) -> Ranges:
    """What ``calibrate`` finds by minmax."""
    found = [tensors(program, k, x) for k in range(program.subnetworks)]
    return Ranges(*(np.array([[f(t) for t in row] for row in found], float) for f in (np.min, np.max)))


def with_statistics(variables: Any, seed: int) -> Any:
    """The same parameters with other batch statistics."""
    if "batch_stats" not in variables:
        return variables
    rng = np.random.default_rng(seed)

    def draw(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {name: np.asarray(rng.uniform(0.3, 2, v.shape) if name == "var" else rng.normal(size=v.shape), np.float32)
                    if not isinstance(v, dict) else draw(v) for name, v in tree.items()}
        return tree

    return {**variables, "batch_stats": draw(variables["batch_stats"])}


def inputs(shape: tuple[int, ...], n: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)


def case_of(model: nn.Module, shape: tuple[int, ...], widths: Any = (0.5, 1.0), *, seed: int = 0, n: int = 3) -> Case:
    """The network with random variables; ``widths`` may be a function of the graph."""
    x = inputs(shape, n, seed)
    variables = random_variables(model, x, seed=seed)
    graph = trace(model, variables, x)
    chosen: Any = widths(graph) if callable(widths) else widths
    resolved = [graph.widths(w) for w in chosen]
    trees = [with_statistics(variables, seed + k) for k in range(len(resolved))]
    return Case(model, trees, graph, resolved, x, lower(model, trees, resolved, x))


def assert_same_function(case: Case, tolerance: float = 1e-5, *, whole: bool = True) -> None:
    """Every subnetwork of the program computes what the model computes, at the cost that the graph counts.

    With ``whole`` the weights are no more than the largest subnetwork reads; at a row of widths they are those of a wider one.
    """
    for k, widths in enumerate(case.widths):
        assert case.program.macs[k] == case.graph.macs(widths)
        assert not whole or all(op.weights.shape == case.program.kept_weights(op, -1).shape
                                for op in case.program.operations if op.weights is not None)
        layers = [op for op in case.program.operations if not op.name.endswith("_elementwise")]
        assert case.program.macs[k] == sum(case.program.operation_macs(op, k) for op in layers)
        expected, found = case.expected(k).reshape(len(case.x), -1), case.found(k).reshape(len(case.x), -1)
        assert expected.shape == found.shape
        if case.program.argmax:
            np.testing.assert_array_equal(expected, found)
        else:
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * (1 + np.abs(expected).max()))


def pushed(program: Program, factors: list[float]) -> Program:
    """The same operations with scales and offsets that are multiplied, channel by channel, by the factors in turn."""
    place = 0

    def push(vectors: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        full = max(map(len, vectors))
        column = np.array([factors[(place + i) % len(factors)] for i in range(full)], np.float32)
        return tuple(column[: len(v)] * v for v in vectors)

    operations = []
    for op in program.operations:
        if op.scale:
            op = replace(op, scale=push(op.scale), offset=push(op.offset))
            place += 1
        operations.append(op)
    return replace(program, operations=tuple(operations))
