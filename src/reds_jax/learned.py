"""Values of widths that are learned: how much the loss grows where a group keeps less, from losses of sampled widths. No jax.

Scores say which unit of a group comes first, not how much one group matters beside another. That can be measured: sample widths
near the budgets (`reds_jax.sampled`), evaluate them (with one set of trained weights, batch statistics of their own), and fit
`fit_amplitudes`; its tables are what `reds_jax.cost.width_problem` takes as ``value``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reds_jax.array_types import Float, Num
from reds_jax.checks import integer, number, several
from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import ces
from reds_jax.knapsack.values import LEAST_SHARE, check_gamma, retained_share

GAMMAS = (0.5, 1.0, 2.0, 4.0)
TRUSTED = 0.7
"""The rank correlation with the losses of widths that a fit has not seen, below which it is not used."""
BETTER = 0.8
"""What a fit may leave of that which equal amplitudes lack to a rank correlation of 1."""
LEAST = 0.05
"""The smallest amplitude as a share of the mean: a group that seems not to matter is not cut to one unit."""
FOLDS = 5


@dataclass(frozen=True)
class Amplitudes:
    """What the loss is made of: ``L(n) = L_full + sum_g A_g (R_g(n)^-gamma - 1) / gamma``.

    Args:
        gamma: that of the best fit in cross-validation, or the one to fall back on.
        amplitude: A of each group, in units of the loss; all 1 if the fit is not used.
        rank_correlation: Spearman's, of measured losses and those that were fitted to other widths, in cross-validation; the
            mean of those near each budget, since a larger network is better whatever its widths.
        of_equal: the same of amplitudes that are all 1.
        used: whether the first is at least ``TRUSTED``, and lacks to 1 at most ``BETTER`` times what the second lacks, so that
            the amplitudes are the fit's.
    """

    gamma: float
    amplitude: dict[str, float]
    rank_correlation: float
    of_equal: float
    used: bool

    def values(
        self, scores: Mapping[str, Sequence[float] | np.ndarray], bypass: Mapping[str, float] | None = None
    ) -> dict[str, Float[np.ndarray, " units"]]:
        """Value tables ``a_g (1 - R_g(n)^-gamma) / gamma`` for n = 1 .. U, as ``width_problem(value=...)`` takes them.

        a is A divided by its mean over the groups, which changes no optimum: the values are in units of `ces`, and so is the
        certificate of a problem with this gamma, a weighted mean.

        Args:
            scores, bypass: of the units of each group, descending, and of groups that have one: those that the shares of the
                samples were computed from.
        """
        mean, around = float(np.mean(list(self.amplitude.values()))), bypass or {}
        return {name: a / mean * ces(_of(scores, name), gamma=self.gamma, bypass=around.get(name, 0.0))
                for name, a in self.amplitude.items()}


def fit_amplitudes(
    shares: Mapping[str, Num[np.ndarray, " samples"]],
    losses: Num[np.ndarray, " samples"],
    *,
    near: Num[np.ndarray, " samples"] | None = None,
    gammas: Sequence[float] = GAMMAS,
    otherwise: float = 2.0,
    seed: int = 0,
) -> Amplitudes:
    """Fit ``L = L_full + sum_g A_g (R_g^-gamma - 1) / gamma`` with A >= 0 by least squares.

    Gamma is that of the least squared error of cross-validation. How well the losses of widths are foretold is measured in
    another cross-validation around this one: every fifth of the samples by gamma and amplitudes of the other four. Then
    everything is fitted to all. An amplitude below ``LEAST`` times the mean is raised to that. Terms of two groups together
    are not fitted.

    Args:
        shares: the retained share R of importance of each group in each sample, in (0, 1], see `shares_at`.
        losses: measured, one for each sample, on data that the weights were not trained on.
        near: the budget that each sample is near, any number for each; by default one budget for all.
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
    budget = np.zeros(len(measured)) if near is None else np.asarray(near)
    if budget.shape != measured.shape:
        raise InvalidArgumentError("there must be a budget for each sample", got=list(budget.shape),
                                   allowed=f"[{len(measured)}]")
    candidates = tuple(several("gammas", gammas, "numbers above 0"))
    for gamma in (*candidates, otherwise):
        check_gamma(gamma)
        number("gamma of a fit", gamma, 0, above=True)
    if not candidates:
        raise InvalidArgumentError("there is no gamma to choose", allowed="numbers above 0")
    order = np.random.default_rng(integer("seed", seed, 0)).permutation(len(measured))
    matrix, measured, budget = matrix[order], measured[order], budget[order]

    def best(at: np.ndarray) -> float:
        return float(min(candidates, key=lambda g: np.square(_foretold(matrix[at], measured[at], lambda _: g)
                                                             - measured[at]).sum()))

    def ranked(guess: np.ndarray) -> float:
        return float(np.mean([_rank_correlation(guess[budget == b], measured[budget == b]) for b in np.unique(budget)]))

    correlation, of_equal = ranked(_foretold(matrix, measured, best)), ranked(_features(matrix, otherwise).sum(axis=1))
    gamma = best(np.ones(len(measured), bool))
    amplitude = _fit(matrix, measured, gamma)[1]
    if correlation < TRUSTED or 1 - correlation > BETTER * (1 - of_equal) or not amplitude.any():
        return equal_amplitudes(names, otherwise, correlation, of_equal)
    amplitude = np.maximum(amplitude, LEAST * amplitude.mean())
    return Amplitudes(gamma, dict(zip(names, amplitude.tolist(), strict=True)), correlation, of_equal, used=True)


