"""Keyword spotting on Speech Commands with a DNN, CNN or DS-CNN, small or large: ``reds speech_commands --network ds_cnn_s``.

By default on chirps (a synthetic stand-in that needs no download). Real data: ``--data folder:DIR`` (the published folder),
``tfds[:DIR]``, ``npz:FILE`` (clips with their speakers). The paper: Corti et al. 2023, arXiv 2311.13349.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from reds_jax.choice import Subnetworks
from reds_jax.experiments.config import Experiment, Nested, Training
from reds_jax.experiments.runner import main as run_main
from reds_jax.experiments.task import Network, Task
from reds_jax.models import load_kws

PRESETS = {
    "quick": Experiment(
        preset="quick", output=Path("runs/speech_commands"),
        pretrain=Training(epochs=12, augment="shift_noise", learning_rates=(2e-3,)),
        nested=Nested(epochs=8, augment="shift_noise", distill=0.5, learning_rates=(1e-3,)),
    ),
    "smoke": Experiment(
        preset="smoke", data="synthetic", limit=120, output=Path("runs/speech_commands_smoke"), recalibration_batches=4,
        subnetworks=Subnetworks(budgets=(0.5, 1.0), scoring_batches=4),
        pretrain=Training(epochs=1, batch_size=30, augment="shift_noise"),
        nested=Nested(epochs=1, batch_size=30, augment="shift_noise"),
    ),
}


def _network(title: str, front_end: str, epochs: int, *learning_rates: float) -> Network:
    """A network whose name is that of its architecture, with the paper's training: batch 100, Adam, falling learning rates."""
    name = title.lower().translate({ord(" "): "_", ord("-"): "_"})
    plain = Training(epochs=epochs, schedule="piecewise", learning_rates=learning_rates, augment="shift_noise")
    paper = Experiment(preset="paper", output=Path("runs/speech_commands_paper"), pretrain=plain,
                       nested=Nested(**vars(plain), weights="sqrt_params"))
    presets = {preset: replace(found, output=found.output.with_name(f"{found.output.name}_{name}"))
               for preset, found in {**PRESETS, "paper": paper}.items()}
    return Network(title, name, {"classes": 12}, load_kws, front_end, presets)


NETWORKS = (
    _network("DS-CNN S", "mfcc_40_20", 100, 1e-3, 1e-4), _network("DS-CNN L", "mfcc_40_20", 100, 1e-3, 1e-4),
    _network("CNN S", "mfcc_40_20", 75, 5e-4, 1e-4, 2e-5), _network("CNN L", "mfcc_40_20", 75, 5e-4, 1e-4, 2e-5),
    _network("DNN S", "mfcc_40_40", 75, 1e-3, 1e-4), _network("DNN L", "mfcc_40_40", 75, 1e-3, 1e-4))
TASK = Task("speech_commands", "Speech Commands", {n.architecture: n for n in NETWORKS}, NETWORKS[0].presets)

main = partial(run_main, TASK)

if __name__ == "__main__":
    main()
