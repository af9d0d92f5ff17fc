import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_nets import CLASSES, examples, initial, tiny_cnn, tiny_dnn, tiny_mlp

from reds_jax.errors import InvalidArgumentError
from reds_jax.training import FitConfig, Optimizer, Schedule, evaluate, fit, recalibrate

pytestmark = pytest.mark.usefixtures("as_users_write")

WIDTHS = (0.25, 1.0, 0.5)


def first_layer(variables, images, channels):
    """What the first batch norm of tiny_mlp sees, in float64: [N, channels]."""
    dense = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"]["stem"])
    x = images.reshape(len(images), -1) / 255  # one channel: flattened by channel as it is
    return (x @ dense["kernel"] + dense["bias"])[:, :channels]


@pytest.mark.parametrize("batch_size", [16, 25, 200])
def test_the_statistics_of_the_first_layer_are_those_of_all_images(batch_size):
    """Pooled over batches of any size they are the mean and variance of the whole set: the law of total variance."""
    model, data = tiny_mlp(), examples(100)
    variables = initial(model)
    found = recalibrate(model, variables, WIDTHS, data.images, key=jax.random.key(0), batch_size=batch_size)
    for stats, channels in zip(found, (3, 12, 6), strict=True):
        used = data.images if batch_size != 16 else None
        if used is None:  # 96 of the 100: those that the key draws
            used = data.images[np.asarray(jax.random.permutation(jax.random.key(0), 100))[:96]]
        sums = first_layer(variables, used, channels)
        np.testing.assert_allclose(stats["stem_norm"]["mean"][:channels], sums.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(stats["stem_norm"]["var"][:channels], sums.var(0), rtol=1e-3, atol=1e-6)
        assert stats["stem_norm"]["mean"].shape == (12,)
        assert not np.asarray(stats["stem_norm"]["var"][channels:]).any()


def test_deeper_layers_are_pooled_over_batches_as_in_training():
    model, data = tiny_cnn(), examples(96)
    variables = initial(model)
    (found,) = recalibrate(model, variables, (0.5,), data.images, key=jax.random.key(1), batch_size=32)
    rows = np.asarray(jax.random.permutation(jax.random.key(1), 96)).reshape(3, 32)
    zeros = jax.tree.map(jnp.zeros_like, variables["batch_stats"])

    @jax.jit
    def update(x):
        return model.apply({"params": variables["params"], "batch_stats": zeros}, x, 0.5, train=True,
                           mutable=["batch_stats"])[1]["batch_stats"]

    batches = [update(data.images[r] / np.float32(255)) for r in rows]
    for name, momentum in (("stem_norm", 0.9), ("depth_norm", 0.8), ("point_norm", 0.99)):
        means, variances = (np.stack([b[name][s] for b in batches]).astype(np.float64) / (1 - momentum)
                            for s in ("mean", "var"))
        np.testing.assert_allclose(found[name]["mean"], means.mean(0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found[name]["var"], variances.mean(0) + means.var(0), rtol=1e-4, atol=1e-6)


def test_the_order_of_the_widths_and_old_statistics_do_not_matter():
    model, data = tiny_mlp(), examples(64)
    variables = initial(model)
    spoilt = {**variables, "batch_stats": jax.tree.map(lambda x: x + 7, variables["batch_stats"])}
    a = recalibrate(model, variables, WIDTHS, data.images, key=jax.random.key(0), batch_size=32)
    b = recalibrate(model, spoilt, WIDTHS[::-1], data.images, key=jax.random.key(0), batch_size=32)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b[::-1]), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


def test_a_network_without_batch_norm_has_nothing_to_recalibrate():
    model = tiny_dnn()
    assert recalibrate(model, initial(model), (1.0, 0.5), examples(8).images, key=jax.random.key(0)) == ({}, {})


class Statistics(nn.Module):
    """A layer with statistics of any kind between two others; ``kind`` says how they are kept."""

    kind: str

    @nn.compact
    def __call__(self, x, *, train=False):
        x = 3 * nn.Dense(6, name="first")(x.reshape(len(x), -1)) + 1
        if self.kind == "flax":
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9, name="norm")(x)
        elif self.kind == "frozen":
            x = nn.BatchNorm(use_running_average=True, name="norm")(x)
        elif self.kind == "momentum 1":
            x = nn.BatchNorm(use_running_average=not train, momentum=1.0, name="norm")(x)
        elif self.kind == "sum":
            self.keep("total", lambda old: old + x.mean(0), train)
        elif self.kind == "renorm":  # what is written is read as well
            moving = self.keep("moving", lambda old: 0.9 * old + 0.1 * x.mean(0), train)
            x = x - moving
        elif self.kind == "root":
            self.keep("root", lambda old: jnp.sqrt(1 + old**2) + x.mean(0), train)
        elif self.kind == "rms":
            self.keep("rms", lambda old: 0.75 * old + 0.25 * jnp.square(x).mean(0), train)
            self.keep("steps", lambda old: old + 1, train, jnp.int32)
        x = nn.Dropout(0.5, deterministic=not train)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.997, name="last_norm")(x)
        return nn.Dense(CLASSES, name="logits")(x)

    def keep(self, name, update, train, dtype=jnp.float32):
        shape = (6,) if dtype == jnp.float32 else ()
        found = self.variable("batch_stats", name, lambda: jnp.full(shape, 2, dtype))
        if train and not self.is_initializing():
            found.value = update(found.value)
        return found.value


