"""Variables of another architecture and inputs of another shape, in every framework, at every entrance.

What flax.linen says of a parameter that does not fit, the other frameworks must say too: its path and both shapes.
"""

import re
from functools import cache

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import pytest
from flax import nnx

import reds_jax
from reds_jax import NestedNetwork, importance
from reds_jax.adapters import adapt
from reds_jax.data import Split
from reds_jax.errors import InvalidArgumentError, RedsError
from reds_jax.run import run, run_nested
from reds_jax.training import FitConfig, TrainState, evaluate, fit, make_train_step, recalibrate

pytestmark = pytest.mark.usefixtures("as_users_write")

SIDE, CHANNELS, CLASSES, FEATURES, KERNEL = 4, 2, 3, 4, 3
TRAINED = {"features": FEATURES, "kernel": KERNEL, "classes": CLASSES}
OTHERS = {"a number of features": {"features": 3}, "a size of the kernels": {"kernel": 1},
          "a number of classes": {"classes": 5}}


class Linen(nn.Module):
    features: int
    kernel: int
    classes: int

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Conv(self.features, (self.kernel,) * 2, name="conv")(x))
        return nn.Dense(self.classes, name="dense")(x.reshape(len(x), -1))


class Nnx(nnx.Module):
    def __init__(self, features, kernel, classes):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(CHANNELS, features, (kernel, kernel), rngs=rngs)
        self.dense = nnx.Linear(features * SIDE**2, classes, rngs=rngs)

    def __call__(self, x):
        return self.dense(nnx.relu(self.conv(x)).reshape(len(x), -1))


