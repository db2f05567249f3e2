"""The page for the morning says everything in words, without scripts, on a phone and on a desk."""

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from regime_assets.library.home import Home
from regime_assets.library.report.morning import Challenger, Morning
from regime_assets.library.report.morning_files import MorningFileError, published_mornings
from regime_assets.library.report.morning_page import (
    Links,
    live_picture,
    morning_page,
    regime_colour,
    stays,
)
from regime_assets.library.report.plain_words import gate_reason
from regime_assets_tests.library.report.mornings import SESSION, TROUBLE, a_morning, horizon

NOW = datetime(2024, 3, 15, 22, 5, tzinfo=UTC)


def page_of(*mornings: Morning) -> str:
    return morning_page(mornings, Links(), NOW)


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S))


def test_the_answer_comes_first_and_what_changed_beside_it() -> None:
    said = words(page_of(a_morning()))
    assert "The market is calm: hold 75 % invested" in said
    assert "Changed: it was 50 % a session before" in said
    assert said.index("The market is calm") < said.index("Champion")
    assert "Unchanged from the session before" in words(page_of(a_morning(exposure_before=0.75)))


def test_champion_gate_drift_and_live_record_are_told_with_what_they_mean() -> None:
    said = words(page_of(a_morning()))
    for sentence in (
        "version 7",
        "4 sessions ago",
        "over 99 % probable",
        "held back",
        "agreement with the serving model",
        "43 % of its bound",
        "+3.9 % in 40 sessions",
        "Nothing failed, and no session is missing.",
    ):
        assert sentence in said, sentence


def test_the_champions_design_and_its_challengers_are_named_with_their_backtests() -> None:
    own = Challenger("design", SESSION, "insufficient evidence", "live_gain 0.1, bound z >= 0.84")
    others = (own, Challenger("six_latents", None, "", "no session of it was judged yet"))
    found = a_morning(horizons=(replace(horizon("short"), design="recurrent", challengers=others), horizon("long")))
    assert Morning.from_document(found.to_document()) == found
    page = page_of(found)
    for sentence in ("Design recurrent", "Challenger design", "Challenger six latents not judged yet"):
        assert sentence in words(page)
    session = SESSION.isoformat()
    assert f"us/short/{session}-backtest-recurrent.html" in page
    assert f'us/short/{session}-backtest.html">Its backtest' in page


def test_trouble_is_told_with_what_to_do() -> None:
    said = words(page_of(TROUBLE))
    assert "2 sessions without an answer" in said
    assert "Mon 18 Mar 2024: london/raw_prices failed" in said
    assert "regime-assets quarantine london" in said
    assert "170 % of its bound" in said
    assert "The market has left what the model knows, since" in said
    assert "Nothing failed" not in said


def test_a_universe_without_an_answer_says_how_to_get_one() -> None:
    empty = a_morning(session=None, horizons=(), recent=(), regime="", exposure=None, weights={})
    assert "regime-assets first-run --universe us" in words(page_of(empty))
    assert "No universe has an answer yet" in words(page_of())


def test_it_is_one_file_without_scripts_and_escapes_what_it_is_given() -> None:
    page = page_of(a_morning(), TROUBLE)
    loaded: list[str] = []

    class Loads(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            loaded.extend(value or "" for name, value in attrs if name in ("src", "srcset") or tag == "link")
            assert tag not in ("script", "iframe", "object", "embed")

    Loads().feed(page)
    assert loaded == []
    assert "twenty &lt;large&gt; caps" in page


def test_the_ribbon_covers_every_session_once_in_the_colours_of_its_regimes() -> None:
    drawn = stays(horizon("short"))
    calm, turbulent = regime_colour(0, 2), regime_colour(1, 2)
    assert [stay.colour for stay in drawn] == [calm, turbulent, calm]
    assert sum(stay.width for stay in drawn) == pytest.approx(1000, abs=0.5)
    assert (regime_colour(0, 3), regime_colour(2, 3)) == (calm, turbulent)


def test_a_live_record_too_short_to_be_a_line_is_not_drawn() -> None:
    one, many = horizon("long", live_sessions=1).live, horizon("long", live_sessions=40).live
    assert one is not None
    assert many is not None
    assert live_picture(one) is None
    drawn = live_picture(many)
    assert drawn is not None
    assert len(drawn.line.split()) == 40


def test_a_morning_survives_its_file_and_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    assert Morning.from_document(TROUBLE.to_document()) == TROUBLE
    home = Home(tmp_path)
    home.pages.mkdir()
    (home.pages / "us.morning.json").write_text("{}")
    with pytest.raises(MorningFileError, match=r"us\.morning\.json is not a morning.*Delete it"):
        published_mornings(home)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_on_a_phone_and_on_a_desk_without_a_sideways_scroll(tmp_path: Path, scheme: str) -> None:
    api = pytest.importorskip("playwright.sync_api")
    file = tmp_path / "page.html"
    file.write_text(page_of(a_morning(), TROUBLE))
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for width in (375, 1280):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            complaints: list[str] = []
            page.on("console", lambda message, kept=complaints: kept.append(message.text))
            page.goto(file.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == width
            smallest = page.evaluate(
                "Math.min(...[...document.querySelectorAll('p,dd,small,figcaption,td')]"
                ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
            )
            assert smallest >= 12, "readable without zooming"
            heights = page.evaluate("[...document.querySelectorAll('svg')].map(e => e.getBoundingClientRect().height)")
            assert min(heights) > 20
            assert complaints == []
        browser.close()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
def test_each_universe_is_printed_on_a_page_of_its_own(tmp_path: Path) -> None:
    api = pytest.importorskip("playwright.sync_api")
    (tmp_path / "page.html").write_text(page_of(a_morning(), a_morning(universe="london")))
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(color_scheme="dark")
        page.goto((tmp_path / "page.html").as_uri())
        printed = page.pdf(prefer_css_page_size=True)
        browser.close()
    assert len(re.findall(rb"/Type /Page\b(?!s)", printed)) == 2


def test_the_words_of_rules_are_those_of_a_reader() -> None:
    assert gate_reason("label_agreement 0.91, bound >= 0.95") == (
        "agreement with the serving model on the last year's regimes 0.91, bound >= 0.95"
    )
    waived = gate_reason("non_inferiority waived: 3 fresh sessions of 126")
    assert waived.startswith("not yet held against its predecessor, which needs 126 sessions")
