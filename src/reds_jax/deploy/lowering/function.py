"""A function of one real number as a list of steps: what a chain of elementwise operations computes at every entry.

A device evaluates it in floats step by step (`reds_jax.deploy.c.function_text`), and in 8 bits by a table with the answer for
each of the 256 values that an entry can have. The files for phones write it as operations (`reds_jax.deploy.phone`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy import special

from reds_jax.program.flat import Constant, Operation
from reds_jax.program.read import flatten

_NAMED = frozenset([
    "add", "sub", "mul", "div", "max", "min", "neg", "abs", "exp", "expm1", "log", "log1p", "sqrt", "tanh", "logistic", "erf",
    "erfc", "gt", "ge", "lt", "le", "eq", "ne"])
_SAME = frozenset(["copy", "copy_p", "stop_gradient", "convert_element_type", "optimization_barrier"])
_WRITTEN = frozenset(["add_any", "square", "integer_pow", "rsqrt", "clamp", "select_n"])  # in terms of the others
PRIMITIVES = _NAMED | _SAME | _WRITTEN
"""The primitives of JAX that a step can be."""
BOOLEAN = frozenset(["gt", "ge", "lt", "le", "eq", "ne"])
_LARGEST_POWER = 8


@dataclass(frozen=True)
class Step:
    """One value of a function: ``name(arguments)``, or a constant.

    Args:
        name: an arithmetic operation, a comparison, ``"select"`` (the second argument where the first is true, else the third),
            or ``"constant"``.
        arguments: 0 is the argument of the function, i the value of the i-th step.
        value: of a constant.
    """

    name: str
    arguments: tuple[int, ...] = ()
    value: float = 0.0


@dataclass(frozen=True)
class Function:
    """Steps, and which value is the result (0: the argument itself)."""

    steps: tuple[Step, ...]
    result: int

    def evaluate(self, x: Any, known: Mapping[str, Callable[..., Any]], constant: Callable[[float], Any] = float) -> Any:
        """The function with every step computed by ``known[name]``."""
        values = [x]
        for step in self.steps:
            values.append(constant(step.value) if step.name == "constant" else
                          known[step.name](*(values[i] for i in step.arguments)))
        return values[self.result]

    def __call__(self, x: jax.Array) -> jax.Array:
        """In JAX, entry by entry."""
        return self.evaluate(x, _IN_JAX)

    def exact(self, x: np.ndarray) -> np.ndarray:
        """In double precision, entry by entry; where it has no value, NaN or an infinity."""
        with np.errstate(all="ignore"):
            return np.broadcast_to(self.evaluate(np.asarray(x, np.float64), _IN_NUMPY), np.shape(x))


def is_step(op: Operation, values: Sequence[float | None]) -> bool:
    """Whether an operation is one that a function can have, on numbers of which some are constant (None: they are not)."""
    name = op.primitive.name
    if name not in PRIMITIVES or not all(v is None or np.isfinite(v) for v in values):
        return False
    if name == "integer_pow":
        return abs(op.params["y"]) <= _LARGEST_POWER
    if name == "select_n":
        return len(values) == 3
    return op.outputs[0].dtype.kind == "f" or name in BOOLEAN


def function_of(chain: Sequence[Operation], x: int, result: int, constants: Mapping[int, float]) -> Function:
    """What a chain of operations makes of the value of number ``x`` in the value of number ``result``.

    Args:
        chain: operations for which `is_step` holds, in their order; they read ``x``, each other, and constants.
        x: a number of a value.
        result: a number of a value.
        constants: by the numbers of the values that have them.
    """
    builder = _Builder()
    made = {x: 0}

    def read(atom: Any) -> int:
        if not isinstance(atom, Constant) and atom.number in made:
            return made[atom.number]
        return builder.constant(float(np.ravel(atom.value)[0]) if isinstance(atom, Constant) else constants[atom.number])

    for op in chain:
        arguments = [read(atom) for atom in op.inputs]
        rule = _RULES.get(op.primitive.name)
        made[op.outputs[0].number] = (rule(builder, op, arguments) if rule else
                                      builder.step(op.primitive.name, *arguments))
    return builder.function(made[result])


def function_like(of: Callable[[jax.Array], jax.Array]) -> Function:
    """What a function of an array in JAX does to every entry, such as one of jax.nn."""
    program = flatten(lambda _, x: of(x), {}, jnp.zeros(()), rules=False)
    (x,), (result,) = program.inputs, program.outputs
    assert not isinstance(result, Constant)
    return function_of(program.operations, x.number, result.number, {})


class _Builder:
    """Steps in order; what has been computed is not computed again."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._numbers: dict[Step, int] = {}

    def _add(self, step: Step) -> int:
        if step not in self._numbers:
            self._steps.append(step)
            self._numbers[step] = len(self._steps)
        return self._numbers[step]

    def step(self, name: str, *arguments: int) -> int:
        return self._add(Step(name, arguments))

    def constant(self, value: float) -> int:
        return self._add(Step("constant", (), value))

    def is_boolean(self, number: int) -> bool:
        return number > 0 and self._steps[number - 1].name in BOOLEAN

    def function(self, result: int) -> Function:
        return Function(tuple(self._steps), result)


def _same(b: _Builder, op: Operation, arguments: list[int]) -> int:
    (x,) = arguments
    if b.is_boolean(x) and op.outputs[0].dtype.kind == "f":  # true is 1
        return b.step("select", x, b.constant(1.0), b.constant(0.0))
    return x


def _power(b: _Builder, op: Operation, arguments: list[int]) -> int:
    (x,), y = arguments, op.params["y"]
    power = x if y else b.constant(1.0)
    for _ in range(abs(y) - 1):
        power = b.step("mul", power, x)
    return b.step("div", b.constant(1.0), power) if y < 0 else power


_RULES: dict[str, Callable[[_Builder, Operation, list[int]], int]] = {
    **dict.fromkeys(_SAME, _same),
    "add_any": lambda b, op, a: b.step("add", *a),
    "square": lambda b, op, a: b.step("mul", a[0], a[0]),
    "integer_pow": _power,
    "rsqrt": lambda b, op, a: b.step("div", b.constant(1.0), b.step("sqrt", a[0])),
    "clamp": lambda b, op, a: b.step("min", b.step("max", a[1], a[0]), a[2]),
    "select_n": lambda b, op, a: b.step("select", a[0], a[2], a[1]),
}

_IN_JAX: dict[str, Callable[..., Any]] = {
    "add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide, "max": jnp.maximum, "min": jnp.minimum,
    "neg": jnp.negative, "abs": jnp.abs, "exp": jnp.exp, "expm1": jnp.expm1, "log": jnp.log, "log1p": jnp.log1p,
    "sqrt": jnp.sqrt, "tanh": jnp.tanh, "logistic": lax.logistic, "erf": lax.erf, "erfc": lax.erfc, "gt": jnp.greater,
    "ge": jnp.greater_equal, "lt": jnp.less, "le": jnp.less_equal, "eq": jnp.equal, "ne": jnp.not_equal, "select": jnp.where,
}
_IN_NUMPY: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum,
    "neg": np.negative, "abs": np.abs, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt,
    "tanh": np.tanh, "logistic": special.expit, "erf": special.erf, "erfc": special.erfc, "gt": np.greater,
    "ge": np.greater_equal, "lt": np.less, "le": np.less_equal, "eq": np.equal, "ne": np.not_equal, "select": np.where,
}
