"""Loops and custom derivatives: units pass into their bodies and out again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reds_jax.program.flat import Call, Operation, Value, float_arguments, loop_counts
from reds_jax.program.walk import AxesLabels, Rule, Walk, fixed


def scan(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    """A loop: what is carried has the same units before and after each turn, found by a fixpoint.

    A carried value that starts without any (zeros) gets units of its own, which the first turn ties to what it makes.
    """
    p, body = operation.params, operation.body
    assert body is not None
    (consts, carried), length = loop_counts(p), p["length"]
    labels = [state.of(x) for x in operation.inputs]
    for axes, x in zip(labels[consts + carried :], operation.inputs[consts + carried :], strict=True):
        state.pin(axes[0] if x.shape else None, operation, "is looped over")
    inside = [*labels[: consts + carried], *(axes[1:] for axes in labels[consts + carried :])]
    for i in range(consts, consts + carried):
        sizes = operation.inputs[i].shape
        inside[i] = tuple(state.units.new(n) if a is None and n > 1 else a for a, n in zip(inside[i], sizes, strict=True))
    for value, x in zip(body.inputs, operation.inputs, strict=True):
        if isinstance(x, Value) and x.number in state.origin:
            state.origin[value.number] = state.origin[x.number]
    mark, any_active = len(state.layers), any(state.is_active(x) for x in operation.inputs)
    while True:
        del state.layers[mark:]
        for i, (value, axes) in enumerate(zip(body.inputs, inside, strict=True)):
            state.labels[value.number] = axes
            if state.is_active(operation.inputs[i]) or (any_active and consts <= i < consts + carried):
                state.active.add(value.number)
            if state.is_learned(operation.inputs[i]):
                state.learned.add(value.number)
        state.repeats *= length
        state.run(body.items)
        state.repeats //= length
        after = [state.of(x) for x in body.outputs[:carried]]
        settled = True
        for i, out in enumerate(after):
            before = inside[consts + i]
            for b, o in zip(before, out, strict=True):
                if o is None:
                    state.pin(b, operation, "is carried through a loop and nothing that it meets has channels there")
            settled &= all(b is not None or o is None for b, o in zip(before, out, strict=True))
            inside[consts + i] = tuple(state.merge(b, o, operation) for b, o in zip(before, out, strict=True))
        if settled:
            break
    ys = [(*fixed((length,)), *state.of(x)) for x in body.outputs[carried:]]
    return [*inside[consts : consts + carried], *ys]


def custom_derivative(state: Walk, call: Any) -> None:
    """The rule of a custom derivative sees the same units as the function."""
    assert isinstance(call, Call)
    counting, state.counting = state.counting, False
    deriving, state.deriving = state.deriving, True
    given = [*call.arguments, *(call.arguments[i] for i in float_arguments(call))]
    results = [*call.results, *call.results]
    if call.operation.primitive.name != "custom_jvp_call":
        given, results = [*call.arguments, *call.results], given[len(call.arguments) :]
    for value, outer in zip(call.rule.inputs, given, strict=True):
        state.labels[value.number] = state.of(outer)
        if state.is_active(outer):
            state.active.add(value.number)
        if state.is_learned(outer):
            state.learned.add(value.number)
    state.run(call.rule.items)
    for x, outer in zip(call.rule.outputs, results, strict=True):
        for a, b in zip(state.of(x), state.of(outer), strict=True):
            state.merge(a, b, call.operation)
    state.counting, state.deriving = counting, deriving


RULES: dict[str, Rule] = {"scan": scan, "custom derivative": custom_derivative}  # type: ignore[dict-item]
