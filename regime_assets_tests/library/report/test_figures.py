"""Pictures: small, reproducible, themed, and true to the extremes of what they show."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.report import figures
from regime_assets.library.report.figure_style import INK, PAPER, regime_colours, thinned

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

PICTURES: dict[str, Callable[[figures.Form], bytes]] = {
    "loss_curves": lambda form: figures.loss_curves(LOSSES, form=form),
    "reward_curves": lambda form: figures.reward_curves(REWARDS, form=form),
    "reward_curves_of_one_seed": lambda form: figures.reward_curves(REWARDS[:30].drop(columns="entropy"), form=form),
    "latent_map": lambda form: figures.latent_map(NOISE.to_numpy()[:, :4], STATES, (HOSTILE, "b"), form=form),
    "latent_map_of_one": lambda form: figures.latent_map(NOISE.to_numpy()[:, :1], STATES, ("a", "b"), form=form),
    "ribbon_of_states": lambda form: figures.regime_ribbon(SESSIONS, PRICES, STATES, ("a", "b"), form=form),
    "ribbon_of_posteriors": lambda form: figures.regime_ribbon(SESSIONS, PRICES, POSTERIORS, ("a", "b"), form=form),
    "regime_occupancy": lambda form: figures.regime_occupancy(SESSIONS, STATES, ("a", "b"), form=form),
    "equity_and_drawdown": lambda form: figures.equity_and_drawdown(NET, form=form),
    "rolling_sharpe": lambda form: figures.rolling_sharpe_with_band(NET, form=form),
    "weights_over_time": lambda form: figures.weights_over_time(NOISE, form=form),
    "drift_bars": lambda form: figures.drift_bars({HOSTILE: 0.3, "b": 0.1}, {HOSTILE: 0.2, "b": 0.2}, form=form),
    "price_coverage": lambda form: figures.price_coverage(NOISE < 1.5, form=form),
    "feature_heatmap": lambda form: figures.feature_heatmap(NOISE, form=form),
    "estimates": lambda form: figures.estimates({HOSTILE: figures.Estimate(0.1, -0.2, 0.5)}, "Sharpe", form=form),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_a_png_that_metadata_can_carry(name: str) -> None:
    png = PICTURES[name]("png")
    assert png.startswith(b"\x89PNG")
    assert len(png) <= LARGEST_PICTURE


@pytest.mark.parametrize("name", PICTURES)
def test_an_svg_takes_ink_from_the_page_and_loads_and_runs_nothing(name: str) -> None:
    svg = PICTURES[name]("svg").decode()
    assert svg.startswith("<svg")
    assert "var(--ink" in svg or "var(--muted" in svg
    assert not re.search(r"(?<!, )" + INK, svg)
    assert "<script" not in svg
    assert "://" not in svg
    assert all(link.startswith(("#", "data:image/png")) for link in re.findall(r'href="([^"]*)', svg))


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_data_give_the_same_bytes(form: figures.Form) -> None:
    draw = PICTURES["equity_and_drawdown"]
    assert draw(form) == draw(form)


def test_drawing_leaves_no_open_figure_behind() -> None:
    from matplotlib import _pylab_helpers

    PICTURES["loss_curves"]("png")
    assert not _pylab_helpers.Gcf.figs


def test_a_symbol_with_dollar_signs_is_drawn_as_it_is_written() -> None:
    assert "$A and $B" in PICTURES["equity_and_drawdown"]("svg").decode()


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
    from PIL import Image

    present = pd.DataFrame(True, pd.bdate_range("1990-01-01", periods=6000), ["A", "B", "C"])
    whole = set(Image.open(io.BytesIO(figures.price_coverage(present))).convert("RGB").get_flattened_data())
    present.iloc[3210, 1] = False
    gap = set(Image.open(io.BytesIO(figures.price_coverage(present))).convert("RGB").get_flattened_data())
    assert not any(_reddish(colour) for colour in whole)
    assert any(_reddish(colour) for colour in gap)


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


def test_paper_of_a_png_is_white_so_that_it_reads_on_a_dark_page() -> None:
    from PIL import Image

    corner = Image.open(io.BytesIO(PICTURES["loss_curves"]("png"))).convert("RGB").getpixel((2, 2))
    assert "#{:02x}{:02x}{:02x}".format(*corner) == PAPER


def test_a_markdown_picture_holds_the_whole_png_and_no_markup_of_its_caption() -> None:
    png = PICTURES["regime_occupancy"]("png")
    text = figures.markdown_picture(png, "regimes](http://x) <b>\nnow")
    alt, data = re.fullmatch(r"!\[([^\]]*)\]\(data:image/png;base64,(.*)\)", text).groups()
    assert base64.b64decode(data) == png
    assert not set("[]<>\n") & set(alt)


def _reddish(colour: tuple[int, int, int]) -> bool:
    red, green, blue = colour
    return red > 150 and red > 1.6 * max(green, blue)


def test_a_curve_of_one_point_is_seen() -> None:
    one = REWARDS[:1].drop(columns=["seed", "entropy"])
    marked, unmarked = (
        figures.reward_curves(one, form="svg"),
        figures.reward_curves(one.assign(reward=np.nan), form="svg"),
    )
    assert marked.count(b"<use") > unmarked.count(b"<use"), "a warm refit of one step has its marker"


def test_the_loss_and_the_error_each_have_an_axis_of_their_own() -> None:
    text = figures.loss_curves(LOSSES, form="svg").decode()
    for title in (">loss<", "mean squared error of scaled features", "KL divergence"):
        assert title in text, title


def test_a_line_that_lies_under_another_is_named() -> None:
    same = {"policy": NET["rule"], "rule": NET["rule"], "buy & hold": NET["buy & hold"]}
    assert b"rule under policy, the same line" in figures.equity_and_drawdown(same, form="svg")
    assert b"the same line" not in figures.equity_and_drawdown(NET, form="svg")
