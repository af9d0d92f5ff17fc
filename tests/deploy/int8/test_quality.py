"""What int8 costs is told: a value far outside in the calibration is noticed and named, and percentile clipping mends it."""

import json
import warnings

import numpy as np
import pytest
from c_exports import make
from device_cases import Case, case_of, ranges_of, tensors
from int8_oracle import run

from reds_jax.deploy.c.export import export
from reds_jax.deploy.int8.calibrate import Ranges, _inner, calibrate
from reds_jax.deploy.int8.quality import SQNR_BOUND, Quality, QuantizationWarning, compare
from reds_jax.deploy.int8.quantize import quantize
from reds_jax.errors import InvalidArgumentError
from reds_jax.testing import LayerSpec, RandomNet

EXAMPLES, INPUTS = 216, 64  # 13,824 values


@pytest.fixture(scope="module")
def case() -> Case:
    """A classifier whose answers depend on what it is given: there are no biases."""
    return case_of(RandomNet((LayerSpec("dense", 12, bias=False, act="leaky_relu"),), ((),), 4), (INPUTS,), n=EXAMPLES)


@pytest.fixture(scope="module")
def images() -> Case:
    return case_of(RandomNet((LayerSpec("conv", 4, (2, 2)),), ((LayerSpec("mean"),),), 3), (4, 4, 4))


@pytest.fixture(scope="module")
def with_outlier(case) -> np.ndarray:
    x = case.x.copy()
    x[7, 20] = 2000.0
    return x


@pytest.fixture(scope="module")
def exports(case, with_outlier, tmp_path_factory):
    """Both rules, and the warnings that they came with."""
    found = {}
    for rule in ("minmax", "mse", "percentile"):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            exported = export(case.model, case.trees, case.graph, case.widths, tmp_path_factory.mktemp(rule) / "c", "int8",
                              calibration=[with_outlier], rule=rule)
        found[rule] = exported, [str(w.message) for w in told if issubclass(w.category, QuantizationWarning)]
    return found


@pytest.mark.parametrize("rule", ["minmax", "mse"])
def test_one_outlier_is_told_for_every_subnetwork_and_names_the_layer(exports, rule: str) -> None:
    exported, told = exports[rule]
    assert [text.split(" in int8")[0] for text in told] == ["subnetwork 0", "subnetwork 1"]
    for text, row in zip(told, exported.quality.sqnr_db, strict=True):
        first = next(i for i, value in enumerate(row) if value < SQNR_BOUND)
        assert f"'{exported.quality.layers[first]}' has a signal-to-noise ratio of {row[first]:.1f} dB (bound 15)" in text
        assert "--rule percentile" in text
    assert max(exported.quality.agreement) < 0.9


def test_leaving_out_the_outermost_values_mends_it(exports) -> None:
    exported, told = exports["percentile"]
    assert not told
    assert min(min(row) for row in exported.quality.sqnr_db) > SQNR_BOUND + 5
    assert min(exported.quality.agreement) > 0.95


def test_the_report_is_in_the_folder(exports) -> None:
    for rule, (exported, _) in exports.items():
        facts = json.loads((exported.folder / "reds_model.json").read_text(encoding="utf-8"))
        quality = facts["quality"]
        assert quality["layers"] == list(exported.quality.layers) == ["input", *(op.name for op in exported.program.operations)]
        assert quality["sqnr_db"] == [list(row) for row in exported.quality.sqnr_db]
        assert quality["agreement"] == list(exported.quality.agreement)
        assert (quality["examples"], quality["sqnr_bound_db"]) == (EXAMPLES, SQNR_BOUND)
        assert facts["calibration"] == {"rule": rule, **({"percentage": 99.9} if rule == "percentile" else {})}


