"""Budgets that hold for a latency table as well: both bounds, the optimum under both, and what is said of them."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import reds_jax
from reds_jax import models, pipeline, report
from reds_jax.choice import METHODS, Choice, Subnetworks, check_budgets, choose_widths
from reds_jax.deploy.latency.table import LatencyTable, OperationCost
from reds_jax.errors import CheckpointError, InfeasibleError, InvalidArgumentError
from reds_jax.experiments import compare as comparing
from reds_jax.experiments import evaluate, fashion_mnist, task_run
from reds_jax.experiments.compare import Comparison, compare
from reds_jax.experiments.config import Experiment, Nested, Training
from reds_jax.experiments.folder import RunFolder
from reds_jax.experiments.runner import parse, run
from reds_jax.experiments.task import Network, Task
from reds_jax.graph.channels import Axis, ChannelGraph, Group, Layer, Parameter, Size, Step
from reds_jax.knapsack import ces
from reds_jax.training import FitConfig


def chain(sizes, factors):
    """Dense layers from 2 inputs to 3 outputs, each at ``factors`` places."""
    axes = [None, *(Axis(np.full(n, i, np.int32), np.arange(n, dtype=np.int32)) for i, n in enumerate(sizes)), None]
    lengths, layers = [2, *sizes, 3], range(len(sizes) + 1)
    forms = [Size(2), *(Size(0, ((i, 1),)) for i in range(len(sizes))), Size(3)]
    return ChannelGraph(
        tuple(Group(f"layer_{i}", n) for i, n in enumerate(sizes)),
        tuple(Parameter(f"params/layer_{i}/kernel", (lengths[i], lengths[i + 1]), 4, (axes[i], axes[i + 1])) for i in layers),
        tuple(Layer(f"layer_{i}", "dense", factors[i], (forms[i], forms[i + 1])) for i in layers),
        tuple(Step(f"layer_{i}", (forms[i] + forms[i + 1]) * 4) for i in layers))


def table_of(graph, costs, *, least=1, unit="latency_us", dtype="int8", points=4):
    """A table of dense layers; ``costs(layer, grid of widths in, grid of widths out)``, from ``least`` on."""
    full = [g.size for g in graph.groups]

    def grid(size):
        top = size(full)
        return tuple(sorted({max(min(least, top), top * i // (points - 1)) for i in range(points)})) if size.terms else (top,)

    operations = []
    for layer in graph.layers:
        grids = tuple(map(grid, layer.sizes))
        costs_here = np.asarray(costs(layer, *np.ix_(*grids)), float)
        operations.append(OperationCost(layer.path, layer.kind, layer.sizes, grids, costs_here))
    return LatencyTable(unit, dtype, tuple((g.name, g.size) for g in graph.groups), tuple(graph.layers), tuple(operations), {})


def of_macs(layer, m, n):
    """A quarter of a microsecond for each product: exact in binary."""
    return 0.25 * layer.factor * m * n


def falling(graph, seed=0):
    rng = np.random.default_rng(seed)
    return {g.name: np.sort(rng.random(g.size) + 0.01)[::-1] for g in graph.groups}


def interpolated(table, widths):
    """The cost by the definition, one axis after the other."""
    total = 0.0
    for op in table.operations:
        columns = np.array([np.interp(op.sizes[1](widths), op.points[1], row) for row in op.costs])
        total += np.interp(op.sizes[0](widths), op.points[0], columns)
    return total


@st.composite
def bounded(draw):
    """(graph, table, budgets); costs that grow with the widths, or not."""
    count = draw(st.integers(1, 3))
    graph = chain(draw(st.lists(st.integers(1, 6), min_size=count, max_size=count)),
                  draw(st.lists(st.integers(1, 5), min_size=count + 1, max_size=count + 1)))
    rng, grows = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.booleans())

    def costs(layer, m, n):
        drawn = rng.integers(0, 20, (m.size, n.size)) / 3
        return drawn.cumsum(0).cumsum(1) + 1 if grows else drawn + 1

    table = table_of(graph, costs, least=draw(st.integers(1, 3)), points=draw(st.integers(2, 4)))
    budgets = draw(st.lists(st.sampled_from([0.1, 0.2, 0.35, 0.5, 0.6, 0.8, 0.95, 1.0]), min_size=1, max_size=3, unique=True))
    return graph, table, tuple(sorted(budgets))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("tables") / "table.json"


@settings(max_examples=80, deadline=None)
@given(case=bounded(), method=st.sampled_from(["reds", "uniform_sorted", "uniform_live", "magnitude"]))
def test_every_subnetwork_obeys_both_bounds_and_the_solver_is_optimal_under_both(path, case, method):
    """Against all widths, with the costs and the values counted here; refused beforehand if and only if nothing fits."""
    graph, table, budgets = case
    table.save(path)
    table = LatencyTable.load(path)
    scores, full = falling(graph), [g.size for g in graph.groups]
    options = Subnetworks(budgets=budgets, latency_table=path)
    least = [max([min(op.points[axis][0], n) for op in table.operations for axis, size in enumerate(op.sizes)
                  if size.terms == ((i, 1),)]) for i, n in enumerate(full)]
    every = list(itertools.product(*(range(low, n + 1) for low, n in zip(least, full, strict=True))))
    macs, cost = np.array([graph.macs(w) for w in every]), np.array([interpolated(table, w) for w in every])
    worth = [ces(scores[g.name], range(1, g.size + 1), gamma=2.0) for g in graph.groups]
    value = np.array([sum(v[n - 1] for v, n in zip(worth, w, strict=True)) for w in every])

    def fits(budget, slack):
        return (macs <= budget * graph.macs()) & (cost <= budget * interpolated(table, full) + slack)

    first = slice(0, 1) if method.startswith("uniform") else slice(None)  # uniform widths begin with the smallest
    try:
        check_budgets(graph, options, method)
    except InfeasibleError:
        assert not fits(budgets[0], -1e-9)[first].any()
        with pytest.raises(InfeasibleError):
            choose_widths(graph, scores, options, method)
        return
    assert fits(budgets[0], 1e-9)[first].any()
    choice = choose_widths(graph, scores, options, method)
    for k, (budget, widths) in enumerate(zip(budgets, choice.widths, strict=True)):
        at = every.index(widths)
        assert fits(budget, 1e-9)[at]
        assert choice.predicted[k].cost == table.cost(graph, widths) == pytest.approx(cost[at])
        assert choice.predicted[k].fraction == pytest.approx(cost[at] / interpolated(table, full))
        if method == "reds":
            alone = choose_widths(graph, scores, replace(options, budgets=(budget,)), method).widths[0]
            reached = value[every.index(alone)]
            assert value[fits(budget, -1e-9)].max(initial=-np.inf) - 1e-9 <= reached <= value[fits(budget, 1e-9)].max() + 1e-9


@settings(max_examples=40, deadline=None)
@given(case=bounded(), method=st.sampled_from(METHODS), step=st.sampled_from([1, 2]))
def test_a_table_in_proportion_to_the_macs_changes_nothing(path, case, method, step):
    graph, _, budgets = case
    table_of(graph, of_macs).save(path)
    options = Subnetworks(budgets=budgets, step=step)

    def chosen(options):
        try:
            return choose_widths(graph, falling(graph), options, method).widths
        except InfeasibleError:
            return None

    assert chosen(options) == chosen(replace(options, latency_table=path))


@pytest.mark.parametrize("method", ["reds", "magnitude", "uniform_sorted", "uniform_live"])
def test_the_table_binds_where_the_macs_do_not_and_is_filled(path, method):
    """A call costs 5 us whatever its widths: the MACs are far from their budgets, and one unit more would cost too much."""
    graph = chain([12, 20, 8], [3, 1, 2, 4])
    table = table_of(graph, lambda layer, m, n: 5 + of_macs(layer, m, n), points=3)
    table.save(path)
    options = Subnetworks(budgets=(0.3, 0.6, 1.0), latency_table=path)
    choice = choose_widths(graph, falling(graph), options, method)
    assert choice.widths[-1] == (12, 20, 8)
    for budget, widths in zip(options.budgets[:2], choice.widths[:2], strict=True):
        limit = budget * table.cost(graph, 1.0)
        assert table.cost(graph, widths) <= limit
        assert graph.macs(widths) < budget * graph.macs() * 0.95
        assert all(table.cost(graph, [n + (i == g) for i, n in enumerate(widths)]) > limit for g in range(3))


def test_a_deadline_takes_the_place_of_the_full_networks_cost(path):
    graph = chain([12, 20, 8], [3, 1, 2, 4])
    table = table_of(graph, of_macs)
    table.save(path)
    options = Subnetworks(budgets=(0.5, 1.0), latency_table=path, base_latency=0.4 * table.cost(graph, 1.0))
    choice = choose_widths(graph, falling(graph), options)
    for widths, predicted, limit in zip(choice.widths, choice.predicted, (0.2, 0.4), strict=True):
        assert 0.9 * limit < graph.macs(widths) / graph.macs() <= limit
        assert predicted.fraction == predicted.cost / options.base_latency


def test_widths_below_the_measured_ones_are_not_chosen_and_their_cost_is_the_least_that_is_said(path):
    """The grid begins at 4: no subnetwork costs less than (4, 4), 10 % of the full network, and a rule may ask for more."""
    graph = chain([12, 20], [1, 1, 1])
    table = table_of(graph, of_macs, least=4)
    table.save(path)
    least = {g.name: 4 for g in graph.groups}
    assert table.smallest(graph) == least
    options = Subnetworks(budgets=(0.12, 1.0), latency_table=path)
    for method in METHODS:
        assert min(choose_widths(graph, falling(graph), options, method).widths[0]) >= 4
        with pytest.raises(InfeasibleError) as error:
            check_budgets(graph, replace(options, budgets=(0.05, 1.0)), method)
        assert (error.value.resource, error.value.smallest) == ("macs", graph.macs([4, 4]))
    dear = table_of(graph, lambda layer, m, n: 5 + of_macs(layer, m, n), least=4)
    dear.save(path)
    with pytest.raises(InfeasibleError) as error:
        check_budgets(graph, options)
    assert (error.value.resource, error.value.smallest) == ("latency_us", dear.cost(graph, [4, 4]))
    one = {"layer_0": np.array([1.0] + [1e-9] * 11), "layer_1": falling(graph)["layer_1"]}
    for floor, width in ((0.0, 4), (0.5, 6)):
        assert choose_widths(graph, one, replace(options, budgets=(0.45, 1.0), floor=floor)).widths[0][0] == width


def test_a_measured_cost_may_fall_as_a_width_grows(path):
    """One unit takes longer than two: the smallest widths do not meet the budget, and are not what decides about it."""
    graph = chain([4], [1, 1])
    table_of(graph, lambda layer, m, n: np.resize([9.0, 2.0, 3.0, 6.0], (m.size, n.size)), points=5).save(path)
    options = Subnetworks(budgets=(0.6, 1.0), latency_table=path)  # 7.2 of 12 us
    check_budgets(graph, options)
    assert choose_widths(graph, falling(graph), options).widths == ((2,), (4,))
    with pytest.raises(InfeasibleError) as error:
        check_budgets(graph, replace(options, base_latency=6.0))
    assert (error.value.resource, error.value.smallest) == ("latency_us", 4.0)


def test_the_base_of_a_wider_network_costs_what_the_table_of_the_wider_one_says(path):
    base, wide = chain([8, 10], [2, 1, 1]), chain([12, 15], [2, 1, 1])
    table = table_of(wide, lambda layer, m, n: 2 + of_macs(layer, m, n))
    table.save(path)
    options = Subnetworks(budgets=(0.5, 1.0), latency_table=path)
    found = options.within(base)
    assert (found.base_latency, found.base_macs) == (table.cost(wide, [8, 10]), base.macs())
    for widths, budget in zip(choose_widths(wide, falling(wide), found).widths, (0.5, 1.0), strict=True):
        assert table.cost(wide, widths) <= budget * table.cost(wide, [8, 10])
    assert replace(options, base_latency=7.0).within(base).base_latency == 7.0
    for other in (chain([8, 16], [2, 1, 1]), chain([8], [2, 1]), chain([8, 10], [2, 2, 1])):
        with pytest.raises(InvalidArgumentError, match="the latency table is of"):
            options.within(other)


def test_widths_to_learn_from_are_near_all_bounds(path):
    """Where the table leaves a quarter of the MACs, samples with half of them would tell nothing of what is chosen."""
    graph = chain([24, 24], [1, 1, 1])
    table_of(graph, lambda layer, m, n: np.sqrt(of_macs(layer, m, n))).save(path)
    options = Subnetworks(budgets=(0.5, 1.0), latency_table=path)
    widths, near = pipeline.near_budgets(graph, options, 12, 0)
    (allowed, _) = choose_widths(graph, falling(graph), options, "uniform_sorted").widths
    assert near.tolist() == [0] * 12
    assert graph.macs(allowed) < 0.4 * graph.macs()
    assert all(0.8 * graph.macs(allowed) <= graph.macs(w) <= graph.macs(allowed) for w in widths)


@pytest.mark.parametrize(("options", "message"), [
    ({"base_latency": 5.0}, "base_latency has no latency table"),
    ({"latency_table": Path("t"), "base_latency": 0}, "out of range"), ({"latency_table": 3}, "latency_table is no file")])
def test_options_of_the_table_are_checked_when_they_are_made(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        Subnetworks(**options)


@pytest.fixture(scope="module")
def images():
    return reds_jax.data.load("fashion_mnist", "synthetic", limit=60)


def traced(arguments, images):
    model = models.build("dnn_s", arguments)
    variables = jax.eval_shape(model.init, jax.random.key(0), images.example())
    return reds_jax.trace(model, variables, images.example())


@pytest.mark.parametrize(("write", "options", "error", "message"), [
    (lambda graph, path: None, {}, CheckpointError, "there is no such latency table.*reds deploy latency"),
    (lambda graph, path: path.write_text('{"format": "mine"}', encoding="utf-8"), {}, CheckpointError, "no latency table"),
    (lambda graph, path: replace(table_of(graph, of_macs), dtype="half").save(path), {}, CheckpointError, "no latency table"),
    (lambda graph, path: table_of(chain([4], [1, 1]), of_macs).save(path), {}, InvalidArgumentError, "of another network"),
    (lambda graph, path: table_of(graph, of_macs, least=72).save(path), {"budgets": (0.1, 1.0)}, InfeasibleError,
     "no allowed widths meet the capacity of 'macs'"),
    (lambda graph, path: table_of(graph, lambda layer, m, n: 1 + 0 * m * n).save(path), {}, InfeasibleError,
     "no allowed widths meet the capacity of 'latency_us'"),
])
def test_what_cannot_be_is_refused_before_anything_is_scored(images, tmp_path, write, options, error, message):
    write(traced({"classes": 10}, images), tmp_path / "table.json")
    model, stages = models.build("dnn_s", {"classes": 10}), []
    variables = model.init(jax.random.key(0), images.example())
    with pytest.raises(error, match=message):
        reds_jax.nest(model, variables, images, FitConfig(epochs=1, batch_size=10),
                      Subnetworks(latency_table=tmp_path / "table.json", **options),
                      observe=lambda stage, found: stages.append(stage))
    assert set(stages) <= {"groups"}


def test_widths_that_are_given_obey_the_table_too(images, path):
    graph = traced({"classes": 10}, images)
    table_of(graph, lambda layer, m, n: 1000 + of_macs(layer, m, n)).save(path)
    options, full = Subnetworks(budgets=(0.5, 1.0), latency_table=path), [g.size for g in graph.groups]
    model = models.build("dnn_s", {"classes": 10})
    variables = model.init(jax.random.key(0), images.example())
    half = choose_widths(graph, falling(graph), replace(options, latency_table=None)).widths[0]
    with pytest.raises(InvalidArgumentError, match="latency_us, and they cost .* by the table"):
        pipeline.check(model, variables, graph, images, FitConfig(epochs=1, batch_size=10), options, widths=[half, full])


def experiment(output, table, **changes):
    return Experiment(**{
        "data": "synthetic", "limit": 120, "output": output, "recalibration_batches": 2,
        "widen": 1.5,
        "subnetworks": Subnetworks(budgets=(0.4, 1.0), importance="l1", scoring_batches=1, latency_table=table),
        "pretrain": Training(epochs=1, batch_size=30), "nested": Nested(epochs=1, batch_size=30), **changes})


TASK = Task("fashion_mnist", "a tiny run", {"dnn": Network("DNN", "dnn_s", {"classes": 10})}, {})


@pytest.fixture(scope="module")
def finished(tmp_path_factory, images):
    """A run of a wider network with a table: (folder, results, table, graph)."""
    folder = tmp_path_factory.mktemp("run")
    graph = traced({"classes": 10, "widen": 1.5}, images)
    table = table_of(graph, lambda layer, m, n: 50 + of_macs(layer, m, n), least=4)
    table.save(folder / "table.json")
    console = Console(record=True, width=150)
    results = run(TASK, experiment(folder / "run", folder / "table.json"), console=console, command="the command")
    return folder, results, table, graph, console.export_text()


def test_what_is_reported_is_what_the_table_says_of_the_widths(finished, images):
    """A run of a wider network: its budgets are fractions of what the base's widths cost."""
    folder, results, table, graph, shown = finished
    base = traced({"classes": 10}, images)
    whole = table.cost(graph, base.full_widths.values_tuple())
    stored = json.loads((folder / "run" / "results.json").read_text(encoding="utf-8"))
    assert (stored["bounds"]["base_latency"], stored["bounds"]["latency_table"]) == (whole, str(folder / "table.json"))
    page = (folder / "run" / "report.md").read_text(encoding="utf-8")
    for found, read in zip(results["methods"][0].subnetworks, stored["methods"][0]["subnetworks"], strict=True):
        cost = table.cost(graph, found.widths)
        assert cost <= found.budget * whole
        assert found.predicted == report.Predicted("latency_us", cost, cost / whole)
        assert read["predicted"] == {"unit": "latency_us", "cost": cost, "fraction": cost / whole}
        cell = f"{cost:,.1f} ({100 * cost / whole:.1f} %)"
        assert f"| {found.macs:,} | {100 * found.macs_fraction:.1f} | {cell} |" in page
        assert shown.count(cell) == 2  # the widths, and the metric
    assert "predicted latency_us" in shown
    assert f"the budgets hold for the latency table {folder / 'table.json'} as well; they are of {whole:,.1f} by it" in page


