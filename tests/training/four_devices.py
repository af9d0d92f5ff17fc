"""Training on four devices, in float64: a process of its own that has them runs these tests, see `test_devices.py`."""

import re
from importlib import import_module

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from rich.console import Console
from training_nets import CLASSES, examples, initial, tiny_mlp

from reds_jax import Slimmable, Subnetworks, nest
from reds_jax.data import DataSet
from reds_jax.data.stream import Stream
from reds_jax.errors import InvalidArgumentError
from reds_jax.lowering import describe_backend, divided, lowering, traced_as
from reds_jax.native.build import built
from reds_jax.run import channel_first
from reds_jax.training import FitConfig, Optimizer, Schedule, TrainState, classification, evaluate, fit, loop, recalibrate
from reds_jax.training.evaluate import _batch
from reds_jax.training.mesh import AXIS, batch_mesh, divided_over, in_parts, replicated
from reds_jax.training.step import step_builder

SGD = optax.sgd(0.1, momentum=0.9)
BATCH = 16
WIDTHS = (0.5, 1.0)
TOLERANCE = 1e-10


class Net(nn.Module):
    """A stem, a depthwise layer in a residual stream, dropout; batch norm behind every convolution."""

    @nn.compact
    def __call__(self, x, *, train=False):
        def norm(x):
            return nn.BatchNorm(not train, momentum=0.9)(x)

        stream = nn.relu(norm(nn.Conv(4, (3, 3), (2, 2))(x)))
        x = nn.relu(norm(nn.Conv(4, (3, 3), feature_group_count=4)(stream)))
        x = stream + norm(nn.Conv(4, (1, 1))(x))
        return nn.Dense(CLASSES)(nn.Dropout(0.25, deterministic=not train)(x.mean((1, 2))))


def in_64_bits(model):
    return model, jax.tree.map(lambda a: a.astype(jnp.float64), initial(model))


@pytest.fixture(scope="module")
def network():
    return in_64_bits(Slimmable(Net()))


@pytest.fixture(scope="module")
def dense():
    """Compiles fast; with batch norm as well."""
    return in_64_bits(tiny_mlp())


def builder(network, devices, **options):
    how = {"weights": "uniform", "sizes": None, "distill": 0.0, "sandwich": None, "normalise": None, "augment": "flip_shift",
           "share": True} | options
    return step_builder(network[0], SGD, WIDTHS, mesh=batch_mesh(devices, BATCH), **how)


def trained(network, devices, **options):
    """The state and the metrics after two calls of two steps."""
    step, data = builder(network, devices, **options)(classification()), examples(64)
    state = TrainState.create(network[1], SGD, len(WIDTHS), jax.random.key(3))
    arrays, found = replicated((data.inputs, data.targets), batch_mesh(devices, BATCH)), []
    for rows in np.arange(64, dtype=np.int32).reshape(2, 2, BATCH):
        state, metrics = step(state, *arrays, rows)
        found.append(metrics)
    return state, found


def assert_close(a, b):
    """Equal trees, to the rounding of float64 in every array as a whole."""
    def same(path, x, y):
        x, y = (np.asarray(jax.random.key_data(v) if jnp.issubdtype(v.dtype, jax.dtypes.prng_key) else v) for v in (x, y))
        np.testing.assert_allclose(y, x, rtol=0, atol=TOLERANCE * max(1, np.abs(x).max(initial=0)),
                                   err_msg=jax.tree_util.keystr(path))

    jax.tree_util.tree_map_with_path(same, a, b)


@pytest.mark.parametrize("options", [
    pytest.param({}, id="all"),
    pytest.param({"distill": 0.5, "sandwich": 0}, id="sandwich and distillation", marks=pytest.mark.slow),
])  # fmt: skip
def test_steps_on_four_devices_are_those_of_one(network, options):
    """Parameters, momentum, statistics (of the whole batch) and losses: with the augmentation, dropout and draws of one."""
    assert_close(trained(network, None, **options), trained(network, 4, **options))


@pytest.mark.parametrize("form", ["auto", pytest.param("lax", marks=pytest.mark.slow)])
def test_no_activation_crosses_from_device_to_device(network, form):
    """What is collected from all devices is as large as parameters are, and the kernel of one device is not there."""
    mesh, data = batch_mesh(4, BATCH), examples(64)
    state = TrainState.create(network[1], SGD, len(WIDTHS), jax.random.key(0))
    arguments = replicated((state, data.inputs, data.targets), mesh)
    compiled, _ = builder(network, 4)(classification()).args
    with lowering(form):
        text = compiled.lower(*arguments, np.zeros((1, BATCH), np.int32), held=None).compile().as_text()
    assert max(collected(text), default=0) <= 4 * 4 * 4  # one example behind the stem, of the 16
    assert "all-reduce" in text
    assert "reds_jax_segment" not in text


