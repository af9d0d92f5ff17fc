"""equinox modules as pure models: the framework's own numbers, and the way back."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from adapter_checks import check_pure, check_switch, close, images, paths

from reds_jax.adapters import adapt
from reds_jax.errors import InvalidArgumentError

pytestmark = pytest.mark.usefixtures("as_users_write")


class Net(eqx.Module):
    conv: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    drop: eqx.nn.Dropout
    layers: list

    def __init__(self, key, mode="batch", axis="examples"):
        a, b, c = jax.random.split(key, 3)
        self.conv = eqx.nn.Conv2d(3, 8, 3, padding=1, key=a)
        self.norm = eqx.nn.BatchNorm(8, axis, momentum=0.9, mode=mode)
        self.drop = eqx.nn.Dropout(0.5)
        self.layers = [eqx.nn.Linear(8, 6, key=b), jax.nn.relu, eqx.nn.Linear(6, 4, key=c)]

    def __call__(self, x, state, *, key=None):
        x, state = self.norm(self.conv(x), state)
        x = self.drop(jax.nn.relu(x), key=key).mean((1, 2))
        for layer in self.layers:
            x = layer(x)
        return x, state


def made(seed=0, **options):
    return eqx.nn.make_with_state(Net)(jax.random.key(seed), **options)


def pictures():
    return images().transpose(0, 3, 1, 2)


def own_call(model, state, x, keys=None):
    return jax.vmap(lambda x, state, key: model(x, state, key=key), in_axes=(0, None, 0), out_axes=(0, None),
                    axis_name="examples")(x, state, keys)


@pytest.mark.parametrize("mode", ["batch", "ema"])
def test_it_is_the_frameworks_own_call(mode: str) -> None:
    x, key = pictures(), jax.random.key(3)
    net, state = made(mode=mode)
    model, variables = adapt((net, state))
    assert paths(variables["params"]) == ["conv/bias", "conv/weight", "layers/0/bias", "layers/0/weight", "layers/2/bias",
                                          "layers/2/weight", "norm/bias", "norm/weight"]
    assert f"norm/{mode}_state_index/0" in paths(variables["batch_stats"])
    outputs, moved = model(variables, x, train=True, key=key)
    expected, state = own_call(net, state, x, jax.random.split(key, len(x)))
    close(outputs, expected)
    close(jax.tree.leaves(moved), jax.tree.leaves(adapt((net, state))[1]["batch_stats"]))
    close(model({**variables, "batch_stats": moved}, x)[0], own_call(eqx.nn.inference_mode(net), state, x)[0])


def test_it_is_pure_and_dropout_is_switched_by_itself() -> None:
    check_pure(*adapt(made()), pictures())


def test_way_back() -> None:
    x = pictures()
    model, variables = adapt(made())
    changed = {"params": jax.tree.map(lambda a: a + 0.1, variables["params"]),
               "batch_stats": model(variables, x, train=True, dropout=False)[1]}
    net, state = model.restore(changed)
    assert isinstance(net, Net)
    close(own_call(eqx.nn.inference_mode(net), state, x)[0], model(changed, x)[0])
    close(adapt((net, state))[1], changed, 0)


def test_equal_modules_are_equal_models() -> None:
    one, two = adapt(made(0))[0], adapt(made(1))[0]
    assert one == two
    assert hash(one) == hash(two)
    assert one != adapt(made(0, mode="ema"))[0]
    close(adapt(made(0), adapt(made(1))[1])[1], adapt(made(1))[1], 0)
    with pytest.raises(InvalidArgumentError, match="no array"):
        adapt(made(0), adapt(eqx.nn.Linear(2, 2, key=jax.random.key(0)))[1])


class Plain(eqx.Module):
    """No state, no key, a table of integers, two inputs by name."""

    linear: eqx.nn.Linear
    order: jax.Array

    def __init__(self, order):
        self.linear, self.order = eqx.nn.Linear(3, 2, key=jax.random.key(0)), jnp.array(order)

    def __call__(self, a, b):
        return self.linear(a[self.order]) + b


def test_a_module_without_a_state() -> None:
    a, b = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32), np.ones((5, 2), np.float32)
    net = Plain([2, 0, 1])
    model, variables = adapt(net)
    assert set(variables["params"]) == {"linear"}
    assert variables["batch_stats"] == {}
    close(model(variables, (a, b)), (jax.vmap(net)(a, b), {}))
    close(model(variables, {"a": a, "b": b}, train=True)[0], jax.vmap(net)(a, b))
    assert model == adapt(Plain([2, 0, 1]))[0]
    assert model != adapt(Plain([2, 1, 0]))[0]
    close(model.restore(variables), net, 0)


def test_a_sequence_of_the_frameworks_own_layers() -> None:
    net = eqx.nn.Sequential([eqx.nn.Linear(3, 4, key=jax.random.key(0)), eqx.nn.Lambda(jax.nn.relu), eqx.nn.Dropout(0.5)])
    x = np.ones((4, 3), np.float32)
    model, variables = adapt(net)
    close(model(variables, x)[0], jax.vmap(eqx.nn.inference_mode(net))(x))
    check_switch(model, variables, x)


def test_what_is_missing_is_an_error() -> None:
    net, _ = made()
    with pytest.raises(InvalidArgumentError, match="has a state that is not given"):
        adapt(net)

    class TwoAxes(eqx.Module):
        one: eqx.nn.BatchNorm
        two: eqx.nn.BatchNorm

        def __init__(self):
            self.one, self.two = (eqx.nn.BatchNorm(3, axis, mode="batch") for axis in ("a", "b"))

        def __call__(self, x, state):
            return x, state

    model, variables = adapt(eqx.nn.make_with_state(TwoAxes)())
    with pytest.raises(InvalidArgumentError, match="several axes"):
        model(variables, pictures())
