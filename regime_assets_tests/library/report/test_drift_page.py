"""The drift report says first what matters: which feature, how far from its bound, since when, what follows."""

import dataclasses
import json
import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from regime_assets.library.report.drift_page import DriftContent, render_drift_page, write_drift_page

SCORES = pd.DataFrame(
    [("rms", 5, 0.5, 1.0), ("rms", 20, 1.2, 1.0), ("breadth", 5, 0.2, 0.8), ("breadth", 20, 0.1, 0.5)],
    columns=["feature", "window", "distance", "bound"],
)
SCORES["ratio"] = SCORES["distance"] / SCORES["bound"]
DRIFTING = DriftContent(
    universe="us",
    horizon="long",
    session=date(2020, 3, 5),
    status="drifting",
    largest=1.2,
    leading="rms",
    leading_window=20,
    opened=date(2020, 3, 2),
    sessions_since=3,
    refitted=False,
    cool_down=0,
    confirm=2,
    scores=SCORES,
    history=pd.DataFrame({"session": pd.bdate_range("2020-02-28", periods=5), "largest": [0.4, 0.9, 1.1, 1.3, 1.2]}),
    reference=(date(2018, 1, 2), date(2020, 2, 5)),
    calibrated=(date(2005, 1, 3), date(2019, 12, 31)),
    alarms_per_year=0.5,
    notice="",
    textbook_share=0.83,
    tables="2020-03-05-drift_tables.html",
)


def words(content: DriftContent) -> str:
    page = render_drift_page(content, "2020-03-05-drift.data")
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S))


def test_what_matters_comes_first() -> None:
    said = words(DRIFTING)
    for sentence in (
        "The market has drifted: 120 % of the bound",
        "size of moves over all symbols, over the last 20 sessions",
        "Mon 2 Mar 2020, 3 sessions ago",
        "The model is trained from scratch, once for this episode.",
    ):
        assert said.index(sentence) < said.index("Every feature"), sentence
    assert said.index("rms") < said.index("share of symbols that rose"), "the nearest to its bound is the first row"
    assert "20 sessions: 1.20 of 1.00" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "drifting", "refitted": True}, "The model was trained from scratch since."),
        ({"status": "suspected", "opened": None}, "2 sessions in a row over a bound open an episode"),
        ({"status": "calm", "opened": None, "cool_down": 4}, "For 4 more sessions no new episode opens."),
    ],
)
def test_each_state_says_what_follows(changes: dict[str, object], said: str) -> None:
    assert said in words(dataclasses.replace(DRIFTING, **changes))  # pyright: ignore[reportArgumentType]


def test_its_figures_lie_beside_it_and_it_has_no_script(tmp_path: Path) -> None:
    path = tmp_path / "us" / "long" / "2020-03-05-drift.html"
    write_drift_page(DRIFTING, path)
    folder = path.with_suffix(".data")
    assert len(pd.read_csv(folder / "scores.csv")) == len(SCORES)
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["tables"]["history"]["session"][0] == "2020-02-28"
    assert (figures["status"], figures["opened"]) == ("drifting", "2020-03-02")
    page = path.read_text()
    assert "<script" not in page
    for address in (DRIFTING.tables, f"{folder.name}/scores.csv", f"{folder.name}/history.csv"):
        assert f'href="{address}"' in page


def test_one_session_of_history_is_drawn_too() -> None:
    one = dataclasses.replace(DRIFTING, history=DRIFTING.history.tail(1))
    assert "over 1 session;" in words(one)
