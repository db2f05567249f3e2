"""A market that never closes, and an exchange outside the US that is refitted monthly: a file each, the whole graph."""

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from regime_assets.assets.lane import Lane
from regime_assets.library.chain import Chain
from regime_assets.library.design import Design
from regime_assets.library.home import Home
from regime_assets.library.market.calendar import load_calendar
from regime_assets.library.models.policy_settings import PolicySettings
from regime_assets.library.models.vae import VaeSettings
from regime_assets.library.production.deployments import DeploymentLog
from regime_assets.library.universe import HORIZONS, load_universe
from regime_assets.partitions import session_partitions
from regime_assets.session_run import refitted, session_assets
from regime_assets_tests.chain_run import materialize

TINY = Design(
    vae=VaeSettings(hidden=(8,), epochs=6, warm_up_epochs=2, steps_per_epoch=4, fine_tune_epochs=2),
    policy=PolicySettings(seeds=2, gradient_steps=20, hidden=(8,)),
)
UNIVERSE = """\
name: {name}
source: {{kind: files, options: {{folder: "{folder}", fields: [close]}}}}
calendar: {calendar}
history_start: 2016-01-04
first_partition: 2018-06-01
last_partition: 2018-12-31
symbols: [{symbols}]
refit: {{every: {every}}}
walk_forward: {{sessions: 60, refit_every: 60}}
sessions_per_year: {sessions_per_year}
"""


def written(root: Path, name: str, calendar: str, symbols: list[str], sessions_per_year: int, every: str) -> None:
    """A universe file and simulated closes on its calendar: half-years of calm and of turmoil."""
    prices = root / "prices" / name
    prices.mkdir(parents=True)
    text = UNIVERSE.format(
        name=name,
        folder=prices,
        calendar=calendar,
        symbols=", ".join(symbols),
        sessions_per_year=sessions_per_year,
        every=every,
    )
    (root / "universes").mkdir(exist_ok=True)
    (root / "universes" / f"{name}.yaml").write_text(text)
    sessions = load_calendar(calendar, date(2016, 1, 4), root / "home" / "calendars").sessions(
        date(2016, 1, 4), date(2018, 12, 31)
    )
    random = np.random.default_rng(len(sessions))
    volatility = np.where(np.arange(len(sessions)) // 125 % 2, 0.02, 0.007)[:, None]
    shocks = 0.7 * random.standard_normal((len(sessions), 1)) + 0.7 * random.standard_normal((len(sessions), 4))
    closes = 100.0 * np.cumprod(1.0 + volatility * shocks, axis=0)
    for symbol, column in zip(symbols, closes.T, strict=False):
        pd.DataFrame({"session": sessions, "close": column}).to_csv(prices / f"{symbol}.csv", index=False)


@pytest.mark.parametrize(
    ("name", "calendar", "symbols", "sessions_per_year", "every", "session"),
    [
        ("crypto", "24/7", ["BTC-USD", "ETH-USD", "LTC-USD", "XRP-USD"], 365, "daily", date(2018, 8, 26)),
        ("london", "XLON", ["VOD.L", "HSBA.L", "BP.L", "AZN.L"], 253, "monthly", date(2018, 8, 28)),
    ],
)
def test_a_file_makes_a_chain_on_its_own_calendar(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    calendar: str,
    symbols: list[str],
    sessions_per_year: int,
    every: str,
    session: date,
) -> None:
    """Sunday, 26 August 2018 for the one; for the other the session after the summer bank holiday."""
    monkeypatch.setattr(Chain, "design", TINY)
    written(tmp_path, name, calendar, symbols, sessions_per_year, every)
    home, universes = Home(tmp_path / "home"), tmp_path / "universes"
    result = materialize(home, universes, f"{name}_daily", session.isoformat())
    assert result.success
    chain = Chain(load_universe(universes / f"{name}.yaml"), home)
    sessions: list[date] = []
    for horizon in HORIZONS:
        sessions = [moment.date() for moment in chain.training_set(horizon, session).sessions]
        assert sessions == list(chain.calendar.sessions(sessions[0], session))
    weekend = {day.weekday() for day in sessions} & {5, 6}
    assert weekend == ({5, 6} if calendar == "24/7" else set())
    assert (session - timedelta(days=1) in sessions) == (calendar == "24/7")
    signal = chain.database.query("SELECT symbol, as_of FROM daily_signal ORDER BY symbol")
    assert list(signal["symbol"]) == sorted(symbols)
    assert set(signal["as_of"].dt.date) == {session}
    if every == "monthly":
        held_session_is_answered_by_the_champion(chain, universes, chain.calendar.next(session))


def held_session_is_answered_by_the_champion(chain: Chain, universes: Path, session: date) -> None:
    """The next session, for which the daily run leaves the refit out."""
    lane = Lane(chain.universe, session_partitions(chain.universe, chain.calendar))
    with dg.DagsterInstance.get() as instance:
        assets = session_assets(lane, refitted(lane, session, chain.calendar, instance))
    selection = [key.to_user_string() for key in assets or ()]
    assert selection
    assert materialize(chain.home, universes, "london_daily", session.isoformat(), selection).success
    before = chain.calendar.previous(session)
    for horizon in HORIZONS:
        log = DeploymentLog(chain.database)
        last, held = (log.served("london", horizon, day) for day in (before, session))
        assert last is not None
        assert held is not None
        assert held.bundle_sha256 == last.bundle_sha256
        assert held.inputs_hash != last.inputs_hash
        assert chain.lineage(horizon).find("vae", session) is None
