"""Learned amplitudes: what a loss is made of is found again, noise is not believed; sampled widths fill the budget."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reds_jax
from reds_jax import models
from reds_jax.cost import width_problem
from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.knapsack import ces, solve
from reds_jax.knapsack.values import retained_share
from reds_jax.learned import BETTER, LEAST, fit_amplitudes, shares_at
from reds_jax.sampled import sample_widths
from reds_jax.widths import Widths


def traced(name, *shape):
    model, x = models.build(name), jnp.zeros((1, *shape))
    return reds_jax.trace(model, jax.eval_shape(model.init, jax.random.key(0), x), x)


CNN = traced("cnn_s", 49, 10, 1)
SCORES = {g.name: np.sort(np.random.default_rng(i).exponential(size=g.size))[::-1] for i, g in enumerate(CNN.groups)}


def sampled(count, seed=0):
    """The shares of sampled widths of CNN S at three budgets."""
    return shares_at(SCORES, sample_widths(CNN, (0.25, 0.5, 0.75), count, seed=seed))


def loss_of(shares, amplitudes, gamma, full=0.4):
    return full + sum(a * (r**-gamma - 1) / gamma for a, r in zip(amplitudes, shares.values(), strict=True))


SHARES = sampled(40)


@settings(max_examples=20, deadline=None)
@given(st.permutations([0.05, 0.1, 0.5, 1.0]), st.sampled_from([0.5, 1.0, 2.0, 4.0]), st.floats(-1, 3))
def test_a_loss_of_this_form_is_found_again(amplitudes, gamma, full):
    fit = fit_amplitudes(SHARES, loss_of(SHARES, amplitudes, gamma, full))
    assert fit.rank_correlation == pytest.approx(1, abs=1e-3)  # widths of one loss, but for its last digit, may swap
    assert fit.used
    assert fit.gamma == gamma
    np.testing.assert_allclose(list(fit.amplitude.values()), amplitudes, rtol=1e-5)


def test_a_fit_is_used_where_it_ranks_better_than_equal_amplitudes():
    """Noise of a third of the spread: unequal amplitudes are worth their errors, equal ones are not."""
    noise = np.random.default_rng(0).normal(size=120)

    def fit(amplitudes):
        losses = loss_of(SHARES, amplitudes, 1.0)
        return fit_amplitudes(SHARES, losses + 0.3 * losses.std() * noise, otherwise=1.0)

    uneven, even = fit([1, 0.02, 0.02, 0.02]), fit([1, 1, 1, 1])
    assert (uneven.used, even.used) == (True, False)
    assert min(even.rank_correlation, even.of_equal) > 0.8
    assert 1 - uneven.rank_correlation < BETTER * (1 - uneven.of_equal)
    assert even.amplitude == dict.fromkeys(SHARES, 1.0)


def test_a_noisy_loss_still_ranks():
    """Noise of a tenth of the spread: the order of the amplitudes, and the large one within a fifth."""
    truth = np.array([0.02, 0.3, 0.05, 0.1])
    losses = loss_of(SHARES, truth, 2.0)
    losses = losses + np.random.default_rng(0).normal(0, 0.1 * losses.std(), len(losses))
    fit = fit_amplitudes(SHARES, losses)
    assert fit.used
    assert fit.amplitude[CNN.groups[1].name] == max(fit.amplitude.values())
    as_loss = fit_amplitudes(SHARES, losses, gammas=[2.0]).amplitude
    assert as_loss[CNN.groups[1].name] == pytest.approx(0.3, rel=0.2)


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_not_believed(seed):
    fit = fit_amplitudes(SHARES, np.random.default_rng(seed).normal(size=120), otherwise=3.0)
    assert (fit.used, fit.gamma, set(fit.amplitude.values())) == (False, 3.0, {1.0})
    assert fit.rank_correlation < 0.7


def test_the_correlation_is_that_of_widths_that_the_fit_has_not_seen():
    """20 amplitudes, 84 samples, as much noise as signal: 0.80 on what was seen, 0.40 in truth."""
    rng = np.random.default_rng(1)
    shares = {f"g{i}": rng.uniform(0.3, 1, 84) for i in range(20)}
    losses = sum(1 / r for r in shares.values()) + 3 * rng.normal(0, 1, 84)
    fit = fit_amplitudes(shares, losses, gammas=[1.0])
    assert not fit.used
    assert 0.3 < fit.rank_correlation < 0.6


def test_a_loss_that_knows_budgets_alone_is_not_believed():
    """A larger network is better, whatever its widths: that says nothing of amplitudes."""
    near = np.repeat([0, 1, 2], 40)
    losses = 3.0 - near + 0.1 * np.random.default_rng(0).normal(size=120)
    together, apart = fit_amplitudes(SHARES, losses), fit_amplitudes(SHARES, losses, near=near)
    assert (together.used, apart.used) == (True, False)
    assert together.rank_correlation > 0.8 > 0.3 > apart.rank_correlation
    with pytest.raises(InvalidArgumentError, match="a budget for each sample"):
        fit_amplitudes(SHARES, losses, near=near[1:])


def test_a_loss_that_falls_with_what_is_cut_is_not_believed():
    losses = -loss_of(SHARES, [1, 1, 1, 1], 1.0)
    fit = fit_amplitudes(SHARES, losses)
    assert (fit.used, set(fit.amplitude.values())) == (False, {1.0})
    assert fit.rank_correlation < 0.1


def test_constant_losses_rank_nothing():
    assert fit_amplitudes(SHARES, np.full(120, 0.3)).rank_correlation == 0.0


def test_a_group_that_seems_not_to_matter_keeps_a_small_amplitude():
    """Otherwise the solver would leave it a single unit."""
    fit = fit_amplitudes(SHARES, loss_of(SHARES, [1.0, 0.0, 1.0, 1.0], 2.0))
    small = fit.amplitude[CNN.groups[1].name]
    assert small == pytest.approx(LEAST * 0.75)
    limit = {"macs": CNN.macs() // 4}
    widths = solve(width_problem(CNN, SCORES, value=fit.values(SCORES), floor=0.0), limit).widths
    assert 1 < widths[1] < solve(width_problem(CNN, SCORES, value="ces", floor=0.0), limit).widths[1]


def test_the_tables_are_minus_what_the_loss_grows_by_over_the_mean_amplitude():
    fit = fit_amplitudes(SHARES, loss_of(SHARES, [0.1, 0.2, 0.3, 0.4], 2.0))
    tables = fit.values(SCORES)
    for (name, table), a in zip(tables.items(), [0.1, 0.2, 0.3, 0.4], strict=True):
        np.testing.assert_allclose(table, 4 * a * (1 - retained_share(SCORES[name]) ** -2.0) / 2, rtol=1e-4, atol=1e-9)
        assert table[-1] == 0
    plain = fit_amplitudes(SHARES, np.full(120, 0.3)).values(SCORES)
    np.testing.assert_array_equal(plain[CNN.groups[0].name], ces(SCORES[CNN.groups[0].name], gamma=2.0))


def test_shares_of_samples():
    widths = [(1, 2, 3, 4), (28, 30, 16, 128)]
    found = shares_at(SCORES, widths)
    for i, (name, scores) in enumerate(SCORES.items()):
        assert found[name].tolist() == [pytest.approx(scores[: n[i]].sum() / scores.sum()) for n in widths]
    assert shares_at({"a": [1.0, 0.0]}, [(1,), (2,)])["a"].tolist() == [1.0, 1.0]
    with pytest.raises(InvalidArgumentError, match=r"do not fit the groups; got \[2, 4\]; allowed: \[samples, 1\]"):
        shares_at({"a": [1.0]}, widths)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1.5), st.sampled_from([1, 4]), st.floats(0.2, 1))
def test_sampled_widths_fill_the_budget(seed, spread, step, fraction):
    found = sample_widths(CNN, [fraction, 1.0], 3, seed=seed, spread=spread, step=step)
    assert found == sample_widths(CNN, [fraction, 1.0], 3, seed=seed, spread=spread, step=step)
    assert [*map(CNN.macs, found[3:])] == [CNN.macs()] * 3
    for widths in found[:3]:
        Widths.of(dict(zip((g.name for g in CNN.groups), widths, strict=True)))
        assert CNN.macs(widths) <= fraction * CNN.macs()
        wider = [min((n // step + 1) * step, g.size) for n, g in zip(widths, CNN.groups, strict=True)]
        assert all(n % step == 0 or n == g.size for n, g in zip(widths, CNN.groups, strict=True))
        assert CNN.macs(wider) > int(fraction * CNN.macs()) or wider == [g.size for g in CNN.groups]


def test_samples_differ_and_spread_around_uniform():
    found = sample_widths(CNN, [0.25], 50)
    assert len(set(found)) > 45
    shares = np.array(found) / [g.size for g in CNN.groups]
    assert (shares.min(axis=0) < 0.45).all()
    assert (shares.max(axis=0) > 0.6).all()


def test_samples_spread_around_given_widths():
    around = [(26, 4, 4, 100), (28, 20, 16, 20)]
    found = np.array(sample_widths(CNN, [0.25, 0.5], 50, around=around, spread=0.2)).reshape(2, 50, 4)
    for centre, samples in zip(around, found, strict=True):
        ratio = np.exp(np.log(samples).mean(axis=0)) / np.minimum(centre, [g.size for g in CNN.groups])
        assert ratio.max() < 1.5 * ratio.min()
    with pytest.raises(InvalidArgumentError, match="widths to sample around for each budget"):
        sample_widths(CNN, [0.25, 0.5], 1, around=around[:1])


def test_rules_hold_for_samples():
    name = CNN.groups[2].name
    assert {n[2] for n in sample_widths(CNN, [0.5], 10, rules=[f"{name}:exclude"])} == {CNN.groups[2].size}


@pytest.mark.parametrize(("change", "text"), [
    ({"shares": {"a": np.ones(20) * 1.1}}, "the shares of group 'a' are no shares"),
    ({"shares": {"a": np.ones(19)}}, "the shares of group 'a' are no shares"),
    ({"shares": {}}, "the shares are no mapping"),
    ({"losses": np.full(20, np.nan)}, "not one finite number for each sample"),
    ({"shares": {k: np.ones(20) for k in "abcde"}}, "too few samples .* got 20; allowed: at least 24"),
    ({"gammas": []}, "there is no gamma to choose"),
    ({"gammas": [0.0]}, "gamma of a fit is out of range"),
])
def test_what_cannot_be_fitted_says_so(change, text):
    arguments = {"shares": {"a": np.linspace(0.2, 1, 20)}, "losses": np.zeros(20), **change}
    with pytest.raises(InvalidArgumentError, match=text):
        fit_amplitudes(arguments.pop("shares"), arguments.pop("losses"), **arguments)


def test_errors_of_samples_and_tables():
    with pytest.raises(InfeasibleError, match="no widths are that small"):
        sample_widths(CNN, [1e-5], 1)
    with pytest.raises(InvalidArgumentError, match="group 'b' has no scores"):
        fit_amplitudes({"b": np.linspace(0.2, 1, 20)}, np.linspace(3, 1, 20)).values({"a": [1.0]})
