"""Batch norm with the statistics of the batch: found in the programs of flax, its closed-form gradient, and what is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import assert_same, value_and_gradients
from flax import linen as nn
from flax import nnx

from reds_jax import Slimmable
from reds_jax.adapters import adapt
from reds_jax.graph.trace import trace, traced
from reds_jax.lowering import lowering
from reds_jax.program.flat import Operation
from reds_jax.run import run
from reds_jax.run.fuse import fused
from reds_jax.run.normalise import normalise_batch
from reds_jax.testing import interpret, random_variables

X = np.random.default_rng(0).normal(size=(4, 3, 2, 5)).astype(np.float32)


@pytest.mark.parametrize(("shape", "axis"), [((6, 3), 1), ((4, 3, 5, 3), 3), ((3, 4, 2), 0), ((1, 2, 2, 1), 3)])
@pytest.mark.usefixtures("float64")
def test_the_closed_form_equals_automatic_differentiation(shape: tuple[int, ...], axis: int) -> None:
    rng = np.random.default_rng(1)
    x = jnp.asarray(3 * rng.normal(size=shape) + 1)
    scale, bias = (jnp.asarray(rng.normal(size=shape[axis])) for _ in range(2))
    rest = tuple(i for i in range(len(shape)) if i != axis)

    def spread(v: jax.Array) -> jax.Array:
        return v.reshape([-1 if i == axis else 1 for i in range(len(shape))])

    def plain(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        mean = x.mean(rest)
        var = jnp.maximum((x * x).mean(rest) - mean**2, 0)
        y = (x - spread(mean)) * spread(jax.lax.rsqrt(var + 1e-3) * scale) + spread(bias)
        return jnp.concatenate([y.ravel(), mean, 2 * var])

    def ours(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        y, mean, var = normalise_batch(x, scale, bias, axis, 1e-3)
        return jnp.concatenate([y.ravel(), mean, 2 * var])

    assert_same(value_and_gradients(ours, x, scale, bias), value_and_gradients(plain, x, scale, bias), 1e-9)


def norms(model: object, variables: object = None) -> list[Operation]:
    """The batch norms that are found in the training program."""
    pure, variables = adapt(model, variables)
    program = traced(pure, variables, X).programs[True, True]
    return [op for op in fused(program) if isinstance(op, Operation) and op.primitive.name == "batch_norm"]


FAR = (3000 + np.random.default_rng(2).normal(size=(64, 6, 6, 4))).astype(np.float32)  # mean / std is 3000


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 2, 0)], ids=["channels last", "channels first"])
def test_the_variance_of_values_far_from_zero(order):
    """E[x^2] - E[x]^2 in float32 has nothing left of it: sums are taken of shifted values, also in the gradient."""
    x, axis = np.transpose(FAR, order), order.index(3)
    exact = x.astype(np.float64)
    rest = tuple(i for i in range(4) if i != axis)
    mean, var = exact.mean(rest, keepdims=True), exact.var(rest, keepdims=True)
    h = (exact - mean) / np.sqrt(var + 1e-3)
    g = 1 + np.random.default_rng(3).normal(size=x.shape).astype(np.float32)
    ones = jnp.ones(4)
    (y, *found), pull = jax.vjp(lambda x, s, b: normalise_batch(x, s, b, axis, 1e-3), jnp.asarray(x), ones, 0 * ones)
    dx, d_scale, _ = pull((jnp.asarray(g), 0 * ones, 0 * ones))
    for a, b in zip(found, (mean, var), strict=True):
        np.testing.assert_allclose(a, b.ravel(), rtol=1e-5)
    np.testing.assert_allclose(y, h, atol=3e-3)
    sums = [(g * v).sum(rest, keepdims=True, dtype=np.float64) for v in (1, h)]
    np.testing.assert_allclose(d_scale, sums[1].ravel(), rtol=1e-3, atol=1e-2)
    n = x.size // 4
    np.testing.assert_allclose(dx, (g - sums[0] / n - h * sums[1] / n) / np.sqrt(var + 1e-3), atol=1e-3)


class Around(nn.Module):
    """Something between two layers."""

    norm: nn.Module

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = nn.Conv(6, (1, 1))(x)
        x = self.norm(x, use_running_average=not train) if isinstance(self.norm, nn.BatchNorm) else self.norm(x, train)
        return nn.Dense(2)(nn.relu(x).mean((1, 2)))


@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"use_scale": False}, {"use_bias": False, "use_scale": False},
                                     {"epsilon": 0.5, "momentum": 0.5}], ids=str)
def test_batch_norm_of_linen_is_found(options: dict) -> None:
    net = Around(nn.BatchNorm(**options))
    (found,) = norms(net, random_variables(net, X))
    assert found.params == {"axis": 3, "epsilon": pytest.approx(options.get("epsilon", 1e-5)),
                            "scale": options.get("use_scale", True), "bias": options.get("use_bias", True)}
    assert found.outputs[0].shape == (4, 3, 2, 6)


def test_batch_norm_of_nnx_is_found() -> None:
    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.conv, self.norm = nnx.Conv(5, 6, (1, 1), rngs=rngs), nnx.BatchNorm(6, rngs=rngs)
            self.dense = nnx.Linear(6, 2, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.dense(nnx.relu(self.norm(self.conv(x))).mean((1, 2)))

    assert len(norms(Net(nnx.Rngs(0)))) == 1


class Changed(nn.Module):
    """What looks like batch norm and is none."""

    kind: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        if not train:
            return x
        rest = (0, 1, 2)
        mean = x.mean(rest)
        var = jnp.maximum((x * x).mean(rest) - mean**2, 0)
        match self.kind:
            case "another mean":
                mean = (2 * x).mean(rest)
            case "another variance":
                var = (x * x).mean(rest)
            case "variance of something else":
                var = jnp.maximum((x * x * x).mean(rest) - mean**2, 0)
            case "over positions":
                mean = x.mean((1, 2), keepdims=True)
                centred, var = x - mean, jnp.maximum((x * x).mean((1, 2), keepdims=True) - mean**2, 0)
                return centred * jax.lax.rsqrt(var + 1e-3)
            case "a sum":
                mean = x.sum(rest)
            case "not below a tenth":
                var = jnp.maximum(var, 0.1)
        centred = x - mean.reshape(1, 1, 1, -1)
        factor = jax.lax.rsqrt(var.reshape(1, 1, 1, -1) + 1e-3)
        y = centred * factor
        return y + centred if self.kind == "the centred value is kept" else y


KINDS = ["another mean", "another variance", "variance of something else", "over positions", "a sum", "not below a tenth",
         "the centred value is kept"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_batch_norm_is_left_alone(kind: str) -> None:
    net = Around(Changed(kind))
    assert norms(net, random_variables(net, X)) == []


def test_a_batch_norm_written_out_is_one() -> None:
    net = Around(Changed("exact"))
    assert len(norms(net, random_variables(net, X))) == 1


def test_the_fused_program_computes_the_same() -> None:
    """In training, at a width, with the new statistics, two norms behind each other: against flax itself."""

    class Two(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
            x = nn.BatchNorm(not train, momentum=0.75, name="first")(nn.Dense(6)(x))
            x = nn.BatchNorm(not train, momentum=0.75, name="second")(x + nn.sigmoid(x))
            return nn.Dense(2)(x)

    variables = random_variables(Two(), X)
    assert len(norms(Two(), variables)) == 2
    pure, _ = adapt(Two(), variables)
    found = traced(pure, variables, X).programs[True, True]
    ours = interpret(lambda v, x: run(Two(), v, x, train=True), variables, X)
    theirs = interpret(lambda v, x: Two().apply(v, x, train=True, mutable=["batch_stats"]), variables, X)
    assert len(ours) == len(theirs) == 1 + len(found.states)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


class Kept(nn.Module):
    """Batch statistics of the input in many hands: what flax, nnx and users write, all as E[x^2] - E[x]^2."""

    kind: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        norm = nn.BatchNorm(not train, momentum=0.5, dtype=jnp.bfloat16 if self.kind == "bfloat16" else None, name="norm")
        match self.kind:
            case "flax" | "bfloat16":
                y = norm(x)
            case "by hand":  # that is no batch norm, but a variance
                mean, square = (v.mean((0, 1, 2), keepdims=True) for v in (x, jnp.square(x)))
                var = self.variable("batch_stats", "var", lambda: jnp.ones(mean.shape))
                if train and not self.is_initializing():
                    var.value = 0.5 * var.value + 0.5 * (square - mean**2)
                y = x / jnp.sqrt(var.value)
            case _:
                raise AssertionError(self.kind)
        return nn.Dense(2)(y.mean((1, 2)))


@pytest.mark.parametrize("kind", ["flax", "bfloat16", "by hand"])
def test_the_variance_of_a_batch_far_from_zero_is_exact_in_training(kind: str) -> None:
    net = Kept(kind)
    variables = jax.tree.map(jnp.zeros_like, net.init(jax.random.key(0), FAR[:1]))
    stats = run(net, variables, FAR, train=True)[1]
    var = np.ravel(stats["var"] if kind == "by hand" else stats["norm"]["var"]) / 0.5
    np.testing.assert_allclose(var, FAR.astype(np.float64).var((0, 1, 2)), rtol=1e-5)


class TwoNorms(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        for features in (6, 4):
            x = nn.BatchNorm(not train)(nn.Conv(features, (1, 1))(x))
        return nn.Dense(2)(x.mean((1, 2)))


@pytest.mark.parametrize(("train", "in_closed_form"), [(True, 2), (False, 0)])
def test_training_runs_what_was_found(train: bool, in_closed_form: int) -> None:
    """The program that runs has a closed-form gradient for every batch norm in training, and none in inference."""
    variables = random_variables(TwoNorms(), X)
    with lowering("dot"):
        program = jax.make_jaxpr(lambda v, x: run(TwoNorms(), v, x, 0.5, train=train))(variables, X)
    assert str(program).count("custom_vjp_call[") == in_closed_form


def test_slimmable_writes_the_statistics_that_a_run_returns() -> None:
    """``mutable=["batch_stats"]`` gets the moving averages, updated at the channels that stay."""
    variables = random_variables(TwoNorms(), X)
    _, changed = Slimmable(TwoNorms()).apply(variables, X, 0.5, train=True, mutable=["batch_stats"])
    expected = run(TwoNorms(), variables, X, 0.5, train=True)[1]
    jax.tree.map(np.testing.assert_array_equal, changed["batch_stats"], expected)
    moved = np.asarray(changed["batch_stats"]["BatchNorm_0"]["mean"] != variables["batch_stats"]["BatchNorm_0"]["mean"])
    assert moved.tolist() == [True] * 3 + [False] * 3


def test_statistics_are_put_back_without_a_scatter() -> None:
    """A scatter and its derivative are several kernels for each statistic of each subnetwork, all of which are compiled."""
    variables = random_variables(TwoNorms(), X)

    def loss(params: dict, x: jax.Array) -> tuple[jax.Array, dict]:
        y, new = run(TwoNorms(), {**variables, "params": params}, x, 0.5, train=True)
        return y.sum(), new

    program = jax.make_jaxpr(jax.grad(loss, has_aux=True))(variables["params"], X)
    assert "scatter" not in str(program)
    new = jax.grad(loss, has_aux=True)(variables["params"], X)[1]["BatchNorm_1"]["var"]
    assert np.flatnonzero(new != variables["batch_stats"]["BatchNorm_1"]["var"]).tolist() == [0, 1]


class Joined(nn.Module):
    """Two layers side by side, with a bias and a batch norm over both: what is kept of them is no prefix."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        y = jnp.concatenate([nn.Dense(4, name="left")(x), nn.Dense(6, name="right")(x)], -1)
        y = y + self.param("bias", nn.initializers.normal(), (10,))
        return nn.Dense(3, name="logits")(nn.relu(nn.BatchNorm(not train, momentum=0.75, name="norm")(y)))


