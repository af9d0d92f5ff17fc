"""Any row of widths on the device: the answers are those of `reds_jax.run` at that row with the tables of the smallest
subnetwork that contains it (floats), and those of the formulas (int8, bit for bit); what is not allowed changes nothing."""

import ctypes
import itertools
import platform
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from bodies import Body, flattened
from c_exports import Compiler, Made, make_case
from device_cases import Case, case_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_arena import execute
from test_export_folder import SANITIZE
from test_export_interface import symbols

from reds_jax.deploy import folder as exported_folder
from reds_jax.deploy.board.host import WARNINGS
from reds_jax.deploy.c import arena
from reds_jax.deploy.c.any_widths import AnyWidths, any_rows
from reds_jax.deploy.c.export import export, scratch_bytes
from reds_jax.deploy.lowering.lower import lower
from reds_jax.deploy.lowering.row import at_row, containing
from reds_jax.errors import InvalidArgumentError, WidthError
from reds_jax.testing import LayerSpec, RandomNet

pytestmark = pytest.mark.usefixtures("as_users_write")

DTYPES = ("float32", "int8")
NAMES = ("ds_cnn", "resnet", "flattened")


def some_order(rows, seed: int = 0) -> np.ndarray:
    """From the first row to the last by steps of one or two groups, of one or two channels."""
    rng, most = np.random.default_rng(seed), np.array(rows[-1])
    order = [np.array(rows[0])]
    while (order[-1] < most).any():
        row = order[-1].copy()
        row[rng.integers(len(row), size=2)] += rng.integers(1, 3)
        order.append(np.minimum(row, most))
    return np.array(order)


@pytest.fixture(scope="session")
def every_row(library):
    """``every_row(name)``: a network whose program runs every row."""
    @cache
    def get(name: str) -> Case:
        case = case_of(Body(flattened), (5, 4, 3), (0.4, 0.6, 1.0)) if name == "flattened" else library(name)
        return replace(case, program=lower(case.model, case.trees, case.widths, case.x, every_row=True))

    return get


@pytest.fixture(scope="session")
def made(every_row, tmp_path_factory):
    @cache
    def get(name: str, dtype: str) -> Made:
        case = every_row(name)
        rows = any_rows("reds", case.graph, case.widths, some_order([w.values_tuple() for w in case.widths]))
        return make_case(case, dtype, tmp_path_factory.mktemp("any_widths") / f"{name}_{dtype}", rows=rows)

    return get


@pytest.fixture(scope="session")
def network(made, compiler):
    return cache(lambda name, dtype: compiler.load(made(name, dtype).folder))


