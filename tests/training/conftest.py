"""Compiled steps are shared between the tests of training: compiling is what takes time here."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from rich.console import Console
from training_nets import LOSS, WIDTHS, examples, initial, tiny_cnn, tiny_mlp

from reds_jax.training import TrainState, make_train_step


class Bench:
    """One small network with a plain SGD step for every set of options, each compiled once."""

    def __init__(self, model):
        self.model, self.data, self.optimizer = model, examples(64), optax.sgd(0.1)
        self.variables = initial(self.model)
        self._steps = {}

    def step(self, widths=WIDTHS, **options):
        key = repr((widths, sorted(options.items())))
        if key not in self._steps:
            self._steps[key] = make_train_step(self.model, self.optimizer, widths, **options)
        return self._steps[key]

    def state(self, subnetworks=3, seed=0):
        return TrainState.create(self.variables, self.optimizer, subnetworks, jax.random.key(seed))

    def run(self, indices, seed=0, widths=WIDTHS, **options):
        return self.step(widths, **options)(self.state(len(widths), seed), self.data.inputs, self.data.targets, indices)


    def alone(self, width, rows):
        """Gradient, logits and statistics of one subnetwork, by itself and in plain words."""
        x, y = self.data.images[rows] / np.float32(255), jnp.asarray(self.data.labels[rows])

        @jax.jit
        def compute(variables):
            def loss(params):
                logits, new = self.model.apply({**variables, "params": params}, x, width, train=True, mutable=["batch_stats"])
                return LOSS(logits, y).mean(), (logits, new["batch_stats"])

            return jax.grad(loss, has_aux=True)(variables["params"])

        gradient, (logits, stats) = compute(self.variables)
        return gradient, logits, stats


@pytest.fixture(scope="session")
def bench():
    return Bench(tiny_mlp())


@pytest.fixture(scope="session")
def conv_bench():
    return Bench(tiny_cnn())


@pytest.fixture(scope="session")
def quiet():
    return Console(quiet=True)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A folder for compiled programs: several runs of `fit` compile the same ones."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(autouse=True, scope="module")
def compile_fast(cache):
    """Most of these tests are about what is computed, not how fast: they compile in half the time, and once."""
    settings = {"jax_disable_most_optimizations": True, "jax_compilation_cache_dir": str(cache),
                "jax_persistent_cache_min_compile_time_secs": 0.0, "jax_persistent_cache_min_entry_size_bytes": 0}
    before = {name: jax.config.values[name] for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()


@pytest.fixture
def optimised():
    """Compile with the optimisations of the code generator, as users do."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def interruptible():
    """Python's own handler of SIGINT, also where the tests run in the background and the signal is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
