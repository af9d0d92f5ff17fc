"""One task with the options of one experiment filled in: its data, the network that everything starts from, and nesting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
from rich.console import Console

from reds_jax import data as data_sets
from reds_jax import models, pipeline
from reds_jax.choice import Method, Subnetworks
from reds_jax.data import DataSet
from reds_jax.errors import DataError
from reds_jax.experiments.config import Experiment, Training
from reds_jax.experiments.task import Network, Task
from reds_jax.graph import ChannelGraph
from reds_jax.graph.trace import trace
from reds_jax.network import NestedNetwork
from reds_jax.report import MethodResult
from reds_jax.training import Evaluation, FitConfig, evaluate, fit
from reds_jax.training.fit import prepare


def load_data(task: Task, network: Network, experiment: Experiment) -> DataSet:
    """The data of a task, as the network reads them."""
    return data_sets.load(task.name, experiment.data, resolution=experiment.resolution, seed=experiment.seed,
                          limit=experiment.limit, normalise=experiment.normalise or network.normalise)


@dataclass(frozen=True)
class TaskRun:
    """The training of one experiment, with its options filled in.

    Args:
        experiment: the options.
        model: what is trained.
        data: what it is trained on.
        console: where training shows its progress.
        base: of a widened network the one that it may not cost more than.
    """

    experiment: Experiment
    model: nn.Module
    data: DataSet
    console: Console
    base: ChannelGraph | None = None

    @classmethod
    def of(cls, network: Network, experiment: Experiment, data: DataSet, console: Console) -> TaskRun:
        """The run of a network, as wide as the options say."""
        base, wide = (models.build(n.architecture, n.arguments) for n in (network, network.widened(experiment.widen)))
        if experiment.widen is None:
            return cls(experiment, base, data, console)
        example = data.example()
        return cls(experiment, wide, data, console, trace(base, jax.eval_shape(base.init, jax.random.key(0), example), example))

    @property
    def subnetworks(self) -> Subnetworks:
        """How the widths are chosen."""
        chosen = self.experiment.subnetworks
        return chosen if self.base is None else chosen.within(self.base)

    def config(self, options: Training, **more: Any) -> FitConfig:
        steps = options.epochs * (len(self.data.train) // options.batch_size)
        return FitConfig(
            epochs=options.epochs, batch_size=options.batch_size, optimizer=options.build(steps),
            augment=self.data.augmentations.get(options.augment, options.augment), patience=options.patience,
            seed=self.experiment.seed, recalibrate_batches=self.experiment.recalibration_batches,
            compute_dtype=options.compute_dtype, **more)

    def initial(self, network: Network) -> tuple[Any, str]:
        """What training starts from, or the trained network that is imported; and how the network comes about."""
        weights, prefix = self.experiment.pretrained, self.experiment.pretrained_prefix
        if weights is not None:
            return import_network(self.model, self.data.example(), network, weights, prefix)
        wider = "" if self.experiment.widen is None else f", {self.experiment.widen:g} times as wide as the base"
        return self.untrained(), f"trained for {self.experiment.pretrain.epochs} epochs{wider}"

    def untrained(self) -> Any:
        """New variables from the seed, drawn by one program; it runs once, so on a CPU it is compiled without optimisation.

        Without `jax.jit` flax compiles each operation of the network by itself, hundreds of programs.
        """
        options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
        return jax.jit(self.model.init, compiler_options=options)(jax.random.key(self.experiment.seed), self.data.example())

    def check(self, variables: Any, widths: Sequence[Sequence[int]] | None = None) -> None:
        """Refuse what can be refused before the first step: for the training, and for every method or given widths."""
        data = self.data
        if self.experiment.pretrained is None:
            prepare(self.model, variables, [1.0], data.train, data.validation, self.config(self.experiment.pretrain),
                    normalise=data.normalise, devices=self.experiment.devices)
        graph = trace(self.model, variables, data.example())
        for method in ("reds", *self.experiment.rivals):
            pipeline.check(self.model, variables, graph, data, self.nested, self.subnetworks, method=method,
                           widths=widths, devices=self.experiment.devices)

    def start(self, variables: Any) -> Any:
        """The trained network that everything starts from."""
        if self.experiment.pretrained is not None:
            return variables
        result = fit(self.model, variables, [1.0], self.data.train, self.data.validation,
                     self.config(self.experiment.pretrain), normalise=self.data.normalise,
                     folder=self.experiment.output / "pretrain", console=self.console, devices=self.experiment.devices)
        return {"params": result.params, **({"batch_stats": s} if (s := result.batch_stats[0]) else {})}

    @property
    def nested(self) -> FitConfig:
        """How the nested subnetworks are trained."""
        options = self.experiment.nested
        return self.config(options, weights=options.weights, distill=options.distill,
                           distill_average=options.distill_average, sandwich=options.sandwich,
                           norms=options.norms)

    def measure(self, variables: Any, part: str) -> Evaluation:
        """The full network on the split ``part``."""
        one, = evaluate(self.model, variables["params"], [variables.get("batch_stats", {})], [1.0], self.data.splits[part],
                        normalise=self.data.normalise, devices=self.experiment.devices)
        return one

    def nest(
        self, method: Method, variables: Any, observe: pipeline.Observer = lambda stage, found: None,
        widths: Sequence[Sequence[int]] | None = None,
    ) -> tuple[NestedNetwork, MethodResult]:
        """The stages of the pipeline, by one way of choosing the widths, or with widths that are given."""
        return pipeline.nest(self.model, variables, self.data, self.nested, self.subnetworks, method=method,
                             widths=widths, folder=self.experiment.output / f"nested_{method}", console=self.console,
                             observe=observe, devices=self.experiment.devices)


def import_network(model: nn.Module, example: Any, network: Network, path: Path, prefix: str) -> tuple[Any, str]:
    """Variables from a file of a trained network, and what it had of them."""
    weights = models.read_weights(path)
    arrays = {name.removeprefix(prefix).lstrip("/"): a for name, a in weights.items() if name.startswith(prefix)}
    if not arrays:
        raise DataError(f"no array in {path} starts with {prefix!r}", hint="Give --pretrained-prefix as the file names it.")
    like = jax.eval_shape(lambda: model.init(jax.random.key(0), example))
    variables, match = models.import_variables(arrays, like, network.import_weights)
    return variables, f"{prefix}* of {path.name}: {match}"
