"""The Gram matrices of contributions are those that come out when every unit is left alone in the layer that reads it."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax import trace
from reds_jax.adapters import adapt
from reds_jax.run import contributions
from reds_jax.run.contributions import gram_matrices


class Reads(nn.Module):
    """Six units behind a nonlinearity, a depthwise convolution in between, and one reader whose sums are the output."""

    reader: str

    @nn.compact
    def __call__(self, image):
        x = nn.relu(nn.Conv(6, (3, 3), name="units")(image))
        x = nn.relu(nn.Conv(6, (3, 3), feature_group_count=6, name="between")(x))
        if self.reader == "convolution":
            return nn.Conv(3, (3, 2), (2, 1), kernel_dilation=(1, 2), name="reads")(x)
        if self.reader == "pointwise":
            return nn.Conv(3, (1, 1), (2, 2), name="reads")(x)
        if self.reader == "transposed":
            return nn.ConvTranspose(3, (3, 2), (2, 2), name="reads")(x)
        if self.reader == "flatten":
            return nn.Dense(3, name="reads")(x.reshape(len(x), -1))
        if self.reader == "several axes":
            return nn.DenseGeneral(3, (-3, -1), name="reads")(x)  # rows and channels are summed over, columns stay
        x = jnp.concatenate([x, nn.Conv(2, (1, 1), name="others")(image)], -1)
        return nn.Conv(3, (1, 1), name="reads")(x)


READERS = ("convolution", "pointwise", "transposed", "flatten", "several axes", "concatenation")


def one_by_one(graph, model, variables, x, path, group=0):
    """The Gram matrix of ``f(only unit u) - f(no unit)`` over all outputs, by cutting the kernel that reads the units."""
    parameter = next(p for p in graph.parameters if p.path == path)
    axis, place = next((a, i) for i, a in enumerate(parameter.axes) if a is not None)
    layer = path.split("/")[1]
    kernel = np.asarray(variables["params"][layer]["kernel"])

    def sums(mask):
        kept = kernel * mask.reshape([-1 if i == place else 1 for i in range(kernel.ndim)])
        params = {**variables["params"], layer: {**variables["params"][layer], "kernel": kept}}
        y = np.asarray(model.apply({"params": params}, x), np.float64)
        return y.reshape(-1, y.shape[-1])

    nothing = sums(np.zeros(len(axis.group)))
    z = np.stack([sums(((axis.group == group) & (axis.unit == u)).astype(np.float32)) - nothing
                  for u in range(graph.groups[group].size)], 1)
    z -= z.mean(0)
    return np.einsum("ruo,rvo->uv", z, z) / len(z)


@pytest.fixture(scope="module", params=READERS)
def case(request):
    model = Reads(request.param)
    x = jax.random.normal(jax.random.key(0), (6, 7, 6, 2))
    variables = jax.tree.map(np.asarray, model.init(jax.random.key(1), x))
    return model, variables, x, trace(model, variables, x)


def test_each_kind_of_reader_gives_the_matrix_of_units_left_alone(case):
    model, variables, x, graph = case
    found = gram_matrices(*adapt(model, variables), [x])["units"]
    expected = one_by_one(graph, model, variables, x, "params/reads/kernel")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_batches_are_taken_together(case):
    """Means are those of all batches: the parts about their own means would give another matrix."""
    model, variables, x, _ = case
    x = x + jnp.arange(6.0)[:, None, None, None]
    adapted = adapt(model, variables)
    whole, parts = gram_matrices(*adapted, [x]), gram_matrices(*adapted, [x[:2], x[2:4], x[4:]])
    for name, matrix in whole.items():
        np.testing.assert_allclose(parts[name], matrix, rtol=1e-3, atol=1e-5 * matrix.max())


def test_a_part_of_the_rows_is_near_all_of_them(monkeypatch):
    model, x = Reads("convolution"), jax.random.normal(jax.random.key(0), (40, 8, 8, 2))
    variables = jax.tree.map(np.asarray, model.init(jax.random.key(1), x))
    whole = gram_matrices(*adapt(model, variables), [x])["units"]
    monkeypatch.setattr(contributions, "ROWS", 400)
    part = gram_matrices(*adapt(model, variables), [x])["units"]
    assert not np.array_equal(part, whole)
    assert np.abs(part - whole).max() < 0.25 * whole.max()
    np.testing.assert_array_equal(part, gram_matrices(*adapt(model, variables), [x])["units"])  # the same rows again


class Stream(nn.Module):
    """A stream with a loop of two blocks that read it and add to it; the head reads it once more."""

    @nn.compact
    def __call__(self, x):
        block = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=2)
        x, _ = block(name="blocks")(nn.Dense(5, name="stream")(x), None)
        return nn.Dense(3, name="head")(x)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return x + nn.Dense(5, name="adds")(nn.relu(nn.Dense(4, name="reads")(x))), None


def test_all_readers_of_a_stream_add_up_also_those_in_a_loop():
    model, x = Stream(), jax.random.normal(jax.random.key(0), (9, 4))
    variables = jax.tree.map(np.asarray, model.init(jax.random.key(1), x))
    p = variables["params"]
    cov = partial(np.cov, rowvar=False, bias=True)
    h, expected, inner = np.asarray(x) @ p["stream"]["kernel"], np.zeros((5, 5)), np.zeros((4, 4))
    for i in range(2):
        reads, adds = p["blocks"]["reads"]["kernel"][i], p["blocks"]["adds"]["kernel"][i]
        expected += cov(h) * (reads @ reads.T)
        hidden = np.maximum(h @ reads, 0)
        inner += cov(hidden) * (adds @ adds.T)
        h = h + hidden @ adds
    expected += cov(h) * (p["head"]["kernel"] @ p["head"]["kernel"].T)
    found = gram_matrices(*adapt(model, variables), [x[:4], x[4:]])
    np.testing.assert_allclose(found["stream"], expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found["blocks/reads"], inner, rtol=1e-3, atol=1e-6)
