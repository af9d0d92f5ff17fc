"""What holds for every pure model; the tests of each framework add what its own call says."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from reds_jax.adapters import PureModel
from reds_jax.errors import InvalidArgumentError


def images(n: int = 4) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 6, 6, 3)).astype(np.float32)


def close(a: Any, b: Any, tolerance: float = 1e-5) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tolerance, atol=tolerance)


def far(a: Any, b: Any) -> None:
    assert any(np.abs(np.asarray(x) - np.asarray(y)).max() > 1e-3
               for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def paths(tree: Any) -> list[str]:
    return ["/".join(str(k.key) for k in path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def check_switch(model: PureModel, variables: Any, x: Any) -> None:
    """A model without batch norm: training without dropout is inference, with it is not."""
    modes = ({}, {"train": True, "dropout": False}, {"train": True, "key": jax.random.key(0)})
    inference, without, dropped = jax.jit(lambda v, x: [model(v, x, **mode)[0] for mode in modes])(variables, x)
    close(inference, without)
    far(inference, dropped)


def check_pure(model: PureModel, variables: Any, x: Any) -> None:
    """Training and dropout do what they say, keys are all that is random, jit changes nothing, variables are checked."""
    key = jax.random.key(3)
    inference, statistics = model(variables, x)
    close(statistics, variables["batch_stats"], 0)
    trained, moved = model(variables, x, train=True, key=key)
    far(moved, variables["batch_stats"])
    far(trained, inference)
    close(model(variables, x, train=True, key=key), (trained, moved))
    far(model(variables, x, train=True, key=jax.random.key(4))[0], trained)
    without, moved_without = model(variables, x, train=True, dropout=False)
    far(without, trained)
    far(without, inference)
    far(moved_without, variables["batch_stats"])
    close(model(variables, x, train=True, dropout=False, key=key)[0], without)
    compiled = jax.jit(lambda v, x, key: model(v, x, train=True, key=key))(variables, x, key)
    close(compiled, (trained, moved), 1e-4)
    close(jax.jit(lambda v, x: model(v, x))(variables, x), (inference, statistics), 1e-4)
    close(model(variables, x)[0], inference)  # nothing of the calls before is left
    gradient = jax.grad(lambda p: model({**variables, "params": p}, x)[0].sum())(variables["params"])
    far(gradient, jax.tree.map(np.zeros_like, gradient))
    with pytest.raises(InvalidArgumentError, match="there is no key"):
        model(variables, x, train=True)
    with pytest.raises(InvalidArgumentError, match="dropout is on in inference"):
        model(variables, x, dropout=True)
    check_wrong_variables(model, variables, x)


def check_wrong_variables(model: PureModel, variables: Any, x: Any) -> None:
    (path, leaf), *_ = jax.tree_util.tree_leaves_with_path(variables["params"])
    name = "params/" + "/".join(str(k.key) for k in path)

    def changed(value: Any) -> Any:
        tree = jax.tree.map(lambda a: a, variables)
        node = tree["params"]
        for k in path[:-1]:
            node = node[k.key]
        if value is None:
            del node[path[-1].key]
        else:
            node[path[-1].key] = value
        return tree

    shape = (leaf.shape[0] + 1, *leaf.shape[1:])
    with pytest.raises(InvalidArgumentError) as caught:
        model(changed(np.zeros(shape, np.float32)), x)
    for part in (name, str(shape), str(leaf.shape)):
        assert part in str(caught.value)
    with pytest.raises(InvalidArgumentError, match=f"no array '{name}'"):
        model(changed(None), x)
    more = jax.tree.map(lambda a: a, variables)
    more["params"]["stranger"] = {"kernel": np.zeros(3)}
    with pytest.raises(InvalidArgumentError, match="no array 'params/stranger/kernel'"):
        model(more, x)
