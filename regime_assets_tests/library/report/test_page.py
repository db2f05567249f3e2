"""The report: self-contained, escaped, honest about what it leaves out, and readable on a phone."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.evaluation.metrics import PerformanceSummary
from regime_assets.library.report.content import PARTS
from regime_assets.library.report.figures import Estimate
from regime_assets.library.report.page import (
    Fact,
    RegimeHistory,
    ReportContent,
    ReportError,
    StrategyRow,
    monthly_table,
    render_report,
    write_report,
)

HOSTILE = "<script>document.title='owned'</script>"
RANDOM = np.random.default_rng(8)
T = 320
SESSIONS = pd.bdate_range("2021-03-01", periods=T, name="session")
STATES = (np.arange(T) // 70) % 2
NET = {name: pd.Series(RANDOM.normal(0.0005, 0.01, T), SESSIONS) for name in (HOSTILE, "regime rule", "buy & hold")}
SUMMARY = PerformanceSummary(
    sessions=T,
    sharpe=-0.004,
    gross_sharpe=0.2,
    sortino=0.3,
    calmar=None,
    cagr=0.081,
    volatility=0.12,
    max_drawdown=-0.187,
    max_drawdown_sessions=1234,
    turnover=2.1,
    exposure=0.7,
    switches_per_year=1.4,
    probabilistic_sharpe=0.6,
)

FULL = ReportContent(
    title="Backtest",
    universe=HOSTILE,
    horizon="long",
    as_of=date(2022, 5, 20),
    facts=(Fact("Regime today", "calm", HOSTILE), Fact(HOSTILE, "84 %")),
    notes=("320 sessions are out of sample.", HOSTILE),
    provenance={"data hash": "9f2c" * 16, HOSTILE: HOSTILE},
    verdict="insufficient evidence",
    rows=(
        StrategyRow(HOSTILE, SUMMARY, (0.1, 1.1), Estimate(0.25, -0.1, 0.6)),
        StrategyRow("regime rule", SUMMARY, (0.1, 1.1), Estimate(0.2, -0.1, 0.5)),
        StrategyRow("buy & hold", SUMMARY, (0.0, 1.0)),
    ),
    net=NET,
    weights=pd.DataFrame(RANDOM.random((T, 3)) / 3, SESSIONS, [HOSTILE, "B", "C"]),
    regimes=RegimeHistory(
        prices=(1.0 + NET["buy & hold"]).cumprod().rename(HOSTILE),
        states=STATES,
        names=("calm", HOSTILE),
        posteriors=np.column_stack([1 - STATES, STATES]).astype(float),
        latents=RANDOM.normal(size=(T, 3)),
    ),
    signal=(Fact("Recall", "0.71", HOSTILE),),
    vae_curves=pd.DataFrame({"loss": [3.0, 2.0], "kl": [0.1, 0.2]}),
    policy_curves=pd.DataFrame({"step": [1, 2, 3], "reward": [0.1, 0.2, 0.2]}),
    rules=(
        RuleOutcome("label_agreement", 0.991, ">= 0.95", True, True, HOSTILE),
        RuleOutcome("minimum_fresh_sessions", 22.0, ">= 126", False, False),
        RuleOutcome("drawdown_limit", None, "<= 0.35", False, True),
    ),
    rolling_window=126,
)
REASONS = {part: f"There is no {part} because of reason {position}." for position, part in enumerate(PARTS)}
BARE = ReportContent(
    title="Backtest",
    universe="u",
    horizon="short",
    as_of=date(2022, 5, 20),
    facts=(),
    notes=("Nothing is out of sample yet.",),
    absent=REASONS,
)


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(FULL)


def test_hostile_names_are_shown_and_do_not_run(page: str) -> None:
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 8


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    assert "://" not in page
    links = re.findall(r"""(?:src|href|action|data)\s*=\s*["']([^"']*)""", page)
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert all(link.startswith("#") for link in re.findall(r"url\(([^)]*)\)", page))
    assert "default-src 'none'" in page


def test_a_full_report_shows_every_part_once(page: str) -> None:
    assert page.count("<svg") == page.count('<div role="img"') == 10
    assert page.count("<table") == 4
    assert 'class="absent"' not in page


@pytest.mark.parametrize("part", PARTS)
def test_a_part_left_out_says_why_and_shows_no_picture(part: str) -> None:
    bare = render_report(BARE)
    assert REASONS[part] in bare
    assert "<svg" not in bare
    assert "<table" not in bare


@pytest.mark.parametrize("part", PARTS)
def test_a_part_may_not_be_left_out_silently(part: str) -> None:
    silent = {name: reason for name, reason in REASONS.items() if name != part}
    with pytest.raises(ReportError, match=part):
        render_report(dataclasses.replace(BARE, absent=silent))


def test_a_part_with_data_may_not_be_declared_absent() -> None:
    with pytest.raises(ReportError, match="signal"):
        render_report(dataclasses.replace(FULL, absent={"signal": "no signal"}))


def test_a_report_without_a_word_on_what_is_out_of_sample_is_refused() -> None:
    with pytest.raises(ReportError, match="out of sample"):
        render_report(dataclasses.replace(FULL, notes=()))


def test_a_history_shorter_than_the_window_says_so_instead_of_drawing_a_rolling_figure() -> None:
    text = render_report(dataclasses.replace(FULL, rolling_window=T))
    assert f"it needs more than {T} sessions" in text


def test_numbers_that_do_not_exist_are_dashes_and_rounded_zeros_have_no_sign(page: str) -> None:
    row = page[page.index('<th scope="row"') :]
    cells = re.findall(r"<td>(.*?)</td>", row, re.DOTALL)
    assert cells[0].startswith("0.00<small>[0.10, 1.10]")
    assert cells[5:8] == ["−18.7 %", "1,234", "–"]
    assert "✗ blocks" in page
    assert "! warns" in page


@given(
    st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=120),
    st.dates(date(1995, 1, 1), date(2020, 1, 1)),
    st.integers(1, 9),
)
def test_months_compound_to_their_year_and_years_to_the_whole(
    returns: list[float], first: date, days_between: int
) -> None:
    net = pd.Series(returns, pd.date_range(first, periods=len(returns), freq=f"{days_between}D"))
    table = monthly_table(net)
    months = (1.0 + table[list(range(1, 13))]).prod(axis=1, skipna=True)
    np.testing.assert_allclose(months, 1.0 + table["year"])
    np.testing.assert_allclose((1.0 + table["year"]).prod(), (1.0 + net).prod())
    assert int(table[list(range(1, 13))].notna().sum().sum()) == net.index.to_period("M").nunique()


