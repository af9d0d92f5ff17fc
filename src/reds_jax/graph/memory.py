"""Which activations are alive when: the schedule of a program, as bytes linear in the widths.

An operation that computes new values (dense, convolution, pooling, mean, concatenate) reads stored arrays and stores its
result. Elementwise operations, batch norm and residual adds between two such operations are one fused pass, in place in an
operand that nothing else needs; a reshape moves nothing. This is what an interpreter such as TensorFlow Lite Micro or the
exported C code does with a static arena, apart from alignment and fragmentation.
"""

from __future__ import annotations

from collections.abc import Callable

from reds_jax.graph.channels import Size, Step
from reds_jax.program.flat import Operation, Program, Value
from reds_jax.program.rules.elementwise import ELEMENTWISE
from reds_jax.program.rules.shapes import VIEWS
from reds_jax.program.walk import Walk

_FREE_VIEWS = VIEWS - {"broadcast_in_dim"}


def schedule(program: Program, state: Walk, length: Callable[[Value, int], Size]) -> tuple[Step, ...]:
    """The steps of the program with the bytes alive at each. ``length(value, axis)`` is an axis's size in the widths."""
    made_by = {v.number: op for op in program.operations for v in op.outputs}
    active = [op for op in program.operations if op.outputs[0].number in state.active]

    def stored(value: Value) -> Value:
        """The array behind a chain of reshapes."""
        op = made_by.get(value.number)
        while op is not None and op.primitive.name in _FREE_VIEWS and isinstance(op.inputs[0], Value):
            value = op.inputs[0]
            op = made_by.get(value.number)
        return value

    def operands(op: Operation) -> list[Value]:
        return [stored(x) for x in op.inputs if isinstance(x, Value) and x.number in state.active]

    computing = [op for op in active if op.primitive.name not in ELEMENTWISE | VIEWS]
    outputs = [stored(v) for v in program.outputs if isinstance(v, Value) and v.number in state.active]
    kept = {v.number for op in computing for v in (*operands(op), *op.outputs)}
    kept |= {v.number for v in (*outputs, *program.inputs)}

    def sources(op: Operation) -> list[Value]:
        """The stored arrays that a fused elementwise pass ending in ``op`` reads."""
        found: dict[int, Value] = {}
        for x in operands(op):
            for v in [x] if x.number in kept else sources(made_by[x.number]):
                found[v.number] = v
        return list(found.values())

    events: list[tuple[Operation, list[Value], list[Value], bool]] = []  # operation, reads, writes, may work in place
    for op in active:
        name = op.primitive.name
        if op in computing:
            events.append((op, operands(op), list(op.outputs), False))
        elif name not in _FREE_VIEWS and op.outputs[0].number in kept:
            events.append((op, sources(op), list(op.outputs), True))

    def size(value: Value) -> Size:
        total = Size(value.itemsize)
        for axis in range(len(value.shape)):
            n = length(value, axis)
            total = Size(0, n.terms) * total.constant + Size(n.constant * total.constant) if n.terms else total * n.constant
        return total

    last = {v.number: -1 for v in program.inputs}
    for i, (_, reads, writes, _) in enumerate(events):
        last.update({v.number: i for v in (*reads, *writes)})
    last.update({v.number: len(events) for v in outputs})
    place: dict[int, int] = {}  # array -> the storage that it lies in
    bytes_of: dict[int, Size] = {}  # storage -> its bytes
    for value in program.inputs:
        place[value.number], bytes_of[value.number] = value.number, size(value)
    steps = []
    for i, (op, reads, writes, in_place) in enumerate(events):
        for value in writes:
            dying = (place[r.number] for r in reads
                     if all(last[v] <= i for v, p in place.items() if p == place[r.number]))
            free = next((p for p in dying if in_place and bytes_of[p] == size(value)), None)
            place[value.number] = value.number if free is None else free
            bytes_of.setdefault(place[value.number], size(value))
        alive = {p for v, p in place.items() if last[v] >= i}
        total = Size(0)
        for p in sorted(alive):
            total = total + bytes_of[p]
        steps.append(Step(f"{op.module}:{op.primitive.name}" if op.module else op.primitive.name, total))
    return tuple(steps)