def equal_amplitudes(groups: Iterable[str], gamma: float, correlation: float = 0.0, of_equal: float = 0.0) -> Amplitudes:
    """What to go on with where a fit is not used: `ces` with this gamma."""
    return Amplitudes(float(gamma), dict.fromkeys(groups, 1.0), correlation, of_equal, used=False)


def shares_at(
    scores: Mapping[str, Sequence[float] | np.ndarray], widths: Sequence[Sequence[int]],
    bypass: Mapping[str, float] | None = None,
) -> dict[str, Float[np.ndarray, " samples"]]:
    """The retained share R of every group at every sample, as `fit_amplitudes` takes it; at least that which `ces` counts.

    Args:
        scores: of the units of each group, descending, in the order of the graph's groups.
        widths: of the samples, an integer for each group.
        bypass: beta of groups that have one, see `reds_jax.knapsack.retained_share`.

    >>> shares_at({"a": [2.0, 1.0, 1.0], "b": [1.0, 1.0]}, [(1, 2), (2, 1)])["a"].tolist()
    [0.5, 0.75]
    """
    columns = np.asarray(list(widths))
    if columns.ndim != 2 or columns.shape[1] != len(scores):
        raise InvalidArgumentError("the widths of the samples do not fit the groups", got=list(columns.shape),
                                   allowed=f"[samples, {len(scores)}]")
    around = bypass or {}
    return {name: np.maximum(retained_share(s, columns[:, g], bypass=around.get(name, 0.0)), LEAST_SHARE)
            for g, (name, s) in enumerate(scores.items())}


def _features(shares: np.ndarray, gamma: float) -> np.ndarray:
    return np.expm1(-gamma * np.log(shares)) / gamma


def _fit(shares: np.ndarray, losses: np.ndarray, gamma: float) -> tuple[float, np.ndarray]:
    """The loss of the full network, of either sign, and the amplitudes."""
    from scipy.optimize import nnls  # here: scipy takes a second to import, and only a fit needs it

    ones = np.ones((len(losses), 1))
    found, _ = nnls(np.hstack([ones, -ones, _features(shares, gamma)]), losses)
    return float(found[0] - found[1]), found[2:]


def _predict(shares: np.ndarray, fit: tuple[float, np.ndarray], gamma: float) -> np.ndarray:
    return fit[0] + _features(shares, gamma) @ fit[1]


def _foretold(shares: np.ndarray, losses: np.ndarray, gamma: Callable[[np.ndarray], float]) -> np.ndarray:
    """Every loss by a fit to the other parts; ``gamma`` is given the mask of these. The samples are in random order already."""
    part = np.arange(len(losses)) % FOLDS
    guess = np.empty(len(losses))
    for out in (part == k for k in range(FOLDS)):
        g = gamma(~out)
        guess[out] = _predict(shares[out], _fit(shares[~out], losses[~out], g), g)
    return guess


def _rank_correlation(guess: np.ndarray, measured: np.ndarray) -> float:
    """Spearman's; 0 where one side is constant, which ranks nothing."""
    from scipy.stats import rankdata

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
