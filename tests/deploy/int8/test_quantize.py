"""int8: weights once, 32 bits are never left, every layer is as exact as 8 bits allow, and JAX agrees with the formulas."""

from dataclasses import replace

import int8_oracle as oracle
import jax
import numpy as np
import pytest
from device_cases import case_of, inputs, pushed, ranges_of
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reds_jax.deploy.int8.calibrate import Ranges
from reds_jax.deploy.int8.quantize import Requantize, quantize
from reds_jax.deploy.int8.simulate import mulhi, outputs_int8, simulate_int8
from reds_jax.deploy.lowering.program import WEIGHTED
from reds_jax.errors import InvalidArgumentError
from reds_jax.testing import LayerSpec, RandomNet
from reds_jax.testing import strategies as draws

FACTORS = st.lists(st.sampled_from([0.0, -1.0, 1e-3, 1.0, 1.0, 30.0, 1e4]), min_size=1, max_size=5)


def many(n: int) -> settings:
    return settings(max_examples=n, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)


def drawn(data: st.DataObject, *, push: bool):
    """A random network in int8, and inputs of which some are larger than any that were calibrated with."""
    net, shape = data.draw(draws.networks(device=True))
    case = case_of(net, shape, lambda graph: data.draw(draws.nested_widths(graph, 2)))
    program = pushed(case.program, data.draw(FACTORS)) if push else case.program
    try:
        quantized = quantize(program, ranges_of(program, case.x))
    except InvalidArgumentError as error:
        if not push or "too large for a ReLU6" not in str(error):
            raise
        event("refused")
        assume(False)
    return quantized, quantized.input_scale.quantize(np.concatenate([case.x, 3 * inputs(shape, 2, 1)]))


def check(quantized, x: np.ndarray) -> None:
    for k in range(quantized.program.subnetworks):
        values = oracle.run(quantized, k, x)
        excess = oracle.steps_from_exact(quantized, k, values)
        assert max(excess, default=0) <= 0, list(zip([op.name for op in quantized.program.operations], excess, strict=True))


@pytest.mark.slow
@many(60)
@given(st.data())
def test_every_layer_is_as_exact_as_its_grid_allows(data: st.DataObject) -> None:
    check(*drawn(data, push=False))


@many(60)
@given(st.data())
def test_also_with_extreme_scales_and_offsets(data: st.DataObject) -> None:
    """Negative and zero channels, scales and offsets over seven orders of magnitude: 32 bits are never left."""
    check(*drawn(data, push=True))


@many(8)
@given(st.data())
def test_jax_agrees_with_the_formulas(data: st.DataObject) -> None:
    quantized, x = drawn(data, push=data.draw(st.booleans()))
    k = quantized.program.subnetworks - 1
    for expected, found in zip(oracle.run(quantized, k, x), simulate_int8(quantized, k)(x), strict=True):
        np.testing.assert_array_equal(expected, np.asarray(found).reshape(expected.shape))


def test_sums_beyond_the_exact_floats() -> None:
    """Rows that are so long that a sum in float32 would round: in two halves, and in integers.

    The offset takes back what the row has summed up, but for a few units, which the output shows.
    """
    rng = np.random.default_rng(0)
    for n in (4000, 40000):
        program = case_of(RandomNet((), ((),), 1), (n,), (1.0,)).program
        weights, base = rng.integers(50, 128, n), rng.integers(-20, 127, n)
        weights[0] = 127
        unit = 1 / 127 / 255  # of the sums: weights in 1/127, inputs in 1/255
        middle = np.float32(-unit * (weights @ (base + 128)))
        row = replace(program.operations[0], weights=np.float32([weights / 127]), scale=(np.ones(1, np.float32),),
                      offset=(np.array([middle]),))
        ends = np.array([[0.0, -400 * unit]]), np.array([[1.0, 400 * unit]])
        quantized = quantize(replace(program, operations=(row,)), Ranges(*ends))
        q = np.tile(base, (100, 1))
        q[:, rng.integers(0, n, 4)] += rng.integers(-1, 2, (100, 4))
        q = q.astype(np.int8)
        expected = oracle.run(quantized, 0, q)[1]
        assert len(np.unique(expected)) > 15
        np.testing.assert_array_equal(np.asarray(simulate_int8(quantized, 0)(q)[1]), expected)