def collected(text):
    """The sizes of the arrays that devices send to each other, but for sums."""
    return [np.prod([int(n) for n in shape.split(",") if n] or [1])
             for result in re.findall(r" = (.*?) (?:all-gather|all-to-all|collective-permute)(?:-start)?\(", text)
             for shape in re.findall(r"\w+\[([\d,]*)\]", result)]


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_divided_by_examples(groups):
    rng, batch_last = np.random.default_rng(0), NamedSharding(batch_mesh(4, 8), PartitionSpec(None, None, None, AXIS))
    x, kernel = jax.device_put(rng.random((4, 5, 3, 8)), batch_last), jnp.asarray(rng.random((3, 2, 4 // groups, 6)))
    window = channel_first.Window((2, 1), ((1, 1), (0, 1)), (1, 1))

    def value(x):
        return channel_first.conv(x, kernel, window, groups)

    with divided():
        program = jax.jit(value).lower(x).compile()
    y = program(x)
    np.testing.assert_allclose(y, value(np.asarray(x)), rtol=1e-12)
    assert collected(program.as_text()) == []
    assert y.sharding.is_equivalent_to(batch_last, 4)


def test_the_kernel_of_one_device_is_left_out_and_that_is_said():
    alone, together = describe_backend(), describe_backend(4)
    assert "4 of 4 devices train together; form 'dot'" in together
    assert built().text in together
    assert ("('fused' on one device)" in together) == ("form 'fused'" in alone) == built().ready


def test_what_cannot_be_divided_is_refused_early(network):
    def refused(devices, batch_size):
        with pytest.raises(InvalidArgumentError) as caught:
            fit(*network, WIDTHS, examples(64), examples(16), FitConfig(batch_size=batch_size), devices=devices)
        return str(caught.value)

    text = refused(5, 20)
    assert "there are fewer devices; got 5; allowed: 1 to 4 (cpu)" in text
    assert "--xla_force_host_platform_device_count=5" in text
    assert "jax.config.update('jax_num_cpu_devices', 5)" in text
    assert "between 4 devices; got 18; allowed: a batch_size that is a multiple of 4" in refused(4, 18)
    assert "devices" in refused(0, 16)


def run(dense, devices, folder=None, train=None):
    config = FitConfig(epochs=2, batch_size=BATCH, steps_per_dispatch=2, recalibrate_batches=2, checkpoint_dispatches=1,
                       evaluate_batch_size=16, optimizer=Optimizer("sgd", Schedule(learning_rate=0.1)))
    return fit(*dense, WIDTHS, examples(64) if train is None else train, examples(16, 1), config, folder=folder,
               devices=devices, console=Console(quiet=True))


def results(found):
    return found.state, found.params, found.batch_stats, [
        {name: np.float64(record[name]) for name in ("objective", "validation_loss")} for record in found.history]


def test_a_run_begun_on_four_devices_ends_on_one_like_one_that_stayed(dense, tmp_path, monkeypatch):
    advance, made = loop.Run.advance, []

    def stopped(run, *arguments):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(run.mesh.size)
        return advance(run, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Run, "advance", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(dense, 4, tmp_path)
    ended, stayed = run(dense, None, tmp_path), run(dense, None)
    assert made == [4, 4, 4]
    assert len((tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 2 * (2 + 1)
    assert_close(results(stayed), results(ended))
    for array in jax.tree.leaves((ended.state, ended.params)):
        assert len(array.devices()) == 1


@pytest.mark.slow
def test_a_stream_on_two_of_four_devices(dense):
    data = examples(64)
    batches = [(data.inputs[i : i + BATCH], data.targets[i : i + BATCH]) for i in range(0, 64, BATCH)]
    stream = Stream(batches, deterministic=True)
    assert_close(results(run(dense, None, train=stream)), results(run(dense, 2, train=stream)))


def judged(network, devices, data=None, batch_size=16):
    """The statistics of every subnetwork, and its loss and metric on 37 examples."""
    model, variables = network
    stats = recalibrate(model, variables, WIDTHS, examples(64) if data is None else data, key=jax.random.key(0),
                        batch_size=BATCH, devices=devices)
    data = examples(37, 1) if data is None else data
    return stats, evaluate(model, variables["params"], stats, WIDTHS, data, batch_size=batch_size, devices=devices)


def assert_judged_alike(one, several, examples):
    """Statistics and losses but for rounding; what is counted is counted exactly."""
    assert_close(one[0], several[0])
    for a, b in zip(one[1], several[1], strict=True):
        assert (a.metric, a.examples) == (b.metric, b.examples) == (a.metric, examples)
        np.testing.assert_allclose(b.loss, a.loss, rtol=TOLERANCE)


@pytest.mark.parametrize("batch_size", [18, pytest.param(500, marks=pytest.mark.slow)])
def test_statistics_and_metrics_of_four_devices_are_those_of_one(network, batch_size):
    """37 examples, in batches that 4 does not divide: they are filled up, and the filling is not counted."""
    assert_judged_alike(judged(network, None), judged(network, 4, batch_size=batch_size), 37)


def test_metrics_are_computed_on_all_devices_and_no_activation_crosses(network):
    """Each gets a quarter of the examples; only the loss and the metric of each example are collected."""
    model, variables = network
    mesh, data = batch_mesh(4, BATCH), examples(BATCH)
    x, y = in_parts((data.inputs, data.targets), np.arange(BATCH)[::-1], mesh)
    for k, part in enumerate(x.addressable_shards):
        assert (part.device, part.data.shape) == (jax.devices()[k], (4, *data.inputs.shape[1:]))
    np.testing.assert_array_equal(x, data.inputs[::-1])
    with divided_over(mesh):
        text = _batch.lower(replicated(variables, mesh), x, y, model=model, width=0.5, objective=classification(),
                            normalise=None, mesh=mesh, lowering=traced_as()).compile().as_text()
    assert text is not None
    assert max(collected(text)) <= BATCH
    assert "reds_jax_segment" not in text


def test_epochs_of_four_devices_are_validated_on_four(dense, monkeypatch):
    made, measure, recalibrated = [], loop.measure, loop.recalibrate

    def seen(*given, **more):
        made.append(("recalibrate", more["devices"]))
        return recalibrated(*given, **more)

    monkeypatch.setattr(loop, "recalibrate", seen)
    monkeypatch.setattr(loop, "measure", lambda *given: made.append(("measure", given[-1].size)) or measure(*given))
    run(dense, 4)
    assert made == 2 * [("recalibrate", 4), ("measure", 4)]


def test_a_stream_is_judged_on_four_devices_as_on_one(dense):
    """Its last batch is smaller; its metrics count all examples, its statistics the whole batches."""
    data = examples(50)
    stream = Stream([(data.inputs[i : i + BATCH], data.targets[i : i + BATCH]) for i in range(0, 50, BATCH)])
    assert_judged_alike(judged(dense, None, stream), judged(dense, 4, stream), 50)
    odd = Stream([(data.inputs[i : i + 10], data.targets[i : i + 10]) for i in range(0, 50, 10)])
    model, variables = dense
    one, four = (evaluate(model, variables["params"], [variables["batch_stats"]], [1.0], odd, devices=n) for n in (None, 4))
    assert_judged_alike(((), one), ((), four), 50)


def test_statistics_of_a_batch_that_cannot_be_divided_are_refused(dense):
    model, variables = dense
    for data, size in ((examples(64), 18), (examples(18), 20)):
        with pytest.raises(InvalidArgumentError, match="between 4 devices; got 18; allowed: a batch_size that"):
            recalibrate(model, variables, WIDTHS, data, key=jax.random.key(0), batch_size=size, devices=4)
    with pytest.raises(InvalidArgumentError, match="there are fewer devices; got 5"):
        evaluate(model, variables["params"], [variables["batch_stats"]], [1.0], examples(8), devices=5)


@pytest.mark.slow
def test_every_stage_that_measures_runs_on_the_devices_of_the_training(dense, monkeypatch):
    """Before the training, in its validation and behind it; the results are those of one device."""
    train, other = examples(64), examples(37, 1)
    data, config = DataSet("textures", train, other, other), FitConfig(epochs=1, batch_size=BATCH, recalibrate_batches=2)
    options = Subnetworks((0.5, 1.0), importance="l1", value="ces", before_training=True)
    sizes, place = [], in_parts
    for name in ("evaluate", "recalibrate"):
        module = import_module(f"reds_jax.training.{name}")
        monkeypatch.setattr(module, "in_parts", lambda tree, indices, mesh: sizes.append(mesh and mesh.size) or place(
            tree, indices, mesh))
    (one, judged_by_one), (four, judged_by_four) = (
        nest(*dense, data, config, options, console=Console(quiet=True), devices=devices) for devices in (1, 4))
    half = len(sizes) // 2
    assert sizes == [None] * half + [4] * half
    assert_close((one.params, one.batch_stats), (four.params, four.batch_stats))
    for a, b in zip(judged_by_one.subnetworks, judged_by_four.subnetworks, strict=True):
        assert (b.test_metric, b.validation_metric) == (a.test_metric, a.validation_metric)
        assert b.before_training == a.before_training
        assert b.test_loss == pytest.approx(a.test_loss, rel=TOLERANCE)
