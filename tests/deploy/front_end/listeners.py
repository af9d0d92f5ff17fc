"""Small keyword spotters on chirps: exported, not trained."""

from __future__ import annotations

from pathlib import Path

import flax.linen as nn
import jax
import numpy as np

from reds_jax.data import MFCC
from reds_jax.data.chirps import render_chirps
from reds_jax.deploy import Exported, export
from reds_jax.deploy.front_end.keyword_spotter import KeywordSpotter
from reds_jax.graph.trace import trace

NAMES = ("_silence_", "_unknown_", "one", "two", "three")
FRAMES = 9


class Tiny(nn.Module):
    """Frames [N, 9, 10, 1] to five outputs that differ much from clip to clip."""

    softmax: bool = False

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.relu(nn.Dense(12, name="hidden")(x.reshape(len(x), -1)))
        x = nn.Dense(len(NAMES), name="logits")(x)
        return nn.softmax(x) if self.softmax else x


def speech(seed: int, clips: int = 3) -> np.ndarray:
    """A recording, int16 [S], of several chirps."""
    return render_chirps(12 + clips, seed=seed)[0][-clips:].ravel()


def make(folder: Path, dtype: str, spotter: KeywordSpotter, *, softmax: bool = False) -> Exported:
    """Three subnetworks with weights at random, whose outputs are centred: every class is the answer now and then."""
    mfcc = MFCC()
    features = mfcc(render_chirps(48, seed=7)[0])
    x = np.concatenate([features[:, i : i + FRAMES] for i in (5, 20, 35)])
    model = Tiny(softmax)
    variables = jax.tree.map(np.array, model.init(jax.random.key(1), x))
    params = variables["params"]
    params["hidden"]["bias"] = -(x.reshape(len(x), -1).mean(0) @ params["hidden"]["kernel"])
    hidden = np.maximum(x.reshape(len(x), -1) @ params["hidden"]["kernel"] + params["hidden"]["bias"], 0)
    raw = hidden @ params["logits"]["kernel"]
    params["logits"]["kernel"] = params["logits"]["kernel"] * np.float32(4 / raw.std())
    params["logits"]["bias"] = -(hidden @ params["logits"]["kernel"]).mean(0)
    graph = trace(model, variables, x)
    widths = [graph.widths(f) for f in (0.34, 0.67, 1.0)]
    return export(model, variables, graph, widths, folder, dtype, calibration=[x], rule="minmax",  # type: ignore[arg-type]
                  front_end=spotter)
