"""The cost of ImageNet: its counts are those of the programs and of what XLA sends; its arithmetic is as it says."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))
imagenet_cost, step_report = import_module("imagenet_cost"), import_module("step_report")
RECORDS, (NETWORKS, DECODING) = imagenet_cost.recorded_steps(), imagenet_cost.read_counts()
ASSUMED = imagenet_cost.Assumptions()
CASES = [(name, dtype, n) for name in NETWORKS for dtype in imagenet_cost.DTYPES for n in (1, 8, 64)]


def cost(name, dtype, n, assumed=ASSUMED):
    return imagenet_cost.cost(name, dtype, n, NETWORKS[name], RECORDS, assumed)


def test_the_counts_are_those_of_the_record_of_the_step():
    for name, of in NETWORKS.items():
        assert of.parameters < of.terms < 4 * of.parameters
        assert of.norms_deep <= of.norms <= 4 * of.norms_deep
        if name in RECORDS:
            floor = RECORDS[name]["floors"]["float32"]
            assert (of.macs, of.activation_bytes) == (floor["macs"], floor["activation_bytes"])


@pytest.mark.parametrize("dtype", imagenet_cost.DTYPES)
def test_a_network_that_was_recorded_computes_as_long_as_it_was_measured(dtype):
    ours = RECORDS["MobileNetV1 1.0"]["variants"][imagenet_cost.DTYPES[dtype]]["wall_ms"]
    found = imagenet_cost.computing("MobileNetV1 1.0", dtype, NETWORKS["MobileNetV1 1.0"], RECORDS, ASSUMED)
    assert (found.low, found.high) == pytest.approx((step_report.spread(ours).median,) * 2)


def made_up(**slow):
    """Records of networks that take so many times their floor of 2 ms."""
    floors = {dtype: {"ms": 2.0} for dtype in imagenet_cost.DTYPES}
    return {name: {"floors": floors, "variants": {v: {"wall_ms": [2 * s]} for v in imagenet_cost.DTYPES.values()}}
            for name, s in slow.items()}


def test_each_record_is_predicted_from_the_others():
    assert imagenet_cost.left_out(made_up(a=3.0, b=3.0, c=3.0), "float32") == pytest.approx({"a": 1.0, "b": 1.0, "c": 1.0})
    found = made_up(a=2.0, b=4.0, c=8.0)
    assert imagenet_cost.left_out(found, "bfloat16") == pytest.approx({"a": 32**0.5 / 2, "b": 1.0, "c": 8**0.5 / 8})
    assert imagenet_cost.wrong_by(found, "float32") == pytest.approx(8**0.5)
    for too in (made_up(a=2.0, b=2.0, c=8.0), made_up(a=8.0, b=8.0, c=2.0)):  # too short, too long
        assert imagenet_cost.wrong_by(too, "float32") == pytest.approx(4.0)


@pytest.mark.parametrize("dtype", imagenet_cost.DTYPES)
def test_a_network_of_another_size_is_a_range_about_its_kin_not_below_its_floor(dtype):
    of, count = RECORDS["ViT-S"]["floors"][dtype], NETWORKS["ViT-B"]
    floor = of["products_ms"] * count.macs / of["macs"] + of["activations_ms"] * count.activation_bytes / of["activation_bytes"]
    found = imagenet_cost.computing("ViT-B", dtype, count, RECORDS, ASSUMED)
    s, wrong = imagenet_cost.slowness(RECORDS["ViT-S"], dtype), imagenet_cost.wrong_by(RECORDS, dtype)
    assert found.high == pytest.approx(floor * s * wrong)
    assert found.low == pytest.approx(floor * max(s / wrong, 1))


def test_what_is_sent():
    count = imagenet_cost.Counts(1000, terms=2500, macs=1, activation_bytes=400, norms=10, norms_deep=3, kept_bytes=1)
    slow = replace(ASSUMED, link_inside=1e-6, latency_inside=1000.0)  # 1000 bytes a second; a millisecond
    sent = imagenet_cost.Communication.of(count, 4, slow)
    assert (sent.gradient.low, sent.gradient.high) == pytest.approx((6000 + 1, 15000 + 1))  # 2 * 3 / 4 * 4 bytes
    assert (sent.norms.low, sent.norms.high) == pytest.approx((6, 50 + 400))
    alone = imagenet_cost.Communication.of(count, 1, slow)
    assert (alone.gradient.high, alone.norms.high) == (0, 0)
    none = imagenet_cost.Communication.of(replace(count, norms=0, norms_deep=0), 4, slow)
    assert (none.norms.low, none.norms.high) == (0, 0)
    far = replace(slow, link_inside=1.0, link_between=1e-6, latency_between=0.0)
    between = imagenet_cost.Communication.of(count, 16, far)
    assert between.gradient.low == pytest.approx(2 * 15 / 16 * 4000 / 8)  # eight send together
    assert between.norms.high == pytest.approx(400)
    assert imagenet_cost.Communication.of(count, 16, replace(far, link_inside=1e-6)).gradient.low == pytest.approx(7500)
    computing = imagenet_cost.Range(2.0, 3.0)
    step = sent.beside(computing)
    assert (step.low, step.high) == pytest.approx((6001 + 6, 3 + 15001 + 450))
    assert alone.beside(computing) == computing


@pytest.mark.parametrize(("name", "dtype", "n"), CASES)
def test_hours_are_of_the_steps_and_a_step_is_what_it_computes_and_sends(name, dtype, n):
    found = cost(name, dtype, n)
    assert found.computing.low <= found.step.low <= found.step.high
    assert found.computing.high <= found.step.high
    per_epoch = imagenet_cost.IMAGES // (128 * n)
    epochs = ASSUMED.epochs(name) / 3
    assert found.nested_hours.high == pytest.approx(epochs * per_epoch * found.step.high / 3.6e6)
    assert found.images.low * found.step.high == pytest.approx(1000 * 128 * n)
    assert found.images.high * found.step.low == pytest.approx(1000 * 128 * n)
    assert found.full_hours.high < 3 * found.nested_hours.high  # three times the epochs, and no step as long
    twice = cost(name, dtype, n, replace(ASSUMED, nested_share=2 / 3))
    assert twice.nested_hours.low == pytest.approx(2 * found.nested_hours.low)
    assert twice.full_hours == found.full_hours


@pytest.mark.parametrize(("name", "dtype"), sorted({(name, dtype) for name, dtype, _ in CASES}))
def test_more_devices_never_give_more_images_each(name, dtype):
    few, many = cost(name, dtype, 8), cost(name, dtype, 64)
    assert many.images.low / 64 <= few.images.low / 8
    assert many.images.high / 64 <= few.images.high / 8
    found = imagenet_cost.efficiency(few, many)
    shares = []
    for k in range(11):  # computing anything in its range, nothing overlapped or all
        computing = few.computing.low + k / 10 * (few.computing.high - few.computing.low)
        for end, together in (("high", sum), ("low", max)):
            times = [together([computing, getattr(c.communication.gradient, end) + getattr(c.communication.norms, end)])
                     for c in (few, many)]
            shares.append(times[0] / times[1])
    assert (min(shares), max(shares)) == pytest.approx((found.low, found.high))
    assert 0 < found.low <= found.high <= 1


def test_what_fits_is_the_most_examples_whose_arrays_do():
    for of in NETWORKS.values():
        number = imagenet_cost.fits(of, ASSUMED)
        bytes_of = [16 * of.parameters + k * of.kept_bytes for k in (number, number + 1)]
        assert bytes_of[0] <= 141e9 < bytes_of[1]


def test_the_command_takes_every_assumption(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["imagenet_cost.py", "--epochs-vit", "30", "--decoding", "1000", "--latency-between", "0"])
    imagenet_cost.main()
    printed = capsys.readouterr().out
    decoding = {**DECODING, "images_per_second": 1000.0}
    assumed = replace(ASSUMED, epochs_vit=30, latency_between=0.0)
    assert printed == imagenet_cost.tables(NETWORKS, decoding, RECORDS, assumed) + "\n"
    assert printed != imagenet_cost.tables(NETWORKS, DECODING, RECORDS, ASSUMED) + "\n"


def test_decoding_is_of_a_file_about_as_large_as_those_of_imagenet():
    found = imagenet_cost.decode_rate(0.05)
    assert found["images_per_second"] > 1
    assert 0.5 < found["jpeg_bytes"] / 110_000 < 2


SCRIPT = """
import json, sys
from dataclasses import asdict
import flax.linen as nn
import imagenet_cost
from step_networks import Case
from reds_jax import models

