"""Dense layers, batch norm, pools, flatten, activations, add, concat: every form against flax and NumPy in float64."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import assert_same, value_and_gradients

from reds_jax.errors import InvalidArgumentError
from reds_jax.nn import add, avg_pool, concat, flatten, global_avg_pool, leaky_relu, max_pool, ops, relu, relu6
from reds_jax.nn.channel_first import spatial_padding

pytestmark = pytest.mark.usefixtures("float64")


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def test_dense_equals_a_product(form: str) -> None:
    x, kernel, bias = normal(3, 5), normal(5, 4, seed=1), normal(4, seed=2)
    assert_same(value_and_gradients(ops.dense, x, kernel, bias),
                value_and_gradients(lambda x, k, b: x @ k + b[None], x, kernel, bias))


def test_dense_reads_the_rows_it_is_told() -> None:
    x, kernel = normal(3, 4), normal(6, 5, seed=1)
    y = ops.dense(x, kernel, inputs=((0, 1), (3, 6)), outputs=((2, 4),))
    np.testing.assert_allclose(y, x @ kernel[jnp.array([0, 3, 4, 5]), 2:4], rtol=1e-12)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5, 3), (1, 2, 2, 1)])
def test_batch_norm_equals_flax(form: str, shape: tuple[int, ...]) -> None:
    c = shape[-1]
    x, scale, bias = normal(*shape) * 3 + 1, normal(c, seed=1), normal(c, seed=2)
    mean, var = normal(c, seed=3), jnp.exp(normal(c, seed=4))

    def flax_batch_norm(train: bool):
        norm = nn.BatchNorm(use_running_average=not train, epsilon=1e-3, momentum=0.9, dtype=jnp.float64)

        def apply(x, scale, bias):
            variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": {"mean": mean, "var": var}}
            return norm.apply(variables, x, mutable=["batch_stats"])[0]

        return apply

    assert_same(value_and_gradients(lambda x, s, b: ops.batch_norm_train(x, s, b, epsilon=1e-3)[0], x, scale, bias),
                value_and_gradients(flax_batch_norm(True), x, scale, bias), 1e-9)
    assert_same(value_and_gradients(lambda x, s, b: ops.batch_norm(x, s, b, mean, var, epsilon=1e-3), x, scale, bias),
                value_and_gradients(flax_batch_norm(False), x, scale, bias), 1e-9)


@pytest.mark.parametrize(("scale", "bias"), [(None, 2.0), (2.0, None), (None, None)])
def test_batch_norm_without_scale_or_bias(form: str, scale: float | None, bias: float | None) -> None:
    x = normal(4, 3, 3, 2)
    vector = [None if v is None else jnp.full(2, v) for v in (scale, bias)]
    y, mean, var = ops.batch_norm_train(x, *vector, epsilon=1e-3)
    np.testing.assert_allclose(mean, np.mean(x, (0, 1, 2)), atol=1e-12)
    np.testing.assert_allclose(var, np.var(x, (0, 1, 2)), atol=1e-12)
    expected = (x - mean[None, None, None]) / np.sqrt(var + 1e-3) * (scale or 1) + (bias or 0)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    np.testing.assert_allclose(ops.batch_norm(x, *vector, mean, var, epsilon=1e-3), expected, atol=1e-12)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("window", "strides"), [((3, 2), (1, 2)), ((1, 3), (2, 1)), ((5, 4), (1, 1))])
def test_pools_equal_flax(form: str, window: tuple[int, int], strides: tuple[int, int], padding: str) -> None:
    x = normal(2, 6, 5, 3)
    assert_same(value_and_gradients(lambda x: max_pool(x, window, strides, padding), x),
                value_and_gradients(lambda x: nn.max_pool(x, window, strides, padding), x))
    assert_same(value_and_gradients(lambda x: avg_pool(x, window, strides, padding), x),
                value_and_gradients(lambda x: nn.avg_pool(x, window, strides, padding, count_include_pad=False), x))


def test_strides_of_a_pool_default_to_its_window(form: str) -> None:
    x = normal(2, 6, 6, 3)
    np.testing.assert_array_equal(max_pool(x, (3, 2)), max_pool(x, (3, 2), (3, 2)))
    np.testing.assert_array_equal(avg_pool(x, (3, 2)), avg_pool(x, (3, 2), (3, 2)))


def test_global_avg_pool_is_the_mean(form: str) -> None:
    x = normal(2, 4, 3, 5)
    assert_same(value_and_gradients(global_avg_pool, x), value_and_gradients(lambda x: x.mean((1, 2)), x))


def test_flatten_goes_channel_by_channel(form: str) -> None:
    x = normal(2, 4, 3, 5)
    flat = flatten(x)
    np.testing.assert_array_equal(flat, np.transpose(x, (0, 3, 1, 2)).reshape(2, -1))
    np.testing.assert_array_equal(flatten(x[..., :2]), flat[:, : 2 * 4 * 3])  # a prefix of channels is a prefix of rows
    np.testing.assert_array_equal(flatten(flat), flat)
    with pytest.raises(InvalidArgumentError, match=r"got \(2, 4, 3\); allowed: \[N, H, W, C\] or \[N, C\]"):
        flatten(x[..., 0])


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 3, 4)])
def test_activations(form: str, shape: tuple[int, ...]) -> None:
    x = normal(*shape) * 5
    assert_same(value_and_gradients(relu, x), value_and_gradients(jax.nn.relu, x))
    assert_same(value_and_gradients(relu6, x), value_and_gradients(jax.nn.relu6, x))
    assert_same(value_and_gradients(leaky_relu, x), value_and_gradients(lambda x: jax.nn.leaky_relu(x, 0.3), x))
    assert_same(value_and_gradients(lambda x: leaky_relu(x, 0.1), x),
                value_and_gradients(lambda x: jax.nn.leaky_relu(x, 0.1), x))


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 3, 4)])
def test_add_and_concat(form: str, shape: tuple[int, ...]) -> None:
    x, y = normal(*shape), normal(*shape, seed=1)
    assert_same(value_and_gradients(add, x, y), value_and_gradients(jnp.add, x, y))
    assert_same(value_and_gradients(concat, x, y), value_and_gradients(lambda *a: jnp.concatenate(a, -1), x, y))
    with pytest.raises(InvalidArgumentError, match="a residual add has two shapes"):
        add(x, y[..., :2])


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_padding_agrees_with_lax(padding: str) -> None:
    for n in range(1, 12):
        for k in range(1, 6 if padding == "SAME" else min(n, 5) + 1):
            for s in range(1, 5):
                theirs = jax.lax.padtype_to_pads((n, n), (k, k), (s, s), padding)
                assert list(spatial_padding(padding, (n, n), (k, k), (s, s))) == [tuple(p) for p in theirs]