class Equinox(eqx.Module):
    conv: eqx.nn.Conv2d
    dense: eqx.nn.Linear

    def __init__(self, features, kernel, classes):
        self.conv = eqx.nn.Conv2d(CHANNELS, features, kernel, padding=kernel // 2, key=jax.random.key(0))
        self.dense = eqx.nn.Linear(features * SIDE**2, classes, key=jax.random.key(1))

    def __call__(self, x):
        return self.dense(jax.nn.relu(self.conv(jnp.moveaxis(x, -1, 0))).reshape(-1))


def of_keras(features, kernel, classes):
    x = inputs = keras.Input((SIDE, SIDE, CHANNELS))
    x = keras.layers.Conv2D(features, kernel, padding="same", activation="relu", name="conv")(x)
    return keras.Model(inputs, keras.layers.Dense(classes, name="dense")(keras.layers.Flatten()(x)))


def function(variables, x):
    p = variables["params"]
    x = jax.lax.conv_general_dilated(x, p["conv"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return jax.nn.relu(x).reshape(len(x), -1) @ p["dense"]


def images(n=3, side=SIDE, channels=CHANNELS):
    return np.random.default_rng(0).normal(size=(n, side, side, channels)).astype(np.float32)


X, Y = images(), np.arange(3)


@cache
def made(framework, **changes):
    """A model of this framework, and its variables."""
    sizes = {**TRAINED, **changes}
    if framework == "linen":
        return Linen(**sizes), Linen(**sizes).init(jax.random.key(0), X)
    if framework == "function":
        rng = np.random.default_rng(0)
        shapes = {"conv": (sizes["kernel"], sizes["kernel"], CHANNELS, sizes["features"]),
                  "dense": (sizes["features"] * SIDE**2, sizes["classes"])}
        return function, {"params": {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}}
    model = {"nnx": Nnx, "equinox": Equinox, "keras": of_keras}[framework](**sizes)
    return model, adapt(model)[1]


FRAMEWORKS = ("linen", "nnx", "equinox", "keras", "function")


@cache
def graph_of(framework):
    return reds_jax.trace(*made(framework), X)


def step(model, variables, x):
    optimizer = optax.sgd(0.1)
    return make_train_step(model, optimizer, [1.0])(TrainState.create(variables, optimizer, 1, jax.random.key(0)), x, Y,
                                                   np.zeros((1, 2), int))


def network(model, variables, graph, example=None):
    return NestedNetwork(model, variables["params"], (variables.get("batch_stats", {}),), (graph.full_widths,), (graph.macs(),),
                         example)


RUN = {
    "run": lambda m, v, x, g: run(m, v, x),
    "run_nested": lambda m, v, x, g: run_nested(m, v["params"], [v.get("batch_stats", {})] * 2, x, [0.5, 1.0]),
    "evaluate": lambda m, v, x, g: evaluate(m, v["params"], [v.get("batch_stats", {})], [1.0], x, Y),
    "recalibrate": lambda m, v, x, g: recalibrate(m, v, [1.0], x, key=jax.random.key(0)),
    "fit": lambda m, v, x, g: fit(m, v, [1.0], Split(x, Y), Split(x, Y), FitConfig(epochs=1, batch_size=3)),
    "make_train_step": lambda m, v, x, g: step(m, v, x),
    "taylor": lambda m, v, x, g: importance.score("taylor", m, v, g, [(x, Y)]),
    "apply": lambda m, v, x, g: network(m, v, g, X).apply(0, x),
    "apply without an example": lambda m, v, x, g: network(m, v, g).apply(0, x),
}
CUT = {
    "permute": lambda m, v, x, g: reds_jax.permute(v, g, {group.name: np.arange(group.size) for group in g.groups}),
    "extract": lambda m, v, x, g: reds_jax.extract(m, v, g, 0.5),
    "magnitude": lambda m, v, x, g: importance.score("l1", m, v, g),
    "NestedNetwork": lambda m, v, x, g: network(m, v, g, X),
}
BOTH = r"array '(params/\w+(/\w+)?)'|there is no saliency for '(params/\w+(/\w+)?)'"


def names_the_array(message, variables, expected):
    """The message has a path, and the shapes that this array has and should have."""
    found = re.search(BOTH, message)
    assert found, message
    path = next(part for part in found.groups() if part and part.startswith("params"))
    for tree in (variables, expected):
        node = tree
        for key in path.split("/"):
            node = node[key]
        assert str(tuple(node.shape)) in message


@pytest.mark.parametrize("framework", [f for f in FRAMEWORKS if f != "function"])
@pytest.mark.parametrize("other", OTHERS)
def test_variables_of_another_architecture_are_named_with_both_shapes(framework, other):
    """f=4 into f=3, 3 x 3 kernels into 1 x 1, 3 classes into 5: everywhere."""
    (model, expected), (_, variables) = made(framework), made(framework, **OTHERS[other])
    entrances = {**RUN, **CUT} if framework == "linen" else {**CUT, "run": RUN["run"]}
    for entrance in entrances.values():
        with pytest.raises(InvalidArgumentError) as caught:
            entrance(model, variables, X, graph_of(framework))
        names_the_array(str(caught.value), variables, expected)


@pytest.mark.parametrize("other", OTHERS)
def test_a_function_has_the_architecture_of_its_graph(other):
    """A function knows no shapes: its graph does, and a network that is made of it."""
    model, variables = made("function", **OTHERS[other])
    for entrance in CUT.values():
        with pytest.raises(RedsError, match="not one that the graph|no saliency|width of group|MACs"):
            entrance(model, variables, X, graph_of("function"))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("x", [images(channels=1), images(side=2), images(side=6), images().reshape(3, -1)],
                         ids=lambda x: str(x.shape[1:]))
def test_inputs_of_another_shape_are_one_line_of_the_library(framework, x):
    """Fewer channels than trained on, a smaller image into dense layers, an image that was flattened."""
    model, variables = made(framework)
    entrances = RUN if framework in ("linen", "function") else {name: RUN[name] for name in ("run", "recalibrate", "apply")}
    for name, entrance in entrances.items():
        with pytest.raises(InvalidArgumentError) as caught:
            entrance(model, variables, x, graph_of(framework))
        message = str(caught.value)
        assert "\n" not in message
        if name == "apply":
            assert f"got {list(x.shape[1:])}; allowed: [{SIDE}, {SIDE}, {CHANNELS}]" in message
        elif framework != "linen":  # which names the first parameter that the input does not suit
            assert str(list(x.shape[1:])) in message


def test_statistics_of_another_architecture_behind_the_first():
    """Only the first subnetwork's variables would be looked at by the trace."""
    class Normed(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            return nn.BatchNorm(not train, name="norm")(nn.Dense(4)(x))

    variables = Normed().init(jax.random.key(0), np.ones((1, 2)))
    good = variables["batch_stats"]
    half = jax.tree.map(lambda a: a[:2], good)
    for stats in ([good, half], [good, {}]):
        with pytest.raises(InvalidArgumentError, match="batch_stats/norm/mean"):
            run_nested(Normed(), variables["params"], stats, np.ones((1, 2), np.float32), [0.5, 1.0])


def test_a_subnetwork_has_an_architecture_of_its_own():
    (model, variables), graph = made("linen"), graph_of("linen")
    small, cut = reds_jax.extract(model, variables, graph, 0.5)
    small.apply(cut, X)
    for wrong in (variables, {"params": {"dense": cut["params"]["dense"]}}):
        with pytest.raises(InvalidArgumentError, match="params/conv"):
            small.apply(wrong, X)


def test_the_check_does_not_trace_again(monkeypatch):
    """In a loop, the model is looked at once for each form of its inputs."""
    calls = []

    def counted(variables, x):
        calls.append(x.shape)
        return function(variables, x)

    variables = made("function")[1]
    found = network(counted, variables, graph_of("function"), X)
    found.apply(0, X)
    before = len(calls)
    for _ in range(3):
        found.apply(0, X)
        run(counted, variables, X)
    assert len(calls) == before


def test_an_error_inside_a_model_keeps_its_cause():
    def broken(variables, x):
        return x @ variables["params"]["w"].no_such_attribute(x, "text") if x.ndim == 2 else int("text")

    with pytest.raises(InvalidArgumentError, match=r"does not run on these inputs \(ValueError: invalid literal") as caught:
        run(broken, {"params": {"w": np.ones(2)}}, np.ones((1, 2, 3), np.float32))
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(AttributeError):  # no matter of shapes: as it is
        run(broken, {"params": {"w": np.ones(2)}}, np.ones((1, 2), np.float32))
