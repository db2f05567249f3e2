"""A predictive head: its targets stay inside the window, latents learn them, and without one nothing is another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from regime_assets.library.artifact import parts_hash
from regime_assets.library.design import Component
from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.encoders.prediction import ahead_returns, standardised
from regime_assets.library.encoders.scaling import EncoderError
from regime_assets.library.encoders.settings import ConvVaeSettings, EncoderSettings, GruVaeSettings, NoEncoderSettings
from regime_assets.library.encoders.training import EncoderFit, fit_encoder
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.market.window import Rolling
from regime_assets.library.trading.scoring import FILL_DELAY, realised_returns
from regime_assets.library.walk import WalkForwardSettings, replay, schedule
from regime_assets_tests.designs import small_design
from regime_assets_tests.library.regimes.regime_windows import QUICK, regime_window

SESSIONS, HORIZON = 600, 3
SHAPE = {
    **{name: getattr(QUICK, name) for name in ("sequence_length", "n_latents", "epochs", "warm_up_epochs")},
    **{"predicts": HORIZON, "prediction_weight": 10.0},
}
SETTINGS: dict[str, EncoderSettings] = {
    "mlp_vae": replace(QUICK, predicts=HORIZON),
    "conv_vae": ConvVaeSettings(**SHAPE, channels=(12,), kernel=2),
    "gru_vae": GruVaeSettings(**SHAPE, width=12),
}


def planted() -> tuple[pd.DataFrame, np.ndarray]:
    """Nine features of three causes: two make eight of them, the third one is alone and foretells the returns."""
    rng, features = np.random.default_rng(5), regime_window(SESSIONS).features
    features = features.join(features.add_suffix(" again"))
    fact = rng.normal(size=SESSIONS)
    for t in range(1, SESSIONS):
        fact[t] = 0.9 * fact[t - 1] + 0.44 * fact[t]
    returns = rng.normal(0.0, 0.01, SESSIONS)
    returns[FILL_DELAY:] += 0.006 * fact[:-FILL_DELAY]
    return features.assign(fact=fact), returns[:, None]


FEATURES, RETURNS = planted()
WEIGHT = np.ones(SESSIONS)
AHEAD = ahead_returns(RETURNS, HORIZON, FILL_DELAY)


def fitted(use: str, previous: FittedEncoder | None = None, settings: EncoderSettings | None = None) -> EncoderFit:
    return fit_encoder(
        FEATURES,
        WEIGHT,
        use,
        settings or SETTINGS[use],
        1 if previous is None else 2,
        previous,
        full_retrain=previous is None,
        ahead=AHEAD,
    )


@pytest.fixture(scope="module", params=["mlp_vae", "conv_vae", "gru_vae"])
def fit(request: pytest.FixtureRequest) -> EncoderFit:
    return fitted(request.param)


def share_of_the_fact(model: FittedEncoder) -> float:
    """R² of the planted feature on the latents."""
    latents = np.column_stack([np.ones(SESSIONS), model.encode(FEATURES)])
    fact = FEATURES["fact"].to_numpy()
    missed = fact - latents @ np.linalg.lstsq(latents, fact, rcond=None)[0]
    return 1.0 - float(missed.var() / fact.var())


def test_a_head_keeps_in_the_latents_what_foretells_returns(fit: EncoderFit) -> None:
    without = fitted(fit.model.use, settings=replace(fit.model.settings, predicts=0))
    assert share_of_the_fact(fit.model) > share_of_the_fact(without.model) + 0.15
    assert fit.figures["foretold"] > 0.1
    assert fit.figures["validation_foretold"] > 0.05
    assert "validation_foretold" not in without.figures


def test_a_fine_tune_goes_on_with_the_head(fit: EncoderFit) -> None:
    warm = fitted(fit.model.use, fit.model)
    assert warm.warm_started
    assert warm.figures["validation_foretold"] > 0.05
    head = "prediction_head.weight"
    assert np.abs(warm.model.weights[head] - fit.model.weights[head]).max() < 0.3


def test_a_stored_encoder_with_a_head_encodes_to_the_same_bits(fit: EncoderFit) -> None:
    again = FittedEncoder.from_parts(fit.model.to_parts())
    np.testing.assert_array_equal(again.encode(FEATURES), fit.model.encode(FEATURES))
    assert parts_hash(again.to_parts()) == parts_hash(fit.model.to_parts())


def test_without_a_head_the_returns_are_not_read() -> None:
    without = replace(QUICK, predicts=0)
    seen = fitted("mlp_vae", settings=without)
    blind = fit_encoder(FEATURES, WEIGHT, "mlp_vae", without, 1, None, full_retrain=True)
    assert parts_hash(seen.model.to_parts()) == parts_hash(blind.model.to_parts())
    assert set(seen.model.weights) == {name for name in blind.model.weights if "head" not in name}


@given(sessions=st.integers(1, 8), length=st.integers(1, 40))
def test_a_target_is_what_the_decision_earns_and_the_last_sessions_have_none(sessions: int, length: int) -> None:
    returns = np.random.default_rng(length).normal(0.0, 0.02, (length, 2))
    ahead = ahead_returns(returns, sessions, FILL_DELAY)
    for t in range(length):
        last = t + FILL_DELAY + sessions
        if last > length:
            assert np.isnan(ahead[t]).all()
            continue
        np.testing.assert_allclose(ahead[t], np.log1p(returns[t + FILL_DELAY : last]).sum(axis=0), atol=1e-12)


def test_one_decision_held_a_session_earns_its_target() -> None:
    decided = np.zeros(20)
    decided[7] = 1.0
    returns = RETURNS[:20, 0]
    earned = realised_returns(decided, returns, cost=0.0).sum()
    assert np.log1p(earned) == pytest.approx(ahead_returns(returns[:, None], 1, FILL_DELAY)[7, 0])


def test_a_session_without_a_target_teaches_the_head_nothing() -> None:
    """Whatever stands in the rows whose returns the window does not hold, the fit is the same."""
    blank = standardised(AHEAD, WEIGHT)
    assert np.isnan(blank[-(HORIZON + FILL_DELAY - 1) :]).all()
    assert np.isfinite(blank[: -(HORIZON + FILL_DELAY - 1)]).all()


def test_nothing_later_than_a_session_reaches_its_decision() -> None:
    """Returns after a refit change nothing that its models decide; those that its window holds do."""
    design = small_design(encoder={"sequence_length": 3, "n_latents": 2, "fine_tune_epochs": 8})
    encoder = replace(design.encoder.settings, predicts=HORIZON)
    design = replace(design, encoder=Component("encoders", "mlp_vae", encoder))
    steps = schedule(SESSIONS, WalkForwardSettings(sessions=120, refit_every=60))
    assert [step.newest for step in steps] == [SESSIONS - 120, SESSIONS - 60]

    def walked(returns: np.ndarray) -> list[pd.DataFrame]:
        table = pd.DataFrame(returns, FEATURES.index, ["X"])
        history = TrainingSet(FEATURES, table, WEIGHT, "made up")
        return [segment.decided for segment in replay(history, Rolling(720), design, steps, ("test",))]

    refitted = steps[-1].newest
    later, known = RETURNS.copy(), RETURNS.copy()
    later[refitted + 1 :] *= -1.0
    known[refitted - 10 : refitted + 1] *= -1.0
    before, unmoved, moved = walked(RETURNS), walked(later), walked(known)
    for own, other in zip(before, unmoved, strict=True):
        pd.testing.assert_frame_equal(own, other)
    pd.testing.assert_frame_equal(before[0], moved[0])
    assert not before[1].equals(moved[1])


def test_a_head_is_another_shape_and_another_design() -> None:
    without = fitted("mlp_vae", settings=replace(QUICK, predicts=0))
    with pytest.raises(EncoderError, match="predicts was 0 and is 3"):
        fitted("mlp_vae", without.model)
    with pytest.raises(EncoderError, match="predicts 3 sessions and no return"):
        fit_encoder(FEATURES, WEIGHT, "mlp_vae", SETTINGS["mlp_vae"], 1, None, full_retrain=True)
    plain, headed = (Component("encoders", "mlp_vae", replace(QUICK, predicts=sessions)) for sessions in (0, HORIZON))
    assert "predicts" not in plain.document()["settings"]
    assert headed.document()["settings"]["predicts"] == HORIZON


def test_what_could_predict_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="trains nothing that could predict"):
        NoEncoderSettings(predicts=5)
    with pytest.raises(ValidationError, match="must be positive"):
        replace(QUICK, prediction_weight=0.0)
    with pytest.raises(ValidationError, match="must be a number of sessions"):
        replace(QUICK, predicts=-1)
