"""Fashion-MNIST with the vision DS-CNN S: ``reds fashion_mnist``.

By default from the idx files of Debian's package dataset-fashion-mnist; ``--data folder:DIR``, ``tfds`` and ``npz:FILE`` read
other copies, ``synthetic`` draws ten shapes instead. The paper (Corti et al. 2023, arXiv 2311.13349) reports 91.6 / 91.5 /
90.8 / 89.2 % for budgets of 100 / 75 / 50 / 25 % in its own accounting of MACs.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from reds_jax.choice import Subnetworks
from reds_jax.experiments.config import Experiment, Nested, Training
from reds_jax.experiments.runner import main as run_main
from reds_jax.experiments.task import Network, Task
from reds_jax.models import load_ds_cnn

TASK = Task(
    name="fashion_mnist",
    title="Fashion-MNIST",
    networks={"vision_ds_cnn_s": Network("vision DS-CNN S", "vision_ds_cnn_s", {"classes": 10}, load_ds_cnn)},
    presets={
        "quick": Experiment(
            preset="quick", output=Path("runs/fashion_mnist"),
            pretrain=Training(epochs=3, augment="flip", learning_rates=(2e-3,)),
            nested=Nested(epochs=3, augment="flip", distill=0.5, learning_rates=(2e-3,)),
        ),
        "smoke": Experiment(
            preset="smoke", data="synthetic", limit=300, output=Path("runs/fashion_mnist_smoke"), recalibration_batches=4,
            subnetworks=Subnetworks(scoring_batches=4),
            pretrain=Training(epochs=1, batch_size=30), nested=Nested(epochs=1, batch_size=30),
        ),
        "paper": Experiment(  # batch 128, 250 epochs, Adam 1e-3 / 2.5e-4 / 1e-5
            preset="paper", output=Path("runs/fashion_mnist_paper"),
            pretrain=Training(epochs=250, batch_size=128, schedule="piecewise", learning_rates=(1e-3, 2.5e-4, 1e-5),
                              augment="flip_shift_rotate"),
            nested=Nested(epochs=250, batch_size=128, schedule="piecewise", learning_rates=(1e-3, 2.5e-4, 1e-5),
                          augment="flip_shift_rotate", weights="sqrt_params"),
        ),
    },
)

main = partial(run_main, TASK)

if __name__ == "__main__":
    main()
