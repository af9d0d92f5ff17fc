"""The benchmark of the nested step: its widths, its records as tables and plots, and its peers start from the same loss."""

import doctest
import json
import signal
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from reds_jax.run import run_nested

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
step_networks, step_report, step_variants = (import_module(f"step_{name}") for name in ("networks", "report", "variants"))
train_step, time_to_accuracy, gpu_step = map(import_module, ("train_step", "time_to_accuracy", "gpu_step"))


def record(ours=(10.0, 12.0, 14.0), commit="abc123", date="2026-01-01 10:00", **of):
    """Made up: ``torch`` takes 2, 3 and 1 times as long in the three rounds."""
    peers = {"ours": ours, "torch": [a * k for a, k in zip(ours, (2, 3, 1), strict=True)], "full, ours": [a / 2 for a in ours]}
    return {
        "network": "DS-CNN S", "batch": 100, "cores": 2, "fractions": [1.0, 0.5], "mac_shares": [1.0, 0.27],
        "machine": {"commit": commit, "date": date, "machine": "a machine", "versions": {"jax": "1"}, "torch": "2",
                    "form": "fused", "environment": {"MALLOC_ARENA_MAX": "1"}},
        "floor": {"macs": 2_000_000, "activation_bytes": 300_000, "passes": 5, "gflops": 400.0, "gigabytes_per_second": 50.0,
                  "products_ms": 3.0, "activations_ms": 3.0, "ms": 6.0},
        "variants": {name: {"wall_ms": list(ms), "cpu_ms": [2 * v for v in ms]} for name, ms in peers.items()},
        "missing": {"torch, compiled": "did not finish in 180 s"}, **of}


def test_doctests():
    for module in (step_report, time_to_accuracy):
        found = doctest.testmod(module)
        assert found.attempted
        assert not found.failed


def test_the_width_for_a_share_is_the_largest_of_the_grid():
    graph = step_networks.CASES["DNN L"].graph
    shares = [0.001, 0.1, 0.25, 0.5, 0.75, 1.0, graph.macs(0.37) / graph.macs(), graph.macs(0.37) / graph.macs() - 1e-9]
    for grid in (100, 16):
        for share in shares:
            allowed = [f / grid for f in range(1, grid + 1) if graph.macs(f / grid) <= share * graph.macs()]
            assert step_networks.fraction_for(graph, share, grid) == max(allowed, default=1 / grid)


def test_a_network_is_traced_once(monkeypatch):
    case = replace(step_networks.CASES["DNN L"])
    traced, trace = [], step_networks.trace
    monkeypatch.setattr(step_networks, "trace", lambda *arguments: traced.append(1) or trace(*arguments))
    assert case.fractions(4)[0] == 1.0
    assert len(set(case.fractions(10))) == 10
    assert len(traced) == 1


def test_a_ratio_is_the_median_over_the_rounds_and_not_of_the_medians():
    one = record(ours=(10.0, 20.0, 40.0))
    assert step_report.over_ours(one, "torch") == (2.0, 1.5, 2.5)
    assert step_report.times(one, "torch") == (40.0, 30.0, 50.0)
    assert step_report.over_floor(one) == pytest.approx(20 / 6)


def test_a_table_has_every_variant_and_what_did_not_finish():
    lines = step_report.table(record()).splitlines()
    assert lines[0] == ("DS-CNN S, batch 100, 2 subnetworks, 2 cores; 3 rounds; uniform widths 1.00 (100% of the MACs), "
                        "0.50 (27% of the MACs)")
    assert lines[4] == "| ours | 12 (11 to 13) | 24 | 1 (1 to 1) | 2 |"
    assert lines[5] == "| torch | 20 (17 to 28) | 40 | 2 (1.5 to 2.5) | 3.33 |"
    assert lines[6] == "| full, ours | 6 (5.5 to 6.5) | 12 | 0.5 (0.5 to 0.5) |  |"
    assert lines[7] == "| torch, compiled | did not finish in 180 s | | | |"


def test_the_summary_has_a_row_for_each_record():
    lines = step_report.summary([record(cores=2), record(cores=1)], "step/abc123").splitlines()
    assert lines[0] == ("Commit [abc123](step/abc123), 2026-01-01 10:00, a machine; jax 1, torch 2; form fused, "
                        "MALLOC_ARENA_MAX=1. Medians; ratios in one round, with quartiles.")
    assert lines[4] == "| DS-CNN S, 100 | 2 | 1 | 12 |  |  | 2 (1.5 to 2.5) | did not finish in 180 s |  | 2 |"
    assert [line.split(" | ")[2] for line in lines[4:]] == ["1", "2"]


