"""A champion that loses what its record never lost is in breach; one that earns as before is not."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.brokers.broker import Account, Fill
from regime_assets.library.brokers.order_log import OrderLog
from regime_assets.library.report.figures_live import live_bands
from regime_assets.library.steps.live_performance import open_book, watch
from regime_assets.library.workspace import NotMaterializedError, Workspace
from regime_assets_tests.library.steps.live_champion import LIVE, exposures, live_chain, no_drift, serve


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return live_chain(tmp_path)


def test_a_champion_that_earns_like_its_record_is_left_alone(workspace: Workspace) -> None:
    serve(workspace, exposures(workspace, unlucky=False))
    no_drift(workspace, LIVE[1])
    seen = watch(workspace, "short", LIVE[1])
    assert seen.performance is not None
    assert not seen.performance.breached
    assert seen.decision.action in ("nothing", "watch")


def test_a_champion_that_only_loses_is_in_breach(workspace: Workspace) -> None:
    serve(workspace, exposures(workspace, unlucky=True))
    no_drift(workspace, LIVE[1])
    seen = watch(workspace, "short", LIVE[1])
    assert seen.performance is not None
    assert seen.performance.breached
    assert seen.decision.action == "full retrain", "there is no predecessor to roll back to"
    assert seen.decision.alert
    stored = workspace.database.read_partition("live_performance", workspace.key("short", LIVE[1]))
    assert stored["action"].item() == "full retrain"
    assert "short of its out-of-sample record" in stored["reason"].item()


def test_live_returns_begin_with_the_first_fill_and_the_record_ends_before(workspace: Workspace) -> None:
    serve(workspace, dict.fromkeys(workspace.calendar.sessions(*LIVE), 1.0))
    book = open_book(workspace, "short", LIVE[1])
    net, record = (book.net(weights, workspace.universe.cost) for weights in (book.served, book.record))
    sessions = workspace.calendar.sessions(*LIVE)
    assert net.index[0] == pd.Timestamp(sessions[2])
    assert record.index[-1] < pd.Timestamp(sessions[0])
    market = workspace.history("short", LIVE[1]).market_returns
    np.testing.assert_allclose(net.iloc[1:], market.loc[net.index[1:]], atol=1e-12)


def test_before_the_first_fill_it_waits_and_says_so(workspace: Workspace) -> None:
    serve(workspace, {LIVE[0]: 1.0})
    no_drift(workspace, LIVE[0])
    seen = watch(workspace, "short", LIVE[0])
    assert seen.performance is None
    assert "nothing that was served has earned" in seen.waiting


def test_without_a_drift_report_nothing_is_decided(workspace: Workspace) -> None:
    serve(workspace, {LIVE[0]: 1.0})
    with pytest.raises(NotMaterializedError, match="drift_report"):
        watch(workspace, "short", LIVE[0])


def test_turnover_and_slippage_stand_beside_their_bands(workspace: Workspace) -> None:
    sessions = workspace.calendar.sessions(*LIVE)
    serve(workspace, {day: float(number % 2) for number, day in enumerate(sessions)})
    no_drift(workspace, LIVE[1])
    seen = watch(workspace, "short", LIVE[1])
    assert seen.execution is not None
    assert seen.figures["turnover_per_year"] == pytest.approx(252, rel=0.02), "all of the capital every session"
    assert seen.figures["turnover_high_per_year"] == pytest.approx(0, abs=5), "the record held its position"
    assert "turnover" in seen.execution.outside
    assert seen.bands is not None
    assert seen.bands.notna().all(axis=None)
    assert "slippage against plan" in live_bands(seen.bands)
    stored = workspace.database.read_partition("live_performance", workspace.key("short", LIVE[1]))
    assert stored["slippage_per_year"].item() == seen.figures["slippage_per_year"]
    assert set(stored.columns) >= {"slippage_low_per_year", "slippage_high_per_year", "turnover_low_per_year"}


def test_fills_cost_what_they_cost_instead_of_what_is_assumed(workspace: Workspace) -> None:
    """Ten bought at 1 % above the close of the session after the signal, by an account that is worth a thousand."""
    signal = LIVE[0]
    filled, booked = workspace.calendar.next(signal), workspace.calendar.next(signal, 2)
    serve(workspace, dict.fromkeys(workspace.calendar.sessions(signal, booked), 1.0))
    assumed = open_book(workspace, "short", booked).net_served(workspace.universe.cost)
    close = float(workspace.market.bars(booked, filled, filled, workspace.calendar, ["SP500"])["close"].iloc[0])
    log = OrderLog(workspace.database, "tiny")
    log.record_holdings(signal, Account(1000.0 * close, {}))
    at = datetime(2017, 1, 4, 21, tzinfo=UTC)
    log.record_fills(signal, [Fill("a", "SP500", "buy", "filled", 10.0, 1.01 * close, at)])
    real = open_book(workspace, "short", booked).net_served(workspace.universe.cost)
    day = pd.Timestamp(booked)
    # 10 bp of a whole position were assumed; 10 shares at 1 % more are 1 bp of the capital.
    assert real[day] - assumed[day] == pytest.approx(0.0010 - 0.01 * 10 / 1000)
