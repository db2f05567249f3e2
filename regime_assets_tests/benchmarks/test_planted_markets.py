"""A planted signal is found by the whole chain, and noise is left alone: the recipe, the scorer, the serving rule."""

from __future__ import annotations

import numpy as np
import pytest
from planted_markets import PLANTED, planted_market
from planted_walk import walk_planted

from regime_assets.library.design import Design
from regime_assets.library.evaluation.track_record import sharpe
from regime_assets.library.trading.scoring import realised_returns


@pytest.mark.parametrize("name", [name for name in PLANTED if name != "noise"])
def test_the_oracle_is_of_realistic_strength(name: str) -> None:
    ratios = []
    for seed in range(4):
        market = planted_market(name, seed, 3024, Design().features)
        net = realised_returns(market.oracle, market.history.traded_returns.to_numpy(), 0.0010)
        ratios.append(sharpe(net) or 0.0)
    assert 1.0 < np.mean(ratios) < 2.5


def test_a_predictive_feature_is_found_and_served() -> None:
    found = walk_planted("predictive feature", 0, refit_every=504)
    assert found.serves_first == found.serves == "policy"
    assert found.served is not None
    assert found.oracle is not None
    assert found.rule is not None
    assert found.served > max(0.6 * found.oracle, found.rule + 0.5)


def test_noise_is_served_as_its_rule_to_the_last_digit() -> None:
    found = walk_planted("noise", 0, refit_every=504)
    assert found.serves == "rule"
    assert found.policy == found.rule
