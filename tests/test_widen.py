"""Networks wider than their base at the base's costs: every bound is met as counted on what is deployed."""

import inspect
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import reds_jax
from reds_jax import models, pipeline
from reds_jax.choice import Subnetworks
from reds_jax.deploy.lowering.lower import lower
from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.experiments import fashion_mnist, task_run
from reds_jax.experiments.config import Experiment, Nested, Training
from reds_jax.experiments.runner import parse, run
from reds_jax.experiments.task import Network, Task
from reds_jax.models.registry import NETWORKS

INPUTS = {"resnet8": (32, 32, 3), "mobilenet_v1": (32, 32, 3), "vision_ds_cnn_s": (28, 28, 1)}
BUDGETS = (0.4, 1.0)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_an_architecture_is_wider_but_the_logits(name):
    x = jnp.zeros((1, *INPUTS.get(name, (49, 10, 1))))

    def features(**arguments):
        shapes = jax.eval_shape(models.build(name, arguments).init, jax.random.key(0), x)["params"]
        return {layer: {leaf: a.shape[-1] for leaf, a in arrays.items()} for layer, arrays in shapes.items()}

    base, wide = features(), features(widen=1.3)
    assert features(widen=1.0) == base
    logits = base.pop("logits")
    assert wide.pop("logits") == logits
    assert wide == {layer: {leaf: math.floor(1.3 * n) for leaf, n in arrays.items()} for layer, arrays in base.items()}
    assert inspect.signature(NETWORKS[name]).parameters["widen"].kind is inspect.Parameter.KEYWORD_ONLY


def test_samples_to_learn_from_are_near_the_budgets_of_the_base():
    """Fractions of the base's MACs are other fractions of the wider network's."""
    model, x = models.build("dnn_s"), jnp.zeros((1, 40))
    graph = reds_jax.trace(model, jax.eval_shape(model.init, jax.random.key(0), x), x)
    for base, shares in ((None, [0.4]), (graph.macs() // 2, [0.2, 0.5])):
        widths, near = pipeline.near_budgets(graph, Subnetworks(budgets=BUDGETS, base_macs=base), 6, 0)
        assert near.tolist() == np.repeat(np.arange(len(shares)), 6 // len(shares)).tolist()
        for one, budget in zip(widths, near, strict=True):
            assert 0.98 * shares[budget] < graph.macs(one) / graph.macs() <= shares[budget]


def run_dnn(output, budgets):
    experiment = Experiment(
        data="synthetic", limit=120, output=output, recalibration_batches=2, widen=1.5,
        subnetworks=Subnetworks(budgets=budgets, importance="l1", scoring_batches=1),
        pretrain=Training(epochs=1, batch_size=30), nested=Nested(epochs=1, batch_size=30))
    task = Task("fashion_mnist", "a tiny run", {"dnn": Network("DNN", "dnn_s", {"classes": 10})}, {})
    return run(task, experiment, console=Console(quiet=True), command="the command")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output = tmp_path_factory.mktemp("wide") / "run"
    return output, run_dnn(output, BUDGETS)


def test_a_budget_that_only_the_wide_network_could_meet_is_refused_before_the_first_step(tmp_path, monkeypatch):
    """One unit a layer has 796 MACs: more than 0.4 % of the base's 155,808, less than that of the wide network's 264,816."""
    monkeypatch.setattr(task_run, "fit", lambda *arguments, **options: pytest.fail("it trains"))
    with pytest.raises(InfeasibleError) as error:
        run_dnn(tmp_path / "run", (0.004, 1.0))
    assert (error.value.resource, error.value.smallest, error.value.got) == ("macs", 796, int(0.004 * 155_808))
    assert not (tmp_path / "run").exists()


def base_graph():
    model, x = models.build("dnn_s", {"classes": 10}), jnp.zeros((1, 28, 28, 1))
    return reds_jax.trace(model, jax.eval_shape(model.init, jax.random.key(0), x), x)


def test_what_is_deployed_costs_no_more_than_the_base(finished):
    """The subnetworks are cut out and counted by a graph of their own, and the weights of a device program one by one."""
    output, results = finished
    base, network = base_graph(), reds_jax.NestedNetwork.load(output / "model")
    assert [g.size for g in network.graph.groups] == [216, 216, 216]
    for k, (budget, recorded) in enumerate(zip(BUDGETS, results["methods"][0].subnetworks, strict=True)):
        subnetwork, small = network.subnetwork(k)
        graph = reds_jax.trace(subnetwork, small, network.example)
        assert graph.macs() == recorded.macs <= budget * base.macs()
        assert graph.param_bytes() == recorded.param_bytes <= base.param_bytes()
        assert recorded.macs_fraction == recorded.macs / base.macs() > budget - 0.02
    program = lower(network.model, [network.variables(k) for k in range(2)], network.widths, np.zeros((1, 28, 28, 1)))
    assert sum(4 * (op.weights.size + op.offset[-1].size) for op in program.operations if op.weights is not None) == \
        results["methods"][0].subnetworks[-1].param_bytes


def test_the_record_says_what_bounds(finished):
    output, _ = finished
    base, stored = base_graph(), json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert stored["bounds"] == {"base_macs": base.macs(), "weight_bytes": base.param_bytes(), "peak_memory_bytes": None,
                                "latency_table": None, "base_latency": None}
    assert stored["architecture"] == {"name": "dnn_s", "arguments": {"classes": 10, "widen": 1.5}}
    text = (output / "report.md").read_text(encoding="utf-8")
    assert (f"- bounds: budgets of {base.macs():,} MACs, the base's; parameters of at most {base.param_bytes():,} bytes\n"
            in text)
    assert "1.5 times as wide as the base" in text


def test_options_that_do_not_go_together(capsys):
    with pytest.raises(SystemExit):
        parse(fashion_mnist.TASK, ["--widen", "1.5", "--pretrained", "weights.npz"])
    assert "the weights of a trained network do not fit" in capsys.readouterr().err
    with pytest.raises(InvalidArgumentError, match="widen is out of range; got 0.5"):
        Experiment(widen=0.5)
    for widen in (0, "2"):
        with pytest.raises(InvalidArgumentError, match="widen is"):
            models.build("cnn_s", {"widen": widen})
    assert parse(fashion_mnist.TASK, ["--widen", "1.5"]).widen == 1.5
    assert parse(fashion_mnist.TASK, []).widen is None
