"""What 8 bits cost: the accuracy of every subnetwork in float, in simulated int8, and by the compiled C."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.deploy.board.host import HostNetwork
from reds_jax.deploy.c.export import Exported
from reds_jax.deploy.int8.simulate import simulate_int8
from reds_jax.deploy.lowering.simulate import simulate
from reds_jax.deploy.saved_run import SavedRun


@dataclass(frozen=True)
class Accuracy:
    """Shares of right answers of one subnetwork (fractions of 1).

    Args:
        flax: the model itself, in float32.
        simulated: the device program as it was exported (float32, or int8 bit for bit).
        compiled: the compiled C on the first ``compiled_examples`` of the test examples.
        same: whether the compiled C gave exactly the simulated numbers there (float32: to 1e-4 of the largest output).
    """

    macs: int
    examples: int
    flax: float
    simulated: float
    compiled: float
    compiled_examples: int
    same: bool

    def record(self) -> dict[str, Any]:
        return asdict(self)


def measure(saved: SavedRun, exported: Exported, *, compiled_examples: int = 1000, name: str = "reds") -> list[Accuracy]:
    """Run the test data through every form of every subnetwork. Nothing is chosen from the result."""
    host = HostNetwork(exported.folder, "-O3", name=name)
    quantized, results = exported.quantized, []
    for k in range(len(saved.network)):
        run = simulate_int8(quantized, k) if quantized else simulate(exported.program, k)
        output = (quantized.program if quantized else exported.program).output
        apply = jax.jit(lambda x, k=k: saved.network.apply(k, x))
        host.adapt(k)
        right = {"flax": 0, "simulated": 0, "compiled": 0}
        seen = done = 0
        same = True
        for x, labels in saved.test_batches():
            given = quantized.input_scale.quantize(x) if quantized else np.asarray(x, np.float32)
            right["flax"] += int((np.asarray(apply(jnp.asarray(x))).argmax(-1) == labels).sum())
            simulated = np.asarray(run(jnp.asarray(given))[output]).reshape(len(x), -1)
            right["simulated"] += int((simulated.argmax(-1) == labels).sum())
            seen += len(x)
            part = min(len(x), compiled_examples - done)
            if part > 0:
                compiled = host.invoke(given[:part])
                right["compiled"] += int((compiled.argmax(-1) == labels[:part]).sum())
                limit = 0.0 if quantized else 1e-4 * float(np.abs(simulated[:part]).max())
                differences = np.abs(compiled.astype(np.float64) - simulated[:part])
                same, done = same and bool((differences <= limit).all()), done + part
        results.append(Accuracy(saved.network.macs[k], seen, right["flax"] / seen, right["simulated"] / seen,
                                right["compiled"] / done, done, same))
    return results
