"""The latency table: exact at its points, refused for another network, accepted by the solver, and right for whole networks."""

import dataclasses
import importlib.util
import itertools
import json
import math
import shutil
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from reds_jax.cost import width_problem
from reds_jax.deploy import saved_run
from reds_jax.deploy.board import device
from reds_jax.deploy.c.export import export
from reds_jax.deploy.latency.command import Latency
from reds_jax.deploy.latency.measure import measure
from reds_jax.deploy.latency.program import plan
from reds_jax.deploy.latency.table import LatencyTable, OperationCost
from reds_jax.deploy.lowering.lower import lower
from reds_jax.errors import CheckpointError, InvalidArgumentError, RedsError
from reds_jax.graph.channels import Size
from reds_jax.graph.trace import trace
from reds_jax.knapsack import solve_nested
from reds_jax.models import DSCNN
from reds_jax.network import NestedNetwork

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "latency_loop.py"
needs_gcc = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed")
needs_qemu = pytest.mark.skipif(None in map(shutil.which, ("qemu-system-arm", "arm-none-eabi-gcc")),
                                reason="qemu-system-arm or arm-none-eabi-gcc is not installed")
SHAPE = (12, 6, 1)


def network(model, shape=SHAPE):
    example = jnp.zeros((1, *shape), jnp.float32)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0), example)
    variables = jax.tree.map(lambda a: rng.uniform(0.1, 1.0, a.shape).astype(np.float32), shapes)  # a variance is positive
    graph = trace(model, variables, example)
    return model, variables, graph, lower(model, [variables], [graph.full_widths], example)


@pytest.fixture(scope="module")
def small():
    return network(DSCNN(3, 16, (4, 4), (2, 2), ((1, 1),) * 2))


@pytest.fixture(scope="module")
def counted(small):
    """Instructions of a Cortex-M4F, int8."""
    _, _, graph, program = small
    return measure(program, graph, "int8", machine="m4", points=3, multiple=4, checks=2)


def by_formula(program, graph, points=3):
    """A table that was not measured: every call costs 7 plus 3 for each pair of channels."""
    measured = plan(program, graph, points=points, multiple=4, checks=0, seed=0)
    costs = [7.0 + 3 * math.prod(np.ix_(*m.grid)) for m in measured]
    operations = tuple(OperationCost(m.operation.name, m.operation.kind, m.sizes, m.grid, c)
                       for m, c in zip(measured, costs, strict=True))
    return LatencyTable("instructions", "int8", tuple((g.name, g.size) for g in graph.groups), graph.layers, operations, {})


def test_interpolation_is_exact_at_the_points_and_bilinear_between_them():
    costs = np.random.default_rng(0).integers(1, 1000, (3, 4)).astype(float)
    op = OperationCost("a", "conv", (Size(0), Size(0)), ((2, 5, 9), (1, 3, 4, 10)), costs)
    for (i, a), (j, b) in itertools.product(enumerate(op.points[0]), enumerate(op.points[1])):
        assert op.at(a, b) == costs[i, j]
    assert op.at(3, 7) == pytest.approx((2 * (costs[0, 2] + costs[0, 3]) + costs[1, 2] + costs[1, 3]) / 6)
    true = OperationCost("b", "conv", op.sizes, op.points, 5 + 2.0 * np.outer(*op.points) + 3.0 * np.asarray(op.points[1]))
    widths = np.meshgrid(np.arange(2, 10), np.arange(1, 11))
    np.testing.assert_allclose(true.at(*widths), 5 + 2 * widths[0] * widths[1] + 3 * widths[1])
    for outside in ((1, 3), (10, 3), (2, 11)):
        with pytest.raises(InvalidArgumentError, match="was not measured"):
            op.at(*outside)


class Pooled(nn.Module):
    """What the small one lacks: a max pool, positions in front of a dense layer, a softmax."""

    @nn.compact
    def __call__(self, x):
        x = nn.max_pool(nn.relu(nn.Conv(12, (3, 3), name="conv")(x)), (2, 2), (2, 2))
        return nn.softmax(nn.Dense(3, name="logits")(x.reshape(len(x), -1)))


