"""The experiment on Speech Commands: every network reads what the front end that goes with it gives."""

from pathlib import Path

import jax
import numpy as np
import pytest

from reds_jax import data, models
from reds_jax.data.speech_commands import FRONT_ENDS
from reds_jax.errors import DataError
from reds_jax.experiments.evaluate import check_fits
from reds_jax.experiments.runner import parse
from reds_jax.experiments.speech_commands import TASK
from reds_jax.graph.trace import trace
from reds_jax.network import NestedNetwork
from reds_jax.testing import random_variables

MACS = {"dnn_s": 79_200, "dnn_l": 494_424, "cnn_s": 2_498_304, "cnn_l": 12_636_672, "ds_cnn_s": 2_656_768,
        "ds_cnn_l": 28_327_812}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] if name in ("cnn_l", "ds_cnn_l") else []) for name in TASK.networks])
def test_a_network_and_its_front_end_fit(name):
    network = TASK.network(name)
    found = parse(TASK, ["--network", name, "--preset", "paper"])
    assert (found.preset, found.network, found.output) == ("paper", name, Path(f"runs/speech_commands_paper_{name}"))
    assert found.pretrain.augment == found.nested.augment == "shift_noise"
    x = FRONT_ENDS[network.normalise](np.zeros((1, 16000), np.int16))
    model = models.build(network.architecture, network.arguments)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    assert trace(model, variables, x).macs() == MACS[name]


def test_the_chirps_stand_in_for_words():
    """All twelve classes in every split, waveforms that a front end reads, noise to add; the same again from the same seed."""
    found = data.load("speech_commands", "synthetic", limit=48, normalise="mfcc_40_40")
    assert found.synthetic
    assert (found.form, found.normalise) == ("int16 [16000] -> int32 []", FRONT_ENDS["mfcc_40_40"])
    assert all(len(np.unique(split.labels)) == found.classes == 12 for split in found.splits.values())
    assert found.augmentations["shift_noise"].noise.shape == (64000,)
    assert found.fingerprint == data.load("speech_commands", limit=48).fingerprint
    assert found.fingerprint != data.load("speech_commands", limit=48, seed=1).fingerprint


def test_a_saved_network_is_measured_on_waveforms_and_refuses_others():
    found = data.load("speech_commands", limit=24, normalise="mfcc_40_40")
    model, x = models.build("dnn_s"), found.example()
    variables = random_variables(model, x)
    graph = trace(model, variables, x)
    network = NestedNetwork(model, variables["params"], ({},), (graph.full_widths,), (graph.macs(),), x, found.normalise)
    check_fits(network, found)
    with pytest.raises(DataError, match="another shape than the network reads"):
        check_fits(network, data.load("fashion_mnist", "synthetic", limit=30))
