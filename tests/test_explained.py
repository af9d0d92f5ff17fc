"""Pivoted Cholesky as an order of units, and the importance that is made of it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reds_jax import trace
from reds_jax.errors import InvalidArgumentError
from reds_jax.explained import pivoted_cholesky
from reds_jax.graph.permute import descending, permute
from reds_jax.importance import explained, score


@st.composite
def grams(draw):
    """Gram matrices of up to six vectors in up to six dimensions, of small integers: repeats and dead units included."""
    units, rank = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    vectors = np.array(draw(st.lists(st.lists(st.integers(-3, 3), min_size=rank, max_size=rank), min_size=units,
                                     max_size=units)), float)
    return vectors @ vectors.T


@given(grams())
def test_what_a_prefix_explains_is_the_trace_of_the_projection(gram):
    order, _pivots, explained_trace = pivoted_cholesky(gram)
    assert sorted(order.tolist()) == list(range(len(gram)))
    for k in range(1, len(gram) + 1):
        p = order[:k]
        projected = gram[:, p] @ np.linalg.pinv(gram[np.ix_(p, p)], rcond=1e-9, hermitian=True) @ gram[p]
        assert explained_trace[k - 1] == pytest.approx(np.trace(projected), abs=1e-6 * (1 + np.trace(gram)))
    assert explained_trace[-1] == pytest.approx(np.trace(gram))


@given(grams())
def test_the_next_unit_is_the_one_explained_least(gram):
    order, pivots, _ = pivoted_cholesky(gram)
    assert (np.diff(pivots) <= 0).all()
    assert (pivots >= 0).all()
    for k in range(len(gram)):
        p, rest = order[:k], order[k:]
        left = gram - gram[:, p] @ np.linalg.pinv(gram[np.ix_(p, p)], rcond=1e-9, hermitian=True) @ gram[p]
        assert pivots[k] == pytest.approx(max(left[i, i] for i in rest), abs=1e-6 * (1 + np.trace(gram)))


@pytest.mark.parametrize("bad", [np.ones((2, 3)), np.array([[np.nan]]), np.array([[1.0, 2.0], [0.0, 1.0]]), -np.eye(2)])
def test_what_is_no_gram_matrix_is_refused(bad):
    with pytest.raises(InvalidArgumentError, match="Gram matrix"):
        pivoted_cholesky(bad)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, name="reads")(nn.relu(nn.Dense(4, name="units")(x)))


@pytest.fixture(scope="module")
def repeated():
    """A network whose unit 1 repeats unit 0, and whose unit 3 is dead."""
    x = jax.random.normal(jax.random.key(0), (64, 5))
    params = jax.tree.map(np.array, Net().init(jax.random.key(1), x))["params"]
    params["units"]["kernel"][:, 1] = params["units"]["kernel"][:, 0]
    params["reads"]["kernel"][1] = params["reads"]["kernel"][0] * 0.9
    params["units"]["bias"][3] = -100
    return {"params": params}, x


def test_a_repeated_unit_comes_behind_what_it_repeats_and_a_dead_one_last(repeated):
    variables, x = repeated
    graph = trace(Net(), variables, x)
    scores = score("explained", Net(), variables, graph, [(x, None)])["units"]
    assert scores[1] < 1e-3 * scores[0]
    assert scores[2] > 0
    assert scores[3] == 0
    order = descending({"units": scores}, graph)["units"].tolist()
    assert set(order[:2]) == {0, 2}
    sorted_net = permute(variables, graph, {"units": scores})
    again = explained(Net(), sorted_net, graph, [(x, None)])["units"]
    np.testing.assert_allclose(again, scores[order], rtol=1e-3, atol=1e-6)


def test_inputs_are_read_as_the_model_reads_them(repeated):
    variables, x = repeated
    graph = trace(Net(), variables, x)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 5)).astype(np.uint8)
    as_floats = explained(Net(), variables, graph, [(pixels.astype(np.float32) / 255, None)])
    np.testing.assert_allclose(explained(Net(), variables, graph, [(pixels, None)])["units"], as_floats["units"], rtol=1e-5)
    twice = explained(Net(), variables, graph, [(x, None)], preprocess=_doubled)
    np.testing.assert_allclose(twice["units"], explained(Net(), variables, graph, [(2 * x, None)])["units"], rtol=1e-5)


def _doubled(x):
    return 2 * jnp.asarray(x)


def test_no_data_and_bad_data_are_refused(repeated):
    variables, x = repeated
    graph = trace(Net(), variables, x)
    with pytest.raises(InvalidArgumentError, match="needs data"):
        explained(Net(), variables, graph)
    with pytest.raises(InvalidArgumentError, match="scoring batch 1"):
        explained(Net(), variables, graph, [(x, None), (x.at[3, 0].set(jnp.nan), None)])