def test_a_type_of_products_is_in_the_name_of_a_variant():
    assert {gpu_step.dtype_of(v) for v in step_variants.IN_BFLOAT16} == {"bfloat16"}
    assert {gpu_step.dtype_of(v) for v in step_variants.VARIANTS} == {"float32"}


def test_variants_of_one_type_and_network_must_begin_with_one_loss():
    same = {"ours": 2.0, "torch, shared": 2.009, "ours, bfloat16": 2.05, "torch, compiled, bfloat16": 2.1, "full, ours": 7.0}
    gpu_step.agree(same)  # in bfloat16 they differ by more, and the full network has another loss
    for variant in ("torch, shared", "torch, compiled, bfloat16"):
        with pytest.raises(AssertionError, match=variant):
            gpu_step.agree({**same, variant: 2.2})
    with pytest.raises(AssertionError, match="full, torch"):
        gpu_step.agree({**same, "full, torch": 2.0})


def on_a_gpu(**of):
    """Made up: bfloat16 takes half of the time; the full network was not timed in it."""
    ms = {"ours": (10.0, 12.0, 14.0), "torch, shared": (20.0, 36.0, 14.0), "full, ours": (5.0, 6.0, 7.0),
          "ours, bfloat16": (5.0, 6.0, 7.0), "torch, shared, bfloat16": (15.0, 18.0, 21.0)}
    return {"network": "ViT-S", "batch": 8, "mac_shares": [1.0, 0.27], "device": "a card", "fractions": [1.0, 0.5],
            "machine": {"date": "2026-01-01 10:00", "versions": {"jax": "1"}, "torch": "2"},
            "ceilings": {"float32_gflops": 4e5, "bfloat16_gflops": 8e5, "gigabytes_per_second": 4000.0},
            "floors": {t: {"products_ms": ms, "activations_ms": 1.2} for t, ms in {"float32": 3.0, "bfloat16": 1.5}.items()},
            "variants": {name: {"wall_ms": list(wall), "build_seconds": 30.4} for name, wall in ms.items()},
            "missing": {"torch, compiled": "failed with exit code 1"}, **of}


def test_a_table_of_a_gpu_sets_every_variant_beside_ours_of_its_type():
    assert gpu_step.table(on_a_gpu()).splitlines() == [
        "ViT-S, batch 8, MACs 100%, 27%", "",
        "| variant | ms a step (quartiles) | times ours of this type, in one round | built, s | products | activations |",
        "|---|---:|---:|---:|---:|---:|",
        "| ours | 12 (11 to 13) | 1 (1 to 1) | 30 | 25% | 10% |",
        "| torch, shared | 20 (17 to 28) | 2 (1.5 to 2.5) | 30 | 15% | 6% |",
        "| full, ours | 6 (5.5 to 6.5) |  | 30 |  |  |",
        "| ours, bfloat16 | 6 (5.5 to 6.5) | 1 (1 to 1) | 30 | 25% | 20% |",
        "| torch, shared, bfloat16 | 18 (16.5 to 19.5) | 3 (3 to 3) | 30 | 8% | 7% |",
        "| torch, compiled | failed with exit code 1 | | | | |"]


def test_the_summary_of_a_gpu_has_a_row_for_each_type_that_was_timed():
    only = on_a_gpu(network="DS-CNN L")
    only["variants"].pop("ours, bfloat16")
    only["ceilings"] = {**only["ceilings"], "float32_gflops": 3e5}
    lines = gpu_step.summary([on_a_gpu(), only], "gpu/abc").splitlines()
    assert lines[0].startswith("2026-01-01 10:00, one a card; jax 1, torch 2. ")
    assert "float32 300 to 400, bfloat16 800 to 800; memory, GB/s: 4000 to 4000." in lines[0]
    float32 = "float32 | 12 | 2 (1.5 to 2.5) | failed with exit code 1 | 25% | 10% | 2 (2 to 2) |"
    vit = "[ViT-S, 8](gpu/abc/vit_s_4_subnetworks.json)"
    assert lines[4:] == [
        f"| [DS-CNN L, 8](gpu/abc/ds_cnn_l_4_subnetworks.json) | {float32}", f"| {vit} | {float32}",
        f"| {vit} | bfloat16 | 6 | 3 (3 to 3) | not measured | 25% | 20% | not measured |"]


def test_the_plot_is_a_picture(tmp_path):
    step_report.plot(tmp_path / "new" / "step.png", [record(), record(network="DNN L"), record(network="CNN S")])
    assert (tmp_path / "new" / "step.png").read_bytes().startswith(b"\x89PNG")


def test_two_records_are_compared_by_their_medians():
    compared = step_report.compare(record(ours=(12.0, 15.0, 18.0)), record(ours=(8.0, 10.0, 12.0)))
    assert compared.ratio == (1.5, 13.5 / 11, 16.5 / 9)
    assert compared.peak == 1.0


