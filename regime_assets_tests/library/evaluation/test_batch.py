"""A batch is measured as its strategies are one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.evaluation.batch import summarise_batch
from regime_assets.library.evaluation.metrics import summarise
from regime_assets.library.trading.scoring import ScoringError, score

FIGURES = ("sharpe", "volatility", "cagr", "max_drawdown", "turnover", "exposure")


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([(), (3,)]))
def test_each_strategy_has_the_figures_that_it_has_alone(seed: int, strategies: int, instruments: tuple[int]) -> None:
    generator = np.random.default_rng(seed)
    returns = generator.normal(0.0, 0.02, (60, *instruments))
    weights = generator.random((strategies, 60, *instruments))
    batch = summarise_batch(weights, returns, 0.001)
    for row, one in enumerate(weights):
        alone = summarise(score(one, returns, 0.001))
        for figure in FIGURES:
            assert getattr(batch, figure)[row] == pytest.approx(getattr(alone, figure), abs=1e-12)


def test_a_strategy_in_cash_has_no_ratio_and_one_that_lost_everything_no_growth() -> None:
    returns = np.full(40, 0.001)
    returns[20] = -1.0
    batch = summarise_batch(np.stack([np.zeros(40), np.ones(40)]), returns, 0.0)
    assert np.isnan(batch.sharpe[0])
    assert batch.max_drawdown[0] == 0.0
    assert np.isnan(batch.cagr[1])
    assert batch.max_drawdown[1] == -1.0


def test_one_strategy_is_no_batch_and_few_sessions_have_no_ratio() -> None:
    with pytest.raises(ScoringError, match="no batch"):
        summarise_batch(np.ones(40), np.zeros(40), 0.0)
    with pytest.raises(ScoringError, match="5 sessions are too few"):
        summarise_batch(np.ones((2, 5)), np.zeros(5), 0.0)
