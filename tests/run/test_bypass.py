"""What goes around a group: found in the program, equal to a regression, and part of what a prefix retains."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from reds_jax import Subnetworks, nest, pipeline, trace, width_problem
from reds_jax.adapters import adapt
from reds_jax.choice import choose_widths
from reds_jax.data import DataSet, Split
from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import ces, log_retention, retained_share, solve
from reds_jax.lowering import form, lowering
from reds_jax.run import bypass
from reds_jax.run.bypass import bypass_shares, explained_share
from reds_jax.run.contributions import Moments
from reds_jax.training import FitConfig


class Block(nn.Module):
    """``t = b + s``, and what may stand between the reader and the sum."""

    between: str = "bias"

    @nn.compact
    def __call__(self, x, train=False):
        s = nn.Dense(5, name="stem")(x)
        hidden = nn.relu(nn.Dense(7, name="inside")(s))
        b = nn.Dense(5, name="out", use_bias=self.between == "bias")(hidden)
        if self.between == "norm":
            b = nn.BatchNorm(not train, name="norm")(b)
        elif self.between == "shape":
            b = b.reshape(-1, 5, 1).transpose(0, 2, 1).reshape(-1, 5) * 0.5
        elif self.between == "relu":
            b = nn.relu(b)
        elif self.between == "inverse":
            b = 1 / (1 + b)
        elif self.between == "gate":
            return nn.Dense(3, name="head")(nn.relu(b * s))
        elif self.between == "twice":
            return nn.Dense(3, name="head")(nn.relu(b + s + nn.relu(b)))
        elif self.between == "chain":
            return nn.Dense(3, name="head")(nn.relu(b))
        elif self.between == "less":
            return nn.Dense(3, name="head")(nn.relu(s - b))
        elif self.between == "partly":
            return nn.Dense(3, name="head")(nn.relu(b + s)) + nn.relu(nn.Dense(3, name="second")(hidden))
        elif self.between == "result":
            return nn.Dense(3, name="head")(nn.relu(b + s)), b
        elif self.between == "elsewhere":
            return nn.Dense(3, name="head")(nn.relu(b + s)) + nn.Dense(3, name="second")(hidden)
        return nn.Dense(3, name="head")(nn.relu(b + s))


def variables_of(model, x, seed=0):
    rng = np.random.default_rng(seed)
    given = model.init(jax.random.key(0), x)
    return jax.tree.map(lambda a: np.asarray(a) + 0.3 * rng.normal(size=a.shape).astype(np.float32) ** 2, given)


X = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)


def regression(s, t):
    """The adjusted coefficient of determination, by least squares with a constant."""
    design = np.column_stack([np.ones(len(s)), s])
    left = t - design @ np.linalg.lstsq(design, t, rcond=None)[0]
    rest = (left**2).sum() / ((t - t.mean(0)) ** 2).sum()
    return 1 - rest * (len(s) - 1) / (len(s) - s.shape[1] - 1)


@pytest.mark.parametrize("between", ["bias", "norm", "shape", "less"])
def test_it_is_what_a_regression_of_the_sum_on_the_way_around_explains(between):
    model = Block(between)
    variables = variables_of(model, X)
    found = bypass_shares(*adapt(model, variables), [X[:100], X[100:]])
    p = variables["params"]
    s = X @ p["stem"]["kernel"] + p["stem"]["bias"]
    b = np.maximum(s @ p["inside"]["kernel"] + p["inside"]["bias"], 0) @ p["out"]["kernel"]
    if between == "norm":
        stats = variables["batch_stats"]["norm"]
        b = (b - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * p["norm"]["scale"]
    t = s - b if between == "less" else s + (0.5 * b if between == "shape" else b)
    assert set(found) == {"inside"}  # the stream has readers that no sum follows
    assert found["inside"] == pytest.approx(regression(s, t), abs=2e-3)


def test_a_second_look_compiles_nothing_and_another_form_of_the_operations_does():
    variables = variables_of(Block("bias"), X)
    first = bypass_shares(*adapt(Block("bias"), variables), [X])
    before = bypass._look._cache_size()
    assert bypass_shares(*adapt(Block("bias"), variables), [X]) == first
    assert bypass._look._cache_size() == before
    others = {"lax", "dot"} - {form()}
    for other in others:
        with lowering(other):
            bypass_shares(*adapt(Block("bias"), variables), [X])
    assert bypass._look._cache_size() == before + len(others)


@pytest.mark.parametrize("between", ["relu", "inverse", "gate", "twice", "chain", "result", "partly"])
def test_where_another_layer_reads_it_first_nothing_goes_around(between):
    model = Block(between)
    assert bypass_shares(*adapt(model, variables_of(model, X)), [X]) == {}


def test_every_reader_must_end_in_a_sum_and_the_smallest_share_counts():
    model = Block("elsewhere")
    variables = variables_of(model, X)
    both = bypass_shares(*adapt(model, variables), [X])
    params = variables["params"]
    s = X @ params["stem"]["kernel"] + params["stem"]["bias"]
    hidden = np.maximum(s @ params["inside"]["kernel"] + params["inside"]["bias"], 0)
    first = regression(s, s + hidden @ params["out"]["kernel"])
    out = np.maximum(s + hidden @ params["out"]["kernel"], 0) @ params["head"]["kernel"]
    second = regression(out, out + hidden @ params["second"]["kernel"])
    assert both["inside"] == pytest.approx(min(first, second), abs=2e-3)
    assert abs(first - second) > 0.02


class Stacked(nn.Module):
    """Three residual blocks in one loop, with weights of their own."""

    @nn.compact
    def __call__(self, x):
        class Turn(nn.Module):
            @nn.compact
            def __call__(self, x, _):
                return x + nn.Dense(6, name="out")(nn.relu(nn.Dense(6, name="inside")(x))), None

        x, _ = nn.scan(Turn, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)(name="blocks")(x, None)
        return nn.Dense(2, name="head")(x)


def test_the_turns_of_a_loop_are_rows_of_one_sum():
    model = Stacked()
    variables = variables_of(model, X)
    (share,) = bypass_shares(*adapt(model, variables), [X]).values()
    p = variables["params"]["blocks"]
    s, rows = X, []
    for i in range(3):
        b = np.maximum(s @ p["inside"]["kernel"][i] + p["inside"]["bias"][i], 0) @ p["out"]["kernel"][i] + p["out"]["bias"][i]
        rows.append((s, s + b))
        s = s + b
    assert share == pytest.approx(regression(*(np.concatenate(a) for a in zip(*rows, strict=True))), abs=2e-3)


def moments(s, t):
    both = np.hstack([s, t])
    centred = both - both.mean(0)
    return Moments(len(s), both.mean(0)[:, None], centred.T @ centred)


def test_few_rows_explain_nothing_and_a_sum_that_does_not_vary_neither():
    rng = np.random.default_rng(0)
    s, b = rng.normal(size=(6, 5)), rng.normal(size=(6, 5))
    assert explained_share(moments(s, s + b)) == 0.0
    assert explained_share(moments(np.ones((50, 2)), np.ones((50, 2)))) == 0.0
    s, b = rng.normal(size=(5000, 3)), rng.normal(size=(5000, 3))
    assert explained_share(moments(s, s + b)) == pytest.approx(0.5, abs=0.03)
    assert explained_share(moments(s, s + b @ np.zeros((3, 3)))) == pytest.approx(1.0, abs=1e-5)
    assert abs(explained_share(moments(s[:40], b[:40]))) < 0.1  # unadjusted about 0.075


@given(st.integers(0, 2**32 - 1))
def test_a_prefix_and_the_way_around_explain_beta_and_the_rest_of_the_share(seed):
    """``beta + (1 - beta) R``: exact where R is the share of what s leaves of the sum, which is what s leaves of b."""
    rng = np.random.default_rng(seed)
    s, units, kernel = rng.normal(size=(60, 3)), rng.normal(size=(60, 5)), rng.normal(size=(5, 3))
    units = units + s @ rng.normal(size=(3, 5))
    kept = int(rng.integers(1, 6))

    def left(of, by):
        return of - by @ np.linalg.lstsq(by, of, rcond=None)[0]

    t = s + units @ kernel
    beta = 1 - (left(t, s) ** 2).sum() / (t**2).sum()
    rest = left(units @ kernel, s)
    np.testing.assert_allclose(left(t, s), rest, atol=1e-9)
    retained = 1 - (left(rest, left(units[:, :kept], s)) ** 2).sum() / (rest**2).sum()
    both = 1 - (left(t, np.hstack([s, units[:, :kept]])) ** 2).sum() / (t**2).sum()
    assert both == pytest.approx(beta + (1 - beta) * retained, abs=1e-9)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.floats(0, 0.99), st.floats(0, 4))
def test_values_with_a_bypass(scores, beta, gamma):
    scores = sorted(scores, reverse=True)
    share = retained_share(scores, bypass=beta)
    np.testing.assert_allclose(share, beta + (1 - beta) * retained_share(scores))
    np.testing.assert_allclose(ces(scores, gamma=0, bypass=beta), log_retention(scores, bypass=beta))
    assert (ces(scores, gamma=gamma, bypass=beta) >= ces(scores, gamma=gamma) - 1e-12).all()
    with pytest.raises(InvalidArgumentError, match="bypass is out of range"):
        ces(scores, bypass=1.5)


def test_a_group_with_a_bypass_is_cut_first_and_the_pipeline_knows_it():
    model = Block()
    variables = variables_of(model, X)
    graph = trace(model, variables, X[:1])
    scores = {g.name: np.linspace(2, 1, g.size) for g in graph.groups}
    limit = {"macs": graph.macs() // 2}
    with_one, without = (solve(width_problem(graph, scores, bypass=b), limit).widths for b in ({"inside": 0.8}, None))
    at = [g.name for g in graph.groups].index("inside")
    assert with_one[at] < without[at]
    assert sum(with_one) - with_one[at] > sum(without) - without[at]
    np.testing.assert_array_equal(solve(width_problem(graph, scores, value="sum", bypass={"inside": 0.8}), limit).widths,
                                  solve(width_problem(graph, scores, value="sum"), limit).widths)

    y = np.random.default_rng(1).integers(0, 3, len(X)).astype(np.int32)
    data, options = DataSet("case", *[Split(X, y)] * 3), Subnetworks((0.5, 1.0), importance="l1", scoring_batches=3)
    found = pipeline.bypass_of(model, variables, data, options, batch_size=100, seed=0)
    assert 0.2 < found["inside"] < 0.99
    scores = pipeline.score(model, variables, graph, data, options, batch_size=100, seed=0)
    _, in_order = pipeline.sort(variables, graph, scores)
    choices = [choose_widths(graph, in_order, options, bypass=b).widths[0] for b in (found, None)]
    assert choices[0] != choices[1]
    seen = []
    nest(model, variables, data, FitConfig(epochs=1, batch_size=100, recalibrate_batches=0), options,
         console=Console(quiet=True), observe=lambda stage, what: seen.append(what))
    assert choices[0] == next(what for what in seen if hasattr(what, "whole_macs")).widths[0]
