r"""What 8 bits cost, layer by layer: the int8 network against the float one, on the examples that it was calibrated with.

With :math:`x_n` the values of a layer for example n in floats, and :math:`\hat x_n` what the int8 network has there (all layers
before it in int8 too), the signal-to-quantisation-noise ratio of the layer is, in dB,

.. math:: \mathrm{SQNR} = \operatorname{median}_n 10 \log_{10} \frac{\lVert x_n \rVert^2}{\lVert x_n - \hat x_n \rVert^2}

(a median over the examples, as one that lies far outside has most of the signal). 20 dB is a noise of a tenth of the signal.
The agreement is the share of the examples for which both networks have the same largest output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from reds_jax.deploy.int8.quantize import MOVES, QuantizedProgram
from reds_jax.deploy.int8.simulate import simulate_int8
from reds_jax.deploy.lowering.examples import floats
from reds_jax.deploy.lowering.simulate import simulate

SQNR_BOUND = 15.0
"""dB: below, a layer is named in a warning. At 15 dB the noise is 18 % of the signal."""
AGREEMENT_BOUND = 0.9
"""Below this share of equal answers there is a warning, if they are of `ENOUGH` examples."""
ENOUGH = 32
_HINT = ("Look for values far outside in the calibration, or leave them out with rule='percentile' (--rule percentile); "
         "a float32 export has no such noise.")
_LIMIT = 99.0  # dB, where there is no noise


class QuantizationWarning(UserWarning):
    """An int8 network that answers otherwise than the float one."""


@dataclass(frozen=True)
class Quality:
    """The int8 form of every subnetwork against its float form.

    Args:
        examples: how many the comparison is over.
        layers: "input" and the layers, in the order of execution.
        sqnr_db: ``sqnr_db[k][i]`` of layer i in subnetwork k, from -99 to 99 dB; None where both are zero throughout.
        agreement: of every subnetwork, a fraction of 1; None for a network of one output.
    """

    examples: int
    layers: tuple[str, ...]
    sqnr_db: tuple[tuple[float | None, ...], ...]
    agreement: tuple[float | None, ...]

    def record(self) -> dict[str, Any]:
        """For model.json."""
        return {"examples": self.examples, "layers": self.layers, "sqnr_db": self.sqnr_db, "agreement": self.agreement,
                "sqnr_bound_db": SQNR_BOUND, "agreement_bound": AGREEMENT_BOUND}

    def warnings(self) -> list[str]:
        """A sentence for every subnetwork that is worse than the bounds; it names the first layer below."""
        found = []
        for k, (row, agreement) in enumerate(zip(self.sqnr_db, self.agreement, strict=True)):
            known = [(name, value) for name, value in zip(self.layers, row, strict=True) if value is not None]
            below = [pair for pair in known if pair[1] < SQNR_BOUND]
            if not below and (agreement is None or agreement >= AGREEMENT_BOUND or self.examples < ENOUGH):
                continue
            what = [f"{name!r} has a signal-to-noise ratio of {value:.1f} dB (bound {SQNR_BOUND:g})"
                    for name, value in below[:1]]
            if agreement is not None:
                what.append(f"{agreement:.1%} of the answers are those of the float network (bound {AGREEMENT_BOUND:.0%})")
            found.append(f"subnetwork {k} in int8: {'; '.join(what)}. {_HINT}")
        return found


def compare(quantized: QuantizedProgram, batches: Sequence[np.ndarray]) -> Quality:
    """Run both forms of every subnetwork on inputs [N, ...] in floats."""
    program = quantized.program
    shown = [(0, "input"), *((op.output, op.name) for op in program.operations if op.kind not in MOVES)]
    batches = [floats(batch, program.input_shape, "the examples") for batch in batches if len(batch)]
    sqnr, agreement = [], []
    for k in range(program.subnetworks):
        real, eight = simulate(program, k), simulate_int8(quantized, k)
        ratios: list[list[np.ndarray]] = [[] for _ in shown]
        same = []
        for x in batches:
            expected = real(jnp.asarray(x))
            found = eight(jnp.asarray(quantized.input_scale.quantize(x)))
            for (t, _), row in zip(shown, ratios, strict=True):
                row.append(_ratios(np.asarray(expected[t]), quantized.scales[k][t].dequantize(np.asarray(found[t]))))
            pair = (np.asarray(values[program.output]).reshape(len(x), -1).argmax(axis=1) for values in (expected, found))
            same.append(np.equal(*pair))
        sqnr.append(tuple(_median(np.concatenate(row)) for row in ratios))
        one = program.tensors[program.output].items(k) == 1
        agreement.append(None if one else float(np.concatenate(same).mean()))
    return Quality(sum(map(len, batches)), tuple(name for _, name in shown), tuple(sqnr), tuple(agreement))


def _ratios(x: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The ratio of every example in dB; NaN where both are zero."""
    x = x.reshape(len(x), -1).astype(np.float64)
    signal = (x**2).sum(axis=1)
    noise = ((x - found.reshape(x.shape)) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(10 * np.log10(signal / noise), -_LIMIT, _LIMIT)


def _median(ratios: np.ndarray) -> float | None:
    known = ratios[~np.isnan(ratios)]
    return round(float(np.median(known)), 2) if len(known) else None
