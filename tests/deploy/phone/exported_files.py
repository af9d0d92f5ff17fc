"""What the tests of the two file formats share: the networks, and how an exported file is compared with its program."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import flax.linen as nn
import numpy as np
import pytest
from device_cases import Case, tensors

from reds_jax.models.layers import leaky_relu

FUNCTIONS = ["bounds", "comparisons", "elu", "erf", "erfc", "expm1", "gelu", "gelu_tanh", "inverse_square", "log", "sigmoid",
             "softplus", "squareplus", "step", "tanh"]
"""Of `bodies.FUNCTIONS`, those that have every kind of step."""


def reference(case: Case, k: int) -> np.ndarray:
    """The outputs [N, outputs] of subnetwork k, in double precision."""
    return tensors(case.program, k, case.x)[case.program.output].reshape(len(case.x), -1)


def assert_answers(case: Case, run: Callable[[int, np.ndarray], np.ndarray], tolerance: float = 1e-5) -> None:
    """Every subnetwork of a file answers what its program does, on the batch and on one example."""
    for k in range(len(case.widths)):
        expected = reference(case, k)
        for n in (len(case.x), 1):
            found = run(k, case.x[:n])
            assert found.shape == expected[:n].shape
            np.testing.assert_allclose(found, expected[:n], rtol=0, atol=tolerance * max(np.abs(expected).max(), 1e-3))


def assert_whole_or_not_at_all(path: Path, write_another: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure in the last moment leaves the file that was there, and nothing beside it."""
    before = path.read_bytes()

    def failing(source, target):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="no space"):
        write_another()
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before


def explicit_padding(x):
    """Padding that is not that of "SAME" at this size, before a convolution and both pools."""
    x = nn.Conv(6, (3, 3), (2, 2), ((2, 0), (1, 2)), name="padded")(x)
    x = leaky_relu(nn.Conv(6, (1, 1), name="conv")(x))
    return nn.max_pool(x, (2, 2), (2, 2), ((1, 1), (0, 1))) + nn.avg_pool(
        x, (2, 2), (2, 2), ((1, 1), (0, 1)), count_include_pad=False)


def grows_late(x):
    """A network whose subnetworks share a width at one layer and not at another."""
    x = nn.relu(nn.Conv(4, (3, 3), name="first")(x))
    return nn.relu6(nn.Conv(8, (1, 1), name="second")(x))
