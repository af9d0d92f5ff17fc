"""A supernet: random widths in every step, by zeros in place of units, are those of the narrow networks."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

import reds_jax
from reds_jax import Subnetworks, trace
from reds_jax.data import DataSet, Split
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph.mask import masked
from reds_jax.learned import Amplitudes
from reds_jax.supernet import Drawn, train_supernet
from reds_jax.training import FitConfig, TrainState, classification, fit
from reds_jax.training.step import step_builder

QUIET = Console(quiet=True)


class Net(nn.Module):
    """A batch norm and a sigmoid, which makes something of a zero."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.sigmoid(nn.BatchNorm(not train, name="norm")(nn.Dense(6, name="first")(x)))
        return nn.Dense(3, name="last")(nn.relu(nn.Dense(5, name="second")(x)))


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90).astype(np.int32)
    split = Split((rng.normal(size=(90, 4)) + y[:, None]).astype(np.float32), y)
    variables = Net().init(jax.random.key(0), split.inputs[:1])
    return split, variables, trace(Net(), variables, split.inputs[:1])


def steps(draw=None, widths=(1.0,), distill=0.0):
    return step_builder(Net(), optax.sgd(0.1), widths, weights="uniform", sizes=None, distill=distill, sandwich=None,
                        normalise=None, augment="none", share=True, draw=draw)(classification())


@pytest.mark.parametrize("distill", [0.0, 0.5])
def test_a_step_with_drawn_widths_is_the_nested_step_at_these_widths(case, distill):
    """One row in the table: whatever is drawn, the update is that of the subnetworks compiled at their widths."""
    split, variables, graph = case
    narrow = (3, 2)
    drawn = Drawn(graph, np.array([narrow]), count=1)
    indices = jnp.arange(60).reshape(2, 30)
    states = []
    for step, n in ((steps(drawn, distill=distill), 1), (steps(widths=(1.0, graph.widths(narrow)), distill=distill), 2)):
        state = TrainState.create(variables, optax.sgd(0.1), n, jax.random.key(0))
        states.append(step(state, split.inputs, split.targets, indices))
    (a, seen), (b, both) = states
    for x, y in zip(jax.tree.leaves((a.params, a.batch_stats[0])), jax.tree.leaves((b.params, b.batch_stats[0])), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)
    np.testing.assert_allclose(seen["loss"], both["loss"][:1], rtol=1e-5)
    np.testing.assert_allclose(seen["objective"], both["objective"], rtol=1e-5)


def test_rows_are_drawn_without_repetition_and_differ_from_step_to_step(case):
    _, variables, graph = case
    table = np.array([(n, 5) for n in range(1, 7)])
    drawn = Drawn(graph, table, count=3)
    seen = []
    for t in range(20):
        found = [int((np.abs(p["first"]["kernel"]).sum(0) > 0).sum()) for p in drawn(variables["params"], jax.random.key(t))]
        assert len(set(found)) == 3
        seen += found
    assert set(seen) == {1, 2, 3, 4, 5, 6}


def test_widths_of_a_mask_may_be_traced(case):
    _, variables, graph = case
    one = jax.jit(lambda row: masked(variables, graph, row))(jnp.array([2, 4]))
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(masked(variables, graph, (2, 4))), strict=True):
        np.testing.assert_array_equal(x, y)
    assert not np.asarray(one["params"]["second"]["kernel"])[2:].any()
    assert not np.asarray(one["params"]["second"]["kernel"])[:, 4:].any()
    np.testing.assert_array_equal(one["params"]["second"]["kernel"][:2, :4], variables["params"]["second"]["kernel"][:2, :4])


def test_it_goes_on_where_it_was_stopped_and_its_table_is_part_of_what_it_is(case, tmp_path):
    split, variables, graph = case
    config = FitConfig(epochs=9, batch_size=20, recalibrate_batches=0)
    table = [(2, 2), (4, 3), (6, 1)]

    def run(epochs, folder, table=table):
        return train_supernet(Net(), variables, graph, table, split, split, config, epochs, folder=folder, console=QUIET)

    once = run(2, tmp_path / "a")
    assert int(once.step) == 2 * (60 // 20)  # a third is held out
    again = run(2, tmp_path / "a")
    for x, y in zip(jax.tree.leaves(once.params), jax.tree.leaves(again.params), strict=True):
        np.testing.assert_array_equal(x, y)
    with pytest.raises(reds_jax.errors.CheckpointError, match="draw"):
        run(2, tmp_path / "a", [(1, 1), (2, 2)])


def test_a_run_after_another_goes_on_with_its_optimizer(case):
    split, variables, _ = case
    config = FitConfig(epochs=1, batch_size=30, recalibrate_batches=0)
    first = fit(Net(), variables, [1.0], split, split, config, console=QUIET).state
    second = fit(Net(), {"params": first.params, "batch_stats": first.batch_stats[0]}, [1.0], split, split, config,
                 console=QUIET, after=first).state
    assert int(second.step) == 6
    assert int(second.opt_state.count) == 6
    with pytest.raises(InvalidArgumentError, match="the optimizer of the run to go on from"):
        fit(Net(), variables, [1.0], split, split, FitConfig(epochs=1, batch_size=30, norms="private"), after=first)


def test_the_pipeline_counts_the_epochs_of_the_supernet(case, tmp_path):
    split, variables, _ = case
    data = DataSet("case", split, split.take(slice(50)), split)
    seen = []
    options = Subnetworks((0.4, 1.0), importance="l1", value="learned", samples=16, supernet=0.4)
    network, _ = reds_jax.nest(Net(), variables, data, FitConfig(epochs=3, batch_size=30), options, console=QUIET,
                               folder=tmp_path, observe=lambda stage, found: seen.append(found))
    assert any(isinstance(x, Amplitudes) for x in seen)
    assert network.macs[0] <= 0.4 * network.macs[1]
    log = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert sum('"kind": "epoch"' in line for line in log) == 2
    assert (tmp_path / "supernet" / "metrics.jsonl").exists()


@pytest.mark.parametrize(("options", "config", "message"), [
    ({"supernet": 0.8}, {}, "leaves no epoch for the subnetworks"),
    ({"supernet": 0.5}, {"norms": "private"}, "one scale and offset for all"),
    ({"supernet": 0.5}, {"batch_size": 70}, "less than one batch: a part of the training split is held out; got 60"),
    ({"supernet": -0.1}, {}, "supernet"),
])
def test_what_cannot_be_is_refused_before_anything_runs(case, options, config, message):
    split, variables, _ = case
    with pytest.raises(InvalidArgumentError, match=message):
        reds_jax.nest(Net(), variables, DataSet("case", split, split, split),
                      FitConfig(**{"epochs": 2, "batch_size": 30, **config}),
                      Subnetworks((0.4, 1.0), value="learned", **options), console=QUIET)


def test_given_widths_need_no_supernet(case):
    split, variables, graph = case
    network, _ = reds_jax.nest(Net(), variables, DataSet("case", split, split, split),
                               FitConfig(epochs=1, batch_size=30, recalibrate_batches=0),
                               Subnetworks((0.4, 1.0), importance="l1", value="learned", supernet=0.9),
                               widths=[(2, 2), (6, 5)], console=QUIET)
    assert network.widths[0] == graph.widths((2, 2))
