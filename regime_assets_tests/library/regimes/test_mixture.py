"""Components keep their identity, are ordered by risk, and respect weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from regime_assets.library.artifact import parts_hash
from regime_assets.library.regimes.mixture import Mixture, MixtureError, regime_names
from regime_assets.library.regimes.mixture_fitting import MixtureFit, fit_mixture, match_components
from regime_assets.library.regimes.settings import BufferSettings, MixtureSettings, OnlineMixtureSettings

Array = NDArray[np.float64]
SETTINGS = MixtureSettings(noise_variance=0.01, starts=3)


def clouds(n_rows: int = 600, seed: int = 0, n_regimes: int = 2) -> tuple[Array, Array, NDArray[np.int64]]:
    """Rows of well separated regimes, the market's returns, and the regimes; higher numbers are riskier."""
    draws = np.random.default_rng(seed)
    truth = draws.integers(0, n_regimes, n_rows)
    rows = draws.normal(size=(n_rows, 3)) + 5.0 * truth[:, None] * np.array([1.0, -1.0, 0.5])
    return rows, draws.normal(0, 0.005 * (1 + 2 * truth)), truth


def fit(rows: Array, returns: Array, previous: Mixture | None = None, s: MixtureSettings = SETTINGS) -> MixtureFit:
    return fit_mixture(rows, returns, np.ones(len(rows)), s, 3, previous=previous)


@pytest.mark.parametrize("n_regimes", [2, 3, 4])
@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_regimes_are_found_and_the_riskiest_is_last(n_regimes: int, covariance: str) -> None:
    rows, returns, truth = clouds(n_regimes=n_regimes)
    model = fit(rows, returns, s=replace(SETTINGS, n_regimes=n_regimes, covariance=covariance)).model  # type: ignore[arg-type]
    assert (model.posteriors(rows).argmax(axis=1) == truth).mean() > 0.99
    assert model.names == regime_names(n_regimes)


def test_log_likelihoods_are_the_weighted_normal_densities() -> None:
    rows, returns, _ = clouds()
    model = fit(rows, returns, s=replace(SETTINGS, covariance="full")).model
    expected = [
        np.log(w) + multivariate_normal(m, c).logpdf(rows)
        for w, m, c in zip(model.weights, model.means, model.covariances, strict=True)
    ]
    np.testing.assert_allclose(model.log_likelihoods(rows), np.column_stack(expected))
    np.testing.assert_allclose(model.posteriors(rows).sum(axis=1), 1.0)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(3)))
def test_a_warm_start_keeps_identity_whatever_order_the_components_come_in(order: list[int]) -> None:
    rows, returns, _ = clouds(n_regimes=3)
    model = fit(rows, returns, s=replace(SETTINGS, n_regimes=3)).model
    permuted = model.reordered(np.array(order))
    matched = match_components(model.posteriors(rows), permuted.posteriors(rows), np.ones(len(rows)))
    restored = permuted.reordered(matched)
    np.testing.assert_array_equal(restored.means, model.means)


def test_a_warm_refit_of_the_same_rows_changes_nothing_that_matters() -> None:
    rows, returns, _ = clouds()
    cold = fit(rows, returns)
    warm = fit(rows, returns, cold.model)
    np.testing.assert_allclose(warm.model.means, cold.model.means, atol=1e-4)
    assert warm.permutation == (0, 1)
    assert warm.figures["cold"] == 0.0
    assert cold.figures["cold"] == 1.0


def test_a_near_tie_in_risk_does_not_swap_names_and_a_clear_reversal_does() -> None:
    rows, returns, truth = clouds()
    model = fit(rows, returns).model
    draws = np.random.default_rng(5).normal(size=len(rows))
    tie = fit(rows, 0.01 * draws * np.where(truth == 0, 1.05, 1.0), model)
    np.testing.assert_allclose(tie.model.means, model.means, atol=1e-3)
    reversal = fit(rows, 0.01 * draws * np.where(truth == 0, 3.0, 1.0), model)
    np.testing.assert_allclose(reversal.model.means, model.means[::-1], atol=1e-3)
    assert reversal.figures["relabelled"] == 1.0