@pytest.mark.parametrize("train", [True, False])
def test_biases_and_batch_norm_behind_a_concatenation_are_read_at_the_kept_positions(train: bool) -> None:
    """In training, too, in plain NumPy: the bias of the layer, and scale, bias and new statistics of the batch norm."""
    x = np.random.default_rng(5).normal(size=(16, 5)).astype(np.float32)
    variables = random_variables(Joined(), x)
    graph = trace(Joined(), variables, x)
    widths = tuple({4: 2, 6: 3}[g.size] for g in graph.groups)
    kept = np.array([0, 1, 4, 5, 6])
    p, stats = (jax.tree.map(lambda a: np.asarray(a, np.float64), variables[name]) for name in ("params", "batch_stats"))
    y = np.concatenate([x @ p[name]["kernel"] + p[name]["bias"] for name in ("left", "right")], -1)[:, kept] + p["bias"][kept]
    mean, var = (y.mean(0), y.var(0)) if train else (stats["norm"][s][kept] for s in ("mean", "var"))
    z = (y - mean) / np.sqrt(var + 1e-5) * p["norm"]["scale"][kept] + p["norm"]["bias"][kept]
    expected = np.maximum(z, 0) @ p["logits"]["kernel"][kept] + p["logits"]["bias"]
    found, new = run(Joined(), variables, x, graph.widths(widths), train=train)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for name, batch in (("mean", mean), ("var", var)):
        moved = stats["norm"][name].copy()
        moved[kept] = 0.75 * moved[kept] + 0.25 * batch if train else moved[kept]
        np.testing.assert_allclose(new["norm"][name], moved, rtol=1e-4, atol=1e-6)
