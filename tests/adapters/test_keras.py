"""Keras 3 models on JAX as pure models: the framework's own numbers, and nothing left behind in the model."""

import os
import subprocess
import sys

import jax
import keras
import numpy as np
import pytest
from adapter_checks import check_pure, check_switch, close, images, paths

from reds_jax.adapters import adapt
from reds_jax.errors import InvalidArgumentError

pytestmark = pytest.mark.usefixtures("as_users_write")


def made():
    x = inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, name="norm")(x)
    x = keras.layers.Dropout(0.5, name="drop")(keras.layers.ReLU()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="dense")(x))


def test_it_is_the_frameworks_own_call() -> None:
    x, key, net = images(), jax.random.key(3), made()
    model, variables = adapt(net)
    assert paths(variables) == ["batch_stats/norm/moving_mean", "batch_stats/norm/moving_variance", "params/conv/bias",
                                "params/conv/kernel", "params/dense/bias", "params/dense/kernel", "params/norm/beta",
                                "params/norm/gamma"]
    close(model(variables, x)[0], np.asarray(net(x, training=False)))
    outputs, moved = model(variables, x, train=True, key=key)
    ((i, seed),) = [(i, v) for i, v in enumerate(net.non_trainable_variables) if v.name == "seed_generator_state"]
    seed.assign(jax.random.bits(jax.random.fold_in(key, i), (2,), "uint32"))
    close(outputs, np.asarray(net(x, training=True)))
    close(moved, adapt(net)[1]["batch_stats"])


def test_it_is_pure_and_dropout_is_switched_by_itself() -> None:
    net = made()
    seeds = [np.asarray(v.value) for v in net.non_trainable_variables]
    check_pure(*adapt(net), images())
    close([np.asarray(v.value) for v in net.non_trainable_variables], seeds, 0)
    assert net.get_layer("drop").rate == 0.5


class Everything(keras.Model):
    """Several layers that draw, nested, told by one argument."""

    def __init__(self):
        super().__init__()
        self.layers_ = [keras.layers.GaussianNoise(0.5), keras.layers.GaussianDropout(0.5), keras.layers.SpatialDropout1D(0.5),
                        keras.layers.SimpleRNN(4, dropout=0.5, recurrent_dropout=0.5, return_sequences=True)]
        self.attention = keras.layers.MultiHeadAttention(2, 2, dropout=0.5)

    def call(self, x, training=True):
        for layer in self.layers_:
            x = layer(x, training=training)
        return self.attention(x, x, training=training)


@pytest.mark.slow
def test_every_layer_that_draws_is_switched_off_and_on_again() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    net = Everything()
    net(x)
    model, variables = adapt(net)
    check_switch(model, variables, x)
    assert net.layers_[0].stddev == net.layers_[1].rate == net.layers_[3].cell.recurrent_dropout == 0.5


def test_way_back() -> None:
    x, net = images(), made()
    model, variables = adapt(net)
    changed = jax.tree.map(lambda a: a + 0.1, variables)
    assert model.restore(changed) is net
    close(np.asarray(net(x, training=False)), model(changed, x)[0])
    close(adapt(net)[1], changed, 0)


def test_models_are_equal_if_they_are_one_object() -> None:
    one, two = made(), made()
    assert adapt(one)[0] == adapt(one)[0]
    assert hash(adapt(one)[0]) == hash(adapt(one)[0])
    assert adapt(one)[0] != adapt(two)[0]
    close(adapt(one, adapt(two)[1])[1], adapt(two)[1], 0)


def test_several_inputs_of_a_functional_model_and_frozen_layers() -> None:
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    dense = keras.layers.Dense(2, name="frozen")
    dense.trainable = False
    net = keras.Model([a, b], {"sum": dense(a) + keras.layers.Dense(2, name="free")(b)})
    x, y = np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)
    model, variables = adapt(net)
    assert set(variables["params"]) == {"free"}
    assert set(variables["batch_stats"]) == {"frozen"}
    expected = {"sum": np.asarray(net([x, y])["sum"])}
    close(model(variables, (x, y))[0], expected)
    close(model(variables, {"a": x, "b": y})[0], expected)


def test_weights_with_one_path_have_numbers() -> None:
    inner = [keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="dense")], name="same") for _ in range(2)]

    class Outer(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def call(self, x):
            return self.inner[1](self.inner[0](x))

    net = Outer()
    x = np.ones((2, 3), np.float32)
    expected = np.asarray(net(x))
    model, variables = adapt(net)
    assert set(variables["params"]["same"]["dense"]) == {"kernel", "kernel_1", "bias", "bias_1"}
    close(model(variables, x)[0], expected)


def test_a_model_without_weights_and_another_backend_are_errors() -> None:
    with pytest.raises(InvalidArgumentError, match="no weights yet"):
        adapt(keras.Sequential([keras.layers.Dense(2)]))
    code = """
import keras
from reds_jax.adapters import adapt
adapt(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                            env={**os.environ, "KERAS_BACKEND": "numpy"})
    assert "Set KERAS_BACKEND=jax in the environment" in result.stderr