def test_a_weight_of_two_is_a_row_given_twice() -> None:
    rows, returns, _ = clouds(300)
    weight = np.where(np.arange(300) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(300), weight.astype(int))
    weighted = fit_mixture(rows, returns, weight / weight.mean(), SETTINGS, 3, previous=None).model
    repeated = fit(rows[twice], returns[twice]).model
    np.testing.assert_allclose(weighted.means, repeated.means, atol=1e-4)
    np.testing.assert_allclose(weighted.weights, repeated.weights, atol=1e-5)


def test_units_of_the_coordinates_do_not_matter() -> None:
    rows, returns, _ = clouds()
    scale, shift = np.array([1e-3, 10.0, 1e4]), np.array([5.0, -3.0, 1e5])
    plain, scaled = fit(rows, returns).model, fit(rows * scale + shift, returns).model
    np.testing.assert_allclose(scaled.posteriors(rows * scale + shift), plain.posteriors(rows), atol=1e-6)


def test_a_component_that_starves_in_a_warm_start_brings_a_cold_fit() -> None:
    rows, returns, truth = clouds()
    model = fit(rows, returns).model
    calm = rows[truth == 0]
    refit = fit(calm, returns[truth == 0], model)
    assert refit.figures["cold"] == 1.0
    assert refit.figures["smallest_weight"] >= SETTINGS.component_floor


def test_online_follows_a_market_that_moves_and_audits_itself() -> None:
    rows, returns, truth = clouds(1200)
    settings_ = OnlineMixtureSettings(noise_variance=0.01, starts=3, online_half_life=60)
    start = fit(rows[:600], returns[:600], s=settings_).model
    drifted = rows.copy()
    drifted[600:] += 0.8
    moved = fit_mixture(drifted, returns, np.ones(1200), settings_, 3, previous=start, new_rows=600)
    np.testing.assert_allclose(moved.model.means - start.means, 0.8, atol=0.35)
    assert moved.figures["audit_agreement"] > 0.97
    assert (moved.model.posteriors(drifted[600:]).argmax(axis=1) == truth[600:]).mean() > 0.99


def test_online_without_new_rows_changes_nothing_and_needs_their_number() -> None:
    rows, returns, _ = clouds()
    online = OnlineMixtureSettings(noise_variance=0.01, starts=3)
    model = fit(rows, returns, s=online).model
    same = fit_mixture(rows, returns, np.ones(len(rows)), online, 3, previous=model, new_rows=0)
    np.testing.assert_array_equal(same.model.means, model.means)
    with pytest.raises(MixtureError, match="number of new rows"):
        fit(rows, returns, model, online)


def test_buffer_looks_at_the_most_recent_rows_only() -> None:
    rows, returns, _ = clouds()
    buffer = BufferSettings(noise_variance=0.01, starts=3, buffer_sessions=200)
    changed = rows.copy()
    changed[:-200] += 1000.0
    np.testing.assert_array_equal(fit(rows, returns, s=buffer).model.means, fit(changed, returns, s=buffer).model.means)


def test_the_same_seed_gives_the_same_bits() -> None:
    rows, returns, _ = clouds()
    hashes = {parts_hash(fit(rows, returns).model.to_parts()) for _ in range(2)}
    assert len(hashes) == 1


def test_a_stored_mixture_judges_to_the_same_bits() -> None:
    rows, returns, _ = clouds()
    model = fit(rows, returns).model
    np.testing.assert_array_equal(Mixture.from_parts(model.to_parts()).posteriors(rows), model.posteriors(rows))


def test_what_cannot_be_fitted_or_judged_is_refused() -> None:
    rows, returns, _ = clouds()
    model = fit(rows, returns).model
    with pytest.raises(MixtureError, match="at least 20 rows"):
        fit(rows[:19], returns[:19])
    with pytest.raises(MixtureError, match="does not vary"):
        fit(np.column_stack([rows, np.ones(len(rows))]), returns)
    with pytest.raises(MixtureError, match="warm start"):
        fit(rows[:, :2], returns, model)
    with pytest.raises(MixtureError, match="3 coordinates"):
        model.posteriors(rows[:, :2])
    gap = rows.copy()
    gap[7, 0] = np.nan
    with pytest.raises(MixtureError, match="row 7"):
        fit(gap, returns)
    with pytest.raises(MixtureError, match="row 7"):
        model.posteriors(gap)
