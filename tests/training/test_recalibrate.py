import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_nets import TinyCNN, TinyDNN, TinyMLP, examples, initial

from reds_jax.errors import InvalidArgumentError
from reds_jax.nn import BatchNorm, Dense, flatten
from reds_jax.training import FitConfig, Optimizer, Schedule, evaluate, fit, recalibrate

WIDTHS = (0.25, 1.0, 0.5)


def first_layer(variables, images, channels):
    """What the first batch norm of TinyMLP sees, in float64: [N, channels]."""
    dense = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"]["stem"])
    x = images.reshape(len(images), -1) / 255  # one channel: flattened by channel as it is
    return (x @ dense["kernel"] + dense["bias"])[:, :channels]


@pytest.mark.parametrize("batch_size", [16, 25, 200])
def test_the_statistics_of_the_first_layer_are_those_of_all_images(batch_size):
    """Pooled over batches of any size they are the mean and variance of the whole set: the law of total variance."""
    model, data = TinyMLP(), examples(100)
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
    model, data = TinyCNN(), examples(96)
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
    model, data = TinyMLP(), examples(64)
    variables = initial(model)
    spoilt = {**variables, "batch_stats": jax.tree.map(lambda x: x + 7, variables["batch_stats"])}
    a = recalibrate(model, variables, WIDTHS, data.images, key=jax.random.key(0), batch_size=32)
    b = recalibrate(model, spoilt, WIDTHS[::-1], data.images, key=jax.random.key(0), batch_size=32)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b[::-1]), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


def test_a_network_without_batch_norm_has_nothing_to_recalibrate():
    model = TinyDNN()
    assert recalibrate(model, initial(model), (1.0, 0.5), examples(8).images, key=jax.random.key(0)) == ({}, {})


class Stubborn(nn.Module):
    own: bool

    @nn.compact
    def __call__(self, x, width=1.0, *, train=False):
        x = Dense(6)(flatten(x), width)
        if self.own:
            return BatchNorm(momentum=1.0, name="norm")(x, width, train=train)
        return nn.BatchNorm(use_running_average=not train, name="norm")(x)


@pytest.mark.parametrize("own", [True, False])
def test_layers_that_keep_no_statistics_of_the_batch_are_named(own):
    model = Stubborn(own)
    with pytest.raises(InvalidArgumentError, match="'norm'"):
        recalibrate(model, initial(model), (1.0,), examples(8).images, key=jax.random.key(0))


def test_wrong_options_are_named():
    model, images = TinyMLP(), examples(8).images
    variables = initial(model)
    for options, message in (({"batch_size": 0}, "batch_size"), ({"batches": 0}, "batches")):
        with pytest.raises(InvalidArgumentError, match=message):
            recalibrate(model, variables, (1.0,), images, key=jax.random.key(0), **options)
    with pytest.raises(InvalidArgumentError, match="no images"):
        recalibrate(model, variables, (1.0,), images[:0], key=jax.random.key(0))


def test_the_full_statistics_ruin_the_small_subnetworks_and_recalibration_repairs_them(optimised, quiet):
    model, widths = TinyCNN(16, kernel=(3, 3), blocks=2), (1.0, 0.5, 0.25)
    train, validation = examples(2000, noise=30), examples(1000, 1, noise=30)
    optimizer = Optimizer(schedule=Schedule(learning_rate=1e-2))
    config = FitConfig(epochs=8, batch_size=50, steps_per_dispatch=40, optimizer=optimizer)
    result = fit(model, initial(model), widths, train, validation, config, console=quiet)

    def accuracies(stats):
        return np.array([e.accuracy for e in evaluate(model, result.params, stats, widths, *validation)])

    own = recalibrate(model, {"params": result.params, "batch_stats": result.batch_stats[0]}, widths, train.images,
                      key=jax.random.key(5))
    good, ruined = accuracies(own), accuracies((own[0],) * 3)
    assert good[0] == ruined[0] > 0.95
    assert good[1] > 0.9
    assert good[2] > 0.75
    assert ruined[1] < good[1] - 0.1
    assert ruined[2] < good[2] - 0.25