def test_a_saved_run_is_measured_with_what_was_predicted(finished, monkeypatch, capsys):
    folder, results, *_ = finished
    output = folder / "evaluated.json"
    (folder / "table.json").rename(folder / "moved.json")  # it is not needed any more
    evaluate.main([str(folder / "run"), "--output", str(output)])
    (folder / "moved.json").rename(folder / "table.json")
    shown, stored = capsys.readouterr().out, json.loads(output.read_text(encoding="utf-8"))
    for found, read in zip(results["methods"][0].subnetworks, stored["subnetworks"], strict=True):
        assert report.Predicted(**read["predicted"]) == found.predicted
        assert str(found.predicted) in shown


def test_a_run_goes_on_with_the_same_table_wherever_it_lies_and_with_no_other(finished, monkeypatch, tmp_path):
    folder, _, table, *_ = finished
    monkeypatch.setattr(task_run, "fit", lambda *arguments, **options: pytest.fail("it trains"))
    replace(table, facts={"machine": "the same figures"}).save(tmp_path / "elsewhere.json")
    RunFolder("fashion_mnist", "c", experiment(folder / "run", tmp_path / "elsewhere.json"))
    changed = replace(table, operations=(replace(table.operations[0], costs=table.operations[0].costs + 1),
                                         *table.operations[1:]))
    changed.save(tmp_path / "elsewhere.json")
    for other, got in ((tmp_path / "elsewhere.json", changed.digest()), (None, None)):
        with pytest.raises(CheckpointError) as refused:
            RunFolder("fashion_mnist", "c", experiment(folder / "run", other))
        assert refused.value.got == f"--subnetworks.latency_table {got} (there {table.digest()})"
    with pytest.raises(CheckpointError, match="there is no such latency table"):
        RunFolder("fashion_mnist", "c", experiment(folder / "run", tmp_path / "nowhere.json"))


