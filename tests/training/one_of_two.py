"""One of the processes that train together: ``python one_of_two.py COORDINATOR PROCESS FOLDER RESULT STOP SEED``.

COORDINATOR: HOST:PORT, auto, or none (one process). STOP: dispatches after which all are interrupted, 0: none, -1: no end.
"""

import sys
from dataclasses import replace

import jax
import numpy as np
from rich.console import Console
from training_nets import examples, initial, tiny_mlp

from reds_jax.console import guard
from reds_jax.processes import is_first, join
from reds_jax.training import FitConfig, Optimizer, Schedule, evaluate, fit, loop, recalibrate
from reds_jax.training.arrays import flatten

CONFIG = FitConfig(epochs=2, batch_size=16, steps_per_dispatch=2, augment="flip_shift", recalibrate_batches=2,
                   evaluate_batch_size=16, checkpoint_dispatches=1, optimizer=Optimizer("sgd", Schedule(learning_rate=0.1)))


def stop_after(dispatches):
    advance, made = loop.Run.advance, []

    def stopped(run, *arguments):
        if len(made) == dispatches:
            raise KeyboardInterrupt
        made.append(run)
        return advance(run, *arguments)

    loop.Run.advance = stopped


@guard
def main(coordinator, process, folder, result, stop, seed):
    if coordinator == "auto":
        join("auto")
    elif coordinator != "none":
        join(coordinator, int(process), 2)
    if int(stop) > 0:
        stop_after(int(stop))
    config = replace(CONFIG, seed=int(seed), epochs=10**6 if int(stop) < 0 else CONFIG.epochs)
    model = tiny_mlp()
    variables = jax.tree.map(lambda a: a.astype(np.float64), initial(model))
    found = fit(model, variables, (1.0, 0.5), examples(64), examples(16, 1), config, folder=folder,
                console=Console(quiet=True))
    stats = recalibrate(model, {"params": found.params, "batch_stats": found.batch_stats[0]}, (1.0, 0.5), examples(64),
                        key=jax.random.key(0), batch_size=16)
    judged = evaluate(model, found.params, stats, (1.0, 0.5), examples(37, 2), batch_size=10)
    if is_first():  # one process judges without the others
        alone = evaluate(model, found.params, stats, (1.0, 0.5), examples(37, 2), devices=1)
        np.testing.assert_allclose([e.loss for e in alone], [e.loss for e in judged], rtol=1e-10)
    np.savez(result, **flatten({"state": found.state, "stats": found.batch_stats, "devices": jax.device_count(),
                                "losses": [r["validation_loss"] for r in found.history], "recalibrated": stats,
                                "judged": [(e.loss, e.metric, e.examples) for e in judged]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
