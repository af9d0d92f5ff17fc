"""What a run found beside what the paper published, as Markdown, and what differs between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reds_jax import report
from reds_jax.experiments.published import PUBLISHED, Published

DIFFERS = """What differs from the published runs:

- Epochs, as said above; each of the three learning rates has a third of them, as of the paper's 250.
- MACs: the published shares charge every unit at the full width of the layer before, so that those networks have fewer true
  MACs than their share says. Here true MACs are counted, and the budgets are met in them.
- Choices: a tenth of the training images is for validation, which chooses the epoch; test images are read once, behind the
  last one. Published is the better of two runs, here it is one seed. An accuracy on 10,000 images has a standard error of
  0.3 points at 91 % and of 0.4 at 75 %.
- Convolutions and products have jax's default precision on this device, which is below that of float32 on some (TF32).
"""


def table(results: Mapping[str, Any]) -> str:
    """The page of all data sets that are begun."""
    run = results["environment"]
    lines = ["# The paper's vision networks in a given time", "",
             f"{report.code(results['command'])}: {results['seconds']:.0f} s of {results['limit_seconds']:g}, "
             f"seed {results['options']['seed']}, commit {run['commit']}, device {report.cell(run['device'])}, "
             f"{report.cell(run['machine'])}, jax {run['versions']['jax']}, flax {run['versions']['flax']}", ""]
    for name, task in results["tasks"].items():
        if "start" in task:
            lines += _section(task, PUBLISHED[name, "vision_ds_cnn_s"])
    return "\n".join([*lines, DIFFERS])


def _section(task: Mapping[str, Any], published: Published) -> list[str]:
    """What is known of one data set."""
    data, epochs, of = task["data"], task["epochs"], task["of_epochs"]
    steps = ", ".join(f"{report.LABELS.get(stage, 'full network')} {ms:.2f}" for stage, ms in task["step_ms"].items() if ms)
    lines = [f"## {task['title']}", "",
             f"{data['train']:,} / {data['validation']:,} / {data['test']:,} training / validation / test images: "
             f"{report.cell(data['source'])}. Milliseconds a step of {task['batch_size']} images: {steps or 'not measured'}.",
             "",
             f"Before nesting, after {epochs['pretrain']} of {of} epochs: {100 * task['start']:.2f} % on test images "
             f"(published {published.base:.2f} %).", ""]
    found = {report.LABELS[method]: {s["budget"]: s for s in result["subnetworks"]}
             for method, result in task["methods"].items()}
    if not found:
        return lines
    rows = [[f"{100 * budget:g} %", f"{accuracy:.2f}",
             *(f"{100 * m[budget]['test_metric']:.2f} at {100 * m[budget]['macs_fraction']:.1f} %" for m in found.values())]
            for budget, accuracy in zip((1.0, 0.75, 0.5, 0.25), published.nested, strict=True)]
    header = [["MACs", "published", *found], ["---:"] * (2 + len(found))]
    return [*lines, f"Nested, after {epochs['nested']} of {of} epochs: test accuracy in percent, here with the true MACs.",
            "", *(f"| {' | '.join(row)} |" for row in header + rows), ""]
