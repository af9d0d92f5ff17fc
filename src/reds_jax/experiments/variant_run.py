"""One variant of a comparison: checked, trained and measured as it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reds_jax import pipeline
from reds_jax.errors import InvalidArgumentError
from reds_jax.experiments.comparisons import Variant
from reds_jax.experiments.config import Training
from reds_jax.experiments.published import PUBLISHED
from reds_jax.experiments.task_run import TaskRun
from reds_jax.graph.trace import trace
from reds_jax.network import NestedNetwork
from reds_jax.report import MethodResult, SubnetworkResult
from reds_jax.training import evaluate


def check(variant: Variant, run: TaskRun, variables: Any, key: tuple[str, str]) -> None:
    """Refuse what can be refused before anything is trained.

    Args:
        variant: what is to be done.
        run: with the options of the variant.
        variables: of the network, trained or not.
        key: task and network, as `PUBLISHED` has them.
    """
    widths = published_widths(run, variables, key) if variant.how == "published" else None
    replace(run, experiment=replace(run.experiment, rivals=())).check(variables, widths)
    if variant.how == "late" and run.experiment.nested.epochs < 2:
        raise InvalidArgumentError("one epoch has no half", got=run.experiment.nested.epochs, allowed="epochs from 2 on")


def measured(
    variant: Variant, run: TaskRun, start: Any, key: tuple[str, str], observe: pipeline.Observer = lambda stage, found: None,
) -> MethodResult:
    """The subnetworks of a variant, trained and measured; arguments as for `check`, and the trained network ``start``."""
    experiment, nested = run.experiment, run.experiment.nested
    if variant.how == "alone":
        each = [replace(run, experiment=replace(
            experiment, subnetworks=replace(experiment.subnetworks, budgets=(budget,)), output=experiment.output / str(i),
        )).nest(variant.method, start, observe)[1] for i, budget in enumerate(experiment.subnetworks.budgets)]
        return replace(each[0], subnetworks=tuple(s for one in each for s in one.subnetworks), certificate=None,
                       proven_optimal=None, solver_seconds=None, train_seconds=sum(one.train_seconds for one in each),
                       promise=None)
    widths = None
    if variant.how == "scratch":
        before = experiment.pretrain.epochs if experiment.pretrained is None else 0
        run = replace(run, experiment=replace(experiment, nested=replace(nested, epochs=before + nested.epochs)))
        start = run.untrained()
    elif variant.how == "late":
        half = nested.epochs // 2
        alone = Training(half, nested.batch_size, nested.optimizer, nested.schedule, nested.learning_rates, nested.warmup,
                         nested.augment, nested.patience, nested.compute_dtype)
        start = replace(run, experiment=replace(experiment, pretrained=None, pretrain=alone)).start(start)
        run = replace(run, experiment=replace(experiment, nested=replace(nested, epochs=nested.epochs - half)))
    elif variant.how == "published":
        widths = published_widths(run, start, key)
    network, result = run.nest(variant.method, start, observe, widths)
    return _with_one(network, run, result) if variant.how == "one_statistics" else result


def published_widths(run: TaskRun, variables: Any, key: tuple[str, str]) -> list[tuple[int, ...]]:
    """The widths that the paper's code finds, the groups that it does not narrow whole, and the full network.

    Raises:
        InvalidArgumentError: there are none.
    """
    known = [f"{task} {network}" for (task, network), found in PUBLISHED.items() if found.widths]
    if key not in PUBLISHED or not PUBLISHED[key].widths:
        raise InvalidArgumentError("no widths of this network are published", got=" ".join(key), allowed=", ".join(known))
    sizes = trace(run.model, variables, run.data.example()).full_widths.values_tuple()
    return [*((*narrow, *sizes[len(narrow):]) for narrow in PUBLISHED[key].widths), sizes]


def _with_one(network: NestedNetwork, run: TaskRun, result: MethodResult) -> MethodResult:
    """The result with the batch statistics of the largest subnetwork for all."""
    stats = (network.batch_stats[-1],) * len(network)
    on_validation, on_test = (
        evaluate(network.model, network.params, stats, network.widths, split, normalise=network.normalise,
                 devices=run.experiment.devices)
        for split in (run.data.validation, run.data.test))
    changed: list[SubnetworkResult] = [
        replace(s, validation_metric=a.metric, test_metric=b.metric, test_loss=b.loss)
        for s, a, b in zip(result.subnetworks, on_validation, on_test, strict=True)]
    return replace(result, subnetworks=tuple(changed))
