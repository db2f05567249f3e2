"""Micro-batches: bars that arrive between two daily runs, validated and stored in the same table as those.

A batch may be partial, some symbols of some sessions. It continues what the daily run loaded and never replaces it:
history, corporate actions and completeness stay the daily run's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from regime_assets.library.chain import Chain
from regime_assets.library.market.quality import Finding, blocking, check_bars, findings_frame
from regime_assets.library.market.quarantine import Refusal
from regime_assets.library.market.sources import create_source
from regime_assets.library.market.sources.base import BAR_COLUMNS, History, assemble, no_actions
from regime_assets.library.market.store import IngestReport
from regime_assets.library.pipeline.ingestion import (
    HISTORY_SESSIONS,
    OVERLAP_SESSIONS,
    RejectedDataError,
    last_sessions,
    quality_settings,
    store_accepted,
)

MAX_FILE_BYTES = 64 * 1024 * 1024


class StreamError(Exception):
    """A batch that is no table of this universe's bars; nothing of it was stored."""


@dataclass(frozen=True)
class Appended:
    """What one batch wrote.

    Attributes:
        sessions: the sessions that it has bars of, ascending.
        report: new and revised bars.
        warnings: findings that do not block, one a row.
    """

    sessions: tuple[date, ...]
    report: IngestReport
    warnings: pd.DataFrame


def append_bars(chain: Chain, frame: pd.DataFrame, source: str, at: datetime) -> Appended:
    """Validate a batch of streamed bars and store what is new or differs, as known from `at` on.

    Args:
        chain: the universe; its history was loaded by `raw_prices`.
        frame: columns symbol, session (days; text as ISO dates) and the price fields that the universe's source
            supplies, as traded. A bar of a running session is provisional: the next one that differs revises it.
        source: who delivered it, kept with each row.
        at: when it was received, with a time zone.

    Raises:
        StreamError: a column is missing or unreadable, a symbol is not of this universe or has no history yet, or a
            session is none of the calendar, lies ahead of `at`, or leaves a gap behind the stored bars.
        RejectedDataError: the bars broke a blocking rule; findings and bars are kept in quarantine.
        StoreError: a differing version of a bar became known at or after `at`.
    """
    fields = create_source(chain.universe.source.kind, chain.universe.source.options).fields
    bars = _as_bars(frame, fields)
    _refuse_strangers(chain, bars, at)
    days = [moment.date() for moment in (bars["session"].min(), bars["session"].max())]
    sessions = chain.calendar.sessions(days[0], days[1])
    findings = _findings(chain, bars, sessions, fields)
    errors = blocking(findings)
    if errors:
        refused = findings_frame(errors)
        chain.quarantine.refuse(Refusal(source, sessions[-1], refused, bars), at)
        shown = "; ".join(error.message for error in errors[:10])
        raise RejectedDataError(
            f"{chain.universe.name}: a batch up to {sessions[-1]} from {source} was refused, nothing of it was stored: "
            f"{shown}",
            refused,
        )
    by_symbol = {
        str(symbol): History(rows.set_index("session").drop(columns="symbol"), no_actions())
        for symbol, rows in bars.groupby("symbol")
    }
    report = store_accepted(chain, assemble(by_symbol, {}), source, at)
    present = set(bars["session"].dt.date)
    return Appended(tuple(day for day in sessions if day in present), report, findings_frame(findings))


def read_batch(path: Path) -> pd.DataFrame:
    """The bars of one CSV or Parquet file, as `append_bars` takes them.

    Raises:
        StreamError: the file is missing, too large for a batch, or unreadable.
    """
    import pyarrow

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise StreamError(f"{path.name}: larger than {MAX_FILE_BYTES >> 20} MB, no batch of bars")
        if path.suffix == ".parquet":
            return pd.read_parquet(path, engine="pyarrow")
        return pd.read_csv(path, dtype={"symbol": str, "session": str})
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise StreamError(f"{path.name}: unreadable ({error})") from error


def _as_bars(frame: pd.DataFrame, fields: tuple[str, ...]) -> pd.DataFrame:
    missing = [name for name in ("symbol", "session", *fields) if name not in frame.columns]
    if missing:
        raise StreamError(f"no column {', '.join(missing)}")
    if frame.empty:
        raise StreamError("a batch without bars")
    try:
        bars = frame[["symbol", "session", *fields]].astype({"symbol": str, **dict.fromkeys(fields, "float64")})
        if pd.api.types.is_string_dtype(bars["session"]) or bars["session"].dtype == object:
            bars["session"] = pd.to_datetime(bars["session"].astype(str), format="%Y-%m-%d")
        bars["session"] = bars["session"].astype("datetime64[ns]")
    except (TypeError, ValueError) as error:
        raise StreamError(f"unreadable bars: {error}") from error
    if bars["session"].isna().any() or (bars["session"] != bars["session"].dt.normalize()).any():
        raise StreamError("column session has entries that are no days")
    return bars.reindex(columns=list(BAR_COLUMNS))


def _refuse_strangers(chain: Chain, bars: pd.DataFrame, at: datetime) -> None:
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    universe, calendar = chain.universe, chain.calendar
    newest = chain.market.newest_sessions()
    today = at.astimezone(ZoneInfo(calendar.timezone)).date()
    for symbol, rows in bars.groupby("symbol"):
        if symbol not in universe.instruments:
            raise StreamError(f"{symbol} is no instrument of {universe.name}")
        if symbol not in newest:
            raise StreamError(f"{symbol} has no history yet: materialize raw_prices first")
        days = sorted({moment.date() for moment in rows["session"]})
        for day in days:
            if not calendar.is_session(day):
                raise StreamError(f"{symbol} {day}: no session of {calendar.name}")
            if symbol not in universe.instruments_on(day):
                raise StreamError(f"{symbol} {day}: it is no member of {universe.name} then")
            if day > today:
                raise StreamError(f"{symbol} {day}: lies ahead of {at:%Y-%m-%d %H:%M %Z}")
        between = len(calendar.sessions(newest[str(symbol)], days[0])) - 2
        if between > OVERLAP_SESSIONS:
            raise StreamError(
                f"{symbol} {days[0]}: {between} sessions are missing after {newest[str(symbol)]}; the daily run would "
                "not fetch them any more: materialize raw_prices first"
            )


def _findings(chain: Chain, bars: pd.DataFrame, sessions: tuple[date, ...], fields: tuple[str, ...]) -> list[Finding]:
    """What the rules say to the bars that are there; which others should be there is the daily run's question."""
    before = last_sessions(chain, sessions[0], HISTORY_SESSIONS)[0]
    calendar, instruments = chain.calendar, chain.universe.instruments
    findings = check_bars(
        bars,
        instruments,
        sessions,
        fields,
        quality_settings(chain.universe),
        history=chain.universe.membership.of(
            chain.market.bars(sessions[-1], before, sessions[0], calendar, instruments)
        ),
        actions=chain.market.actions(sessions[-1], before, sessions[-1], calendar),
    )
    return [finding for finding in findings if finding.rule != "complete"]
