"""Scale and offset of batch norm that every subnetwork trains for itself: the step, the run, statistics and evaluation."""

from dataclasses import replace

import jax
import numpy as np
import optax
import pytest
from training_nets import WIDTHS, examples, initial, tiny_dnn, tiny_mlp

from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.private import Private, among, is_private, private_paths, variables_of, with_private
from reds_jax.training import FitConfig, Optimizer, Schedule, TrainState, evaluate, fit, recalibrate
from reds_jax.training.arrays import flatten
from reds_jax.training.fit import _description, prepare
from reds_jax.training.loop import Run

MODEL = tiny_mlp()
NORMS = {f"params/{layer}_norm/{leaf}" for layer in ("stem", "hidden") for leaf in ("scale", "bias")}
ROWS = np.arange(16)[None]
TRAIN, VALIDATION = examples(100), examples(50, 1)
CONFIG = FitConfig(epochs=2, batch_size=16, steps_per_dispatch=4, recalibrate_batches=2, norms="private",
                   optimizer=Optimizer(schedule=Schedule(learning_rate=0.01)))


def run(quiet, config=CONFIG, model=MODEL, **options):
    return fit(model, initial(model), (0.5, 1.0), TRAIN, VALIDATION, config, console=quiet, **options)


def shaken(params):
    """Private parameters that differ between the subnetworks."""
    def shake(node):
        return Private(tuple(a + 0.3 * k for k, a in enumerate(node.arrays))) if is_private(node) else node

    return jax.tree.map(shake, params, is_leaf=is_private)


def state_of(bench, subnetworks):
    state = TrainState.create(bench.variables, bench.optimizer, subnetworks, jax.random.key(0), private=NORMS)
    return replace(state, params=shaken(state.params))


@pytest.fixture(scope="module")
def base(quiet):
    return run(quiet)


