"""A network at a width is the network made of the prefixes of its parameters; a width is static and never touches init."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import QUICK

from reds_jax.errors import InvalidArgumentError, WidthError
from reds_jax.models import CNN, DNN, DSCNN, MobileNetV1, ResNet
from reds_jax.nn import BatchNorm, Conv, Dense, DepthwiseConv, concat, lowering
from reds_jax.widths import Widths

# a small network at full width, the network that half of it is, and an image
NETWORKS = {
    "dnn": (DNN(3, (8, 6)), DNN(3, (4, 3)), (4, 3, 1)),
    "cnn": (CNN(3, (6, 4), 4, 8), CNN(3, (3, 2), 2, 4), (29, 9, 1)),
    "ds_cnn": (DSCNN(3, 6, (4, 3), (2, 1), ((1, 1), (2, 2)), (3, 2)), DSCNN(3, 3, (4, 3), (2, 1), ((1, 1), (2, 2)), (3, 2)),
               (11, 6, 1)),
    "mobilenet": (MobileNetV1(3, 4, ((6, 1), (8, 2))), MobileNetV1(3, 2, ((3, 1), (4, 2))), (8, 9, 3)),
    "resnet": (ResNet(3, (4, 6)), ResNet(3, (2, 3)), (7, 8, 3)),
}


def variables_of(model: nn.Module, shape: tuple[int, ...]) -> dict:
    """Random variables, the variances positive: an initial network has zero biases and would hide mistakes."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape))))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape)), shapes)
    return {**variables, "batch_stats": jax.tree.map(jnp.exp, variables.get("batch_stats", {}))}


def prefixes(variables: dict, like: dict) -> dict:
    """The leading part of every array, in the shapes of ``like``."""
    return jax.tree.map(lambda full, small: full[tuple(slice(n) for n in small.shape)], variables, like)


def run(model: nn.Module, width: object):
    """(variables, images) -> (value, new statistics), gradients, in training mode; logits in inference."""

    def apply(variables: dict, x: jax.Array):
        def loss(params):
            y, new = model.apply({**variables, "params": params}, x, width, train=True, mutable=["batch_stats"])
            return (jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape) * y).sum(), (y, new)

        return jax.grad(loss, has_aux=True)(variables["params"]), model.apply(variables, x, width)

    return jax.jit(apply, compiler_options=QUICK)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.usefixtures("float64", "quick_form")
def test_half_a_network_is_the_network_of_the_prefixes(name: str) -> None:
    model, half, shape = NETWORKS[name]
    variables, small = variables_of(model, shape), variables_of(half, shape)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(5, *shape)))
    (grads, (y, stats)), logits = run(model, 0.5)(variables, x)
    (grads_half, (y_half, stats_half)), logits_half = run(half, 1.0)(prefixes(variables, small), x)
    np.testing.assert_allclose(logits, logits_half, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(y, y_half, rtol=1e-9, atol=1e-9)
    new = {"params": grads, **stats}
    for ours, theirs in zip(jax.tree.leaves(prefixes(new, {"params": grads_half, **stats_half})),
                            jax.tree.leaves({"params": grads_half, **stats_half}), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)
    inside = sum(np.count_nonzero(g) for g in jax.tree.leaves(prefixes(grads, small["params"])))
    assert inside == sum(np.count_nonzero(g) for g in jax.tree.leaves(grads))  # nothing behind the prefix is touched


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.usefixtures("quick_form")
def test_widths_equal_the_fraction(name: str) -> None:
    model, half, shape = NETWORKS[name]
    variables, small = variables_of(model, shape), variables_of(half, shape)
    widths = Widths.of({name: p["kernel"].shape[-1] for name, p in small["params"].items() if "kernel" in p})
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, *shape)), jnp.float32)
    np.testing.assert_array_equal(*(jax.jit(model.apply, static_argnums=2)(variables, x, width) for width in (widths, 0.5)))


def test_statistics_behind_the_prefix_stay() -> None:
    norm = BatchNorm(momentum=0.75)
    variables = variables_of(norm, (3, 3, 6))
    x = jnp.asarray(np.random.default_rng(1).normal(size=(4, 3, 3, 4)), jnp.float32)
    _, new = norm.apply(variables, x, 0.5, train=True, mutable=["batch_stats"])
    old, new = variables["batch_stats"], new["batch_stats"]
    np.testing.assert_array_equal(new["mean"][4:], old["mean"][4:])
    np.testing.assert_array_equal(new["var"][4:], old["var"][4:])
    np.testing.assert_allclose(new["mean"][:4], 0.75 * old["mean"][:4] + 0.25 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(new["var"][:4], 0.75 * old["var"][:4] + 0.25 * x.var((0, 1, 2)), rtol=1e-5)


def test_one_compilation_a_width_and_equal_widths_hit_the_cache() -> None:
    model, _, shape = NETWORKS["dnn"]
    variables, x = variables_of(model, shape), jnp.zeros((2, *shape))
    traces = []

    def apply(variables: dict, x: jax.Array, width: object) -> jax.Array:
        traces.append(width)
        return model.apply(variables, x, width)

    compiled = jax.jit(apply, static_argnames="width")
    for _ in range(2):
        for width in (1.0, 0.5, Widths.of({"dense_0": 4, "dense_1": 2}), Widths.of({"dense_0": 4, "dense_1": 3})):
            compiled(variables, x, width)
    for _ in range(2):  # equal, but other objects
        compiled(variables, x, Widths.of({"dense_0": np.int64(4), "dense_1": 2}))
        compiled(variables, x, 2 / 4)
    assert len(traces) == compiled._cache_size() == 4


def test_init_ignores_the_width() -> None:
    for model, _, shape in NETWORKS.values():
        x = jnp.zeros((1, *shape))
        full, half = (jax.eval_shape(model.init, jax.random.key(0), x),
                      jax.eval_shape(lambda k, x, m=model: m.init(k, x, 0.5), jax.random.key(0), x))
        assert full == half
    model, _, shape = NETWORKS["dnn"]
    full, half = (model.init(jax.random.key(0), jnp.zeros((1, *shape)), width) for width in (1.0, 0.5))
    jax.tree.map(np.testing.assert_array_equal, full, half)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_implicit_rank_promotion(form: str, name: str) -> None:
    model, _, shape = NETWORKS[name]
    variables = variables_of(model, shape)
    with jax.numpy_rank_promotion("raise"):
        jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape))))
        jax.eval_shape(run(model, 0.5), variables, jnp.zeros((2, *shape)))


