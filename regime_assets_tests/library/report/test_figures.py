"""Pictures: small, reproducible, themed, and true to the extremes of what they show."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from datetime import date
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.report import figures
from regime_assets.library.report.chart import INK, PAPER, Chart
from regime_assets.library.report.figure_style import TURBULENT, regime_colours, thinned
from regime_assets.library.report.scales import date_ticks, log_ticks, round_values

LARGEST_PICTURE = 60_000
HOSTILE = '<script>alert(1)</script> $x_$ & "y"'

RANDOM = np.random.default_rng(5)
T = 700
SESSIONS = pd.bdate_range("2018-01-02", periods=T, name="session")
STATES = (np.arange(T) // 90) % 2
POSTERIORS = np.column_stack([1 - STATES, STATES]) * 0.8 + 0.1
NET = {
    name: pd.Series(RANDOM.normal(0.0004, 0.01, T), SESSIONS) for name in (HOSTILE, "rule", "buy & hold", "$A and $B")
}
PRICES = (1.0 + NET["rule"]).cumprod()
LOSSES = pd.DataFrame(
    {
        "loss": np.linspace(9, 5, 20),
        "reconstruction": np.linspace(8, 4, 20),
        "kl": np.linspace(0, 1, 20),
        "validation_reconstruction": np.abs(np.arange(20.0) - 12) + 4,
        "active_units": 3,
    },
    index=pd.Index(range(20), name="epoch"),
)
REWARDS = pd.DataFrame(
    {
        "step": np.tile(np.arange(30) * 100, 3),
        "reward": RANDOM.normal(size=90),
        "entropy": RANDOM.random(90),
        "seed": np.repeat([1, 2, 3], 30),
    }
)
NOISE = pd.DataFrame(RANDOM.normal(size=(T, 30)), SESSIONS, [f"${i}_{HOSTILE}" for i in range(30)])

PICTURES: dict[str, Callable[[], str]] = {
    "loss_curves": lambda: figures.loss_curves(LOSSES),
    "reward_curves": lambda: figures.reward_curves(REWARDS),
    "reward_curves_of_one_seed": lambda: figures.reward_curves(REWARDS[:30].drop(columns="entropy")),
    "latent_map": lambda: figures.latent_map(NOISE.to_numpy()[:, :4], STATES, (HOSTILE, "b")),
    "latent_map_of_one": lambda: figures.latent_map(NOISE.to_numpy()[:, :1], STATES, ("a", "b")),
    "ribbon_of_states": lambda: figures.regime_ribbon(SESSIONS, PRICES, STATES, ("a", "b")),
    "ribbon_of_posteriors": lambda: figures.regime_ribbon(SESSIONS, PRICES, POSTERIORS, ("a", "b")),
    "regime_occupancy": lambda: figures.regime_occupancy(SESSIONS, STATES, ("a", "b")),
    "equity_and_drawdown": lambda: figures.equity_and_drawdown(NET),
    "rolling_sharpe": lambda: figures.rolling_sharpe_with_band(NET),
    "weights_over_time": lambda: figures.weights_over_time(NOISE),
    "drift_bars": lambda: figures.drift_bars({HOSTILE: 0.3, "b": 0.1}, {HOSTILE: 0.2, "b": 0.2}),
    "price_coverage": lambda: figures.price_coverage(NOISE < 1.5),
    "feature_heatmap": lambda: figures.feature_heatmap(NOISE),
    "estimates": lambda: figures.estimates({HOSTILE: figures.Estimate(0.1, -0.2, 0.5)}, "Sharpe"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_takes_ink_from_the_page_loads_and_runs_nothing_and_fits_into_metadata(name: str) -> None:
    svg = PICTURES[name]()
    ElementTree.fromstring(svg)
    assert "var(--ink" in svg or "var(--muted" in svg
    assert not re.search(r"(?<!,)" + INK, svg)
    assert "<script" not in svg
    assert "://" not in svg
    assert all(link.startswith("data:image/png") for link in re.findall(r'href="([^"]*)', svg))
    assert len(svg) <= LARGEST_PICTURE


def test_the_same_data_give_the_same_bytes() -> None:
    draw = PICTURES["equity_and_drawdown"]
    assert draw() == draw()


def test_a_line_leaves_a_gap_where_nothing_is_known() -> None:
    chart = Chart(2.0)
    chart.panels[0].line([0, 1, 2, 3, 4], [1.0, 2.0, np.nan, 2.0, 1.0], INK)
    drawn = re.findall(r'<path d="([^"]*)" fill="none" stroke="[^"]*" stroke-width="11"', chart.svg())
    assert [path.count("M") for path in drawn] == [2]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e9), st.integers(2, 9))
def test_an_axis_says_few_round_values_within_its_range(low: float, width: float, most: int) -> None:
    values = round_values(low, low + width, most)
    assert len(values) <= 2 * most
    assert all(low - 1e-6 * width <= value <= low + width * (1 + 1e-6) for value in values)


@given(st.dates(date(1980, 1, 1), date(2030, 1, 1)), st.integers(1, 20_000))
def test_a_time_axis_says_few_dates_in_order_within_its_range(first: date, length: int) -> None:
    begin = (first - date(1970, 1, 1)).days
    ticks = date_ticks(begin, begin + length)
    places = [place for place, _ in ticks]
    assert places == sorted(places)
    assert len(places) <= 9
    assert all(begin <= place <= begin + length for place in places)


@given(st.floats(1e-6, 1e6), st.floats(1.0001, 1e6))
def test_a_log_axis_says_a_few_values_however_wide_it_is(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert len(ticks) <= 12


def test_a_symbol_with_dollar_signs_is_drawn_as_it_is_written() -> None:
    assert "$A and $B" in PICTURES["equity_and_drawdown"]()


@given(st.integers(2, 8))
def test_the_calmest_and_the_most_turbulent_regime_keep_their_colours(n_regimes: int) -> None:
    colours = regime_colours(n_regimes)
    assert (colours[0], colours[-1]) == (regime_colours(2)[0], regime_colours(2)[1])
    assert len(set(colours)) == n_regimes


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(4, 40))
def test_thinning_keeps_both_extremes_and_both_ends(values: list[float], most: int) -> None:
    series = pd.Series(values)
    short = thinned(series, most)
    assert len(short) <= max(most + 2, 4)
    assert (short.min(), short.max()) == (series.min(), series.max())
    assert short.index[0] == 0
    assert short.index[-1] == len(series) - 1


def test_a_session_without_a_bar_is_seen_in_a_history_longer_than_the_picture_is_wide() -> None:
    present = pd.DataFrame(True, pd.bdate_range("1990-01-01", periods=6000), ["A", "B", "C"])
    vermilion = bytes.fromhex(TURBULENT[1:])
    assert vermilion not in _pixels(figures.price_coverage(present))
    present.iloc[3210, 1] = False
    assert vermilion in _pixels(figures.price_coverage(present))


def test_coverage_refuses_prices_whose_gaps_it_would_not_see() -> None:
    with pytest.raises(TypeError, match="float64"):
        figures.price_coverage(NOISE)


@pytest.mark.parametrize("sessions", [1, 2])
def test_the_first_sessions_of_a_history_can_be_drawn(sessions: int) -> None:
    first, states = slice(0, sessions), STATES[:sessions]
    figures.equity_and_drawdown({name: net[first] for name, net in NET.items()})
    figures.regime_ribbon(SESSIONS[first], PRICES[first], POSTERIORS[first], ("a", "b"))
    figures.regime_occupancy(SESSIONS[first], states, ("a", "b"))
    figures.latent_map(NOISE.to_numpy()[first, :3], states, ("a", "b"))
    figures.weights_over_time(NOISE[first])
    figures.feature_heatmap(NOISE[first])


def test_a_markdown_picture_stands_on_white_paper_and_holds_no_markup_of_its_caption() -> None:
    text = figures.markdown_picture(PICTURES["regime_occupancy"](), "regimes](http://x) <b>\nnow")
    alt, data = re.fullmatch(r"!\[([^\]]*)\]\(data:image/svg\+xml;base64,(.*)\)", text).groups()
    picture = ElementTree.fromstring(base64.b64decode(data))
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert picture[0].attrib["fill"] == PAPER
    assert not set("[]<>\n") & set(alt)


def _pixels(svg: str) -> bytes:
    """The colours of a drawing's cells, row by row."""
    png = base64.b64decode(re.search(r"data:image/png;base64,([^\"]*)", svg)[1])
    return zlib.decompress(png[png.index(b"IDAT") + 4 : -16])


def test_a_curve_of_one_point_is_seen() -> None:
    one = REWARDS[:1].drop(columns=["seed", "entropy"])
    assert 'stroke-width="50"' in figures.reward_curves(one), "a warm refit of one step has its dot"
    assert 'stroke-width="50"' not in figures.reward_curves(one.assign(reward=np.nan))


def test_the_loss_and_the_error_each_have_an_axis_of_their_own() -> None:
    text = figures.loss_curves(LOSSES)
    for title in (">loss<", "mean squared error of scaled features", "KL divergence"):
        assert title in text, title


def test_a_line_that_lies_under_another_is_named() -> None:
    same = {"policy": NET["rule"], "rule": NET["rule"], "buy & hold": NET["buy & hold"]}
    assert "rule under policy, the same line" in figures.equity_and_drawdown(same)
    assert "the same line" not in figures.equity_and_drawdown(NET)
