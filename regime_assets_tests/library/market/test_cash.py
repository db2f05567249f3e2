"""What cash earns on a session is what was known the evening before, by the archive's own dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.database import Database
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.market.cash import cash_returns
from regime_assets.library.market.fact_features import FactFeatureError
from regime_assets.library.market.fact_store import FactsStore
from regime_assets.library.market.sources.base import FetchedFacts
from regime_assets.library.universe import Universe, load_universe
from regime_assets_tests.library.market.fixtures import SESSIONS, WEEKDAYS

BASE = """\
name: tiny
source: {kind: sample}
history_start: 2021-01-04
first_partition: 2022-01-03
symbols: [AAPL, MSFT, KO]
traded: [SP500]
macro: {kind: fred, series: [DTB3]}
"""


@dataclass(frozen=True)
class Table:
    sessions: pd.DatetimeIndex


TABLE = Table(pd.DatetimeIndex(pd.to_datetime(list(SESSIONS))))


def read(folder: Path, text: str) -> Universe:
    (folder / "tiny.yaml").write_text(BASE + text)
    return load_universe(folder / "tiny.yaml")


def earned(universe: Universe, database: Database) -> np.ndarray | None:
    return cash_returns(universe, database, WEEKDAYS, SESSIONS[-1], TABLE)


def test_without_a_portfolio_cash_earns_nothing_and_a_constant_is_a_year_cut_into_sessions(tmp_path: Path) -> None:
    database = DatabaseFile(tmp_path / "facts.duckdb")
    assert earned(read(tmp_path, ""), database) is None
    assert earned(read(tmp_path, "portfolio: {no_trade_band: 0.01}\n"), database) is None
    constant = earned(read(tmp_path, "portfolio: {cash: 0.0252}\n"), database)
    np.testing.assert_allclose(constant, 0.0001)


def test_a_series_counts_from_the_session_after_it_was_known(tmp_path: Path) -> None:
    database = DatabaseFile(tmp_path / "facts.duckdb")
    universe = read(tmp_path, "portfolio: {cash: {series: DTB3}}\n")
    with pytest.raises(FactFeatureError):
        earned(universe, database)
    days = [date(2021, 12, 3), date(2022, 1, 12)]
    facts = pd.DataFrame(
        {
            "subject": "DTB3",
            "fact": "level",
            "period": ["2021-12-03", "2022-01-12"],
            "value": [2.52, 5.04],
            "known_at": [pd.Timestamp(day, tz="America/New_York") + pd.Timedelta(hours=18) for day in days],
        }
    )
    at = datetime(2021, 6, 1, tzinfo=UTC)
    FactsStore(database, "tiny", "fred").ingest(FetchedFacts(facts, {}), at, at)
    path = pd.Series(earned(universe, database), TABLE.sessions)
    np.testing.assert_allclose(path[: pd.Timestamp("2022-01-12")], 0.0001)
    np.testing.assert_allclose(path[pd.Timestamp("2022-01-13") :], 0.0002)
