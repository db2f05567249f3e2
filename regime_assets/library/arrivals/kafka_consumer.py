"""Bars from a Kafka topic, exactly once: the offsets behind them are stored in the same transaction as the bars.

A message is one bar. What cannot be read or breaks a rule goes to quarantine by topic, partition and offset, and the
messages after it are stored all the same. A run that dies leaves bars and offsets as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from regime_assets.library import tables
from regime_assets.library.arrivals.kafka_bars import MOST_BYTES, StreamedBar, as_bar, as_frame, settle
from regime_assets.library.arrivals.kafka_topic import Position, Record, Topic, open_topic
from regime_assets.library.arrivals.micro_batches import StreamError, as_answer, supplied_fields
from regime_assets.library.clock import clock
from regime_assets.library.keyed_rows import put
from regime_assets.library.market.findings import Finding, findings_frame
from regime_assets.library.market.quarantine import Refusal
from regime_assets.library.market.store import IngestReport
from regime_assets.library.market.ways_out import with_way_out
from regime_assets.library.steps.raw_prices import store_in
from regime_assets.library.universe import KafkaChoice, Universe
from regime_assets.library.workspace import Workspace

if TYPE_CHECKING:
    import duckdb

MOST_MESSAGES = 5_000
"""Messages of one transaction."""

NOTHING = IngestReport(0, 0, 0, 0)

Log = Callable[[str], None]


@dataclass(frozen=True)
class Drained:
    """What one run stored.

    Attributes:
        messages: how many were read.
        superseded: good bars that a later message of the same transaction replaced before they were stored.
        refused: what was put into quarantine, one message a line.
        sessions: the sessions of the stored bars, ascending.
        report: new and revised bars.
        warnings: findings that do not block.
    """

    messages: int = 0
    superseded: int = 0
    refused: tuple[str, ...] = ()
    sessions: tuple[date, ...] = ()
    report: IngestReport = field(default_factory=lambda: NOTHING)
    warnings: int = 0

    def __add__(self, other: Drained) -> Drained:
        return Drained(
            self.messages + other.messages,
            self.superseded + other.superseded,
            self.refused + other.refused,
            tuple(sorted({*self.sessions, *other.sessions})),
            IngestReport(*(a + b for a, b in zip(self.report, other.report, strict=True))),
            self.warnings + other.warnings,
        )


def waiting_messages(choice: KafkaChoice, universe: str) -> dict[int, int] | None:
    """Partition → its end, when messages wait that no run has stored; None when none do. Reads no message.

    Raises:
        StreamError: the broker does not answer, or has no such topic.
    """
    with open_topic(choice, _group(universe)) as topic:
        positions = topic.positions()
    waiting = any(at.end > (at.oldest if at.committed is None else at.committed) for at in positions.values())
    return {partition: at.end for partition, at in positions.items()} if waiting else None


def drain_topic(workspace: Workspace, choice: KafkaChoice, log: Log) -> Drained:
    """Store the bars of all messages up to the topic's end.

    Raises:
        StreamError: the broker failed, nothing was loaded for the universe yet, or another run stored the same
            messages meanwhile. What earlier transactions stored stays.
    """
    if not workspace.market.newest_sessions():
        raise StreamError(f"{workspace.universe.name} has no history yet: materialize raw_prices first")
    total, complete = Drained(), False
    with open_topic(choice, _group(workspace.universe.name)) as topic:
        positions = topic.positions()
        while not complete:
            known = stored_offsets(workspace, topic.name)
            lost = _lost(topic.name, known, positions)
            for gone in lost:
                log(gone.findings["message"].iloc[0])
            start = {number: max(known.get(number, at.oldest), at.oldest) for number, at in positions.items()}
            batch = topic.read(start, MOST_MESSAGES)
            if batch.records or lost or batch.reached != known:
                stored = _store(workspace, topic.name, batch.records, lost, known, batch.reached)
                log(f"{topic.name}: {len(batch.records)} messages, {stored.report.written} bars written")
                total += stored
                _tell(topic, batch.reached, log)
            complete = batch.complete
    return total


def stored_offsets(workspace: Workspace, topic: str) -> dict[int, int]:
    """Partition → the offset that the next run starts from; empty before the first."""
    with workspace.database.connect() as connection:
        return _offsets(connection, workspace.universe.name, topic)


def _store(
    workspace: Workspace,
    topic: str,
    records: Sequence[Record],
    lost: Sequence[Refusal],
    known: Mapping[int, int],
    reached: Mapping[int, int],
) -> Drained:
    at, fields, bars, refusals = clock.now(), supplied_fields(workspace), list[StreamedBar](), list(lost)
    for record in records:
        try:
            bars.append(as_bar(record, fields))
        except ValueError as error:
            refusals.append(_unreadable(topic, record, str(error)))
    settled = settle(workspace, bars, at)
    of_bar = {_origin(topic, bar.record): findings[0] for bar, findings in settled.refused}
    for bar, findings in settled.refused:
        refusals.append(Refusal(_origin(topic, bar.record), bar.session, findings_frame(findings), as_frame([bar])))
    name, answered = workspace.universe.name, workspace.held_back.all()
    with workspace.database.transaction() as connection:
        if _offsets(connection, name, topic) != known:
            raise StreamError(f"kafka topic {topic}: another run stored its messages meanwhile; nothing was stored")
        report = NOTHING
        if not settled.accepted.empty:
            source = f"kafka:{topic}"
            report = store_in(connection, workspace, as_answer(settled.accepted), source, at, answered)
        workspace.quarantine.record(connection, refusals, at)
        for number, offset in reached.items():
            put(connection, tables.STREAM_OFFSETS, [name, topic, number, offset, at.replace(tzinfo=None)])
    shown = tuple(f"{one.origin}: {_told(one, of_bar.get(one.origin), workspace.universe)}" for one in refusals)
    sessions = tuple(sorted(set(settled.accepted["session"].dt.date)))
    return Drained(len(records), settled.superseded, shown, sessions, report, settled.warnings)


def _told(refusal: Refusal, finding: Finding | None, universe: Universe) -> str:
    return with_way_out(finding, universe) if finding else str(refusal.findings["message"].iloc[0])


def _unreadable(topic: str, record: Record, reason: str) -> Refusal:
    origin = _origin(topic, record)
    finding = Finding("readable", "error", "", None, "", None, "one bar as a JSON object", reason)
    text = "" if record.value is None else record.value[:MOST_BYTES].decode(errors="backslashreplace")
    return Refusal(origin, None, findings_frame([finding]), payload=text)


def _lost(topic: str, known: Mapping[int, int], positions: Mapping[int, Position]) -> list[Refusal]:
    """Messages that the broker deleted before they were read: they cannot be had any more, and that is on record."""
    lost: list[Refusal] = []
    for number, at in positions.items():
        if number in known and known[number] < at.oldest:
            reason = f"offsets {known[number]} to {at.oldest - 1} were deleted by the broker before they were read"
            finding = Finding("kept", "error", "", None, "", None, "messages that are kept until they are read", reason)
            lost.append(Refusal(f"kafka:{topic}/{number}/{known[number]}", None, findings_frame([finding])))
    return lost


def _tell(topic: Topic, reached: Mapping[int, int], log: Log) -> None:
    """Commit to the broker, for others to look at: a failure costs nothing but a further run."""
    try:
        topic.commit(reached)
    except StreamError as error:
        log(f"stored, but the broker was not told so: {error}")


def _offsets(connection: duckdb.DuckDBPyConnection, universe: str, topic: str) -> dict[int, int]:
    connection.execute(tables.STREAM_OFFSETS.ddl)
    sql = "SELECT partition_number, next_offset FROM stream_offsets WHERE universe = ? AND topic = ?"
    return {int(number): int(offset) for number, offset in connection.execute(sql, [universe, topic]).fetchall()}


def _origin(topic: str, record: Record) -> str:
    return f"kafka:{topic}/{record.partition}/{record.offset}"


def _group(universe: str) -> str:
    return f"regime_assets.{universe}"
