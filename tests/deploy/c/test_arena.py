"""The static arena: nothing that is still needed is ever overwritten, and little more is taken than what is alive at once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from library_networks import LIBRARY

from reds_jax.deploy.c.arena import ALIGNMENT, Plan, plan
from reds_jax.deploy.c.export import scratch_bytes
from reds_jax.deploy.lowering.program import Operation, Program, Tensor

IN_PLACE = ("add", "mul", "map")


@st.composite
def programs(draw: st.DrawFn) -> tuple[Program, int, tuple[int, ...]]:
    """Operations on tensors of random sizes and lifetimes, the item size, and scratch."""
    subnetworks = draw(st.integers(1, 2))
    tensors = [Tensor((draw(st.integers(1, 9)),) * subnetworks)]
    operations: list[Operation] = []
    for i in range(draw(st.integers(1, 9))):
        a = draw(st.integers(0, i))
        like = [t for t in range(i + 1) if tensors[t] == tensors[a]]
        gates = [t for t in range(i + 1) if tensors[t] == replace(tensors[a], height=1)]
        kind = draw(st.sampled_from(["add", "mul", "map", "max_pool", "max_pool"]))
        other = like + (gates if kind == "mul" else [])
        inputs = (a, draw(st.sampled_from(other))) if kind in ("add", "mul") else (a,)
        sizes = st.tuples(*[st.integers(1, 9)] * subnetworks) | st.sampled_from([t.channels for t in tensors])
        tensors.append(Tensor(draw(sizes), draw(st.integers(1, 3))) if kind == "max_pool" else tensors[a])
        operations.append(Operation(kind, str(i), inputs, i + 1))
    scratch = tuple(draw(st.sampled_from([0, 0, 1, 4, 10, 30])) for _ in operations)
    program = Program(tuple(tensors), tuple(operations), len(operations), (1,) * subnetworks)
    return program, draw(st.sampled_from([1, 4])), scratch


def execute(program: Program, found: Plan, k: int, itemsize: int, scratch: tuple[int, ...]) -> list[int]:
    """Run the program on a memory that knows whose bytes it holds; returns the operations that work in place."""
    memory = np.full(found.size, -1)
    bytes_of = [t.items(k) * itemsize for t in program.tensors]

    def place(tensor: int) -> slice | None:
        at = found.at[tensor]
        return None if at is None else slice(at, at + bytes_of[tensor])

    in_place = []
    last = {t: i for i, op in enumerate(program.operations) for t in op.inputs}
    for i, op in enumerate(program.operations):
        at = found.scratch[i]
        assert (at is None) == (scratch[i] == 0)
        if at is not None:
            assert at % ALIGNMENT == 0
            assert at + scratch[i] <= found.size
            memory[at : at + scratch[i]] = -2
        out = place(op.output)
        for t in op.inputs:
            x = place(t)
            if x is None:
                assert t in (0, program.output)
                continue
            assert np.all(memory[x] == t), f"operation {i} reads tensor {t}, which has been overwritten"
            if out is not None and out.start < x.stop and x.start < out.stop:
                assert (op.kind in IN_PLACE, out, last[t]) == (True, x, i), f"operation {i} overwrites what it reads"
                in_place.append(i)
        if out is None:
            assert op.output == program.output
        else:
            assert out.start % ALIGNMENT == 0
            assert out.stop <= found.size
            memory[out] = op.output
            assert at is None or np.all(memory[at : at + scratch[i]] == -2), f"the scratch of {i} overlaps its output"
    return in_place


def alive_bytes(program: Program, k: int, itemsize: int, scratch: tuple[int, ...]) -> int:
    """The most that is alive at once, where an add (a product, a function) takes the place of an operand that dies."""
    last = {t: i for i, op in enumerate(program.operations) for t in op.inputs}
    mine = set(range(len(program.tensors))) - {0, program.output}

    def size(t: int) -> int:
        return -(-program.tensors[t].items(k) * itemsize // ALIGNMENT) * ALIGNMENT

    most, alive = 0, set()
    for i, op in enumerate(program.operations):
        dying = {t for t in op.inputs if last[t] == i} & mine
        now = alive | ({op.output} & mine)
        total = sum(map(size, now)) + -(-scratch[i] // ALIGNMENT) * ALIGNMENT
        taken = op.kind in IN_PLACE and any(program.tensors[t].items(k) == program.tensors[op.output].items(k)
                                            for t in dying)
        if taken and op.output in mine:
            total -= size(op.output)
        most = max(most, total)
        alive = {t for t in now - dying if t in last}
    return most


@settings(max_examples=400, deadline=None)
@given(programs())
def test_nothing_that_is_needed_is_overwritten(case: tuple[Program, int, tuple[int, ...]]) -> None:
    program, itemsize, scratch = case
    for k in range(program.subnetworks):
        found = plan(program, k, itemsize=itemsize, scratch_bytes=scratch)
        execute(program, found, k, itemsize, scratch)
        arrays = [program.tensors[t].items(k) * itemsize for t, at in enumerate(found.at) if at is not None]
        assert found.size <= sum(-(-n // ALIGNMENT) * ALIGNMENT for n in (*arrays, *scratch))
        assert found.size >= alive_bytes(program, k, itemsize, scratch)


def test_an_add_works_in_place_only_where_its_operand_dies() -> None:
    tensors = (Tensor((8,)),) * 6
    steps = [("max_pool", (0,)), ("max_pool", (1,)), ("add", (1, 2)), ("add", (3, 1)), ("max_pool", (4,))]
    program = Program(tensors, tuple(Operation(kind, "", inputs, i + 1) for i, (kind, inputs) in enumerate(steps)), 5, (1,))
    found = plan(program, 0, itemsize=1, scratch_bytes=(0,) * 5)
    assert execute(program, found, 0, 1, (0,) * 5) == [2, 3]
    assert found.at[3] == found.at[2] != found.at[1]
    assert found.at[4] in (found.at[3], found.at[1])
    assert found.size == 16
    assert found.at[0] is None
    assert found.at[5] is None


def test_a_product_never_works_in_the_place_of_its_gate() -> None:
    """Not even where both take as many words: the gate of the next channel is still to be read."""
    tensors = (Tensor((2,)), Tensor((2,)), Tensor((2,), 1, 2), Tensor((2,), 1, 2), Tensor((2,)))
    for last, in_place in (((3,), [2]), ((3, 2), [])):  # the array that is multiplied dies, or is read once more
        ops = (Operation("max_pool", "", (0,), 1), Operation("max_pool", "", (0,), 2), Operation("mul", "", (2, 1), 3),
               Operation("add" if len(last) > 1 else "max_pool", "", last, 4))
        found = plan(Program(tensors, ops, 4, (1,)), 0, itemsize=1, scratch_bytes=(0,) * 4)
        assert found.at[3] != found.at[1]
        assert execute(Program(tensors, ops, 4, (1,)), found, 0, 1, (0,) * 4) == in_place


def test_sizes_are_whole_words_and_may_be_zero() -> None:
    tensors = (Tensor((3,)), Tensor((5,)), Tensor((7,)), Tensor((1,)))
    ops = tuple(Operation("max_pool", "", (i,), i + 1) for i in range(3))
    found = plan(Program(tensors, ops, 3, (1,)), 0, itemsize=1, scratch_bytes=(0, 0, 9))
    assert (found.size, found.at, found.scratch) == (20, (None, found.at[1], found.at[2], None), (None, None, found.scratch[2]))
    alone = plan(Program(tensors[:2], ops[:1], 1, (1,)), 0, itemsize=4, scratch_bytes=(0,))
    assert (alone.size, alone.at, alone.scratch) == (0, (None, None), (None,))


@pytest.mark.parametrize("name", LIBRARY)
def test_library_networks_take_little_more_than_what_is_alive(library, name: str) -> None:
    program = library(name).program
    for dtype, itemsize in (("float32", 4), ("int8", 1)):
        sizes = []
        for k in range(program.subnetworks):
            scratch = scratch_bytes(program, k, dtype)
            found = plan(program, k, itemsize=itemsize, scratch_bytes=scratch)
            execute(program, found, k, itemsize, scratch)
            assert found.size <= 1.35 * alive_bytes(program, k, itemsize, scratch)
            sizes.append(found.size)
        assert sizes == sorted(sizes)
