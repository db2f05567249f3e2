"""The ledger forgets no trial, counts a design once, and spends a year's budget over a year."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from regime_assets.library.database import Database
from regime_assets.library.evaluation.trials import TrialError, TrialLedger, TrialStatistics

DAY, LATER = date(2020, 1, 6), date(2020, 4, 6)


@pytest.fixture
def ledger(tmp_path: Path) -> TrialLedger:
    return TrialLedger(Database(tmp_path / "market.duckdb"))


def record(ledger: TrialLedger, design: str, sharpe: float, session: date = DAY, horizon: str = "long") -> bool:
    return ledger.record("stocks", horizon, session, design, sharpe=sharpe, n_sessions=504)


def test_an_empty_ledger_has_no_trials_no_looks_and_no_alpha_spent(ledger: TrialLedger) -> None:
    assert ledger.statistics("stocks", "long", DAY) == TrialStatistics(0, 0.0, 0)
    assert ledger.alpha_spent("stocks", "long", DAY) == 0.0
    assert ledger.last_look("stocks", "long", "a", DAY) is None


def test_count_and_variance_are_those_of_the_designs(ledger: TrialLedger) -> None:
    ratios = [0.3, 0.9, -0.2]
    for design, ratio in zip("abc", ratios, strict=True):
        assert record(ledger, design, ratio)
    statistics = ledger.statistics("stocks", "long", DAY)
    assert (statistics.count, statistics.evaluations) == (3, 3)
    assert statistics.variance == pytest.approx(np.var(ratios, ddof=1))


def test_a_key_is_recorded_once_and_what_came_first_stays(ledger: TrialLedger) -> None:
    record(ledger, "a", 0.5)
    record(ledger, "b", 0.1)
    before = ledger.statistics("stocks", "long", DAY)
    assert not record(ledger, "b", 9.9)
    assert ledger.statistics("stocks", "long", DAY) == before


def test_a_design_evaluated_again_stays_one_trial_with_its_newest_figure(ledger: TrialLedger) -> None:
    record(ledger, "a", 0.0)
    record(ledger, "b", 1.0)
    record(ledger, "b", 2.0, LATER)
    statistics = ledger.statistics("stocks", "long", LATER)
    assert (statistics.count, statistics.evaluations) == (2, 3)
    assert statistics.variance == pytest.approx(2.0)


def test_statistics_know_nothing_later_and_nothing_of_other_horizons(ledger: TrialLedger) -> None:
    record(ledger, "a", 0.5)
    record(ledger, "b", 0.7, LATER)
    record(ledger, "c", 0.9, horizon="short")
    assert ledger.statistics("stocks", "long", DAY).count == 1


def test_alpha_comes_back_after_a_year_and_a_repeated_run_is_not_charged_twice(ledger: TrialLedger) -> None:
    assert ledger.record_look("stocks", "long", DAY, "a", 0.02)
    assert not ledger.record_look("stocks", "long", DAY, "a", 0.02)
    ledger.record_look("stocks", "long", LATER, "b", 0.03)
    assert ledger.alpha_spent("stocks", "long", DAY) == 0.0
    assert ledger.alpha_spent("stocks", "long", date(2020, 12, 31)) == pytest.approx(0.05)
    assert ledger.alpha_spent("stocks", "long", date(2021, 1, 6)) == pytest.approx(0.03)


def test_the_last_look_is_the_designs_own(ledger: TrialLedger) -> None:
    ledger.record_look("stocks", "long", DAY, "a", 0.02)
    ledger.record_look("stocks", "long", LATER, "b", 0.02)
    assert ledger.last_look("stocks", "long", "a", date(2020, 12, 31)) == DAY


@pytest.mark.parametrize(("sharpe", "sessions"), [(float("nan"), 504), (float("inf"), 504), (0.5, 0)])
def test_what_is_no_measurement_is_refused(ledger: TrialLedger, sharpe: float, sessions: int) -> None:
    with pytest.raises(TrialError, match="design a"):
        ledger.record("stocks", "long", DAY, "a", sharpe=sharpe, n_sessions=sessions)
