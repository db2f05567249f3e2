"""Two sessions or designs on one page: what differs is marked, and what is not there is said."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from regime_assets.library.report.compared_page import (
    Compared,
    Row,
    Section,
    compared_page,
    difference_rows,
    figure_rows,
    held_otherwise,
)
from regime_assets.library.report.compared_reports import ComparedError, comparable_reports, compared_reports

MONDAY, TUESDAY = "2024-03-18", "2024-03-19"
DAYS = pd.bdate_range("2023-12-01", MONDAY)


def report(folder: Path, session: str, weight: float, sharpe: float | None, vae: str, design: str = "") -> None:
    """The figures that lie beside a session's backtest report."""
    days = [f"{day:%Y-%m-%d}" for day in DAYS]
    tables: dict[str, Any] = {
        "comparison": {
            "strategy": ["regime rule", "buy & hold"],
            "sharpe": [sharpe, 0.5],
            "sharpe_low": [None if sharpe is None else sharpe - 1, -0.5],
            "sharpe_high": [None if sharpe is None else sharpe + 1, 1.5],
            "max_drawdown": [-0.125, -0.2],
        },
        "weights": {"session": days, "SPY": [0.5] * (len(days) - 1) + [weight]},
        "regimes": {"session": days, "regime": ["calm"] * (len(days) - 1) + ["calm" if weight > 0.5 else "turbulent"]},
        "net_returns": {"session": days, "regime rule": [0.001] * len(days)},
    }
    said = {"universe": "us", "horizon": "long", "verdict": "", "facts": {"Serves": "the regime rule"}}
    document = said | {"provenance": {"vae": vae, "python": "3.11"}, "tables": tables}
    place = folder / f"{session}-backtest{design}.data"
    place.mkdir(parents=True)
    (place / "figures.json").write_text(json.dumps(document))


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page, flags=re.S))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "us" / "long"
    report(folder, MONDAY, 0.75, 1.25, "<first>")
    report(folder, TUESDAY, 0.25, None, "second")
    return folder


def test_two_sessions_are_told_apart_by_what_they_held_named_and_were_made_of(folder: Path) -> None:
    found = compared_reports(folder, MONDAY, TUESDAY)
    assert (
        f"On 1 of the {len(DAYS)} sessions that both decide they held something else, on average 50%" in found.said[0]
    )
    assert "99% of" in found.said[1]
    page = compared_page(found)
    said = words(page)
    assert "1.25 (0.25 to 2.25)" in said
    assert "&lt;first&gt;" in page, "escaped"
    assert "python" not in said, "what is the same on both sides is counted, not shown"
    assert "1 further entries are the same" in said
    assert 'href="us/long/2024-03-18-backtest.html"' in page
    assert "<script" not in page


def test_a_figure_that_one_side_does_not_have_is_a_dash(folder: Path) -> None:
    rows = {row.label: row for row in compared_reports(folder, MONDAY, TUESDAY).sections[1].rows}
    assert rows["Sharpe ratio"].second == "–"
    assert (rows["deepest fall"].first, rows["deepest fall"].differs) == ("−12.5%", False)


def test_a_session_without_a_report_is_named_with_those_that_have_one(folder: Path) -> None:
    with pytest.raises(ComparedError, match="no backtest report of 2024-03-20: there are 2024-03-18 to 2024-03-19"):
        compared_reports(folder, MONDAY, "2024-03-20")


def test_nested_settings_are_named_by_their_path() -> None:
    rows = difference_rows({"encoder": {"n_latents": 3}}, {"encoder": {"n_latents": 4, "beta": 1.0}})
    assert rows == (Row("encoder.n_latents", "3", "4"), Row("encoder.beta", "–", "1.0"))


def test_two_that_hold_the_same_say_so_and_two_without_a_session_in_common_as_well() -> None:
    held = pd.DataFrame({"SPY": 1.0}, index=DAYS)
    assert held_otherwise(held, held) == (f"On all {len(DAYS)} sessions that both decide they held the same.",)
    assert held_otherwise(held[:10], held[10:]) == ("They have no session in common.",)


def test_a_section_in_which_nothing_differs_says_so() -> None:
    same = Section("How they were made", "", difference_rows({"a": 1}, {"a": 1}), only_differing=True)
    page = compared_page(Compared("us", ("one", "two"), ("Nothing.",), (same,), {}))
    assert "Nothing differs." in page
    assert figure_rows({}, {})[0] == Row("Sharpe ratio", "–", "–")


def test_a_challenger_is_compared_with_the_own_design_of_the_same_session(folder: Path) -> None:
    report(folder, TUESDAY, 1.0, 2.0, "third", design="-four_latents")
    assert comparable_reports(folder) == (TUESDAY, f"{TUESDAY} four_latents", MONDAY)
    page = compared_page(compared_reports(folder, TUESDAY, f"{TUESDAY} four_latents"))
    assert "2024-03-19 beside 2024-03-19 four_latents" in page
    assert 'href="us/long/2024-03-19-backtest-four_latents.html"' in page
