"""Why a session is in its regime: shares of coordinates that add up exactly, and regimes in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.regimes.explanation import in_words, pulls, strongest
from regime_assets.library.regimes.regime_model import RegimeModel, coordinates_of
from regime_assets.library.regimes.segmentation import Segmentation
from regime_assets_tests.library.regimes.test_regime_model import WINDOW, refit


@pytest.fixture(scope="module")
def model() -> RegimeModel:
    return refit(WINDOW, 0).model


def test_the_pulls_add_up_to_the_distance_between_the_centres(model: RegimeModel) -> None:
    path = model.infer(WINDOW.features)
    found = pulls(model, WINDOW.features, path.states)
    assert found is not None
    assert list(found.columns) == list(WINDOW.features.columns)
    assert isinstance(model.regimes, Segmentation)
    mixture = model.regimes.mixture
    rows = coordinates_of(model.encoder, WINDOW.features, model.coordinates)
    ahead = mixture.log_likelihoods(rows) - np.log(mixture.weights)
    own, other = ahead[np.arange(len(rows)), path.states], ahead[np.arange(len(rows)), 1 - path.states]
    # The two regimes of a jump model have one covariance: nothing but the pulls tells them apart.
    np.testing.assert_allclose(found.sum(axis=1), own - other, atol=1e-8)


def test_most_sessions_are_pulled_to_where_they_are_and_the_feature_that_made_the_regime_pulls_most(
    model: RegimeModel,
) -> None:
    path = model.infer(WINDOW.features)
    found = pulls(model, WINDOW.features, path.states)
    assert found is not None
    assert (found.sum(axis=1) > 0).mean() > 0.9
    assert strongest(pd.Series({"a": 0.1, "b": -3.0, "c": 2.0}), 2) == "b -3.0, c +2.0"


def test_regimes_are_described_by_what_the_market_did_in_them() -> None:
    states = np.repeat([0, 1, 0], [100, 50, 50])
    returns = np.where(states == 1, -0.001, 0.001) + np.where(states == 1, 0.02, 0.005) * np.tile([1.0, -1.0], 100)
    calm, turbulent = in_words(("calm", "turbulent"), states, returns, 252)
    assert calm.startswith("calm: 75% of the sessions, 75 at a stretch; volatility 8%, mean return +25% a year")
    assert turbulent.startswith("turbulent: 25% of the sessions, 50 at a stretch; volatility 32%")
    assert "mean return -25% a year" in turbulent
    absent = in_words(("calm", "wild"), np.zeros(9, dtype=np.int64), np.full(9, 0.01), 252)[1]
    assert absent == "wild: on none of these 9 sessions"
