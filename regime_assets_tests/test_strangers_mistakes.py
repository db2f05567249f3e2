"""The mistakes that a stranger makes with files of his own: each ends in a sentence that says what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from regime_assets.cli import main
from regime_assets.library.home import HOME_VARIABLE
from regime_assets_tests.test_new_project import price_files

Files = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Mistake:
    """What is wrong, and what is said.

    Attributes:
        words: that the message must have: what is wrong and where, and what to write.
        every: changes every file.
        one: changes the file of B.
        yaml: replaced in the universe file of the new project.
        arguments: of `init`.
        symbols: of the files.
        refused: whether a command ends with code 1; else it is a note.
    """

    words: tuple[str, ...]
    every: Files | None = None
    one: Files | None = None
    yaml: tuple[str, str] = ("", "")
    arguments: tuple[str, ...] = ()
    symbols: str = "ABC"
    refused: bool = True


def with_bars(rows: pd.DataFrame) -> pd.DataFrame:
    """Bars as traded around a close that the vendor has adjusted."""
    traded = rows["close"] * 1.2
    return rows.assign(open=traded, high=traded, low=traded, volume=1e6)


MISTAKES = {
    "wrong calendar at the start": Mistake(("XLON differ on", "try --calendar XNYS"), arguments=("--calendar", "XLON")),
    "wrong calendar in the file": Mistake(
        ("the calendar XTKS and the data differ on", "write calendar: XNYS"), yaml=("calendar: XNYS", "calendar: XTKS")
    ),
    "day before month": Mistake(
        ("A.csv: column session has '02/01/2019'", "write days as 2024-06-28"),
        every=lambda rows: rows.assign(session=pd.to_datetime(rows["session"]).dt.strftime("%d/%m/%Y")),
    ),
    "thousands separators": Mistake(
        ("A.csv: column close in line 2 says '5,", "write 1234.5", "nothing between thousands"),
        every=lambda rows: rows.assign(close=(rows["close"] * 100).map("{:,.2f}".format)),
    ),
    "a row twice": Mistake(
        ("B.csv has 2020-08-04 more than once, in lines 402 and 403", "keep the right row"),
        one=lambda rows: pd.concat([rows, rows.iloc[[400]]]).sort_values("session"),
    ),
    "a missing column": Mistake(
        ("B.csv has no column `close`, but session, Close", "give the column of the closing price that name"),
        one=lambda rows: rows.rename(columns={"close": "Close"}),
    ),
    "adjusted closes among bars as traded": Mistake(
        ("A 2019-01-02 low", "and 1007 more of its bars break the same rule", "adjusted: true"), every=with_bars
    ),
    "adjusted closes and a split declared": Mistake(
        ("unapplied_split", "declares a split that its prices are adjusted for already", "adjusted: true"),
        one=lambda rows: rows.assign(split=[4.0 if number == 500 else 0.0 for number in range(len(rows))]),
    ),
    "text among the prices": Mistake(
        ("B.csv: column close in line 302 says 'halted'", "leave out what is missing"),
        one=lambda rows: rows.assign(close=["halted" if n == 300 else c for n, c in enumerate(rows["close"])]),
    ),
    "a missing session": Mistake(
        ("B is traded and has no bar on 2022-12-27", "add what is missing", "quarantine correct desk --symbol B"),
        one=lambda rows: rows[rows["session"] != "2022-12-27"],
    ),
    "first_partition before the data": Mistake(
        (
            "desk.yaml:8: first_partition: 2018-01-02 must lie after history_start 2019-01-02",
            "regime-assets check desk",
        ),
        yaml=("first_partition: 2021-05-19", "first_partition: 2018-01-02"),
    ),
    "first_partition without a window before it": Mistake(
        ("desk.yaml:8: first_partition 2019-06-03 is too early: the first possible one is 2021-", "--fix"),
        yaml=("first_partition: 2021-05-19", "first_partition: 2019-06-03"),
    ),
    "one symbol": Mistake(
        ("1 symbol: a cross-section begins with 3", "Write more instruments under `symbols:`"),
        symbols="A",
        refused=False,
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_it_is_told_with_what_to_write_instead(
    mistake: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = price_files(tmp_path / "prices", mistake.symbols, mistake.every)
    if mistake.one:
        mistake.one(pd.read_csv(prices / "B.csv")).to_csv(prices / "B.csv", index=False)
    code = main(["init", str(tmp_path / "desk"), "--prices", str(prices), *mistake.arguments])
    if code == 0:
        monkeypatch.chdir(tmp_path / "desk")
        monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "desk" / "data"))
        monkeypatch.delenv("REGIME_ASSETS_UNIVERSES", raising=False)
        file = tmp_path / "desk" / "universes" / "desk.yaml"
        assert mistake.yaml[0] in file.read_text()
        file.write_text(file.read_text().replace(*mistake.yaml))
        code = main(["check-universes"]) or main(["check", "desk"])
    told = capsys.readouterr()
    said = " ".join((told.out + told.err).split())
    assert code == (1 if mistake.refused else 0), said
    for words in mistake.words:
        assert words in said, said
    assert "Traceback" not in said
