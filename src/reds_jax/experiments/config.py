"""The options of an experiment, as frozen dataclasses: the command line is made from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from reds_jax.checks import integer, number, one_of
from reds_jax.choice import Subnetworks
from reds_jax.errors import InvalidArgumentError
from reds_jax.lowering import PRODUCTS
from reds_jax.training import Optimizer, Schedule
from reds_jax.training.config import NORMS, check_teacher
from reds_jax.training.loss import WEIGHTS

Preset = Literal["quick", "smoke", "paper"]
Rival = Literal["uniform_sorted", "uniform_live", "uniform_unsorted", "paper", "magnitude"]
RIVALS: tuple[Rival, ...] = ("uniform_sorted", "uniform_live", "uniform_unsorted", "paper", "magnitude")


@dataclass(frozen=True)
class Training:
    """One training run: before nesting (every layer at full width), or of all nested subnetworks together.

    Args:
        epochs: passes over the training examples.
        batch_size: examples of one step.
        optimizer: adam, adamw or sgd (momentum 0.9).
        schedule: cosine (down to 0 over all epochs), constant, or piecewise (equal parts of the run, one per learning rate).
        learning_rates: one number, or for piecewise one per part.
        warmup: share of the run over which the cosine schedule first rises from 0.
        augment: random changes of the training examples, on the device: flips, shifts and rotations are for images, shift_noise
            (100 ms, recorded noise) is for sound.
        patience: stop after so many epochs without a better mean validation metric; never by default.
        compute_dtype: of the operands of products in training steps; all else is float32.
    """

    epochs: int = 5
    batch_size: int = 100
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    schedule: Literal["cosine", "constant", "piecewise"] = "cosine"
    learning_rates: tuple[float, ...] = (1e-3,)
    warmup: float = 0.0
    augment: Literal["none", "flip", "flip_shift", "flip_shift_rotate", "shift_noise"] = "none"
    patience: int | None = None
    compute_dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        one_of("compute_dtype", self.compute_dtype, PRODUCTS)
        if self.patience is not None:
            integer("patience", self.patience, 1)
        if self.epochs < 1 or self.batch_size < 1:
            raise InvalidArgumentError("epochs or batch_size is out of range", got=(self.epochs, self.batch_size),
                                       allowed="integers from 1")
        if not 0 <= self.warmup < 1 or (self.warmup and self.schedule != "cosine"):
            raise InvalidArgumentError("warmup is not possible", got=(self.warmup, self.schedule),
                                       allowed="a fraction in [0, 1) with schedule='cosine'")
        if not self.learning_rates or (self.schedule != "piecewise" and len(self.learning_rates) != 1):
            raise InvalidArgumentError(f"the schedule {self.schedule!r} takes another number of learning rates",
                                       got=self.learning_rates, allowed="one; several with schedule='piecewise'")

    def build(self, steps: int) -> Optimizer:
        """The optimizer for a run of ``steps`` updates."""
        if self.schedule == "cosine":
            schedule = Schedule("cosine", self.learning_rates[0], total_steps=max(1, steps),
                                warmup_steps=int(self.warmup * steps))
        elif self.schedule == "constant" or len(self.learning_rates) == 1:
            schedule = Schedule("constant", self.learning_rates[0])
        else:
            parts = len(self.learning_rates)
            boundaries = tuple(max(i, steps * i // parts) for i in range(1, parts))  # at least one step each
            schedule = Schedule("piecewise", boundaries=boundaries, values=self.learning_rates)
        return Optimizer(self.optimizer, schedule)


@dataclass(frozen=True)
class Nested(Training):
    """Training of the nested subnetworks: one optimiser step on the weighted mean of their losses.

    Args:
        weights: of the losses: uniform, or sqrt_params (the paper's).
        distill: 0 to 1, how much of a smaller subnetwork's target is the largest one's output.
        distill_average: decay of a moving average of the weights with which that output is made; 0: the weights as they are.
        sandwich: the smallest, the largest and so many random others in each step; all by default.
        norms: whether the subnetworks share the scale and the offset of every batch norm, or each trains its own (private):
            that takes no more memory on a device.
    """

    weights: Literal["uniform", "sqrt_params"] = "uniform"
    distill: float = 0.0
    distill_average: float = 0.0
    sandwich: int | None = None
    norms: Literal["shared", "private"] = "shared"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("weights", self.weights, WEIGHTS)
        check_teacher(self.distill, self.distill_average)
        one_of("norms", self.norms, NORMS)
        if self.sandwich is not None:
            integer("sandwich", self.sandwich, 0)


@dataclass(frozen=True)
class Experiment:
    """One experiment, from data to report.

    Args:
        preset: where the defaults come from: quick (a few minutes on 2 cores), smoke (under a minute), paper.
        network: one of those that the description names; by default the first.
        widen: train a network with so many times as many channels in every layer, from its own initialisation, and choose
            widths of it that cost no more than the network itself: budgets are fractions of its MACs (and of what a latency
            table of the wider network says of it), and the largest subnetwork has at most its bytes of parameters. By default
            the network as it is.
        data: synthetic | tfds[:DIR] | folder[:DIR] | npz:FILE; each experiment's page says its default.
        resolution: pixels a side; the data set's own by default.
        limit: at most so many examples of each split.
        seed: of everything that is random.
        normalise: how pixels are read: standard (mean 0, std 1 over the training images) or unit (x / 255); by default as the
            network or the data set asks for. A trained network needs what it was trained with.
        output: folder of the run; a run that was stopped there goes on from its last checkpoint, with the same options (but
            further rivals may be added).
        pretrained: a file with the arrays of a trained network to start from, instead of training one: .npz, .h5 or .keras of
            Keras, .tflite in floats, or the folder of a checkpoint of orbax.
        pretrained_prefix: only the arrays whose names start so, for example mlcommons/vww_96/.
        subnetworks: how the widths are chosen.
        pretrain: training of the full network.
        nested: training of all subnetworks together.
        rivals: other ways to choose the widths, trained with the same steps from the same network; each leaves its network in
            model_<rival>/ beside model/.
        recalibration_batches: mini-batches of training inputs for the batch statistics of each subnetwork.
        devices: that share the examples of every batch; by default one, or all of all processes. The result does not depend on
            it, but for the rounding of sums, and a run may go on with another number.
        coordinator: HOST:PORT of the first of several processes, each of which gets the same command; or auto: as SLURM,
            Kubernetes or MPI says.
        process_id: which one this process is, from 0 on; not with auto.
        processes: how many there are; not with auto.
    """

    preset: Preset = "quick"
    network: str | None = None
    widen: float | None = None
    data: str | None = None
    resolution: int | None = None
    limit: int | None = None
    seed: int = 0
    normalise: Literal["standard", "unit"] | None = None
    output: Path = Path("runs")
    pretrained: Path | None = None
    pretrained_prefix: str = ""
    subnetworks: Subnetworks = field(default_factory=Subnetworks)
    pretrain: Training = field(default_factory=Training)
    nested: Nested = field(default_factory=Nested)
    rivals: tuple[Rival, ...] = ()
    recalibration_batches: int = 50
    devices: int | None = None
    coordinator: str | None = None
    process_id: int | None = None
    processes: int | None = None

    def __post_init__(self) -> None:
        for name in ("resolution", "limit", "devices"):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 1)
        integer("seed", self.seed, 0)
        if self.widen is not None:
            number("widen", self.widen, 1)
            if self.pretrained is not None:
                raise InvalidArgumentError("the weights of a trained network do not fit a wider one", got=self.widen,
                                           allowed="widen without pretrained",
                                           hint="Leave out --pretrained, and the wider network is trained; or --widen.")
        integer("recalibration_batches", self.recalibration_batches, 0)
        for rival in self.rivals:
            one_of("rival", rival, RIVALS)
        if len(set(self.rivals)) != len(self.rivals):
            raise InvalidArgumentError("a rival is named twice", got=self.rivals, allowed="each once")
