"""The out-of-sample track: for each session, what the newest model that existed by then decided on it.

Each materialized session stores its own stretch of the track, under the design whose models decided it: what one
design decided is never another one's record. Read as of a session, a design's track takes for every session the
decision of the newest model among the stretches stored up to then, and no decision of a model that had seen what
the decision earns.
"""

from __future__ import annotations

from datetime import date

import pandas as pd

from regime_assets.library.database import Database
from regime_assets.library.trading.decided import packed, unpacked

TABLE = "decisions"
COLUMNS = ("model_session", "regime", "risk_off", "rule_exposure", "policy_exposure", "reconstruction_error")


class TrackError(Exception):
    """The track is empty, or a decision was taken by a model that had seen later sessions."""


def store_stretch(database: Database, key: dict[str, object], design: str, stretch: pd.DataFrame) -> None:
    """Store the decisions that one partition of a design adds.

    Args:
        database: of the universe.
        key: universe, horizon and as_of.
        design: hash of the design whose models decided.
        stretch: index `session`, columns `COLUMNS` and the weights of rule and policy by instrument
            (`trading.decided`).

    Raises:
        TrackError: a decision's model had seen sessions later than the one it decides on.
    """
    late = stretch[stretch["model_session"] > stretch.index]
    if not late.empty:
        raise TrackError(
            f"the model of {late['model_session'].iloc[0]:%Y-%m-%d} cannot decide {late.index[0]:%Y-%m-%d}"
        )
    keyed = {**key, "design": design}
    database.replace_partition(TABLE, keyed, packed(stretch).rename_axis("session").reset_index())


def read_track(database: Database, universe: str, horizon: str, as_of: date, design: str) -> pd.DataFrame:
    """A design's decisions as of a session, one a session, by the newest model that decided it; empty without any."""
    if not database.has_table(TABLE):
        return _empty()
    sql = f"""
        SELECT * EXCLUDE (universe, horizon, as_of, design)
        FROM {TABLE} WHERE universe = ? AND horizon = ? AND as_of <= ? AND session <= ? AND design = ?
        QUALIFY row_number() OVER (PARTITION BY session ORDER BY model_session DESC, as_of DESC) = 1
        ORDER BY session
    """
    frame = database.query(sql, [universe, horizon, as_of, as_of, design])
    if frame.empty:
        return _empty()
    for column in ("session", "model_session"):
        frame[column] = frame[column].astype("datetime64[ns]")
    return unpacked(frame.set_index("session"))


def last_decided(database: Database, universe: str, horizon: str, as_of: date, design: str) -> date | None:
    """The last session of a design's track as of a session; None where it has none."""
    if not database.has_table(TABLE):
        return None
    sql = f"""
        SELECT max(session) FROM {TABLE}
        WHERE universe = ? AND horizon = ? AND as_of <= ? AND session <= ? AND design = ?"""
    ((last,),) = database.rows(sql, [universe, horizon, as_of, as_of, design])
    return None if last is None else pd.Timestamp(last).date()


def _empty() -> pd.DataFrame:
    return pd.DataFrame(columns=list(COLUMNS), index=pd.DatetimeIndex([], name="session"))
