"""`sharing` changes no value and no gradient of nested subnetworks, and takes work away."""

from collections import Counter
from contextlib import nullcontext

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import QUICK
from test_width import NETWORKS, variables_of

from reds_jax.models import DSCNN
from reds_jax.nn import lowering, sharing

FRACTIONS = (1.0, 0.5, 0.2)


def nested(model, share: bool, fractions=FRACTIONS):
    """(variables, x) -> the gradients of a loss over all subnetworks, with every subnetwork's logits and statistics."""

    def run(variables: dict, x: jax.Array):
        def loss(params):
            with sharing() if share else nullcontext():
                outs = [model.apply({**variables, "params": params}, x, f, train=True, mutable=["batch_stats"])
                        for f in fractions]
            weights = jnp.sin(jnp.arange(x.shape[0] * 3, dtype=x.dtype)).reshape(-1, 3)
            return sum(jnp.sum((i + 1) * weights * jnp.tanh(y)) for i, (y, _) in enumerate(outs)), outs

        return jax.grad(loss, has_aux=True)(variables["params"])

    return run


def check(model, shape: tuple[int, ...], fractions=FRACTIONS) -> None:
    variables = variables_of(model, shape)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(5, *shape)))
    shared, naive = (jax.jit(nested(model, share, fractions), compiler_options=QUICK)(variables, x) for share in (True, False))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), shared, naive)


@pytest.mark.parametrize("name", ["dnn", "cnn", "ds_cnn", "resnet"])
@pytest.mark.usefixtures("float64", "quick_form")
def test_sharing_changes_no_value_and_no_gradient(name: str) -> None:
    model, _, shape = NETWORKS[name]
    check(model, shape)


@pytest.mark.usefixtures("float64")
def test_sharing_changes_nothing_in_the_dot_form() -> None:
    with lowering("dot"):
        check(DSCNN(3, 5, (2, 2), (1, 1), ((1, 1),)), (4, 4, 1), (1.0, 0.5))


def operations(function, *arguments) -> Counter:
    """How often each primitive is called in the forward pass, inside other calls too."""
    found: Counter = Counter()

    def visit(jaxpr) -> None:
        for equation in jaxpr.eqns:
            found[equation.primitive.name] += 1
            for inner in jax.extend.core.jaxprs_in_params(equation.params):
                visit(inner)

    visit(jax.make_jaxpr(function)(*arguments).jaxpr)
    return found


def forward(model, share: bool, fractions=FRACTIONS):
    def run(variables: dict, x: jax.Array) -> list[jax.Array]:
        with sharing() if share else nullcontext():
            return [model.apply(variables, x, f, train=True, mutable=["batch_stats"])[0] for f in fractions]

    return run


@pytest.mark.usefixtures("quick_form")
def test_sharing_computes_the_stem_once() -> None:
    model, _, shape = NETWORKS["ds_cnn"]  # conv, 2 x (depthwise, pointwise), dense
    arguments = variables_of(model, shape), jnp.zeros((2, *shape))
    naive, shared = (operations(forward(model, share), *arguments) for share in (False, True))
    n = len(FRACTIONS)
    assert naive["conv_general_dilated"] == 5 * n
    assert shared["conv_general_dilated"] == 5 * n - 2 * (n - 1)  # the first convolution and the depthwise behind it
    assert naive["rsqrt"] == 5 * n
    assert shared["rsqrt"] == 5 * n - 2 * (n - 1)  # and the batch norms of both


@pytest.mark.usefixtures("quick_form")
def test_equal_widths_share_everything() -> None:
    model, _, shape = NETWORKS["ds_cnn"]
    arguments = variables_of(model, shape), jnp.zeros((2, *shape))
    once, twice = (operations(forward(model, True, (0.5,) * k), *arguments) for k in (1, 2))
    assert once["conv_general_dilated"] == twice["conv_general_dilated"]
    assert once["dot_general"] == twice["dot_general"]


@pytest.mark.usefixtures("quick_form")
def test_sharing_takes_compiled_work_away() -> None:
    model, _, shape = NETWORKS["ds_cnn"]
    arguments = variables_of(model, shape), jnp.zeros((2, *shape))
    naive, shared = (jax.jit(forward(model, share)).lower(*arguments).cost_analysis()["flops"] for share in (False, True))
    assert shared < 0.75 * naive


@pytest.mark.usefixtures("quick_form")
def test_nothing_is_shared_between_inputs_or_parameters_or_after_the_context() -> None:
    model, _, shape = NETWORKS["ds_cnn"]
    variables = variables_of(model, shape)
    others = jax.tree.map(lambda a: a + 1, variables)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, *shape)), jnp.float32)
    expected = [model.apply(v, i) for v, i in ((variables, x), (variables, x + 1), (others, x))]
    with sharing():
        found = [model.apply(v, i) for v, i in ((variables, x), (variables, x + 1), (others, x))]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.apply(variables, x), expected[0])


@pytest.mark.usefixtures("quick_form")
def test_the_narrow_first_is_slower_and_still_right() -> None:
    model, _, shape = NETWORKS["ds_cnn"]
    variables = variables_of(model, shape)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, *shape)), jnp.float32)
    naive, shared = (forward(model, share, (0.5, 1.0, 0.5))(variables, x) for share in (False, True))
    for a, b in zip(shared, naive, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
