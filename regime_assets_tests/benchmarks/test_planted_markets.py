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


def test_who_has_to_filter_the_law_out_of_prices_earns_no_more_than_who_sees_it() -> None:
    seen: dict[str, list[float]] = {"oracle": [], "knowable": []}
    for name in ("mean reversion", "premium in the calm regime", "premium in the turbulent regime"):
        for seed in range(3):
            market = planted_market(name, seed, 3024, Design().features)
            returns = market.history.traded_returns.to_numpy()
            for who, ratios in seen.items():
                ratios.append(sharpe(realised_returns(getattr(market, who), returns, 0.0010)) or 0.0)
    assert 0.8 < np.sum(seen["knowable"]) / np.sum(seen["oracle"]) < 1.0


LEARNED = {"predictive feature": 0, "mean reversion": 1, "lead-lag": 1, "premium in the turbulent regime": 1}
"""Signals that the rule does not find, and the draw that is walked."""

RULED = {"momentum": 1, "premium in the calm regime": 1}
"""Signals that the rule itself finds, so that it may go on serving."""


@pytest.mark.parametrize(("name", "seed"), [*LEARNED.items(), *RULED.items()])
def test_a_planted_signal_is_found_by_what_serves(name: str, seed: int) -> None:
    found = walk_planted(name, seed, refit_every=504)
    assert found.served is not None
    assert found.oracle is not None
    assert found.rule is not None
    assert found.served > 0.6 * found.oracle
    if name in LEARNED:
        assert found.serves == "policy"
        assert found.served > found.rule + 0.4


def test_noise_is_served_as_its_rule_to_the_last_digit() -> None:
    found = walk_planted("noise", 0, refit_every=504)
    assert found.serves == "rule"
    assert found.policy == found.rule