class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        for features in (8, 8):
            x = nn.relu(nn.BatchNorm(not train)(nn.Conv(features, (3, 3), use_bias=False)(x)))
        return nn.Dense(4)(x.mean((1, 2)))

cases = {"dense": Case(models.dnn_s, (25, 10, 1), 12, 8), "normed": Case(Normed, (6, 6, 1), 4, 8)}
found = {name: [asdict(imagenet_cost.counts(case, 3)), imagenet_cost.emitted(case, 3, 4)] for name, case in cases.items()}
print(json.dumps(found))
"""


@pytest.mark.slow
def test_xla_sends_the_terms_of_the_gradient_and_for_every_norm_what_the_model_says():
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "4", "JAX_PLATFORMS": "cpu", "REDS_CHECK_TYPES": "0",
                   "PYTHONPATH": os.pathsep.join([str(BENCHMARKS), os.environ.get("PYTHONPATH", "")])}
    ended = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    count, sent = found["dense"]
    assert sent["bytes"] == 4 * (count["terms"] + 2 * 3)  # with the loss and the metric of each subnetwork
    assert count["parameters"] < count["terms"] < 3 * count["parameters"]
    count, sent = found["normed"]
    assert count["norms"] == 1 + 3  # the first is computed once
    assert count["norms_deep"] == 2
    assert sent["permutes"] == count["norms"]
    assert 4 * count["norms"] < sent["calls"] <= imagenet_cost.A_NORM * count["norms"] + 1


@pytest.mark.slow
@pytest.mark.usefixtures("as_users_write")
def test_a_recorded_network_is_counted_again():
    assert asdict(imagenet_cost.counts(imagenet_cost.NETWORKS["MobileNetV1 1.0"], 4)) == asdict(NETWORKS["MobileNetV1 1.0"])
