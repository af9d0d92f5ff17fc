"""Training nested subnetworks: the loss, the compiled step, the loop, statistics per subnetwork, checkpoints."""

from reds_jax.training.augment import Augment, augmentation
from reds_jax.training.averaged import averaged
from reds_jax.training.config import FitConfig
from reds_jax.training.evaluate import Evaluation, evaluate
from reds_jax.training.fit import FitResult, fit
from reds_jax.training.loop import DivergedError
from reds_jax.training.loss import nested_loss, subnetwork_weights
from reds_jax.training.metric import Metric
from reds_jax.training.objective import Objective, binary, classification, reconstruction, regression
from reds_jax.training.recalibrate import recalibrate
from reds_jax.training.saved import load_model, save_model
from reds_jax.training.schedule import Optimizer, Schedule, learning_rate_of
from reds_jax.training.step import TrainState, make_train_step

__all__ = [
    "Augment", "DivergedError", "Evaluation", "FitConfig", "FitResult", "Metric", "Objective", "Optimizer", "Schedule",
    "TrainState", "augmentation", "averaged", "binary", "classification", "evaluate", "fit", "learning_rate_of", "load_model",
    "make_train_step", "nested_loss", "recalibrate", "reconstruction", "regression", "save_model", "subnetwork_weights",
]