@pytest.mark.usefixtures("float64")
def test_grouped_convolution_keeps_whole_groups(form: str) -> None:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 4, 4, 4)))
    full, half = Conv(12, groups=4), Conv(6, groups=2)
    variables = variables_of(full, (4, 4, 8))
    np.testing.assert_allclose(full.apply(variables, x, 0.5),
                               half.apply(prefixes(variables, variables_of(half, (4, 4, 4))), x), rtol=1e-12)


class _Joined(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, width: object = 1.0) -> jax.Array:
        parts = [Conv(4, (1, 1), name=name)(x, width) for name in ("left", "right")]
        return Conv(3, (1, 1), name="last")(concat(*parts), reads=width)


@pytest.mark.usefixtures("float64")
def test_a_layer_behind_a_concat_reads_the_rows_of_what_is_kept(form: str) -> None:
    model = _Joined()
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 3, 2)))
    variables = variables_of(model, (3, 3, 2))
    widths = Widths((("left", 3), ("right", 2)), inputs=(("last", ((0, 3), (4, 6))),))
    cut = jax.tree.map(jnp.zeros_like, variables["params"])
    for name, n in (("left", 3), ("right", 2)):
        cut[name] = jax.tree.map(lambda a, n=n: a.at[..., n:].set(0), variables["params"][name])
    masked = model.apply({"params": {**variables["params"], **{k: cut[k] for k in ("left", "right")}}}, x)
    np.testing.assert_allclose(model.apply(variables, x, widths), masked, rtol=1e-12)


def test_the_form_is_chosen_by_the_switch() -> None:
    model, _, shape = NETWORKS["ds_cnn"]
    variables, x = variables_of(model, shape), jnp.zeros((1, *shape))
    for form, convolutions in (("dot", 0), ("lax", 5), ("auto", 0 if jax.default_backend() == "cpu" else 5)):
        with lowering(form):
            text = str(jax.make_jaxpr(lambda v: model.apply(v, x))(variables))
        assert text.count("conv_general_dilated") == convolutions
    with pytest.raises(InvalidArgumentError, match=r"unknown lowering; got 'fast'; allowed: auto, dot, lax"), lowering("fast"):
        pass


def test_errors_say_what_to_do() -> None:
    model, _, shape = NETWORKS["dnn"]
    variables, x = variables_of(model, shape), jnp.zeros((1, *shape))
    with pytest.raises(WidthError, match=r"got 0; allowed: a fraction in \(0, 1\], or Widths"):
        model.apply(variables, x, 0)
    with pytest.raises(WidthError, match=r"wrong type; got 'half'"):
        model.apply(variables, x, "half")
    with pytest.raises(WidthError, match=r"no entry for the layer 'dense_1'; got \['dense_0'\]\. .*graph.widths"):
        model.apply(variables, x, Widths.of({"dense_0": 4}))
    with pytest.raises(WidthError, match=r"'dense_0' cannot keep channel 8; got .*; allowed: up to 8 channels"):
        model.apply(variables, x, Widths.of({"dense_0": 9, "dense_1": 2}))
    with pytest.raises(InvalidArgumentError, match=r"'dense_0' cannot read its input; got \(1, 20\); allowed: up to 12"):
        model.apply(variables, jnp.zeros((1, 20)))
    with pytest.raises(InvalidArgumentError, match=r"cannot be cut into groups; got 5; allowed: .*multiple of 2"):
        Conv(5, groups=2).init(jax.random.key(0), jnp.zeros((1, 4, 4, 4)))
    with pytest.raises(InvalidArgumentError, match="cannot read its input"):
        DepthwiseConv().apply(DepthwiseConv().init(jax.random.key(0), jnp.zeros((1, 4, 4, 2))), jnp.zeros((1, 4, 4, 3)))
    with pytest.raises(InvalidArgumentError, match="cannot read its input"):
        Dense(2).apply(Dense(2).init(jax.random.key(0), jnp.zeros((1, 2))), jnp.zeros((1, 3)))
