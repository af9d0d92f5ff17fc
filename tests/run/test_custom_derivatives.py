"""Derivatives that the user has written are rebuilt at the width, and are those of the smaller network."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax import trace
from reds_jax.run import run
from reds_jax.run.extract import extract
from reds_jax.testing import interpret, random_variables

pytestmark = pytest.mark.usefixtures("as_users_write")


@jax.custom_vjp
def cube(x):
    """Elementwise, with a residual; its backward rule is deliberately not the derivative."""
    return x**3


cube.defvjp(lambda x: (x**3, x), lambda x, g: (5 * x * g,))


@jax.custom_vjp
def reversed_gradient(x):
    """The identity whose gradient is turned round (Ganin and Lempitsky 2015, arXiv 1409.7495)."""
    return x


reversed_gradient.defvjp(lambda x: (x, None), lambda _, g: (-g,))


@jax.custom_vjp
def scaled(x, scale):
    """One scale per channel; the rule sums over all other axes, and doubles it."""
    return x * scale[None]


scaled.defvjp(lambda x, scale: (x * scale[None], (x, scale)),
              lambda saved, g: (g * saved[1][None], 2 * (g * saved[0]).sum(0)))


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def clipped(x, limit):
    """A static argument."""
    return jnp.clip(x, -limit, limit)


clipped.defvjp(lambda x, limit: (jnp.clip(x, -limit, limit), x), lambda limit, x, g: (jnp.where(abs(x) < 2 * limit, g, 0),))


@jax.custom_vjp
def both(x, y):
    """Two arguments and two results."""
    return x * y, x + y


both.defvjp(lambda x, y: ((x * y, x + y), (x, y)), lambda saved, g: (g[0] * saved[1], g[0] * saved[0] + 3 * g[1]))


@jax.custom_vjp
def layer(x, kernel):
    """A layer with a derivative of its own: the gradient of its kernel has channels on both axes."""
    return x @ kernel


layer.defvjp(lambda x, kernel: (x @ kernel, (x, kernel)), lambda saved, g: (2 * g @ saved[1].T, 3 * saved[0].T @ g))


@jax.custom_jvp
def product(x, y):
    """A jvp rule of several arguments, one of which has a tangent that the rule does not read."""
    return x * y


@product.defjvp
def _product(primals, tangents):
    (x, y), (dx, _) = primals, tangents
    return x * y, 7 * dx * y


def body(kind: str, module: nn.Module, x: jax.Array) -> jax.Array:
    scale = module.param("scale", nn.initializers.ones, (x.shape[-1],))
    match kind:
        case "cube":
            return cube(x)
        case "reversed":
            return jnp.tanh(reversed_gradient(x))
        case "scaled":
            return scaled(x, scale)
        case "clipped":
            return clipped(x, 0.5)
        case "both":
            a, b = both(x, jnp.sin(x) * scale)
            return a - 2 * b
        case "product":
            return product(x, jnp.cos(x) * scale)
        case "twice":
            return cube(cube(x) * scale)
        case "relu":
            return nn.relu(x * 0 * scale) + x
    raise ValueError(kind)


class Layered(nn.Module):
    """Two hidden layers, of which the second has a derivative of its own."""

    features: tuple[int, int] = (4, 6)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = jnp.tanh(nn.Dense(self.features[0], use_bias=False, name="first")(x))
        x = jnp.tanh(layer(x, self.param("kernel", nn.initializers.ones, self.features)))
        return nn.Dense(2, name="logits")(x)


def test_a_layer_with_a_derivative_of_its_own_is_cut_on_both_sides() -> None:
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    variables = random_variables(Layered(), x, seed=1)
    graph = trace(Layered(), variables, x)
    assert [g.size for g in graph.groups] == [4, 6]
    small = extract(Layered(), variables, graph, (3, 2))[1]
    ours = interpret(gradient(lambda v, x: run(Layered(), v, x, graph.widths((3, 2)))[0]), variables, x)
    theirs = interpret(gradient(lambda v, x: Layered((3, 2)).apply(v, x)), small, x)
    found = jax.tree.unflatten(jax.tree.structure(variables), ours[1:])
    cut = jax.tree.leaves(extract(Layered(), found, graph, (3, 2))[1])
    for a, b in zip([ours[0], *cut], theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


class Net(nn.Module):
    kind: str
    features: int = 6

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Dense(self.features, name="hidden")(x)
        return nn.Dense(2, name="logits")(body(self.kind, self, x))


def prefix(variables: dict, n: int) -> dict:
    """The variables of the network with n hidden units."""
    p = variables["params"]
    return {"params": {"hidden": {"kernel": p["hidden"]["kernel"][:, :n], "bias": p["hidden"]["bias"][:n]},
                       "logits": {"kernel": p["logits"]["kernel"][:n], "bias": p["logits"]["bias"]}, "scale": p["scale"][:n]}}


def gradient(function: Callable) -> Callable:
    weights = jnp.sin(jnp.arange(6.0)).reshape(3, 2)
    return lambda variables, x: jax.value_and_grad(lambda v: (weights * function(v, x)).sum())(variables)


@pytest.mark.parametrize("kind", ["cube", "reversed", "scaled", "clipped", "both", "product", "twice", "relu"])
@pytest.mark.parametrize("n", [2, 6])
def test_the_rule_at_a_width_is_the_rule_of_the_smaller_network(kind: str, n: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    variables = random_variables(Net(kind), x, seed=1)
    graph = trace(Net(kind), variables, x)
    assert {g.name: g.size for g in graph.groups} == {"hidden": 6}
    ours = interpret(gradient(lambda v, x: run(Net(kind), v, x, graph.widths((n,)))[0]), variables, x)
    theirs = interpret(gradient(lambda v, x: Net(kind, n).apply(v, x)), prefix(variables, n), x)
    names = jax.tree.structure(variables)
    value, found, expected = ours[0], jax.tree.unflatten(names, ours[1:]), jax.tree.unflatten(names, theirs[1:])
    np.testing.assert_allclose(value, theirs[0], rtol=1e-12)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12), prefix(found, n), expected)
    kept = sum(np.count_nonzero(a) for a in jax.tree.leaves(prefix(found, n)))
    assert kept == sum(np.count_nonzero(a) for a in jax.tree.leaves(found)) > 0


@pytest.mark.parametrize("width", [0.3, 0.5, 1.0])
def test_relu_has_no_slope_at_zero_at_any_width(width: float) -> None:
    """`jax.nn.relu` says so by a custom derivative; `jnp.maximum` would have a half."""

    class Dead(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return nn.Dense(2, name="logits")(nn.relu(nn.Dense(6, name="hidden")(x)))

    x = np.ones((1, 3), np.float32)
    variables = random_variables(Dead(), x)
    hidden = jax.tree.map(np.zeros_like, variables["params"]["hidden"])
    variables = {"params": {**variables["params"], "hidden": hidden}}
    found = jax.grad(lambda v: run(Dead(), v, x, width)[0].sum())(variables)["params"]
    assert not any(a.any() for a in found["hidden"].values())
    assert found["logits"]["bias"].all()
