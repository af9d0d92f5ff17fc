"""Library networks, lowered, exported and compiled once for all tests of the folder."""

import json
import shutil
from functools import cache

import pytest
from bodies import Body
from c_exports import Compiler, Made, make_case
from device_cases import Case, case_of
from joined_bodies import EVERY
from library_networks import LIBRARY

from reds_jax import data, models
from reds_jax.graph.trace import trace
from reds_jax.network import NestedNetwork
from reds_jax.testing import random_variables


@pytest.fixture(scope="session")
def library():
    """``library(name)``: a network of the library with three subnetworks, each with its own statistics."""
    @cache
    def get(name: str) -> Case:
        build, shape = LIBRARY[name]
        return case_of(build(), shape, (0.25, 0.6, 1.0), n=2)

    return get


@pytest.fixture(scope="session")
def joined():
    """``joined(name)``: a network of `joined_bodies` with three subnetworks."""
    return cache(lambda name: case_of(Body(EVERY[name]), (7, 5, 3), (0.3, 0.6, 1.0), n=2))


@pytest.fixture(scope="session")
def compiler(tmp_path_factory) -> Compiler:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    return Compiler(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="session")
def exports(library, tmp_path_factory):
    """``exports(name, dtype)``: a folder with a network of the library."""
    @cache
    def get(name: str, dtype: str) -> Made:
        return make_case(library(name), dtype, tmp_path_factory.mktemp("exports") / f"{name}_{dtype}")

    return get


@pytest.fixture(scope="session")
def networks(compiler, exports):
    """``networks(name, dtype)``: the same, compiled by gcc and loaded."""
    return cache(lambda name, dtype: compiler.load(exports(name, dtype).folder))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """What an experiment leaves, with a network that has not been trained."""
    folder = tmp_path_factory.mktemp("run")
    images = data.load("fashion_mnist", "synthetic", limit=40)
    x = images.normalise(images.train.images[:4])
    model = models.build("cnn_s", {"classes": 10})
    variables = random_variables(model, x)
    graph = trace(model, variables, x)
    widths = tuple(graph.widths(f) for f in (0.25, 1.0))
    network = NestedNetwork(model, variables["params"], (variables["batch_stats"],) * 2, widths,
                            tuple(graph.macs(w) for w in widths), x, images.normalise)
    network.save(folder / "model", architecture={"name": "cnn_s", "arguments": {"classes": 10}})
    options = {"data": "synthetic", "resolution": None, "seed": 0, "limit": 40}
    (folder / "config.json").write_text(json.dumps(
        {"task": "fashion_mnist", "options": options, "fingerprint": images.fingerprint}))
    return folder, network, images
