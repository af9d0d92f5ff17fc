"""Values of widths that are learned: how much the loss grows where a group keeps less, from losses of sampled widths. No jax.

Scores say which unit of a group comes first, not how much one group matters beside another. That can be measured: sample widths
near the budgets (`sample_widths`), evaluate them (with one trained set of weights and batch statistics of their own), and fit
`fit_amplitudes`; its tables are what `reds_jax.cost.width_problem` takes as ``value``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.stats import rankdata

from reds_jax.array_types import Float, Num
from reds_jax.checks import integer, number, several
from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.graph.channels import ChannelGraph
from reds_jax.knapsack import ces
from reds_jax.knapsack.values import check_gamma
from reds_jax.layer_rules import LayerRule, allowed

GAMMAS = (0.5, 1.0, 2.0, 4.0)
TRUSTED = 0.7
"""The rank correlation with the losses of held-out widths below which a fit is not used."""
LEAST = 0.05
"""The smallest amplitude as a share of the mean: a group that seems not to matter is not cut to one unit."""
FOLDS = 5


@dataclass(frozen=True)
class Amplitudes:
    """What the loss is made of: ``L(n) = L_full + sum_g A_g (R_g(n)^-gamma - 1) / gamma``.

    Args:
        gamma: that of the best fit in cross-validation, or the one to fall back on.
        amplitude: A of each group, in units of the loss; all 1 if the fit is not used.
        rank_correlation: Spearman's, of fitted and measured losses of widths that the fit had not seen.
        used: whether that is at least ``TRUSTED``, so that the amplitudes are the fit's.
    """

    gamma: float
    amplitude: dict[str, float]
    rank_correlation: float
    used: bool

    def values(self, scores: Mapping[str, Sequence[float] | np.ndarray]) -> dict[str, Float[np.ndarray, " units"]]:
        """Value tables ``A_g (1 - R_g(n)^-gamma) / gamma`` for n = 1 .. U, as ``width_problem(value=...)`` takes them.

        Args:
            scores: of the units of each group, descending: those that the shares of the samples were computed from.
        """
        return {name: a * ces(_of(scores, name), gamma=self.gamma) for name, a in self.amplitude.items()}


def fit_amplitudes(
    shares: Mapping[str, Num[np.ndarray, " samples"]],
    losses: Num[np.ndarray, " samples"],
    *,
    gammas: Sequence[float] = GAMMAS,
    otherwise: float = 2.0,
    seed: int = 0,
) -> Amplitudes:
    """Fit ``L = L_full + sum_g A_g (R_g^-gamma - 1) / gamma`` with A >= 0 by least squares.

    A quarter of the samples is held out. On the others each gamma is judged by the squared error of cross-validation; the best
    is fitted to all of them, and its ranking of the held-out quarter decides whether it is used. Then it is fitted to
    everything. An amplitude below ``LEAST`` times the mean is raised to that. Terms of two groups together are not fitted.

    Args:
        shares: the retained share R of importance of each group in each sample, in (0, 1]
            (`reds_jax.knapsack.values.retained_share` at the sampled width).
        losses: measured, one for each sample, on data that the weights were not trained on.
        gammas: to choose from, above 0.
        otherwise: gamma where the fit is not used.
        seed: of the split.

    Raises:
        InvalidArgumentError: shapes that do not fit, shares outside (0, 1], losses that are not finite, or fewer than four
            samples for each unknown.

    Source: non-negative least squares, Lawson and Hanson 1974, in scipy.

    >>> rng = np.random.default_rng(0)
    >>> shares = {"a": rng.uniform(0.3, 1, 60), "b": rng.uniform(0.3, 1, 60)}
    >>> fit = fit_amplitudes(shares, 0.2 + 0.3 * (1 / shares["a"] - 1) + 0.1 * (1 / shares["b"] - 1))
    >>> fit.gamma, {name: round(a, 3) for name, a in fit.amplitude.items()}, fit.used
    (1.0, {'a': 0.3, 'b': 0.1}, True)
    """
    names, matrix, measured = _checked(shares, losses)
    candidates = tuple(several("gammas", gammas, "numbers above 0"))
    for gamma in (*candidates, otherwise):
        check_gamma(gamma)
        number("gamma of a fit", gamma, 0, above=True)
    if not candidates:
        raise InvalidArgumentError("there is no gamma to choose", allowed="numbers above 0")
    order = np.random.default_rng(integer("seed", seed, 0)).permutation(len(measured))
    unseen, seen = order[: len(order) // 4], order[len(order) // 4 :]
    gamma = float(min(candidates, key=lambda g: _error(matrix[seen], measured[seen], g)))
    guess = _predict(matrix[unseen], _fit(matrix[seen], measured[seen], gamma), gamma)
    correlation = _rank_correlation(guess, measured[unseen])
    amplitude = _fit(matrix, measured, gamma)[1]
    if correlation < TRUSTED or not amplitude.any():
        return Amplitudes(float(otherwise), dict.fromkeys(names, 1.0), correlation, used=False)
    amplitude = np.maximum(amplitude, LEAST * amplitude.mean())
    return Amplitudes(gamma, dict(zip(names, amplitude.tolist(), strict=True)), correlation, used=True)


def sample_widths(
    graph: ChannelGraph,
    macs_fractions: Sequence[float],
    count: int,
    *,
    seed: int = 0,
    spread: float = 0.5,
    step: int = 1,
    rules: Sequence[LayerRule | str] = (),
) -> list[tuple[int, ...]]:
    """Random widths around uniform ones at each budget, ``count`` of each, that fill it.

    ``n_g = min(U_g, floor(t U_g exp(spread z_g)))``, z normal, at the largest t within the budget; then each group, in random
    order, takes one step more if the budget allows it. A group that costs little is not filled up: its amplitude would not be
    seen. Nothing is nested.

    Args:
        graph: from `reds_jax.trace`.
        macs_fractions: the budgets, as fractions of the full network's MACs.
        count: of widths for each budget.
        seed: of what is drawn.
        spread: of the logarithms around uniform widths; 0 gives uniform ones.
        step, rules: as in `reds_jax.cost.width_problem`.

    Raises:
        InfeasibleError: the smallest widths are above a budget.
    """
    rng = np.random.default_rng(integer("seed", seed, 0))
    integer("count", count, 1)
    number("spread", spread, 0)
    sizes = np.array([g.size for g in graph.groups])
    choices = [np.array(w) for w in allowed(graph, step=step, floor=[1] * len(sizes), rules=rules)]
    found = []
    for fraction in several("macs_fractions", macs_fractions, "fractions of the MACs"):
        budget = int(number("a fraction of the MACs", fraction, 0, 1, above=True) * graph.macs())
        if (least := graph.macs([int(c[0]) for c in choices])) > budget:
            raise InfeasibleError("no widths are that small", resource="macs", smallest=least, got=budget,
                                  allowed=f"at least {least} MACs")
        found += [_filled(graph, choices, sizes * np.exp(spread * rng.standard_normal(len(sizes))), budget, rng)
                  for _ in range(count)]
    return found


def _filled(
    graph: ChannelGraph, choices: list[np.ndarray], towards: np.ndarray, budget: int, rng: np.random.Generator
) -> tuple[int, ...]:
    """The widest widths in proportion to ``towards`` within the budget, and a step more where what is left allows that."""

    def at(t: float) -> list[int]:
        return [int(c[c <= t * u + 1e-9].max(initial=c[0])) for c, u in zip(choices, towards, strict=True)]

    low, high = 0.0, float(max(c[-1] / u for c, u in zip(choices, towards, strict=True)))
    if graph.macs(at(high)) <= budget:
        return tuple(at(high))
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if graph.macs(at(middle)) <= budget else (low, middle)
    widths = at(low)
    for g in rng.permutation(len(choices)):
        wider = list(widths)
        wider[g] = int(choices[g][choices[g] > widths[g]].min(initial=choices[g][-1]))
        if graph.macs(wider) <= budget:
            widths = wider
    return tuple(widths)


def _features(shares: np.ndarray, gamma: float) -> np.ndarray:
    return np.expm1(-gamma * np.log(shares)) / gamma


def _fit(shares: np.ndarray, losses: np.ndarray, gamma: float) -> tuple[float, np.ndarray]:
    """The loss of the full network, of either sign, and the amplitudes."""
    ones = np.ones((len(losses), 1))
    found, _ = nnls(np.hstack([ones, -ones, _features(shares, gamma)]), losses)
    return float(found[0] - found[1]), found[2:]


def _predict(shares: np.ndarray, fit: tuple[float, np.ndarray], gamma: float) -> np.ndarray:
    return fit[0] + _features(shares, gamma) @ fit[1]


def _error(shares: np.ndarray, losses: np.ndarray, gamma: float) -> float:
    """The mean squared error of cross-validation; the samples are in random order already."""
    parts = np.arange(len(losses)) % FOLDS
    errors = []
    for out in (parts == k for k in range(FOLDS)):
        errors.append((_predict(shares[out], _fit(shares[~out], losses[~out], gamma), gamma) - losses[out]) ** 2)
    return float(np.concatenate(errors).mean())


def _rank_correlation(guess: np.ndarray, measured: np.ndarray) -> float:
    """Spearman's; 0 where one side is constant, which ranks nothing."""
    if np.ptp(guess) == 0 or np.ptp(measured) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(guess), rankdata(measured))[0, 1])


