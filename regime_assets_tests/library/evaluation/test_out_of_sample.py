"""The track takes for every session the newest model that existed, and never one that had seen the future."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.database import Database
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.evaluation.out_of_sample import TrackError, read_track, store_stretch
from regime_assets.library.market.decisions import DecisionStore
from regime_assets.library.trading.decided import weights_of

DESIGN = "shipped"


def stretch(model: str, *sessions: str, exposure: float = 1.0) -> pd.DataFrame:
    index = pd.DatetimeIndex(sessions, name="session")
    return pd.DataFrame(
        {
            "model_session": pd.Timestamp(model),
            "regime": 0,
            "risk_off": 0.1,
            "rule_exposure": 1.0,
            "policy_exposure": exposure,
            "reconstruction_error": 0.5,
        },
        index=index,
    )


def key(as_of: str) -> dict[str, object]:
    return {"universe": "u", "horizon": "short", "as_of": date.fromisoformat(as_of)}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return DatabaseFile(tmp_path / "track.duckdb")


def test_the_newest_model_that_existed_decides(database: Database) -> None:
    store_stretch(database, key("2020-01-03"), DESIGN, stretch("2020-01-02", "2020-01-02", "2020-01-03", exposure=0.2))
    store_stretch(database, key("2020-01-06"), DESIGN, stretch("2020-01-03", "2020-01-03", "2020-01-06", exposure=0.8))
    track = read_track(database, "u", "short", date(2020, 1, 6), DESIGN)
    assert list(track["policy_exposure"]) == [0.2, 0.8, 0.8]


def test_as_of_a_session_later_stretches_do_not_exist(database: Database) -> None:
    store_stretch(database, key("2020-01-03"), DESIGN, stretch("2020-01-02", "2020-01-02", "2020-01-03", exposure=0.2))
    store_stretch(database, key("2020-01-06"), DESIGN, stretch("2020-01-03", "2020-01-03", "2020-01-06", exposure=0.8))
    track = read_track(database, "u", "short", date(2020, 1, 3), DESIGN)
    assert list(track["policy_exposure"]) == [0.2, 0.2]


def test_what_one_design_decided_is_never_another_ones_record(database: Database) -> None:
    store_stretch(database, key("2020-01-03"), DESIGN, stretch("2020-01-02", "2020-01-02", "2020-01-03", exposure=0.2))
    store_stretch(database, key("2020-01-03"), "other", stretch("2020-01-02", "2020-01-03", exposure=0.9))
    assert list(read_track(database, "u", "short", date(2020, 1, 3), DESIGN)["policy_exposure"]) == [0.2, 0.2]
    assert list(read_track(database, "u", "short", date(2020, 1, 3), "other")["policy_exposure"]) == [0.9]


def test_a_model_that_had_seen_later_sessions_is_refused(database: Database) -> None:
    with pytest.raises(TrackError, match="2020-01-06 cannot decide 2020-01-03"):
        store_stretch(database, key("2020-01-06"), DESIGN, stretch("2020-01-06", "2020-01-03"))
    assert read_track(database, "u", "short", date(2020, 1, 6), DESIGN).empty


def test_a_decision_of_everything_in_one_instrument_is_not_read_back_as_equal_parts(database: Database) -> None:
    decided = stretch("2020-01-02", "2020-01-02", "2020-01-03")
    decided = decided.assign(**{"policy_weight:A": 0.0, "policy_weight:B": [1.0, 0.25]})
    store_stretch(database, key("2020-01-03"), DESIGN, decided)
    track = read_track(database, "u", "short", date(2020, 1, 3), DESIGN)
    np.testing.assert_array_equal(weights_of(track, "policy", ["A", "B"]), [[0.0, 1.0], [0.0, 0.25]])


def test_it_shares_no_table_with_the_decisions_about_bars(database: Database) -> None:
    assert DecisionStore(database, "u").standing() == ()
    assert read_track(database, "u", "short", date(2020, 1, 3), DESIGN).empty
    store_stretch(database, key("2020-01-02"), DESIGN, stretch("2020-01-02", "2020-01-02"))
    assert len(read_track(database, "u", "short", date(2020, 1, 3), DESIGN)) == 1
    assert DecisionStore(database, "u").standing() == ()
