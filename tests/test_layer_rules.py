"""Rules for single layers: a step and multiples hold together, and of several rules all do."""

import numpy as np

from reds_jax import trace
from reds_jax.layer_rules import allowed
from reds_jax.models import DNN
from reds_jax.testing import random_variables


def test_a_step_and_multiples_hold_together():
    """Multiples of 4 and of 6 are those of 12; of two floors the larger holds; the full width is always allowed."""
    x = np.zeros((1, 5), np.float32)
    net = DNN(3, (30,))
    graph = trace(net, random_variables(net, x), x)
    name = graph.groups[0].name
    assert allowed(graph, step=4, floor=[1], rules=[f"{name}:multiple_of=6"]) == [(12, 24, 30)]
    assert allowed(graph, step=4, floor=[13], rules=[f"{name}:floor=5"]) == [(16, 20, 24, 28, 30)]
    assert allowed(graph, step=4, floor=[1], rules=[f"{name}:floor=21"]) == [(24, 28, 30)]
