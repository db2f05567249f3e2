"""The user's own files: exact values, and errors that name file and column."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.market.sources.base import BAR_COLUMNS, SourceError
from regime_assets.library.market.sources.files import FilesSource

FIRST, LAST = date(2024, 1, 2), date(2024, 1, 5)
HEADER = "session,open,high,low,close,volume"
ROWS = ["2024-01-02,10,11,9,10.5,100", "2024-01-03,10,11,9,10.25,200", "2024-01-04,5,6,4,5.125,300"]


def write(folder: Path, symbol: str, *rows: str, header: str = HEADER) -> None:
    (folder / f"{symbol}.csv").write_text("\n".join([header, *rows]) + "\n")


def test_a_csv_file_is_read_to_the_digit(tmp_path: Path) -> None:
    write(tmp_path, "KO", *ROWS)
    fetched = FilesSource(tmp_path).fetch(["KO"], FIRST, LAST)
    assert tuple(fetched.bars.columns) == BAR_COLUMNS
    assert fetched.bars["close"].tolist() == [10.5, 10.25, 5.125]
    assert fetched.bars["session"].dt.date.tolist() == [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)]
    assert fetched.actions.empty
    assert fetched.failures == {}


def test_csv_and_parquet_give_the_same_answer(tmp_path: Path) -> None:
    rows = [
        f"{row},{split},{dividend}" for row, split, dividend in zip(ROWS, ["", "", "2"], ["", ".5", ""], strict=True)
    ]
    write(tmp_path, "A", *rows, header=f"{HEADER},split,dividend")
    frame = pd.read_csv(tmp_path / "A.csv", parse_dates=["session"])
    frame.set_index("session").to_parquet(tmp_path / "B.parquet")
    fetched = FilesSource(tmp_path).fetch(["A", "B"], FIRST, LAST)
    of = {
        symbol: group.drop(columns="symbol").reset_index(drop=True) for symbol, group in fetched.bars.groupby("symbol")
    }
    pd.testing.assert_frame_equal(of["A"], of["B"])
    assert fetched.actions.groupby("symbol")["value"].apply(list).to_dict() == {"A": [0.5, 2.0], "B": [0.5, 2.0]}


def test_splits_and_dividends_are_read_on_their_ex_session(tmp_path: Path) -> None:
    rows = [f"{ROWS[0]},1,0", f"{ROWS[1]},,0.24", f"{ROWS[2]},2,0"]
    write(tmp_path, "KO", *rows, header=f"{HEADER},split,dividend")
    actions = FilesSource(tmp_path).fetch(["KO"], FIRST, LAST).actions
    assert actions.to_dict("records") == [
        {"symbol": "KO", "ex_session": pd.Timestamp("2024-01-03"), "kind": "dividend", "value": 0.24},
        {"symbol": "KO", "ex_session": pd.Timestamp("2024-01-04"), "kind": "split", "value": 2.0},
    ]


def test_only_the_requested_sessions_are_returned_in_order(tmp_path: Path) -> None:
    write(tmp_path, "KO", *reversed(ROWS))
    bars = FilesSource(tmp_path).fetch(["KO"], date(2024, 1, 2), date(2024, 1, 3)).bars
    assert bars["session"].dt.day.tolist() == [2, 3]


def test_a_duplicate_row_is_passed_on_for_the_quality_checks_to_name(tmp_path: Path) -> None:
    write(tmp_path, "KO", ROWS[0], ROWS[0])
    assert len(FilesSource(tmp_path).fetch(["KO"], FIRST, LAST).bars) == 2


def test_a_row_without_any_price_is_no_bar_and_an_empty_range_is_passed_on(tmp_path: Path) -> None:
    write(tmp_path, "KO", "2024-01-02,,,,10.5,", "2024-01-03,,,,,", "2024-01-04,1,1,1,,1")
    bars = FilesSource(tmp_path).fetch(["KO"], FIRST, LAST).bars
    assert bars["session"].dt.day.tolist() == [2, 4]
    assert bars["close"].tolist()[0] == 10.5
    assert bars.iloc[0][["open", "high", "low", "volume"]].isna().all()


def test_files_with_closes_only_say_so(tmp_path: Path) -> None:
    write(tmp_path, "KO", "2024-01-02,10.5", header="session,close")
    source = FilesSource(tmp_path, fields=["close"])
    assert source.fields == ("close",)
    bars = source.fetch(["KO"], FIRST, LAST).bars
    assert bars["close"].tolist() == [10.5]
    assert bars[["open", "high", "low", "volume"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("session,open,high,low,volume", "2024-01-02,1,1,1,1", "BAD.csv: no column close"),
        (
            "session,close",
            "2024-01-02,1",
            "BAD.csv: no column open, high, low, volume; files of closes alone say so by",
        ),
        (HEADER, "02/01/2024,1,1,1,1,1", "BAD.csv: time data"),
        (HEADER, "2024-01-02,1,1,1,one,1", "BAD.csv: column close in line 2 says 'one'"),
        (HEADER, "2024-01-02,1,1,1,,1", "BAD.csv: no close from 2024-01-02 to 2024-01-05"),
        (HEADER, "2023-01-02,1,1,1,1,1", "BAD.csv: no session from 2024-01-02 to 2024-01-05"),
        (HEADER, "2024-01-02,1,1,1,1,1,1,1\n2024-01-03", "BAD.csv"),
        ("", "", "BAD.csv: "),
    ],
    ids=["column", "columns", "date", "number", "gap", "range", "ragged", "empty"],
)
def test_an_unusable_file_fails_its_symbol_alone(tmp_path: Path, header: str, row: str, message: str) -> None:
    write(tmp_path, "KO", *ROWS)
    write(tmp_path, "BAD", row, header=header)
    fetched = FilesSource(tmp_path).fetch(["BAD", "KO"], FIRST, LAST)
    assert set(fetched.bars["symbol"]) == {"KO"}
    assert message in fetched.failures["BAD"]


@pytest.mark.parametrize("content", [b"", b"PAR1 not really PAR1", np.random.default_rng(0).bytes(500)])
def test_a_broken_parquet_file_fails_its_symbol_alone(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "KO", *ROWS)
    (tmp_path / "BAD.parquet").write_bytes(content)
    fetched = FilesSource(tmp_path).fetch(["BAD", "KO"], FIRST, LAST)
    assert "BAD.parquet: unreadable" in fetched.failures["BAD"]


def test_a_session_with_a_time_zone_is_refused(tmp_path: Path) -> None:
    index = pd.DatetimeIndex(["2024-01-02"], tz="America/New_York", name="session")
    pd.DataFrame({"close": [1.0]}, index=index).to_parquet(tmp_path / "KO.parquet")
    fetched = FilesSource(tmp_path, fields=["close"]).fetch(["KO"], FIRST, LAST)
    assert "time zone" in fetched.failures["KO"]


def test_a_missing_file_and_an_ambiguous_pair_are_named(tmp_path: Path) -> None:
    write(tmp_path, "KO", *ROWS)
    (tmp_path / "KO.parquet").write_bytes(b"")
    failures = FilesSource(tmp_path).fetch(["KO", "PEP"], FIRST, LAST).failures
    assert "keep one" in failures["KO"]
    assert "neither PEP.csv nor PEP.parquet" in failures["PEP"]


def test_a_missing_folder_is_an_error_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        FilesSource(tmp_path / "nowhere").fetch(["KO"], FIRST, LAST)


def test_a_symbol_cannot_leave_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "secret", *ROWS)
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(SourceError, match="refused symbols"):
        FilesSource(inner).fetch(["../secret"], FIRST, LAST)


def test_fields_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="take close"):
        FilesSource(tmp_path, fields=["close", "vwap"])
