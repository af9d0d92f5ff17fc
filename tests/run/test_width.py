"""A network at a width is the plain flax network of that size; a width is static, and equal widths are compiled once."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_models import NETWORKS

from reds_jax import Slimmable, Widths, extract, trace
from reds_jax.adapters import adapt
from reds_jax.errors import WidthError
from reds_jax.lowering import lowering
from reds_jax.run import run
from reds_jax.testing import interpret, random_variables


def images(shape: tuple[int, ...], n: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, *shape)).astype(np.float32)


@pytest.mark.parametrize("name", [n if n in ("dnn", "cnn") else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS])
def test_half_a_network_is_the_plain_network_of_that_size(name: str) -> None:
    """Values, statistics and gradients in training, and logits in inference, of unmodified flax with the cut arrays."""
    model, half, shape = NETWORKS[name]
    x = images(shape, 5)
    variables = random_variables(model, x)
    graph = trace(model, variables, x)
    small = extract(model, variables, graph, 0.5)[1]
    plain = adapt(half, small)[0]

    def of(apply):
        def function(variables: dict, x: jax.Array):
            def loss(params):
                y, stats = apply({**variables, "params": params}, x, train=True)
                return (jnp.sin(jnp.arange(float(y.size))).reshape(y.shape) * y).sum(), (y, stats)

            return *jax.grad(loss, has_aux=True)(variables["params"]), apply(variables, x)[0]

        shapes = jax.eval_shape(function, *given[apply])
        return jax.tree.unflatten(jax.tree.structure(shapes), interpret(function, *given[apply]))

    def ours(variables: dict, x: jax.Array, **options):
        return run(model, variables, x, 0.5, **options)

    given = {ours: (variables, x), plain: (small, x)}
    (grads, (y, stats), logits), (half_grads, (half_y, half_stats), half_logits) = of(ours), of(plain)
    close = partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-8)
    close(logits, half_logits)
    close(y, half_y)
    new = {"params": grads, **({"batch_stats": stats} if stats else {})}
    cut = extract(model, new, graph, 0.5)[1]
    jax.tree.map(close, cut["params"], half_grads)
    jax.tree.map(close, cut.get("batch_stats", {}), half_stats)
    inside, everywhere = (sum(np.count_nonzero(g) for g in jax.tree.leaves(tree["params"])) for tree in (cut, new))
    assert inside == everywhere  # nothing behind the prefix is touched


@pytest.mark.parametrize("name", NETWORKS)
def test_slimmable_has_the_parameters_of_its_module_and_runs_it(name: str) -> None:
    model, _, shape = NETWORKS[name]
    x = images(shape, 3)
    net = Slimmable(model)
    full, half = (jax.eval_shape(partial(net.init, width=w), jax.random.key(0), x) for w in (1.0, 0.5))
    assert full == half == jax.eval_shape(model.init, jax.random.key(0), x)
    variables = random_variables(net, x)
    with lowering("lax"):
        y = interpret(lambda v, x: net.apply(v, x), variables, x)
        theirs = interpret(lambda v, x: model.apply(v, x), variables, x)
        np.testing.assert_allclose(y[0], theirs[0], rtol=1e-12, atol=1e-12)
        found, updated = jax.eval_shape(lambda v, x: net.apply(v, x, 0.5, train=True, mutable=["batch_stats"]), variables, x)
    assert found.shape == (3, 3)
    assert jax.tree.map(jnp.shape, updated) == jax.tree.map(np.shape, {k: v for k, v in variables.items() if k != "params"})


def test_one_compilation_for_every_width() -> None:
    """Equal widths, also other objects, hit the cache of the caller's jit, and of run's own."""
    model, _, shape = NETWORKS["dnn"]
    x = images(shape, 2)
    variables, traces = random_variables(model, x), []

    def apply(variables: dict, x: jax.Array, width: object) -> jax.Array:
        traces.append(width)
        return run(model, variables, x, width)[0]

    compiled = jax.jit(apply, static_argnames="width")
    for _ in range(2):
        for width in (1.0, 0.5, Widths.of({"dense_0": 4, "dense_1": 2}), Widths.of({"dense_0": 4, "dense_1": 3})):
            compiled(variables, x, width)
    for _ in range(2):  # equal, but other objects
        compiled(variables, x, Widths.of({"dense_0": np.int64(4), "dense_1": 2}))
        compiled(variables, x, 2 / 4)
    assert len(traces) == compiled._cache_size() == 4


def test_widths_are_the_fraction_of_every_group() -> None:
    model, _, shape = NETWORKS["ds_cnn"]
    x = images(shape, 2)
    variables = random_variables(model, x)
    graph = trace(model, variables, x)
    texts = [str(jax.make_jaxpr(lambda v, x, w=w: run(model, v, x, w)[0])(variables, x)) for w in (0.5, graph.widths(0.5))]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("form", ["dot", "lax"])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_implicit_rank_promotion(form: str, name: str) -> None:
    model, _, shape = NETWORKS[name]
    x = images(shape, 2)
    variables = random_variables(model, x)
    trace(model, variables, x)
    with lowering(form):
        jax.eval_shape(lambda v, x: run(model, v, x, 0.5), variables, x)  # traces the model itself
        with jax.numpy_rank_promotion("raise"):
            jax.eval_shape(lambda v, x: run(model, v, x, 0.25), variables, x)


def test_errors_say_what_to_do() -> None:
    model, _, shape = NETWORKS["dnn"]
    x = images(shape, 1)
    variables = random_variables(model, x)
    with pytest.raises(WidthError, match=r"got 0; allowed: a fraction in \(0, 1\], or Widths"):
        run(model, variables, x, 0)
    with pytest.raises(WidthError, match=r"wrong type; got 'half'"):
        run(model, variables, x, "half")
    with pytest.raises(WidthError, match=r"do not name the channel groups: unknown \[\], missing \['dense_1'\]"):
        run(model, variables, x, Widths.of({"dense_0": 4}))
    with pytest.raises(WidthError, match=r"'dense_0' is not allowed; got 9; allowed: integers from 1 to 8"):
        run(model, variables, x, Widths.of({"dense_0": 9, "dense_1": 2}))


def test_dropout_draws_the_same_masks_at_every_width() -> None:
    """What is left of the units is the same: with the same key a subnetwork is a part of the full network."""

    class Dropped(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
            x = nn.Dropout(0.5, deterministic=not train)(nn.Dense(6, name="hidden")(x))
            return nn.Dense(6, name="logits")(x)

    x = np.ones((4, 3), np.float32)
    variables = random_variables(Dropped(), x)
    identity = {"kernel": np.eye(6, dtype=np.float32), "bias": np.zeros(6, np.float32)}
    only = {"params": {**variables["params"], "logits": identity}}
    key = jax.random.key(3)
    full, half, quarter = (np.asarray(run(Dropped(), only, x, w, train=True, key=key)[0]) for w in (1.0, 0.5, 0.34))
    np.testing.assert_array_equal(half[:, :3], full[:, :3])
    np.testing.assert_array_equal(quarter[:, :2], full[:, :2])
    assert not half[:, 3:].any()
    assert not quarter[:, 2:].any()
    assert 0 < np.count_nonzero(full) < full.size
