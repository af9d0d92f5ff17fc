"""The 8-bit grids, and the ranges that calibration chooses for them."""

import numpy as np
import pytest
from device_cases import case_of, tensors
from hypothesis import given
from hypothesis import strategies as st

from reds_jax.deploy.int8.calibrate import Scale, _clip, calibrate
from reds_jax.errors import InvalidArgumentError
from reds_jax.testing import LayerSpec, RandomNet

FINITE = st.floats(-(2.0**100), 2.0**100, width=32)


@given(FINITE, FINITE)
def test_zero_is_on_the_grid_and_the_range_is_covered(a: float, b: float) -> None:
    low, high = sorted((a, b))
    grid = Scale.of_range(low, high)
    assert -128 <= grid.zero <= 127
    assert grid.scale > 0
    lowest, highest = (grid.scale * (q - grid.zero) for q in (-128, 127))
    step = grid.scale * (0.5 + 1e-6)  # zero moves to the grid by half a step at most
    assert lowest <= low + step
    assert highest >= high - step
    extent = max(high, 0.0) - min(low, 0.0)
    assert highest - lowest <= (extent if extent > 1e-27 else 1) * (1 + 1e-6)


@given(FINITE, FINITE, st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_quantize_takes_the_nearest_grid_point(a: float, b: float, values: list[float]) -> None:
    grid = Scale.of_range(min(a, b), max(a, b))
    x = np.array(values, np.float32)
    q = grid.quantize(x)
    assert q.dtype == np.int8
    exact = np.clip(x.astype(np.float64) / grid.scale + grid.zero, -128, 127)
    assert np.all(np.abs(q - exact) <= 0.5 + 1e-4)
    np.testing.assert_array_equal(grid.quantize(grid.dequantize(q)), q)


def test_quantize_clips_rounds_to_even_and_keeps_zero() -> None:
    grid = Scale(0.5, 3)
    x = np.array([0, 0.25, 0.75, -0.25, 1e30, -1e30, np.inf, -np.inf, 3.4e38], np.float32)
    assert grid.quantize(x).tolist() == [3, 3, 5, 3, 127, -128, 127, -128, 127]
    assert Scale(1e-3, -128).quantize(np.float32([3.4e38, -3.4e38])).tolist() == [127, -128]
    assert Scale.of_range(0, 0) == Scale(1 / 255, -128)
    assert Scale.of_range(2, 5) == Scale.of_range(0, 5) == Scale(5 / 255, -128)
    assert Scale.of_range(-5, -2) == Scale(5 / 255, 127)


def test_quantize_refuses_nan() -> None:
    with pytest.raises(InvalidArgumentError, match="holds NaN"):
        Scale(1.0, 0).quantize(np.float32([1, np.nan]))


@pytest.fixture(scope="module")
def case():
    conv = LayerSpec("conv", 4, (2, 2), norm=True, act="relu")
    return case_of(RandomNet((conv,), ((LayerSpec("mean"),),), 3, ending="softmax"), (4, 4, 1), n=24)


def squared_error(values: np.ndarray, low: float, high: float) -> float:
    grid = Scale.of_range(low, high)
    q = np.clip(np.rint(values / grid.scale) + grid.zero, -128, 127)
    return float(np.mean((grid.scale * (q - grid.zero) - values) ** 2))


@pytest.fixture(scope="module")
def outliers(case):
    """Inputs with one far outlier, which a good range leaves out."""
    x = case.x.copy()
    x[0, 0, 0, 0] = 40
    return x


@pytest.fixture(scope="module")
def found(case, outliers):
    return {rule: calibrate(case.program, [outliers[:16], outliers[16:16], outliers[16:]], rule=rule)
            for rule in ("minmax", "mse")}


def test_minmax_covers_all_that_was_seen(case, outliers, found) -> None:
    for k in range(2):
        values = tensors(case.program, k, outliers)
        np.testing.assert_allclose(found["minmax"].low[k], [v.min() for v in values], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found["minmax"].high[k], [v.max() for v in values], rtol=1e-4, atol=1e-6)


def test_mse_is_never_worse(case, outliers, found) -> None:
    for k in range(2):
        values = tensors(case.program, k, outliers)
        errors = {rule: [squared_error(v, r.low[k][t], r.high[k][t]) for t, v in enumerate(values)]
                  for rule, r in found.items()}
        assert np.all(np.array(errors["mse"]) <= np.array(errors["minmax"]) * (1 + 1e-6) + 1e-15)


def test_mse_clips_where_few_values_are_large() -> None:
    sample = np.append(np.random.default_rng(0).normal(size=100_000), 12.0)
    low, high = _clip(sample, float(sample.min()), 12.0)
    assert 6 < high < 11
    assert low / sample.min() == pytest.approx(high / 12)
    assert squared_error(sample, low, high) < 0.95 * squared_error(sample, sample.min(), 12)


def test_logits_are_never_clipped_and_the_input_has_one_range(case, found) -> None:
    for t in (case.program.output, case.program.without_softmax().output):
        np.testing.assert_array_equal(found["mse"].high[:, t], found["minmax"].high[:, t])
        np.testing.assert_array_equal(found["mse"].low[:, t], found["minmax"].low[:, t])
    for ranges in found.values():
        assert len(set(ranges.low[:, 0])) == len(set(ranges.high[:, 0])) == 1


def test_a_sample_stands_for_large_tensors(monkeypatch, case, found, outliers) -> None:
    monkeypatch.setattr("reds_jax.deploy.int8.calibrate._SAMPLES", 50)
    first, second, other = (calibrate(case.program, [outliers], seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.high, second.high)
    assert np.any(first.high != other.high)
    assert len(set(first.low[:, 0])) == len(set(first.high[:, 0])) == 1  # each subnetwork has drawn another sample
    assert np.all(first.high <= found["minmax"].high + 1e-6)


def test_calibration_without_inputs_or_with_infinite_ones_is_an_error(case) -> None:
    for batches in ([], [case.x[:0]], [np.full_like(case.x, np.nan)], [np.full_like(case.x, np.inf)]):
        with pytest.raises(InvalidArgumentError, match="at least one batch of finite inputs and outputs"):
            calibrate(case.program, batches)
    with pytest.raises(InvalidArgumentError, match="no such calibration rule; got 'median'"):
        calibrate(case.program, [case.x], rule="median")