def recalibrated(kind, data, **options):
    """Variables, the statistics that `recalibrate` finds, and what the norm layer sees, in float64 [N, 6]."""
    model = Statistics(kind)
    variables = jax.tree.map(lambda a: a, initial(model))
    for name in variables["batch_stats"].keys() & {"norm"}:
        variables["batch_stats"][name] = {"mean": jnp.linspace(-1, 1, 6), "var": jnp.linspace(1, 3, 6)}
    (found,) = recalibrate(model, variables, (1.0,), data.images, key=jax.random.key(0), batch_size=25, **options)
    dense = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"]["first"])
    return variables, found, 3 * ((data.images.reshape(len(data), -1) / 255) @ dense["kernel"] + dense["bias"]) + 1


def test_a_batch_norm_is_recalibrated_exactly_behind_dropout_too():
    _, found, seen = recalibrated("flax", examples(100))
    np.testing.assert_allclose(found["norm"]["mean"], seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found["norm"]["var"], seen.var(0), rtol=1e-4)
    # the layer behind sees what the first one makes of each batch of its own: mean 0, variance 1; and no dropout
    np.testing.assert_allclose(found["last_norm"]["mean"], 0, atol=1e-5)
    np.testing.assert_allclose(found["last_norm"]["var"], 1, rtol=1e-3)


@pytest.mark.parametrize("batch_size", [25, 100])
def test_the_variance_of_values_far_from_zero_is_exact(batch_size):
    """At 3000 +- 1, over one batch and over several: against float64."""
    seen = (3000 + np.random.default_rng(0).normal(size=(100, 6))).astype(np.float32)
    (found,) = recalibrate(First(), initial_of(First(), seen), (1.0,), seen, key=jax.random.key(0), batch_size=batch_size)
    np.testing.assert_allclose(found["norm"]["mean"], seen.astype(np.float64).mean(0), rtol=1e-6)
    np.testing.assert_allclose(found["norm"]["var"], seen.astype(np.float64).var(0), rtol=1e-4)


class First(nn.Module):
    """Batch norm of the inputs themselves."""

    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(CLASSES)(nn.BatchNorm(not train, name="norm")(x))


def initial_of(model, x):
    return jax.jit(model.init)(jax.random.key(0), x[:1])


def test_a_frozen_batch_norm_stays_and_the_layer_behind_it_is_recalibrated():
    variables, found, seen = recalibrated("frozen", examples(100))
    jax.tree.map(np.testing.assert_array_equal, found["norm"], variables["batch_stats"]["norm"])
    y = (seen - np.linspace(-1, 1, 6)) / np.sqrt(np.linspace(1, 3, 6) + 1e-5)
    np.testing.assert_allclose(found["last_norm"]["mean"], y.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found["last_norm"]["var"], y.var(0), rtol=1e-4)


def test_any_moving_average_is_pooled_by_its_mean_and_a_counter_stays():
    _, found, seen = recalibrated("rms", examples(100))
    np.testing.assert_allclose(found["rms"], (seen**2).mean(0), rtol=1e-5)
    assert (int(found["steps"]), found["steps"].dtype) == (2, jnp.int32)


@pytest.mark.parametrize(("kind", "message"), [
    ("momentum 1", "'norm/mean' does not move in training"),
    ("sum", "'total' adds up without forgetting"),
    ("renorm", "'moving' is read and changed in training"),
    ("root", "'root' is no moving average"),
])
def test_statistics_that_are_no_moving_averages_are_named(kind, message):
    with pytest.raises(InvalidArgumentError, match=message):
        recalibrated(kind, examples(50))


def test_wrong_options_are_named():
    model, images = tiny_mlp(), examples(8).images
    variables = initial(model)
    for options, message in (({"batch_size": 0}, "batch_size"), ({"batches": 0}, "batches")):
        with pytest.raises(InvalidArgumentError, match=message):
            recalibrate(model, variables, (1.0,), images, key=jax.random.key(0), **options)
    with pytest.raises(InvalidArgumentError, match="inputs to recalibrate with are empty"):
        recalibrate(model, variables, (1.0,), images[:0], key=jax.random.key(0))


@pytest.mark.slow
def test_the_full_statistics_ruin_the_small_subnetworks_and_recalibration_repairs_them(optimised, quiet):
    model, widths = tiny_cnn(16, kernel=(3, 3), blocks=2), (1.0, 0.5, 0.25)
    train, validation = examples(2000, noise=30), examples(1000, 1, noise=30)
    optimizer = Optimizer(schedule=Schedule(learning_rate=1e-2))
    config = FitConfig(epochs=8, batch_size=50, steps_per_dispatch=40, optimizer=optimizer, seed=1)
    result = fit(model, initial(model), widths, train, validation, config, console=quiet)

    def accuracies(stats):
        found = evaluate(model, result.params, stats, widths, validation.inputs, validation.targets)
        return np.array([e.accuracy for e in found])

    own = recalibrate(model, {"params": result.params, "batch_stats": result.batch_stats[0]}, widths, train.images,
                      key=jax.random.key(5))
    good, ruined = accuracies(own), accuracies((own[0],) * 3)
    assert good[0] == ruined[0] > 0.95
    assert good[1] > 0.9
    assert good[2] > 0.75
    assert ruined[1] < good[1] - 0.1
    assert ruined[2] < good[2] - 0.25
