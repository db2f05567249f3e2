"""Every refusal stays on record with what it held back, and with the time at which that was accepted after all."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.market.findings import Finding, findings_frame, found
from regime_assets.library.market.quarantine import MOST_PAYLOAD, Quarantine, Refusal, as_text

MONDAY, TUESDAY = date(2020, 3, 2), date(2020, 3, 3)
NOON, ONE, TWO = (datetime(2020, 3, 3, hour, tzinfo=UTC) for hour in (12, 13, 14))


@pytest.fixture
def quarantine(tmp_path: Path) -> Quarantine:
    return Quarantine(DatabaseFile(tmp_path / "a.duckdb"), "tiny")


def bars(*keys: tuple[str, date], close: float = 10.0) -> pd.DataFrame:
    frame = pd.DataFrame(keys, columns=["symbol", "session"])
    prices = dict.fromkeys(("open", "high", "low"), np.nan) | {"close": close, "volume": np.nan}
    return frame.assign(session=pd.to_datetime(frame["session"]), **prices)


def refusal(*findings: Finding, of: pd.DataFrame, origin: str = "made") -> Refusal:
    return Refusal(origin, TUESDAY, findings_frame(findings), of)


def negative(symbol: str = "A", session: date = TUESDAY) -> Finding:
    return found("positive", "error", symbol, session, field="close", value=-1.0, bound="> 0")


def accept(quarantine: Quarantine, rows: pd.DataFrame, at: datetime) -> None:
    with quarantine._database.transaction() as connection:
        quarantine.accept(connection, rows, "made", at)


def test_a_later_refusal_stands_beside_the_earlier_one(quarantine: Quarantine) -> None:
    for at, close in ((NOON, -1.0), (ONE, -2.0)):
        quarantine.refuse(refusal(negative(), of=bars(("A", TUESDAY), close=close)), at)
    history = quarantine.history()
    assert history["close"].tolist() == [-1.0, -2.0]
    assert history["known_at"].tolist() == [pd.Timestamp("2020-03-03 12:00"), pd.Timestamp("2020-03-03 13:00")]
    assert history["accepted_at"].isna().all()


def test_bars_that_no_finding_names_are_not_kept(quarantine: Quarantine) -> None:
    quarantine.refuse(refusal(negative(), of=bars(("A", MONDAY), ("A", TUESDAY), ("B", TUESDAY))), NOON)
    assert list(quarantine.history()[["symbol", "session"]].itertuples(index=False, name=None)) == [
        ("A", pd.Timestamp(TUESDAY))
    ]


def test_a_session_refused_as_a_whole_keeps_all_its_bars_and_both_of_a_pair(quarantine: Quarantine) -> None:
    whole = found("stale_session", "error", "", TUESDAY, bound="another session")
    quarantine.refuse(refusal(whole, of=bars(("A", MONDAY), ("A", TUESDAY), ("B", TUESDAY))), NOON)
    twice = found("unique", "error", "A", MONDAY, bound="one bar")
    quarantine.refuse(refusal(twice, of=bars(("A", MONDAY), ("A", MONDAY))), ONE)
    assert quarantine.history()["symbol"].tolist() == ["A", "B", "A", "A"]
    assert quarantine.history("B")["rule"].tolist() == ["stale_session"]


def test_the_next_good_answer_is_noted_once_with_every_open_refusal(quarantine: Quarantine) -> None:
    for at in (NOON, ONE):
        quarantine.refuse(refusal(negative(), negative("B"), of=bars(("A", TUESDAY))), at)
    accept(quarantine, bars(("A", TUESDAY), ("A", MONDAY)), TWO)
    accept(quarantine, bars(("A", TUESDAY)), datetime(2020, 3, 4, tzinfo=UTC))
    assert quarantine.history("A")["accepted_at"].tolist() == [pd.Timestamp("2020-03-03 14:00")] * 2
    assert quarantine.history("B")["accepted_at"].isna().all(), "its bar never came"


def test_a_missing_bar_and_an_unreadable_message_are_on_record_too(quarantine: Quarantine) -> None:
    missing = found("complete", "error", "A", TUESDAY, bound="a bar a session")
    quarantine.refuse(Refusal("made", TUESDAY, findings_frame([missing])), NOON)
    unreadable = found("readable", "error", "", None, bound="a JSON object")
    quarantine.refuse(Refusal("kafka:bars/0/17", None, findings_frame([unreadable]), payload="x" * 9999), ONE)
    history = quarantine.history()
    assert history["rule"].tolist() == ["complete", "readable"]
    assert history["payload"].str.len().tolist()[1] == MOST_PAYLOAD
    accept(quarantine, bars(("A", TUESDAY)), TWO)
    assert as_text(quarantine.history())["accepted at"].tolist() == ["2020-03-03 14:00:00", "never"]


def test_history_can_be_asked_for_by_session_and_is_of_one_universe(quarantine: Quarantine) -> None:
    quarantine.refuse(refusal(negative(), negative("A", MONDAY), of=bars(("A", TUESDAY))), NOON)
    assert len(quarantine.history(sessions=[MONDAY])) == 1
    assert len(quarantine.history("A", [MONDAY, TUESDAY])) == 2
    assert Quarantine(quarantine._database, "other").history().empty
    assert as_text(Quarantine(quarantine._database, "other").history()).empty


def test_a_reader_sees_the_bar_in_one_cell(quarantine: Quarantine) -> None:
    quarantine.refuse(refusal(negative(), of=bars(("A", TUESDAY), close=-1.0).assign(volume=5.0)), NOON)
    (row,) = as_text(quarantine.history()).to_dict("records")
    assert (row["held back"], row["session"], row["accepted at"]) == ("close -1, volume 5", "2020-03-03", "never")


def test_a_time_without_a_zone_is_refused(quarantine: Quarantine) -> None:
    with pytest.raises(ValueError, match="time zone"):
        quarantine.refuse(refusal(negative(), of=bars(("A", TUESDAY))), NOON.replace(tzinfo=None))
    assert quarantine.history().empty, "and nothing is written"
