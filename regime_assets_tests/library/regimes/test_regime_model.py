"""The composed model: causal, repeatable, stable from refit to refit, and honest about when it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.acceptance import accepted
from regime_assets.library.artifact import parts_hash, read_artifact, write_artifact
from regime_assets.library.encoders.training import fit_encoder
from regime_assets.library.regimes.persistence import count_switches
from regime_assets.library.regimes.regime_model import (
    RegimeFit,
    RegimeModel,
    fit_regimes,
    followed_share,
    observations,
)
from regime_assets.library.regimes.segmentation import Segmentation
from regime_assets.library.regimes.settings import (
    IdentitySettings,
    JumpSettings,
    MixtureSettings,
    OnlineMixtureSettings,
    PersistenceSettings,
    RegimeSettings,
)
from regime_assets.library.regimes.stability import assess_stability, compare_regimes
from regime_assets.library.universe.gate_settings import StabilitySettings
from regime_assets_tests.library.regimes.regime_windows import QUICK, RegimeWindow, regime_window

WINDOW = regime_window()
PERSISTENCE = PersistenceSettings(target_switches_per_year=3.0)
JUMP = JumpSettings(persistence=PERSISTENCE)


def segmentation(model: RegimeModel) -> Segmentation:
    """The regimes of a built-in component."""
    assert isinstance(model.regimes, Segmentation)
    return model.regimes


def refit(
    window: RegimeWindow,
    seed: int,
    previous: RegimeModel | None = None,
    settings: RegimeSettings = JUMP,
    use: str = "jump",
    *,
    full: bool = False,
) -> RegimeFit:
    before = previous.vae if previous else None
    full = full or before is None
    vae = fit_encoder(window.features, window.sample_weight, "mlp_vae", QUICK, seed, before, full_retrain=full)
    return fit_regimes(
        vae.model,
        window.features,
        window.market_returns,
        window.sample_weight,
        use,
        settings,
        seed,
        previous,
    )


FIT = refit(WINDOW.first(390), 1)


def test_the_regimes_that_made_the_market_are_found_and_ordered() -> None:
    path = FIT.model.infer(WINDOW.features)
    assert (path.states == WINDOW.truth).mean() > 0.9
    assert path.names == ("calm", "turbulent")
    np.testing.assert_array_equal(path.rule_exposure, 1.0 - path.states)
    np.testing.assert_allclose(path.posteriors.sum(axis=1), 1.0)
    assert count_switches(path.states) * 252 / len(path.states) == pytest.approx(2.5, abs=1.3)


def test_three_regimes_have_an_exposure_between() -> None:
    fit = refit(WINDOW, 1, None, MixtureSettings(n_regimes=3, persistence=PERSISTENCE), "mixture")
    path = fit.model.infer(WINDOW.features)
    np.testing.assert_array_equal(path.rule_exposure, np.array([1.0, 0.5, 0.0])[path.states])


@pytest.mark.parametrize("coordinates", ["decoded", "latent"])
@settings(max_examples=10, deadline=None)
@given(cut=st.integers(0, 398))
def test_no_later_row_reaches_what_is_said_of_an_earlier_session(coordinates: str, cut: int) -> None:
    model = _MODELS[coordinates]
    changed = WINDOW.features.copy()
    changed.iloc[cut + 1 :] *= -1.0
    before, after = model.infer(WINDOW.features), model.infer(changed)
    np.testing.assert_array_equal(observations(before)[: cut + 1], observations(after)[: cut + 1])
    np.testing.assert_array_equal(before.reconstruction_error[: cut + 1], after.reconstruction_error[: cut + 1])


_MODELS = {
    "decoded": FIT.model,
    "latent": refit(WINDOW, 1, None, replace(JUMP, coordinates="latent")).model,
}


def test_daily_refits_keep_meaning_axes_and_acceptance() -> None:
    previous, path = FIT.model, FIT.model.infer(WINDOW.features.iloc[:390])
    for day in range(391, 396):
        window = WINDOW.first(day)
        fit = refit(window, day, previous)
        stability = compare_regimes(previous, fit.model, window.features)
        assert stability.agreement >= 0.98
        assert stability.residual < 0.1
        assert accepted(assess_stability(fit, stability, StabilitySettings()))
        previous = fit.model
    now = previous.infer(WINDOW.features.iloc[:390])
    assert np.corrcoef(now.latents[:, 0], path.latents[:, 0])[0, 1] > 0.95


def test_a_full_retrain_keeps_the_regimes_names_though_its_latents_turned() -> None:
    fit = refit(WINDOW, 77, FIT.model, full=True)
    stability = compare_regimes(FIT.model, fit.model, WINDOW.features)
    assert stability.agreement > 0.95
    own = fit.model.vae.encode(WINDOW.features)
    reference = FIT.model.infer(WINDOW.features).latents
    aligned = fit.model.infer(WINDOW.features).latents
    assert np.square(aligned - reference).mean() < 0.5 * np.square(own - reference).mean()


def test_a_refit_that_would_move_too_far_is_held_back_and_says_so() -> None:
    window = WINDOW.first(390)
    regimes = segmentation(FIT.model)
    shifted = regimes.mixture.means + np.sqrt(np.diagonal(regimes.mixture.covariances, axis1=1, axis2=2)) * 3.0
    before = replace(FIT.model, regimes=replace(regimes, mixture=replace(regimes.mixture, means=shifted)))
    free = replace(JUMP, identity=IdentitySettings(floor=0.0))
    fits = [refit(window, 2, before, settings, full=True) for settings in (free, JUMP)]
    agreements = [compare_regimes(before, fit.model, window.features).agreement for fit in fits]
    assert agreements[0] < 0.95 <= agreements[1]
    assert fits[0].figures["update_step"] == 1.0
    assert fits[1].figures["update_step"] < 1.0
    states = fits[1].model.infer(window.features).states
    assert fits[1].figures["occupancy_1"] == pytest.approx(states.mean())


def test_where_nothing_can_be_taken_the_predecessor_stays_as_a_whole() -> None:
    fit = refit(WINDOW, 2, FIT.model, replace(JUMP, identity=IdentitySettings(floor=1.1)), full=True)
    assert fit.model is FIT.model
    assert fit.figures["predecessor_kept"] == 1.0
    assert fit.figures["penalty"] == segmentation(FIT.model).persistence.penalty


def test_a_model_that_sees_the_regimes_the_other_way_round_is_refused() -> None:
    regimes = segmentation(FIT.model)
    exchanged = replace(regimes, mixture=regimes.mixture.reordered(np.array([1, 0])))
    upside_down = replace(FIT, model=replace(FIT.model, regimes=exchanged))
    stability = compare_regimes(FIT.model, upside_down.model, WINDOW.features)
    outcomes = assess_stability(upside_down, stability, StabilitySettings())
    assert stability.agreement < 0.1
    assert stability.ari == pytest.approx(1.0, abs=0.1)
    assert [o.rule for o in outcomes if o.blocking and not o.passed] == ["agreement_floor"]


def test_a_model_agrees_with_itself() -> None:
    stability = compare_regimes(FIT.model, FIT.model, WINDOW.features)
    assert (stability.agreement, stability.ari, stability.occupancy_change, stability.distance) == (1, 1, 0, 0)


def test_a_starved_regime_is_refused_even_without_a_predecessor() -> None:
    starved = replace(FIT, figures=FIT.figures | {"smallest_weight": 0.05})
    assert not accepted(assess_stability(starved, None, StabilitySettings()))
    assert accepted(assess_stability(FIT, None, StabilitySettings()))


def test_online_mode_takes_in_the_sessions_since_the_last_fit() -> None:
    online = OnlineMixtureSettings(persistence=PERSISTENCE)
    first = refit(WINDOW.first(380), 1, None, online, "online")
    assert segmentation(first.model).mixture.fitted_through == f"{WINDOW.features.index[379]:%Y-%m-%d}"
    again = refit(WINDOW.first(380), 1, first.model, online, "online")
    np.testing.assert_array_equal(segmentation(again.model).mixture.means, segmentation(first.model).mixture.means)
    later = refit(WINDOW.first(385), 1, first.model, online, "online")
    assert not np.array_equal(segmentation(later.model).mixture.means, segmentation(first.model).mixture.means)


def test_observations_are_finite_and_single_precision() -> None:
    path = FIT.model.infer(WINDOW.features)
    seen = observations(path)
    assert seen.dtype == np.float32
    assert seen.shape == (400, 5)
    assert np.isfinite(seen).all()


def test_the_same_inputs_give_the_same_bits_and_storing_changes_none(tmp_path: Path) -> None:
    again = refit(WINDOW.first(390), 1)
    assert parts_hash(again.model.to_parts()) == parts_hash(FIT.model.to_parts())
    write_artifact(tmp_path / "regimes", FIT.model.to_parts())
    stored = RegimeModel.from_parts(read_artifact(tmp_path / "regimes"))
    np.testing.assert_array_equal(
        observations(stored.infer(WINDOW.features)), observations(FIT.model.infer(WINDOW.features))
    )


def test_a_young_line_follows_its_regimes_by_half_and_goes_over_to_them_within_a_year() -> None:
    window, slow = WINDOW, replace(JUMP, young_years=4.0)
    vae = fit_encoder(window.features, window.sample_weight, "mlp_vae", QUICK, 1, None, full_retrain=True).model
    args = (vae, window.features, window.market_returns, window.sample_weight, "jump")
    grown, young = fit_regimes(*args, JUMP, 1, None, 504).model, fit_regimes(*args, slow, 1, None, 504)
    plain, held = grown.infer(window.features), young.model.infer(window.features)
    np.testing.assert_array_equal(held.states, plain.states)
    np.testing.assert_allclose(held.rule_exposure, 0.5 + 0.5 * plain.rule_exposure)
    assert young.figures["followed"] == 0.5
    assert RegimeModel.from_parts(young.model.to_parts()).followed == 0.5
    shares = [followed_share(slow, known) for known in (100, 1008, 1134, 1260, 5000)]
    assert shares == [0.5, 0.5, 0.75, 1.0, 1.0]
    assert followed_share(slow, None) == 1.0, "a rolling window is never older"
    grown_up = fit_regimes(*args, slow, 1, young.model, 2000)
    assert grown_up.model.followed == 1.0, "also where the predecessor's regimes stay"
