"""Messages as bars: read one by one, judged together, and sorted into what may be stored and what may not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import pandas as pd

from regime_assets.library.arrivals.kafka_topic import Record
from regime_assets.library.arrivals.micro_batches import foreign_bars, judge, named_bars
from regime_assets.library.market.decisions import as_corrected
from regime_assets.library.market.findings import Finding, blocking
from regime_assets.library.market.sources.base import BAR_COLUMNS
from regime_assets.library.workspace import Workspace

MOST_BYTES = 64 * 1024
"""Of one message; a bar has a few hundred."""

ROUNDS = 5
"""Versions of a refused bar that are tried, newest first, before all of them are refused."""


class StreamedBar(NamedTuple):
    """One message that is a bar: which one, and its price fields."""

    record: Record
    symbol: str
    session: date
    values: dict[str, float]


class Settled(NamedTuple):
    """The outcome for the messages of one transaction.

    Attributes:
        accepted: one bar a symbol and session, columns `BAR_COLUMNS`.
        superseded: good or unjudged bars that a newer accepted one replaced.
        refused: the others, with what is wrong with them.
        warnings: findings on accepted bars.
    """

    accepted: pd.DataFrame
    superseded: int
    refused: list[tuple[StreamedBar, list[Finding]]]
    warnings: int


def as_bar(record: Record, fields: Sequence[str]) -> StreamedBar:
    """A message as a bar.

    Raises:
        ValueError: it is none; the message says why.
    """
    if record.value is None:
        raise ValueError("a tombstone, which has no value")
    if len(record.value) > MOST_BYTES:
        raise ValueError(f"{len(record.value)} bytes, more than a bar has")
    try:
        document = json.loads(record.value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON ({error})") from None
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    missing = [name for name in ("symbol", "session", *fields) if name not in document]
    if missing:
        raise ValueError(f"no {', '.join(missing)}")
    if not isinstance(document["symbol"], str):
        raise ValueError("symbol is no text")
    try:
        session = datetime.strptime(document["session"], "%Y-%m-%d").date()
        if not 1900 <= session.year < 2200:
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(f"session {document['session']!r} is no day such as 2024-06-28"[:200]) from None
    return StreamedBar(record, document["symbol"], session, {name: _number(name, document[name]) for name in fields})


def settle(workspace: Workspace, bars: Sequence[StreamedBar], at: datetime) -> Settled:
    """Of each symbol and session the newest message that breaks no rule."""
    versions: dict[tuple[str, date], list[StreamedBar]] = {}
    for bar in sorted(bars, key=lambda one: (one.record.sent_at, one.record.partition, one.record.offset)):
        versions.setdefault((bar.symbol, bar.session), []).append(bar)
    refused: list[tuple[StreamedBar, list[Finding]]] = []
    for key, finding in foreign_bars(workspace, as_frame(bars), at).items():
        refused += [(bar, [finding]) for bar in versions.pop(key)]
    attempt, decisions = 0, workspace.decisions.standing()
    while versions:
        newest = as_corrected(as_frame([of_bar[-1] for of_bar in versions.values()]), decisions)
        findings = judge(workspace, newest)
        named = named_bars(blocking(findings), list(versions))
        if not named:
            return Settled(newest, sum(map(len, versions.values())) - len(versions), refused, len(findings))
        attempt += 1
        for key, errors in named.items():
            worse = versions[key][-1:] if attempt < ROUNDS else versions[key]
            refused += [(bar, errors) for bar in worse]
            versions[key] = versions[key][: -len(worse)]
            if not versions[key]:
                del versions[key]
    return Settled(as_frame([]), 0, refused, 0)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is no number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is no number that fits") from None


def as_frame(bars: Sequence[StreamedBar]) -> pd.DataFrame:
    rows = [{"symbol": bar.symbol, "session": bar.session, **bar.values} for bar in bars]
    frame = pd.DataFrame(rows, columns=list(BAR_COLUMNS))
    numbers = dict.fromkeys(BAR_COLUMNS[2:], "float64")
    return frame.astype({"symbol": object, **numbers}).assign(
        session=pd.to_datetime(frame["session"]).astype("datetime64[ns]")
    )