@pytest.fixture
def run(monkeypatch, tmp_path):
    """The command with what it measures made up; a function of what this library takes now, and options."""

    def call(ours, *options):
        one = record(ours=ours)
        monkeypatch.setattr(train_step, "machine", lambda: {**one["machine"], "commit": "new"})
        monkeypatch.setattr(train_step, "rates", dict)
        monkeypatch.setattr(step_report, "plot", lambda path, records: None)
        monkeypatch.setattr(train_step, "measured", lambda *_: {k: v for k, v in one.items() if k != "machine"})
        monkeypatch.setattr(sys, "argv", ["train_step.py", "--networks", "DS-CNN S", "--results", str(tmp_path), *options])
        train_step.main()
        (path,) = (tmp_path / "new").glob("*.json")
        return path

    return call


def test_a_step_that_got_slower_fails_only_if_asked_to(run, tmp_path, capsys):
    old = tmp_path / "0123456789ab"
    path = run((10.0, 10.0, 10.0))
    assert json.loads(path.read_text(encoding="utf-8"))["variants"]["ours"]["wall_ms"] == [10.0, 10.0, 10.0]
    old.mkdir()
    path.rename(old / path.name)
    run((11.0, 11.0, 11.0), "--compare", "0123")
    assert "new / old 1.1 (1.1 to 1.1)" in capsys.readouterr().out
    run((11.0, 11.0, 11.0), "--compare", "0123", "--fail-above", "1.2")
    with pytest.raises(SystemExit) as stop:
        run((11.0, 11.0, 11.0), "--compare", "0123", "--fail-above", "1.05")
    assert stop.value.code == 1
    with pytest.raises(FileNotFoundError, match="no record ds_cnn_s_4_subnetworks"):
        run((11.0, 11.0, 11.0), "--compare", "ffff")


def test_rounds_run_forwards_and_backwards_and_stop_in_time():
    order = []
    variants = {name: lambda name=name: order.append(name) or (1.0, 2.0) for name in "abc"}
    found = train_step.measure(variants, rounds=2, seconds=60)
    assert "".join(order) == "abccba"
    assert found == {name: ([1.0, 1.0], [2.0, 2.0]) for name in "abc"}
    assert len(train_step.measure(variants, rounds=9, seconds=0)["a"][0]) == 3


@pytest.mark.parametrize(("body", "error", "message", "code"), [
    ("import time; time.sleep(20)", TimeoutError, "did not finish in 2 s", -signal.SIGKILL),
    ("raise SystemExit(3)", ChildProcessError, "exit code 3", 3),
])
def test_a_process_that_does_not_answer_is_ended(monkeypatch, tmp_path, body, error, message, code):
    script, started, start = tmp_path / "other.py", [], subprocess.Popen
    script.write_text(body, encoding="utf-8")
    monkeypatch.setattr(step_variants, "__file__", str(script))
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **options: started.append(start(*words, **options)) or started[-1])
    with pytest.raises(error, match=message):
        step_variants.Apart({}, limit=2 if error is TimeoutError else 60)
    assert [process.returncode for process in started] == [code]


def test_a_process_is_asked_again_and_again(monkeypatch, tmp_path):
    script = tmp_path / "other.py"
    script.write_text("import json, os, sys\nprint(json.dumps({'first_loss': json.loads(sys.argv[1])['x']}), flush=True)\n"
                      "for k, _ in enumerate(sys.stdin):\n"
                      "    print(json.dumps({'ms': [k, os.environ['PYTHONPATH']]}), flush=True)\n", encoding="utf-8")
    monkeypatch.setattr(step_variants, "__file__", str(script))
    apart = step_variants.Apart({"x": 2.5}, limit=60, checkout=Path("elsewhere"))
    assert apart.first_loss == 2.5
    assert [apart(), apart()] == [(k, str(Path("elsewhere/src"))) for k in (0, 1)]
    apart.close()
    assert apart.process.poll() is not None


def test_a_way_stops_when_its_worst_subnetwork_reaches_the_target():
    seen = []
    trainer = SimpleNamespace(steps=lambda rows: seen.append(rows.shape), params=dict)
    config = time_to_accuracy.FitConfig(epochs=4, batch_size=2, steps_per_dispatch=5)
    feed = time_to_accuracy.ArrayFeed(np.zeros(25), None, config)
    accuracies = iter([[0.9, 0.2], [0.9, 0.8], [0.9, 0.9]])
    found = time_to_accuracy.reach(trainer, lambda params: next(accuracies), feed, 0.8)
    assert (found["reached"], len(found["epochs"])) == (True, 2)
    assert seen == [(5, 2)] * 6  # 12 steps an epoch, the third dispatch filled up
    never = time_to_accuracy.reach(trainer, lambda params: [0.1], feed, 0.8)
    assert (never["reached"], len(never["epochs"])) == (False, 4)


