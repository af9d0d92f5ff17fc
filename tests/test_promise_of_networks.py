"""What dividing widths promises for real networks, with their fixed ends, depthwise layers and residual groups: it is kept."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reds_jax
from reds_jax import models, report
from reds_jax.choice import Subnetworks, choose_widths
from reds_jax.cost import width_problem
from reds_jax.knapsack import solve_nested

INPUTS = {"dnn_s": (250,), "ds_cnn_s": (49, 10, 1), "resnet8": (32, 32, 3)}
BUDGETS = (0.25, 0.5, 1.0)


def traced(name):
    model, x = models.build(name), jnp.zeros((1, *INPUTS[name]))
    graph = reds_jax.trace(model, jax.eval_shape(model.init, jax.random.key(0), x), x)
    rng = np.random.default_rng(0)
    return graph, {g.name: np.sort(rng.gamma(2.0, size=g.size))[::-1] for g in graph.groups}


@pytest.mark.parametrize("options", [{}, {"value": "log_retention", "floor": 0.25}, {"value": "sum", "step": 4}],
                         ids=["ces", "log", "sum"])
@pytest.mark.parametrize("name", list(INPUTS))
def test_real_networks_keep_their_promise(name, options):
    """A promise in every order, not above what is measured; the scale lies between the budget and about its root."""
    graph, scores = traced(name)
    problem = width_problem(graph, scores, **options)
    limits = [int(b * graph.macs()) for b in BUDGETS]
    for order in ("bottom_up", "top_down", "joint"):
        answer = solve_nested(problem, limits, order=order)
        promised = answer.promise.certificate
        assert promised is not None
        assert 0.05 < promised <= answer.certificate
        if order == "bottom_up":
            assert answer.promise.certificates[0] == pytest.approx(1, abs=1e-6)
            pairs = zip(answer.promise.certificates, answer.certificates, strict=True)
            assert all(least <= reached for least, reached in pairs)
            half, whole = answer.promise.scales[1:]
            assert 0.9 * BUDGETS[0] <= whole <= half
            assert whole <= 1.3 * math.sqrt(BUDGETS[0])


def test_the_report_says_what_is_promised():
    """In the log's line, in the record and on the page; and where nothing is promised, why."""
    graph, scores = traced("ds_cnn_s")
    choice = choose_widths(graph, scores, Subnetworks(budgets=(0.5, 1.0)))
    promise = choice.solution.promise
    stored = json.loads(report.to_json({"promise": promise}))["promise"]
    assert stored == {"certificate": promise.certificate, "certificates": None, "scales": None, "reason": ""}
    assert f"scaling promises {promise.certificate:.4f}" == str(promise)
    kernels = width_problem(graph, scores, value="sum", kernel_scores=_kernels(graph, scores))
    refused = solve_nested(kernels, [graph.macs() // 2, graph.macs()]).promise
    assert "scaling promises nothing, because a value depends on the widths of several groups" in str(refused)


def _kernels(graph, scores):
    """Kernel scores of the second group over the first."""
    first, second = graph.groups[:2]
    return {(first.name, second.name): np.outer(scores[second.name], scores[first.name])}