EDGES = st.sampled_from([-(1 << 31), (1 << 31) - 1, -1, 0, 1, 1 << 16, (1 << 16) - 1, -(1 << 16), 1 << 30, -(1 << 30)])
INT32 = arrays(np.int32, 64, elements=st.integers(-(1 << 31), (1 << 31) - 1) | EDGES)
_mulhi = jax.jit(mulhi)


@many(300)
@given(INT32, INT32)
def test_mulhi_is_exact(a: np.ndarray, b: np.ndarray) -> None:
    exact = [(int(p) * int(q) + (1 << 31)) >> 32 for p, q in zip(a, b, strict=True)]
    assert np.asarray(_mulhi(a, b)).tolist() == exact


def test_one_array_of_weights_serves_all_subnetworks(library) -> None:
    case = library("resnet")
    quantized = quantize(case.program, ranges_of(case.program, case.x))
    for op, weights, scales in zip(case.program.operations, quantized.weights, quantized.weight_scales, strict=True):
        if op.kind not in WEIGHTED:
            assert weights is None
            continue
        assert weights.shape == op.weights.shape
        np.testing.assert_allclose(scales, np.abs(op.weights).max(1) / 127, rtol=1e-6)  # over the full row
        assert np.all(np.abs(scales[:, None] * weights - op.weights) <= scales[:, None] * 0.5001)
        assert np.abs(weights.astype(int)).max(1).tolist() == [127] * len(weights)
    for k in range(3):  # the multipliers alone know the width
        for op, step in zip(case.program.operations, quantized.steps[k], strict=True):
            if isinstance(step, Requantize):
                assert len(step.multiplier) == len(step.offset) == case.program.tensors[op.output].channels[k]


def test_a_row_of_zeros() -> None:
    program = case_of(RandomNet((), ((),), 3), (4,), (1.0,)).program
    dense = replace(program.operations[0], weights=program.operations[0].weights * np.float32([[1], [0], [1]]))
    quantized = quantize(replace(program, operations=(dense,)), Ranges(np.array([[-1.0, -2]]), np.array([[1.0, 2]])))
    assert not quantized.weights[0][1].any()
    assert np.all(quantized.weight_scales[0] > 0)
    check(quantized, quantized.input_scale.quantize(inputs((4,))))


def test_int8_is_close_to_float(library) -> None:
    case = library("ds_cnn")
    quantized = quantize(case.program, ranges_of(case.program, case.x))
    for k in range(3):
        grid, expected = quantized.output_scale(k), case.expected(k)
        found = grid.dequantize(oracle.outputs(quantized, k, quantized.input_scale.quantize(case.x)))
        assert np.abs(found - expected).max() < 0.08 * np.abs(expected).max()
        if k == 1:
            np.testing.assert_array_equal(outputs_int8(quantized, k, case.x),
                                          oracle.outputs(quantized, k, quantized.input_scale.quantize(case.x)))


def test_a_softmax_is_left_to_the_caller() -> None:
    net = RandomNet((LayerSpec("dense", 5, act="relu"),), ((),), 3, ending="softmax")
    program = case_of(net, (4,)).program
    quantized = quantize(program, ranges_of(program, inputs((4,))))
    assert [op.kind for op in quantized.program.operations] == ["dense", "dense"]
    assert quantized.program.output == 2
    assert len(quantized.scales[0]) == len(quantized.program.tensors) == 3


