"""What widths single layers may take: rules by path pattern. Imports no jax."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from reds_jax.checks import integer, several
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph.channels import ChannelGraph, Group
from reds_jax.knapsack import allowed_widths

_FORM = "PATTERN:exclude, or PATTERN:floor=0.5,multiple_of=8,at_most=64 with one or more of these"


@dataclass(frozen=True)
class LayerRule:
    """A rule for every channel group with a layer whose path matches a pattern.

    Args:
        pattern: of layer paths, as in a shell: ``block_*/conv``; ``*`` matches any characters.
        exclude: these layers stay at full width.
        floor: smallest width, an integer or a fraction of the group.
        multiple_of: widths are multiples of this, or full.
        at_most: largest width of every subnetwork, an integer or a fraction of the group.

    >>> LayerRule.parse("depthwise_*:floor=0.5,multiple_of=8")
    LayerRule(pattern='depthwise_*', exclude=False, floor=0.5, multiple_of=8, at_most=None)
    """

    pattern: str
    exclude: bool = False
    floor: float | int | None = None
    multiple_of: int | None = None
    at_most: float | int | None = None

    @classmethod
    def parse(cls, text: str) -> LayerRule:
        """A rule as it is written on a command line."""
        pattern, colon, options = text.rpartition(":") if isinstance(text, str) else ("", "", "")
        if not colon or not pattern:
            raise InvalidArgumentError("a rule for layers has no pattern", got=text, allowed=_FORM)
        values: dict[str, float | int | bool] = {}
        for option in options.split(","):
            name, equals, value = option.strip().partition("=")
            try:
                if name == "exclude" and not equals:
                    values[name] = True
                elif name == "multiple_of":
                    values[name] = int(value)
                elif name in ("floor", "at_most"):
                    values[name] = float(value) if "." in value else int(value)
                else:
                    raise ValueError(option)
            except ValueError as error:
                raise InvalidArgumentError("a rule for layers cannot be read", got=text, allowed=_FORM) from error
        return cls(pattern, **values)  # type: ignore[arg-type]

    def matches(self, group: Group) -> bool:
        """Whether a layer of the group matches; tied layers follow one rule."""
        return any(fnmatchcase(path, self.pattern) for path in (group.name, *group.layers))


def check_rules(graph: ChannelGraph, rules: Sequence[LayerRule | str]) -> list[LayerRule]:
    """The rules, each of which must match a layer that can be cut."""
    parsed = [r if isinstance(r, LayerRule) else LayerRule.parse(r) for r in several("rules", rules, "rules for single layers")]
    for rule in parsed:
        if not any(rule.matches(g) for g in graph.groups):
            known = sorted({path for g in graph.groups for path in (g.name, *g.layers)})
            raise InvalidArgumentError("a rule matches no layer that can be cut", got=rule.pattern, allowed=", ".join(known),
                                       hint="print(graph.summary()) shows the groups, and what stays at full width anyway.")
    return parsed


def allowed(
    graph: ChannelGraph, *, step: int, floor: Sequence[int], rules: Sequence[LayerRule | str] = ()
) -> list[tuple[int, ...]]:
    """The widths that every group may take, ascending.

    Args:
        graph: from `reds_jax.trace`.
        step: widths are multiples of this, or full.
        floor: the smallest width of each group.
        rules: for single layers; where several match, all hold (the largest floor, the smallest limit).

    Raises:
        InvalidArgumentError: a pattern that matches no layer, or rules that leave a group no width.
    """
    parsed = check_rules(graph, rules)
    step = integer("step", step, 1)
    found = []
    for group, least in zip(graph.groups, floor, strict=True):
        mine = [r for r in parsed if r.matches(group)]
        if any(r.exclude for r in mine):
            found.append((group.size,))
            continue
        steps = math.lcm(step, *(r.multiple_of for r in mine if r.multiple_of is not None))
        low = max(least, *(_count(r.floor, group.size, math.ceil) for r in mine if r.floor is not None), 1)
        limits = [_count(r.at_most, group.size, math.floor) for r in mine if r.at_most is not None]
        high = min([group.size, *limits])
        widths = tuple(n for n in allowed_widths(group.size, steps, min(low, group.size)) if low <= n <= high)
        if not widths:
            raise InvalidArgumentError(f"the rules leave the group {group.name!r} no width", allowed=f"up to {group.size}",
                                       got=f"multiples of {steps} from {low} to {high}")
        found.append(widths)
    return found


def _count(limit: float | int, size: int, rounding: Callable[[float], int]) -> int:
    if isinstance(limit, float):
        if not 0 < limit <= 1:
            raise InvalidArgumentError("a fraction of a rule is out of range", got=limit, allowed="(0, 1], or an integer")
        return max(1, rounding(limit * size))
    return int(limit)