@pytest.mark.slow
@pytest.mark.usefixtures("as_users_write")
def test_the_variants_start_from_the_same_loss_and_the_floor_counts_what_is_shared_once():
    case = replace(step_networks.CASES["CNN S"], batch=2, steps=2)
    job = step_variants.Job.of(case, 2, 0)
    losses = [step_variants.ready(job, name)[1] for name in ("ours", "ours, no kernel", "flax, lax.conv")]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-4)
    floor = train_step.floor(job, {"gflops": 100.0, "gigabytes_per_second": 10.0})
    graph, narrow = case.graph, job.fractions[1]
    shared = sum(layer.macs(graph.integers(narrow)) for layer in graph.layers[:2])  # the second's sums are partial ones
    assert floor["macs"] == graph.macs() + graph.macs(narrow) - shared
    assert floor["products_ms"] == pytest.approx(6 * floor["macs"] * 2 / 1e11 * 1e3)


@pytest.mark.slow
@pytest.mark.usefixtures("as_users_write")
def test_all_ways_are_trained_and_validated(monkeypatch, tmp_path, capsys):
    small = step_networks.Case(lambda: step_networks.models.dnn_s(10), (28, 28, 1), 10, 20)
    monkeypatch.setattr(time_to_accuracy, "CASE", small)
    options = "--data synthetic --limit 60 --batch 20 --epochs 2 --target 0.01".split()
    monkeypatch.setattr(sys, "argv", ["time_to_accuracy.py", *options, "--json", str(tmp_path / "a" / "times.json")])
    time_to_accuracy.main()
    ways = json.loads((tmp_path / "a" / "times.json").read_text(encoding="utf-8"))["ways"]
    trainings = {"nested, ours": 1, "separate, ours": 4, **({"nested, torch": 1} if find_spec("torch") else {})}
    assert {name: len(runs) for name, runs in ways.items()} == trainings
    if find_spec("torch"):  # the same parameters, examples and order
        ours, torch = (ways[name][0]["epochs"][0]["accuracy"] for name in ("nested, ours", "nested, torch"))
        assert ours == torch
    assert "| separate, ours | " in capsys.readouterr().out


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.usefixtures("as_users_write")
@pytest.mark.parametrize("name", [
    "DNN L", *(pytest.param(n, marks=pytest.mark.slow) for n in (*step_networks.CASES, "ViT, small") if n != "DNN L")])
def test_the_twin_in_torch_has_the_loss_and_shares_what_the_subnetworks_share(name):
    torch_step = import_module("torch_step")
    case = replace({**step_networks.CASES, **step_networks.ON_GPU}[name], batch=4, steps=1)
    job = step_variants.Job.of(case, 3, 0)
    module, params = getattr(case.model, "model", case.model), job.variables["params"]
    statistics = [job.variables.get("batch_stats", {})] * 3
    x, y = torch_step.tensors(job.images[0], job.labels[0])

    def loss(params, x, y):
        results = run_nested(case.model, params, statistics, x, job.fractions, train=True)
        return jnp.stack([optax.softmax_cross_entropy_with_integer_labels(z, y).mean() for z, _ in results]).mean()

    expected = float(jax.jit(loss)(params, job.images[0], job.labels[0]))
    calls, gradients = [], []
    for shared in (True, False):
        trainer = torch_step.Trainer(module, params, job.fractions, 1e-3, shared=shared, threads=1)
        given = torch_step.matrices(params) if name == "ViT, small" else params
        jax.tree.map(np.testing.assert_array_equal, trainer.net.params(), given)
        once = trainer.net.once

        def counted(name, channels, sums, compute, once=once, calls=calls):
            return once(name, channels, sums, lambda: calls.append(shared) or compute())  # noqa: B023

        trainer.net.once = counted
        value = trainer._loss(x, y)
        assert float(value.detach()) == pytest.approx(expected, rel=1e-4)
        value.backward()
        gradients.append({path: p.grad.numpy() for path, p in trainer.net.p.items()})
    scale = max(np.abs(g).max() for g in gradients[1].values())
    for path, gradient in gradients[1].items():
        np.testing.assert_allclose(gradients[0][path], gradient, rtol=1e-3, atol=1e-4 * scale, err_msg=path)
    stem = {"DS-CNN S": 4, "vision DS-CNN S": 4, "DS-CNN L": 4, "MobileNetV1 0.25": 4, "CNN S": 2, "ResNet-8": 2, "DNN L": 1,
            "a user's ResNet": 2, "ViT, small": 2}[name]  # convolution and norm, depthwise and norm, patches: once for all
    assert calls.count(False) - calls.count(True) == 2 * stem
