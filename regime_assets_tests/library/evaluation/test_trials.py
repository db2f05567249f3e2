"""The ledger forgets no trial, counts a design once, and spends a year's budget over a year."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.evaluation.trials import Kind, TrialError, TrialLedger, TrialStatistics

DAY, LATER = date(2020, 1, 6), date(2020, 4, 6)
NOON = datetime(2020, 1, 6, 12, tzinfo=UTC)
ONE_TRIAL = TrialStatistics(1, 0.0, 0)


@pytest.fixture
def ledger(tmp_path: Path) -> TrialLedger:
    return TrialLedger(DatabaseFile(tmp_path / "ledger.duckdb"))


def start(
    ledger: TrialLedger,
    design: str,
    *,
    horizon: str = "long",
    universe: str = "stocks",
    traded: tuple[str, ...] = ("SP500",),
    kind: Kind = "daily",
    at: datetime = NOON,
) -> bool:
    return ledger.start(universe, horizon, design, traded, kind, at)


def record(ledger: TrialLedger, design: str, sharpe: float, session: date = DAY, horizon: str = "long") -> bool:
    start(ledger, design, horizon=horizon)
    return ledger.record("stocks", horizon, session, design, sharpe=sharpe, n_sessions=504)


def statistics(ledger: TrialLedger) -> TrialStatistics:
    return ledger.statistics("stocks", ["SP500"])


def test_an_empty_ledger_has_no_trials_no_looks_and_no_alpha_spent(ledger: TrialLedger) -> None:
    assert statistics(ledger) == TrialStatistics(0, 0.0, 0)
    assert ledger.alpha_spent("stocks", "long", DAY) == 0.0
    assert ledger.last_look("stocks", "long", "a", DAY) is None
    assert ledger.declared("stocks", "long", "a") is None


def test_count_and_variance_are_those_of_the_designs(ledger: TrialLedger) -> None:
    ratios = [0.3, 0.9, -0.2]
    for design, ratio in zip("abc", ratios, strict=True):
        assert record(ledger, design, ratio)
    found = statistics(ledger)
    assert (found.count, found.evaluations) == (3, 3)
    assert found.variance == pytest.approx(np.var(ratios, ddof=1))


def test_a_key_is_recorded_once_and_what_came_first_stays(ledger: TrialLedger) -> None:
    record(ledger, "a", 0.5)
    record(ledger, "b", 0.1)
    before = statistics(ledger)
    assert not record(ledger, "b", 9.9)
    assert statistics(ledger) == before


def test_a_design_evaluated_again_stays_one_trial_with_its_newest_figure(ledger: TrialLedger) -> None:
    record(ledger, "a", 0.0)
    record(ledger, "b", 1.0)
    record(ledger, "b", 2.0, LATER)
    found = statistics(ledger)
    assert (found.count, found.evaluations) == (2, 3)
    assert found.variance == pytest.approx(2.0)


@pytest.mark.parametrize("kind", ["daily", "walk_forward", "try", "search"])
def test_a_try_that_was_stopped_before_it_had_a_figure_counts(ledger: TrialLedger, kind: Kind) -> None:
    start(ledger, "a", kind=kind)
    assert statistics(ledger) == ONE_TRIAL


def test_a_design_that_is_walked_and_then_run_daily_is_one_trial(ledger: TrialLedger) -> None:
    assert start(ledger, "a", kind="walk_forward")
    assert start(ledger, "a", kind="daily")
    assert not start(ledger, "a", kind="daily")
    assert statistics(ledger).count == 1


def test_each_horizon_of_a_design_is_a_trial_on_the_same_history(ledger: TrialLedger) -> None:
    start(ledger, "a")
    start(ledger, "a", horizon="short")
    assert statistics(ledger).count == 2


def test_trials_of_another_universe_count_where_it_trades_the_same_prices(ledger: TrialLedger) -> None:
    start(ledger, "a", universe="copy", traded=("KO", "SP500"))
    start(ledger, "b", universe="elsewhere", traded=("DAX",))
    assert statistics(ledger) == ONE_TRIAL


def test_a_design_is_declared_on_the_day_on_which_it_first_ran_daily(ledger: TrialLedger) -> None:
    start(ledger, "a", kind="try", at=datetime(2019, 1, 1, tzinfo=UTC))
    assert ledger.declared("stocks", "long", "a") is None
    start(ledger, "a", at=datetime(2020, 1, 6, 23, 30, tzinfo=ZoneInfo("America/New_York")))
    start(ledger, "a", at=datetime(2021, 1, 1, tzinfo=UTC))
    assert ledger.declared("stocks", "long", "a") == date(2020, 1, 7), "the day in UTC"


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


def test_a_design_whose_hash_another_version_computes_otherwise_stays_one_trial(ledger: TrialLedger) -> None:
    record(ledger, "former", 0.4)
    ledger.record_look("stocks", "long", DAY, "former", 0.04)
    record(ledger, "former", 0.3, horizon="short")
    assert ledger.rename("stocks", "long", "former", "present", NOON)
    assert not ledger.rename("stocks", "long", "former", "present", NOON), "nothing is booked under it any more"
    start(ledger, "present", at=datetime(2026, 1, 6, tzinfo=UTC))
    assert ledger.statistics("stocks", ("SP500",)).count == 2, "one of either horizon"
    assert ledger.declared("stocks", "long", "present") == DAY, "it keeps the day of its declaration"
    assert ledger.last_look("stocks", "long", "present", LATER) == DAY
    assert ledger.present_hash("stocks", "long", "former") == "present"
    assert ledger.present_hash("stocks", "short", "former") == "former", "the other horizon is left alone"
    assert ledger.present_hash("stocks", "long", "never seen") == "never seen"
