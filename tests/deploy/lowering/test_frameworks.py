"""Whatever framework a model is written in, the device runs it, with the layers' names as the graph has them."""


import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from device_cases import Case, assert_same_function, inputs

from reds_jax.adapters import adapt
from reds_jax.deploy import export
from reds_jax.deploy.lowering.lower import lower
from reds_jax.errors import InvalidArgumentError, TraceError, WidthError
from reds_jax.graph.trace import trace
from reds_jax.models.cnn import CNN
from reds_jax.run import run
from reds_jax.run.extract import extract
from reds_jax.slimmable import Slimmable
from reds_jax.testing import interpret, random_variables

pytestmark = pytest.mark.usefixtures("as_users_write")

WIDTHS = (0.3, 0.6, 1.0)


def case_of(model, x, variables=None) -> Case:
    graph = trace(model, variables, x)
    widths = [graph.widths(w) for w in WIDTHS]
    tree = adapt(model, variables)[1]
    return Case(model, [tree] * 3, graph, widths, x, lower(model, [variables] * 3, widths, x))


def assert_runs(case: Case, names: list[str]) -> None:
    assert case.graph.groups
    assert_same_function(case)
    layers = [op.name for op in case.program.operations if op.weights is not None]
    assert layers == names
    assert {layer.path for layer in case.graph.layers} == set(names)


def test_nnx() -> None:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.conv, self.norm = nnx.Conv(3, 10, (3, 3), strides=2, rngs=rngs), nnx.BatchNorm(10, rngs=rngs)
            self.depthwise = nnx.Conv(10, 10, (3, 3), feature_group_count=10, rngs=rngs)
            self.drop, self.dense = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(10 * 9, 4, rngs=rngs)

        def __call__(self, x):
            x = self.drop(nnx.relu(self.depthwise(nnx.relu(self.norm(self.conv(x))))))
            return self.dense(x.reshape(len(x), -1))

    assert_runs(case_of(Net(nnx.Rngs(0)), inputs((6, 5, 3))), ["conv", "depthwise", "dense"])


def test_equinox() -> None:
    eqx = pytest.importorskip("equinox", reason="the package equinox is not installed")
    net = eqx.nn.MLP(5, 3, 12, 2, key=jax.random.key(0))
    assert_runs(case_of(net, inputs((5,))), ["layers/0", "layers/1", "layers/2"])


def test_an_image_that_lies_channel_first_is_refused() -> None:
    eqx = pytest.importorskip("equinox", reason="the package equinox is not installed")
    keys = jax.random.split(jax.random.key(0))
    net = eqx.nn.Sequential([eqx.nn.Conv2d(3, 8, 3, key=keys[0]), eqx.nn.Lambda(lambda x: x.mean((1, 2))),
                             eqx.nn.Linear(8, 2, key=keys[1])])
    with pytest.raises(TraceError, match=r"no convolution of \[N, H, W, C\] or \[N, T, C\]"):
        case_of(net, inputs((3, 6, 5)))


def test_keras() -> None:
    keras = pytest.importorskip("keras", reason="the package keras is not installed")
    layers = keras.layers
    x = given = keras.Input((7, 6, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(x)
    x = layers.Dropout(0.5)(layers.ReLU()(layers.BatchNormalization(name="norm")(x)))
    x = layers.LeakyReLU(0.3)(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x))
    x = layers.MaxPooling2D(2)(layers.Conv2D(6, 1, activation="relu", name="pointwise")(x))
    net = keras.Model(given, layers.Dense(3, activation="softmax", name="logits")(layers.Flatten()(x)))
    assert_runs(case_of(net, inputs((7, 6, 3))), ["conv", "depthwise", "pointwise", "logits"])


def test_a_function() -> None:
    rng = np.random.default_rng(0)
    shapes = {"first": (5, 9), "second": (9, 7), "last": (7, 2)}
    params = {name: {"kernel": rng.normal(size=s).astype(np.float32), "bias": rng.normal(size=s[1]).astype(np.float32)}
              for name, s in shapes.items()}

    def apply(variables, x):
        for name in shapes:
            layer = variables["params"][name]
            x = x @ layer["kernel"] + layer["bias"]
            x = x if name == "last" else jnp.maximum(x, 0)
        return x

    assert_runs(case_of(apply, inputs((5,)), {"params": params}), list(shapes))


def test_a_slimmable_is_its_module() -> None:
    x, module = inputs((22, 8, 1), 2), CNN(4, (6, 7), 5, 9)
    variables = random_variables(module, x)
    plain, slimmable = (case_of(model, x, variables).program for model in (module, Slimmable(module)))
    assert [op.name for op in plain.operations] == [op.name for op in slimmable.operations]
    for a, b in zip(plain.operations, slimmable.operations, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


@pytest.mark.parametrize("k", [0, 1])
def test_an_extracted_subnetwork_is_a_network_of_its_own(k: int) -> None:
    x, model = inputs((22, 8, 1), 2), CNN(4, (6, 7), 5, 9)
    nested = case_of(model, x, random_variables(model, x))
    small, variables = extract(model, nested.trees[k], nested.graph, nested.widths[k])
    alone = case_of(small, x, variables)
    assert_same_function(alone)
    np.testing.assert_allclose(alone.found(2), nested.found(k), rtol=0, atol=1e-6 * np.abs(alone.found(2)).max())
    assert alone.program.macs[2] == nested.program.macs[k]
    assert [op.kind for op in alone.program.operations] == [op.kind for op in nested.program.operations]


class Wide(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.relu(nn.Dense(8)(x)))


def test_a_width_is_a_fraction_too_and_those_of_another_network_are_refused() -> None:
    x = inputs((5,))
    variables = random_variables(Wide(), x)
    program = lower(Wide(), [variables], [0.5], x)
    assert program.tensors[1].channels == (4,)
    other = trace(CNN(4, (6, 7), 5, 9), random_variables(CNN(4, (6, 7), 5, 9), y := inputs((22, 8, 1))), y)
    with pytest.raises(WidthError, match="do not name the channel groups"):
        lower(Wide(), [variables], [other.widths(0.5)], x)


def test_models_that_hold_their_variables_are_exported_without(tmp_path) -> None:
    """``variables`` is None; the folder answers as the model runs at the width."""
    from flax import nnx

    net, x = nnx.Sequential(nnx.Linear(5, 8, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(8, 3, rngs=nnx.Rngs(1))), inputs((5,))
    graph = trace(net, None, x)
    exported = export(net, None, graph, [0.5, 1.0], tmp_path / "c", examples=x)
    for k, width in enumerate((0.5, 1.0)):
        np.testing.assert_allclose(exported.expected(k, x), run(net, None, x, width)[0], rtol=0, atol=1e-5)
    with pytest.raises(InvalidArgumentError, match="holds no variables"):
        export(Wide(), None, graph, [1.0], tmp_path / "d")


def test_the_numbers_of_a_batch_are_those_of_its_examples() -> None:
    """The program is read for one example, the model runs a batch."""
    case = case_of(Wide(), inputs((5,), 6), random_variables(Wide(), inputs((5,))))
    one = [interpret(lambda v, x: run(case.model, v, x)[0], case.trees[0], row[None])[0] for row in case.x]
    np.testing.assert_allclose(case.found(2), np.concatenate(one), rtol=0, atol=1e-5)
