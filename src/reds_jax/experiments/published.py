"""What the paper published (Corti et al. 2023, arXiv 2311.13349): accuracies, and widths that its solver found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """The table of one network on one data set.

    Args:
        base: test accuracy in percent of the trained network; None: not reported.
        nested: of the nested subnetworks of 100, 75, 50 and 25 % of the MACs in the paper's own accounting, bottom-up.
        widths: of the subnetworks of 25, 50 and 75 %, of every group that it narrows, from the input on.
        front: the groups from the input on that the widths are of; the others stay whole.
    """

    base: float | None
    nested: tuple[float, float, float, float]
    widths: tuple[tuple[int, ...], ...] = ()


PUBLISHED: Mapping[tuple[str, str], Published] = {
    ("speech_commands", "dnn_s"): Published(
        83.82, (83.52, 82.29, 78.36, 64.42), ((15, 75, 33), (51, 116, 63), (99, 132, 99))),
    ("speech_commands", "dnn_l"): Published(
        86.87, (86.46, 86.38, 85.62, 82.61), ((302, 88, 19), (416, 244, 78), (436, 356, 235))),
    ("speech_commands", "cnn_s"): Published(92.24, (91.60, 90.63, 88.39, 79.52), ((23, 5), (26, 13), (28, 21))),
    ("speech_commands", "cnn_l"): Published(93.24, (92.83, 92.74, 91.95, 90.24), ((56, 16), (57, 36), (58, 56))),
    ("speech_commands", "ds_cnn_s"): Published(
        None, (93.35, 93.2, 92.1, 89.64), ((9, 22, 48, 12, 63), (21, 30, 48, 41, 63), (31, 63, 64, 42, 42))),
    ("speech_commands", "ds_cnn_l"): Published(
        None, (94.46, 94.32, 94.17, 93.20),
        ((44, 139, 114, 276, 17, 274), (69, 213, 197, 276, 34, 276), (90, 243, 265, 276, 69, 276))),
    ("fashion_mnist", "vision_ds_cnn_s"): Published(90.59, (91.60, 91.51, 90.75, 89.22)),
    ("cifar10", "vision_ds_cnn_s"): Published(79.36, (81.07, 80.17, 76.72, 68.66)),
}
"""By task and network. The widths are those that the released code finds, and cost less in true MACs than their budgets."""
