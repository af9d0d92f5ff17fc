"""CIFAR-10 with the vision DS-CNN S or ResNet-8: ``reds cifar10 --network resnet8``.

From a prepared TFDS set by default; ``--data folder:DIR`` reads the published archive, binary or for Python, or images in
folders by class, ``npz:FILE`` arrays; ``synthetic`` draws ten shapes instead. The paper (Corti et al. 2023, arXiv 2311.13349)
reports 81.1 / 80.2 / 76.7 / 68.7 % of the vision DS-CNN S for budgets of 100 / 75 / 50 / 25 % in its own accounting of MACs.
ResNet-8 is the network of MLPerf Tiny (Banbury et al. 2021, arXiv 2106.07597), whose trained weights ``--pretrained`` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from reds_jax.choice import Subnetworks
from reds_jax.experiments.config import Experiment, Nested, Training
from reds_jax.experiments.runner import main as run_main
from reds_jax.experiments.task import Network, Task
from reds_jax.models import load_ds_cnn, load_mlperf_resnet8


def import_resnet8(weights: Mapping[str, np.ndarray]) -> Any:
    """Variables of ResNet-8 for pixels / 255 from MLPerf Tiny's, which reads pixels 0 to 255: the first kernel times 255."""
    variables = load_mlperf_resnet8(weights)
    first = variables["params"]["conv"]
    return {**variables, "params": {**variables["params"], "conv": {**first, "kernel": 255 * first["kernel"]}}}


QUICK = Experiment(
    preset="quick", output=Path("runs/cifar10"),
    pretrain=Training(epochs=3, augment="flip_shift", learning_rates=(2e-3,)),
    nested=Nested(epochs=3, augment="flip_shift", distill=0.5, learning_rates=(2e-3,)),
)
SMOKE = Experiment(
    preset="smoke", data="synthetic", limit=300, output=Path("runs/cifar10_smoke"), recalibration_batches=4,
    subnetworks=Subnetworks(scoring_batches=4),
    pretrain=Training(epochs=1, batch_size=30), nested=Nested(epochs=1, batch_size=30),
)
PAPER = Experiment(  # batch 128, 250 epochs, Adam 1e-3 / 2.5e-4 / 1e-5, flip and crop of what is padded by 2
    preset="paper", output=Path("runs/cifar10_paper"),
    pretrain=Training(epochs=250, batch_size=128, schedule="piecewise", learning_rates=(1e-3, 2.5e-4, 1e-5),
                      augment="flip_shift"),
    nested=Nested(epochs=250, batch_size=128, schedule="piecewise", learning_rates=(1e-3, 2.5e-4, 1e-5),
                  augment="flip_shift", weights="sqrt_params"),
)

TASK = Task(
    name="cifar10",
    title="CIFAR-10",
    networks={
        "vision_ds_cnn_s": Network("vision DS-CNN S", "vision_ds_cnn_s", {"classes": 10, "pool": (16, 5)}, load_ds_cnn),
        "resnet8": Network("ResNet-8", "resnet8", {"classes": 10}, import_resnet8, normalise="unit", presets={
            "quick": replace(QUICK, output=Path("runs/cifar10_resnet8")),
            "smoke": replace(SMOKE, output=Path("runs/cifar10_resnet8_smoke")),
            "paper": replace(PAPER, output=Path("runs/cifar10_resnet8_paper"))}),
    },
    presets={"quick": QUICK, "smoke": SMOKE, "paper": PAPER},
)

main = partial(run_main, TASK)

if __name__ == "__main__":
    main()
