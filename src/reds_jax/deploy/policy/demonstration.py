"""A demonstration: a budget that varies, and a policy that picks the subnetwork, against a fixed small and a fixed large model.

The C program (``demonstration.c`` with ``c/runtime/reds_policy.h``) runs on this machine or on an emulated Cortex-M4F; what it
prints is read here, summed up and drawn.
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Literal

import numpy as np

from reds_jax.deploy import one_file
from reds_jax.deploy.board import device, host
from reds_jax.deploy.c.constants import array
from reds_jax.deploy.c.export import Exported
from reds_jax.deploy.escape import c_identifier
from reds_jax.deploy.lowering.examples import floats
from reds_jax.deploy.saved_run import SavedRun
from reds_jax.errors import InvalidArgumentError, RedsError
from reds_jax.optional import needs

SCENES = ("deadlines", "battery")
MARK = b"reds_jax.deploy policy"
POLICIES = ("adaptive", "smallest", "largest")


@dataclass(frozen=True)
class Log:
    """What one policy did in one scene, one entry a step.

    Args:
        available: what the step could use; subnetwork: what ran (-1: nothing); cost: what it used; right: a right answer in
            time. The unit of cost is the instruction in QEMU, the MAC on a PC.
    """

    scene: str
    policy: str
    available: np.ndarray
    subnetwork: np.ndarray
    cost: np.ndarray
    right: np.ndarray

    @property
    def accuracy(self) -> float:
        """Right answers, in time and with energy left, as a share of all steps."""
        return float(self.right.mean())


def time_trace(steps: int, seed: int) -> np.ndarray:
    """The time that other work leaves: a slow wave, and bursts of other work.

    0 stands for just enough for the smallest subnetwork, 256 for just enough for the largest.
    """
    rng = np.random.default_rng(seed)
    wave = 0.6 + 0.6 * np.sin(2 * np.pi * np.arange(steps) / steps * 2 + 0.5)
    burst = np.repeat(rng.random(-(-steps // 6)) < 0.25, 6)[:steps]
    return (np.where(burst, 0.0, wave) * 256).astype(np.int64)


def check(saved: SavedRun, *, steps: int, energy: float, seed: int) -> None:
    """An `InvalidArgumentError` for options that `demonstrate` does not take."""
    if not 1 <= steps <= len(saved.data.test) or not 0 <= energy <= 1 or seed < 0:
        raise InvalidArgumentError("there are too many or too few steps, the energy is no share, or the seed is negative",
                                   got=(steps, energy, seed),
                                   allowed=f"1 to {len(saved.data.test)} steps, energy in [0, 1], a seed from 0")


def demonstrate(
    saved: SavedRun, exported: Exported, *, steps: int = 120, energy: float = 0.5, board: Literal["host", "m4"] = "host",
    seed: int = 0, name: str = "reds",
) -> list[Log]:
    """Run both scenes with all policies on the first ``steps`` test images.

    Args:
        energy: the store: 0 is just enough for the smallest subnetwork at every step, 1 for the largest.
        board: ``"host"`` (cost in MACs) or ``"m4"`` (QEMU, cost in instructions).
        seed: of the trace of other work.
    """
    if exported.quantized is None:
        raise InvalidArgumentError("the demonstration runs an int8 export")
    check(saved, steps=steps, energy=energy, seed=seed)
    images = floats(saved.data.read(saved.data.test.inputs[:steps]), exported.program.input_shape, "the test images")
    inputs = exported.quantized.input_scale.quantize(images)
    header = "\n".join([
        "#include <stdint.h>", f"#define POLICY_STEPS {steps}u", f"#define POLICY_ENERGY {round(energy * 256)}u",
        array("int8_t", "policy_inputs", [str(v) for v in inputs.ravel()], per_line=32),
        array("uint16_t", "policy_time", [f"{v}u" for v in time_trace(steps, seed)], per_line=16),
        array("uint8_t", "policy_labels", [f"{v}u" for v in saved.data.test.labels[:steps]], per_line=32)])
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
        here = Path(temporary)
        (here / "policy_data.h").write_text(header, encoding="utf-8")
        text = (resources.files("reds_jax.deploy.policy") / "demonstration.c").read_text(encoding="utf-8")
        (here / "main.c").write_text(Template(text).substitute(name=c_identifier(name), NAME=name.upper()), encoding="utf-8")
        if board == "host":
            program = host.build(exported.folder, here / "policy", "-O2", f"-I{here}", main=here / "main.c", name=name)
            done = host.run([str(program)])
            if done.returncode:
                raise RedsError(f"the demonstration ended with status {done.returncode}:\n{done.stderr}")
            printed = done.stdout
        else:
            printed = device.execute(exported.folder, here, board, "-DREDS_QEMU", name=name)
    return _logs(printed)


def _logs(printed: str) -> list[Log]:
    steps = np.array([[int(v) for v in line.split()[1:]] for line in printed.splitlines() if line.startswith("step ")])
    logs = []
    for s, scene in enumerate(SCENES):
        for p, policy in enumerate(POLICIES):
            rows = steps[(steps[:, 0] == s) & (steps[:, 1] == p)]
            logs.append(Log(scene, policy, rows[:, 3], rows[:, 4], rows[:, 5], rows[:, 6]))
    return logs


def plot(path: Path, logs: list[Log], *, unit: str, title: str) -> None:
    """Cost and right answers over time, one column a scene."""
    with needs("matplotlib", "a plot"):
        import matplotlib as mpl

        mpl.use("agg")
        import matplotlib.pyplot as plt

    colours = {"adaptive": "C0", "smallest": "C2", "largest": "C3"}
    figure, axes = plt.subplots(2, 2, figsize=(11, 6), sharex=True, height_ratios=[3, 2], layout="constrained")
    for column, scene in enumerate(SCENES):
        top, bottom = axes[0, column], axes[1, column]
        for log in sorted((entry for entry in logs if entry.scene == scene), key=lambda entry: entry.policy == "adaptive"):
            steps = np.arange(len(log.cost))
            if log.policy == "adaptive":
                top.step(steps, log.available / 1e6, where="mid", color="0.6", lw=1, label="available")
            size = 7 if log.policy == "adaptive" else 3
            top.plot(steps, log.cost / 1e6, ".", ms=size, color=colours[log.policy], label=log.policy)
            bottom.plot(steps, np.cumsum(log.right), color=colours[log.policy],
                        label=f"{log.policy}: {100 * log.accuracy:.0f} % right")
        top.set(title="time until the deadline varies" if scene == "deadlines" else "a battery that has to last",
                ylabel=f"cost of the inference (million {unit})")
        bottom.set(xlabel="inference", ylabel="right answers so far")
        top.legend(fontsize=8)
        bottom.legend(fontsize=8)
    figure.suptitle(title)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110, metadata={"Software": MARK.decode()})
    plt.close(figure)
    one_file.write(path, drawn.getvalue(), MARK)
