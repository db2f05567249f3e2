"""`encoder: none`: the regimes read the scaled features, through the same chain as with an autoencoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from regime_assets.library.artifact import parts_hash
from regime_assets.library.design import Component
from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.encoders.settings import NoEncoderSettings
from regime_assets.library.encoders.training import assess_encoder, fit_encoder
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.market.window import Rolling
from regime_assets.library.walk import WalkForwardSettings, replay, schedule
from regime_assets_tests.designs import small_design
from regime_assets_tests.library.regimes.regime_windows import regime_window

SETTINGS = NoEncoderSettings()


def test_coordinates_are_the_features_cut_off_where_the_scaler_cuts_them() -> None:
    window = regime_window(300)
    fit = fit_encoder(window.features, window.sample_weight, "none", SETTINGS, 1, None, full_retrain=True)
    table, scaler = window.features.to_numpy(), fit.model.scaler
    cut = np.clip(table, scaler.centre - 3 * scaler.scale, scaler.centre + 3 * scaler.scale)
    np.testing.assert_allclose(fit.model.denoise(window.features), cut, atol=1e-12)
    assert fit.curves.empty
    assert all(rule.passed for rule in assess_encoder(fit, SETTINGS))


def test_a_warm_start_keeps_the_scale_of_its_predecessor_and_is_stored_and_read_back() -> None:
    window = regime_window(300)
    first = fit_encoder(window.features[:200], window.sample_weight[:200], "none", SETTINGS, 1, None, full_retrain=True)
    warm = fit_encoder(window.features, window.sample_weight, "none", SETTINGS, 2, first.model, full_retrain=False)
    assert warm.warm_started
    np.testing.assert_array_equal(warm.model.scaler.scale, first.model.scaler.scale)
    again = FittedEncoder.from_parts(warm.model.to_parts())
    assert parts_hash(again.to_parts()) == parts_hash(warm.model.to_parts())


def test_the_whole_recipe_walks_without_an_encoder() -> None:
    window = regime_window(400)
    returns = pd.DataFrame({"X": window.market_returns}, window.features.index)
    history = TrainingSet(window.features, returns, window.sample_weight, "made up")
    design = replace(small_design(), encoder=Component("encoders", "none", SETTINGS))
    steps = schedule(400, WalkForwardSettings(sessions=120, refit_every=60))
    segments = list(replay(history, Rolling(365), design, steps, ("test",)))
    assert [segment.refused for segment in segments] == ["", ""]
    assert segments[-1].decided["rule_exposure"].isin([0.0, 1.0]).all()