def test_cells_of_a_comparison_with_another_table_are_refused_and_the_line_of_a_table(tmp_path, monkeypatch, images):
    graph = traced({"classes": 10, "widen": 1.5}, images)
    path = tmp_path / "table.json"
    table_of(graph, of_macs).save(path)
    cells = {name: {"subnetworks": [
        {"budget": b, "predicted": {"unit": "latency_us", "cost": 1.0, "fraction": share}} for b, share in zip(
            (0.5, 1.0), shares, strict=True)]} for name, shares in {"uniform": (0.49, 0.9), "CES": (0.47, 1.0)}.items()}
    rounds = [{"cells": cells}, {"cells": {**cells, "CES": cells["uniform"]}}]
    assert comparing._predicted(rounds, ["uniform", "CES"]) == (
        "latency_us", "uniform 49.0 90.0; CES 48.0 95.0")
    cells["uniform"]["subnetworks"][0] = {"budget": 0.5}
    assert comparing._predicted(rounds, ["uniform", "CES"]) is None
    monkeypatch.setattr(comparing, "_round", lambda *arguments: pytest.fail("a cell is measured"))
    options = experiment(tmp_path / "compared", path)
    (tmp_path / "compared").mkdir()
    comparison = Comparison("widths", "fashion_mnist", rounds=1)
    comparing._same_options(tmp_path / "compared" / "options.json", comparison, options)
    table_of(graph, lambda layer, m, n: 1 + of_macs(layer, m, n)).save(path)
    with pytest.raises(CheckpointError, match=r"other options; got \['subnetworks.latency_table'\]"):
        compare(comparison, TASK, options, console=Console(quiet=True), command="c")


def test_the_command_line_names_the_file():
    found = parse(fashion_mnist.TASK, ["--subnetworks.latency-table", "t.json", "--subnetworks.base-latency", "900"])
    assert (found.subnetworks.latency_table, found.subnetworks.base_latency) == (Path("t.json"), 900.0)


def test_a_choice_without_a_table_predicts_nothing():
    graph = chain([4], [1, 1])
    assert Choice.of(graph, Subnetworks(), "reds", [[2]]) == Choice("reds", ((2,),), None, graph.macs(), None)