def test_a_report_replaces_the_old_one_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "report.html"
    write_report(BARE, path)
    before = path.read_text()
    with pytest.raises(ReportError):
        write_report(dataclasses.replace(BARE, notes=()), path)
    assert path.read_text() == before
    write_report(dataclasses.replace(BARE, title="Another title"), path)
    assert "Another title" in path.read_text()
    assert {file.name for file in path.parent.iterdir()} == {"report.html", "report.data"}


def test_the_same_content_gives_the_same_page(page: str) -> None:
    assert render_report(FULL) == page


def test_a_browser_shows_it_within_a_phones_width_and_fetches_nothing(page: str, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium binary is installed")
    # A window is at least 500 px wide, a frame is not. The measuring script sits in the framing page; the report
    # forbids scripts to itself, so that it is left as it is but for its frame.
    (tmp_path / "report.html").write_text(page)
    (tmp_path / "phone.html").write_text(
        "<iframe id=phone src=report.html style='border:0;width:390px;height:800px'></iframe><pre id=out></pre>"
        "<script>onload=()=>{const d=phone.contentDocument;out.textContent=JSON.stringify({"
        "width:d.documentElement.scrollWidth,title:d.title,svg:d.querySelectorAll('svg').length,"
        "fetched:phone.contentWindow.performance.getEntriesByType('resource')"
        ".filter(e=>!e.name.startsWith('data:')).length})}</script>"
    )
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"]
    command += ["--dump-dom", (tmp_path / "phone.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    measured = re.search(r'"width":(\d+),"title":"(.*?)","svg":(\d+),"fetched":(\d+)', done.stdout)
    assert measured is not None, done.stdout[-2000:]
    assert int(measured[1]) <= 390
    assert measured[2].startswith("Backtest")
    assert int(measured[3]) == 10
    assert int(measured[4]) == 0
    assert "CONSOLE" not in done.stderr


def test_every_figure_stands_beside_the_report_as_csv_and_json_and_the_report_links_to_it(tmp_path: Path) -> None:
    path = tmp_path / "2022-05-20-backtest.html"
    write_report(FULL, path)
    folder = tmp_path / "2022-05-20-backtest.data"
    document = json.loads((folder / "figures.json").read_text())
    assert set(document["tables"]) == {
        "comparison", "net_returns", "weights", "regimes", "signal", "vae_curves", "policy_curves", "gate"
    }  # fmt: skip
    for name, table in document["tables"].items():
        csv = pd.read_csv(folder / f"{name}.csv")
        assert list(csv.columns) == list(table), name
        assert len(csv) == len(next(iter(table.values()))), name
        assert f'href="{folder.name}/{name}.csv"' in path.read_text()
    written = pd.read_csv(folder / "net_returns.csv", index_col="session", parse_dates=True)
    np.testing.assert_allclose(written["buy & hold"], NET["buy & hold"], rtol=1e-9)
    assert document["tables"]["regimes"]["session"][0] == "2021-03-01"
    assert document["tables"]["comparison"]["calmar"] == [None, None, None], "what could not be measured is null"
    assert document["facts"]["Regime today"] == "calm"


def test_what_a_report_leaves_out_has_no_file(tmp_path: Path) -> None:
    path = tmp_path / "2022-05-20-backtest.html"
    absent = {"policy": "The policy was not trained."}
    write_report(dataclasses.replace(FULL, policy_curves=None, absent=absent), path)
    assert not (tmp_path / "2022-05-20-backtest.data" / "policy_curves.csv").exists()
