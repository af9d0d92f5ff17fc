"""A small run in a folder, as a process of its own: ``python killed_run.py FOLDER CACHE``."""

import sys

import jax
from rich.console import Console
from training_nets import examples, initial, tiny_cnn

from reds_jax.console import guard
from reds_jax.training import FitConfig, Optimizer, Schedule, fit

CONFIG = FitConfig(
    epochs=4, batch_size=16, steps_per_dispatch=3, augment="flip_shift", recalibrate_batches=2, checkpoint_dispatches=2,
    optimizer=Optimizer(schedule=Schedule("piecewise", boundaries=(20,), values=(0.01, 0.002))))
WIDTHS = (1.0, 0.5)


def run(folder):
    model = tiny_cnn()
    train, validation = examples(176), examples(64, 1)
    return fit(model, initial(model), WIDTHS, train, validation, CONFIG, folder=folder, console=Console(quiet=True))


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)  # as the run that it is compared with
    jax.config.update("jax_compilation_cache_dir", sys.argv[2])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    guard(lambda: run(sys.argv[1]) and None)()
