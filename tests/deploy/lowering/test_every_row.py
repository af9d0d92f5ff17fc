"""A program that is lowered for every row computes there what `reds_jax.run` computes, or lowering names the line."""

from contextlib import nullcontext
from dataclasses import replace

import jax
import numpy as np
import pytest
from bodies import BODIES, Body
from device_cases import Case, case_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_same_network import (
    SAME,
    SHAPE,
    Net,
    assert_masked,
    conditional_residual,
    padded_in_front,
)

from reds_jax.adapters import adapt
from reds_jax.deploy.lowering.forms import Writer
from reds_jax.deploy.lowering.kept import Kept
from reds_jax.deploy.lowering.lower import lower
from reds_jax.deploy.lowering.program import Tensor
from reds_jax.deploy.lowering.row import at_row
from reds_jax.errors import TraceError
from reds_jax.graph.channels import Size
from reds_jax.graph.trace import INFERENCE, traced
from reds_jax.testing import strategies as draws

pytestmark = pytest.mark.usefixtures("as_users_write")


def at(case: Case, row: tuple[int, ...]) -> Case:
    """The network at one row, with the variables of the largest subnetwork, and the program for every row cut to it."""
    program = lower(case.model, case.trees, case.widths, case.x, every_row=True)
    k = len(case.widths) - 1
    return replace(case, trees=[case.trees[k]], widths=[case.graph.widths(row)],
                   program=at_row(program, k, row, case.graph.macs(row)))


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_what_users_write_runs_at_every_row(body) -> None:
    """Without a run: that every one of them is lowered, and its largest row is what it was."""
    case = case_of(Body(body), (7, 5, 3), (0.5, 1.0))
    program = lower(case.model, case.trees, case.widths, case.x, every_row=True)
    for k, widths in enumerate(case.widths):
        cut = at_row(program, k, widths.values_tuple(), case.program.macs[k])
        assert [t.channels for t in cut.tensors] == [(t.channels[k],) for t in case.program.tensors]
        for op, whole in zip(cut.operations, case.program.operations, strict=True):
            assert all(np.array_equal(a, whole.scale[k]) for a in op.scale)


@pytest.mark.parametrize("function", SAME, ids=lambda f: f.__name__)
def test_any_row_of_what_a_device_runs(function) -> None:
    case = case_of(Net(function), SHAPE, (0.3, 1.0))
    rng = np.random.default_rng(0)
    alone = at(case, tuple(int(rng.integers(1, g.size + 1)) for g in case.graph.groups))
    found = alone.found(0)
    assert_masked(alone)
    np.testing.assert_allclose(found, alone.expected(0), rtol=0, atol=1e-5 * (1 + np.abs(found).max()))
    lowered = lower(case.model, alone.trees, alone.widths, case.x)
    assert [t.channels for t in alone.program.tensors] == [t.channels for t in lowered.tensors]


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(st.data())
def test_random_networks(data: st.DataObject) -> None:
    net, shape = data.draw(draws.networks(device=True))
    case = case_of(net, shape, lambda graph: data.draw(draws.nested_widths(graph)))
    full = replace(case, widths=[*case.widths[:-1], case.graph.full_widths])
    alone = at(full, tuple(data.draw(st.integers(1, g.size)) for g in case.graph.groups))
    expected, found = alone.expected(0).reshape(len(case.x), -1), alone.found(0).reshape(len(case.x), -1)
    if alone.program.argmax:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * (1 + np.abs(expected).max()))


def test_sizes_are_forms_in_one_group() -> None:
    case = case_of(Net(padded_in_front), SHAPE, (0.5, 1.0))
    program = lower(case.model, case.trees, case.widths, case.x, every_row=True)
    conv, second = (next(op.output for op in program.operations if op.name == name) for name in ("conv", "second"))
    assert program.tensors[0].size == Size(3)
    assert program.tensors[conv].size == Size(4, ((0, 1),))
    assert program.tensors[second].size == Size(0, ((1, 1),))
    assert program.tensors[program.output].size == Size(3)
    assert {t.size for t in case.program.tensors} == {None}


def test_a_form_that_agrees_at_the_subnetworks_only_is_found() -> None:
    """Two channels that all subnetworks cut together, or keep, are exchanged: a row between tells them apart."""
    case = case_of(Net(conditional_residual), SHAPE, (0.5, 1.0))
    found = traced(*adapt(case.model, case.trees[0]), jax.ShapeDtypeStruct((1, *SHAPE), np.float32))
    conv = next(op for op in found.programs[INFERENCE].operations if op.primitive.name == "conv_general_dilated")
    for order, every_row, wrong in (([0, 1, 2, 3, 4, 5, 6, 7], True, False), ([0, 1, 2, 3, 5, 4, 6, 7], False, False),
                                    ([0, 1, 2, 3, 5, 4, 6, 7], True, True), ([1, 0, 2, 3, 4, 5, 6, 7], True, True)):
        writer = Writer(2)
        form = writer.plain(writer.source(Tensor((4, 8), 5, 4, size=Size(0, ((0, 1),))), 8))
        kept = Kept(found, [case.graph.integers(w) for w in case.widths], every_row=every_row)
        kept.check(conv, replace(form, index=form.index[..., order]))
        with pytest.raises(TraceError, match="keeps at some row of widths other channels") if wrong else nullcontext():
            kept.refuse()