def test_grids_of_what_has_one() -> None:
    """ReLU has its zero at the lowest number, ReLU6 ends at 6, what moves values keeps their grid."""
    layers = (LayerSpec("conv", 4, act="relu"), LayerSpec("max_pool", 4, (2, 2), (2, 2)), LayerSpec("conv", 4, act="relu6"),
              LayerSpec("conv", 4, act="leaky_relu"), LayerSpec("avg_pool", 4, (1, 1), (2, 2)))
    program = case_of(RandomNet(layers, ((LayerSpec("mean"),),)), (5, 5, 1), (1.0,)).program
    low, high = np.full((1, len(program.tensors)), -3.0), np.full((1, len(program.tensors)), 100.0)
    quantized = quantize(program, Ranges(low, high))
    relu, pooled, relu6, leaky, one = quantized.scales[0][1:6]
    assert relu == pooled
    assert (relu.scale, relu.zero) == (100 / 255, -128)
    assert (relu6.scale, relu6.zero) == (6 / 255, -128)
    assert leaky == one
    assert leaky.zero == round(-128 + 3 / (103 / 255))
    assert quantized.slopes[:4] == (0, 0, 0, round(np.float32(0.3) * 2**31))
    tiny = replace(program.operations[3], slope=1e-12)
    again = quantize(replace(program, operations=(*program.operations[:3], tiny, *program.operations[4:])), Ranges(low, high))
    assert again.slopes[3] == 1  # 0 would stand for no ReLU at all


def test_a_coarser_grid_of_a_relu6_ends_at_6() -> None:
    """Where the sums are coarser than the values that were seen; beyond 6 nothing would cut them off."""
    program = case_of(RandomNet((LayerSpec("dense", 2, act="relu6", bias=False),), ((),), 1), (4,), (1.0,)).program
    dense, logits = program.operations
    program = replace(program, operations=(replace(dense, weights=np.ones((2, 4), np.float32)), logits))
    for largest, seen, grid in ((200.0, 1.0, 4), (290.0, 4.0, 6), (290.0, 9.0, 6), (290.0, 1.0, 6)):
        quantized = quantize(program, Ranges(np.zeros((1, 3)), np.array([[largest, seen, 1]])))
        assert quantized.scales[0][1].scale == pytest.approx(grid / 255)
    with pytest.raises(InvalidArgumentError, match="too large for a ReLU6"):
        quantize(program, Ranges(np.zeros((1, 3)), np.array([[400.0, 4, 1]])))


def test_what_cannot_be_quantised() -> None:
    case = case_of(RandomNet((LayerSpec("dense", 5, act="relu6"),), ((),), 3, ending="softmax"), (4,), (1.0,))
    program, ranges = case.program, ranges_of(case.program, case.x)
    hidden, logits, softmax = program.operations
    nan = replace(logits, weights=np.where(np.eye(3, 5) > 0, np.float32(np.nan), logits.weights))
    with pytest.raises(InvalidArgumentError, match="the weights of .* are not finite"):
        quantize(replace(program, operations=(hidden, nan, softmax)), ranges)
    huge = replace(hidden, offset=(np.full(5, 1e12, np.float32),))
    with pytest.raises(InvalidArgumentError, match="too large for a ReLU6"):
        quantize(replace(program, operations=(huge, logits, softmax)), ranges)
    infinite = replace(logits, offset=(np.float32([0, np.inf, 0]),))
    with pytest.raises(InvalidArgumentError, match="is not finite"), np.errstate(all="ignore"):
        quantize(replace(program, operations=(hidden, infinite, softmax)), ranges)
    early = replace(softmax, output=2), replace(logits, inputs=(2,))
    with pytest.raises(InvalidArgumentError, match="softmax that is not at the end"):
        quantize(replace(program, operations=(hidden, *early)), ranges)
    n = (1 << 30) // (127 * 255) + 1
    wide = case_of(RandomNet((), ((),), 1), (n,), (1.0,)).program
    ones = replace(wide.operations[0], weights=np.ones((1, n), np.float32))
    with pytest.raises(InvalidArgumentError, match="may leave 32 bits"):
        quantize(replace(wide, operations=(ones,)), Ranges(np.array([[0.0, 0]]), np.array([[1.0, 1]])))
