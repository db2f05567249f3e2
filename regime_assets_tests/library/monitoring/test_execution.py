"""Turnover and slippage by hand, and beside what the record gives."""

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.monitoring.execution import execution, traded
from regime_assets.library.monitoring.performance import PerformanceSettings

SESSIONS = pd.bdate_range("2020-01-01", periods=600)


def test_slippage_is_the_plans_return_less_the_realised_one() -> None:
    weights = np.array([[1.0], [1.0], [0.0], [0.0], [0.0]])
    returns = pd.DataFrame({"X": [0.0, 0.01, 0.02, 0.04, 0.08]}, index=SESSIONS[:5])
    found = traded(weights, returns, cost=0.001)
    # The plan earns 0.02, 0, 0 on the last three sessions; filled a session later it earns 0.02, 0.04, 0, less costs.
    np.testing.assert_allclose(found["turnover"], [1.0, 0.0, 1.0])
    np.testing.assert_allclose(found["slippage"], [0.02 - (0.02 - 0.001), 0.0 - 0.04, 0.0 - (0.0 - 0.001)])


def test_a_position_that_is_held_slips_by_its_entry_only() -> None:
    returns = pd.DataFrame({"X": np.random.default_rng(0).normal(0, 0.01, 50)}, index=SESSIONS[:50])
    found = traded(np.ones((50, 1)), returns, cost=0.001)
    assert found["slippage"].sum() == pytest.approx(0.001)


def drawn(seed: int, turnover: float) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    values = {
        "turnover": generator.exponential(turnover, 600),
        "slippage": generator.normal(turnover * 0.001, 0.002, 600),
    }
    return pd.DataFrame(values, index=SESSIONS)


def test_a_record_that_goes_on_stays_within_its_band_and_twice_the_turnover_does_not() -> None:
    record, settings = drawn(1, 0.1), PerformanceSettings()
    alike = [execution(drawn(seed, 0.1).iloc[:120], record, settings, 0).outside for seed in range(20, 60)]
    assert sum("turnover" in outside for outside in alike) <= 10, "a band of 90 %, and the record's own error"
    assert "turnover" in execution(drawn(2, 0.2).iloc[:120], record, settings, 0).outside


def test_figures_are_a_year() -> None:
    live = pd.DataFrame({"turnover": 0.5, "slippage": 0.001}, index=SESSIONS[:63])
    found = execution(live, drawn(1, 0.5), PerformanceSettings(), 0).figures
    assert found["turnover_per_year"] == pytest.approx(126)
    assert found["slippage_per_year"] == pytest.approx(0.252)
    assert found["turnover_low_per_year"] < 126 < found["turnover_high_per_year"]