def test_the_ratios_are_those_of_the_definition(case) -> None:
    """Against NumPy, from the oracle of the int8 arithmetic and the float network in double precision."""
    x = case.x[:9]
    quantized = quantize(case.program, ranges_of(case.program, x))
    found = compare(quantized, [x[:4], x[4:4], x[4:]])
    for k in range(2):
        real, eight = tensors(case.program, k, x), run(quantized, k, quantized.input_scale.quantize(x))
        for t in range(len(real)):
            grid = quantized.scales[k][t]
            a, b = np.asarray(real[t], np.float64).reshape(9, -1), (grid.scale * (eight[t] - grid.zero)).reshape(9, -1)
            expected = np.median(10 * np.log10((a**2).sum(1) / ((a - b) ** 2).sum(1)))
            assert found.sqnr_db[k][t] == pytest.approx(expected, abs=0.05)
        same = real[-1].reshape(9, -1).argmax(1) == eight[-1].reshape(9, -1).argmax(1)
        assert found.agreement[k] == pytest.approx(same.mean())
    assert found.examples == 9


def test_what_has_no_ratio_and_what_has_one_output() -> None:
    """Zeros without noise are no layer to judge; a constant has no largest output to agree on."""
    program = case_of(RandomNet((LayerSpec("dense", 3, act="relu"),), ((),), 1), (4,), (1.0,)).program
    zeros = np.zeros((5, 4), np.float32)
    quality = compare(quantize(program, Ranges(np.full((1, 3), -1.0), np.full((1, 3), 1.0))), [zeros])
    assert quality.sqnr_db[0][0] is None
    assert quality.agreement == (None,)
    json.dumps(quality.record(), allow_nan=False)
    told = Quality(32, ("a",), ((None,), (14.9,), (15.1,)), (None, 1.0, 0.89))
    assert len(Quality(31, ("a",), told.sqnr_db, told.agreement).warnings()) == 1  # a few answers say little
    assert [text[:12] for text in told.warnings()] == ["subnetwork 1", "subnetwork 2"]


def test_percentile_leaves_out_as_many_values_as_it_says(case) -> None:
    values = np.arange(1000.0) - 300
    for percentage, left_out in ((100, 0), (99.9, 0), (99.8, 1), (99.0, 5), (60.0, 200)):
        expected = (-300 + left_out, 699 - left_out)
        assert _inner(np.random.default_rng(0).permutation(values), -300, 699, percentage) == expected
    assert _inner(np.append(np.zeros(9999), 5.0), 0, 5, 99.9) == (0, 5)  # not a range of nothing
    whole = calibrate(case.program, [case.x], rule="percentile", percentage=100)
    np.testing.assert_array_equal(whole.high, calibrate(case.program, [case.x], rule="minmax").high)
    for wrong in (50, 0, -1, 100.1, float("nan")):
        with pytest.raises(InvalidArgumentError, match="percentage .* out of range"):
            calibrate(case.program, [case.x], rule="percentile", percentage=wrong)


@pytest.mark.parametrize("shape", [(2, 8, 4), (4, 4), (64,), (4, 4, 4, 1), (8, 2, 4)])
def test_calibration_of_another_shape_is_refused_although_the_entries_are_as_many(images, tmp_path, shape) -> None:
    """At every entrance that takes examples; and so are pixels that were not normalised."""
    made = make(images.program, images.x, "int8", tmp_path / "c")
    exported = export(images.model, images.trees, images.graph, images.widths, tmp_path / "f")
    for wrong, message in ((images.x.reshape(-1, *shape), "another shape .* allowed: .N, 4, 4, 4."),
                           (images.x.astype(np.uint8), "no floating-point numbers; got 'uint8'")):
        def to_export(wrong=wrong, **options):
            return export(images.model, images.trees, images.graph, images.widths, tmp_path / "n", **options, **(
                {"calibration": [images.x, wrong]} if "dtype" in options else {"examples": wrong}))

        for entrance in (lambda: to_export(dtype="int8"), to_export, lambda wrong=wrong: calibrate(images.program, [wrong]),
                         lambda wrong=wrong: exported.expected(0, wrong),
                         lambda wrong=wrong: compare(made.quantized, [wrong])):
            with pytest.raises(InvalidArgumentError, match=message):
                entrance()
    assert not (tmp_path / "n").exists()