def some_rows(rows: AnyWidths) -> st.SearchStrategy[tuple[int, ...]]:
    """Between the smallest and the largest subnetwork, its ends and the other subnetworks among them."""
    between = st.tuples(*(st.integers(a, b) for a, b in zip(rows.rows[0], rows.rows[-1], strict=True)))
    return between | st.sampled_from(rows.rows)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_row_answers_as_in_python(every_row, made, network, name: str, dtype: str, data: st.DataObject) -> None:
    case, exported, device = every_row(name), made(name, dtype), network(name, dtype)
    for row in data.draw(st.lists(some_rows(exported.rows), min_size=1, max_size=2 if dtype == "float32" else 20)):
        k = next(k for k, w in enumerate(case.widths) if all(a <= b for a, b in zip(row, w.values_tuple(), strict=True)))
        assert device.adapt_to(row)
        assert device.active == k
        expected, found = exported.at(row).expected(0, case.x), device.invoke(exported.given(case.x))
        if dtype == "int8":
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_what_run_computes_there(every_row, made, network, name: str) -> None:
    """With the variables, and so the batch statistics, of the smallest subnetwork that contains the row."""
    case, device, rng = every_row(name), network(name, "float32"), np.random.default_rng(1)
    least, _, most = (w.values_tuple() for w in case.widths)
    other = [case.widths[0], *(case.graph.widths([int(n) for n in rng.integers(least, np.array(most) + 1)]) for _ in range(3))]
    for row in other:
        k = made(name, "float32").rows.subnetwork(row.values_tuple())
        expected = replace(case, trees=[case.trees[k]], widths=[row]).expected(0).reshape(len(case.x), -1)
        assert device.adapt_to(row)
        np.testing.assert_allclose(device.invoke(case.x), expected, rtol=0, atol=1e-5 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_and_subnetworks_in_any_order(every_row, made, network, dtype: str) -> None:
    """Every bit is that of the first time, whatever ran before; the row of a subnetwork is that subnetwork."""
    exported, device, rng = made("resnet", dtype), network("resnet", dtype), np.random.default_rng(0)
    x, rows = exported.given(every_row("resnet").x), exported.rows
    first = {}
    for _ in range(60):
        row = rows.rows[int(rng.integers(3))] if rng.integers(2) else tuple(
            int(n) for n in rng.integers(rows.rows[0], np.array(rows.rows[-1]) + 1))
        if row in rows.rows and rng.integers(2):
            k = rows.rows.index(row)
            assert device.adapt(k) if rng.integers(2) else device.adapt_to_budget(exported.program.macs[k])
        else:
            assert device.adapt_to(row)
        assert first.setdefault(row, device.invoke(x).tobytes()) == device.invoke(x).tobytes()
    assert len(first) > 20
    assert len(set(first.values())) > 15


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_that_is_refused_changes_nothing(every_row, made, network, dtype: str) -> None:
    exported, device, x = made("resnet", dtype), network("resnet", dtype), every_row("resnet").x[:1]
    least, most = exported.rows.rows[0], exported.rows.rows[-1]
    row = tuple((a + b) // 2 for a, b in zip(least, most, strict=True))
    assert device.adapt_to(row)
    answer = device.invoke(exported.given(x)).tobytes()
    wrong = [(*row[:g], n, *row[g + 1 :]) for g in range(len(row)) for n in (0, least[g] - 1, most[g] + 1, 2**16 - 1)]
    for given_row in wrong:
        assert not device.adapt_to(given_row)
        assert not device.in_order(given_row)
    for code, pointer in ((3, None), (3, np.array(wrong[0], np.uint16).ctypes.data)):
        assert device._function("adapt_to", ctypes.c_void_p)(pointer) == code
    assert device._function("in_order", ctypes.c_void_p)(None) == 0
    assert device._function("widths_for", ctypes.c_uint32, ctypes.c_void_p)(2**32 - 1, None) == 3
    assert not any(device.adapt_to(n) for n in ((-1, *row[1:]), (2**16 + row[0], *row[1:])))  # they do not fit 16 bits
    for no_row in (row[1:], (*row, 1), [float(n) for n in row], {"no": 1}):
        with pytest.raises(InvalidArgumentError, match="this is no row of widths"):
            device.adapt_to(no_row)
    assert device.active == exported.rows.subnetwork(row)
    assert device.invoke(exported.given(x)).tobytes() == answer
    groups = dict(zip(exported.rows.groups, row, strict=True))
    device.adapt(0)
    assert device.adapt_to(dict(reversed(groups.items())))  # by name, in whatever order
    assert device.invoke(exported.given(x)).tobytes() == answer
    device.adapt(0)
    device.invoke(exported.given(x))
    for _ in range(3):  # a row that has not run yet is kept as well, wherever it is stored
        assert device.adapt_to(most)
        assert device.adapt_to(row)
        assert not device.adapt_to(wrong[-1])
        assert device.invoke(exported.given(x)).tobytes() == answer


@pytest.mark.parametrize("dtype", DTYPES)
def test_networks_of_the_caller_have_rows_of_their_own(every_row, made, network, dtype: str) -> None:
    """By turns, at rows that differ; the network of the library keeps its own, and a wrong row changes none."""
    exported, device, rng = made("resnet", dtype), network("resnet", dtype), np.random.default_rng(0)
    x, rows = every_row("resnet").x[:1], exported.rows
    words = -(-device.facts["subnetworks"][-1]["arena_bytes"] // 8)
    structs, arenas = np.zeros((2, 512), np.int64), np.zeros((2, words), np.int64)
    out = np.zeros((1, device.facts["output_items"]), device._dtype)

    def call(what: str, n: int, *arguments) -> int:
        types = [ctypes.c_void_p if isinstance(a, np.ndarray) else ctypes.c_size_t for a in arguments]
        values = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
        return device._function(f"net_{what}", ctypes.c_void_p, *types)(structs[n].ctypes.data, *values)

    assert [call("init", n, arenas[n], arenas[n].nbytes) for n in (0, 1)] == [0, 0]
    assert [call("active", n) for n in (0, 1)] == [2, 2]
    assert device.adapt_to(rows.rows[1])
    inside = [rng.integers(rows.rows[0], np.array(rows.rows[-1]) + 1).astype(np.uint16) for _ in range(6)]
    for pair in zip(inside[::2], inside[1::2], strict=True):
        assert [call("adapt_to", n, pair[n]) for n in (0, 1)] == [0, 0]
        assert call("adapt_to", 0, np.zeros(len(rows.groups), np.uint16)) == 3
        for n in (1, 0, 1):
            k = rows.subnetwork(tuple(pair[n].tolist()))
            assert call("invoke", n, exported.given(x), out) == k == call("active", n)
            expected = exported.at(tuple(pair[n].tolist())).expected(0, x)
            tolerance = 0 if dtype == "int8" else 1e-5 * (1 + np.abs(expected).max())
            np.testing.assert_allclose(out, expected, rtol=0, atol=tolerance)
    assert device.active == 1
    exported.assert_answers(device, 1, x)


def test_a_smaller_build_takes_what_its_largest_subnetwork_contains(every_row, made, compiler) -> None:
    exported, x = made("resnet", "int8"), every_row("resnet").x
    rows, rng = exported.rows, np.random.default_rng(0)
    for largest in range(3):
        device = compiler.load(exported.folder, f"-DREDS_LARGEST={largest}")
        seen = set()
        drawn = rng.integers(rows.rows[0], np.array(rows.rows[-1]) + 1, (30, len(rows.groups))).tolist()
        for row in (*rows.rows, *map(tuple, drawn)):
            fits = rows.subnetwork(row) <= largest
            seen.add(fits)
            assert device.adapt_to(row) == fits
            if fits:
                exported.at(row).assert_answers(device, 0, x[:1])
        assert seen == {True} if largest == 2 else {True, False}
        there = [row for row in rows.order if rows.subnetwork(row) <= largest]
        assert device.widths_for(2**40) == there[-1]
        assert [device.in_order(row) for row in rows.order] == [row in there for row in rows.order]


def test_the_largest_row_of_the_order_within_a_budget(made, network) -> None:
    for name in NAMES:
        rows, device = made(name, "int8").rows, network(name, "int8")
        assert len(rows.order) > 6
        for macs in sorted({0, 2**32 - 1, 2**40, *(m + d for m in rows.macs for d in (-1, 0, 1))}):
            fitting = [row for row, cost in zip(rows.order, rows.macs, strict=True) if cost <= macs]
            assert device.widths_for(macs) == (fitting[-1] if fitting else None)
            if fitting:
                assert device.adapt_to(fitting[-1])


def test_a_row_is_in_the_order_or_it_is_not(made, network) -> None:
    """All rows of the box, among them those in the midst of a step of two groups."""
    rows, device = made("ds_cnn", "int8").rows, network("ds_cnn", "int8")
    steps = [sum(a != b for a, b in zip(*pair, strict=True)) for pair in itertools.pairwise(rows.order)]
    assert {1, 2} <= set(steps)
    box = list(itertools.product(*(range(a, b + 1) for a, b in zip(rows.rows[0], rows.rows[-1], strict=True))))
    assert len(box) > 300
    assert [row for row in box if device.in_order(row)] == sorted(set(rows.order))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_row_has_room_in_the_places_of_the_subnetwork_that_contains_it(every_row, made, data: st.DataObject) -> None:
    """Nothing that is needed is overwritten, and the arena is that of the subnetwork."""
    name, dtype = data.draw(st.sampled_from(NAMES)), data.draw(st.sampled_from(DTYPES))
    program, rows = every_row(name).program, made(name, dtype).rows
    row = data.draw(some_rows(rows))
    k = rows.subnetwork(row)
    run_row(program, k, row, dtype)


def run_row(program, k: int, row: tuple[int, ...], dtype: str) -> None:
    itemsize = 1 if dtype == "int8" else 4
    found = arena.plan(program, k, itemsize=itemsize, scratch_bytes=scratch_bytes(program, k, dtype))
    alone = at_row(program, k, row, 0)
    execute(alone, found, 0, itemsize, scratch_bytes(alone, 0, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_channel_more_than_the_subnetwork_has_no_room(every_row, made, dtype: str) -> None:
    """For every network some group that is one wider than in the smallest subnetwork does not fit its places."""
    for name in NAMES:
        program, rows = every_row(name).program, made(name, dtype).rows
        failures = 0
        for g, n in enumerate(rows.rows[0]):
            try:
                run_row(program, 0, (*rows.rows[0][:g], n + 1, *rows.rows[0][g + 1 :]), dtype)
            except (AssertionError, ValueError):
                failures += 1
        assert failures


@given(st.data())
def test_the_smallest_that_contains_a_row(data: st.DataObject) -> None:
    groups = data.draw(st.integers(1, 4))
    one = st.lists(st.integers(1, 5), min_size=groups, max_size=groups)
    rows = [list(r) for r in itertools.accumulate(data.draw(st.lists(one, min_size=1, max_size=4)),
                                                  lambda a, b: [max(p) for p in zip(a, b, strict=True)])]
    row = data.draw(one)
    wide = [k for k, r in enumerate(rows) if not any(np.array(row) > np.array(r))]
    assert containing(rows, row) == min(wide, default=None)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_input_and_any_row_is_survived(made, compiler, tmp_path, dtype: str) -> None:
    """With sanitizers: random inputs at random rows, some of them not allowed."""
    folder, program = made("resnet", dtype).folder, tmp_path / "fuzz"
    sources = map(str, exported_folder.sources(folder))
    flags = ["-DFUZZ_INT8"] if dtype == "int8" else []
    compiler.run("gcc", "-std=c99", "-Wall", "-Wextra", *SANITIZE.split(), *flags, *exported_folder.include_flags(folder),
                 "-o", str(program), str(Path(__file__).parent / "fuzz_export.c"), *sources)
    Compiler.run(str(program))


@pytest.mark.skipif(platform.machine() != "x86_64" or platform.system() != "Linux", reason="the trap flag is x86-64's")
@pytest.mark.parametrize("optimise", ["-O2", *(pytest.param(o, marks=pytest.mark.slow) for o in ("-O0", "-O1", "-O3", "-Os"))])
def test_an_interrupt_behind_every_instruction(every_row, compiler, tmp_path, optimise: str) -> None:
    """An inference ends with the row that it began with, whatever adapts meanwhile; a row is whole or refused."""
    net = RandomNet(tuple(LayerSpec("dense", n, norm=True, act="leaky_relu") for n in (7, 9)), ((),), 6)
    case = case_of(net, (5,), (0.3, 1.0))
    case = replace(case, program=lower(case.model, case.trees, case.widths, case.x, every_row=True))
    folder = make_case(case, "float32", tmp_path / "c", rows=any_rows("reds", case.graph, case.widths, None)).folder
    sources = map(str, exported_folder.sources(folder))
    compiler.run("gcc", "-std=c99", "-Wall", "-Wextra", optimise, *exported_folder.include_flags(folder), "-o",
                 str(tmp_path / "step"), str(Path(__file__).parent / "step_export.c"), *sources)
    done = subprocess.run([str(tmp_path / "step")], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "adaptations refused" in done.stdout


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_only_state_is_the_arena_three_rows_and_what_points_to_them(made, compiler, tmp_path, dtype: str) -> None:
    exported = made("resnet", dtype)
    compiler.run("gcc", *WARNINGS, "-Os", "-fno-pie", "-c", str(exported.folder / "src" / "reds_model.c"), "-o",
                 str(tmp_path / "m.o"))
    found = symbols(str(tmp_path / "m.o"), "--defined-only")
    writable = {name: size for name, (kind, size) in found.items() if kind in "bBdDcC"}
    pointer, groups = ctypes.sizeof(ctypes.c_void_p), len(exported.rows.groups)
    row = -(-(pointer + 2 * groups) // pointer) * pointer
    assert writable == {"arena": writable["arena"], "the_network": 4 * pointer + 3 * row}


def test_an_export_that_does_not_ask_for_it_has_nothing_of_it(exports, networks) -> None:
    for dtype in DTYPES:
        text = "".join(p.read_text() for p in exports("resnet", dtype).folder.rglob("*") if p.suffix in (".c", ".h", ".json"))
        assert not any(word in text for word in ("adapt_to(", "any_widths", "running", "uint16_t widths", "_GROUPS"))
        for call in (lambda n: n.adapt_to([1]), lambda n: n.widths_for(1), lambda n: n.in_order([1])):
            with pytest.raises(InvalidArgumentError, match="exported for its subnetworks only"):
                call(networks("resnet", dtype))


@pytest.fixture(scope="module")
def small() -> Case:
    net = RandomNet((LayerSpec("conv", 4, (2, 2), norm=True, act="relu"), LayerSpec("conv", 5, (2, 2), norm=True)),
                    ((LayerSpec("flatten"),),), 3)
    return case_of(net, (4, 3, 2), (0.5, 1.0), n=12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_export_of_a_model(small, compiler, tmp_path, dtype: str) -> None:
    """From the model itself: the device answers what Python says of a row, and in floats what `reds_jax.run` answers."""
    order = some_order([w.values_tuple() for w in small.widths])
    done = export(small.model, small.trees, small.graph, small.widths, tmp_path / "c", dtype, calibration=[small.x],
                  any_widths=True, order=order)
    device = compiler.load(done.folder)
    assert device.facts["any_widths"] == {"groups": [g.name for g in small.graph.groups], "order_rows": len(order),
                                          "least": list(small.widths[0].values()), "most": list(small.widths[1].values())}
    x = done.quantized.input_scale.quantize(small.x) if done.quantized else small.x
    for row in (small.widths[0], small.graph.widths([2, 4]), dict(small.graph.widths([4, 3])), small.widths[1]):
        assert device.adapt_to(row)
        k = done.subnetwork_of(row)
        assert device.active == k == (row != small.widths[0])
        expected, found = done.expected_at(row, small.x), device.invoke(x)
        if dtype == "int8":
            np.testing.assert_array_equal(found, expected)
        else:
            alone = replace(small, trees=[small.trees[k]], widths=[small.graph.widths(row)])
            for other in (expected, alone.expected(0)):
                np.testing.assert_allclose(found, other, rtol=0, atol=1e-5 * (1 + np.abs(other).max()))
    assert device.widths_for(small.graph.macs(order[3].tolist())) == tuple(order[3])
    for wrong in ([1, 3], [2, 2]):
        with pytest.raises(WidthError, match="the width of group '.*' is not one that was exported; got .; allowed: . to ."):
            done.expected_at(wrong, small.x)


def test_wrong_orders_and_networks(small, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("reds_jax.deploy.c.export.lower", None)  # all is found before anything is computed
    low, high = ([*w.values_tuple()] for w in small.widths)
    for message, options in {
        "an order of rows is for a device that takes any row": {"order": [low]},
        "this is no order of rows of widths; got 'float64 .1, 2.'": {"any_widths": True, "order": [[2.0, 3.0]]},
        "this is no order of rows of widths; got 'int64 .2.'": {"any_widths": True, "order": low},
        "this is no order of rows of widths; got 'int64 .1, 3.'": {"any_widths": True, "order": [[*low, 1]]},
        "does not begin with the smallest subnetwork; got .4, 5.; allowed: .2, 3.": {"any_widths": True, "order": [high]},
        "the order shrinks group '.*' at its row 2; got 2; allowed: 3 or more": {"any_widths": True,
                                                                                "order": [low, [3, 4], [2, 5]]},
        "the width of group '.*' is not one that was exported; got 5; allowed: 2 to 4": {"any_widths": True,
                                                                                        "order": [low, [5, 5]]},
        "only if their prefix is shorter; got 'a_name_of_18_chars'": {"any_widths": True,
                                                                          "name": "a_name_of_18_chars"},
    }.items():
        with pytest.raises(InvalidArgumentError, match=message):
            export(small.model, small.trees, small.graph, small.widths, tmp_path / "c", **options)
    fixed = case_of(RandomNet((), ((),), 3), (5,), (1.0,))
    assert not fixed.graph.groups
    with pytest.raises(InvalidArgumentError, match="no channel of the network can be cut"):
        export(fixed.model, fixed.trees, fixed.graph, fixed.widths, tmp_path / "c", any_widths=True)
    assert not (tmp_path / "c").exists()
