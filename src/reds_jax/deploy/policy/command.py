"""``reds deploy policy``: a policy that picks the subnetwork, against fixed models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from reds_jax import report
from reds_jax.deploy import folder, one_file, saved_run
from reds_jax.deploy.c.export import export
from reds_jax.deploy.policy.demonstration import MARK, check, demonstrate, plot


@dataclass(frozen=True)
class Policy:
    """Demonstrate a policy that picks the subnetwork as time and energy vary, against fixed models."""

    run: Path
    """Output folder of an experiment."""
    output: Path
    """Folder for policy.png and policy.json; the exported network goes to its folder c99/."""
    board: Literal["host", "m4"] = "m4"
    """Where it runs: this machine (cost in MACs), or an emulated Cortex-M4F (cost in instructions)."""
    steps: int = 120
    """Inferences, on the first test images."""
    energy: float = 0.5
    """The battery: 0 is just enough for the smallest subnetwork all the time, 1 for the largest."""
    seed: int = 0
    """Of the trace of other work."""
    data: str | None = None
    """Where the data of the run are now, if they have moved."""
    other_data: bool = False
    """Go on with data of another fingerprint than those that the run was trained on."""

    def __call__(self, console: Console, command: str) -> None:
        report.check_plots()
        picture, record = self.output / "policy.png", self.output / "policy.json"
        folder.check(self.output / "c99")
        for path in (picture, record) if self.output.is_dir() else ():
            one_file.check(path, MARK)
        saved = saved_run.read(self.run, data=self.data, other_data=self.other_data)
        check(saved, steps=self.steps, energy=self.energy, seed=self.seed)
        exported = export(saved.network.model, None, saved.graph, saved.network, self.output / "c99", "int8",
                          calibration=saved.calibration())
        logs = demonstrate(saved, exported, steps=self.steps, energy=self.energy, board=self.board, seed=self.seed)
        unit = "MACs" if self.board == "host" else "instructions"
        plot(picture, logs, unit=unit, title=f"{self.run.name} on "
                    + ("a PC" if self.board == "host" else "an emulated Cortex-M4F") + f", {self.steps} test images")
        table = Table(title=f"answers that are right, in time, and with energy left; cost in {unit}")
        for column in ("scene", "policy", "right", "mean cost", "nothing run", "subnetworks used"):
            table.add_column(column, justify="right")
        for log in logs:
            used = ", ".join(f"{k}: {n}" for k, n in zip(*np.unique(log.subnetwork[log.subnetwork >= 0], return_counts=True),
                                                         strict=True))
            table.add_row(log.scene, log.policy, f"{100 * log.accuracy:.1f} %", f"{log.cost.mean():,.0f}",
                          str(int((log.subnetwork < 0).sum())), used)
        console.print(table)
        one_file.write(record, report.to_json({
            "written_by": MARK.decode(), "command": command, "environment": report.environment(),
            "data": saved.data.source, "fingerprint": saved.data.fingerprint, "unit": unit,
            "logs": [{"scene": log.scene, "policy": log.policy, "right": log.accuracy, "available": log.available.tolist(),
                      "subnetwork": log.subnetwork.tolist(), "cost": log.cost.tolist()} for log in logs]}).encode(), MARK)