class Residual(nn.Module):
    """A layer whose widths are both of one group, and a sum."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(12, (3, 3), name="conv")(x))
        x = nn.relu(x + nn.Conv(12, (3, 3), name="again")(x))
        return nn.Dense(3, name="logits")(x.mean((1, 2)))


class Gated(nn.Module):
    """A gate, a product of two layers, functions of single entries, and rows that are repeated."""

    @nn.compact
    def __call__(self, x):
        x = nn.silu(nn.Conv(12, (3, 3), (2, 2), name="conv")(x))
        x = jnp.repeat(x * nn.sigmoid(nn.Dense(x.shape[-1], name="gate")(x.mean((1, 2))))[:, None, None], 2, 1)
        x = nn.relu(x * nn.Conv(x.shape[-1], (1, 1), name="other")(x))
        return nn.Dense(3, name="logits")(x.mean((1, 2)))


@pytest.fixture(scope="module")
def others():
    return {"pooled": network(Pooled(), (8, 8, 2)), "residual": network(Residual(), (6, 5, 2)),
            "gated": network(Gated(), (6, 4, 2))}


@pytest.mark.parametrize("model", ["chain", "residual", "gated"])
def test_the_tables_of_the_solver_are_the_cost_of_the_table(small, others, model):
    """Also where both widths of a layer are of one group (a residual)."""
    _, _, graph, program = others.get(model, small)
    table = by_formula(program, graph)
    rng = np.random.default_rng(1)
    widths = [np.arange(4, g.size + 1, 4) for g in graph.groups]
    tables = table.tables(graph, widths)
    assert all(t.array.dtype == np.int64 for t in tables)
    index = {g.name: i for i, g in enumerate(graph.groups)}
    assert len({t.groups for t in tables}) == len(tables)
    for _ in range(20):
        at = [int(rng.integers(len(w))) for w in widths]
        total = sum(int(t.array[tuple(at[index[g]] for g in t.groups)]) for t in tables)
        chosen = [int(w[i]) for w, i in zip(widths, at, strict=True)]
        assert total == table.cost(graph, chosen)
    assert table.cost(graph, 1.0) == sum(op.costs.ravel()[-1] for op in table.operations)


def test_the_solver_takes_the_table_and_keeps_its_capacity(small):
    _, _, graph, program = small
    table = by_formula(program, graph)
    scores = {g.name: 1.0 / (1 + np.arange(g.size)) for g in graph.groups}
    problem = width_problem(graph, scores, step=4, extra_resources={table.unit: table})
    full = problem.cost("instructions", problem.full_widths)
    assert full == table.cost(graph, 1.0)
    limits = [{"instructions": b * full} for b in (0.4, 0.7, 1.0)]
    for solution, limit in zip(solve_nested(problem, limits).solutions, limits, strict=True):
        assert solution.costs["instructions"] <= limit["instructions"]
        assert solution.costs["instructions"] == table.cost(graph, solution.widths)
        assert solution.costs["macs"] == graph.macs(solution.widths)


def test_a_width_costs_the_same_to_the_last_bit_alone_and_among_all(small):
    """So a full network meets a budget of 1, and a bound that the solver met is met by what is reported."""
    _, _, graph, program = small
    rng = np.random.default_rng(2)
    whole = by_formula(program, graph)
    timed = dataclasses.replace(whole, unit="latency_us", operations=tuple(
        dataclasses.replace(op, costs=rng.random(op.costs.shape)) for op in whole.operations))
    for table in (timed, whole):
        scores = {g.name: np.ones(g.size) for g in graph.groups}
        problem = width_problem(graph, scores, floor=4, extra_resources={"cost": table})
        for _ in range(60):
            widths = [int(rng.integers(4, g.size + 1)) for g in graph.groups]
            assert problem.cost("cost", widths) == table.cost(graph, widths)


def test_the_digest_is_of_what_a_cost_depends_on(small, tmp_path):
    _, _, graph, program = small
    table = by_formula(program, graph)
    table.save(tmp_path / "table.json")
    assert LatencyTable.load(tmp_path / "table.json").digest() == table.digest()
    assert dataclasses.replace(table, facts={"machine": "another"}).digest() == table.digest()
    first, *rest = table.operations
    changed = [dataclasses.replace(table, **{name: value}) for name, value in {
        "unit": "latency_us", "dtype": "float32", "groups": table.groups[:-1], "layers": table.layers[:-1],
        "operations": (dataclasses.replace(first, costs=first.costs + 1), *rest)}.items()]
    assert len({table.digest(), *(t.digest() for t in changed)}) == len(changed) + 1


def test_a_table_is_read_as_it_was_written(small, tmp_path):
    _, _, graph, program = small
    table = dataclasses.replace(by_formula(program, graph), facts={"machine": "none", "compiler": "gcc", "flags": "-O2"})
    table.save(tmp_path / "table.json")
    again = LatencyTable.load(tmp_path / "table.json", graph)
    assert (again.unit, again.dtype, again.groups, again.layers, again.facts) == (
        table.unit, table.dtype, table.groups, table.layers, table.facts)
    for a, b in zip(again.operations, table.operations, strict=True):
        assert (a.name, a.kind, a.sizes, a.points) == (b.name, b.kind, b.sizes, b.points)
        np.testing.assert_array_equal(a.costs, b.costs)


def test_a_table_of_another_network_is_refused(small, tmp_path):
    _, _, graph, program = small
    table = by_formula(program, graph)
    table.save(tmp_path / "table.json")
    wider = network(DSCNN(3, 20, (4, 4), (2, 2), ((1, 1),) * 2))[2]
    larger_image = network(DSCNN(3, 16, (4, 4), (2, 2), ((1, 1),) * 2), (14, 6, 1))[2]
    for other in (wider, larger_image):
        scores = {g.name: np.ones(g.size) for g in other.groups}
        for use in (lambda o: table.cost(o, 1.0), lambda o: LatencyTable.load(tmp_path / "table.json", o),
                    lambda o, s=scores: width_problem(o, s, extra_resources={"instructions": table})):
            with pytest.raises(InvalidArgumentError, match="of another network"):
                use(other)


@pytest.mark.parametrize("spoil", [
    lambda r: r.update(format="reds_jax latency table 0"), lambda r: r.update(unit="seconds"), lambda r: r.pop("layers"),
    lambda r: r["operations"][0].update(costs=[[1, 2]]), lambda r: r["operations"][0]["points"][1].reverse(),
    lambda r: r["operations"][1].update(costs=[-1, 2, 3])], ids="format unit layers shape order negative".split())
def test_what_is_no_table_is_refused(small, tmp_path, spoil):
    path = tmp_path / "table.json"
    by_formula(small[3], small[2]).save(path)
    record = json.loads(path.read_text())
    spoil(record)
    path.write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match="no latency table"):
        LatencyTable.load(path)


def test_a_program_of_a_smaller_network_and_wrong_grids_are_refused(small):
    model, variables, graph, program = small
    half = lower(model, [variables], [0.5], jnp.zeros((1, *SHAPE)))
    with pytest.raises(InvalidArgumentError, match="not the full network"):
        measure(half, graph)
    with pytest.raises(InvalidArgumentError, match="no grid"):
        measure(program, graph, points=1)
    with pytest.raises(InvalidArgumentError, match="cannot be measured"):
        measure(program, graph, machine="m7")  # type: ignore[arg-type]


@needs_gcc
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("model", ["small", "pooled", "residual", "gated"])
def test_every_operation_is_timed(small, others, dtype, model):
    _, _, graph, program = others.get(model, small)
    table = measure(program, graph, dtype, points=2, passes=2, checks=1)
    assert table.unit == "latency_us"
    kinds = [op.kind for op in program.operations if dtype == "float32" or op.kind != "softmax"]
    assert [op.kind for op in table.operations] == kinds
    assert all(op.costs.shape == tuple(map(len, op.points)) for op in table.operations)
    assert table.cost(graph, 1.0) > 0
    assert {"machine", "compiler", "flags", "clock", "passes", "statistic", "commit"} <= set(table.facts)
    assert table.facts["interpolation"]["checks"] > 0
    full = graph.integers(1.0)
    for op in table.operations:
        assert tuple(p[-1] for p in op.points) == tuple(size(full) for size in op.sizes)


@needs_gcc
def test_a_measurement_that_fails_says_so(small, monkeypatch):
    with pytest.raises(RedsError, match="failed"):
        measure(small[3], small[2], points=2, passes=1, flags=("-O2", "-no-such-flag"))


@needs_qemu
def test_instructions_are_the_same_on_two_runs(small, counted):
    _, _, graph, program = small
    again = measure(program, graph, "int8", machine="m4", points=3, multiple=4, checks=2)
    assert counted.unit == "instructions"
    for a, b in zip(counted.operations, again.operations, strict=True):
        np.testing.assert_array_equal(a.costs, b.costs)
        assert (a.costs > 0).all()
        for axis in range(a.costs.ndim):
            assert (np.diff(a.costs, axis=axis) > 0).all()
    assert counted.facts["interpolation"] == again.facts["interpolation"]
    assert counted.facts["interpolation"]["sum_of_errors_over_sum"] < 0.05


@needs_qemu
@pytest.mark.parametrize(("dtype", "machine"), [
    ("int8", "m4"), pytest.param("int8", "m0", marks=pytest.mark.slow), ("float32", "m4")])
def test_the_layers_add_up_to_the_network(small, counted, tmp_path, dtype, machine):
    """At widths of the grid; the code of the Cortex-M0 is counted on the larger board, and the network on its own."""
    model, variables, graph, program = small
    table = counted
    if (dtype, machine) != ("int8", "m4"):
        table = measure(program, graph, dtype, machine=machine, points=3, checks=0)
    widths = [(4, 8, 8), (8, 8, 16), (16, 16, 16)]
    inputs = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    export(model, variables, graph, widths, tmp_path / "c", dtype, calibration=[inputs])
    found = device.run(tmp_path / "c", machine, examples=1)
    assert len(found.subnetworks) == 3
    for chosen, subnetwork in zip(widths, found.subnetworks, strict=True):
        assert table.cost(graph, chosen) == pytest.approx(subnetwork.invoke, rel=0.03)


@needs_qemu
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_gates_and_functions_add_up_too(others, tmp_path, dtype):
    model, variables, graph, program = others["gated"]
    table = measure(program, graph, dtype, machine="m4", points=3, multiple=4, checks=0)
    inputs = np.random.default_rng(0).normal(size=(2, 6, 4, 2)).astype(np.float32)
    export(model, variables, graph, [(4,), (12,)], tmp_path / "c", dtype, calibration=[inputs])
    for chosen, found in zip((4, 12), device.run(tmp_path / "c", "m4", examples=1).subnetworks, strict=True):
        assert table.cost(graph, [chosen]) == pytest.approx(found.invoke, rel=0.03)


@needs_gcc
def test_the_command_writes_a_table(small, tmp_path, monkeypatch):
    model, variables, graph, _ = small
    network = NestedNetwork(model, variables["params"], (variables["batch_stats"],), (graph.full_widths,), (graph.macs(),))

    class Run:
        def __init__(self):
            self.network, self.graph = network, graph

    monkeypatch.setattr(saved_run, "read", lambda folder, data=None, other_data=False: Run())
    console = Console(record=True, width=120)
    Latency(tmp_path, tmp_path / "table.json", points=2, passes=1)(console, "the command")
    table = LatencyTable.load(tmp_path / "table.json", graph)
    assert table.facts["command"] == "the command"
    shown = console.export_text()
    assert all(op.name in shown for op in table.operations)
    (tmp_path / "mine.json").write_text("{}")
    for taken, message in (("nowhere/table.json", "no such folder"), ("table.txt", "cannot be written"),
                           ("mine.json", "did not write")):
        with pytest.raises(InvalidArgumentError, match=message):
            Latency(tmp_path, tmp_path / taken)(console, "")
    Latency(tmp_path, tmp_path / "table.json", points=2, passes=1)(console, "again")  # its own table it replaces
    assert LatencyTable.load(tmp_path / "table.json").facts["command"] == "again"


@pytest.mark.slow
@needs_qemu
@needs_gcc
def test_the_benchmark_leaves_its_record(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("benchmark_latency_loop", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, script)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "NETWORKS", {"Tiny": (lambda: DSCNN(3, 16, (4, 4), (2, 2), ((1, 1),) * 2), SHAPE)})
    script.main(["--networks", "Tiny", "--dtypes", "float32", "--budgets", "0.5", "1.0", "--points", "2", "--passes", "3",
                 "--more-seeds", "1", "--output", str(tmp_path)])
    record, = json.loads((tmp_path / "results.json").read_text())["records"]
    assert set(record["choices"]) == {"macs", "latency_us", "instructions", "latency_us, equal", "instructions, equal"}
    for choice in record["choices"].values():
        for row in choice["subnetworks"]:
            assert row["predicted"]["instructions"] == pytest.approx(row["measured"]["instructions"], rel=0.1)
    limits = [b * record["full"]["instructions"] for b in (0.5, 1.0)]
    spent = [row["predicted"]["instructions"] for row in record["choices"]["instructions"]["subnetworks"]]
    assert all(s <= limit for s, limit in zip(spent, limits, strict=True))
    assert "| Tiny | float32 |" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "latency.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "tables").glob("tiny_float32_*.json"))) == 2


def test_what_has_no_measured_form_is_refused_by_name(joined):
    for name, operation in (("unet", "concat"), ("multiplied", "multiplied"), ("padded", "pad")):
        case = joined(name)
        full = lower(case.model, case.trees[-1:], case.widths[-1:], case.x)
        with pytest.raises(InvalidArgumentError, match=f"no entry for an operation such as '{operation}'"):
            plan(full, case.graph, points=3, multiple=2, checks=0, seed=0)
