"""The chain: every group is fed by the one before, so every table spans two neighbouring groups at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack.table import Table
from reds_jax.knapsack.values import allowed_widths, ces, log_retention, pair_sum, prefix_sum, sorted_scores


class ChainTables(NamedTuple):
    """What a ``WidthProblem`` takes, in its order."""

    groups: tuple[str, ...]
    widths: tuple[tuple[int, ...], ...]
    values: tuple[Table, ...]
    resources: dict[str, tuple[Table, ...]]
    peaks: dict[str, tuple[Table, ...]]
    gamma: float | None


def chain_tables(
    *,
    scores: Sequence[Sequence[float] | np.ndarray],
    pair_macs: Sequence[float],
    unit_macs: Sequence[float],
    value: Literal["sum", "log_retention", "ces"] = "sum",
    gamma: float = 2.0,
    cost: Literal["true", "full_fan_in"] = "true",
    min_width: int | Sequence[int] = 1,
    step: int | Sequence[int] = 1,
    kernel_scores: Sequence[np.ndarray | None] | None = None,
    kernel_score: Literal["first", "best"] = "first",
    resources: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    peaks: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    groups: Sequence[str] | None = None,
) -> ChainTables:
    """The tables of a chain: macs = sum_i pair_macs[i] * n[i-1] * n[i] + unit_macs[i] * n[i], where n[-1] = 1.

    Args:
        scores: for each group the importance of its units, descending.
        pair_macs: MACs for each (unit of the group before, unit of this group); H * W for a pointwise convolution.
        unit_macs: MACs for each unit of this group; 9 * H * W for the depthwise 3x3 that follows, the fan-out of a
            classifier on the last group.
        value: "sum" adds the scores of the units kept; "log_retention" adds log(score kept / score of the group), "ces"
            (1 - share kept^-gamma) / gamma.
        gamma: of "ces".
        cost: "true" is the formula above; "full_fan_in" charges a unit pair_macs[i] * U[i-1] + unit_macs[i], whatever
            the width before: the paper's published accounting, which overstates what a subnetwork costs.
        min_width: smallest width, one for all or one for each group.
        step: granularity of the widths, one for all or one for each group; the full width is always allowed.
        kernel_scores: for each group None or a matrix (U, U of the group before) that replaces the group's value by that
            of its kernels (``pair_sum``); only with value="sum".
        kernel_score: "first" kernels of a filter, or the "best" (the objective of the paper's DS-CNN).
        resources: further sums of the same form: name -> (pair, unit) coefficients, for example weight bytes.
        peaks: name -> (before, unit): the peak is the maximum over i of before[i] * n[i-1] + unit[i] * n[i], for example
            the bytes of the input and output map of each layer.
        groups: names, default "group0", "group1", ...

    Raises:
        InvalidArgumentError: for lengths that do not match, scores that do not descend, or numbers that are not finite.

    >>> tables = chain_tables(scores=[[3, 2], [5, 1]], pair_macs=[0, 1], unit_macs=[1, 0], min_width=[1, 2])
    >>> tables.widths, [table.array.tolist() for table in tables.resources["macs"]]
    (((1, 2), (2,)), [[1, 2], [[2], [4]]])
    """
    count = len(scores)
    if count == 0:
        raise InvalidArgumentError("a chain needs at least one group", got=0, allowed="1, 2, ...")
    tables_of = {"sum": prefix_sum, "log_retention": log_retention, "ces": partial(ces, gamma=gamma)}
    if value not in tables_of:
        raise InvalidArgumentError("unknown value", got=value, allowed="'sum', 'log_retention' or 'ces'")
    if cost not in ("true", "full_fan_in"):
        raise InvalidArgumentError("unknown cost", got=cost, allowed="'true' or 'full_fan_in'")
    if kernel_scores is not None and value != "sum":
        raise InvalidArgumentError("kernel scores are summed", got=value, allowed="value='sum'")
    names = tuple(f"group{i}" for i in range(count)) if groups is None else tuple(groups)
    units = [sorted_scores(s, name) for s, name in zip(scores, _each(names, count, "groups"), strict=True)]
    full = [len(s) for s in units]
    steps = _each(step, count, "step")
    floors = _each(min_width, count, "min_width")
    widths = [allowed_widths(u, s, f) for u, s, f in zip(full, steps, floors, strict=True)]
    matrices = _each(kernel_scores, count, "kernel_scores")

    values = []
    for i, (score, matrix) in enumerate(zip(units, matrices, strict=True)):
        if matrix is None:
            values.append(Table((i,), tables_of[value](score, widths[i])))
            continue
        before = [1] if i == 0 else widths[i - 1]
        expected = (full[i], 1 if i == 0 else full[i - 1])
        if np.shape(matrix) != expected:
            raise InvalidArgumentError(
                f"the kernel scores of group {names[i]!r} do not match the groups", got=np.shape(matrix),
                allowed=f"shape {expected}",
            )  # fmt: skip
        table = pair_sum(matrix, kernel_score=kernel_score, previous_widths=before, widths=widths[i])
        values.append(Table((i,), table[0]) if i == 0 else Table((i - 1, i), table))

    sums = {"macs": (pair_macs, unit_macs), **(resources or {})}
    if resources and "macs" in resources:
        raise InvalidArgumentError("the resource 'macs' is given by pair_macs and unit_macs", got="resources['macs']")
    tables = {}
    for name, (pair, unit) in sums.items():
        f = _coefficients(pair, count, f"the pair coefficients of {name!r}")
        u = _coefficients(unit, count, f"the unit coefficients of {name!r}")
        if name == "macs" and cost == "full_fan_in":
            fan_in = [1, *full[:-1]]
            f, u = [0] * count, [fi * before + ui for fi, ui, before in zip(f, u, fan_in, strict=True)]
        tables[name] = tuple(_pair_table(i, widths, f[i], u[i]) for i in range(count))
    maxima = {}
    for name, (before, unit) in (peaks or {}).items():
        p = _coefficients(before, count, f"the coefficients of {name!r}")
        u = _coefficients(unit, count, f"the coefficients of {name!r}")
        maxima[name] = tuple(_sum_table(i, widths, p[i], u[i]) for i in range(count))
    return ChainTables(names, tuple(widths), tuple(values), tables, maxima, {"log_retention": 0.0, "ces": gamma}.get(value))


def _each(given: Any, count: int, what: str) -> list[Any]:
    """One entry for each group."""
    if given is None or isinstance(given, (int, np.integer)):
        return [given] * count
    entries = list(given)
    if len(entries) != count:
        raise InvalidArgumentError(f"{what} needs one entry for each group", got=len(entries), allowed=str(count))
    return entries


def _coefficients(given: Sequence[float], count: int, what: str) -> list[int | float]:
    """Python numbers, so that products of integers are exact whatever their size."""
    entries = _each(given, count, what)
    for entry in entries:
        number = isinstance(entry, (int, float, np.integer, np.floating)) and not isinstance(entry, bool)
        if not number or not np.isfinite(entry):
            raise InvalidArgumentError(f"{what} are not all finite numbers", got=entry)
    return [int(e) if isinstance(e, (int, np.integer)) else float(e) for e in entries]


def _fits(largest: float, what: str) -> None:
    if largest >= 2**61:
        raise InvalidArgumentError(
            f"{what} may leave the 64-bit integers", got=largest, allowed="below 2**61",
            hint="Divide by a common factor, or give floats.",
        )  # fmt: skip


def _pair_table(i: int, widths: list[tuple[int, ...]], pair: float, unit: float) -> Table:
    here = np.asarray(widths[i], dtype=np.int64)
    before = np.asarray(widths[i - 1] if i else [1], dtype=np.int64)
    _fits((abs(pair) * int(before[-1]) + abs(unit)) * int(here[-1]), "a cost of the chain")
    if i == 0 or pair == 0:
        return Table((i,), here * (pair * (1 if i == 0 else 0) + unit))
    return Table.of_products((i - 1, i), [(before * pair, here), (np.ones_like(before), here * unit)])


def _sum_table(i: int, widths: list[tuple[int, ...]], before: float, unit: float) -> Table:
    here = np.asarray(widths[i], dtype=np.int64)
    _fits(abs(before) * (widths[i - 1][-1] if i else 1) + abs(unit) * int(here[-1]), "a peak of the chain")
    if i == 0:
        return Table((i,), here * unit + before)
    earlier = np.asarray(widths[i - 1], dtype=np.int64)
    return Table.of_products((i - 1, i), [(earlier * before, np.ones_like(here)), (np.ones_like(earlier), here * unit)])
