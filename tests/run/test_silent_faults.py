"""What a user writes means the same at every width: one program runs, so Python's branches and sizes are those of the full one.

Each network here once ran as another network at a narrow width, or was counted as one: a branch on a shape, a size in the
code, a constant along the channels, a mode that is training by default, a part that exists in training only, a reshape that
turns its axes.
Narrow programs are run by NumPy in double precision, so that nothing is compiled; at full width JAX runs them too.
"""

from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax import Slimmable, extract, trace
from reds_jax.graph.permute import reorder
from reds_jax.run import run
from reds_jax.testing import interpret, masked_apply

pytestmark = pytest.mark.usefixtures("as_users_write")


class Net(nn.Module):
    """[N, 6, 6, 3] -> [N, 4]; ``kind`` says what its middle does."""

    kind: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        x = nn.relu(nn.Conv(8, (3, 3), name="first")(x))
        y = nn.BatchNorm(not train, name="norm")(nn.Conv(8, (3, 3), name="second")(x))
        match self.kind:
            case "skip":
                y = y + x if y.shape == x.shape else y
            case "skip by features":
                y = y + x if x.shape[-1] == 8 else y
            case "scaled":
                y = y / np.sqrt(y.shape[-1])
            case "constant":
                y = y + jnp.linspace(0, 1, 8)[: y.shape[-1]]
            case "rolled":
                y = jnp.roll(y, 1, axis=-1)
            case "mixed with its roll":
                y = y + jnp.roll(y, 1, axis=-1)
            case "sliced":
                y = y[..., : y.shape[-1] // 2]
            case "counted":
                y = y * jnp.arange(y.shape[-1])
            case "mean over channels":
                y = y * y.mean(-1, keepdims=True)
            case "turned by a reshape":
                rows = jnp.arange(6.0, dtype=y.dtype)[:, None, None]
                y = jax.lax.reshape(y, (len(y), 36, 8), (0, 2, 1, 3)).reshape(y.shape) * rows
            case "channels first by a reshape":
                y = jnp.moveaxis(jax.lax.reshape(y, (len(y), 8, 36), (0, 3, 1, 2)), 1, 2).reshape(y.shape)
            case "ones":
                y = y / jnp.ones_like(y).sum(-1, keepdims=True)
        y = nn.relu(y).mean((1, 2))
        if train and self.kind == "auxiliary":
            return nn.Dense(4, name="logits")(y) + nn.Dense(4, name="auxiliary")(jnp.tanh(y))
        return nn.Dense(4, name="logits")(y)


KINDS = ("skip", "skip by features", "scaled", "constant", "rolled", "mixed with its roll", "sliced", "counted",
         "mean over channels", "ones", "auxiliary", "turned by a reshape", "channels first by a reshape")


@cache
def made(kind: str):
    x = np.random.default_rng(0).normal(size=(3, 6, 6, 3)).astype(np.float32)
    variables = Net(kind).init(jax.random.key(0), x, train=True)
    rng = np.random.default_rng(1)
    variables = jax.tree.map(lambda a: a + 0.3 * np.abs(rng.normal(size=a.shape)).astype(np.float32), variables)
    return Net(kind), variables, x


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_network_runs_at_every_width(kind: str) -> None:
    """Three ways to say "half": run, the masked full program, the extracted subnetwork, whose counts are the graph's."""
    net, variables, x = made(kind)
    graph = trace(net, variables, x)
    assert graph.groups, graph.summary()
    for width in (1.0, 0.5, 0.2):
        expected = masked_apply(net, variables, x, graph, width)[0]
        found, = interpret(lambda v, x, width=width: run(net, v, x, width)[0], variables, x)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        subnetwork, small = extract(net, variables, graph, width)
        extracted, = interpret(subnetwork.apply, small, x)
        np.testing.assert_allclose(extracted, expected, rtol=1e-9, atol=1e-9)
        alone = trace(subnetwork, small, x)
        assert alone.macs() == graph.macs(width)
        assert sum(a.nbytes for a in jax.tree.leaves(small)) == graph.param_bytes(width, collections=tuple(small))
    np.testing.assert_allclose(run(net, variables, x)[0], net.apply(variables, x, train=False), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_permuting_the_groups_changes_nothing_in_either_mode(kind: str) -> None:
    net, variables, x = made(kind)
    graph = trace(net, variables, x)
    rng = np.random.default_rng(2)
    moved = reorder(variables, graph, {g.name: rng.permutation(g.size) for g in graph.groups})
    for train in (False, True):
        (before,), (after,) = (interpret(lambda v, x, train=train: run(net, v, x, train=train)[0], v, x)
                               for v in (variables, moved))
        np.testing.assert_allclose(before, after, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("kind", "layer", "reason"), [
    ("constant", "second", "meets a constant over its channels"), ("counted", "second", "meets a constant over its channels"),
    ("mean over channels", "second", "reduces over channels"),
    ("mixed with its roll", "second", "takes one channel by its position"),
])
def test_what_is_not_the_same_for_a_prefix_stays_and_says_why(kind: str, layer: str, reason: str) -> None:
    net, variables, x = made(kind)
    graph = trace(net, variables, x)
    (pinned,) = (p for p in graph.pinned if p.path == layer)
    assert reason in pinned.reason
    assert pinned.channels == pinned.size == 8
    assert "test_silent_faults.py" in pinned.line
    assert reason in graph.summary()


def test_inference_is_inference_whatever_the_module_takes_as_default() -> None:
    """``train: bool = True`` is the module's default: an image's logits do not depend on what else is in the batch."""
    net, variables, x = made("skip")
    for width in (1.0, 0.5):
        np.testing.assert_allclose(run(net, variables, x[:1], width)[0], run(net, variables, x, width)[0][:1], rtol=1e-4)
        slim = Slimmable(net)
        np.testing.assert_allclose(slim.apply(variables, x[:1], width), slim.apply(variables, x, width)[:1], rtol=1e-4)
