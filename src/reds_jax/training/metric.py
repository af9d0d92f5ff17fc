"""What is reported of a network: a number with a name, a unit, and a direction."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A mean over examples that is reported.

    Args:
        name: in words: "accuracy", "mean squared error".
        unit: what is written behind the number; "%": the value is a fraction of 1 and is shown as 100 times that.
        higher_is_better: the direction that early stop, the best epoch and the report follow.

    >>> Metric("accuracy", "%", True).text(0.91234), Metric("mean absolute error", "K").text(0.0123456)
    ('91.23 %', '0.01235 K')
    """

    name: str
    unit: str = ""
    higher_is_better: bool = False

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is better than ``b``; any number is better than one that is none (NaN)."""
        if math.isnan(a) or math.isnan(b):
            return math.isnan(b) and not math.isnan(a)
        return a > b if self.higher_is_better else a < b

    def number(self, value: float, digits: int = 2) -> str:
        """The value without its unit: percent with ``digits`` digits behind the point, others with ``digits + 2`` in all."""
        if math.isnan(value):
            return "-"
        return f"{100 * value:.{digits}f}" if self.unit == "%" else f"{value:.{digits + 2}g}"

    def text(self, value: float) -> str:
        """The value with its unit."""
        return f"{self.number(value)} {self.unit}".rstrip()

    @property
    def label(self) -> str:
        """The name with the unit, for an axis or a column: ``"accuracy %"``."""
        return f"{self.name} {self.unit}".rstrip()

    @property
    def slug(self) -> str:
        """The name as part of a file's name."""
        return "_".join("".join(c if c.isalnum() else " " for c in self.name.lower()).split())