def test_a_step_is_that_of_separate_networks_whose_shared_gradients_are_added(bench, monkeypatch):
    before = state_of(bench, 3)
    after, metrics = bench.step()(before, bench.data.inputs, bench.data.targets, ROWS)
    gradients, logits = [], []
    for k, width in enumerate(WIDTHS):
        monkeypatch.setattr(bench, "variables", variables_of(before.params, before.batch_stats, k))
        gradient, out, stats = bench.alone(width, ROWS[0])
        gradients.append(gradient)
        logits.append(out)
        for a, b in zip(jax.tree.leaves(after.batch_stats[k]), jax.tree.leaves(stats), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    moved = flatten(jax.tree.map(lambda a, b: (a - b) / 0.1, before.params, after.params))
    alone = [flatten(gradient) for gradient in gradients]
    assert set(moved) == {p for p in alone[0] if f"params/{p}" not in NORMS} | {f"{p[7:]}/{k}" for p in NORMS for k in range(3)}
    for path, found in moved.items():
        name, _, k = path.rpartition("/")
        expected = alone[int(k)][name] if f"params/{name}" in NORMS else sum(one[path] for one in alone)
        np.testing.assert_allclose(found, expected / 3, rtol=1e-3, atol=5e-6, err_msg=path)
    labels = bench.data.labels[ROWS[0]]
    np.testing.assert_allclose(metrics["metric"], [(out.argmax(-1) == labels).mean() for out in logits], rtol=1e-6)


def test_who_takes_no_part_in_a_step_keeps_its_norms(bench):
    """Of three in no order the largest and the smallest take part."""
    before = state_of(bench, 3)
    after, metrics = bench.step(WIDTHS, sandwich=0)(before, bench.data.inputs, bench.data.targets, ROWS)
    assert np.isnan(metrics["loss"]).tolist() == [True, False, False]
    nodes = [[node for node in jax.tree.leaves(s.params, is_leaf=is_private) if is_private(node)] for s in (before, after)]
    for then, now in zip(*nodes, strict=True):
        assert [np.array_equal(a, b) for a, b in zip(then.arrays, now.arrays, strict=True)] == [True, False, False]


def test_every_subnetwork_ends_with_norms_of_its_own(base):
    assert set(private_paths({"params": base.params})) == NORMS
    for node in jax.tree.leaves(base.params, is_leaf=is_private):
        if is_private(node):
            assert len(node.arrays) == 2
            assert not np.array_equal(*node.arrays)
    found = evaluate(MODEL, base.params, base.batch_stats, (0.5, 1.0), VALIDATION)
    assert base.history[base.best_epoch]["validation_metric"] == [e.accuracy for e in found]
    for k, width in enumerate((0.5, 1.0)):
        one, = evaluate(MODEL, variables_of(base.params, base.batch_stats, k)["params"], base.batch_stats[k : k + 1], [width],
                        VALIDATION)
        assert one == found[k]


def test_statistics_are_those_of_every_subnetwork_alone(base):
    stats = initial(MODEL)["batch_stats"]
    options = {"key": jax.random.key(1), "batch_size": 25}
    widths = (0.5, 1.0)
    params = shaken(with_private(initial(MODEL), NORMS, 2)["params"])
    together = recalibrate(MODEL, {"params": params, "batch_stats": stats}, widths, TRAIN, **options)
    for k, width in enumerate(widths):
        alone, = recalibrate(MODEL, variables_of(params, (stats,) * 2, k), [width], TRAIN, **options)
        for a, b in zip(jax.tree.leaves(together[k]), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dispatch", [1, 2])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(base, quiet, tmp_path, monkeypatch, dispatch):
    """Stopped in its first epoch, and behind it, where there is a best network already."""
    record, calls = Run.train_record, []

    def stopped(self, *arguments):
        calls.append(1)
        if len(calls) == dispatch + 1:
            raise SystemExit(1)
        return record(self, *arguments)

    monkeypatch.setattr(Run, "train_record", stopped)
    with pytest.raises(SystemExit):
        run(quiet, folder=tmp_path)
    monkeypatch.undo()
    again = run(quiet, folder=tmp_path)
    found, expected = (flatten({"state": r.state, "params": r.params, "stats": r.batch_stats}) for r in (again, base))
    assert found.keys() == expected.keys()
    for path, array in expected.items():
        np.testing.assert_array_equal(found[path], array, err_msg=path)
    with pytest.raises(CheckpointError, match="fit.norms"):
        run(quiet, config=replace(CONFIG, norms="shared"), folder=tmp_path)


@pytest.mark.parametrize("norms", ["shared", "private"])
def test_shared_norms_leave_the_parameters_and_the_record_of_a_run_as_they_were(norms):
    """So that a run from before there was a choice goes on."""
    run, start = prepare(MODEL, initial(MODEL), (0.5, 1.0), TRAIN, VALIDATION, replace(CONFIG, norms=norms))
    assert set(private_paths({"params": start.state.params})) == (NORMS if norms == "private" else set())
    assert _description(run, start.state, None)["fit"].get("norms") == (norms if norms == "private" else None)


def test_what_cannot_be_private_is_refused_before_anything_is_compiled():
    with pytest.raises(InvalidArgumentError, match="no batch norm with a scale or an offset"):
        prepare(tiny_dnn(), initial(tiny_dnn()), (0.5, 1.0), TRAIN, VALIDATION, CONFIG)
    with pytest.raises(InvalidArgumentError, match="unknown norms; got 'own'; allowed: shared, private"):
        FitConfig(norms="own")  # pyright: ignore[reportArgumentType]


def test_private_parameters_of_another_number_of_subnetworks_are_refused(base, bench):
    wanted = "private parameters are of another number of subnetworks"
    with pytest.raises(InvalidArgumentError, match=f"{wanted}; got 2; allowed: 1"):
        evaluate(MODEL, base.params, base.batch_stats[1:], [1.0], VALIDATION)
    with pytest.raises(InvalidArgumentError, match=wanted):
        recalibrate(MODEL, {"params": base.params, "batch_stats": base.batch_stats[0]}, [1.0], TRAIN, key=jax.random.key(0))
    state = TrainState.create(bench.variables, optax.sgd(0.1), 3, jax.random.key(0), private=NORMS)
    state = replace(state, params=among(state.params, (0, 1)))
    for call in (lambda *a: bench.step()(*a), lambda *a: jax.eval_shape(bench.step(), *a)):  # by its values, by its form
        with pytest.raises(InvalidArgumentError, match=wanted):
            call(state, bench.data.inputs, bench.data.targets, ROWS)
