"""Visual Wake Words, person or not, with MobileNetV1 0.25 at 96 x 96: ``reds vww``.

By default on rendered scenes (a synthetic stand-in that needs no download). Real data: ``--data tfds`` (Wake Vision),
``--data folder:COCO`` (COCO 2017 with annotations), ``--data npz:FILE``. The paper: Corti et al. 2023, arXiv 2311.13349.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from reds_jax.choice import Subnetworks
from reds_jax.experiments.config import Experiment, Nested, Training
from reds_jax.experiments.runner import main as run_main
from reds_jax.experiments.task import Network, Task
from reds_jax.models import load_mlperf_mobilenet

TASK = Task(
    name="vww",
    title="Visual Wake Words",
    networks={"mobilenet_v1_0.25": Network("MobileNetV1 0.25", "mobilenet_v1",
                                           {"classes": 2, "alpha": 0.25, "activation": "relu"}, load_mlperf_mobilenet)},
    presets={
        "quick": Experiment(
            preset="quick", resolution=64, output=Path("runs/vww"),
            pretrain=Training(epochs=14, batch_size=32, learning_rates=(0.01,), warmup=0.1, augment="flip_shift"),
            nested=Nested(epochs=7, batch_size=32, learning_rates=(0.003,), warmup=0.1, augment="flip_shift", distill=0.5),
        ),
        "smoke": Experiment(
            preset="smoke", resolution=32, limit=200, output=Path("runs/vww_smoke"), recalibration_batches=4,
            subnetworks=Subnetworks(budgets=(0.5, 1.0), scoring_batches=4),  # compiling is most of the time
            pretrain=Training(epochs=1, batch_size=20), nested=Nested(epochs=1, batch_size=20),
        ),
        "paper": Experiment(  # batch 32, 100 epochs of SGD
            preset="paper", output=Path("runs/vww_paper"),
            pretrain=Training(epochs=100, batch_size=32, optimizer="sgd", learning_rates=(0.01,), augment="flip_shift"),
            nested=Nested(epochs=100, batch_size=32, optimizer="sgd", learning_rates=(0.01,), augment="flip_shift",
                          weights="sqrt_params"),
        ),
    },
)

main = partial(run_main, TASK)

if __name__ == "__main__":
    main()