def _checked(shares: Mapping[str, np.ndarray], losses: np.ndarray) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    if not isinstance(shares, Mapping) or not shares:
        raise InvalidArgumentError("the shares are no mapping", got=type(shares).__name__, allowed="{group: [samples]}")
    measured = np.asarray(losses, np.float64)
    if measured.ndim != 1 or not np.isfinite(measured).all():
        raise InvalidArgumentError("the losses are not one finite number for each sample", got=measured.shape,
                                   allowed="[samples], finite")
    columns = []
    for name, share in shares.items():
        column = np.asarray(share, np.float64)
        if column.shape != measured.shape or not ((column > 0) & (column <= 1)).all():
            raise InvalidArgumentError(f"the shares of group {name!r} are no shares, one for each sample", got=column.shape,
                                       allowed=f"{list(measured.shape)} in (0, 1]")
        columns.append(column)
    least = 4 * (len(columns) + 1)
    if len(measured) < least:
        raise InvalidArgumentError("there are too few samples to fit an amplitude for each group", got=len(measured),
                                   allowed=f"at least {least}, four for each of {len(columns) + 1} unknowns")
    return tuple(shares), np.stack(columns, axis=1), measured


def _of(scores: Mapping[str, Sequence[float] | np.ndarray], name: str) -> Sequence[float] | np.ndarray:
    if name not in scores:
        raise InvalidArgumentError(f"group {name!r} has no scores", got=sorted(scores), allowed="{group: [units]}")
    return scores[name]
