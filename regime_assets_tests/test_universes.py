"""A market that never closes, and an exchange outside the US: a file each, and the whole graph follows it."""

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from regime_assets.assets.lane import Lane
from regime_assets.library.home import Home
from regime_assets.library.market.calendar import load_calendar
from regime_assets.library.production.deployments import DeploymentLog
from regime_assets.library.universe import HORIZONS, load_universe
from regime_assets.library.workspace import Workspace
from regime_assets.partitions import session_partitions
from regime_assets.session_run import refitted, session_assets
from regime_assets_tests.chain_run import materialize
from regime_assets_tests.designs import small_design
from regime_assets_tests.library.market.vendor_formats import Vintage, prepare_fred
from regime_assets_tests.library.market.vendor_server import running_server

TINY = small_design()
FIRST, LAST = date(2016, 1, 4), date(2018, 12, 31)
COMMON = """\
source: {{kind: files, options: {{folder: "{folder}", fields: [close]}}}}
history_start: 2016-01-04
first_partition: 2018-06-01
last_partition: {last}
walk_forward: {{sessions: 60, refit_every: 60}}
gate: {{drawdown_limit: 1.0, turnover_limit: 1.0e9}}  # whether the models are good is not asked here
"""
CRYPTO = """\
name: crypto
calendar: 24/7
symbols: [BTC-USD, ETH-USD, LTC-USD, XRP-USD]
sessions_per_year: 365
"""
LONDON = """\
name: london
calendar: XLON
symbols: [VOD.L, HSBA.L, BP.L, AZN.L, {{symbol: ARM.L, from: 2016-04-01, to: 2018-08-28}}]
traded: [VOD.L, HSBA.L, BP.L, AZN.L]
refit: {{every: monthly}}
macro: {{kind: fred, series: [GBR], features: [GBR], options: {{base_url: "{url}", pause: 0.0, backoff: 0.01}}}}
"""


def opened(root: Path, text: str, calendar: str, symbols: list[str], last: date = LAST) -> Workspace:
    """A universe file and simulated closes on its calendar up to `last`: half-years of calm and of turmoil."""
    home, universes, prices = Home(root / "home"), root / "universes", root / "prices"
    universes.mkdir()
    prices.mkdir()
    (universes / "universe.yaml").write_text(text + COMMON.format(folder=prices, last=last))
    sessions = load_calendar(calendar, FIRST, home.calendars).sessions(FIRST, last)
    random = np.random.default_rng(len(sessions))
    volatility = np.where(np.arange(len(sessions)) // 125 % 2, 0.02, 0.007)[:, None]
    own = random.standard_normal((len(sessions), len(symbols)))
    shocks = 0.7 * random.standard_normal((len(sessions), 1)) + 0.7 * own
    closes = 100.0 * np.cumprod(1.0 + volatility * shocks, axis=0)
    for symbol, column in zip(symbols, closes.T, strict=True):
        pd.DataFrame({"session": sessions, "close": column}).to_csv(prices / f"{symbol}.csv", index=False)
    return Workspace(load_universe(universes / "universe.yaml"), home)


def failures(workspace: Workspace, session: date, selection: list[str] | None = None) -> list[str]:
    """Materialize a session; what failed and why."""
    universes = workspace.home.root.parent / "universes"
    result = materialize(workspace.home, universes, f"{workspace.universe.name}_daily", session.isoformat(), selection)
    failed = [event for event in result.all_events if event.is_step_failure]
    return [
        f"{event.step_key}: {event.step_failure_data.error.cause or event.step_failure_data.error}" for event in failed
    ]


def days(workspace: Workspace, session: date) -> list[date]:
    """The sessions of the short window, after a look at both."""
    for horizon in HORIZONS:
        found = [moment.date() for moment in workspace.training_set(horizon, session).sessions]
        assert found == list(workspace.calendar.sessions(found[0], session))
    return [moment.date() for moment in workspace.training_set("short", session).sessions]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that are hardly trained."""
    monkeypatch.setattr(Workspace, "design", TINY)


@pytest.mark.usefixtures("quick")
def test_a_market_that_never_closes_has_a_signal_on_a_sunday(tmp_path: Path) -> None:
    symbols = ["BTC-USD", "ETH-USD", "LTC-USD", "XRP-USD"]
    workspace, sunday = opened(tmp_path, CRYPTO, "24/7", symbols), date(2018, 8, 26)
    assert failures(workspace, sunday) == []
    assert len(days(workspace, sunday)) == 365
    signal = workspace.database.query("SELECT symbol, as_of FROM daily_signal ORDER BY symbol")
    assert list(signal["symbol"]) == symbols
    assert set(signal["as_of"].dt.date) == {sunday}


@pytest.mark.usefixtures("quick")
def test_london_keeps_its_holidays_its_members_its_cadence_and_what_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tuesday, 28 August 2018 follows a bank holiday; on the next session a member has left and no refit is due."""
    monkeypatch.setenv("FRED_API_KEY", "abcdef0123456789abcdef0123456789")
    tuesday, wednesday = date(2018, 8, 28), date(2018, 8, 29)
    months = pd.date_range("2015-12-01", "2018-08-01", freq="MS")
    levels = np.random.default_rng(0).normal(0.0, 0.2, len(months)) + np.arange(len(months)) // 6 % 2
    vintages = [
        Vintage(f"{month + pd.Timedelta(days=35):%Y-%m-%d}", f"{month:%Y-%m-%d}", f"{level:.3f}")
        for month, level in zip(months, levels, strict=True)
    ]
    with running_server() as server:
        prepare_fred(server, "GBR", vintages)
        workspace = opened(
            tmp_path, LONDON.format(url=server.base_url), "XLON", ["VOD.L", "HSBA.L", "BP.L", "AZN.L", "ARM.L"]
        )
        assert failures(workspace, tuesday) == []
        lane = Lane(workspace.universe, session_partitions(workspace.universe, workspace.calendar))
        with dg.DagsterInstance.get() as instance:
            assets = session_assets(lane, refitted(lane, wednesday, workspace.calendar, instance))
        assert assets
        assert failures(workspace, wednesday, [key.to_user_string() for key in assets]) == []
    assert tuesday - timedelta(days=1) not in days(workspace, tuesday)
    answered_by_the_champion(workspace, tuesday, wednesday)
    for session, present in ((tuesday, True), (wednesday, False)):
        assert workspace.read_window("short", session).prices["ARM.L"].notna().iloc[-1] == present
    known = workspace.training_set("long", wednesday).features["macro_GBR"]
    assert known.iloc[-1] == pytest.approx(float(vintages[-2].value)), "the last one is published in September"


def answered_by_the_champion(workspace: Workspace, refit: date, held: date) -> None:
    """The models of one session answered for the next one, from its own data."""
    for horizon in HORIZONS:
        log = DeploymentLog(workspace.database)
        first, second = (log.served("london", horizon, session) for session in (refit, held))
        assert first is not None
        assert second is not None
        assert second.bundle_sha256 == first.bundle_sha256
        assert second.inputs_hash != first.inputs_hash
        assert workspace.lineage(horizon).find("vae", held) is None
