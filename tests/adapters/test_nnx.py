"""flax.nnx modules as pure models: the framework's own numbers, and the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from adapter_checks import check_pure, check_switch, close, far, images, paths
from flax import nnx

from reds_jax.adapters import adapt
from reds_jax.errors import InvalidArgumentError


class Net(nnx.Module):
    def __init__(self, seed: int = 0):
        rngs = nnx.Rngs(seed)
        self.conv = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.9, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(8, 6, rngs=rngs), nnx.Linear(6, 4, rngs=rngs)])

    def __call__(self, x):
        x = self.drop(nnx.relu(self.norm(self.conv(x)))).mean((1, 2))
        for layer in self.layers:
            x = layer(x)
        return x


class Told(nnx.Module):
    """Told by an argument of its call, which counts before the mode of the layers."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.body, self.drop = nnx.Linear(3, 4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)

    def __call__(self, x, train: bool = True):
        return self.drop(self.norm(self.body(x), use_running_average=not train), deterministic=not train)


def test_it_is_the_frameworks_own_call() -> None:
    x, key, net = images(), jax.random.key(3), Net()
    model, variables = adapt(net)
    assert paths(variables) == ["batch_stats/norm/mean", "batch_stats/norm/var", "params/conv/bias", "params/conv/kernel",
                                "params/layers/0/bias", "params/layers/0/kernel", "params/layers/1/bias",
                                "params/layers/1/kernel", "params/norm/bias", "params/norm/scale"]
    outputs, moved = model(variables, x, train=True, key=key)
    nnx.reseed(net, **{tag: key if tag == "dropout" else jax.random.fold_in(key, 1) for tag in ("dropout", "default")})
    net.train()
    close(outputs, net(x))
    close(moved["norm"], {"mean": net.norm.mean.get_value(), "var": net.norm.var.get_value()})
    net.eval()
    close(model({**variables, "batch_stats": moved}, x)[0], net(x))


@pytest.mark.parametrize("net", [Net, Told])
def test_it_is_pure_and_dropout_is_switched_by_itself(net: type) -> None:
    x = images() if net is Net else images()[:, 0, 0]
    check_pure(*adapt(net()), x)


def test_the_given_module_is_left_alone() -> None:
    net, x = Net(), images()
    net.train()
    count = net.drop.rngs.count.get_value()
    mean = np.asarray(net.norm.mean.get_value())
    model, variables = adapt(net)
    model(variables, x, train=True, key=jax.random.key(0))
    assert net.drop.deterministic is False
    assert net.drop.rngs.count.get_value() is count
    close(net.norm.mean.get_value(), mean, 0)


def test_way_back() -> None:
    x = images()
    model, variables = adapt(Net())
    changed = jax.tree.map(lambda a: a + 0.1, variables)
    net = model.restore(changed)
    assert isinstance(net, Net)
    close(net(x), model(changed, x)[0])
    close(adapt(net)[1], changed, 0)
    net.train()
    far(net(x), model(changed, x)[0])


def test_equal_modules_are_equal_models() -> None:
    one, two = adapt(Net(0))[0], adapt(Net(1))[0]
    assert one == two
    assert hash(one) == hash(two)
    assert one != adapt(Told())[0]
    trained, variables = adapt(Net(0), adapt(Net(1))[1])
    close(variables, adapt(Net(1))[1], 0)
    assert trained == one
    with pytest.raises(InvalidArgumentError, match=r"'batch_stats/norm/mean' has another shape.*\(4,\).*\(8,\)"):
        adapt(Net(0), adapt(Told())[1])


class Tied(nnx.Module):
    """A weight used twice, an integer table, a count that the model keeps, and attention with dropout."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.one = nnx.Linear(4, 4, rngs=rngs)
        self.two = self.one
        self.attention = nnx.MultiHeadAttention(2, 4, dropout_rate=0.5, decode=False, rngs=rngs)
        self.order = nnx.Variable(jnp.array([1, 0, 2]))
        self.calls = nnx.BatchStat(jnp.zeros((), jnp.int32))

    def __call__(self, x, deterministic=None):
        self.calls.set_value(self.calls.get_value() + 1)
        return self.attention(self.two(self.one(x))[:, self.order.get_value()])


def test_shared_weights_other_variables_and_attention() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    net = Tied()
    model, variables = adapt(net)
    assert {"one", "attention"} == set(variables["params"])
    assert variables["batch_stats"]["order"].dtype == jnp.int32
    net.eval()
    close(model(variables, x)[0], net(x))
    check_switch(model, variables, x)
    assert int(model(variables, x, train=True, dropout=False)[1]["calls"]) == 1
    assert int(model(variables, x)[1]["calls"]) == 0


class Scanned(nnx.Module):
    """Equal blocks with dropout behind `nnx.scan`: their random streams have an axis."""

    def __init__(self):
        rngs = nnx.Rngs(0)

        @nnx.split_rngs(splits=2)
        @nnx.vmap
        def made(rngs):
            return nnx.Sequential(nnx.Linear(4, 4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs))

        self.blocks = made(rngs)

    def __call__(self, x):
        return nnx.scan(lambda block, x: block(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry)(self.blocks, x)


def test_blocks_behind_a_scan() -> None:
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    model, variables = adapt(Scanned())
    assert variables["params"]["blocks"]["layers"]["0"]["kernel"].shape == (2, 4, 4)
    check_switch(model, variables, x)
    with pytest.raises(InvalidArgumentError, match="there is no key"):
        model(variables, x, train=True)


def test_random_numbers_in_inference_are_an_error() -> None:
    class Noisy(nnx.Module):
        def __init__(self):
            self.rngs = nnx.Rngs(0)
            self.scale = nnx.Param(jnp.ones(()))

        def __call__(self, x):
            return self.scale * x + self.rngs.normal(x.shape)

    model, variables = adapt(Noisy())
    with pytest.raises(InvalidArgumentError, match="where dropout is off"):
        model(variables, np.ones((2, 3), np.float32))
