"""The picture of `keyword_spotter.py`: audio, the mean posteriors of two subnetworks, and the words that they detect."""

from __future__ import annotations

import io
import tempfile
import wave
from pathlib import Path
from typing import Any

import numpy as np

from reds_jax.deploy.board import host
from reds_jax.deploy.c.exported import Exported
from reds_jax.deploy.front_end.spotter import ONE, Settings


def picture(exported: Exported, samples: np.ndarray, labels: np.ndarray, settings: Settings) -> tuple[bytes, list[str]]:
    """A drawing (PNG) of what the program for WAV files says of a recording of clips of one second, and its lines."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    spotter, subnetworks = exported.front_end, exported.facts["subnetworks"]
    assert spotter is not None
    names, rate, drawn = [name.strip("_") for name in spotter.class_names], spotter.mfcc.sample_rate, io.BytesIO()
    printed = listened_to(exported, samples, settings)
    figure, axes = plt.subplots(3, 1, figsize=(10, 5), sharex=True, layout="constrained")
    axes[0].plot(np.arange(len(samples)) / rate, samples, lw=0.4, color="0.35")
    axes[0].set(yticks=[], ylabel="audio", ylim=(samples.min(), 1.3 * samples.max()))
    for i, label in enumerate(labels):
        axes[0].text(i + 0.5, 1.28 * samples.max(), names[label], ha="center", va="top", color="0.2")
        axes[0].axvline(i, color="0.85", lw=0.8)
    curves: dict[str, Any] = {}
    for axis, k in zip(axes[1:], (0, len(subnetworks) - 1), strict=True):
        rows = [line.split() for line in printed if line.startswith(f"subnetwork {k}: ")]
        means = np.array([[int(v) for v in row[5:]] for row in rows if row[4] == "posteriors"]) / ONE
        times = [float(row[2]) for row in rows if row[4] == "posteriors"]
        for c in np.flatnonzero(means.max(axis=0) > 0.2):
            style = "-" if spotter.words[c] else ":"
            curves[names[c]], = axis.plot(times, means[:, c], style, lw=1.2, color=plt.get_cmap("tab20")(c))
        for row in rows:
            if row[4] != "posteriors":
                axis.axvline(float(row[2]), color="k", lw=0.8)
                axis.text(float(row[2]), 1.02, row[4], ha="center", fontsize=8)
        axis.axhline(settings.threshold, color="0.6", lw=0.8, ls="--")
        share = subnetworks[k]["macs"] / subnetworks[-1]["macs"]
        axis.set(ylim=(0, 1.14), ylabel=f"{100 * share:.0f} % of the MACs")
    figure.legend(list(curves.values()), list(curves), loc="outside right center", fontsize=8, frameon=False)
    axes[2].set(xlabel="seconds")
    figure.savefig(drawn, format="png", dpi=90)
    plt.close(figure)
    return drawn.getvalue(), [line for line in printed if "posteriors" not in line]


def listened_to(exported: Exported, samples: np.ndarray, settings: Settings) -> list[str]:
    """What the program prints, without the name of the file."""
    examples = exported.folder / "examples"
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
        path = Path(temporary) / "recording.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(samples.astype("<i2").tobytes())
        program = host.build(exported.folder, Path(temporary) / "listen", "-O2", str(examples / "wav.c"),
                             main=examples / "reds_listen_wav.c")
        done = host.run([str(program), "-p", "-s", str(settings.hop), "-n", str(settings.window), "-t", str(settings.threshold),
                         "-r", str(settings.refractory), str(path)])
        assert done.returncode == 0, done.stderr
    return [line.split(": ", 1)[1] for line in done.stdout.splitlines()]
