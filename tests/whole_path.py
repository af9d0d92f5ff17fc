"""From an untrained network to C that checks itself, stage by stage, on a few made-up images: ``python whole_path.py FOLDER``.

It needs the library, jax, flax, optax, numpy and scipy, with what these bring themselves, and a C compiler; nothing else.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np

from reds_jax import NestedNetwork, data, importance, permute, trace, width_problem
from reds_jax.deploy import export
from reds_jax.knapsack import solve, solve_nested
from reds_jax.training import FitConfig, evaluate, fit, recalibrate


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.BatchNorm(not train)(nn.Conv(6, (3, 3), (2, 2))(x)))
        return nn.Dense(3)(x.mean((1, 2)))


def images(count: int, seed: int) -> data.Split:
    """A bright row, column or corner."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % 3
    pixels = rng.integers(0, 60, (count, 6, 6, 1), np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[(np.s_[2], np.s_[:, 2], np.s_[4:, 4:])[label]] += 150
    return data.Split(pixels, labels)


def whole_path(folder: Path) -> None:
    """Every stage from the trace to the compiled C, each on the results before it."""
    model, train, held_out, read = Net(), images(60, 0), images(30, 1), data.Normalise((0.2,), (0.3,))
    inputs = read(train.inputs)
    variables = jax.jit(model.init)(jax.random.key(0), inputs[:1])
    graph = trace(model, variables, inputs[:1])
    scores = importance.score("taylor", model, variables, graph, [(train.inputs, train.targets)], preprocess=read)
    before = np.asarray(model.apply(variables, inputs))
    variables = permute(variables, graph, scores)
    np.testing.assert_allclose(model.apply(variables, inputs), before, atol=1e-5)

    problem = width_problem(graph, {name: np.sort(s)[::-1] for name, s in scores.items()})
    capacities = [{"macs": graph.macs() // 2}, {"macs": graph.macs()}]
    solution = solve_nested(problem, capacities)
    assert solution.proven_optimal
    assert solve(problem, capacities[0]).value >= solution.solutions[0].value - 1e-9
    widths = tuple(graph.widths(s.widths) for s in solution.solutions)

    config = FitConfig(epochs=2, batch_size=20, recalibrate_batches=3)
    trained = [fit(model, variables, widths, train, held_out, config, normalise=read, folder=place)
               for place in (None, folder / "run", folder / "run")]  # the last goes on from the end of the one before
    for other in trained[1:]:
        jax.tree.map(np.testing.assert_array_equal, trained[0].params, other.params)
    params = trained[0].params
    stats = recalibrate(model, {"params": params, "batch_stats": trained[0].batch_stats[-1]}, widths, train.inputs,
                        key=jax.random.key(1), normalise=read)
    measured = evaluate(model, params, stats, widths, held_out, normalise=read)
    print("trained:", *(f"{e.metric:.2f} at {graph.macs(w)} MACs" for e, w in zip(measured, widths, strict=True)))

    network = NestedNetwork(model, params, stats, widths, tuple(map(graph.macs, widths)), inputs, read)
    network.save(folder / "model")
    loaded = NestedNetwork.load(folder / "model", model=model)
    for k in range(len(network)):
        np.testing.assert_array_equal(loaded.apply(k, inputs), network.apply(k, inputs))

    for dtype in ("float32", "int8"):
        export(model, None, graph, loaded, folder / dtype, dtype, calibration=[inputs], normalise=read)
        if shutil.which("make") and any(map(shutil.which, ("cc", "gcc", "clang"))):
            subprocess.run(["make", "-C", str(folder / dtype), "check"], check=True, stdout=subprocess.DEVNULL)
            print(f"{dtype}: compiled, and it gives the recorded answers")
        else:
            print(f"{dtype}: not compiled, there is no make or no C compiler")


if __name__ == "__main__":
    whole_path(Path(sys.argv[1]))
